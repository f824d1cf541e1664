"""The nightly job of people."""

from datetime import timedelta

import structlog
from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError

from accounts import operations
from accounts.models import Account, AccountLink, LoginSession, StaffRole
from shop.clock import request_now
from shop.database import reading, transaction
from shop.models import Tries

log = structlog.get_logger(__name__)

UNCONFIRMED_KEPT = timedelta(days=30)
SPENT_KEPT = timedelta(days=30)
TRIES_KEPT = timedelta(days=2)
A_NIGHT = 500
"""How many accounts are removed in one run, at most."""


def sweep() -> int:
    """Delete accounts that nobody confirmed within 30 days, links and sessions that ended 30 days ago, old counts.

    Returns how many accounts were deleted. Each goes in a transaction of its own; one to which the books point stays.
    """
    now = request_now()
    staff = select(StaffRole.account_id)
    old = (
        select(Account.id)
        .where(Account.state == "unconfirmed", Account.created_at < now - UNCONFIRMED_KEPT, Account.id.not_in(staff))
        .order_by(Account.id)
        .limit(A_NIGHT)
    )
    with reading() as db:
        account_ids = list(db.scalars(old))
    removed = 0
    for account_id in account_ids:
        try:
            with transaction() as db:
                operations.remove_unconfirmed(db, account_id)
            removed += 1
        except IntegrityError:
            log.warning("an unconfirmed account is still referred to", account_id=account_id)
    ended = now - SPENT_KEPT
    with transaction() as db:
        db.execute(delete(AccountLink).where(or_(AccountLink.used_at < ended, AccountLink.expires_at < ended)))
        db.execute(delete(LoginSession).where(or_(LoginSession.ended_at < ended, LoginSession.expires_at < ended)))
        db.execute(
            delete(Tries).where(
                Tries.since < now - TRIES_KEPT, or_(Tries.blocked_until.is_(None), Tries.blocked_until < now)
            )
        )
    return removed
