"""Rules tried on examples: what a catalogue file's rules give for a meal, a moment and a family, and why. No database.

A file may hold worked examples of its own (`[[cases]]`), with what the règlement says they give. `flask rules try` evaluates
them, so that whoever writes a commune's rules sees that they say what the commune means.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from catalog.rules.days import Period, plan_days
from catalog.rules.deadlines import Calendar
from catalog.rules.policies import Deadlines, deadlines
from catalog.rules.prices import Situation, Surcharge, amount_words, cap_words, credit, ordinary_price, row_words
from catalog.town import Case, CommuneEntry, SchoolCalendar, ServiceEntry, TariffEntry, Town
from shop.clock import PARIS
from shop.errors import Refusal
from shop.french import moment
from shop.money import format_euros
from shop.words import gettext as _


@dataclass(frozen=True)
class Outcome:
    """What the rules give for a case."""

    service: str
    tariff: str
    deadline: datetime | None
    verdict: str
    """"in time", "late" (at the late price), "too late", "closed" (nothing is served that day)."""
    cents: int | None
    """The price, or the credit of a cancelled meal; nothing where the answer is no."""
    reasons: tuple[str, ...]
    differs: tuple[str, ...]
    """What is not as the case says."""


class UnknownName(Refusal):
    """A case names something that the file does not hold."""

    def __init__(self, what: str, name: str | None) -> None:
        super().__init__(
            _("Exemple : %(what)s « %(name)s » n’est pas dans le fichier.", what=what, name=name)
            if name
            else _("Exemple : précisez %(what)s, le fichier en contient plusieurs.", what=what)
        )


def try_cases(town: Town, school: SchoolCalendar) -> Iterator[tuple[Case, Outcome]]:
    """Every case of the file with what its rules give. Raises `UnknownName`."""
    for case in town.cases:
        commune = _named(_("la commune"), town.communes, case.commune, "slug")
        service = _named(_("le service"), commune.services, case.service, "slug")
        tariff = (
            service.tariffs[0] if case.tariff is None else _named(_("le tarif"), service.tariffs, case.tariff, "code")
        )
        yield case, try_case(case, service, tariff, calendar_of(commune, service, school, case.meal, case.meal))


def _named(what: str, things: Sequence[Any], name: str | None, key: str) -> Any:
    if name is None and len(things) == 1:
        return things[0]
    found = [thing for thing in things if getattr(thing, key) == name]
    if not found:
        raise UnknownName(what, name)
    return found[0]


def calendar_of(
    commune: CommuneEntry, service: ServiceEntry, school: SchoolCalendar, first: date, last: date
) -> Calendar:
    """What the rules of a service count on, for meals between two days (both included)."""
    shut = [
        *(
            Period(holiday.from_day, holiday.until_day, holiday.label)
            for year in school.years
            for holiday in year.holidays
            if holiday.zone == commune.zone
        ),
        *(Period(day, day, label) for day, label in school.public_holidays.items()),
        *(
            Period(closure.from_day, closure.until_day, closure.reason)
            for closure in (*commune.closures, *service.closures)
        ),
    ]
    years = [Period(year.from_day, year.until_day, year.name) for year in school.years]
    # From the first school year that is known: a limit may count back sixty meals of a service that has one a week.
    known = min((year.first_day for year in years), default=first)
    planned = plan_days(known, last, service.weekdays, years, shut)
    return Calendar([plan.day for plan in planned if plan.closed_reason is None], frozenset(school.public_holidays))


def try_case(case: Case, service: ServiceEntry, tariff: TariffEntry, calendar: Calendar) -> Outcome:
    """What the rules give for one case."""
    if case.meal not in calendar.serving:
        shut = (_("Pas de service le %(day)s.", day=case.meal.isoformat()),)
        return _compared(case, service, tariff, None, "closed", None, shut)
    limits = deadlines(service.rules, case.meal, calendar)
    price, reasons = _price(case, tariff)
    if case.action == "eat":
        unbooked = service.policies.unbooked
        if price is not None and unbooked is not None and case.times > unbooked.free:
            reasons.append(_("Présent sans réservation : %(words)s.", words=unbooked.surcharge.words()))
            price = _surcharged(unbooked.surcharge, price, service, reasons)
        return _compared(case, service, tariff, None, "in time", price, tuple(reasons))
    if case.action == "free":
        return _given_back(case, service, tariff, limits, price, reasons)
    limit = limits.book if case.action == "book" else limits.cancel
    in_time = case.at is None or case.at < limit
    if case.action == "cancel":
        if not in_time:
            return _compared(case, service, tariff, limit, "too late", 0, (_("Le repas reste dû."),))
        given = None if price is None else credit(service.policies.credit, price)
        return _compared(case, service, tariff, limit, "in time", given, tuple(reasons))
    if in_time:
        return _compared(case, service, tariff, limit, "in time", price, tuple(reasons))
    late = service.policies.late
    if late is None or limits.late is None or (case.at is not None and case.at >= limits.late):
        return _compared(case, service, tariff, limit, "too late", None, (_("Trop tard."),))
    if price is not None:
        reasons.append(
            _("Hors délai, jusqu’au %(until)s : %(words)s.", until=moment(limits.late), words=late.surcharge.words())
        )
        price = _surcharged(late.surcharge, price, service, reasons)
    return _compared(case, service, tariff, limit, "late", price, tuple(reasons))


def _given_back(
    case: Case,
    service: ServiceEntry,
    tariff: TariffEntry,
    limits: Deadlines,
    price: int | None,
    reasons: list[str],
) -> Outcome:
    """A meal that is given back: what is credited when another family takes it."""
    if limits.freed is None or (case.at is not None and case.at >= limits.freed):
        return _compared(case, service, tariff, limits.freed, "too late", 0, (_("Le repas reste dû."),))
    if case.at is not None and case.at < limits.cancel:
        reasons.append(_("Ce repas peut encore être annulé."))
    reasons.append(_("Crédité si une autre famille le reprend ; sinon il reste dû."))
    return _compared(case, service, tariff, limits.freed, "in time", price, tuple(reasons))


def _surcharged(surcharge: Surcharge, ordinary: int, service: ServiceEntry, reasons: list[str]) -> int:
    """The price with its surcharge; what stopped it is added to the reasons."""
    cost_price = service.policies.cost_price
    asked = surcharge.on(ordinary, cost_price)
    if cost_price is not None and asked < surcharge.on(ordinary):
        reasons.append(cap_words(ordinary, cost_price))
    return asked


def _price(case: Case, tariff: TariffEntry) -> tuple[int | None, list[str]]:
    """The ordinary price of the case's meal and why."""
    entry = next(
        (
            price
            for price in tariff.prices
            if price.from_day <= case.meal and (price.until_day is None or case.meal <= price.until_day)
        ),
        None,
    )
    if entry is None:
        return None, [_("Aucun prix ne vaut ce jour-là.")]
    situation = Situation(case.quotient, case.rank, case.eating or 1, case.level)
    priced = ordinary_price(entry.cents, entry.grid, situation)
    reasons = [_("Tarif « %(label)s » : %(amount)s.", label=tariff.label, amount=format_euros(priced.ordinary))]
    if priced.row is not None:
        reasons.append(_("Ligne « %(row)s », %(amount)s.", row=row_words(priced.row), amount=amount_words(priced.row)))
    if "quotient" in priced.unknown:
        reasons.append(_("Quotient non connu : le prix le plus élevé."))
    return priced.cents, reasons


def _compared(
    case: Case,
    service: ServiceEntry,
    tariff: TariffEntry,
    limit: datetime | None,
    verdict: str,
    cents: int | None,
    reasons: tuple[str, ...],
) -> Outcome:
    differs = []
    if case.deadline is not None and case.deadline != limit:
        differs.append(_("attendu : %(limit)s", limit=local(case.deadline)))
    if case.cents is not None and case.cents != cents:
        differs.append(_("attendu : %(amount)s", amount=format_euros(case.cents)))
    return Outcome(service.name, tariff.label, limit, verdict, cents, reasons, tuple(differs))


def local(at: datetime | None) -> str:
    """A moment as the file writes it, "2026-11-20T09:00"; empty for none."""
    return "" if at is None else at.astimezone(PARIS).replace(tzinfo=None).isoformat(timespec="minutes")
