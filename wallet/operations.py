"""Verbs of the ledger. There is one way to move money: `enter`."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, or_, select, update
from sqlalchemy.orm import Session

from shop.database import AnySelect, insert_missing, insert_unless_there
from shop.statements import as_rows, numbers, run, run_all
from wallet.errors import BalanceTooShort, KeyReused
from wallet.models import JournalEntry, LedgerAccount, Posting


class AccountRef(NamedTuple):
    """An account of a régie's books: its kind, and its household where it has an owner."""

    kind: str
    household_id: int | None = None


@dataclass(frozen=True)
class Entry:
    """An entry to be made. `postings` sum to zero; cents are positive where the account is credited."""

    kind: str
    key: str
    regie_id: int
    postings: tuple[tuple[AccountRef, int], ...]
    order_id: int | None = None
    reservation_id: int | None = None
    payment_id: int | None = None
    account_id: int | None = None
    reverses_id: int | None = None
    unbooked_meal_id: int | None = None

    @property
    def input_hash(self) -> str:
        """The digest of everything but the key."""
        facts = [
            self.kind,
            self.regie_id,
            self.postings,
            self.order_id,
            self.reservation_id,
            self.payment_id,
            self.reverses_id,
        ]
        if self.unbooked_meal_id is not None:
            # Only where there is one: entries that were made before there were any keep their digests.
            facts.append(self.unbooked_meal_id)
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


_NEW_POSTINGS = numbers("entry_id", "ledger_account_id", "regie_id", "cents", "balance_cents")
_POSTINGS = insert(Posting).from_select(list(_NEW_POSTINGS.c.keys()), select(*_NEW_POSTINGS.c))
_CHANGES = numbers("account", "change")
_BALANCES = (
    update(LedgerAccount)
    .where(LedgerAccount.id == _CHANGES.c.account)
    .values(balance_cents=LedgerAccount.balance_cents + _CHANGES.c.change)
)


def enter(db: Session, entry: Entry, now: datetime) -> int:
    """Make one entry and return its id. See `enter_all`."""
    return enter_all(db, [entry], now)[entry.key]


def enter_all(db: Session, entries: Sequence[Entry], now: datetime) -> dict[str, int]:
    """Make entries of one régie, in four statements however many there are; the ids by key.

    The same key with the same facts is the entry that exists already; with other facts it is refused (`KeyReused`).
    Locks the accounts by id. Raises `BalanceTooShort` when a wallet would fall below zero.
    """
    regie_ids = {entry.regie_id for entry in entries}
    if len(regie_ids) != 1:
        raise ValueError("entries of one régie at a time")
    for entry in entries:
        if not entry.postings or sum(cents for _, cents in entry.postings) != 0:
            raise ValueError(f"{entry.key} does not sum to zero")
    made = _insert_entries(db, entries, now)
    fresh = [entry for entry in entries if entry.key in made]
    ids = dict(made)
    if len(fresh) < len(entries):
        ids.update(_known(db, [entry for entry in entries if entry.key not in made]))
    if fresh:
        _post(db, regie_ids.pop(), fresh, made)
    return ids


def _insert_entries(db: Session, entries: Sequence[Entry], now: datetime) -> dict[str, int]:
    rows = [
        {
            "regie_id": entry.regie_id,
            "kind": entry.kind,
            "key": entry.key,
            "input_hash": entry.input_hash,
            "at": now,
            "account_id": entry.account_id,
            "order_id": entry.order_id,
            "reservation_id": entry.reservation_id,
            "payment_id": entry.payment_id,
            "reverses_id": entry.reverses_id,
            "unbooked_meal_id": entry.unbooked_meal_id,
        }
        for entry in entries
    ]
    statement = insert_unless_there(db, JournalEntry, "key", (JournalEntry.key, JournalEntry.id))
    return {str(key): int(entry_id) for key, entry_id in run_all(db, statement, rows)}


def _known(db: Session, entries: Sequence[Entry]) -> dict[str, int]:
    rows = db.execute(
        select(JournalEntry.key, JournalEntry.id, JournalEntry.input_hash).where(
            JournalEntry.key.in_([entry.key for entry in entries])
        )
    )
    known = {row.key: row for row in rows}
    for entry in entries:
        if known[entry.key].input_hash != entry.input_hash:
            raise KeyReused(entry.key)
    return {key: row.id for key, row in known.items()}


def _post(db: Session, regie_id: int, entries: Sequence[Entry], ids: dict[str, int]) -> None:
    changes: dict[AccountRef, int] = {}
    for entry in entries:
        for ref, cents in entry.postings:
            changes[ref] = changes.get(ref, 0) + cents
    accounts = lock_accounts(db, regie_id, list(changes))
    balances = {ref: balance for ref, (_id, balance) in accounts.items()}
    postings = []
    for entry in entries:
        for ref, cents in entry.postings:
            before = balances[ref]
            balances[ref] = before + cents
            if ref.kind == "wallet" and balances[ref] < 0:
                raise BalanceTooShort(before, -cents)
            postings.append((ids[entry.key], accounts[ref][0], regie_id, cents, balances[ref]))
    run(db, _POSTINGS, rows=as_rows(postings))
    # Relative, and under the CHECK on wallets: even without the lock above it could not spend what is not there.
    amounts = [(accounts[ref][0], cents) for ref, cents in changes.items() if cents]
    if amounts:
        run(db, _BALANCES, rows=as_rows(amounts))


@cache
def _accounts(owned: int, common: int) -> AnySelect:
    """The statement that locks so many accounts of households and so many of the régie's own."""
    theirs = [
        (LedgerAccount.household_id == bindparam(f"household_{n}")) & (LedgerAccount.kind == bindparam(f"owned_{n}"))
        for n in range(owned)
    ]
    ours = [
        LedgerAccount.household_id.is_(None) & (LedgerAccount.kind == bindparam(f"common_{n}")) for n in range(common)
    ]
    query: AnySelect = (
        select(LedgerAccount.id, LedgerAccount.kind, LedgerAccount.household_id, LedgerAccount.balance_cents)
        .where(LedgerAccount.regie_id == bindparam("regie_id"), or_(*theirs, *ours))
        .order_by(LedgerAccount.id)
        .with_for_update(key_share=True)
    )
    return query


def lock_accounts(db: Session, regie_id: int, refs: Sequence[AccountRef]) -> dict[AccountRef, tuple[int, int]]:
    """Lock accounts by id, opening those that do not exist yet: id and balance of each."""
    owned = [ref for ref in refs if ref.household_id is not None]
    common = [ref for ref in refs if ref.household_id is None]
    if len(owned) > FEW:
        return _lock_many(db, regie_id, refs)
    facts: dict[str, Any] = {"regie_id": regie_id}
    for n, ref in enumerate(owned):
        facts |= {f"household_{n}": ref.household_id, f"owned_{n}": ref.kind}
    for n, ref in enumerate(common):
        facts[f"common_{n}"] = ref.kind
    statement = _accounts(len(owned), len(common))
    for _attempt in range(2):
        rows = run(db, statement, **facts)
        found = {AccountRef(kind, household_id): (key, balance) for key, kind, household_id, balance in rows}
        missing = [ref for ref in refs if ref not in found]
        if not missing:
            return found
        for ref in missing:
            insert_missing(
                db,
                LedgerAccount,
                {"regie_id": regie_id, "kind": ref.kind, "household_id": ref.household_id, "balance_cents": 0},
            )
    raise AssertionError("an account that was just opened is not there")


FEW = 8
"""Accounts of households that a statement names one by one."""
_HOUSEHOLDS = numbers("household_id")
_MANY_ACCOUNTS = (
    select(LedgerAccount.id, LedgerAccount.kind, LedgerAccount.household_id, LedgerAccount.balance_cents)
    .where(
        LedgerAccount.regie_id == bindparam("regie_id"),
        or_(LedgerAccount.household_id.is_(None), LedgerAccount.household_id.in_(select(_HOUSEHOLDS.c.household_id))),
    )
    .order_by(LedgerAccount.id)
    .with_for_update(key_share=True)
)


def _lock_many(db: Session, regie_id: int, refs: Sequence[AccountRef]) -> dict[AccountRef, tuple[int, int]]:
    """Lock the accounts of many households, and all of the régie's own, by id: three statements at most."""
    households = as_rows([(key,) for key in sorted({ref.household_id for ref in refs if ref.household_id is not None})])
    for _attempt in range(2):
        rows = run(db, _MANY_ACCOUNTS, regie_id=regie_id, rows=households)
        found = {AccountRef(kind, household_id): (key, balance) for key, kind, household_id, balance in rows}
        missing = [ref for ref in refs if ref not in found]
        if not missing:
            return {ref: found[ref] for ref in refs}
        insert_missing(
            db,
            LedgerAccount,
            [
                {"regie_id": regie_id, "kind": ref.kind, "household_id": ref.household_id, "balance_cents": 0}
                for ref in missing
            ],
        )
    raise AssertionError("an account that was just opened is not there")
