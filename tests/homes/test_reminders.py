"""Reminders speak of one's own days only."""

from datetime import UTC, date, datetime, timedelta

from checkout.reminders.rules import Day, Family, Habit, Right, usual_days_ahead
from homes.rules import Calendar, Custody

HERE, THERE, CHILD, CANTEEN = 1, 2, 7, 3
TODAY = date(2026, 11, 19)


def test_usual_days_of_the_other_home_are_left_out() -> None:
    days = [
        Day(number, CANTEEN, "Cantine", 1, True, TODAY + timedelta(days=number), True, None, 0, datetime.now(UTC))
        for number in range(1, 29)
    ]
    right = Right(HERE, CHILD, "Louane", CANTEEN, date(2026, 9, 1), date(2027, 8, 31))
    habit = Habit(CHILD, "Louane", CANTEEN, frozenset({1, 4}), 380, True)
    custody = Custody([Calendar(date(2026, 9, 1), HERE, THERE, HERE)])

    def ahead(custodies: dict[int, Custody]) -> list[date]:
        found = usual_days_ahead(habit, Family([right], [], (), custodies), {CANTEEN: days}, TODAY)
        return [day.day for day in found]

    every = ahead({})
    assert len(every) == 8
    assert ahead({CHILD: custody}) == [day for day in every if day.isocalendar().week % 2 == 0]
    assert ahead({CHILD: Custody()}) == ahead({CHILD + 1: custody}) == every
