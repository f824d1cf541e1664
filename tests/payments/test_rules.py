"""The moves of a payment and the verdicts on what a provider says, exhaustively."""

import itertools
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from payments.gateways.base import Seen
from payments.models import STATES
from payments.rules import ASK_AGAIN_AFTER, LOST_AFTER, MOVES, UNSETTLED, judge, may_move

WAYS = {
    ("created", "sent"),
    ("created", "confirmed"),
    ("created", "refused"),
    ("created", "cancelled"),
    ("created", "expired"),
    ("created", "quarantined"),
    ("sent", "confirmed"),
    ("sent", "refused"),
    ("sent", "cancelled"),
    ("sent", "expired"),
    ("sent", "quarantined"),
    ("refused", "confirmed"),
    ("refused", "quarantined"),
    ("cancelled", "confirmed"),
    ("cancelled", "quarantined"),
    ("expired", "confirmed"),
    ("expired", "quarantined"),
}


@pytest.mark.parametrize(("state", "to"), list(itertools.product(STATES, STATES)))
def test_every_pair_of_states(state: str, to: str) -> None:
    assert may_move(state, to) is ((state, to) in WAYS)


def test_the_table_knows_every_state_and_no_other() -> None:
    assert set(MOVES) == set(STATES)
    assert frozenset().union(*MOVES.values()) <= set(STATES)
    assert {state for state in STATES if not MOVES[state]} == {"confirmed", "quarantined"}


def test_money_is_never_unconfirmed() -> None:
    """From every state but the two last ones, late money finds its way; from these two nothing leads back."""
    assert all(may_move(state, "confirmed") for state in STATES if state not in ("confirmed", "quarantined"))


@dataclass(frozen=True)
class Payment:
    key: str = "k1"
    provider_reference: str | None = "ref1"
    cents: int = 1520
    currency: str = "eur"
    live: bool = False


PAID = Seen("ref1", "k1", "paid", 1520, "eur", live=False)


@pytest.mark.parametrize(
    ("payment", "seen", "verdict"),
    [
        (Payment(), PAID, "confirm"),
        (Payment(provider_reference=None), PAID, "confirm"),
        (Payment(), replace(PAID, currency="EUR"), "confirm"),
        (Payment(live=True), replace(PAID, live=True), "confirm"),
        (Payment(), replace(PAID, state="open"), "wait"),
        (Payment(), replace(PAID, state="processing"), "wait"),
        (Payment(), replace(PAID, state="processing", cents=0), "wait"),
        (Payment(), replace(PAID, state="expired"), "expire"),
        (Payment(), replace(PAID, state="expired", cents=None, currency=None), "expire"),
        (Payment(), Seen("ref1", None, "unknown", None, None, live=False), "wait"),
        (Payment(), Seen("ref1", None, "unknown", None, None, live=True), "wait"),
        (Payment(), replace(PAID, cents=1519), "amount_mismatch"),
        (Payment(), replace(PAID, cents=1521), "amount_mismatch"),
        (Payment(), replace(PAID, cents=0), "amount_mismatch"),
        (Payment(), replace(PAID, cents=None), "amount_mismatch"),
        (Payment(), replace(PAID, currency="usd"), "currency_mismatch"),
        (Payment(), replace(PAID, currency=None), "currency_mismatch"),
        (Payment(), replace(PAID, currency="usd", cents=1), "currency_mismatch"),
        (Payment(), replace(PAID, live=True), "mode_mismatch"),
        (Payment(live=True), PAID, "mode_mismatch"),
        (Payment(live=True), replace(PAID, state="expired"), "mode_mismatch"),
        (Payment(), replace(PAID, payment_key="k2"), "reference_mismatch"),
        (Payment(), replace(PAID, payment_key=None), "reference_mismatch"),
        (Payment(), replace(PAID, reference="ref2"), "reference_mismatch"),
        (Payment(), replace(PAID, reference="ref2", state="expired"), "reference_mismatch"),
        (Payment(), replace(PAID, payment_key="k2", live=True, cents=1), "reference_mismatch"),
    ],
)
def test_verdicts(payment: Payment, seen: Seen, verdict: str) -> None:
    assert judge(payment, seen) == verdict


def test_questions_grow_rarer_and_never_end() -> None:
    ages, pauses = zip(*ASK_AGAIN_AFTER, strict=True)
    assert list(ages) == sorted(ages)
    assert list(pauses) == sorted(pauses)
    assert ages[-1] > timedelta(days=3000)
    assert {"created", "sent"} == UNSETTLED
    # Two retries of 25 seconds each, with their pauses, are over by then.
    assert timedelta(seconds=100) < LOST_AFTER
