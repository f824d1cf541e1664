""" "Mes filiations": those who eat."""

from flask import current_app, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session

from accounts import queries
from accounts.beneficiaries import add_beneficiaries, archive_beneficiary, change_beneficiary, open_allergies
from accounts.errors import FieldRefused
from accounts.forms import BeneficiaryForm, ButtonForm, offer_schools
from accounts.views import blueprint
from accounts.views.entry import where_one_came_from
from accounts.views.sign_in import Answer
from shop.access import open_to, the_household_id, the_visitor
from shop.clock import request_now
from shop.database import reading, transaction
from shop.french import of
from shop.words import gettext as _


def invitations_of(db: Session) -> list[tuple[str, str]]:
    """The children for whom the visitor is invited by their other parent: first name, and the key of the page. Nobody whose
    address is not confirmed is told of any."""
    visitor = the_visitor()
    if visitor.state != "active":
        return []
    found: list[tuple[str, str]] = current_app.extensions["shop.invitations"](db, visitor.email, request_now())
    return found


def _back() -> tuple[str, str]:
    return where_one_came_from("accounts.family", _("Mes filiations"))


@blueprint.get("/mon-compte/filiations")
@open_to("parents")
def family() -> Answer:
    """The beneficiaries of the household."""
    with reading() as db:
        known = queries.list_beneficiaries(db, the_household_id())
        schools = dict(current_app.extensions["shop.schools"](db))
        invitations = invitations_of(db)
    return render_template(
        "accounts/family.html",
        known=known,
        schools=schools,
        invitations=invitations,
        relation_words=queries.relation_words,
        diet_words=queries.diet_words,
    )


@blueprint.route("/mon-compte/filiations/ajouter", methods=["GET", "POST"])
@open_to("parents")
def add_to_family() -> Answer:
    """ "Ajouter un bénéficiaire"."""
    with reading() as db:
        schools = current_app.extensions["shop.schools"](db)
        known = queries.list_beneficiaries(db, the_household_id())
    posted = request.method == "POST"
    form = BeneficiaryForm() if posted else BeneficiaryForm(formdata=None, last_name=the_visitor().last_name)
    offer_schools(form, schools)
    status, refused = 200, []
    if posted:
        status = 422
        if form.validate() and not form.refuse_known(known):
            try:
                with transaction() as db:
                    add_beneficiaries(db, the_household_id(), the_visitor().account_id, [form.facts()], request_now())
            except FieldRefused as refusal:
                refused = [refusal.sentence]
            else:
                flash(_("%(name)s figure désormais parmi vos bénéficiaires.", name=form.first_name.data), "ok")
                return redirect(url_for("accounts.family"), 303)
    title = _("Ajouter un bénéficiaire")
    page = render_template("accounts/beneficiary.html", form=form, refused=refused, title=title, back=_back())
    return page, status


@blueprint.route("/mon-compte/filiations/<int:beneficiary_id>", methods=["GET", "POST"])
@open_to("parents")
def change_in_family(beneficiary_id: int) -> Answer:
    """Change what is said about one of them."""
    back = _back()
    with reading() as db:
        schools = current_app.extensions["shop.schools"](db)
        kept = queries.find_beneficiary(db, the_household_id(), beneficiary_id)
    posted = request.method == "POST"
    if posted:
        form = BeneficiaryForm()
    else:
        facts = {
            **kept._asdict(),
            "allergies": open_allergies(kept.id, kept.allergies),
            "school_id": kept.school_id or 0,
        }
        form = BeneficiaryForm(formdata=None, **facts)
    offer_schools(form, schools)
    status, refused = 200, []
    if posted:
        status = 422
        if form.validate():
            try:
                with transaction() as db:
                    change_beneficiary(
                        db, the_household_id(), the_visitor().account_id, beneficiary_id, form.facts(), request_now()
                    )
            except FieldRefused as refusal:
                refused = [refusal.sentence]
            else:
                flash(
                    _("Les informations %(of_name)s sont enregistrées.", of_name=of(form.first_name.data or "")), "ok"
                )
                return redirect(back[0], 303)
    page = render_template("accounts/beneficiary.html", form=form, refused=refused, title=kept.name, back=back)
    return page, status


@blueprint.route("/mon-compte/filiations/<int:beneficiary_id>/supprimer", methods=["GET", "POST"])
@open_to("parents")
def remove_from_family(beneficiary_id: int) -> Answer:
    """ "Supprimer un bénéficiaire": take one of them out of the lists."""
    back = _back()
    with reading() as db:
        kept = queries.find_beneficiary(db, the_household_id(), beneficiary_id)
        ahead = current_app.extensions["shop.booked_ahead"](db, the_household_id(), beneficiary_id, request_now())
    if request.method != "POST":
        return render_template("accounts/remove_beneficiary.html", form=ButtonForm(), kept=kept, ahead=ahead, back=back)
    with transaction() as db:
        archive_beneficiary(db, the_household_id(), beneficiary_id, request_now())
    flash(_("%(name)s ne figure plus parmi vos bénéficiaires.", name=kept.name), "ok")
    return redirect(back[0], 303)
