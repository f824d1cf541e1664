"""Reads for the family's file and the search of families, in the communes of who asks.

Text of a commune out of reach never leaves this file: a school elsewhere reads as nothing, and children who ask for
nothing here are left out of a family's file.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, and_, case, false, func, or_, select, true, union_all
from sqlalchemy.orm import Session, aliased

from accounts.models import Account, Beneficiary, HouseholdBeneficiary, HouseholdMember
from backoffice.request_queries import DECIDED
from backoffice.rules import escape_like, words_of
from catalog.models import School, Service, ServiceDay
from enrolments.models import Enrolment
from orders.models import Reservation, UnbookedMeal
from shop.clock import paris_day

SEARCH_LIMIT = 50
EATEN_SHOWN = 50


class Contact(NamedTuple):
    """An account that acts for a household."""

    account_id: int
    role: str
    title: str | None
    first_name: str
    last_name: str
    email: str
    phone: str | None
    address: str | None
    postcode: str | None
    city: str | None

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def full_address(self) -> str:
        town = " ".join(part for part in (self.postcode, self.city) if part)
        return ", ".join(part for part in (self.address, town) if part)


def contacts_of(db: Session, household_id: int) -> list[Contact]:
    """The accounts of a household, its holder first. For a family that is known to be within reach."""
    rows = db.execute(
        select(
            Account.id,
            HouseholdMember.role,
            Account.title,
            Account.first_name,
            Account.last_name,
            Account.email,
            Account.phone,
            Account.address,
            Account.postcode,
            Account.city,
        )
        .join(HouseholdMember, HouseholdMember.account_id == Account.id)
        .where(HouseholdMember.household_id == household_id, Account.state == "active")
        .order_by(case((HouseholdMember.role == "holder", 0), else_=1), Account.id)
    )
    return [Contact._make(row) for row in rows]


class Member(NamedTuple):
    """A beneficiary who asks for something within reach, or has it."""

    id: int
    first_name: str
    last_name: str
    birth_date: date | None
    relation: str
    school_name: str | None
    class_name: str | None
    diet: str
    other_household_id: int | None
    """The child's other home, if it has one."""
    removed_at: datetime | None
    """When the family removed the person from its beneficiaries."""

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def removed_day(self) -> date | None:
        return paris_day(self.removed_at) if self.removed_at else None


class OtherHome(NamedTuple):
    """The other home of a child, known to these communes too."""

    household_id: int
    name: str


def other_homes(db: Session, commune_ids: Collection[int], members: Collection[Member]) -> dict[int, OtherHome]:
    """The other homes of these children that these communes know, by household. A statement where there is such a child."""
    return known_homes(
        db, commune_ids, {member.other_household_id for member in members if member.other_household_id is not None}
    )


def known_homes(db: Session, commune_ids: Collection[int], household_ids: Collection[int]) -> dict[int, OtherHome]:
    """Those of these households that these communes know, with the name of their holder. No statement for none."""
    if not household_ids:
        return {}
    known = (
        select(Enrolment.household_id)
        .join(Service, Service.id == Enrolment.service_id)
        .where(Service.commune_id.in_(sorted(commune_ids)), Enrolment.state != "withdrawn")
    )
    rows = db.execute(
        select(HouseholdMember.household_id, Account.first_name + " " + Account.last_name)
        .join(Account, Account.id == HouseholdMember.account_id)
        .where(
            HouseholdMember.household_id.in_(sorted(household_ids)),
            HouseholdMember.role == "holder",
            HouseholdMember.household_id.in_(known),
        )
    )
    return {household_id: OtherHome(household_id, name) for household_id, name in rows}


def members_of(db: Session, commune_ids: Collection[int], household_id: int) -> list[Member]:
    """The beneficiaries of a family whom these communes know: those with a request or an access there; last those whom the
    family has removed and about whom something was decided there, as for every meal that is still booked."""
    here, other = sorted(commune_ids), aliased(HouseholdBeneficiary)
    known = (
        select(Enrolment.id)
        .join(Service, Service.id == Enrolment.service_id)
        .where(
            Enrolment.household_id == household_id,
            Enrolment.beneficiary_id == Beneficiary.id,
            Enrolment.state != "withdrawn",
            or_(HouseholdBeneficiary.archived_at.is_(None), Enrolment.state.in_(DECIDED)),
            Service.commune_id.in_(here),
        )
        .correlate(Beneficiary, HouseholdBeneficiary)
        .exists()
    )
    rows = db.execute(
        select(
            Beneficiary.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            Beneficiary.birth_date,
            HouseholdBeneficiary.relation,
            School.name,
            Beneficiary.class_name,
            Beneficiary.diet,
            select(func.min(other.household_id))
            .where(
                other.beneficiary_id == Beneficiary.id,
                other.household_id != household_id,
                other.archived_at.is_(None),
            )
            .correlate(Beneficiary)
            .scalar_subquery(),
            HouseholdBeneficiary.archived_at,
        )
        .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == Beneficiary.id)
        .outerjoin(School, and_(School.id == Beneficiary.school_id, School.commune_id.in_(here)))
        .where(HouseholdBeneficiary.household_id == household_id, known)
        .order_by(HouseholdBeneficiary.archived_at.is_not(None), HouseholdBeneficiary.position, Beneficiary.id)
    )
    return [Member._make(row) for row in rows]


class Found(NamedTuple):
    """A family that a search has found."""

    household_id: int
    name: str
    email: str
    children: str


def search_families(db: Session, commune_ids: Collection[int], typed: str) -> list[Found]:
    """Families known to these communes in which every word of `typed` stands; at most `SEARCH_LIMIT`, by name.

    The names and the telephone number of the holder, the e-mail address, the names of a child are searched; accents,
    apostrophes and the way a number is typed do not matter. Two statements, which read the requests made to these communes
    and nothing of other families.
    """
    known = (
        select(Enrolment.household_id, Enrolment.beneficiary_id)
        .join(Service, Service.id == Enrolment.service_id)
        .where(Service.commune_id.in_(sorted(commune_ids)), Enrolment.state != "withdrawn")
        .distinct()
        .subquery()
    )
    member = aliased(HouseholdMember)
    query = (
        select(known.c.household_id, Account.last_name, Account.first_name, Account.email, Account.search_text)
        .select_from(known)
        .join(member, and_(member.household_id == known.c.household_id, member.role == "holder"))
        .join(Account, and_(Account.id == member.account_id, Account.state == "active"))
        .join(Beneficiary, Beneficiary.id == known.c.beneficiary_id)
        .distinct()
    )
    for word in words_of(typed):
        folded = f"%{escape_like(word.folded)}%"
        query = query.where(
            or_(
                Account.search_text.like(folded, escape="\\"),
                Beneficiary.search_text.like(folded, escape="\\"),
                Account.email.like(f"%{escape_like(word.typed)}%", escape="\\"),
            )
        )
    heads = db.execute(query.order_by(Account.search_text, known.c.household_id).limit(SEARCH_LIMIT)).all()
    if not heads:
        return []
    names: dict[int, list[str]] = defaultdict(list)
    rows = db.execute(
        select(known.c.household_id, Beneficiary.first_name)
        .join(Beneficiary, Beneficiary.id == known.c.beneficiary_id)
        .where(known.c.household_id.in_([head[0] for head in heads]))
        .order_by(Beneficiary.birth_date, Beneficiary.id)
    )
    for household_id, first_name in rows:
        names[household_id].append(first_name)
    return [
        Found(household_id, f"{last_name} {first_name}", email, ", ".join(names[household_id]))
        for household_id, last_name, first_name, email, _searched in heads
    ]


class FamilyMeal(NamedTuple):
    """A meal in a family's file, booked or `unbooked`."""

    id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    state: str
    cents: int
    unbooked: bool


def meals_of(db: Session, commune_ids: Collection[int], household_id: int, first: date, last: date) -> list[FamilyMeal]:
    """A family's meals at services of these communes from `first` to `last`, booked or not, those included that were
    cancelled or taken back. One statement."""
    booked = (
        select(
            Reservation.id.label("meal_id"),
            Beneficiary.first_name,
            Beneficiary.last_name,
            ServiceDay.day,
            Service.name,
            Reservation.state,
            Reservation.cents,
            false(),
            Service.id.label("service_id"),
        )
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
        .where(
            Reservation.household_id == household_id,
            Service.commune_id.in_(sorted(commune_ids)),
            ServiceDay.day.between(first, last),
        )
    )
    eaten = (
        select(
            UnbookedMeal.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            ServiceDay.day,
            Service.name,
            UnbookedMeal.state,
            UnbookedMeal.cents,
            true(),
            Service.id,
        )
        .join(ServiceDay, ServiceDay.id == UnbookedMeal.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Beneficiary, Beneficiary.id == UnbookedMeal.beneficiary_id)
        .where(
            UnbookedMeal.household_id == household_id,
            Service.commune_id.in_(sorted(commune_ids)),
            ServiceDay.day.between(first, last),
        )
    )
    both: CompoundSelect[*tuple[Any, ...]] = union_all(booked, eaten)
    rows = db.execute(both.order_by("day", "service_id", "first_name", "meal_id"))
    return [FamilyMeal._make(row[:-1]) for row in rows]


class EatenByFamily(NamedTuple):
    """A meal without a booking in a family's file."""

    id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    cents: int
    state: str
    noted_at: datetime
    noted_by: str
    settled_at: datetime | None
    struck_at: datetime | None
    struck_by: str | None
    struck_reason: str | None


def eaten_by(db: Session, commune_ids: Collection[int], household_id: int) -> list[EatenByFamily]:
    """What the household's children have eaten without a booking in these communes, struck off or not: the newest first, at
    most `EATEN_SHOWN`."""
    noter, striker = aliased(Account), aliased(Account)
    rows = db.execute(
        select(
            UnbookedMeal.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            ServiceDay.day,
            Service.name,
            UnbookedMeal.cents,
            UnbookedMeal.state,
            UnbookedMeal.noted_at,
            noter.first_name + " " + noter.last_name,
            UnbookedMeal.settled_at,
            UnbookedMeal.struck_at,
            striker.first_name + " " + striker.last_name,
            UnbookedMeal.struck_reason,
        )
        .join(Beneficiary, Beneficiary.id == UnbookedMeal.beneficiary_id)
        .join(ServiceDay, ServiceDay.id == UnbookedMeal.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(noter, noter.id == UnbookedMeal.noted_by_id)
        .outerjoin(striker, striker.id == UnbookedMeal.struck_by_id)
        .where(UnbookedMeal.household_id == household_id, Service.commune_id.in_(sorted(commune_ids)))
        .order_by(ServiceDay.day.desc(), UnbookedMeal.id.desc())
        .limit(EATEN_SHOWN)
    )
    return [EatenByFamily._make(row) for row in rows]
