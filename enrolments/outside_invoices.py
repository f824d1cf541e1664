"""Invoices that were issued elsewhere and that a family has not paid, as a régie knows them: noted, then marked paid or
withdrawn. No money moves here.

A reference stands once in a régie; the unique index is the judge between two clerks. Of two who close an invoice at once, the
first to lock it wins and the second is told.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import Literal, NamedTuple

from sqlalchemy import Select, bindparam, select, update
from sqlalchemy.orm import Session, aliased

from accounts.models import Account, HouseholdMember
from catalog.models import Commune, Regie, Service
from enrolments.errors import InvoiceClosed, OwnInvoice, ReferenceKnown
from enrolments.models import Enrolment, OutsideInvoice
from enrolments.operations import Desk
from shop import audit, outbox
from shop.database import insert_new, lock
from shop.errors import NotFound
from shop.french import phone
from shop.outbox import Letter
from shop.statements import Rows, run

EARLIEST_DUE = date(2000, 1, 1)
MOST_DAYS_AHEAD = 366
"""A due date further ahead than that is a slip of the keyboard."""


class OpenInvoice(NamedTuple):
    """An invoice that a household has not paid, and where to turn."""

    regie_id: int
    reference: str
    cents: int
    due_on: date
    regie_name: str
    regie_phone: str | None
    regie_email: str

    @property
    def contact(self) -> str:
        """The régie that knows the invoice, with its telephone number and its address."""
        return ", ".join(part for part in (self.regie_name, phone(self.regie_phone), self.regie_email) if part)


_COLUMNS = (
    OutsideInvoice.regie_id,
    OutsideInvoice.reference,
    OutsideInvoice.cents,
    OutsideInvoice.due_on,
    Regie.legal_name,
    Regie.contact_phone,
    Regie.contact_email,
)
_OPEN = (
    select(*_COLUMNS)
    .join(Regie, Regie.id == OutsideInvoice.regie_id)
    .where(OutsideInvoice.household_id == bindparam("household_id"), OutsideInvoice.state == "open")
    .order_by(OutsideInvoice.due_on, OutsideInvoice.id)
)


def open_invoices(db: Rows, household_id: int) -> list[OpenInvoice]:
    """What the household has not paid elsewhere, at every régie, the oldest due date first. One statement."""
    return [OpenInvoice._make(row) for row in run(db, _OPEN, household_id=household_id)]


class ToldInvoice(NamedTuple):
    """An invoice as a letter tells it."""

    invoice: OpenInvoice
    withdrawn_reason: str | None


def get_told(db: Session, invoice_id: int) -> ToldInvoice:
    """An invoice by id, in whatever state."""
    *facts, reason = db.execute(
        select(*_COLUMNS, OutsideInvoice.withdrawn_reason)
        .join(Regie, Regie.id == OutsideInvoice.regie_id)
        .where(OutsideInvoice.id == invoice_id)
    ).one()
    return ToldInvoice(OpenInvoice._make(facts), reason)


class KnownInvoice(NamedTuple):
    """An invoice in a family's file, open or closed."""

    id: int
    household_id: int
    regie_id: int
    regie_name: str
    reference: str
    cents: int
    due_on: date
    state: str
    noted_at: datetime
    noted_by: str
    closed_at: datetime | None
    closed_by: str | None
    withdrawn_reason: str | None


def regies_of(db: Session, commune_ids: Collection[int], household_id: int) -> dict[int, str]:
    """The régies, by id, of those of these communes that the family has asked for something."""
    rows = db.execute(
        select(Regie.id, Regie.legal_name)
        .join(Commune, Commune.regie_id == Regie.id)
        .where(Commune.id.in_(_asked(commune_ids, household_id)))
        .distinct()
        .order_by(Regie.legal_name, Regie.id)
    )
    return {row.id: row.legal_name for row in rows}


def _asked(commune_ids: Collection[int], household_id: int) -> Select[int]:
    return (
        select(Service.commune_id)
        .join(Enrolment, Enrolment.service_id == Service.id)
        .join(Account, Account.id == Enrolment.requested_by_id)
        .where(
            Enrolment.household_id == household_id,
            Enrolment.state != "withdrawn",
            Account.state == "active",
            Service.commune_id.in_(sorted(commune_ids)),
        )
    )


def invoices_of(db: Session, commune_ids: Collection[int], household_id: int) -> list[KnownInvoice]:
    """What the régies of those of these communes that the family has asked for something know of it: open invoices first,
    then those that were due last."""
    noter, closer = aliased(Account), aliased(Account)
    regies = select(Commune.regie_id).where(Commune.id.in_(_asked(commune_ids, household_id)))
    rows = db.execute(
        select(
            OutsideInvoice.id,
            OutsideInvoice.household_id,
            Regie.id,
            Regie.legal_name,
            OutsideInvoice.reference,
            OutsideInvoice.cents,
            OutsideInvoice.due_on,
            OutsideInvoice.state,
            OutsideInvoice.noted_at,
            noter.first_name + " " + noter.last_name,
            OutsideInvoice.closed_at,
            closer.first_name + " " + closer.last_name,
            OutsideInvoice.withdrawn_reason,
        )
        .join(Regie, Regie.id == OutsideInvoice.regie_id)
        .join(noter, noter.id == OutsideInvoice.noted_by_id)
        .outerjoin(closer, closer.id == OutsideInvoice.closed_by_id)
        .where(OutsideInvoice.household_id == household_id, OutsideInvoice.regie_id.in_(regies))
        .order_by(OutsideInvoice.state != "open", OutsideInvoice.due_on.desc(), OutsideInvoice.id.desc())
    )
    return [KnownInvoice._make(row) for row in rows]


def find_invoice(db: Session, commune_ids: Collection[int], invoice_id: int) -> KnownInvoice:
    """One of them. Raises `NotFound` out of reach."""
    household_id = db.scalar(select(OutsideInvoice.household_id).where(OutsideInvoice.id == invoice_id))
    if household_id is not None:
        for invoice in invoices_of(db, commune_ids, household_id):
            if invoice.id == invoice_id:
                return invoice
    raise NotFound


class NewInvoice(NamedTuple):
    """What a clerk notes."""

    household_id: int
    regie_id: int
    reference: str
    cents: int
    due_on: date


def note_invoice(db: Session, new: NewInvoice, desk: Desk, now: datetime) -> tuple[int, bool]:
    """Note that a household has not paid an invoice; the family is told. Its id, and whether it is new: the same again gives
    the one that is there.

    Raises `NotFound` for a family that has asked none of the desk's communes of this régie for anything, `OwnInvoice`, and
    `ReferenceKnown` when the reference stands for something else.
    """
    if new.regie_id not in regies_of(db, desk.commune_ids, new.household_id):
        raise NotFound
    _check_not_own(db, new.household_id, desk)
    row = {**new._asdict(), "state": "open", "noted_at": now, "noted_by_id": desk.account_id}
    written = insert_new(db, OutsideInvoice, [row], (OutsideInvoice.id,))
    if not written:
        # Another has noted it, perhaps a moment ago: it is committed now.
        there = db.execute(
            select(
                OutsideInvoice.id,
                OutsideInvoice.household_id,
                OutsideInvoice.cents,
                OutsideInvoice.due_on,
                OutsideInvoice.state,
            ).where(
                OutsideInvoice.regie_id == new.regie_id,
                OutsideInvoice.reference == new.reference,
                OutsideInvoice.state != "withdrawn",
            )
        ).one()
        if there[1:] != (new.household_id, new.cents, new.due_on, "open"):
            raise ReferenceKnown(
                new.reference, there.household_id == new.household_id, there.cents, there.due_on, there.state
            )
        return there.id, False
    (invoice_id,) = written[0]
    facts: dict[str, object] = {
        "household": new.household_id,
        "reference": new.reference,
        "cents": new.cents,
        "due_on": new.due_on.isoformat(),
    }
    _tell(db, "invoice_noted", invoice_id, new.household_id, now)
    audit.note(db, new.regie_id, desk.account_id, "invoice_noted", f"outside_invoice:{invoice_id}", facts, now)
    return invoice_id, True


Closing = Literal["paid", "withdrawn"]


def mark_paid(db: Session, invoice_id: int, desk: Desk, now: datetime) -> tuple[int, bool]:
    """The invoice was paid elsewhere; the family is told. Its household, and whether it was open still.

    Raises `NotFound` out of reach, `OwnInvoice`, and `InvoiceClosed` when it was withdrawn meanwhile.
    """
    return _close(db, invoice_id, "paid", None, desk, now)


def withdraw(db: Session, invoice_id: int, reason: str, desk: Desk, now: datetime) -> tuple[int, bool]:
    """The invoice was noted wrongly; the family reads why. Its household, and whether it was open still.

    Raises `NotFound` out of reach, `OwnInvoice`, and `InvoiceClosed` when it was marked paid meanwhile.
    """
    return _close(db, invoice_id, "withdrawn", reason, desk, now)


def _close(
    db: Session, invoice_id: int, state: Closing, reason: str | None, desk: Desk, now: datetime
) -> tuple[int, bool]:
    found = find_invoice(db, desk.commune_ids, invoice_id)
    _check_not_own(db, found.household_id, desk)
    (invoice,) = lock(db, OutsideInvoice, [invoice_id])
    if invoice.state == state:
        return found.household_id, False
    if invoice.state != "open":
        raise InvoiceClosed(found.reference, invoice.state)
    db.execute(
        update(OutsideInvoice)
        .where(OutsideInvoice.id == invoice_id)
        .values(state=state, closed_at=now, closed_by_id=desk.account_id, withdrawn_reason=reason)
        .execution_options(synchronize_session=False)
    )
    kind = f"invoice_{state}"
    facts: dict[str, object] = {"household": found.household_id, "reference": found.reference, "cents": found.cents}
    if reason is not None:
        facts["reason"] = reason
    _tell(db, kind, invoice_id, found.household_id, now)
    audit.note(db, found.regie_id, desk.account_id, kind, f"outside_invoice:{invoice_id}", facts, now)
    return found.household_id, True


def _check_not_own(db: Session, household_id: int, desk: Desk) -> None:
    own = select(HouseholdMember.id).where(
        HouseholdMember.household_id == household_id, HouseholdMember.account_id == desk.account_id
    )
    if db.scalar(own) is not None:
        raise OwnInvoice


def _tell(db: Session, kind: str, invoice_id: int, household_id: int, now: datetime) -> None:
    """A letter to everybody who acts for the household."""
    rows = db.execute(
        select(Account.id, Account.email)
        .join(HouseholdMember, HouseholdMember.account_id == Account.id)
        .where(HouseholdMember.household_id == household_id, Account.state == "active")
        .order_by(Account.id)
    )
    letters = [
        Letter(kind=kind, to=email, key=f"{kind}:{invoice_id}:{account_id}", facts={"invoice_id": invoice_id})
        for account_id, email in rows
    ]
    outbox.post_all(db, letters, now)
