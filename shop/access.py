"""Who may open which page: every view says so itself, and a view that does not is refused to everybody."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar, cast

from flask import Flask, abort, current_app, g, redirect, request, session, url_for
from flask_login import AnonymousUserMixin, LoginManager, current_user, login_user, logout_user
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from shop.clock import request_now
from shop.database import rows
from shop.kept import kept
from shop.statements import Rows

Audience = Literal["everybody", "members", "parents", "staff", "office"]
View = TypeVar("View", bound=Callable[..., Any])

IDLE_SECONDS_PARENT = 12 * 3600
IDLE_SECONDS_STAFF = 30 * 60
SEEN_EVERY_SECONDS = 60
"""How precisely a visit is dated: the cookie is not signed anew on every page."""


class Visitor(NamedTuple):
    """Who is signed in, as every page needs it."""

    token: str
    session_id: int
    account_id: int
    household_id: int | None
    state: str
    email: str
    title: str | None
    first_name: str
    last_name: str
    staff: bool
    """Holds a role at a town hall."""
    second_factor: bool
    """Has shown the second factor in this session."""
    balance_cents: int = 0
    """What the wallets of the household hold."""
    basket_meals: int = 0
    """How many meals wait in its baskets."""
    due_cents: int = 0
    """What it owes for meals without a booking."""

    @property
    def is_authenticated(self) -> bool:
        """For Flask-Login, as the two below."""
        return True

    @property
    def is_active(self) -> bool:
        return True

    @property
    def is_anonymous(self) -> bool:
        return False

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def is_parent(self) -> bool:
        return self.household_id is not None

    @property
    def is_staff(self) -> bool:
        return self.staff and self.second_factor

    def get_id(self) -> str:
        """What Flask-Login keeps in the cookie: the key of the session, not the number of the account."""
        return self.token


class Nobody(AnonymousUserMixin):  # type: ignore[misc]
    """A visitor who is not signed in."""


FindVisitor = Callable[[Rows, str, datetime], Visitor | None]


def open_to_all(view: View) -> View:
    """Everybody may open it."""
    cast("Any", view).audience = "everybody"
    return view


def open_to(audience: Literal["members", "parents", "staff", "office"]) -> Callable[[View], View]:
    """Only these may open it: members (whoever is signed in), parents (accounts with a household), staff (before their
    second factor), the office (after it). Staff open nothing but the second factor's own page before it."""

    def mark(view: View) -> View:
        cast("Any", view).audience = audience
        return view

    return mark


def found_again_at(address: Callable[..., str]) -> Callable[[View], View]:
    """Where somebody finds the page of a form again who must sign in first, or whose page was open for too long: `address`
    takes what the view takes, and may keep what was typed."""

    def mark(view: View) -> View:
        cast("Any", view).way_back = address
        return view

    return mark


def audience_of(app: Flask, endpoint: str) -> Audience | None:
    """Whom the view of an endpoint is open to; nothing when it does not say."""
    return getattr(app.view_functions[endpoint], "audience", None)


def the_visitor() -> Visitor:
    """The signed-in visitor of a page that is not open to everybody."""
    visitor = find_visitor()
    if visitor is None:
        abort(403)
    return visitor


def find_visitor() -> Visitor | None:
    """The signed-in visitor, if there is one."""
    # Where Flask-Login keeps whom it has found.
    visitor = kept().get("_login_user") or current_user._get_current_object()
    return visitor if isinstance(visitor, Visitor) else None


def ask_nobody_who_it_is() -> None:
    """Take the visitor for nobody where it is not known yet: for a page that must do without the database."""
    kept().setdefault("_login_user", Nobody())


def visitor_of(token: str, now: datetime) -> Visitor | None:
    """Who holds the session of this key."""
    find: FindVisitor = current_app.extensions["shop.find_visitor"]
    with rows() as db:
        return find(db, token, now)


def the_household_id() -> int:
    """The household of the signed-in parent."""
    household_id = the_visitor().household_id
    if household_id is None:
        abort(403)
    return household_id


def to_sign_in() -> Response:
    """Send to the sign-in page, and back here afterwards where there is a way back."""
    return redirect(url_for("accounts.sign_in", next=way_back()), 303)


def way_back() -> str | None:
    """The address at which the page of this request can be read: the one that its view tells (`found_again_at`), its own
    where that is a page to be read, else nothing."""
    address = getattr(current_app.view_functions.get(request.endpoint or ""), "way_back", None)
    if address is not None:
        return str(address(**(request.view_args or {})))
    readable = request.method in ("GET", "HEAD") or _is_page(request.path)
    return request.full_path.removesuffix("?") if readable else None


def _is_page(path: str) -> bool:
    try:
        current_app.create_url_adapter(request).match(path, method="GET")  # type: ignore[union-attr]
    except HTTPException:
        return False
    return True


def _check() -> Response | None:
    if request.endpoint is None:
        return None
    audience = audience_of(current_app, request.endpoint)
    if audience == "everybody":
        return None
    if audience is None:
        abort(403)
    visitor = find_visitor()
    if visitor is None:
        return to_sign_in()
    if audience in ("staff", "office") and not visitor.staff:
        abort(403)
    if audience == "parents" and not visitor.is_parent:
        abort(403)
    if visitor.staff and not visitor.second_factor and audience != "staff":
        return redirect(url_for("accounts.second_factor", next=way_back()), 303)
    return None


def init_access(app: Flask, find: FindVisitor) -> None:
    """Wire Flask-Login and the gate into the application. `find` gives the visitor of a session's key."""
    app.extensions["shop.find_visitor"] = find
    manager = LoginManager()
    manager.session_protection = None
    # For that protection alone the library would put a digest of the visitor's IP address into the cookie.
    manager._session_identifier_generator = lambda: None
    manager.anonymous_user = Nobody
    manager.init_app(app, add_context_processor=False)

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(token: str) -> Visitor | None:
        now = request_now()
        seen = int(session.get("seen", 0))
        stamp = int(now.timestamp())
        visitor = visitor_of(token, now)
        if visitor is None:
            return None
        idle = IDLE_SECONDS_STAFF if visitor.staff else IDLE_SECONDS_PARENT
        # A clock that steps back must not sign anybody out, nor keep a session alive for longer than its limit.
        if stamp - seen > idle:
            g.signed_out_idle = True
            return None
        if abs(stamp - seen) >= SEEN_EVERY_SECONDS:
            session["seen"] = stamp
        return visitor

    app.before_request(_check)


def remember_visitor(token: str) -> Visitor:
    """Sign this browser in with the session of this key; nothing stays of what its cookie held before."""
    now = request_now()
    find: FindVisitor = current_app.extensions["shop.find_visitor"]
    with rows() as db:
        visitor = find(db, token, now)
    if visitor is None:
        raise RuntimeError("a session that was just opened is there")
    session.clear()
    login_user(visitor)
    session["seen"] = int(now.timestamp())
    return visitor


def forget_visitor() -> None:
    """Sign out of this browser."""
    logout_user()
    session.clear()
