"""What is usual for a child, and when a reminder is written: values in, values out."""

from datetime import date, datetime, time, timedelta

import pytest

from checkout.reminders.rules import (
    Cover,
    Day,
    Family,
    Had,
    Right,
    What,
    covers,
    days_of_week,
    gaps,
    habits,
    is_time,
    next_morning,
    ordinary_cents,
    usual_days_ahead,
    usual_weekdays,
)
from shop.clock import PARIS, paris_instant

MONDAY = date(2026, 11, 30)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
NOW = datetime(2026, 12, 3, 12, tzinfo=PARIS)
"""The Thursday of that week."""
LOUANE, CANTEEN, REGIE = 1, 10, 100


def weeks(*offsets: int, weekdays: tuple[int, ...] = (1, 2, 4, 5)) -> list[date]:
    """These weekdays of weeks so far from the one of `MONDAY`."""
    return [MONDAY + WEEK * offset + DAY * (weekday - 1) for offset in offsets for weekday in weekdays]


def a_day(day: date, is_open: bool = True, capacity: int | None = None, deadline: datetime | None = None) -> Day:
    deadline = deadline or paris_instant(day - 2 * DAY, time(10))
    return Day(day.toordinal(), CANTEEN, "Cantine", REGIE, True, day, is_open, capacity, 0, deadline)


def a_meal(day: date, what: What = "booked", own: bool = True, cents: int = 380, child: int = LOUANE) -> Had:
    return Had(1, own, child, "Louane", CANTEEN, day, what, True, cents, None, True, paris_instant(day, time(8)))


RIGHT = Right(1, LOUANE, "Louane", CANTEEN, date(2026, 9, 1), date(2027, 7, 31))
DAYS = {CANTEEN: [a_day(day) for day in weeks(-5, -4, -3, -2, -1, 0, 1, 2)]}
EVERY_TUESDAY = [a_meal(day) for day in weeks(-4, -3, -2, -1, weekdays=(2,))]


# --- what is usual ---


@pytest.mark.parametrize(
    ("booked", "usual"),
    [
        ([], set()),
        (weeks(-4, -3, -2, -1, weekdays=(2,)), {2}),
        (weeks(-3, -2, -1, weekdays=(2, 5)), {2, 5}),
        (weeks(-2, -1, weekdays=(2,)), set()),
        (weeks(-5, -2, -1, weekdays=(2,)), set()),
        (weeks(-3, -2, weekdays=(1,)) + weeks(-4, weekdays=(1,)) + weeks(-1, weekdays=(4,)), {1}),
        # This week and those to come are no habit yet.
        (weeks(-2, -1, 0, 1, weekdays=(2,)), set()),
    ],
)
def test_a_weekday_is_usual_that_was_booked_in_three_of_the_last_four_served_weeks(
    booked: list[date], usual: set[int]
) -> None:
    assert usual_weekdays(weeks(-5, -4, -3, -2, -1, 0), booked, MONDAY + 3 * DAY) == usual


def test_holidays_do_not_count_as_weeks() -> None:
    served = weeks(-7, -6, -5, -2, -1)
    assert usual_weekdays(served, weeks(-6, -5, -2, weekdays=(2,)), MONDAY) == {2}
    assert usual_weekdays(weeks(-3, -2, -1), weeks(-3, -2, -1, weekdays=(2,)), MONDAY) == {2}
    assert usual_weekdays(weeks(-2, -1), weeks(-2, -1, weekdays=(2,)), MONDAY) == set()


def test_a_meal_that_the_town_hall_called_off_was_usual_all_the_same() -> None:
    had = [a_meal(day, "called_off") for day in weeks(-4, -3, -2, weekdays=(4,))]
    (habit,) = habits(Family([RIGHT], had, ()), DAYS, NOW.date())
    assert habit.weekdays == {4}


def test_neither_another_household_nor_a_basket_makes_a_habit() -> None:
    for had in (
        [meal._replace(own=False) for meal in EVERY_TUESDAY],
        [meal._replace(what="basket") for meal in EVERY_TUESDAY],
    ):
        assert habits(Family([RIGHT], had, ()), DAYS, NOW.date()) == []


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ([], weeks(1, 2, weekdays=(2,))),
        # From the week after the next one on, nothing is usual any more.
        (weeks(2, weekdays=(1,)), weeks(1, weekdays=(2,))),
        (weeks(1, weekdays=(1,)), []),
        # It was said of a day that has passed: what came before is no habit, and three weeks since would be one.
        (weeks(-1, weekdays=(1,)), []),
        (weeks(-2, weekdays=(4,)), []),
        (weeks(-3, weekdays=(1,)), weeks(1, 2, weekdays=(2,))),
        (weeks(-3, weekdays=(1,)) + weeks(2, weekdays=(2,)), weeks(1, weekdays=(2,))),
    ],
)
def test_what_was_usual_before_other_days_or_none_is_no_habit_after(changed: list[date], left: list[date]) -> None:
    family = Family([RIGHT], EVERY_TUESDAY, (), changes={(LOUANE, CANTEEN): changed})
    found = habits(family, DAYS, NOW.date())
    assert [day.day for habit in found for day in usual_days_ahead(habit, family, DAYS, NOW.date())] == left
    # Another child's, or another service's, are not meant.
    for key in ((2, CANTEEN), (LOUANE, 11)):
        other = Family([RIGHT], EVERY_TUESDAY, (), changes={key: changed})
        (habit,) = habits(other, DAYS, NOW.date())
        assert [day.day for day in usual_days_ahead(habit, other, DAYS, NOW.date())] == weeks(1, 2, weekdays=(2,))


def test_a_late_price_is_no_price_of_a_habit() -> None:
    assert ordinary_cents(380, None) == ordinary_cents(380, '{"row": {}}') == 380
    assert ordinary_cents(570, '{"late": {"percent": "50"}, "ordinary": 380}') == 380


# --- a week without anything ---


def found(
    *had: Had, quiet: tuple[date, ...] = (), now: datetime = NOW, days: dict[int, list[Day]] = DAYS
) -> list[date]:
    family = Family([RIGHT], [*EVERY_TUESDAY, *had], quiet)
    return [day.day for gap in gaps(family, days, now) for day in gap.days]


def test_the_week_to_come_in_which_nothing_is_booked_is_found() -> None:
    assert found() == weeks(1, weekdays=(2,))


def test_whatever_is_booked_or_in_the_basket_or_said_leaves_the_week_alone() -> None:
    (thursday,) = weeks(1, weekdays=(4,))
    assert found(a_meal(thursday)) == []
    assert found(a_meal(thursday, "basket")) == []
    assert found(a_meal(thursday, own=False)) == [], "the other parent has seen to it"
    assert found(quiet=(MONDAY + WEEK,)) == []
    # Another child's meal says nothing of this one.
    assert found(a_meal(thursday, child=2)) == weeks(1, weekdays=(2,))


def test_a_week_that_is_booked_does_not_send_to_the_one_after() -> None:
    assert found(*(a_meal(day) for day in weeks(1))) == []


def test_once_the_first_usual_day_is_too_late_the_next_week_is_meant() -> None:
    assert found(now=paris_instant(MONDAY + 6 * DAY, time(10))) == weeks(2, weekdays=(2,))


def test_what_cannot_be_had_is_not_offered() -> None:
    (tuesday,) = weeks(1, weekdays=(2,))
    for day in (a_day(tuesday, is_open=False), a_day(tuesday, capacity=0)):
        days = {CANTEEN: [day if other.day == tuesday else other for other in DAYS[CANTEEN]]}
        assert found(days=days) == weeks(2, weekdays=(2,))
    assert found(a_meal(tuesday, "called_off")) == []
    ended = Family([RIGHT._replace(last=MONDAY)], EVERY_TUESDAY, ())
    assert gaps(ended, DAYS, NOW) == []


# --- how far a wallet lasts ---


def cover(cents: int, *had: Had, quiet: tuple[date, ...] = ()) -> tuple[date | None, date] | None:
    every_day = [a_meal(day) for day in weeks(-4, -3, -2, -1)]
    lasts = covers(Family([RIGHT], [*every_day, *had], quiet), DAYS, {REGIE: cents}, NOW)
    return (lasts[0].until, lasts[0].short.day) if lasts else None


def test_the_first_day_that_the_wallet_does_not_pay() -> None:
    monday, tuesday, thursday, friday = weeks(1)
    assert cover(0) == (None, monday)
    assert cover(379) == (None, monday)
    assert cover(380) == (monday, tuesday)
    assert cover(4 * 380) == (friday, weeks(2)[0])
    assert cover(8 * 380) is None, "it pays all that is known"
    # What is booked is paid; a week in which nothing is wanted costs nothing.
    assert cover(380, a_meal(monday)) == (tuesday, thursday)
    assert cover(380, quiet=(MONDAY + WEEK,)) == (weeks(2)[0], weeks(2)[1])


def test_a_day_of_which_a_part_is_paid_is_not_covered() -> None:
    sister = RIGHT._replace(child_id=2, first_name="Zoé")
    had = [a_meal(day, child=child) for child in (LOUANE, 2) for day in weeks(-4, -3, -2, -1)]
    (lasts,) = covers(Family([RIGHT, sister], had, ()), DAYS, {REGIE: 3 * 380}, NOW)
    assert (lasts.until, lasts.short.day) == (weeks(1)[0], weeks(1)[1])


def test_a_family_that_pays_by_card_has_nothing_to_cover() -> None:
    had = [meal._replace(from_wallet=False) for meal in EVERY_TUESDAY]
    assert covers(Family([RIGHT], had, ()), DAYS, {REGIE: 0}, NOW) == []
    assert isinstance(covers(Family([RIGHT], EVERY_TUESDAY, ()), DAYS, {REGIE: 0}, NOW)[0], Cover)


# --- when to write ---


def at(hour: int, minute: int = 0, day: int = 3) -> datetime:
    return datetime(2026, 12, day, hour, minute, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("now", "deadline", "due"),
    [
        (at(9, 59), at(10, day=4), False),
        (at(10), at(10, day=4), True),
        (at(20, 59), at(10, day=4), True),
        (at(21), at(10, day=4), False),
        (at(6, 59, day=4), at(10, day=4), False),
        (at(7, day=4), at(10, day=4), True),
        (at(10, day=4), at(10, day=4), False),
        # It would pass before anybody may be written to.
        (at(23), at(6, day=4), True),
        (at(23), at(7, day=4), True),
        (at(23), at(7, 1, day=4), False),
    ],
)
def test_a_day_before_and_never_at_night_unless_it_passes_then(now: datetime, deadline: datetime, due: bool) -> None:
    assert is_time(now, deadline, DAY) is due


def test_the_night_ends_at_seven() -> None:
    assert next_morning(at(21)) == next_morning(at(23)) == next_morning(at(3, day=4)) == at(7, day=4)
    assert next_morning(at(7)) == at(7)
    assert next_morning(at(20, 59)) == at(20, 59)


def test_days_of_a_week_in_words() -> None:
    assert days_of_week(weeks(1)) == "lundi 7, mardi 8, jeudi 10 et vendredi 11 décembre"
    assert days_of_week([date(2026, 12, 1)]) == "mardi 1er décembre"
    assert days_of_week(weeks(0, weekdays=(1, 2))) == "lundi 30 novembre et mardi 1er décembre"
