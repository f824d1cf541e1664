"""Settling a payment: what happens when a provider says that money came, or that it will not.

Webhook, browser return and reconciler call the same `settle`, in any order, any number of times and at the same time.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import structlog
from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

import cart.operations
import orders.operations
import payments.operations
import wallet.operations
from accounts.models import Account
from cart.days import freed_for
from cart.models import Basket, BasketLine
from cart.quotes import says
from catalog.models import Regie, SchoolPlace, ServiceDay
from checkout import freed, waiting
from checkout.call_off import follow
from checkout.dues import settle_oldest
from checkout.place import order_letter
from checkout.rules import still_free
from enrolments.models import Enrolment
from homes.queries import days_elsewhere
from orders.models import FreedMeal, Order, Reservation, UnbookedMeal
from payments.gateways.base import Seen
from payments.models import Payment
from payments.rules import judge
from shop.database import lock
from shop.outbox import Letter, post
from wallet.operations import AccountRef, Entry

log = structlog.get_logger(__name__)

Outcome = Literal[
    "unknown_payment",
    "waiting",
    "already",
    "topped_up",
    "order_paid",
    "order_revived",
    "late_to_wallet",
    "double_to_wallet",
    "expired",
    "amount_mismatch",
    "currency_mismatch",
    "mode_mismatch",
    "reference_mismatch",
]


@dataclass(frozen=True)
class _Locked:
    payment: Payment
    order: Order | None


def settle(db: Session, payment_key: str, seen: Seen, now: datetime) -> Outcome:
    """Apply what the provider says of a payment, `seen`, which was fetched before this transaction began.

    Money that came is never lost: it pays the order, revives it when the places are still free, or goes to the wallet.
    An amount that is not ours is quarantined: nothing is fulfilled, the money stands in suspense, the régie is told.
    """
    locked = _lock(db, payment_key)
    if locked is None:
        log.error("payment unknown", payment_key=payment_key, reference=seen.reference)
        return "unknown_payment"
    payment, order = locked.payment, locked.order
    match judge(payment, seen):
        case "wait":
            return "waiting"
        case "expire":
            return _expire(db, payment, order, "expired", now)
        case "confirm":
            if payment.state in ("confirmed", "quarantined"):
                # What stands in quarantine is for people to clear: a provider that says otherwise later changes nothing.
                return "already"
            payments.operations.move(db, payment, "confirmed", now)
            if order is None:
                return _top_up(db, payment, now)
            return _pay_order(db, payment, order, now)
        case mismatch:
            return _quarantine(db, payment, order, seen, mismatch, now)


def give_up(db: Session, payment_key: str, state: Literal["cancelled", "refused", "expired"], now: datetime) -> Outcome:
    """End a payment that can no longer be paid at its provider, and give the places of its order back."""
    locked = _lock(db, payment_key)
    if locked is None:
        return "unknown_payment"
    return _expire(db, locked.payment, locked.order, state, now)


def _lock(db: Session, payment_key: str) -> _Locked | None:
    """Lock basket → order → payment, in the order of the house."""
    row = db.execute(
        select(Payment.id, Payment.order_id, Order.basket_id)
        .outerjoin(Order, Order.id == Payment.order_id)
        .where(Payment.key == payment_key)
    ).first()
    if row is None:
        return None
    order = None
    if row.order_id is not None:
        if row.basket_id is not None:
            lock(db, Basket, [row.basket_id])
        (order,) = lock(db, Order, [row.order_id])
    (payment,) = lock(db, Payment, [row.id])
    return _Locked(payment, order)


def _lock_days(db: Session, order: Order) -> bool:
    """Lock the order's days; whether it holds meals that other families have given back."""
    holds = (
        select(func.count(FreedMeal.id))
        .join(Reservation, Reservation.id == FreedMeal.taker_id)
        .where(Reservation.order_id == order.id, FreedMeal.state == "held")
        .scalar_subquery()
    )
    found = db.scalars(
        select(holds)
        .select_from(ServiceDay)
        .where(ServiceDay.id.in_(select(Reservation.service_day_id).where(Reservation.order_id == order.id)))
        .order_by(ServiceDay.id)
        .with_for_update(key_share=True)
    )
    return any(found.all())


def _email(db: Session, payment: Payment) -> str:
    return db.scalars(select(Account.email).where(Account.id == payment.account_id)).one()


def _enter(
    db: Session,
    payment: Payment,
    kind: str,
    account: AccountRef,
    cents: int,
    now: datetime,
    others: Sequence[Entry] = (),
) -> None:
    entry = Entry(
        kind=kind,
        key=f"{kind}:payment:{payment.id}",
        regie_id=payment.regie_id,
        postings=((AccountRef("card_clearing"), -cents), (account, cents)),
        order_id=payment.order_id,
        payment_id=payment.id,
    )
    wallet.operations.enter_all(db, [entry, *others], now)


def _tell(db: Session, payment: Payment, kind: str, now: datetime, **more: object) -> None:
    facts = {"payment_id": payment.id, **more}
    post(db, Letter(kind=kind, to=_email(db, payment), key=f"{kind}:{payment.id}", facts=facts), now)


def _top_up(db: Session, payment: Payment, now: datetime) -> Outcome:
    _enter(db, payment, "top_up", AccountRef("wallet", payment.household_id), payment.cents, now)
    settled = settle_oldest(db, payment.household_id, payment.regie_id, now)
    _tell(db, payment, "topped_up", now, settled=settled)
    return "topped_up"


def _pay_order(db: Session, payment: Payment, order: Order, now: datetime) -> Outcome:
    if order.state == "paid":
        _enter(db, payment, "double_payment", AccountRef("wallet", payment.household_id), payment.cents, now)
        _tell(db, payment, "double_payment", now)
        return "double_to_wallet"
    if order.state == "pending":
        credited = freed.settle_held(db, order.id, now) if _lock_days(db, order) else []
        orders.operations.confirm(db, order.id, now)
        if order.basket_id is not None:
            cart.operations.set_state(db, order.basket_id, "converted", now)
        outcome: Outcome = "order_paid"
    elif (revival := _can_revive(db, order, now)) is not None:
        places = revival.places
        offers = freed.take(db, order.household_id, places) if places else []
        credited = freed.hand_over(db, offers, now) if offers else []
        if revival.entries:
            waiting.take(db, revival.entries, order.id, now)
        if offers:
            orders.operations.count_at(db, order.id, freed.schools_of(offers, places))
        orders.operations.revive(db, order.id, now)
        if offers:
            freed.note_takers(db, order.id, offers, places, now)
        _drop_from_baskets(db, order)
        outcome = "order_revived"
    else:
        _enter(db, payment, "late_payment", AccountRef("wallet", payment.household_id), payment.cents, now)
        _tell(db, payment, "late_payment", now)
        return "late_to_wallet"
    _enter(db, payment, "card_payment", AccountRef("sales"), payment.cents, now, credited)
    post(db, order_letter(order.id, _email(db, payment)), now)
    follow(db, order.id, now)
    return outcome


class _Revival(NamedTuple):
    """How a lapsed order finds its places again."""

    places: list[freed.Place]
    """The meals that take the place of one that another family has given back."""
    entries: list[int]
    """The family's entries in waiting lists for its meals."""


def _can_revive(db: Session, order: Order, now: datetime) -> _Revival | None:
    """Whether every meal of a lapsed order may still be booked: place, deadline, right, not booked meanwhile, and not on a
    day that both homes have given to the other meanwhile. A place that is kept for the family is its own.

    How the places are found, or nothing when the order cannot be revived.
    """
    _lock_days(db, order)
    ordered_again = select(Order.id).where(Order.basket_id == order.basket_id, Order.state.in_(("pending", "paid")))
    if order.basket_id is not None and db.scalar(ordered_again.where(Order.id != order.id)):
        return None
    other = Reservation.__table__.alias("other")
    eaten = exists().where(
        UnbookedMeal.beneficiary_id == Reservation.beneficiary_id,
        UnbookedMeal.service_day_id == Reservation.service_day_id,
        UnbookedMeal.state != "struck",
    )
    rows = db.execute(
        select(
            Reservation.beneficiary_id,
            ServiceDay.day,
            ServiceDay.is_open,
            ServiceDay.capacity,
            ServiceDay.booked_count,
            ServiceDay.book_deadline_at,
            ServiceDay.freed_deadline_at,
            freed_for(Reservation.household_id).label("freed"),
            Reservation.beneficiary_id,
            Reservation.service_day_id,
            Reservation.basis,
            SchoolPlace.capacity.label("school_capacity"),
            SchoolPlace.booked_count.label("school_booked_count"),
            Reservation.school_id,
            other.c.id.label("booked_meanwhile"),
            Enrolment.id.label("enrolment_id"),
            eaten.label("eaten"),
        )
        .select_from(Reservation)
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .outerjoin(
            SchoolPlace,
            (SchoolPlace.service_day_id == Reservation.service_day_id)
            & (SchoolPlace.school_id == Reservation.school_id),
        )
        .outerjoin(
            other,
            (other.c.beneficiary_id == Reservation.beneficiary_id)
            & (other.c.service_day_id == Reservation.service_day_id)
            & other.c.state.in_(("held", "confirmed")),
        )
        .outerjoin(
            Enrolment,
            (Enrolment.household_id == Reservation.household_id)
            & (Enrolment.beneficiary_id == Reservation.beneficiary_id)
            & (Enrolment.tariff_id == Reservation.tariff_id)
            & (Enrolment.state == "approved")
            & (Enrolment.valid_from <= ServiceDay.day)
            & (Enrolment.valid_until >= ServiceDay.day),
        )
        .where(Reservation.order_id == order.id)
    ).all()
    if days_elsewhere(db, order.household_id, [(row.beneficiary_id, row.day) for row in rows]):
        return None
    entries = waiting.entries_of(db, order.id)
    deadlines = {row.service_day_id: row.book_deadline_at for row in rows}
    wanted = Counter(row.service_day_id for row in rows)
    # After the deadline no place of the waiting list is kept any more, whether the worker has ended the offer or not.
    kept = [entry for entry in entries if entry.offered and now < deadlines[entry.service_day_id]]
    wanted.subtract(entry.service_day_id for entry in kept)
    wanted_at = Counter((row.service_day_id, row.school_id) for row in rows)
    wanted_at.subtract((entry.service_day_id, entry.school_id) for entry in kept)
    if not all(
        row.is_open
        and row.booked_meanwhile is None
        and not row.eaten
        and row.enrolment_id is not None
        and _is_free(row, now, wanted[row.service_day_id], wanted_at[row.service_day_id, row.school_id])
        for row in rows
    ):
        return None
    places = [freed.Place(row.beneficiary_id, row.service_day_id) for row in rows if now >= row.book_deadline_at]
    return _Revival(places, [entry.id for entry in entries])


def _is_free(row: Any, now: datetime, wanted: int, of_school: int) -> bool:
    """Whether there is a place for the meal; after the deadline one that was given back, which costs what was paid for it."""
    if now < row.book_deadline_at:
        return still_free(row.capacity, row.booked_count, wanted) and still_free(
            row.school_capacity, row.school_booked_count, of_school
        )
    limit = row.freed_deadline_at
    return limit is not None and now < limit and row.freed >= wanted and not says(row.basis, "late")


def _drop_from_baskets(db: Session, order: Order) -> None:
    """Take the meals that late money has booked out of the household's basket, where they came back to at the lapse."""
    booked = select(Reservation.id).where(
        Reservation.order_id == order.id,
        Reservation.beneficiary_id == BasketLine.beneficiary_id,
        Reservation.service_day_id == BasketLine.service_day_id,
    )
    baskets = select(Basket.id).where(Basket.household_id == order.household_id, Basket.state == "open")
    db.execute(
        delete(BasketLine)
        .where(BasketLine.basket_id.in_(baskets), booked.exists())
        .execution_options(synchronize_session=False)
    )


def _expire(
    db: Session,
    payment: Payment,
    order: Order | None,
    state: Literal["cancelled", "refused", "expired"],
    now: datetime,
) -> Outcome:
    if payment.state not in ("created", "sent"):
        return "already"
    payments.operations.move(db, payment, state, now)
    pending, paid = (order is not None and order.state == name for name in ("pending", "paid"))
    if order is not None and pending:
        _release(db, order, "cancelled" if state == "cancelled" else "expired", now)
    # Who gave it up knows; the meals of an order that another payment has paid are booked.
    if state != "cancelled" and not paid:
        in_basket = order is not None and pending and order.basket_id is not None
        _tell(db, payment, "payment_failed", now, in_basket=in_basket)
    return "expired"


def _release(db: Session, order: Order, state: Literal["cancelled", "expired"], now: datetime) -> None:
    holds_freed = _lock_days(db, order)
    orders.operations.release(db, order.id, now, state)
    if holds_freed:
        freed.release_held(db, order.id, now)
    waiting.give_back(db, order.id, now)
    if order.basket_id is not None:
        cart.operations.set_state(db, order.basket_id, "open", now)


def _quarantine(
    db: Session,
    payment: Payment,
    order: Order | None,
    seen: Seen,
    mismatch: Literal["amount_mismatch", "currency_mismatch", "mode_mismatch", "reference_mismatch"],
    now: datetime,
) -> Outcome:
    log.error("payment quarantined", payment_id=payment.id, reason=mismatch, seen_cents=seen.cents)
    if mismatch != "amount_mismatch" or not seen.cents or payment.state in ("confirmed", "quarantined"):
        # Test money, another currency, another payment's object or no money at all says nothing about ours: it stays.
        return mismatch
    payments.operations.move(db, payment, "quarantined", now)
    if order is not None and order.state == "pending":
        _release(db, order, "expired", now)
    _enter(db, payment, "suspense", AccountRef("suspense"), seen.cents, now)
    contact = db.scalars(select(Regie.contact_email).where(Regie.id == payment.regie_id)).one()
    facts = {"payment_id": payment.id, "seen_cents": seen.cents}
    post(db, Letter(kind="payment_quarantined", to=contact, key=f"payment_quarantined:{payment.id}", facts=facts), now)
    return mismatch
