"""A family's meals as the town hall reads them, and who did what to each."""

from flask import render_template, request

from backoffice import family_queries, request_queries
from backoffice.views import blueprint, reach_for
from cart.quotes import reasons
from checkout import eaten_history, meal_history, spans
from shop.access import open_to
from shop.clock import paris_day, request_now
from shop.database import reading
from shop.errors import NotFound


@blueprint.get("/familles/<int:household_id>/repas")
@open_to("office")
def family_meals(household_id: int) -> str:
    """A month of a family's meals."""
    today = paris_day(request_now())
    span = spans.read_span({"mois": request.args.get("mois", "")}, today)
    with reading() as db:
        reach = reach_for(db, "families")
        here = reach.communes("families")
        if not request_queries.requests_of(db, here, household_id):
            raise NotFound
        contacts = family_queries.contacts_of(db, household_id)
        meals = family_queries.meals_of(db, here, household_id, span.first, span.last)
    return render_template(
        "backoffice/family_meals.html",
        reach=reach,
        household_id=household_id,
        contacts=contacts,
        span=span,
        beside=spans.beside(span, today),
        meals=meals,
    )


@blueprint.get("/repas/<int:reservation_id>")
@open_to("office")
def meal(reservation_id: int) -> str:
    """Who did what to a meal, and when, with names."""
    with reading() as db:
        reach = reach_for(db, "families")
        facts, illnesses, given = meal_history.meal_in_communes(db, reach.communes("families"), reservation_id)
    return render_template(
        "backoffice/meal.html",
        reach=reach,
        meal=facts,
        events=meal_history.tell(facts, illnesses, given, with_names=True),
        why=reasons(facts.basis, facts.cents, facts.tariff_label, facts.price_from, facts.decided_on),
    )


@blueprint.get("/repas/sans-reservation/<int:meal_id>")
@open_to("office")
def eaten_meal(meal_id: int) -> str:
    """Who did what to a meal without a booking, and when, with names."""
    with reading() as db:
        reach = reach_for(db, "families")
        meal = eaten_history.eaten_in_communes(db, reach.communes("families"), meal_id)
    return render_template(
        "backoffice/eaten_meal.html",
        reach=reach,
        meal=meal,
        events=eaten_history.tell(meal, with_names=True),
        why=reasons(meal.basis, meal.cents, meal.tariff_label, meal.price_from, meal.decided_on),
    )
