"""PAI ("projet d’accueil individualisé"): the days for which a commune has seen one of a child; nothing else is kept."""

from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from accounts.models import Beneficiary, HouseholdBeneficiary
from catalog.models import Commune, Service, Tariff
from enrolments.models import CarePlan, Enrolment
from shop import audit
from shop.database import lock
from shop.errors import NotFound


class KnownPlan(NamedTuple):
    """A PAI that a commune has seen."""

    id: int
    commune_id: int
    commune_name: str
    name: str
    valid_from: date
    valid_until: date


def plans_of(db: Session, commune_ids: Collection[int], household_id: int) -> list[KnownPlan]:
    """What these communes have seen of a household's children, by child, the newest first."""
    rows = db.execute(
        select(
            CarePlan.id,
            Commune.id,
            Commune.name,
            Beneficiary.first_name + " " + Beneficiary.last_name,
            CarePlan.valid_from,
            CarePlan.valid_until,
        )
        .join(Commune, Commune.id == CarePlan.commune_id)
        .join(Beneficiary, Beneficiary.id == CarePlan.beneficiary_id)
        .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == CarePlan.beneficiary_id)
        .where(
            HouseholdBeneficiary.household_id == household_id,
            HouseholdBeneficiary.archived_at.is_(None),
            CarePlan.commune_id.in_(sorted(commune_ids)),
        )
        .order_by(HouseholdBeneficiary.position, CarePlan.valid_from.desc())
    )
    return [KnownPlan._make(row) for row in rows]


class Asked(NamedTuple):
    """A child who is at a tariff with PAI, or asks for one."""

    commune_id: int
    commune_name: str
    beneficiary_id: int
    name: str


def asked_of(db: Session, commune_ids: Collection[int], household_id: int) -> list[Asked]:
    """The household's children of whom a tariff of these communes asks a PAI."""
    rows = db.execute(
        select(Commune.id, Commune.name, Beneficiary.id, Beneficiary.first_name + " " + Beneficiary.last_name)
        .select_from(Enrolment)
        .join(Tariff, Tariff.id == Enrolment.tariff_id)
        .join(Service, Service.id == Enrolment.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
        .where(
            Enrolment.household_id == household_id,
            Enrolment.state.in_(("requested", "to_complete", "approved")),
            Tariff.pai,
            Commune.id.in_(sorted(commune_ids)),
        )
        .distinct()
        .order_by(Commune.name, Beneficiary.id)
    )
    return [Asked._make(row) for row in rows]


def note_plan(
    db: Session,
    household_id: int,
    beneficiary_id: int,
    commune_id: int,
    days: tuple[date, date],
    account_id: int,
    now: datetime,
) -> None:
    """A PAI of a child covers these days (both included) in the commune; one that began on the same day gives way.

    Raises `NotFound` for a child of whom no tariff of the commune asks one.
    """
    if beneficiary_id not in {one.beneficiary_id for one in asked_of(db, [commune_id], household_id)}:
        raise NotFound
    # Two clerks at once note one after the other.
    lock(db, Beneficiary, [beneficiary_id])
    first, last = days
    db.execute(
        delete(CarePlan).where(
            CarePlan.beneficiary_id == beneficiary_id, CarePlan.commune_id == commune_id, CarePlan.valid_from == first
        )
    )
    db.execute(
        insert(CarePlan).values(
            beneficiary_id=beneficiary_id,
            commune_id=commune_id,
            valid_from=first,
            valid_until=last,
            noted_at=now,
            noted_by_id=account_id,
        )
    )
    facts: dict[str, object] = {"commune": commune_id, "from": first.isoformat(), "until": last.isoformat()}
    audit.note(db, _regie_of(db, commune_id), account_id, "pai_noted", f"beneficiary:{beneficiary_id}", facts, now)


def remove_plan(
    db: Session, commune_ids: Collection[int], household_id: int, plan_id: int, account_id: int, now: datetime
) -> bool:
    """Take back a PAI that was noted wrongly; whether it was there still. Raises `NotFound` for one out of reach."""
    found = next((plan for plan in plans_of(db, commune_ids, household_id) if plan.id == plan_id), None)
    if found is None:
        if db.scalar(select(CarePlan.id).where(CarePlan.id == plan_id)) is not None:
            raise NotFound
        return False
    gone = db.execute(
        delete(CarePlan).where(CarePlan.id == plan_id).returning(CarePlan.beneficiary_id, CarePlan.commune_id)
    ).first()
    if gone is None:
        return False
    facts: dict[str, object] = {"from": found.valid_from.isoformat(), "until": found.valid_until.isoformat()}
    regie_id = _regie_of(db, gone.commune_id)
    audit.note(db, regie_id, account_id, "pai_removed", f"beneficiary:{gone.beneficiary_id}", facts, now)
    return True


def _regie_of(db: Session, commune_id: int) -> int:
    return db.scalars(select(Commune.regie_id).where(Commune.id == commune_id)).one()
