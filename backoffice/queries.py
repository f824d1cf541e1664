"""Reads for the town hall. Every one takes the communes it may speak of, and says nothing of any other.

Text of a commune out of reach never leaves this file: a school elsewhere reads as nothing, and children who ask for
nothing here are left out of a family's file.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from accounts.models import Account, Beneficiary, HouseholdBeneficiary, HouseholdMember, StaffRole
from backoffice.rules import Post, Reach, escape_like, words_of
from cart.models import WaitingEntry
from cart.queries import concerns, takes_picnic
from catalog.models import CallOff, Commune, School, Service, ServiceDay, Tariff
from enrolments.models import Enrolment
from homes.queries import homes_on
from orders.models import Reservation, UnbookedMeal
from shop.clock import paris_day
from shop.errors import NotFound

FAMILIES_A_PAGE = 20
SEARCH_LIMIT = 50
CALL_OFFS_SHOWN = 100
EATEN_SHOWN = 50
DECIDED = ("approved", "refused", "revoked")
STAGES: dict[str, tuple[str, ...]] = {"a-traiter": ("requested",), "a-completer": ("to_complete",), "traitees": DECIDED}


def reach_of(db: Session, account_id: int) -> Reach:
    """How far the roles of an account reach today: nothing when they were all taken back."""
    within = or_(
        StaffRole.scope == "platform",
        and_(StaffRole.scope == "regie", StaffRole.regie_id == Commune.regie_id),
        and_(StaffRole.scope == "commune", StaffRole.commune_id == Commune.id),
    )
    rows = db.execute(
        select(Commune.id, Commune.name, StaffRole.role)
        .join(StaffRole, within)
        .where(StaffRole.account_id == account_id, StaffRole.revoked_at.is_(None))
        .order_by(Commune.name, Commune.id)
    )
    return Reach(account_id, tuple(Post(*row) for row in rows))


# --- requests ---


class Request(NamedTuple):
    """A request for access, with whom it is for."""

    id: int
    household_id: int
    beneficiary_id: int
    first_name: str
    last_name: str
    birth_date: date | None
    relation: str
    service_id: int
    service_name: str
    commune_id: int
    commune_name: str
    tariff_label: str
    documents: str | None
    school_year: int
    state: str
    requested_at: datetime
    message: str | None
    reason: str | None
    decided_at: datetime | None
    valid_until: date
    account_id: int
    title: str | None
    account_first_name: str
    account_last_name: str
    email: str
    phone: str | None

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def requested_day(self) -> date:
        return paris_day(self.requested_at)

    @property
    def decided_day(self) -> date | None:
        return paris_day(self.decided_at) if self.decided_at else None


@dataclass
class FamilyRequests:
    """The requests of one family that stand on one page."""

    household_id: int
    requests: list[Request] = field(default_factory=list)

    @property
    def contact(self) -> Request:
        """The request that carries the contact: that of the person who asked first."""
        return self.requests[0]

    @property
    def name(self) -> str:
        return f"{self.contact.account_first_name} {self.contact.account_last_name}"


@dataclass(frozen=True)
class Queue:
    """One page of the queue."""

    families: list[FamilyRequests]
    family_count: int
    """On all pages."""


def _of_confirmed(query: Select[*tuple[Any, ...]], commune_ids: Collection[int]) -> Select[*tuple[Any, ...]]:
    """Requests that a clerk may see: of these communes, of confirmed accounts, for people still in the family."""
    return (
        query.join(Service, Service.id == Enrolment.service_id)
        .join(Account, Account.id == Enrolment.requested_by_id)
        .join(
            HouseholdBeneficiary,
            and_(
                HouseholdBeneficiary.household_id == Enrolment.household_id,
                HouseholdBeneficiary.beneficiary_id == Enrolment.beneficiary_id,
                HouseholdBeneficiary.archived_at.is_(None),
            ),
        )
        .where(Service.commune_id.in_(sorted(commune_ids)), Account.state == "active")
    )


def _requests(commune_ids: Collection[int]) -> Select[*tuple[Any, ...]]:
    return _of_confirmed(
        select(
            Enrolment.id,
            Enrolment.household_id,
            Enrolment.beneficiary_id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            Beneficiary.birth_date,
            HouseholdBeneficiary.relation,
            Enrolment.service_id,
            Service.name,
            Service.commune_id,
            Commune.name,
            Tariff.label,
            Tariff.documents,
            Enrolment.school_year,
            Enrolment.state,
            Enrolment.requested_at,
            Enrolment.message,
            Enrolment.reason,
            Enrolment.decided_at,
            Enrolment.valid_until,
            Account.id,
            Account.title,
            Account.first_name,
            Account.last_name,
            Account.email,
            Account.phone,
        )
        .select_from(Enrolment)
        .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
        .join(Tariff, Tariff.id == Enrolment.tariff_id),
        commune_ids,
    ).join(Commune, Commune.id == Service.commune_id)


def queue(db: Session, commune_ids: Collection[int], stage: str, service_id: int | None, page: int) -> Queue:
    """A page of requests grouped by family: the family that has waited longest first; what is decided, newest first.

    Two statements, whatever the number of requests.
    """
    wanted: list[ColumnElement[bool]] = [Enrolment.state.in_(STAGES[stage])]
    if service_id is not None:
        wanted.append(Enrolment.service_id == service_id)
    newest_first = stage == "traitees"
    order = func.max(Enrolment.decided_at).desc() if newest_first else func.min(Enrolment.requested_at)
    heads = db.execute(
        _of_confirmed(
            select(Enrolment.household_id, func.count().over()).select_from(Enrolment),
            commune_ids,
        )
        .where(*wanted)
        .group_by(Enrolment.household_id)
        .order_by(order, Enrolment.household_id)
        .limit(FAMILIES_A_PAGE)
        .offset((page - 1) * FAMILIES_A_PAGE)
    ).all()
    if not heads:
        return Queue([], 0)
    families = {household_id: FamilyRequests(household_id) for household_id, _count in heads}
    rows = db.execute(
        _requests(commune_ids)
        .where(*wanted, Enrolment.household_id.in_(list(families)))
        .order_by(
            Enrolment.decided_at.desc() if newest_first else Enrolment.requested_at,
            HouseholdBeneficiary.position,
            Enrolment.id,
        )
    )
    for row in rows:
        families[row[1]].requests.append(Request._make(row))
    return Queue([family for family in families.values() if family.requests], heads[0][1])


class Waiting(NamedTuple):
    """How many requests wait at a service."""

    service_id: int
    service_name: str
    commune_name: str
    number: int
    oldest_at: datetime


def waiting(db: Session, commune_ids: Collection[int], stage: str = "a-traiter") -> list[Waiting]:
    """The services at which requests stand at this stage, with how many and since when."""
    rows = db.execute(
        _of_confirmed(
            select(
                Service.id, Service.name, Commune.name, func.count(Enrolment.id), func.min(Enrolment.requested_at)
            ).select_from(Enrolment),
            commune_ids,
        )
        .join(Commune, Commune.id == Service.commune_id)
        .where(Enrolment.state.in_(STAGES[stage]))
        .group_by(Service.id, Service.name, Commune.name)
        .order_by(Commune.name, Service.name, Service.id)
    )
    return [Waiting._make(row) for row in rows]


def find_request(db: Session, commune_ids: Collection[int], enrolment_id: int) -> Request | None:
    """One request within reach; one that the family withdrew is nobody's business any more."""
    row = db.execute(_requests(commune_ids).where(Enrolment.id == enrolment_id, Enrolment.state != "withdrawn")).first()
    return Request._make(row) if row else None


def requests_of(db: Session, commune_ids: Collection[int], household_id: int) -> list[Request]:
    """What a family has asked for within reach, newest first, without what it withdrew."""
    rows = db.execute(
        _requests(commune_ids)
        .where(Enrolment.household_id == household_id, Enrolment.state != "withdrawn")
        .order_by(Enrolment.requested_at.desc(), Enrolment.id.desc())
    )
    return [Request._make(row) for row in rows]


# --- families ---


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

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


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
    """The beneficiaries of a family whom these communes know: those with a request or an access there."""
    here, other = sorted(commune_ids), aliased(HouseholdBeneficiary)
    known = (
        select(Enrolment.id)
        .join(Service, Service.id == Enrolment.service_id)
        .where(
            Enrolment.household_id == household_id,
            Enrolment.beneficiary_id == Beneficiary.id,
            Enrolment.state != "withdrawn",
            Service.commune_id.in_(here),
        )
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
        )
        .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == Beneficiary.id)
        .outerjoin(School, and_(School.id == Beneficiary.school_id, School.commune_id.in_(here)))
        .where(HouseholdBeneficiary.household_id == household_id, HouseholdBeneficiary.archived_at.is_(None), known)
        .order_by(HouseholdBeneficiary.position, Beneficiary.id)
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


# --- the day ---


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
                .where(WaitingEntry.service_day_id == ServiceDay.id, WaitingEntry.state == state)
                .correlate(ServiceDay)
                .scalar_subquery()
                for state in ("offered", "waiting")
            ),
            _unbooked(),
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


class FamilyMeal(NamedTuple):
    """A meal in a family's file."""

    reservation_id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    state: str
    cents: int


def meals_of(db: Session, commune_ids: Collection[int], household_id: int, first: date, last: date) -> list[FamilyMeal]:
    """A family's meals at services of these communes from `first` to `last`, those included that were cancelled."""
    rows = db.execute(
        select(
            Reservation.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            ServiceDay.day,
            Service.name,
            Reservation.state,
            Reservation.cents,
        )
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
        .where(
            Reservation.household_id == household_id,
            Service.commune_id.in_(sorted(commune_ids)),
            ServiceDay.day.between(first, last),
        )
        .order_by(ServiceDay.day, Service.id, Beneficiary.first_name, Reservation.id)
    )
    return [FamilyMeal._make(row) for row in rows]


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
        )
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .outerjoin(Reservation, and_(Reservation.service_day_id == ServiceDay.id, Reservation.state == "confirmed"))
        .where(Commune.id.in_(sorted(commune_ids)), ServiceDay.is_open, ServiceDay.day >= first, ServiceDay.day <= last)
        .group_by(ServiceDay.day, ServiceDay.id, Service.name, Commune.name, ServiceDay.capacity, Service.position)
        .order_by(ServiceDay.day, Commune.name, Service.position, ServiceDay.id)
    )
    return [Headcount._make(row) for row in rows]


# --- calling off ---


class CalledOff(NamedTuple):
    """A call-off as the page shows it."""

    id: int
    service_name: str
    day: date
    school_name: str | None
    class_name: str | None
    kind: str
    picnics: int | None
    """On an outing with picnics, the paid meals that are one; nothing where meals are cancelled."""
    words: str
    state: str
    due_at: datetime
    meals: int
    cents: int
    unbooked: int
    """Meals without a booking that it has struck off."""


def services_of(db: Session, commune_ids: Collection[int]) -> list[tuple[int, str]]:
    """The services of these communes: number, name."""
    rows = db.execute(
        select(Service.id, Service.name)
        .where(Service.commune_id.in_(commune_ids))
        .order_by(Service.commune_id, Service.position, Service.id)
    )
    return [(key, name) for key, name in rows]


def schools_of(db: Session, commune_ids: Collection[int]) -> list[tuple[int, str]]:
    """The schools of these communes: number, name."""
    rows = db.execute(
        select(School.id, School.name).where(School.commune_id.in_(commune_ids)).order_by(School.name, School.id)
    )
    return [(key, name) for key, name in rows]


def has_class(db: Session, school_id: int | None, name: str) -> bool:
    """Whether any child goes to a class of that name at the school."""
    query = select(Beneficiary.id).where(
        Beneficiary.school_id == school_id, func.lower(func.trim(Beneficiary.class_name)) == func.lower(name)
    )
    return db.scalars(query.limit(1)).first() is not None


def day_of(db: Session, commune_ids: Collection[int], service_id: int, day: date) -> int | None:
    """The number of a service's day in these communes, if it is one."""
    return db.scalar(
        select(ServiceDay.id)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(Service.commune_id.in_(commune_ids), Service.id == service_id, ServiceDay.day == day)
    )


# The paid meals of those whom a call-off concerns.
_PICNICS = (
    select(func.count())
    .select_from(Reservation)
    .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
    .where(
        Reservation.service_day_id == CallOff.service_day_id, Reservation.state == "confirmed", concerns(Beneficiary)
    )
    .correlate(CallOff)
    .scalar_subquery()
)


_STRUCK = select(func.count()).where(UnbookedMeal.call_off_id == CallOff.id).correlate(CallOff).scalar_subquery()


def call_offs(db: Session, commune_ids: Collection[int], since: date) -> list[CalledOff]:
    """What these communes have called off of days since then, the newest first."""
    rows = db.execute(
        select(
            CallOff.id,
            Service.name,
            ServiceDay.day,
            School.name,
            CallOff.class_name,
            CallOff.kind,
            case((CallOff.picnic, _PICNICS)),
            CallOff.words,
            CallOff.state,
            CallOff.due_at,
            CallOff.meals,
            CallOff.cents,
            _STRUCK,
        )
        .join(ServiceDay, ServiceDay.id == CallOff.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .outerjoin(School, School.id == CallOff.school_id)
        .where(Service.commune_id.in_(commune_ids), ServiceDay.day >= since)
        .order_by(CallOff.id.desc())
        .limit(CALL_OFFS_SHOWN)
    )
    return [CalledOff._make(row) for row in rows]


def own_call_off(db: Session, commune_ids: Collection[int], call_off_id: int) -> CallOff:
    """A call-off of one of these communes. Raises `NotFound`."""
    found = db.scalar(
        select(CallOff)
        .join(ServiceDay, ServiceDay.id == CallOff.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(CallOff.id == call_off_id, Service.commune_id.in_(commune_ids))
    )
    if found is None:
        raise NotFound
    return found
