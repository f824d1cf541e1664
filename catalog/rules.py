"""Decisions about serving days and deadlines: values in, values out."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from shop.clock import paris_instant
from shop.french import listing
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


def sentence(rule: DeadlineRule, verb: str) -> str:
    """The rule as parents read it: "Réservez avant le vendredi 9 h pour les repas des sept jours qui suivent."

    `verb` opens the sentence ("Réservez", "Annulez").
    """
    at = _hour(rule)
    if rule.weekday_before is not None:
        day = WEEKDAY_NAMES[rule.weekday_before - 1]
        return _(
            "%(verb)s avant le %(day)s %(at)s pour les repas des sept jours qui suivent.", verb=verb, day=day, at=at
        )
    if not rule.days_before:
        return _("%(verb)s le jour même, avant %(at)s.", verb=verb, at=at)
    facts: dict[str, object] = {"verb": verb, "at": at, "count": rule.days_before}
    if rule.counted == "calendar":
        if rule.days_before == 1:
            return _("%(verb)s la veille du repas, avant %(at)s.", verb=verb, at=at)
        return _("%(verb)s %(count)d jours avant le repas, avant %(at)s.", **facts)
    if rule.days_before == 1:
        return _("%(verb)s le jour de service qui précède le repas, avant %(at)s.", verb=verb, at=at)
    return _("%(verb)s %(count)d jours de service avant le repas, avant %(at)s.", **facts)


def usual_week(rule: DeadlineRule, weekdays: Collection[int]) -> list[str]:
    """The rule applied to a week without holidays, one line a deadline: "avant le vendredi 9 h pour lundi et mardi".

    `weekdays` are the ISO weekdays of the service. There are no lines where `sentence` says it all: a rule of the same
    day, or of one weekday.
    """
    if rule.days_before == 0 or rule.weekday_before is not None:
        return []
    # An ordinary stretch of weeks, read with the very function that sets the deadlines, so that both always agree.
    reach = 7 * ((rule.days_before or 1) + 2)
    monday = date(2001, 1, 1) + timedelta(days=reach)
    stretch = (monday + timedelta(days=n) for n in range(-reach, 7))
    serving_days = [day for day in stretch if day.isoweekday() in weekdays]
    groups: dict[tuple[int, int], list[str]] = {}
    for meal in serving_days[-len(weekdays) :]:
        last = _last_day(rule, meal, serving_days)
        distance = (meal - last).days
        far = distance if distance >= 7 else 0
        groups.setdefault((last.isoweekday(), far), []).append(WEEKDAY_NAMES[meal.isoweekday() - 1])
    lines = []
    for (weekday, far), meals in groups.items():
        facts: dict[str, object] = {"day": WEEKDAY_NAMES[weekday - 1], "at": _hour(rule), "meals": listing(meals)}
        if far:
            lines.append(_("avant le %(day)s %(at)s, %(far)d jours plus tôt, pour %(meals)s", far=far, **facts))
        else:
            lines.append(_("avant le %(day)s %(at)s pour %(meals)s", **facts))
    return lines


def _hour(rule: DeadlineRule) -> str:
    return f"{rule.at.hour}\u00a0h\u00a0{rule.at.minute:02d}" if rule.at.minute else f"{rule.at.hour}\u00a0h"


def weekdays_phrase(weekdays: Collection[int]) -> str:
    """When a service is there: "du lundi au vendredi", "lundi, mardi, jeudi et vendredi"."""
    days = sorted(weekdays)
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return _("du %(first)s au %(last)s", first=WEEKDAY_NAMES[days[0] - 1], last=WEEKDAY_NAMES[days[-1] - 1])
    return listing([WEEKDAY_NAMES[day - 1] for day in days])


@dataclass(frozen=True)
class Dish:
    """One dish of a menu."""

    name: str
    vegetarian: bool


VEGETARIAN = "(végétarien)"


def dishes(menu: str | None) -> tuple[Dish, ...]:
    """The dishes of a menu as a serving day keeps it: one a line, "(végétarien)" at the end of one that is."""
    lines = (line.strip() for line in (menu or "").splitlines())
    return tuple(Dish(line.removesuffix(VEGETARIAN).rstrip(), line.endswith(VEGETARIAN)) for line in lines if line)


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
