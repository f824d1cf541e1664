"""The ledger's one way to move money."""

import pytest
from sqlalchemy import func, select

from shop.clock import StoppedClock
from tests.conftest import CountStatements, OpenSession
from tests.factory import Town
from wallet.errors import BalanceTooShort, KeyReused
from wallet.models import JournalEntry, LedgerAccount, Posting
from wallet.operations import AccountRef, Entry, enter, enter_all

SALES = AccountRef("sales")


def spend(town: Town, household_id: int, cents: int, key: str = "wallet_payment:order:1") -> Entry:
    postings = ((AccountRef("wallet", household_id), -cents), (SALES, cents))
    return Entry(kind="wallet_payment", key=key, regie_id=town.regie_id, postings=postings)


def balance(read: OpenSession, household_id: int) -> int:
    with read() as db:
        query = select(LedgerAccount.balance_cents).where(LedgerAccount.household_id == household_id)
        return int(db.scalars(query).one())


def size(read: OpenSession) -> tuple[int, int]:
    with read() as db:
        entries = db.scalar(select(func.count()).select_from(JournalEntry)) or 0
        return entries, db.scalar(select(func.count()).select_from(Posting)) or 0


def test_an_entry_moves_the_balance_and_says_it_on_each_posting(
    town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession
) -> None:
    family = town.family(balance_cents=1000)
    with write() as db:
        enter(db, spend(town, family.household_id, 380), clock.now())
    assert balance(read, family.household_id) == 620
    with read() as db:
        last = db.scalars(
            select(Posting.balance_cents)
            .where(Posting.ledger_account_id == family.wallet_id)
            .order_by(Posting.id.desc())
        ).first()
    assert last == 620


def test_the_same_key_again_is_the_same_entry(
    town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession
) -> None:
    family = town.family(balance_cents=1000)
    with write() as db:
        first = enter(db, spend(town, family.household_id, 380), clock.now())
    before = size(read)
    with write() as db:
        assert enter(db, spend(town, family.household_id, 380), clock.now()) == first
    assert (balance(read, family.household_id), size(read)) == (620, before)


def test_the_same_key_with_other_facts_is_refused(
    town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession
) -> None:
    family = town.family(balance_cents=1000)
    with write() as db:
        enter(db, spend(town, family.household_id, 380), clock.now())
    before = size(read)
    with pytest.raises(KeyReused), write() as db:
        enter(db, spend(town, family.household_id, 381), clock.now())
    assert (balance(read, family.household_id), size(read)) == (620, before)


@pytest.mark.parametrize(("cents", "missing"), [(1001, 1), (5000, 4000)])
def test_a_wallet_never_falls_below_zero(
    town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession, cents: int, missing: int
) -> None:
    family = town.family(balance_cents=1000)
    before = size(read)
    with pytest.raises(BalanceTooShort) as refusal, write() as db:
        enter(db, spend(town, family.household_id, cents), clock.now())
    assert refusal.value.missing_cents == missing
    assert (balance(read, family.household_id), size(read)) == (1000, before)


def test_exactly_the_balance_may_be_spent(
    town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession
) -> None:
    family = town.family(balance_cents=1000)
    with write() as db:
        enter(db, spend(town, family.household_id, 1000), clock.now())
    assert balance(read, family.household_id) == 0


def test_what_does_not_sum_to_zero_never_reaches_the_database(
    town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession
) -> None:
    entry = Entry(kind="adjustment", key="k", regie_id=town.regie_id, postings=((SALES, 1),))
    with pytest.raises(ValueError, match="zero"), write() as db:
        enter(db, entry, clock.now())


def test_entries_of_two_regies_do_not_mix(
    town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession
) -> None:
    family = town.family(balance_cents=1000)
    here = spend(town, family.household_id, 1, "a")
    there = Entry(kind="adjustment", key="b", regie_id=town.regie_id + 1, postings=here.postings)
    with pytest.raises(ValueError, match="one régie"), write() as db:
        enter_all(db, [here, there], clock.now())
    assert balance(read, family.household_id) == 1000


@pytest.mark.parametrize("many", [1, 40])
def test_statements_do_not_grow_with_the_entries(
    town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession, statements: CountStatements, many: int
) -> None:
    family = town.family(balance_cents=10_000)
    with write() as db:
        enter(db, spend(town, family.household_id, 1, "first"), clock.now())
    entries = [spend(town, family.household_id, 2, f"k{number}") for number in range(many)]
    with write() as db, statements() as seen:
        enter_all(db, entries, clock.now())
    assert seen.count == 4, seen
    assert balance(read, family.household_id) == 9_999 - 2 * many
