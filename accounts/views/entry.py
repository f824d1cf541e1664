"""What every way into an account has in common: the session's cookie, and where to go on."""

from datetime import datetime

from flask import current_app, request, session, url_for
from flask_login import login_user

from accounts import queries
from accounts.rules import describe_browser
from shop.access import Visitor, visitor_of
from shop.database import reading

OFFICE = "/mairie/demandes"


def this_browser() -> str:
    """The browser of this request, in a few words."""
    return describe_browser(request.user_agent.string)


def enter(token: str, now: datetime) -> Visitor:
    """Give this browser the session of this key, and nothing of what its cookie held before."""
    visitor = visitor_of(token, now)
    if visitor is None:
        raise RuntimeError("a session that was just opened is there")
    session.clear()
    login_user(visitor)
    session["seen"] = int(now.timestamp())
    return visitor


def way_on(visitor: Visitor, back: str | None) -> str:
    """Where to go after signing in: the second factor, the page that was asked for, the step of the sign-up where one
    left, or the account's own page."""
    if visitor.staff and not visitor.second_factor:
        return url_for("accounts.second_factor", next=back)
    if back:
        return back
    if visitor.household_id is None:
        return OFFICE if visitor.staff else url_for("accounts.home")
    with reading() as db:
        if not queries.has_beneficiaries(db, visitor.household_id):
            return url_for("accounts.sign_up_family")
        if not current_app.extensions["shop.has_requests"](db, visitor.household_id):
            return url_for("enrolments.sign_up_services")
    return url_for("accounts.home")
