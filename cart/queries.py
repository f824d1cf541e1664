"""Reads for the booking page and the basket: a bounded number of statements, whatever the children, days and meals."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    column,
    exists,
    func,
    literal_column,
    or_,
    select,
    table,
    union_all,
)
from sqlalchemy.orm import aliased

from accounts.models import Beneficiary, HouseholdBeneficiary
from cart.models import Basket, BasketLine, WaitingEntry
from cart.operations import LIVE_STATES
from cart.quotes import NOBODY, Family, Pupil, Quote, Terms, as_freed, quote
from cart.rules import (
    Child,
    Day,
    Due,
    Meal,
    Right,
    Spans,
    Stage,
    Taken,
    Wait,
    covered,
    overdue_cents,
    stages_of,
    unpaid_invoices,
    wait_of,
    with_homes,
)
from catalog.models import (
    CallOff,
    Commune,
    Holiday,
    School,
    SchoolPlace,
    SchoolYear,
    Service,
    ServiceDay,
    Tariff,
    TariffPrice,
)
from catalog.rules.policies import Blocking, Policies
from catalog.rules.prices import read_grid
from enrolments.models import CarePlan, Enrolment, Quotient
from enrolments.outside_invoices import OpenInvoice, open_invoices
from homes.queries import custodies
from homes.rules import Custody
from shop.clock import paris_day
from shop.database import AnySelect, Key, UtcDateTime
from shop.statements import Rows, is_one_of, run

_FAR = date.max


class Place(NamedTuple):
    """A service with the commune and régie it belongs to."""

    service_id: int
    service_name: str
    service_slug: str
    kind: str
    weekdays: str
    commune_id: int
    commune_name: str
    commune_slug: str
    zone: str
    accent: str
    regie_id: int
    policies: dict[str, Any]


class Season(NamedTuple):
    """Where the day stands in the school year of a zone."""

    holidays_start: date | None
    """The first day of the next school holidays."""
    year_end: date | None
    """The last day of the school year that the day is in or before."""


_PLACE = select(
    Service.id,
    Service.name,
    Service.slug,
    Service.kind,
    Service.weekdays,
    Commune.id,
    Commune.name,
    Commune.slug,
    Commune.zone,
    Commune.accent,
    Commune.regie_id,
    Service.policies,
).join(Commune, Commune.id == Service.commune_id)

_OtherHome = aliased(HouseholdBeneficiary)


def _has_other_home(child: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether a child of the household `household_id` has another home too."""
    return exists().where(
        _OtherHome.beneficiary_id == child,
        _OtherHome.household_id != bindparam("household_id"),
        _OtherHome.archived_at.is_(None),
    )


# What each child of the household may buy at which service, and at what price.
_RIGHTS = (
    select(
        Enrolment.service_id,
        HouseholdBeneficiary.position,
        Beneficiary.id.label("child_id"),
        Beneficiary.first_name,
        Beneficiary.last_name,
        Enrolment.tariff_id,
        Tariff.label,
        TariffPrice.id.label("price_id"),
        TariffPrice.cents,
        Enrolment.valid_from,
        Enrolment.valid_until,
        TariffPrice.valid_from.label("price_from"),
        TariffPrice.valid_until.label("price_until"),
        TariffPrice.grid,
        _has_other_home(Beneficiary.id.expression).label("shared"),
        Tariff.pai,
    )
    .select_from(Enrolment)
    .join(
        HouseholdBeneficiary,
        and_(
            HouseholdBeneficiary.household_id == Enrolment.household_id,
            HouseholdBeneficiary.beneficiary_id == Enrolment.beneficiary_id,
            HouseholdBeneficiary.archived_at.is_(None),
        ),
    )
    .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
    .join(Tariff, Tariff.id == Enrolment.tariff_id)
    .join(TariffPrice, TariffPrice.tariff_id == Enrolment.tariff_id)
    .where(Enrolment.household_id == bindparam("household_id"), is_one_of(Enrolment.state, ["approved"]))
    .subquery()
)

_PLACE_AND_CHILDREN = (
    _PLACE.add_columns(
        select(func.min(Holiday.first_day))
        .where(Holiday.zone == Commune.zone, Holiday.first_day > bindparam("today"))
        .correlate(Commune)
        .scalar_subquery(),
        select(func.min(SchoolYear.last_day))
        .where(SchoolYear.zone == Commune.zone, SchoolYear.last_day >= bindparam("today"))
        .correlate(Commune)
        .scalar_subquery(),
        *list(_RIGHTS.c)[2:],
    )
    .outerjoin(_RIGHTS, _RIGHTS.c.service_id == Service.id)
    .where(Commune.slug == bindparam("commune"), Service.slug == bindparam("service"))
    .order_by(_RIGHTS.c.position, _RIGHTS.c.child_id)
)
_PLACE_COLUMNS = len(Place._fields)
_OWN_COLUMNS = _PLACE_COLUMNS + len(Season._fields)


Plans = Mapping[tuple[int, int], Spans]
"""The days that PAI cover, by child and commune."""


def _plans_asked(db: Rows, household_id: int, place: Place, found: Iterable[Sequence[Any]]) -> Plans | None:
    """The PAI of the household's children, where the service's rule and one of their tariffs ask for them."""
    if not Policies.from_json(place.policies).blocking.pai:
        return None
    return plans_of(db, household_id) if any(row[-1] for row in found) else {}


def _children(lines: Iterable[Sequence[Any]], commune_id: int, plans: Plans | None) -> list[Child]:
    """The children of a service, from rows of what each may buy; no `plans` where it asks for no PAI."""
    names: dict[int, tuple[str, str, bool]] = {}
    rights: dict[int, list[Right]] = defaultdict(list)
    for row in lines:
        child_id, first_name, last_name, tariff_id, label, price_id, cents, since, until, *price = row
        if child_id is None:
            break
        price_since, price_until, rows, shared, asks_plan = price
        names[child_id] = (first_name, last_name, bool(shared))
        begins, ends = max(since, price_since), min(until, price_until or _FAR)
        if begins <= ends:
            grid = None if rows is None else read_grid(rows)
            spans = None if plans is None or not asks_plan else plans.get((child_id, commune_id), ())
            rights[child_id].append(Right(tariff_id, label, price_id, cents, begins, ends, grid, spans))
    return [
        Child(key, first_name, last_name, tuple(rights[key]), shared)
        for key, (first_name, last_name, shared) in names.items()
    ]


def find_place(
    db: Rows, household_id: int, commune_slug: str, service_slug: str, today: date
) -> tuple[Place, Season, list[Child]] | None:
    """The service of that address, the season of its zone on that day, and the household's beneficiaries who may or might
    be booked there, with their tariffs and prices. One statement."""
    found = run(
        db, _PLACE_AND_CHILDREN, household_id=household_id, commune=commune_slug, service=service_slug, today=today
    )
    if not found:
        return None
    place = Place._make(found[0][:_PLACE_COLUMNS])
    plans = _plans_asked(db, household_id, place, found)
    children = _children((row[_OWN_COLUMNS:] for row in found), place.commune_id, plans)
    return place, Season._make(found[0][_PLACE_COLUMNS:_OWN_COLUMNS]), children


_PLANS = (
    select(CarePlan.beneficiary_id, CarePlan.commune_id, CarePlan.valid_from, CarePlan.valid_until)
    .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == CarePlan.beneficiary_id)
    .where(HouseholdBeneficiary.household_id == bindparam("household_id"))
    .order_by(CarePlan.valid_from)
)


def takes_picnic(service_day_id: Any, pupil: Any) -> ColumnElement[bool]:
    """Whether the kitchen prepares a picnic for a beneficiary (the model or an alias of it) on a service day."""
    return (
        select(CallOff.id)
        .where(
            CallOff.service_day_id == service_day_id,
            is_one_of(CallOff.state, STANDING),
            CallOff.picnic,
            concerns(pupil),
        )
        .correlate_except(CallOff)
        .exists()
    )


# The orders room stands beside this one: its tables are known by name only.
_unbooked = table(
    "unbooked_meals",
    column("id"),
    column("beneficiary_id"),
    column("service_day_id"),
    column("household_id"),
    column("regie_id"),
    column("cents"),
    column("state"),
    column("noted_at", UtcDateTime()),
)
_DUES = select(_unbooked.c.regie_id, _unbooked.c.cents, _unbooked.c.noted_at).where(
    _unbooked.c.household_id == bindparam("household_id"), _unbooked.c.state == literal_column("'due'")
)


def plans_of(db: Rows, household_id: int) -> dict[tuple[int, int], list[tuple[date, date]]]:
    """The days that PAI of the household's children cover, by child and commune."""
    found: dict[tuple[int, int], list[tuple[date, date]]] = defaultdict(list)
    for child_id, commune_id, first, last in run(db, _PLANS, household_id=household_id):
        found[child_id, commune_id].append((first, last))
    return found


def dues_of(db: Rows, household_id: int) -> dict[int, list[Due]]:
    """What the household owes, by régie. Read it only where a rule asks."""
    found: dict[int, list[Due]] = defaultdict(list)
    for regie_id, cents, since in run(db, _DUES, household_id=household_id):
        found[regie_id].append(Due(cents, since))
    return found


def _dues_asked(db: Rows, household_id: int, rules: Iterable[Blocking]) -> dict[int, list[Due]]:
    """What the household owes, by régie, where one of the rules asks."""
    return dues_of(db, household_id) if any(rule.amount_due_hours is not None for rule in rules) else {}


def _invoices_asked(db: Rows, household_id: int, rules: Iterable[Blocking]) -> dict[int, list[OpenInvoice]]:
    """The household's open invoices, by régie, where one of the rules asks."""
    found: dict[int, list[OpenInvoice]] = defaultdict(list)
    if any(rule.overdue_invoice_days is not None for rule in rules):
        for invoice in open_invoices(db, household_id):
            found[invoice.regie_id].append(invoice)
    return found


_EVERY_PLACE_AND_CHILDREN = (
    _PLACE.add_columns(*list(_RIGHTS.c)[2:])
    .join(_RIGHTS, _RIGHTS.c.service_id == Service.id)
    .order_by(Service.id, _RIGHTS.c.position, _RIGHTS.c.child_id)
)


def places_with_children(db: Rows, household_id: int) -> list[tuple[Place, list[Child]]]:
    """Every service at which the household has an approved enrolment, with its beneficiaries as `find_place` gives them. One
    statement; one more where a tariff asks for a PAI."""
    found = run(db, _EVERY_PLACE_AND_CHILDREN, household_id=household_id)
    plans = plans_of(db, household_id) if any(row[-1] for row in found) else {}
    services = [(Place._make(key), list(rows)) for key, rows in groupby(found, key=_place_of)]
    return [
        (
            place,
            _children(
                (row[_PLACE_COLUMNS:] for row in rows),
                place.commune_id,
                plans if Policies.from_json(place.policies).blocking.pai else None,
            ),
        )
        for place, rows in services
    ]


def _place_of(row: Sequence[Any]) -> Sequence[Any]:
    return row[:_PLACE_COLUMNS]


_PLACES_OF = _PLACE.where(
    Service.id.in_(
        select(Enrolment.service_id).where(
            Enrolment.household_id == bindparam("household_id"),
            is_one_of(Enrolment.state, ["approved"]),
            Enrolment.valid_until >= bindparam("today"),
        )
    )
).order_by(Commune.name, Service.position, Service.id)


def places_of(db: Rows, household_id: int, today: date) -> list[Place]:
    """The services that the household may book now or later this school year."""
    return [Place._make(row) for row in run(db, _PLACES_OF, household_id=household_id, today=today)]


class Request(NamedTuple):
    """A request for access that is not decided."""

    first_name: str
    state: str
    """ "requested", or "to_complete" when the town hall waits for a paper."""
    requested_at: datetime


_REQUESTS = (
    select(Beneficiary.first_name, Enrolment.state, Enrolment.requested_at)
    .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
    .where(
        Enrolment.household_id == bindparam("household_id"),
        is_one_of(Enrolment.state, ["requested", "to_complete"]),
    )
    .order_by(Enrolment.requested_at, Enrolment.id)
)


def requests_of(db: Rows, household_id: int) -> list[Request]:
    """What the household has asked for and the town hall has not decided."""
    return [Request._make(row) for row in run(db, _REQUESTS, household_id=household_id)]


STANDING = ("planned", "done")
"""Call-offs that hold, and are not taken back."""


def no_meal() -> ColumnElement[bool]:
    """Call-offs for which nothing more is booked: those that hold, but for outings with picnics."""
    return and_(is_one_of(CallOff.state, STANDING), CallOff.picnic.is_(False))


def concerns(pupil: Any) -> ColumnElement[bool]:
    """Whether a call-off concerns a beneficiary (the model or an alias of it): everybody, a school, or a class of it."""
    return and_(
        or_(CallOff.school_id.is_(None), CallOff.school_id == pupil.school_id),
        or_(CallOff.class_name.is_(None), func.lower(func.trim(pupil.class_name)) == func.lower(CallOff.class_name)),
    )


_reservations = table(
    "reservations",
    column("id"),
    column("household_id"),
    column("beneficiary_id"),
    column("service_day_id"),
    column("state"),
)
_given = _reservations.alias("given")
_freed = table("freed_meals", column("reservation_id"), column("service_day_id"), column("state"))
_is_live = is_one_of(_reservations.c.state, ["held", "confirmed"])
_is_between = ServiceDay.day.between(bindparam("first"), bindparam("last"))


def freed_for(household_id: Any) -> ColumnElement[int]:
    """How many meals of other families' children were given back on the day at hand (`ServiceDay`) and can be taken."""
    own = (
        select(HouseholdBeneficiary.beneficiary_id)
        .where(HouseholdBeneficiary.household_id == household_id)
        .correlate_except(HouseholdBeneficiary)
    )
    found = (
        select(func.count())
        .select_from(_freed.join(_given, _given.c.id == _freed.c.reservation_id))
        .where(
            _freed.c.service_day_id == ServiceDay.id,
            is_one_of(_freed.c.state, ["offered"]),
            _given.c.household_id != household_id,
            _given.c.beneficiary_id.not_in(own),
        )
        .correlate_except(_freed, _given)
        .scalar_subquery()
    )
    # Looked for only where the service has the rule.
    return case((ServiceDay.freed_deadline_at.is_(None), literal_column("0")), else_=found)


def _days_where(is_wanted: ColumnElement[bool]) -> AnySelect:
    """The days that are wanted, each with what the household's children have already on it."""
    taken = union_all(
        select(
            _reservations.c.service_day_id,
            _reservations.c.beneficiary_id,
            case(
                (_reservations.c.household_id == bindparam("household_id"), literal_column("1")),
                else_=literal_column("3"),
            ).label("booked"),
        )
        .join(ServiceDay, ServiceDay.id == _reservations.c.service_day_id)
        .where(
            _reservations.c.beneficiary_id.in_(
                select(HouseholdBeneficiary.beneficiary_id).where(
                    HouseholdBeneficiary.household_id == bindparam("household_id")
                )
            ),
            _is_live,
            is_wanted,
        ),
        # Who has eaten without a booking has had the meal, whichever home is charged.
        select(_unbooked.c.service_day_id, _unbooked.c.beneficiary_id, literal_column("7"))
        .join(ServiceDay, ServiceDay.id == _unbooked.c.service_day_id)
        .where(
            _unbooked.c.beneficiary_id.in_(
                select(HouseholdBeneficiary.beneficiary_id).where(
                    HouseholdBeneficiary.household_id == bindparam("household_id")
                )
            ),
            _unbooked.c.state != literal_column("'struck'"),
            is_wanted,
        ),
        select(BasketLine.service_day_id, BasketLine.beneficiary_id, literal_column("0"))
        .join(Basket, Basket.id == BasketLine.basket_id)
        .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
        .where(
            Basket.household_id == bindparam("household_id"),
            is_one_of(Basket.state, LIVE_STATES),
            is_wanted,
        ),
        select(ServiceDay.id, HouseholdBeneficiary.beneficiary_id, literal_column("2"))
        .select_from(CallOff)
        .join(ServiceDay, ServiceDay.id == CallOff.service_day_id)
        .join(Beneficiary, concerns(Beneficiary))
        .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == Beneficiary.id)
        .where(
            HouseholdBeneficiary.household_id == bindparam("household_id"),
            no_meal(),
            is_wanted,
        ),
        select(SchoolPlace.service_day_id, HouseholdBeneficiary.beneficiary_id, literal_column("4"))
        .select_from(HouseholdBeneficiary)
        .join(Beneficiary, Beneficiary.id == HouseholdBeneficiary.beneficiary_id)
        .join(SchoolPlace, SchoolPlace.school_id == Beneficiary.school_id)
        .join(ServiceDay, ServiceDay.id == SchoolPlace.service_day_id)
        .where(
            HouseholdBeneficiary.household_id == bindparam("household_id"),
            SchoolPlace.booked_count >= SchoolPlace.capacity,
            is_wanted,
        ),
        select(
            WaitingEntry.service_day_id,
            WaitingEntry.beneficiary_id,
            case((WaitingEntry.offered_until.is_(None), literal_column("5")), else_=literal_column("6")),
        )
        .join(ServiceDay, ServiceDay.id == WaitingEntry.service_day_id)
        .where(
            WaitingEntry.household_id == bindparam("household_id"),
            is_one_of(WaitingEntry.state, ["waiting", "offered"]),
            or_(WaitingEntry.offered_until.is_(None), WaitingEntry.offered_until > bindparam("now")),
            is_wanted,
        ),
    ).subquery()
    return (
        select(
            ServiceDay.id,
            ServiceDay.day,
            ServiceDay.is_open,
            ServiceDay.closed_reason,
            ServiceDay.capacity,
            ServiceDay.booked_count,
            ServiceDay.book_deadline_at,
            ServiceDay.cancel_deadline_at,
            ServiceDay.late_deadline_at,
            ServiceDay.menu,
            ServiceDay.freed_deadline_at,
            freed_for(bindparam("household_id", type_=Key)),
            taken.c.beneficiary_id,
            taken.c.booked,
        )
        .outerjoin(taken, taken.c.service_day_id == ServiceDay.id)
        .where(is_wanted)
        .order_by(ServiceDay.day)
    )


_DAYS = _days_where(and_(_is_between, ServiceDay.service_id == bindparam("service_id")))
_DAYS_OF_SERVICES = _days_where(
    and_(
        _is_between,
        ServiceDay.service_id.in_(
            select(Enrolment.service_id).where(
                Enrolment.household_id == bindparam("household_id"), is_one_of(Enrolment.state, ["approved"])
            )
        ),
    )
).add_columns(ServiceDay.service_id)


_WHAT: tuple[Taken, ...] = ("basket", "booked", "off", "there", "full", "waiting", "offered", "eaten")
_ORDER: tuple[Taken, ...] = ("full", "waiting", "offered", "basket", "off", "eaten", "booked", "there")
"""What counts most, where a meal is several of them, is the last."""


def days_between(
    db: Rows, household_id: int, service_id: int, first: date, last: date, now: datetime, shared: bool = False
) -> tuple[dict[date, Day], dict[Meal, Taken]]:
    """The service days from `first` to `last`, by day, in order; the meals that the household's children have already on
    them: booked, eaten without a booking, called off, in the basket, kept for them, waited for, or another home's; and those
    for which their school has no place left. One statement; some more where a child is `shared` between two homes, whose
    days are the other's then."""
    homes = custodies(db, household_id) if shared else {}
    rows = run(db, _DAYS, household_id=household_id, service_id=service_id, first=first, last=last, now=now)
    return _days_and_taken(rows, homes, household_id)


def days_of_services(
    db: Rows, household_id: int, first: date, last: date, now: datetime, shared: bool = False
) -> dict[int, tuple[dict[date, Day], dict[Meal, Taken]]]:
    """As `days_between`, for every service at which the household has an approved enrolment; by service. One statement, and
    as many more."""
    homes = custodies(db, household_id) if shared else {}
    by_service: dict[int, list[Sequence[Any]]] = defaultdict(list)
    for *row, service_id in run(db, _DAYS_OF_SERVICES, household_id=household_id, first=first, last=last, now=now):
        by_service[service_id].append(row)
    return {service_id: _days_and_taken(rows, homes, household_id) for service_id, rows in by_service.items()}


def _days_and_taken(
    rows: Iterable[Sequence[Any]], homes: Mapping[int, Custody], household_id: int
) -> tuple[dict[date, Day], dict[Meal, Taken]]:
    days: dict[date, Day] = {}
    taken: dict[Meal, Taken] = {}
    for row in rows:
        *facts, child_id, place = row
        day = Day(*facts)
        days[day.day] = day
        if child_id is not None:
            meal = Meal(child_id, day.day)
            taken[meal] = max(_WHAT[place], taken.get(meal, "full"), key=_ORDER.index)
    for meal, what in taken.items():
        # What is in the basket takes what was given back first.
        if what == "basket" and days[meal.day].freed:
            day = days[meal.day]
            days[meal.day] = day._replace(freed=day.freed - 1, spoken_for=(*day.spoken_for, meal.beneficiary_id))
            taken[meal] = "freed"
    return days, with_homes(taken, days, homes, household_id) if homes else taken


_PUPILS = (
    select(HouseholdBeneficiary.beneficiary_id, School.level, Beneficiary.birth_date)
    .join(Beneficiary, Beneficiary.id == HouseholdBeneficiary.beneficiary_id)
    .outerjoin(School, School.id == Beneficiary.school_id)
    .where(
        HouseholdBeneficiary.household_id == bindparam("household_id"),
        HouseholdBeneficiary.archived_at.is_(None),
        HouseholdBeneficiary.relation != "self",
    )
    .order_by(Beneficiary.birth_date.is_(None), Beneficiary.birth_date, Beneficiary.id)
)
_QUOTIENTS = select(Quotient.commune_id, Quotient.valid_from, Quotient.valid_until, Quotient.value).where(
    Quotient.household_id == bindparam("household_id")
)


def find_family(db: Rows, household_id: int) -> Family:
    """What grids ask about a household. Two statements: read it only where a price has a grid."""
    pupils = run(db, _PUPILS, household_id=household_id)
    quotients = run(db, _QUOTIENTS, household_id=household_id)
    return Family(
        [(commune_id, first, last, value) for commune_id, first, last, value in quotients],
        {child_id: Pupil(rank, level, born) for rank, (child_id, level, born) in enumerate(pupils, 1)},
    )


def why_waiting(db: Rows, household_id: int, places: Collection[Place], now: datetime) -> Wait | None:
    """Why the family cannot book anything new at one of these services, when an amount due or an invoice keeps it waiting.
    One statement for each of the two, and only where a service has such a rule."""
    rules = [(place.regie_id, Policies.from_json(place.policies).blocking) for place in places]
    asked = [rule for _regie, rule in rules]
    dues, invoices = _dues_asked(db, household_id, asked), _invoices_asked(db, household_id, asked)
    if not dues and not invoices:
        return None
    today = paris_day(now)
    for regie_id, rule in rules:
        overdue = overdue_cents(rule, dues.get(regie_id, ()), now)
        unpaid = unpaid_invoices(rule, invoices.get(regie_id, ()), today)
        if (wait := wait_of(rule, overdue, unpaid)) is not None:
            return wait
    return None


def between(family: Sequence[Child], first: date, last: date) -> dict[int, Child]:
    """Those of the family who may buy something between two days (both included), by id."""
    found = [child.between(first, last) for child in family]
    return {child.id: child for child in found if child is not None}


def terms_of(db: Rows, household_id: int, place: Place, children: Mapping[int, Child]) -> Terms:
    """What the service asks, and of whom. Two statements, and only where one of the children's prices has a grid."""
    has_grid = any(right.grid is not None for child in children.values() for right in child.rights)
    family = find_family(db, household_id) if has_grid else NOBODY
    return Terms(Policies.from_json(place.policies), place.commune_id, family)


class BasketMeal(NamedTuple):
    """A line of the basket as it was quoted and as things stand now."""

    line_id: int
    basket_id: int
    regie_id: int
    basket_state: str
    beneficiary_id: int
    first_name: str
    last_name: str
    service_id: int
    service_name: str
    service_slug: str
    kind: str
    policies: dict[str, Any]
    commune_id: int
    commune_slug: str
    service_day_id: int
    day: date
    is_open: bool
    closed_reason: str | None
    capacity: int | None
    booked_count: int
    book_deadline_at: datetime
    cancel_deadline_at: datetime
    late_deadline_at: datetime | None
    tariff_label: str
    tariff_price_id: int
    quoted_cents: int
    basis: str | None
    """How the quoted price came about."""
    price_id: int | None
    """The price that holds now for the child's approved tariff; nothing when there is none."""
    flat_cents: int | None
    grid: list[dict[str, Any]] | None
    price_from: date | None
    decided_on: date | None
    enrolment_id: int | None
    reservation_id: int | None
    """A live reservation of the child for that day, when there is one already."""
    call_off: str | None
    """Why the town hall has called the meal off for this child, when it has."""
    booked_there: bool | None
    """Whether the live reservation is that of the child's other home."""
    shared: bool
    """Whether the child has another home too."""
    freed_deadline_at: datetime | None = None
    freed: int = 0
    """How many meals other families have given back on that day."""
    school_id: int | None = None
    """The child's."""
    school_capacity: int | None = None
    school_booked_count: int | None = None
    """Of the child's school, where it has places of its own."""
    entry_id: int | None = None
    """The child's entry in the waiting list of that day, while it waits or a place is kept for it."""
    kept_until: datetime | None = None
    """Until when a place is kept for it."""
    kept_school_id: int | None = None
    """The school among whose places that one counts."""
    eaten_id: int | None = None
    """The meal that the child has eaten that day without a booking, when it has."""
    asks_plan: bool = False
    """Whether the tariff asks for a PAI."""
    price: Quote | None = None
    """What the meal costs now; nothing when that is not known."""
    away: bool = False
    """Whether the child's other home decides on that day."""
    lacks_plan: bool = False
    """Whether the service's rule lets the meal wait for a PAI that covers its day."""
    overdue_cents: int = 0
    """What the household owes for longer than the service's rule lets it."""
    unpaid: tuple[OpenInvoice, ...] = ()
    """The invoices that the household has not paid for longer than the service's rule lets it."""


_MEALS: AnySelect = (
    select(
        BasketLine.id,
        Basket.id,
        Basket.regie_id,
        Basket.state,
        BasketLine.beneficiary_id,
        Beneficiary.first_name,
        Beneficiary.last_name,
        Service.id,
        Service.name,
        Service.slug,
        Service.kind,
        Service.policies,
        Commune.id,
        Commune.slug,
        ServiceDay.id,
        ServiceDay.day,
        ServiceDay.is_open,
        ServiceDay.closed_reason,
        ServiceDay.capacity,
        ServiceDay.booked_count,
        ServiceDay.book_deadline_at,
        ServiceDay.cancel_deadline_at,
        ServiceDay.late_deadline_at,
        Tariff.label,
        BasketLine.tariff_price_id,
        BasketLine.quoted_cents,
        BasketLine.basis,
        TariffPrice.id,
        TariffPrice.cents,
        TariffPrice.grid,
        TariffPrice.valid_from,
        TariffPrice.decided_on,
        Enrolment.id,
        _reservations.c.id,
        select(func.min(CallOff.words))
        .where(CallOff.service_day_id == ServiceDay.id, concerns(Beneficiary), no_meal())
        .correlate(ServiceDay, Beneficiary)
        .scalar_subquery(),
        _reservations.c.household_id != Basket.household_id,
        exists()
        .where(
            _OtherHome.beneficiary_id == BasketLine.beneficiary_id,
            _OtherHome.household_id != Basket.household_id,
            _OtherHome.archived_at.is_(None),
        )
        .correlate(Basket, BasketLine),
        ServiceDay.freed_deadline_at,
        freed_for(Basket.household_id),
        Beneficiary.school_id,
        SchoolPlace.capacity,
        SchoolPlace.booked_count,
        WaitingEntry.id,
        WaitingEntry.offered_until,
        WaitingEntry.school_id,
        select(_unbooked.c.id)
        .where(
            _unbooked.c.beneficiary_id == BasketLine.beneficiary_id,
            _unbooked.c.service_day_id == BasketLine.service_day_id,
            _unbooked.c.state != literal_column("'struck'"),
        )
        .correlate(BasketLine)
        .scalar_subquery(),
        Tariff.pai,
    )
    .select_from(Basket)
    .join(BasketLine, BasketLine.basket_id == Basket.id)
    .join(Beneficiary, Beneficiary.id == BasketLine.beneficiary_id)
    .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
    .join(Service, Service.id == ServiceDay.service_id)
    .join(Commune, Commune.id == Service.commune_id)
    .join(Tariff, Tariff.id == BasketLine.tariff_id)
    .outerjoin(
        Enrolment,
        and_(
            Enrolment.household_id == Basket.household_id,
            Enrolment.beneficiary_id == BasketLine.beneficiary_id,
            Enrolment.tariff_id == BasketLine.tariff_id,
            Enrolment.service_id == ServiceDay.service_id,
            is_one_of(Enrolment.state, ["approved"]),
            Enrolment.valid_from <= ServiceDay.day,
            Enrolment.valid_until >= ServiceDay.day,
        ),
    )
    .outerjoin(
        TariffPrice,
        and_(
            TariffPrice.tariff_id == BasketLine.tariff_id,
            TariffPrice.valid_from <= ServiceDay.day,
            or_(TariffPrice.valid_until.is_(None), TariffPrice.valid_until >= ServiceDay.day),
        ),
    )
    .outerjoin(
        _reservations,
        and_(
            _reservations.c.beneficiary_id == BasketLine.beneficiary_id,
            _reservations.c.service_day_id == BasketLine.service_day_id,
            _is_live,
        ),
    )
    .outerjoin(
        SchoolPlace,
        and_(SchoolPlace.service_day_id == BasketLine.service_day_id, SchoolPlace.school_id == Beneficiary.school_id),
    )
    .outerjoin(
        WaitingEntry,
        and_(
            WaitingEntry.household_id == Basket.household_id,
            WaitingEntry.beneficiary_id == BasketLine.beneficiary_id,
            WaitingEntry.service_day_id == BasketLine.service_day_id,
            is_one_of(WaitingEntry.state, ["waiting", "offered"]),
        ),
    )
    .order_by(Service.id, ServiceDay.day, BasketLine.beneficiary_id, BasketLine.id)
)

_MEALS_OF_HOUSEHOLD = _MEALS.where(
    Basket.household_id == bindparam("household_id"), is_one_of(Basket.state, LIVE_STATES)
)
_MEALS_OF_BASKET = _MEALS.where(Basket.id == bindparam("basket_id"))


_EATING = (
    select(_reservations.c.service_day_id, _reservations.c.beneficiary_id)
    .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == _reservations.c.beneficiary_id)
    .where(
        HouseholdBeneficiary.household_id == bindparam("household_id"),
        _reservations.c.service_day_id.in_(
            select(BasketLine.service_day_id)
            .join(Basket, Basket.id == BasketLine.basket_id)
            .where(Basket.household_id == bindparam("household_id"), is_one_of(Basket.state, LIVE_STATES))
        ),
        _is_live,
    )
)


def meals_of_household(db: Rows, household_id: int, now: datetime) -> list[BasketMeal]:
    """Everything in the household's live baskets, as it stands now."""
    found = run(db, _MEALS_OF_HOUSEHOLD, household_id=household_id)
    return _priced(db, household_id, found, now)


def meals_of_basket(db: Rows, household_id: int, basket_id: int, now: datetime) -> list[BasketMeal]:
    """Everything in one basket of the household, as it stands now."""
    found = run(db, _MEALS_OF_BASKET, basket_id=basket_id)
    return _priced(db, household_id, found, now)


def _priced(db: Rows, household_id: int, found: Sequence[Sequence[Any]], now: datetime) -> list[BasketMeal]:
    """The meals with what each costs now, and what makes them wait. What grids ask is read once, and only where there is one:
    three statements more; so is what two homes have agreed about a child, and what rules of waiting ask: three."""
    meals = [BasketMeal(*row) for row in found]
    family, eating = NOBODY, defaultdict(set)
    if any(meal.grid is not None for meal in meals):
        family = find_family(db, household_id)
        for day_id, child_id in run(db, _EATING, household_id=household_id):
            eating[day_id].add(child_id)
        for meal in meals:
            eating[meal.service_day_id].add(meal.beneficiary_id)
    homes = custodies(db, household_id) if any(meal.shared for meal in meals) else {}
    terms: dict[int, Terms] = {}
    stages = stages_of(meals, now)
    for meal in meals:
        if meal.service_id not in terms:
            terms[meal.service_id] = Terms(Policies.from_json(meal.policies), meal.commune_id, family)
    rules = [of_service.policies.blocking for of_service in terms.values()]
    dues = _dues_asked(db, household_id, rules)
    invoices = _invoices_asked(db, household_id, rules)
    asked = any(meal.asks_plan and terms[meal.service_id].policies.blocking.pai for meal in meals)
    plans = plans_of(db, household_id) if asked else {}
    result, today = [], paris_day(now)
    for row, meal in zip(found, meals, strict=True):
        of_service = terms[meal.service_id]
        blocking = of_service.policies.blocking
        spans = plans.get((meal.beneficiary_id, meal.commune_id), ())
        lacks_plan = blocking.pai and meal.asks_plan and not covered(spans, meal.day)
        overdue = overdue_cents(blocking, dues.get(meal.regie_id, ()), now) if dues else 0
        unpaid = unpaid_invoices(blocking, invoices.get(meal.regie_id, ()), today) if invoices else ()
        custody = homes.get(meal.beneficiary_id)
        away = custody is not None and custody.home_on(meal.day) not in (None, household_id)
        price = _price_now(meal, of_service, eating, stages[meal.line_id])
        result.append(BasketMeal._make((*row, price, away, lacks_plan, overdue, unpaid)))
    return result


def _price_now(meal: BasketMeal, terms: Terms, eating: Mapping[int, Collection[int]], stage: Stage) -> Quote | None:
    if meal.flat_cents is None:
        return None
    grid = None if meal.grid is None else read_grid(meal.grid)
    count = 1 if grid is None else terms.family.eating(eating[meal.service_day_id])
    try:
        found = quote(meal.flat_cents, grid, terms, meal.beneficiary_id, meal.day, count, stage == "late")
    except LookupError:
        return None
    return as_freed(found) if stage == "freed" else found
