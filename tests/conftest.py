"""What every test may ask for: a clean, migrated database, the application on it, a stopped clock, a small town.

The application is built once per process, because compiling its templates takes longer than most tests; between two
tests the database is emptied, the clock set back, and what was handed down to the application is put back.
"""

import re
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Protocol

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import event, insert, make_url, select, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from accounts.models import LoginSession
from accounts.queries import digest
from app import create_app
from checkout import books
from shop import schema
from shop.clock import PARIS, StoppedClock
from shop.config import Config
from shop.database import Base, Database, reading, transaction
from shop.models import Outbox
from shop.outbox import send_letters
from tests.factory import Person, Town

pytest_plugins = ["tests.postgres", "tests.network"]

START = datetime(2026, 11, 19, 8, 0, tzinfo=PARIS).astimezone(UTC)
"""When every test begins: eight o'clock in Paris on a Thursday of a school week."""

MakeApp = Callable[..., Flask]
OpenSession = Callable[[], AbstractContextManager[Session]]
CountStatements = Callable[[], AbstractContextManager["Statements"]]
SignIn = Callable[[FlaskClient, Person], str]
BooksHold = Callable[[], None]
Submit = Callable[..., TestResponse]
SendLetters = Callable[[], list[EmailMessage]]


def test_config(database_url: str, **changes: Any) -> Config:
    """A configuration for tests on this database."""
    config = Config(
        mode="test",
        database_url=database_url,
        base_url="http://localhost",
        secret_key="a key for tests only, and long enough to be one",
        data_keys=(b"thirty-two bytes for the tests!!",),
        trusted_hosts=("localhost",),
        sandbox_secret="the sandbox's secret in tests",
        cheap_passwords=True,
    )
    return replace(config, **changes)


test_config.__test__ = False  # type: ignore[attr-defined]


# --- what is read ---


def as_typed(words: str) -> str:
    """The words as a test writes them: ordinary spaces around French marks (tests/house/test_typography.py sees to
    those that do not break)."""
    return re.sub("\u00a0(?=[:;!?»])|(?<=«)\u00a0", " ", words)


class Answer(TestResponse, Response):  # type: ignore[misc]  # as Flask itself puts the two together
    """An answer of the application; `get_data` gives it as it was sent."""

    @property
    def text(self) -> str:
        return as_typed(self.get_data(as_text=True))


class Client(FlaskClient):
    """A browser whose answers are read as they are typed."""

    def __init__(self, application: Flask, _response: type[Response], **options: Any) -> None:
        super().__init__(application, Answer, **options)


# --- the database ---


class Cleaner(Protocol):
    """Something that puts a database back to what its migrations left."""

    def clean(self, database: Database) -> None: ...


@dataclass
class SqliteCleaner:
    """Keeps a copy of the migrated file and puts it back."""

    path: Path
    pristine: Path

    def clean(self, database: Database) -> None:
        database.engine.dispose()
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        # A new file under the name: an exception that still holds a cursor keeps its connection to the old one.
        copy = self.path.with_suffix(".copy")
        shutil.copyfile(self.pristine, copy)
        copy.replace(self.path)


@dataclass
class PostgresCleaner:
    """Deletes the rows of tables that hold any, without triggers, and starts their numbers again.

    A TRUNCATE of all tables makes new files for each of them and takes ten times as long; it remains for a server on
    which we may not switch triggers off.
    """

    tables: list[str] = field(default_factory=lambda: [table.name for table in Base.metadata.sorted_tables])

    def clean(self, database: Database) -> None:
        with database.engine.connect() as connection:
            held = " UNION ALL ".join(
                f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})"
                for name in self.tables  # one round trip
            )
            full = list(connection.scalars(text(held)))
            connection.rollback()
            if not full:
                return
            if connection.scalar(text("SELECT usesuper FROM pg_user WHERE usename = current_user")):
                connection.execute(text("SET LOCAL session_replication_role = replica"))
                connection.exec_driver_sql("; ".join(f"DELETE FROM {name}" for name in full))
            else:
                connection.exec_driver_sql(f"TRUNCATE {', '.join(full)} CASCADE")
            connection.execute(
                text(
                    "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)"
                    " FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"
                )
            )
            connection.commit()


@pytest.fixture(scope="session")
def database_url(database_url: str) -> str:
    """The database of this process, at the newest migration."""
    database = Database(database_url)
    schema.upgrade(database)
    database.engine.dispose()
    return database_url


@pytest.fixture(scope="session")
def cleaner(database_url: str) -> Cleaner:
    """What empties the database of this process."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite":
        return PostgresCleaner()
    path = Path(url.database or "")
    pristine = path.with_name("pristine.sqlite3")
    shutil.copyfile(path, pristine)
    return SqliteCleaner(path, pristine)


# --- the application ---


@pytest.fixture(scope="session")
def config(database_url: str) -> Config:
    """The configuration of the application under test."""
    return test_config(database_url)


@pytest.fixture(scope="session")
def _process_clock() -> StoppedClock:
    return StoppedClock(START)


@pytest.fixture(scope="session")
def _process_app(config: Config, _process_clock: StoppedClock) -> Iterator[Flask]:
    app = create_app(config, _process_clock)
    app.testing = True
    app.test_client_class = Client
    app.config["PROPAGATE_EXCEPTIONS"] = False
    database: Database = app.extensions["shop.database"]
    if database.is_sqlite:
        database.engine.dispose()
        event.listen(database.engine, "connect", _without_waiting_for_the_disk)
    yield app
    database.engine.dispose()


def _without_waiting_for_the_disk(connection: sqlite3.Connection, _record: object) -> None:
    """As tests/postgres.py starts its server: no test pulls the plug of the machine."""
    connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture
def clock(_process_clock: StoppedClock) -> StoppedClock:
    """The application's clock. Set `clock.moment` to travel."""
    _process_clock.moment = START
    return _process_clock


@pytest.fixture
def app(_process_app: Flask, clock: StoppedClock, cleaner: Cleaner, postbox: "Postbox") -> Iterator[Flask]:
    """The application, on a clean database."""
    handed_down = {
        name: value.copy() if isinstance(value, list | dict) else value
        for name, value in _process_app.extensions.items()
        if name.startswith("shop.")
    }
    cleaner.clean(_process_app.extensions["shop.database"])
    _process_app.extensions["shop.limits"].reset()
    _process_app.extensions["shop.postman"] = postbox
    yield _process_app
    _process_app.extensions.update(handed_down)
    if _process_app.extensions["shop.database"].is_sqlite:
        _process_app.extensions["shop.database"].engine.dispose()


@pytest.fixture
def make_app(config: Config, clock: StoppedClock, postbox: "Postbox", app: Flask) -> Iterator[MakeApp]:
    """A function that builds another application on the same (clean) database: `make_app(mode="demo", …)`."""
    made: list[Flask] = []

    def make(**changes: Any) -> Flask:
        another = create_app(replace(config, **changes), clock)
        another.extensions["shop.postman"] = postbox
        another.test_client_class = Client
        another.config["PROPAGATE_EXCEPTIONS"] = False
        made.append(another)
        return another

    yield make
    for another in made:
        another.extensions["shop.database"].engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser that nobody has signed in with, at http://localhost. CSRF tokens are checked: see `submit`."""
    return app.test_client()


# --- reading and writing ---


@pytest.fixture
def read(app: Flask) -> OpenSession:
    """`with read() as db:` — a session to look into the database with, in an application context of its own."""

    @contextmanager
    def opened() -> Iterator[Session]:
        with app.app_context(), reading() as db:
            yield db

    return opened


@pytest.fixture
def write(app: Flask) -> OpenSession:
    """`with write() as db:` — a transaction, in an application context of its own; committed at the end."""

    @contextmanager
    def opened() -> Iterator[Session]:
        with app.app_context(), transaction() as db:
            yield db

    return opened


@pytest.fixture
def books_hold(app: Flask) -> BooksHold:
    """`books_hold()` — every invariant of the books, verified; to be called at the end of every flow."""

    def verify() -> None:
        with app.app_context(), reading() as db:
            findings = books.check(db)
        assert not findings, findings

    return verify


@dataclass
class Statements:
    """The SQL that was sent to the database. `BEGIN` is not counted, as `COMMIT`, which the driver sends unseen."""

    sent: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.statements)

    @property
    def statements(self) -> list[str]:
        return [statement for statement in self.sent if not statement.startswith("BEGIN")]

    def __str__(self) -> str:
        return f"{self.count} statements:\n" + "\n".join(" ".join(statement.split()) for statement in self.statements)


@pytest.fixture
def statements(app: Flask) -> CountStatements:
    """`with statements() as seen:` … `assert seen.count <= 10, seen` — what the block sent to the database."""

    @contextmanager
    def counting() -> Iterator[Statements]:
        engine = app.extensions["shop.database"].engine
        seen = Statements()

        def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            seen.sent.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(engine, "before_cursor_execute", note)

    return counting


# --- people and letters ---


@pytest.fixture
def town(app: Flask, clock: StoppedClock) -> Town:
    """A small town: see tests/factory.py."""
    return Town.founded(app, clock.now())


@pytest.fixture
def sign_in(app: Flask, clock: StoppedClock) -> SignIn:
    """`sign_in(client, family)` — as if that account had signed in with this browser (a clerk: second factor shown)."""

    def signed_in(client: FlaskClient, who: Person) -> str:
        token, now = secrets.token_urlsafe(32), clock.now()
        with app.app_context(), transaction() as db:
            db.execute(
                insert(LoginSession).values(
                    account_id=who.account_id,
                    token_hash=digest(token),
                    device="Firefox, Linux",
                    created_at=now,
                    expires_at=now + timedelta(days=30),
                    second_factor_at=now if who.staff else None,
                )
            )
        with client.session_transaction() as cookie:
            cookie["_user_id"] = token
            cookie["_fresh"] = True
            cookie["seen"] = int(now.timestamp())
        return token

    return signed_in


@pytest.fixture
def submit(app: Flask) -> Submit:
    """`submit(client, "/panier", {"ligne": "3"})` — post a form with its CSRF token, as a browser does."""

    def submitted(client: FlaskClient, url: str, data: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        with client.session_transaction() as cookie:
            secret = cookie.setdefault("csrf_token", secrets.token_hex(20))
        token = URLSafeTimedSerializer(app.secret_key or "", salt="wtf-csrf-token").dumps(secret)
        return client.post(url, data={"csrf_token": token} | (data or {}), **options)

    return submitted


@dataclass
class Postbox:
    """A postman who remembers what he carried, and refuses to carry it while `away` holds an error."""

    carried: list[EmailMessage] = field(default_factory=list)
    away: Exception | None = None

    def carry(self, message: EmailMessage) -> None:
        if self.away is not None:
            raise self.away
        self.carried.append(message)


@pytest.fixture
def postbox() -> Postbox:
    """What the application's letters are handed to."""
    return Postbox()


@pytest.fixture
def letters(app: Flask, postbox: Postbox) -> SendLetters:
    """`letters()` — send every letter that is due and give those; fails when one could not be composed or sent."""

    def send() -> list[EmailMessage]:
        before = len(postbox.carried)
        while True:
            with app.app_context():
                if not send_letters():
                    break
        with app.app_context(), reading() as db:
            failed = db.execute(select(Outbox.kind, Outbox.error).where(Outbox.error.is_not(None))).all()
        assert not failed, failed
        return postbox.carried[before:]

    return send
