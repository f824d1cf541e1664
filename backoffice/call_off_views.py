"""Pages on which a town hall calls a day off: choose, see what it does, confirm, take back."""

from collections.abc import Sequence
from datetime import timedelta

from flask import flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs

from backoffice import call_off_queries
from backoffice.forms import CallOffForm
from backoffice.views import Answer, blueprint, reach_for
from checkout import call_off
from checkout.call_off import Affected, Concerned, Plan, Scope
from checkout.errors import TooLateToTakeBack
from checkout.mails import KINDS
from shop.access import open_to, the_visitor
from shop.clock import paris_day, request_now
from shop.database import reading, transaction
from shop.errors import NotFound, Refusal
from shop.web import whole_number
from shop.words import gettext as _
from shop.words import ngettext

AHEAD = timedelta(days=400)
SHOWN = timedelta(days=30)
SEEN = Affected._fields
"""The fields in which a confirmation brings back what the clerk was shown."""


@blueprint.get("/annulations")
@open_to("office")
def call_offs() -> Answer:
    """What was called off, and the form to call a day off."""
    return _page(CallOffForm(formdata=None, day=paris_day(request_now())))


def _page(
    form: CallOffForm, refused: str = "", affected: Affected | None = None, concerned: Sequence[Concerned] = ()
) -> str:
    today = paris_day(request_now())
    with reading() as db:
        reach = reach_for(db, "call_off")
        here = reach.communes("call_off")
        services, schools = call_off_queries.services_of(db, here), call_off_queries.schools_of(db, here)
        known = call_off_queries.call_offs(db, here, today - SHOWN)
    form.service.choices = [SelectChoice(key, name) for key, name in services]
    form.school.choices = [SelectChoice(key, name) for key, name in [(0, _("Tout le monde")), *schools]]
    return render_template(
        "backoffice/call_offs.html",
        reach=reach,
        form=form,
        refused=refused,
        affected=affected,
        concerned=concerned,
        reviewed=_reviewed(form),
        known=known,
        kinds=KINDS,
        chosen_service=dict(services).get(form.service.data, ""),
        chosen_school=dict(schools).get(form.school.data, ""),
    )


@blueprint.post("/annulations")
@open_to("office")
def call_day_off() -> Answer:
    """Show what calling off would do; with what was shown, plan it."""
    form, now = CallOffForm(), request_now()
    if not form.validate():
        return _page(form), 422
    seen = [number for name in SEEN if (number := whole_number(request.form.get(name))) is not None]
    try:
        reviewed = request.form.get("vu") == _reviewed(form)
        if len(seen) < len(SEEN) or not reviewed or "revoir" in request.form:
            with reading() as db:
                scope = _scope(db, form)
                found = call_off.affected(db, scope, form.picnic)
                concerned = call_off.concerned(db, scope, form.picnic)
            return _page(form, affected=found, concerned=concerned)
        with transaction() as db:
            kind = "outing" if form.picnic else form.kind.data or ""
            plan = Plan(_scope(db, form), kind, form.words.data or "", form.picnic)
            call_off.plan(db, plan, Affected(*seen), the_visitor().account_id, now)
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(form, refusal.sentence), refusal.status
    flash(
        _("Les familles seront prévenues des pique-niques dans 10 minutes : vous pouvez tout retirer jusque-là.")
        if form.picnic
        else _("Annulation prévue dans 10 minutes : vous pouvez la retirer jusque-là."),
        "ok",
    )
    return redirect(url_for("backoffice.call_offs"), 303)


def _reviewed(form: CallOffForm) -> str:
    """What the clerk was shown the consequences of: a confirmation of anything else is shown first."""
    parts = (
        form.service.data,
        form.day.data,
        form.school.data or 0,
        (form.class_name.data or "").lower(),
        form.picnic,
    )
    return "/".join(map(str, parts))


def _scope(db: Session, form: CallOffForm) -> Scope:
    """What the form means, within the clerk's reach. Raises `NotFound`, or `Refusal` for a day that is not served or gone."""
    here = reach_for(db, "call_off").communes("call_off")
    today, day = paris_day(request_now()), form.day.data
    school_id = form.school.data or None
    if form.service.data not in dict(call_off_queries.services_of(db, here)) or (
        school_id is not None and school_id not in dict(call_off_queries.schools_of(db, here))
    ):
        raise NotFound
    day_id = None
    if day is not None and today <= day <= today + AHEAD:
        day_id = call_off_queries.day_of(db, here, form.service.data, day)
    if day_id is None:
        raise Refusal(_("Ce service ne sert pas ce jour-là, ou ce jour est passé."))
    name = form.class_name.data or None
    if name is not None and not call_off_queries.has_class(db, school_id, name):
        raise Refusal(_("La classe « %(name)s » n’existe pas dans cette école : vérifiez son nom.", name=name))
    return Scope(day_id, school_id, name)


@blueprint.post("/annulations/<int:call_off_id>/retirer")
@open_to("office")
def take_back(call_off_id: int) -> Response:
    """Take a planned call-off back."""
    with transaction() as db:
        call_off_queries.own_call_off(db, reach_for(db, "call_off").communes("call_off"), call_off_id)
        call_off.take_back(db, call_off_id, the_visitor().account_id, request_now())
    flash(_("Annulation retirée : rien n’a changé pour les familles."), "ok")
    return redirect(url_for("backoffice.call_offs"), 303)


@blueprint.post("/annulations/<int:call_off_id>/executer")
@open_to("office")
def carry_out(call_off_id: int) -> Response:
    """Carry a planned call-off out at once."""
    with reading() as db:
        picnic = call_off_queries.own_call_off(db, reach_for(db, "call_off").communes("call_off"), call_off_id).picnic
    meals = call_off.carry_out_now(call_off_id, request_now())
    if meals is None:
        raise TooLateToTakeBack
    if picnic:
        done = ngettext(
            "%(count)s pique-nique à préparer ; les familles sont prévenues.",
            "%(count)s pique-niques à préparer ; les familles sont prévenues.",
            meals,
        )
    else:
        done = ngettext(
            "%(count)s repas annulé, et crédité s’il était payé ; les familles sont prévenues.",
            "%(count)s repas annulés, et crédités s’ils étaient payés ; les familles sont prévenues.",
            meals,
        )
    flash(done, "ok")
    return redirect(url_for("backoffice.call_offs"), 303)
