"""What every way into an account has in common: the browser's name, and where to go on."""

from flask import current_app, request, url_for

from accounts import queries
from accounts.rules import describe_browser
from shop.access import Visitor
from shop.database import reading
from shop.words import gettext as _

OFFICE = "/mairie"
"""Leads each role to the first page that it may see."""


def this_browser() -> str:
    """The browser of this request, in a few words."""
    return describe_browser(request.user_agent.string)


def where_one_came_from(endpoint: str, words: str) -> tuple[str, str]:
    """The page to go back to and its name: this one of the account, or step 2 of the sign-up for whoever corrects from there
    what was saved (`?retour=creation`)."""
    if request.args.get("retour") == "creation":
        return url_for("accounts.sign_up_family"), _("Création du compte")
    return url_for(endpoint), words


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
