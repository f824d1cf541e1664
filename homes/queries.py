"""Reads of children who live in two homes. Nothing of the other home is read but its number: no name, address or money."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import BindParameter, bindparam, select
from sqlalchemy.orm import Session, aliased

from accounts.models import Account, Beneficiary, BeneficiaryChange, HouseholdBeneficiary, HouseholdMember
from accounts.queries import digest
from catalog.models import Commune, Holiday, School
from homes.errors import InvitationEnded
from homes.models import CustodyCalendar, CustodySwap, HomeInvitation
from homes.rules import Calendar, Custody, Stretch, Swap
from shop.errors import NotFound
from shop.outbox import the_sealer
from shop.statements import Rows, run

_Other = aliased(HouseholdBeneficiary)
_household_ids: BindParameter[Collection[int]] = bindparam("household_ids", expanding=True)

_SHARED = (
    select(HouseholdBeneficiary.household_id, HouseholdBeneficiary.beneficiary_id, _Other.household_id, Commune.zone)
    .join(_Other, _Other.beneficiary_id == HouseholdBeneficiary.beneficiary_id)
    .join(Beneficiary, Beneficiary.id == HouseholdBeneficiary.beneficiary_id)
    .outerjoin(School, School.id == Beneficiary.school_id)
    .outerjoin(Commune, Commune.id == School.commune_id)
    .where(
        HouseholdBeneficiary.household_id.in_(_household_ids),
        HouseholdBeneficiary.archived_at.is_(None),
        _Other.household_id != HouseholdBeneficiary.household_id,
        _Other.archived_at.is_(None),
    )
)
_OF_HOUSEHOLDS = select(HouseholdBeneficiary.beneficiary_id).where(
    HouseholdBeneficiary.household_id.in_(_household_ids)
)
_CALENDARS = (
    select(
        CustodyCalendar.beneficiary_id,
        CustodyCalendar.first_day,
        CustodyCalendar.even_home_id,
        CustodyCalendar.odd_home_id,
        CustodyCalendar.holidays_home_id,
    )
    .where(CustodyCalendar.beneficiary_id.in_(_OF_HOUSEHOLDS), CustodyCalendar.state == "agreed")
    .order_by(CustodyCalendar.decided_at, CustodyCalendar.id)
)
_SWAPS = (
    select(CustodySwap.beneficiary_id, CustodySwap.first_day, CustodySwap.last_day, CustodySwap.home_id)
    .where(CustodySwap.beneficiary_id.in_(_OF_HOUSEHOLDS), CustodySwap.state == "agreed")
    .order_by(CustodySwap.decided_at, CustodySwap.id)
)
_HOLIDAYS = select(Holiday.zone, Holiday.first_day, Holiday.last_day).where(Holiday.zone.is_not(None))


def custodies_of(db: Rows, household_ids: Collection[int]) -> dict[int, dict[int, Custody]]:
    """For each of these households, what is agreed about each of its children who has another home now, by child. Up to four
    statements, however many households: read it only where there is such a child.

    What was agreed with a home that the child no longer has does not count.
    """
    if not household_ids:
        return {}
    ids = sorted(household_ids)
    shared = {
        (household, child): (other, zone) for household, child, other, zone in run(db, _SHARED, household_ids=ids)
    }
    found: dict[int, dict[int, Custody]] = {household: {} for household in ids}
    if not shared:
        return found
    calendars: dict[int, list[Calendar]] = defaultdict(list)
    swaps: dict[int, list[Swap]] = defaultdict(list)
    for child, *facts in run(db, _CALENDARS, household_ids=ids):
        calendars[child].append(Calendar._make(facts))
    for child, *facts in run(db, _SWAPS, household_ids=ids):
        swaps[child].append(Swap._make(facts))
    holidays: dict[str, list[Stretch]] = defaultdict(list)
    if calendars:
        for zone, first_day, last_day in run(db, _HOLIDAYS):
            holidays[zone].append(Stretch(first_day, last_day))
    for (household, child), (other, zone) in shared.items():
        homes = {household, other}
        found[household][child] = Custody(
            [one for one in calendars[child] if {one.even_home, one.odd_home} == homes],
            [one for one in swaps[child] if one.home in homes],
            holidays.get(zone or "", ()),
        )
    return found


def custodies(db: Rows, household_id: int) -> dict[int, Custody]:
    """`custodies_of` one household."""
    return custodies_of(db, [household_id])[household_id]


def homes_on(db: Rows, meals: Collection[tuple[int, int]], day: date) -> dict[tuple[int, int], int | None]:
    """Of these households and children, those of which the child has two homes, and which of both decides on the day; nothing
    where nothing is agreed. Up to four statements, none where there are no such meals."""
    found = custodies_of(db, {household_id for household_id, _child in meals})
    return {
        (household_id, child): found[household_id][child].home_on(day)
        for household_id, child in meals
        if child in found[household_id]
    }


def days_elsewhere(db: Rows, household_id: int, meals: Iterable[tuple[int, date]]) -> set[tuple[int, date]]:
    """Those of these children and days on which the child's other home decides."""
    found = custodies(db, household_id)
    return {(child, day) for child, day in meals if _is_elsewhere(found, household_id, child, day)}


def elsewhere(db: Rows, meals: Collection[tuple[int, int, date]]) -> set[tuple[int, int, date]]:
    """As `days_elsewhere`, for households, children and days: no statement where there are none."""
    found = custodies_of(db, {household_id for household_id, _child, _day in meals})
    return {meal for meal in meals if _is_elsewhere(found[meal[0]], *meal)}


def _is_elsewhere(found: Mapping[int, Custody], household_id: int, child: int, day: date) -> bool:
    return child in found and found[child].home_on(day) not in (None, household_id)


class Child(NamedTuple):
    """A child of the household, for the page of its homes."""

    id: int
    first_name: str
    last_name: str
    relation: str
    has_school: bool

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


def find_child(db: Session, household_id: int, beneficiary_id: int) -> tuple[Child, int | None]:
    """The child and its other home, if it has one. Raises `NotFound` for another family's and for an archived one."""
    row = db.execute(
        select(
            Beneficiary.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            HouseholdBeneficiary.relation,
            Beneficiary.school_id.is_not(None),
            _Other.household_id,
        )
        .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == Beneficiary.id)
        .outerjoin(
            _Other,
            (_Other.beneficiary_id == Beneficiary.id)
            & (_Other.household_id != household_id)
            & _Other.archived_at.is_(None),
        )
        .where(
            Beneficiary.id == beneficiary_id,
            HouseholdBeneficiary.household_id == household_id,
            HouseholdBeneficiary.archived_at.is_(None),
        )
    ).first()
    if row is None:
        raise NotFound
    *facts, other = row
    return Child._make(facts), other


class Sent(NamedTuple):
    """An invitation that waits for an answer, as the parent who sent it sees it."""

    id: int
    email: str
    sent_at: datetime
    expires_at: datetime


def sent_for(db: Session, household_id: int, beneficiary_id: int, now: datetime) -> Sent | None:
    """The household's invitation for the child that still waits."""
    row = db.execute(
        select(HomeInvitation.id, HomeInvitation.email, HomeInvitation.sent_at, HomeInvitation.expires_at).where(
            HomeInvitation.household_id == household_id,
            HomeInvitation.beneficiary_id == beneficiary_id,
            HomeInvitation.state == "sent",
            HomeInvitation.expires_at > now,
        )
    ).first()
    return Sent._make(row) if row else None


class Invitation(NamedTuple):
    """An invitation that waits for an answer, as the person who was invited sees it."""

    id: int
    beneficiary_id: int
    household_id: int
    email: str
    first_name: str
    expires_at: datetime


_INVITATION = (
    select(
        HomeInvitation.id,
        HomeInvitation.beneficiary_id,
        HomeInvitation.household_id,
        HomeInvitation.email,
        Beneficiary.first_name,
        HomeInvitation.expires_at,
    )
    .join(Beneficiary, Beneficiary.id == HomeInvitation.beneficiary_id)
    .where(HomeInvitation.state == "sent")
)


def find_invitation(db: Session, token: str, now: datetime) -> Invitation:
    """The invitation of a link. Raises `InvitationEnded` when it was answered, taken back, or has lapsed, or is none."""
    row = db.execute(
        _INVITATION.where(HomeInvitation.token_hash == digest(token), HomeInvitation.expires_at > now)
    ).first()
    if row is None:
        raise InvitationEnded
    return Invitation._make(row)


def invitations_to(db: Session, email: str, now: datetime) -> list[tuple[str, str]]:
    """The first names of children for whom somebody with this address, which must be confirmed, is invited, and the key of
    each invitation's page."""
    rows = db.execute(
        select(HomeInvitation.beneficiary_id, HomeInvitation.token, Beneficiary.first_name)
        .join(Beneficiary, Beneficiary.id == HomeInvitation.beneficiary_id)
        .where(HomeInvitation.email == email, HomeInvitation.state == "sent", HomeInvitation.expires_at > now)
        .order_by(HomeInvitation.id)
    )
    return [(name, the_sealer().open(token or "", place_of(child))) for child, token, name in rows]


def place_of(beneficiary_id: int) -> str:
    """For which row the key of an invitation is sealed."""
    return f"home_invitations.token:{beneficiary_id}"


class Asked(NamedTuple):
    """A calendar or a swap that waits for an answer."""

    id: int
    mine: bool
    """Whether the household asked it itself."""
    first_day: date
    last_day: date | None
    """Of a swap."""
    here: bool
    """Whether the even weeks, or the days of the swap, are to be the household's."""
    holidays_here: bool
    """Whether the first half of the holidays in even years is to be the household's."""


def asked_calendar(db: Session, household_id: int, beneficiary_id: int) -> Asked | None:
    """The calendar that one of the homes proposes."""
    row = db.execute(
        select(
            CustodyCalendar.id,
            CustodyCalendar.asked_home_id,
            CustodyCalendar.first_day,
            CustodyCalendar.even_home_id,
            CustodyCalendar.odd_home_id,
            CustodyCalendar.holidays_home_id,
        ).where(CustodyCalendar.beneficiary_id == beneficiary_id, CustodyCalendar.state == "asked")
    ).first()
    if row is None or household_id not in (row.even_home_id, row.odd_home_id):
        return None
    return Asked(
        row.id,
        row.asked_home_id == household_id,
        row.first_day,
        None,
        row.even_home_id == household_id,
        row.holidays_home_id == household_id,
    )


def asked_swaps(db: Session, household_id: int, other_id: int, beneficiary_id: int, today: date) -> list[Asked]:
    """The swaps that one of the homes asks for, of days still ahead."""
    rows = db.execute(
        select(
            CustodySwap.id,
            CustodySwap.asked_home_id,
            CustodySwap.first_day,
            CustodySwap.last_day,
            CustodySwap.home_id,
        )
        .where(
            CustodySwap.beneficiary_id == beneficiary_id,
            CustodySwap.state == "asked",
            CustodySwap.last_day >= today,
            CustodySwap.asked_home_id.in_((household_id, other_id)),
            CustodySwap.home_id.in_((household_id, other_id)),
        )
        .order_by(CustodySwap.first_day, CustodySwap.id)
    )
    return [
        Asked(key, asker == household_id, first_day, last_day, home == household_id, False)
        for key, asker, first_day, last_day, home in rows
    ]


class Changed(NamedTuple):
    """What was changed of what both homes say of a child."""

    at: datetime
    mine: bool
    what: list[str]
    """The names of the columns."""


def changes_of(db: Session, household_id: int, beneficiary_id: int) -> list[Changed]:
    """The newest changes of what both homes say of the child."""
    rows = db.execute(
        select(BeneficiaryChange.at, BeneficiaryChange.household_id, BeneficiaryChange.what)
        .where(BeneficiaryChange.beneficiary_id == beneficiary_id)
        .order_by(BeneficiaryChange.id.desc())
        .limit(20)
    )
    return [Changed(at, home == household_id, what.split(",")) for at, home, what in rows]


class Reader(NamedTuple):
    """Somebody to whom a letter goes."""

    email: str
    first_name: str


def readers_of(db: Session, household_id: int) -> list[Reader]:
    """The active accounts of a household."""
    rows = db.execute(
        select(Account.email, Account.first_name)
        .join(HouseholdMember, HouseholdMember.account_id == Account.id)
        .where(HouseholdMember.household_id == household_id, Account.state == "active")
        .order_by(Account.id)
    )
    return [Reader._make(row) for row in rows]
