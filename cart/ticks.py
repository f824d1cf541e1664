"""Ticked meals as an address carries them, so that they are there again after signing in: short, whatever their number."""

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta

from cart.rules import MOST_MEALS, Meal, read_meal

LONGEST = 2000
"""Letters. An address goes whole into one line of a request and one header of an answer, which servers bound."""
FURTHEST = timedelta(days=800)
"""No page of ours offers a day that is further from today."""
_BITS = re.compile(r"[0-9a-f]+")


def near(meals: Iterable[Meal], today: date) -> set[Meal]:
    """Those of the meals that a page of ours could have offered."""
    return {meal for meal in meals if abs(meal.day - today) < FURTHEST}


def write_ticks(meals: Iterable[Meal], today: date) -> str:
    """The meals in a few letters: a child, its first day, and a bit for each day from there on, so that "12.2026-11-05.b"
    is child 12 on the 5th, 6th and 8th. Nothing when even that is longer than `LONGEST`."""
    days = defaultdict(list)
    for meal in sorted(near(meals, today)):
        days[meal.beneficiary_id].append(meal.day)
    text = ",".join(
        f"{Meal(child_id, theirs[0]).code}.{sum(1 << (day - theirs[0]).days for day in theirs):x}"
        for child_id, theirs in days.items()
    )
    return text if len(text) <= LONGEST else ""


def read_ticks(text: str, today: date) -> set[Meal]:
    """The meals that `write_ticks` wrote. What is not written as it does names nothing."""
    if len(text) > LONGEST:
        return set()
    meals = set()
    for part in text.split(","):
        code, _dot, bits = part.rpartition(".")
        first = read_meal(code)
        if first is None or not near([first], today) or not _BITS.fullmatch(bits):
            continue
        marks = int(bits, 16)
        days = (first.day + timedelta(days=number) for number in range(marks.bit_length()) if marks >> number & 1)
        meals |= near((Meal(first.beneficiary_id, day) for day in days), today)
    return meals if len(meals) <= MOST_MEALS else set()
