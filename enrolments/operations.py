"""Verbs that change who has access to which service. Each locks, asks the rules, writes; none commits.

Decisions lock the live enrolments of the families concerned by id, so that of two clerks, or of a clerk and a family,
the first wins and the second is told; the line in the audit trail comes last.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from accounts.models import Account, Beneficiary, HouseholdBeneficiary, HouseholdMember
from catalog.models import Commune, Service, Tariff
from enrolments import rules
from enrolments.errors import AlreadyAsked, TariffUnknown
from enrolments.models import Enrolment
from enrolments.queries import is_of_family
from shop import audit, outbox
from shop.clock import paris_day
from shop.database import lock
from shop.errors import NotFound
from shop.outbox import Letter
from shop.words import gettext as _

LIVE = ("requested", "to_complete", "approved")


@dataclass(frozen=True)
class Desk:
    """A clerk, and the communes in which she may decide."""

    account_id: int
    commune_ids: frozenset[int]


def request(
    db: Session,
    household_id: int,
    account_id: int,
    tariff_id: int,
    beneficiary_ids: Collection[int],
    message: str | None,
    now: datetime,
    school_year: int | None = None,
) -> list[int]:
    """Ask for access at a tariff for some beneficiaries, for a school year (the current one unless given).

    Returns the ids of the new enrolments. An active account gets a letter that says what was asked; the request of an
    unconfirmed one waits, unseen by the clerk, until the address is confirmed. Raises `TariffUnknown`, `NotFound` for
    a beneficiary of somebody else, and the refusals of `rules.check_request`.
    """
    today = paris_day(now)
    year = rules.school_year_of(today) if school_year is None else school_year
    tariff = db.execute(
        select(Tariff.service_id, Tariff.label, Tariff.audience, Service.name, *_TOWN_HALL)
        .join(Service, Service.id == Tariff.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .where(Tariff.id == tariff_id)
    ).first()
    if tariff is None:
        raise TariffUnknown
    service_id, label, audience, service_name, *town_hall = tariff
    persons = _persons(db, household_id, beneficiary_ids)
    rules.check_request(audience, tariff_id, persons, _standing(db, household_id, service_id), year, today)
    valid_from, valid_until = rules.validity(year)
    shared = {
        "household_id": household_id,
        "service_id": service_id,
        "tariff_id": tariff_id,
        "school_year": year,
        "valid_from": valid_from,
        "valid_until": valid_until,
        "state": "requested",
        "requested_at": now,
        "requested_by_id": account_id,
        "message": message,
    }
    # A second click at the same moment finds the row there already: the unique index is the judge, not the check above.
    insert = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
    ids = db.scalars(
        insert(Enrolment)
        .values([{**shared, "beneficiary_id": person.beneficiary_id} for person in persons])
        .on_conflict_do_nothing()
        .returning(Enrolment.id)
    ).all()
    if len(ids) < len(persons):
        raise AlreadyAsked(persons[0].name, label, "requested")
    account = db.execute(select(Account.email, Account.first_name, Account.state).where(Account.id == account_id)).one()
    if account.state == "active":
        things = [_thing(person.name, service_name, label) for person in persons]
        to = _Post._make((account.email, account.first_name, household_id, *town_hall))
        outbox.post(db, _letter("access_requested", to, min(ids), things, None, now), now)
    return sorted(ids)


def announce(db: Session, household_id: int, account_id: int, now: datetime) -> None:
    """Write to somebody whose address has just been confirmed what was asked for before: one letter for each town
    hall, none where nothing waits. An address is confirmed once, and so is this written."""
    rows = db.execute(
        select(
            Enrolment.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            Service.name,
            Tariff.label,
            Account.email,
            Account.first_name,
            Enrolment.household_id,
            *_TOWN_HALL,
        )
        .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
        .join(Service, Service.id == Enrolment.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .join(Tariff, Tariff.id == Enrolment.tariff_id)
        .join(Account, Account.id == Enrolment.requested_by_id)
        .join(
            HouseholdBeneficiary,
            is_of_family,
        )
        .where(
            Enrolment.household_id == household_id,
            Enrolment.requested_by_id == account_id,
            Enrolment.state == "requested",
        )
        .order_by(Enrolment.id)
    )
    asked: dict[_Post, list[tuple[int, dict[str, str]]]] = defaultdict(list)
    for enrolment_id, first_name, last_name, service_name, label, *to in rows:
        thing = _thing(f"{first_name} {last_name}", service_name, label)
        asked[_Post._make(to)].append((enrolment_id, thing))
    letters = [
        _letter("access_requested", to, ones[0][0], [thing for _id, thing in ones], None, now)
        for to, ones in asked.items()
    ]
    outbox.post_all(db, letters, now)


def withdraw(db: Session, household_id: int, enrolment_id: int, now: datetime) -> None:
    """The family takes a pending request back. Raises `NotFound`, or `MovedOn` when it was decided meanwhile."""
    row = _own(db, household_id, enrolment_id, "withdraw")
    row.state, row.decided_at, row.decided_by_id = "withdrawn", now, None
    db.flush()


def complete(db: Session, household_id: int, enrolment_id: int, answer: str, now: datetime) -> None:
    """The family answers what the town hall asked for; the request is with the clerk again, at its old place.

    The answer is added to the message as a paragraph. Raises `NotFound`, or `MovedOn` when it was decided meanwhile.
    """
    row = _own(db, household_id, enrolment_id, "complete")
    row.state = "requested"
    row.message = "\n\n".join(part for part in (row.message, answer) if part)
    db.flush()


def approve(db: Session, enrolment_ids: Collection[int], desk: Desk, now: datetime) -> None:
    """Grant what was asked. An approved tariff of the same service for the same child and year is replaced.

    An access of a neighbouring school year keeps its days except those of the newer one: no day has two tariffs. All
    or nothing; raises `NotFound`, `MovedOn`, `TwoTariffs`, `OwnRequest`.
    """
    found = _find(db, enrolment_ids, desk)
    rows = _lock_live(db, found)
    chosen = [row for row in rows if row.id in found]
    cases = _check(db, "approve", chosen, found, desk)
    rules.check_single_tariff(cases)

    asked = {_place(row): row for row in chosen}
    standing = [row for row in rows if row.state == "approved"]
    replaced = [row for row in standing if _place(row) in asked]
    for row in replaced:
        row.state, row.decided_at, row.decided_by_id = "revoked", now, desk.account_id
        row.reason = _("Remplacé par le tarif « %(tariff)s ».", tariff=found[asked[_place(row)].id].tariff_label)
    # Before the others: of one child, service and year, the database admits one approved row.
    db.flush()
    granted = [*chosen, *(row for row in standing if _place(row) not in asked)]
    begins = {_place(row): row.valid_from for row in granted}
    for row in granted:
        household_id, beneficiary_id, service_id, year = _place(row)
        following = begins.get((household_id, beneficiary_id, service_id, year + 1))
        if following is not None:
            row.valid_until = min(row.valid_until, following - timedelta(days=1))
    for row in chosen:
        row.state, row.decided_at, row.decided_by_id, row.reason = "approved", now, desk.account_id, None
    db.flush()
    _tell(db, "access_approved", found, None, now)
    _note(db, "enrolments_approved", found, desk, now, replaced=[row.id for row in replaced])


def refuse(db: Session, enrolment_ids: Collection[int], desk: Desk, reason: str, now: datetime) -> None:
    """Refuse what was asked; the family reads the reason. All or nothing; raises as `approve`."""
    _decide(db, "refuse", "refused", enrolment_ids, desk, reason, now)


def ask_paper(db: Session, enrolment_ids: Collection[int], desk: Desk, what: str, now: datetime) -> None:
    """Ask the family for something before deciding. All or nothing; raises as `approve`."""
    _decide(db, "ask_paper", "to_complete", enrolment_ids, desk, what, now)


def revoke(db: Session, enrolment_ids: Collection[int], desk: Desk, reason: str, now: datetime) -> None:
    """Take an approved access back; meals already booked stay booked. All or nothing; raises as `approve`."""
    _decide(db, "revoke", "revoked", enrolment_ids, desk, reason, now)


DECISIONS: dict[str, tuple[str, str]] = {
    "refuse": ("access_refused", "enrolments_refused"),
    "ask_paper": ("access_to_complete", "enrolments_to_complete"),
    "revoke": ("access_revoked", "enrolments_revoked"),
}
"""The letter and the audit action of each decision that gives a reason."""


def _decide(
    db: Session, verb: str, state: str, enrolment_ids: Collection[int], desk: Desk, reason: str, now: datetime
) -> None:
    found = _find(db, enrolment_ids, desk)
    rows = lock(db, Enrolment, found)
    _check(db, verb, rows, found, desk)
    for row in rows:
        row.state, row.decided_at, row.decided_by_id, row.reason = state, now, desk.account_id, reason
    db.flush()
    letter, action = DECISIONS[verb]
    _tell(db, letter, found, reason, now)
    _note(db, action, found, desk, now)


class _Post(NamedTuple):
    """To whom a letter goes, and which town hall it speaks for."""

    email: str
    first_name: str
    household_id: int
    town: str
    town_email: str | None
    town_phone: str | None


_TOWN_HALL = (Commune.name, Commune.contact_email, Commune.contact_phone)


class _Found(NamedTuple):
    """What a decision needs to know of an enrolment beside its row."""

    id: int
    household_id: int
    service_id: int
    first_name: str
    last_name: str
    service_name: str
    tariff_label: str
    regie_id: int
    account_id: int
    to: _Post

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


def _find(db: Session, enrolment_ids: Collection[int], desk: Desk) -> dict[int, _Found]:
    """The enrolments by id. Raises `NotFound` if one is not within the desk's reach, whatever the reason."""
    wanted = sorted(set(enrolment_ids))
    rows = db.execute(
        select(
            Enrolment.id,
            Enrolment.household_id,
            Enrolment.service_id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            Service.name,
            Tariff.label,
            Commune.regie_id,
            Account.id,
            Account.email,
            Account.first_name,
            Enrolment.household_id,
            *_TOWN_HALL,
        )
        .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
        .join(Service, Service.id == Enrolment.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .join(Tariff, Tariff.id == Enrolment.tariff_id)
        .join(Account, Account.id == Enrolment.requested_by_id)
        .where(Enrolment.id.in_(wanted), Commune.id.in_(sorted(desk.commune_ids)), Account.state == "active")
    )
    parted = ((row[0], row[1:9], row[9:]) for row in rows)
    found = {enrolment_id: _Found(enrolment_id, *facts, _Post._make(to)) for enrolment_id, facts, to in parted}
    if not wanted or len(found) < len(wanted):
        raise NotFound
    return found


def _lock_live(db: Session, found: dict[int, _Found]) -> list[Enrolment]:
    """Lock the enrolments to decide and every live one of the same families and services, in the order of their ids.

    Two clerks who approve two requests for one child then wait for each other, and the second sees what the first did.
    """
    places = {(one.household_id, one.service_id) for one in found.values()}
    ids = db.scalars(
        select(Enrolment.id).where(
            or_(
                Enrolment.id.in_(found),
                and_(
                    Enrolment.household_id.in_({household for household, _service in places}),
                    Enrolment.service_id.in_({service for _household, service in places}),
                    Enrolment.state.in_(LIVE),
                ),
            )
        )
    )
    return lock(db, Enrolment, ids)


def _check(db: Session, verb: str, rows: Sequence[Enrolment], found: dict[int, _Found], desk: Desk) -> list[rules.Case]:
    own = set(db.scalars(select(HouseholdMember.household_id).where(HouseholdMember.account_id == desk.account_id)))
    # Whoever asked may have left the household since.
    own |= {one.household_id for one in found.values() if one.account_id == desk.account_id}
    cases = [rules.Case(row.id, *_place(row), row.state, found[row.id].name) for row in rows]
    rules.check_decision(verb, cases, own)
    return cases


def _place(row: Enrolment) -> tuple[int, int, int, int]:
    return row.household_id, row.beneficiary_id, row.service_id, row.school_year


def _own(db: Session, household_id: int, enrolment_id: int, verb: str) -> Enrolment:
    rows = [row for row in lock(db, Enrolment, [enrolment_id]) if row.household_id == household_id]
    if not rows:
        raise NotFound
    row = rows[0]
    name = db.execute(
        select(Beneficiary.first_name, Beneficiary.last_name).where(Beneficiary.id == row.beneficiary_id)
    ).one()
    rules.check_decision(verb, [rules.Case(row.id, *_place(row), row.state, " ".join(name))])
    return row


def _persons(db: Session, household_id: int, beneficiary_ids: Collection[int]) -> list[rules.Person]:
    wanted = set(beneficiary_ids)
    rows = db.execute(
        select(
            Beneficiary.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            HouseholdBeneficiary.relation,
            Beneficiary.birth_date,
        )
        .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == Beneficiary.id)
        .where(
            HouseholdBeneficiary.household_id == household_id,
            HouseholdBeneficiary.archived_at.is_(None),
            Beneficiary.id.in_(sorted(wanted)),
        )
        .order_by(HouseholdBeneficiary.position, Beneficiary.id)
    )
    persons = [rules.Person(row[0], f"{row[1]} {row[2]}", row[3], row[4]) for row in rows]
    if not wanted or len(persons) < len(wanted):
        raise NotFound
    return persons


def _standing(db: Session, household_id: int, service_id: int) -> list[rules.Standing]:
    rows = db.execute(
        select(Enrolment.beneficiary_id, Enrolment.tariff_id, Tariff.label, Enrolment.school_year, Enrolment.state)
        .join(Tariff, Tariff.id == Enrolment.tariff_id)
        .where(Enrolment.household_id == household_id, Enrolment.service_id == service_id, Enrolment.state.in_(LIVE))
    )
    return [rules.Standing(*row) for row in rows]


def _thing(name: str, service_name: str, tariff_label: str) -> dict[str, str]:
    return {"name": name, "service": service_name, "tariff": tariff_label}


def _letter(
    kind: str, to: _Post, first_id: int, things: list[dict[str, str]], reason: str | None, now: datetime
) -> Letter:
    facts: dict[str, Any] = {
        "first_name": to.first_name,
        "things": things,
        "reason": reason,
        "town": to.town,
        "town_email": to.town_email,
        "town_phone": to.town_phone,
    }
    # The moment is part of the key because a paper may be asked for more than once.
    return Letter(kind, to.email, f"{kind}:{to.household_id}:{first_id}:{now.isoformat()}", facts)


def _tell(db: Session, kind: str, found: dict[int, _Found], reason: str | None, now: datetime) -> None:
    """One letter of each town hall to each person who asked, about everything that was decided for her at once."""
    by_person: dict[_Post, list[_Found]] = defaultdict(list)
    for one in found.values():
        by_person[one.to].append(one)
    outbox.post_all(
        db,
        [
            _letter(
                kind,
                to,
                min(one.id for one in ones),
                [
                    {**_thing(one.name, one.service_name, one.tariff_label), "first_name": one.first_name}
                    for one in ones
                ],
                reason,
                now,
            )
            for to, ones in by_person.items()
        ],
        now,
    )


def _note(db: Session, action: str, found: dict[int, _Found], desk: Desk, now: datetime, **facts: Any) -> None:
    """One line in the trail of each régie concerned, in the order of their ids."""
    by_regie: dict[int, list[int]] = defaultdict(list)
    for one in found.values():
        by_regie[one.regie_id].append(one.id)
    for regie_id in sorted(by_regie):
        ids = sorted(by_regie[regie_id])
        subject = f"enrolment:{ids[0]}" if len(ids) == 1 else f"enrolments:{len(ids)}"
        audit.note(db, regie_id, desk.account_id, action, subject, {"enrolments": ids, **facts}, now)


def end_with_household(db: Session, household_id: int, account_id: int, now: datetime) -> None:
    """The family closes its account: what is pending is withdrawn, what was approved ends."""
    for before, after in ((rules.PENDING, "withdrawn"), (("approved",), "revoked")):
        db.execute(
            update(Enrolment)
            .where(Enrolment.household_id == household_id, Enrolment.state.in_(before))
            .values(state=after, decided_at=now, decided_by_id=account_id, reason=_("Compte fermé par la famille."))
            .execution_options(synchronize_session=False)
        )


def forget_household(db: Session, household_id: int) -> None:
    """Delete the requests of a household whose account was never confirmed."""
    db.execute(
        delete(Enrolment).where(Enrolment.household_id == household_id).execution_options(synchronize_session=False)
    )
