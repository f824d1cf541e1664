"""Reads of what a price may depend on: the family's children and quotients."""

from collections.abc import Mapping

from sqlalchemy import bindparam, select

from accounts.models import Beneficiary, HouseholdBeneficiary
from cart.places import Place
from cart.quotes import NOBODY, Family, Pupil, Terms
from cart.rules import Child
from catalog.models import School
from enrolments.models import Quotient
from shop.statements import Rows, run

_PUPILS = (
    select(HouseholdBeneficiary.beneficiary_id, School.level, Beneficiary.birth_date)
    .join(Beneficiary, Beneficiary.id == HouseholdBeneficiary.beneficiary_id)
    .outerjoin(School, School.id == Beneficiary.school_id)
    .where(
        HouseholdBeneficiary.household_id == bindparam("household_id"),
        HouseholdBeneficiary.archived_at.is_(None),
        HouseholdBeneficiary.relation != "self",
    )
    .order_by(Beneficiary.birth_date.is_(None), Beneficiary.birth_date, Beneficiary.id)
)
_QUOTIENTS = select(Quotient.commune_id, Quotient.valid_from, Quotient.valid_until, Quotient.value).where(
    Quotient.household_id == bindparam("household_id")
)


def find_family(db: Rows, household_id: int) -> Family:
    """What grids ask about a household. Two statements: read it only where a price has a grid."""
    pupils = run(db, _PUPILS, household_id=household_id)
    quotients = run(db, _QUOTIENTS, household_id=household_id)
    return Family(
        [(commune_id, first, last, value) for commune_id, first, last, value in quotients],
        {child_id: Pupil(rank, level, born) for rank, (child_id, level, born) in enumerate(pupils, 1)},
    )


def terms_of(db: Rows, household_id: int, place: Place, children: Mapping[int, Child]) -> Terms:
    """What the service asks, and of whom. Two statements, and only where one of the children's prices has a grid."""
    has_grid = any(right.grid is not None for child in children.values() for right in child.rights)
    family = find_family(db, household_id) if has_grid else NOBODY
    return Terms(place.policies, place.commune_id, family)
