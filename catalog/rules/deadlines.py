"""Until when: deadline rules, the instants that they give and the sentences that say them.

A rule holds one limit for all weekdays of a service, or one for each group of them. A limit counts back from the day of the
meal to a day and an hour in Paris. All of them are configuration: the catalogue file writes them (docs/rules.md).
"""

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from catalog.rules.days import ONE_DAY, WEEKDAY_NAMES
from shop.clock import paris_instant
from shop.french import listing
from shop.words import gettext as _

MIDNIGHT = "24:00"
"""The end of a day, as rules write it. "00:00" is its beginning, which people read as the end of the day before."""
NO_DAY = timedelta()


@dataclass(frozen=True)
class Calendar:
    """What a limit counts on."""

    serving: Sequence[date] = ()
    """The days on which the service serves, in order."""
    off: Collection[date] = ()
    """Public holidays."""

    def is_working(self, day: date) -> bool:
        """Whether it is a "jour ouvré": Monday to Friday, no public holiday."""
        return day.weekday() < 5 and day not in self.off


@dataclass(frozen=True)
class Limit:
    """The first moment that is too late, counted back from the day of a meal. Exactly one way to count is given."""

    at: str
    """The hour in Paris, "00:00" to "24:00"; "24:00" is the end of the day."""
    days_before: int | None = None
    counted: str | None = None
    """How `days_before` counts: "calendar", "working" or "serving" days."""
    weekday_before: int | None = None
    """The last such ISO weekday strictly before the meal."""
    weekday: int | None = None
    weeks_before: int | None = None
    """That weekday of the week which lies so many weeks before the meal's; 0 is its own."""
    day_of_month: int | None = None
    months_before: int | None = None
    """That day of the month so many months before the meal's; a shorter month ends on its last day."""
    if_off: str | None = None
    """"earlier": where the day found is no working day, the last one before it."""

    def as_json(self) -> dict[str, Any]:
        """The limit as a row keeps it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def last_day(limit: Limit, meal: date, calendar: Calendar) -> date:
    """The day on which the limit for the meal of a day falls.

    A limit that counts serving days and reaches back beyond the first one known goes on in calendar days from there.
    """
    day = _counted_back(limit, meal, calendar)
    if limit.if_off == "earlier":
        while not calendar.is_working(day):
            day -= ONE_DAY
    return day


def _counted_back(limit: Limit, meal: date, calendar: Calendar) -> date:
    if limit.weekday_before is not None:
        # Strictly before the meal: the same weekday means a week earlier.
        return meal - timedelta(days=(meal.isoweekday() - limit.weekday_before - 1) % 7 + 1)
    if limit.weekday is not None:
        monday = meal - timedelta(days=meal.weekday() + 7 * (limit.weeks_before or 0))
        return monday + timedelta(days=limit.weekday - 1)
    if limit.day_of_month is not None:
        months = meal.year * 12 + meal.month - 1 - (limit.months_before or 0)
        year, month = divmod(months, 12)
        return date(year, month + 1, min(limit.day_of_month, monthrange(year, month + 1)[1]))
    count = limit.days_before or 0
    if limit.counted == "calendar" or count == 0:
        return meal - timedelta(days=count)
    if limit.counted == "working":
        day = meal
        while count:
            day -= ONE_DAY
            count -= calendar.is_working(day)
        return day
    serving = calendar.serving
    place = bisect_left(serving, meal) - count
    if place >= 0:
        return serving[place]
    first = serving[0] if serving and serving[0] < meal else meal
    return first + timedelta(days=place)


def instant(limit: Limit, meal: date, calendar: Calendar) -> datetime:
    """The first instant (UTC) that is too late for the meal of a day."""
    day = last_day(limit, meal, calendar)
    if limit.at == MIDNIGHT:
        return paris_instant(day + ONE_DAY, time())
    return paris_instant(day, time.fromisoformat(limit.at))


@dataclass(frozen=True)
class Part:
    """A limit and the ISO weekdays of the meals that it is for; none named means all."""

    limit: Limit
    weekdays: tuple[int, ...] = ()


@dataclass(frozen=True)
class DeadlineRule:
    """The limits of a service: one for all meals, or one for each group of weekdays."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, at: str, **how: Any) -> "DeadlineRule":
        """The rule of one limit for all meals."""
        return cls((Part(Limit(at, **how)),))

    @classmethod
    def from_json(cls, facts: Any) -> "DeadlineRule":
        """The rule of a service's row: one limit, or a list of them with the weekdays that each is `for`."""
        if isinstance(facts, Mapping):
            return cls((Part(Limit(**facts)),))
        return cls(
            tuple(
                Part(
                    Limit(**{name: value for name, value in fact.items() if name != "for"}), tuple(fact.get("for", ()))
                )
                for fact in facts
            )
        )

    def as_json(self) -> Any:
        """The rule as a service's row keeps it."""
        if len(self.parts) == 1 and not self.parts[0].weekdays:
            return self.parts[0].limit.as_json()
        return [part.limit.as_json() | ({"for": list(part.weekdays)} if part.weekdays else {}) for part in self.parts]

    def limit_for(self, weekday: int) -> Limit:
        """The limit of meals on that ISO weekday. Raises `LookupError` when the rule has none."""
        for part in self.parts:
            if not part.weekdays or weekday in part.weekdays:
                return part.limit
        raise LookupError(f"no limit for weekday {weekday}")


def deadline(rule: DeadlineRule, meal: date, calendar: Calendar) -> datetime:
    """The first instant (UTC) that is too late for the meal of a day."""
    return instant(rule.limit_for(meal.isoweekday()), meal, calendar)


def sentences(rule: DeadlineRule, verb: str) -> list[str]:
    """The rule as parents read it, a sentence for each of its limits: "Réservez la veille du repas, avant 10 h."

    `verb` opens the sentence ("Réservez", "Annulez").
    """
    if len(rule.parts) == 1:
        return [_sentence(rule.parts[0].limit, verb)]
    found = []
    for part in rule.parts:
        words = _sentence(part.limit, verb, for_some=True)
        meals = listing([_("du %(day)s", day=WEEKDAY_NAMES[day - 1]) for day in part.weekdays])
        found.append(_("Pour les repas %(meals)s : %(sentence)s", meals=meals, sentence=words[:1].lower() + words[1:]))
    return found


def _sentence(limit: Limit, verb: str, for_some: bool = False) -> str:
    words = _when(limit, verb, for_some)
    if limit.if_off == "earlier":
        return _("%(words)s Si ce n’est pas un jour ouvré, le dernier jour ouvré qui précède compte.", words=words)
    return words


def _when(limit: Limit, verb: str, for_some: bool) -> str:
    facts: dict[str, Any] = {"verb": verb, "at": hour_words(limit.at)}
    if limit.weekday_before is not None:
        day = WEEKDAY_NAMES[limit.weekday_before - 1]
        if for_some:
            return _("%(verb)s avant le %(day)s qui précède, %(at)s.", day=day, **facts)
        return _("%(verb)s avant le %(day)s %(at)s pour les repas des sept jours qui suivent.", day=day, **facts)
    if limit.weekday is not None:
        facts["day"] = WEEKDAY_NAMES[limit.weekday - 1]
        match limit.weeks_before or 0:
            case 0:
                return _("%(verb)s avant le %(day)s %(at)s de la semaine du repas.", **facts)
            case 1:
                return _("%(verb)s avant le %(day)s %(at)s de la semaine qui précède le repas.", **facts)
            case weeks:
                return _("%(verb)s avant le %(day)s %(at)s, %(weeks)d semaines plus tôt.", weeks=weeks, **facts)
    if limit.day_of_month is not None:
        facts["day"] = _("1er") if limit.day_of_month == 1 else limit.day_of_month
        if limit.months_before == 1:
            return _("%(verb)s avant le %(day)s du mois précédent, %(at)s, pour les repas du mois.", **facts)
        return _("%(verb)s avant le %(day)s, %(at)s, %(months)d mois plus tôt.", months=limit.months_before, **facts)
    count = limit.days_before or 0
    if not count:
        return _("%(verb)s le jour même, avant %(at)s.", **facts)
    counted = limit.counted
    if limit.at == "00:00" and counted == "calendar":
        # The beginning of a day is the end of the day before, and read as that.
        count, facts["at"] = count + 1, hour_words(MIDNIGHT)
    facts["count"] = count
    if counted == "calendar":
        if count == 1:
            return _("%(verb)s la veille du repas, avant %(at)s.", **facts)
        return _("%(verb)s %(count)d jours avant le repas, avant %(at)s.", **facts)
    if counted == "working":
        if count == 1:
            return _("%(verb)s le jour ouvré qui précède le repas, avant %(at)s.", **facts)
        return _("%(verb)s %(count)d jours ouvrés avant le repas, avant %(at)s.", **facts)
    if count == 1:
        return _("%(verb)s le jour de service qui précède le repas, avant %(at)s.", **facts)
    return _("%(verb)s %(count)d jours de service avant le repas, avant %(at)s.", **facts)


def usual_week(rule: DeadlineRule, weekdays: Collection[int]) -> list[str]:
    """The rule applied to a week without holidays, one line a deadline: "avant le vendredi 9 h pour lundi et mardi".

    `weekdays` are the ISO weekdays of the service. There are no lines where the sentences say it all: a rule of the same
    day, of one weekday, of a day of the month, of groups of weekdays.
    """
    if len(rule.parts) > 1:
        return []
    limit = rule.parts[0].limit
    if not limit.days_before:
        return []
    # An ordinary stretch of weeks, read with the very function that sets the deadlines, so that both always agree.
    reach = 7 * (limit.days_before + 2)
    monday = date(2001, 1, 1) + timedelta(days=reach)
    stretch = (monday + timedelta(days=n) for n in range(-reach, 7))
    calendar = Calendar([day for day in stretch if day.isoweekday() in weekdays])
    groups: dict[tuple[int, int], list[str]] = {}
    for meal in calendar.serving[-len(weekdays) :]:
        last = last_day(limit, meal, calendar) - (ONE_DAY if limit.at == "00:00" else NO_DAY)
        distance = (meal - last).days
        far = distance if distance >= 7 else 0
        groups.setdefault((last.isoweekday(), far), []).append(WEEKDAY_NAMES[meal.isoweekday() - 1])
    lines = []
    for (weekday, far), meals in groups.items():
        facts: dict[str, object] = {
            "day": WEEKDAY_NAMES[weekday - 1],
            "at": hour_words(MIDNIGHT if limit.at == "00:00" else limit.at),
            "meals": listing(meals),
        }
        if far:
            lines.append(_("avant le %(day)s %(at)s, %(far)d jours plus tôt, pour %(meals)s", far=far, **facts))
        else:
            lines.append(_("avant le %(day)s %(at)s pour %(meals)s", **facts))
    return lines


def hour_words(at: str) -> str:
    """An hour of a rule as people read it: "10 h", "8 h 30", "minuit"."""
    if at == MIDNIGHT:
        return _("minuit")
    hours, minutes = at.split(":")
    return f"{int(hours)}\u00a0h" if minutes == "00" else f"{int(hours)}\u00a0h\u00a0{minutes}"
