"""A real shop for a real browser: the demo town behind gunicorn, with its worker, on a clock that tests can move.

`with served(folder) as shop:` starts what `make run` starts, bin/run.py, in a process of its own, and ends it. Run as a
program (`python -m tests.browser.served <folder>`) this module is that process: it differs from `make run` in its clock
and in hashing passwords cheaply, and in nothing else. The process of the tests has the same application too, on the
same database, to prepare a scene and to look at what came of it.
"""

import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pyotp
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

import app as roof
from accounts.models import Account, LoginSession, StaffRole
from accounts.queries import digest
from bin import run
from checkout import books
from demo.load import list_accounts
from shop.clock import PARIS
from shop.config import Config
from shop.database import reading, transaction
from shop.demo_letters import DemoAccount

ROOT = Path(__file__).resolve().parent.parent.parent
START = datetime(2026, 11, 19, 8, 0, tzinfo=PARIS)
"""When every shop opens: eight o'clock in Paris on a Thursday of a school week."""
PATIENCE = 60
"""Seconds in which a shop must answer, the demo town loaded."""
OWN_SETTINGS = re.compile(
    r"^(SHOP_|STRIPE_|SANDBOX_|SMTP_|SECRET_|DATA_KEYS$|DATABASE_URL$|BASE_URL$|SITE_NAME$|MAIL_FROM$|TRUSTED_HOSTS$"
    r"|PROXY_COUNT$|LIMITER_URL$|HOST$|PORT$|WEB_CONCURRENCY$)"
)


@dataclass
class SharedClock:
    """A clock that several processes read: a file holds by how many seconds it differs from the machine's."""

    path: Path

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self.path.read_text()))

    def set(self, moment: datetime) -> None:
        """Show this moment, and tick on from there."""
        draft = self.path.with_suffix(".new")
        draft.write_text(str((moment - datetime.now(UTC)).total_seconds()))
        draft.replace(self.path)

    def advance(self, by: timedelta) -> None:
        """Let time pass. Backwards it never goes: what is due would stop being done."""
        self.set(self.now() + by)


@dataclass
class Served:
    """A shop that is open."""

    url: str
    app: Flask
    """The same shop in this process, on the same database."""
    clock: SharedClock
    people: dict[str, DemoAccount] = field(default_factory=dict)
    """Who can sign in, by e-mail address."""

    def read(self) -> AbstractContextManager[Session]:
        """`with shop.read() as db:` — look into the database."""
        return self._session(write=False)

    def write(self) -> AbstractContextManager[Session]:
        """`with shop.write() as db:` — change it, in one transaction."""
        return self._session(write=True)

    @contextmanager
    def _session(self, write: bool) -> Iterator[Session]:
        with self.app.app_context(), transaction() if write else reading() as db:
            yield db

    def findings(self) -> list[Any]:
        """What is wrong with the books: nothing, it is hoped."""
        with self.read() as db:
            return list(books.check(db))

    def code_of(self, email: str) -> str:
        """The code that somebody's telephone shows, for the second factor; each opens once, so we wait for a new one."""
        self.clock.advance(timedelta(seconds=30))
        return self.code(self.people[email].totp_secret or "")

    def code(self, secret: str) -> str:
        """The code that a secret gives now."""
        return pyotp.TOTP(secret).at(self.clock.now())

    def cookie_of(self, email: str) -> str:
        """The cookie of a browser with which somebody has signed in (a clerk: shown the second factor)."""
        token, now = secrets.token_urlsafe(32), self.clock.now()
        with self.write() as db:
            account_id = db.scalars(select(Account.id).where(Account.email == email, Account.state != "closed")).one()
            staff = db.scalar(select(StaffRole.id).where(StaffRole.account_id == account_id).limit(1))
            db.execute(
                insert(LoginSession).values(
                    account_id=account_id,
                    token_hash=digest(token),
                    device="Chromium, Linux",
                    created_at=now,
                    expires_at=now + timedelta(days=30),
                    second_factor_at=now if staff else None,
                )
            )
        signer = SecureCookieSessionInterface().get_signing_serializer(self.app)
        assert signer is not None, "the shop has a key"
        return signer.dumps({"_user_id": token, "_fresh": True, "seen": int(now.timestamp())})

    def client(self, email: str) -> "Hand":
        """Somebody's hand, quicker than a browser, to prepare a scene with."""
        client = self.app.test_client()
        client.set_cookie("session", self.cookie_of(email), domain="localhost")
        return Hand(client)


@dataclass
class Hand:
    """Does in this process what a signed-in person does with forms."""

    client: FlaskClient

    def post(self, path: str, data: dict[str, Any] | None = None, status: int = 303) -> TestResponse:
        """Submit a form, with its CSRF token."""
        with self.client.session_transaction() as cookie:
            secret = cookie.setdefault("csrf_token", secrets.token_hex(20))
        key = self.client.application.secret_key
        assert isinstance(key, str)
        token = URLSafeTimedSerializer(key, salt="wtf-csrf-token").dumps(secret)
        response = self.client.post(path, data={"csrf_token": token} | (data or {}))
        assert response.status_code == status, f"{path}: {response.status_code}"
        return response


def environment(folder: Path, port: int) -> dict[str, str]:
    """The machine's environment with the settings of this shop, and none of somebody else's."""
    kept = {name: value for name, value in os.environ.items() if not OWN_SETTINGS.match(name)}
    return {
        **kept,
        "SHOP_ENV": "demo",
        "SHOP_VAR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'shop.sqlite3'}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "BASE_URL": f"http://127.0.0.1:{port}",
        "LOG_LEVEL": "warning",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Open a shop on a demo town of its own, in this folder; it is closed whatever happens."""
    clock = SharedClock(folder / "clock")
    clock.set(START)
    port = _free_port()
    settings = environment(folder, port)
    output = folder / "output.txt"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.browser.served", str(folder)],
            cwd=ROOT,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    shop = None
    try:
        _wait_until_open(process, port, output)
        shop = roof.create_app(replace(Config.from_environ(settings), cheap_passwords=True), clock)
        with shop.app_context():
            people = {account.email: account for account in list_accounts()}
        yield Served(settings["BASE_URL"], shop, clock, people)
    finally:
        if shop is not None:
            shop.extensions["shop.database"].engine.dispose()
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def _wait_until_open(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            time.sleep(0.05)
        finally:
            connection.close()
    raise RuntimeError(f"the shop did not open:\n{output.read_text(errors='replace')}")


def main(folder: Path) -> int:
    """Be the shop: bin/run.py, with the shared clock and cheap password hashes."""
    build = roof.create_app

    def create_app() -> Flask:
        config = replace(Config.from_environ(os.environ), cheap_passwords=True)
        return build(config, SharedClock(folder / "clock"))

    roof.create_app = create_app  # type: ignore[assignment]
    return run.main()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
