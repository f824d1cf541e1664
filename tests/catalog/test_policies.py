"""Late bookings, meals without a booking, credits, sickness: how rows keep them, what cannot be meant, how it reads."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from catalog.rules.deadlines import DeadlineRule, deadline
from catalog.rules.policies import (
    Blocking,
    Deadlines,
    Late,
    Policies,
    Rules,
    Sickness,
    Unbooked,
    all_sentences,
    contradictions,
    credit_sentences,
    deadlines,
    freed_sentences,
    late_sentences,
    policy_sentences,
    read_rules,
    sickness_sentences,
    unbooked_sentences,
)
from catalog.rules.prices import Credit, Surcharge
from shop.clock import PARIS
from shop.words import of_service
from tests.catalog.made import ALL_RULES, POLICIES, RULES_BY_WEEK, WEEKDAYS, ordinary_weeks, plain

FOUR_DAYS = frozenset({1, 2, 4, 5})
DAY_BEFORE = DeadlineRule.of("10:00", days_before=1, counted="calendar")
SAME_DAY = DeadlineRule.of("09:00", days_before=0, counted="calendar")
TOO_LATE = DeadlineRule.of("14:30", days_before=0, counted="calendar")
FRIDAY = DeadlineRule.of("09:00", weekday_before=5)
HALF = Surcharge(percent="50")
CALENDAR, MEALS = ordinary_weeks(FOUR_DAYS)


def groups(*parts: dict[str, Any]) -> DeadlineRule:
    """A rule of several limits, as a row keeps it."""
    return DeadlineRule.from_json(list(parts))


def with_late(until: DeadlineRule, booking: DeadlineRule = DAY_BEFORE) -> Rules:
    """Rules with a late booking at half more."""
    return Rules(booking, DAY_BEFORE, Policies(late=Late(until, HALF)))


# --- rows ---


@given(POLICIES)
def test_policies_come_back_from_their_row_as_they_were(policies: Policies) -> None:
    assert Policies.from_json(json.loads(json.dumps(policies.as_json()))) == policies


@given(ALL_RULES)
def test_all_rules_come_back_from_their_row_as_they_were(rules: Rules) -> None:
    row = json.dumps([rules.booking.as_json(), rules.cancel.as_json(), rules.policies.as_json()])
    assert read_rules(*json.loads(row)) == rules


def test_a_row_that_says_nothing_credits_all() -> None:
    assert Policies.from_json({}) == Policies() == Policies(None, None, "full", None, None)


def test_a_row_says_only_what_the_service_has() -> None:
    assert Policies(credit=385).as_json() == {"credit": 385}
    full = Policies(
        Late(FRIDAY, HALF), Unbooked(Surcharge(price=1000), 2), "none", Sickness(SAME_DAY, 1, True), 720, SAME_DAY
    )
    assert full.as_json() == {
        "credit": "none",
        "late": {"until": {"at": "09:00", "weekday_before": 5}, "percent": "50"},
        "unbooked": {"price": 1000, "free": 2},
        "sickness": {
            "announce": {"at": "09:00", "days_before": 0, "counted": "calendar"},
            "carence_days": 1,
            "paper": True,
        },
        "cost_price": 720,
        "freed": {"until": {"at": "09:00", "days_before": 0, "counted": "calendar"}},
    }


# --- deadlines ---


def paris(found: Deadlines) -> list[str]:
    """Until when to book, cancel and book late, as clocks in Paris show it."""
    instants = (found.book, found.cancel, found.late)
    return ["" if at is None else f"{at.astimezone(PARIS):%Y-%m-%dT%H:%M}" for at in instants]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Rules(FRIDAY, DAY_BEFORE), ["2026-11-20T09:00", "2026-11-23T10:00", ""]),
        (with_late(SAME_DAY, FRIDAY), ["2026-11-20T09:00", "2026-11-23T10:00", "2026-11-24T09:00"]),
        # A late booking that would close before the ordinary one closes with it.
        (with_late(FRIDAY, SAME_DAY), ["2026-11-24T09:00", "2026-11-23T10:00", "2026-11-24T09:00"]),
    ],
)
def test_a_meal_has_three_deadlines(rules: Rules, expected: list[str]) -> None:
    assert paris(deadlines(rules, date(2026, 11, 24), CALENDAR)) == expected


def test_a_meal_can_be_given_back_from_its_cancel_deadline_on_until_a_limit() -> None:
    rules = Rules(FRIDAY, DAY_BEFORE, Policies(freed=SAME_DAY))
    given_back = deadlines(rules, date(2026, 11, 24), CALENDAR).freed
    assert given_back is not None
    assert f"{given_back.astimezone(PARIS):%Y-%m-%dT%H:%M}" == "2026-11-24T09:00"


@given(ALL_RULES, st.sampled_from(MEALS))
def test_what_can_be_cancelled_is_never_too_late_to_be_given_back(rules: Rules, meal: date) -> None:
    found = deadlines(rules, meal, CALENDAR)
    assert (found.freed is None) == (rules.policies.freed is None)
    assert found.freed is None or found.freed >= found.cancel


@given(ALL_RULES, st.sampled_from(MEALS))
def test_late_is_never_before_the_ordinary_deadline(rules: Rules, meal: date) -> None:
    found = deadlines(rules, meal, CALENDAR)
    assert (found.late is None) == (rules.policies.late is None)
    assert found.late is None or found.late >= found.book


# --- what cannot be meant ---


def found(rules: Rules, kind: str = "canteen", weekdays: frozenset[int] = FOUR_DAYS) -> list[tuple[str, str]]:
    """The contradictions, each place with dots."""
    return [(".".join(place), plain(words)) for place, words in contradictions(rules, weekdays, kind)]


MONDAY_ONLY = groups({"for": [1], "weekday_before": 5, "at": "09:00"})


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Rules(DAY_BEFORE, SAME_DAY), []),
        (with_late(SAME_DAY), []),
        (Rules(DeadlineRule.of("14:00", days_before=0, counted="serving"), DAY_BEFORE), []),
        # Weekdays that no limit is for.
        (Rules(MONDAY_ONLY, DAY_BEFORE), [("booking", "aucune limite pour les repas du mardi, jeudi et vendredi")]),
        (
            Rules(MONDAY_ONLY, groups({"for": [1, 2, 4], "weekday_before": 5, "at": "09:00"})),
            [
                ("booking", "aucune limite pour les repas du mardi, jeudi et vendredi"),
                ("cancel", "aucune limite pour les repas du vendredi"),
            ],
        ),
        (with_late(MONDAY_ONLY), [("late.until", "aucune limite pour les repas du mardi, jeudi et vendredi")]),
        (
            Rules(DAY_BEFORE, DAY_BEFORE, Policies(sickness=Sickness(MONDAY_ONLY))),
            [("sickness.announce", "aucune limite pour les repas du mardi, jeudi et vendredi")],
        ),
        # Limits after the service; the first meal of a week that they are wrong for is named.
        (Rules(TOO_LATE, DAY_BEFORE), [("booking", "pour le lundi, cette limite tombe après le service")]),
        (Rules(DAY_BEFORE, TOO_LATE), [("cancel", "pour le lundi, cette limite tombe après le service")]),
        (with_late(TOO_LATE), [("late.until", "pour le lundi, cette limite tombe après le service")]),
        (
            Rules(DAY_BEFORE, DAY_BEFORE, Policies(sickness=Sickness(TOO_LATE))),
            [("sickness.announce", "pour le lundi, cette limite tombe après le service")],
        ),
        (
            Rules(DeadlineRule.of("12:00", weekday=4, weeks_before=0), DAY_BEFORE),
            [("booking", "pour le lundi, cette limite tombe après le service")],
        ),
        (
            Rules(
                groups(
                    {"for": [1, 2, 4], "weekday_before": 5, "at": "09:00"},
                    {"for": [5], "days_before": 0, "counted": "calendar", "at": "24:00"},
                ),
                DAY_BEFORE,
            ),
            [("booking", "pour le vendredi, cette limite tombe après le service")],
        ),
        # Meals that could be given back while they can still be cancelled, or booked.
        (Rules(FRIDAY, DAY_BEFORE, Policies(freed=SAME_DAY)), []),
        (
            Rules(FRIDAY, DAY_BEFORE, Policies(freed=FRIDAY)),
            [("freed.until", "pour le lundi, ce repas peut encore être annulé à ce moment-là")],
        ),
        (
            Rules(FRIDAY, SAME_DAY, Policies(freed=SAME_DAY)),
            [("freed.until", "pour le lundi, ce repas peut encore être annulé à ce moment-là")],
        ),
        (
            Rules(SAME_DAY, DAY_BEFORE, Policies(freed=SAME_DAY)),
            [("freed.until", "pour le lundi, ce repas peut encore être réservé à ce moment-là")],
        ),
        (
            Rules(FRIDAY, DAY_BEFORE, Policies(freed=TOO_LATE)),
            [("freed.until", "pour le lundi, cette limite tombe après le service")],
        ),
        (
            Rules(FRIDAY, DAY_BEFORE, Policies(freed=MONDAY_ONLY)),
            [("freed.until", "aucune limite pour les repas du mardi, jeudi et vendredi")],
        ),
        # A late booking that closes before it opens, or as it opens.
        (with_late(FRIDAY), [("late.until", "pour le lundi, le hors délai ferme avant d’ouvrir")]),
        (with_late(DAY_BEFORE), [("late.until", "pour le lundi, le hors délai ferme avant d’ouvrir")]),
        (
            with_late(
                DeadlineRule.of("18:00", day_of_month=31, months_before=1),
                DeadlineRule.of("12:00", day_of_month=30, months_before=1),
            ),
            [],
        ),
        (
            with_late(
                DeadlineRule.of("12:00", day_of_month=31, months_before=1),
                DeadlineRule.of("12:00", day_of_month=30, months_before=1),
            ),
            # Only for meals after a month of thirty days.
            [("late.until", "pour le mardi, le hors délai ferme avant d’ouvrir")],
        ),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_place(rules: Rules, expected: list[tuple[str, str]]) -> None:
    assert found(rules) == expected


def test_a_childcare_serves_into_the_evening() -> None:
    afternoon = Rules(TOO_LATE, TOO_LATE)
    assert found(afternoon, "childcare") == []
    assert [place for place, _words in found(afternoon, "canteen")] == ["booking", "cancel"]
    evening = Rules(DeadlineRule.of("19:30", days_before=0, counted="calendar"), SAME_DAY)
    assert found(evening, "childcare") == []
    night = Rules(DeadlineRule.of("19:31", days_before=0, counted="calendar"), SAME_DAY)
    assert [place for place, _words in found(night, "childcare")] == ["booking"]


# Of two rules that are drawn, six in seven contradict each other.
@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(RULES_BY_WEEK, RULES_BY_WEEK, WEEKDAYS)
def test_an_accepted_late_booking_closes_after_it_opens(
    booking: DeadlineRule, until: DeadlineRule, weekdays: frozenset[int]
) -> None:
    assume(not list(contradictions(with_late(until, booking), weekdays, "canteen")))
    calendar, meals = ordinary_weeks(weekdays)
    for meal in meals:
        assert deadline(booking, meal, calendar) < deadline(until, meal, calendar)


# --- sentences ---


def test_a_service_without_policies_says_so() -> None:
    said = {
        title: [plain(words) for words in lines]
        for title, lines in all_sentences(Rules(FRIDAY, DAY_BEFORE), limited=False)
    }
    assert said == {
        "Réserver": [
            "Réservez avant le vendredi 9 h pour les repas des sept jours qui suivent.",
            "Non payé = non réservé.",
        ],
        "Annuler": [
            "Annulez la veille du repas, avant 10 h.",
            "Un repas annulé à temps est crédité du prix payé.",
            "Le crédit revient aussitôt dans votre porte-monnaie.",
            "Passé le délai, il reste dû.",
            "Si l’école ou la mairie en est la cause (grève, sortie, fermeture), il est toujours crédité.",
        ],
        "Hors délai": ["Après la date limite, aucune réservation n’est acceptée."],
        "Sans réservation": ["Un enfant présent sans réservation mange, au prix ordinaire."],
        "Enfant malade": ["Les repas d’un enfant malade restent dus, sauf annulation à temps."],
    }


def test_a_service_with_every_policy_says_them_all() -> None:
    policies = Policies(Late(SAME_DAY, HALF), Unbooked(Surcharge(price=1000), 2), 385, Sickness(SAME_DAY, 1, True), 720)
    said = {
        title: [plain(words) for words in lines]
        for title, lines in all_sentences(Rules(FRIDAY, DAY_BEFORE, policies), limited=True)
    }
    assert said == {
        "Réserver": [
            "Réservez avant le vendredi 9 h pour les repas des sept jours qui suivent.",
            "Non payé = non réservé.",
        ],
        "Annuler": [
            "Annulez la veille du repas, avant 10 h.",
            "Un repas annulé à temps est crédité de 3,85 €.",
            "Le crédit revient aussitôt dans votre porte-monnaie.",
            "Passé le délai, il reste dû.",
            "Si l’école ou la mairie en est la cause (grève, sortie, fermeture), il est toujours crédité.",
        ],
        "Hors délai": [
            "Hors délai, le repas reste possible : 50 % de plus.",
            "Jamais plus que le prix de revient, 7,20 €.",
            "Réservez hors délai le jour même, avant 9 h.",
        ],
        "Sans réservation": [
            "Un enfant présent sans réservation mange : 10,00 € le repas.",
            "Les 2 premières fois de l’année scolaire sont au prix ordinaire.",
        ],
        "Enfant malade": [
            "Enfant malade : 1 jour de carence, puis les repas sont crédités.",
            "Prévenez le jour même, avant 9 h.",
            "Un certificat médical est demandé.",
        ],
        "Jour complet": [
            "Avant la date limite, inscrivez votre enfant sur la liste d’attente.",
            "Une place qui se libère vous est proposée par e-mail, dans l’ordre d’arrivée.",
            "Elle est gardée 24 heures, et jamais après la date limite. Elle coûte le prix ordinaire.",
        ],
    }


@pytest.mark.parametrize(
    ("blocking", "expected"),
    [
        (Blocking(), []),
        (
            Blocking(48),
            [
                "Un montant dû depuis plus de 48 heures se règle avant toute nouvelle réservation.",
                "Les repas déjà réservés restent réservés.",
            ],
        ),
        (
            Blocking(0, True),
            [
                "Un montant dû se règle avant toute nouvelle réservation.",
                "Un tarif avec PAI se réserve pour les jours que couvre un PAI remis à la mairie.",
                "Les repas déjà réservés restent réservés.",
            ],
        ),
        (
            Blocking(overdue_invoice_days=0),
            [
                "Une facture dont l’échéance est passée se règle avant toute nouvelle réservation.",
                "Les repas déjà réservés restent réservés.",
            ],
        ),
        (
            Blocking(1, True, 30),
            [
                "Un montant dû depuis plus de 1 heure se règle avant toute nouvelle réservation.",
                "Une facture échue depuis plus de 30 jours se règle avant toute nouvelle réservation.",
                "Un tarif avec PAI se réserve pour les jours que couvre un PAI remis à la mairie.",
                "Les repas déjà réservés restent réservés.",
            ],
        ),
    ],
)
def test_what_makes_bookings_wait_in_words(blocking: Blocking, expected: list[str]) -> None:
    policies = Policies(blocking=blocking)
    (title, lines), *_rest = all_sentences(Rules(FRIDAY, DAY_BEFORE, policies), limited=False)
    assert (title, [plain(words) for words in lines[2:]]) == ("Réserver", expected)
    # The dry run of an import tells them as well.
    ordinary = len(policy_sentences(Policies()))
    assert [plain(words) for words in policy_sentences(policies)[ordinary:]] == expected


@pytest.mark.parametrize(
    ("rule", "first", "comes_back"),
    [
        ("full", "Un repas annulé à temps est crédité du prix payé.", True),
        (385, "Un repas annulé à temps est crédité de 3,85 €.", True),
        ("none", "Un repas annulé n’est pas crédité.", False),
    ],
)
def test_what_a_cancelled_meal_gives_back_in_words(rule: Credit, first: str, comes_back: bool) -> None:
    said = [plain(words) for words in credit_sentences(Policies(credit=rule))]
    assert said[0] == first
    assert ("Le crédit revient aussitôt dans votre porte-monnaie." in said) == comes_back


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (0, []),
        (1, ["La première fois de l’année scolaire est au prix ordinaire."]),
        (3, ["Les 3 premières fois de l’année scolaire sont au prix ordinaire."]),
    ],
)
def test_free_times_in_words(free: int, expected: list[str]) -> None:
    said = unbooked_sentences(Policies(unbooked=Unbooked(Surcharge(more=100), free)))
    assert [plain(words) for words in said] == [
        "Un enfant présent sans réservation mange : 1,00 € de plus.",
        *expected,
    ]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (0, "Enfant malade : les repas sont crédités."),
        (1, "Enfant malade : 1 jour de carence, puis les repas sont crédités."),
        (2, "Enfant malade : 2 jours de carence, puis les repas sont crédités."),
    ],
)
def test_days_that_stay_due_in_words(days: int, expected: str) -> None:
    said = [plain(words) for words in sickness_sentences(Policies(sickness=Sickness(SAME_DAY, days)))]
    assert said == [expected, "Prévenez le jour même, avant 9 h."]


def test_late_bookings_by_groups_of_weekdays_in_words() -> None:
    until = groups(
        {"for": [1, 2], "weekday_before": 5, "at": "12:00"}, {"for": [4, 5], "weekday_before": 2, "at": "12:00"}
    )
    assert [plain(words) for words in late_sentences(Policies(late=Late(until, Surcharge(more=100))))] == [
        "Hors délai, le repas reste possible : 1,00 € de plus.",
        "Pour les repas du lundi et du mardi : réservez hors délai avant le vendredi qui précède, 12 h.",
        "Pour les repas du jeudi et du vendredi : réservez hors délai avant le mardi qui précède, 12 h.",
    ]


def test_giving_a_meal_back_in_words() -> None:
    assert freed_sentences(Policies()) == []
    rules = Rules(FRIDAY, DAY_BEFORE, Policies(freed=SAME_DAY))
    (_title, said) = all_sentences(rules, limited=False)[-1]
    assert [plain(words) for words in said] == [
        "Un repas qui ne peut plus être annulé peut être rendu : il reste dû, sauf si une autre famille le reprend.",
        "La première famille qui le demande hors délai le paie au prix ordinaire.",
        "Celle qui l’a rendu est alors créditée de tout ce qu’elle a payé.",
        "Rendez ou reprenez un repas le jour même, avant 9 h.",
    ]


def test_no_sentence_of_a_childcare_speaks_of_meals() -> None:
    policies = Policies.from_json(
        {
            "credit": 200,
            "late": {"until": {"at": "09:00", "days_before": 0, "counted": "calendar"}, "percent": "50"},
            "freed": {"until": {"at": "09:00", "days_before": 0, "counted": "calendar"}},
            "unbooked": {"percent": "100", "free": 1},
            "sickness": {"carence_days": 1, "announce": {"at": "09:00", "days_before": 0, "counted": "calendar"}},
            "blocking": {"amount_due_hours": 24, "pai": True},
        }
    )
    rules = Rules(FRIDAY, DAY_BEFORE, policies)
    said = [words for title, lines in all_sentences(rules, limited=True) for words in (title, *lines)]
    assert any("repas" in words for words in said)
    for words in said:
        heard = of_service(words, "childcare").lower()
        assert "repas" not in heard, heard
        assert " mange" not in heard, heard
