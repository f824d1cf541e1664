"""Verbs about accounts: sign up, confirm, sign in and out, reset, change, close."""

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, delete, exists, insert, select, update
from sqlalchemy.orm import Session

from accounts.errors import AddressTaken, ClosingRefused, LinkSpent, Obstacle, WrongPassword
from accounts.models import (
    Account,
    AccountLink,
    Beneficiary,
    Consent,
    Household,
    HouseholdBeneficiary,
    HouseholdMember,
    LoginSession,
    RecoveryCode,
    StaffRole,
)
from accounts.passwords import UNUSABLE
from accounts.queries import digest
from accounts.rules import search_text
from shop import tries
from shop.database import insert_missing, lock
from shop.errors import TooMany
from shop.models import Outbox
from shop.outbox import Letter, post

LINK_LIFETIMES = {
    "confirm": timedelta(days=7),
    "reset": timedelta(minutes=60),
    "email_change": timedelta(hours=24),
    "email_cancel": timedelta(days=7),
    "activate": timedelta(days=7),
}
PARENT_SESSION = timedelta(days=7)
STAFF_SESSION = timedelta(hours=12)
"""The absolute ends of a session, however often it is used."""

NOBODY = 0
"""The id of no account."""
CONFIRM_LETTERS_TO = "confirm letters to"
SIGN_IN_ACCOUNT, SIGN_IN_DEVICE, SIGN_IN_ADDRESS = "sign-in account", "sign-in device", "sign-in address"


@dataclass(frozen=True)
class NewAccount:
    """What a person gives to sign up; the password is hashed already. Empty things are `None`."""

    email: str
    password_hash: str
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
    newsletter: bool
    partners: bool


def sign_up(db: Session, new: NewAccount, now: datetime) -> int:
    """Make an unconfirmed account with its household, and write the letter. The id of the account.

    The very same happens when an active account has the address already; only the letter differs.
    """
    account_id: int = db.execute(
        insert(Account)
        .values(
            email=new.email,
            password_hash=new.password_hash,
            title=new.title,
            first_name=new.first_name,
            last_name=new.last_name,
            phone=new.phone,
            address=new.address,
            postcode=new.postcode,
            city=new.city,
            birth_date=new.birth_date,
            organisation_name=new.organisation_name,
            siret=new.siret,
            state="unconfirmed",
            terms_accepted_at=now,
            created_at=now,
        )
        .returning(Account.id)
    ).scalar_one()
    household_id: int = db.execute(insert(Household).values(created_at=now).returning(Household.id)).scalar_one()
    db.execute(insert(HouseholdMember).values(household_id=household_id, account_id=account_id, role="holder"))
    set_consents(db, account_id, {"newsletter": new.newsletter, "partners": new.partners}, now)
    with suppress(TooMany):  # The answer stays the same; the link can be asked for again later.
        ask_confirmation(db, account_id, new.email, new.first_name, now)
    return account_id


def ask_confirmation(db: Session, account_id: int, email: str, first_name: str, now: datetime) -> None:
    """Write the letter that asks to confirm the address, or that says that an active account has it already.

    Raises `TooMany`, and changes nothing, when the address got several within the hour: signing up again and again must
    not fill somebody's letter box.
    """
    hour = timedelta(hours=1)
    tries.take(db, CONFIRM_LETTERS_TO, email, now, 5, window=hour, longest=hour)
    token, link_id = _new_link(db, account_id, "confirm", now)
    if _is_taken(db, email, account_id):
        letter = Letter("account_exists", email, f"account_exists:{link_id}", {"first_name": first_name})
    else:
        letter = Letter(
            "confirm_address", email, f"confirm_address:{link_id}", {"first_name": first_name, "token": token}
        )
    post(db, letter, now)


def confirm(db: Session, token: str, now: datetime) -> int:
    """Make the account of a confirmation link active. Its id. Raises `LinkSpent`, `AddressTaken`."""
    account_id, _new_email = _use_link(db, token, "confirm", now)
    account = _locked(db, account_id)
    if account.state != "unconfirmed":
        raise LinkSpent
    if _is_taken(db, account.email, account_id):
        raise AddressTaken
    account.state = "active"
    account.confirmed_at = now
    db.flush()
    _tell_rooms(db, account_id, now)
    return account_id


def _tell_rooms(db: Session, account_id: int, now: datetime) -> None:
    """Rooms above have letters that waited for the address to be confirmed."""
    household_id = db.scalar(select(HouseholdMember.household_id).where(HouseholdMember.account_id == account_id))
    if household_id is not None:
        current_app.extensions["shop.on_confirmed"](db, household_id, account_id, now)


def _is_taken(db: Session, email: str, account_id: int) -> bool:
    taken = exists().where(Account.email == email, Account.state == "active", Account.id != account_id)
    return bool(db.scalar(select(taken)))


def _locked(db: Session, account_id: int) -> Account:
    return lock(db, Account, [account_id])[0]


# --- links ---


def _new_link(
    db: Session, account_id: int, purpose: str, now: datetime, new_email: str | None = None
) -> tuple[str, int]:
    """A fresh token and the id of its link. Older links of the purpose stop working: the newest alone is good.

    One that takes a change of address back is replaced only by one to the same old address: whoever has stolen an account
    could otherwise shut its owner out by changing twice.
    """
    if purpose == "email_cancel":
        _spend(db, account_id, now, AccountLink.purpose == purpose, AccountLink.new_email == new_email)
    else:
        spend_links(db, account_id, [purpose], now)
    token = secrets.token_urlsafe(32)
    link_id: int = db.execute(
        insert(AccountLink)
        .values(
            account_id=account_id,
            purpose=purpose,
            token_hash=digest(token),
            new_email=new_email,
            created_at=now,
            expires_at=now + LINK_LIFETIMES[purpose],
        )
        .returning(AccountLink.id)
    ).scalar_one()
    return token, link_id


def spend_links(db: Session, account_id: int, purposes: list[str], now: datetime) -> None:
    """Make the account's open links of these purposes useless."""
    _spend(db, account_id, now, AccountLink.purpose.in_(purposes))


def _spend(db: Session, account_id: int, now: datetime, *which: ColumnElement[bool]) -> None:
    db.execute(
        update(AccountLink)
        .where(AccountLink.account_id == account_id, AccountLink.used_at.is_(None), *which)
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )


def _use_link(db: Session, token: str, purpose: str, now: datetime) -> tuple[int, str | None]:
    """Spend a link: its account and new address. One statement, so that of two at once one alone succeeds."""
    used = db.execute(
        update(AccountLink)
        .where(
            AccountLink.token_hash == digest(token),
            AccountLink.purpose == purpose,
            AccountLink.used_at.is_(None),
            AccountLink.expires_at > now,
        )
        .values(used_at=now)
        .returning(AccountLink.account_id, AccountLink.new_email)
        .execution_options(synchronize_session=False)
    ).first()
    if used is None:
        raise LinkSpent
    return used[0], used[1]


# --- sessions ---


def open_session(
    db: Session, account_id: int, device: str, now: datetime, second_factor: bool = False, replaces: int | None = None
) -> str:
    """Open a session and end the one it replaces. Its key, which is nowhere but in the answer."""
    token = secrets.token_urlsafe(32)
    staff = db.scalar(select(exists().where(StaffRole.account_id == account_id, StaffRole.revoked_at.is_(None))))
    db.execute(
        insert(LoginSession).values(
            account_id=account_id,
            token_hash=digest(token),
            device=device[:120],
            created_at=now,
            expires_at=now + (STAFF_SESSION if staff else PARENT_SESSION),
            second_factor_at=now if second_factor else None,
        )
    )
    if replaces is not None:
        end_session(db, account_id, replaces, now)
    return token


def end_session(db: Session, account_id: int, session_id: int, now: datetime) -> bool:
    """End one session of the account: whether it had not ended yet. A number that is not one of its own changes nothing."""
    ended = db.scalar(
        update(LoginSession)
        .where(LoginSession.id == session_id, LoginSession.account_id == account_id, LoginSession.ended_at.is_(None))
        .values(ended_at=now)
        .returning(LoginSession.id)
        .execution_options(synchronize_session=False)
    )
    return ended is not None


def end_sessions(db: Session, account_id: int, now: datetime, but: int | None = None) -> None:
    """End every session of the account, or every one but this."""
    ended = update(LoginSession).where(LoginSession.account_id == account_id, LoginSession.ended_at.is_(None))
    if but is not None:
        ended = ended.where(LoginSession.id != but)
    db.execute(ended.values(ended_at=now).execution_options(synchronize_session=False))


def renew_hash(db: Session, account_id: int, kept_hash: str, better_hash: str) -> None:
    """Keep the password under today's parameters, unless it was changed meanwhile."""
    db.execute(
        update(Account)
        .where(Account.id == account_id, Account.password_hash == kept_hash)
        .values(password_hash=better_hash)
        .execution_options(synchronize_session=False)
    )


# --- passwords ---


def ask_reset(db: Session, email: str, now: datetime) -> None:
    """Write a letter with a reset link when somebody has the address; the page says the same in any case."""
    account = db.execute(
        select(Account.id, Account.first_name)
        .where(Account.email == email, Account.state.in_(("active", "unconfirmed")))
        .order_by(Account.state, Account.id.desc())
        .limit(1)
    ).first()
    if account is None:
        _take_as_long(db, email, now)
        return
    token, link_id = _new_link(db, account.id, "reset", now)
    facts = {"first_name": account.first_name, "token": token}
    post(db, Letter("reset_password", email, f"reset_password:{link_id}", facts), now)


def _take_as_long(db: Session, email: str, now: datetime) -> None:
    """Do for nobody the work of a reset, and leave nothing of it: a quicker answer would tell (trust: T-043)."""
    spend_links(db, NOBODY, ["reset"], now)
    token = secrets.token_urlsafe(32)
    key = f"reset_password:nobody:{digest(token)[:16]}"
    post(db, Letter("reset_password", email, key, {"first_name": "", "token": token}), now)
    db.execute(delete(Outbox).where(Outbox.key == key).execution_options(synchronize_session=False))


def reset_password(db: Session, token: str, password_hash: str, now: datetime) -> None:
    """Set a new password by a reset link; every session ends. Raises `LinkSpent`."""
    account_id, _new_email = _use_link(db, token, "reset", now)
    account = _locked(db, account_id)
    if account.state == "closed":
        raise LinkSpent
    _set_password(db, account, password_hash, now)
    end_sessions(db, account_id, now)
    tries.forget(db, SIGN_IN_ACCOUNT, account.email)


def change_password(
    db: Session, account_id: int, kept_hash: str, password_hash: str, session_id: int, device: str, now: datetime
) -> str:
    """Set a new password; every session ends, and a new one begins here: its key.

    `kept_hash` is what the current password was checked against. Raises `WrongPassword` when it changed meanwhile.
    """
    account = _locked(db, account_id)
    if account.password_hash != kept_hash:
        raise WrongPassword
    _set_password(db, account, password_hash, now)
    end_sessions(db, account_id, now, but=session_id)
    second_factor = db.scalar(select(LoginSession.second_factor_at).where(LoginSession.id == session_id)) is not None
    return open_session(db, account_id, device, now, second_factor=second_factor, replaces=session_id)


def _set_password(db: Session, account: Account, password_hash: str, now: datetime) -> None:
    account.password_hash = password_hash
    spend_links(db, account.id, ["reset", "activate"], now)
    key = f"password_changed:{account.id}:{digest(password_hash)[:16]}"
    post(db, Letter("password_changed", account.email, key, {"first_name": account.first_name}), now)
    db.flush()


# --- e-mail address ---


def ask_email_change(db: Session, account_id: int, new_email: str, now: datetime) -> None:
    """Write to the new address (a link that confirms) and to the old one (a link that cancels). Nothing changes yet.

    When an active account has the new address, it is told so; the page says the same in any case.
    """
    account = _locked(db, account_id)
    spend_links(db, account_id, ["confirm"], now)
    token, link_id = _new_link(db, account_id, "email_change", now, new_email)
    cancel_token, cancel_id = _new_link(db, account_id, "email_cancel", now, account.email)
    facts = {"first_name": account.first_name, "token": token}
    kind = "email_change_taken" if _is_taken(db, new_email, account_id) else "email_change"
    post(db, Letter(kind, new_email, f"{kind}:{link_id}", facts if kind == "email_change" else {}), now)
    notice = {"first_name": account.first_name, "token": cancel_token, "new_email": new_email}
    post(db, Letter("email_change_notice", account.email, f"email_change_notice:{cancel_id}", notice), now)


def confirm_email_change(db: Session, token: str, now: datetime) -> int:
    """Give the account its new address: its id. An unconfirmed account becomes active by it.

    Raises `LinkSpent`, `AddressTaken`.
    """
    account_id, new_email = _use_link(db, token, "email_change", now)
    account = _locked(db, account_id)
    if account.state == "closed" or new_email is None:
        raise LinkSpent
    if _is_taken(db, new_email, account_id):
        raise AddressTaken
    account.email = new_email
    newly = account.state == "unconfirmed"
    if newly:
        account.state, account.confirmed_at = "active", now
    spend_links(db, account_id, ["reset"], now)
    db.flush()
    if newly:
        _tell_rooms(db, account_id, now)
    return account_id


def cancel_email_change(db: Session, token: str, now: datetime) -> bool:
    """Undo a change of address by the link that the old address got. Whether it had taken place already.

    Then the old address is put back, every session ends, and a link to choose a new password is sent there: somebody
    else may know the present one. Raises `LinkSpent`, `AddressTaken`.
    """
    account_id, old_email = _use_link(db, token, "email_cancel", now)
    account = _locked(db, account_id)
    if account.state == "closed" or old_email is None:
        raise LinkSpent
    spend_links(db, account_id, ["email_change", "reset"], now)
    if account.email == old_email:
        return False
    if _is_taken(db, old_email, account_id):
        raise AddressTaken
    # Whoever was put out by this link must not come back by one that was written later, to an address of theirs.
    this_link = select(AccountLink.id).where(AccountLink.token_hash == digest(token)).scalar_subquery()
    _spend(db, account_id, now, AccountLink.purpose == "email_cancel", AccountLink.id > this_link)
    account.email = old_email
    db.flush()
    end_sessions(db, account_id, now)
    token, link_id = _new_link(db, account_id, "reset", now)
    facts = {"first_name": account.first_name, "token": token}
    post(db, Letter("reset_password", old_email, f"reset_password:{link_id}", facts), now)
    return True


# --- details and consents ---


def set_consents(db: Session, account_id: int, wanted: dict[str, bool], now: datetime) -> None:
    """Give or revoke consents, each with its date; one that stands as wanted keeps its own."""
    given = set(db.scalars(select(Consent.kind).where(Consent.account_id == account_id, Consent.revoked_at.is_(None))))
    for kind in sorted(wanted):
        if wanted[kind] and kind not in given:
            insert_missing(db, Consent, {"account_id": account_id, "kind": kind, "given_at": now})
    revoked = [kind for kind in given if wanted.get(kind) is False]
    if revoked:
        db.execute(
            update(Consent)
            .where(Consent.account_id == account_id, Consent.kind.in_(revoked), Consent.revoked_at.is_(None))
            .values(revoked_at=now)
            .execution_options(synchronize_session=False)
        )


def change_details(
    db: Session, account_id: int, details: dict[str, Any], consents: dict[str, bool], now: datetime
) -> None:
    """Change names, telephone, address, birth date, organisation; and the consents."""
    allowed = {
        "title", "first_name", "last_name", "phone", "address", "postcode", "city", "birth_date", "organisation_name",
        "siret",
    }  # fmt: skip
    account = _locked(db, account_id)
    for name in allowed & details.keys():
        setattr(account, name, details[name])
    account.search_text = search_text(account.last_name, account.first_name, account.phone)
    db.flush()
    set_consents(db, account_id, consents, now)


# --- the end ---


def obstacles_to_closing(db: Session, account_id: int, now: datetime) -> list[Obstacle]:
    """What stands in the way of closing the account now."""
    household_id = _left_alone(db, account_id)
    return [] if household_id is None else _obstacles(db, household_id, now)


def _obstacles(db: Session, household_id: int, now: datetime) -> list[Obstacle]:
    asked = (ask(db, household_id, now) for ask in current_app.extensions["shop.closing_obstacles"])
    return [obstacle for obstacle in asked if obstacle]


def _left_alone(db: Session, account_id: int) -> int | None:
    """The household for which nobody acts once the account is closed, if there is one."""
    household_id: int | None = db.scalar(
        select(HouseholdMember.household_id).where(HouseholdMember.account_id == account_id)
    )
    others = (
        exists()
        .where(HouseholdMember.household_id == household_id, HouseholdMember.account_id == Account.id)
        .where(Account.id != account_id, Account.state != "closed")
    )
    return None if household_id is None or db.scalar(select(others)) else household_id


def close(db: Session, account_id: int, now: datetime) -> None:
    """Close the account: its sessions end, its consents are revoked, what tells who it was is erased.

    What accounting needs stays: the household, its wallet and orders. When nobody else acts for the household, its
    beneficiaries are archived and made anonymous too, unless another household has them. Raises `ClosingRefused` while
    something stands in the way (`shop.closing_obstacles`).
    """
    account = _locked(db, account_id)
    household_id = _left_alone(db, account_id)
    if household_id is not None:
        lock(db, Household, [household_id])
        if obstacles := _obstacles(db, household_id, now):
            raise ClosingRefused(obstacles)
        for step in current_app.extensions["shop.closing_steps"]:
            step(db, household_id, account_id, now)
        _forget_beneficiaries(db, household_id, now)
    farewell = Letter(
        "account_closed", account.email, f"account_closed:{account_id}", {"first_name": account.first_name}
    )
    post(db, farewell, now)
    end_sessions(db, account_id, now)
    set_consents(db, account_id, {"newsletter": False, "partners": False}, now)
    spend_links(db, account_id, list(LINK_LIFETIMES), now)
    db.execute(update(AccountLink).where(AccountLink.account_id == account_id).values(new_email=None))
    db.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    db.execute(
        update(StaffRole)
        .where(StaffRole.account_id == account_id, StaffRole.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    account.email = f"compte-{account_id}@ferme.invalid"
    account.password_hash = UNUSABLE
    account.first_name, account.last_name = "Compte", f"fermé {account_id}"
    account.title = account.phone = account.address = account.postcode = account.city = None
    account.search_text = search_text(account.last_name, account.first_name)
    account.birth_date = account.organisation_name = account.siret = None
    account.totp_secret = account.totp_enrolled_at = account.totp_last_step = None
    account.state, account.closed_at = "closed", now
    db.flush()


def _forget_beneficiaries(db: Session, household_id: int, now: datetime) -> None:
    """Archive the household's beneficiaries, and make anonymous those whom no other household has."""
    own = select(HouseholdBeneficiary.beneficiary_id).where(HouseholdBeneficiary.household_id == household_id)
    shared = select(HouseholdBeneficiary.beneficiary_id).where(
        HouseholdBeneficiary.household_id != household_id, HouseholdBeneficiary.archived_at.is_(None)
    )
    alone = set(db.scalars(own)) - set(db.scalars(shared.where(HouseholdBeneficiary.beneficiary_id.in_(own))))
    if alone:
        db.execute(
            update(Beneficiary)
            .where(Beneficiary.id.in_(alone))
            .values(
                first_name="Bénéficiaire",
                last_name="effacé",
                search_text=search_text("effacé", "Bénéficiaire"),
                birth_date=None,
                school_id=None,
                class_name=None,
                diet="standard",
                allergies=None,
            )
            .execution_options(synchronize_session=False)
        )
    db.execute(
        update(HouseholdBeneficiary)
        .where(HouseholdBeneficiary.household_id == household_id, HouseholdBeneficiary.archived_at.is_(None))
        .values(archived_at=now)
        .execution_options(synchronize_session=False)
    )


def remove_unconfirmed(db: Session, account_id: int) -> None:
    """Delete an account that was never confirmed, with its household and its beneficiaries.

    What upper rooms hold of the household is deleted by them (`shop.forgetting`). The database refuses when something
    else still points there, such as an entry of the books: nothing is deleted then.
    """
    account = _locked(db, account_id)
    if account.state != "unconfirmed":
        return
    household_id = db.scalar(select(HouseholdMember.household_id).where(HouseholdMember.account_id == account_id))
    for model in (Consent, LoginSession, AccountLink, RecoveryCode, HouseholdMember):
        db.execute(delete(model).where(model.account_id == account_id).execution_options(synchronize_session=False))
    if household_id is not None:
        for forget in current_app.extensions["shop.forgetting"]:
            forget(db, household_id)
        own = select(HouseholdBeneficiary.beneficiary_id).where(HouseholdBeneficiary.household_id == household_id)
        ids = set(db.scalars(own))
        db.execute(delete(HouseholdBeneficiary).where(HouseholdBeneficiary.household_id == household_id))
        still = set(
            db.scalars(select(HouseholdBeneficiary.beneficiary_id).where(HouseholdBeneficiary.beneficiary_id.in_(ids)))
        )
        db.execute(delete(Beneficiary).where(Beneficiary.id.in_(ids - still)))
        db.execute(delete(Household).where(Household.id == household_id))
    db.execute(delete(Account).where(Account.id == account_id))


# --- staff ---


def invite_staff(
    db: Session, email: str, first_name: str, last_name: str, role: str, regie_id: int, commune_id: int, now: datetime
) -> bool:
    """Give somebody a role at a commune and write to them. Whether the account is new.

    A new account gets a single-use link to choose its password: nobody else ever chooses or sees one. An active one
    keeps its own and is told of the role.
    """
    account = db.execute(
        select(Account.id, Account.first_name, Account.state)
        .where(Account.email == email, Account.state == "active")
        .limit(1)
    ).first()
    waiting = db.execute(
        select(Account.id)
        .where(Account.email == email, Account.state == "unconfirmed", Account.password_hash == UNUSABLE)
        .order_by(Account.id.desc())
        .limit(1)
    ).first()
    if account is not None:
        account_id = account.id
    elif waiting is not None:
        account_id = waiting.id
    else:
        account_id = db.execute(
            insert(Account)
            .values(
                email=email,
                password_hash=UNUSABLE,
                first_name=first_name,
                last_name=last_name,
                state="unconfirmed",
                created_at=now,
            )
            .returning(Account.id)
        ).scalar_one()
    has_role = exists().where(
        StaffRole.account_id == account_id,
        StaffRole.commune_id == commune_id,
        StaffRole.role == role,
        StaffRole.revoked_at.is_(None),
    )
    if not db.scalar(select(has_role)):
        db.execute(
            insert(StaffRole).values(
                account_id=account_id,
                scope="commune",
                regie_id=regie_id,
                commune_id=commune_id,
                role=role,
                given_at=now,
            )
        )
    if account is not None:
        facts = {"first_name": account.first_name}
        post(db, Letter("staff_access", email, f"staff_access:{account_id}:{commune_id}:{role}", facts), now)
        end_sessions(db, account_id, now)
        return False
    token, link_id = _new_link(db, account_id, "activate", now)
    facts = {"first_name": first_name, "token": token}
    post(db, Letter("activation", email, f"activation:{link_id}", facts), now)
    return True


def activate(db: Session, token: str, password_hash: str, now: datetime) -> None:
    """Choose the first password of an account that the town hall made, and make it active.

    Raises `LinkSpent`, `AddressTaken`.
    """
    account_id, _new_email = _use_link(db, token, "activate", now)
    account = _locked(db, account_id)
    if account.state != "unconfirmed":
        raise LinkSpent
    if _is_taken(db, account.email, account_id):
        raise AddressTaken
    account.password_hash = password_hash
    account.state, account.confirmed_at, account.terms_accepted_at = "active", now, now
    db.flush()
