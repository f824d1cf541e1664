"""« Rendre ce repas »: what it would give back, the click, and keeping the meal after all."""

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from checkout import freed
from checkout.errors import CannotGiveBack, CannotKeep
from checkout.order_views import blueprint
from checkout.rules import why_not_given_back
from shop.access import open_to, the_household_id, the_visitor
from shop.clock import request_now
from shop.database import reading, transaction
from shop.errors import NotFound
from shop.web import whole_number
from shop.words import gettext as _


def _meal_asked_for(value: str | None) -> int:
    """The reservation that an address or a form names. Raises `NotFound` for nonsense."""
    number = whole_number(value)
    if number is None:
        raise NotFound
    return number


def _page(reservation_id: int, refusal: str | None = None) -> str:
    now = request_now()
    with reading() as db:
        meal = freed.find(db, the_household_id(), reservation_id)
    offered = meal.freed in freed.ALIVE and meal.state == "confirmed"
    limits = meal.cancel_deadline_at, meal.freed_deadline_at
    problem = None if offered else why_not_given_back(meal.state, *limits, now, meal.freed)
    return render_template(
        "checkout/give_back.html",
        meal=meal,
        offered=offered,
        over=meal.freed_deadline_at is not None and now >= meal.freed_deadline_at,
        problem=refusal or problem,
        can=problem is None,
        month=f"{meal.day:%Y-%m}",
    )


@blueprint.get("/mes-reservations/rendre")
@open_to("parents")
def confirm_give_back() -> str:
    """What giving a meal back means and what it may bring, before the click; keeping it, when it was given back."""
    return _page(_meal_asked_for(request.args.get("repas")))


@blueprint.post("/mes-reservations/rendre")
@open_to("parents")
def give_back() -> Response | tuple[str, int]:
    """Offer the meal to other families."""
    number = _meal_asked_for(request.form.get("repas"))
    try:
        with transaction() as db:
            fresh = freed.give_back(db, the_household_id(), the_visitor().account_id, number, request_now())
    except CannotGiveBack as refusal:
        return _page(number, refusal.sentence), refusal.status
    if fresh:
        flash(_("Repas rendu. Il reste dû tant qu’aucune autre famille ne l’a repris."), "ok")
    else:
        flash(_("Ce repas était déjà rendu : rien n’a changé."), "note")
    return _back(number)


@blueprint.post("/mes-reservations/garder")
@open_to("parents")
def keep() -> Response | tuple[str, int]:
    """Take back a meal that nobody has taken."""
    number = _meal_asked_for(request.form.get("repas"))
    try:
        with transaction() as db:
            kept = freed.keep(db, the_household_id(), number, request_now())
    except CannotKeep as refusal:
        return _page(number, refusal.sentence), refusal.status
    if kept:
        flash(_("Vous gardez ce repas : votre enfant est attendu."), "ok")
    else:
        flash(_("Ce repas n’était pas rendu : rien n’a changé."), "note")
    return _back(number)


def _back(reservation_id: int) -> Response:
    with reading() as db:
        meal = freed.find(db, the_household_id(), reservation_id)
    return redirect(url_for("orders.reservations", mois=f"{meal.day:%Y-%m}"), 303)
