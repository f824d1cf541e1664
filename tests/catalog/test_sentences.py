"""What parents read of the rules, the weekdays and the menus."""

import pytest

from catalog.rules.days import weekdays_phrase
from catalog.rules.deadlines import DeadlineRule, sentences, usual_week
from catalog.rules.menus import Dish, dishes

FOUR_DAYS = (1, 2, 4, 5)


def rule(at: str, **how: int | str) -> DeadlineRule:
    """A rule as a row keeps it."""
    return DeadlineRule.from_json({"at": at, **how})


def plain(words: str) -> str:
    return words.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (rule("09:00", weekday_before=5), "Réservez avant le vendredi 9 h pour les repas des sept jours qui suivent."),
        (rule("12:00", days_before=0, counted="calendar"), "Réservez le jour même, avant 12 h."),
        (rule("08:30", days_before=0, counted="serving"), "Réservez le jour même, avant 8 h 30."),
        (rule("09:00", days_before=1, counted="calendar"), "Réservez la veille du repas, avant 9 h."),
        (rule("00:00", days_before=2, counted="calendar"), "Réservez 3 jours avant le repas, avant minuit."),
        (
            rule("10:00", days_before=1, counted="serving"),
            "Réservez le jour de service qui précède le repas, avant 10 h.",
        ),
        (rule("10:00", days_before=3, counted="serving"), "Réservez 3 jours de service avant le repas, avant 10 h."),
    ],
)
def test_a_rule_is_a_sentence(how: DeadlineRule, expected: str) -> None:
    assert [plain(words) for words in sentences(how, "Réservez")] == [expected]


def test_a_cancellation_reads_alike() -> None:
    (words,) = sentences(rule("10:00", days_before=1, counted="calendar"), "Annulez")
    assert plain(words) == "Annulez la veille du repas, avant 10 h."


@pytest.mark.parametrize(
    ("how", "weekdays", "expected"),
    [
        (
            rule("10:00", days_before=2, counted="serving"),
            FOUR_DAYS,
            [
                "avant le jeudi 10 h pour lundi",
                "avant le vendredi 10 h pour mardi",
                "avant le lundi 10 h pour jeudi",
                "avant le mardi 10 h pour vendredi",
            ],
        ),
        # Twelve serving days back from a week of two is six weeks: the line counts the days.
        (
            rule("09:00", days_before=12, counted="serving"),
            (1, 2),
            ["avant le lundi 9 h, 42 jours plus tôt, pour lundi", "avant le mardi 9 h, 42 jours plus tôt, pour mardi"],
        ),
        (
            rule("09:00", days_before=7, counted="calendar"),
            (3,),
            ["avant le mercredi 9 h, 7 jours plus tôt, pour mercredi"],
        ),
        (rule("09:00", days_before=0, counted="calendar"), FOUR_DAYS, []),
        (rule("09:00", weekday_before=5), FOUR_DAYS, []),
    ],
)
def test_a_rule_in_a_usual_week(how: DeadlineRule, weekdays: tuple[int, ...], expected: list[str]) -> None:
    assert [plain(line) for line in usual_week(how, weekdays)] == expected


@pytest.mark.parametrize(
    ("weekdays", "expected"),
    [
        ((1, 2, 3, 4, 5), "du lundi au vendredi"),
        ((1, 2, 4, 5), "lundi, mardi, jeudi et vendredi"),
        ((3,), "mercredi"),
        ((1, 2), "lundi et mardi"),
    ],
)
def test_weekdays(weekdays: tuple[int, ...], expected: str) -> None:
    assert weekdays_phrase(weekdays) == expected


def test_dishes_of_a_menu() -> None:
    assert dishes("Velouté de potiron\n Dahl de lentilles (végétarien)\n\nYaourt") == (
        Dish("Velouté de potiron", False),
        Dish("Dahl de lentilles", True),
        Dish("Yaourt", False),
    )
    assert dishes(None) == ()
