"""Reads for days that are called off. Every one takes the communes it may speak of."""

from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from accounts.models import Beneficiary
from cart.days import concerns
from catalog.models import CallOff, Commune, School, Service, ServiceDay
from orders.models import Reservation, UnbookedMeal
from shop.errors import NotFound

CALL_OFFS_SHOWN = 100


class CalledOff(NamedTuple):
    """A call-off as the page shows it."""

    id: int
    service_name: str
    day: date
    school_name: str | None
    class_name: str | None
    kind: str
    picnics: int | None
    """On an outing with picnics, the paid meals that are one; nothing where meals are cancelled."""
    words: str
    state: str
    due_at: datetime
    meals: int
    cents: int
    unbooked: int
    """Meals without a booking that it has struck off."""
    back_cents: int
    """What of these was paid, and went back."""
    undue_cents: int
    """What of these was due, and is so no longer."""


def services_of(db: Session, commune_ids: Collection[int]) -> list[tuple[int, str]]:
    """The services of these communes: number, name."""
    rows = db.execute(
        select(Service.id, Service.name)
        .where(Service.commune_id.in_(commune_ids))
        .order_by(Service.commune_id, Service.position, Service.id)
    )
    return [(key, name) for key, name in rows]


def schools_of(db: Session, commune_ids: Collection[int]) -> list[tuple[int, str]]:
    """The schools of these communes: number, name; with the commune's, where they are of several."""
    rows = db.execute(
        select(School.id, School.name, Commune.name)
        .join(Commune, Commune.id == School.commune_id)
        .where(School.commune_id.in_(commune_ids))
        .order_by(Commune.name, School.name, School.id)
    ).all()
    several = len({commune for _key, _name, commune in rows}) > 1
    return [(key, f"{name} ({commune})" if several else name) for key, name, commune in rows]


def has_class(db: Session, school_id: int | None, name: str) -> bool:
    """Whether any child goes to a class of that name at the school."""
    query = select(Beneficiary.id).where(
        Beneficiary.school_id == school_id, func.lower(func.trim(Beneficiary.class_name)) == func.lower(name)
    )
    return db.scalars(query.limit(1)).first() is not None


def day_of(db: Session, commune_ids: Collection[int], service_id: int, day: date) -> int | None:
    """The number of a service's day in these communes, if it is one."""
    return db.scalar(
        select(ServiceDay.id)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(Service.commune_id.in_(commune_ids), Service.id == service_id, ServiceDay.day == day)
    )


# The paid meals of those whom a call-off concerns.
_PICNICS = (
    select(func.count())
    .select_from(Reservation)
    .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
    .where(
        Reservation.service_day_id == CallOff.service_day_id, Reservation.state == "confirmed", concerns(Beneficiary)
    )
    .correlate(CallOff)
    .scalar_subquery()
)
_STRUCK = select(func.count()).where(UnbookedMeal.call_off_id == CallOff.id).correlate(CallOff).scalar_subquery()
_STRUCK_CENTS = (
    select(func.coalesce(func.sum(UnbookedMeal.cents), 0))
    .where(UnbookedMeal.call_off_id == CallOff.id)
    .correlate(CallOff)
)


def call_offs(db: Session, commune_ids: Collection[int], since: date) -> list[CalledOff]:
    """What these communes have called off of days since then, the newest first."""
    rows = db.execute(
        select(
            CallOff.id,
            Service.name,
            ServiceDay.day,
            School.name,
            CallOff.class_name,
            CallOff.kind,
            case((CallOff.picnic, _PICNICS)),
            CallOff.words,
            CallOff.state,
            CallOff.due_at,
            CallOff.meals,
            CallOff.cents,
            _STRUCK,
            _STRUCK_CENTS.where(UnbookedMeal.settled_at.is_not(None)).scalar_subquery(),
            _STRUCK_CENTS.where(UnbookedMeal.settled_at.is_(None)).scalar_subquery(),
        )
        .join(ServiceDay, ServiceDay.id == CallOff.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .outerjoin(School, School.id == CallOff.school_id)
        .where(Service.commune_id.in_(commune_ids), ServiceDay.day >= since)
        .order_by(CallOff.id.desc())
        .limit(CALL_OFFS_SHOWN)
    )
    return [CalledOff._make(row) for row in rows]


def own_call_off(db: Session, commune_ids: Collection[int], call_off_id: int) -> CallOff:
    """A call-off of one of these communes. Raises `NotFound`."""
    found = db.scalar(
        select(CallOff)
        .join(ServiceDay, ServiceDay.id == CallOff.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(CallOff.id == call_off_id, Service.commune_id.in_(commune_ids))
    )
    if found is None:
        raise NotFound
    return found
