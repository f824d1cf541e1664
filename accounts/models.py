"""Tables of people."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from accounts.rules import search_text
from shop.database import Key, Row, Word

ACCOUNT_STATES = ("unconfirmed", "active", "closed")
RELATIONS = ("father", "mother", "guardian", "grandparent", "self", "other")
DIETS = ("standard", "no_pork", "no_meat", "vegetarian")
LINK_PURPOSES = ("confirm", "reset", "email_change", "email_cancel", "activate")
STAFF_SCOPES = ("platform", "regie", "commune")
STAFF_ROLES = ("manager", "cashier", "kitchen", "auditor")


def one_of(column: str, values: tuple[str, ...]) -> str:
    """The SQL of a CHECK that admits these words only."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def searched(context: Any) -> str:
    """What a new row is found by. Whoever changes a name or a telephone number writes it anew."""
    row = context.get_current_parameters()
    return search_text(row["last_name"], row["first_name"], row.get("phone"))


class Account(Row):
    """A person who can sign in: a parent, an adult who eats, a clerk.

    An address belongs to one active account; several unconfirmed ones may wait for the same address, so that signing up
    never tells whether it is known (trust: T-043).
    """

    __tablename__ = "accounts"

    email: Mapped[str] = mapped_column(String(254))
    """Lower case."""
    password_hash: Mapped[str] = mapped_column(String(200))
    title: Mapped[str | None] = mapped_column(String(8))
    """"M", "Mme" or nothing."""
    first_name: Mapped[str] = mapped_column(String(80))
    last_name: Mapped[str] = mapped_column(String(80))
    phone: Mapped[str | None] = mapped_column(String(20))
    address: Mapped[str | None] = mapped_column(String(200))
    postcode: Mapped[str | None] = mapped_column(String(10))
    city: Mapped[str | None] = mapped_column(String(80))
    birth_date: Mapped[date | None]
    organisation_name: Mapped[str | None] = mapped_column(String(120))
    siret: Mapped[str | None] = mapped_column(String(14))
    search_text: Mapped[str] = mapped_column(Text, default=searched)
    """Names and telephone number as a town hall searches and sorts them (`rules.search_text`)."""
    state: Mapped[str] = mapped_column(Word(12))
    terms_accepted_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    totp_secret: Mapped[str | None] = mapped_column(Text)
    """Sealed."""
    totp_enrolled_at: Mapped[datetime | None]
    totp_last_step: Mapped[int | None] = mapped_column(Key)
    """The 30-second step of the last code that was accepted: a code opens the door once."""

    __table_args__ = (
        CheckConstraint(one_of("state", ACCOUNT_STATES), name="state"),
        Index(
            "uq_accounts_active_email",
            "email",
            unique=True,
            postgresql_where=text("state = 'active'"),
            sqlite_where=text("state = 'active'"),
        ),
        Index("ix_accounts_email", "email"),
    )


class Consent(Row):
    """A consent: given on a date, revoked on another. None is given until a person ticks it."""

    __tablename__ = "consents"

    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"), index=True)
    kind: Mapped[str] = mapped_column(Word(20))
    given_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(one_of("kind", ("newsletter", "partners")), name="kind"),
        Index(
            "uq_consents_given",
            "account_id",
            "kind",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
            sqlite_where=text("revoked_at IS NULL"),
        ),
    )


class LoginSession(Row):
    """One signed-in browser. Only the digest of its key is kept; ending it here signs it out at its next request."""

    __tablename__ = "login_sessions"

    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    device: Mapped[str] = mapped_column(String(120))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    second_factor_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class AccountLink(Row):
    """A single-use link in a letter. Only its digest is kept."""

    __tablename__ = "account_links"

    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"), index=True)
    purpose: Mapped[str] = mapped_column(Word(16))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    new_email: Mapped[str | None] = mapped_column(String(254))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint(one_of("purpose", LINK_PURPOSES), name="purpose"),)


class RecoveryCode(Row):
    """A code that replaces the second factor once."""

    __tablename__ = "recovery_codes"

    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Household(Row):
    """A family as the régie knows it: it owns wallet, basket, orders. One or two accounts act for it."""

    __tablename__ = "households"

    created_at: Mapped[datetime]


class HouseholdMember(Row):
    """An account that acts for a household."""

    __tablename__ = "household_members"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"), index=True)
    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"), unique=True)
    role: Mapped[str] = mapped_column(Word(12))

    __table_args__ = (CheckConstraint(one_of("role", ("holder", "co")), name="role"),)


class Beneficiary(Row):
    """Somebody who eats: a child, or the adult himself. May belong to two households."""

    __tablename__ = "beneficiaries"

    first_name: Mapped[str] = mapped_column(String(80))
    last_name: Mapped[str] = mapped_column(String(80))
    birth_date: Mapped[date | None]
    school_id: Mapped[int | None] = mapped_column(Key, ForeignKey("schools.id"))
    class_name: Mapped[str | None] = mapped_column(String(40))
    diet: Mapped[str] = mapped_column(String(16), default="standard")
    allergies: Mapped[str | None] = mapped_column(Text)
    """Sealed for the row."""
    search_text: Mapped[str] = mapped_column(Text, default=searched)
    """The name as a town hall searches and sorts it (`rules.search_text`)."""
    created_at: Mapped[datetime]

    __table_args__ = (CheckConstraint(one_of("diet", DIETS), name="diet"),)


class HouseholdBeneficiary(Row):
    """A beneficiary in a household, with the relation to its holder; archived when the family takes it out."""

    __tablename__ = "household_beneficiaries"

    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"), index=True)
    relation: Mapped[str] = mapped_column(String(12))
    position: Mapped[int] = mapped_column(default=0)
    archived_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("household_id", "beneficiary_id"),
        CheckConstraint(one_of("relation", RELATIONS), name="relation"),
    )


class BeneficiaryChange(Row):
    """What one of a child's two homes changed of what both say of it; never updated or deleted."""

    __tablename__ = "beneficiary_changes"

    beneficiary_id: Mapped[int] = mapped_column(Key, ForeignKey("beneficiaries.id"), index=True)
    household_id: Mapped[int] = mapped_column(Key, ForeignKey("households.id"))
    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    at: Mapped[datetime]
    what: Mapped[str] = mapped_column(String(200))
    """The names of the columns, with commas between."""


class StaffRole(Row):
    """What an account may do at a town hall: a role within the platform, one régie or one commune."""

    __tablename__ = "staff_roles"

    account_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"), index=True)
    scope: Mapped[str] = mapped_column(Word(10))
    regie_id: Mapped[int | None] = mapped_column(Key, ForeignKey("regies.id"))
    commune_id: Mapped[int | None] = mapped_column(Key, ForeignKey("communes.id"))
    role: Mapped[str] = mapped_column(Word(10))
    given_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(one_of("role", STAFF_ROLES), name="role"),
        CheckConstraint(
            "(scope = 'platform' AND regie_id IS NULL AND commune_id IS NULL)"
            " OR (scope = 'regie' AND regie_id IS NOT NULL AND commune_id IS NULL)"
            " OR (scope = 'commune' AND regie_id IS NOT NULL AND commune_id IS NOT NULL)",
            name="scope",
        ),
    )
