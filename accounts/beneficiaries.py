"""Verbs about those who eat: add them to a household, change them, take them out."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from accounts.models import Beneficiary, Household, HouseholdBeneficiary
from accounts.rules import check_relations, same_person, search_text
from shop.database import lock
from shop.errors import NotFound
from shop.outbox import the_sealer


@dataclass(frozen=True)
class Facts:
    """What a household says about one beneficiary. Empty things are `None`; allergies are in clear."""

    first_name: str
    last_name: str
    relation: str
    birth_date: date | None = None
    school_id: int | None = None
    class_name: str | None = None
    diet: str = "standard"
    allergies: str | None = None

    @property
    def who(self) -> tuple[str, str, date | None]:
        return self.first_name, self.last_name, self.birth_date


def _place(beneficiary_id: int) -> str:
    return f"beneficiaries.allergies:{beneficiary_id}"


def open_allergies(beneficiary_id: int, sealed: str | None) -> str:
    """The allergies of a beneficiary in clear; empty when there are none."""
    return the_sealer().open(sealed, _place(beneficiary_id)) if sealed else ""


def _seal(beneficiary_id: int, allergies: str | None) -> str | None:
    return the_sealer().seal(allergies, _place(beneficiary_id)) if allergies else None


def add_beneficiaries(db: Session, household_id: int, rows: list[Facts], now: datetime) -> list[int]:
    """Add them in order; one whom the household has already is left as it is, so that a second click adds nobody twice, and
    of two rows that name one person the first counts.

    One who was archived comes back with what is said now. The ids, in the order of `rows`.
    """
    lock(db, Household, [household_id])
    known = list(
        db.execute(
            select(
                Beneficiary.id,
                Beneficiary.first_name,
                Beneficiary.last_name,
                Beneficiary.birth_date,
                HouseholdBeneficiary.relation,
                HouseholdBeneficiary.archived_at,
            )
            .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == Beneficiary.id)
            .where(HouseholdBeneficiary.household_id == household_id)
            .order_by(HouseholdBeneficiary.id)
        )
    )
    position = len(known)
    ids: list[int] = []
    added: list[str] = []
    for place, row in enumerate(rows):
        twin = next(
            (number for number, other in zip(ids, rows[:place], strict=True) if same_person(other.who, row.who)), 0
        )
        if twin:
            ids.append(twin)
            continue
        match = next((k for k in known if same_person((k.first_name, k.last_name, k.birth_date), row.who)), None)
        if match is not None:
            ids.append(match.id)
            if match.archived_at is not None:
                change_beneficiary(db, household_id, match.id, row)
                added.append(row.relation)
                db.execute(
                    update(HouseholdBeneficiary)
                    .where(
                        HouseholdBeneficiary.household_id == household_id,
                        HouseholdBeneficiary.beneficiary_id == match.id,
                    )
                    .values(archived_at=None)
                    .execution_options(synchronize_session=False)
                )
            continue
        ids.append(_add(db, household_id, row, position, now))
        added.append(row.relation)
        position += 1
    check_relations([k.relation for k in known if k.archived_at is None] + added)
    return ids


def _add(db: Session, household_id: int, row: Facts, position: int, now: datetime) -> int:
    beneficiary_id: int = db.execute(
        insert(Beneficiary)
        .values(
            first_name=row.first_name,
            last_name=row.last_name,
            birth_date=row.birth_date,
            school_id=row.school_id,
            class_name=row.class_name,
            diet=row.diet,
            created_at=now,
        )
        .returning(Beneficiary.id)
    ).scalar_one()
    if row.allergies:
        db.execute(
            update(Beneficiary)
            .where(Beneficiary.id == beneficiary_id)
            .values(allergies=_seal(beneficiary_id, row.allergies))
            .execution_options(synchronize_session=False)
        )
    db.execute(
        insert(HouseholdBeneficiary).values(
            household_id=household_id, beneficiary_id=beneficiary_id, relation=row.relation, position=position
        )
    )
    return beneficiary_id


def change_beneficiary(db: Session, household_id: int, beneficiary_id: int, row: Facts) -> None:
    """Change what is said about a beneficiary of the household. Raises `NotFound` for another family's."""
    lock(db, Household, [household_id])
    relations = {
        link.beneficiary_id: link
        for link in db.execute(
            select(
                HouseholdBeneficiary.beneficiary_id, HouseholdBeneficiary.relation, HouseholdBeneficiary.archived_at
            ).where(HouseholdBeneficiary.household_id == household_id)
        )
    }
    if beneficiary_id not in relations:
        raise NotFound
    others = [
        link.relation for other, link in relations.items() if other != beneficiary_id and link.archived_at is None
    ]
    check_relations([*others, row.relation])
    db.execute(
        update(Beneficiary)
        .where(Beneficiary.id == beneficiary_id)
        .values(
            first_name=row.first_name,
            last_name=row.last_name,
            search_text=search_text(row.last_name, row.first_name),
            birth_date=row.birth_date,
            school_id=row.school_id,
            class_name=row.class_name,
            diet=row.diet,
            allergies=_seal(beneficiary_id, row.allergies),
        )
        .execution_options(synchronize_session=False)
    )
    db.execute(
        update(HouseholdBeneficiary)
        .where(HouseholdBeneficiary.household_id == household_id, HouseholdBeneficiary.beneficiary_id == beneficiary_id)
        .values(relation=row.relation)
        .execution_options(synchronize_session=False)
    )


def archive_beneficiary(db: Session, household_id: int, beneficiary_id: int, now: datetime) -> None:
    """Take a beneficiary out of the household's lists; orders and reservations stay. Raises `NotFound`."""
    archived = db.execute(
        update(HouseholdBeneficiary)
        .where(
            HouseholdBeneficiary.household_id == household_id,
            HouseholdBeneficiary.beneficiary_id == beneficiary_id,
            HouseholdBeneficiary.archived_at.is_(None),
        )
        .values(archived_at=now)
        .returning(HouseholdBeneficiary.id)
        .execution_options(synchronize_session=False)
    ).first()
    if archived is None:
        raise NotFound
