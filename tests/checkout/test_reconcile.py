"""Payments that nobody told us about: the provider is asked, and nothing is given back before it has answered."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import stripe
from flask import Flask
from sqlalchemy import func, select

from checkout.reconcile import BATCH, reconcile
from orders.models import Reservation
from payments.errors import GatewayDown
from payments.models import Payment
from shop.clock import StoppedClock
from shop.database import in_transaction, reading
from tests.conftest import MakeApp, Submit
from tests.factory import Family, Town
from tests.payments.attempts import (
    Attempted,
    balance,
    check_books,
    open_order,
    open_top_up,
    order_state,
    started,
    state_of,
)
from tests.payments.fake_stripe import FakeStripe, settings, signature


@pytest.fixture
def fake(clock: StoppedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStripe]:
    """Stripe."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FakeStripe(clock.now) as server:
        yield server


@pytest.fixture
def shop(make_app: MakeApp, fake: FakeStripe) -> Flask:
    """A shop whose Stripe is the fake."""
    return make_app(**settings(fake))


@pytest.fixture
def family(town: Town) -> Family:
    """One child, nothing in the wallet."""
    return town.family(children=1)


@pytest.fixture
def order(shop: Flask, town: Town, family: Family) -> Attempted:
    """An order of two meals at 3,80 €, its session open at Stripe."""
    return started(shop, open_order(shop, town, family, "stripe"))


def run(shop: Flask) -> int:
    """The job."""
    with shop.app_context():
        return reconcile()


def later(clock: StoppedClock, **time: float) -> datetime:
    """Let time pass."""
    clock.moment += timedelta(**time)
    return clock.moment


def lost(shop: Flask, fake: FakeStripe, payment: Payment) -> None:
    """The payment's session is opened at Stripe, and we never hear of it."""
    fake.faults += ["lost", "down", "down"]
    with pytest.raises(GatewayDown):
        started(shop, payment)


def live_places(shop: Flask) -> int:
    with shop.app_context(), reading() as db:
        return db.scalars(
            select(func.count()).select_from(Reservation).where(Reservation.state.in_(("held", "confirmed")))
        ).one()


def test_a_webhook_that_never_comes(shop: Flask, fake: FakeStripe, order: Attempted, clock: StoppedClock) -> None:
    fake.pay(order.reference)
    later(clock, seconds=29)
    assert run(shop) == 0
    later(clock, seconds=1)
    assert run(shop) == 1
    assert (state_of(shop, order.id), order_state(shop, order.id)) == ("confirmed", "paid")
    assert run(shop) == 0
    check_books(shop)


def test_an_open_session_keeps_its_places_until_it_lapses(
    shop: Flask, fake: FakeStripe, order: Attempted, clock: StoppedClock
) -> None:
    later(clock, minutes=34)
    assert run(shop) == 0
    assert (state_of(shop, order.id), order_state(shop, order.id), live_places(shop)) == ("sent", "pending", 2)
    later(clock, minutes=1)
    assert run(shop) == 1
    assert (state_of(shop, order.id), order_state(shop, order.id), live_places(shop)) == ("expired", "expired", 0)
    assert fake.sessions[order.reference]["status"] == "expired", "closed there before it is given back here"
    check_books(shop)


def test_paid_in_the_last_second(shop: Flask, fake: FakeStripe, order: Attempted, clock: StoppedClock) -> None:
    fake.pay(order.reference)
    later(clock, minutes=36)
    run(shop)
    assert order_state(shop, order.id) == "paid"
    check_books(shop)


def test_delayed_money_keeps_its_places(shop: Flask, fake: FakeStripe, order: Attempted, clock: StoppedClock) -> None:
    fake.pay_later(order.reference)
    later(clock, hours=20)
    assert run(shop) == 0
    assert (order_state(shop, order.id), live_places(shop)) == ("pending", 2)
    fake.succeed(order.reference)
    later(clock, hours=1)
    assert run(shop) == 1
    assert order_state(shop, order.id) == "paid"
    check_books(shop)


def test_a_provider_that_is_down_gives_nothing_back(
    shop: Flask, fake: FakeStripe, order: Attempted, clock: StoppedClock
) -> None:
    fake.pay(order.reference)
    later(clock, hours=1)
    fake.faults += ["down"] * 3
    assert run(shop) == 0
    assert (state_of(shop, order.id), order_state(shop, order.id), live_places(shop)) == ("sent", "pending", 2)
    assert run(shop) == 1
    assert order_state(shop, order.id) == "paid"
    check_books(shop)


def test_while_one_provider_is_down_the_others_are_asked(
    shop: Flask, fake: FakeStripe, town: Town, order: Attempted, clock: StoppedClock, submit: Submit
) -> None:
    another = town.family(children=1)
    top_up = started(shop, open_top_up(shop, town, another))
    second = started(shop, open_top_up(shop, town, another, "stripe"))
    submit(shop.test_client(), top_up.pay_url, {"test_card": "4242 4242 4242 4242"})
    later(clock, minutes=1)
    before = len(fake.requests)
    fake.faults += ["down"] * 3
    assert run(shop) == 1
    assert balance(shop, another) == 2000
    assert len(fake.requests) - before == 3, "asked about one payment, with its retries, and then left alone"
    assert {state_of(shop, order.id), state_of(shop, second.id)} == {"sent"}


# --- the answer of `start` never came (F2) ---


def test_a_call_that_never_arrived(
    shop: Flask, town: Town, fake: FakeStripe, family: Family, clock: StoppedClock
) -> None:
    """The server died before the call, or the network did: there is no session, and nobody was charged."""
    payment = open_order(shop, town, family, "stripe")
    for _ in range(2):
        later(clock, seconds=50)
        assert run(shop) == 0
        assert (state_of(shop, payment.id), live_places(shop)) == ("created", 2)
    later(clock, seconds=30)
    assert run(shop) == 1
    assert (state_of(shop, payment.id), order_state(shop, payment.id), live_places(shop)) == ("expired", "expired", 0)
    assert fake.sessions == {}
    check_books(shop)


def test_a_session_nobody_was_sent_to(
    shop: Flask, town: Town, fake: FakeStripe, family: Family, clock: StoppedClock
) -> None:
    payment = open_order(shop, town, family, "stripe")
    lost(shop, fake, payment)
    later(clock, minutes=1)
    assert run(shop) == 0, "the call may still be under way"
    later(clock, minutes=1)
    assert run(shop) == 1
    assert fake.sessions[fake.only()]["status"] == "expired"
    assert (state_of(shop, payment.id), order_state(shop, payment.id)) == ("expired", "expired")
    check_books(shop)


def test_a_session_that_was_paid_though_its_answer_was_lost(
    shop: Flask, town: Town, fake: FakeStripe, family: Family, clock: StoppedClock
) -> None:
    payment = open_order(shop, town, family, "stripe")
    lost(shop, fake, payment)
    fake.pay(fake.only())
    later(clock, seconds=30)
    assert run(shop) == 1
    assert (state_of(shop, payment.id), order_state(shop, payment.id)) == ("confirmed", "paid")
    with shop.app_context(), reading() as db:
        assert db.scalars(select(Payment.provider_reference)).one() == fake.only()
    check_books(shop)


def test_nothing_is_concluded_while_stripe_is_down(
    shop: Flask, town: Town, fake: FakeStripe, family: Family, clock: StoppedClock
) -> None:
    payment = open_order(shop, town, family, "stripe")
    lost(shop, fake, payment)
    later(clock, hours=3)
    fake.faults += ["down"] * 3
    assert run(shop) == 0
    assert (state_of(shop, payment.id), live_places(shop)) == ("created", 2)
    assert run(shop) == 1
    assert (state_of(shop, payment.id), live_places(shop)) == ("expired", 0)


# --- what must not stop the others ---


def test_a_payment_the_provider_has_forgotten(
    shop: Flask, fake: FakeStripe, order: Attempted, clock: StoppedClock
) -> None:
    fake.sessions.clear()
    later(clock, minutes=34)
    assert run(shop) == 0
    assert order_state(shop, order.id) == "pending"
    later(clock, minutes=1)
    assert run(shop) == 1
    assert (order_state(shop, order.id), live_places(shop)) == ("expired", 0)


@pytest.mark.parametrize("change", [{"currency": "usd"}, {"client_reference_id": "0" * 32}, {"livemode": True}])
def test_a_mismatch_gives_the_places_back_once_ours_has_run_out(
    shop: Flask, fake: FakeStripe, order: Attempted, clock: StoppedClock, change: dict[str, Any]
) -> None:
    fake.pay(order.reference)
    fake.sessions[order.reference] |= change
    later(clock, minutes=10)
    run(shop)
    assert (order_state(shop, order.id), live_places(shop)) == ("pending", 2)
    later(clock, minutes=25)
    run(shop)
    assert (state_of(shop, order.id), order_state(shop, order.id), live_places(shop)) == ("expired", "expired", 0)
    check_books(shop)


def test_one_that_fails_does_not_hold_up_the_others(
    shop: Flask, town: Town, fake: FakeStripe, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    families = [town.family(children=1) for _ in range(3)]
    attempts = [started(shop, open_top_up(shop, town, family, "stripe")) for family in families]
    for attempt in attempts:
        fake.pay(attempt.reference)
    gateway = shop.extensions["payments.gateways"]["stripe"]
    fetch = gateway.fetch

    def stumbling(reference: str) -> Any:
        if reference == attempts[0].reference:
            raise ValueError("something nobody thought of")
        return fetch(reference)

    monkeypatch.setattr(gateway, "fetch", stumbling)
    later(clock, minutes=1)
    assert run(shop) == 2
    assert [balance(shop, family) for family in families] == [0, 2000, 2000]
    assert run(shop) == 0, "it has its next turn after a pause"
    monkeypatch.undo()
    later(clock, minutes=1)
    assert run(shop) == 1
    check_books(shop)


def test_a_gateway_that_was_taken_away(
    shop: Flask, order: Attempted, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(shop.extensions["payments.gateways"], "stripe")
    later(clock, hours=1)
    assert run(shop) == 0
    assert (order_state(shop, order.id), live_places(shop)) == ("pending", 2)


def test_no_network_while_a_transaction_is_open(
    shop: Flask, town: Town, fake: FakeStripe, order: Attempted, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_top_up(shop, town, town.family(children=1), "stripe")
    request, open_then = stripe.RequestsClient.request, []

    def watched(*arguments: Any, **options: Any) -> Any:
        open_then.append(in_transaction())
        return request(*arguments, **options)

    monkeypatch.setattr(stripe.RequestsClient, "request", watched)
    later(clock, hours=1)
    assert run(shop) == 2
    assert len(open_then) >= 4
    assert not any(open_then)


def test_a_run_is_bounded(shop: Flask, town: Town, clock: StoppedClock) -> None:
    family = town.family(children=1)
    for _ in range(BATCH + 5):
        open_top_up(shop, town, family)
    later(clock, minutes=3)
    assert run(shop) == BATCH
    assert run(shop) == 5
    assert run(shop) == 0


def test_one_webhook_in_ten_is_lost(shop: Flask, town: Town, fake: FakeStripe, clock: StoppedClock) -> None:
    """What Stripe captured is what the wallets hold, to the cent, without those webhooks (trust: T-010)."""
    chance = random.Random(20261119)
    family = town.family(children=1)
    captured = 0
    client = shop.test_client()
    for number in range(60):
        attempt = started(shop, open_top_up(shop, town, family, "stripe", cents=500 + number))
        if number % 7 == 0:
            continue
        session = fake.pay(attempt.reference)
        captured += session["amount_total"]
        if chance.random() < 0.9:
            body = fake.event("checkout.session.completed", session)
            assert client.post("/webhooks/stripe", data=body, headers=signature(body)).status_code == 200
    assert balance(shop, family) < captured, "none was lost: nothing was tried"
    for _ in range(4):
        later(clock, minutes=10)
        run(shop)
    assert balance(shop, family) == captured
    check_books(shop)
