"""What comes next for a family: the meals of the coming days, the next deadline, what there is to do."""

from datetime import date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from accounts.models import HouseholdBeneficiary
from catalog.models import Service, ServiceDay
from checkout.queries import booked_between
from enrolments.models import Enrolment
from orders.models import Reservation
from shop.clock import paris_day
from shop.french import listing

DAYS_AHEAD = 7


class MealDay(NamedTuple):
    """Who eats on a day."""

    day: date
    words: str
    """ "Louane et Théo"."""


class Deadline(NamedTuple):
    """The next instant at which booking closes for a day on which somebody of the family could still be booked, and which
    day of which service that is."""

    at: datetime
    day: date
    service_name: str


class Dashboard(NamedTuple):
    """What the page "Mon compte" shows first."""

    days: list[MealDay]
    deadline: Deadline | None
    to_complete: int
    """Requests for which the town hall wants a paper."""
    waiting: int
    """Requests that the town hall has not decided."""


def look_ahead(db: Session, household_id: int, now: datetime) -> Dashboard:
    """What comes next for the household, in three statements."""
    today = paris_day(now)
    booked = [
        meal
        for meal in booked_between(db, household_id, today, today + timedelta(days=DAYS_AHEAD - 1))
        if meal.state == "confirmed"
    ]
    days = [
        MealDay(day, listing(list(dict.fromkeys(meal.first_name for meal in meals))))
        for day, meals in groupby(booked, key=lambda meal: meal.day)
    ]
    is_booked = (
        exists()
        .where(
            Reservation.service_day_id == ServiceDay.id,
            Reservation.beneficiary_id == Enrolment.beneficiary_id,
            Reservation.state.in_(("held", "confirmed")),
        )
        .correlate(ServiceDay, Enrolment)
    )
    somebody_may_be_booked = exists().where(
        Enrolment.household_id == household_id,
        Enrolment.service_id == ServiceDay.service_id,
        Enrolment.state == "approved",
        Enrolment.valid_from <= ServiceDay.day,
        Enrolment.valid_until >= ServiceDay.day,
        HouseholdBeneficiary.household_id == household_id,
        HouseholdBeneficiary.beneficiary_id == Enrolment.beneficiary_id,
        HouseholdBeneficiary.archived_at.is_(None),
        ~is_booked,
    )
    row = db.execute(
        select(ServiceDay.book_deadline_at, ServiceDay.day, Service.name)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(
            somebody_may_be_booked,
            ServiceDay.is_open,
            or_(ServiceDay.capacity.is_(None), ServiceDay.booked_count < ServiceDay.capacity),
            ServiceDay.day >= today,
            ServiceDay.day <= today + timedelta(days=60),
            ServiceDay.book_deadline_at > now,
        )
        .order_by(ServiceDay.book_deadline_at, ServiceDay.day)
        .limit(1)
    ).first()
    counts = db.execute(
        select(Enrolment.state, func.count()).where(Enrolment.household_id == household_id).group_by(Enrolment.state)
    )
    states = {str(state): int(count) for state, count in counts}
    deadline = Deadline._make(row) if row else None
    return Dashboard(days, deadline, states.get("to_complete", 0), states.get("requested", 0))
