"""Joining the waiting list of a day that is full. What becomes of the entry then is the checkout's affair."""

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from cart.days import days_between
from cart.errors import AlreadyWaiting, CannotWait
from cart.models import WaitingEntry
from cart.rules import Child, Meal, cell_state, day_state, may_wait, right_on, why_not_waiting, without_right
from catalog.models import ServiceDay
from shop.errors import NotFound


def join(
    db: Session,
    household_id: int,
    account_id: int,
    service_id: int,
    children: Mapping[int, Child],
    meal: Meal,
    now: datetime,
) -> None:
    """Put a child of the household, one of those who may be booked at the service, on the waiting list of a day.

    Raises `NotFound` for a day that is none, `AlreadyWaiting`, or `CannotWait` when the day is not full, over, or the child
    has no approved enrolment for it, or not the PAI that its tariff asks for.
    """
    child = children[meal.beneficiary_id]
    day_id = _lock_day(db, service_id, meal.day)
    # After the lock: nothing moves on that day until the commit.
    days, taken = days_between(db, household_id, service_id, meal.day, meal.day, now, child.shared)
    day = days[meal.day]
    lacking = without_right(right_on(child, meal.day), meal.day)
    state = cell_state(day_state(day, now), lacking, taken.get(meal))
    waits = select(func.count()).where(
        WaitingEntry.service_day_id == day_id,
        WaitingEntry.beneficiary_id == child.id,
        WaitingEntry.state.in_(("waiting", "offered")),
    )
    if db.scalar(waits):
        raise AlreadyWaiting(child.name, meal.day)
    if not may_wait(state, lacking is None, day.book_deadline_at, now):
        raise CannotWait(why_not_waiting(state, child.name, day))
    db.execute(
        insert(WaitingEntry).values(
            household_id=household_id,
            beneficiary_id=child.id,
            service_day_id=day_id,
            account_id=account_id,
            state="waiting",
            asked_at=now,
        )
    )


def _lock_day(db: Session, service_id: int, day: date) -> int:
    day_id = db.scalar(
        select(ServiceDay.id)
        .where(ServiceDay.service_id == service_id, ServiceDay.day == day)
        .order_by(ServiceDay.id)
        .with_for_update(key_share=True)
    )
    if day_id is None:
        raise NotFound
    return day_id
