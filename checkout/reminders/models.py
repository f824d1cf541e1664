"""Tables of reminders."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shop.database import Key, Row, Word

KINDS = ("basket", "week", "balance")
_ONE_OF_KINDS = f"kind IN ({', '.join(repr(kind) for kind in KINDS)})"


class Reminder(Row):
    """A reminder that was written to an account: at most one of a kind about one thing. One about a week has a link."""

    __tablename__ = "reminders"

    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    kind: Mapped[str] = mapped_column(Word(8))
    about: Mapped[str] = mapped_column(String(60))
    """The basket and its last change, the Monday of the week, or the wallet and the last money that came into it."""
    written_at: Mapped[datetime]
    token_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    mark: Mapped[str | None] = mapped_column(String(64))
    """Digest of the account's address and password hash when it was written: the link ends when either changes."""
    expires_at: Mapped[datetime | None]
    meals: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    """What "comme d'habitude" means: beneficiary, service and day of each meal."""
    answer: Mapped[str | None] = mapped_column(String(8))
    order_id: Mapped[int | None] = mapped_column(Key, ForeignKey("orders.id"))

    __table_args__ = (
        CheckConstraint(_ONE_OF_KINDS, name="kind"),
        CheckConstraint("answer IN ('booked', 'basket', 'nothing')", name="answer"),
        CheckConstraint("(answer = 'booked') = (order_id IS NOT NULL)", name="booked"),
        CheckConstraint("(kind = 'week') = (token_hash IS NOT NULL)", name="link"),
        Index("uq_reminders_once", "account_id", "kind", "about", unique=True),
    )


class MutedReminder(Row):
    """A kind of reminder that an account does not want."""

    __tablename__ = "muted_reminders"

    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(Word(8))
    muted_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("account_id", "kind"), CheckConstraint(_ONE_OF_KINDS, name="kind"))


class PatternChange(Row):
    """From a day on, a household wants a child to eat at a service on other days, or not at all: what was usual before is no
    habit from then on."""

    __tablename__ = "pattern_changes"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"))
    service_id: Mapped[int] = mapped_column(Key, ForeignKey("services.id"))
    first_day: Mapped[date]
    said_at: Mapped[datetime]

    __table_args__ = (
        Index("uq_pattern_changes_once", "household_id", "beneficiary_id", "service_id", "first_day", unique=True),
    )


class QuietWeek(Row):
    """A week in which a household has said that it wants nothing."""

    __tablename__ = "quiet_weeks"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    monday: Mapped[date]
    said_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("household_id", "monday"),)
