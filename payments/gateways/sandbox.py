"""The sandbox: a provider of our own, with its own books and page, so that the shop runs whole with no account anywhere.

It behaves as a real one does: a page hosted elsewhere (it only looks so), a browser that comes back, and signed calls to the
same webhook, repeated until they are answered. No real card is ever accepted, and production cannot have it.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Literal, NamedTuple, cast
from urllib.parse import urlsplit

import structlog
from flask import current_app
from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from payments.errors import CardRefused, EventRefused
from payments.gateways.base import Asked, Notice, Seen, SeenState, Started, leave_the_house
from payments.models import SandboxPayment
from shop.clock import request_now
from shop.config import Config, ConfigurationRefused
from shop.database import insert_once, reading, transaction
from shop.web import link_to
from shop.words import gettext as _

log = structlog.get_logger(__name__)

SIGNATURE = "Sandbox-Signature"
TOLERANCE = timedelta(minutes=5)
"""How old a signed call may be, or how far ahead of our clock."""
LATE_BY = timedelta(seconds=8)
CALL_BATCH = 20
CALL_TIMEOUT_SECONDS = 5
LONGEST_PAUSE = timedelta(minutes=10)
CALL_FOR = timedelta(days=1)
"""After this long an unanswered call is given up: the shop has long asked by itself."""

Card = Literal["succeeds", "declined", "challenge", "late", "never"]
State = Literal["open", "challenged", "processing", "paid", "expired"]

CARDS: dict[str, Card] = {
    "4242424242424242": "succeeds",
    "4000000000000002": "declined",
    "4000002760003184": "challenge",
    "4000000000000077": "late",
    "4000000000000119": "never",
}
"""The test cards: any other number is refused."""


class Due(NamedTuple):
    """A payment that the shop is to be told of."""

    id: int
    reference: str
    payment_key: str
    state: str
    closed_at: datetime | None
    calls: int


class SandboxPage(NamedTuple):
    """What the payment page shows."""

    reference: str
    cents: int
    description: str
    payee: str
    state: State
    success_url: str
    cancel_url: str


def sign(body: bytes, secret: str, moment: datetime) -> str:
    """The signature header of a call: its second and an HMAC-SHA-256 over second and body."""
    second = int(moment.timestamp())
    return f"t={second},v1={_mac(body, secret, second)}"


def _mac(body: bytes, secret: str, second: int) -> str:
    return hmac.new(secret.encode(), f"{second}.".encode() + body, hashlib.sha256).hexdigest()


def verify(body: bytes, header: str, secret: str, now: datetime) -> None:
    """Raises `EventRefused` unless the header signs this body with this secret, no longer ago than the tolerance."""
    parts = [part.partition("=") for part in header.split(",")]
    seconds = [value for name, _sign, value in parts if name == "t" and value.isascii() and value.isdigit()]
    if len(seconds) != 1 or len(seconds[0]) > 12:
        raise EventRefused("unsigned")
    second = int(seconds[0])
    expected = _mac(body, secret, second)
    if not any(hmac.compare_digest(expected.encode(), value.encode()) for name, _sign, value in parts if name == "v1"):
        raise EventRefused("forged")
    if abs(now.timestamp() - second) > TOLERANCE.total_seconds():
        raise EventRefused("stale")


def _state_at(state: str, expires_at: datetime, captures_at: datetime | None, now: datetime) -> State:
    """The state that a payment has now, whether or not its books were written up since."""
    if state == "processing" and captures_at is not None and captures_at <= now:
        return "paid"
    if state in ("open", "challenged", "processing") and captures_at is None and expires_at <= now:
        return "expired"
    return cast("State", state)  # the column's CHECK admits these words only


class SandboxGateway:
    """The gateway to the sandbox. Refuses to be made in production, where its secret is empty."""

    name = "sandbox"
    live = False
    form_hosts: tuple[str, ...] = ()
    minimum_cents = 1
    maximum_cents = 99_999_999
    hold = timedelta(minutes=30)

    def __init__(self, config: Config) -> None:
        if config.production or not config.sandbox_secret:
            raise ConfigurationRefused(["The sandbox gateway cannot be enabled in production, nor without a secret."])
        self._secret = config.sandbox_secret

    def start(self, asked: Asked) -> Started:
        """Open a payment in the sandbox's books; the one that is there already for a key that was seen before."""
        leave_the_house()
        now = request_now()
        with transaction() as db:
            reference = f"sbx_{secrets.token_urlsafe(18)}"
            made = insert_once(
                db,
                SandboxPayment,
                {
                    "reference": reference,
                    "payment_key": asked.key,
                    "cents": asked.cents,
                    "currency": asked.currency,
                    "description": asked.description[:200],
                    "payee": asked.payee,
                    "success_url": asked.success_url,
                    "cancel_url": asked.cancel_url,
                    "state": "open",
                    "created_at": now,
                    "expires_at": asked.expires_at,
                    "calls": 0,
                },
            )
            if made is None:
                reference = db.scalars(
                    select(SandboxPayment.reference).where(SandboxPayment.payment_key == asked.key)
                ).one()
        return Started(reference, link_to("payments.sandbox", reference=reference))

    def fetch(self, reference: str) -> Seen:
        """What the sandbox's books say now; `unknown` for a reference that is not in them."""
        leave_the_house()
        return self._look(SandboxPayment.reference == reference) or Seen(reference, None, "unknown", None, None, False)

    def find(self, key: str, since: datetime | None = None) -> Seen | None:
        """The payment with our key, whenever it was started."""
        leave_the_house()
        return self._look(SandboxPayment.payment_key == key)

    def _look(self, condition: ColumnElement[bool]) -> Seen | None:
        now = request_now()
        with reading() as db:
            row = db.execute(
                select(
                    SandboxPayment.reference,
                    SandboxPayment.payment_key,
                    SandboxPayment.cents,
                    SandboxPayment.currency,
                    SandboxPayment.state,
                    SandboxPayment.expires_at,
                    SandboxPayment.captures_at,
                ).where(condition)
            ).first()
        if row is None:
            return None
        state = _state_at(row.state, row.expires_at, row.captures_at, now)
        seen: SeenState = "open" if state == "challenged" else state
        return Seen(row.reference, row.payment_key, seen, row.cents, row.currency, live=False)

    def expire(self, reference: str) -> None:
        """Close an open payment; one that was paid or is under way stays."""
        leave_the_house()
        now = request_now()
        with transaction() as db:
            db.execute(
                update(SandboxPayment)
                .where(SandboxPayment.reference == reference, SandboxPayment.state.in_(("open", "challenged")))
                .values(state="expired", closed_at=now, call_at=now)
            )

    def read_event(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Notice:
        """The event of a signed call."""
        verify(body, headers.get(SIGNATURE, ""), self._secret, now)
        try:
            event = json.loads(body)
            return Notice(
                key=str(event["id"])[:120],
                kind=str(event["type"]),
                reference=str(event["reference"]),
                payment_key=str(event["payment_key"]),
                live=event["live"] is not False,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise EventRefused("unreadable") from error

    def call(self, due: Due, now: datetime) -> bool:
        """Tell the shop's webhook how a payment ended. Whether it answered that it knows now."""
        leave_the_house()
        body = json.dumps(
            {
                # The same for every repetition of the call, as real providers have it.
                "id": f"evt_{due.reference}_{due.state}",
                "type": f"payment.{due.state}",
                "created": int((due.closed_at or now).timestamp()),
                "live": False,
                "reference": due.reference,
                "payment_key": due.payment_key,
            }
        ).encode()
        config: Config = current_app.extensions["shop.config"]
        base = urlsplit(config.base_url)
        connect = HTTPSConnection if base.scheme == "https" else HTTPConnection
        connection = connect(base.hostname or "localhost", base.port, timeout=CALL_TIMEOUT_SECONDS)
        headers = {"Content-Type": "application/json", SIGNATURE: sign(body, self._secret, now)}
        try:
            connection.request("POST", f"{base.path}/webhooks/{self.name}", body, headers)
            status = connection.getresponse().status
        except (OSError, HTTPException) as error:
            log.warning("sandbox call failed", reference=due.reference, error=type(error).__name__)
            return False
        finally:
            connection.close()
        if not 200 <= status < 300:
            log.warning("sandbox call refused", reference=due.reference, status=status)
        return 200 <= status < 300


# --- what the payment page does ---


def load_page(db: Session, reference: str, now: datetime) -> SandboxPage | None:
    """What the page of a payment shows now; nothing when there is no such payment."""
    row = db.execute(
        select(
            SandboxPayment.cents,
            SandboxPayment.description,
            SandboxPayment.payee,
            SandboxPayment.state,
            SandboxPayment.expires_at,
            SandboxPayment.captures_at,
            SandboxPayment.success_url,
            SandboxPayment.cancel_url,
        ).where(SandboxPayment.reference == reference)
    ).first()
    if row is None:
        return None
    state = _state_at(row.state, row.expires_at, row.captures_at, now)
    return SandboxPage(reference, row.cents, row.description, row.payee, state, row.success_url, row.cancel_url)


def pay(db: Session, reference: str, number: str, now: datetime) -> State:
    """Pay with a test card; the state afterwards. Once is enough: paying again changes nothing.

    Raises `CardRefused` for a card that is declined, or that is no test card; another one may be tried.
    """
    row = _lock(db, reference, now)
    if row.state != "open":
        return cast("State", row.state)
    match CARDS.get(number):
        case "succeeds":
            _close(row, "paid", now)
        case "challenge":
            row.state = "challenged"
        case "late":
            row.state, row.captures_at = "processing", now + LATE_BY
        case "never":
            row.state = "processing"
        case "declined":
            raise CardRefused(_("Votre banque a refusé ce paiement. Rien n’a été débité : essayez une autre carte."))
        case None:
            raise CardRefused(
                _("Cette page n’accepte que les cartes de test de la liste. N’écrivez jamais ici une vraie carte.")
            )
    return cast("State", row.state)


def answer_challenge(db: Session, reference: str, accepted: bool, now: datetime) -> State:
    """The person's answer to the bank's question; refused, the payment is open again for another card."""
    row = _lock(db, reference, now)
    if row.state == "challenged":
        if accepted:
            _close(row, "paid", now)
        else:
            row.state = "open"
    return cast("State", row.state)


def _lock(db: Session, reference: str, now: datetime) -> SandboxPayment:
    row = db.scalars(
        select(SandboxPayment).where(SandboxPayment.reference == reference).with_for_update(key_share=True)
    ).one()
    _write_up(row, now)
    return row


def _write_up(row: SandboxPayment, now: datetime) -> None:
    """Bring a row of the books to what time has made of it."""
    state = _state_at(row.state, row.expires_at, row.captures_at, now)
    if state != row.state:
        # A card that never answers stays silent to the end: the shop has to ask by itself.
        _close(row, state, now, tell=row.state != "processing" or state == "paid")


def _close(row: SandboxPayment, state: State, now: datetime, tell: bool = True) -> None:
    row.state, row.closed_at = state, now
    row.call_at = now if tell else None


# --- the job that calls back ---


def call_back() -> int:
    """Write up what time has changed, then tell the shop what it was not told yet. Returns how many calls were answered.

    An unanswered call is repeated ever less often, for a day.
    """
    now = request_now()
    config: Config = current_app.extensions["shop.config"]
    gateway = SandboxGateway(config)
    with transaction() as db:
        for row in db.scalars(
            select(SandboxPayment)
            .where(
                SandboxPayment.state.in_(("open", "challenged", "processing")),
                or_(SandboxPayment.expires_at <= now, SandboxPayment.captures_at <= now),
            )
            .limit(CALL_BATCH)
            .with_for_update(skip_locked=True, key_share=True)
        ):
            _write_up(row, now)
    with reading() as db:
        waiting = [
            Due(*row)
            for row in db.execute(
                select(
                    SandboxPayment.id,
                    SandboxPayment.reference,
                    SandboxPayment.payment_key,
                    SandboxPayment.state,
                    SandboxPayment.closed_at,
                    SandboxPayment.calls,
                )
                .where(SandboxPayment.call_at <= now)
                .order_by(SandboxPayment.call_at, SandboxPayment.id)
                .limit(CALL_BATCH)
            )
        ]
    answered = 0
    for due in waiting:
        known = gateway.call(due, now)
        answered += known
        pause = min(timedelta(seconds=2) * 2 ** min(due.calls, 10), LONGEST_PAUSE)
        done = known or (due.closed_at is not None and now - due.closed_at > CALL_FOR)
        with transaction() as db:
            db.execute(
                update(SandboxPayment)
                .where(SandboxPayment.id == due.id)
                .values(call_at=None if done else now + pause, calls=due.calls + 1)
            )
    return answered
