"""« Enfant malade »: who, since when, what it does to the meals, and the click."""

from datetime import date

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from accounts.queries import list_beneficiaries
from checkout.errors import CreditChanged
from checkout.order_views import blueprint
from checkout.sickness import SickMeal, is_known, meals_when_sick, tell_sick, town_halls
from checkout.views import the_buyer
from shop.access import open_to, the_household_id
from shop.clock import paris_day, request_now
from shop.database import reading, transaction
from shop.errors import NotFound, Refusal
from shop.money import format_euros
from shop.web import whole_number
from shop.words import gettext as _

LATEST_YEAR = 2100


@blueprint.get("/mes-reservations/malade")
@open_to("parents")
def sick_child() -> str | tuple[str, int]:
    """Choose the child and the days; with them, see what becomes of each meal."""
    child = whole_number(request.args.get("enfant"))
    return _page(child, request.args.get("du"), request.args.get("au"))


def _page(child: int | None, first: str | None, last: str | None, refusal: str = "") -> str | tuple[str, int]:
    now = request_now()
    today = paris_day(now)
    meals: list[SickMeal] | None = None
    days = _days(first or today.isoformat(), last or first or today.isoformat())
    with reading() as db:
        children = [line for line in list_beneficiaries(db, the_household_id()) if line.relation != "self"]
        if child is not None:
            if days is None or days[0] < today:
                refusal = refusal or _("Choisissez des jours à partir d’aujourd’hui.")
            else:
                try:
                    meals = meals_when_sick(db, the_household_id(), child, days, now)
                except NotFound:
                    raise
                except Refusal as refused:
                    refusal = refused.sentence
    page = render_template(
        "checkout/sick.html",
        children=children,
        chosen=child,
        first=days[0] if days else today,
        last=days[1] if days else today,
        meals=meals,
        credit_cents=sum(meal.credit_cents for meal in meals or ()),
        town_halls=town_halls(meals or ()),
        known=is_known(meals or ()),
        refusal=refusal,
    )
    return (page, 422) if refusal else page


def _days(first: str, last: str) -> tuple[date, date] | None:
    try:
        found = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        return None
    return found if all(day.year <= LATEST_YEAR for day in found) else None


@blueprint.post("/mes-reservations/malade")
@open_to("parents")
def tell_sick_child() -> Response | str | tuple[str, int]:
    """Tell that the child is ill."""
    child, seen = whole_number(request.form.get("enfant")), whole_number(request.form.get("credit"))
    first, last = request.form.get("du"), request.form.get("au")
    days = _days(first or "", last or "")
    if child is None or seen is None or days is None:
        return _page(child, first, last)
    if days[0] < paris_day(request_now()):
        return _page(child, first, last)
    try:
        with transaction() as db:
            credit = tell_sick(db, the_buyer(), child, days, seen, request_now())
    except NotFound:
        raise
    except CreditChanged as changed:
        return _page(child, first, last, changed.sentence)
    except Refusal as refused:
        return _page(child, first, last, refused.sentence)
    flash(_("C’est noté, bon rétablissement. Recrédité : %(credit)s.", credit=format_euros(credit)), "ok")
    return redirect(url_for("orders.reservations", mois=f"{days[0]:%Y-%m}"), 303)
