"""Rules tried on examples: what they give and why; `flask rules try` and `flask rules explain`."""

import json
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from catalog.town import Case, SchoolCalendar, Town, read_school_calendar, read_town
from catalog.trying import Outcome, UnknownName, local, try_cases
from shop.clock import PARIS
from tests.catalog.made import line_of, plain, read, written

DEMO = Path(__file__).parents[2] / "demo"
CALENDAR = DEMO / "calendar.toml"
PUBLISHED = sorted((DEMO / "published").glob("*.toml"))
TUESDAY = date(2026, 11, 24)
FRIDAY = '{ weekday_before = "ven", at = "09:00" }'
POLICIES = """\
late = { until = { days_before = 0, counted = "calendar", at = "09:00" }, percent = "50" }
unbooked = { price = "10,00", free = 1 }
credit = "3,00"
cost_price = "7,20"
"""
GRID = 'rows = [{ quotient_to = 699, euros = "3,75" }, { quotient_from = 700, euros = "5,00" }]'
every_published_file = pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.stem)


@pytest.fixture(scope="module")
def school() -> SchoolCalendar:
    return read_school_calendar(CALENDAR.read_text(), "calendar.toml")


@pytest.fixture(scope="module")
def ruled() -> Town:
    """A town whose canteen closes on Fridays, with a grid and every policy."""
    return read(booking=FRIDAY, policies=POLICIES, price=GRID)


def tried(town: Town, school: SchoolCalendar, action: str = "book", **case: Any) -> Outcome:
    """What the town's rules give for one case (of a Tuesday)."""
    if "at" in case:
        case["at"] = datetime.fromisoformat(case["at"]).replace(tzinfo=PARIS)
    ((_case, outcome),) = try_cases(replace(town, cases=(Case(action, **({"meal": TUESDAY} | case)),)), school)
    return outcome


def told(outcome: Outcome) -> list[str]:
    """Why, as a test writes it."""
    return [plain(words) for words in outcome.reasons]


# --- what the rules give ---


@pytest.mark.parametrize(
    ("action", "at", "verdict", "cents"),
    [
        ("book", "2026-11-20T08:59", "in time", 375),
        # The deadline is the first instant that is too late.
        ("book", "2026-11-20T09:00", "late", 563),
        ("book", "2026-11-24T08:59", "late", 563),
        ("book", "2026-11-24T09:00", "too late", None),
        ("cancel", "2026-11-23T09:59", "in time", 300),
        ("cancel", "2026-11-23T10:00", "too late", 0),
    ],
)
def test_a_moment_decides(
    ruled: Town, school: SchoolCalendar, action: str, at: str, verdict: str, cents: int | None
) -> None:
    outcome = tried(ruled, school, action, at=at, quotient=650)
    assert (outcome.verdict, outcome.cents) == (verdict, cents)


@pytest.mark.parametrize(
    ("at", "verdict", "cents", "why"),
    [
        ("2026-11-23T09:59", "in time", 375, "Ce repas peut encore être annulé."),
        ("2026-11-23T10:00", "in time", 375, "Crédité si une autre famille le reprend ; sinon il reste dû."),
        ("2026-11-24T08:59", "in time", 375, "Crédité si une autre famille le reprend ; sinon il reste dû."),
        ("2026-11-24T09:00", "too late", 0, "Le repas reste dû."),
    ],
)
def test_a_meal_that_is_given_back(school: SchoolCalendar, at: str, verdict: str, cents: int, why: str) -> None:
    policies = POLICIES + 'freed = { until = { days_before = 0, counted = "calendar", at = "09:00" } }\n'
    ruled = read(booking=FRIDAY, policies=policies, price=GRID)
    outcome = tried(ruled, school, "free", at=at, quotient=650)
    assert (outcome.verdict, outcome.cents, local(outcome.deadline)) == (verdict, cents, "2026-11-24T09:00")
    assert why in told(outcome)


def test_no_meal_is_given_back_where_the_rule_is_not_said(ruled: Town, school: SchoolCalendar) -> None:
    outcome = tried(ruled, school, "free", at="2026-11-23T12:00", quotient=650)
    assert (outcome.verdict, outcome.cents, outcome.deadline) == ("too late", 0, None)


def test_an_example_without_a_moment_is_in_time(ruled: Town, school: SchoolCalendar) -> None:
    outcome = tried(ruled, school, quotient=700)
    assert (outcome.service, outcome.tariff) == ("Cantine Aiguilhe", "Résident commune")
    assert (outcome.verdict, outcome.cents, local(outcome.deadline)) == ("in time", 500, "2026-11-20T09:00")
    assert told(outcome) == ["Tarif « Résident commune » : 5,00 €.", "Ligne « quotient à partir de 700 », 5,00 €."]
    assert local(tried(ruled, school, "cancel").deadline) == "2026-11-23T10:00"


def test_what_is_not_known_is_told(ruled: Town, school: SchoolCalendar) -> None:
    outcome = tried(ruled, school)
    assert outcome.cents == 500
    assert told(outcome)[-1] == "Quotient non connu : le prix le plus élevé."


def test_a_late_price_is_told_with_its_end_and_its_limit(ruled: Town, school: SchoolCalendar) -> None:
    late = tried(ruled, school, at="2026-11-23T12:00", quotient=650)
    assert told(late)[-1] == "Hors délai, jusqu’au mardi 24 novembre 2026 à 9 h : 50 % de plus."
    capped = tried(ruled, school, at="2026-11-23T12:00", quotient=700)
    assert (capped.verdict, capped.cents) == ("late", 720)
    assert told(capped)[-1] == "Plafonné au prix de revient, 7,20 €."


def test_a_price_above_what_the_meal_costs_bears_no_surcharge(school: SchoolCalendar) -> None:
    dear = read(booking=FRIDAY, policies=POLICIES, price='euros = "8,00"')
    late = tried(dear, school, at="2026-11-23T12:00")
    assert (late.verdict, late.cents) == ("late", 800)
    assert told(late)[-1] == "Le prix à temps dépasse déjà le prix de revient, 7,20 € : rien de plus n’est demandé."


def test_without_a_late_booking_it_is_too_late(school: SchoolCalendar) -> None:
    outcome = tried(read(booking=FRIDAY), school, at="2026-11-20T09:00")
    assert (outcome.verdict, outcome.cents, told(outcome)) == ("too late", None, ["Trop tard."])


@pytest.mark.parametrize(("times", "cents"), [(1, 375), (2, 720), (9, 720)])
def test_a_child_without_a_booking_eats(ruled: Town, school: SchoolCalendar, times: int, cents: int) -> None:
    outcome = tried(ruled, school, "eat", times=times, quotient=650)
    assert (outcome.verdict, outcome.cents, outcome.deadline) == ("in time", cents, None)
    surcharged = ["Présent sans réservation : 10,00 € le repas.", "Plafonné au prix de revient, 7,20 €."]
    assert told(outcome)[2:] == (surcharged if times > 1 else [])


@pytest.mark.parametrize(("credit", "cents"), [("full", 380), ("none", 0), ("3,00", 300), ("9,00", 380)])
def test_a_cancelled_meal_gives_back_what_the_rules_say(school: SchoolCalendar, credit: str, cents: int) -> None:
    assert tried(read(policies=f'credit = "{credit}"'), school, "cancel").cents == cents


@pytest.mark.parametrize(
    "meal",
    ["2026-11-25", "2026-11-22", "2026-12-21", "2027-03-29", "2027-08-24"],
    ids=["a Wednesday", "a Sunday", "Christmas", "Easter Monday", "summer"],
)
def test_nothing_is_given_on_a_day_without_service(ruled: Town, school: SchoolCalendar, meal: str) -> None:
    outcome = tried(ruled, school, meal=date.fromisoformat(meal))
    assert (outcome.verdict, outcome.cents, outcome.deadline) == ("closed", None, None)
    assert told(outcome) == [f"Pas de service le {meal}."]


def test_a_closure_of_the_file_is_a_day_without_service(school: SchoolCalendar) -> None:
    closure = '[[communes.closures]]\nfrom = "2026-11-23"\nreason = "Grève"\n\n[[communes.services]]'
    town = read_town(written(cases="").replace("[[communes.services]]", closure), "ville.toml")
    assert tried(town, school, meal=date(2026, 11, 23)).verdict == "closed"
    # And the deadline of the next day counts over it.
    assert local(tried(town, school).deadline) == "2026-11-20T10:00"


def test_a_meal_before_every_price_has_none(school: SchoolCalendar) -> None:
    outcome = tried(read(), school, meal=date(2026, 6, 2))
    assert (outcome.verdict, outcome.cents) == ("in time", None)
    assert told(outcome) == ["Aucun prix ne vaut ce jour-là."]


def test_the_price_of_the_day_of_the_meal_counts(school: SchoolCalendar) -> None:
    town = read(price='euros = "3,80", until = "2026-11-24" }, { from = "2026-11-25", euros = "3,90"')
    assert [tried(town, school, meal=date(2026, 11, day)).cents for day in (24, 26)] == [380, 390]


def test_a_limit_counts_back_over_as_many_meals_as_it_says(school: SchoolCalendar) -> None:
    # Twenty Wednesdays of school, three holidays between them: half a year.
    text = written(booking='{ days_before = 20, counted = "serving", at = "10:00" }')
    town = read_town(text.replace('["lun", "mar", "jeu", "ven"]', '["mer"]'), "ville.toml")
    assert local(tried(town, school, meal=date(2027, 6, 2)).deadline) == "2026-12-02T10:00"


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"cents": 375}, ()),
        ({"cents": 376}, ("attendu : 3,76 €",)),
        ({"deadline": datetime(2026, 11, 20, 9, tzinfo=PARIS)}, ()),
        ({"deadline": datetime(2026, 11, 20, 10, tzinfo=PARIS)}, ("attendu : 2026-11-20T10:00",)),
        (
            {"deadline": datetime(2026, 11, 20, 10, tzinfo=PARIS), "cents": 376},
            ("attendu : 2026-11-20T10:00", "attendu : 3,76 €"),
        ),
        # Nothing is served, so that nothing expected can be right.
        ({"meal": date(2026, 11, 25), "cents": 375}, ("attendu : 3,75 €",)),
    ],
)
def test_what_differs_from_the_example_is_told(
    ruled: Town, school: SchoolCalendar, case: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert tuple(plain(words) for words in tried(ruled, school, quotient=650, **case).differs) == expected


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"commune": "coubon"}, "Exemple : la commune « coubon » n’est pas dans le fichier."),
        ({"service": "garderie"}, "Exemple : le service « garderie » n’est pas dans le fichier."),
        ({"tariff": "adulte"}, "Exemple : le tarif « adulte » n’est pas dans le fichier."),
    ],
)
def test_an_unknown_name_is_a_sentence(
    ruled: Town, school: SchoolCalendar, case: dict[str, str], expected: str
) -> None:
    with pytest.raises(UnknownName) as refused:
        tried(ruled, school, **case)
    assert plain(refused.value.sentence) == expected


def test_a_name_must_be_given_where_there_are_several(school: SchoolCalendar) -> None:
    mametz = read_town((DEMO / "published" / "mametz.toml").read_text(), "mametz.toml")
    with pytest.raises(UnknownName) as refused:
        tried(mametz, school)
    assert plain(refused.value.sentence) == "Exemple : précisez le service, le fichier en contient plusieurs."
    # Of several tariffs the first is meant.
    assert tried(mametz, school, service="cantine").tariff == "Enfant"


# --- the published files ---


@every_published_file
def test_a_published_file_gives_what_its_commune_says(file: Path, school: SchoolCalendar) -> None:
    town = read_town(file.read_text(), file.name)
    found = list(try_cases(town, school))
    assert [outcome.differs for _case, outcome in found] == [()] * len(town.cases)
    # Each example expects something, and something is served.
    assert all(case.deadline or case.cents for case, _outcome in found)
    assert "closed" not in {outcome.verdict for _case, outcome in found}


def test_every_commune_but_one_has_published_an_example() -> None:
    without = [file.stem for file in PUBLISHED if not read_town(file.read_text(), file.name).cases]
    assert len(PUBLISHED) == 13
    # What that one has published is that there is no credit.
    assert without == ["ardeche-rhone-coiron"]


# --- flask rules try ---


def run(app: Flask, *args: object) -> Result:
    """The command, as somebody types it after `flask rules`."""
    return app.test_cli_runner().invoke(args=["rules", *map(str, args)])


@every_published_file
def test_trying_a_published_file_shows_a_line_for_each_example(app: Flask, file: Path) -> None:
    cases = read_town(file.read_text(), file.name).cases
    result = run(app, "try", file, "--calendar", CALENDAR)
    assert result.exit_code == 0, result.output
    head, *lines = result.output.splitlines()
    if not cases:
        assert (head, lines) == ("Ce fichier ne contient aucun exemple ([[cases]]).", [])
        return
    assert head.split()[:4] == ["service", "repas", "du", "action"]
    assert len(lines) == len(cases)
    assert all(case.meal.isoformat() in line for case, line in zip(cases, lines, strict=True))
    assert "!!" not in result.output


@every_published_file
def test_a_published_file_is_tried_as_json(app: Flask, file: Path) -> None:
    cases = read_town(file.read_text(), file.name).cases
    result = run(app, "try", file, "--calendar", CALENDAR, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert [row["meal"] for row in found] == [case.meal.isoformat() for case in cases]
    assert [row["differs"] for row in found] == [[]] * len(cases)
    for row, case in zip(found, cases, strict=True):
        if case.cents is not None:
            assert row["price_cents"] == case.cents
        if case.deadline is not None:
            assert row["deadline"] == local(case.deadline)


def test_an_example_is_a_line_of_the_table(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "ville.toml"
    cases = '[[cases]]\nmeal = "2026-11-24"\nat = "2026-11-23T11:00"\nquotient = 650\neuros = "5,63"\n'
    file.write_text(written(booking=FRIDAY, policies=POLICIES, price=GRID, cases=cases))
    result = run(app, "try", file, "--calendar", CALENDAR)
    assert [plain(line) for line in result.output.splitlines()] == [
        "service           repas du    action    situation     date limite       verdict     prix    pourquoi",
        (
            "Cantine Aiguilhe  2026-11-24  réserver  quotient 650  2026-11-20T09:00  hors délai  5,63 €"
            "  Tarif « Résident commune » : 3,75 €. Ligne « quotient jusqu’à 699 », 3,75 €."
            " Hors délai, jusqu’au mardi 24 novembre 2026 à 9 h : 50 % de plus."
        ),
    ]


def test_an_example_is_a_row_of_json(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "ville.toml"
    file.write_text(written(cases='[[cases]]\nmeal = "2026-11-25"\nsituation = "un mercredi"\naction = "cancel"\n'))
    result = run(app, "try", file, "--calendar", CALENDAR, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == [
        {
            "situation": "un mercredi",
            "action": "cancel",
            "meal": "2026-11-25",
            "service": "Cantine Aiguilhe",
            "tariff": "Résident commune",
            "deadline": None,
            "verdict": "closed",
            "price_cents": None,
            "reasons": ["Pas de service le 2026-11-25."],
            "differs": [],
        }
    ]


def planted(tmp_path: Path, count: int) -> Path:
    """Saussay's file with so many wrong expectations."""
    text = (DEMO / "published" / "saussay.toml").read_text()
    head, cases = text[: text.index("[[cases]]")], text[text.index("[[cases]]") :]
    for right, wrong in (('"4,40"', '"4,41"'), ('"7,00"', '"7,10"'))[:count]:
        assert right in cases
        cases = cases.replace(right, wrong)
    file = tmp_path / "saussay.toml"
    file.write_text(head + cases)
    return file


def test_a_wrong_expectation_fails_and_is_named(app: Flask, tmp_path: Path) -> None:
    result = run(app, "try", planted(tmp_path, 1), "--calendar", CALENDAR)
    assert result.exit_code == 1
    lines = [plain(line) for line in result.output.splitlines()]
    assert [line.split("!! ")[1] for line in lines if "!!" in line] == ["attendu : 4,41 €"]
    assert "4,40 €" in next(line for line in lines if "!!" in line)
    assert lines[-1] == "Error: 1 exemple diffère."


def test_several_wrong_expectations_are_counted(app: Flask, tmp_path: Path) -> None:
    result = run(app, "try", planted(tmp_path, 2), "--calendar", CALENDAR)
    assert result.exit_code == 1
    assert result.output.endswith("Error: 2 exemples diffèrent.\n")


def test_a_wrong_expectation_fails_as_json_too(app: Flask, tmp_path: Path) -> None:
    result = run(app, "try", planted(tmp_path, 1), "--calendar", CALENDAR, "--json")
    assert result.exit_code == 1
    differs = [[plain(words) for words in row["differs"]] for row in json.loads(result.stdout)]
    assert differs == [[], ["attendu : 4,41 €"], [], [], []]
    assert "1 exemple diffère." in result.stderr


def test_an_unknown_name_is_told_and_no_trace(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "ville.toml"
    file.write_text(written(cases='[[cases]]\nmeal = "2026-11-24"\ntariff = "adulte"\n'))
    result = run(app, "try", file, "--calendar", CALENDAR)
    assert result.exit_code == 1
    assert plain(result.output) == "Error: Exemple : le tarif « adulte » n’est pas dans le fichier.\n"


def test_a_file_with_faults_is_told_and_not_tried(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "ville.toml"
    text = written(booking='{ weekday_before = "jeu", at = "02:30" }')
    file.write_text(text)
    result = run(app, "try", file, "--calendar", CALENDAR)
    assert result.exit_code == 1
    assert f"{file}:{line_of(text, 'booking =')}" in result.output


def test_without_a_file_the_calendar_is_the_shop_s_own(app: Flask) -> None:
    file = DEMO / "published" / "bains-sur-oust.toml"
    # There are no school years yet: nothing is served.
    result = run(app, "try", file, "--json")
    assert result.exit_code == 1
    assert {row["verdict"] for row in json.loads(result.stdout)} == {"closed"}
    app.test_cli_runner().invoke(args=["catalog", "calendar", str(CALENDAR)])
    assert run(app, "try", file).output == run(app, "try", file, "--calendar", CALENDAR).output


# --- flask rules explain ---


def imported(app: Flask, file: Path) -> None:
    """Bring a catalogue file and the calendar into the shop."""
    for command, path in (("import", file), ("calendar", CALENDAR)):
        result = app.test_cli_runner().invoke(args=["catalog", command, str(path)])
        assert result.exit_code == 0, result.output


def test_the_rules_of_a_service_are_explained(app: Flask) -> None:
    imported(app, DEMO / "town.toml")
    result = run(app, "explain", "aiguilhe/cantine", "--days", 10)
    assert result.exit_code == 0, result.output
    assert (
        plain(result.output)
        == """\
Cantine Aiguilhe

Réserver
  Réservez 2 jours de service avant le repas, avant 10 h.
  Non payé = non réservé.

Annuler
  Annulez le jour de service qui précède le repas, avant 10 h.
  Un repas annulé à temps est crédité du prix payé.
  Le crédit revient aussitôt dans votre porte-monnaie.
  Passé le délai, il reste dû.
  Si l’école ou la mairie en est la cause (grève, sortie, fermeture), il est toujours crédité.

Hors délai
  Après la date limite, aucune réservation n’est acceptée.

Sans réservation
  Un enfant présent sans réservation mange, au prix ordinaire.

Enfant malade
  Les repas d’un enfant malade restent dus, sauf annulation à temps.

jeudi 19 novembre 2026 : réserver lun. 16 nov. à 10 h, annuler mar. 17 nov. à 10 h
vendredi 20 novembre 2026 : réserver mar. 17 nov. à 10 h, annuler jeu. 19 nov. à 10 h
lundi 23 novembre 2026 : réserver jeu. 19 nov. à 10 h, annuler ven. 20 nov. à 10 h
mardi 24 novembre 2026 : réserver ven. 20 nov. à 10 h, annuler lun. 23 nov. à 10 h
jeudi 26 novembre 2026 : réserver lun. 23 nov. à 10 h, annuler mar. 24 nov. à 10 h
vendredi 27 novembre 2026 : réserver mar. 24 nov. à 10 h, annuler jeu. 26 nov. à 10 h
"""
    )


def test_days_without_service_are_explained_by_their_reason(app: Flask) -> None:
    imported(app, DEMO / "town.toml")
    lines = [plain(line) for line in run(app, "explain", "aiguilhe/cantine").output.splitlines()]
    assert "lundi 21 décembre 2026 : Vacances de Noël" in lines
    assert "lundi 4 janvier 2027 : réserver jeu. 17 déc. à 10 h, annuler ven. 18 déc. à 10 h" in lines
    # Sixty days where nothing is said: the last is 17 January.
    assert lines[-1].startswith("vendredi 15 janvier 2027")


def test_late_bookings_are_explained(app: Flask) -> None:
    imported(app, DEMO / "published" / "vailhauques.toml")
    result = run(app, "explain", "vailhauques/cantine", "--days", 6)
    assert result.exit_code == 0, result.output
    lines = [plain(line) for line in result.output.splitlines()]
    assert "  Hors délai, le repas reste possible : 50 % de plus." in lines
    assert lines[-1] == (
        "mardi 24 novembre 2026 : réserver ven. 20 nov. à 9 h, hors délai mar. 24 nov. à 9 h, annuler ven. 20 nov. à 9 h"
    )


@pytest.mark.parametrize("name", ["aiguilhe/garderie-du-midi", "nulle-part/cantine", "cantine", "aiguilhe/"])
def test_an_unknown_service_is_a_sentence(app: Flask, name: str) -> None:
    result = run(app, "explain", name)
    assert result.exit_code == 1
    assert plain(result.output) == f"Error: Service inconnu : {name}.\n"
