"""Calling off: a strike, a closure, an outing.

A clerk plans it and may take it back until it is carried out, some minutes later. Then every meal concerned is cancelled,
credited in full and told, in one transaction and a bounded number of statements, however many there are. What was noted
before as eaten without a booking was noted wrongly, since nothing is served: it is struck off with all that it moved. On
an outing for which the kitchen prepares picnics every meal stays, and families are told.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import ColumnElement, Select, case, delete, func, insert, literal_column, select, union_all, update
from sqlalchemy.orm import Session

import orders.operations
import wallet.operations
from accounts.models import Account, Beneficiary, HouseholdMember
from cart.days import STANDING, concerns, no_meal
from catalog.models import CallOff, Closure, Commune, Service, ServiceDay
from checkout import freed, unbooked
from checkout.entries import credit_entry
from checkout.errors import AlreadyCalledOff, CallOffChanged, TooLateToTakeBack
from orders.models import Order, Reservation, UnbookedMeal
from shop import audit
from shop.database import TRIES, lock, reading, transaction
from shop.errors import Busy, NotFound
from shop.outbox import Letter, post_all
from wallet.operations import AccountRef

log = structlog.get_logger(__name__)

TIME_TO_TAKE_BACK = timedelta(minutes=10)
NAMED = 200
"""How many of those concerned a clerk is shown by name."""


@dataclass(frozen=True)
class Scope:
    """What is called off, for whom: a day of a service; everybody, the pupils of a school, or of a class of it."""

    service_day_id: int
    school_id: int | None = None
    class_name: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a clerk asks for: the scope, the kind and the sentence that families read."""

    scope: Scope
    kind: str
    words: str
    picnic: bool = False
    """Whether the meals stay, as picnics: for an outing alone."""


class Affected(NamedTuple):
    """What calling off would do."""

    meals: int
    families: int
    """Of these meals, and of those without a booking."""
    cents: int
    unbooked: int = 0
    """Meals without a booking, which are struck off."""
    due_cents: int = 0
    """What of them is due, and would be so no longer."""
    paid_cents: int = 0
    """What of them was paid, and goes back to the wallets."""


class Concerned(NamedTuple):
    """A meal that a call-off concerns: who eats it, and what it costs."""

    first_name: str
    last_name: str
    class_name: str | None
    state: str
    """`booked`; without a booking `due` or `paid`."""
    cents: int


class OrdersMoved(Exception):
    """An order was paid while the call-off took its locks: it begins again."""


class _Meal(NamedTuple):
    id: int
    order_id: int
    household_id: int
    beneficiary_id: int
    cents: int


class _Eaten(NamedTuple):
    """A meal without a booking, as it was before it was struck off."""

    id: int
    household_id: int
    beneficiary_id: int
    state: str
    cents: int


def affected(db: Session, scope: Scope, picnic: bool = False) -> Affected:
    """How many paid meals and families are concerned, and what those cost: it goes back where meals are cancelled; and what
    was noted without a booking. For picnics, which leave it all as it is, the paid meals alone. One statement."""
    booked, eaten = _meals(scope).subquery(), _eaten(scope).subquery()
    concerned = select(booked.c.household_id, literal_column("'booked'").label("state"), booked.c.cents)
    also = select(eaten.c.household_id, eaten.c.state, eaten.c.cents)
    found = (concerned if picnic else union_all(concerned, also)).subquery()

    def number(*states: str) -> ColumnElement[int]:
        return func.count(case((found.c.state.in_(states), 1)))

    def cents(state: str) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((found.c.state == state, found.c.cents))), 0)

    row = db.execute(
        select(
            number("booked"),
            func.count(found.c.household_id.distinct()),
            cents("booked"),
            number("due", "paid"),
            cents("due"),
            cents("paid"),
        )
    ).one()
    return Affected(*map(int, row))


def concerned(db: Session, scope: Scope, picnic: bool = False) -> list[Concerned]:
    """Whom calling off concerns, by name, at most `NAMED`; the meals that `affected` counts. One statement."""
    booked, eaten = _meals(scope).subquery(), _eaten(scope).subquery()
    meals = select(booked.c.beneficiary_id, literal_column("'booked'").label("state"), booked.c.cents)
    also = select(eaten.c.beneficiary_id, eaten.c.state, eaten.c.cents)
    found = (meals if picnic else union_all(meals, also)).subquery()
    rows = db.execute(
        select(Beneficiary.first_name, Beneficiary.last_name, Beneficiary.class_name, found.c.state, found.c.cents)
        .join(found, found.c.beneficiary_id == Beneficiary.id)
        .order_by(Beneficiary.last_name, Beneficiary.first_name, Beneficiary.id, found.c.state)
        .limit(NAMED)
    )
    return [Concerned._make(row) for row in rows]


def _eaten(scope: Scope) -> Select[int, int, int, str, int]:
    """The meals without a booking that a scope concerns."""
    query = (
        select(
            UnbookedMeal.id,
            UnbookedMeal.household_id,
            UnbookedMeal.beneficiary_id,
            UnbookedMeal.state,
            UnbookedMeal.cents,
        )
        .join(Beneficiary, Beneficiary.id == UnbookedMeal.beneficiary_id)
        .where(UnbookedMeal.service_day_id == scope.service_day_id, UnbookedMeal.state != "struck")
        .order_by(UnbookedMeal.id)
    )
    return query.where(*_pupils(scope))


def _meals(scope: Scope, states: Sequence[str] = ("confirmed",)) -> Select[int, int, int, int, int]:
    """The reservations in these states that a scope concerns."""
    query = (
        select(
            Reservation.id,
            Reservation.order_id,
            Reservation.household_id,
            Reservation.beneficiary_id,
            Reservation.cents,
        )
        .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
        .where(Reservation.service_day_id == scope.service_day_id, Reservation.state.in_(states))
        .order_by(Reservation.id)
    )
    return query.where(*_pupils(scope))


def _pupils(scope: Scope) -> list[ColumnElement[bool]]:
    """Whom a scope concerns."""
    wanted = []
    if scope.school_id is not None:
        wanted.append(Beneficiary.school_id == scope.school_id)
    if scope.class_name is not None:
        wanted.append(func.lower(func.trim(Beneficiary.class_name)) == scope.class_name.lower())
    return wanted


def plan(db: Session, asked: Plan, seen: Affected, account_id: int, now: datetime) -> int:
    """Plan the call-off; from now on nothing more is booked for whom it concerns, unless they take picnics. Its number.

    Raises `AlreadyCalledOff`, or `CallOffChanged` when what the clerk saw is not what it would do.
    """
    scope = asked.scope
    (day,) = lock(db, ServiceDay, [scope.service_day_id])
    standing = db.scalar(
        select(CallOff.id)
        .where(
            CallOff.service_day_id == day.id,
            # A strike may follow upon an outing with picnics, which called no meal off.
            CallOff.state.in_(STANDING) if asked.picnic else no_meal(),
            CallOff.school_id.is_(None) | (CallOff.school_id == scope.school_id),
            CallOff.class_name.is_(None) | (func.lower(CallOff.class_name) == (scope.class_name or "").lower()),
        )
        .limit(1)
    )
    if standing is not None or not day.is_open:
        raise AlreadyCalledOff
    found = affected(db, scope, asked.picnic)
    if found != seen:
        raise CallOffChanged(found.meals + found.unbooked, found.cents + found.paid_cents, found.unbooked)
    closure_id = None
    if scope.school_id is None and not asked.picnic:
        commune_id = db.scalars(select(Service.commune_id).where(Service.id == day.service_id)).one()
        closure_id = db.scalar(
            insert(Closure)
            .values(
                commune_id=commune_id,
                service_id=day.service_id,
                first_day=day.day,
                last_day=day.day,
                reason=asked.words[:120],
            )
            .returning(Closure.id)
        )
        day.is_open, day.closed_reason = False, asked.words[:120]
        db.flush()
    number: int = db.execute(
        insert(CallOff)
        .values(
            service_day_id=day.id,
            school_id=scope.school_id,
            class_name=scope.class_name,
            kind=asked.kind,
            picnic=asked.picnic,
            words=asked.words,
            state="planned",
            asked_at=now,
            asked_by_id=account_id,
            due_at=now + TIME_TO_TAKE_BACK,
            closure_id=closure_id,
            meals=0,
            cents=0,
        )
        .returning(CallOff.id)
    ).scalar_one()
    facts: dict[str, object] = {"service_day": day.id, "school": scope.school_id, "class": scope.class_name}
    facts |= {"meals": found.meals, "unbooked": found.unbooked}
    audit.note(db, _regie_of(db, day.service_id), account_id, "call_off_planned", f"call_off:{number}", facts, now)
    return number


def take_back(db: Session, call_off_id: int, account_id: int, now: datetime) -> None:
    """Take a planned call-off back: the day is served and booked as before. Raises `TooLateToTakeBack`."""
    found, day = _lock(db, call_off_id)
    if found.state != "planned":
        raise TooLateToTakeBack
    found.state, found.ended_at, closure_id = "undone", now, found.closure_id
    found.closure_id = None
    if closure_id is not None:
        day.is_open, day.closed_reason = True, None
        db.flush()
        db.execute(delete(Closure).where(Closure.id == closure_id).execution_options(synchronize_session=False))
    db.flush()
    audit.note(db, _regie_of(db, day.service_id), account_id, "call_off_undone", f"call_off:{found.id}", {}, now)


def carry_out(db: Session, call_off_id: int, now: datetime) -> int | None:
    """Cancel, credit, strike off and tell, or tell of the picnics; how many meals, with and without a booking, or nothing
    when it was carried out or taken back.

    Raises `OrdersMoved` when an order was paid between its locks and the day's: the whole is to be tried again.
    """
    row = db.execute(
        select(CallOff.service_day_id, CallOff.school_id, CallOff.class_name).where(
            CallOff.id == call_off_id, CallOff.state == "planned"
        )
    ).first()
    if row is None:
        return None
    scope = Scope(*row)
    # Orders before days, as everywhere; also those that wait for their money, which may come meanwhile.
    order_ids = set(db.scalars(select(_meals(scope, ("held", "confirmed")).subquery().c.order_id)))
    _lock_orders(db, sorted(order_ids))
    found, day = _lock(db, call_off_id)
    if found.state != "planned":
        return None
    meals = [_Meal._make(meal) for meal in db.execute(_meals(scope))]
    if any(meal.order_id not in order_ids for meal in meals):
        raise OrdersMoved
    found.state, found.ended_at = "done", now
    eaten: list[_Eaten] = []
    if found.picnic:
        post_all(db, _letters(db, found.id, "picnics", meals, []), now)
    else:
        # What a clerk notes after she has called off for some pupils, she notes knowingly: it stays.
        before = _eaten(scope).where(UnbookedMeal.noted_at <= found.asked_at)
        eaten = _cancel(db, found, day, meals, [_Eaten._make(meal) for meal in db.execute(before)], now)
        found.meals, found.cents = len(meals), sum(meal.cents for meal in meals)
    db.flush()
    facts: dict[str, object] = {"meals": len(meals), "cents": found.cents, "unbooked": [meal.id for meal in eaten]}
    audit.note(
        db, _regie_of(db, day.service_id), found.asked_by_id, "call_off_done", f"call_off:{found.id}", facts, now
    )
    return len(meals) + len(eaten)


def _lock_orders(db: Session, order_ids: Sequence[int]) -> None:
    """Lock many orders by id, without loading them."""
    db.execute(select(Order.id).where(Order.id.in_(order_ids)).order_by(Order.id).with_for_update(key_share=True))


def follow(db: Session, order_id: int, now: datetime) -> int:
    """Cancel and credit the meals of an order that was paid after they were called off; how many.

    The caller holds the order and its days.
    """
    rows = db.execute(
        select(
            CallOff.id,
            Reservation.id,
            Reservation.order_id,
            Reservation.household_id,
            Reservation.beneficiary_id,
            Reservation.cents,
        )
        .join(CallOff, CallOff.service_day_id == Reservation.service_day_id)
        .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
        .where(
            Reservation.order_id == order_id,
            Reservation.state == "confirmed",
            CallOff.state == "done",
            CallOff.picnic.is_(False),
            concerns(Beneficiary),
        )
        .order_by(CallOff.id, Reservation.id)
    )
    by_call_off: dict[int, list[_Meal]] = defaultdict(list)
    seen: set[int] = set()
    for call_off_id, *meal in rows:
        if meal[0] not in seen:
            seen.add(meal[0])
            by_call_off[call_off_id].append(_Meal._make(meal))
    for call_off_id, meals in by_call_off.items():
        found, day = _lock(db, call_off_id)
        _cancel(db, found, day, meals, [], now)
        found.meals += len(meals)
        found.cents += sum(meal.cents for meal in meals)
        db.flush()
    return len(seen)


def _lock(db: Session, call_off_id: int) -> tuple[CallOff, ServiceDay]:
    """The service day first, by which all that touches it waits, then the call-off."""
    day_id = db.scalar(select(CallOff.service_day_id).where(CallOff.id == call_off_id))
    if day_id is None:
        raise NotFound
    (day,) = lock(db, ServiceDay, [day_id])
    (found,) = lock(db, CallOff, [call_off_id])
    return found, day


def _cancel(
    db: Session, found: CallOff, day: ServiceDay, meals: Sequence[_Meal], noted: Sequence[_Eaten], now: datetime
) -> list[_Eaten]:
    """Cancel and credit these meals and strike off what was noted without a booking, and tell of both; what was struck off:
    a clerk may have done it meanwhile."""
    if not meals and not noted:
        return []
    if meals:
        _cancel_booked(db, found, meals, now)
    regie_id = _regie_of(db, day.service_id)
    entries = [
        credit_entry(meal.id, meal.order_id, regie_id, meal.household_id, meal.cents, found.asked_by_id)
        for meal in meals
        if meal.cents
    ]
    eaten: list[_Eaten] = []
    if noted:
        # All accounts at once, by id, those of the credits too; then the meals: as whoever charges or settles takes them.
        charged = sorted({meal.household_id for meal in noted})
        purses = sorted({meal.household_id for meal in meals}.union(charged))
        owned = [AccountRef("wallet", key) for key in purses] + [AccountRef("receivable", key) for key in charged]
        wallet.operations.lock_accounts(db, regie_id, [*owned, AccountRef("sales")])
        rows = lock(db, UnbookedMeal, [meal.id for meal in noted])
        eaten = [
            _Eaten(row.id, row.household_id, row.beneficiary_id, row.state, row.cents)
            for row in rows
            if row.state != "struck"
        ]
        entries += unbooked.reversals(db, [meal.id for meal in eaten], found.asked_by_id)
    if entries:
        wallet.operations.enter_all(db, entries, now)
    if eaten:
        db.execute(
            update(UnbookedMeal)
            .where(UnbookedMeal.id.in_([meal.id for meal in eaten]))
            .values(
                state="struck",
                struck_at=now,
                struck_by_id=found.asked_by_id,
                struck_reason=found.words,
                call_off_id=found.id,
            )
            .execution_options(synchronize_session=False)
        )
    post_all(db, _letters(db, found.id, "meals_called_off", meals, eaten), now)
    return eaten


def _cancel_booked(db: Session, found: CallOff, meals: Sequence[_Meal], now: datetime) -> None:
    ids = [meal.id for meal in meals]
    orders.operations.cancel_lines(db, ids, found.asked_by_id, now)
    freed.end(db, ids, now)
    # What the town calls off is always credited in full, whatever the rule was when the meal was sold.
    db.execute(
        update(Reservation)
        .where(Reservation.id.in_(ids))
        .values(call_off_id=found.id, credit_cents=Reservation.cents)
        .execution_options(synchronize_session=False)
    )


def _letters(db: Session, call_off_id: int, kind: str, meals: Sequence[_Meal], eaten: Sequence[_Eaten]) -> list[Letter]:
    """One letter a household, to everybody who acts for it."""
    booked: dict[int, list[_Meal]] = defaultdict(list)
    noted: dict[int, list[_Eaten]] = defaultdict(list)
    for meal in meals:
        booked[meal.household_id].append(meal)
    for one in eaten:
        noted[one.household_id].append(one)
    rows = db.execute(
        select(HouseholdMember.household_id, Account.id, Account.email)
        .join(Account, Account.id == HouseholdMember.account_id)
        .where(HouseholdMember.household_id.in_(booked.keys() | noted.keys()), Account.state == "active")
        .order_by(HouseholdMember.household_id, Account.id)
    )
    return [
        _letter(call_off_id, kind, account_id, email, booked.get(household_id, []), noted.get(household_id, []))
        for household_id, account_id, email in rows
    ]


def _letter(
    call_off_id: int, kind: str, account_id: int, email: str, meals: Sequence[_Meal], eaten: Sequence[_Eaten]
) -> Letter:
    # An order that is paid later has its meals called off then, and told in a letter of its own.
    first = meals[0].id if meals else f"unbooked:{eaten[0].id}"
    return Letter(
        kind=kind,
        to=email,
        key=f"called_off:{call_off_id}:{account_id}:{first}",
        facts={
            "call_off_id": call_off_id,
            "reservation_ids": [meal.id for meal in meals],
            "unbooked_ids": [meal.id for meal in eaten],
            "credit_cents": sum(meal.cents for meal in meals)
            + sum(meal.cents for meal in eaten if meal.state == "paid"),
            "due_cents": sum(meal.cents for meal in eaten if meal.state == "due"),
        },
    )


def _regie_of(db: Session, service_id: int) -> int:
    return db.scalars(
        select(Commune.regie_id).join(Service, Service.commune_id == Commune.id).where(Service.id == service_id)
    ).one()


def carry_out_due(now: datetime) -> int:
    """Carry out every call-off whose time has come, each in its own transaction; how many were due. One that fails is tried
    again at the next turn, and keeps no other town hall's waiting."""
    with reading() as db:
        query = select(CallOff.id).where(CallOff.state == "planned", CallOff.due_at <= now).order_by(CallOff.due_at)
        due = list(db.scalars(query))
    for call_off_id in due:
        try:
            carry_out_now(call_off_id, now)
        except Exception:
            log.exception("call-off failed", call_off_id=call_off_id)
    return len(due)


def carry_out_now(call_off_id: int, now: datetime) -> int | None:
    """Carry one call-off out in a transaction of its own; as `carry_out`."""
    for _attempt in range(TRIES):
        try:
            with transaction() as db:
                return carry_out(db, call_off_id, now)
        except OrdersMoved:
            continue
    raise Busy
