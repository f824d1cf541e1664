"""Freed meals: what can no longer be cancelled is given back, and stays due until another family has paid for it.

Whoever changes a freed meal holds its service day, as whoever changes a reservation does; only what nobody took in time
ends without it, and only while it is on offer. While the other family pays by card, its meal waits in the place of the one
that was given back: both are alive, and the day counts one.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

import orders.operations
from accounts.models import Account, Beneficiary, HouseholdBeneficiary
from cart.meals import BasketMeal
from catalog.models import SchoolPlace, Service, ServiceDay
from checkout.entries import credit_entry
from checkout.errors import CannotGiveBack, CannotKeep, PlaceJustTaken
from checkout.rules import why_not_given_back
from orders.models import FreedMeal, Order, Reservation
from orders.operations import At
from orders.queries import freed_state, reserved
from shop.database import lock, reading, transaction
from shop.errors import NotFound
from shop.outbox import Letter, post_all
from wallet.operations import Entry

ALIVE = ("offered", "held")


class PaidMeal(NamedTuple):
    """A reservation as its family gives it back."""

    id: int
    service_day_id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    cents: int
    state: str
    cancel_deadline_at: datetime
    freed_deadline_at: datetime | None
    freed: str | None
    """What became of it when it was given back last; nothing when it never was."""


def find(db: Session, household_id: int, reservation_id: int) -> PaidMeal:
    """The household's reservation. Raises `NotFound`."""
    row = db.execute(
        reserved(
            Reservation.id,
            Reservation.service_day_id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            ServiceDay.day,
            Service.name,
            Reservation.cents,
            Reservation.state,
            Reservation.cancel_deadline_at,
            ServiceDay.freed_deadline_at,
            freed_state(),
        ).where(Reservation.id == reservation_id, Reservation.household_id == household_id)
    ).first()
    if row is None:
        raise NotFound
    return PaidMeal._make(row)


def give_back(db: Session, household_id: int, account_id: int, reservation_id: int, now: datetime) -> bool:
    """Offer the meal to other families; whether it was not on offer already. Raises `NotFound`, `CannotGiveBack`."""
    meal = _locked(db, household_id, reservation_id)
    if meal.freed in ALIVE:
        return False
    why = why_not_given_back(meal.state, meal.cancel_deadline_at, meal.freed_deadline_at, now, meal.freed)
    if why is not None:
        raise CannotGiveBack(why)
    offer = FreedMeal(
        reservation_id=meal.id,
        service_day_id=meal.service_day_id,
        state="offered",
        offered_at=now,
        offered_by_id=account_id,
    )
    db.add(offer)
    db.flush()
    return True


def keep(db: Session, household_id: int, reservation_id: int, now: datetime) -> bool:
    """Take the meal back; whether it was on offer. Raises `NotFound`, `CannotKeep` when another family has it or pays it."""
    meal = _locked(db, household_id, reservation_id)
    if meal.freed in ("held", "taken"):
        raise CannotKeep(paid=meal.freed == "taken")
    if meal.freed != "offered":
        return False
    end(db, [reservation_id], now)
    return True


def _locked(db: Session, household_id: int, reservation_id: int) -> PaidMeal:
    lock(db, ServiceDay, [find(db, household_id, reservation_id).service_day_id])
    return find(db, household_id, reservation_id)


def _alive(reservation_ids: Collection[int]) -> Select[*tuple[Any, ...]]:
    query: Select[*tuple[Any, ...]] = (
        select(FreedMeal.id, FreedMeal.service_day_id, FreedMeal.state)
        .where(FreedMeal.reservation_id.in_(reservation_ids), FreedMeal.state.in_(ALIVE))
        .order_by(FreedMeal.id)
    )
    return query


class Offer(NamedTuple):
    """A freed meal that another family takes, and whose it was."""

    id: int
    service_day_id: int
    reservation_id: int
    order_id: int
    regie_id: int
    household_id: int
    cents: int
    school_id: int | None
    """Among whose places it counts."""
    account_id: int
    """Who gave it back."""
    email: str


_OFFERS: Select[*tuple[Any, ...]] = (
    select(
        FreedMeal.id,
        FreedMeal.service_day_id,
        FreedMeal.reservation_id,
        Reservation.order_id,
        Order.regie_id,
        Reservation.household_id,
        Reservation.cents,
        Reservation.school_id,
        FreedMeal.offered_by_id,
        Account.email,
    )
    .join(Reservation, Reservation.id == FreedMeal.reservation_id)
    .join(Order, Order.id == Reservation.order_id)
    .join(Account, Account.id == FreedMeal.offered_by_id)
    .order_by(FreedMeal.id)
    .with_for_update(key_share=True, of=FreedMeal)
)


class Place(NamedTuple):
    """A meal of an order that takes the place of one that was given back."""

    beneficiary_id: int
    service_day_id: int


def places_of(meals: Sequence[BasketMeal]) -> list[Place]:
    """The places that lines of a basket take."""
    return [Place(meal.beneficiary_id, meal.service_day_id) for meal in meals]


def take(db: Session, household_id: int, places: Sequence[Place]) -> list[Offer]:
    """Lock a freed meal for each place, in the order in which they were offered; never one of the family's own.

    The caller holds the days. Raises `PlaceJustTaken` when there are not enough.
    """
    own = select(HouseholdBeneficiary.beneficiary_id).where(HouseholdBeneficiary.household_id == household_id)
    wanted: dict[int, int] = defaultdict(int)
    for place in places:
        wanted[place.service_day_id] += 1
    rows = db.execute(
        _OFFERS.where(
            FreedMeal.service_day_id.in_(sorted(wanted)),
            FreedMeal.state == "offered",
            Reservation.household_id != household_id,
            Reservation.beneficiary_id.not_in(own),
        )
    )
    found = []
    for offer in map(Offer._make, rows):
        if wanted[offer.service_day_id]:
            wanted[offer.service_day_id] -= 1
            found.append(offer)
    if any(wanted.values()):
        raise PlaceJustTaken
    return found


def _pairs(offers: Sequence[Offer], places: Sequence[Place]) -> list[tuple[Offer, Place]]:
    """Which meal stands in the place of which offer, the same each time."""
    waiting: dict[int, list[Place]] = defaultdict(list)
    for place in places:
        waiting[place.service_day_id].append(place)
    return [(offer, waiting[offer.service_day_id].pop()) for offer in offers]


def schools_of(offers: Sequence[Offer], places: Sequence[Place]) -> list[At]:
    """The schools at which the meals count: those of the children who have given their place."""
    return [At(*place, offer.school_id) for offer, place in _pairs(offers, places)]


def held_by(db: Session, order_id: int) -> list[Offer]:
    """Lock the freed meals that an order holds while its card payment is awaited. The caller holds the days."""
    theirs = select(Reservation.id).where(Reservation.order_id == order_id)
    rows = db.execute(_OFFERS.where(FreedMeal.taker_id.in_(theirs), FreedMeal.state == "held"))
    return [Offer._make(row) for row in rows]


def pass_places(db: Session, freed_ids: Sequence[int], sign: int) -> None:
    """Let the places of freed meals go to those who hold them (-1: the day counts one for both meals), or come back (+1)."""
    count = (
        select(func.count())
        .where(FreedMeal.service_day_id == ServiceDay.id, FreedMeal.id.in_(freed_ids))
        .correlate(ServiceDay)
        .scalar_subquery()
    )
    days = select(FreedMeal.service_day_id).where(FreedMeal.id.in_(freed_ids))
    db.execute(
        update(ServiceDay)
        .where(ServiceDay.id.in_(days))
        .values(booked_count=ServiceDay.booked_count + sign * count)
        .execution_options(synchronize_session=False)
    )
    of_school = (
        select(func.count())
        .select_from(FreedMeal)
        .join(Reservation, Reservation.id == FreedMeal.reservation_id)
        .where(
            FreedMeal.service_day_id == SchoolPlace.service_day_id,
            Reservation.school_id == SchoolPlace.school_id,
            FreedMeal.id.in_(freed_ids),
        )
        .correlate(SchoolPlace)
        .scalar_subquery()
    )
    db.execute(
        update(SchoolPlace)
        .where(SchoolPlace.service_day_id.in_(days))
        .values(booked_count=SchoolPlace.booked_count + sign * of_school)
        .execution_options(synchronize_session=False)
    )


def hand_over(db: Session, offers: Sequence[Offer], now: datetime) -> list[Entry]:
    """Cancel the meals that were given back and write to whom they belonged; the entries that credit them in full.

    The entries are made together with the payment's own, so that all accounts are locked at once.
    """
    ids = [offer.reservation_id for offer in offers]
    orders.operations.cancel_lines(db, ids, offers[0].account_id, now)
    gave = (
        select(FreedMeal.offered_by_id)
        .where(FreedMeal.reservation_id == Reservation.id, FreedMeal.id.in_([offer.id for offer in offers]))
        .correlate(Reservation)
        .scalar_subquery()
    )
    db.execute(
        update(Reservation)
        .where(Reservation.id.in_(ids))
        .values(credit_cents=Reservation.cents, cancelled_by_id=gave)
        .execution_options(synchronize_session=False)
    )
    letters = [
        Letter(
            kind="freed_taken",
            to=offer.email,
            key=f"freed_taken:{offer.id}",
            facts={"reservation_id": offer.reservation_id, "credit_cents": offer.cents},
        )
        for offer in offers
    ]
    post_all(db, letters, now)
    return [
        credit_entry(
            offer.reservation_id, offer.order_id, offer.regie_id, offer.household_id, offer.cents, offer.account_id
        )
        for offer in offers
        if offer.cents
    ]


def note_takers(db: Session, order_id: int, offers: Sequence[Offer], places: Sequence[Place], now: datetime) -> None:
    """Note which meal of the order stands in the place of which offer: held, or taken when the order is paid."""
    rows = db.execute(
        select(Reservation.beneficiary_id, Reservation.service_day_id, Reservation.id, Reservation.state).where(
            Reservation.order_id == order_id
        )
    )
    meals = {Place(beneficiary_id, day_id): (number, state) for beneficiary_id, day_id, number, state in rows}
    changes = []
    for offer, place in _pairs(offers, places):
        number, state = meals[place]
        held = state == "held"
        changes.append(
            {
                "id": offer.id,
                "state": "held" if held else "taken",
                "taker_id": number,
                "ended_at": None if held else now,
            }
        )
    db.execute(update(FreedMeal), changes)


def settle_held(db: Session, order_id: int, now: datetime) -> list[Entry]:
    """The order is paid: what it holds is taken. The entries that credit those who gave it back."""
    offers = held_by(db, order_id)
    if not offers:
        return []
    entries = hand_over(db, offers, now)
    # The place has passed to the other family's meal when it was held.
    ids = [offer.id for offer in offers]
    pass_places(db, ids, +1)
    db.execute(
        update(FreedMeal)
        .where(FreedMeal.id.in_(ids))
        .values(state="taken", ended_at=now)
        .execution_options(synchronize_session=False)
    )
    return entries


def release_held(db: Session, order_id: int, now: datetime) -> None:
    """The order was not paid, and its places are given back: what it held is on offer again, or too late."""
    offers = held_by(db, order_id)
    if not offers:
        return
    ids = [offer.id for offer in offers]
    pass_places(db, ids, +1)
    db.execute(
        update(FreedMeal)
        .where(FreedMeal.id.in_(ids))
        .values(state="offered", taker_id=None)
        .execution_options(synchronize_session=False)
    )
    lapse(db, now)


def end(db: Session, reservation_ids: Sequence[int], now: datetime) -> None:
    """These meals were cancelled for another reason: they are on offer no more. Who pays one by card at this moment keeps the
    place as its own. The caller holds the days."""
    rows = db.execute(_alive(reservation_ids).with_for_update(key_share=True)).all()
    if not rows:
        return
    held = [row.id for row in rows if row.state == "held"]
    if held:
        pass_places(db, held, +1)
    db.execute(
        update(FreedMeal)
        .where(FreedMeal.id.in_([row.id for row in rows]))
        .values(state="withdrawn", taker_id=None, ended_at=now)
        .execution_options(synchronize_session=False)
    )


def _too_late(now: datetime) -> Select[*tuple[Any, ...]]:
    limit = ServiceDay.freed_deadline_at
    days: Select[*tuple[Any, ...]] = (
        select(FreedMeal.id)
        .join(ServiceDay, ServiceDay.id == FreedMeal.service_day_id)
        .where(FreedMeal.state == "offered", or_(limit.is_(None), limit <= now))
    )
    return days


def lapse(db: Session, now: datetime) -> None:
    """End what is on offer still, and nobody can take any more."""
    db.execute(
        update(FreedMeal)
        .where(FreedMeal.id.in_(_too_late(now)), FreedMeal.state == "offered")
        .values(state="lapsed", ended_at=now)
        .execution_options(synchronize_session=False)
    )


def lapse_due(now: datetime) -> int:
    """End what nobody took in time; how many meals."""
    with reading() as db:
        due = len(db.scalars(_too_late(now)).all())
    if due:
        with transaction() as db:
            lapse(db, now)
    return due
