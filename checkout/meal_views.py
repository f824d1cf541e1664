"""The history of one meal, booked or not, for its family."""

from flask import render_template

from cart.quotes import reasons
from checkout import eaten_history, meal_history
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


@blueprint.get("/mes-reservations/sans-reservation/<int:meal_id>")
@open_to("parents")
def eaten_meal(meal_id: int) -> str:
    """Who did what to a meal without a booking, and when."""
    with reading() as db:
        meal = eaten_history.eaten_by_family(db, the_household_id(), meal_id)
    return render_template(
        "checkout/eaten_meal.html",
        meal=meal,
        events=eaten_history.tell(meal, with_names=False),
        why=reasons(meal.basis, meal.cents, meal.tariff_label, meal.price_from, meal.decided_on),
    )
