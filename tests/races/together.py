"""Doing things at the same time, for real: threads with connections of their own and real commits.

And switching guards off, one by one, so that each race is seen to do damage when its guard is away.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from flask import Flask
from sqlalchemy import event, text

from shop.database import Database, retried

T = TypeVar("T")

AT_MOST_SECONDS = 60


def together(app: Flask, things: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Do all of them at once, each in a thread and an application context of its own, begun at the same instant.

    What each gave, or the exception that it ended with, in the order of `things`. A transaction that the database
    asks to repeat is repeated, as `shop.web` does for a request.
    """
    gate = threading.Barrier(len(things))
    results: list[Any] = [TimeoutError("not finished")] * len(things)

    def run(place: int) -> None:
        gate.wait(AT_MOST_SECONDS)
        with app.app_context():
            try:
                results[place] = retried(things[place])
            except Exception as error:
                results[place] = error

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(things))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(AT_MOST_SECONDS)
    return results


def succeeded(results: Sequence[T | Exception]) -> list[T]:
    """The results that are no exceptions."""
    return [result for result in results if not isinstance(result, Exception)]


def kinds_of_refusal(results: list[Any]) -> set[str]:
    """The names of the exceptions among the results."""
    return {type(result).__name__ for result in results if isinstance(result, Exception)}


def the_database_of(app: Flask) -> Database:
    database: Database = app.extensions["shop.database"]
    return database


@contextmanager
def slow(app: Flask, *beginnings: str, seconds: float = 0.03) -> Iterator[threading.Event]:
    """Wait a moment before each statement that begins so: between what was read and what is written, races have time.

    Gives what is set once the first of them is reached.
    """
    engine, reached = the_database_of(app).engine, threading.Event()

    def wait(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith(beginnings):
            reached.set()
            time.sleep(seconds)

    event.listen(engine, "before_cursor_execute", wait)
    try:
        yield reached
    finally:
        event.remove(engine, "before_cursor_execute", wait)


@contextmanager
def meeting(app: Flask, beginning: str) -> Iterator[None]:
    """Two of them wait for each other before the first statement that begins so: a control needs no luck.

    Where a guard keeps the second away, the first goes on alone after a while.
    """
    engine = the_database_of(app).engine
    two, met = threading.Barrier(2), threading.Event()

    def wait(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith(beginning) and not met.is_set():
            with suppress(threading.BrokenBarrierError):
                two.wait(2)
            met.set()

    event.listen(engine, "before_cursor_execute", wait)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", wait)


@contextmanager
def without_locks(app: Flask, begin_on_write: bool = True) -> Iterator[None]:
    """Control: no row is locked on PostgreSQL, and SQLite begins a transaction at the first write, as its library does
    by default, or not at all."""
    engine = the_database_of(app).engine
    sqlite = the_database_of(app).is_sqlite

    def strip(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> Any:
        if statement == "BEGIN IMMEDIATE":
            return "SELECT 1", parameters
        raw = connection.connection.dbapi_connection
        if (
            sqlite
            and begin_on_write
            and not raw.in_transaction
            and statement.startswith(("INSERT", "UPDATE", "DELETE"))
        ):
            raw.execute("BEGIN IMMEDIATE")
        return re.sub(r" FOR (NO KEY )?UPDATE( OF \w+)?", "", statement), parameters

    event.listen(engine, "before_cursor_execute", strip, retval=True)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", strip)


@contextmanager
def without_fences(app: Flask, clean: Callable[[Database], None], *names: str) -> Iterator[None]:
    """Control: these CHECKs ("table.ck_…") and unique indexes ("table.uq_…") are away.

    At the end the database is emptied, because its rows may violate them, and they are put back.
    """
    database = the_database_of(app)
    restore: list[str] = []
    if database.is_sqlite:
        event.listen(database.engine, "connect", _ignore_checks)
    database.engine.dispose()
    with database.engine.connect() as connection:
        for full_name in names:
            table, name = full_name.split(".")
            if name.startswith("uq_"):
                if not database.is_sqlite:
                    restore.append(_asked(connection, "SELECT indexdef FROM pg_indexes WHERE indexname = :name", name))
                connection.exec_driver_sql(f"DROP INDEX {name}")
            elif not database.is_sqlite:
                definition = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name"
                restore.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {_asked(connection, definition, name)}")
                connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        connection.commit()
    try:
        yield
    finally:
        if database.is_sqlite:
            event.remove(database.engine, "connect", _ignore_checks)
        clean(database)
        with database.engine.connect() as connection:
            for statement in restore:
                connection.exec_driver_sql(statement)
            connection.commit()


def _ignore_checks(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA ignore_check_constraints = ON")


def _asked(connection: Any, query: str, name: str) -> str:
    return str(connection.execute(text(query), {"name": name}).scalar_one())
