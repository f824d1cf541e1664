"""Letters and a real mail server: the worker is killed while it sends; the server is away, or busy (trust: F4, F23)."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from flask import Flask
from sqlalchemy import select

from shop.clock import StoppedClock
from shop.config import Config
from shop.models import Outbox
from shop.outbox import SmtpPostman, send_letters
from tests.conftest import BooksHold, OpenSession, SignIn, Submit
from tests.factory import Town
from tests.races.server import ROOT, Server

pytestmark = pytest.mark.race

JOB_LEASE = timedelta(minutes=10, seconds=1)


@dataclass
class MailServer:
    """What it received, and whom it kills in the middle of a delivery."""

    port: int
    received: list[tuple[str, str]] = field(default_factory=list)
    """Message-ID and recipient of each message, in the order in which they came."""
    victim: int = 0
    answers: list[str] = field(default_factory=list)
    """What it says to the next messages, instead of taking them."""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 — aiosmtpd's name
        if self.answers:
            return self.answers.pop(0)
        message = message_from_bytes(envelope.content, policy=default)
        self.received.append((str(message["Message-ID"]), str(message["To"])))
        if self.victim:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = 0
        return "250 OK"

    @contextmanager
    def running(self) -> Iterator[None]:
        controller = Controller(self, hostname="127.0.0.1", port=self.port)
        controller.start()
        try:
            yield
        finally:
            controller.stop()


@pytest.fixture
def mail() -> MailServer:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return MailServer(trial.getsockname()[1])


def waiting(read: OpenSession) -> int:
    with read() as db:
        return len(db.scalars(select(Outbox.id).where(Outbox.sent_at.is_(None))).all())


@contextmanager
def worker(config: Config, folder: Path, clock: StoppedClock, mail: MailServer) -> Iterator["subprocess.Popen[bytes]"]:
    """`flask jobs work`, in a process of its own."""
    environment = Server(config, folder, clock.now(), port=9).environment()
    with (folder / "worker.txt").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "app", "jobs", "work"],
            cwd=ROOT,
            env=environment | {"SMTP_URL": f"smtp://127.0.0.1:{mail.port}"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_worker_killed_while_it_sends_sends_again_the_same_letter(
    app: Flask,
    town: Town,
    config: Config,
    clock: StoppedClock,
    mail: MailServer,
    read: OpenSession,
    tmp_path: Path,
    books_hold: BooksHold,
) -> None:
    days = town.aiguilhe.canteen.open_days(town.now)
    families = [town.family(balance_cents=5000) for _ in range(3)]
    for family in families:
        town.paid_order(family, town.aiguilhe.canteen, days[:1])
    with mail.running():
        with worker(config, tmp_path, clock, mail) as process:
            mail.victim = process.pid
            assert process.wait(30) == -signal.SIGKILL, "it was not killed while it sent: nothing was tried"
        assert (len(mail.received), waiting(read)) == (1, 3), "sent, and not noted"
        clock.moment += JOB_LEASE
        with worker(config, tmp_path, clock, mail) as process:
            deadline = time.monotonic() + 30
            while waiting(read) and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, "asked to stop, it stops in order"
    assert waiting(read) == 0
    assert Counter(to for _number, to in mail.received) == Counter(
        [mail.received[0][1], *(family.email for family in families)]
    )
    assert len({number for number, _to in mail.received}) == 3, "the letter that came twice bears one number"
    assert mail.received[1:].count(mail.received[0]) == 1
    books_hold()


def test_without_a_mail_server_orders_are_taken_and_letters_leave_once_it_is_there(
    app: Flask,
    town: Town,
    clock: StoppedClock,
    mail: MailServer,
    read: OpenSession,
    sign_in: SignIn,
    submit: Submit,
    books_hold: BooksHold,
) -> None:
    app.extensions["shop.postman"] = SmtpPostman(f"smtp://127.0.0.1:{mail.port}")
    canteen = town.aiguilhe.canteen
    families = [town.family(balance_cents=5000) for _ in range(5)]
    for family in families:
        client = app.test_client()
        sign_in(client, family)
        basket = town.basket(family, canteen, canteen.open_days(town.now)[:1])
        answer = submit(client, "/panier/payer/porte-monnaie", {"panier": basket, "total": 760})
        assert answer.status_code == 303

    def send() -> int:
        with app.app_context():
            return send_letters()

    for _ in range(10):
        assert send() == 0
        clock.moment += timedelta(hours=1)
    assert (mail.received, waiting(read)) == ([], 5)
    with mail.running():
        mail.answers = ["451 come later"] * 2
        assert send() == 3
        assert waiting(read) == 2
        clock.moment += timedelta(hours=1)
        assert [send(), send()] == [2, 0]
    assert Counter(to for _number, to in mail.received) == Counter(family.email for family in families)
    assert (len({number for number, _to in mail.received}), waiting(read)) == (5, 0)
    books_hold()
