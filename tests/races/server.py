"""The real server, as production runs it, on the tests' own database; and browsers that outlive it."""

import base64
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from flask import Flask
from itsdangerous import URLSafeTimedSerializer

from shop.config import Config
from tests.conftest import SignIn
from tests.factory import Person
from tests.postgres import _die_with_parent as die_with_parent

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 30
OWN_SETTINGS = re.compile(r"^(SHOP_|STRIPE_|SANDBOX_|SMTP_|SECRET_|PROXY_COUNT$|LIMITER_URL$|TRUSTED_HOSTS$|GUNICORN)")


class Cut(Exception):
    """The connection ended before an answer was there: what became of the request is not known."""


class Answer(NamedTuple):
    """What a server answered, whole."""

    status: int
    location: str
    text: str


@dataclass
class Server:
    """Gunicorn with gunicorn.conf.py, in a process group of its own, on the database of `config`."""

    config: Config
    folder: Path
    now: datetime
    """What its clock shows when the test begins."""
    application: str = ""
    """Another application than the shop's, for a control."""
    workers: int = 2
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    _began: float = field(default_factory=time.monotonic)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not OWN_SETTINGS.match(name)}
        clock = self.now + timedelta(seconds=time.monotonic() - self._began)
        return {
            **kept,
            "SHOP_ENV": "demo",
            "SHOP_VAR": str(self.folder),
            "SHOP_CLOCK": clock.isoformat(),
            "DATABASE_URL": self.config.database_url,
            "SECRET_KEY": self.config.secret_key,
            "DATA_KEYS": " ".join(base64.b64encode(key).decode() for key in self.config.data_keys),
            "SANDBOX_SECRET": self.config.sandbox_secret,
            "BASE_URL": f"http://localhost:{self.port}",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(self.workers),
            "LOG_LEVEL": "warning",
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        if not self.port:
            with socket.socket() as trial:
                trial.bind(("127.0.0.1", 0))
                self.port = trial.getsockname()[1]
        output = self.folder / "output.txt"
        with output.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", *filter(None, [self.application])],
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent  # noqa: PLW1509 (one system call, no lock taken)
                if sys.platform == "linux"
                else None,
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.ask("GET", "/healthz").status == 200:
                    return
            except Cut:
                time.sleep(0.02)
        raise RuntimeError(f"the server did not start:\n{output.read_text(errors='replace')}")

    def pids_of_workers(self) -> list[int]:
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def kill(self) -> None:
        """SIGKILL for the master and every worker at once: nobody says goodbye."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def kill_workers(self, how_many: int) -> None:
        """SIGKILL for workers; the master starts others."""
        for pid in self.pids_of_workers()[:how_many]:
            os.kill(pid, signal.SIGKILL)

    def ask(self, verb: str, address: str, form: dict[str, object] | None = None, cookie: str = "") -> Answer:
        """One request on a connection of its own. Raises `Cut` when no whole answer comes."""
        parts = urlsplit(address)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {"Host": f"localhost:{self.port}", "Cookie": f"session={cookie}"}
        body = None
        if form is not None:
            body = urlencode(form, doseq=True)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(verb, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers.get("Location") or "", answer.read().decode())
        except (OSError, HTTPException) as error:
            raise Cut(type(error).__name__) from error
        finally:
            connection.close()


@dataclass
class Browser:
    """Somebody who is signed in, with the cookie of a session and the CSRF token that goes with it."""

    server: Server
    cookie: str
    token: str

    @classmethod
    def of(cls, server: Server, app: Flask, sign_in: SignIn, who: Person) -> "Browser":
        """Sign somebody in, as the fixture `sign_in` does, on the database that the server has too."""
        client, secret = app.test_client(), secrets.token_hex(20)
        sign_in(client, who)
        with client.session_transaction() as session:
            session["csrf_token"] = secret
        cookie = client.get_cookie("session")
        assert cookie is not None
        token = URLSafeTimedSerializer(app.secret_key or "", salt="wtf-csrf-token").dumps(secret)
        return cls(server, cookie.value, str(token))

    def get(self, address: str) -> Answer:
        return self.server.ask("GET", address, None, self.cookie)

    def post(self, address: str, **form: object) -> Answer:
        return self.server.ask("POST", address, {"csrf_token": self.token, **form}, self.cookie)
