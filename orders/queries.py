"""Reads of reservations."""

from typing import Any

from sqlalchemy import ScalarSelect, select

from accounts.models import Beneficiary
from catalog.models import Service, ServiceDay
from orders.models import FreedMeal, Reservation
from shop.database import AnySelect


def reserved(*columns: Any) -> AnySelect:
    """A select of reservations with whose they are and what they are for at hand: `Beneficiary`, `ServiceDay`, `Service`."""
    query: AnySelect = (
        select(*columns)
        .select_from(Reservation)
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
    )
    return query


def freed_state() -> ScalarSelect[str]:
    """What became of a reservation (`Reservation`) that was given back, the last time; nothing when it never was."""
    return (
        select(FreedMeal.state)
        .where(FreedMeal.reservation_id == Reservation.id)
        .order_by(FreedMeal.id.desc())
        .limit(1)
        .correlate(Reservation)
        .scalar_subquery()
    )
