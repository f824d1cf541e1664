"""The second factor of staff: set up at the first sign-in, asked for at every one; and the codes that replace it."""

from datetime import timedelta

import segno
from flask import current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from accounts import operations, queries, second_factor
from accounts.devices import remember_device
from accounts.errors import WrongCode, WrongPassword
from accounts.forms import CodeForm, RenewCodesForm
from accounts.views import blueprint
from accounts.views.account import check_current
from accounts.views.entry import OFFICE, this_browser
from accounts.views.sign_in import Answer
from shop import tries
from shop.access import open_to, remember_visitor, the_visitor
from shop.clock import request_now
from shop.config import Config
from shop.crypto import SealBroken
from shop.database import reading, transaction
from shop.errors import TooMany
from shop.web import safe_next
from shop.words import gettext as _


@blueprint.route("/mairie/double-authentification", methods=["GET", "POST"], endpoint="second_factor")
@open_to("staff")
def show_second_factor() -> Answer:
    """Ask for a code; the first time, show the secret to set a telephone up with, and then the recovery codes."""
    visitor = the_visitor()
    if visitor.second_factor:
        return redirect(safe_next(request.args.get("next")) or OFFICE, 303)
    with reading() as db:
        enrolled = queries.is_enrolled(db, visitor.account_id)
    form = CodeForm() if request.method == "POST" else CodeForm(formdata=None, next=request.args.get("next", ""))
    return _ask_code(form) if enrolled else _enrol(form)


def _code_page(template: str, form: CodeForm, refused: str, status: int, **facts: object) -> Answer:
    if refused:
        form.code.errors = [refused]
    form.code.data = ""
    return render_template(template, form=form, **facts), status


def _ask_code(form: CodeForm) -> Answer:
    visitor, now = the_visitor(), request_now()
    template = "accounts/second_factor.html"
    if request.method != "POST" or not form.validate():
        return _code_page(template, form, "", 422 if request.method == "POST" else 200)
    try:
        _take_try()
        with transaction() as db:
            second_factor.check_code(db, visitor.account_id, form.code.data or "", now)
            tries.forget(db, second_factor.TRIES, str(visitor.account_id))
            token = operations.open_session(
                db, visitor.account_id, this_browser(), now, second_factor=True, replaces=visitor.session_id
            )
    except (WrongCode, TooMany) as refusal:
        return _code_page(template, form, refusal.sentence, refusal.status)
    return _go_in(token, form.next.data)


def _enrol(form: CodeForm) -> Answer:
    visitor, now = the_visitor(), request_now()
    try:
        secret = second_factor.open_draft(form.draft.data or "", visitor.session_id)
    except SealBroken:
        secret = second_factor.new_secret()
        form.draft.data = second_factor.seal_draft(secret, visitor.session_id)
        if request.method == "POST":
            return _enrol_page(form, secret, _("Cette page avait expiré : scannez le nouveau code."), 422)
    if request.method != "POST" or not form.validate():
        return _enrol_page(form, secret, "", 422 if request.method == "POST" else 200)
    try:
        _take_try()
        with transaction() as db:
            codes = second_factor.enrol(db, visitor.account_id, secret, form.code.data or "", now)
            tries.forget(db, second_factor.TRIES, str(visitor.account_id))
            token = operations.open_session(
                db, visitor.account_id, this_browser(), now, second_factor=True, replaces=visitor.session_id
            )
    except (WrongCode, TooMany) as refusal:
        return _enrol_page(form, secret, refusal.sentence, refusal.status)
    _go_in(token, None)
    go_on = safe_next(form.next.data) or OFFICE
    return _new_codes_page(codes, _("La double authentification est installée."), go_on)


def _enrol_page(form: CodeForm, secret: str, refused: str, status: int) -> Answer:
    config: Config = current_app.extensions["shop.config"]
    uri = second_factor.provisioning_uri(secret, the_visitor().email, config.site_name)
    picture = segno.make(uri, error="m").svg_data_uri(scale=5, border=4, light="#fff", dark="#000")
    letters = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    return _code_page("accounts/second_factor_setup.html", form, refused, status, picture=picture, letters=letters)


def _new_codes_page(codes: list[str], lead: str, go_on: str) -> str:
    return render_template("accounts/recovery_codes.html", codes=codes, lead=lead, go_on=go_on)


@blueprint.route("/mon-compte/codes-de-secours", methods=["GET", "POST"])
@open_to("office")
def recovery_codes() -> Answer:
    """How many recovery codes are left, and ten new ones for whoever shows the password and the telephone anew."""
    visitor, now = the_visitor(), request_now()
    form = RenewCodesForm()
    if request.method != "POST":
        return _recovery_codes_page(form), 200
    if not form.validate():
        return _recovery_codes_page(form), 422
    try:
        check_current(visitor.account_id, form.current.data or "", now)
        _take_try()
        with transaction() as db:
            codes = second_factor.renew_recovery_codes(db, visitor.account_id, form.code.data or "", now)
            tries.forget(db, second_factor.TRIES, str(visitor.account_id))
    except WrongPassword as refusal:
        form.current.errors = [refusal.sentence]
        return _recovery_codes_page(form), refusal.status
    except WrongCode as refusal:
        form.code.errors = [refusal.sentence]
        return _recovery_codes_page(form), refusal.status
    except TooMany as many:
        return _recovery_codes_page(form, many.sentence), many.status, {"Retry-After": str(many.retry_after)}
    return _new_codes_page(codes, _("Ils remplacent tous les précédents."), url_for("accounts.home"))


def _recovery_codes_page(form: RenewCodesForm, *refused: str) -> str:
    form.code.data = ""
    with reading() as db:
        kept = queries.recovery_codes_of(db, the_visitor().account_id)
    return render_template("accounts/my_recovery_codes.html", form=form, kept=kept, refused=refused)


def _take_try() -> None:
    with transaction() as db:
        subject = str(the_visitor().account_id)
        hour = timedelta(hours=1)
        tries.take(db, second_factor.TRIES, subject, request_now(), free=5, window=24 * hour, longest=hour)


def _go_in(token: str, back: str | None) -> Response:
    visitor = remember_visitor(token)
    remember_device(visitor.account_id)
    return redirect(safe_next(back) or OFFICE, 303)
