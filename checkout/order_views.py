"""Orders and reservations: the confirmation, the history, the calendar of everything, cancelling."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import NamedTuple

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from cart.quotes import reasons
from cart.rules import monday_of, month_after, month_before
from checkout import agenda, cancel, queries
from checkout.errors import CannotCancel, CreditChanged
from checkout.queries import BookedMeal, OrderFacts, OrderMeal
from checkout.views import the_buyer
from shop.access import open_to, open_to_all, the_household_id
from shop.clock import paris_day, request_now
from shop.database import reading, rows, transaction
from shop.errors import NotFound
from shop.french import month_name, plural
from shop.money import format_euros
from shop.web import link_to, whole_number
from shop.words import gettext as _
from shop.words import ngettext

blueprint = Blueprint("orders", __name__)
MOST_AT_ONCE = 400
MOST_PAGES = 10_000


@blueprint.get("/commandes")
@open_to("parents")
def history() -> str:
    """Historique de mes commandes."""
    page = min(whole_number(request.args.get("page")) or 1, MOST_PAGES)
    with reading() as db:
        orders, pages = queries.history(db, the_household_id(), page)
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


class CalendarDay(NamedTuple):
    """A day of a calendar, or one beside it that fills its first or last week."""

    day: date
    inside: bool
    meals: list[BookedMeal]


def _month_of(text: str, today: date) -> date:
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        return today.replace(day=1)
    return first if abs((first - today).days) < 3650 else today.replace(day=1)


def _grid(first: date, last: date, meals: Sequence[BookedMeal]) -> list[list[CalendarDay]]:
    """The weeks of these days with what is booked on them; Saturday and Sunday only when something is."""
    theirs = (meal for meal in meals if first <= meal.day <= last)
    by_day = {day: list(of_day) for day, of_day in groupby(theirs, key=lambda meal: meal.day)}
    length = 7 if any(day.isoweekday() > 5 for day in by_day) else 5
    weeks = []
    monday = monday_of(first)
    while monday <= last:
        days = [monday + timedelta(days=number) for number in range(length)]
        if any(first <= day <= last for day in days):
            weeks.append([CalendarDay(day, first <= day <= last, by_day.get(day, [])) for day in days])
        monday += timedelta(days=7)
    return weeks


@blueprint.get("/mes-reservations")
@open_to("parents")
def reservations() -> str:
    """A month of everything that is booked, for all children. What is ahead comes first: of the month that today is in,
    the days gone by are folded away."""
    now = request_now()
    today = paris_day(now)
    first = _month_of(request.args.get("mois", ""), today)
    last = month_after(first) - timedelta(days=1)
    begins = today if first <= today <= last else first
    yesterday = begins - timedelta(days=1)
    with reading() as db:
        meals = queries.booked_between(db, the_household_id(), first, last)
        token = agenda.feed_token(db, the_household_id())
    return render_template(
        "checkout/reservations.html",
        weeks=_grid(begins, last, meals) if any(meal.day >= begins for meal in meals) else [],
        gone=_grid(first, yesterday, meals) if any(meal.day < begins for meal in meals) else [],
        yesterday=yesterday,
        title=month_name(first),
        before=month_before(first),
        after=month_after(first),
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
        credit_cents=sum(meal.credit_cents for meal in meals),
        problems=problems,
        sentences=sentences,
        until=min(meal.cancel_deadline_at for meal in meals),
        month=f"{meals[0].day:%Y-%m}",
    )


@blueprint.get("/mes-reservations/annuler")
@open_to("parents")
def confirm_cancel() -> str:
    """What would be cancelled and exactly what would be credited, before the click."""
    return _confirm_page(_asked_for(request.args.getlist("repas")), [])


@blueprint.post("/mes-reservations/annuler")
@open_to("parents")
def cancel_meals() -> Response | tuple[str, int]:
    """Cancel, and credit the wallet."""
    ids = _asked_for(request.form.getlist("repas"))
    (seen,) = _asked_for(request.form.getlist("credit")[:1])
    try:
        with transaction() as db:
            credit = cancel.cancel_reservations(db, the_buyer(), ids, seen, request_now())
    except (CannotCancel, CreditChanged) as refusal:
        return _confirm_page(ids, [refusal.sentence]), refusal.status
    if credit == 0:
        flash(
            ngettext(
                "%(count)s repas annulé, sans remboursement.", "%(count)s repas annulés, sans remboursement.", len(ids)
            ),
            "ok",
        )
    elif credit:
        sentence = _("%(meals)s : annulation faite, %(credit)s dans votre porte-monnaie.")
        flash(sentence % {"meals": plural(len(ids), "repas"), "credit": format_euros(credit)}, "ok")
    else:
        flash(_("C’était déjà annulé : rien n’a changé."), "note")
    month = request.form.get("mois", "")
    return redirect(url_for("orders.reservations", mois=month if len(month) == 7 else None), 303)
