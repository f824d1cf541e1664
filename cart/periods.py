"""The stretch of days that the booking page shows: a week, a month, or all until the next school holidays."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from cart.rules import monday_of, month_after, month_before
from shop.french import day_plain, month_name
from shop.words import gettext as _

FURTHEST = timedelta(days=500)
LONGEST_AHEAD = timedelta(days=150)
LONGEST_YEAR = timedelta(days=330)


@dataclass(frozen=True)
class Period:
    """Days from `first` to `last`, both included, and how the address of the page names them."""

    code: str
    first: date
    last: date
    title: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> str:
        """ "mois", "semaine", "vacances" or "annee"."""
        return self.code.partition(":")[0]


def read_period(code: str | None, today: date, holidays_end: date, year_end: date) -> Period | None:
    """The period of an address; nothing when it says nothing that is possible."""
    kind, _colon, text = (code or "").partition(":")
    if kind == "vacances":
        return until_holidays(today, holidays_end)
    if kind == "annee":
        return until_summer(today, year_end)
    try:
        day = date.fromisoformat(f"{text}-01" if kind == "mois" else text)
    except ValueError:
        return None
    if abs(day - today) > FURTHEST:
        return None
    return week(day, today) if kind == "semaine" else month(day, today)


def usual_periods(today: date) -> list[Period]:
    """Where the page may open by itself: the current month and, in its last days, the next one."""
    this, soon = month(today, today), month(today + timedelta(days=7), today)
    return [this] if soon == this else [this, soon]


@lru_cache(maxsize=256)
def month(day: date, today: date) -> Period:
    """The month of a day."""
    first = day.replace(day=1)
    before, after = month_before(first), month_after(first)
    return Period(
        code=f"mois:{first:%Y-%m}",
        first=first,
        last=after - timedelta(days=1),
        title=month_name(first),
        before=f"mois:{before:%Y-%m}" if first > today else None,
        after=f"mois:{after:%Y-%m}" if after - today < FURTHEST else None,
    )


@lru_cache(maxsize=256)
def week(day: date, today: date) -> Period:
    """The week of a day, Monday to Sunday."""
    first = monday_of(day)
    return Period(
        code=f"semaine:{first.isoformat()}",
        first=first,
        last=first + timedelta(days=6),
        title=_("semaine %(number)s", number=first.isocalendar().week),
        before=f"semaine:{(first - timedelta(days=7)).isoformat()}" if first > today else None,
        after=f"semaine:{(first + timedelta(days=7)).isoformat()}" if first - today < FURTHEST else None,
    )


@lru_cache(maxsize=256)
def until_holidays(today: date, last: date) -> Period:
    """All days until the school holidays begin."""
    last = max(min(last, today + LONGEST_AHEAD), today)
    return Period("vacances", today, last, _("jusqu’au %(day)s", day=day_plain(last)), None, None)


@lru_cache(maxsize=256)
def until_summer(today: date, last: date) -> Period:
    """All days until the school year ends."""
    last = max(min(last, today + LONGEST_YEAR), today)
    return Period("annee", today, last, _("toute l’année, jusqu’au %(day)s", day=day_plain(last)), None, None)


WEEKDAYS = (
    (1, _("lundis")),
    (2, _("mardis")),
    (3, _("mercredis")),
    (4, _("jeudis")),
    (5, _("vendredis")),
    (6, _("samedis")),
    (7, _("dimanches")),
)


@lru_cache(maxsize=128)
def weekdays(served: str) -> tuple[tuple[int, str], ...]:
    """The weekdays on which a service is open, of which `served` holds the ISO numbers: number and words."""
    return tuple((number, words) for number, words in WEEKDAYS if str(number) in served)
