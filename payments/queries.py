"""Reads of payments."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from payments.gateways.base import Notice
from payments.models import Payment, PaymentEvent
from payments.rules import ASK_AGAIN_AFTER, ASK_FIRST_AFTER, UNSETTLED


@dataclass(frozen=True)
class Attempt:
    """A payment, as far as its provider is asked about it."""

    id: int
    key: str
    provider: str
    provider_reference: str | None
    live: bool
    created_at: datetime
    expires_at: datetime


_ATTEMPT = (
    Payment.id,
    Payment.key,
    Payment.provider,
    Payment.provider_reference,
    Payment.live,
    Payment.created_at,
    Payment.expires_at,
)


def _first(db: Session, *conditions: ColumnElement[bool]) -> Attempt | None:
    row = db.execute(select(*_ATTEMPT).where(*conditions)).first()
    return None if row is None else Attempt(*row)


def find_noticed(db: Session, provider: str, notice: Notice) -> Attempt | None:
    """The payment of a provider that a notice is about: by its name there, or by ours."""
    if notice.reference is not None:
        facts = _first(db, Payment.provider == provider, Payment.provider_reference == notice.reference)
        if facts is not None:
            return facts
    if notice.payment_key is None:
        return None
    return _first(db, Payment.provider == provider, Payment.key == notice.payment_key)


def is_known(db: Session, provider: str, event_key: str) -> bool:
    """Whether the event was told before."""
    known = select(PaymentEvent.id).where(PaymentEvent.provider == provider, PaymentEvent.key == event_key)
    return db.scalar(known) is not None


def due_for_asking(db: Session, now: datetime, limit: int) -> list[Attempt]:
    """Unsettled payments whose provider should be asked now, those never asked first, then the longest unasked."""
    again: list[ColumnElement[bool]] = []
    for age, pause in ASK_AGAIN_AFTER:
        again.append(and_(Payment.created_at > now - age, Payment.checked_at <= now - pause))
    rows = db.execute(
        select(*_ATTEMPT)
        .where(
            Payment.state.in_(sorted(UNSETTLED)),
            Payment.created_at <= now - ASK_FIRST_AFTER,
            or_(
                Payment.checked_at.is_(None),
                # The moment it lapses is worth a question of its own: places are waiting to be freed.
                and_(Payment.expires_at <= now, Payment.checked_at < Payment.expires_at),
                *again,
            ),
        )
        .order_by(Payment.checked_at.is_not(None), Payment.checked_at, Payment.id)
        .limit(limit)
    )
    return [Attempt(*row) for row in rows]
