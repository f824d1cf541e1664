""" "Mon compte": details, password, address, connections, and its end."""

from datetime import datetime, timedelta

from flask import current_app, flash, redirect, render_template, request, url_for

from accounts import operations, passwords, queries
from accounts.devices import remember_device
from accounts.errors import ClosingRefused, WrongPassword
from accounts.forms import ChangeEmailForm, ChangePasswordForm, CloseForm, PersonForm
from accounts.views import blueprint
from accounts.views.entry import this_browser, where_one_came_from
from accounts.views.sign_in import Answer
from shop import tries
from shop.access import forget_visitor, open_to, remember_visitor, the_visitor
from shop.clock import request_now
from shop.database import reading, transaction
from shop.errors import TooMany
from shop.words import gettext as _

EMAIL_CHANGE_LETTERS = "e-mail change letters"
CURRENT_PASSWORD = "current password"  # noqa: S105 (what is counted, not a secret)


@blueprint.get("/mon-compte")
@open_to("members")
def home() -> Answer:
    """Everything that an account gives access to."""
    visitor = the_visitor()
    known, ahead = [], None
    if visitor.household_id is not None:
        with reading() as db:
            known = queries.list_beneficiaries(db, visitor.household_id)
            ahead = current_app.extensions["shop.look_ahead"](db, visitor.household_id, request_now())
    return render_template("accounts/home.html", known=known, ahead=ahead)


@blueprint.route("/mon-compte/coordonnees", methods=["GET", "POST"])
@open_to("members")
def details() -> Answer:
    """ "Mes coordonnées", and the consents with the day each was given."""
    visitor = the_visitor()
    back = where_one_came_from("accounts.home", _("Mon compte"))
    with reading() as db:
        kept = queries.details_of(db, visitor.account_id)
        consents = queries.consents_of(db, visitor.account_id)
    if request.method != "POST":
        form = PersonForm(
            formdata=None,
            **{
                **kept._asdict(),
                "title": kept.title or "",
                "is_company": bool(kept.organisation_name),
                "newsletter": "newsletter" in consents,
                "partners": "partners" in consents,
            },
        )
        return render_template("accounts/details.html", form=form, back=back, email=kept.email, consents=consents)
    form = PersonForm()
    if not form.validate():
        return render_template("accounts/details.html", form=form, back=back, email=kept.email, consents=consents), 422
    with transaction() as db:
        wanted = {"newsletter": form.newsletter.data, "partners": form.partners.data}
        operations.change_details(db, visitor.account_id, form.details(), wanted, request_now())
    flash(_("Vos coordonnées sont enregistrées."), "ok")
    return redirect(back[0], 303)


def check_current(account_id: int, password: str, now: datetime) -> str:
    """Compare the present password, counting tries: the hash it was compared with. Raises `WrongPassword`, `TooMany`."""
    subject = str(account_id)
    with transaction() as db:
        tries.take(db, CURRENT_PASSWORD, subject, now, 10, window=timedelta(hours=1), longest=timedelta(hours=1))
    with reading() as db:
        kept = queries.password_hash_of(db, account_id)
    if not passwords.matches(kept, password):
        raise WrongPassword
    with transaction() as db:
        tries.forget(db, CURRENT_PASSWORD, subject)
    return kept


@blueprint.route("/mon-compte/mot-de-passe", methods=["GET", "POST"])
@open_to("members")
def change_password() -> Answer:
    """Change the password: the present one is asked for, every other browser is signed out."""
    visitor, now = the_visitor(), request_now()
    form = ChangePasswordForm(visitor.email)
    template = "accounts/change_password.html"
    if request.method != "POST":
        return render_template(template, form=form, refused=[])
    if not form.validate():
        return render_template(template, form=form, refused=[]), 422
    try:
        kept = check_current(visitor.account_id, form.current.data or "", now)
        password_hash = passwords.hash_password(form.password.data or "")
        with transaction() as db:
            token = operations.change_password(
                db, visitor.account_id, kept, password_hash, visitor.session_id, this_browser(), now
            )
    except WrongPassword as refusal:
        form.current.errors = [refusal.sentence]
        return render_template(template, form=form, refused=[]), 422
    except TooMany as many:
        return (
            render_template(template, form=form, refused=[many.sentence]),
            429,
            {"Retry-After": str(many.retry_after)},
        )
    remember_visitor(token)
    remember_device(visitor.account_id)
    flash(_("Votre mot de passe est changé. Vos autres appareils sont déconnectés."), "ok")
    return redirect(url_for("accounts.home"), 303)


@blueprint.route("/mon-compte/adresse-e-mail", methods=["GET", "POST"])
@open_to("members")
def change_email() -> Answer:
    """Ask for another address. It changes when the link sent there is followed, not before."""
    visitor, now = the_visitor(), request_now()
    form = ChangeEmailForm()
    template = "accounts/change_email.html"
    if request.method != "POST":
        return render_template(template, form=form, refused=[], email=visitor.email)
    fine = form.validate()
    if form.email.data == visitor.email:
        form.email.errors = [_("C’est déjà l’adresse de votre compte.")]
        fine = False
    if not fine:
        return render_template(template, form=form, refused=[], email=visitor.email), 422
    try:
        check_current(visitor.account_id, form.current.data or "", now)
        with transaction() as db:
            subject, hour = str(visitor.account_id), timedelta(hours=1)
            tries.take(db, EMAIL_CHANGE_LETTERS, subject, now, 3, window=hour, longest=hour)
            operations.ask_email_change(db, visitor.account_id, form.email.data or "", now)
    except WrongPassword as refusal:
        form.current.errors = [refusal.sentence]
        return render_template(template, form=form, refused=[], email=visitor.email), 422
    except TooMany as many:
        page = render_template(template, form=form, refused=[many.sentence], email=visitor.email)
        return page, 429, {"Retry-After": str(many.retry_after)}
    flash(
        _(
            "Un e-mail est parti à %(email)s. Suivez son lien pour confirmer ; d’ici là rien ne change.",
            email=form.email.data,
        ),
        "ok",
    )
    return redirect(url_for("accounts.home"), 303)


@blueprint.get("/mon-compte/connexions")
@open_to("members")
def connections() -> Answer:
    """The browsers that are signed in."""
    visitor, now = the_visitor(), request_now()
    with reading() as db:
        lines = queries.list_connections(db, visitor.account_id, now)
    return render_template("accounts/connections.html", lines=lines, here=visitor.session_id)


@blueprint.post("/mon-compte/connexions/<int:session_id>/fermer")
@open_to("members")
def end_connection(session_id: int) -> Answer:
    """Sign one browser out; one that is signed out already is told so, another person's does not exist."""
    visitor = the_visitor()
    with transaction() as db:
        ended = operations.end_session(db, visitor.account_id, session_id, request_now())
        if not ended:
            queries.check_own_session(db, visitor.account_id, session_id)
    if session_id == visitor.session_id:
        forget_visitor()
        return redirect(url_for("accounts.sign_in"), 303)
    flash(_("L’appareil est déconnecté.") if ended else _("L’appareil était déjà déconnecté."), "ok")
    return redirect(url_for("accounts.connections"), 303)


@blueprint.post("/mon-compte/connexions/fermer-les-autres")
@open_to("members")
def end_other_connections() -> Answer:
    """Sign every other browser out."""
    visitor = the_visitor()
    with transaction() as db:
        operations.end_sessions(db, visitor.account_id, request_now(), but=visitor.session_id)
    flash(_("Vos autres appareils sont déconnectés."), "ok")
    return redirect(url_for("accounts.connections"), 303)


@blueprint.route("/mon-compte/fermer", methods=["GET", "POST"])
@open_to("members")
def close() -> Answer:
    """Close the account for good, once nothing stands in the way; what does is told before anything is asked."""
    visitor, now = the_visitor(), request_now()
    form = CloseForm()
    template = "accounts/close.html"
    posted = request.method == "POST"
    with reading() as db:
        obstacles = operations.obstacles_to_closing(db, visitor.account_id, now)
    if obstacles or not posted or not form.validate():
        return render_template(template, form=form, refused=[], obstacles=obstacles), 422 if posted else 200
    try:
        check_current(visitor.account_id, form.current.data or "", now)
        with transaction() as db:
            operations.close(db, visitor.account_id, now)
    except WrongPassword as refusal:
        form.current.errors = [refusal.sentence]
        return render_template(template, form=form, refused=[], obstacles=[]), 422
    except ClosingRefused as refusal:
        return render_template(template, form=form, refused=[], obstacles=refusal.obstacles), 422
    except TooMany as many:
        return (
            render_template(template, form=form, refused=[many.sentence], obstacles=[]),
            429,
            {"Retry-After": str(many.retry_after)},
        )
    forget_visitor()
    flash(_("Votre compte est fermé. Un e-mail vous le confirme."), "ok")
    return redirect("/", 303)
