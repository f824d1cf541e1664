"""The tables of enrolments, and of what a town hall notes of a family beside them."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.database import Key, Row, Word

STATES = ("requested", "to_complete", "approved", "refused", "revoked", "expired", "withdrawn")
PENDING = "state IN ('requested', 'to_complete')"
APPROVED = "state = 'approved'"
STANDS = "state <> 'withdrawn'"
LONGEST_REFERENCE = 40
LONGEST_WITHDRAWAL = 300


class Enrolment(Row):
    """One household's right to buy one tariff for one beneficiary during one school year, once a clerk approved it.

    A beneficiary has at most one approved tariff per service, household and year, so that a price is never ambiguous.
    """

    __tablename__ = "enrolments"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"))
    service_id: Mapped[int] = mapped_column(Key)
    tariff_id: Mapped[int] = mapped_column(Key)
    school_year: Mapped[int]
    """The civil year in which the school year begins."""
    valid_from: Mapped[date]
    valid_until: Mapped[date]
    state: Mapped[str] = mapped_column(Word(12))
    requested_at: Mapped[datetime]
    requested_by_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    message: Mapped[str | None] = mapped_column(Text)
    """What the family added to its request and, paragraph by paragraph, its answers to what was asked."""
    decided_at: Mapped[datetime | None]
    decided_by_id: Mapped[int | None] = mapped_column(Key, ForeignKey("accounts.id"))
    reason: Mapped[str | None] = mapped_column(String(500))
    """Why it was refused or revoked, or which paper is asked for: the family reads it."""

    __table_args__ = (
        ForeignKeyConstraint(["tariff_id", "service_id"], ["tariffs.id", "tariffs.service_id"]),
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in STATES)})", name="state"),
        CheckConstraint("valid_until >= valid_from", name="validity"),
        Index("ix_enrolments_household", "household_id", "service_id"),
        Index("ix_enrolments_service", "service_id", "state"),
        Index(
            "uq_enrolments_pending",
            "household_id",
            "beneficiary_id",
            "tariff_id",
            "school_year",
            unique=True,
            postgresql_where=text(PENDING),
            sqlite_where=text(PENDING),
        ),
        Index(
            "uq_enrolments_approved",
            "household_id",
            "beneficiary_id",
            "service_id",
            "school_year",
            unique=True,
            postgresql_where=text(APPROVED),
            sqlite_where=text(APPROVED),
        ),
        Index(
            "ix_enrolments_queue",
            "service_id",
            "requested_at",
            postgresql_where=text(PENDING),
            sqlite_where=text(PENDING),
        ),
    )


class CarePlan(Row):
    """Days for which a commune has seen a child's PAI ("projet d’accueil individualisé"); nothing of what it says is kept."""

    __tablename__ = "care_plans"

    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"))
    commune_id: Mapped[int] = mapped_column(Key, ForeignKey("communes.id"))
    valid_from: Mapped[date]
    valid_until: Mapped[date]
    noted_at: Mapped[datetime]
    noted_by_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))

    __table_args__ = (
        UniqueConstraint("beneficiary_id", "commune_id", "valid_from"),
        CheckConstraint("valid_until >= valid_from", name="validity"),
    )


class Quotient(Row):
    """A household's family quotient ("quotient familial", whole euros) as a commune has seen it proved, between two days."""

    __tablename__ = "quotients"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    commune_id: Mapped[int] = mapped_column(Key, ForeignKey("communes.id"))
    value: Mapped[int]
    valid_from: Mapped[date]
    valid_until: Mapped[date]
    noted_at: Mapped[datetime]
    noted_by_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))

    __table_args__ = (
        UniqueConstraint("household_id", "commune_id", "valid_from"),
        CheckConstraint("value >= 0", name="value"),
        CheckConstraint("valid_until >= valid_from", name="validity"),
    )


class OutsideInvoice(Row):
    """An invoice that was issued elsewhere (the Trésor public, the software before this one) and that the régie knows to be
    unpaid. It moves no money here: it is paid elsewhere.

    `open`: not paid. `paid`: the régie has said so. `withdrawn`: noted wrongly; its reference may be noted again.
    """

    __tablename__ = "outside_invoices"

    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"))
    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"), index=True)
    reference: Mapped[str] = mapped_column(String(LONGEST_REFERENCE))
    """As it is printed."""
    cents: Mapped[int]
    due_on: Mapped[date]
    """The last day on which it is paid in time."""
    state: Mapped[str] = mapped_column(Word(9))
    noted_at: Mapped[datetime]
    noted_by_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    closed_at: Mapped[datetime | None]
    closed_by_id: Mapped[int | None] = mapped_column(Key, ForeignKey("accounts.id"))
    withdrawn_reason: Mapped[str | None] = mapped_column(String(LONGEST_WITHDRAWAL))
    """Why it was noted wrongly: the family reads it."""

    __table_args__ = (
        CheckConstraint("state IN ('open', 'paid', 'withdrawn')", name="state"),
        CheckConstraint("cents > 0", name="cents"),
        CheckConstraint("reference <> ''", name="reference"),
        CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed"),
        CheckConstraint("(closed_at IS NULL) = (closed_by_id IS NULL)", name="closed_by"),
        CheckConstraint("(state = 'withdrawn') = (withdrawn_reason IS NOT NULL)", name="withdrawn_why"),
        Index(
            "uq_outside_invoices_reference",
            "regie_id",
            "reference",
            unique=True,
            postgresql_where=text(STANDS),
            sqlite_where=text(STANDS),
        ),
    )
