"""Tables of payments."""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from shop.database import Key, Row, Word

STATES = ("created", "sent", "confirmed", "refused", "cancelled", "expired", "quarantined")
PURPOSES = ("order", "top_up")
UNSETTLED = "state IN ('created', 'sent')"
PENDING = "state IN ('open', 'challenged', 'processing')"


class Payment(Row):
    """One attempt to be paid. Committed before the provider hears of it, with a key that makes asking twice harmless."""

    __tablename__ = "payments"

    key: Mapped[str] = mapped_column(String(32), unique=True)
    """Random; our reference at the provider, the idempotency key of the first call, and the name in addresses."""
    purpose: Mapped[str] = mapped_column(Word(8))
    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"))
    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"), index=True)
    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    order_id: Mapped[int | None] = mapped_column(Key, index=True)
    attempt: Mapped[int] = mapped_column(default=1)
    provider: Mapped[str] = mapped_column(String(20))
    provider_reference: Mapped[str | None] = mapped_column(String(120))
    """The provider's own name for it, such as a Checkout Session's id."""
    pay_url: Mapped[str | None] = mapped_column(Text)
    """Where the person pays, while the payment is `sent`."""
    cents: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3), default="eur")
    live: Mapped[bool]
    """Whether real money is meant; an event of the other mode is refused."""
    state: Mapped[str] = mapped_column(Word(12))
    back_to_basket: Mapped[bool] = mapped_column(default=False)
    """A top-up made because the balance was short: the person comes back to the basket."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    """When the provider was last asked by the reconciler."""
    settled_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("provider", "provider_reference"),
        UniqueConstraint("order_id", "attempt"),
        ForeignKeyConstraint(
            ["order_id", "regie_id", "household_id"], ["orders.id", "orders.regie_id", "orders.household_id"]
        ),
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in STATES)})", name="state"),
        CheckConstraint("purpose IN ('order', 'top_up')", name="purpose"),
        CheckConstraint("(purpose = 'order') = (order_id IS NOT NULL)", name="order"),
        CheckConstraint("cents > 0", name="cents"),
        # One attempt at a time for an order.
        Index(
            "uq_payments_unsettled",
            "order_id",
            unique=True,
            postgresql_where=text(UNSETTLED),
            sqlite_where=text(UNSETTLED),
        ),
        Index(
            "ix_payments_unsettled",
            "created_at",
            postgresql_where=text(UNSETTLED),
            sqlite_where=text(UNSETTLED),
        ),
    )


class PaymentEvent(Row):
    """What a provider told us, as it came; append-only. The outcome is written once."""

    __tablename__ = "payment_events"

    provider: Mapped[str] = mapped_column(String(20))
    key: Mapped[str] = mapped_column(String(120))
    """The provider's id of the event."""
    kind: Mapped[str] = mapped_column(String(80))
    body: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]
    payment_id: Mapped[int | None] = mapped_column(Key, ForeignKey("payments.id"), index=True)
    outcome: Mapped[str | None] = mapped_column(String(40))

    __table_args__ = (UniqueConstraint("provider", "key"),)


class SandboxPayment(Row):
    """The sandbox provider's own books: a payment page it hosts. The shop reads it only through the gateway."""

    __tablename__ = "sandbox_payments"

    reference: Mapped[str] = mapped_column(String(60), unique=True)
    payment_key: Mapped[str] = mapped_column(String(32), unique=True)
    cents: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    description: Mapped[str] = mapped_column(String(200))
    payee: Mapped[str] = mapped_column(String(120))
    """Whose name the page shows."""
    success_url: Mapped[str] = mapped_column(Text)
    cancel_url: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Word(12))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    captures_at: Mapped[datetime | None]
    """When a payment that succeeds late will; nothing for one that never answers."""
    closed_at: Mapped[datetime | None]
    """When it was paid or expired."""
    call_at: Mapped[datetime | None]
    """When the shop is to be told next; nothing when there is nothing to tell."""
    calls: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("state IN ('open', 'challenged', 'processing', 'paid', 'expired')", name="state"),
        CheckConstraint("cents > 0", name="cents"),
        Index(
            "ix_sandbox_payments_call",
            "call_at",
            postgresql_where=text("call_at IS NOT NULL"),
            sqlite_where=text("call_at IS NOT NULL"),
        ),
        Index("ix_sandbox_payments_pending", "expires_at", postgresql_where=text(PENDING), sqlite_where=text(PENDING)),
    )
