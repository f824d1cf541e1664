"""Every way in which a deadline may be counted: the instants, the sentences, the usual week."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from catalog.rules.days import Period, plan_days
from catalog.rules.deadlines import Calendar, DeadlineRule, Limit, Part, deadline, last_day, sentences, usual_week
from catalog.rules.policies import END_OF_SERVICE, Rules, contradictions
from shop.clock import PARIS, paris_instant
from tests.catalog.made import LIMITS, RULES, WEEKDAYS, ordinary_weeks, plain

YEAR = Period(date(2026, 9, 1), date(2027, 7, 2), "2026-2027")
SHUT = (
    Period(date(2026, 10, 17), date(2026, 11, 1), "Vacances de la Toussaint"),
    Period(date(2026, 12, 19), date(2027, 1, 3), "Vacances de Noël"),
    Period(date(2027, 2, 13), date(2027, 2, 28), "Vacances d’hiver"),
    Period(date(2027, 3, 29), date(2027, 3, 29), "Lundi de Pâques"),
)
OFF = {date(2026, 11, 11), date(2026, 12, 25), date(2027, 1, 1), date(2027, 3, 29), date(2027, 5, 6), date(2027, 5, 17)}
SERVING = [
    planned.day
    for planned in plan_days(YEAR.first_day, YEAR.last_day, {1, 2, 4, 5}, [YEAR], SHUT)
    if planned.closed_reason is None
]
CALENDAR = Calendar(SERVING, OFF)
MAMETZ = DeadlineRule.from_json(
    [
        {"for": [1, 2], "weekday_before": 5, "at": "09:00"},
        {"for": [4, 5], "weekday_before": 2, "at": "09:00"},
    ]
)


def rule(at: str, **how: Any) -> DeadlineRule:
    """A rule as a row keeps it."""
    return DeadlineRule.from_json({"at": at, **how})


def falls(how: DeadlineRule, meal: str) -> str:
    """The deadline of a meal as clocks in Paris show it."""
    found = deadline(how, date.fromisoformat(meal), CALENDAR)
    return found.astimezone(PARIS).replace(tzinfo=None).isoformat(timespec="minutes")


# --- ways to count ---


@pytest.mark.parametrize(
    ("count", "meal", "expected"),
    [
        (0, "2026-11-23", "2026-11-23"),
        (1, "2026-11-23", "2026-11-22"),
        (2, "2026-11-24", "2026-11-22"),
        (7, "2026-11-24", "2026-11-17"),
        (4, "2027-01-04", "2026-12-31"),
        # Holidays and public holidays count like any other day.
        (1, "2027-03-30", "2027-03-29"),
        (60, "2027-03-30", "2027-01-29"),
    ],
)
def test_calendar_days_are_counted_one_by_one(count: int, meal: str, expected: str) -> None:
    assert falls(rule("10:00", days_before=count, counted="calendar"), meal) == f"{expected}T10:00"


@pytest.mark.parametrize(
    ("count", "meal", "expected"),
    [
        (0, "2026-11-23", "2026-11-23"),
        (1, "2026-11-23", "2026-11-20"),
        (2, "2026-11-23", "2026-11-19"),
        (5, "2026-11-23", "2026-11-16"),
        # A Wednesday is a working day though nothing is served.
        (1, "2026-11-26", "2026-11-25"),
        # 11 November is none.
        (1, "2026-11-12", "2026-11-10"),
        (3, "2026-11-13", "2026-11-09"),
        # Neither is Easter Monday.
        (1, "2027-03-30", "2027-03-26"),
        # School holidays are full of them, but for Christmas and the new year.
        (1, "2027-01-04", "2026-12-31"),
        (6, "2027-01-04", "2026-12-23"),
    ],
)
def test_working_days_leave_out_week_ends_and_public_holidays(count: int, meal: str, expected: str) -> None:
    assert falls(rule("10:00", days_before=count, counted="working"), meal) == f"{expected}T10:00"


@pytest.mark.parametrize(
    ("count", "meal", "expected"),
    [
        (0, "2026-11-23", "2026-11-23"),
        (1, "2026-11-24", "2026-11-23"),
        (1, "2026-11-23", "2026-11-20"),
        (1, "2026-11-26", "2026-11-24"),
        (3, "2026-11-24", "2026-11-19"),
        (1, "2027-03-30", "2027-03-26"),
        # Whole holidays lie between.
        (1, "2027-01-04", "2026-12-18"),
        (2, "2026-11-03", "2026-10-16"),
        # A day without service counts back from where it would be.
        (1, "2026-11-25", "2026-11-24"),
    ],
)
def test_serving_days_are_those_of_the_service(count: int, meal: str, expected: str) -> None:
    assert falls(rule("10:00", days_before=count, counted="serving"), meal) == f"{expected}T10:00"


@pytest.mark.parametrize(
    ("weekday", "meal", "expected"),
    [
        (5, "2026-11-23", "2026-11-20"),
        (5, "2026-11-27", "2026-11-20"),
        (4, "2026-11-27", "2026-11-26"),
        (7, "2026-11-23", "2026-11-22"),
        (1, "2026-11-23", "2026-11-16"),
        (2, "2027-01-04", "2026-12-29"),
    ],
)
def test_a_weekday_before_is_the_last_one_strictly_before(weekday: int, meal: str, expected: str) -> None:
    assert falls(rule("09:00", weekday_before=weekday), meal) == f"{expected}T09:00"


@pytest.mark.parametrize(
    ("weekday", "weeks", "meal", "expected"),
    [
        # Of the week itself, even on the day of the meal.
        (1, 0, "2026-11-23", "2026-11-23"),
        (3, 0, "2026-11-27", "2026-11-25"),
        # Of the week before, whatever the day of the meal.
        (3, 1, "2026-11-23", "2026-11-18"),
        (3, 1, "2026-11-27", "2026-11-18"),
        (7, 1, "2026-11-23", "2026-11-22"),
        (7, 1, "2026-11-29", "2026-11-22"),
        (4, 2, "2027-01-04", "2026-12-24"),
        (5, 8, "2026-11-23", "2026-10-02"),
        (5, 8, "2026-11-27", "2026-10-02"),
    ],
)
def test_a_weekday_of_a_week_before(weekday: int, weeks: int, meal: str, expected: str) -> None:
    assert falls(rule("12:00", weekday=weekday, weeks_before=weeks), meal) == f"{expected}T12:00"


@pytest.mark.parametrize(
    ("day", "months", "meal", "expected"),
    [
        (20, 1, "2026-12-01", "2026-11-20"),
        (20, 1, "2026-12-31", "2026-11-20"),
        (1, 1, "2026-12-18", "2026-11-01"),
        # A shorter month ends on its last day.
        (31, 1, "2026-12-03", "2026-11-30"),
        (31, 1, "2027-03-02", "2027-02-28"),
        (29, 1, "2027-03-02", "2027-02-28"),
        (29, 1, "2028-03-02", "2028-02-29"),
        (31, 1, "2027-02-01", "2027-01-31"),
        # Several months, over the new year.
        (15, 1, "2027-01-04", "2026-12-15"),
        (15, 2, "2027-01-04", "2026-11-15"),
        (15, 6, "2027-06-01", "2026-12-15"),
        (31, 4, "2027-06-01", "2027-02-28"),
    ],
)
def test_a_day_of_a_month_before(day: int, months: int, meal: str, expected: str) -> None:
    assert falls(rule("18:00", day_of_month=day, months_before=months), meal) == f"{expected}T18:00"


# --- midnight ---


@pytest.mark.parametrize(
    ("how", "meal", "expected"),
    [
        (rule("24:00", days_before=1, counted="calendar"), "2026-11-24", "2026-11-24T00:00"),
        (rule("00:00", days_before=1, counted="calendar"), "2026-11-24", "2026-11-23T00:00"),
        (rule("24:00", days_before=1, counted="serving"), "2026-11-23", "2026-11-21T00:00"),
        (rule("24:00", weekday_before=5), "2026-11-23", "2026-11-21T00:00"),
        (rule("00:00", weekday_before=5), "2026-11-23", "2026-11-20T00:00"),
        (rule("24:00", day_of_month=31, months_before=1), "2027-01-04", "2027-01-01T00:00"),
        (rule("24:00", day_of_month=31, months_before=1), "2027-03-02", "2027-03-01T00:00"),
    ],
)
def test_midnight_ends_a_day_or_begins_one(how: DeadlineRule, meal: str, expected: str) -> None:
    assert falls(how, meal) == expected


@given(st.integers(1, 60), st.dates(date(2026, 1, 1), date(2028, 12, 31)))
def test_the_end_of_a_day_is_the_beginning_of_the_next(count: int, meal: date) -> None:
    end = deadline(rule("24:00", days_before=count, counted="calendar"), meal, Calendar())
    assert end == deadline(rule("00:00", days_before=count - 1, counted="calendar"), meal, Calendar())


# --- days off ---


@pytest.mark.parametrize(
    ("how", "meal", "expected"),
    [
        # 15 November 2026 is a Sunday.
        ({"day_of_month": 15, "months_before": 1}, "2026-12-03", "2026-11-13"),
        # 1 January, Ascension and Whit Monday of 2027.
        ({"day_of_month": 1, "months_before": 1}, "2027-02-01", "2026-12-31"),
        ({"day_of_month": 6, "months_before": 1}, "2027-06-01", "2027-05-05"),
        ({"day_of_month": 17, "months_before": 1}, "2027-06-01", "2027-05-14"),
        ({"days_before": 2, "counted": "calendar"}, "2026-11-23", "2026-11-20"),
        ({"weekday_before": 3}, "2026-11-12", "2026-11-10"),
        ({"weekday_before": 7}, "2026-11-23", "2026-11-20"),
        ({"weekday": 1, "weeks_before": 0}, "2027-03-30", "2027-03-26"),
        # A working day stays.
        ({"day_of_month": 20, "months_before": 1}, "2026-12-03", "2026-11-20"),
        ({"weekday_before": 3}, "2026-11-26", "2026-11-25"),
    ],
)
def test_a_day_off_gives_way_to_the_last_working_day_before(how: dict[str, Any], meal: str, expected: str) -> None:
    assert falls(rule("12:00", if_off="earlier", **how), meal) == f"{expected}T12:00"


def test_a_day_off_stays_where_nothing_is_said() -> None:
    assert falls(rule("12:00", day_of_month=15, months_before=1), "2026-12-03") == "2026-11-15T12:00"


def test_the_midnight_of_a_day_off_is_that_of_the_working_day() -> None:
    how = rule("24:00", day_of_month=15, months_before=1, if_off="earlier")
    assert falls(how, "2026-12-03") == "2026-11-14T00:00"


@given(LIMITS, st.dates(date(2026, 9, 1), date(2027, 7, 2)))
def test_earlier_never_gives_a_day_off(limit: Limit, meal: date) -> None:
    assume(limit.if_off)
    assert CALENDAR.is_working(last_day(limit, meal, CALENDAR))


# --- groups of weekdays ---


@pytest.mark.parametrize(
    ("meal", "expected"),
    [
        ("2026-11-23", "2026-11-20T09:00"),
        ("2026-11-24", "2026-11-20T09:00"),
        ("2026-11-26", "2026-11-24T09:00"),
        ("2026-11-27", "2026-11-24T09:00"),
    ],
)
def test_each_group_of_weekdays_has_its_limit(meal: str, expected: str) -> None:
    assert falls(MAMETZ, meal) == expected


def test_a_weekday_without_a_limit_is_an_error() -> None:
    with pytest.raises(LookupError, match="weekday 3"):
        deadline(MAMETZ, date(2026, 11, 25), CALENDAR)


def test_a_part_that_names_no_weekday_is_for_all_that_are_left() -> None:
    how = DeadlineRule.from_json(
        [{"for": [1], "weekday_before": 5, "at": "09:00"}, {"weekday_before": 2, "at": "08:00"}]
    )
    assert [how.limit_for(weekday).weekday_before for weekday in range(1, 8)] == [5, 2, 2, 2, 2, 2, 2]


# --- changes of hour ---


@pytest.mark.parametrize(
    ("at", "back", "meal", "expected"),
    [
        # Winter time begins in the night to Sunday 25 October 2026.
        ("10:00", 3, "2026-10-26", "2026-10-23T08:00"),
        ("10:00", 2, "2026-10-26", "2026-10-24T08:00"),
        ("10:00", 1, "2026-10-26", "2026-10-25T09:00"),
        ("24:00", 2, "2026-10-26", "2026-10-24T22:00"),
        ("00:00", 1, "2026-10-26", "2026-10-24T22:00"),
        ("01:30", 1, "2026-10-26", "2026-10-24T23:30"),
        ("03:00", 1, "2026-10-26", "2026-10-25T02:00"),
        ("24:00", 1, "2026-10-26", "2026-10-25T23:00"),
        # Summer time begins in the night to Sunday 28 March 2027.
        ("10:00", 2, "2027-03-29", "2027-03-27T09:00"),
        ("10:00", 1, "2027-03-29", "2027-03-28T08:00"),
        ("24:00", 2, "2027-03-29", "2027-03-27T23:00"),
        ("01:30", 1, "2027-03-29", "2027-03-28T00:30"),
        ("03:00", 1, "2027-03-29", "2027-03-28T01:00"),
        ("24:00", 1, "2027-03-29", "2027-03-28T22:00"),
    ],
)
def test_the_local_hour_stays_over_a_change_of_hour(at: str, back: int, meal: str, expected: str) -> None:
    found = deadline(rule(at, days_before=back, counted="calendar"), date.fromisoformat(meal), CALENDAR)
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@given(LIMITS, st.dates(date(2026, 9, 1), date(2027, 7, 2)))
def test_a_deadline_shows_its_own_hour_on_every_day_of_the_year(limit: Limit, meal: date) -> None:
    local = deadline(DeadlineRule((Part(limit),)), meal, CALENDAR).astimezone(PARIS)
    assert local.strftime("%H:%M") == limit.at.replace("24:00", "00:00")


# --- sentences ---


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (rule("10:00", days_before=4, counted="calendar"), "Réservez 4 jours avant le repas, avant 10 h."),
        (rule("00:00", days_before=1, counted="calendar"), "Réservez 2 jours avant le repas, avant minuit."),
        (rule("24:00", days_before=1, counted="calendar"), "Réservez la veille du repas, avant minuit."),
        (
            rule("10:00", days_before=1, counted="working"),
            "Réservez le jour ouvré qui précède le repas, avant 10 h.",
        ),
        (rule("08:30", days_before=2, counted="working"), "Réservez 2 jours ouvrés avant le repas, avant 8 h 30."),
        (
            rule("24:00", days_before=2, counted="serving"),
            "Réservez 2 jours de service avant le repas, avant minuit.",
        ),
        (
            rule("12:00", weekday=3, weeks_before=0),
            "Réservez avant le mercredi 12 h de la semaine du repas.",
        ),
        (
            rule("12:00", weekday=3, weeks_before=1),
            "Réservez avant le mercredi 12 h de la semaine qui précède le repas.",
        ),
        (rule("24:00", weekday=4, weeks_before=8), "Réservez avant le jeudi minuit, 8 semaines plus tôt."),
        (
            rule("18:00", day_of_month=20, months_before=1),
            "Réservez avant le 20 du mois précédent, 18 h, pour les repas du mois.",
        ),
        (
            rule("24:00", day_of_month=1, months_before=1),
            "Réservez avant le 1er du mois précédent, minuit, pour les repas du mois.",
        ),
        (rule("18:00", day_of_month=15, months_before=2), "Réservez avant le 15, 18 h, 2 mois plus tôt."),
        (
            rule("12:00", day_of_month=15, months_before=1, if_off="earlier"),
            (
                "Réservez avant le 15 du mois précédent, 12 h, pour les repas du mois."
                " Si ce n’est pas un jour ouvré, le dernier jour ouvré qui précède compte."
            ),
        ),
    ],
)
def test_a_limit_is_a_sentence(how: DeadlineRule, expected: str) -> None:
    assert [plain(words) for words in sentences(how, "Réservez")] == [expected]


def test_each_group_has_a_sentence_of_its_own() -> None:
    assert [plain(words) for words in sentences(MAMETZ, "Annulez")] == [
        "Pour les repas du lundi et du mardi : annulez avant le vendredi qui précède, 9 h.",
        "Pour les repas du jeudi et du vendredi : annulez avant le mardi qui précède, 9 h.",
    ]


@pytest.mark.parametrize(
    ("how", "weekdays", "expected"),
    [
        (
            rule("10:00", days_before=2, counted="working"),
            {1, 2, 4, 5},
            [
                "avant le jeudi 10 h pour lundi",
                "avant le vendredi 10 h pour mardi",
                "avant le mardi 10 h pour jeudi",
                "avant le mercredi 10 h pour vendredi",
            ],
        ),
        (
            rule("10:00", days_before=1, counted="calendar", if_off="earlier"),
            {1, 2},
            ["avant le vendredi 10 h pour lundi", "avant le lundi 10 h pour mardi"],
        ),
        # Two days of which both meals wait for the same Friday.
        (
            rule("09:00", days_before=3, counted="calendar", if_off="earlier"),
            {1, 2, 3},
            ["avant le vendredi 9 h pour lundi, mardi et mercredi"],
        ),
        # The beginning of a day reads as the end of the one before.
        (rule("00:00", days_before=1, counted="calendar"), {4}, ["avant le mardi minuit pour jeudi"]),
        (rule("24:00", days_before=1, counted="calendar"), {4}, ["avant le mercredi minuit pour jeudi"]),
        (
            rule("09:00", days_before=5, counted="working"),
            {1},
            ["avant le lundi 9 h, 7 jours plus tôt, pour lundi"],
        ),
        # Where the sentences say it all, there are no lines.
        (rule("12:00", weekday=3, weeks_before=1), {1, 2}, []),
        (rule("12:00", day_of_month=15, months_before=1), {1, 2}, []),
        (rule("12:00", days_before=0, counted="working"), {1, 2}, []),
        (MAMETZ, {1, 2, 4, 5}, []),
    ],
)
def test_the_usual_week_has_a_line_for_each_deadline(
    how: DeadlineRule, weekdays: set[int], expected: list[str]
) -> None:
    assert [plain(line) for line in usual_week(how, weekdays)] == expected


# --- what holds for every rule ---


@given(LIMITS, st.dates(date(2026, 9, 1), date(2027, 7, 2)), st.integers(0, 40))
def test_a_later_meal_never_has_an_earlier_deadline(limit: Limit, meal: date, days: int) -> None:
    how = DeadlineRule((Part(limit),))
    assert deadline(how, meal, CALENDAR) <= deadline(how, meal + timedelta(days=days), CALENDAR)


@given(RULES, WEEKDAYS, st.sampled_from(sorted(END_OF_SERVICE)))
def test_an_accepted_deadline_is_never_after_the_service(
    how: DeadlineRule, weekdays: frozenset[int], kind: str
) -> None:
    assume(not list(contradictions(Rules(how, how), weekdays, kind)))
    calendar, meals = ordinary_weeks(weekdays)
    for meal in meals:
        assert deadline(how, meal, calendar) <= paris_instant(meal, END_OF_SERVICE[kind])


@given(RULES)
def test_a_rule_comes_back_from_its_row_as_it_was(how: DeadlineRule) -> None:
    assert DeadlineRule.from_json(json.loads(json.dumps(how.as_json()))) == how
