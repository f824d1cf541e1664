"""Reads of days, with what a family's children have already on them: one statement, whatever the children and days."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import QueryableAttribute

from accounts.models import Beneficiary, HouseholdBeneficiary
from cart.models import Basket, BasketLine, WaitingEntry
from cart.operations import LIVE_STATES
from cart.others import freed, given, is_live, reservations, unbooked
from cart.rules import Day, Meal, Taken, with_homes
from catalog.models import CallOff, SchoolPlace, ServiceDay
from enrolments.models import Enrolment
from homes.queries import custodies
from homes.rules import Custody
from shop.database import AnySelect, Key
from shop.statements import Rows, run


def takes_picnic(service_day_id: Any, pupil: Any) -> ColumnElement[bool]:
    """Whether the kitchen prepares a picnic for a beneficiary (the model or an alias of it) on a service day."""
    return (
        select(CallOff.id)
        .where(
            CallOff.service_day_id == service_day_id,
            CallOff.state.in_(STANDING),
            CallOff.picnic,
            concerns(pupil),
        )
        .correlate_except(CallOff)
        .exists()
    )


STANDING = ("planned", "done")
"""Call-offs that hold, and are not taken back."""


def no_meal() -> ColumnElement[bool]:
    """Call-offs for which nothing more is booked: those that hold, but for outings with picnics."""
    return and_(CallOff.state.in_(STANDING), CallOff.picnic.is_(False))


def concerns(pupil: Any) -> ColumnElement[bool]:
    """Whether a call-off concerns a beneficiary (the model or an alias of it): everybody, a school, or a class of it."""
    return and_(
        or_(CallOff.school_id.is_(None), CallOff.school_id == pupil.school_id),
        or_(CallOff.class_name.is_(None), func.lower(func.trim(pupil.class_name)) == func.lower(CallOff.class_name)),
    )


_is_between = ServiceDay.day.between(bindparam("first"), bindparam("last"))


def freed_for(household_id: Any) -> ColumnElement[int]:
    """How many meals of other families' children were given back on the day at hand (`ServiceDay`) and can be taken."""
    own = (
        select(HouseholdBeneficiary.beneficiary_id)
        .where(HouseholdBeneficiary.household_id == household_id)
        .correlate_except(HouseholdBeneficiary)
    )
    found = (
        select(func.count())
        .select_from(freed.join(given, given.c.id == freed.c.reservation_id))
        .where(
            freed.c.service_day_id == ServiceDay.id,
            freed.c.state == "offered",
            given.c.household_id != household_id,
            given.c.beneficiary_id.not_in(own),
        )
        .correlate_except(freed, given)
        .scalar_subquery()
    )
    # Looked for only where the service has the rule.
    return case((ServiceDay.freed_deadline_at.is_(None), literal_column("0")), else_=found)


def _days_where(is_wanted: ColumnElement[bool], *more: QueryableAttribute[int]) -> CompoundSelect[*tuple[Any, ...]]:
    """The days that are wanted, in any order, with `more` of each; and, in rows that have a child and the day's id alone,
    what the household's children have already on them."""

    def taken(service_day_id: Any, child_id: Any, what: ColumnElement[Any]) -> AnySelect:
        nothing = [null()] * (len(Day._fields) - 2 + len(more))
        return select(child_id, what, service_day_id, *nothing)

    return union_all(
        select(
            null(),
            null(),
            ServiceDay.id,
            ServiceDay.day,
            ServiceDay.is_open,
            ServiceDay.closed_reason,
            ServiceDay.capacity,
            ServiceDay.booked_count,
            ServiceDay.book_deadline_at,
            ServiceDay.late_deadline_at,
            ServiceDay.menu,
            ServiceDay.freed_deadline_at,
            freed_for(bindparam("household_id", type_=Key)),
            *more,
        ).where(is_wanted),
        taken(
            reservations.c.service_day_id,
            reservations.c.beneficiary_id,
            case(
                (reservations.c.household_id == bindparam("household_id"), literal_column("1")),
                else_=literal_column("3"),
            ),
        )
        .join(ServiceDay, ServiceDay.id == reservations.c.service_day_id)
        .where(
            reservations.c.beneficiary_id.in_(
                select(HouseholdBeneficiary.beneficiary_id).where(
                    HouseholdBeneficiary.household_id == bindparam("household_id")
                )
            ),
            is_live,
            is_wanted,
        ),
        # Who has eaten without a booking has had the meal, whichever home is charged.
        taken(unbooked.c.service_day_id, unbooked.c.beneficiary_id, literal_column("7"))
        .join(ServiceDay, ServiceDay.id == unbooked.c.service_day_id)
        .where(
            unbooked.c.beneficiary_id.in_(
                select(HouseholdBeneficiary.beneficiary_id).where(
                    HouseholdBeneficiary.household_id == bindparam("household_id")
                )
            ),
            unbooked.c.state != "struck",
            is_wanted,
        ),
        taken(BasketLine.service_day_id, BasketLine.beneficiary_id, literal_column("0"))
        .join(Basket, Basket.id == BasketLine.basket_id)
        .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
        .where(
            Basket.household_id == bindparam("household_id"),
            Basket.state.in_(LIVE_STATES),
            is_wanted,
        ),
        taken(ServiceDay.id, HouseholdBeneficiary.beneficiary_id, literal_column("2"))
        .select_from(CallOff)
        .join(ServiceDay, ServiceDay.id == CallOff.service_day_id)
        .join(Beneficiary, concerns(Beneficiary))
        .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == Beneficiary.id)
        .where(
            HouseholdBeneficiary.household_id == bindparam("household_id"),
            no_meal(),
            is_wanted,
        ),
        taken(SchoolPlace.service_day_id, HouseholdBeneficiary.beneficiary_id, literal_column("4"))
        .select_from(HouseholdBeneficiary)
        .join(Beneficiary, Beneficiary.id == HouseholdBeneficiary.beneficiary_id)
        .join(SchoolPlace, SchoolPlace.school_id == Beneficiary.school_id)
        .join(ServiceDay, ServiceDay.id == SchoolPlace.service_day_id)
        .where(
            HouseholdBeneficiary.household_id == bindparam("household_id"),
            SchoolPlace.booked_count >= SchoolPlace.capacity,
            is_wanted,
        ),
        taken(
            WaitingEntry.service_day_id,
            WaitingEntry.beneficiary_id,
            case((WaitingEntry.offered_until.is_(None), literal_column("5")), else_=literal_column("6")),
        )
        .join(ServiceDay, ServiceDay.id == WaitingEntry.service_day_id)
        .where(
            WaitingEntry.household_id == bindparam("household_id"),
            WaitingEntry.state.in_(["waiting", "offered"]),
            or_(WaitingEntry.offered_until.is_(None), WaitingEntry.offered_until > bindparam("now")),
            is_wanted,
        ),
    )


_DAYS = _days_where(and_(_is_between, ServiceDay.service_id == bindparam("service_id")))
_DAYS_OF_SERVICES = _days_where(
    and_(
        _is_between,
        ServiceDay.service_id.in_(
            select(Enrolment.service_id).where(
                Enrolment.household_id == bindparam("household_id"), Enrolment.state == "approved"
            )
        ),
    ),
    ServiceDay.service_id,
)
_DAY_ID = 2
"""The column of a row's day, after the child and what it has there."""
_by_day = attrgetter("day")
_WHAT: tuple[Taken, ...] = ("basket", "booked", "off", "there", "full", "waiting", "offered", "eaten")
_ORDER: tuple[Taken, ...] = ("full", "waiting", "offered", "basket", "off", "eaten", "booked", "there")
"""What counts most, where a meal is several of them, is the last."""


def days_between(
    db: Rows, household_id: int, service_id: int, first: date, last: date, now: datetime, shared: bool = False
) -> tuple[dict[date, Day], dict[Meal, Taken]]:
    """The service days from `first` to `last`, by day, in order; the meals that the household's children have already on
    them: booked, eaten without a booking, called off, in the basket, kept for them, waited for, or another home's; and those
    for which their school has no place left. One statement; some more where a child is `shared` between two homes, whose
    days are the other's then."""
    homes = custodies(db, household_id) if shared else {}
    rows = run(db, _DAYS, household_id=household_id, service_id=service_id, first=first, last=last, now=now)
    return _days_and_taken(rows, homes, household_id)


def days_of_services(
    db: Rows, household_id: int, first: date, last: date, now: datetime, shared: bool = False
) -> dict[int, tuple[dict[date, Day], dict[Meal, Taken]]]:
    """As `days_between`, for every service at which the household has an approved enrolment; by service. One statement, and
    as many more."""
    homes = custodies(db, household_id) if shared else {}
    rows = run(db, _DAYS_OF_SERVICES, household_id=household_id, first=first, last=last, now=now)
    service_of = {row[_DAY_ID]: row[-1] for row in rows if row[0] is None}
    by_service: dict[int, list[Sequence[Any]]] = defaultdict(list)
    for row in rows:
        by_service[service_of[row[_DAY_ID]]].append(row[:-1])
    return {service_id: _days_and_taken(found, homes, household_id) for service_id, found in by_service.items()}


def _days_and_taken(
    rows: Iterable[Sequence[Any]], homes: Mapping[int, Custody], household_id: int
) -> tuple[dict[date, Day], dict[Meal, Taken]]:
    found: list[Day] = []
    had: list[Sequence[Any]] = []
    for row in rows:
        if row[0] is None:
            found.append(Day._make((*row[_DAY_ID:], ())))
        else:
            had.append(row)
    found.sort(key=_by_day)
    days = {day.day: day for day in found}
    taken: dict[Meal, Taken] = {}
    if had:
        dates = {day.id: day.day for day in found}
        for child_id, place, service_day_id, *_nothing in had:
            meal = Meal(child_id, dates[service_day_id])
            taken[meal] = max(_WHAT[place], taken.get(meal, "full"), key=_ORDER.index)
    for meal, what in taken.items():
        # What is in the basket takes what was given back first.
        if what == "basket" and days[meal.day].freed:
            day = days[meal.day]
            days[meal.day] = day._replace(freed=day.freed - 1, spoken_for=(*day.spoken_for, meal.beneficiary_id))
            taken[meal] = "freed"
    return days, with_homes(taken, days, homes, household_id) if homes else taken
