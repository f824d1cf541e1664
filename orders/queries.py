"""Reads of reservations."""

from typing import Any

from sqlalchemy import select

from accounts.models import Beneficiary
from catalog.models import Service, ServiceDay
from orders.models import Reservation
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
