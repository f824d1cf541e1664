"""Letters: written with the change that causes them, sent at least once, whatever breaks in between (trust: F4, F23)."""

import json
import smtplib
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage

import pytest
from flask import Flask
from sqlalchemy import select

from shop import outbox
from shop.clock import StoppedClock
from shop.database import transaction
from shop.models import Outbox
from shop.outbox import BATCH, LEASE, Letter, Message, SmtpPostman, post, read_composed, send_letters
from tests.conftest import START, MakeApp, OpenSession, Postbox, SendLetters
from tests.races.together import together

Send = Callable[[], int]


@pytest.fixture(autouse=True)
def a_kind_of_letter(app: Flask) -> None:
    def compose(_db: object, facts: dict[str, object]) -> Message:
        return Message(f"Bonjour\n{facts['name']}", f"Texte pour {facts['name']}", f"<p>{facts['name']}</p>")

    def fail(_db: object, _facts: dict[str, object]) -> Message:
        raise LookupError("nothing to say")

    app.extensions["shop.letters"] |= {"greeting": compose, "broken": fail}


@pytest.fixture
def send(app: Flask) -> Send:
    def sending() -> int:
        with app.app_context():
            return send_letters()

    return sending


def letter(number: int, kind: str = "greeting") -> Letter:
    return Letter(kind, f"famille{number}@example.org", f"{kind}:{number}", {"name": f"Louane {number}"})


def row(read: OpenSession) -> Outbox:
    with read() as db:
        found = db.scalars(select(Outbox)).one()
        db.expunge(found)
        return found


def test_a_letter_leaves_once_with_both_parts_and_its_number(
    write: OpenSession, letters: SendLetters, read: OpenSession
) -> None:
    with write() as db:
        post(db, letter(1), START)
        post(db, letter(1), START)
    (email,) = letters()
    assert letters() == []
    # A line feed in a subject would be a header of somebody else's (trust: T-064).
    assert email["Subject"] == "Bonjour Louane 1"
    assert email["To"] == "famille1@example.org"
    assert email["Message-ID"] == "<outbox-1@example.org>"
    assert email["Auto-Submitted"] == "auto-generated"
    assert {part.get_content_type() for part in email.walk()} == {"multipart/alternative", "text/plain", "text/html"}
    kept = row(read)
    assert (kept.facts, kept.composed, kept.tries, kept.error) == ("", None, 1, None)
    assert kept.sent_at == START


def test_a_letter_of_a_transaction_that_failed_does_not_exist(write: OpenSession, letters: SendLetters) -> None:
    def fail() -> None:
        with write() as db:
            post(db, letter(1), START)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert letters() == []


def test_facts_are_sealed_while_they_wait(write: OpenSession, read: OpenSession) -> None:
    with write() as db:
        post(db, letter(1), START)
    assert "Louane" not in row(read).facts


def test_without_a_mail_server_letters_wait_ever_longer_and_leave_in_the_end(
    write: OpenSession, read: OpenSession, send: Send, postbox: Postbox, clock: StoppedClock
) -> None:
    postbox.away = ConnectionRefusedError("no server")
    with write() as db:
        post(db, letter(1), START)
    pauses = []
    for _ in range(9):
        assert send() == 0
        kept = row(read)
        pauses.append(kept.due_at - clock.moment)
        assert kept.error == "ConnectionRefusedError: no server"
        assert send() == 0
        assert row(read).tries == kept.tries
        clock.moment = kept.due_at
    assert [int(pause.total_seconds()) for pause in pauses] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    postbox.away = None
    assert send() == 1
    assert row(read).error is None


def test_after_days_without_success_a_letter_is_given_up(
    write: OpenSession, read: OpenSession, send: Send, postbox: Postbox, clock: StoppedClock
) -> None:
    postbox.away = smtplib.SMTPRecipientsRefused({})
    with write() as db:
        post(db, letter(1), START)
    clock.moment += timedelta(days=5, seconds=1)
    send()
    assert row(read).due_at > clock.moment + timedelta(days=3000)


def test_one_broken_letter_does_not_hold_up_the_others(
    write: OpenSession, read: OpenSession, send: Send, postbox: Postbox
) -> None:
    with write() as db:
        post(db, letter(1, "broken"), START)
        post(db, letter(2), START)
        post(db, letter(3, "unknown kind"), START)
        post(db, letter(4), START)
    assert send() == 2
    assert [email["To"] for email in postbox.carried] == ["famille2@example.org", "famille4@example.org"]
    with read() as db:
        errors = dict(db.execute(select(Outbox.kind, Outbox.error).where(Outbox.sent_at.is_(None))).all())
    assert errors == {"broken": "LookupError: nothing to say", "unknown kind": "KeyError: 'unknown kind'"}


class Crash(BaseException):
    """As a kill -9 would: nothing catches it."""


def test_a_crash_between_sending_and_noting_it_sends_the_letter_again_after_its_lease(
    app: Flask, write: OpenSession, read: OpenSession, send: Send, postbox: Postbox, clock: StoppedClock
) -> None:
    class Deadly(Postbox):
        def carry(self, message: EmailMessage) -> None:
            super().carry(message)
            raise Crash

    app.extensions["shop.postman"] = deadly = Deadly()
    with write() as db:
        post(db, letter(1), START)
    with pytest.raises(Crash):
        send()
    assert row(read).sent_at is None
    app.extensions["shop.postman"] = postbox
    assert send() == 0
    clock.moment += LEASE + timedelta(seconds=1)
    assert send() == 1
    # Twice the same letter, and the same number on it.
    assert deadly.carried[0]["Message-ID"] == postbox.carried[0]["Message-ID"]


def test_workers_at_the_same_time_send_each_letter_once(app: Flask, write: OpenSession, postbox: Postbox) -> None:
    with write() as db:
        outbox.post_all(db, [letter(number) for number in range(3 * BATCH)], START)
    assert sum(count for count in together(app, [send_letters] * 6) if isinstance(count, int)) == 3 * BATCH
    recipients = [email["To"] for email in postbox.carried]
    assert len(recipients) == len(set(recipients)) == 3 * BATCH


def test_a_demonstration_keeps_what_it_sent_sealed(make_app: MakeApp, app: Flask) -> None:
    demo = make_app(mode="demo")
    demo.extensions["shop.letters"] |= {"greeting": app.extensions["shop.letters"]["greeting"]}
    with demo.app_context():
        with transaction() as db:
            post(db, letter(1), START)
        assert send_letters() == 1
        with transaction() as db:
            kept = db.scalars(select(Outbox)).one()
        assert "Louane" not in json.dumps(kept.composed)
        assert read_composed(kept).text == "Texte pour Louane 1"


@pytest.mark.parametrize("url", ["smtp://127.0.0.1:9", "smtp+tls://user:p%40ss@127.0.0.1:9", "smtps://127.0.0.1:9"])
def test_a_mail_server_that_is_not_there_is_an_oserror(url: str) -> None:
    with pytest.raises(OSError, match="refused"):
        SmtpPostman(url).carry(EmailMessage())
