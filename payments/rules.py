"""Decisions about payments: which way a payment may move, and what to make of what the provider says."""

from datetime import timedelta
from typing import Literal, Protocol

from payments.gateways.base import Seen

Verdict = Literal[
    "confirm",
    "wait",
    "expire",
    "amount_mismatch",
    "currency_mismatch",
    "mode_mismatch",
    "reference_mismatch",
]
MISMATCHES = frozenset({"amount_mismatch", "currency_mismatch", "mode_mismatch", "reference_mismatch"})

UNSETTLED = frozenset({"created", "sent"})
"""States whose outcome is still awaited."""

MOVES: dict[str, frozenset[str]] = {
    "created": frozenset({"sent", "confirmed", "refused", "cancelled", "expired", "quarantined"}),
    "sent": frozenset({"confirmed", "refused", "cancelled", "expired", "quarantined"}),
    # Money may arrive late, also the wrong amount of it.
    "refused": frozenset({"confirmed", "quarantined"}),
    "cancelled": frozenset({"confirmed", "quarantined"}),
    "expired": frozenset({"confirmed", "quarantined"}),
    "confirmed": frozenset(),
    "quarantined": frozenset(),
}
"""From each state, the states a payment may move to."""

ASK_FIRST_AFTER = timedelta(seconds=30)
"""How old a payment is when the provider is asked about it for the first time: usually it has told us by then."""
ASK_AGAIN_AFTER: tuple[tuple[timedelta, timedelta], ...] = (
    (timedelta(minutes=5), timedelta(seconds=30)),
    (timedelta(hours=1), timedelta(minutes=2)),
    (timedelta(days=1), timedelta(minutes=10)),
    (timedelta(days=3650), timedelta(hours=1)),
)
"""Up to which age of a payment the provider is asked how often; the older, the less."""
LOST_AFTER = timedelta(minutes=2)
"""When a payment that never got a name at the provider is looked for there: longer than any answer may take."""


class Awaited(Protocol):
    """What we know of a payment ourselves."""

    @property
    def key(self) -> str: ...
    @property
    def provider_reference(self) -> str | None: ...
    @property
    def cents(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def live(self) -> bool: ...


def may_move(state: str, to: str) -> bool:
    """Whether a payment may go from one state to another."""
    return to in MOVES[state]


def judge(payment: Awaited, seen: Seen) -> Verdict:
    """What to do with a payment, given what its provider says.

    Reference and mode are compared whatever the state, the money once it is there: each mismatch has its own name.
    """
    if seen.state == "unknown":
        return "wait"
    if seen.payment_key != payment.key or payment.provider_reference not in (None, seen.reference):
        return "reference_mismatch"
    if seen.live != payment.live:
        return "mode_mismatch"
    if seen.state == "expired":
        return "expire"
    if seen.state != "paid":
        return "wait"
    if (seen.currency or "").lower() != payment.currency.lower():
        return "currency_mismatch"
    if seen.cents != payment.cents:
        return "amount_mismatch"
    return "confirm"
