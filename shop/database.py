"""The database: the only begin, commit and rollback in the house, and the only code that knows which one it talks to."""

import random
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from flask import current_app
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    Executable,
    Integer,
    MetaData,
    Select,
    String,
    TypeDecorator,
    create_engine,
    event,
    literal_column,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, QueryableAttribute, Session, mapped_column
from sqlalchemy.sql.operators import OperatorType, eq, in_op, ne, not_in_op

from shop.errors import Busy
from shop.kept import kept
from shop.statements import run, run_all

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

M = TypeVar("M", bound="Row")
T = TypeVar("T")

AnySelect = Select[*tuple[Any, ...]]
"""A select of whatever columns."""

BUSY_TIMEOUT_SECONDS = 10
TRIES = 5
POSTGRESQL_OPTIONS = (
    f"-c lock_timeout={BUSY_TIMEOUT_SECONDS}s -c plan_cache_mode=force_generic_plan -c random_page_cost=1.1"
)
"""Settings of every connection. A lock is waited for as long as SQLite waits; without a limit, somebody who forgets to commit
stops every payment. One plan serves all values, and to fetch a row that an index finds is cheap (from memory, or a disk that
does not turn): else a few large baskets let the server plan every payment anew, or read whole tables for it."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC, on every database. Refuses a naive one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive moment cannot be stored")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def result_processor(self, dialect: Any, coltype: object) -> Callable[[Any], datetime | None]:
        """From what the driver gives, without a detour: a page may read hundreds of them."""
        if dialect.name == "postgresql":
            return lambda value: None if value is None else value.astimezone(UTC)
        return lambda value: None if value is None else _read_moment(value)


@lru_cache(maxsize=16384)
def _read_moment(text: str) -> datetime:
    """A moment as SQLite keeps it. Remembered: the deadlines of a service's days are the same on every family's page."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Word(String):
    """A column that holds one of a few words of ours: a state, a kind. Words to compare it with are written into statements.

    A bound word would hide from both databases that a partial index (`WHERE state IN (...)`) answers the question; so would,
    from SQLite, `IN` with one word where the index says `=`.
    """

    cache_ok = True

    class Comparator(String.Comparator[str]):
        """Compares as a text does, with words written out."""

        def operate(self, op: OperatorType, *other: Any, **options: Any) -> ColumnElement[Any]:
            words = [_written_out(word) for word in other]
            if op in (in_op, not_in_op) and isinstance(other[0], Collection) and not isinstance(other[0], str):
                words = [[_written_out(word) for word in other[0]]]
                if len(words[0]) == 1:
                    op, words = eq if op is in_op else ne, words[0]
            compared: ColumnElement[Any] = super().operate(op, *words, **options)
            return compared

    comparator_factory = Comparator


def _written_out(word: Any) -> Any:
    return literal_column(f"'{word}'", Word) if isinstance(word, str) and _A_WORD.fullmatch(word) else word


_A_WORD = re.compile("[a-z_]+")

Key = BigInteger().with_variant(Integer, "sqlite")
"""The type of primary and foreign keys: 64 bits on both databases (SQLite numbers only `INTEGER` keys by itself)."""


class Base(DeclarativeBase):
    """Every table of the house."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: UtcDateTime}


class Row(Base):
    """A table whose rows are numbered by the database."""

    __abstract__ = True

    id: Mapped[int] = mapped_column(Key, primary_key=True, sort_order=-1)


BEGIN = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN ISOLATION LEVEL READ COMMITTED"}
"""How a writing transaction begins."""
FREEZE = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
"""How one begins that sees the same moment until its end."""


def make_engine(url: str, pool_size: int = 10) -> Engine:
    """An engine with the settings that keep money safe.

    No driver begins a transaction by itself: on both databases ours is the only BEGIN, and reading needs none. The execution
    option `begin` names another one, or none.

    SQLite: WAL, `synchronous=FULL`, foreign keys on, a busy timeout, and a `BEGIN IMMEDIATE` for every writing
    transaction (with the library's own deferred BEGIN, concurrent read-then-write transactions lose updates or fail).
    PostgreSQL: READ COMMITTED with row locks. Errors name no values: they end up in logs.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {"timeout": BUSY_TIMEOUT_SECONDS}
    else:
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        settings = {"application_name": "cantine-facile", "options": parsed.query.get("options", POSTGRESQL_OPTIONS)}
    engine = create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args=settings,
    )
    event.listen(engine, "connect", _prepare_sqlite if engine.dialect.name == "sqlite" else _prepare_postgresql)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_SECONDS * 1000}",
        "cache_size=-65536",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    # Its own knows the letters of ASCII alone: "Élèves" would not be "élèves".
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: str | float | bytes | None) -> str | float | bytes | None:
    return value.lower() if isinstance(value, str) else value


def _prepare_postgresql(connection: Any, _record: object) -> None:
    connection.autocommit = True


def _begin(connection: Connection) -> None:
    words = connection.get_execution_options().get("begin", BEGIN[connection.dialect.name])
    if words:
        connection.exec_driver_sql(words)


class Database:
    """The engine of one application and the ways to use it."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        # Each statement sees what is committed then. A page never writes in it: `reading()` gives no commit.
        self.readers = self.engine.execution_options(begin=None)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite (the default) rather than PostgreSQL."""
        return self.engine.dialect.name == "sqlite"

    def writer(self) -> Session:
        """A session for one transaction."""
        return Session(self.engine, expire_on_commit=False, autoflush=True)

    def frozen_reader(self) -> Session:
        """A session for reading the database as it stands at its first statement."""
        frozen = self.engine.execution_options(begin=FREEZE[self.engine.dialect.name])
        return Session(frozen, expire_on_commit=False, autoflush=False)


_open_transaction: ContextVar[bool] = ContextVar("open_transaction", default=False)


def in_transaction() -> bool:
    """Whether a writing transaction is open here: nothing may call a network while it is (trust: T-018)."""
    return _open_transaction.get()


def the_database() -> Database:
    """The database of the current application."""
    database: Database = current_app.extensions["shop.database"]
    return database


@contextmanager
def transaction() -> Iterator[Session]:
    """All of it or none of it. Never nested; a `Refusal` that leaves the block undoes everything."""
    if _open_transaction.get():
        raise RuntimeError("transactions are never nested")
    let_go_of_rows()
    token = _open_transaction.set(True)
    session = the_database().writer()
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.close()
        _open_transaction.reset(token)


@contextmanager
def snapshot() -> Iterator[Session]:
    """A session whose statements all see the same moment, whatever is written meanwhile: for reads that take long."""
    session = the_database().frozen_reader()
    try:
        yield session
    finally:
        session.rollback()
        session.close()


@contextmanager
def reading() -> Iterator[Session]:
    """A session to read with, on the connection of `rows`. What is written in it is thrown away."""
    with rows() as connection:
        session = Session(connection, expire_on_commit=False, autoflush=False)
        try:
            yield session
        finally:
            session.rollback()
            session.close()


class rows:  # noqa: N801 (it is used as a function is)
    """`with rows() as db:` — a connection to read rows of columns with, which is not worth the making of a session.

    A request keeps it until it ends or begins a transaction: the visitor and the page are read through the same one.
    """

    def __enter__(self) -> Connection:
        here = kept()
        if "rows" not in here:
            here["rows"] = the_database().readers.connect()
        connection: Connection = here["rows"]
        return connection

    def __exit__(self, kind: type[BaseException] | None, *_failure: object) -> None:
        if kind is not None and issubclass(kind, DBAPIError):
            let_go_of_rows()


def let_go_of_rows(_failure: BaseException | None = None) -> None:
    """Give back the connection that this request reads rows with, if it has one."""
    connection: Connection | None = kept().pop("rows", None)
    if connection is not None:
        connection.close()


def lock(db: Session, model: type[M], ids: Iterable[int]) -> list[M]:
    """Lock rows until the end of the transaction and load them as they are now, ordered by key.

    The order of locks in the house: household → beneficiary → reminder → basket → order → payment → service days by id →
    freed meals by id → school places by id → ledger accounts by id → meals without a booking by id → counter row. Whoever
    needs several takes them in this order, or two transactions wait for each other. `FOR NO KEY UPDATE` leaves foreign keys
    to these rows free; `populate_existing` because a row that was loaded before would come back stale (SQLAlchemy issues 4774
    and 5572). On SQLite the transaction itself is the lock.
    """
    query: Select[M] = (
        select(model)
        .where(model.id.in_(sorted(set(ids))))
        .order_by(model.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return list(db.scalars(query))


def insert_once(db: Session, model: type[M], values: dict[str, Any]) -> int | None:
    """Insert a row unless a unique key already holds it. Its id, or nothing when it was there.

    Asked with RETURNING, because the row count of `ON CONFLICT DO NOTHING` is not told by every driver.
    """
    key: int | None = run(db, insert_unless_there(db, model, returning=(model.id,)), **values).scalar()
    return key


def insert_or_touch(
    db: Session,
    model: type[Base],
    row: dict[str, Any],
    keys: tuple[str, ...],
    where: ColumnElement[bool],
    touched: str,
    returning: tuple[QueryableAttribute[Any] | ColumnElement[Any], ...],
) -> Sequence[Any]:
    """Insert a row, or lock the one that holds its keys (among those that `where` names) by giving it the new `touched`.

    The columns `returning` of the row that is there then. `where` must be the same object each time.
    """
    return run(db, _insert_or_touch(db.connection().dialect.name, model, keys, where, touched, returning), **row).one()


@cache
def _insert_or_touch(
    dialect: str,
    model: type[Base],
    keys: tuple[str, ...],
    where: ColumnElement[bool],
    touched: str,
    returning: tuple[QueryableAttribute[Any] | ColumnElement[Any], ...],
) -> Executable:
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(model)
    changes = {touched: statement.excluded[touched]}
    touching = statement.on_conflict_do_update(index_elements=keys, index_where=where, set_=changes)
    built: Executable = touching.returning(*returning)
    return built


def insert_missing(db: Session, model: type[Base], rows: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Insert a row, or several at once, each unless it is there already."""
    run_all(db, insert_unless_there(db, model), [rows] if isinstance(rows, dict) else rows)


def insert_new(
    db: Session, model: type[Base], rows: list[dict[str, Any]], returning: tuple[QueryableAttribute[Any], ...]
) -> Sequence[Sequence[Any]]:
    """Insert rows, each unless it is there already; the columns `returning` of those that were not."""
    return run_all(db, insert_unless_there(db, model, returning=returning), rows)


def insert_unless_there(
    db: Session, model: type[Base], key: str | None = None, returning: tuple[QueryableAttribute[Any], ...] = ()
) -> Executable:
    """The statement that inserts a row unless a unique key, or this one alone, holds it already. Built once for each use."""
    return _insert_unless_there(db.connection().dialect.name, model, key, returning)


@cache
def _insert_unless_there(
    dialect: str, model: type[Base], key: str | None, returning: tuple[QueryableAttribute[Any], ...]
) -> Executable:
    kind = postgresql if dialect == "postgresql" else sqlite
    statement: Executable = kind.insert(model).on_conflict_do_nothing(index_elements=None if key is None else [key])
    if returning:
        statement = statement.returning(*returning)  # type: ignore[attr-defined]
    return statement


def is_contention(error: DBAPIError) -> bool:
    """Whether trying the whole transaction again may help: serialization failure, deadlock, or a locked SQLite file."""
    state = getattr(error.orig, "sqlstate", None)
    if state in ("40001", "40P01", "55P03"):
        return True
    return isinstance(error.orig, sqlite3.OperationalError) and "locked" in str(error.orig)


def is_unreachable(error: DBAPIError) -> bool:
    """Whether the connection was lost or the server is not there."""
    if isinstance(error.orig, sqlite3.Error):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    # Without a state nobody answered: the connection was refused, or the server is only starting.
    return (
        error.connection_invalidated
        or state.startswith(("08", "57P"))
        or (isinstance(error, OperationalError) and not state)
    )


def retried(command: Callable[[], T], tries: int = TRIES) -> T:
    """Run a whole command again when the database asks for it, a bounded number of times with growing, random pauses.

    The command must open its own transaction. Raises `Busy` when the tries are used up, or `BUSY_TIMEOUT_SECONDS` after the
    first began: a locked SQLite file is waited for that long each time, and several times as long nobody waits for a page.
    """
    began = time.monotonic()
    for attempt in range(tries):
        try:
            return command()
        except DBAPIError as error:
            if not is_contention(error):
                raise
            if attempt == tries - 1 or time.monotonic() - began >= BUSY_TIMEOUT_SECONDS:
                raise Busy from error
            time.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311 — spreads retries, guards nothing
    raise AssertionError("unreachable")


def violated(error: DBAPIError) -> str:
    """The name of the constraint that refused a row, as the models name it; empty when it cannot be told.

    PostgreSQL says the name. SQLite names a CHECK, and for a unique index the columns, which are looked up in the models.
    """
    diag = getattr(error.orig, "diag", None)
    if diag is not None:
        return diag.constraint_name or ""
    text = str(error.orig)
    if text.startswith("CHECK constraint failed: "):
        return text.removeprefix("CHECK constraint failed: ")
    if text.startswith("UNIQUE constraint failed: "):
        named = text.removeprefix("UNIQUE constraint failed: ")
        if named.startswith("index "):
            return named.removeprefix("index ").strip("'")
        columns = {part.strip() for part in named.split(",")}
        for table in Base.metadata.tables.values():
            for thing in [*table.indexes, *table.constraints]:
                if {f"{table.name}.{column.name}" for column in thing.columns} == columns and (  # type: ignore[attr-defined]
                    getattr(thing, "unique", False) or type(thing).__name__ == "UniqueConstraint"
                ):
                    return str(thing.name)  # type: ignore[attr-defined]
    return ""
