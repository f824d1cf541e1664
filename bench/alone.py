"""A purchase's statements and nothing else: what the database and its driver take when no line of the shop runs.

Purchases are made once, inside the process, and what they sent is noted. It is sent again, to a copy of the database as it
was before, by pages that do nothing else and answer with a constant string.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from flask import Flask, request_started
from psycopg import RawCursor
from sqlalchemy import Engine, create_engine, event, make_url, text

from bench.statements import Walker
from bench.town import Buyer, Town
from shop.database import make_engine

COMMIT = "COMMIT"
Step = tuple[str, list[Any]]
"""A statement and its values; or `COMMIT`."""


@dataclass(frozen=True)
class Recording:
    """Purchases as they were sent, and the database to which they can be sent again."""

    url: str
    path: Path
    purchases: int


def record(town: Town, buyers: Sequence[Buyer], meals: int, path: Path) -> Recording:
    """Copy the town's database, let each buyer buy, and write what was sent into the file: purchases, requests, steps."""
    town.settle()
    engine: Engine = town.app.extensions["shop.database"].engine
    engine.dispose()
    url = _copied(town.url)
    purchases: list[list[list[Step]]] = []

    def begin(_app: Flask, **_facts: Any) -> None:
        purchases[-1].append([])

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
        purchases[-1][-1].append((statement, list(values)))

    def end(_connection: Any) -> None:
        purchases[-1][-1].append((COMMIT, []))

    listeners: list[tuple[str, Callable[..., None]]] = [("before_cursor_execute", note), ("commit", end)]
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        with request_started.connected_to(begin, town.app):
            for buyer in buyers:
                purchases.append([])
                Walker(town, buyer).buy(meals)
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)
    engine.dispose()
    path.write_text(json.dumps(purchases, default=_tagged))
    return Recording(url, path, len(purchases))


def create_app() -> Flask:
    """An application that sends again what stands in the file `RECORDING`, request by request; a page has `PAGE_BYTES`."""
    app = Flask(__name__, static_folder=None)
    found = json.loads(Path(os.environ["RECORDING"]).read_text(), object_hook=_untagged)
    engine = make_engine(os.environ["DATABASE_URL"])
    page, lock = "<!DOCTYPE html>".ljust(int(os.environ["PAGE_BYTES"]), "x"), Lock()
    kept: list[Callable[[str, list[Any]], None]] = []

    @app.get("/<int:purchase>/<int:request>")
    def send(purchase: int, request: int) -> str:
        with lock:
            if not kept:
                kept.append(_sender(engine))
            for statement, values in found[purchase][request]:
                kept[0](statement, values)
        return page

    return app


def _sender(engine: Engine) -> Callable[[str, list[Any]], None]:
    """What sends a statement over one connection, as the shop does it."""
    connection = engine.raw_connection()
    driver: Any = connection.driver_connection
    cursors: dict[str, Any] = {}

    def send(statement: str, values: list[Any]) -> None:
        if statement == COMMIT:
            connection.commit()
            return
        cursor = cursors.get(statement)
        if cursor is None:
            cursor = cursors[statement] = RawCursor(driver) if engine.dialect.name == "postgresql" else driver.cursor()
        cursor.execute(statement, values)
        if cursor.description:
            cursor.fetchall()

    return send


def _copied(url: str) -> str:
    """The URL of a new database with the same content; nobody else may be using it."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        assert parsed.database is not None
        copy = f"{parsed.database}.alone"
        shutil.copyfile(parsed.database, copy)
        return str(parsed.set(database=copy))
    copy = f"{parsed.database}_alone"
    server = create_engine(parsed.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        quoted = server.dialect.identifier_preparer.quote
        words = f"CREATE DATABASE {quoted(copy)} TEMPLATE {quoted(str(parsed.database))}"
        connection.execute(text(words))
    server.dispose()
    return parsed.set(database=copy).render_as_string(hide_password=False)


def _tagged(value: object) -> dict[str, str]:
    if isinstance(value, datetime | date):
        return {type(value).__name__: value.isoformat()}
    raise TypeError(value)


def _untagged(facts: dict[str, str]) -> Any:
    ((kind, value),) = facts.items()
    return {"datetime": datetime, "date": date}[kind].fromisoformat(value)
