"""The wallet's statement, line by line in words: each movement tied to a meal or a payment."""

from datetime import date, datetime
from typing import NamedTuple

from checkout.basket import days_in_words
from checkout.dues import EatenMeal
from checkout.queries import PAGE, Movement, MovementMeal
from shop.clock import paris_day
from shop.french import day_long, day_plain, listing, month_name, plural
from shop.words import gettext as _

MOST_DATES = 6

TITLES = {
    "top_up": _("Rechargement par carte"),
    "wallet_payment": _("Commande"),
    "cancelled_meal": _("Repas annulé"),
    "late_payment": _("Paiement arrivé trop tard"),
    "double_payment": _("Second paiement d’une commande"),
    "refund": _("Remboursement"),
    "adjustment": _("Correction par la régie"),
    "reversal": _("Annulation d’un mouvement"),
    "unbooked_meal": _("Repas sans réservation"),
    "due_settled": _("Montant dû réglé"),
}


class Line(NamedTuple):
    """One line of the statement."""

    at: datetime
    title: str
    words: str
    order_number: str | None
    cents: int
    balance_cents: int


class Month(NamedTuple):
    """The lines of one month, newest first."""

    name: str
    lines: list[Line]


class Statement(NamedTuple):
    """A page of the statement, and from where the older page goes on."""

    months: list[Month]
    older: int | None


def write(movements: list[Movement], meals: list[MovementMeal], eaten: list[EatenMeal]) -> Statement:
    """The page of these movements (newest first; one more than a page means that there are older ones)."""
    of_order: dict[int, list[MovementMeal]] = {}
    of_reservation: dict[int, MovementMeal] = {}
    for meal in meals:
        of_order.setdefault(meal.order_id, []).append(meal)
        of_reservation[meal.reservation_id] = meal
    unbooked = {meal.id: meal for meal in eaten}
    months: list[Month] = []
    for movement in movements[:PAGE]:
        name = month_name(paris_day(movement.at))
        if not months or months[-1].name != name:
            months.append(Month(name, []))
        if movement.unbooked_meal_id is not None:
            title, words = _of_eaten(movement.kind, unbooked[movement.unbooked_meal_id])
        else:
            title, words = _title(movement, of_reservation), _words(movement, of_order, of_reservation)
        line = Line(movement.at, title, words, movement.order_number, movement.cents, movement.balance_cents)
        months[-1].lines.append(line)
    older = movements[PAGE - 1].posting_id if len(movements) > PAGE else None
    return Statement(months, older)


def _of_eaten(kind: str, meal: EatenMeal) -> tuple[str, str]:
    """The title and the words of a movement of a meal without a booking; of one that was taken back, why it was."""
    if kind == "reversal":
        day = day_plain(meal.day).rsplit(" ", 1)[0]
        title = _("Repas sans réservation du %(day)s retiré : %(who)s", day=day, who=meal.first_name)
        return title, _("%(service)s : %(why)s", service=meal.service_name, why=meal.struck_reason)
    return TITLES[kind], f"{meal.first_name} {meal.last_name}, {meal.service_name}, {day_long(meal.day)}"


def _title(movement: Movement, of_reservation: dict[int, MovementMeal]) -> str:
    """What the movement is; of a cancelled meal, why it was where that is known."""
    if movement.kind == "cancelled_meal" and movement.reservation_id is not None:
        meal = of_reservation[movement.reservation_id]
        if meal.taken:
            return _("Repas rendu, repris par une autre famille")
        if meal.ill:
            return _("Enfant malade")
    return TITLES[movement.kind]


def _words(movement: Movement, of_order: dict[int, list[MovementMeal]], of_reservation: dict[int, MovementMeal]) -> str:
    if movement.reservation_id is not None:
        meal = of_reservation[movement.reservation_id]
        return f"{meal.first_name} {meal.last_name}, {meal.service_name}, {day_long(meal.day)}"
    if movement.kind == "wallet_payment" and movement.order_id is not None:
        meals = of_order[movement.order_id]
        people = listing(list(dict.fromkeys(meal.first_name for meal in meals)))
        days = _days(sorted({meal.day for meal in meals}))
        return _("%(meals)s : %(people)s, %(days)s", meals=plural(len(meals), "repas"), people=people, days=days)
    return _("Paiement %(key)s", key=movement.payment_key[:8].upper()) if movement.payment_key else ""


def _days(days: list[date]) -> str:
    """Each date, or from when to when where a list would not be read: the order has them all."""
    if len(days) <= MOST_DATES:
        return days_in_words(days)
    return _(
        "%(count)s dates du %(first)s au %(last)s", count=len(days), first=day_plain(days[0]), last=day_plain(days[-1])
    )
