"""« Modifier à partir d’une date »: who, which days from when on, what that does, and the click."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, cast

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from accounts.queries import list_beneficiaries
from cart.errors import PaymentUnderWay, TooManyMeals
from cart.periods import weekdays
from cart.places import Place, places_of
from cart.rules import Pattern
from checkout import change, queries
from checkout.basket import days_in_words
from checkout.change import Change, Done, Wish
from checkout.errors import ChangeMoved
from checkout.order_views import blueprint
from checkout.queries import Funds
from checkout.views import the_buyer
from shop.access import open_to, the_household_id
from shop.clock import paris_day, request_now
from shop.database import reading, transaction
from shop.errors import NotFound, Refusal
from shop.french import plural
from shop.money import format_euros
from shop.web import whole_number
from shop.words import gettext as _

STOP = "arret"
LATEST_YEAR = 2100


class Group(NamedTuple):
    """Meals of one child at one sum."""

    name: str
    number: int
    cents: int
    """Of each."""
    days: str

    @property
    def total_cents(self) -> int:
        return self.number * self.cents


def _groups(meals: Sequence[tuple[int, date, int]], names: Mapping[int, str]) -> list[Group]:
    """Meals by child and sum; each is its child, its day and its sum."""
    found: dict[tuple[int, int], list[date]] = {}
    for child, day, cents in meals:
        found.setdefault((child, cents), []).append(day)
    order = list(names)
    return [
        Group(names[child], len(days), cents, days_in_words(days))
        for (child, cents), days in sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    ]


@blueprint.get("/mes-reservations/modifier")
@open_to("parents")
def change_days() -> str | tuple[str, int]:
    """Choose children, service, date and days; with them, see everything that would happen."""
    return _page(request.args)


@blueprint.post("/mes-reservations/modifier")
@open_to("parents")
def confirm_change() -> Response | str | tuple[str, int]:
    """Cancel, credit, fill the basket, and go there to pay."""
    wish = _read_wish(request.form)
    if wish is None:
        return _page(request.form, Refusal(_("Choisissez un service, des enfants et une date.")))
    seen = change.read_seen(request.form.get("vu", ""))
    try:
        with transaction() as db:
            done = change.change_from(db, the_buyer(), wish, seen, request_now())
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(request.form, refusal)
    flash(*_what_was_done(done))
    if any(key.startswith("n") for key in seen):
        return redirect(url_for("checkout.basket"), 303)
    return redirect(url_for("orders.reservations", mois=f"{wish.first:%Y-%m}"), 303)


def _what_was_done(done: Done | None) -> tuple[str, str]:
    if done is None:
        return _("C’était déjà fait : rien n’a changé."), "note"
    sentences = []
    if done.cancelled:
        facts = {"meals": plural(done.cancelled, "repas"), "credit": format_euros(done.credit_cents)}
        if done.credit_cents:
            sentences.append(_("%(meals)s : annulation faite, %(credit)s dans votre porte-monnaie.", **facts))
        else:
            sentences.append(_("%(meals)s : annulation faite, sans remboursement.", **facts))
    if done.removed:
        sentences.append(_("%(meals)s hors du panier.", meals=plural(done.removed, "repas")))
    if done.added:
        meals = plural(done.added, "nouveau repas", "nouveaux repas")
        sentences.append(_("%(meals)s dans votre panier : payez pour réserver.", meals=meals))
    if done.stopped:
        sentences.append(_("Aucun rappel ne parlera plus de ces jours."))
    return " ".join(sentences), "ok"


def _read_wish(typed: Any) -> Wish | None:
    """What the form says; nothing when a part of it is missing or makes no sense."""
    service_id, first = whole_number(typed.get("service")), _day(typed.get("du"))
    children = frozenset(filter(None, map(whole_number, typed.getlist("enfants"))))
    if service_id is None or first is None:
        return None
    if typed.get("quoi") == STOP:
        return Wish(service_id, children, first, None)
    weekdays = frozenset(filter(None, map(whole_number, typed.getlist("jours"))))
    weeks = typed.get("semaines", "")
    return Wish(
        service_id,
        children,
        first,
        Pattern(children, weekdays, cast("Any", weeks) if weeks in ("paires", "impaires") else ""),
    )


def _day(text: str | None) -> date | None:
    try:
        found = date.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.year <= LATEST_YEAR else None


def _page(typed: Any, refusal: Refusal | None = None) -> str | tuple[str, int]:
    household_id, now = the_household_id(), request_now()
    today = paris_day(now)
    plan: Change | None = None
    balance_cents = 0
    asked = "du" in typed
    wish = _read_wish(typed) if asked else None
    if asked and wish is None and refusal is None:
        refusal = Refusal(_("Choisissez un service, des enfants et une date."))
    with reading() as db:
        places = places_of(db, household_id, today)
        children = list_beneficiaries(db, household_id) if places else []
        usual = change.usual_service(db, household_id, today) if places and wish is None else None
        if wish is not None and not isinstance(refusal, PaymentUnderWay | TooManyMeals):
            try:
                plan = change.plan_change(db, household_id, wish, now)
                balance_cents = queries.funds(db, household_id).get(plan.place.regie_id, Funds()).wallet_cents
            except NotFound:
                raise
            except Refusal as refused:
                refusal = refusal or refused
    chosen = wish.children if wish else frozenset(filter(None, map(whole_number, typed.getlist("enfants"))))
    page = render_template(
        "checkout/change.html",
        places=places,
        children=children,
        weekdays=weekdays("".join(place.weekdays for place in places)),
        service=wish.service_id if wish else _first_shown(places, usual),
        chosen=chosen or frozenset(child.id for child in children),
        first=wish.first if wish else today,
        stop=typed.get("quoi") == STOP,
        chosen_weekdays=typed.getlist("jours"),
        chosen_weeks=typed.get("semaines", ""),
        today=today,
        refusal=refusal,
        differences=refusal.differences if isinstance(refusal, ChangeMoved) else (),
        to_basket=isinstance(refusal, PaymentUnderWay),
        **(_preview(plan, balance_cents) if plan else {"plan": None}),
    )
    return (page, refusal.status) if refusal else page


def _first_shown(places: Sequence[Place], usual: int | None) -> int | None:
    """The service that is ticked when the page opens."""
    ids = [place.service_id for place in places]
    return usual if usual in ids else next(iter(ids), None)


def _preview(plan: Change, balance_cents: int) -> dict[str, Any]:
    left = balance_cents + plan.credit_cents - plan.new_cents
    return {
        "plan": plan,
        "seen": change.write_seen(plan),
        "ended": _groups([(*ended.meal, ended.credit_cents) for ended in plan.ended], plan.names),
        "added": _groups([(*added.meal, added.line.quoted_cents) for added in plan.added], plan.names),
        "removed": _groups([(*meal, 0) for meal in plan.removed], plan.names),
        "balance_cents": balance_cents,
        "left_cents": max(left, 0),
        "missing_cents": max(-left, 0),
    }
