"""Signing in and out, and a forgotten password."""

from datetime import datetime, timedelta

from flask import flash, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from accounts import operations, passwords, queries, rules
from accounts.devices import remember_device, this_device
from accounts.errors import FieldRefused, SignInRefused
from accounts.forms import AskResetForm, SignInForm, StartForm
from accounts.operations import SIGN_IN_ACCOUNT, SIGN_IN_ADDRESS, SIGN_IN_DEVICE
from accounts.views import blueprint
from accounts.views.entry import this_browser, way_on
from shop import tries
from shop.access import find_visitor, forget_visitor, found_again_at, open_to_all, remember_visitor
from shop.clock import request_now
from shop.database import reading, transaction
from shop.errors import Refusal, TooMany
from shop.limits import limited, network_of
from shop.web import safe_next
from shop.words import gettext as _

A_DAY = timedelta(days=1)
RESET_LETTERS = "reset letters"
LONGEST_KEPT = 1500
"""Letters of an address that a cookie keeps for after the reset."""
VERIFICATIONS = 2
"""How many passwords a sign-in is compared with, whether or not there are accounts to compare it with."""

Answer = str | Response | tuple[str, int] | tuple[str, int, dict[str, str]]


@blueprint.get("/connexion")
@open_to_all
def sign_in() -> Answer:
    """ "Vous n'avez pas encore de compte usager" on the left, "Déjà inscrit ?" on the right."""
    back = safe_next(request.args.get("next"))
    visitor = find_visitor()
    if visitor is not None:
        return redirect(way_on(visitor, back), 303)
    form = SignInForm(formdata=None, next=back or "")
    return _page(form, idle=g.get("signed_out_idle", False))


def _page(form: SignInForm, refused: list[str] | None = None, idle: bool = False) -> str:
    return render_template(
        "accounts/sign_in.html",
        form=form,
        start=StartForm(formdata=None),
        refused=refused or [],
        idle=idle,
        back=_short(safe_next(form.next.data)),
    )


def _short(back: str | None) -> str | None:
    """The way back as a cookie can hold it: without what was chosen on the page, when that is much."""
    return back if not back or len(back) <= LONGEST_KEPT else back.partition("?")[0][:LONGEST_KEPT]


def _with_its_next() -> str:
    """The address of the sign-in page, leading on to where the form does."""
    return url_for("accounts.sign_in", next=safe_next(request.form.get("next")))


@blueprint.post("/connexion")
@open_to_all
@found_again_at(_with_its_next)
def sign_in_post() -> Answer:
    """Sign in. The answer never tells whether the address or the password was wrong."""
    form = SignInForm()
    if not form.validate():
        return _page(form), 422
    now = request_now()
    try:
        token, account_id = _sign_in(form.email.data or "", form.password.data or "", now)
    except TooMany as many:
        return _page(form, [many.sentence]), many.status, {"Retry-After": str(many.retry_after)}
    except Refusal as refusal:
        return _page(form, [refusal.sentence]), refusal.status
    remember_device(account_id)
    visitor = remember_visitor(token)
    return redirect(way_on(visitor, safe_next(form.next.data)), 303)


def _sign_in(typed_email: str, password: str, now: datetime) -> tuple[str, int]:
    """Compare, count, and open a session: its key and its account. Raises `SignInRefused`, `TooMany`."""
    try:
        email = rules.clean_email(typed_email)
    except FieldRefused as refused:
        raise SignInRefused from refused
    with reading() as db:
        candidates = queries.find_candidates(db, email)
    device, network = this_device(), network_of(request.remote_addr)
    # Whoever signs up with somebody's address has an unconfirmed account beside the real one: the browser of the one
    # vouches for nobody else.
    known = [one for one in candidates if device is not None and one.account_id in device.account_ids]
    others = [one for one in candidates if one not in known]
    own_count = f"{device.name}:{email}" if device else ""

    def count() -> None:
        with transaction() as db:
            tries.take(db, SIGN_IN_ACCOUNT, email, now, free=5, window=A_DAY, longest=timedelta(hours=4))
            tries.take(db, SIGN_IN_ADDRESS, network, now, 20, window=timedelta(hours=1), longest=timedelta(minutes=15))

    if known:
        with transaction() as db:
            tries.take(db, SIGN_IN_DEVICE, own_count, now, free=10, window=A_DAY, longest=timedelta(hours=1))
    else:
        count()
    chosen = _compare(known, password, VERIFICATIONS - len(others)) if known else None
    if chosen is None:
        if known and others:
            try:
                count()
            except TooMany as many:
                # A stranger may have used the tries up: that is nothing to tell this browser's owner.
                raise SignInRefused from many
        chosen = _compare(others, password, len(others) if known else VERIFICATIONS)
    if chosen is None:
        raise SignInRefused
    better = passwords.hash_password(password) if passwords.is_outdated(chosen.password_hash) else None
    visitor = find_visitor()
    with transaction() as db:
        if chosen in known:
            tries.forget(db, SIGN_IN_DEVICE, own_count)
        else:
            if known:
                tries.give_back(db, SIGN_IN_DEVICE, own_count)
            tries.give_back(db, SIGN_IN_ACCOUNT, email)
            tries.give_back(db, SIGN_IN_ADDRESS, network)
        if better is not None:
            operations.renew_hash(db, chosen.account_id, chosen.password_hash, better)
        if visitor is not None:
            operations.end_session(db, visitor.account_id, visitor.session_id, now)
        token = operations.open_session(db, chosen.account_id, this_browser(), now)
    return token, chosen.account_id


def _compare(candidates: list[queries.Candidate], password: str, times: int) -> queries.Candidate | None:
    """The first of the accounts that the password opens. As many comparisons as asked for, with nobody's if need be."""
    for place in range(times):
        candidate = candidates[place] if place < len(candidates) else None
        if passwords.matches(candidate.password_hash if candidate else None, password):
            return candidate
    return None


@blueprint.post("/deconnexion")
@open_to_all
def sign_out() -> Answer:
    """Sign out of this browser: the session ends on the server too."""
    visitor = find_visitor()
    if visitor is not None:
        with transaction() as db:
            operations.end_session(db, visitor.account_id, visitor.session_id, request_now())
    forget_visitor()
    flash(_("Vous êtes déconnecté. À bientôt !"), "ok")
    return redirect("/", 303)


@blueprint.route("/mot-de-passe-oublie", methods=["GET", "POST"])
@open_to_all
@limited("20 per 10 minutes", "reset")
def ask_reset() -> Answer:
    """Ask for a link to choose a new password. The answer is the same whether or not somebody has the address.

    This browser remembers where the sign-in would have led.
    """
    if request.method != "POST":
        form = AskResetForm(formdata=None, next=_short(safe_next(request.args.get("next"))))
        return render_template("accounts/ask_reset.html", form=form, back=form.next.data)
    form = AskResetForm()
    back = _short(safe_next(form.next.data))
    if not form.validate():
        return render_template("accounts/ask_reset.html", form=form, back=back), 422
    now, email = request_now(), form.email.data or ""
    try:
        with transaction() as db:
            tries.take(db, RESET_LETTERS, email, now, 3, window=timedelta(hours=1), longest=timedelta(hours=1))
            operations.ask_reset(db, email, now)
    except TooMany:
        # Somebody's letter box is not to be filled by others; the answer stays the same.
        pass
    session["asked_reset"], session["after_reset"] = email, back
    return redirect(url_for("accounts.reset_asked"), 303)


@blueprint.get("/mot-de-passe-oublie/envoye")
@open_to_all
def reset_asked() -> Answer:
    """What happens now."""
    return render_template(
        "accounts/reset_asked.html", email=session.get("asked_reset", ""), back=session.get("after_reset")
    )
