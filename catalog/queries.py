"""Reads of the catalogue, as the public pages need them: a fixed number of statements, whatever there is to show."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Result, and_, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from catalog.models import (
    Closure,
    Commune,
    Holiday,
    Regie,
    School,
    SchoolLimit,
    SchoolYear,
    Service,
    ServiceDay,
    Tariff,
    TariffPrice,
)
from catalog.rules.days import weekdays_phrase
from catalog.rules.deadlines import usual_week
from catalog.rules.menus import Dish, dishes
from catalog.rules.policies import Rules, all_sentences, read_rules
from catalog.rules.prices import amount_words, lowest, read_grid, row_words
from catalog.town import HolidayEntry, SchoolCalendar, SchoolYearEntry
from shop.errors import NotFound
from shop.words import gettext as _
from shop.words import of_service

MENU_DAYS = 14
"""How far ahead menus and deadlines are shown."""
HOME_MENUS = 5
HOME_MENU_REACH = 28
"""Days ahead in which the home page looks for menus: longer than any holidays but the summer's."""


@dataclass(frozen=True)
class ServiceCard:
    """A service as the home page shows it; `from_cents` is the lowest price of a child today."""

    name: str
    kind: str
    weekdays: str
    from_cents: int | None


@dataclass(frozen=True)
class CommuneCard:
    """A commune as the home page shows it."""

    slug: str
    name: str
    services: tuple[ServiceCard, ...]


@dataclass(frozen=True)
class HomeMenu:
    """The menu of a day, and at how many canteens it is served; `commune` is one of them."""

    day: date
    dishes: tuple[Dish, ...]
    canteens: int
    commune: str


@dataclass(frozen=True)
class Home:
    """What the home page shows."""

    communes: tuple[CommuneCard, ...]
    menus: tuple[HomeMenu, ...]


def home(db: Session, today: date) -> Home:
    """The communes with their services, and the menus of the next days. Three statements."""
    rows = db.execute(
        select(Commune.slug, Commune.name, Service.id, Service.name, Service.kind, Service.weekdays)
        .outerjoin(Service, Service.commune_id == Commune.id)
        .order_by(Commune.name, Service.position, Service.id)
    ).all()
    least: dict[int, int] = {}
    # A child's own meal is no price to be drawn by.
    prices = (
        select(Tariff.service_id, TariffPrice.cents, TariffPrice.grid)
        .join(TariffPrice, TariffPrice.tariff_id == Tariff.id)
        .where(Tariff.audience == "child", Tariff.pai.is_(False), _valid_on(today))
    )
    for service_id, cents, grid in db.execute(prices):
        price = cents if grid is None else lowest(read_grid(grid))
        least[service_id] = min(price, least.get(service_id, price))
    services: dict[tuple[str, str], list[ServiceCard]] = defaultdict(list)
    for slug, commune, service_id, name, kind, weekdays in rows:
        cards = services[slug, commune]
        if service_id is not None:
            cards.append(ServiceCard(name, kind, _weekdays(weekdays), least.get(service_id)))
    communes = tuple(CommuneCard(slug, name, tuple(cards)) for (slug, name), cards in services.items())
    canteens = [service_id for _slug, _name, service_id, _label, kind, _days in rows if kind == "canteen"]
    return Home(communes, _home_menus(db, canteens, today))


def _home_menus(db: Session, canteens: Sequence[int], today: date) -> tuple[HomeMenu, ...]:
    """One menu a day, the one that most canteens serve; the pages of the communes show each its own."""
    rows = db.execute(
        select(ServiceDay.day, ServiceDay.menu, func.count(), func.min(Commune.name))
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .where(
            ServiceDay.service_id.in_(canteens),
            ServiceDay.day.between(today, today + timedelta(days=HOME_MENU_REACH)),
            ServiceDay.is_open,
            ServiceDay.menu.is_not(None),
        )
        .group_by(ServiceDay.day, ServiceDay.menu)
        .order_by(ServiceDay.day, func.count().desc(), func.min(Commune.name))
    )
    menus: dict[date, HomeMenu] = {}
    for day, menu, count, commune in rows:
        if day not in menus:
            if len(menus) == HOME_MENUS:
                break
            menus[day] = HomeMenu(day, dishes(menu), count, commune)
    return tuple(menus.values())


def _valid_on(day: date) -> ColumnElement[bool]:
    return and_(TariffPrice.valid_from <= day, or_(TariffPrice.valid_until.is_(None), TariffPrice.valid_until >= day))


def _weekdays(digits: str) -> str:
    return weekdays_phrase([int(digit) for digit in digits])


@dataclass(frozen=True)
class Price:
    """A price from a day on: cents, or the rows of its grid as (where it holds, what it asks)."""

    cents: int
    from_day: date
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TariffCard:
    """A tariff with its price of today and those that are announced."""

    label: str
    audience: str
    documents: str | None
    now: Price | None
    announced: tuple[Price, ...]


@dataclass(frozen=True)
class NextDay:
    """A day that can still be booked, with its deadlines."""

    day: date
    book_deadline_at: datetime
    cancel_deadline_at: datetime
    full: bool


@dataclass(frozen=True)
class MenuDay:
    """A day with its menu, or the reason why nothing is served."""

    day: date
    dishes: tuple[Dish, ...]
    closed_reason: str | None


@dataclass(frozen=True)
class RuleCard:
    """A rule in words; `week` is what it gives in an ordinary week, day by day, where the sentences do not say it all."""

    title: str
    sentences: tuple[str, ...]
    week: tuple[str, ...]


@dataclass(frozen=True)
class ServicePage:
    """A service as the page of its commune shows it."""

    slug: str
    name: str
    kind: str
    description: str
    weekdays: str
    settlement: str
    capacity: int | None
    school_limits: tuple[tuple[str, int], ...]
    """Schools with places of their own: name, meals a day."""
    rules: tuple[RuleCard, ...]
    tariffs: tuple[TariffCard, ...]
    next_days: tuple[NextDay, ...]
    menus: tuple[MenuDay, ...]

    @property
    def has_menus(self) -> bool:
        """Whether dishes are known for at least one of the days."""
        return any(day.dishes for day in self.menus)


@dataclass(frozen=True)
class Span:
    """Days from a first to a last, both included, and what they are called; `service` when only that one is closed."""

    label: str
    first_day: date
    last_day: date
    service: str | None = None


@dataclass(frozen=True)
class YearPage:
    """A school year: its days of school and what interrupts them, in order."""

    name: str
    first_day: date
    last_day: date
    breaks: tuple[Span, ...]


@dataclass(frozen=True)
class SchoolLine:
    """A school and its level in words."""

    name: str
    level: str


@dataclass(frozen=True)
class CommunePage:
    """What the page of a commune shows."""

    slug: str
    name: str
    zone: str
    accent: str
    email: str | None
    phone: str | None
    address: str | None
    regie: str
    services: tuple[ServicePage, ...]
    schools: tuple[SchoolLine, ...]
    years: tuple[YearPage, ...]
    closures: tuple[Span, ...]


def commune(db: Session, slug: str, now: datetime, today: date) -> CommunePage:
    """A commune with everything that is public about it. Six statements. Raises `NotFound`."""
    row = db.execute(
        select(
            Commune.id,
            Commune.name,
            Commune.zone,
            Commune.accent,
            Commune.contact_email,
            Commune.contact_phone,
            Commune.address,
            Regie.legal_name,
        )
        .join(Regie, Regie.id == Commune.regie_id)
        .where(Commune.slug == slug)
    ).first()
    if row is None:
        raise NotFound
    commune_id, name, zone, accent, email, phone, address, regie = row
    years, closures = _calendar(db, commune_id, zone, today)
    schools, limits = _schools(db, commune_id)
    return CommunePage(
        slug=slug,
        name=name,
        zone=zone,
        accent=accent,
        email=email,
        phone=phone,
        address=address,
        regie=regie,
        services=_services(db, commune_id, limits, now, today),
        schools=schools,
        years=years,
        closures=closures,
    )


def _schools(db: Session, commune_id: int) -> tuple[tuple[SchoolLine, ...], dict[int, list[tuple[str, int]]]]:
    """The schools of a commune; the places that services keep for them, by service."""
    levels = {
        "nursery": _("maternelle"),
        "elementary": _("élémentaire"),
        "primary": _("maternelle et élémentaire"),
        "secondary": _("collège ou lycée"),
    }
    rows = db.execute(
        select(School.name, School.level, SchoolLimit.service_id, SchoolLimit.capacity)
        .outerjoin(SchoolLimit, SchoolLimit.school_id == School.id)
        .where(School.commune_id == commune_id)
        .order_by(School.name, SchoolLimit.id)
    )
    schools: dict[str, SchoolLine] = {}
    limits: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for name, level, service_id, capacity in rows:
        schools[name] = SchoolLine(name, levels[level])
        if service_id is not None:
            limits[service_id].append((name, capacity))
    return tuple(schools.values()), limits


def _services(
    db: Session, commune_id: int, limits: Mapping[int, list[tuple[str, int]]], now: datetime, today: date
) -> tuple[ServicePage, ...]:
    rows = db.execute(
        select(
            Service.id,
            Service.slug,
            Service.name,
            Service.kind,
            Service.description,
            Service.weekdays,
            Service.settlement,
            Service.capacity,
            Service.book_rule,
            Service.cancel_rule,
            Service.policies,
        )
        .where(Service.commune_id == commune_id)
        .order_by(Service.position, Service.id)
    ).all()
    ids = [row.id for row in rows]
    tariffs = _tariffs(db, ids, today)
    next_days, menus = _days(db, ids, now, today)
    pages = []
    for row in rows:
        weekdays = [int(digit) for digit in row.weekdays]
        pages.append(
            ServicePage(
                slug=row.slug,
                name=row.name,
                kind=row.kind,
                description=row.description,
                weekdays=weekdays_phrase(weekdays),
                settlement=row.settlement,
                capacity=row.capacity,
                rules=_rules(row, weekdays, row.capacity is not None or row.id in limits),
                school_limits=tuple(limits.get(row.id, ())),
                tariffs=tuple(tariffs[row.id]),
                next_days=tuple(next_days[row.id]),
                menus=tuple(menus[row.id]),
            )
        )
    return tuple(pages)


def _rules(row: Any, weekdays: Sequence[int], limited: bool) -> tuple[RuleCard, ...]:
    rules = read_rules(row.book_rule, row.cancel_rule, row.policies)
    weeks = (usual_week(rules.booking, weekdays), usual_week(rules.cancel, weekdays))
    return tuple(
        RuleCard(
            of_service(title, row.kind),
            tuple(of_service(sentence, row.kind) for sentence in words),
            tuple(weeks[place]) if place < len(weeks) else (),
        )
        for place, (title, words) in enumerate(all_sentences(rules, limited))
    )


def _tariffs(db: Session, service_ids: Sequence[int], today: date) -> dict[int, list[TariffCard]]:
    rows = db.execute(
        select(
            Tariff.service_id,
            Tariff.id,
            Tariff.label,
            Tariff.audience,
            Tariff.documents,
            TariffPrice.cents,
            TariffPrice.valid_from,
            TariffPrice.grid,
        )
        .outerjoin(
            TariffPrice,
            and_(
                TariffPrice.tariff_id == Tariff.id,
                or_(TariffPrice.valid_until.is_(None), TariffPrice.valid_until >= today),
            ),
        )
        .where(Tariff.service_id.in_(service_ids))
        .order_by(Tariff.service_id, Tariff.position, Tariff.id, TariffPrice.valid_from)
    )
    prices: dict[tuple[int, int, str, str, str | None], list[Price]] = defaultdict(list)
    for service_id, tariff_id, label, audience, documents, cents, valid_from, grid in rows:
        known = prices[service_id, tariff_id, label, audience, documents]
        if cents is not None:
            shown = tuple((row_words(line), amount_words(line)) for line in read_grid(grid or ()))
            known.append(Price(cents, valid_from, shown))
    tariffs: dict[int, list[TariffCard]] = defaultdict(list)
    for (service_id, _tariff_id, label, audience, documents), known in prices.items():
        current = next((price for price in known if price.from_day <= today), None)
        announced = tuple(price for price in known if price.from_day > today)
        tariffs[service_id].append(TariffCard(label, audience, documents, current, announced))
    return tariffs


def _days(
    db: Session, service_ids: Sequence[int], now: datetime, today: date
) -> tuple[dict[int, list[NextDay]], dict[int, list[MenuDay]]]:
    rows = db.execute(
        select(
            ServiceDay.service_id,
            ServiceDay.day,
            ServiceDay.is_open,
            ServiceDay.closed_reason,
            ServiceDay.capacity,
            ServiceDay.booked_count,
            ServiceDay.book_deadline_at,
            ServiceDay.cancel_deadline_at,
            ServiceDay.menu,
        )
        .where(
            ServiceDay.service_id.in_(service_ids),
            ServiceDay.day.between(today, today + timedelta(days=MENU_DAYS - 1)),
        )
        .order_by(ServiceDay.day)
    )
    next_days: dict[int, list[NextDay]] = defaultdict(list)
    menus: dict[int, list[MenuDay]] = defaultdict(list)
    for row in rows:
        if row.is_open and row.book_deadline_at > now:
            full = row.capacity is not None and row.booked_count >= row.capacity
            next_days[row.service_id].append(NextDay(row.day, row.book_deadline_at, row.cancel_deadline_at, full))
        if row.menu or not row.is_open:
            shown = dishes(row.menu) if row.is_open else ()
            menus[row.service_id].append(MenuDay(row.day, shown, None if row.is_open else row.closed_reason or ""))
    return next_days, menus


def _calendar(db: Session, commune_id: int, zone: str, today: date) -> tuple[tuple[YearPage, ...], tuple[Span, ...]]:
    """The school years of a zone that are not over, each with what lies ahead in it, and the commune's closures."""
    nothing = literal(None)
    found: Result[Any] = db.execute(
        union_all(
            select(
                literal("year").label("what"),
                nothing.label("label"),
                SchoolYear.first_day,
                SchoolYear.last_day,
                nothing.label("owner"),
            ).where(SchoolYear.zone == zone, SchoolYear.last_day >= today),
            select(literal("holiday"), Holiday.label, Holiday.first_day, Holiday.last_day, Holiday.zone).where(
                or_(Holiday.zone == zone, Holiday.zone.is_(None)), Holiday.last_day >= today
            ),
            select(literal("closure"), Closure.reason, Closure.first_day, Closure.last_day, Service.name)
            .outerjoin(Service, Service.id == Closure.service_id)
            .where(Closure.commune_id == commune_id, Closure.last_day >= today),
        )
    )
    rows = sorted(found, key=lambda row: (row.first_day, row.last_day))
    closures = tuple(Span(row.label, row.first_day, row.last_day, row.owner) for row in rows if row.what == "closure")
    holidays = [row for row in rows if row.what == "holiday"]
    vacations = [(row.first_day, row.last_day) for row in holidays if row.owner]
    # A public holiday is told where it takes a day of school away.
    breaks = [
        Span(row.label, row.first_day, row.last_day)
        for row in holidays
        if row.owner
        or (row.first_day.isoweekday() < 6 and not any(first <= row.first_day <= last for first, last in vacations))
    ]
    years = [
        YearPage(
            name=f"{row.first_day.year}-{row.last_day.year}",
            first_day=row.first_day,
            last_day=row.last_day,
            breaks=tuple(span for span in breaks if row.first_day <= span.first_day <= row.last_day),
        )
        for row in rows
        if row.what == "year"
    ]
    return tuple(years), closures


def accent(db: Session, slug: str) -> str:
    """The colour of a commune, "#rrggbb". Raises `NotFound`."""
    found = db.scalar(select(Commune.accent).where(Commune.slug == slug))
    if found is None:
        raise NotFound
    return found


@dataclass(frozen=True)
class Contact:
    """Whom to turn to: a commune or a cash office."""

    slug: str
    name: str
    email: str | None
    phone: str | None
    address: str | None


def commune_contact(db: Session, slug: str) -> Contact:
    """How to reach a commune. Raises `NotFound`."""
    row = db.execute(
        select(Commune.slug, Commune.name, Commune.contact_email, Commune.contact_phone, Commune.address).where(
            Commune.slug == slug
        )
    ).first()
    if row is None:
        raise NotFound
    return Contact(*row)


@dataclass(frozen=True)
class RegiePage:
    """A cash office with the communes that it collects for."""

    contact: Contact
    communes: tuple[Contact, ...]


def regies(db: Session) -> tuple[RegiePage, ...]:
    """Every cash office with its communes, by name. One statement."""
    rows = db.execute(
        select(
            Regie.slug,
            Regie.legal_name,
            Regie.contact_email,
            Regie.contact_phone,
            Regie.address,
            Commune.slug,
            Commune.name,
            Commune.contact_email,
            Commune.contact_phone,
            Commune.address,
        )
        .outerjoin(Commune, Commune.regie_id == Regie.id)
        .order_by(Regie.legal_name, Regie.id, Commune.name)
    )
    found: dict[Contact, list[Contact]] = defaultdict(list)
    for slug, name, email, phone, address, *commune_facts in rows:
        communes = found[Contact(slug, name, email, phone, address)]
        if commune_facts[0] is not None:
            communes.append(Contact(*commune_facts))
    return tuple(RegiePage(regie, tuple(communes)) for regie, communes in found.items())


def every_school(db: Session) -> list[tuple[int, str]]:
    """The schools of every commune, as families choose among them: number, "Aiguilhe – École du Rocher"."""
    rows = db.execute(
        select(School.id, Commune.name, School.name)
        .join(Commune, Commune.id == School.commune_id)
        .order_by(Commune.name, School.name, School.id)
    )
    return [(school_id, f"{commune} – {name}") for school_id, commune, name in rows]


def find_commune(db: Session, slug: str) -> tuple[int, int] | None:
    """The numbers of a commune's régie and of the commune itself, or nothing for an unknown slug."""
    row = db.execute(select(Commune.regie_id, Commune.id).where(Commune.slug == slug)).first()
    return (row[0], row[1]) if row else None


def school_calendar(db: Session) -> SchoolCalendar:
    """The school years, holidays and public holidays that the database knows, as a calendar file holds them."""
    years = db.execute(
        select(SchoolYear.year, func.min(SchoolYear.first_day), func.max(SchoolYear.last_day))
        .group_by(SchoolYear.year)
        .order_by(SchoolYear.year)
    )
    rows = db.execute(select(Holiday.zone, Holiday.label, Holiday.first_day, Holiday.last_day)).all()
    breaks = [HolidayEntry(row[0], row[1], row[2], row[3]) for row in rows if row[0] is not None]
    return SchoolCalendar(
        tuple(
            SchoolYearEntry(
                f"{year}-{year + 1}",
                first,
                last,
                tuple(entry for entry in breaks if first <= entry.from_day <= last),
            )
            for year, first, last in years
        ),
        {
            row.first_day + timedelta(days=n): row.label
            for row in rows
            if row.zone is None
            for n in range((row.last_day - row.first_day).days + 1)
        },
    )


@dataclass(frozen=True)
class Explained:
    """A service's rules and its coming days."""

    name: str
    rules: Rules
    limited: bool
    """Whether a day of it may be full."""
    days: Sequence[Any]
    """Day, whether it is open, why not, and its deadlines."""


def explained(db: Session, commune_slug: str, service_slug: str, first: date, days: int) -> Explained:
    """The rules of a service and its days from `first` on. Raises `NotFound`."""
    row = db.execute(
        select(
            Service.id,
            Service.name,
            Service.book_rule,
            Service.cancel_rule,
            Service.policies,
            or_(
                Service.capacity.is_not(None),
                select(SchoolLimit.id).where(SchoolLimit.service_id == Service.id).exists(),
            ).label("limited"),
        )
        .join(Commune, Commune.id == Service.commune_id)
        .where(Commune.slug == commune_slug, Service.slug == service_slug)
    ).first()
    if row is None:
        raise NotFound
    coming = db.execute(
        select(
            ServiceDay.day,
            ServiceDay.is_open,
            ServiceDay.closed_reason,
            ServiceDay.book_deadline_at,
            ServiceDay.cancel_deadline_at,
            ServiceDay.late_deadline_at,
            ServiceDay.freed_deadline_at,
        )
        .where(ServiceDay.service_id == row.id, ServiceDay.day.between(first, first + timedelta(days=days - 1)))
        .order_by(ServiceDay.day)
    ).all()
    rules = read_rules(row.book_rule, row.cancel_rule, row.policies)
    return Explained(row.name, rules, row.limited, coming)
