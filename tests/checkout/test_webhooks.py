"""What providers tell us: forged, stale, foreign, of the other mode, fifty times at once, before and after its time."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import stripe
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from payments.gateways.sandbox import sign
from payments.models import Payment, PaymentEvent
from payments.operations import take_in
from shop.clock import StoppedClock
from shop.database import in_transaction, reading, transaction
from tests.conftest import MakeApp, Submit
from tests.factory import Family, Town
from tests.network import NetworkInTransaction, Watch
from tests.payments.attempts import (
    Attempted,
    balance,
    check_books,
    open_order,
    open_top_up,
    order_state,
    outcomes,
    started,
    state_of,
)
from tests.payments.fake_stripe import FakeStripe, settings, signature

SECRET = "the sandbox's secret in tests"


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
def top_up(shop: Flask, town: Town, family: Family) -> Attempted:
    """A top-up of 20 €, its session open at Stripe."""
    return started(shop, open_top_up(shop, town, family, "stripe"))


@pytest.fixture
def order(shop: Flask, town: Town, family: Family) -> Attempted:
    """An order of two meals at 3,80 €, its session open at Stripe."""
    return started(shop, open_order(shop, town, family, "stripe"))


def tell(shop: Flask, body: bytes, headers: dict[str, str] | None = None) -> TestResponse:
    """Stripe calls."""
    return shop.test_client().post("/webhooks/stripe", data=body, headers=headers or signature(body))


def test_a_paid_session_fills_the_wallet(shop: Flask, fake: FakeStripe, family: Family, top_up: Attempted) -> None:
    body = fake.event("checkout.session.completed", fake.pay(top_up.reference))
    answer = tell(shop, body)
    assert (answer.status_code, answer.get_data()) == (200, b"kept")
    assert (balance(shop, family), state_of(shop, top_up.id), outcomes(shop)) == (2000, "confirmed", ["topped_up"])
    with shop.app_context(), reading() as db:
        kept = db.execute(select(PaymentEvent.body, PaymentEvent.payment_id, PaymentEvent.key)).one()
    assert (kept.body.encode(), kept.payment_id, kept.key) == (body, top_up.id, json.loads(body)["id"])
    check_books(shop)


def test_an_order_is_paid(shop: Flask, fake: FakeStripe, order: Attempted) -> None:
    body = fake.event("checkout.session.completed", fake.pay(order.reference))
    assert tell(shop, body).status_code == 200
    assert (state_of(shop, order.id), order_state(shop, order.id)) == ("confirmed", "paid")
    assert outcomes(shop) == ["order_paid"]
    check_books(shop)


def test_the_same_event_fifty_times(shop: Flask, fake: FakeStripe, family: Family, top_up: Attempted) -> None:
    body = fake.event("checkout.session.completed", fake.pay(top_up.reference))
    answers = [tell(shop, body) for _ in range(50)]
    assert [answer.status_code for answer in answers] == [200] * 50
    assert [answer.get_data() for answer in answers] == [b"kept"] + [b"known"] * 49
    assert (balance(shop, family), outcomes(shop)) == (2000, ["topped_up"])
    assert sum(path.endswith(top_up.reference) for _verb, path, _params in fake.requests) == 1


def test_every_event_of_one_payment_credits_once(
    shop: Flask, fake: FakeStripe, family: Family, top_up: Attempted
) -> None:
    session = fake.pay(top_up.reference)
    for kind, thing in (
        ("payment_intent.succeeded", fake.intents[session["payment_intent"]]),
        ("checkout.session.completed", session),
        ("checkout.session.completed", session),
        ("checkout.session.async_payment_succeeded", session),
    ):
        assert tell(shop, fake.event(kind, thing)).status_code == 200
    assert outcomes(shop) == ["topped_up", "already", "already", "already"]
    assert balance(shop, family) == 2000
    check_books(shop)


@pytest.mark.race
def test_the_same_event_fifty_times_at_once(
    shop: Flask, fake: FakeStripe, family: Family, top_up: Attempted, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = fake.event("checkout.session.completed", fake.pay(top_up.reference))
    headers, together, answers = signature(body), threading.Barrier(50), []
    taken: list[int | None] = []

    def counted(*arguments: Any) -> int | None:
        taken.append(take_in(*arguments))
        return taken[-1]

    monkeypatch.setattr("checkout.webhooks.take_in", counted)

    def call() -> None:
        client = shop.test_client()
        together.wait()
        answers.append(client.post("/webhooks/stripe", data=body, headers=headers).status_code)

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 50
    assert len(taken) > 1, "they did not meet: nothing was tried"
    assert sum(event_id is not None for event_id in taken) == 1
    assert (balance(shop, family), outcomes(shop)) == (2000, ["topped_up"])
    check_books(shop)


# --- events that are refused or set aside ---


@pytest.mark.parametrize("how", ["unsigned", "forged", "changed", "stale", "empty"])
def test_events_from_nobody_known(
    shop: Flask, fake: FakeStripe, family: Family, top_up: Attempted, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = fake.event("checkout.session.completed", fake.pay(top_up.reference))
    headers = {
        "unsigned": {"Content-Type": "application/json"},
        "forged": signature(body, "whsec_of_somebody_else"),
        "changed": signature(body + b" "),
        "stale": signature(body, second=int(time.time()) - 301),
        "empty": signature(b""),
    }[how]
    answer = tell(shop, b"" if how == "empty" else body, headers)
    assert answer.status_code == 400
    assert "event refused" in capsys.readouterr().out
    assert (balance(shop, family), state_of(shop, top_up.id), outcomes(shop)) == (0, "sent", [])


def test_set_aside(shop: Flask, fake: FakeStripe, family: Family, top_up: Attempted) -> None:
    session = fake.pay(top_up.reference)
    stranger = session | {"id": "cs_test_stranger", "client_reference_id": "somebody-else", "metadata": {}}
    charge = {"id": "ch_1", "object": "charge", "metadata": {"payment": top_up.key}}
    for body in (
        fake.event("checkout.session.completed", session, livemode=True),
        fake.event("checkout.session.completed", session, account="acct_somebody"),
        fake.event("checkout.session.completed", stranger),
        fake.event("checkout.session.completed", stranger | {"client_reference_id": None, "metadata": None}),
        fake.event("customer.created", {"id": "cus_1", "object": "customer"}),
        fake.event("payment_intent.payment_failed", fake.intents[session["payment_intent"]]),
        fake.event("charge.refunded", charge),
        fake.event("charge.dispute.created", {"id": "du_1", "object": "dispute", "charge": "ch_1"}),
    ):
        assert tell(shop, body).status_code == 200
    assert outcomes(shop) == [
        "other_mode",
        "other_account",
        "unknown_reference",
        "unknown_reference",
        "ignored",
        "ignored",
        "for_a_person",
        "for_a_person",
    ]
    assert (balance(shop, family), state_of(shop, top_up.id)) == (0, "sent")
    check_books(shop)


def test_addresses(shop: Flask, client: FlaskClient, fake: FakeStripe) -> None:
    body = fake.event("customer.created", {"id": "cus_1", "object": "customer"})
    assert shop.test_client().post("/webhooks/paypal", data=body, headers=signature(body)).status_code == 404
    assert client.post("/webhooks/stripe", data=body, headers=signature(body)).status_code == 404, "not in use there"
    assert shop.test_client().get("/webhooks/stripe").status_code == 405


def test_a_body_that_is_too_large(shop: Flask) -> None:
    body = b" " * (1024 * 1024 + 1)
    assert tell(shop, body, signature(body)).status_code == 413


@pytest.mark.parametrize(
    ("change", "outcome", "state"),
    [
        ({"cents": 1999}, "amount_mismatch", "quarantined"),
        ({"cents": 200000}, "amount_mismatch", "quarantined"),
        ({"currency": "usd"}, "currency_mismatch", "sent"),
        ({"client_reference_id": "0" * 32}, "reference_mismatch", "sent"),
        ({"livemode": True}, "mode_mismatch", "sent"),
    ],
)
def test_what_the_provider_holds_is_compared(
    shop: Flask,
    fake: FakeStripe,
    family: Family,
    top_up: Attempted,
    change: dict[str, Any],
    outcome: str,
    state: str,
) -> None:
    """The event itself looks right each time: what is fetched decides."""
    body = fake.event("checkout.session.completed", fake.pay(top_up.reference, change.pop("cents", None)))
    fake.sessions[top_up.reference] |= change
    assert tell(shop, body).status_code == 200
    assert (outcomes(shop), state_of(shop, top_up.id), balance(shop, family)) == ([outcome], state, 0)
    check_books(shop)


def test_an_event_that_lies(shop: Flask, fake: FakeStripe, family: Family, top_up: Attempted) -> None:
    """Well signed, it says paid; the session is still open."""
    session = dict(fake.sessions[top_up.reference]) | {"status": "complete", "payment_status": "paid"}
    assert tell(shop, fake.event("checkout.session.completed", session)).status_code == 200
    assert (outcomes(shop), state_of(shop, top_up.id), balance(shop, family)) == (["waiting"], "sent", 0)


# --- before and after their time ---


def test_delayed_money_that_comes(shop: Flask, fake: FakeStripe, order: Attempted) -> None:
    tell(shop, fake.event("checkout.session.completed", fake.pay_later(order.reference)))
    assert (outcomes(shop), order_state(shop, order.id)) == (["waiting"], "pending")
    tell(shop, fake.event("checkout.session.async_payment_succeeded", fake.succeed(order.reference)))
    assert (outcomes(shop), order_state(shop, order.id)) == (["waiting", "order_paid"], "paid")
    check_books(shop)


def test_delayed_money_that_fails(shop: Flask, fake: FakeStripe, order: Attempted) -> None:
    tell(shop, fake.event("checkout.session.completed", fake.pay_later(order.reference)))
    tell(shop, fake.event("checkout.session.async_payment_failed", fake.fail(order.reference)))
    assert (outcomes(shop), order_state(shop, order.id)) == (["waiting", "expired"], "expired")
    check_books(shop)


def test_a_session_that_runs_out_gives_the_places_back(shop: Flask, fake: FakeStripe, order: Attempted) -> None:
    tell(shop, fake.event("checkout.session.expired", fake.lapse(order.reference)))
    assert (outcomes(shop), state_of(shop, order.id), order_state(shop, order.id)) == (
        ["expired"],
        "expired",
        "expired",
    )
    check_books(shop)


def test_quicker_than_our_own_answer(shop: Flask, town: Town, fake: FakeStripe, family: Family) -> None:
    """The event comes before the session's id was written down, as when the server dies between call and commit."""
    payment = open_top_up(shop, town, family, "stripe")
    fake.faults += ["lost", "down", "down"]
    with pytest.raises(Exception, match="ne répond pas"):
        started(shop, payment)
    body = fake.event("checkout.session.completed", fake.pay(fake.only()))
    assert tell(shop, body).status_code == 200
    assert (outcomes(shop), balance(shop, family)) == (["topped_up"], 2000)
    check_books(shop)


def test_three_days_late(shop: Flask, fake: FakeStripe, order: Attempted, clock: StoppedClock, town: Town) -> None:
    tell(shop, fake.event("checkout.session.expired", fake.lapse(order.reference)))
    paid = fake.pay(order.reference)
    clock.moment += timedelta(days=3)
    assert tell(shop, fake.event("checkout.session.completed", paid)).status_code == 200
    assert outcomes(shop)[-1] in ("order_revived", "late_to_wallet")
    assert state_of(shop, order.id) == "confirmed"
    check_books(shop)


# --- when something is down ---


def test_a_provider_that_does_not_answer_is_told_to_call_again(
    shop: Flask, fake: FakeStripe, family: Family, top_up: Attempted
) -> None:
    body = fake.event("checkout.session.completed", fake.pay(top_up.reference))
    fake.faults += ["down"] * 3
    answer = tell(shop, body)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert (outcomes(shop), balance(shop, family)) == ([], 0)
    assert tell(shop, body).get_data() == b"kept"
    assert (outcomes(shop), balance(shop, family)) == (["topped_up"], 2000)


def test_a_database_that_is_busy_keeps_nothing(
    shop: Flask, fake: FakeStripe, family: Family, top_up: Attempted, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = fake.event("checkout.session.completed", fake.pay(top_up.reference))

    def busy(*_: object) -> None:
        raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))

    with monkeypatch.context() as patched:
        patched.setattr("checkout.webhooks.note_outcome", busy)
        answer = tell(shop, body)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert (outcomes(shop), balance(shop, family), state_of(shop, top_up.id)) == ([], 0, "sent")
    assert tell(shop, body).get_data() == b"kept"
    assert (outcomes(shop), balance(shop, family)) == (["topped_up"], 2000)
    check_books(shop)


def test_no_network_while_a_transaction_is_open(
    shop: Flask, fake: FakeStripe, top_up: Attempted, network: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, open_then = stripe.RequestsClient.request, []

    def watched(*arguments: Any, **options: Any) -> Any:
        open_then.append(in_transaction())
        return request(*arguments, **options)

    monkeypatch.setattr(stripe.RequestsClient, "request", watched)
    tell(shop, fake.event("checkout.session.completed", fake.pay(top_up.reference)))
    assert open_then == [False]
    # The control: with the guard off, the same watch does see it.
    monkeypatch.setattr("payments.gateways.stripe_checkout.leave_the_house", lambda: None)
    with shop.app_context(), pytest.raises(NetworkInTransaction), transaction():
        shop.extensions["payments.gateways"]["stripe"].fetch(top_up.reference)
    assert open_then == [False, True]
    network.caught.clear()


# --- the sandbox calls ---


def test_the_sandbox_is_heard_like_any_other(
    app: Flask, client: FlaskClient, submit: Submit, town: Town, family: Family, clock: StoppedClock
) -> None:
    attempt = started(app, open_top_up(app, town, family))
    event = {
        "id": "evt_1",
        "type": "payment.paid",
        "live": False,
        "reference": attempt.reference,
        "payment_key": attempt.key,
    }
    body = json.dumps(event).encode()
    headers = {"Sandbox-Signature": sign(body, SECRET, clock.now())}
    assert client.post("/webhooks/sandbox", data=body, headers=headers).status_code == 200
    assert (outcomes(app), balance(app, family)) == (["waiting"], 0), "well signed, and not so: nobody has paid yet"
    submit(client, attempt.pay_url, {"test_card": "4242 4242 4242 4242"})
    body = json.dumps(event | {"id": "evt_2"}).encode()
    headers = {"Sandbox-Signature": sign(body, SECRET, clock.now())}
    for _ in range(3):
        assert client.post("/webhooks/sandbox", data=body, headers=headers).status_code == 200
    assert (outcomes(app), balance(app, family)) == (["waiting", "topped_up"], 2000)
    clock.moment += timedelta(minutes=5, seconds=1)
    assert client.post("/webhooks/sandbox", data=body, headers=headers).status_code == 400
    live = json.dumps(event | {"id": "evt_3", "live": True}).encode()
    headers = {"Sandbox-Signature": sign(live, SECRET, clock.now())}
    assert client.post("/webhooks/sandbox", data=live, headers=headers).status_code == 200
    assert outcomes(app)[-1] == "other_mode"
    with app.app_context(), reading() as db:
        assert db.scalars(select(Payment.state)).one() == "confirmed"
    check_books(app)
