"""Decisions about serving days and deadlines: values in, values out."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from shop.clock import paris_instant
from shop.words import gettext as _

WEEKDAY_NAMES = (_("lundi"), _("mardi"), _("mercredi"), _("jeudi"), _("vendredi"), _("samedi"), _("dimanche"))
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DeadlineRule:
    """Until when, counted back from the day of the meal: some days before, or the last such weekday before.

    Either `days_before` with `counted` ("serving" or "calendar"), or `weekday_before` (ISO: 1 is Monday).
    `at` is an hour in Paris.
    """

    at: time
    days_before: int | None = None
    counted: str | None = None
    weekday_before: int | None = None

    def as_json(self) -> dict[str, object]:
        """The rule as a service's row keeps it."""
        facts: dict[str, object] = {"at": self.at.isoformat("minutes")}
        if self.weekday_before is not None:
            return facts | {"weekday_before": self.weekday_before}
        return facts | {"days_before": self.days_before, "counted": self.counted}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "DeadlineRule":
        """The rule of a service's row."""
        return cls(**{**facts, "at": time.fromisoformat(facts["at"])})


def deadline(rule: DeadlineRule, day: date, serving_days: Sequence[date]) -> datetime:
    """The first instant (UTC) that is too late for the meal of `day`.

    `serving_days` are the days on which the service serves, in order. A rule that counts serving days and reaches
    back beyond the first one known goes on in calendar days from there.
    """
    return paris_instant(_last_day(rule, day, serving_days), rule.at)


def _last_day(rule: DeadlineRule, day: date, serving_days: Sequence[date]) -> date:
    if rule.weekday_before is not None:
        # Strictly before the meal: the same weekday means a week earlier.
        return day - timedelta(days=(day.isoweekday() - rule.weekday_before - 1) % 7 + 1)
    count = rule.days_before or 0
    if rule.counted == "calendar" or count == 0:
        return day - timedelta(days=count)
    place = bisect_left(serving_days, day) - count
    if place >= 0:
        return serving_days[place]
    first = serving_days[0] if serving_days and serving_days[0] < day else day
    return first + timedelta(days=place)


def describe(rule: DeadlineRule) -> str:
    """The rule in the middle of a sentence: "la veille à 9 h", "le dernier jeudi avant le repas, à 12 h"."""
    at = f"{rule.at.hour} h {rule.at.minute:02d}" if rule.at.minute else f"{rule.at.hour} h"
    if rule.weekday_before is not None:
        return _("le dernier %(day)s avant le repas, à %(at)s", day=WEEKDAY_NAMES[rule.weekday_before - 1], at=at)
    if rule.days_before == 0:
        return _("le jour même à %(at)s", at=at)
    if rule.counted == "calendar":
        if rule.days_before == 1:
            return _("la veille à %(at)s", at=at)
        return _("%(count)d jours avant, à %(at)s", count=rule.days_before, at=at)
    if rule.days_before == 1:
        return _("le jour de service précédent, à %(at)s", at=at)
    return _("%(count)d jours de service avant, à %(at)s", count=rule.days_before, at=at)


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
