"""Pages of the roll-call: who is there, who is there without a booking and what that costs, taking it back."""

from typing import Literal

from flask import flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session

import orders.operations
from backoffice import day_queries, family_queries, rules
from backoffice.forms import StrikeForm
from backoffice.views import DIETS, LONGEST_SEARCH, Answer, blueprint, reach_for, school_words
from checkout import unbooked
from checkout.unbooked import Weighed
from shop.access import open_to, the_visitor
from shop.clock import paris_day, request_now
from shop.database import reading, transaction
from shop.errors import NotFound, Refusal
from shop.money import format_euros
from shop.web import whole_number
from shop.words import gettext as _
from shop.words import ngettext

MOST_AT_ONCE = 2000
MARKS: dict[str, Literal["present", "absent"]] = {"presents": "present", "absents": "absent", "reste": "present"}
"""What each button notes; "reste" for all of whom nothing is noted yet."""


def _day(db: Session, reach: rules.Reach, what: rules.What, service_day_id: int) -> day_queries.DayHead:
    found = day_queries.find_day(db, reach.communes(what), service_day_id)
    if found is None:
        raise NotFound
    return found


@blueprint.get("/jour/<int:service_day_id>/pointage")
@open_to("office")
def roll_call(service_day_id: int) -> Answer:
    """Who is booked on that day, and who of them is there."""
    return _roll_call(service_day_id)


def _roll_call(service_day_id: int, refused: str = "", failed: tuple[int, StrikeForm] | None = None) -> str:
    with reading() as db:
        reach = reach_for(db, "roll_call")
        head = _day(db, reach, "roll_call", service_day_id)
        here = reach.communes("roll_call")
        lines = day_queries.booked_on(db, here, head.day).get(service_day_id, [])
        eaten = day_queries.eaten_on(db, here, service_day_id)
        may_charge = day_queries.find_day(db, reach.communes("charge"), service_day_id) is not None
    return render_template(
        "backoffice/roll_call.html",
        reach=reach,
        head=head,
        ahead=head.day > paris_day(request_now()),
        lines=lines,
        present=sum(line.attendance == "present" for line in lines),
        absent=sum(line.attendance in ("absent", "absent_excused") for line in lines),
        rest=any(line.attendance == "expected" for line in lines),
        eaten=eaten,
        may_charge=may_charge,
        refused=refused,
        forms={meal.id: _strike_form(meal.id, failed) for meal in eaten},
        school_words=school_words,
        diets=DIETS,
    )


def _strike_form(meal_id: int, failed: tuple[int, StrikeForm] | None) -> StrikeForm:
    """The form beside a meal: the one that was refused, or an empty one. A page has several, each with a name of its own."""
    form = failed[1] if failed is not None and failed[0] == meal_id else StrikeForm(formdata=None)
    form.reason.id = f"reason-{meal_id}"
    return form


@blueprint.post("/jour/<int:service_day_id>/pointage")
@open_to("office")
def mark(service_day_id: int) -> Answer:
    """Note those who are ticked as present or absent, or everybody else as present."""
    ids = [number for number in map(whole_number, request.form.getlist("repas")[:MOST_AT_ONCE]) if number is not None]
    button = request.form.get("pointage", "")
    with transaction() as db:
        head = _day(db, reach_for(db, "roll_call"), "roll_call", service_day_id)
        refused = _why_not_marked(head, button, ids)
        if not refused:
            of_rest = button == "reste"
            asked, who = None if of_rest else ids, the_visitor().account_id
            count = orders.operations.note_attendance(db, service_day_id, asked, MARKS[button], who, request_now())
    if refused:
        return _roll_call(service_day_id, refused), 422
    if not count:
        flash(_("C’était déjà pointé : rien n’a changé."), "note")
    elif MARKS[button] == "present":
        flash(ngettext("%(count)s enfant présent.", "%(count)s enfants présents.", count), "ok")
    else:
        flash(ngettext("%(count)s enfant absent.", "%(count)s enfants absents.", count), "ok")
    return redirect(url_for("backoffice.roll_call", service_day_id=service_day_id), 303)


def _why_not_marked(head: day_queries.DayHead, button: str, ids: list[int]) -> str:
    if button not in MARKS:
        return _("Choisissez « Présents » ou « Absents ».")
    if head.day > paris_day(request_now()):
        return _("Ce jour n’est pas encore là : rien ne peut être pointé.")
    return "" if ids or button == "reste" else _("Cochez d’abord des enfants.")


@blueprint.get("/jour/<int:service_day_id>/sans-reservation")
@open_to("office")
def choose_unbooked(service_day_id: int) -> Answer:
    """Search the child who is there without a booking; with it, see what its meal costs and why."""
    chosen = whole_number(request.args.get("inscription"))
    if chosen is None:
        return _search(service_day_id)
    return _confirm(service_day_id, chosen)


def _search(service_day_id: int, refused: str = "") -> str:
    typed = request.args.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
    with reading() as db:
        reach = reach_for(db, "charge")
        head = _day(db, reach, "charge", service_day_id)
        found = day_queries.candidates(db, reach.communes("charge"), head, typed)
    return render_template(
        "backoffice/unbooked.html",
        reach=reach,
        head=head,
        typed=typed,
        found=found,
        whose_day=rules.whose_day,
        limit=family_queries.SEARCH_LIMIT,
        refused=refused,
    )


def _confirm(service_day_id: int, enrolment_id: int, refusal: Refusal | None = None) -> Answer:
    weighed: Weighed | None = None
    homes: dict[int, family_queries.OtherHome] = {}
    with reading() as db:
        reach = reach_for(db, "charge")
        head = _day(db, reach, "charge", service_day_id)
        try:
            weighed = unbooked.weigh(db, service_day_id, enrolment_id, request_now())
            ids = {weighed.household_id, weighed.home_id or weighed.household_id}
            homes = family_queries.known_homes(db, reach.communes("charge"), ids)
        except NotFound:
            raise
        except Refusal as no:
            refusal = refusal or no
    refused, status = (refusal.sentence, refusal.status) if refusal else ("", 200)
    if weighed is None:
        return _search(service_day_id, refused), status
    page = render_template(
        "backoffice/unbooked_confirm.html",
        reach=reach,
        head=head,
        weighed=weighed,
        charged=homes.get(weighed.household_id),
        home=homes.get(weighed.home_id or 0),
        whose_day=rules.whose_day,
        refused=refused,
    )
    return page, status


@blueprint.post("/jour/<int:service_day_id>/sans-reservation")
@open_to("office")
def note_unbooked(service_day_id: int) -> Answer:
    """Note that the child ate without a booking, at the price that was shown."""
    enrolment_id, seen = whole_number(request.form.get("inscription")), whole_number(request.form.get("centimes"))
    if enrolment_id is None or seen is None:
        raise NotFound
    try:
        with transaction() as db:
            _day(db, reach_for(db, "charge"), "charge", service_day_id)
            _meal, fresh = unbooked.note_eaten(
                db, service_day_id, enrolment_id, seen, the_visitor().account_id, request_now()
            )
    except NotFound:
        raise
    except Refusal as refusal:
        return _confirm(service_day_id, enrolment_id, refusal)
    if fresh:
        flash(_("Noté à %(amount)s : la famille est prévenue par e-mail.", amount=format_euros(seen)), "ok")
    else:
        flash(_("C’était déjà noté : rien n’a changé."), "note")
    return redirect(url_for("backoffice.roll_call", service_day_id=service_day_id), 303)


@blueprint.post("/sans-reservation/<int:meal_id>/retirer")
@open_to("office")
def strike_off(meal_id: int) -> Answer:
    """Take back a meal without a booking that was noted wrongly, with its reason."""
    form = StrikeForm()
    fine = form.validate()
    with reading() as db:
        here = sorted(reach_for(db, "charge").communes("charge"))
        day_id = day_queries.day_of_eaten(db, here, meal_id)
    if day_id is None:
        raise NotFound
    if not fine:
        return _roll_call(day_id, failed=(meal_id, form)), 422
    with transaction() as db:
        _day_id, struck = unbooked.strike_off(
            db, here, meal_id, form.reason.data or "", the_visitor().account_id, request_now()
        )
    if struck:
        flash(_("Repas retiré : la famille est prévenue par e-mail."), "ok")
    else:
        flash(_("C’était déjà retiré : rien n’a changé."), "note")
    return redirect(url_for("backoffice.roll_call", service_day_id=day_id), 303)
