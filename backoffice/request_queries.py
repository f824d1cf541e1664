"""Reads for requests of access: the queue, a family's, those of the desk. Every one takes the communes it may speak of."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from accounts.models import Account, Beneficiary, HouseholdBeneficiary
from catalog.models import Commune, Service, Tariff
from enrolments.models import Enrolment
from shop.clock import paris_day

FAMILIES_A_PAGE = 20
DECIDED = ("approved", "refused", "revoked")
STAGES: dict[str, tuple[str, ...]] = {"a-traiter": ("requested",), "a-completer": ("to_complete",), "traitees": DECIDED}


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
    removed_at: datetime | None
    """When the family removed the person from its beneficiaries."""

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def requested_day(self) -> date:
        return paris_day(self.requested_at)

    @property
    def decided_day(self) -> date | None:
        return paris_day(self.decided_at) if self.decided_at else None

    @property
    def removed_day(self) -> date | None:
        return paris_day(self.removed_at) if self.removed_at else None


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
    """Requests that a clerk may see: of these communes, of confirmed accounts. Of somebody whom the family has removed only
    what was decided is left: meals may be booked and paid by it, and a decision does not vanish."""
    return (
        query.join(Service, Service.id == Enrolment.service_id)
        .join(Account, Account.id == Enrolment.requested_by_id)
        .join(
            HouseholdBeneficiary,
            and_(
                HouseholdBeneficiary.household_id == Enrolment.household_id,
                HouseholdBeneficiary.beneficiary_id == Enrolment.beneficiary_id,
                or_(HouseholdBeneficiary.archived_at.is_(None), Enrolment.state.in_(DECIDED)),
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
            HouseholdBeneficiary.archived_at,
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
