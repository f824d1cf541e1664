"""Reads of the meals in a basket, priced as of now: a bounded number of statements, whatever the meals."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, exists, func, or_, select, type_coerce

from accounts.models import Beneficiary, HouseholdBeneficiary
from cart.days import concerns, freed_for, no_meal
from cart.families import find_family
from cart.models import Basket, BasketLine, WaitingEntry
from cart.operations import LIVE_STATES
from cart.others import is_live, reservations, unbooked
from cart.places import OtherHome, Plans, plans_of
from cart.quotes import NOBODY, Quote, Terms, as_freed, quote
from cart.rules import Stage, covered, overdue_cents, stages_of, unpaid_invoices
from cart.waits import dues_asked, invoices_asked
from catalog.models import CallOff, Commune, SchoolPlace, Service, ServiceDay, StoredPolicies, Tariff, TariffPrice
from catalog.rules.policies import Policies
from catalog.rules.prices import read_grid
from enrolments.models import Enrolment
from enrolments.outside_invoices import OpenInvoice
from homes.queries import custodies
from homes.rules import Custody
from shop.clock import paris_day
from shop.database import AnySelect
from shop.statements import Rows, run


class BasketMeal(NamedTuple):
    """A line of the basket as it was quoted and as things stand now."""

    line_id: int
    basket_id: int
    regie_id: int
    basket_state: str
    beneficiary_id: int
    first_name: str
    last_name: str
    service_id: int
    service_name: str
    service_slug: str
    kind: str
    policies: Policies
    commune_id: int
    commune_slug: str
    service_day_id: int
    day: date
    is_open: bool
    closed_reason: str | None
    capacity: int | None
    booked_count: int
    book_deadline_at: datetime
    cancel_deadline_at: datetime
    late_deadline_at: datetime | None
    tariff_label: str
    tariff_price_id: int
    quoted_cents: int
    basis: str | None
    """How the quoted price came about."""
    price_id: int | None
    """The price that holds now for the child's approved tariff; nothing when there is none."""
    flat_cents: int | None
    grid: list[dict[str, Any]] | None
    price_from: date | None
    decided_on: date | None
    enrolment_id: int | None
    reservation_id: int | None
    """A live reservation of the child for that day, when there is one already."""
    call_off: str | None
    """Why the town hall has called the meal off for this child, when it has."""
    booked_there: bool | None
    """Whether the live reservation is that of the child's other home."""
    shared: bool
    """Whether the child has another home too."""
    freed_deadline_at: datetime | None = None
    freed: int = 0
    """How many meals other families have given back on that day."""
    school_id: int | None = None
    """The child's."""
    school_capacity: int | None = None
    school_booked_count: int | None = None
    """Of the child's school, where it has places of its own."""
    entry_id: int | None = None
    """The child's entry in the waiting list of that day, while it waits or a place is kept for it."""
    kept_until: datetime | None = None
    """Until when a place is kept for it."""
    kept_school_id: int | None = None
    """The school among whose places that one counts."""
    eaten_id: int | None = None
    """The meal that the child has eaten that day without a booking, when it has."""
    asks_plan: bool = False
    """Whether the tariff asks for a PAI."""
    price: Quote | None = None
    """What the meal costs now; nothing when that is not known."""
    away: bool = False
    """Whether the child's other home decides on that day."""
    lacks_plan: bool = False
    """Whether the service's rule lets the meal wait for a PAI that covers its day."""
    overdue_cents: int = 0
    """What the household owes for longer than the service's rule lets it."""
    unpaid: tuple[OpenInvoice, ...] = ()
    """The invoices that the household has not paid for longer than the service's rule lets it."""


_ORDER = itemgetter(*map(BasketMeal._fields.index, ("service_id", "day", "beneficiary_id", "line_id")))
_MEALS: AnySelect = (
    select(
        BasketLine.id,
        Basket.id,
        Basket.regie_id,
        Basket.state,
        BasketLine.beneficiary_id,
        Beneficiary.first_name,
        Beneficiary.last_name,
        Service.id,
        Service.name,
        Service.slug,
        Service.kind,
        type_coerce(Service.policies, StoredPolicies),
        Commune.id,
        Commune.slug,
        ServiceDay.id,
        ServiceDay.day,
        ServiceDay.is_open,
        ServiceDay.closed_reason,
        ServiceDay.capacity,
        ServiceDay.booked_count,
        ServiceDay.book_deadline_at,
        ServiceDay.cancel_deadline_at,
        ServiceDay.late_deadline_at,
        Tariff.label,
        BasketLine.tariff_price_id,
        BasketLine.quoted_cents,
        BasketLine.basis,
        TariffPrice.id,
        TariffPrice.cents,
        TariffPrice.grid,
        TariffPrice.valid_from,
        TariffPrice.decided_on,
        Enrolment.id,
        reservations.c.id,
        select(func.min(CallOff.words))
        .where(CallOff.service_day_id == ServiceDay.id, concerns(Beneficiary), no_meal())
        .correlate(ServiceDay, Beneficiary)
        .scalar_subquery(),
        reservations.c.household_id != Basket.household_id,
        exists()
        .where(
            OtherHome.beneficiary_id == BasketLine.beneficiary_id,
            OtherHome.household_id != Basket.household_id,
            OtherHome.archived_at.is_(None),
        )
        .correlate(Basket, BasketLine),
        ServiceDay.freed_deadline_at,
        freed_for(Basket.household_id),
        Beneficiary.school_id,
        SchoolPlace.capacity,
        SchoolPlace.booked_count,
        WaitingEntry.id,
        WaitingEntry.offered_until,
        WaitingEntry.school_id,
        select(unbooked.c.id)
        .where(
            unbooked.c.beneficiary_id == BasketLine.beneficiary_id,
            unbooked.c.service_day_id == BasketLine.service_day_id,
            unbooked.c.state != "struck",
        )
        .correlate(BasketLine)
        .scalar_subquery(),
        Tariff.pai,
    )
    .select_from(Basket)
    .join(BasketLine, BasketLine.basket_id == Basket.id)
    .join(Beneficiary, Beneficiary.id == BasketLine.beneficiary_id)
    .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
    .join(Service, Service.id == ServiceDay.service_id)
    .join(Commune, Commune.id == Service.commune_id)
    .join(Tariff, Tariff.id == BasketLine.tariff_id)
    .outerjoin(
        Enrolment,
        and_(
            Enrolment.household_id == Basket.household_id,
            Enrolment.beneficiary_id == BasketLine.beneficiary_id,
            Enrolment.tariff_id == BasketLine.tariff_id,
            Enrolment.service_id == ServiceDay.service_id,
            Enrolment.state == "approved",
            Enrolment.valid_from <= ServiceDay.day,
            Enrolment.valid_until >= ServiceDay.day,
        ),
    )
    .outerjoin(
        TariffPrice,
        and_(
            TariffPrice.tariff_id == BasketLine.tariff_id,
            TariffPrice.valid_from <= ServiceDay.day,
            or_(TariffPrice.valid_until.is_(None), TariffPrice.valid_until >= ServiceDay.day),
        ),
    )
    .outerjoin(
        reservations,
        and_(
            reservations.c.beneficiary_id == BasketLine.beneficiary_id,
            reservations.c.service_day_id == BasketLine.service_day_id,
            is_live,
        ),
    )
    .outerjoin(
        SchoolPlace,
        and_(SchoolPlace.service_day_id == BasketLine.service_day_id, SchoolPlace.school_id == Beneficiary.school_id),
    )
    .outerjoin(
        WaitingEntry,
        and_(
            WaitingEntry.household_id == Basket.household_id,
            WaitingEntry.beneficiary_id == BasketLine.beneficiary_id,
            WaitingEntry.service_day_id == BasketLine.service_day_id,
            WaitingEntry.state.in_(["waiting", "offered"]),
        ),
    )
)
_MEALS_OF_HOUSEHOLD = _MEALS.where(Basket.household_id == bindparam("household_id"), Basket.state.in_(LIVE_STATES))
_MEALS_OF_BASKET = _MEALS.where(Basket.id == bindparam("basket_id"))
_EATING = (
    select(reservations.c.service_day_id, reservations.c.beneficiary_id)
    .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == reservations.c.beneficiary_id)
    .where(
        HouseholdBeneficiary.household_id == bindparam("household_id"),
        reservations.c.service_day_id.in_(
            select(BasketLine.service_day_id)
            .join(Basket, Basket.id == BasketLine.basket_id)
            .where(Basket.household_id == bindparam("household_id"), Basket.state.in_(LIVE_STATES))
        ),
        is_live,
    )
)


def meals_of_household(db: Rows, household_id: int, now: datetime) -> list[BasketMeal]:
    """Everything in the household's live baskets, as it stands now."""
    found = run(db, _MEALS_OF_HOUSEHOLD, household_id=household_id)
    return _priced(db, household_id, found, now)


def meals_of_basket(db: Rows, household_id: int, basket_id: int, now: datetime) -> list[BasketMeal]:
    """Everything in one basket of the household, as it stands now."""
    found = run(db, _MEALS_OF_BASKET, basket_id=basket_id)
    return _priced(db, household_id, found, now)


def _priced(db: Rows, household_id: int, found: Sequence[Sequence[Any]], now: datetime) -> list[BasketMeal]:
    """The meals with what each costs now, and what makes them wait. What grids ask is read once, and only where there is one:
    three statements more; so is what two homes have agreed about a child, and what rules of waiting ask: three."""
    # In order here: a database would carry every column of every line about for it.
    found = sorted(found, key=_ORDER)
    meals = [BasketMeal(*row) for row in found]
    family, eating = NOBODY, defaultdict(set)
    if any(meal.grid is not None for meal in meals):
        family = find_family(db, household_id)
        for day_id, child_id in run(db, _EATING, household_id=household_id):
            eating[day_id].add(child_id)
        for meal in meals:
            eating[meal.service_day_id].add(meal.beneficiary_id)
    homes = custodies(db, household_id) if any(meal.shared for meal in meals) else {}
    stages = stages_of(meals, now)
    of_services = {
        meal.service_id: (meal.regie_id, Terms(meal.policies, meal.commune_id, family))
        for meal in {meal.service_id: meal for meal in meals}.values()
    }
    rules = [terms.policies.blocking for _regie_id, terms in of_services.values()]
    dues = dues_asked(db, household_id, rules)
    invoices = invoices_asked(db, household_id, rules)
    today = paris_day(now)
    kept_waiting = {
        service_id: (
            overdue_cents(terms.policies.blocking, dues.get(regie_id, ()), now),
            unpaid_invoices(terms.policies.blocking, invoices.get(regie_id, ()), today),
        )
        for service_id, (regie_id, terms) in of_services.items()
    }
    asked = any(meal.asks_plan and meal.policies.blocking.pai for meal in meals)
    plans = plans_of(db, household_id) if asked else {}
    result = []
    # A flat price is the same for every meal at that stage.
    flat: dict[tuple[int, int | None, Stage], Quote | None] = {}
    for row, meal in zip(found, meals, strict=True):
        away = bool(homes) and _is_away(homes.get(meal.beneficiary_id), household_id, meal.day)
        lacks_plan = asked and _lacks_plan(meal, plans)
        stage = stages[meal.line_id]
        if meal.grid is not None:
            price = _price_now(meal, of_services[meal.service_id][1], eating, stage)
        elif (known := (meal.service_id, meal.flat_cents, stage)) in flat:
            price = flat[known]
        else:
            price = flat[known] = _price_now(meal, of_services[meal.service_id][1], eating, stage)
        result.append(BasketMeal._make((*row, price, away, lacks_plan, *kept_waiting[meal.service_id])))
    return result


def _is_away(custody: Custody | None, household_id: int, day: date) -> bool:
    """Whether the child's other home decides on that day."""
    return custody is not None and custody.home_on(day) not in (None, household_id)


def _lacks_plan(meal: BasketMeal, plans: Plans) -> bool:
    """Whether the service's rule lets the meal wait for a PAI, and none of the child's covers its day."""
    spans = plans.get((meal.beneficiary_id, meal.commune_id), ())
    return meal.asks_plan and meal.policies.blocking.pai and not covered(spans, meal.day)


def _price_now(meal: BasketMeal, terms: Terms, eating: Mapping[int, Collection[int]], stage: Stage) -> Quote | None:
    if meal.flat_cents is None:
        return None
    grid = None if meal.grid is None else read_grid(meal.grid)
    count = 1 if grid is None else terms.family.eating(eating[meal.service_day_id])
    try:
        found = quote(meal.flat_cents, grid, terms, meal.beneficiary_id, meal.day, count, stage == "late")
    except LookupError:
        return None
    return as_freed(found) if stage == "freed" else found
