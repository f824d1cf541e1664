"""Deadlines and serving days: what real communes' rules give."""

from datetime import UTC, date, datetime, timedelta

import pytest

from catalog.rules.days import Period, PlannedDay, plan_days
from catalog.rules.deadlines import Calendar, DeadlineRule, deadline
from shop.clock import PARIS

YEAR = Period(date(2026, 9, 1), date(2027, 7, 2), "2026-2027")
SHUT = (
    Period(date(2026, 12, 19), date(2027, 1, 3), "Vacances de Noël"),
    Period(date(2027, 2, 13), date(2027, 2, 28), "Vacances d’hiver"),
    Period(date(2027, 3, 29), date(2027, 3, 29), "Lundi de Pâques"),
)
SERVING = [
    planned.day
    for planned in plan_days(date(2026, 9, 1), date(2027, 7, 31), {1, 2, 4, 5}, [YEAR], SHUT)
    if planned.closed_reason is None
]
CALENDAR = Calendar(SERVING, {date(2027, 3, 29)})


def rule(at: str, **how: int | str) -> DeadlineRule:
    """A rule as a row keeps it."""
    return DeadlineRule.from_json({"at": at, **how})


@pytest.mark.parametrize(
    ("how", "meal", "expected"),
    [
        # The examples that communes publish: the day before, counted in serving days.
        (rule("10:00", days_before=1, counted="serving"), "2026-11-24", "2026-11-23T10:00"),
        (rule("10:00", days_before=1, counted="serving"), "2026-11-23", "2026-11-20T10:00"),
        # Easter Monday is no serving day.
        (rule("10:00", days_before=1, counted="serving"), "2027-03-30", "2027-03-26T10:00"),
        (rule("10:00", days_before=2, counted="serving"), "2027-01-04", "2026-12-17T10:00"),
        (rule("08:30", days_before=0, counted="serving"), "2026-11-27", "2026-11-27T08:30"),
        # Calendar days: 48 hours before the day began.
        (rule("00:00", days_before=2, counted="calendar"), "2026-11-23", "2026-11-21T00:00"),
        (rule("09:00", days_before=0, counted="calendar"), "2026-11-25", "2026-11-25T09:00"),
        (rule("00:00", days_before=3, counted="calendar"), "2026-11-27", "2026-11-24T00:00"),
        # A weekday before.
        (rule("09:00", weekday_before=5), "2026-11-23", "2026-11-20T09:00"),
        (rule("09:00", weekday_before=5), "2026-11-24", "2026-11-20T09:00"),
        (rule("10:00", weekday_before=2), "2026-12-04", "2026-12-01T10:00"),
        (rule("12:00", weekday_before=4), "2026-11-26", "2026-11-19T12:00"),
        (rule("12:00", weekday_before=4), "2026-11-27", "2026-11-26T12:00"),
    ],
)
def test_deadlines(how: DeadlineRule, meal: str, expected: str) -> None:
    local = datetime.fromisoformat(expected).replace(tzinfo=PARIS)
    assert deadline(how, date.fromisoformat(meal), CALENDAR) == local.astimezone(UTC)


def test_a_local_hour_stays_across_the_change_to_summer_time() -> None:
    # Summer time begins on 28 March 2027: Friday 26 is still at +1, Tuesday 30 at +2.
    how = rule("09:00", weekday_before=5)
    assert deadline(how, date(2027, 3, 30), CALENDAR) == datetime(2027, 3, 26, 8, tzinfo=UTC)
    assert deadline(how, date(2027, 4, 6), CALENDAR) == datetime(2027, 4, 2, 7, tzinfo=UTC)


@pytest.mark.parametrize("meal", [date(2026, 11, 16) + timedelta(days=n) for n in range(7)])
@pytest.mark.parametrize("weekday", range(1, 8))
def test_a_weekday_before_is_one_to_seven_days_before(meal: date, weekday: int) -> None:
    last = deadline(rule("12:00", weekday_before=weekday), meal, Calendar()).astimezone(PARIS).date()
    assert last.isoweekday() == weekday
    assert 1 <= (meal - last).days <= 7


def test_serving_days_that_are_not_known_count_as_calendar_days() -> None:
    how = rule("10:00", days_before=2, counted="serving")
    assert deadline(how, date(2026, 9, 1), CALENDAR) == datetime(2026, 8, 30, 8, tzinfo=UTC)
    # Tuesday 1 September is known, the serving day before it is not.
    assert deadline(how, date(2026, 9, 3), CALENDAR) == datetime(2026, 8, 31, 8, tzinfo=UTC)


def test_a_rule_survives_its_row() -> None:
    for how in (rule("10:00", days_before=2, counted="serving"), rule("09:30", weekday_before=4)):
        assert DeadlineRule.from_json(how.as_json()) == how


def test_days_are_planned_within_the_school_year() -> None:
    planned = list(plan_days(date(2026, 12, 15), date(2026, 12, 22), {1, 2, 4, 5}, [YEAR], SHUT))
    assert planned == [
        PlannedDay(date(2026, 12, 15), None),
        PlannedDay(date(2026, 12, 17), None),
        PlannedDay(date(2026, 12, 18), None),
        PlannedDay(date(2026, 12, 21), "Vacances de Noël"),
        PlannedDay(date(2026, 12, 22), "Vacances de Noël"),
    ]
    assert list(plan_days(date(2027, 7, 3), date(2027, 8, 31), range(1, 8), [YEAR], SHUT)) == []


def test_the_first_reason_wins() -> None:
    strike = Period(date(2027, 3, 29), date(2027, 3, 30), "Grève")
    days = plan_days(date(2027, 3, 29), date(2027, 3, 30), {1, 2}, [YEAR], (*SHUT, strike))
    assert [planned.closed_reason for planned in days] == ["Lundi de Pâques", "Grève"]
