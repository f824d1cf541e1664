"""The second demo region: thirteen communes with the rules that they have published, each a cash office of its own.

Every file in demo/published/ is one of them. The guides' family and the family of four are enrolled at each canteen, and the
clerk of Polignac manages them all, so that every rule can be tried on both sides of the counter.
"""

from datetime import date, datetime
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from accounts.models import Account, HouseholdBeneficiary, HouseholdMember, StaffRole
from catalog.models import Commune, Regie, Service, Tariff
from catalog.operations import import_town, refresh_services
from catalog.town import Town, read_town
from demo.files import FOLDER
from enrolments.models import Enrolment, Quotient
from enrolments.rules import school_year_of, validity
from shop.clock import paris_day
from shop.database import insert_missing

FAMILIES = {"julien.dupont@example.org": 850, "mc.desaintgermain@example.org": 1240}
"""Who is enrolled everywhere, and the family quotient that each commune knows of them."""
CLERK = "mairie@polignac.example.org"
"""Who manages them all, beside the commune of the demo town, so that their rules can be tried at the desk too."""


def published_towns() -> list[tuple[Path, Town]]:
    """The files and what they say, by name."""
    files = sorted((FOLDER / "published").glob("*.toml"))
    return [(file, read_town(file.read_text(encoding="utf-8"), file.name)) for file in files]


def load_published(db: Session, now: datetime) -> int:
    """Open the thirteen communes beside the demo town and enrol its two families; how many communes.

    Doing it again changes nothing.
    """
    towns = [town for _file, town in published_towns()]
    for town in towns:
        import_town(db, town, now)
    slugs = [town.regie.slug for town in towns]
    services = db.execute(
        select(Service.id, Commune.id.label("commune_id"), Service.kind)
        .join(Commune, Commune.id == Service.commune_id)
        .join(Regie, Regie.id == Commune.regie_id)
        .where(Regie.slug.in_(slugs))
    ).all()
    refresh_services(db, [service.id for service in services], paris_day(now), now)
    offered = db.execute(
        select(Tariff.service_id, Tariff.id).where(Tariff.audience == "child").order_by(Tariff.position.desc())
    )
    # The last one of a service that comes is its first tariff.
    tariffs = dict(offered.all())
    year = school_year_of(paris_day(now))
    first, last = validity(year)
    for email, quotient in FAMILIES.items():
        canteens = [(row.id, row.commune_id) for row in services if row.kind == "canteen"]
        _enrol(db, email, canteens, tariffs, quotient, (year, first, last), now)
    _appoint(db, slugs, now)
    return sum(len(town.communes) for town in towns)


def _appoint(db: Session, regie_slugs: list[str], now: datetime) -> None:
    account_id = db.scalar(select(Account.id).where(Account.email == CLERK))
    if account_id is None:
        return
    hers = select(StaffRole.commune_id).where(StaffRole.account_id == account_id, StaffRole.commune_id.is_not(None))
    communes = db.execute(
        select(Commune.id, Commune.regie_id)
        .join(Regie, Regie.id == Commune.regie_id)
        .where(Regie.slug.in_(regie_slugs), Commune.id.not_in(hers))
        .order_by(Commune.id)
    )
    facts = {"account_id": account_id, "scope": "commune", "role": "manager", "given_at": now}
    rows = [{**facts, "regie_id": regie_id, "commune_id": commune_id} for commune_id, regie_id in communes]
    if rows:
        db.execute(insert(StaffRole), rows)


def _enrol(
    db: Session,
    email: str,
    canteens: list[tuple[int, int]],
    tariffs: dict[int, int],
    quotient: int,
    valid: tuple[int, date, date],
    now: datetime,
) -> None:
    year, first, last = valid
    found = db.execute(
        select(HouseholdMember.household_id, Account.id)
        .join(Account, Account.id == HouseholdMember.account_id)
        .where(Account.email == email)
    ).first()
    if found is None:
        return
    household_id, account_id = found
    children = db.scalars(
        select(HouseholdBeneficiary.beneficiary_id).where(
            HouseholdBeneficiary.household_id == household_id,
            HouseholdBeneficiary.archived_at.is_(None),
            HouseholdBeneficiary.relation != "self",
        )
    ).all()
    held = set(
        db.execute(
            select(Enrolment.beneficiary_id, Enrolment.service_id).where(
                Enrolment.household_id == household_id, Enrolment.school_year == year
            )
        )
    )
    rows = [
        {
            "household_id": household_id,
            "beneficiary_id": child,
            "service_id": service_id,
            "tariff_id": tariffs[service_id],
            "school_year": year,
            "valid_from": first,
            "valid_until": last,
            "state": "approved",
            "requested_at": now,
            "requested_by_id": account_id,
            "decided_at": now,
        }
        for service_id, _commune_id in canteens
        for child in children
        if (child, service_id) not in held
    ]
    if rows:
        db.execute(insert(Enrolment), rows)
    quotients = [
        {
            "household_id": household_id,
            "commune_id": commune_id,
            "value": quotient,
            "valid_from": first,
            "valid_until": last,
            "noted_at": now,
            "noted_by_id": account_id,
        }
        for _service_id, commune_id in canteens
    ]
    insert_missing(db, Quotient, quotients)
