"""Tables of orders."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.database import Key, Row, Word

ORDER_STATES = ("pending", "paid", "expired", "cancelled")
RESERVATION_STATES = ("held", "confirmed", "released", "cancelled")
FREED_STATES = ("offered", "held", "taken", "withdrawn", "lapsed")
LIVE = "state IN ('held', 'confirmed')"
ALIVE = text("state IN ('offered', 'held')")
SOLD = text("state IN ('held', 'taken')")
CALLED_OFF = text("call_off_id IS NOT NULL")
OFFERED = text("state = 'offered'")


class Order(Row):
    """What a household bought at once. `pending` while a card payment is awaited; its total is the sum of its lines."""

    __tablename__ = "orders"

    number: Mapped[str] = mapped_column(String(12), unique=True)
    """What people quote: "7KQ2-M4XD"; random, so that it tells nothing about the town's sales."""
    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"))
    basket_id: Mapped[int | None] = mapped_column(Key, ForeignKey("baskets.id"), index=True)
    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    """Who clicked."""
    total_cents: Mapped[int]
    settlement: Mapped[str] = mapped_column(Word(8))
    state: Mapped[str] = mapped_column(Word(10))
    placed_at: Mapped[datetime]
    held_until: Mapped[datetime | None]
    """Until when the places are kept while a card payment is awaited."""
    paid_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    """When it expired or was cancelled."""

    __table_args__ = (
        UniqueConstraint("id", "regie_id", "household_id"),
        UniqueConstraint("id", "household_id"),
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in ORDER_STATES)})", name="state"),
        CheckConstraint("settlement IN ('wallet', 'card', 'invoice', 'counter')", name="settlement"),
        CheckConstraint("total_cents >= 0", name="total"),
        CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name="paid"),
        Index("ix_orders_household", "household_id", "placed_at"),
        # A basket is ordered once: what expired or was cancelled does not count.
        Index(
            "uq_orders_basket",
            "basket_id",
            unique=True,
            postgresql_where=text("state IN ('pending', 'paid')"),
            sqlite_where=text("state IN ('pending', 'paid')"),
        ),
        Index(
            "ix_orders_held",
            "held_until",
            postgresql_where=text("state = 'pending'"),
            sqlite_where=text("state = 'pending'"),
        ),
    )


class Reservation(Row):
    """A line of an order: one child, one dated meal, at the price as sold."""

    __tablename__ = "reservations"

    order_id: Mapped[int] = mapped_column(Key, index=True)
    household_id: Mapped[int] = mapped_column(Key)
    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"))
    service_day_id: Mapped[int] = mapped_column(Key, ForeignKey("service_days.id"))
    school_id: Mapped[int | None] = mapped_column(Key, ForeignKey("schools.id"))
    """The child's school when it was sold: among whose places it counts, wherever the child goes later."""
    tariff_id: Mapped[int] = mapped_column(Key)
    tariff_price_id: Mapped[int] = mapped_column(Key)
    """The dated price it was sold at: why it cost what it cost."""
    cents: Mapped[int]
    credit_cents: Mapped[int]
    """What cancelling in time gives back, as sold."""
    basis: Mapped[str | None] = mapped_column(Text)
    """How the price came about, as `cart.quotes` writes it; nothing for a flat price in time."""
    cancel_deadline_at: Mapped[datetime]
    """As sold: a rule that changes later does not shorten it."""
    state: Mapped[str] = mapped_column(Word(10))
    attendance: Mapped[str] = mapped_column(Word(16), server_default=text("'expected'"))
    attendance_at: Mapped[datetime | None]
    attendance_by_id: Mapped[int | None] = mapped_column(Key, ForeignKey("accounts.id"))
    """Who noted it: a clerk at the roll-call, or the family that said the child is ill."""
    cancelled_at: Mapped[datetime | None]
    cancelled_by_id: Mapped[int | None] = mapped_column(Key, ForeignKey("accounts.id"))
    call_off_id: Mapped[int | None] = mapped_column(Key, ForeignKey("call_offs.id"))
    """What the town hall called off, where that is why it was cancelled."""

    __table_args__ = (
        ForeignKeyConstraint(["order_id", "household_id"], ["orders.id", "orders.household_id"]),
        ForeignKeyConstraint(["tariff_price_id", "tariff_id"], ["tariff_prices.id", "tariff_prices.tariff_id"]),
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in RESERVATION_STATES)})", name="state"),
        CheckConstraint("attendance IN ('expected', 'present', 'absent_excused', 'absent')", name="attendance"),
        CheckConstraint("(attendance_at IS NULL) = (attendance_by_id IS NULL)", name="noted"),
        CheckConstraint("cents >= 0", name="cents"),
        CheckConstraint("credit_cents >= 0", name="credit"),
        CheckConstraint("(state = 'cancelled') = (cancelled_at IS NOT NULL)", name="cancelled"),
        # Beneficiary first, so that the same index answers "what does this child have on these days".
        Index(
            "uq_reservations_live",
            "beneficiary_id",
            "service_day_id",
            unique=True,
            postgresql_where=text(LIVE),
            sqlite_where=text(LIVE),
        ),
        Index("ix_reservations_service_day", "service_day_id"),
        Index("ix_reservations_household", "household_id", "service_day_id"),
        Index("ix_reservations_call_off_id", "call_off_id", postgresql_where=CALLED_OFF, sqlite_where=CALLED_OFF),
    )


class FreedMeal(Row):
    """A meal that a family gives back after the limit for cancelling. It stays due until another family has paid for it.

    `offered → held` while the other family pays by card `→ taken`, or `offered` again; `withdrawn` when the family keeps it
    after all or the meal ended otherwise, `lapsed` when nobody took it in time.
    """

    __tablename__ = "freed_meals"

    reservation_id: Mapped[int] = mapped_column(Key, ForeignKey("reservations.id"), index=True)
    """Whose meal is given back."""
    service_day_id: Mapped[int] = mapped_column(Key, ForeignKey("service_days.id"))
    """The day of that meal: what is on offer is looked for by it."""
    state: Mapped[str] = mapped_column(Word(9))
    offered_at: Mapped[datetime]
    offered_by_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    taker_id: Mapped[int | None] = mapped_column(Key, ForeignKey("reservations.id"))
    """The meal that the other family has in its place."""
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in FREED_STATES)})", name="state"),
        CheckConstraint("(state IN ('held', 'taken')) = (taker_id IS NOT NULL)", name="taker"),
        CheckConstraint("(state IN ('offered', 'held')) = (ended_at IS NULL)", name="ended"),
        Index("uq_freed_meals_alive", "reservation_id", unique=True, postgresql_where=ALIVE, sqlite_where=ALIVE),
        Index("uq_freed_meals_sold", "taker_id", unique=True, postgresql_where=SOLD, sqlite_where=SOLD),
        Index("ix_freed_meals_offered", "service_day_id", postgresql_where=OFFERED, sqlite_where=OFFERED),
    )


class UnbookedMeal(Row):
    """A meal that a child ate without a booking ("présent sans réservation"), as a roll-call found it. It takes no place; it
    is paid from the wallet at once where that suffices, and due otherwise; one that was noted wrongly is struck off."""

    __tablename__ = "unbooked_meals"

    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"))
    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"))
    service_day_id: Mapped[int] = mapped_column(Key, ForeignKey("service_days.id"))
    tariff_id: Mapped[int] = mapped_column(Key)
    tariff_price_id: Mapped[int] = mapped_column(Key)
    cents: Mapped[int]
    basis: Mapped[str] = mapped_column(Text)
    """How the price came about, as `cart.quotes` writes it."""
    state: Mapped[str] = mapped_column(Word(6))
    noted_at: Mapped[datetime]
    """When the family was told: an amount due is as old as that."""
    noted_by_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    settled_at: Mapped[datetime | None]
    struck_at: Mapped[datetime | None]
    struck_by_id: Mapped[int | None] = mapped_column(Key, ForeignKey("accounts.id"))
    struck_reason: Mapped[str | None] = mapped_column(String(300))
    call_off_id: Mapped[int | None] = mapped_column(Key, ForeignKey("call_offs.id"), index=True)
    """What the town hall called off, where that is why it was struck off."""

    __table_args__ = (
        ForeignKeyConstraint(["tariff_price_id", "tariff_id"], ["tariff_prices.id", "tariff_prices.tariff_id"]),
        CheckConstraint("state IN ('due', 'paid', 'struck')", name="state"),
        CheckConstraint("cents >= 0", name="cents"),
        CheckConstraint("state = 'struck' OR (state = 'paid') = (settled_at IS NOT NULL)", name="settled"),
        CheckConstraint("(state = 'struck') = (struck_at IS NOT NULL)", name="struck"),
        CheckConstraint(
            "(struck_at IS NULL) = (struck_by_id IS NULL) AND (struck_at IS NULL) = (struck_reason IS NULL)",
            name="struck_why",
        ),
        CheckConstraint("call_off_id IS NULL OR state = 'struck'", name="called_off"),
        Index(
            "uq_unbooked_meals_live",
            "beneficiary_id",
            "service_day_id",
            unique=True,
            postgresql_where=text("state <> 'struck'"),
            sqlite_where=text("state <> 'struck'"),
        ),
        Index("ix_unbooked_meals_service_day", "service_day_id"),
        Index("ix_unbooked_meals_household", "household_id", "regie_id"),
    )


class CalendarFeed(Row):
    """The private address at which a household's own calendar reads its meals; making a new one ends the old."""

    __tablename__ = "calendar_feeds"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"), unique=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    token: Mapped[str] = mapped_column(Text)
    """Sealed for the household: the family may read its address again."""
    made_at: Mapped[datetime]


class SickLeave(Row):
    """Days on which a family has said that a child is ill; whether the town hall wants a certificate, and has seen it."""

    __tablename__ = "sick_leaves"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"), index=True)
    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"))
    first_day: Mapped[date]
    last_day: Mapped[date]
    told_at: Mapped[datetime]
    told_by_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    paper: Mapped[bool]
    """Whether a service asks for a certificate."""
    paper_seen_at: Mapped[datetime | None]
    paper_seen_by_id: Mapped[int | None] = mapped_column(Key, ForeignKey("accounts.id"))

    __table_args__ = (CheckConstraint("last_day >= first_day", name="days"),)
