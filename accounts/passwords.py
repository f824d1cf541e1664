"""Hashing of passwords: argon2id. Slow by intent, so never inside a transaction."""

from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import current_app

from shop.config import Config
from shop.database import in_transaction

MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1

UNUSABLE = "!"
"""Stands in place of a hash where no password opens the account."""


@lru_cache(maxsize=2)
def _hasher(cheap: bool) -> PasswordHasher:
    if cheap:
        return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


@lru_cache(maxsize=2)
def _dummy(cheap: bool) -> str:
    return _hasher(cheap).hash("nobody's password")


def _cheap() -> bool:
    config: Config = current_app.extensions["shop.config"]
    return config.cheap_passwords


def _refuse_transaction() -> None:
    if in_transaction():
        raise RuntimeError("a password is never hashed inside a transaction")


def hash_password(password: str) -> str:
    """The argon2id hash of a password."""
    _refuse_transaction()
    return _hasher(_cheap()).hash(password)


def matches(kept: str | None, password: str) -> bool:
    """Whether the password is the one of the hash. Without a hash the same work is done for nothing, so that the time
    taken does not tell whether an account exists."""
    _refuse_transaction()
    hasher = _hasher(_cheap())
    real = None if kept == UNUSABLE else kept
    try:
        hasher.verify(real or _dummy(_cheap()), password)
    except (VerificationError, InvalidHashError):
        return False
    return real is not None


def is_outdated(kept: str) -> bool:
    """Whether the hash was made with other parameters than today's and should be made anew."""
    return _hasher(_cheap()).check_needs_rehash(kept)
