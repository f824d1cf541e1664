"""Tables of the ground: letters waiting to leave, recurring jobs, the audit trail, counters of tries."""

from datetime import datetime

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from shop.database import Base, Key, Row, Word


class Outbox(Row):
    """A letter, written in the transaction that causes it and sent by a job afterwards."""

    __tablename__ = "outbox"

    key: Mapped[str] = mapped_column(String(120), unique=True)
    """What makes the letter unique, such as "order_paid:1042": the same cause never writes two letters."""
    kind: Mapped[str] = mapped_column(Word(40))
    recipient: Mapped[str] = mapped_column(String(254))
    facts: Mapped[str] = mapped_column(Text)
    """JSON, sealed: it may hold a single-use link. Erased once the letter has left."""
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(String(300))
    composed: Mapped[str | None] = mapped_column(Text)
    """The letter as it was sent, sealed; kept in a demonstration only, where it can be read in the browser."""

    __table_args__ = (
        Index(
            "ix_outbox_due",
            "due_at",
            postgresql_where=text("sent_at IS NULL"),
            sqlite_where=text("sent_at IS NULL"),
        ),
    )


class Job(Base):
    """A recurring job: when it is due and who holds it."""

    __tablename__ = "jobs"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    due_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(String(300))


class AuditLine(Row):
    """One line of a régie's audit trail; each carries the digest of the one before. Never updated, never deleted."""

    __tablename__ = "audit_lines"

    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"))
    number: Mapped[int]
    at: Mapped[datetime]
    account_id: Mapped[int | None] = mapped_column(Key, ForeignKey("accounts.id"))
    action: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(80))
    facts: Mapped[dict[str, object]] = mapped_column(JSON)
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))

    __table_args__ = (UniqueConstraint("regie_id", "number"),)


class AuditHead(Base):
    """The last line of a régie's audit trail: the row that is locked to add one."""

    __tablename__ = "audit_heads"

    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"), primary_key=True, autoincrement=False)
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))


class Tries(Base):
    """How often something was tried lately: failed sign-ins by account and by address, letters asked for."""

    __tablename__ = "tries"

    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    """SHA-256 of purpose and subject, so that the table holds no address."""
    count: Mapped[int]
    since: Mapped[datetime]
    blocked_until: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("count >= 0", name="count"),)
