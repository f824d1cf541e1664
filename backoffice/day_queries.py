"""Reads for a day: services, who eats, who was noted at the roll-call, headcounts. Every one takes the communes that it may
speak of."""

from collections import defaultdict
from collections.abc import Collection
from datetime import date
from typing import NamedTuple

from sqlalchemy import ScalarSelect, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from accounts.models import Account, Beneficiary, HouseholdBeneficiary, HouseholdMember
from backoffice.family_queries import SEARCH_LIMIT, OtherHome, known_homes
from backoffice.rules import escape_like, words_of
from cart.days import takes_picnic
from cart.models import WaitingEntry
from catalog.models import Commune, School, Service, ServiceDay, Tariff
from enrolments.models import Enrolment
from homes.queries import homes_on
from orders.models import Reservation, UnbookedMeal


class ServedDay(NamedTuple):
    """A service on a day."""

    service_day_id: int
    service_name: str
    commune_name: str
    is_open: bool
    closed_reason: str | None
    capacity: int | None
    held: int
    """Places kept while a card payment is awaited: not booked yet."""
    booked: int
    offered: int
    """Places kept for families of the waiting list."""
    waiting: int
    unbooked: int
    """Children who ate without a booking; they are not among the booked."""
    excused: int
    """Of the booked, children of whom it is known that they do not come."""


def around(db: Session, commune_ids: Collection[int], day: date) -> tuple[date | None, date | None]:
    """The last serving day before `day` and the first after it, over all services within reach."""
    served = (
        select(ServiceDay.day)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(Service.commune_id.in_(sorted(commune_ids)), ServiceDay.is_open)
    )
    before = served.where(ServiceDay.day < day).order_by(ServiceDay.day.desc()).limit(1).scalar_subquery()
    after = served.where(ServiceDay.day > day).order_by(ServiceDay.day).limit(1).scalar_subquery()
    found = db.execute(select(before, after)).one()
    return found[0], found[1]


def next_served(db: Session, commune_ids: Collection[int], day: date) -> date | None:
    """The first serving day that is `day` or later."""
    return db.scalar(
        select(func.min(ServiceDay.day))
        .join(Service, Service.id == ServiceDay.service_id)
        .where(Service.commune_id.in_(sorted(commune_ids)), ServiceDay.is_open, ServiceDay.day >= day)
    )


def _unbooked() -> ScalarSelect[int]:
    """How many children ate without a booking on the day at hand (`ServiceDay`)."""
    return (
        select(func.count())
        .where(UnbookedMeal.service_day_id == ServiceDay.id, UnbookedMeal.state != "struck")
        .correlate(ServiceDay)
        .scalar_subquery()
    )


_EXCUSED = func.count(
    case((and_(Reservation.state == "confirmed", Reservation.attendance == "absent_excused"), 1)),
)


def services_on(db: Session, commune_ids: Collection[int], day: date) -> list[ServedDay]:
    """The services within reach that have something to say of that day, open or closed."""
    rows = db.execute(
        select(
            ServiceDay.id,
            Service.name,
            Commune.name,
            ServiceDay.is_open,
            ServiceDay.closed_reason,
            ServiceDay.capacity,
            func.count(case((Reservation.state == "held", 1))),
            func.count(case((Reservation.state == "confirmed", 1))),
            *(
                select(func.count())
                .where(
                    WaitingEntry.service_day_id == ServiceDay.id,
                    WaitingEntry.state.in_(("waiting", "offered")),  # as the index says
                    WaitingEntry.state == state,
                )
                .correlate(ServiceDay)
                .scalar_subquery()
                for state in ("offered", "waiting")
            ),
            _unbooked(),
            _EXCUSED,
        )
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .outerjoin(
            Reservation,
            and_(Reservation.service_day_id == ServiceDay.id, Reservation.state.in_(("held", "confirmed"))),
        )
        .where(Commune.id.in_(sorted(commune_ids)), ServiceDay.day == day)
        .group_by(
            ServiceDay.id,
            Service.name,
            Commune.name,
            ServiceDay.is_open,
            ServiceDay.closed_reason,
            ServiceDay.capacity,
            Service.position,
        )
        .order_by(Commune.name, Service.position, ServiceDay.id)
    )
    return [ServedDay._make(row) for row in rows]


class Booked(NamedTuple):
    """One booked meal of a day."""

    service_day_id: int
    first_name: str
    last_name: str
    school_name: str | None
    class_name: str | None
    diet: str
    tariff_label: str
    attendance: str
    picnic: bool
    """The meal is a picnic: the child is on an outing."""
    reservation_id: int

    @property
    def excused(self) -> bool:
        """The family has said that the child is ill; the meal stays due."""
        return self.attendance == "absent_excused"


def booked_on(db: Session, commune_ids: Collection[int], day: date) -> dict[int, list[Booked]]:
    """Who has a paid meal on that day, by service day: by school, class and name. One statement."""
    here = sorted(commune_ids)
    rows = db.execute(
        select(
            Reservation.service_day_id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            School.name,
            Beneficiary.class_name,
            Beneficiary.diet,
            Tariff.label,
            Reservation.attendance,
            takes_picnic(Reservation.service_day_id, Beneficiary),
            Reservation.id,
        )
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
        .join(Tariff, Tariff.id == Reservation.tariff_id)
        .outerjoin(School, and_(School.id == Beneficiary.school_id, School.commune_id.in_(here)))
        .where(Service.commune_id.in_(here), ServiceDay.day == day, Reservation.state == "confirmed")
        .order_by(
            case((School.name.is_(None), 1), else_=0),
            School.name,
            Beneficiary.class_name,
            Beneficiary.search_text,
            Reservation.id,
        )
    )
    lists: dict[int, list[Booked]] = defaultdict(list)
    for row in rows:
        lists[row[0]].append(Booked._make(row))
    return lists


class DayHead(NamedTuple):
    """A service on a day, as its roll-call names it."""

    service_day_id: int
    day: date
    service_name: str
    commune_name: str
    is_open: bool
    closed_reason: str | None


def find_day(db: Session, commune_ids: Collection[int], service_day_id: int) -> DayHead | None:
    """A service's day within reach."""
    row = db.execute(
        select(ServiceDay.id, ServiceDay.day, Service.name, Commune.name, ServiceDay.is_open, ServiceDay.closed_reason)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .where(ServiceDay.id == service_day_id, Commune.id.in_(sorted(commune_ids)))
    ).first()
    return DayHead._make(row) if row else None


class Eaten(NamedTuple):
    """A meal without a booking, as the roll-call shows it."""

    id: int
    first_name: str
    last_name: str
    school_name: str | None
    class_name: str | None
    diet: str
    tariff_label: str
    cents: int
    state: str


def eaten_on(db: Session, commune_ids: Collection[int], service_day_id: int) -> list[Eaten]:
    """Who ate that day without a booking, by name."""
    here = sorted(commune_ids)
    rows = db.execute(
        select(
            UnbookedMeal.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            School.name,
            Beneficiary.class_name,
            Beneficiary.diet,
            Tariff.label,
            UnbookedMeal.cents,
            UnbookedMeal.state,
        )
        .join(Beneficiary, Beneficiary.id == UnbookedMeal.beneficiary_id)
        .join(Tariff, Tariff.id == UnbookedMeal.tariff_id)
        .outerjoin(School, and_(School.id == Beneficiary.school_id, School.commune_id.in_(here)))
        .where(UnbookedMeal.service_day_id == service_day_id, UnbookedMeal.state != "struck")
        .order_by(Beneficiary.search_text, UnbookedMeal.id)
    )
    return [Eaten._make(row) for row in rows]


def day_of_eaten(db: Session, commune_ids: Collection[int], meal_id: int) -> int | None:
    """The service day of a meal without a booking within reach."""
    return db.scalar(
        select(ServiceDay.id)
        .join(UnbookedMeal, UnbookedMeal.service_day_id == ServiceDay.id)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(UnbookedMeal.id == meal_id, Service.commune_id.in_(sorted(commune_ids)))
    )


class Candidate(NamedTuple):
    """A child who may eat at a service and has nothing booked there that day, with the family that would be charged."""

    enrolment_id: int
    first_name: str
    last_name: str
    class_name: str | None
    tariff_label: str
    family: str
    """The name of its holder."""
    two_homes: bool
    home_id: int | None = None
    """Of a child of two homes: the household whose day it is, where both have agreed on that."""
    home: OtherHome | None = None
    """The same, where these communes know it."""


def candidates(db: Session, commune_ids: Collection[int], head: DayHead, typed: str) -> list[Candidate]:
    """Children with an approved enrolment at the service for that day and neither a booking nor a meal on it, by name: those
    in whose name, or whose family's, every word of `typed` stands. At most `SEARCH_LIMIT`. For a day within reach. One
    statement; up to five more where a child has two homes."""
    other = aliased(HouseholdBeneficiary)
    booked = (
        select(Reservation.id)
        .where(
            Reservation.beneficiary_id == Enrolment.beneficiary_id,
            Reservation.service_day_id == ServiceDay.id,
            Reservation.state.in_(("held", "confirmed")),
        )
        .exists()
    )
    eaten = (
        select(UnbookedMeal.id)
        .where(
            UnbookedMeal.beneficiary_id == Enrolment.beneficiary_id,
            UnbookedMeal.service_day_id == ServiceDay.id,
            UnbookedMeal.state != "struck",
        )
        .exists()
    )
    query = (
        select(
            Enrolment.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            Beneficiary.class_name,
            Tariff.label,
            Account.first_name + " " + Account.last_name,
            select(other.id)
            .where(
                other.beneficiary_id == Enrolment.beneficiary_id,
                other.household_id != Enrolment.household_id,
                other.archived_at.is_(None),
            )
            .exists()
            .label("two_homes"),
            Enrolment.household_id,
            Enrolment.beneficiary_id,
        )
        .select_from(Enrolment)
        .join(
            ServiceDay,
            and_(
                ServiceDay.service_id == Enrolment.service_id,
                Enrolment.valid_from <= ServiceDay.day,
                Enrolment.valid_until >= ServiceDay.day,
            ),
        )
        .join(
            HouseholdBeneficiary,
            and_(
                HouseholdBeneficiary.household_id == Enrolment.household_id,
                HouseholdBeneficiary.beneficiary_id == Enrolment.beneficiary_id,
                HouseholdBeneficiary.archived_at.is_(None),
            ),
        )
        .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
        .join(Tariff, Tariff.id == Enrolment.tariff_id)
        .join(
            HouseholdMember,
            and_(HouseholdMember.household_id == Enrolment.household_id, HouseholdMember.role == "holder"),
        )
        .join(Account, Account.id == HouseholdMember.account_id)
        .where(ServiceDay.id == head.service_day_id, Enrolment.state == "approved", ~booked, ~eaten)
    )
    for word in words_of(typed):
        folded = f"%{escape_like(word.folded)}%"
        query = query.where(
            or_(Beneficiary.search_text.like(folded, escape="\\"), Account.search_text.like(folded, escape="\\"))
        )
    rows = db.execute(query.order_by(Beneficiary.search_text, Enrolment.id).limit(SEARCH_LIMIT)).all()
    deciding = homes_on(db, [(row.household_id, row.beneficiary_id) for row in rows if row.two_homes], head.day)
    homes = known_homes(db, commune_ids, set(filter(None, deciding.values())))
    found = []
    for *facts, household_id, child_id in rows:
        home_id = deciding.get((household_id, child_id))
        found.append(Candidate._make((*facts, home_id, homes.get(home_id or 0))))
    return found


class Headcount(NamedTuple):
    """How many meals a service has on a day."""

    day: date
    service_name: str
    commune_name: str
    booked: int
    capacity: int | None
    unbooked: int
    """Children who ate without a booking; they are not among the booked."""
    excused: int
    """Of the booked, children of whom it is known that they do not come."""


def headcounts(db: Session, commune_ids: Collection[int], first: date, last: date) -> list[Headcount]:
    """The meals of each service within reach on the serving days from `first` to `last`, booked and eaten without."""
    rows = db.execute(
        select(
            ServiceDay.day,
            Service.name,
            Commune.name,
            func.count(Reservation.id),
            ServiceDay.capacity,
            _unbooked(),
            _EXCUSED,
        )
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .outerjoin(Reservation, and_(Reservation.service_day_id == ServiceDay.id, Reservation.state == "confirmed"))
        .where(Commune.id.in_(sorted(commune_ids)), ServiceDay.is_open, ServiceDay.day >= first, ServiceDay.day <= last)
        .group_by(ServiceDay.day, ServiceDay.id, Service.name, Commune.name, ServiceDay.capacity, Service.position)
        .order_by(ServiceDay.day, Commune.name, Service.position, ServiceDay.id)
    )
    return [Headcount._make(row) for row in rows]
