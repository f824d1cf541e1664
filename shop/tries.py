"""Throttling that survives restarts and counts across processes: how often something was tried for one subject."""

import hashlib
from datetime import datetime, timedelta
from typing import NoReturn

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from shop.database import insert_missing
from shop.errors import TooMany
from shop.models import Tries
from shop.words import gettext as _


def key_of(purpose: str, subject: str) -> bytes:
    """The digest under which tries of `purpose` by `subject` (an address, an account) are counted."""
    return hashlib.sha256(f"{purpose}\0{subject}".encode()).digest()


def check(db: Session, purpose: str, subject: str, now: datetime) -> None:
    """Raises `TooMany` while `subject` is blocked for `purpose`."""
    until = db.scalar(select(Tries.blocked_until).where(Tries.key == key_of(purpose, subject)))
    if until is not None and until > now:
        _refuse(until, now)


def _refuse(until: datetime, now: datetime) -> NoReturn:
    seconds = int((until - now).total_seconds()) + 1
    minutes = (seconds + 59) // 60
    raise TooMany(_("Trop d’essais de suite. Réessayez dans %(minutes)s min.", minutes=minutes), retry_after=seconds)


def take(
    db: Session, purpose: str, subject: str, now: datetime, free: int, window: timedelta, longest: timedelta
) -> None:
    """Count one try before it is made, so that tries made at the same time cannot slip past each other.

    The first `free` tries within `window` cost nothing; each one more blocks twice as long as the one before, from
    one minute up to `longest`. Nobody is locked out for good. Raises `TooMany` while the subject is blocked, and counts
    nothing then. Give it a transaction of its own, so that a refusal afterwards does not undo it.
    """
    key = key_of(purpose, subject)
    insert_missing(db, Tries, {"key": key, "count": 0, "since": now})
    row = db.scalars(select(Tries).where(Tries.key == key).with_for_update()).one()
    if row.blocked_until is not None and row.blocked_until > now:
        _refuse(row.blocked_until, now)
    if now - row.since > window:
        row.count, row.since, row.blocked_until = 0, now, None
    row.count += 1
    if row.count >= free:
        row.blocked_until = now + min(timedelta(minutes=1) * 2 ** min(row.count - free, 20), longest)
    db.flush()


def give_back(db: Session, purpose: str, subject: str) -> None:
    """Uncount a try that turned out well: it was not blocked when it was taken, so it is not afterwards."""
    key = key_of(purpose, subject)
    db.execute(update(Tries).where(Tries.key == key, Tries.count > 0).values(count=Tries.count - 1, blocked_until=None))


def forget(db: Session, purpose: str, subject: str) -> None:
    """Forget the tries of a subject: it has shown that it is the right one."""
    db.execute(delete(Tries).where(Tries.key == key_of(purpose, subject)))
