"""Letters: written with the change that causes them, composed and sent by a job afterwards, at least once."""

import json
import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import structlog
from flask import current_app
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from shop.clock import request_now
from shop.config import Config
from shop.crypto import Sealer
from shop.database import insert_missing, reading, transaction
from shop.models import Outbox

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=5)
BATCH = 20
GIVE_UP_AFTER = timedelta(days=5)
LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True)
class Letter:
    """A letter to be written: its kind, to whom, what makes it unique, and the few facts that its composer needs."""

    kind: str
    to: str
    key: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Message:
    """A letter as it is read."""

    subject: str
    text: str
    html: str
    unsubscribe_url: str | None = None
    """Where a POST turns e-mails of its kind off, by whoever holds the address (RFC 8058)."""


Composer = Callable[[Session, dict[str, Any]], Message]


class Postman(Protocol):
    """Something that carries messages away. Raises `OSError` (`SMTPException` is one) when it cannot."""

    def carry(self, message: EmailMessage) -> None:
        """Carry one message to its recipient."""
        ...


def the_sealer() -> Sealer:
    """The sealer of the current application."""
    sealer: Sealer = current_app.extensions["shop.sealer"]
    return sealer


def post(db: Session, letter: Letter, now: datetime) -> None:
    """Write the letter into the outbox. The same key twice writes one letter."""
    post_all(db, [letter], now)


def post_all(db: Session, letters: Sequence[Letter], now: datetime) -> None:
    """Write letters into the outbox, in one statement. The same key twice writes one letter."""
    if not letters:
        return
    rows = [
        {
            "key": letter.key,
            "kind": letter.kind,
            "recipient": letter.to,
            "facts": the_sealer().seal(json.dumps(letter.facts), f"outbox.facts:{letter.key}"),
            "created_at": now,
            "due_at": now,
            "tries": 0,
        }
        for letter in letters
    ]
    insert_missing(db, Outbox, rows)


def compose(db: Session, row: Outbox) -> Message:
    """The letter of an outbox row, by the composer that is registered for its kind."""
    composers: dict[str, Composer] = current_app.extensions["shop.letters"]
    facts = json.loads(the_sealer().open(row.facts, f"outbox.facts:{row.key}"))
    return composers[row.kind](db, facts)


def as_email(message: Message, row: Outbox, config: Config) -> EmailMessage:
    """The message with its headers. The Message-ID comes from the row, so that a letter sent twice is told apart."""
    email = EmailMessage()
    local, _at, domain = config.mail_from.partition("@")
    email["From"] = Address(config.site_name, local, domain)
    email["To"] = row.recipient
    email["Subject"] = " ".join(message.subject.split())
    email["Date"] = row.created_at
    email["Message-ID"] = f"<outbox-{row.id}@{domain}>"
    email["Auto-Submitted"] = "auto-generated"
    if message.unsubscribe_url is not None:
        email["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
        email["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    email.set_content(message.text)
    email.add_alternative(message.html, subtype="html")
    return email


class SmtpPostman:
    """Carries messages to the server of `SMTP_URL`: smtp://, smtp+tls:// (STARTTLS) or smtps://, with user:password@."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    def carry(self, message: EmailMessage) -> None:
        host, port = self._url.hostname or "localhost", self._url.port
        if self._url.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port or 465, timeout=20, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(host, port or 25, timeout=20)
        with server:
            if self._url.scheme == "smtp+tls":
                server.starttls(context=ssl.create_default_context())
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
            server.send_message(message)


class Pigeonhole:
    """Carries nothing away: in a demonstration without a mail server, letters are read in the browser."""

    def carry(self, message: EmailMessage) -> None:
        log.info("letter kept", subject=message["Subject"])


def _lease(now: datetime) -> list[Outbox]:
    with transaction() as db:
        rows = list(
            db.scalars(
                select(Outbox)
                .where(
                    Outbox.sent_at.is_(None),
                    Outbox.due_at <= now,
                    or_(Outbox.leased_until.is_(None), Outbox.leased_until < now),
                )
                .order_by(Outbox.due_at, Outbox.id)
                .limit(BATCH)
                .with_for_update(skip_locked=True, key_share=True)
            )
        )
        for row in rows:
            row.leased_until = now + LEASE
    return rows


def send_letters() -> int:
    """Send what is due. Returns how many letters left. A letter that cannot leave is tried again later, ever less often.

    A crash between sending and noting it sends the letter again after its lease: at least once, never none.
    """
    config: Config = current_app.extensions["shop.config"]
    postman: Postman = current_app.extensions["shop.postman"]
    now = request_now()
    sent = 0
    for row in _lease(now):
        composed: str | None = None
        error: str | None = None
        try:
            with reading() as db:
                message = compose(db, row)
            postman.carry(as_email(message, row, config))
            sent += 1
            if config.demo:
                body = json.dumps({"subject": message.subject, "text": message.text, "html": message.html})
                composed = the_sealer().seal(body, f"outbox.composed:{row.id}")
        except Exception as failure:
            # One letter that cannot be composed or carried must not hold up the others.
            error = f"{type(failure).__name__}: {failure}"[:300]
            log.exception("letter not sent", outbox_id=row.id, kind=row.kind, tries=row.tries + 1)
        with transaction() as db:
            if error is None:
                values: dict[str, Any] = {"sent_at": now, "facts": "", "composed": composed, "error": None}
            else:
                pause = min(timedelta(seconds=30) * 2 ** min(row.tries, 10), LONGEST_PAUSE)
                given_up = now - row.created_at > GIVE_UP_AFTER
                values = {"error": error, "due_at": now + (timedelta(days=3650) if given_up else pause)}
            db.execute(
                update(Outbox).where(Outbox.id == row.id).values(leased_until=None, tries=row.tries + 1, **values)
            )
    return sent


def read_composed(row: Outbox) -> Message:
    """A letter that was sent in a demonstration, as its reader got it."""
    return Message(**json.loads(the_sealer().open(row.composed or "", f"outbox.composed:{row.id}")))
