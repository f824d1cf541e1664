"""Tables of baskets."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.database import Key, Row, Word

LIVE = "state IN ('open', 'completing')"
WAITING_STATES = ("waiting", "offered", "taken", "lapsed", "declined", "left", "over")
WAITS = "state IN ('waiting', 'offered')"


class Basket(Row):
    """What a household is about to buy from a régie. At most one is alive per household and régie."""

    __tablename__ = "baskets"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"))
    state: Mapped[str] = mapped_column(Word(10))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("state IN ('open', 'completing', 'converted', 'expired')", name="state"),
        Index(
            "uq_baskets_live",
            "household_id",
            "regie_id",
            unique=True,
            postgresql_where=text(LIVE),
            sqlite_where=text(LIVE),
        ),
    )


class BasketLine(Row):
    """One meal in a basket, with the price the parent was shown."""

    __tablename__ = "basket_lines"

    basket_id: Mapped[int] = mapped_column(Key, ForeignKey("baskets.id"))
    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"))
    service_day_id: Mapped[int] = mapped_column(Key, ForeignKey("service_days.id"))
    tariff_id: Mapped[int] = mapped_column(Key)
    tariff_price_id: Mapped[int] = mapped_column(Key)
    quoted_cents: Mapped[int]
    credit_cents: Mapped[int]
    """What the wallet gets back when the meal is cancelled in time."""
    basis: Mapped[str | None] = mapped_column(Text)
    """How the price came about, as `cart.quotes` writes it; nothing for a flat price in time."""

    __table_args__ = (
        ForeignKeyConstraint(["tariff_price_id", "tariff_id"], ["tariff_prices.id", "tariff_prices.tariff_id"]),
        UniqueConstraint("basket_id", "beneficiary_id", "service_day_id"),
        CheckConstraint("quoted_cents >= 0", name="quoted"),
        CheckConstraint("credit_cents >= 0", name="credit"),
    )


class WaitingEntry(Row):
    """A child who waits for a place on a day that is full; by id they come in order of arrival.

    `offered`: a place is kept for the family until `offered_until`. `taken`: ordered. `lapsed` and `declined`: the place
    went on to the next. `left`: the family waits no more. `over`: nothing more can come of it. Whoever changes one holds the
    lock on the day.
    """

    __tablename__ = "waiting_entries"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"), index=True)
    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"))
    service_day_id: Mapped[int] = mapped_column(Key, ForeignKey("service_days.id"))
    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    """Who asked."""
    state: Mapped[str] = mapped_column(Word(8))
    asked_at: Mapped[datetime]
    offered_at: Mapped[datetime | None]
    offered_until: Mapped[datetime | None]
    school_id: Mapped[int | None] = mapped_column(Key, ForeignKey("schools.id"))
    """The school among whose places the offer counts."""
    ended_at: Mapped[datetime | None]
    order_id: Mapped[int | None] = mapped_column(Key, ForeignKey("orders.id"), index=True)
    """By which the place was taken."""

    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in WAITING_STATES)})", name="state"),
        CheckConstraint("(state IN ('waiting', 'offered')) = (ended_at IS NULL)", name="ended"),
        CheckConstraint("state <> 'offered' OR offered_until IS NOT NULL", name="offered"),
        CheckConstraint("(state = 'taken') = (order_id IS NOT NULL)", name="taken"),
        Index(
            "uq_waiting_entries_child",
            "beneficiary_id",
            "service_day_id",
            unique=True,
            postgresql_where=text(WAITS),
            sqlite_where=text(WAITS),
        ),
        Index("ix_waiting_entries_day", "service_day_id", postgresql_where=text(WAITS), sqlite_where=text(WAITS)),
    )
