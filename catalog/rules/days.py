"""Decisions about serving days: which days a service serves, and why not."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from shop.french import listing
from shop.words import gettext as _

WEEKDAY_NAMES = (_("lundi"), _("mardi"), _("mercredi"), _("jeudi"), _("vendredi"), _("samedi"), _("dimanche"))
ONE_DAY = timedelta(days=1)


def weekdays_phrase(weekdays: Collection[int]) -> str:
    """When a service is there: "du lundi au vendredi", "lundi, mardi, jeudi et vendredi"."""
    days = sorted(weekdays)
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return _("du %(first)s au %(last)s", first=WEEKDAY_NAMES[days[0] - 1], last=WEEKDAY_NAMES[days[-1] - 1])
    return listing([WEEKDAY_NAMES[day - 1] for day in days])


@dataclass(frozen=True)
class Period:
    """Days from a first to a last, both included, and what they are called."""

    first_day: date
    last_day: date
    label: str


@dataclass(frozen=True)
class PlannedDay:
    """A day on which a service would serve, and why it does not (nothing when it does)."""

    day: date
    closed_reason: str | None


def plan_days(
    from_day: date,
    until_day: date,
    weekdays: Collection[int],
    school_years: Collection[Period],
    shut: Sequence[Period],
) -> Iterator[PlannedDay]:
    """The service's weekdays within the school years, from a day to a day (both included), in order.

    A day inside one of `shut` (holidays, public holidays, closures) is closed, by the first of them that holds it.
    """
    day = from_day
    while day <= until_day:
        if day.isoweekday() in weekdays and any(year.first_day <= day <= year.last_day for year in school_years):
            reasons = (period.label for period in shut if period.first_day <= day <= period.last_day)
            yield PlannedDay(day, next(reasons, None))
        day += ONE_DAY
