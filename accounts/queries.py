"""Reads of people."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import ScalarSelect, and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import Session

from accounts.errors import LinkSpent
from accounts.models import (
    Account,
    AccountLink,
    Beneficiary,
    Consent,
    HouseholdBeneficiary,
    HouseholdMember,
    LoginSession,
    RecoveryCode,
    StaffRole,
)
from shop.access import FindVisitor, Visitor
from shop.errors import NotFound
from shop.statements import Rows, run
from shop.words import gettext as _


def relation_words(relation: str) -> str:
    """What a household's holder is to a beneficiary, as families read it."""
    return {
        "father": _("Père"),
        "mother": _("Mère"),
        "guardian": _("Tuteur ou tutrice"),
        "grandparent": _("Grand-parent"),
        "self": _("Moi-même"),
        "other": _("Autre"),
    }[relation]


def diet_words(diet: str) -> str:
    """A diet as families and kitchens read it."""
    return {
        "standard": _("Sans régime particulier"),
        "no_pork": _("Sans porc"),
        "no_meat": _("Sans viande"),
        "vegetarian": _("Végétarien"),
    }[diet]


def digest(token: str) -> str:
    """The digest under which the key of a session or a link is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


_VISITOR = (
    select(
        LoginSession.id,
        LoginSession.account_id,
        HouseholdMember.household_id,
        Account.state,
        Account.email,
        Account.title,
        Account.first_name,
        Account.last_name,
        exists().where(StaffRole.account_id == LoginSession.account_id, StaffRole.revoked_at.is_(None)),
        LoginSession.second_factor_at,
        LoginSession.ended_at,
        LoginSession.expires_at,
    )
    .join(Account, Account.id == LoginSession.account_id)
    .outerjoin(HouseholdMember, HouseholdMember.account_id == LoginSession.account_id)
)


def visitor_finder(balance: ScalarSelect[int], basket_meals: ScalarSelect[int], due: ScalarSelect[int]) -> FindVisitor:
    """A function that finds who holds the session of a key, if it is still good. One statement: every page asks it.

    The three columns, correlated to `HouseholdMember`, say what the header shows and what is due; rooms above know them.
    """
    query = _VISITOR.add_columns(balance, basket_meals, due).where(LoginSession.token_hash == bindparam("token_hash"))

    def find(db: Rows, token: str, now: datetime) -> Visitor | None:
        row = run(db, query, token_hash=digest(token)).first()
        if row is None:
            return None
        *facts, second_factor_at, ended_at, expires_at, balance_cents, meals, due_cents = row
        session_id, account_id, household_id, state, email, title, first_name, last_name, staff = facts
        if ended_at is not None or expires_at <= now or state == "closed":
            return None
        return Visitor(
            token=token,
            session_id=session_id,
            account_id=account_id,
            household_id=household_id,
            state=state,
            email=email,
            title=title,
            first_name=first_name,
            last_name=last_name,
            staff=staff,
            second_factor=second_factor_at is not None,
            balance_cents=int(balance_cents),
            basket_meals=meals,
            due_cents=int(due_cents),
        )

    return find


def owns_beneficiaries(db: Session, household_id: int, beneficiary_ids: Collection[int]) -> bool:
    """Whether all of these beneficiaries belong to the household, archived ones included."""
    found = db.scalar(
        select(func.count()).where(
            HouseholdBeneficiary.household_id == household_id,
            HouseholdBeneficiary.beneficiary_id.in_(sorted(beneficiary_ids)),
        )
    )
    return found == len(set(beneficiary_ids))


class Candidate(NamedTuple):
    """An account that a sign-in may be meant for."""

    account_id: int
    password_hash: str
    state: str


def find_candidates(db: Session, email: str) -> Sequence[Candidate]:
    """The active account of an address and the newest unconfirmed one, or the two newest unconfirmed ones."""
    rows = db.execute(
        select(Account.id, Account.password_hash, Account.state)
        .where(Account.email == email, Account.state.in_(("active", "unconfirmed")))
        .order_by(Account.state, Account.id.desc())
        .limit(2)
    )
    return [Candidate(*row) for row in rows]


def password_hash_of(db: Session, account_id: int) -> str:
    """The hash of an account's password."""
    return db.scalars(select(Account.password_hash).where(Account.id == account_id)).one()


class Link(NamedTuple):
    """A link that is still good, and whose it is."""

    account_id: int
    email: str
    first_name: str
    new_email: str | None


def find_link(db: Session, token: str, purpose: str, now: datetime) -> Link:
    """The link of a token. Raises `LinkSpent` when it is used, replaced, too old, or none."""
    row = db.execute(
        select(AccountLink.account_id, Account.email, Account.first_name, AccountLink.new_email)
        .join(Account, Account.id == AccountLink.account_id)
        .where(
            AccountLink.token_hash == digest(token),
            AccountLink.purpose == purpose,
            AccountLink.used_at.is_(None),
            AccountLink.expires_at > now,
            Account.state != "closed",
        )
    ).first()
    if row is None:
        raise LinkSpent
    return Link(*row)


def has_confirmed(db: Session, token: str, purpose: str) -> bool:
    """Whether the link of a token is the one that confirmed the address which its account has. A link that was replaced has
    confirmed nothing."""
    used = (
        exists()
        .where(AccountLink.account_id == Account.id, Account.state == "active", AccountLink.used_at.is_not(None))
        .where(AccountLink.token_hash == digest(token), AccountLink.purpose == purpose)
        .where(
            or_(
                AccountLink.new_email == Account.email,
                and_(AccountLink.new_email.is_(None), AccountLink.used_at == Account.confirmed_at),
            )
        )
    )
    return bool(db.scalar(select(used)))


def has_beneficiaries(db: Session, household_id: int) -> bool:
    """Whether the household has somebody who eats."""
    live = exists().where(HouseholdBeneficiary.household_id == household_id, HouseholdBeneficiary.archived_at.is_(None))
    return bool(db.scalar(select(live)))


class BeneficiaryFacts(NamedTuple):
    """A beneficiary as its household sees it; allergies are still sealed."""

    id: int
    first_name: str
    last_name: str
    birth_date: date | None
    school_id: int | None
    class_name: str | None
    diet: str
    allergies: str | None
    relation: str

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


_BENEFICIARIES = (
    select(
        Beneficiary.id,
        Beneficiary.first_name,
        Beneficiary.last_name,
        Beneficiary.birth_date,
        Beneficiary.school_id,
        Beneficiary.class_name,
        Beneficiary.diet,
        Beneficiary.allergies,
        HouseholdBeneficiary.relation,
    )
    .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == Beneficiary.id)
    .where(HouseholdBeneficiary.archived_at.is_(None))
    .order_by(HouseholdBeneficiary.position, Beneficiary.id)
)


def list_beneficiaries(db: Session, household_id: int) -> list[BeneficiaryFacts]:
    """Those who eat in a household, in its own order; archived ones left out."""
    rows = db.execute(_BENEFICIARIES.where(HouseholdBeneficiary.household_id == household_id))
    return [BeneficiaryFacts(*row) for row in rows]


def find_beneficiary(db: Session, household_id: int, beneficiary_id: int) -> BeneficiaryFacts:
    """One of them. Raises `NotFound` for another family's and for an archived one."""
    row = db.execute(
        _BENEFICIARIES.where(HouseholdBeneficiary.household_id == household_id, Beneficiary.id == beneficiary_id)
    ).first()
    if row is None:
        raise NotFound
    return BeneficiaryFacts(*row)


class Details(NamedTuple):
    """What an account says about its person."""

    email: str
    title: str | None
    first_name: str
    last_name: str
    phone: str | None
    address: str | None
    postcode: str | None
    city: str | None
    birth_date: date | None
    organisation_name: str | None
    siret: str | None


def details_of(db: Session, account_id: int) -> Details:
    """The details of an account."""
    row = db.execute(
        select(
            Account.email,
            Account.title,
            Account.first_name,
            Account.last_name,
            Account.phone,
            Account.address,
            Account.postcode,
            Account.city,
            Account.birth_date,
            Account.organisation_name,
            Account.siret,
        ).where(Account.id == account_id)
    ).one()
    return Details(*row)


def consents_of(db: Session, account_id: int) -> dict[str, datetime]:
    """The consents that stand, and since when."""
    rows = db.execute(
        select(Consent.kind, Consent.given_at).where(Consent.account_id == account_id, Consent.revoked_at.is_(None))
    )
    return {row.kind: row.given_at for row in rows}


class Connection(NamedTuple):
    """A browser that is signed in."""

    id: int
    device: str
    created_at: datetime
    expires_at: datetime


def list_connections(db: Session, account_id: int, now: datetime) -> list[Connection]:
    """The account's sessions that are still good, newest first."""
    rows = db.execute(
        select(LoginSession.id, LoginSession.device, LoginSession.created_at, LoginSession.expires_at)
        .where(LoginSession.account_id == account_id, LoginSession.ended_at.is_(None), LoginSession.expires_at > now)
        .order_by(LoginSession.id.desc())
    )
    return [Connection(*row) for row in rows]


def check_own_session(db: Session, account_id: int, session_id: int) -> None:
    """Raises `NotFound` for a session that is none of the account's, ended or not."""
    own = exists().where(LoginSession.id == session_id, LoginSession.account_id == account_id)
    if not db.scalar(select(own)):
        raise NotFound


def is_enrolled(db: Session, account_id: int) -> bool:
    """Whether the account has its second factor."""
    return db.scalar(select(Account.totp_enrolled_at).where(Account.id == account_id)) is not None


class RecoveryCodes(NamedTuple):
    """An account's recovery codes: how many were made, how many have not served, and of when they are, if there are any."""

    made: int
    left: int
    made_at: datetime | None


def recovery_codes_of(db: Session, account_id: int) -> RecoveryCodes:
    """What is known of an account's recovery codes; the codes themselves nobody knows."""
    row = db.execute(
        select(
            func.count(),
            func.count() - func.count(RecoveryCode.used_at),
            func.max(RecoveryCode.created_at),
        ).where(RecoveryCode.account_id == account_id)
    ).one()
    return RecoveryCodes(*row)
