"""The stretches of days that "Mes réservations" shows: a week, a month, a school year; and what stands on their days."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Literal, NamedTuple

from cart.rules import monday_of, month_after, month_before
from checkout.queries import BookedMeal, DayMenu
from enrolments.rules import year_label
from shop.french import day_plain, month_name
from shop.words import gettext as _

FIRST_MONTH = 9
"""A year on this page begins in September, as families count."""
FURTHEST = 3650
"""Days from today beyond which no address leads."""
_WEEK = re.compile(r"\d{4}-W\d\d")
_YEAR = re.compile(r"\d{4}")

Kind = Literal["semaine", "mois", "annee"]


class Span(NamedTuple):
    """Days from `first` to `last`, both included; `code` is how an address names them."""

    kind: Kind
    code: str
    first: date
    last: date
    title: str
    short: str
    """What a link to it says."""
    before: str
    after: str


def week_of(day: date) -> Span:
    """The ISO week of a day, "2026-W47"."""
    first = monday_of(day)
    last = first + timedelta(days=6)
    start = day_plain(first)
    if first.month == last.month:
        start = start.split(" ")[0]
    elif first.year == last.year:
        start = start.rsplit(" ", 1)[0]
    number = first.isocalendar().week
    title = _("semaine %(number)s, du %(first)s au %(last)s", number=number, first=start, last=day_plain(last))
    before, after = _week(first - timedelta(days=7)), _week(last + timedelta(days=1))
    return Span("semaine", _week(first), first, last, title, _("semaine %(number)s", number=number), before, after)


def _week(monday: date) -> str:
    year, number, _day = monday.isocalendar()
    return f"{year}-W{number:02d}"


def month_of(day: date) -> Span:
    """The month of a day, "2026-11"."""
    first, before, after = day.replace(day=1), month_before(day), month_after(day)
    last = after - timedelta(days=1)
    name = month_name(first)
    return Span("mois", f"{first:%Y-%m}", first, last, name, name, f"{before:%Y-%m}", f"{after:%Y-%m}")


def year_of(day: date) -> Span:
    """The school year of a day, September to August, named by its first civil year."""
    year = day.year if day.month >= FIRST_MONTH else day.year - 1
    first, last = date(year, FIRST_MONTH, 1), date(year + 1, FIRST_MONTH, 1) - timedelta(days=1)
    title = _("année scolaire %(years)s", years=year_label(year))
    return Span("annee", str(year), first, last, title, year_label(year), str(year - 1), str(year + 1))


def read_span(typed: Mapping[str, str], today: date) -> Span:
    """The stretch that an address names; this month when it names none that can be."""
    week, month, year = (typed.get(kind, "") for kind in ("semaine", "mois", "annee"))
    try:
        if _WEEK.fullmatch(week):
            return week_of(_near(date.fromisocalendar(int(week[:4]), int(week[6:]), 1), today))
        if _YEAR.fullmatch(year):
            return year_of(_near(date(int(year), FIRST_MONTH, 1), today))
        return month_of(_near(date.fromisoformat(f"{month}-01"), today))
    except ValueError:
        return month_of(today)


def beside(span: Span, today: date) -> tuple[Span, Span]:
    """The stretches before it and after it."""
    return read_span({span.kind: span.before}, today), read_span({span.kind: span.after}, today)


def _near(day: date, today: date) -> date:
    if abs((day - today).days) > FURTHEST:
        raise ValueError(day)
    return day


AROUND: Mapping[Kind, Callable[[date], Span]] = {"semaine": week_of, "mois": month_of, "annee": year_of}


def views(span: Span, today: date) -> list[tuple[str, Span]]:
    """The three ways to look at where one is, each with its word: around today when it is in the stretch."""
    at = today if span.first <= today <= span.last else span.first
    words: Mapping[Kind, str] = {"semaine": _("Semaine"), "mois": _("Mois"), "annee": _("Année scolaire")}
    return [(words[kind], around(at)) for kind, around in AROUND.items()]


class CalendarDay(NamedTuple):
    """A day of a calendar, or one beside it that fills its first or last week."""

    day: date
    inside: bool
    meals: list[BookedMeal]


def weeks_of(first: date, last: date, meals: Sequence[BookedMeal]) -> list[list[CalendarDay]]:
    """The weeks of these days with what is booked on them; Saturday and Sunday only when something is."""
    theirs = (meal for meal in meals if first <= meal.day <= last)
    by_day = {day: list(of_day) for day, of_day in groupby(theirs, key=lambda meal: meal.day)}
    length = 7 if any(day.isoweekday() > 5 for day in by_day) else 5
    weeks = []
    monday = monday_of(first)
    while monday <= last:
        days = [monday + timedelta(days=number) for number in range(length)]
        if any(first <= day <= last for day in days):
            weeks.append([CalendarDay(day, first <= day <= last, by_day.get(day, [])) for day in days])
        monday += timedelta(days=7)
    return weeks


def menus_of(found: Sequence[DayMenu]) -> dict[date, list[DayMenu]]:
    """What is worth saying of each day: the menus that are known; where nothing is served, each reason once."""
    days: dict[date, list[DayMenu]] = {}
    for day, of_day in groupby(found, key=lambda menu: menu.day):
        served = list(of_day)
        if any(menu.is_open for menu in served):
            days[day] = [menu for menu in served if menu.is_open and menu.menu]
        else:
            days[day] = list({menu.closed_reason: menu for menu in served}.values())
    return days


class YearDay(NamedTuple):
    """A day of a year: how many meals are in which state."""

    day: date
    week: str
    """The week's code."""
    booked: int
    eaten: int
    """Without a booking."""
    held: int
    cancelled: int


class Total(NamedTuple):
    """What a child's meals of a month come to."""

    name: str
    meals: int
    cents: int
    """What the family has paid and not been given back."""


class YearMonth(NamedTuple):
    """A small month: its weeks, with nothing for days that are another month's."""

    first: date
    code: str
    weeks: list[list[YearDay | None]]
    totals: list[Total]

    @property
    def meals(self) -> int:
        return sum(total.meals for total in self.totals)

    @property
    def cents(self) -> int:
        return sum(total.cents for total in self.totals)


def months_of(span: Span, meals: Sequence[BookedMeal]) -> list[YearMonth]:
    """The twelve months of a year."""
    states: dict[date, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    by_month: dict[date, list[BookedMeal]] = defaultdict(list)
    for meal in meals:
        states[meal.day][meal.state] += 1
        by_month[meal.day.replace(day=1)].append(meal)
    length = 7 if any(day.isoweekday() > 5 for day in states) else 5
    months, first = [], span.first
    while first <= span.last:
        last = month_after(first) - timedelta(days=1)
        weeks: list[list[YearDay | None]] = []
        for monday in _mondays(first, last):
            row = [
                _year_day(day, states[day]) if first <= day <= last else None
                for day in (monday + timedelta(days=number) for number in range(length))
            ]
            if any(row):
                weeks.append(row)
        months.append(YearMonth(first, f"{first:%Y-%m}", weeks, totals_of(by_month[first])))
        first = month_after(first)
    return months


def _mondays(first: date, last: date) -> Iterable[date]:
    monday = monday_of(first)
    while monday <= last:
        yield monday
        monday += timedelta(days=7)


def _year_day(day: date, states: Mapping[str, int]) -> YearDay:
    eaten = states.get("due", 0) + states.get("paid", 0) + states.get("eaten", 0)
    cancelled = states.get("cancelled", 0) + states.get("struck", 0)
    counts = (states.get("confirmed", 0), eaten, states.get("held", 0), cancelled)
    return YearDay(day, _week(monday_of(day)), *counts)


def totals_of(meals: Iterable[BookedMeal]) -> list[Total]:
    """Meals that the family has booked or is charged without a booking, and the money that they and the cancelled ones keep,
    by child; what is due is not paid. Who shares a first name is told apart by the last."""
    names: dict[int, tuple[str, str]] = {}
    sums: dict[int, tuple[int, int]] = {}
    for meal in (meal for meal in meals if meal.own):
        names[meal.beneficiary_id] = (meal.first_name, meal.last_name)
        count, cents = sums.get(meal.beneficiary_id, (0, 0))
        if meal.state in ("confirmed", "paid"):
            sums[meal.beneficiary_id] = (count + 1, cents + meal.cents)
        elif meal.state == "due":
            sums[meal.beneficiary_id] = (count + 1, cents)
        elif meal.state == "cancelled":
            sums[meal.beneficiary_id] = (count, cents + meal.cents - meal.credit_cents)
    shared = Counter(first_name for first_name, _last_name in names.values())
    return [
        Total(" ".join(names[child]) if shared[names[child][0]] > 1 else names[child][0], *sums[child])
        for child in sorted(sums)
        if any(sums[child])
    ]
