"""Signing up in three steps. The third, "Mes services", is the enrolments' room."""

from datetime import timedelta
from typing import cast

from flask import current_app, flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from accounts import operations, passwords, queries
from accounts.beneficiaries import add_beneficiaries
from accounts.errors import FieldRefused
from accounts.forms import FamilyForm, SignUpForm, StartForm
from accounts.views import blueprint
from accounts.views.entry import this_browser, way_on
from accounts.views.family import invitations_of
from accounts.views.sign_in import Answer
from shop import tries
from shop.access import find_visitor, open_to, open_to_all, remember_visitor, the_household_id, the_visitor
from shop.clock import request_now
from shop.database import reading, transaction
from shop.errors import TooMany
from shop.limits import limited
from shop.web import safe_next
from shop.words import gettext as _

CONFIRM_LETTERS = "confirm letters"


@blueprint.post("/creer-un-compte/commencer")
@open_to_all
def start() -> Answer:
    """Take the address typed beside the sign-in to the first step. Nobody is looked up."""
    form = StartForm()
    if form.validate():
        session["sign_up_email"] = form.new_email.data
    else:
        session.pop("sign_up_email", None)
    return redirect(url_for("accounts.sign_up"), 303)


@blueprint.route("/creer-un-compte", methods=["GET", "POST"])
@open_to_all
@limited("20 per 10 minutes", "sign-up")
def sign_up() -> Answer:
    """Step 1, "Infos personnelles". The answer is the same whether or not an account has the address."""
    visitor = find_visitor()
    if visitor is not None:
        return redirect(way_on(visitor, None), 303)
    form = SignUpForm()
    if request.method != "POST":
        form.email.data = session.get("sign_up_email")
        return render_template("accounts/sign_up.html", form=form)
    if not form.validate():
        if not form.password.errors:
            # A page never holds a password: whoever corrects another field must not meet an empty one in silence.
            form.password.errors = [_("Écrivez de nouveau votre mot de passe : cette page ne le garde pas.")]
        return render_template("accounts/sign_up.html", form=form), 422
    now = request_now()
    new = operations.NewAccount(
        email=form.email.data or "",
        password_hash=passwords.hash_password(form.password.data or ""),
        newsletter=form.newsletter.data,
        partners=form.partners.data,
        **form.details(),
    )
    with transaction() as db:
        account_id = operations.sign_up(db, new, now)
        token = operations.open_session(db, account_id, this_browser(), now)
    remember_visitor(token)
    return redirect(url_for("accounts.sign_up_family"), 303)


@blueprint.route("/creer-un-compte/filiations", methods=["GET", "POST"])
@open_to("parents")
def sign_up_family() -> Answer:
    """Step 2, "Mes filiations": rows to fill, as many as there are; buttons add and remove rows.

    Whoever asks for one more row has finished those before: they are saved, to be found again from any browser.
    """
    visitor, household_id = the_visitor(), the_household_id()
    with reading() as db:
        known = queries.list_beneficiaries(db, household_id)
        schools = current_app.extensions["shop.schools"](db)
        invitations = invitations_of(db)
    posted = request.method == "POST"
    form = FamilyForm() if posted else FamilyForm(formdata=None)
    status, refused = 200, cast("list[str]", [])
    if not posted:
        if known and "ajouter" not in request.args:
            form.rows.entries = []
        else:
            form.rows.entries[0].form.last_name.data = visitor.last_name
    elif "add" in request.form and form.all_blank(visitor.last_name):
        form.add_row(visitor.last_name)
    elif "remove" in request.form:
        form.remove(request.form["remove"])
    else:
        form.drop_blank_rows(visitor.last_name)
        form.offer(schools)
        if not form.rows.entries:
            if known:
                return redirect(url_for("enrolments.sign_up_services"), 303)
            refused.append(_("Ajoutez au moins une personne : votre enfant, ou vous-même."))
        elif form.validate() and not form.refuse_known(known):
            try:
                with transaction() as db:
                    add_beneficiaries(
                        db, household_id, visitor.account_id, [row.form.facts() for row in form.rows], request_now()
                    )
            except FieldRefused as refusal:
                refused.append(refusal.sentence)
            else:
                if "add" in request.form:
                    return redirect(url_for("accounts.sign_up_family", ajouter=1), 303)
                return redirect(url_for("enrolments.sign_up_services"), 303)
        status = 422
    if not form.rows.entries and not known:
        form.add_row(visitor.last_name)
    form.offer(schools)
    refused += [sentence for sentence in form.rows.errors if isinstance(sentence, str)]
    page = render_template(
        "accounts/sign_up_family.html", form=form, known=known, refused=refused, invitations=invitations
    )
    return page, status


@blueprint.post("/creer-un-compte/renvoyer-le-lien")
@open_to("parents")
@limited("20 per 10 minutes", "confirm")
def send_confirmation() -> Response:
    """Send the link that confirms the address once more."""
    visitor, now = the_visitor(), request_now()
    if visitor.state == "unconfirmed":
        try:
            with transaction() as db:
                subject = str(visitor.account_id)
                tries.take(db, CONFIRM_LETTERS, subject, now, 3, window=timedelta(hours=1), longest=timedelta(hours=1))
                operations.ask_confirmation(db, visitor.account_id, visitor.email, visitor.first_name, now)
        except TooMany as many:
            flash(many.sentence, "wait")
        else:
            flash(_("Un e-mail est parti à %(email)s. Suivez le lien qu’il contient.", email=visitor.email), "ok")
    back = safe_next(request.form.get("back")) or way_on(visitor, None)
    return redirect(back, 303)
