"""The basket, the two ways to pay, the way back from the payment page."""

from collections.abc import Mapping
from datetime import datetime

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

import cart.operations
from cart.errors import BookingWaits, PaymentUnderWay
from cart.meals import BasketMeal, meals_of_basket, meals_of_household
from cart.repricing import follow_who_eats
from checkout import basket as baskets
from checkout import card, place, queries, top_up
from checkout.errors import (
    AlreadyBooked,
    BasketRefused,
    BelowMinimum,
    EmptyBasket,
    PlaceJustTaken,
    TotalChanged,
    TwoAmounts,
)
from checkout.place import Buyer
from checkout.queries import Funds
from checkout.rules import ANOTHER_AMOUNT, amount_of_top_up
from payments.gateways import the_gateways
from payments.gateways.base import GatewayRefused
from payments.rules import UNSETTLED
from shop.access import open_to, the_household_id, the_visitor
from shop.clock import request_now
from shop.database import reading, rows, transaction
from shop.errors import NotFound, Refusal
from shop.french import hour, plural
from shop.money import AmountRefused, format_euros
from shop.web import whole_number
from shop.words import gettext as _
from wallet.errors import BalanceTooShort, TopUpRefused

blueprint = Blueprint("checkout", __name__)

BASKET_REFUSALS = (
    BasketRefused,
    BelowMinimum,
    BookingWaits,
    EmptyBasket,
    TotalChanged,
    PaymentUnderWay,
    AlreadyBooked,
    PlaceJustTaken,
    BalanceTooShort,
    GatewayRefused,
)
UNDECIDED = ("created", "sent", "expired", "cancelled")
"""States of a payment about which the provider may still have news."""
RELOAD_AFTER = (5,) * 12 + (15,) * 16
"""The seconds after which the page of a payment that awaits its answer looks again, time after time: five minutes in all."""
SUGGESTED_CENTS = (2000, 5000, 10000)


def the_buyer() -> Buyer:
    """The signed-in parent as who pays."""
    visitor = the_visitor()
    return Buyer(the_household_id(), visitor.account_id, visitor.email)


def _number(name: str) -> int:
    """A whole number that a form of ours always carries. Raises `NotFound` for anything else."""
    number = whole_number(request.form.get(name))
    if number is None:
        raise NotFound
    return number


@blueprint.get("/panier")
@open_to("parents")
def basket() -> str:
    """What is about to be bought."""
    return _basket_page(None)


def _basket_page(refusal: Refusal | None) -> str:
    household_id, now = the_household_id(), request_now()
    with rows() as db:
        meals = meals_of_household(db, household_id, now)
        funds = queries.funds(db, household_id) if meals else {}
        pending = queries.payment_under_way(db, household_id) if _any_completing(meals) else None
        views = baskets.baskets(meals, now)
        # Only whom the balance keeps from paying is offered a top-up.
        top_ups = queries.top_ups_under_way(db, household_id) if _any_short(views, funds) else []
        regies = queries.regie_names(db, [view.regie_id for view in views]) if len(views) > 1 else {}
    return render_template(
        "checkout/basket.html",
        baskets=views,
        regies=regies,
        funds={view.basket_id: funds.get(view.regie_id, Funds()) for view in views},
        pending=pending,
        top_ups=top_ups,
        # The basket itself says what it waits for.
        refusal=None if isinstance(refusal, BookingWaits) or _says_so(refusal, pending) else refusal,
        waiting=isinstance(refusal, BookingWaits),
        under_way=_says_so(refusal, pending),
    )


def _says_so(refusal: Refusal | None, pending: object) -> bool:
    """Whether the page shows the payment under way that keeps a basket from being changed."""
    return isinstance(refusal, PaymentUnderWay) and pending is not None


def _any_completing(meals: list[BasketMeal]) -> bool:
    return any(meal.basket_state == "completing" for meal in meals)


def _any_short(views: list[baskets.BasketView], funds: Mapping[int, Funds]) -> bool:
    return any(
        not view.completing and view.total_cents > funds.get(view.regie_id, Funds()).wallet_cents for view in views
    )


@blueprint.post("/panier/retirer")
@open_to("parents")
def remove() -> Response | tuple[str, int]:
    """Take single meals out of the basket."""
    lines = [number for number in map(whole_number, request.form.getlist("ligne")) if number is not None]
    try:
        with transaction() as db:
            removed = cart.operations.remove_lines(db, the_household_id(), lines, request_now())
            follow_who_eats(db, the_household_id(), request_now())
            alone = queries.meal_in_words(db, *removed[0]) if len(removed) == 1 else None
    except PaymentUnderWay as refusal:
        return _basket_page(refusal), refusal.status
    if not removed:
        raise NotFound
    meals = plural(len(removed), "repas")
    flash(
        _("%(meals)s hors du panier : %(which)s.", meals=meals, which=alone)
        if alone
        else _("%(meals)s hors du panier.", meals=meals),
        "ok",
    )
    return redirect(url_for("checkout.basket"), 303)


@blueprint.post("/panier/nouveaux-prix")
@open_to("parents")
def accept_prices() -> Response:
    """Accept the prices that hold now for the meals whose price has changed."""
    now, basket_id, household_id = request_now(), _number("panier"), the_household_id()
    with transaction() as db:
        if not cart.operations.lock_open(db, household_id, basket_id):
            raise NotFound
        changed = {
            meal.line_id: (meal.price_id, meal.price)
            for meal in meals_of_basket(db, household_id, basket_id, now)
            if meal.price_id is not None
            and meal.price is not None
            and (meal.price_id, meal.price.cents) != (meal.tariff_price_id, meal.quoted_cents)
        }
        if changed:
            cart.operations.requote(db, basket_id, changed, now)
    if changed:
        flash(_("Nouveaux prix acceptés."), "ok")
    return redirect(url_for("checkout.basket"), 303)


@blueprint.post("/panier/payer/porte-monnaie")
@open_to("parents")
def pay_from_wallet() -> Response | tuple[str, int]:
    """Pay the basket from the wallet."""
    basket_id, seen_cents = _number("panier"), _number("total")
    try:
        with transaction() as db:
            number = place.pay_from_wallet(db, the_buyer(), basket_id, seen_cents, request_now())
    except BASKET_REFUSALS as refusal:
        return _basket_page(refusal), refusal.status
    return redirect(url_for("orders.order", number=number), 303)


@blueprint.post("/panier/payer/carte")
@open_to("parents")
def pay_by_card() -> Response | tuple[str, int]:
    """Hold the basket's places and go to the payment page."""
    basket_id, seen_cents, now, buyer = _number("panier"), _number("total"), request_now(), the_buyer()
    try:
        with transaction() as db:
            held = place.hold_for_card(db, buyer, basket_id, seen_cents, the_gateways(), now)
        if isinstance(held, str):
            return redirect(url_for("orders.order", number=held), 303)
        pay_url = card.start(held, buyer.email, now)
    except BASKET_REFUSALS as refusal:
        return _basket_page(refusal), refusal.status
    return redirect(pay_url or url_for("checkout.payment", key=held.key), 303)


@blueprint.get("/paiement/retour/<key>")
@open_to("parents")
def come_back(key: str) -> Response:
    """Where the payment page sends the browser. The provider is asked at once: the answer may write what it says.

    The one page that changes something on a GET: a provider can only send a browser back, and settling twice is harmless.
    """
    found = _own_payment(key)
    if found.state in UNDECIDED:
        card.ask_and_settle(found, request_now())
    return redirect(url_for("checkout.payment", key=key, retour=1), 303)


def _own_payment(key: str) -> queries.PaymentFacts:
    with reading() as db:
        payment = queries.find_payment(db, key)
    if payment is None or payment.household_id != the_household_id():
        raise NotFound
    return payment


@blueprint.get("/paiement/<key>")
@open_to("parents")
def payment(key: str) -> Response:
    """The state of a payment: never "failed" while it is not known, "not paid" only while its provider says so."""
    found, back = _own_payment(key), request.args.get("retour") == "1"
    if found.state == "confirmed":
        return _after(found)
    # Whoever comes back from having paid was asked about a moment ago, and reads what is safest.
    seen = card.look(found) if found.state in UNSETTLED and not back else None
    if seen in ("paid", "expired"):
        return redirect(url_for("checkout.come_back", key=key), 303)
    now, times = request_now(), whole_number(request.args.get("fois")) or 0
    unpaid = seen == "open" and found.pay_url is not None
    reloads = found.state in UNSETTLED and not unpaid and times < len(RELOAD_AFTER)
    page = render_template(
        "checkout/payment.html",
        payment=found,
        unpaid=unpaid,
        back=back,
        under_way=seen == "processing",
        until=found.expires_at if now < found.expires_at else None,
        reloads=reloads,
        still_url=_without_reloading(key),
    )
    response = Response(page, mimetype="text/html")
    if reloads:
        url = url_for("checkout.payment", key=key, fois=times + 1)
        response.headers["Refresh"] = f"{RELOAD_AFTER[times]}; url={url}"
    return response


def _without_reloading(key: str) -> str:
    return url_for("checkout.payment", key=key, fois=len(RELOAD_AFTER))


@blueprint.post("/paiement/<key>/verifier")
@open_to("parents")
def verify(key: str) -> Response:
    """Ask the provider now."""
    found = _own_payment(key)
    if found.state in UNDECIDED:
        card.ask_and_settle(found, request_now())
    return redirect(url_for("checkout.payment", key=key), 303)


@blueprint.post("/paiement/<key>/abandonner")
@open_to("parents")
def abandon(key: str) -> Response:
    """Give the payment up; the meals stay in the basket. Where the bank may still take it, that is said and nothing moves."""
    found, now = _own_payment(key), request_now()
    outcome = card.abandon(found, now) if found.state in UNSETTLED else "already"
    if outcome in (None, "waiting"):
        flash(_still_waits(found, now), "wait")
        # A page that reloaded would take these words away.
        return redirect(_without_reloading(key), 303)
    if outcome == "expired" and (found.purpose == "order" or found.back_to_basket):
        flash(
            _(
                "Ce paiement n’a pas eu lieu : rien n’a été débité. Vos repas sont toujours dans le panier, non réservés."
            ),
            "note",
        )
        return redirect(url_for("checkout.basket"), 303)
    return redirect(url_for("checkout.payment", key=key), 303)


def _still_waits(found: queries.PaymentFacts, now: datetime) -> str:
    if now >= found.expires_at:
        return _("Votre banque n’a pas encore répondu : ce paiement ne peut pas être abandonné maintenant.")
    return _(
        "Votre banque n’a pas encore répondu : ce paiement ne peut pas être abandonné maintenant. Vous devriez être fixé "
        "avant %(hour)s.",
        hour=hour(found.expires_at),
    )


def _after(found: queries.PaymentFacts) -> Response:
    if found.order_number is not None:
        return redirect(url_for("orders.order", number=found.order_number), 303)
    flash(_("Votre porte-monnaie est rechargé de %(amount)s.", amount=format_euros(found.cents)), "ok")
    return redirect(url_for("checkout.basket" if found.back_to_basket else "wallet.statement"), 303)


@blueprint.get("/recharger")
@open_to("parents")
def choose_top_up() -> str:
    """Choose how much to put into the wallet."""
    return _top_up_page()


def _top_up_page(error: str | None = None, regie_id: int | None = None, ticked: str = "", typed: str = "") -> str:
    """`regie_id` says in whose form `ticked` and `typed` were sent, and were wrong."""
    with reading() as db:
        purses = top_up.purses(db, the_household_id())
        under_way = any(purse.under_way for purse in purses)
        top_ups = queries.top_ups_under_way(db, the_household_id()) if under_way else []
    # What was wrong stands right below the sentence that says so.
    purses.sort(key=lambda purse: purse.regie_id != regie_id)
    return render_template(
        "checkout/top_up.html",
        purses=purses,
        top_ups=top_ups,
        suggested=SUGGESTED_CENTS,
        another=ANOTHER_AMOUNT,
        usual=str(SUGGESTED_CENTS[0] // 100),
        error=error,
        regie_id=regie_id,
        ticked=ticked,
        typed=typed,
    )


@blueprint.post("/recharger")
@open_to("parents")
def top_up_wallet() -> Response | tuple[str, int]:
    """Open a top-up and go to the payment page."""
    ticked, typed = request.form.get("montant", ""), request.form.get("montant_libre", "").strip()
    now, buyer = request_now(), the_buyer()
    back_to_basket = request.form.get("panier") == "1"
    try:
        cents = amount_of_top_up(ticked, typed)
        with transaction() as db:
            opened = top_up.open_top_up(db, buyer, _number("regie"), cents, the_gateways(), back_to_basket, now)
        pay_url = card.start(opened, buyer.email, now)
    except (AmountRefused, TwoAmounts, TopUpRefused, GatewayRefused) as refusal:
        page = _top_up_page(refusal.sentence, _number("regie"), ticked or ANOTHER_AMOUNT, typed)
        return page, refusal.status
    return redirect(pay_url or url_for("checkout.payment", key=opened.key), 303)
