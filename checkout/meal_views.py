"""The history of one meal, for its family."""

from flask import render_template

from cart.quotes import reasons
from checkout import meal_history
from checkout.order_views import blueprint
from shop.access import open_to, the_household_id
from shop.clock import request_now
from shop.database import reading


@blueprint.get("/mes-reservations/repas/<int:reservation_id>")
@open_to("parents")
def meal(reservation_id: int) -> str:
    """Who did what to a meal, and when."""
    with reading() as db:
        facts, illnesses, given = meal_history.meal_of_family(db, the_household_id(), reservation_id)
    return render_template(
        "checkout/meal.html",
        meal=facts,
        now=request_now(),
        events=meal_history.tell(facts, illnesses, given, with_names=False),
        why=reasons(facts.basis, facts.cents, facts.tariff_label, facts.price_from, facts.decided_on),
    )
