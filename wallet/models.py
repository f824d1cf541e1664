"""Tables of the ledger: append-only, in double entry.

Sign: a posting's cents are positive when the account is credited. A wallet or sales account that holds money of families
or of the town is positive; a clearing account, money that a provider owes us, and a receivable, what a family owes us, are
negative. An entry sums to zero.
"""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from shop.database import Key, Row, Word

ACCOUNT_KINDS = (
    "wallet",
    "receivable",
    "card_clearing",
    "sepa_clearing",
    "cash",
    "cheques",
    "sales",
    "suspense",
)
OWNED_KINDS = "kind IN ('wallet', 'receivable')"
ENTRY_KINDS = (
    "top_up",
    "wallet_payment",
    "card_payment",
    "cancelled_meal",
    "late_payment",
    "double_payment",
    "suspense",
    "refund",
    "adjustment",
    "reversal",
    "unbooked_meal",
    "due_settled",
)


class LedgerAccount(Row):
    """An account of a régie's books. Its balance always equals the sum of its postings; a wallet is never below zero."""

    __tablename__ = "ledger_accounts"

    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"))
    kind: Mapped[str] = mapped_column(Word(16))
    household_id: Mapped[int | None] = mapped_column(Key, ForeignKey("households.id"), index=True)
    balance_cents: Mapped[int] = mapped_column(Key, default=0)

    __table_args__ = (
        UniqueConstraint("id", "regie_id"),
        CheckConstraint(f"kind IN ({', '.join(repr(kind) for kind in ACCOUNT_KINDS)})", name="kind"),
        CheckConstraint(f"({OWNED_KINDS}) = (household_id IS NOT NULL)", name="owner"),
        CheckConstraint("kind <> 'wallet' OR balance_cents >= 0", name="wallet_balance"),
        Index(
            "uq_ledger_accounts_owned",
            "regie_id",
            "household_id",
            "kind",
            unique=True,
            postgresql_where=text("household_id IS NOT NULL"),
            sqlite_where=text("household_id IS NOT NULL"),
        ),
        Index(
            "uq_ledger_accounts_common",
            "regie_id",
            "kind",
            unique=True,
            postgresql_where=text("household_id IS NULL"),
            sqlite_where=text("household_id IS NULL"),
        ),
    )


class JournalEntry(Row):
    """One event in the books. Its key makes it happen once; the digest of its input shows when a key is used for another."""

    __tablename__ = "journal_entries"

    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"))
    kind: Mapped[str] = mapped_column(Word(16))
    key: Mapped[str] = mapped_column(String(80), unique=True)
    input_hash: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    account_id: Mapped[int | None] = mapped_column(Key, ForeignKey("accounts.id"))
    """Who did it; nobody for a job or a provider."""
    order_id: Mapped[int | None] = mapped_column(Key, ForeignKey("orders.id"), index=True)
    reservation_id: Mapped[int | None] = mapped_column(Key, ForeignKey("reservations.id"))
    payment_id: Mapped[int | None] = mapped_column(Key, ForeignKey("payments.id"))
    unbooked_meal_id: Mapped[int | None] = mapped_column(Key, ForeignKey("unbooked_meals.id"))
    reverses_id: Mapped[int | None] = mapped_column(Key, ForeignKey("journal_entries.id"), unique=True)

    __table_args__ = (
        UniqueConstraint("id", "regie_id"),
        # A provider's payment maps to one entry of each kind; a cancelled meal is credited once, an unbooked one charged and
        # settled once.
        Index("uq_journal_entries_payment", "payment_id", "kind", unique=True),
        Index("uq_journal_entries_reservation", "reservation_id", "kind", unique=True),
        Index(
            "uq_journal_entries_unbooked_meal",
            "unbooked_meal_id",
            "kind",
            unique=True,
            postgresql_where=text("kind <> 'reversal'"),
            sqlite_where=text("kind <> 'reversal'"),
        ),
        CheckConstraint(f"kind IN ({', '.join(repr(kind) for kind in ENTRY_KINDS)})", name="kind"),
    )


class Posting(Row):
    """One side of an entry. The régie is in both foreign keys: an entry cannot span two régies."""

    __tablename__ = "postings"

    entry_id: Mapped[int] = mapped_column(Key, index=True)
    ledger_account_id: Mapped[int] = mapped_column(Key)
    regie_id: Mapped[int] = mapped_column(Key)
    cents: Mapped[int] = mapped_column(Key)
    balance_cents: Mapped[int] = mapped_column(Key)
    """The account's balance after this posting."""

    __table_args__ = (
        ForeignKeyConstraint(["entry_id", "regie_id"], ["journal_entries.id", "journal_entries.regie_id"]),
        ForeignKeyConstraint(["ledger_account_id", "regie_id"], ["ledger_accounts.id", "ledger_accounts.regie_id"]),
        CheckConstraint("cents <> 0", name="cents"),
        Index("ix_postings_ledger_account", "ledger_account_id", "id"),
    )
