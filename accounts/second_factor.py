"""The second factor of staff: a code that changes every 30 seconds (TOTP), and ten recovery codes."""

import secrets
from datetime import datetime

import pyotp
from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.orm import Session

from accounts.errors import WrongCode
from accounts.models import Account, RecoveryCode
from accounts.queries import digest
from accounts.rules import accepted_step, clean_recovery_code
from shop.outbox import Letter, post, the_sealer

STEP_SECONDS = 30
DRIFT_STEPS = 1
"""How many steps a telephone's clock may be ahead or behind."""
RECOVERY_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"

TRIES = "second factor"


def new_secret() -> str:
    """A fresh secret, in base 32."""
    return pyotp.random_base32()


def provisioning_uri(secret: str, email: str, site_name: str) -> str:
    """The address that an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=site_name)


def _place(account_id: int) -> str:
    return f"accounts.totp_secret:{account_id}"


def seal_draft(secret: str, session_id: int) -> str:
    """A secret that is not yet the account's, sealed for the form that shows it: reading a page writes nothing."""
    return the_sealer().seal(secret, f"totp draft:{session_id}")


def open_draft(sealed: str, session_id: int) -> str:
    """The secret of the form. Raises `SealBroken` when the form was made for another session or changed."""
    return the_sealer().open(sealed, f"totp draft:{session_id}")


def _find_step(secret: str, typed: str, last_step: int | None, now: datetime) -> int:
    step = int(now.timestamp()) // STEP_SECONDS
    totp = pyotp.TOTP(secret)
    near = {near: totp.generate_otp(near) for near in range(step - DRIFT_STEPS, step + DRIFT_STEPS + 1)}
    accepted = accepted_step(near, typed, last_step)
    if accepted is None:
        raise WrongCode
    return accepted


def enrol(db: Session, account_id: int, secret: str, typed: str, now: datetime) -> list[str]:
    """Make the secret the account's, once a code shows that the telephone has it. The recovery codes, shown this once.

    Raises `WrongCode`, also when the account has a second factor already.
    """
    step = _find_step(secret, typed, None, now)
    enrolled = db.execute(
        update(Account)
        .where(Account.id == account_id, Account.totp_enrolled_at.is_(None))
        .values(totp_secret=the_sealer().seal(secret, _place(account_id)), totp_enrolled_at=now, totp_last_step=step)
        .returning(Account.id)
        .execution_options(synchronize_session=False)
    ).first()
    if enrolled is None:
        raise WrongCode
    return _new_recovery_codes(db, account_id, now)


def renew_recovery_codes(db: Session, account_id: int, typed: str, now: datetime) -> list[str]:
    """Ten new recovery codes, shown this once, for a code of the telephone; the account's person is told by letter.

    A recovery code will not do: whoever has found one would otherwise make himself ten more. Raises `WrongCode`.
    """
    if _is_recovery_code(typed):
        raise WrongCode
    check_code(db, account_id, typed, now)
    codes = _new_recovery_codes(db, account_id, now)
    account = db.execute(select(Account.email, Account.first_name).where(Account.id == account_id)).one()
    key = f"recovery_codes_renewed:{account_id}:{_code_hash(account_id, codes[0])[:16]}"
    post(db, Letter("recovery_codes_renewed", account.email, key, {"first_name": account.first_name}), now)
    return codes


def _new_recovery_codes(db: Session, account_id: int, now: datetime) -> list[str]:
    """Ten codes of 80 bits in place of the old ones, which stop working. Only their digests are kept."""
    codes = [
        "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4)) for _ in range(RECOVERY_CODES)
    ]
    db.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    db.execute(
        insert(RecoveryCode),
        [{"account_id": account_id, "code_hash": _code_hash(account_id, code), "created_at": now} for code in codes],
    )
    return codes


def _code_hash(account_id: int, code: str) -> str:
    return digest(f"{account_id}:{clean_recovery_code(code)}")


def check_code(db: Session, account_id: int, typed: str, now: datetime) -> None:
    """Accept a code of the telephone, or a recovery code, once. Raises `WrongCode`."""
    facts = db.execute(
        select(Account.totp_secret, Account.totp_last_step).where(
            Account.id == account_id, Account.totp_enrolled_at.is_not(None)
        )
    ).first()
    if facts is None:
        raise WrongCode
    if _is_recovery_code(typed):
        _use_recovery_code(db, account_id, typed, now)
        return
    step = _find_step(the_sealer().open(facts.totp_secret, _place(account_id)), typed, facts.totp_last_step, now)
    # The condition is asked again by the write: of two requests with one code, one alone gets in.
    taken = db.execute(
        update(Account)
        .where(Account.id == account_id, or_(Account.totp_last_step.is_(None), Account.totp_last_step < step))
        .values(totp_last_step=step)
        .returning(Account.id)
        .execution_options(synchronize_session=False)
    ).first()
    if taken is None:
        raise WrongCode


def _is_recovery_code(typed: str) -> bool:
    """Whether it is meant as one: the telephone's codes are shorter."""
    return len(clean_recovery_code(typed)) > 8


def _use_recovery_code(db: Session, account_id: int, typed: str, now: datetime) -> None:
    used = db.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.account_id == account_id,
            RecoveryCode.code_hash == _code_hash(account_id, typed),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now)
        .returning(RecoveryCode.id)
        .execution_options(synchronize_session=False)
    ).first()
    if used is None:
        raise WrongCode
