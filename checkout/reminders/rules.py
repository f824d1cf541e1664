"""What is usual for a child, and when a reminder is written: values in, values out."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Literal, NamedTuple, Protocol

from cart.rules import monday_of
from homes.rules import Custody
from shop.clock import PARIS, paris_day, paris_instant
from shop.french import day_long, listing

WEEKS, OFTEN = 4, 3
"""A weekday is usual that was booked in so many (`OFTEN`) of the last served weeks (`WEEKS`)."""
LOOK_BACK, LOOK_AHEAD = timedelta(days=56), timedelta(days=60)
"""How far back served weeks are looked for (past any holidays but the summer's, which are a new start), and how far ahead."""
BASKET_LEAD, WEEK_LEAD, BALANCE_LEAD = timedelta(hours=24), timedelta(hours=48), timedelta(days=7)
"""How long before a deadline each reminder is written."""
MORNING, EVENING = time(7), time(21)
"""Nobody is written to outside these hours."""


def is_time(now: datetime, deadline_at: datetime, lead: timedelta) -> bool:
    """Whether to write now about a deadline: it is near, and either it is day or it would pass before the morning."""
    if not deadline_at - lead <= now < deadline_at:
        return False
    morning = next_morning(now)
    return morning == now or deadline_at <= morning


def next_morning(now: datetime) -> datetime:
    """The next moment at which people may be written to: this one by day."""
    local = now.astimezone(PARIS)
    if MORNING <= local.time() < EVENING:
        return now
    day = local.date() if local.time() < MORNING else local.date() + timedelta(days=1)
    return paris_instant(day, MORNING)


class Right(NamedTuple):
    """That a child of a household may be booked at a service between two days."""

    household_id: int
    child_id: int
    first_name: str
    service_id: int
    first: date
    last: date


class Day(NamedTuple):
    """A day of a service."""

    id: int
    service_id: int
    service_name: str
    regie_id: int
    prepaid: bool
    day: date
    is_open: bool
    capacity: int | None
    booked_count: int
    book_deadline_at: datetime

    @property
    def has_place(self) -> bool:
        """Whether it is served and not full."""
        return self.is_open and (self.capacity is None or self.booked_count < self.capacity)


What = Literal["booked", "basket", "called_off"]


class Had(NamedTuple):
    """A meal of a child: booked, in a basket, or booked and then called off by the town hall."""

    household_id: int
    """Whose child it is; a child may have two."""
    own: bool
    """Whether this household booked it."""
    child_id: int
    first_name: str
    service_id: int
    day: date
    what: What
    confirmed: bool
    cents: int
    basis: str | None
    from_wallet: bool
    book_deadline_at: datetime


class Family(NamedTuple):
    """What is known of a household: what it may book, what it has, the Mondays of weeks in which it wants nothing."""

    rights: Sequence[Right]
    had: Sequence[Had]
    quiet: Collection[date]
    custodies: Mapping[int, Custody] = {}
    """What is agreed about each of its children who has another home too."""
    changes: Mapping[tuple[int, int], Sequence[date]] = {}
    """From when on a child (the first number) eats at a service (the second) on other days or not at all, in order: what was
    usual before says nothing of what comes after."""


class Habit(NamedTuple):
    """What is usual for a child at a service."""

    child_id: int
    first_name: str
    service_id: int
    weekdays: frozenset[int]
    """ISO weekdays."""
    cents: int
    """What its last meal cost in time."""
    from_wallet: bool
    """Whether the last meal was paid from the wallet."""
    until: date | None = None
    """From this day on the family has said something else."""


def usual_weekdays(served: Iterable[date], booked: Iterable[date], today: date) -> frozenset[int]:
    """The ISO weekdays booked in at least `OFTEN` of the last `WEEKS` served weeks before this one.

    `served` are the days on which the service was open: a week without any, such as holidays, does not count.
    """
    this_week = monday_of(today)
    weeks = sorted({monday_of(day) for day in served if day < this_week})[-WEEKS:]
    times = Counter(day.isoweekday() for day in set(booked) if monday_of(day) in weeks)
    return frozenset(weekday for weekday, count in times.items() if count >= OFTEN)


def habits(family: Family, days: Mapping[int, Sequence[Day]], today: date) -> list[Habit]:
    """What is usual in a household; `days` are those of each service, in order. Another household's bookings say nothing
    of this one's habits, nor does what was booked before the family said that a child eats on other days or not at all."""
    own: dict[tuple[int, int], list[Had]] = defaultdict(list)
    for had in family.had:
        if had.own and had.what != "basket":
            own[had.child_id, had.service_id].append(had)
    found = []
    for (child_id, first_name, service_id), _rights in groupby(sorted(family.rights), key=_who_and_where):
        changes = family.changes.get((child_id, service_id), ())
        since = max((day for day in changes if day <= today), default=date.min)
        until = min((day for day in changes if day > today), default=None)
        theirs = [had for had in own.get((child_id, service_id), ()) if had.day >= since]
        served = (day.day for day in days.get(service_id, ()) if day.is_open and day.prepaid)
        weekdays = usual_weekdays(served, (had.day for had in theirs), today)
        if weekdays:
            last = max(theirs, key=lambda had: had.day)
            cents = ordinary_cents(last.cents, last.basis)
            found.append(Habit(child_id, first_name, service_id, weekdays, cents, last.from_wallet, until))
    return found


def _who_and_where(right: Right) -> tuple[int, str, int]:
    return right.child_id, right.first_name, right.service_id


def ordinary_cents(cents: int, basis: str | None) -> int:
    """What a meal would have cost in time."""
    known = json.loads(basis) if basis else {}
    return int(known["ordinary"]) if "late" in known else cents


def usual_days_ahead(habit: Habit, family: Family, days: Mapping[int, Sequence[Day]], today: date) -> list[Day]:
    """The usual days of a child after today on which it may eat and there is a place, in order."""
    key = (habit.child_id, habit.first_name, habit.service_id)
    rights = [right for right in family.rights if _who_and_where(right) == key]
    return [
        day
        for day in days.get(habit.service_id, ())
        if today < day.day
        and (habit.until is None or day.day < habit.until)
        and day.has_place
        and day.day.isoweekday() in habit.weekdays
        and any(right.first <= day.day <= right.last for right in rights)
        and _is_here(family, rights[0], day.day)
    ]


def _is_here(family: Family, right: Right, day: date) -> bool:
    """Whether the child's other home, if it has one, does not decide on that day."""
    custody = family.custodies.get(right.child_id)
    return custody is None or custody.home_on(day) in (None, right.household_id)


def _days_of(habit: Habit, family: Family, *what: What) -> set[date]:
    """The days on which the child has one of these at the service, by any household."""
    key = (habit.child_id, habit.service_id)
    return {had.day for had in family.had if (had.child_id, had.service_id) == key and had.what in what}


class Gap(NamedTuple):
    """A week in which a child has nothing where that is unusual."""

    habit: Habit
    monday: date
    days: tuple[Day, ...]


def gaps(family: Family, days: Mapping[int, Sequence[Day]], now: datetime) -> list[Gap]:
    """For each child and service, the first week to come whose first usual day can still be booked in time, where nothing
    is booked in it, nor in the basket, and the family has not said that it wants nothing."""
    today = paris_day(now)
    found = []
    for habit in habits(family, days, today):
        ahead = groupby(usual_days_ahead(habit, family, days, today), key=lambda day: monday_of(day.day))
        weeks = ((monday, list(week)) for monday, week in ahead if monday > today)
        monday, week = next(((monday, week) for monday, week in weeks if week[0].book_deadline_at > now), (today, []))
        taken = {monday_of(day) for day in _days_of(habit, family, "booked", "basket")}
        called_off = _days_of(habit, family, "called_off")
        left = tuple(day for day in week if day.day not in called_off)
        if left and monday not in taken and monday not in family.quiet:
            found.append(Gap(habit, monday, left))
    return found


def deadline_of(found: Iterable[Gap]) -> datetime:
    """The first deadline of these weeks."""
    return min(gap.days[0].book_deadline_at for gap in found)


class Cover(NamedTuple):
    """How far a wallet lasts."""

    regie_id: int
    until: date | None
    """The last usual day that it pays; nothing when it pays none."""
    short: Day
    """The first usual day that it does not."""


def covers(
    family: Family, days: Mapping[int, Sequence[Day]], balances: Mapping[int, int], now: datetime
) -> list[Cover]:
    """How far each wallet (régie → cents) lasts for the usual meals that are not booked yet. Only where meals are paid from
    it, and where it runs out within the days that are known."""
    today = paris_day(now)
    meals: list[tuple[Day, int]] = []
    for habit in habits(family, days, today):
        if habit.from_wallet:
            gone = _days_of(habit, family, "booked", "called_off")
            meals += [
                (day, habit.cents)
                for day in usual_days_ahead(habit, family, days, today)
                if day.book_deadline_at > now and monday_of(day.day) not in family.quiet and day.day not in gone
            ]
    meals.sort(key=lambda meal: (meal[0].day, meal[0].id))
    left, found = dict(balances), dict[int, Cover]()
    for day, cents in meals:
        left[day.regie_id] = left.get(day.regie_id, 0) - cents
        if left[day.regie_id] < 0 and day.regie_id not in found:
            # A day of which a part alone is paid is not covered.
            before = [other.day for other, _cents in meals if other.regie_id == day.regie_id and other.day < day.day]
            found[day.regie_id] = Cover(day.regie_id, max(before, default=None), day)
    return list(found.values())


class Priced(Protocol):
    """A meal with its price, as a page about a week shows it."""

    @property
    def first_name(self) -> str: ...
    @property
    def service_name(self) -> str: ...
    @property
    def day(self) -> date: ...
    @property
    def cents(self) -> int: ...


class Share(NamedTuple):
    """The meals of a child at a service that cost the same."""

    first_name: str
    service_name: str
    unit_cents: int
    days: tuple[date, ...]

    @property
    def total_cents(self) -> int:
        return self.unit_cents * len(self.days)

    @property
    def words(self) -> str:
        return days_of_week(self.days)


def shares(meals: Iterable[Priced]) -> list[Share]:
    """Who eats where, when and for how much."""
    found: dict[tuple[str, str, int], list[date]] = {}
    for meal in meals:
        found.setdefault((meal.first_name, meal.service_name, meal.cents), []).append(meal.day)
    return [Share(*key, tuple(sorted(days))) for key, days in found.items()]


def days_of_week(days: Sequence[date]) -> str:
    """Days of a week: "lundi 7, mardi 8 et jeudi 10 décembre", "lundi 30 novembre et mardi 1er décembre"."""
    words = [day_long(day, year=False) for day in days]
    if len({day.month for day in days}) > 1:
        return listing(words)
    month = words[0].rsplit(" ", 1)[1]
    return f"{listing([word.removesuffix(f' {month}') for word in words])} {month}"
