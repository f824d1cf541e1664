"""What the database itself holds to: settings that keep money safe, types, migrations, triggers, keys across régies."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import Float, Numeric, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from accounts.models import Account, Beneficiary
from accounts.rules import search_text
from catalog.models import TariffPrice
from checkout import books
from orders.models import Reservation
from shop import audit, schema
from shop.clock import StoppedClock
from shop.database import BEGIN, FREEZE, Base, Database, reading, snapshot, transaction
from tests.conftest import START, CountStatements, MakeApp, OpenSession
from tests.factory import Town, add
from wallet.models import JournalEntry, LedgerAccount, Posting


def database_of(app: Flask) -> Database:
    database: Database = app.extensions["shop.database"]
    return database


def only_on(app: Flask, name: str) -> None:
    if database_of(app).engine.dialect.name != name:
        pytest.skip(f"{name} only")


# --- settings (trust: T-003, T-004) ---


def test_pragmas_of_a_pooled_connection_keep_money_safe(app: Flask, make_app: MakeApp) -> None:
    only_on(app, "sqlite")
    with database_of(make_app()).writer() as db:
        seen = {
            name: db.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert seen == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


def test_a_transaction_begins_by_our_word_and_a_reader_does_not_begin(app: Flask, statements: CountStatements) -> None:
    with app.app_context():
        with statements() as writing, transaction() as db:
            db.execute(text("SELECT 1"))
        with statements() as looking, reading() as db:
            db.execute(text("SELECT 1"))
        with statements() as freezing, snapshot() as db:
            db.execute(text("SELECT 1"))
    name = database_of(app).engine.dialect.name
    assert writing.sent == [BEGIN[name], "SELECT 1"]
    assert looking.sent == ["SELECT 1"]
    assert freezing.sent == [FREEZE[name], "SELECT 1"]


def test_a_second_writer_waits_for_the_first(app: Flask) -> None:
    only_on(app, "sqlite")
    path = database_of(app).engine.url.database
    assert path is not None
    with app.app_context(), transaction() as db:
        db.execute(text("SELECT 1"))
        other = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        finally:
            other.close()


def test_transactions_are_read_committed(app: Flask) -> None:
    only_on(app, "postgresql")
    with app.app_context(), transaction() as db:
        assert db.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"
        assert db.execute(text("SHOW lock_timeout")).scalar_one() == "10s"


def test_transactions_are_never_nested(app: Flask) -> None:
    with app.app_context(), transaction(), pytest.raises(RuntimeError, match="never nested"), transaction():
        pass


# --- types (trust: T-002) ---


def test_no_column_holds_a_float(app: Flask) -> None:
    for table in Base.metadata.tables.values():
        for column in table.columns:
            assert not isinstance(column.type, Float | Numeric), f"{table.name}.{column.name}"


def test_no_column_of_the_schema_holds_a_float(app: Flask) -> None:
    inspector = inspect(database_of(app).engine)
    for table in inspector.get_table_names():
        for column in inspector.get_columns(table):
            words = str(column["type"]).upper()
            assert not any(word in words for word in ("REAL", "FLOAT", "DOUBLE", "NUMERIC", "DECIMAL")), (table, column)


def test_the_float_scan_sees_a_planted_float(app: Flask) -> None:
    with database_of(app).engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE planted (id integer, price real)")
        (column,) = [column for column in inspect(connection).get_columns("planted") if column["name"] == "price"]
        connection.rollback()
    assert isinstance(column["type"], Float)


def test_every_amount_is_named_so_and_whole(app: Flask) -> None:
    for table in Base.metadata.tables.values():
        for column in table.columns:
            if "cents" in column.name:
                assert column.type.python_type is int, f"{table.name}.{column.name}"


# --- migrations (trust: T-176) ---


def test_models_and_migrations_agree(app: Flask) -> None:
    assert schema.drift(database_of(app)) == []


def test_the_drift_check_sees_a_planted_column(app: Flask) -> None:
    with database_of(app).engine.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE schools ADD COLUMN planted integer")
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
        connection.rollback()
    assert "planted" in str(differences)


def test_migrations_go_up_down_and_up_again(make_database: Callable[[str], str]) -> None:
    database = Database(make_database("migrations"))
    try:
        schema.upgrade(database)
        names = set(inspect(database.engine).get_table_names())
        schema.downgrade(database, "base")
        assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}
        assert schema.current_revision(database) is None
        schema.upgrade(database)
        assert set(inspect(database.engine).get_table_names()) == names
        assert schema.current_revision(database) == schema.newest_revision()
        assert schema.drift(database) == []
    finally:
        database.engine.dispose()


def test_names_that_stand_there_are_made_findable(make_database: Callable[[str], str]) -> None:
    database = Database(make_database("findable"))
    people = [("D’Artagnan-Lévêque", "Inês", "06 39 98 10 01"), ("Cœur", "Zoé", None), ("Bär", "Uwe", "+41220000000")]
    try:
        schema.upgrade(database)
        schema.downgrade(database, "0003")
        with database.writer() as db:
            for number, (last_name, first_name, phone) in enumerate(people):
                facts = {"email": f"{number}@example.org", "last": last_name, "first": first_name, "phone": phone}
                db.execute(
                    text(
                        "INSERT INTO accounts (email, password_hash, last_name, first_name, phone, state, created_at)"
                        " VALUES (:email, '', :last, :first, :phone, 'active', '2026-11-19 07:00:00')"
                    ),
                    facts,
                )
                db.execute(
                    text(
                        "INSERT INTO beneficiaries (last_name, first_name, diet, created_at)"
                        " VALUES (:last, :first, 'standard', '2026-11-19 07:00:00')"
                    ),
                    facts,
                )
            db.commit()
        schema.upgrade(database)
        with database.writer() as db:
            accounts = db.scalars(select(Account).order_by(Account.id)).all()
            assert [one.phone for one in accounts] == ["+33639981001", None, "+41220000000"]
            assert accounts[0].search_text == "dartagnan leveque ines 0639981001"
            for one in (*accounts, *db.scalars(select(Beneficiary))):
                phone = one.phone if isinstance(one, Account) else None
                assert one.search_text == search_text(one.last_name, one.first_name, phone)
    finally:
        database.engine.dispose()


def test_a_table_that_is_written_anew_keeps_its_rows_and_what_refers_to_them(
    make_database: Callable[[str], str], make_app: MakeApp, clock: StoppedClock
) -> None:
    app = make_app(database_url=make_database("anew"))
    database = database_of(app)
    with app.app_context():
        schema.upgrade(database)
        town = Town.founded(app, clock.now())
        canteen = town.aiguilhe.canteen
        town.paid_order(town.family(balance_cents=5000), canteen, canteen.open_days(town.now)[:2])
        with reading() as db:
            sold = db.scalars(select(Reservation.id).order_by(Reservation.id)).all()
        schema.downgrade(database, "0016")
        schema.upgrade(database)
        assert schema.drift(database) == []
        with reading() as db:
            assert sold
            assert db.scalars(select(Reservation.id).order_by(Reservation.id)).all() == sold
            assert books.check(db) == []
        with pytest.raises(IntegrityError), transaction() as db:
            db.execute(text("DELETE FROM orders"))


def test_an_upgrade_refuses_rows_that_refer_to_nothing(make_database: Callable[[str], str]) -> None:
    """SQLite does not look while it writes a table anew."""
    database = Database(make_database("dangling"))
    try:
        schema.upgrade(database)
        schema.downgrade(database, "0016")
        if not database.is_sqlite:
            pytest.skip("sqlite only")
        with database.engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            driver.execute("PRAGMA foreign_keys=OFF")
            driver.execute("INSERT INTO tariff_prices (tariff_id, valid_from, cents) VALUES (999, '2026-09-01', 380)")
            driver.execute("PRAGMA foreign_keys=ON")
        with pytest.raises(RuntimeError, match=r"refer to nothing.*tariff_prices"):
            schema.upgrade(database)
        assert schema.current_revision(database) == "0016"
        with database.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    finally:
        database.engine.dispose()


# --- append-only (trust: T-005, T-006) ---


@pytest.mark.parametrize("table", schema.APPEND_ONLY)
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id + 1000", "DELETE FROM {}"])
def test_books_refuse_to_be_rewritten(
    town: Town, read: OpenSession, write: OpenSession, table: str, statement: str
) -> None:
    order_id = town.paid_order(
        town.family(balance_cents=5000), town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:1]
    )
    with write() as db:
        audit.note(db, town.regie_id, None, "tested", f"order:{order_id}", {}, town.now)
        db.execute(
            text(
                "INSERT INTO payment_events (provider, key, kind, body, received_at, outcome)"
                " SELECT 'sandbox', 'e1', 'paid', '{}', placed_at, 'order_paid' FROM orders"
            )
        )
        db.execute(
            text(
                "INSERT INTO beneficiary_changes (beneficiary_id, household_id, account_id, at, what)"
                " SELECT r.beneficiary_id, o.household_id, o.account_id, o.placed_at, 'diet'"
                " FROM orders o JOIN reservations r ON r.order_id = o.id"
            )
        )
    with read() as db:
        before = db.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
    assert before
    with pytest.raises(DBAPIError, match="is append-only"), write() as db:
        db.execute(text(statement.format(table)))
    with read() as db:
        assert db.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == before


def test_an_event_takes_its_outcome_once(town: Town, write: OpenSession) -> None:
    with write() as db:
        db.execute(
            text(
                "INSERT INTO payment_events (provider, key, kind, body, received_at)"
                " VALUES ('sandbox', 'e1', 'paid', '{}', '2026-11-19 07:00:00')"
            )
        )
    with write() as db:
        db.execute(text("UPDATE payment_events SET outcome = 'order_paid'"))
    with pytest.raises(DBAPIError, match="append-only"), write() as db:
        db.execute(text("UPDATE payment_events SET outcome = 'other'"))


def test_what_a_provider_sent_is_never_changed(town: Town, write: OpenSession) -> None:
    with write() as db:
        db.execute(
            text(
                "INSERT INTO payment_events (provider, key, kind, body, received_at)"
                " VALUES ('sandbox', 'e1', 'paid', '{}', '2026-11-19 07:00:00')"
            )
        )
    with pytest.raises(DBAPIError, match="append-only"), write() as db:
        db.execute(text("UPDATE payment_events SET body = 'other'"))


def test_an_unbalanced_entry_is_refused_or_found(app: Flask, town: Town, read: OpenSession, write: OpenSession) -> None:
    """PostgreSQL refuses it at commit, by a deferred trigger; on SQLite the checker finds it."""
    family = town.family(balance_cents=1000)

    def unbalance() -> None:
        with write() as db:
            entry_id = _entry(db, town.regie_id, "planted")
            add(
                db,
                Posting,
                entry_id=entry_id,
                ledger_account_id=family.wallet_id,
                regie_id=town.regie_id,
                cents=100,
                balance_cents=1100,
            )
            db.execute(text(f"UPDATE ledger_accounts SET balance_cents = 1100 WHERE id = {family.wallet_id}"))

    if not database_of(app).is_sqlite:
        with pytest.raises(DBAPIError, match="does not sum to zero"):
            unbalance()
        with read() as db:
            assert books.check(db) == []
        return
    unbalance()
    with read() as db:
        assert {finding.invariant for finding in books.check(db)} == {1}


# --- one régie (trust: T-001) ---


def _entry(db: Session, regie_id: int, key: str) -> int:
    return add(
        db,
        JournalEntry,
        regie_id=regie_id,
        kind="adjustment",
        key=key,
        input_hash="0" * 64,
        at=START,
    )


@pytest.mark.parametrize("claimed", ["of the entry", "of the account"])
def test_a_posting_across_two_regies_is_refused(town: Town, write: OpenSession, claimed: str) -> None:
    family = town.family(balance_cents=1000)
    foreign = town.another_regie()
    regie_id = foreign.regie_id if claimed == "of the entry" else town.regie_id
    with write() as db:
        entry_id = _entry(db, foreign.regie_id, "foreign")
        posting = {"entry_id": entry_id, "ledger_account_id": family.wallet_id, "cents": -100, "balance_cents": 900}
        with pytest.raises(IntegrityError):
            add(db, Posting, regie_id=regie_id, **posting)
        db.rollback()


def test_a_household_has_one_wallet_per_regie(town: Town, write: OpenSession) -> None:
    family, foreign = town.family(), town.another_regie()
    wallet = {"kind": "wallet", "household_id": family.household_id, "balance_cents": 0}
    with write() as db:
        add(db, LedgerAccount, regie_id=foreign.regie_id, **wallet)
    with pytest.raises(IntegrityError), write() as db:
        add(db, LedgerAccount, regie_id=town.regie_id, **wallet)


def test_a_payment_for_an_order_of_another_regie_is_refused(town: Town, write: OpenSession) -> None:
    family, foreign = town.family(), town.another_regie()
    _order, payment = town.pending_order(family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:1])
    with pytest.raises(IntegrityError), write() as db:
        db.execute(text(f"UPDATE payments SET regie_id = {foreign.regie_id} WHERE id = {payment}"))


@pytest.mark.parametrize("change", ["household_id = {other}", "tariff_id = {adults}", "tariff_price_id = {price}"])
def test_a_meal_of_another_household_or_at_another_tariffs_price_is_refused(
    town: Town, read: OpenSession, write: OpenSession, change: str
) -> None:
    canteen = town.aiguilhe.canteen
    town.paid_order(town.family(balance_cents=5000), canteen, canteen.open_days(town.now)[:1])
    other = town.family().household_id
    with read() as db:
        sold = db.scalars(select(Reservation).limit(1)).one()
        price = db.scalars(select(TariffPrice).where(TariffPrice.tariff_id != sold.tariff_id).limit(1)).one()
        planted = change.format(other=other, adults=price.tariff_id, price=price.id)
        statement = text(f"UPDATE reservations SET {planted} WHERE id = {sold.id}")
    with pytest.raises(IntegrityError), write() as db:
        db.execute(statement)


def test_a_wallet_below_zero_is_refused(town: Town, write: OpenSession) -> None:
    family = town.family(balance_cents=1000)
    with pytest.raises(IntegrityError), write() as db:
        db.execute(text(f"UPDATE ledger_accounts SET balance_cents = -1 WHERE id = {family.wallet_id}"))
