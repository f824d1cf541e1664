"""Prices that move with what else is in the basket: a sibling's meal on the same day makes each cost another sum."""

import json
from collections import defaultdict
from datetime import datetime

from sqlalchemy.orm import Session

from cart import meals, operations
from cart.quotes import Quote, asks_who_eats
from catalog.rules.prices import read_grid


def follow_who_eats(db: Session, household_id: int, now: datetime) -> None:
    """Quote anew, in the household's open baskets, what costs another sum because of who eats that day.

    For after the family has added or removed meals: it did that itself, and the basket shows what each costs now. A price
    that has changed for any other reason is left, so that the basket tells.
    """
    changed: dict[int, dict[int, tuple[int, Quote]]] = defaultdict(dict)
    for meal in meals.meals_of_household(db, household_id, now):
        if meal.basket_state != "open" or meal.grid is None or meal.price is None or meal.price_id is None:
            continue
        if meal.price_id == meal.tariff_price_id and asks_who_eats(read_grid(meal.grid)):
            was, now_is = json.loads(meal.basis or "{}"), json.loads(meal.price.basis or "{}")
            same = all(was.get(name) == now_is.get(name) for name in ("late", "freed"))
            if same and was.get("eating") != now_is.get("eating"):
                changed[meal.basket_id][meal.line_id] = (meal.price_id, meal.price)
    for basket_id, prices in changed.items():
        operations.requote(db, basket_id, prices, now)
