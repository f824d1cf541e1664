"""The basket as its page shows it: a product per service and price, its people, its dates, its problems."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from cart.meals import BasketMeal
from cart.quotes import reasons
from cart.rules import Stage, Wait, stages_of
from checkout.rules import Problem, find_problems, is_kept, why_waiting
from shop.french import day_long, day_plain, listing, month_name
from shop.words import gettext as _
from shop.words import of_service


@dataclass(frozen=True)
class MealLine:
    """One meal."""

    line_id: int
    name: str
    cents: int
    problem: Problem | None
    kept_until: datetime | None
    """Until when a place of the waiting list is kept for it."""


@dataclass
class Product:
    """The meals of one service at one price."""

    name: str
    """ "Réservation de repas Cantine Aiguilhe"."""
    label: str
    unit_cents: int
    commune_slug: str
    service_slug: str
    reasons: list[str]
    """Why it costs what it costs."""
    late: bool
    """Booked after the deadline, at the late price."""
    freed_until: datetime | None
    """Until when it can be paid, where it takes the place of meals that other families have given back."""
    final: int = 0
    """How many of its meals can no longer be cancelled once they are paid."""
    meals: list[MealLine] = field(default_factory=list)
    days_of: dict[str, list[date]] = field(default_factory=dict)
    """Who eats when."""

    @property
    def quantity(self) -> int:
        return len(self.meals)

    @property
    def total_cents(self) -> int:
        return sum(meal.cents for meal in self.meals)

    @property
    def problems(self) -> int:
        return sum(meal.problem is not None for meal in self.meals)

    @property
    def all_on_the_same_dates(self) -> bool:
        return len({frozenset(days) for days in self.days_of.values()}) == 1

    @property
    def people(self) -> list[str]:
        return list(self.days_of)

    @property
    def days(self) -> list[date]:
        return sorted({day for days in self.days_of.values() for day in days})

    @property
    def dates(self) -> str:
        return days_in_words(self.days)

    @property
    def dates_of_each(self) -> list[tuple[str, str]]:
        """ "Louane Dupont" and "7 et 8 décembre 2026"."""
        return [(who, days_in_words(days)) for who, days in self.days_of.items()]


@dataclass
class BasketView:
    """A live basket of one régie."""

    basket_id: int
    regie_id: int
    completing: bool
    products: list[Product]
    first_deadline_at: datetime
    """The first booking deadline among its meals."""
    waits: Wait | None
    """Why nothing of it can be paid until an amount due is settled or an invoice paid."""

    @property
    def meals(self) -> int:
        return sum(product.quantity for product in self.products)

    @property
    def total_cents(self) -> int:
        return sum(product.total_cents for product in self.products)

    @property
    def problems(self) -> dict[int, Problem]:
        """By line."""
        lines = (meal for product in self.products for meal in product.meals)
        return {meal.line_id: meal.problem for meal in lines if meal.problem is not None}

    @property
    def price_changed(self) -> bool:
        """Whether accepting prices mends something."""
        return any(problem.remedy == "accept" for problem in self.problems.values())

    @property
    def lines_to_remove(self) -> list[int]:
        """Those that nothing mends in the basket."""
        return [line_id for line_id, problem in self.problems.items() if problem.remedy != "accept"]


def days_in_words(days: Sequence[date]) -> str:
    """Dates grouped by month: "21 et 22 mars 2027, 1er avril 2027"."""
    by_month: dict[str, list[str]] = {}
    for day in sorted(set(days)):
        by_month.setdefault(month_name(day), []).append(day_plain(day).split(" ")[0])
    return ", ".join(f"{listing(numbers)} {month}" for month, numbers in by_month.items())


def baskets(meals: Sequence[BasketMeal], now: datetime) -> list[BasketView]:
    """The household's live baskets, one a régie."""
    by_basket: dict[int, list[BasketMeal]] = {}
    for meal in meals:
        by_basket.setdefault(meal.basket_id, []).append(meal)
    return [_basket(basket_id, lines, now) for basket_id, lines in by_basket.items()]


def _basket(basket_id: int, meals: Sequence[BasketMeal], now: datetime) -> BasketView:
    completing = meals[0].basket_state == "completing"
    # While a card payment is awaited the places are held by the order itself: nothing to complain about.
    problems = {} if completing else find_problems(meals, now)
    stages = stages_of(meals, now)
    products: dict[tuple[int, str, int, str | None, Stage], Product] = {}
    seen: set[int] = set()
    for meal in meals:
        if meal.line_id in seen:
            continue
        seen.add(meal.line_id)
        stage = stages[meal.line_id]
        key = (meal.service_id, meal.tariff_label, meal.quoted_cents, meal.basis, stage)
        product = products.get(key)
        if product is None:
            name = _("Réservation de repas %(service)s") if meal.kind == "canteen" else _("Réservation %(service)s")
            product = products[key] = Product(
                name % {"service": meal.service_name},
                meal.tariff_label,
                meal.quoted_cents,
                meal.commune_slug,
                meal.service_slug,
                []
                if meal.price_from is None
                else reasons(meal.basis, meal.quoted_cents, meal.tariff_label, meal.price_from, meal.decided_on),
                stage == "late",
                meal.freed_deadline_at if stage == "freed" else None,
            )
        product.final += now >= meal.cancel_deadline_at
        who = f"{meal.first_name} {meal.last_name}"
        product.meals.append(
            MealLine(
                meal.line_id,
                f"{who}, {day_long(meal.day)}",
                meal.quoted_cents,
                _said(problems.get(meal.line_id), meal.kind),
                meal.kept_until if is_kept(meal, now) else None,
            )
        )
        product.days_of.setdefault(who, []).append(meal.day)
    _tell_tariffs_apart(list(products.values()))
    return BasketView(
        basket_id,
        meals[0].regie_id,
        completing,
        list(products.values()),
        min(_limit(meal, stages[meal.line_id]) for meal in meals),
        None if completing else why_waiting(meals),
    )


def _tell_tariffs_apart(products: Sequence[Product]) -> None:
    """Name the tariff where a service stands in the basket at several."""
    labels: dict[str, set[str]] = {}
    for product in products:
        labels.setdefault(product.name, set()).add(product.label)
    for product in products:
        if len(labels[product.name]) > 1:
            product.name = _("%(name)s, tarif « %(label)s »", name=product.name, label=product.label)


def _said(problem: Problem | None, kind: str) -> Problem | None:
    return problem and problem._replace(sentence=of_service(problem.sentence, kind))


def _limit(meal: BasketMeal, stage: Stage) -> datetime:
    """Until when the meal can be paid at the price that it has now."""
    limits = {"late": meal.late_deadline_at, "freed": meal.freed_deadline_at}
    return limits.get(stage) or meal.book_deadline_at
