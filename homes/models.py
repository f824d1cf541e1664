"""Tables of children who live in two homes."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.database import Key, Row, Word

INVITATION_STATES = ("sent", "accepted", "declined", "revoked")
STATES = ("asked", "agreed", "declined", "withdrawn")


def _one_of(states: tuple[str, ...]) -> str:
    return f"state IN ({', '.join(repr(state) for state in states)})"


class HomeInvitation(Row):
    """A parent asks a child's other parent to book for the child too. The address is forgotten when it has ended."""

    __tablename__ = "home_invitations"

    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"))
    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"), index=True)
    """Who invites."""
    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    """Who clicked."""
    email: Mapped[str | None] = mapped_column(String(254), index=True)
    """Lower case; nothing once it has ended."""
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    token: Mapped[str | None] = mapped_column(Text)
    """Sealed for the child, for the page that shows the person invited what waits; nothing once it has ended."""
    state: Mapped[str] = mapped_column(Word(10))
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(_one_of(INVITATION_STATES), name="state"),
        CheckConstraint("(state = 'sent') = (ended_at IS NULL)", name="ended"),
        CheckConstraint("(state = 'sent') = (email IS NOT NULL)", name="forgotten"),
        Index(
            "uq_home_invitations_sent",
            "beneficiary_id",
            unique=True,
            postgresql_where=text("state = 'sent'"),
            sqlite_where=text("state = 'sent'"),
        ),
    )


class CustodyCalendar(Row):
    """Which of a child's two homes decides on which day, from a day on; it holds once both have agreed to it.

    School holidays are halved: the first half of those that begin in an even year is one home's, the second half the
    other's; in odd years it is the other way round.
    """

    __tablename__ = "custody_calendars"

    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"))
    first_day: Mapped[date]
    even_home_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    """Whose are the weeks of an even ISO number."""
    odd_home_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    holidays_home_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    """Whose is the first half of the school holidays in even years."""
    state: Mapped[str] = mapped_column(Word(10))
    asked_at: Mapped[datetime]
    asked_home_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    asked_by_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    decided_at: Mapped[datetime | None]
    decided_by_id: Mapped[int | None] = mapped_column(Key, ForeignKey("accounts.id"))

    __table_args__ = (
        CheckConstraint(_one_of(STATES), name="state"),
        CheckConstraint("even_home_id <> odd_home_id", name="two"),
        CheckConstraint("holidays_home_id IN (even_home_id, odd_home_id)", name="holidays"),
        CheckConstraint("asked_home_id IN (even_home_id, odd_home_id)", name="asked"),
        CheckConstraint("(state = 'asked') = (decided_at IS NULL)", name="decided"),
        Index("ix_custody_calendars_beneficiary_id", "beneficiary_id"),
        Index(
            "uq_custody_calendars_asked",
            "beneficiary_id",
            unique=True,
            postgresql_where=text("state = 'asked'"),
            sqlite_where=text("state = 'asked'"),
        ),
    )


class CustodySwap(Row):
    """Days on which another home than the calendar's decides, once both have agreed to it."""

    __tablename__ = "custody_swaps"

    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"), index=True)
    first_day: Mapped[date]
    last_day: Mapped[date]
    home_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    """Whose these days are."""
    state: Mapped[str] = mapped_column(Word(10))
    asked_at: Mapped[datetime]
    asked_home_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    asked_by_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    decided_at: Mapped[datetime | None]
    decided_by_id: Mapped[int | None] = mapped_column(Key, ForeignKey("accounts.id"))

    __table_args__ = (
        CheckConstraint(_one_of(STATES), name="state"),
        CheckConstraint("last_day >= first_day", name="days"),
        CheckConstraint("(state = 'asked') = (decided_at IS NULL)", name="decided"),
    )
