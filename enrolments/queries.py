"""Reads about access to services: plain rows, ready for a page."""

from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from accounts.models import Beneficiary, HouseholdBeneficiary
from catalog.models import Commune, Service, Tariff, TariffPrice
from enrolments.models import Enrolment
from shop.clock import paris_day

is_of_family = and_(
    HouseholdBeneficiary.household_id == Enrolment.household_id,
    HouseholdBeneficiary.beneficiary_id == Enrolment.beneficiary_id,
    HouseholdBeneficiary.archived_at.is_(None),
)
"""That an enrolment is for a beneficiary whom its family has not taken out."""


class Right(NamedTuple):
    """One beneficiary may buy one tariff of a service from a day to a day, both included."""

    beneficiary_id: int
    tariff_id: int
    valid_from: date
    valid_until: date


def approved_for(db: Session, household_id: int, service_id: int, first: date, last: date) -> list[Right]:
    """The approved enrolments of a household at a service that hold on some day from `first` to `last`.

    Two of one beneficiary never hold on the same day: approving clips the one before. Beneficiaries whom the family
    has taken out have none.
    """
    rows = db.execute(
        select(Enrolment.beneficiary_id, Enrolment.tariff_id, Enrolment.valid_from, Enrolment.valid_until)
        .join(
            HouseholdBeneficiary,
            is_of_family,
        )
        .where(
            Enrolment.household_id == household_id,
            Enrolment.service_id == service_id,
            Enrolment.state == "approved",
            Enrolment.valid_from <= last,
            Enrolment.valid_until >= first,
        )
        .order_by(HouseholdBeneficiary.position, Enrolment.beneficiary_id, Enrolment.valid_from)
    )
    return [Right(*row) for row in rows]


class Place(NamedTuple):
    """A commune in which something can be asked for."""

    slug: str
    name: str
    services: str
    """What it offers, "Cantine Aiguilhe, Garderie Aiguilhe"."""


def communes(db: Session) -> list[Place]:
    """The communes that have a service with a tariff, by name."""
    has_tariff = select(Tariff.id).where(Tariff.service_id == Service.id).exists()
    rows = db.execute(
        select(Commune.slug, Commune.name, Service.name)
        .join(Service, Service.commune_id == Commune.id)
        .where(has_tariff)
        .order_by(Commune.name, Commune.id, Service.position, Service.id)
    )
    names: dict[str, str] = {}
    services: dict[str, list[str]] = {}
    for slug, name, service in rows:
        names[slug] = name
        services.setdefault(slug, []).append(service)
    return [Place(slug, name, ", ".join(services[slug])) for slug, name in names.items()]


class Offer(NamedTuple):
    """A tariff that can be asked for."""

    tariff_id: int
    service_id: int
    service_name: str
    commune_name: str
    label: str
    audience: str
    documents: str | None
    cents: int | None
    """What a meal costs on the day asked about; nothing when no price is set for it."""


def offers(db: Session, commune_slug: str, day: date) -> list[Offer]:
    """The tariffs of a commune in the order of its catalogue, with the price of `day`."""
    rows = db.execute(
        select(
            Tariff.id,
            Service.id,
            Service.name,
            Commune.name,
            Tariff.label,
            Tariff.audience,
            Tariff.documents,
            TariffPrice.cents,
        )
        .join(Service, Service.id == Tariff.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .outerjoin(
            TariffPrice,
            and_(
                TariffPrice.tariff_id == Tariff.id,
                TariffPrice.valid_from <= day,
                or_(TariffPrice.valid_until.is_(None), TariffPrice.valid_until >= day),
            ),
        )
        .where(Commune.slug == commune_slug)
        .order_by(Service.position, Service.id, Tariff.position, Tariff.id)
    )
    return [Offer(*row) for row in rows]


class Eater(NamedTuple):
    """A beneficiary of the household."""

    id: int
    first_name: str
    last_name: str
    relation: str
    birth_date: date | None

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


def eaters(db: Session, household_id: int) -> list[Eater]:
    """The beneficiaries of a household whom it has not taken out, in its order."""
    rows = db.execute(
        select(
            Beneficiary.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            HouseholdBeneficiary.relation,
            Beneficiary.birth_date,
        )
        .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == Beneficiary.id)
        .where(HouseholdBeneficiary.household_id == household_id, HouseholdBeneficiary.archived_at.is_(None))
        .order_by(HouseholdBeneficiary.position, Beneficiary.id)
    )
    return [Eater(*row) for row in rows]


class Mine(NamedTuple):
    """One line of "Mes services"."""

    id: int
    state: str
    first_name: str
    last_name: str
    commune_name: str
    commune_slug: str
    service_name: str
    service_slug: str
    tariff_label: str
    school_year: int
    valid_until: date
    requested_at: datetime
    message: str | None
    reason: str | None

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def requested_day(self) -> date:
        return paris_day(self.requested_at)

    @property
    def is_pending(self) -> bool:
        return self.state in ("requested", "to_complete")


def of_household(db: Session, household_id: int, today: date) -> list[Mine]:
    """The household's requests and accesses, what awaits something first; without those it withdrew.

    An access whose last day has passed reads "expired"; what was refused or ended more than a year ago is left out.
    """
    cut = date(today.year - 1, today.month, min(today.day, 28))
    rows = db.execute(
        select(
            Enrolment.id,
            Enrolment.state,
            Beneficiary.first_name,
            Beneficiary.last_name,
            Commune.name,
            Commune.slug,
            Service.name,
            Service.slug,
            Tariff.label,
            Enrolment.school_year,
            Enrolment.valid_until,
            Enrolment.requested_at,
            Enrolment.message,
            Enrolment.reason,
        )
        .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
        .join(
            HouseholdBeneficiary,
            is_of_family,
        )
        .join(Service, Service.id == Enrolment.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .join(Tariff, Tariff.id == Enrolment.tariff_id)
        .where(
            Enrolment.household_id == household_id,
            Enrolment.state != "withdrawn",
            Enrolment.valid_until >= cut,
        )
        .order_by(Commune.name, Service.position, HouseholdBeneficiary.position, Enrolment.id.desc())
    )
    lines = [Mine._make(row) for row in rows]
    lines = [
        line._replace(state="expired") if line.state == "approved" and line.valid_until < today else line
        for line in lines
    ]
    first = {"to_complete": 0, "requested": 1, "approved": 2}
    return sorted(lines, key=lambda line: first.get(line.state, 3))


def has_asked(db: Session, household_id: int) -> bool:
    """Whether the household has ever asked for a service, whatever became of it; taken back does not count."""
    asked = select(Enrolment.id).where(Enrolment.household_id == household_id, Enrolment.state != "withdrawn")
    return db.scalar(asked.limit(1)) is not None


def count_of_household(db: Session, household_id: int) -> int:
    """How many requests and accesses the household has that are neither refused nor ended."""
    return (
        db.scalar(
            select(func.count())
            .select_from(Enrolment)
            .where(
                Enrolment.household_id == household_id,
                Enrolment.state.in_(("requested", "to_complete", "approved")),
            )
        )
        or 0
    )
