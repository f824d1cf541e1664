"""What every gateway offers: one shape for all providers, so that the shop never knows which one it talks to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from payments.errors import EventRefused, GatewayDown, GatewayRefused
from shop.database import in_transaction

__all__ = [
    "Asked",
    "EventRefused",
    "Gateway",
    "GatewayDown",
    "GatewayRefused",
    "Notice",
    "Seen",
    "SeenState",
    "Started",
    "Topic",
    "leave_the_house",
]

SeenState = Literal["open", "processing", "paid", "expired", "unknown"]
Topic = Literal["payment", "money_back", "other"]
"""What an event is about: a payment's outcome, money that goes back (a refund, a dispute), or nothing that we act upon."""


@dataclass(frozen=True)
class Asked:
    """A payment to be made: what we ask a provider for."""

    key: str
    """Our own name for it. Asking twice with the same key starts one payment."""
    cents: int
    currency: str
    description: str
    payee: str
    """Who collects: the cash office's legal name."""
    email: str | None
    success_url: str
    """Where the browser comes back when the person has paid, or believes so."""
    cancel_url: str
    """Where the browser comes back when the person gave up."""
    expires_at: datetime


@dataclass(frozen=True)
class Started:
    """A payment that the provider knows: its name there, and the page where the person pays."""

    reference: str
    pay_url: str


@dataclass(frozen=True)
class Seen:
    """What the provider says about a payment now."""

    reference: str
    payment_key: str | None
    """Our own name for it, as the provider kept it."""
    state: SeenState
    """`open`: may still be paid. `processing`: the person has done her part, the money is not there yet. `paid`.
    `expired`: can no longer be paid, or failed for good. `unknown`: the provider has no such payment."""
    cents: int | None
    """What was captured, once paid; before, what was asked for."""
    currency: str | None
    live: bool


@dataclass(frozen=True)
class Notice:
    """An event that a provider told us of, its sender proven. A hint: the provider is asked again before it is believed."""

    key: str
    """The provider's own id of the event: the same event told twice has the same."""
    kind: str
    reference: str | None
    """The payment's name at the provider, when the event says so."""
    payment_key: str | None
    live: bool
    about: Topic = "payment"
    account: str | None = None
    """The account at the provider that it happened on, when it is not our own."""


class Gateway(Protocol):
    """A provider of payments. Every method but `read_event` asks the provider, so none is called in a transaction.

    They raise `GatewayDown` when the provider does not answer (what it did is then unknown) and `GatewayRefused` when it
    refuses what we ask.
    """

    @property
    def name(self) -> str:
        """What it is called in settings, addresses and rows."""
        ...

    @property
    def live(self) -> bool:
        """Whether real money moves."""
        ...

    @property
    def form_hosts(self) -> tuple[str, ...]:
        """Hosts that a form of ours may lead to, for the content security policy."""
        ...

    @property
    def minimum_cents(self) -> int:
        """The smallest amount it takes."""
        ...

    @property
    def maximum_cents(self) -> int:
        """The largest amount it takes."""
        ...

    @property
    def hold(self) -> timedelta:
        """How long places are kept for a payment: as long as its page may be open."""
        ...

    def start(self, asked: Asked) -> Started:
        """Open a payment. The same key again gives the same payment."""
        ...

    def fetch(self, reference: str) -> Seen:
        """What the provider says now."""
        ...

    def find(self, key: str, since: datetime | None = None) -> Seen | None:
        """A payment by our own name, for when the answer of `start` was lost.

        It was started at `since` or soon after; without it, within the last hour.
        """
        ...

    def expire(self, reference: str) -> None:
        """Close an open payment, so that it can no longer be paid. One that is not open stays as it is."""
        ...

    def read_event(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Notice:
        """The event in a request's raw body. Raises `EventRefused` when it is forged, stale or unreadable."""
        ...


def leave_the_house() -> None:
    """Said before every call to a provider: raises when a transaction is open, which would then wait for the network."""
    if in_transaction():
        raise RuntimeError("a provider is never called in a transaction")
