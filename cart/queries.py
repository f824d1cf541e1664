"""Reads for the booking page and the basket: a bounded number of statements, whatever the children, days and meals."""

from collections import defaultdict
from datetime import date, datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import and_, func, or_, select, union_all
from sqlalchemy.orm import Session

from accounts.models import Beneficiary, HouseholdBeneficiary
from cart.models import Basket, BasketLine
from cart.operations import LIVE_STATES
from cart.rules import Child, Day, Meal, Right
from catalog.models import Commune, Holiday, SchoolYear, Service, ServiceDay, Tariff, TariffPrice
from enrolments.models import Enrolment
from shop.database import AnySelect, Base

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
).join(Commune, Commune.id == Service.commune_id)


def find_place(db: Session, commune_slug: str, service_slug: str, today: date) -> tuple[Place, Season] | None:
    """The service of that address, and the season of its zone on that day."""
    holidays_start = (
        select(func.min(Holiday.first_day))
        .where(Holiday.zone == Commune.zone, Holiday.first_day > today)
        .correlate(Commune)
        .scalar_subquery()
    )
    year_end = (
        select(func.min(SchoolYear.last_day))
        .where(SchoolYear.zone == Commune.zone, SchoolYear.last_day >= today)
        .correlate(Commune)
        .scalar_subquery()
    )
    query = _PLACE.add_columns(holidays_start, year_end)
    row = db.execute(query.where(Commune.slug == commune_slug, Service.slug == service_slug)).first()
    return (Place._make(row[:-2]), Season._make(row[-2:])) if row else None


def places_of(db: Session, household_id: int, today: date) -> list[Place]:
    """The services that the household may book now or later this school year."""
    rows = db.execute(
        _PLACE.where(
            Service.id.in_(
                select(Enrolment.service_id).where(
                    Enrolment.household_id == household_id,
                    Enrolment.state == "approved",
                    Enrolment.valid_until >= today,
                )
            )
        ).order_by(Commune.name, Service.position, Service.id)
    )
    return [Place._make(row) for row in rows]


_RIGHTS = (
    select(
        Beneficiary.id,
        Beneficiary.first_name,
        Beneficiary.last_name,
        Enrolment.tariff_id,
        Tariff.label,
        TariffPrice.id,
        TariffPrice.cents,
        Enrolment.valid_from,
        Enrolment.valid_until,
        TariffPrice.valid_from,
        TariffPrice.valid_until,
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
    .order_by(HouseholdBeneficiary.position, Beneficiary.id)
)


def children_of(db: Session, household_id: int, service_id: int, first: date, last: date) -> dict[int, Child]:
    """The household's beneficiaries who may be booked at the service between two days, with tariffs and prices."""
    rows = db.execute(
        _RIGHTS.where(
            Enrolment.household_id == household_id,
            Enrolment.service_id == service_id,
            Enrolment.state == "approved",
            Enrolment.valid_from <= last,
            Enrolment.valid_until >= first,
            TariffPrice.valid_from <= last,
            or_(TariffPrice.valid_until.is_(None), TariffPrice.valid_until >= first),
        )
    )
    names: dict[int, tuple[str, str]] = {}
    rights: dict[int, list[Right]] = defaultdict(list)
    for (
        child_id,
        first_name,
        last_name,
        tariff_id,
        label,
        price_id,
        cents,
        since,
        until,
        price_since,
        price_until,
    ) in rows:
        names[child_id] = (first_name, last_name)
        begins, ends = max(since, price_since), min(until, price_until or _FAR)
        if begins <= ends:
            rights[child_id].append(Right(tariff_id, label, price_id, cents, begins, ends))
    return {
        child_id: Child(child_id, first_name, last_name, tuple(rights[child_id]))
        for child_id, (first_name, last_name) in names.items()
    }


def days_between(db: Session, service_id: int, first: date, last: date) -> dict[date, Day]:
    """The service days from `first` to `last`, by day, in order."""
    rows = db.execute(
        select(
            ServiceDay.id,
            ServiceDay.day,
            ServiceDay.is_open,
            ServiceDay.closed_reason,
            ServiceDay.capacity,
            ServiceDay.booked_count,
            ServiceDay.book_deadline_at,
            ServiceDay.cancel_deadline_at,
            ServiceDay.menu,
        )
        .where(ServiceDay.service_id == service_id, ServiceDay.day >= first, ServiceDay.day <= last)
        .order_by(ServiceDay.day)
    )
    return {row.day: Day._make(row) for row in rows}


def taken(
    db: Session, household_id: int, service_id: int, child_ids: list[int], first: date, last: date
) -> tuple[set[Meal], set[Meal]]:
    """The meals that these children have already at the service between two days: booked (by anyone), in the basket."""
    reservations = Base.metadata.tables["reservations"].c
    booked = (
        select(reservations.beneficiary_id, ServiceDay.day, reservations.state.label("state"))
        .join(ServiceDay, ServiceDay.id == reservations.service_day_id)
        .where(
            reservations.beneficiary_id.in_(child_ids),
            reservations.state.in_(("held", "confirmed")),
            ServiceDay.service_id == service_id,
            ServiceDay.day >= first,
            ServiceDay.day <= last,
        )
    )
    chosen = (
        select(BasketLine.beneficiary_id, ServiceDay.day, Basket.state.label("state"))
        .join(Basket, Basket.id == BasketLine.basket_id)
        .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
        .where(
            Basket.household_id == household_id,
            Basket.state.in_(LIVE_STATES),
            ServiceDay.service_id == service_id,
            ServiceDay.day >= first,
            ServiceDay.day <= last,
        )
    )
    is_booked: set[Meal] = set()
    is_chosen: set[Meal] = set()
    for child_id, day, state in db.execute(union_all(booked, chosen)):
        (is_booked if state in ("held", "confirmed") else is_chosen).add(Meal(child_id, day))
    return is_booked, is_chosen


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
    commune_slug: str
    service_day_id: int
    day: date
    is_open: bool
    closed_reason: str | None
    capacity: int | None
    booked_count: int
    book_deadline_at: datetime
    cancel_deadline_at: datetime
    tariff_label: str
    tariff_price_id: int
    quoted_cents: int
    price_id: int | None
    """The price that holds now for the child's approved tariff; nothing when there is none."""
    price_cents: int | None
    enrolment_id: int | None
    reservation_id: int | None
    """A live reservation of the child for that day, when there is one already."""


@cache
def _meals() -> AnySelect:
    # Built once, after every table is known: the orders room stands beside this one and is named by its table only.
    reservations = Base.metadata.tables["reservations"].c
    query: AnySelect = (
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
            Commune.slug,
            ServiceDay.id,
            ServiceDay.day,
            ServiceDay.is_open,
            ServiceDay.closed_reason,
            ServiceDay.capacity,
            ServiceDay.booked_count,
            ServiceDay.book_deadline_at,
            ServiceDay.cancel_deadline_at,
            Tariff.label,
            BasketLine.tariff_price_id,
            BasketLine.quoted_cents,
            TariffPrice.id,
            TariffPrice.cents,
            Enrolment.id,
            reservations.id,
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
                Enrolment.state == "approved",
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
            Base.metadata.tables["reservations"],
            and_(
                reservations.beneficiary_id == BasketLine.beneficiary_id,
                reservations.service_day_id == BasketLine.service_day_id,
                reservations.state.in_(("held", "confirmed")),
            ),
        )
        .order_by(Service.id, ServiceDay.day, BasketLine.beneficiary_id, BasketLine.id)
    )
    return query


def meals_of_household(db: Session, household_id: int) -> list[BasketMeal]:
    """Everything in the household's live baskets, as it stands now."""
    query = _meals().where(Basket.household_id == household_id, Basket.state.in_(LIVE_STATES))
    return [BasketMeal._make(row) for row in db.execute(query)]


def meals_of_basket(db: Session, basket_id: int) -> list[BasketMeal]:
    """Everything in one basket, as it stands now."""
    return [BasketMeal._make(row) for row in db.execute(_meals().where(Basket.id == basket_id))]
