"""The one begin, commit and rollback: all or nothing, repeated when the database asks for it, and named refusals."""

import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from catalog.models import Regie, SchoolYear, ServiceDay
from orders.models import Order, Reservation
from shop.clock import PARIS
from shop.config import LocalSecrets
from shop.database import in_transaction, lock, reading, retried, snapshot, transaction, violated
from shop.errors import Busy, NotFound
from tests.conftest import START, OpenSession
from tests.factory import Town
from tests.races.together import succeeded, the_database_of, together


def count(read: OpenSession) -> int:
    with read() as db:
        return db.scalar(select(func.count()).select_from(SchoolYear)) or 0


# --- all of it or none of it ---


@pytest.mark.parametrize("error", [NotFound, KeyError, KeyboardInterrupt])
def test_whatever_leaves_the_block_undoes_everything(app: Flask, read: OpenSession, error: type[BaseException]) -> None:
    year = {"zone": "B", "year": 2026, "first_day": START.date(), "last_day": START.date().replace(year=2027)}

    def fail() -> None:
        with transaction() as db:
            db.execute(insert(SchoolYear).values(**year))
            raise error

    with app.app_context(), pytest.raises(error):
        fail()
    assert count(read) == 0
    assert not in_transaction()


def test_a_transaction_knows_that_it_is_open_and_only_here(app: Flask) -> None:
    seen: list[bool] = []
    with app.app_context(), transaction():
        assert in_transaction()
        other = threading.Thread(target=lambda: seen.append(in_transaction()))
        other.start()
        other.join()
    assert seen == [False]
    assert not in_transaction()


def test_a_snapshot_sees_one_moment(app: Flask, town: Town) -> None:
    with app.app_context(), snapshot() as db:
        before = db.scalar(select(func.count()).select_from(Regie))
        adding = threading.Thread(target=town.another_regie)
        adding.start()
        adding.join()
        assert db.scalar(select(func.count()).select_from(Regie)) == before
    with app.app_context(), reading() as db:
        assert db.scalar(select(func.count()).select_from(Regie)) == (before or 0) + 1


def test_a_moment_comes_back_as_it_went_in_and_a_naive_one_is_refused(town: Town, write: OpenSession) -> None:
    at = datetime(2026, 10, 25, 2, 30, 15, 123456, tzinfo=PARIS)
    day = update(ServiceDay).where(ServiceDay.id == 1)
    with write() as db:
        db.execute(day.values(book_deadline_at=at))
        found = db.scalars(select(ServiceDay.book_deadline_at).where(ServiceDay.id == 1)).one()
        assert found == at.astimezone(UTC)
        assert found.tzinfo is UTC
    with pytest.raises(Exception, match="naive"), write() as db:
        db.execute(day.values(book_deadline_at=at.replace(tzinfo=None)))


# --- locks ---


def test_lock_gives_rows_as_they_are_now_and_in_order(app: Flask, town: Town) -> None:
    """Without `populate_existing` a row that was loaded before would come back as it was then."""
    ids = [3, 1, 2]

    def change() -> None:
        with app.app_context(), transaction() as db:
            db.execute(update(ServiceDay).where(ServiceDay.id.in_(ids)).values(menu="Soupe"))

    with app.app_context():
        if the_database_of(app).is_sqlite:
            change()
            with transaction() as db:
                assert [day.id for day in lock(db, ServiceDay, ids)] == [1, 2, 3]
            return
        with transaction() as db:
            assert [day.menu for day in db.scalars(select(ServiceDay).where(ServiceDay.id.in_(ids)))] == [None] * 3
            other = threading.Thread(target=change)
            other.start()
            other.join()
            found = lock(db, ServiceDay, ids)
            assert [(day.id, day.menu) for day in found] == [(1, "Soupe"), (2, "Soupe"), (3, "Soupe")]


# --- trying again ---


class Locked(Exception):
    """What psycopg raises: it carries a state."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    "original",
    [Locked("40001"), Locked("40P01"), Locked("55P03"), sqlite3.OperationalError("database is locked")],
    ids=["serialization", "deadlock", "lock timeout", "sqlite"],
)
def test_contention_is_tried_again_a_bounded_number_of_times(
    original: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("shop.database.time.sleep", pauses.append)
    calls = []

    def fails_twice() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise OperationalError("UPDATE", {}, original)
        return "done"

    assert retried(fails_twice) == "done"
    assert len(pauses) == 2

    def always_fails() -> None:
        raise OperationalError("UPDATE", {}, original)

    with pytest.raises(Busy):
        retried(always_fails)
    assert len(pauses) == 2 + 4


@pytest.mark.parametrize("original", [Locked("23505"), Locked("08006"), sqlite3.OperationalError("disk I/O error")])
def test_what_trying_again_does_not_help_is_told_at_once(original: Exception) -> None:
    calls = []

    def fails() -> None:
        calls.append(1)
        raise OperationalError("UPDATE", {}, original)

    with pytest.raises(OperationalError):
        retried(fails)
    assert len(calls) == 1


@pytest.mark.race
def test_two_that_wait_for_each_other_both_come_through(app: Flask, town: Town, read: OpenSession) -> None:
    """A real deadlock, made on purpose against the order of the house: PostgreSQL ends one of them, which is repeated."""
    if the_database_of(app).is_sqlite:
        pytest.skip("SQLite has one lock")
    first_step = threading.Barrier(2)
    ended = []

    def crossing(ids: list[int]) -> Callable[[], None]:
        met: list[int] = []

        def cross() -> None:
            try:
                with transaction() as db:
                    for place, number in enumerate(ids):
                        if place and not met:
                            met.append(first_step.wait(10))
                        add = update(ServiceDay).where(ServiceDay.id == number)
                        db.execute(add.values(booked_count=ServiceDay.booked_count + 1))
            except OperationalError as error:
                ended.append(getattr(error.orig, "sqlstate", None))
                raise

        return cross

    results = together(app, [crossing([1, 2]), crossing([2, 1])])
    assert len(succeeded(results)) == 2
    assert ended == ["40P01"]
    with read() as db:
        assert db.scalars(select(ServiceDay.booked_count).where(ServiceDay.id.in_([1, 2]))).all() == [2, 2]


# --- the names of what refused ---


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("UPDATE service_days SET booked_count = -1 WHERE id = 1", "ck_service_days_places"),
        ("UPDATE ledger_accounts SET balance_cents = -1 WHERE kind = 'wallet'", "ck_ledger_accounts_wallet_balance"),
        ("UPDATE orders SET basket_id = 1", "uq_orders_basket"),
        ("UPDATE orders SET number = 'same'", "uq_orders_number"),
        ("UPDATE reservations SET beneficiary_id = 1, service_day_id = 1", "uq_reservations_live"),
    ],
)
def test_a_refusal_of_the_database_has_the_name_of_its_constraint(
    town: Town, write: OpenSession, statement: str, name: str
) -> None:
    family, canteen = town.family(balance_cents=5000), town.aiguilhe.canteen
    days = canteen.open_days(town.now)
    town.basket(family, canteen, days[4:5])
    for day in days[:2]:
        town.paid_order(family, canteen, [day])
    with pytest.raises(IntegrityError) as refused, write() as db:
        db.execute(text(statement))
    assert violated(refused.value) == name
    with write() as db:
        assert db.scalar(select(func.count()).select_from(Order)) == 2
        assert db.scalar(select(func.count()).select_from(Reservation)) == 4


# --- the keys of a demonstration ---


def test_the_keys_of_a_demonstration_are_made_once_and_read_by_their_owner_alone(tmp_path: Path) -> None:
    first = LocalSecrets.kept_in(tmp_path / "var")
    assert LocalSecrets.kept_in(tmp_path / "var") == first
    assert len(first.data_key) == 32
    assert len(first.secret_key) >= 32
    assert (tmp_path / "var" / "keys").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["keys"]


def test_of_several_first_starts_at_once_all_read_the_same_keys(app: Flask, tmp_path: Path) -> None:
    found = together(app, [lambda: LocalSecrets.kept_in(tmp_path)] * 8)
    assert len(succeeded(found)) == 8, found
    assert len(set(succeeded(found))) == 1
