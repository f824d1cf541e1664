"""Tables of baskets."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.database import Key, Row

LIVE = "state IN ('open', 'completing')"


class Basket(Row):
    """What a household is about to buy from a régie. At most one is alive per household and régie."""

    __tablename__ = "baskets"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"))
    state: Mapped[str] = mapped_column(String(10))
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
    tariff_id: Mapped[int] = mapped_column(Key, ForeignKey("tariffs.id"))
    tariff_price_id: Mapped[int] = mapped_column(Key, ForeignKey("tariff_prices.id"))
    quoted_cents: Mapped[int]
    credit_cents: Mapped[int]
    """What the wallet gets back when the meal is cancelled in time."""
    basis: Mapped[str | None] = mapped_column(Text)
    """How the price came about, as `cart.quotes` writes it; nothing for a flat price in time."""

    __table_args__ = (
        UniqueConstraint("basket_id", "beneficiary_id", "service_day_id"),
        CheckConstraint("quoted_cents >= 0", name="quoted"),
        CheckConstraint("credit_cents >= 0", name="credit"),
    )
