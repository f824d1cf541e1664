"""What a family did during a year, made up deterministically: which meals it booked when, and which it cancelled."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from random import Random


@dataclass(frozen=True)
class Day:
    """A serving day as the catalogue holds it."""

    id: int
    day: date
    book_deadline_at: datetime
    cancel_deadline_at: datetime


@dataclass(frozen=True)
class Meal:
    """A meal that a beneficiary books, having had the right to since `since`."""

    beneficiary_id: int
    since: datetime
    day: Day
    tariff_id: int
    price_id: int
    cents: int


@dataclass(frozen=True)
class Purchase:
    """An order: when it was placed, its meals, how it was paid, and when some of the meals were cancelled."""

    placed_at: datetime
    settlement: str
    meals: tuple[Meal, ...]
    cancelled: dict[int, datetime]
    """The place of a meal in `meals` → when it was cancelled."""

    @property
    def total_cents(self) -> int:
        return sum(meal.cents for meal in self.meals)


def plan_purchases(
    meals: Iterable[Meal],
    settlements: Sequence[str],
    days_an_order: int,
    cancel_share: float,
    now: datetime,
    random: Random,
) -> list[Purchase]:
    """Meals put into orders of so many days each, placed before the first meal's deadline and never after `now`.

    An order that could not have been placed is left out.

    `settlements` are used in turn. A meal is cancelled with the probability `cancel_share`, in time and in the past.
    """

    def period(meal: Meal) -> int:
        return meal.day.day.toordinal() // days_an_order

    purchases: list[Purchase] = []
    for number, (_period, group) in enumerate(groupby(sorted(meals, key=lambda meal: meal.day.day), key=period)):
        chosen = tuple(group)
        deadline, since = min(meal.day.book_deadline_at for meal in chosen), max(meal.since for meal in chosen)
        placed_at = deadline - timedelta(minutes=random.randint(60, 5 * 24 * 60))
        if placed_at > now:
            # The deadline is still ahead: the family has booked these days already, within the last days.
            placed_at = now - timedelta(minutes=random.randint(60, 3 * 24 * 60))
        placed_at = max(placed_at, since)
        if placed_at >= min(deadline, now):
            continue
        cancelled: dict[int, datetime] = {}
        for place, meal in enumerate(chosen):
            if cancel_share and random.random() < cancel_share:
                at = meal.day.cancel_deadline_at - timedelta(minutes=random.randint(10, 20 * 60))
                if placed_at < at < now:
                    cancelled[place] = at
        purchases.append(Purchase(placed_at, settlements[number % len(settlements)], chosen, cancelled))
    return purchases
