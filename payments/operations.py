"""Verbs of payments: open an attempt, note that it was sent, move it, keep what a provider told us."""

import secrets
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from payments.errors import AttemptUnderWay, MoveRefused
from payments.gateways.base import Notice, Started
from payments.models import Payment, PaymentEvent
from payments.rules import UNSETTLED, may_move
from shop.database import insert_once, lock


def open_attempt(
    db: Session,
    *,
    purpose: Literal["order", "top_up"],
    regie_id: int,
    household_id: int,
    account_id: int,
    order_id: int | None,
    cents: int,
    gateway_name: str,
    live: bool,
    hold: timedelta,
    back_to_basket: bool,
    now: datetime,
) -> Payment:
    """A new payment in state `created`, to be committed before the provider hears of it.

    For an order, the caller holds the order's lock. Raises `AttemptUnderWay` while an earlier attempt has no outcome.
    """
    attempt = 1
    if order_id is not None:
        for key, number, state in db.execute(
            select(Payment.key, Payment.attempt, Payment.state).where(Payment.order_id == order_id)
        ):
            if state in UNSETTLED:
                raise AttemptUnderWay(key)
            attempt = max(attempt, number + 1)
    payment = Payment(
        key=secrets.token_hex(16),
        purpose=purpose,
        regie_id=regie_id,
        household_id=household_id,
        account_id=account_id,
        order_id=order_id,
        attempt=attempt,
        provider=gateway_name,
        cents=cents,
        currency="eur",
        live=live,
        state="created",
        back_to_basket=back_to_basket,
        created_at=now,
        expires_at=now + hold,
    )
    db.add(payment)
    db.flush()
    return payment


def lock_payment(db: Session, payment_id: int) -> Payment:
    """The payment as it is now, locked until the end of the transaction; its order is locked before."""
    (payment,) = lock(db, Payment, [payment_id])
    return payment


def mark_sent(db: Session, payment_id: int, started: Started) -> Payment:
    """Note the payment's name at the provider and its page. One that was settled meanwhile keeps its state."""
    payment = lock_payment(db, payment_id)
    if payment.provider_reference is None:
        payment.provider_reference = started.reference
    if payment.state == "created":
        payment.state = "sent"
    if payment.state == "sent":
        payment.pay_url = started.pay_url
    db.flush()
    return payment


def move(db: Session, payment: Payment, state: str, now: datetime) -> None:
    """Move a locked payment to another state. Raises `MoveRefused` where the table of moves has no such way."""
    if not may_move(payment.state, state):
        raise MoveRefused(payment.key, payment.state, state)
    payment.state = state
    if state not in UNSETTLED:
        payment.settled_at = now
        payment.pay_url = None
    db.flush()


def take_in(db: Session, provider: str, notice: Notice, body: bytes, now: datetime) -> int | None:
    """Keep an event as it came. Its id, or nothing when the same event is kept already."""
    return insert_once(
        db,
        PaymentEvent,
        {
            "provider": provider,
            "key": notice.key,
            "kind": notice.kind[:80],
            "body": body.decode(),
            "received_at": now,
        },
    )


def note_outcome(db: Session, event_id: int, payment_id: int | None, outcome: str) -> None:
    """Write, once, which payment an event was about and what came of it."""
    db.execute(
        update(PaymentEvent).where(PaymentEvent.id == event_id).values(payment_id=payment_id, outcome=outcome[:40])
    )


def note_asked(db: Session, payment_id: int, reference: str | None, now: datetime) -> None:
    """Note when the provider was last asked, and the payment's name there if it was found only now."""
    db.execute(update(Payment).where(Payment.id == payment_id).values(checked_at=now))
    if reference:
        db.execute(
            update(Payment)
            .where(Payment.id == payment_id, Payment.provider_reference.is_(None))
            .values(provider_reference=reference)
        )
