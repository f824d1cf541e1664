"""What tests about access to services share."""

from email.message import EmailMessage
from typing import Any

from sqlalchemy import insert, select, update

from accounts.models import Beneficiary, HouseholdBeneficiary
from catalog.models import Tariff
from enrolments.models import Enrolment
from shop.database import transaction
from shop.models import AuditLine, Outbox
from tests.conftest import OpenSession
from tests.factory import Family, Town, add, add_tariff


def snapshot(read: OpenSession) -> list[tuple[Any, ...]]:
    """Everything that a decision may move: enrolments, letters, the audit trail. Equal before and after a "no"."""
    with read() as db:
        return [
            *(tuple(row) for row in db.execute(select(*Enrolment.__table__.c).order_by(Enrolment.id))),
            *(tuple(row) for row in db.execute(select(Outbox.key).order_by(Outbox.id))),
            *(tuple(row) for row in db.execute(select(AuditLine.digest).order_by(AuditLine.id))),
        ]


def states(read: OpenSession) -> dict[int, str]:
    """The state of every enrolment."""
    with read() as db:
        return {row.id: row.state for row in db.execute(select(Enrolment.id, Enrolment.state))}


def letters_waiting(read: OpenSession) -> list[tuple[str, str]]:
    """Kind and recipient of every letter in the outbox."""
    with read() as db:
        return [(kind, to) for kind, to in db.execute(select(Outbox.kind, Outbox.recipient).order_by(Outbox.id))]


def add_myself(town: Town, family: Family) -> int:
    """The parent as a beneficiary of the family."""
    with town.app.app_context(), transaction() as db:
        number = add(db, Beneficiary, first_name="Camille", last_name="Dupont", diet="standard", created_at=town.now)
        db.execute(
            insert(HouseholdBeneficiary).values(
                household_id=family.household_id, beneficiary_id=number, relation="self", position=9
            )
        )
    return number


def add_adult_tariff(town: Town) -> int:
    """A tariff for adults at Aiguilhe's canteen."""
    with town.app.app_context(), transaction() as db:
        tariff_id, _price_id = add_tariff(db, town.aiguilhe.canteen.id, "adulte", "Adulte", 700, 5)
        db.execute(update(Tariff).where(Tariff.id == tariff_id).values(audience="adult"))
    return tariff_id


def text_of(letter: EmailMessage, kind: str = "plain") -> str:
    """The text (or HTML) part of a letter."""
    part = letter.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


def rows(read: OpenSession) -> list[Any]:
    """Every enrolment, as plain rows in the order of their ids."""
    with read() as db:
        return list(db.execute(select(*Enrolment.__table__.c).order_by(Enrolment.id)))
