"""Reads of people."""

import hashlib
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from accounts.models import Account, HouseholdMember, LoginSession, StaffRole
from shop.access import Visitor


def digest(token: str) -> str:
    """The digest under which the key of a session or a link is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


_VISITOR = (
    select(
        LoginSession.id,
        LoginSession.account_id,
        HouseholdMember.household_id,
        Account.state,
        Account.email,
        Account.title,
        Account.first_name,
        Account.last_name,
        exists().where(StaffRole.account_id == LoginSession.account_id, StaffRole.revoked_at.is_(None)),
        LoginSession.second_factor_at,
        LoginSession.ended_at,
        LoginSession.expires_at,
    )
    .join(Account, Account.id == LoginSession.account_id)
    .outerjoin(HouseholdMember, HouseholdMember.account_id == LoginSession.account_id)
)


def find_visitor(db: Session, token: str, now: datetime) -> Visitor | None:
    """Who holds the session of this key, if it is still good. One statement: every page asks it."""
    row = db.execute(_VISITOR.where(LoginSession.token_hash == digest(token))).first()
    if row is None:
        return None
    *facts, second_factor_at, ended_at, expires_at = row
    session_id, account_id, household_id, state, email, title, first_name, last_name, staff = facts
    if ended_at is not None or expires_at <= now or state == "closed":
        return None
    return Visitor(
        token=token,
        session_id=session_id,
        account_id=account_id,
        household_id=household_id,
        state=state,
        email=email,
        title=title,
        first_name=first_name,
        last_name=last_name,
        staff=staff,
        second_factor=second_factor_at is not None,
    )
