"""The booking calendar, ready for the page: weeks of days, days of one box a child."""

from collections.abc import Collection, Container, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, get_args

from jinja2.runtime import Macro
from markupsafe import Markup

from cart.periods import Period
from cart.quotes import Terms, asks_who_eats, quote
from cart.rules import (
    BOOKABLE,
    HAD,
    CellState,
    Child,
    Day,
    DayState,
    Meal,
    Right,
    Stage,
    Taken,
    cell_state,
    day_state,
    may_wait,
    monday_of,
    price_of,
    right_on,
    stage_of,
    without_right,
)
from shop.french import day_long, day_of_month, day_plain, day_short, moment_short
from shop.money import format_euros
from shop.templating import filled_rows
from shop.words import gettext as _
from shop.words import ngettext

ISO_DAY, LONG_DAY = "\x02", "\x03"
"""What stands in a box for its day, as an ISO date and in words, until the page writes the row: most days of a family look
alike, and are then written once. No name holds such a character."""


PLAIN: tuple[DayState, ...] = ("free", "late")
"""States in which a day looks the same for all children who may be booked."""


class Box(NamedTuple):
    """One child on a day that is still to be written into it. What is not free to be ticked has a state and nothing else; or,
    where one may wait for a place, its code and name."""

    state: CellState
    code: str = ""
    name: str = ""
    """In full, for screen readers: "Louane Dupont, jeudi 5 novembre 2026"."""
    described: str = ""
    """The ids of what else is to be said of it: its price in the column's head, its deadline."""
    cents: int | str = 0
    """The price; prices for one, two… of the family's children on that day, with spaces between, where it depends."""
    ticked: bool = False
    price: str | None = None
    """The price, where it is not the one that stands in the child's column head."""
    others: int = 0
    """How many of the family's other children eat that day already, where the price depends on it."""


SHUT = {state: Box(state) for state in get_args(CellState)}


class DayWords(NamedTuple):
    """A day in words: the same for every family, so it is written once."""

    iso: str
    weekday: int
    short: str
    """Without its month where the whole page is of that month."""
    long: str
    shut: str | None
    """Why nothing is served."""
    menu: str | None
    limit: str
    """Until when it can be booked."""
    late: bool
    """Whether it can be booked at the late price only."""
    freed: int
    """How many meals other families have given back, where it can be booked because of them."""


Boxes = tuple[Box, ...]
"""What a day looks like: a box for each child, or none where nothing is served."""


class DayRow(NamedTuple):
    """One day."""

    words: DayWords
    look: int
    """The number of its boxes among the calendar's `looks`."""


class Week(NamedTuple):
    """The days of one ISO week."""

    monday: str
    number: int
    words: str
    rows: list[DayRow]
    has_free: bool


class Calendar(NamedTuple):
    """The weeks of a period, what their days look like, and how those that are open can be booked."""

    weeks: list[Week]
    looks: list[Boxes]
    stages: set[Stage]


class Column(NamedTuple):
    """A child's column: its name and, when one price holds all along, that price."""

    child_id: int
    first_name: str
    name: str
    price: str | None
    cents: int | None
    pupil: bool
    """Whether it counts among the family's children who eat on a day."""


def columns(children: Mapping[int, Child], pupils: Container[int]) -> list[Column]:
    """The columns of the calendar. First names that two children share are told apart by their last name."""
    first_names = [child.first_name for child in children.values()]
    result = []
    for child in children.values():
        prices = {right.cents if right.grid is None else None for right in child.rights}
        cents = prices.pop() if len(prices) == 1 else None
        shown = child.name if first_names.count(child.first_name) > 1 else child.first_name
        result.append(
            Column(
                child.id, shown, child.name, None if cents is None else format_euros(cents), cents, child.id in pupils
            )
        )
    return result


def calendar(
    period: Period,
    days: Mapping[date, Day],
    children: Mapping[int, Child],
    heads: Sequence[Column],
    taken: Mapping[Meal, Taken],
    ticked: Collection[Meal],
    terms: Terms,
    now: datetime,
    today: date,
) -> Calendar:
    """The weeks of the period from today on. Days on which nothing was ever meant to be served do not appear."""
    eaters = [
        (head, child, right_on(child, period.first) if _keeps_its_right(child, period) else None)
        for head, child in zip(heads, children.values(), strict=True)
    ]
    alike = all(always is not None and always.grid is None and always.plans is None for _head, _child, always in eaters)
    # Days on which a child has something already, or is ticked: of the others only their state is to be said.
    told = {meal.day for meal in (*taken, *ticked)}
    looks: dict[Boxes, int] = {(): 0}
    plain: dict[DayState, int] = {}
    weeks: list[tuple[date, list[DayRow]]] = []
    stages: set[Stage] = set()
    in_its_month = period.kind == "mois"
    sunday = date.min
    for day in days.values():
        if day.day < today or not period.first <= day.day <= period.last:
            continue
        if day.day > sunday:
            monday = monday_of(day.day)
            sunday = monday + timedelta(days=6)
            weeks.append((monday, []))
        stage = stage_of(day, now)
        look, state = 0, day_state(day, now, stage)
        if day.is_open:
            stages.add(stage)
            is_plain = alike and day.day not in told and state in PLAIN
            found = plain.get(state) if is_plain else None
            if found is None:
                boxes = _boxes(day, state, eaters, taken, ticked, terms, now)
                found = looks.setdefault(boxes, len(looks))
                if is_plain:
                    plain[state] = found
            look = found
        weeks[-1][1].append(DayRow(_day_words(day, stage, in_its_month), look))
    free = {number for boxes, number in looks.items() if any(box.state == "free" for box in boxes)}
    return Calendar(
        [
            Week(*_week_words(monday, period.first, period.last), rows, any(row.look in free for row in rows))
            for monday, rows in weeks
        ],
        list(looks),
        stages,
    )


def write_days(rows: Sequence[DayRow], head: Macro, boxes: Sequence[str]) -> Markup:
    """The rows of days as the page has them. `head` writes the beginning of a row, for all families once. `boxes` are what
    days look like, by number, written with marks in them, in whose place the day comes."""
    looks = [str(look) for look in boxes]
    return filled_rows(
        [(_begun(head, words), looks[look], words.iso, words.long) for words, look in rows], ISO_DAY, LONG_DAY
    )


@lru_cache(maxsize=8192)
def _begun(head: Macro, words: DayWords) -> str:
    return str(head(words))


def _day_words(day: Day, stage: Stage, in_its_month: bool) -> DayWords:
    # Where booking is over, a limit that is past helps nobody.
    limit: datetime | None = day.book_deadline_at
    if stage != "in_time":
        limit = {"late": day.late_deadline_at, "freed": day.freed_deadline_at}.get(stage)
    freed = day.freed if stage == "freed" else 0
    return _words(day.day, day.is_open, day.closed_reason, day.menu, limit, stage == "late", freed, in_its_month)


def _keeps_its_right(child: Child, period: Period) -> bool:
    """Whether one tariff at one price holds for the child all along."""
    return len(child.rights) == 1 and child.rights[0].first <= period.first and period.last <= child.rights[0].last


@lru_cache(maxsize=1024)
def _week_words(monday: date, earliest: date, latest: date) -> tuple[str, int, str]:
    """The Monday of a week as an ISO date, the week's number, and its days between two in words."""
    first, last = max(monday, earliest), min(monday + timedelta(days=6), latest)
    start, end = (day_plain(day).rsplit(" ", 1)[0] for day in (first, last))
    if first.month == last.month:
        start = start.split(" ")[0]
    words = end if first == last else _("du %(first)s au %(last)s", first=start, last=end)
    return monday.isoformat(), monday.isocalendar().week, words


@lru_cache(maxsize=8192)
def _words(
    day: date,
    is_open: bool,
    closed_reason: str | None,
    menu: str | None,
    limit_at: datetime | None,
    late: bool,
    freed: int,
    in_its_month: bool,
) -> DayWords:
    return DayWords(
        day.isoformat(),
        day.isoweekday(),
        (day_of_month(day) if in_its_month else day_short(day)).replace(" ", "\u00a0", 1),
        day_long(day),
        None if is_open else (closed_reason or _("Fermé")),
        ", ".join(menu.splitlines()) if menu else None,
        "" if limit_at is None else _limit_words(moment_short(limit_at), late, freed),
        late,
        freed,
    )


def _limit_words(at: str, late: bool, freed: int) -> str:
    if freed:
        return ngettext(
            "%(count)s repas rendu disponible, jusqu’au %(at)s",
            "%(count)s repas rendus disponibles, jusqu’au %(at)s",
            freed,
            at=at,
        )
    return _("Hors délai, jusqu’au %(at)s", at=at) if late else _("Jusqu’au %(at)s", at=at)


def _boxes(
    day: Day,
    of_day: DayState,
    eaters: Sequence[tuple[Column, Child, Right | None]],
    taken: Mapping[Meal, Taken],
    ticked: Collection[Meal],
    terms: Terms,
    now: datetime,
) -> Boxes:
    boxes: list[Box] = []
    for head, child, always in eaters:
        right = always or right_on(child, day.day)
        meal = Meal(child.id, day.day)
        state = cell_state(of_day, without_right(right, day.day), taken.get(meal))
        if state not in BOOKABLE or right is None:
            waits = may_wait(state, right is not None, day.book_deadline_at, now)
            boxes.append(Box(state, f"{child.id}.{ISO_DAY}", f"{head.name}, {LONG_DAY}") if waits else SHUT[state])
            continue
        cents: int | str = right.cents
        price, others, name = None if head.cents is not None else format_euros(right.cents), 0, head.name
        if right.grid is not None or state == "surcharge":
            cents, price, others = _computed(right, terms, meal, taken, state == "surcharge")
        if state == "surcharge":
            name = _("%(name)s, hors délai", name=name)
        elif state == "freed":
            name = _("%(name)s, repas rendu", name=name)
        elif taken.get(meal) == "offered":
            name = _("%(name)s, place gardée", name=name)
        boxes.append(
            Box(
                "free",
                f"{child.id}.{ISO_DAY}",
                f"{name}, {LONG_DAY}",
                f"p{child.id} l{ISO_DAY}",
                cents,
                meal in ticked,
                price,
                others,
            )
        )
    return tuple(boxes)


def _computed(
    right: Right, terms: Terms, meal: Meal, taken: Mapping[Meal, Taken], late: bool
) -> tuple[int | str, str, int]:
    """A price that is not the tariff's flat one: cents, words, and how many of the family's children eat already."""
    if not asks_who_eats(right.grid):
        cents = price_of(right, terms, meal, {}, late).cents
        return cents, format_euros(cents), 0
    pupils = terms.family.pupils
    others = [child for child in pupils if child != meal.beneficiary_id and taken.get(Meal(child, meal.day)) in HAD]
    by_count = [
        quote(right.cents, right.grid, terms, meal.beneficiary_id, meal.day, count, late).cents
        for count in range(1, max(len(pupils), 1) + 1)
    ]
    return " ".join(map(str, by_count)), format_euros(by_count[len(others)]), len(others)
