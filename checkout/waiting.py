"""The waiting list: places that come free are offered in order of arrival, for a while; taken, declined, or passed on.

An offer is counted among its day's places, so that nobody else gets it. Whoever changes an entry holds the lock on its day.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Integer, and_, bindparam, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from accounts.models import Account, Beneficiary, HouseholdBeneficiary, HouseholdMember
from cart.days import concerns, no_meal
from cart.models import Basket, BasketLine, WaitingEntry
from cart.operations import LIVE_STATES
from catalog.models import CallOff, Commune, SchoolPlace, Service, ServiceDay
from catalog.rules.policies import Policies
from checkout.rules import Places, Waits, next_states
from enrolments.models import Enrolment
from homes.queries import days_elsewhere, elsewhere
from orders.models import Reservation
from shop.database import lock, reading, retried, transaction
from shop.errors import NotFound
from shop.outbox import Letter, post_all
from shop.statements import run_all

log = structlog.get_logger(__name__)

LIVE = ("waiting", "offered")

_MORE = bindparam("more", type_=Integer)
_MOVE_DAY = (
    update(ServiceDay).where(ServiceDay.id == bindparam("day_id")).values(booked_count=ServiceDay.booked_count + _MORE)
)
_MOVE_SCHOOL = (
    update(SchoolPlace)
    .where(SchoolPlace.service_day_id == bindparam("day_id"), SchoolPlace.school_id == bindparam("of_school"))
    .values(booked_count=SchoolPlace.booked_count + _MORE)
)


def _move(db: Session, places: Iterable[tuple[int, int | None]], sign: int) -> None:
    """Take or give back places, each of a day and a school: days by id, then schools."""
    by_place = Counter(places)
    by_day: Counter[int] = Counter()
    for (day_id, _school_id), count in by_place.items():
        by_day[day_id] += count
    run_all(db, _MOVE_DAY, [{"day_id": day_id, "more": sign * count} for day_id, count in sorted(by_day.items())])
    schools = sorted((day_id, key, count) for (day_id, key), count in by_place.items() if key is not None)
    run_all(
        db,
        _MOVE_SCHOOL,
        [{"day_id": day_id, "of_school": key, "more": sign * count} for day_id, key, count in schools],
    )


# --- an order ---


def take(db: Session, entry_ids: Sequence[int], order_id: int, now: datetime) -> None:
    """End the entries of meals that an order is about to hold or book, and give the places back that were offered: the order
    takes its own. The caller holds the days."""
    ended = db.execute(
        update(WaitingEntry)
        .where(WaitingEntry.id.in_(entry_ids), WaitingEntry.state.in_(LIVE))
        .values(state="taken", order_id=order_id, ended_at=now)
        .returning(WaitingEntry.service_day_id, WaitingEntry.school_id, WaitingEntry.offered_until)
        .execution_options(synchronize_session=False)
    ).all()
    _move(db, [(row.service_day_id, row.school_id) for row in ended if row.offered_until is not None], -1)


def give_back(db: Session, order_id: int, now: datetime) -> None:
    """After an order has let go of its places: what it took from an offer that still runs is kept for the family again, and
    who waited waits as before. The caller holds the days."""
    rows = db.execute(
        select(WaitingEntry.id, WaitingEntry.service_day_id, WaitingEntry.offered_until, Reservation.school_id)
        .join(
            Reservation,
            and_(
                Reservation.order_id == WaitingEntry.order_id,
                Reservation.beneficiary_id == WaitingEntry.beneficiary_id,
                Reservation.service_day_id == WaitingEntry.service_day_id,
            ),
        )
        .where(WaitingEntry.order_id == order_id)
        .order_by(WaitingEntry.id)
    ).all()
    changes: list[dict[str, Any]] = []
    again: list[tuple[int, int | None]] = []
    for row in rows:
        change = {"id": row.id, "order_id": None, "ended_at": None, "school_id": None}
        if row.offered_until is None:
            changes.append(change | {"state": "waiting"})
        elif now < row.offered_until:
            # Among the places of the school where the order's was: that one has just come free.
            changes.append(change | {"state": "offered", "school_id": row.school_id})
            again.append((row.service_day_id, row.school_id))
        else:
            changes.append(change | {"state": "lapsed", "ended_at": now})
    if changes:
        db.execute(update(WaitingEntry), changes)
        _move(db, again, +1)


class Kept(NamedTuple):
    """An entry for a meal of an order whose places were given back."""

    id: int
    beneficiary_id: int
    service_day_id: int
    offered: bool
    school_id: int | None


def entries_of(db: Session, order_id: int) -> list[Kept]:
    """The household's own entries, still live, for the meals of an order."""
    rows = db.execute(
        select(
            WaitingEntry.id,
            WaitingEntry.beneficiary_id,
            WaitingEntry.service_day_id,
            WaitingEntry.state == "offered",
            WaitingEntry.school_id,
        )
        .join(
            Reservation,
            and_(
                Reservation.household_id == WaitingEntry.household_id,
                Reservation.beneficiary_id == WaitingEntry.beneficiary_id,
                Reservation.service_day_id == WaitingEntry.service_day_id,
            ),
        )
        .where(Reservation.order_id == order_id, WaitingEntry.state.in_(LIVE))
    )
    return [Kept._make(row) for row in rows]


# --- the family ---


def leave(db: Session, household_id: int, entry_id: int, now: datetime) -> str | None:
    """Leave the list, or decline the offer, whose place goes on to the next; the state that the entry had, or nothing when
    it had ended already. Raises `NotFound` for another family's."""
    owned = (WaitingEntry.id == entry_id, WaitingEntry.household_id == household_id)
    day_id = db.scalar(select(WaitingEntry.service_day_id).where(*owned))
    if day_id is None:
        raise NotFound
    lock(db, ServiceDay, [day_id])
    entry = db.get_one(WaitingEntry, entry_id, populate_existing=True)
    before = entry.state
    if before not in LIVE:
        return None
    entry.state, entry.ended_at = "declined" if before == "offered" else "left", now
    db.flush()
    if before == "offered":
        _move(db, [(day_id, entry.school_id)], -1)
        offer_at_once(db, [day_id], now)
    return before


class Entry(NamedTuple):
    """An entry as its family reads it."""

    id: int
    state: str
    first_name: str
    last_name: str
    beneficiary_id: int
    day: date
    service_name: str
    service_slug: str
    commune_slug: str
    offered_until: datetime | None
    book_deadline_at: datetime
    in_basket: bool
    before: int
    """How many wait and came earlier: of its school where that has places of its own."""

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def code(self) -> str:
        """How the booking page names the meal."""
        return f"{self.beneficiary_id}.{self.day.isoformat()}"

    def is_kept(self, now: datetime) -> bool:
        """Whether a place is kept for it now."""
        return self.state == "offered" and self.offered_until is not None and now < self.offered_until


_other, _pupil = aliased(WaitingEntry), aliased(Beneficiary)
_BEFORE = (
    select(func.count(_other.id))
    .join(_pupil, _pupil.id == _other.beneficiary_id)
    .where(
        _other.service_day_id == WaitingEntry.service_day_id,
        _other.state == "waiting",
        _other.id < WaitingEntry.id,
        or_(SchoolPlace.id.is_(None), _pupil.school_id == SchoolPlace.school_id),
    )
    .correlate(WaitingEntry, SchoolPlace)
    .scalar_subquery()
)
_ENTRIES = (
    select(
        WaitingEntry.id,
        WaitingEntry.state,
        Beneficiary.first_name,
        Beneficiary.last_name,
        Beneficiary.id,
        ServiceDay.day,
        Service.name,
        Service.slug,
        Commune.slug,
        WaitingEntry.offered_until,
        ServiceDay.book_deadline_at,
        select(BasketLine.id)
        .join(Basket, Basket.id == BasketLine.basket_id)
        .where(
            Basket.household_id == WaitingEntry.household_id,
            Basket.state.in_(LIVE_STATES),
            BasketLine.beneficiary_id == WaitingEntry.beneficiary_id,
            BasketLine.service_day_id == WaitingEntry.service_day_id,
        )
        .correlate(WaitingEntry)
        .exists(),
        _BEFORE,
    )
    .join(Beneficiary, Beneficiary.id == WaitingEntry.beneficiary_id)
    .join(ServiceDay, ServiceDay.id == WaitingEntry.service_day_id)
    .join(Service, Service.id == ServiceDay.service_id)
    .join(Commune, Commune.id == Service.commune_id)
    .outerjoin(
        SchoolPlace,
        and_(
            SchoolPlace.service_day_id == ServiceDay.id,
            SchoolPlace.school_id == Beneficiary.school_id,
            SchoolPlace.capacity.is_not(None),
        ),
    )
)


def entries_ahead(db: Session, household_id: int, today: date) -> list[Entry]:
    """The household's entries for days from today on, but those that it left, by day and name. One statement."""
    rows = db.execute(
        _ENTRIES.where(
            WaitingEntry.household_id == household_id, ServiceDay.day >= today, WaitingEntry.state != "left"
        ).order_by(ServiceDay.day, Beneficiary.first_name, WaitingEntry.id)
    )
    return [Entry._make(row) for row in rows]


def closed_by_custody(db: Session, household_id: int, entries: Iterable[Entry]) -> set[int]:
    """Those of the household's entries of which nothing more can come because the child's other home decides on that day.
    No statement where no entry is over."""
    over = {entry.id: (entry.beneficiary_id, entry.day) for entry in entries if entry.state == "over"}
    away = days_elsewhere(db, household_id, set(over.values())) if over else set()
    return {key for key, meal in over.items() if meal in away}


def get_entry(db: Session, entry_id: int) -> Entry:
    """The entry of that id, which must exist."""
    return Entry._make(db.execute(_ENTRIES.where(WaitingEntry.id == entry_id)).one())


def end_with_household(db: Session, household_id: int, _account_id: int, now: datetime) -> None:
    """The family closes its account: it waits for nothing more."""
    mine = (WaitingEntry.household_id == household_id, WaitingEntry.state.in_(LIVE))
    lock(db, ServiceDay, db.scalars(select(WaitingEntry.service_day_id).where(*mine)).all())
    rows = db.execute(
        select(WaitingEntry.id, WaitingEntry.state, WaitingEntry.service_day_id, WaitingEntry.school_id).where(*mine)
    ).all()
    if not rows:
        return
    db.execute(
        update(WaitingEntry)
        .where(WaitingEntry.id.in_([row.id for row in rows]))
        .values(state="left", ended_at=now)
        .execution_options(synchronize_session=False)
    )
    _move(db, [(row.service_day_id, row.school_id) for row in rows if row.state == "offered"], -1)


# --- the worker ---


def make_offers(now: datetime) -> int:
    """End what has ended and offer what is free, each day in its own transaction; on how many days there was something to
    do. A day that fails is tried again at the next turn, and keeps no other waiting."""
    with reading() as db:
        due = sorted({*db.scalars(_due(now)), *_given_to_another_home(db)})
    for day_id in due:
        try:
            retried(lambda day_id=day_id: _turn(day_id, now))  # type: ignore[misc]
        except Exception:
            log.exception("waiting list failed", service_day_id=day_id)
    return len(due)


def offer_at_once(db: Session, day_ids: Collection[int], now: datetime) -> None:
    """After places of these days came free: offer them in the same transaction to those who wait, so that nobody comes in
    between. The caller holds the days, and no ledger account yet. One statement where nobody waits."""
    for day_id in db.scalars(_due(now).where(WaitingEntry.service_day_id.in_(day_ids))).all():
        turn(db, day_id, now)


def _given_to_another_home(db: Session) -> list[int]:
    """The days on which an entry is of a home that does not decide any more."""
    rows = db.execute(
        select(WaitingEntry.household_id, WaitingEntry.beneficiary_id, ServiceDay.day, ServiceDay.id)
        .join(ServiceDay, ServiceDay.id == WaitingEntry.service_day_id)
        .where(WaitingEntry.state.in_(LIVE), _has_another_home())
    ).all()
    away = elsewhere(db, [(household_id, child, day) for household_id, child, day, _day_id in rows])
    return [day_id for household_id, child, day, day_id in rows if (household_id, child, day) in away]


def _has_another_home() -> Any:
    """Whether the child of an entry lives in another home too."""
    return (
        select(HouseholdBeneficiary.id)
        .where(
            HouseholdBeneficiary.beneficiary_id == WaitingEntry.beneficiary_id,
            HouseholdBeneficiary.household_id != WaitingEntry.household_id,
            HouseholdBeneficiary.archived_at.is_(None),
        )
        .correlate(WaitingEntry)
        .exists()
    )


def _turn(day_id: int, now: datetime) -> None:
    with transaction() as db:
        turn(db, day_id, now)


def _is_booked() -> Any:
    """Whether the child of an entry has a meal on that day, booked by whomever."""
    return (
        select(Reservation.id)
        .where(
            Reservation.beneficiary_id == WaitingEntry.beneficiary_id,
            Reservation.service_day_id == WaitingEntry.service_day_id,
            Reservation.state.in_(("held", "confirmed")),
        )
        .correlate(WaitingEntry)
        .exists()
    )


def _due(now: datetime) -> Any:
    """The days on which an entry may move."""
    day_has_place = or_(ServiceDay.capacity.is_(None), ServiceDay.booked_count < ServiceDay.capacity)
    school_has_place = or_(SchoolPlace.capacity.is_(None), SchoolPlace.booked_count < SchoolPlace.capacity)
    return (
        select(WaitingEntry.service_day_id)
        .join(ServiceDay, ServiceDay.id == WaitingEntry.service_day_id)
        .join(Beneficiary, Beneficiary.id == WaitingEntry.beneficiary_id)
        .outerjoin(
            SchoolPlace,
            and_(SchoolPlace.service_day_id == ServiceDay.id, SchoolPlace.school_id == Beneficiary.school_id),
        )
        .where(
            WaitingEntry.state.in_(LIVE),
            or_(
                WaitingEntry.offered_until <= now,
                ServiceDay.book_deadline_at <= now,
                ~ServiceDay.is_open,
                and_(WaitingEntry.state == "waiting", day_has_place, school_has_place),
                _is_booked(),
            ),
        )
        .distinct()
        .order_by(WaitingEntry.service_day_id)
    )


def turn(db: Session, day_id: int, now: datetime) -> None:
    """What there is to do on a day: end entries, give their places back, offer what is free, and tell it."""
    (day,) = lock(db, ServiceDay, [day_id])
    of_day = select(SchoolPlace.id).where(SchoolPlace.service_day_id == day_id)
    schools = {row.school_id: row for row in lock(db, SchoolPlace, db.scalars(of_day).all())}
    waits = _waits(db, day)
    moved = next_states(
        Places(day.is_open, day.capacity, day.booked_count, day.book_deadline_at),
        {key: (row.capacity, row.booked_count) for key, row in schools.items()},
        waits,
        now,
    )
    ended = [wait for wait in waits if moved.get(wait.id) in ("lapsed", "over")]
    offered = [wait for wait in waits if moved.get(wait.id) == "offered"]
    if ended:
        db.execute(update(WaitingEntry), [{"id": wait.id, "state": moved[wait.id], "ended_at": now} for wait in ended])
        _move(db, [(day_id, wait.kept_school_id) for wait in ended if wait.state == "offered"], -1)
    if offered:
        policies = db.scalars(select(Service.policies).where(Service.id == day.service_id)).one()
        until = min(now + timedelta(hours=Policies.from_json(policies).offer_hours), day.book_deadline_at)
        facts = {"state": "offered", "offered_at": now, "offered_until": until}
        db.execute(update(WaitingEntry), [facts | {"id": wait.id, "school_id": wait.school_id} for wait in offered])
        _move(db, [(day_id, wait.school_id) for wait in offered], +1)
        post_all(db, _letters(db, offered), now)


def _waits(db: Session, day: ServiceDay) -> list[Waits]:
    """Who waits or has an offer on a day, in order of arrival. One statement; some more where a child has two homes."""
    rows = db.execute(_queue(day.id, day.service_id, day.day)).all()
    away = elsewhere(db, [(row.household_id, row.beneficiary_id, day.day) for row in rows if row.has_another_home])
    return [Waits._make([*facts, (facts[1], child, day.day) in away]) for *facts, child, _has_another in rows]


def _queue(day_id: int, service_id: int, day: date) -> Any:
    """The facts of `Waits` but the last; the child, and whether it has another home."""
    entitled = (
        select(Enrolment.id)
        .join(
            HouseholdBeneficiary,
            and_(
                HouseholdBeneficiary.household_id == Enrolment.household_id,
                HouseholdBeneficiary.beneficiary_id == Enrolment.beneficiary_id,
                HouseholdBeneficiary.archived_at.is_(None),
            ),
        )
        .where(
            Enrolment.household_id == WaitingEntry.household_id,
            Enrolment.beneficiary_id == WaitingEntry.beneficiary_id,
            Enrolment.service_id == service_id,
            Enrolment.state == "approved",
            Enrolment.valid_from <= day,
            Enrolment.valid_until >= day,
        )
        .correlate(WaitingEntry)
        .exists()
    )
    # Of the two states that stand, "done" comes first.
    called_off = (
        select(func.min(CallOff.state))
        .where(CallOff.service_day_id == day_id, concerns(Beneficiary), no_meal())
        .correlate(Beneficiary)
        .scalar_subquery()
    )
    return (
        select(
            WaitingEntry.id,
            WaitingEntry.household_id,
            WaitingEntry.state,
            WaitingEntry.offered_until,
            WaitingEntry.school_id,
            Beneficiary.school_id.label("own_school_id"),
            entitled,
            _is_booked(),
            called_off,
            WaitingEntry.beneficiary_id,
            _has_another_home().label("has_another_home"),
        )
        .join(Beneficiary, Beneficiary.id == WaitingEntry.beneficiary_id)
        .where(WaitingEntry.service_day_id == day_id, WaitingEntry.state.in_(LIVE))
        .order_by(WaitingEntry.id)
    )


def _letters(db: Session, offered: Sequence[Waits]) -> list[Letter]:
    """One letter an offer, to everybody who acts for the household."""
    of_household: dict[int, list[Waits]] = {}
    for wait in offered:
        of_household.setdefault(wait.household_id, []).append(wait)
    rows = db.execute(
        select(HouseholdMember.household_id, Account.id, Account.email)
        .join(Account, Account.id == HouseholdMember.account_id)
        .where(HouseholdMember.household_id.in_(of_household), Account.state == "active")
        .order_by(HouseholdMember.household_id, Account.id)
    )
    return [
        Letter(kind="place_offered", to=email, key=f"place_offered:{wait.id}:{account_id}", facts={"entry_id": wait.id})
        for household_id, account_id, email in rows
        for wait in of_household[household_id]
    ]
