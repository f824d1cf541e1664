"""Mes crédits."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from cart.quotes import reasons
from checkout import dues, queries, statement, top_up
from checkout.errors import DuesChanged
from checkout.rules import carried
from checkout.views import the_buyer
from enrolments.outside_invoices import open_invoices
from shop.access import open_to, the_household_id
from shop.clock import request_now
from shop.database import reading, transaction
from shop.errors import NotFound, Refusal
from shop.money import format_euros
from shop.web import whole_number
from shop.words import gettext as _
from wallet.errors import BalanceTooShort

blueprint = Blueprint("wallet", __name__)
MOST_AT_ONCE = 400


@blueprint.get("/mes-credits", endpoint="statement")
@open_to("parents")
def show_statement() -> str:
    """A bank statement with running balance; one wallet a régie. What is due, here or elsewhere, comes first."""
    return _page(request.args.get("regie"))


def _page(regie: str | None, refusal: Refusal | None = None) -> str:
    household_id = the_household_id()
    before = whole_number(request.args.get("avant"))
    with reading() as db:
        purses = top_up.purses(db, household_id)
        wanted = regie or (str(purses[0].regie_id) if purses else "")
        purse = next((purse for purse in purses if str(purse.regie_id) == wanted), None)
        if purses and purse is None:
            raise NotFound
        lines = queries.movements(db, purse.regie_id, household_id, before) if purse else []
        meals = queries.meals_of_movements(db, lines) if lines else []
        eaten_ids = [line.unbooked_meal_id for line in lines if line.unbooked_meal_id is not None]
        eaten = dues.eaten_by_id(db, eaten_ids) if eaten_ids else []
        top_ups = queries.top_ups_under_way(db, household_id) if purse and purse.under_way else []
        invoices = open_invoices(db, household_id)
        owed = dues.dues_of(db, household_id) if purse and purse.due_cents else []
    theirs = [meal for meal in owed if purse and meal.regie_id == purse.regie_id]
    balance = purse.balance_cents if purse else 0
    return render_template(
        "checkout/statement.html",
        purses=purses,
        purse=purse,
        top_ups=[one for one in top_ups if purse and one.regie_id == purse.regie_id],
        page=statement.write(lines, meals, eaten),
        newest=before is None,
        dues=[
            (meal, reasons(meal.basis, meal.cents, meal.tariff_label, meal.price_from, meal.decided_on))
            for meal in theirs
        ],
        payable=theirs[: carried([meal.cents for meal in theirs], balance)],
        invoices=invoices,
        refusal=refusal,
    )


@blueprint.post("/mes-credits/regler")
@open_to("parents")
def settle_dues() -> Response | tuple[str, int]:
    """Settle amounts due with the wallet, exactly those that were shown."""
    ids = [whole_number(value) for value in request.form.getlist("repas")[:MOST_AT_ONCE]]
    seen, regie_id = whole_number(request.form.get("total")), whole_number(request.form.get("regie"))
    meals = [number for number in ids if number is not None]
    if seen is None or regie_id is None or not meals or len(meals) < len(ids):
        raise NotFound
    try:
        with transaction() as db:
            settled = dues.settle(db, the_buyer(), meals, seen, request_now())
    except (DuesChanged, BalanceTooShort) as refusal:
        return _page(str(regie_id), refusal), refusal.status
    if settled:
        flash(_("Réglé : %(amount)s, avec votre porte-monnaie.", amount=format_euros(settled)), "ok")
    else:
        flash(_("C’était déjà réglé : rien n’a changé."), "note")
    return redirect(url_for("wallet.statement", regie=regie_id), 303)
