"""Statements that are built once and run often.

SQLAlchemy writes them and knows the types of their values; from there they go straight to the driver. A page runs five
of them and a purchase thirty, and to build one anew takes many times as long as the database takes to answer it; even
its way through the compiled cache and a `CursorResult` takes as long again as driver and database together.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import RawCursor
from psycopg.types.string import TextLoader
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Executable,
    String,
    Subquery,
    Text,
    bindparam,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeEngine

Rows = Session | Connection
"""What rows of columns can be read with."""

Convert = Callable[[Any], Any]


class Found(list[Sequence[Any]]):
    """The rows that a statement gave, each a sequence of its columns."""

    def first(self) -> Sequence[Any] | None:
        """The first row, if there is one."""
        return self[0] if self else None

    def one(self) -> Sequence[Any]:
        """The only row. Raises `ValueError` when there are none or several."""
        (row,) = self
        return row

    def scalar(self) -> Any:
        """The first column of the first row, or nothing."""
        return self[0][0] if self else None


@dataclass(frozen=True)
class _Plan:
    """A statement as one kind of database takes it."""

    sql: str
    order: Sequence[str] | None
    """The names of the values in the order of their places, where the driver wants them so."""
    constants: Mapping[str, Any]
    """Values that are part of the statement."""
    into: Mapping[str, Convert]
    """How values are given to the driver, where it does not take them as they are."""
    columns: int
    out_of: Sequence[tuple[int, Convert]]
    """How columns are read, where the driver does not give them as they are meant."""

    def values(self, facts: Mapping[str, Any]) -> Any:
        given = {**self.constants, **facts}
        for name, convert in self.into.items():
            given[name] = convert(given[name])
        return given if self.order is None else [given[name] for name in self.order]

    def read(self, rows: Sequence[Sequence[Any]]) -> Found:
        if not self.out_of:
            return Found(rows)
        found = [list(row) for row in rows]
        for place, convert in self.out_of:
            # Rows have much in common: the deadlines of a day, the rules of a service. Each is read once.
            known: dict[Any, Any] = {}
            for row in found:
                value = row[place]
                if value is None:
                    continue
                try:
                    row[place] = known[value]
                except KeyError:
                    row[place] = known[value] = convert(value)
        return Found(found)


_NUMBERED: Dialect = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_plans: dict[tuple[Executable, str, tuple[str, ...]], _Plan | None] = {}


def run(db: Rows, statement: Executable, **facts: Any) -> Found:
    """Run a statement that was built once, with its `bindparam`s or columns filled from `facts`; rows, no entities.

    It runs in the session's transaction, after what the session has still to write.
    """
    connection = _connection(db)
    plan = _plan(statement, connection.dialect, tuple(facts))
    if plan is None:
        answer = connection.execute(statement, facts)
        return Found(answer.all()) if answer.returns_rows else Found()
    return _send(connection, plan, plan.values(facts), many=False)


def run_all(db: Rows, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> Found:
    """Run a statement that was built once for each of these rows, which have the same columns, as one statement."""
    if len(rows) < 2:
        return run(db, statement, **rows[0]) if rows else Found()
    connection = _connection(db)
    plan = _plan(statement, connection.dialect, tuple(rows[0]))
    if plan is None or plan.columns:
        answer = connection.execute(statement, rows)
        return Found(answer.all()) if answer.returns_rows else Found()
    return _send(connection, plan, [plan.values(row) for row in rows], many=True)


class _Elements(GenericFunction[Any]):
    """The elements of a JSON array, as rows with one column `value`."""

    name = "elements"
    inherit_cache = True


class _Item(GenericFunction[int]):
    """The whole number at a place in a JSON array."""

    name = "item"
    type = BigInteger()
    inherit_cache = True


class _Word(GenericFunction[str]):
    """The text at a place in a JSON array."""

    name = "word"
    type = Text()
    inherit_cache = True


@compiles(_Elements, "sqlite")
def _elements_sqlite(element: _Elements, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_Elements, "postgresql")
def _elements_postgresql(element: _Elements, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array_elements(({compiler.process(element.clauses, **options)})::json)"


@compiles(_Item, "sqlite")
@compiles(_Word, "sqlite")
def _item_sqlite(element: _Item | _Word, compiler: SQLCompiler, **options: Any) -> str:
    value, place = (compiler.process(clause, **options) for clause in element.clauses)
    return f"json_extract({value}, '$[{place}]')"


@compiles(_Item, "postgresql")
def _item_postgresql(element: _Item, compiler: SQLCompiler, **options: Any) -> str:
    value, place = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({value} ->> {place})::bigint"


@compiles(_Word, "postgresql")
def _word_postgresql(element: _Word, compiler: SQLCompiler, **options: Any) -> str:
    value, place = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({value} ->> {place})"


def numbers(*names: str, words: Collection[str] = ()) -> Subquery:
    """Rows of whole numbers (texts in the columns among `words`), however many, in one value `rows` of the statement; see
    `as_rows`. Any of them may be nothing."""
    elements = _Elements(bindparam("rows", type_=String)).table_valued("value").alias("elements")
    columns = [
        (_Word if name in words else _Item)(elements.c.value, literal_column(str(place))).label(name)
        for place, name in enumerate(names)
    ]
    return select(*columns).select_from(elements).subquery("numbers")


def as_rows(rows: Iterable[Sequence[int | str | None]]) -> str:
    """What a statement with `numbers` takes as its `rows`."""
    return json.dumps(list(rows), separators=(",", ":"))


def _connection(db: Rows) -> Connection:
    if isinstance(db, Connection):
        return db
    if db.autoflush:
        db.flush()
    connection: Connection | None = db.info.get("connection")
    if connection is None or connection.closed:
        # Kept, because a session looks for it anew each time.
        connection = db.info["connection"] = db.connection()
    return connection


def _send(connection: Connection, plan: _Plan, values: Any, many: bool) -> Found:
    cursor, sql = _cursor(connection, plan), plan.sql
    try:
        if connection._has_events or connection.engine._has_events:
            for listener in connection.dispatch.before_cursor_execute:
                # As with SQLAlchemy, a listener may change what is sent.
                sql, values = listener(connection, cursor, sql, values, None, many)
        (cursor.executemany if many else cursor.execute)(sql, values)
        return plan.read(cursor.fetchall()) if plan.columns else Found()
    except connection.dialect.loaded_dbapi.Error as failure:
        # SQLAlchemy's own: it tells a lost connection, and wraps the driver's error as the house expects it.
        connection._handle_dbapi_exception(failure, sql, values, cursor, None)
    finally:
        if connection.dialect.name == "sqlite":
            cursor.close()


def _cursor(connection: Connection, plan: _Plan) -> Any:
    """The connection's cursor for this statement.

    On PostgreSQL it is kept as long as the connection: it knows how values and columns are converted. It takes `$1` as the
    server does, where the driver's usual one looks for each `%(name)s` every time.
    """
    if connection.dialect.name != "postgresql":
        return connection.connection.cursor()
    kept: dict[str, Any] = connection.info.setdefault("cursors", {})
    cursor = kept.get(plan.sql)
    if cursor is None or cursor.closed:  # after an error
        driver: Any = connection.connection.dbapi_connection
        cursor = kept[plan.sql] = RawCursor(driver)
        # Handed over as text: `_Plan.read` reads what many rows have in common once.
        cursor.adapters.register_loader("json", TextLoader)
    return cursor


def _plan(statement: Executable, dialect: Dialect, names: tuple[str, ...]) -> _Plan | None:
    key = (statement, dialect.name, names)
    try:
        return _plans[key]
    except KeyError:
        return _plans.setdefault(key, _make_plan(statement, dialect, names))


def _make_plan(statement: Executable, dialect: Dialect, names: tuple[str, ...]) -> _Plan | None:
    """How the statement is run; nothing when only SQLAlchemy can (a list of values in one place, values it makes itself)."""
    writer = _NUMBERED if dialect.name == "postgresql" else dialect
    compiled: SQLCompiler = statement.compile(dialect=writer, column_keys=list(names))  # type: ignore[attr-defined]
    if compiled.prefetch or compiled.literal_execute_params or compiled.post_compile_params:
        return None
    into = {name: _processor(bind.type, dialect, "bind_processor") for name, bind in compiled.binds.items()}
    types = [column.type for column in getattr(statement, "exported_columns", ())]
    out_of = [_reader(type_, dialect) for type_ in types]
    return _Plan(
        compiled.string,
        compiled.positiontup if compiled.positional else None,
        {name: bind.value for name, bind in compiled.binds.items() if name not in names},
        {name: convert for name, convert in into.items() if convert is not None},
        len(types),
        [(place, convert) for place, convert in enumerate(out_of) if convert is not None],
    )


def _reader(type_: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    if isinstance(type_, JSON) and dialect.name == "postgresql":
        return json.loads
    return _processor(type_, dialect, "result_processor", None)


def _processor(type_: TypeEngine[Any], dialect: Dialect, kind: str, *args: Any) -> Convert | None:
    processor: Convert | None = getattr(type_.dialect_impl(dialect), kind)(dialect, *args)
    return processor
