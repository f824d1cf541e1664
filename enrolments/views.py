"""Pages of "Mes services": step 3 of an account's creation, and the same afterwards."""

import re
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from enrolments import operations, queries, rules
from enrolments.forms import AnswerForm, AskForm
from shop.access import open_to, the_household_id, the_visitor
from shop.clock import paris_day, request_now
from shop.database import reading, transaction
from shop.errors import NotFound, Refusal
from shop.french import listing
from shop.words import gettext as _
from shop.words import ngettext

blueprint = Blueprint("enrolments", __name__)

Answer = str | Response | tuple[str, int]


@blueprint.route("/creer-un-compte/services", methods=["GET", "POST"])
@open_to("parents")
def sign_up_services() -> Answer:
    """Step 3 of an account's creation: choose a commune, then a tariff, as often as needed."""
    return _ask("enrolments.sign_up_services", "enrolments.sign_up_services", "enrolments/sign_up_services.html")


@blueprint.get("/creer-un-compte/termine")
@open_to("parents")
def sign_up_done() -> Answer:
    """What happens next, for somebody who has come to the end of the three steps."""
    visitor = the_visitor()
    with reading() as db:
        asked = queries.count_of_household(db, the_household_id())
    return render_template(
        "enrolments/sign_up_done.html", confirmed=visitor.state == "active", email=visitor.email, asked=asked
    )


@blueprint.get("/mon-compte/services")
@open_to("parents")
def mine() -> Answer:
    """ "Mes services": what was asked for and what came of it."""
    return _mine()


@blueprint.route("/mon-compte/services/ajouter", methods=["GET", "POST"])
@open_to("parents")
def add() -> Answer:
    """ "Ajouter un service": choose a commune, then a tariff."""
    return _ask("enrolments.add", "enrolments.mine", "enrolments/add.html")


@blueprint.post("/mon-compte/services/<int:enrolment_id>/annuler")
@open_to("parents")
def withdraw(enrolment_id: int) -> Answer:
    """Take a pending request back."""
    with transaction() as db:
        operations.withdraw(db, the_household_id(), enrolment_id, request_now())
    flash(_("Votre demande est annulée. La mairie ne la verra plus."), "ok")
    back = request.args.get("retour") == "creation"
    return redirect(url_for("enrolments.sign_up_services" if back else "enrolments.mine"), 303)


@blueprint.post("/mon-compte/services/<int:enrolment_id>/completer")
@open_to("parents")
def complete(enrolment_id: int) -> Answer:
    """Answer what the town hall asked for."""
    form = AnswerForm(prefix=f"r{enrolment_id}")
    if not form.validate():
        return _mine(enrolment_id, form), 422
    with transaction() as db:
        operations.complete(db, the_household_id(), enrolment_id, form.answer.data or "", request_now())
    flash(_("Votre réponse est envoyée. La mairie reprend votre demande."), "ok")
    return redirect(url_for("enrolments.mine"), 303)


def _mine(answered_id: int | None = None, answer: AnswerForm | None = None) -> str:
    visitor = the_visitor()
    today = paris_day(request_now())
    with reading() as db:
        lines = queries.of_household(db, the_household_id(), today)
    forms = {
        line.id: answer if answer and line.id == answered_id else AnswerForm(prefix=f"r{line.id}", formdata=None)
        for line in lines
        if line.state == "to_complete"
    }
    if answered_id is not None and answered_id not in forms:
        raise NotFound
    return render_template(
        "enrolments/mine.html",
        lines=lines,
        forms=forms,
        answer=answer,
        confirmed=visitor.state == "active",
        email=visitor.email,
        year_label=rules.year_label,
    )


def _ask(endpoint: str, afterwards: str, template: str) -> Answer:
    now = request_now()
    today = paris_day(now)
    commune_slug = request.args.get("commune", "")
    if not re.fullmatch(r"[a-z0-9-]{0,60}", commune_slug):
        raise NotFound
    years = rules.open_years(today)
    household_id = the_household_id()
    with reading() as db:
        eaters = queries.eaters(db, household_id)
        lines = queries.of_household(db, household_id, today)
        offers = queries.offers(db, commune_slug, today) if commune_slug else []
        communes = [] if commune_slug else queries.communes(db)
    if commune_slug and not offers:
        raise NotFound
    form = _form(offers, eaters, years, posted=request.method == "POST")
    refused: list[str] = []
    status = 200
    if request.method == "POST":
        status = 422
        if form.validate():
            try:
                with transaction() as db:
                    operations.request(
                        db,
                        household_id,
                        the_visitor().account_id,
                        form.tariff.data,
                        form.beneficiaries.data or [],
                        form.message.data or None,
                        now,
                        form.school_year.data if len(years) > 1 else None,
                    )
            except NotFound:
                raise
            except Refusal as refusal:
                refused, status = [refusal.sentence], refusal.status
            else:
                _tell_asked(form, eaters)
                return redirect(url_for(afterwards), 303)
    page = render_template(
        template,
        here=url_for(endpoint),
        communes=communes,
        by_service=_by_service(offers),
        commune_name=offers[0].commune_name if offers else "",
        eaters=eaters,
        lines=lines,
        form=form,
        refused=refused,
        confirmed=the_visitor().state == "active",
        year_label=rules.year_label,
        several_years=len(years) > 1,
    )
    return page, status


def _form(
    offers: Sequence[queries.Offer], eaters: Sequence[queries.Eater], years: Sequence[int], posted: bool
) -> AskForm:
    form = AskForm() if posted else AskForm(formdata=None)
    form.tariff.choices = [(offer.tariff_id, offer.label) for offer in offers]
    form.school_year.choices = [(year, rules.year_label(year)) for year in years]
    form.beneficiaries.choices = [(eater.id, eater.name) for eater in eaters]
    if not posted:
        form.school_year.data = years[0]
    return form


def _by_service(offers: Sequence[queries.Offer]) -> list[tuple[str, list[tuple[int, queries.Offer]]]]:
    """The offers under the name of their service, each with its place in the whole list."""
    grouped: dict[int, tuple[str, list[tuple[int, queries.Offer]]]] = {}
    for place, offer in enumerate(offers):
        grouped.setdefault(offer.service_id, (offer.service_name, []))[1].append((place, offer))
    return list(grouped.values())


def _tell_asked(form: Any, eaters: Sequence[queries.Eater]) -> None:
    chosen = set(form.beneficiaries.data)
    names = [eater.name for eater in eaters if eater.id in chosen]
    flash(
        ngettext(
            "Demande enregistrée pour %(names)s.",
            "%(count)s demandes enregistrées, pour %(names)s.",
            len(names),
            names=listing(names),
        ),
        "ok",
    )
