"""Reads of places, the services of communes where a family may book, with its children and their rights."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, select, type_coerce
from sqlalchemy.orm import aliased

from accounts.models import Beneficiary, HouseholdBeneficiary
from cart.rules import Child, Right, Spans
from catalog.models import Commune, Holiday, SchoolYear, Service, StoredPolicies, Tariff, TariffPrice
from catalog.rules.policies import Policies
from catalog.rules.prices import read_grid
from enrolments.models import CarePlan, Enrolment
from shop.statements import Rows, run

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
    policies: Policies


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
    type_coerce(Service.policies, StoredPolicies),
).join(Commune, Commune.id == Service.commune_id)
OtherHome = aliased(HouseholdBeneficiary)


def _has_other_home(child: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether a child of the household `household_id` has another home too."""
    return exists().where(
        OtherHome.beneficiary_id == child,
        OtherHome.household_id != bindparam("household_id"),
        OtherHome.archived_at.is_(None),
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
    .where(Enrolment.household_id == bindparam("household_id"), Enrolment.state == "approved")
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
    if not place.policies.blocking.pai:
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


def plans_of(db: Rows, household_id: int) -> dict[tuple[int, int], list[tuple[date, date]]]:
    """The days that PAI of the household's children cover, by child and commune."""
    found: dict[tuple[int, int], list[tuple[date, date]]] = defaultdict(list)
    for child_id, commune_id, first, last in run(db, _PLANS, household_id=household_id):
        found[child_id, commune_id].append((first, last))
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
                plans if place.policies.blocking.pai else None,
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
            Enrolment.state == "approved",
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
        Enrolment.state.in_(["requested", "to_complete"]),
    )
    .order_by(Enrolment.requested_at, Enrolment.id)
)


def requests_of(db: Rows, household_id: int) -> list[Request]:
    """What the household has asked for and the town hall has not decided."""
    return [Request._make(row) for row in run(db, _REQUESTS, household_id=household_id)]


def between(family: Sequence[Child], first: date, last: date) -> dict[int, Child]:
    """Those of the family who may buy something between two days (both included), by id."""
    found = [child.between(first, last) for child in family]
    return {child.id: child for child in found if child is not None}
