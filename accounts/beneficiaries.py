"""Verbs about those who eat: add them to a household, change them, take them out."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.orm import Session

from accounts.errors import FieldRefused
from accounts.models import Beneficiary, BeneficiaryChange, Household, HouseholdBeneficiary
from accounts.rules import check_relations, same_person, search_text
from shop.database import lock
from shop.errors import NotFound
from shop.outbox import the_sealer
from shop.words import gettext as _


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


def add_beneficiaries(db: Session, household_id: int, account_id: int, rows: list[Facts], now: datetime) -> list[int]:
    """Add them in order; one whom the household has already is left as it is, so that a second click adds nobody twice, and
    of two rows that name one person the first counts.

    One who was archived comes back with what is said now, unless it has found two other homes since. The ids, in the order
    of `rows`.
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
                _check_homes(db, match.id, row.first_name)
                change_beneficiary(db, household_id, account_id, match.id, row, now)
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


def _check_homes(db: Session, beneficiary_id: int, first_name: str) -> None:
    """Refuses a third home to a child who has two."""
    lock(db, Beneficiary, [beneficiary_id])
    homes = db.scalar(
        select(func.count()).where(
            HouseholdBeneficiary.beneficiary_id == beneficiary_id, HouseholdBeneficiary.archived_at.is_(None)
        )
    )
    if (homes or 0) > 1:
        raise FieldRefused(
            _("%(name)s a déjà deux foyers : cet enfant ne peut pas en avoir un troisième.", name=first_name)
        )


_SAID_BY_BOTH = ("first_name", "last_name", "birth_date", "school_id", "class_name", "diet", "allergies")


def _note_change(
    db: Session, household_id: int, account_id: int, beneficiary_id: int, row: Facts, now: datetime
) -> None:
    """Keep for a child's other home what this one is about to change; for nobody where there is none."""
    other = exists().where(
        HouseholdBeneficiary.beneficiary_id == Beneficiary.id,
        HouseholdBeneficiary.household_id != household_id,
        HouseholdBeneficiary.archived_at.is_(None),
    )
    kept = db.execute(
        select(*(getattr(Beneficiary, name) for name in _SAID_BY_BOTH)).where(Beneficiary.id == beneficiary_id, other)
    ).first()
    if kept is None:
        return
    was = {**kept._mapping, "allergies": open_allergies(beneficiary_id, kept.allergies) or None}
    what = [name for name in _SAID_BY_BOTH if was[name] != getattr(row, name)]
    if what:
        db.execute(
            insert(BeneficiaryChange).values(
                beneficiary_id=beneficiary_id,
                household_id=household_id,
                account_id=account_id,
                at=now,
                what=",".join(what),
            )
        )


def change_beneficiary(
    db: Session, household_id: int, account_id: int, beneficiary_id: int, row: Facts, now: datetime
) -> None:
    """Change what is said about a beneficiary of the household; a child's other home sees what was changed. Raises
    `NotFound` for another family's."""
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
    if row.relation == "self" and _has_another_home(db, household_id, beneficiary_id):
        raise FieldRefused(_("Seul un enfant peut avoir deux foyers : choisissez une autre filiation."))
    _note_change(db, household_id, account_id, beneficiary_id, row, now)
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


def _has_another_home(db: Session, household_id: int, beneficiary_id: int) -> bool:
    elsewhere = select(HouseholdBeneficiary.id).where(
        HouseholdBeneficiary.beneficiary_id == beneficiary_id,
        HouseholdBeneficiary.household_id != household_id,
        HouseholdBeneficiary.archived_at.is_(None),
    )
    return db.scalar(elsewhere.limit(1)) is not None


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
