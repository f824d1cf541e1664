"""Reading a catalogue file: what it gives, and every fault told at once with its line."""

from datetime import date
from pathlib import Path

import pytest

from catalog.errors import FileRefused
from catalog.rules.deadlines import DeadlineRule
from catalog.toml_lines import line_of, locate
from catalog.town import (
    HolidayEntry,
    PlacesEntry,
    PriceEntry,
    Town,
    read_school_calendar,
    read_town,
)
from tests.conftest import as_typed

DEMO = Path(__file__).parents[2] / "demo"

GOOD = """\
[regie]
slug = "agglo"
legal_name = "Agglomération"
email = "regie@example.org"
phone = "01 99 00 43 00"
address = "Place de la Mairie"
card_gateway = "sandbox"
minimum_top_up = "5,00"
maximum_top_up = "500"
minimum_online = "1.00"

[[communes]]
slug = "aiguilhe"
name = "Aiguilhe"
insee = "43002"
zone = "A"
accent = "#8c3b2e"
email = "cantine@example.org"
phone = "01 99 00 43 02"
address = "Mairie"

[[communes.services]]
slug = "cantine"
name = "Cantine Aiguilhe"
kind = "canteen"
weekdays = ["ven", "lun"]
settlement = "prepaid"
booking = { days_before = 2, counted = "serving", at = "10:00" }
cancel = { weekday_before = "jeu", at = "09:30" }

[[communes.services.tariffs]]
code = "resident"
label = "Résident commune"
audience = "child"
prices = [
  { from = "2026-09-01", until = "2027-08-31", euros = "3,80" },
  { from = 2027-09-01, euros = "3.90" },
]
"""


def faults(text: str) -> list[tuple[int, str]]:
    """The line and field of every fault of a catalogue file."""
    with pytest.raises(FileRefused) as refused:
        read_town(text, "town.toml")
    return [(fault.line, fault.field) for fault in refused.value.faults]


def line(text: str, start: str) -> int:
    """The number of the first line that starts like this."""
    return next(n for n, words in enumerate(text.splitlines(), 1) if words.strip().startswith(start))


def test_a_good_file_is_read_whole() -> None:
    town = read_town(GOOD, "town.toml")
    (commune,) = town.communes
    (service,) = commune.services
    assert town.regie.minimum_top_up_cents == 500
    assert town.regie.minimum_online_cents == 100
    assert service.weekdays == (1, 5)
    assert service.capacity is None
    assert service.booking == DeadlineRule.of("10:00", days_before=2, counted="serving")
    assert service.cancel == DeadlineRule.of("09:30", weekday_before=4)
    assert service.tariffs[0].prices == (
        PriceEntry(date(2026, 9, 1), date(2027, 8, 31), 380),
        PriceEntry(date(2027, 9, 1), None, 390),
    )


def test_faults_on_several_lines_are_told_together() -> None:
    bad = (
        GOOD.replace('legal_name = "Agglomération"', 'legal_name = ""')
        .replace('zone = "A"', 'zone = "D"')
        .replace('euros = "3,80"', 'euros = "3,801"')
        .replace('audience = "child"\n', "")
        .replace('name = "Cantine Aiguilhe"', 'nom = "Cantine Aiguilhe"')
    )
    assert faults(bad) == [
        (line(bad, "legal_name"), "regie.legal_name"),
        (line(bad, "zone"), "communes[1].zone"),
        # A field that is not there is told at the head of its table.
        (line(bad, "[[communes.services]]"), "communes[1].services[1].name"),
        (line(bad, "nom ="), "communes[1].services[1].nom"),
        (line(bad, "[[communes.services.tariffs]]"), "communes[1].services[1].tariffs[1].audience"),
        (line(bad, "{ from"), "communes[1].services[1].tariffs[1].prices[1].euros"),
    ]


@pytest.mark.parametrize(
    ("good", "bad", "field"),
    [
        ('euros = "3,80"', "euros = 3.80", "prices[1].euros"),
        ('euros = "3,80"', 'euros = "-3,80"', "prices[1].euros"),
        ('euros = "3,80"', 'euros = "0"', "prices[1].euros"),
        ('euros = "3,80"', 'euros = "1e3"', "prices[1].euros"),
        ('euros = "3,80"', 'euros = "١٢"', "prices[1].euros"),
        ('from = "2026-09-01"', 'from = "2026-09-31"', "prices[1].from"),
        ('from = "2026-09-01"', 'from = "1/9/2026"', "prices[1].from"),
        ('until = "2027-08-31"', 'until = "2026-08-31"', "prices[1].until"),
        ('until = "2027-08-31"', 'until = "2027-09-01"', "prices[2].from"),
        (', until = "2027-08-31"', "", "prices[2].from"),
        ('label = "Résident commune"', f'label = "{"é" * 81}"', "label"),
        ('label = "Résident commune"', 'label = "a\\nb"', "label"),
        ('code = "resident"', 'code = "Résident !"', "code"),
    ],
)
def test_a_tariff_is_refused(good: str, bad: str, field: str) -> None:
    assert good in GOOD
    (fault,) = faults(GOOD.replace(good, bad))
    assert fault[1] == f"communes[1].services[1].tariffs[1].{field}"


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ('{ at = "10:00" }', ""),
        ('{ days_before = 1, counted = "serving", weekday_before = "jeu", at = "10:00" }', ""),
        ('{ days_before = 1, at = "10:00" }', ".counted"),
        ('{ days_before = true, counted = "serving", at = "10:00" }', ".days_before"),
        ('{ days_before = -1, counted = "serving", at = "10:00" }', ".days_before"),
        ('{ days_before = 1, counted = "worked", at = "10:00" }', ".counted"),
        ('{ weekday_before = "jeudi", at = "10:00" }', ".weekday_before"),
        ('{ weekday_before = "jeu", counted = "serving", at = "10:00" }', ".counted"),
        ('{ weekday_before = "jeu", at = "24:30" }', ".at"),
        ('{ weekday_before = "jeu", at = "02:30" }', ".at"),
        ('{ weekday_before = "jeu" }', ".at"),
        ('"jeudi 10 h"', ""),
    ],
)
def test_a_deadline_is_refused(rule: str, field: str) -> None:
    text = GOOD.replace('{ days_before = 2, counted = "serving", at = "10:00" }', rule)
    assert faults(text) == [(line(text, "booking"), f"communes[1].services[1].booking{field}")]


SCHOOLS = """
[[communes.schools]]
name = "École du Rocher"
level = "primary"

[[communes.services]]"""


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ('places = [{ school = "École du Lac", capacity = 40 }]', "places[1].school"),
        ('places = [{ school = "École du Rocher", capacity = 0 }]', "places[1].capacity"),
        ('places = [{ school = "École du Rocher" }]', "places[1].capacity"),
        ("places = [{ capacity = 40 }]", "places[1].school"),
        (
            'places = [{ school = "École du Rocher", capacity = 1 }, { school = "École du Rocher", capacity = 2 }]',
            "places[2].school",
        ),
        ("waiting = { offer_hours = 0 }", "waiting.offer_hours"),
        ("waiting = { offer_hours = 241 }", "waiting.offer_hours"),
        ("waiting = {}", "waiting.offer_hours"),
        ("waiting = { hours = 2, offer_hours = 2 }", "waiting.hours"),
    ],
)
def test_places_and_offers_are_refused_where_they_are_wrong(more: str, field: str) -> None:
    text = GOOD.replace("[[communes.services]]", SCHOOLS.lstrip(), 1).replace("booking =", f"{more}\nbooking =", 1)
    assert faults(text) == [(line(text, more.split(" ")[0]), f"communes[1].services[1].{field}")]


def test_places_of_a_school_and_offers_are_read() -> None:
    more = 'places = [{ school = "École du Rocher", capacity = 40 }]\nwaiting = { offer_hours = 6 }'
    text = GOOD.replace("[[communes.services]]", SCHOOLS.lstrip(), 1).replace("booking =", f"{more}\nbooking =", 1)
    service = read_town(text, "town.toml").communes[0].services[0]
    assert (service.places, service.policies.offer_hours) == ((PlacesEntry("École du Rocher", 40),), 6)
    plain = read_town(GOOD, "town.toml").communes[0].services[0]
    assert (plain.places, plain.policies.offer_hours) == ((), 24)


def test_the_same_name_twice_is_refused_where_it_comes_again() -> None:
    twice = GOOD + GOOD[GOOD.index("[[communes]]") :]
    first = GOOD.count("\n")
    start = line(GOOD, "[[communes]]")
    assert faults(twice) == [
        (first + 2, "communes[2].slug"),
        (first + 3, "communes[2].name"),
        (first + line(GOOD, "insee") - start + 1, "communes[2].insee"),
    ]


def test_what_is_not_toml_is_told_with_its_line() -> None:
    assert faults("[regie]\nslug = \n")[0][0] == 2


def test_a_fault_names_file_line_and_field() -> None:
    with pytest.raises(FileRefused) as refused:
        read_town(GOOD.replace('zone = "A"', 'zone = "D"'), "villes/demo.toml")
    assert as_typed(refused.value.sentence) == (
        "1 erreur :\nvilles/demo.toml:16 : communes[1].zone : « D » : choisissez parmi A, B, C"
    )


def test_lines_are_found_in_every_way_of_writing() -> None:
    text = '''# [not] = "this"
a.b = 1
text = """
[neither] = 2
"""
[[rows]]  # first
"quoted key" = ["x", # why
  { deep = [1,
    2] } ]
[rows.sub]
z = 'it''s' # two strings would be an error; one literal ends here
[[rows]]
y = 2026-09-01
'''.replace("'it''s'", "'its'")
    lines = locate(text)
    assert lines[("a", "b")] == 2
    assert ("neither",) not in lines
    assert lines[("rows", 0)] == 6
    assert lines[("rows", 0, "quoted key", 1, "deep", 1)] == 9
    assert lines[("rows", 0, "sub", "z")] == 11
    assert lines[("rows", 1, "y")] == 13
    assert line_of(lines, ("rows", 1, "missing", "deeper")) == 12
    assert line_of({}, ("nothing",)) == 1


@pytest.fixture(scope="module")
def demo_town() -> Town:
    return read_town((DEMO / "town.toml").read_text(), "demo/town.toml")


def test_the_demo_town_is_the_guides(demo_town: Town) -> None:
    labels = {
        (commune.name, service.kind): {tariff.label for tariff in service.tariffs}
        for commune in demo_town.communes
        for service in commune.services
    }
    assert labels[("Aiguilhe", "childcare")] == {"Réservation tardive garderie"}
    assert labels[("Blavozy", "canteen")] == {
        "Commune 3 enfants",
        "Hors commune 3 enfants",
        "Résidents commune",
        "Résidents hors commune",
    }
    assert labels[("Brives-Charensac", "canteen")] == {
        "1 parent travaillant à Brives",
        "Hors commune",
        "Résident commune",
        "Tarif réduit",
    }
    assert labels[("Coubon", "canteen")] == {"Adulte", "Enfant commune", "Enfant hors commune"}
    for name in ("Craponne-sur-Arzon", "Polignac", "Rosières", "Saint-Étienne-Lardeyrol"):
        assert labels[(name, "canteen")] == {"Adultes", "Enfants"}
    canteen = demo_town.communes[0].services[0]
    assert {price.cents for tariff in canteen.tariffs for price in tariff.prices} == {380}
    without_limit = [s for commune in demo_town.communes for s in commune.services if s.capacity is None]
    assert len(without_limit) >= 3


def test_the_demo_calendar_holds_what_the_ministry_published() -> None:
    calendar = read_school_calendar((DEMO / "calendar.toml").read_text(), "demo/calendar.toml")
    by_name = {year.name: year for year in calendar.years}
    year = by_name["2026-2027"]
    assert (year.from_day, year.until_day) == (date(2026, 9, 1), date(2027, 7, 2))
    holidays = {holiday for holiday in year.holidays if holiday.zone == "A"}
    assert holidays == {
        HolidayEntry("A", "Vacances de la Toussaint", date(2026, 10, 17), date(2026, 11, 1)),
        HolidayEntry("A", "Vacances de Noël", date(2026, 12, 19), date(2027, 1, 3)),
        HolidayEntry("A", "Vacances d’hiver", date(2027, 2, 13), date(2027, 2, 28)),
        HolidayEntry("A", "Vacances de printemps", date(2027, 4, 10), date(2027, 4, 25)),
        HolidayEntry("A", "Pont de l’Ascension", date(2027, 5, 6), date(2027, 5, 8)),
    }
    assert calendar.public_holidays[date(2027, 3, 29)] == "Lundi de Pâques"
    assert calendar.public_holidays[date(2026, 11, 11)] == "Armistice"


def test_a_calendar_is_refused_with_its_lines() -> None:
    text = """\
[[years]]
name = "2026-2027"
from = "2026-09-01"
until = "2027-07-02"
[[years.holidays]]
label = "Toussaint"
zones = ["A", "Z"]
from = "2025-10-17"
until = "2026-11-01"
[[public_holidays]]
day = "2026-11-11"
label = "Armistice"
[[public_holidays]]
day = "2026-11-11"
label = ""
"""
    with pytest.raises(FileRefused) as refused:
        read_school_calendar(text, "calendar.toml")
    assert [(fault.line, fault.field) for fault in refused.value.faults] == [
        (7, "years[1].holidays[1].zones[2]"),
        (8, "years[1].holidays[1].from"),
        (14, "public_holidays[2].day"),
        (15, "public_holidays[2].label"),
    ]
