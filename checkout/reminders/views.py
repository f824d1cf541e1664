"""Pages of reminders: the one that a link about a week opens, the ones that turn kinds off."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from cart.errors import BookingWaits, PaymentUnderWay, TooManyMeals
from checkout.errors import BasketRefused, NothingLeft, PlaceJustTaken, WeekChanged, WeekWaits
from checkout.reminders import operations, queries
from checkout.reminders.links import read_stop
from checkout.reminders.models import KINDS
from checkout.reminders.rules import shares
from shop.access import open_to, open_to_all, the_visitor
from shop.clock import request_now
from shop.database import reading, transaction
from shop.errors import NotFound, Refusal
from shop.limits import limited
from shop.web import csrf, whole_number
from shop.words import gettext as _
from wallet.errors import BalanceTooShort

blueprint = Blueprint("reminders", __name__)

Answer = str | Response | tuple[str, int]


def _week_page(token: str, refusal: Refusal | None = None) -> str:
    now = request_now()
    with reading() as db:
        link = queries.find_week(db, token, now)
        booked = queries.meals_booked(db, link.order_id) if link.order_id is not None else []
        offer = operations.find_offer(db, link, now) if link.answer in (None, "nothing") else operations.Offer()
    return render_template(
        "checkout/week.html",
        link=link,
        booked=shares(booked),
        offered=shares(offer.meals),
        total_cents=offer.total_cents,
        refusal=refusal,
    )


@blueprint.route("/rappel/<week_key>", methods=["GET", "POST"])
@open_to_all
@limited("20 per 10 minutes", "reminder")
def week(week_key: str) -> Answer:
    """What is usual for a week, and its two answers. Whoever holds the link sees first names, days and prices, no more.
    Reading changes nothing: mail programs follow links."""
    if request.method != "POST":
        return _week_page(week_key)
    now, answer = request_now(), request.form.get("reponse")
    if answer == "rien":
        with transaction() as db:
            operations.say_nothing(db, week_key, now)
        return redirect(url_for("reminders.week", week_key=week_key), 303)
    seen_cents = whole_number(request.form.get("total"))
    if answer != "habitude" or seen_cents is None:
        raise NotFound
    try:
        try:
            with transaction() as db:
                operations.book_usual(db, week_key, seen_cents, now, pay=True)
        except BalanceTooShort:
            with transaction() as db:
                operations.book_usual(db, week_key, seen_cents, now, pay=False)
    except BookingWaits:
        # Why is the family's alone: who merely holds the link learns nothing of its money.
        return _week_page(week_key, WeekWaits()), WeekWaits.status
    except (BasketRefused, NothingLeft, PaymentUnderWay, PlaceJustTaken, TooManyMeals, WeekChanged) as refusal:
        return _week_page(week_key, refusal), refusal.status
    return redirect(url_for("reminders.week", week_key=week_key), 303)


@blueprint.get("/rappels/arreter/<stop_key>")
@open_to_all
def stop(stop_key: str) -> str:
    """Turn a kind of reminder off, without signing in."""
    account_id, kind = read_stop(stop_key)
    with reading() as db:
        done = kind in queries.muted_by(db, account_id)
    return render_template("checkout/stop.html", kind=kind, done=done)


@blueprint.post("/rappels/arreter/<stop_key>", endpoint="stop_now")
@csrf.exempt  # type: ignore[untyped-decorator]
@open_to_all
@limited("20 per 10 minutes", "stop reminders")
def stop_now(stop_key: str) -> str:
    """It is off. Mail programs post here by themselves when their reader says so (RFC 8058)."""
    account_id, kind = read_stop(stop_key)
    with transaction() as db:
        operations.mute(db, account_id, kind, request_now())
    return render_template("checkout/stop.html", kind=kind, done=True)


@blueprint.get("/mon-compte/rappels")
@open_to("parents")
def mine() -> str:
    """Which reminders the account gets."""
    with reading() as db:
        muted = queries.muted_by(db, the_visitor().account_id)
    return render_template("checkout/my_reminders.html", kinds=KINDS, muted=muted)


@blueprint.post("/mon-compte/rappels")
@open_to("parents")
def choose() -> Response:
    """Turn kinds on and off."""
    with transaction() as db:
        operations.choose_kinds(db, the_visitor().account_id, request.form.getlist("rappel"), request_now())
    flash(_("Vos rappels sont enregistrés."), "ok")
    return redirect(url_for("accounts.home"), 303)
