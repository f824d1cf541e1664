"""What comes next for a family: the meals of the coming days, the next deadlines, what there is to do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from catalog.models import ServiceDay
from checkout.reminders import queries
from checkout.reminders.rules import Cover, Day, Family, covers, habits
from enrolments.outside_invoices import open_invoices
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
    pay_before: datetime | None
    """Until when what is in the basket can be paid in time; nothing when the basket is empty or that is past."""
    covers: list[Cover]
    """How far wallets last for the usual meals; one that lasts for all that is known is not among them."""
    invoices_cents: int
    """What the régies know to be unpaid elsewhere."""


def look_ahead(db: Session, household_id: int, now: datetime) -> Dashboard:
    """What comes next for the household, in four statements; one more where meals are usually paid from a wallet."""
    today = paris_day(now)
    enrolments = queries.enrolments_of(db, [household_id])
    approved = {facts.right.service_id for facts in enrolments if facts.state == "approved"}
    days = queries.days_around(db, approved, today)
    family = queries.families_of(db, [household_id], enrolments, today)[household_id]
    states = Counter(facts.state for facts in enrolments)
    used = any(habit.from_wallet for habit in habits(family, days, today))
    balances = queries.wallets_of(db, [household_id])[household_id] if used else {}
    limits = [had.book_deadline_at for had in family.had if had.what == "basket" and had.book_deadline_at > now]
    return Dashboard(
        _days_ahead(family, today),
        _next_deadline(family, days, now),
        states["to_complete"],
        states["requested"],
        min(limits, default=None),
        covers(family, days, balances, now) if used else [],
        sum(invoice.cents for invoice in open_invoices(db, household_id)),
    )


class BookedAhead(NamedTuple):
    """How many meals of somebody are booked from today on, and from when to when."""

    meals: int
    first: date
    last: date


def booked_ahead(db: Session, household_id: int, beneficiary_id: int, now: datetime) -> BookedAhead | None:
    """What the household has booked for a beneficiary from today on; nothing when it is nothing."""
    count, first, last = db.execute(
        select(func.count(), func.min(ServiceDay.day), func.max(ServiceDay.day))
        .select_from(Reservation)
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .where(
            Reservation.household_id == household_id,
            Reservation.beneficiary_id == beneficiary_id,
            Reservation.state.in_(("held", "confirmed")),
            ServiceDay.day >= paris_day(now),
        )
    ).one()
    return BookedAhead(count, first, last) if count else None


def _days_ahead(family: Family, today: date) -> list[MealDay]:
    """Who eats on the days to come."""
    booked = sorted(
        (had for had in family.had if had.own and had.confirmed and today <= had.day < today + timedelta(DAYS_AHEAD)),
        key=lambda had: (had.day, had.service_id, had.first_name),
    )
    return [
        MealDay(day, listing(list(dict.fromkeys(had.first_name for had in meals))))
        for day, meals in groupby(booked, key=lambda had: had.day)
    ]


def _next_deadline(family: Family, days: Mapping[int, Sequence[Day]], now: datetime) -> Deadline | None:
    """The next deadline of a day on which somebody may be booked and is not, by anybody."""
    booked = {(had.child_id, had.service_id, had.day) for had in family.had if had.what == "booked"}
    found = [
        Deadline(day.book_deadline_at, day.day, day.service_name)
        for right in family.rights
        for day in days.get(right.service_id, ())
        if right.first <= day.day <= right.last
        and day.has_place
        and day.book_deadline_at > now
        and day.day >= paris_day(now)
        and (right.child_id, day.service_id, day.day) not in booked
    ]
    return min(found, default=None)
