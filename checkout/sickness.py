"""A sick child: which meals stay due and which are credited, by the rules of each service, shown before the click.

The days of carence are serving days of the service, counted from the first day of the illness, booked or not, cancelled in
time or not. A meal that may still be cancelled is credited as cancelling would, whatever the illness gives; one that stays
due is noted as excused, so that the kitchen knows.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

import orders.operations
import wallet.operations
from accounts.models import Beneficiary, HouseholdBeneficiary
from catalog.models import Commune, Service, ServiceDay
from catalog.operations import public_holidays
from catalog.rules.deadlines import Calendar, deadline
from catalog.rules.policies import Policies, is_credited_when_sick
from checkout import freed, waiting
from checkout.entries import credit_entry
from checkout.errors import CreditChanged, NothingBooked
from checkout.place import Buyer
from orders.models import Order, Reservation, SickLeave
from shop import audit
from shop.database import lock
from shop.errors import NotFound, Refusal
from shop.french import of, phone
from shop.outbox import Letter, post
from shop.words import gettext as _

LONGEST = timedelta(days=60)
LOOK_BACK = timedelta(days=60)


class SickMeal(NamedTuple):
    """A paid meal within the illness, and what becomes of it."""

    id: int
    order_id: int
    regie_id: int
    service_day_id: int
    day: date
    service_name: str
    cents: int
    """What was paid."""
    credit_cents: int
    """What goes back to the wallet; 0 where the meal stays due."""
    cancels: bool
    paper: bool
    """Whether the service asks for a certificate for it."""
    excused: bool
    """Whether the kitchen knows already."""
    why: str
    town_hall: str
    """Where a certificate goes, in words."""


def meals_when_sick(
    db: Session, household_id: int, beneficiary_id: int, days: tuple[date, date], now: datetime
) -> list[SickMeal]:
    """The child's paid meals from a day to a day (both included), each with what becomes of it. Raises `NotFound` for a child
    who is not the family's, `Refusal` for days that make no sense."""
    first, last = days
    owned = db.scalar(
        select(HouseholdBeneficiary.id).where(
            HouseholdBeneficiary.household_id == household_id,
            HouseholdBeneficiary.beneficiary_id == beneficiary_id,
            HouseholdBeneficiary.archived_at.is_(None),
        )
    )
    if owned is None:
        raise NotFound
    if last < first or last - first > LONGEST:
        raise Refusal(_("Le dernier jour vient après le premier, et deux mois au plus tard."))
    rows = db.execute(
        select(
            Reservation.id,
            Reservation.order_id,
            Order.regie_id,
            Reservation.service_day_id,
            ServiceDay.day,
            Service.id.label("service_id"),
            Service.name.label("service_name"),
            Service.policies,
            Reservation.cents,
            Reservation.credit_cents,
            Reservation.cancel_deadline_at,
            Reservation.attendance,
            Commune.name.label("commune_name"),
            Commune.contact_email,
            Commune.contact_phone,
        )
        .join(Order, Order.id == Reservation.order_id)
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .where(
            Reservation.household_id == household_id,
            Reservation.beneficiary_id == beneficiary_id,
            Reservation.state == "confirmed",
            ServiceDay.day.between(first, last),
        )
        .order_by(ServiceDay.day, Service.id)
    ).all()
    told = _told_before(db, beneficiary_id, first)
    calendars = _calendars(
        db, {row.service_id for row in rows}, min([first, *(begins for begins, _ends in told)]), last
    )
    since = {service_id: ill_since(first, told, calendar.serving) for service_id, calendar in calendars.items()}
    return [_judged(row, calendars[row.service_id], since[row.service_id], now) for row in rows]


def is_known(meals: Sequence[SickMeal]) -> bool:
    """Whether the kitchen knows of every one of these meals, and telling it would change none."""
    return all(meal.excused and not meal.cancels for meal in meals)


def _told_before(db: Session, beneficiary_id: int, first: date) -> list[tuple[date, date]]:
    """The days on which the child was said to be ill, the latest first, by either home: it is one illness in both."""
    rows = db.execute(
        select(SickLeave.first_day, SickLeave.last_day)
        .where(
            SickLeave.beneficiary_id == beneficiary_id,
            SickLeave.last_day >= first - LONGEST,
            SickLeave.first_day <= first,
        )
        .order_by(SickLeave.last_day.desc())
    )
    return [(begins, ends) for begins, ends in rows]


def ill_since(first: date, told: Sequence[tuple[date, date]], serving: Sequence[date]) -> date:
    """The first day of an illness that goes on: carence is not counted again when it is prolonged.

    `told` are the earlier leaves, the latest last day first. Over days on which the service does not serve it is still the
    same illness; a serving day between two leaves ends it.
    """
    for begins, ends in told:
        if any(ends < day < first for day in serving):
            break
        first = min(first, begins)
    return first


def _calendars(db: Session, service_ids: set[int], first: date, last: date) -> dict[int, Calendar]:
    """What the limits of these services count on."""
    holidays = public_holidays(db)
    served: dict[int, list[date]] = {service_id: [] for service_id in service_ids}
    rows = db.execute(
        select(ServiceDay.service_id, ServiceDay.day)
        .where(
            ServiceDay.service_id.in_(service_ids),
            ServiceDay.is_open,
            ServiceDay.day.between(first - LOOK_BACK, last),
        )
        .order_by(ServiceDay.day)
    )
    for service_id, day in rows:
        served[service_id].append(day)
    return {service_id: Calendar(days, holidays) for service_id, days in served.items()}


def _judged(row: Any, calendar: Calendar, first: date, now: datetime) -> SickMeal:
    sickness = Policies.from_json(row.policies).sickness
    place = sum(first <= day < row.day for day in calendar.serving)
    limit = deadline(sickness.announce, row.day, calendar) if sickness else None
    in_time = now < row.cancel_deadline_at
    # In time, an illness gives no more than cancelling: saying so ahead would be a way round the rule of the credit.
    credited = not in_time and is_credited_when_sick(sickness, place, limit, now)
    if in_time and row.credit_cents:
        cents, why = row.credit_cents, _("crédité : annulé à temps")
    elif in_time:
        cents, why = 0, _("annulé à temps : ce service ne crédite pas")
    elif credited:
        cents, why = row.cents, _("crédité : enfant malade")
    elif sickness is not None and place < sickness.carence_days:
        cents, why = 0, _("reste dû : jour de carence")
    elif sickness is not None:
        cents, why = 0, _("reste dû : la mairie devait le savoir plus tôt")
    else:
        cents, why = 0, _("reste dû : le service ne crédite pas les maladies")
    return SickMeal(
        row.id,
        row.order_id,
        row.regie_id,
        row.service_day_id,
        row.day,
        row.service_name,
        row.cents,
        cents,
        credited or in_time,
        bool(credited and sickness and sickness.paper),
        row.attendance == "absent_excused",
        why,
        ", ".join(
            filter(None, (_("mairie %(of)s", of=of(row.commune_name)), row.contact_email, phone(row.contact_phone)))
        ),
    )


def town_halls(meals: Sequence[SickMeal]) -> list[str]:
    """Where the certificates of these meals go: each town hall that asks for one, once."""
    return list(dict.fromkeys(meal.town_hall for meal in meals if meal.paper))


def tell_sick(
    db: Session,
    buyer: Buyer,
    beneficiary_id: int,
    days: tuple[date, date],
    seen_cents: int | None,
    now: datetime,
) -> int:
    """Note the illness: cancel and credit what is credited, excuse the rest; the credit in cents.

    Raises what `meals_when_sick` does, `NothingBooked`, and `CreditChanged` when the family saw another credit. Telling the
    same again changes nothing.
    """
    meals = meals_when_sick(db, buyer.household_id, beneficiary_id, days, now)
    lock(db, Order, {meal.order_id for meal in meals})
    lock(db, ServiceDay, {meal.service_day_id for meal in meals})
    meals = meals_when_sick(db, buyer.household_id, beneficiary_id, days, now)
    if not meals:
        raise NothingBooked
    if is_known(meals):
        return 0
    credit = sum(meal.credit_cents for meal in meals)
    if seen_cents is not None and seen_cents != credit:
        raise CreditChanged(seen_cents, credit)
    ended = [meal for meal in meals if meal.cancels]
    if ended:
        _cancel(db, buyer, ended, now)
    due = [meal.id for meal in meals if not meal.cancels]
    if due:
        db.execute(
            update(Reservation)
            .where(Reservation.id.in_(due), Reservation.attendance != "absent_excused")
            .values(attendance="absent_excused", attendance_at=now, attendance_by_id=buyer.account_id)
            .execution_options(synchronize_session=False)
        )
    leave = SickLeave(
        household_id=buyer.household_id,
        beneficiary_id=beneficiary_id,
        first_day=days[0],
        last_day=days[1],
        told_at=now,
        told_by_id=buyer.account_id,
        paper=any(meal.paper for meal in meals),
    )
    db.add(leave)
    db.flush()
    facts = {
        "leave_id": leave.id,
        "credited": [meal.id for meal in ended],
        "due": due,
        "credit_cents": credit,
        "paper": leave.paper,
        "town_halls": town_halls(meals),
    }
    post(db, Letter(kind="child_sick", to=buyer.email, key=f"child_sick:{leave.id}", facts=facts), now)
    for meal in ended:
        audit.note(
            db, meal.regie_id, buyer.account_id, "sick_child", f"reservation:{meal.id}", {"leave": leave.id}, now
        )
    return credit


def _cancel(db: Session, buyer: Buyer, meals: Sequence[SickMeal], now: datetime) -> None:
    orders.operations.cancel_lines(db, [meal.id for meal in meals], buyer.account_id, now)
    freed.end(db, [meal.id for meal in meals], now)
    waiting.offer_at_once(db, {meal.service_day_id for meal in meals}, now)
    for cents in sorted({meal.credit_cents for meal in meals}):
        db.execute(
            update(Reservation)
            .where(Reservation.id.in_([meal.id for meal in meals if meal.credit_cents == cents]))
            .values(credit_cents=cents)
            .execution_options(synchronize_session=False)
        )
    for regie_id in sorted({meal.regie_id for meal in meals}):
        entries = [
            credit_entry(meal.id, meal.order_id, regie_id, buyer.household_id, meal.credit_cents, buyer.account_id)
            for meal in meals
            if meal.regie_id == regie_id and meal.credit_cents
        ]
        if entries:
            wallet.operations.enter_all(db, entries, now)


class Leave(NamedTuple):
    """An illness as a town hall reads it."""

    id: int
    name: str
    first_day: date
    last_day: date
    paper: bool
    paper_seen_at: datetime | None


def leaves_of(db: Session, commune_ids: Sequence[int], household_id: int) -> list[Leave]:
    """What a family has said of its children who eat in these communes, the newest first."""
    rows = db.execute(
        select(
            SickLeave.id,
            Beneficiary.first_name + " " + Beneficiary.last_name,
            SickLeave.first_day,
            SickLeave.last_day,
            SickLeave.paper,
            SickLeave.paper_seen_at,
        )
        .join(Beneficiary, Beneficiary.id == SickLeave.beneficiary_id)
        .where(SickLeave.household_id == household_id, _eats_in(commune_ids))
        .order_by(SickLeave.id.desc())
        .limit(50)
    )
    return [Leave._make(row) for row in rows]


def _eats_in(commune_ids: Sequence[int]) -> Any:
    return (
        select(Reservation.id)
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .where(
            Reservation.beneficiary_id == SickLeave.beneficiary_id,
            Reservation.household_id == SickLeave.household_id,
            ServiceDay.day.between(SickLeave.first_day, SickLeave.last_day),
            Commune.id.in_(commune_ids),
        )
        .exists()
    )


def see_paper(db: Session, commune_ids: Sequence[int], leave_id: int, account_id: int, now: datetime) -> int:
    """Note that the certificate was seen; the household. Raises `NotFound` out of these communes."""
    household_id = db.scalar(
        update(SickLeave)
        .where(SickLeave.id == leave_id, SickLeave.paper, _eats_in(commune_ids))
        .values(
            paper_seen_at=func.coalesce(SickLeave.paper_seen_at, now),
            paper_seen_by_id=func.coalesce(SickLeave.paper_seen_by_id, account_id),
        )
        .returning(SickLeave.household_id)
        .execution_options(synchronize_session=False)
    )
    if household_id is None:
        raise NotFound
    return household_id
