"""Cancelling meals: before the deadline, for the price paid or what the rule as sold gives back, to the wallet."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

import orders.operations
import wallet.operations
from accounts.models import Beneficiary
from catalog.models import Service, ServiceDay
from checkout import waiting
from checkout.entries import credit_entry
from checkout.errors import CannotCancel, CreditChanged
from checkout.place import Buyer
from checkout.rules import why_not_cancelled
from orders.models import Order, Reservation
from orders.queries import reserved
from shop.database import lock
from shop.errors import NotFound
from shop.french import day_long
from shop.outbox import Letter, post


class SoldMeal(NamedTuple):
    """A reservation as it was sold."""

    id: int
    order_id: int
    regie_id: int
    service_day_id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    state: str
    cents: int
    """What was paid."""
    credit_cents: int
    """What cancelling gives back, as sold."""
    cancel_deadline_at: datetime


_SOLD = (
    reserved(
        Reservation.id,
        Reservation.order_id,
        Order.regie_id,
        Reservation.service_day_id,
        Beneficiary.first_name,
        Beneficiary.last_name,
        ServiceDay.day,
        Service.name,
        Reservation.state,
        Reservation.cents,
        Reservation.credit_cents,
        Reservation.cancel_deadline_at,
    )
    .join(Order, Order.id == Reservation.order_id)
    .order_by(ServiceDay.day, Reservation.id)
)


def meals_to_cancel(db: Session, household_id: int, reservation_ids: Sequence[int]) -> list[SoldMeal]:
    """The household's reservations of these ids. Raises `NotFound` when one of them is not its own."""
    wanted = set(reservation_ids)
    rows = db.execute(_SOLD.where(Reservation.household_id == household_id, Reservation.id.in_(sorted(wanted))))
    meals = [SoldMeal._make(row) for row in rows]
    if not wanted or len(meals) < len(wanted):
        raise NotFound
    return meals


def problems_of(meals: Sequence[SoldMeal], now: datetime) -> list[str]:
    """A sentence for each meal that cannot be cancelled."""
    sentences = (
        why_not_cancelled(
            meal.state, f"{meal.first_name} {meal.last_name}", day_long(meal.day), meal.cancel_deadline_at, now
        )
        for meal in meals
    )
    return [sentence for sentence in sentences if sentence is not None]


def cancel_reservations(
    db: Session, buyer: Buyer, reservation_ids: Sequence[int], seen_cents: int | None, now: datetime
) -> int | None:
    """Cancel meals of the household and credit its wallet with what was promised for each; the credit in cents,
    or nothing when they were all cancelled already.

    All of them or none: raises `NotFound`, `CannotCancel` with a sentence for each, or `CreditChanged`. Asking again for
    meals that are all cancelled already changes nothing and credits nothing.
    """
    meals = meals_to_cancel(db, buyer.household_id, reservation_ids)
    lock(db, Order, {meal.order_id for meal in meals})
    lock(db, ServiceDay, {meal.service_day_id for meal in meals})
    meals = meals_to_cancel(db, buyer.household_id, reservation_ids)
    if all(meal.state == "cancelled" for meal in meals):
        return None
    problems = problems_of(meals, now)
    if problems:
        raise CannotCancel(problems)
    credit = sum(meal.credit_cents for meal in meals)
    if seen_cents is not None and seen_cents != credit:
        raise CreditChanged(seen_cents, credit)
    ids = [meal.id for meal in meals]
    orders.operations.cancel_lines(db, ids, buyer.account_id, now)
    waiting.offer_at_once(db, {meal.service_day_id for meal in meals}, now)
    for regie_id in sorted({meal.regie_id for meal in meals}):
        entries = [
            credit_entry(meal.id, meal.order_id, regie_id, buyer.household_id, meal.credit_cents, buyer.account_id)
            for meal in meals
            if meal.regie_id == regie_id and meal.credit_cents
        ]
        if entries:
            wallet.operations.enter_all(db, entries, now)
    digest = hashlib.sha256(",".join(map(str, sorted(ids))).encode()).hexdigest()[:32]
    facts = {"reservation_ids": ids, "household_id": buyer.household_id, "credit_cents": credit}
    post(db, Letter(kind="meals_cancelled", to=buyer.email, key=f"meals_cancelled:{digest}", facts=facts), now)
    return credit
