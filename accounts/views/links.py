"""Pages that links in letters lead to. Reading one changes nothing (mail programs follow links): its button does."""

from collections.abc import Callable
from typing import Any

from flask import flash, redirect, render_template, request, session, url_for
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from accounts import operations, passwords, queries
from accounts.errors import AddressTaken, LinkSpent
from accounts.forms import ButtonForm, NewPasswordForm
from accounts.views import blueprint
from accounts.views.entry import way_on
from accounts.views.sign_in import Answer
from shop.access import find_visitor, forget_visitor, open_to_all
from shop.clock import request_now
from shop.database import reading, transaction, violated
from shop.web import error_page, safe_next
from shop.words import gettext as _


def _carry_out(verb: Callable[[Session], Any]) -> Any:
    """Do what a link is for. Of two links for one address at the same time, the database lets one through."""
    try:
        with transaction() as db:
            return verb(db)
    except IntegrityError as error:
        if violated(error) == "uq_accounts_active_email":
            raise AddressTaken from error
        raise


@blueprint.errorhandler(LinkSpent)
def _lead_on(refusal: LinkSpent) -> Answer:
    """A link that serves no more leads to where another is asked for, or to the sign-in."""
    on = {"accounts.reset": (url_for("accounts.ask_reset"), _("Mot de passe oublié ?"))}
    sign_in = (url_for("accounts.sign_in"), _("Connexion"))
    return error_page(refusal.status, refusal.sentence, way_on=on.get(request.endpoint or "", sign_in))


def _say_again(token: str, purpose: str) -> Response | None:
    """The answer to a second click on a link that has confirmed an address; nothing for any other link. The token proves
    whose it is."""
    with reading() as db:
        if not queries.has_confirmed(db, token, purpose):
            return None
    flash(_("Votre adresse e-mail est déjà confirmée."), "ok")
    return redirect(url_for("accounts.sign_in"), 303)


@blueprint.route("/confirmer/<token>", methods=["GET", "POST"])
@open_to_all
def confirm(token: str) -> Answer:
    """Confirm the address of a new account."""
    now = request_now()
    if again := _say_again(token, "confirm"):
        return again
    with reading() as db:
        link = queries.find_link(db, token, "confirm", now)
    if request.method != "POST":
        return render_template("accounts/confirm.html", form=ButtonForm(), email=link.email)
    account_id = _carry_out(lambda db: operations.confirm(db, token, now))
    flash(_("Votre adresse e-mail est confirmée."), "ok")
    visitor = find_visitor()
    if visitor is not None and visitor.account_id == account_id:
        return redirect(way_on(visitor, None), 303)
    return redirect(url_for("accounts.sign_in"), 303)


@blueprint.route("/nouveau-mot-de-passe/<token>", methods=["GET", "POST"])
@open_to_all
def reset(token: str) -> Answer:
    """Choose a new password. Signs nobody in: the password, and for staff the second factor, are asked as always.

    In the browser that asked for the link, the sign-in leads on to where it would have led then.
    """
    now = request_now()
    with reading() as db:
        link = queries.find_link(db, token, "reset", now)
    form = NewPasswordForm(link.email)
    if request.method != "POST" or not form.validate():
        page = render_template("accounts/reset.html", form=form, email=link.email)
        return page, 422 if request.method == "POST" else 200
    password_hash = passwords.hash_password(form.password.data or "")
    with transaction() as db:
        operations.reset_password(db, token, password_hash, now)
    back = safe_next(session.get("after_reset"))
    forget_visitor()
    flash(_("Votre mot de passe est changé. Connectez-vous."), "ok")
    return redirect(url_for("accounts.sign_in", next=back), 303)


@blueprint.route("/activer/<token>", methods=["GET", "POST"])
@open_to_all
def activate(token: str) -> Answer:
    """Choose the first password of an account that the town hall made."""
    now = request_now()
    with reading() as db:
        link = queries.find_link(db, token, "activate", now)
    form = NewPasswordForm(link.email)
    if request.method != "POST" or not form.validate():
        page = render_template("accounts/activate.html", form=form, email=link.email, first_name=link.first_name)
        return page, 422 if request.method == "POST" else 200
    password_hash = passwords.hash_password(form.password.data or "")
    _carry_out(lambda db: operations.activate(db, token, password_hash, now))
    forget_visitor()
    flash(_("Votre compte est activé. Connectez-vous."), "ok")
    return redirect(url_for("accounts.sign_in"), 303)


@blueprint.route("/confirmer-adresse/<token>", methods=["GET", "POST"])
@open_to_all
def confirm_email(token: str) -> Answer:
    """Give an account its new address."""
    now = request_now()
    if again := _say_again(token, "email_change"):
        return again
    with reading() as db:
        link = queries.find_link(db, token, "email_change", now)
    if request.method != "POST":
        return render_template("accounts/confirm_email.html", form=ButtonForm(), email=link.new_email)
    _carry_out(lambda db: operations.confirm_email_change(db, token, now))
    flash(_("Votre compte porte désormais l’adresse %(email)s.", email=link.new_email), "ok")
    signed_in = find_visitor() is not None
    return redirect(url_for("accounts.home") if signed_in else url_for("accounts.sign_in"), 303)


@blueprint.route("/annuler-adresse/<token>", methods=["GET", "POST"])
@open_to_all
def cancel_email(token: str) -> Answer:
    """Undo a change of address, from the old one."""
    now = request_now()
    with reading() as db:
        link = queries.find_link(db, token, "email_cancel", now)
    if request.method != "POST":
        return render_template("accounts/cancel_email.html", form=ButtonForm(), email=link.new_email)
    undone = _carry_out(lambda db: operations.cancel_email_change(db, token, now))
    if undone:
        forget_visitor()
        flash(
            _("Votre ancienne adresse est remise en place, et tous les appareils sont déconnectés.")
            + " "
            + _("Un e-mail vous permet de choisir un nouveau mot de passe."),
            "wait",
        )
    else:
        flash(_("Le changement d’adresse est annulé. Rien n’a changé."), "ok")
    return redirect(url_for("accounts.sign_in"), 303)
