"""Throttling that survives restarts and counts across processes: how often something was tried for one subject."""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from shop.database import insert_missing, transaction
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
        seconds = int((until - now).total_seconds()) + 1
        minutes = (seconds + 59) // 60
        raise TooMany(
            _("Trop d’essais de suite. Réessayez dans %(minutes)s min.", minutes=minutes), retry_after=seconds
        )


def count(purpose: str, subject: str, now: datetime, free: int, window: timedelta, longest: timedelta) -> None:
    """Count one try in a transaction of its own, so that a refusal afterwards does not undo it.

    The first `free` tries within `window` cost nothing; each one more blocks twice as long as the one before, from
    one minute up to `longest`. Nobody is locked out for good.
    """
    with transaction() as db:
        key = key_of(purpose, subject)
        insert_missing(db, Tries, {"key": key, "count": 0, "since": now})
        row = db.scalars(select(Tries).where(Tries.key == key).with_for_update()).one()
        if now - row.since > window:
            row.count, row.since, row.blocked_until = 0, now, None
        row.count += 1
        if row.count >= free:
            row.blocked_until = now + min(timedelta(minutes=1) * 2 ** min(row.count - free, 20), longest)


def forget(db: Session, purpose: str, subject: str) -> None:
    """Forget the tries of a subject: it has shown that it is the right one."""
    db.execute(delete(Tries).where(Tries.key == key_of(purpose, subject)))
