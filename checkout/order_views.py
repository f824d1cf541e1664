"""Orders and reservations: the confirmation, the history, the calendar of everything, cancelling."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from cart.quotes import reasons
from checkout import agenda, cancel, queries, spans
from checkout.errors import CannotCancel, CreditChanged
from checkout.queries import OrderFacts, OrderMeal
from checkout.views import the_buyer
from shop.access import open_to, open_to_all, the_household_id
from shop.clock import paris_day, request_now
from shop.database import reading, rows, transaction
from shop.errors import NotFound
from shop.french import day_long, plural
from shop.money import format_euros
from shop.web import link_to, whole_number
from shop.words import gettext as _

blueprint = Blueprint("orders", __name__)
MOST_AT_ONCE = 400
MOST_PAGES = 10_000
LONGEST_NUMBER = 40
"""Letters of an order's number in an address; ours are shorter."""


@blueprint.get("/commandes")
@open_to("parents")
def history() -> str:
    """Historique de mes commandes."""
    page = min(whole_number(request.args.get("page")) or 1, MOST_PAGES)
    with reading() as db:
        orders, page, pages = queries.history(db, the_household_id(), page)
    return render_template(
        "checkout/history.html",
        orders=orders,
        page=page,
        pages=pages,
        url_of=lambda number: url_for("orders.history", page=number),
    )


def _load(number: str) -> tuple[OrderFacts, list[OrderMeal], queries.PaymentFacts | None]:
    with rows() as db:
        found = queries.find_order(db, the_household_id(), number)
        if found is None:
            raise NotFound
        order, meals = found
        payment = queries.payment_of_order(db, order.id) if order.state == "pending" else None
    return order, meals, payment


@blueprint.get("/commandes/<number>")
@open_to("parents")
def order(number: str) -> str:
    """One order: what is booked, and until when each meal can be cancelled."""
    found, meals, payment = _load(number)
    now = request_now()
    open_until = [
        meal.cancel_deadline_at for meal in meals if meal.state == "confirmed" and now < meal.cancel_deadline_at
    ]
    return render_template(
        "checkout/order.html",
        order=found,
        meals=meals,
        payment=payment,
        now=now,
        cancellable=len(open_until),
        first_limit=min(open_until, default=None),
        booked=sum(meal.state == "confirmed" for meal in meals),
        why=_why(meals),
        credited_whole=all(
            meal.credit_cents == meal.cents
            for meal in meals
            if meal.state == "confirmed" and now < meal.cancel_deadline_at
        ),
        ahead=any(meal.state == "confirmed" and meal.day >= paris_day(now) for meal in meals),
    )


def _why(meals: Sequence[OrderMeal]) -> list[tuple[str, int, list[str]]]:
    """Each price of the order once, with its reasons: service, cents, sentences."""
    found: dict[tuple[str, str, int, str | None], tuple[str, int, list[str]]] = {}
    for meal in meals:
        key = (meal.service_name, meal.tariff_label, meal.cents, meal.basis)
        if key not in found:
            why = reasons(meal.basis, meal.cents, meal.tariff_label, meal.price_from, meal.decided_on)
            found[key] = (meal.service_name, meal.cents, why)
    return list(found.values())


@blueprint.get("/commandes/<number>.ics")
@open_to("parents")
def order_calendar(number: str) -> Response:
    """The booked meals of an order, for one's own calendar."""
    found, meals, _payment = _load(number)
    name = _("Commande %(number)s", number=found.number)
    return Response(
        agenda.as_calendar(meals, found.placed_at, name),
        mimetype="text/calendar",
        headers={"Content-Disposition": f'attachment; filename="commande-{found.number}.ics"'},
    )


@blueprint.get("/agenda/<token>.ics")
@open_to_all
def feed(token: str) -> Response:
    """Everything that a household has booked, for the calendar that holds its private address."""
    now = request_now()
    with reading() as db:
        household_id = agenda.household_of(db, token)
        if household_id is None:
            raise NotFound
        today = paris_day(now)
        meals = queries.booked_between(db, household_id, today - agenda.BACK, today + agenda.AHEAD)
    return Response(agenda.as_calendar(meals, now, _("Cantine")), mimetype="text/calendar")


@blueprint.post("/mes-reservations/agenda")
@open_to("parents")
def make_feed() -> Response:
    """Give the family a private address for its calendar, a new one when it has one."""
    with transaction() as db:
        agenda.make_feed(db, the_household_id(), request_now())
    flash(_("Voici votre adresse d’agenda : elle n’est qu’à vous."), "ok")
    return redirect(url_for("orders.reservations", _anchor="agenda"), 303)


@blueprint.post("/mes-reservations/agenda/retirer")
@open_to("parents")
def end_feed() -> Response:
    """Let the private address open nothing any more."""
    with transaction() as db:
        agenda.end_feed(db, the_household_id())
    flash(_("L’adresse d’agenda est retirée : elle n’ouvre plus rien."), "ok")
    return redirect(url_for("orders.reservations", _anchor="agenda"), 303)


def _chosen(eaters: Sequence[agenda.Eater]) -> int | None:
    """The child that the address filters by. Raises `NotFound` for one who is not the family's."""
    child = whole_number(request.args.get("enfant"))
    if child is not None and all(eater.id != child for eater in eaters):
        raise NotFound
    return child


def where_from(values: Mapping[str, str]) -> dict[str, Any]:
    """What an address or a form says of the page of reservations that one came from, to lead back there."""
    return {name: values[name] for name in ("semaine", "mois", "annee", "enfant") if 0 < len(values.get(name, "")) < 20}


@blueprint.get("/mes-reservations")
@open_to("parents")
def reservations() -> str:
    """A week, a month or a school year of everything that is booked, for all children or one; where the address names none,
    the month of the next meal. What is ahead comes first: of the month that today is in, the days gone by are folded away."""
    now, household_id = request_now(), the_household_id()
    today = paris_day(now)
    named = any(request.args.get(kind) for kind in spans.AROUND)
    with reading() as db:
        asked_for = whole_number(request.args.get("enfant"))
        eaters, token, next_day = agenda.family_and_feed(db, household_id, today, asked_for)
        child = _chosen(eaters)
        span = spans.read_span(request.args, today) if named else spans.month_of(next_day or today)
        found = queries.booked_between(db, household_id, span.first, span.last)
        menus = queries.menus_between(db, household_id, span.first, span.last) if span.kind == "semaine" else []
    meals = [meal for meal in found if child in (None, meal.beneficiary_id)]
    seen = {meal.beneficiary_id for meal in found}
    begins = today if span.kind == "mois" and span.first <= today <= span.last else span.first
    yesterday = begins - timedelta(days=1)
    is_year = span.kind == "annee"
    months = spans.months_of(span, meals) if is_year else []
    return render_template(
        "checkout/reservations.html",
        span=span,
        views=spans.views(span, today),
        beside=spans.beside(span, today),
        this=spans.AROUND[span.kind](today),
        eaters=[eater for eater in eaters if not eater.archived or eater.id in seen or eater.id == child],
        child=child,
        keep={"enfant": child} if child is not None else {},
        months=months,
        totals=spans.totals_of(meals) if is_year else [],
        menus=spans.menus_of(menus),
        weeks=spans.weeks_of(begins, span.last, meals)
        if not is_year and (menus or any(meal.day >= begins for meal in meals))
        else [],
        gone=spans.weeks_of(span.first, yesterday, meals)
        if not is_year and any(meal.day < begins for meal in meals)
        else [],
        cancellable=any(meal.own and meal.state == "confirmed" and now < meal.cancel_deadline_at for meal in meals),
        yesterday=yesterday,
        today=today,
        now=now,
        feed_url=link_to("orders.feed", token=token) if token else None,
    )


def _asked_for(values: list[str]) -> list[int]:
    """The reservations that an address or a form names. Raises `NotFound` for none or nonsense."""
    numbers = [whole_number(value) for value in values]
    if not numbers or None in numbers or len(numbers) > MOST_AT_ONCE:
        raise NotFound
    return [number for number in numbers if number is not None]


def _confirm_page(ids: list[int], sentences: list[str]) -> str:
    now = request_now()
    with reading() as db:
        meals = cancel.meals_to_cancel(db, the_household_id(), ids)
    problems = cancel.problems_of(meals, now)
    return render_template(
        "checkout/cancel.html",
        meals=meals,
        paid_cents=sum(meal.cents for meal in meals),
        credit_cents=sum(meal.credit_cents for meal in meals),
        problems=problems,
        sentences=sentences,
        until=min(meal.cancel_deadline_at for meal in meals),
        back=where_from(request.values) or {"mois": f"{meals[0].day:%Y-%m}"},
    )


@blueprint.get("/mes-reservations/annuler")
@open_to("parents")
def confirm_cancel() -> str | Response:
    """What would be cancelled and exactly what would be credited, before the click."""
    if not request.args.getlist("repas"):
        flash(_("Cochez d’abord les repas à annuler."), "note")
        if number := request.args.get("commande", "")[:LONGEST_NUMBER]:
            return redirect(url_for("orders.order", number=number), 303)
        return redirect(url_for("orders.reservations", **where_from(request.args)), 303)
    return _confirm_page(_asked_for(request.args.getlist("repas")), [])


def _what_was_cancelled(meals: Sequence[cancel.SoldMeal], credit_cents: int) -> str:
    """Of a single meal, whose and when."""
    which = plural(len(meals), "repas")
    if len(meals) == 1:
        which = f"{meals[0].first_name} {meals[0].last_name}, {day_long(meals[0].day)}"
    if not credit_cents:
        return _("%(which)s : annulation faite, sans remboursement.", which=which)
    return _(
        "%(which)s : annulation faite, %(credit)s dans votre porte-monnaie.",
        which=which,
        credit=format_euros(credit_cents),
    )


@blueprint.post("/mes-reservations/annuler")
@open_to("parents")
def cancel_meals() -> Response | tuple[str, int]:
    """Cancel, and credit the wallet."""
    ids = _asked_for(request.form.getlist("repas"))
    (seen,) = _asked_for(request.form.getlist("credit")[:1])
    try:
        with transaction() as db:
            credit = cancel.cancel_reservations(db, the_buyer(), ids, seen, request_now())
            meals = cancel.meals_to_cancel(db, the_household_id(), ids) if credit is not None else []
    except (CannotCancel, CreditChanged) as refusal:
        return _confirm_page(ids, [refusal.sentence]), refusal.status
    if credit is None:
        flash(_("C’était déjà annulé : rien n’a changé."), "note")
    else:
        flash(_what_was_cancelled(meals, credit), "ok")
    return redirect(url_for("orders.reservations", **where_from(request.form)), 303)
