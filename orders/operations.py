"""Verbs of orders and their reservations, in set-based statements: their number does not grow with the meals.

Callers hold the locks in the order that `shop.database.lock` names: the order's row, then the service days.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Insert, Integer, and_, bindparam, func, insert, literal_column, select, update
from sqlalchemy.orm import Session

from catalog.models import SchoolPlace, ServiceDay
from orders.models import Order, Reservation
from orders.numbers import new_number
from shop.database import AnySelect
from shop.statements import run, run_all

LINE_COLUMNS = (
    "order_id",
    "household_id",
    "beneficiary_id",
    "service_day_id",
    "school_id",
    "tariff_id",
    "tariff_price_id",
    "cents",
    "credit_cents",
    "basis",
    "cancel_deadline_at",
    "state",
)
"""What a select given to `place_lines` yields, in this order."""


@dataclass(frozen=True)
class NewOrder:
    """An order about to be placed."""

    household_id: int
    regie_id: int
    basket_id: int
    account_id: int
    total_cents: int
    settlement: str
    held_until: datetime | None
    """None when it is paid at once."""


_ORDER = insert(Order).returning(Order.id)


def place(db: Session, order: NewOrder, now: datetime) -> tuple[int, str]:
    """Write the order, `paid` or `pending` until `held_until`. Its id and its number."""
    number = new_number()
    pending = order.held_until is not None
    order_id: int = run(
        db,
        _ORDER,
        number=number,
        household_id=order.household_id,
        regie_id=order.regie_id,
        basket_id=order.basket_id,
        account_id=order.account_id,
        total_cents=order.total_cents,
        settlement=order.settlement,
        state="pending" if pending else "paid",
        placed_at=now,
        held_until=order.held_until,
        paid_at=None if pending else now,
    ).scalar()
    return order_id, number


def lines_from(lines: AnySelect) -> Insert:
    """The statement that writes reservations from a select that yields `LINE_COLUMNS`; its `bindparam`s stay open."""
    return insert(Reservation).from_select(list(LINE_COLUMNS), lines, include_defaults=False)


class At(NamedTuple):
    """A meal of an order that counts at a school which may not be the child's."""

    beneficiary_id: int
    service_day_id: int
    school_id: int | None


_COUNTED_AT = (
    update(Reservation)
    .where(
        Reservation.order_id == bindparam("of_order"),
        Reservation.beneficiary_id == bindparam("of_child"),
        Reservation.service_day_id == bindparam("on_day"),
    )
    .values(school_id=bindparam("at_school"))
)


def count_at(db: Session, order_id: int, meals: Sequence[At]) -> None:
    """Let meals that take no place yet count at these schools: theirs was given back by a child who goes there."""
    rows = [
        {"of_order": order_id, "of_child": child_id, "on_day": day_id, "at_school": school_id}
        for child_id, day_id, school_id in meals
    ]
    run_all(db, _COUNTED_AT, rows)


def place_lines(db: Session, statement: Insert, order_id: int, at: Sequence[At] = (), **facts: Any) -> None:
    """Write the order's reservations by a statement of `lines_from`, and take their places; as `at` says where it is not at
    the child's own school."""
    run(db, statement, order_id=order_id, **facts)
    count_at(db, order_id, at)
    _count_places(db, order_id, +1)


def confirm(db: Session, order_id: int, now: datetime) -> None:
    """The money for a pending order is there: its held places are booked."""
    _set_lines(db, order_id, "held", "confirmed")
    _set_order(db, order_id, state="paid", paid_at=now)


def release(db: Session, order_id: int, now: datetime, state: str) -> None:
    """Give the held places of a pending order back; it becomes `expired` or `cancelled`."""
    _count_places(db, order_id, -1)
    _set_lines(db, order_id, "held", "released")
    _set_order(db, order_id, state=state, closed_at=now)


def revive(db: Session, order_id: int, now: datetime) -> None:
    """Money came after the hold had lapsed, and the places are still free: the order is booked after all.

    It lets go of its basket, which was open again since the lapse and may be ordered anew.
    """
    _set_lines(db, order_id, "released", "confirmed")
    _count_places(db, order_id, +1)
    _set_order(db, order_id, state="paid", paid_at=now, closed_at=None, basket_id=None)


_BY_SCHOOL = (
    # Named as text: what stands in RETURNING is not correlated by itself.
    select(SchoolPlace.id).where(SchoolPlace.service_day_id == literal_column("service_days.id")).exists()
)
"""Whether a school has places of its own on the day: only then there is more to count."""


def cancel_lines(db: Session, reservation_ids: Sequence[int], account_id: int, now: datetime) -> None:
    """Cancel confirmed reservations and give their places back."""
    counts = (
        select(func.count())
        .where(Reservation.service_day_id == ServiceDay.id, Reservation.id.in_(reservation_ids))
        .correlate(ServiceDay)
        .scalar_subquery()
    )
    days = select(Reservation.service_day_id).where(Reservation.id.in_(reservation_ids))
    by_school = db.scalars(
        update(ServiceDay)
        .where(ServiceDay.id.in_(days))
        .values(booked_count=ServiceDay.booked_count - counts)
        .returning(_BY_SCHOOL)
        .execution_options(synchronize_session=False)
    ).all()
    if any(by_school):
        _give_back_to_schools(db, reservation_ids)
    db.execute(
        update(Reservation)
        .where(Reservation.id.in_(reservation_ids))
        .values(state="cancelled", cancelled_at=now, cancelled_by_id=account_id)
        .execution_options(synchronize_session=False)
    )


def _give_back_to_schools(db: Session, reservation_ids: Sequence[int]) -> None:
    of_school = (
        select(func.count())
        .where(
            Reservation.service_day_id == SchoolPlace.service_day_id,
            Reservation.school_id == SchoolPlace.school_id,
            Reservation.id.in_(reservation_ids),
        )
        .correlate(SchoolPlace)
        .scalar_subquery()
    )
    days = select(Reservation.service_day_id).where(Reservation.id.in_(reservation_ids))
    db.execute(
        update(SchoolPlace)
        .where(SchoolPlace.service_day_id.in_(days))
        .values(booked_count=SchoolPlace.booked_count - of_school)
        .execution_options(synchronize_session=False)
    )


_LIVE_LINES = and_(Reservation.order_id == bindparam("order_id"), Reservation.state.in_(["held", "confirmed"]))
_SIGN = bindparam("sign", type_=Integer)
_PLACES = (
    select(Reservation.service_day_id, func.count().label("places"))
    .where(_LIVE_LINES)
    .group_by(Reservation.service_day_id)
    .subquery()
)
_COUNT_PLACES = (
    update(ServiceDay)
    .where(ServiceDay.id == _PLACES.c.service_day_id)
    .values(booked_count=ServiceDay.booked_count + _SIGN * _PLACES.c.places)
    .returning(_BY_SCHOOL)
)
_OF_SCHOOLS = (
    select(Reservation.service_day_id, Reservation.school_id, func.count().label("places"))
    .where(_LIVE_LINES)
    .group_by(Reservation.service_day_id, Reservation.school_id)
    .subquery()
)
_COUNT_OF_SCHOOLS = (
    update(SchoolPlace)
    .where(SchoolPlace.service_day_id == _OF_SCHOOLS.c.service_day_id, SchoolPlace.school_id == _OF_SCHOOLS.c.school_id)
    .values(booked_count=SchoolPlace.booked_count + _SIGN * _OF_SCHOOLS.c.places)
)


def _count_places(db: Session, order_id: int, sign: int) -> None:
    """Add or take back the places of an order's live lines; the CHECKs refuse one place too many."""
    days = run(db, _COUNT_PLACES, order_id=order_id, sign=sign)
    if any(by_school for (by_school,) in days):
        run(db, _COUNT_OF_SCHOOLS, order_id=order_id, sign=sign)


def _set_lines(db: Session, order_id: int, before: str, after: str) -> None:
    db.execute(
        update(Reservation)
        .where(Reservation.order_id == order_id, Reservation.state == before)
        .values(state=after)
        .execution_options(synchronize_session=False)
    )


def _set_order(db: Session, order_id: int, **values: Any) -> None:
    db.execute(update(Order).where(Order.id == order_id).values(**values).execution_options(synchronize_session=False))


SAID_BY = {"present": ("present",), "absent": ("absent", "absent_excused")}
"""What is known of a child of whom the roll-call has nothing new to say."""


def note_attendance(
    db: Session,
    service_day_id: int,
    reservation_ids: Sequence[int] | None,
    attendance: Literal["present", "absent"],
    account_id: int,
    now: datetime,
) -> int:
    """Note who of the booked children of a day is there; of how many that was new. Without ids, all of whom nothing is known
    yet. It moves no money. Who noted a child first, and when, stays; one that its family has said to be ill stays excused
    when absent.
    """
    wanted = [Reservation.service_day_id == service_day_id, Reservation.state == "confirmed"]
    if reservation_ids is None:
        wanted.append(Reservation.attendance == "expected")
    else:
        wanted += [Reservation.id.in_(reservation_ids), Reservation.attendance.not_in(SAID_BY[attendance])]
    noted = db.scalars(
        update(Reservation)
        .where(*wanted)
        .values(attendance=attendance, attendance_at=now, attendance_by_id=account_id)
        .returning(Reservation.id)
        .execution_options(synchronize_session=False)
    )
    return len(noted.all())
