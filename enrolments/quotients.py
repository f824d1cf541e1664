"""Family quotients: what a commune has seen proved of a household, between two days."""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from accounts.models import Household
from catalog.models import Commune, Service
from enrolments.models import Enrolment, Quotient
from shop import audit
from shop.database import lock
from shop.errors import NotFound


class Known(NamedTuple):
    """A quotient that a commune knows."""

    commune_id: int
    commune_name: str
    value: int
    valid_from: date
    valid_until: date


def quotients_of(db: Session, commune_ids: Collection[int], household_id: int) -> list[Known]:
    """What these communes know of a household, the newest first."""
    rows = db.execute(
        select(Commune.id, Commune.name, Quotient.value, Quotient.valid_from, Quotient.valid_until)
        .join(Commune, Commune.id == Quotient.commune_id)
        .where(Quotient.household_id == household_id, Quotient.commune_id.in_(commune_ids))
        .order_by(Commune.name, Quotient.valid_from.desc())
    )
    return [Known._make(row) for row in rows]


def note_quotient(
    db: Session,
    household_id: int,
    commune_id: int,
    value: int,
    days: tuple[date, date],
    account_id: int,
    now: datetime,
) -> None:
    """From a day to a day (both included) the household has this quotient in the commune; what was known of these days
    gives way. Meals that are sold keep their price; baskets tell that theirs has changed.

    Raises `NotFound` for a household that has asked the commune for nothing.
    """
    first, last = days
    # Two clerks at once note one after the other.
    lock(db, Household, [household_id])
    regie_id = db.scalar(
        select(Commune.regie_id).where(
            Commune.id == commune_id,
            select(Enrolment.id)
            .join(Service, Service.id == Enrolment.service_id)
            .where(Enrolment.household_id == household_id, Service.commune_id == Commune.id)
            .exists(),
        )
    )
    if regie_id is None:
        raise NotFound
    of_household = (Quotient.household_id == household_id, Quotient.commune_id == commune_id)
    after = db.execute(
        select(Quotient.value, Quotient.valid_until).where(
            *of_household, Quotient.valid_from <= last, Quotient.valid_until > last
        )
    ).first()
    db.execute(delete(Quotient).where(*of_household, Quotient.valid_from >= first, Quotient.valid_from <= last))
    db.execute(
        update(Quotient)
        .where(*of_household, Quotient.valid_from < first, Quotient.valid_until >= first)
        .values(valid_until=first - timedelta(days=1))
        .execution_options(synchronize_session=False)
    )
    facts = {"household_id": household_id, "commune_id": commune_id, "noted_at": now, "noted_by_id": account_id}
    rows = [{**facts, "value": value, "valid_from": first, "valid_until": last}]
    if after is not None:
        rows.append(
            {
                **facts,
                "value": after.value,
                "valid_from": last + timedelta(days=1),
                "valid_until": after.valid_until,
            }
        )
    db.execute(insert(Quotient), rows)
    noted = {"commune": commune_id, "value": value, "from": first.isoformat(), "until": last.isoformat()}
    audit.note(db, regie_id, account_id, "quotient_noted", f"household:{household_id}", noted, now)
