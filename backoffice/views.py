"""Pages of the town hall ("Espace mairie"): the desk, requests, the day's list, families."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs

from backoffice import day_queries, family_queries, request_queries, rules
from backoffice.forms import CarePlanForm, DecisionForm, InvoiceForm, QuotientForm, told_apart
from backoffice.reach import reach_of
from checkout import sickness
from enrolments import care_plans, operations, outside_invoices, quotients
from enrolments.forms import whole
from enrolments.operations import Desk
from enrolments.rules import age_on, school_year_of, validity, year_label
from shop.access import open_to, the_visitor
from shop.clock import paris_day, request_now
from shop.database import reading, transaction
from shop.errors import Forbidden, NotFound, Refusal
from shop.words import gettext as _
from shop.words import ngettext

blueprint = Blueprint("backoffice", __name__, url_prefix="/mairie")

Answer = str | Response | tuple[str, int]

DAYS_AHEAD = 10
LONGEST_SEARCH = 80
RELATIONS = {
    "father": _("son père"),
    "mother": _("sa mère"),
    "guardian": _("son tuteur ou sa tutrice"),
    "grandparent": _("son grand-parent"),
    "self": _("la même personne"),
}
"""What the holder of the account is to a beneficiary; nothing is told of one who is something else."""
DIETS = {
    "standard": _("Sans régime"),
    "no_pork": _("Sans porc"),
    "no_meat": _("Sans viande"),
    "vegetarian": _("Végétarien"),
}


@blueprint.get("")
@open_to("office")
def desk() -> Answer:
    """The desk: what waits today, and how many meals the next days have."""
    today = paris_day(request_now())
    with reading() as db:
        reach = reach_of(db, the_visitor().account_id)
        if not reach.may("families"):
            return redirect(url_for("backoffice.day"), 303)
        waiting = request_queries.waiting(db, reach.communes("requests")) if reach.may("requests") else []
        meals = day_queries.headcounts(db, reach.communes("day"), today, today + timedelta(days=DAYS_AHEAD))
    oldest = min((line.oldest_at for line in waiting), default=None)
    days: dict[date, list[day_queries.Headcount]] = {}
    for line in meals:
        days.setdefault(line.day, []).append(line)
    return render_template(
        "backoffice/desk.html",
        reach=reach,
        today=today,
        waiting=waiting,
        number=sum(line.number for line in waiting),
        oldest_days=rules.waiting_days(paris_day(oldest), today) if oldest else 0,
        days=[
            (
                day,
                lines,
                sum(line.booked for line in lines),
                sum(line.unbooked for line in lines),
                sum(line.excused for line in lines),
            )
            for day, lines in days.items()
        ],
    )


@blueprint.get("/demandes")
@open_to("office")
def requests() -> Answer:
    """Requests for access, by family, the longest waiting first."""
    return _requests()


@blueprint.post("/demandes")
@open_to("office")
def decide() -> Answer:
    """Decide about the ticked requests: all of them, or none. The button beside a request approves that one alone."""
    form = DecisionForm()
    if only := request.form.get("only"):
        form.ids.data, form.decision.data = [whole(only)], "approve"
    refused, status = _decide(form)
    if not status:
        return redirect(url_for("backoffice.requests", **_filters()), 303)
    return _requests(form, refused), status


@blueprint.get("/demandes/<int:enrolment_id>")
@open_to("office")
def show_request(enrolment_id: int) -> Answer:
    """One request, with the family's file and its other requests."""
    return _request(enrolment_id)


@blueprint.post("/demandes/<int:enrolment_id>")
@open_to("office")
def decide_one(enrolment_id: int) -> Answer:
    """Decide about one request."""
    form = DecisionForm()
    form.ids.data = [enrolment_id]
    refused, status = _decide(form)
    if not status:
        return redirect(url_for("backoffice.show_request", enrolment_id=enrolment_id), 303)
    return _request(enrolment_id, form, refused), status


@blueprint.get("/jour")
@open_to("office")
def day() -> Answer:
    """The booked children of a day, service by service; today's list, or that of the next serving day."""
    today = paris_day(request_now())
    typed = request.args.get("date")
    asked = _read_day(typed) if typed else None
    wrong = bool(typed) and asked is None
    with reading() as db:
        reach = reach_for(db, "day")
        here = reach.communes("day")
        shown = asked or day_queries.next_served(db, here, today) or today
        before, after = day_queries.around(db, here, shown)
        services = day_queries.services_on(db, here, shown)
        booked = day_queries.booked_on(db, here, shown)
    page = render_template(
        "backoffice/day.html",
        reach=reach,
        today=today,
        shown=shown,
        wrong=wrong,
        before=before,
        after=after,
        total=sum(service.booked for service in services),
        unbooked=sum(service.unbooked for service in services),
        excused=sum(service.excused for service in services),
        services=[
            (
                service,
                booked.get(service.service_day_id, []),
                rules.tally(school_words(line) for line in booked.get(service.service_day_id, [])),
                _by_diet(booked.get(service.service_day_id, [])),
            )
            for service in services
        ],
        school_words=school_words,
        tally=_by_diet,
        diets=DIETS,
        with_tariffs=reach.may("tariffs"),
        with_history=here <= reach.communes("families"),
    )
    return page, 422 if wrong else 200


def _by_diet(lines: Iterable[day_queries.Booked]) -> list[rules.Tally]:
    """How many meals there are of each diet, in the order in which diets are always named."""
    return rules.tally((DIETS[line.diet] for line in lines), list(DIETS.values()))


@blueprint.get("/familles")
@open_to("office")
def families() -> Answer:
    """Search families by name, telephone number or e-mail address."""
    typed = request.args.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
    with reading() as db:
        reach = reach_for(db, "families")
        found = family_queries.search_families(db, reach.communes("families"), typed)
    return render_template(
        "backoffice/families.html", reach=reach, typed=typed, found=found, limit=family_queries.SEARCH_LIMIT
    )


@blueprint.get("/familles/<int:household_id>")
@open_to("office")
def family(household_id: int) -> Answer:
    """A family's file."""
    return family_file(household_id)


@blueprint.post("/familles/<int:household_id>/quotient")
@open_to("office")
def note_quotient(household_id: int) -> Answer:
    """Note the family quotient that a family has shown."""
    form, now = QuotientForm(), request_now()
    fine = form.validate()
    with reading() as db:
        here = reach_for(db, "decide").communes("decide")
    commune_id, value = form.commune.data, form.value.data
    first, last = form.valid_from.data, form.valid_until.data
    if commune_id not in here:
        raise NotFound
    if not fine or value is None or first is None or last is None:
        return family_file(household_id, form), 422
    with transaction() as db:
        quotients.note_quotient(db, household_id, commune_id, value, (first, last), the_visitor().account_id, now)
    flash(_("Quotient noté : il vaut pour les réservations à venir."), "ok")
    return redirect(url_for("backoffice.family", household_id=household_id), 303)


@blueprint.post("/familles/<int:household_id>/pai")
@open_to("office")
def note_plan(household_id: int) -> Answer:
    """Note the days that a child's PAI covers."""
    form, now = CarePlanForm(), request_now()
    fine = form.validate()
    with reading() as db:
        here = reach_for(db, "decide").communes("decide")
    commune_id, child = form.commune.data, form.beneficiary.data
    first, last = form.valid_from.data, form.valid_until.data
    if commune_id not in here:
        raise NotFound
    if not fine or first is None or last is None:
        return family_file(household_id, failed_plan=form), 422
    with transaction() as db:
        care_plans.note_plan(db, household_id, child, commune_id, (first, last), the_visitor().account_id, now)
    flash(_("PAI noté : il vaut pour les réservations à venir."), "ok")
    return redirect(url_for("backoffice.family", household_id=household_id), 303)


@blueprint.post("/familles/<int:household_id>/pai/<int:plan_id>/retirer")
@open_to("office")
def remove_plan(household_id: int, plan_id: int) -> Response:
    """Take back a PAI that was noted wrongly."""
    with transaction() as db:
        here = reach_for(db, "decide").communes("decide")
        if not request_queries.requests_of(db, here, household_id):
            raise NotFound
        there = care_plans.remove_plan(db, here, household_id, plan_id, the_visitor().account_id, request_now())
    if there:
        flash(_("PAI retiré."), "ok")
    else:
        flash(_("Ce PAI était déjà retiré : rien n’a changé."), "note")
    return redirect(url_for("backoffice.family", household_id=household_id), 303)


@blueprint.post("/maladies/<int:leave_id>/certificat")
@open_to("office")
def see_paper(leave_id: int) -> Response:
    """Note that the certificate of an illness was seen."""
    with transaction() as db:
        here = sorted(reach_for(db, "decide").communes("decide"))
        household_id = sickness.see_paper(db, here, leave_id, the_visitor().account_id, request_now())
    flash(_("Certificat noté comme vu."), "ok")
    return redirect(url_for("backoffice.family", household_id=household_id), 303)


def family_file(
    household_id: int,
    failed: QuotientForm | None = None,
    failed_plan: CarePlanForm | None = None,
    failed_invoice: InvoiceForm | None = None,
) -> str:
    """A family's file, with the form that was refused."""
    today = paris_day(request_now())
    with reading() as db:
        reach = reach_for(db, "families")
        here = reach.communes("families")
        asked = request_queries.requests_of(db, here, household_id)
        if not asked:
            raise NotFound
        contacts = family_queries.contacts_of(db, household_id)
        members = family_queries.members_of(db, here, household_id)
        homes = family_queries.other_homes(db, here, members)
        known = quotients.quotients_of(db, here, household_id)
        leaves = sickness.leaves_of(db, sorted(here), household_id)
        plans = care_plans.plans_of(db, here, household_id)
        asked_plans = care_plans.asked_of(db, here, household_id)
        eaten = family_queries.eaten_by(db, here, household_id)
        invoices = outside_invoices.invoices_of(db, here, household_id)
        regies = outside_invoices.regies_of(db, reach.communes("charge"), household_id)
    return render_template(
        "backoffice/family.html",
        reach=reach,
        known=known,
        leaves=leaves,
        plans=plans,
        eaten=eaten,
        invoices=invoices,
        invoice_form=_invoice_form(regies, failed_invoice),
        may_close=regies.keys(),
        plan_forms=_plan_forms(reach, asked_plans, failed_plan, today),
        may_decide=reach.may("decide"),
        forms=_quotient_forms(reach, asked, known, failed, today),
        asked=asked,
        household_id=household_id,
        contacts=contacts,
        members=members,
        homes=homes,
        today=today,
        **_words(),
    )


def _quotient_forms(
    reach: rules.Reach,
    asked: Sequence[request_queries.Request],
    known: Sequence[quotients.Known],
    failed: QuotientForm | None,
    today: date,
) -> list[tuple[str, QuotientForm]]:
    """A form for each commune that may note the family's quotient, with the days until the end of the school year."""
    communes = {line.commune_id: line.commune_name for line in asked}
    _first, last = validity(school_year_of(today))
    forms = []
    for commune_id in sorted(communes.keys() & reach.communes("decide"), key=lambda key: communes[key]):
        form = failed
        if form is None or form.commune.data != commune_id:
            form = QuotientForm(formdata=None, commune=commune_id, valid_from=today, valid_until=last)
        forms.append((communes[commune_id], told_apart(form, f"quotient-{commune_id}")))
    return forms


def _plan_forms(
    reach: rules.Reach, asked: Sequence[care_plans.Asked], failed: CarePlanForm | None, today: date
) -> list[tuple[str, CarePlanForm]]:
    """A form for each commune that asks a PAI of some of the family's children and may note it."""
    _first, last = validity(school_year_of(today))
    communes = {one.commune_id: one.commune_name for one in asked if one.commune_id in reach.communes("decide")}
    forms = []
    for commune_id, name in communes.items():
        form = failed
        if form is None or form.commune.data != commune_id:
            form = CarePlanForm(formdata=None, commune=commune_id, valid_from=today, valid_until=last)
        form.beneficiary.choices = [
            SelectChoice(one.beneficiary_id, one.name) for one in asked if one.commune_id == commune_id
        ]
        forms.append((name, told_apart(form, f"pai-{commune_id}")))
    return forms


def _invoice_form(regies: Mapping[int, str], failed: InvoiceForm | None) -> InvoiceForm | None:
    """The form that notes an invoice of one of these régies; nothing where the clerk may not."""
    if not regies:
        return None
    form = failed or InvoiceForm(formdata=None, regie=next(iter(regies)))
    form.regie.choices = [SelectChoice(regie_id, name) for regie_id, name in regies.items()]
    return form


def reach_for(db: Session, what: rules.What) -> rules.Reach:
    """The clerk's reach; a page that none of her roles opens is refused."""
    reach = reach_of(db, the_visitor().account_id)
    if not reach.may(what):
        raise Forbidden
    return reach


def _words() -> dict[str, Any]:
    return {"relations": RELATIONS, "diets": DIETS, "age_on": age_on, "year_label": year_label}


def school_words(line: day_queries.Booked | day_queries.Eaten) -> str:
    """Where a child goes to school, as the town hall's lists say it."""
    school = line.school_name or _("École non précisée")
    return f"{school}, {line.class_name}" if line.class_name else school


def _read_day(typed: str) -> date | None:
    """A day as the address gives it; nothing for anything else, or for a year that no calendar of ours knows."""
    try:
        found = date.fromisoformat(typed)
    except ValueError:
        return None
    return found if found.isoformat() == typed and 2000 <= found.year <= 2100 else None


def _filters() -> dict[str, Any]:
    """What the address of the queue says, made safe: a known stage, a service, a page."""
    stage = request.args.get("etat", "a-traiter")
    return {
        "etat": stage if stage in request_queries.STAGES else "a-traiter",
        "service": whole(request.args.get("service", "")) or None,
        "page": min(max(whole(request.args.get("page", "")), 1), 100_000),
    }


def _requests(form: DecisionForm | None = None, refused: str = "") -> str:
    today = paris_day(request_now())
    filters = _filters()
    with reading() as db:
        reach = reach_for(db, "requests")
        here = reach.communes("requests")
        services = request_queries.waiting(db, here, filters["etat"])
        queue = request_queries.queue(db, here, filters["etat"], filters["service"], filters["page"])
    ticked = set(form.ids.data or []) if form else set()
    if request.args.get("tout"):
        ticked |= {line.id for family in queue.families for line in family.requests}

    def url_of(page: int) -> str:
        return url_for("backoffice.requests", **{**filters, "page": page})

    return render_template(
        "backoffice/requests.html",
        reach=reach,
        may_decide=reach.may("decide"),
        deciding=reach.communes("decide"),
        form=form or DecisionForm(formdata=None),
        failed=form is not None,
        refused=refused,
        ticked=ticked,
        filters=filters,
        services=services,
        number=sum(line.number for line in services),
        queue=queue,
        pages=rules.pages_of(queue.family_count, request_queries.FAMILIES_A_PAGE),
        url_of=url_of,
        today=today,
        waiting_days=lambda line: rules.waiting_days(line.requested_day, today),
        **_words(),
    )


def _request(enrolment_id: int, form: DecisionForm | None = None, refused: str = "") -> str:
    today = paris_day(request_now())
    with reading() as db:
        reach = reach_for(db, "requests")
        here = reach.communes("requests")
        line = request_queries.find_request(db, here, enrolment_id)
        if line is None:
            raise NotFound
        contacts = family_queries.contacts_of(db, line.household_id)
        members = family_queries.members_of(db, here, line.household_id)
        homes = family_queries.other_homes(db, here, members)
        others = [
            other for other in request_queries.requests_of(db, here, line.household_id) if other.id != enrolment_id
        ]
    if form is None:
        form = DecisionForm(formdata=None)
        form.paper.data = line.documents
    return render_template(
        "backoffice/request.html",
        reach=reach,
        may_decide=reach.may("decide"),
        form=form,
        refused=refused,
        line=line,
        contacts=contacts,
        members=members,
        homes=homes,
        others=others,
        today=today,
        waiting_days=rules.waiting_days(line.requested_day, today),
        **_words(),
    )


def _decide(form: DecisionForm) -> tuple[str, int]:
    """Carry the decision out. A sentence and a status when it was refused; a status of 0 when it is done."""
    account_id, now = the_visitor().account_id, request_now()
    if not form.validate():
        with reading() as db:
            reach_for(db, "decide")
        return "", 422
    ids, words = form.ids.data or [], form.words
    try:
        with transaction() as db:
            desk = Desk(account_id, reach_for(db, "decide").communes("decide"))
            VERBS[form.decision.data or ""](db, ids, desk, words, now)
    except NotFound:
        raise
    except Refusal as refusal:
        return refusal.sentence, refusal.status
    flash(DONE[form.decision.data or ""](len(set(ids))), "ok")
    return "", 0


VERBS: dict[str, Callable[..., None]] = {
    "approve": lambda db, ids, desk, _words, now: operations.approve(db, ids, desk, now),
    "refuse": operations.refuse,
    "ask_paper": operations.ask_paper,
    "revoke": operations.revoke,
}
DONE: dict[str, Callable[[int], str]] = {
    "approve": lambda number: ngettext(
        "Demande validée : la famille est prévenue par e-mail.",
        "%(count)s demandes validées : les familles sont prévenues par e-mail.",
        number,
    ),
    "refuse": lambda number: ngettext(
        "Demande refusée : la famille est prévenue par e-mail.",
        "%(count)s demandes refusées : les familles sont prévenues par e-mail.",
        number,
    ),
    "ask_paper": lambda number: ngettext(
        "Un complément est demandé : la famille est prévenue par e-mail.",
        "Un complément est demandé pour %(count)s demandes : les familles sont prévenues par e-mail.",
        number,
    ),
    "revoke": lambda number: ngettext(
        "Accès retiré : la famille est prévenue par e-mail.",
        "%(count)s accès retirés : les familles sont prévenues par e-mail.",
        number,
    ),
}
