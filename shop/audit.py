"""The audit trail: who did what to whom, append-only, each line sealed to the one before, one chain per régie."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.database import insert_missing
from shop.models import AuditHead, AuditLine

START = "0" * 64


@dataclass(frozen=True)
class Broken:
    """The first line of a chain that does not hold."""

    regie_id: int
    number: int


def digest(previous: str, number: int, at: datetime, who: int | None, action: str, subject: str, facts: object) -> str:
    """The digest of one line (format 1): SHA-256 over its fields and the digest of the line before."""
    fields = [1, previous, number, at.astimezone(UTC).isoformat(timespec="microseconds"), who, action, subject, facts]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def note(
    db: Session, regie_id: int, who: int | None, action: str, subject: str, facts: dict[str, object], now: datetime
) -> None:
    """Add a line to the régie's trail. Locks the head of its chain: call it last in a transaction.

    `facts` holds values that JSON knows, and no secret: lines are never erased.
    """
    insert_missing(db, AuditHead, {"regie_id": regie_id, "number": 0, "digest": START})
    head = db.scalars(select(AuditHead).where(AuditHead.regie_id == regie_id).with_for_update()).one()
    previous = head.digest
    head.number += 1
    head.digest = digest(previous, head.number, now, who, action, subject, facts)
    db.add(
        AuditLine(
            regie_id=regie_id,
            number=head.number,
            at=now,
            account_id=who,
            action=action,
            subject=subject,
            facts=facts,
            previous=previous,
            digest=head.digest,
        )
    )
    db.flush()


def find_breaks(db: Session) -> list[Broken]:
    """The first bad line of each régie's chain: changed, missing, out of order, or cut off at the end."""
    breaks: list[Broken] = []
    for head in db.scalars(select(AuditHead).order_by(AuditHead.regie_id)):
        previous, number = START, 0
        lines = db.scalars(
            select(AuditLine).where(AuditLine.regie_id == head.regie_id).order_by(AuditLine.number)
        ).yield_per(1000)
        for number, line in enumerate(lines, 1):
            expected = digest(previous, number, line.at, line.account_id, line.action, line.subject, line.facts)
            if (line.number, line.previous, line.digest) != (number, previous, expected):
                breaks.append(Broken(head.regie_id, number))
                break
            previous = line.digest
        else:
            if (number, previous) != (head.number, head.digest):
                breaks.append(Broken(head.regie_id, number + 1))
    return breaks
