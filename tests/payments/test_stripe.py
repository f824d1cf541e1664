"""Stripe Checkout against a fake with the official shapes; signatures by the library itself."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import stripe
from flask import Flask

from payments.gateways.base import Asked, EventRefused, GatewayDown, GatewayRefused, Notice
from payments.gateways.stripe_checkout import StripeGateway
from shop.clock import StoppedClock
from shop.database import transaction
from tests.conftest import MakeApp
from tests.payments.fake_stripe import NEW_SECRET as NEW
from tests.payments.fake_stripe import OLD_SECRET as OLD
from tests.payments.fake_stripe import FakeStripe, Fault, settings, signature


@pytest.fixture
def fake(clock: StoppedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStripe]:
    """Stripe."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FakeStripe(clock.now) as server:
        yield server


@pytest.fixture
def gateway(app: Flask, fake: FakeStripe) -> Iterator[StripeGateway]:
    """The gateway, within the application."""
    with app.app_context():
        yield StripeGateway(replace(app.extensions["shop.config"], **settings(fake)))


@pytest.fixture
def asked(clock: StoppedClock) -> Asked:
    """A payment of 15,20 €."""
    return Asked(
        key="0123456789abcdef0123456789abcdef",
        cents=1520,
        currency="eur",
        description="Réservation de repas",
        payee="Régie de l’agglomération",
        email="camille@example.org",
        success_url="http://localhost/paiement/retour/0123",
        cancel_url="http://localhost/paiement/0123",
        expires_at=clock.now() + timedelta(minutes=35),
    )


def test_a_session_is_opened_as_the_api_wants_it(gateway: StripeGateway, fake: FakeStripe, asked: Asked) -> None:
    started = gateway.start(asked)
    session = fake.sessions[fake.only()]
    assert (started.reference, started.pay_url) == (session["id"], f"https://checkout.stripe.com/c/pay/{session['id']}")
    ((verb, path, params),) = fake.requests
    assert (verb, path) == ("POST", "/v1/checkout/sessions")
    assert params == {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "client_reference_id": asked.key,
        "metadata": {"payment": asked.key},
        "payment_intent_data": {"metadata": {"payment": asked.key}, "description": "Réservation de repas"},
        "locale": "fr",
        "expires_at": str(int(asked.expires_at.timestamp())),
        "line_items": [
            {
                "quantity": "1",
                "price_data": {
                    "currency": "eur",
                    "unit_amount": "1520",
                    "product_data": {"name": "Réservation de repas", "description": "Régie de l’agglomération"},
                },
            }
        ],
        "success_url": "http://localhost/paiement/retour/0123?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://localhost/paiement/0123",
        "customer_email": "camille@example.org",
    }
    assert list(fake.answers) == [f"payment-{asked.key}"]


def test_no_address_and_a_question_mark(gateway: StripeGateway, fake: FakeStripe, asked: Asked) -> None:
    gateway.start(replace(asked, email=None, success_url="http://localhost/retour?a=1"))
    (_verb, _path, params), *_ = fake.requests
    assert "customer_email" not in params
    assert params["success_url"] == "http://localhost/retour?a=1&session={CHECKOUT_SESSION_ID}"


def test_the_same_key_gives_the_same_session(gateway: StripeGateway, fake: FakeStripe, asked: Asked) -> None:
    assert gateway.start(asked) == gateway.start(asked)
    assert len(fake.sessions) == 1
    with pytest.raises(GatewayRefused):
        gateway.start(replace(asked, cents=1))


def test_every_state_of_a_session(gateway: StripeGateway, fake: FakeStripe, asked: Asked) -> None:
    reference = gateway.start(asked).reference
    seen = gateway.fetch(reference)
    assert (seen.state, seen.payment_key, seen.cents, seen.currency, seen.live) == (
        "open",
        asked.key,
        1520,
        "eur",
        False,
    )
    fake.pay_later(reference)
    assert gateway.fetch(reference).state == "processing"
    fake.fail(reference)
    assert gateway.fetch(reference).state == "expired"
    fake.succeed(reference)
    seen = gateway.fetch(reference)
    assert (seen.state, seen.cents) == ("paid", 1520)
    fake.lapse(reference)
    assert gateway.fetch(reference).state == "expired"


def test_what_counts_is_what_was_captured(gateway: StripeGateway, fake: FakeStripe, asked: Asked) -> None:
    reference = gateway.start(asked).reference
    fake.pay(reference, cents=1000)
    assert gateway.fetch(reference).cents == 1000


def test_a_session_that_stripe_does_not_know(gateway: StripeGateway) -> None:
    assert gateway.fetch("cs_test_none").state == "unknown"


def test_an_open_session_is_closed_and_a_paid_one_stays(gateway: StripeGateway, fake: FakeStripe, asked: Asked) -> None:
    reference = gateway.start(asked).reference
    gateway.expire(reference)
    gateway.expire(reference)
    assert gateway.fetch(reference).state == "expired"
    another = gateway.start(replace(asked, key="f" * 32)).reference
    fake.pay(another)
    gateway.expire(another)
    assert gateway.fetch(another).state == "paid"


def test_a_session_is_found_though_its_answer_was_lost(
    gateway: StripeGateway, fake: FakeStripe, asked: Asked, clock: StoppedClock
) -> None:
    fake.faults += ["lost", "down", "down"]
    with pytest.raises(GatewayDown):
        gateway.start(asked)
    for number in range(105):
        gateway.start(replace(asked, key=f"{number:032d}"))
    since = clock.now()
    found = gateway.find(asked.key, since)
    assert found is not None
    assert (found.state, found.payment_key) == ("open", asked.key)
    assert gateway.find(asked.key) == found
    assert gateway.find("e" * 32, since) is None
    fake.pay(found.reference)
    paid = gateway.find(asked.key, since)
    assert paid is not None
    assert (paid.state, paid.cents) == ("paid", 1520)
    assert gateway.find(asked.key, since - timedelta(hours=1)) is None, "not started then"


@pytest.mark.parametrize(
    "faults",
    [["500"], ["409", "500"], ["lost"], ["lost", "lost"], ["down", "lost"]],
)
def test_a_hiccup_opens_one_session(
    gateway: StripeGateway, fake: FakeStripe, asked: Asked, faults: list[Fault]
) -> None:
    """The library asks again with the same key by itself, twice."""
    fake.faults += faults
    assert gateway.start(asked).reference == fake.only()
    assert len(fake.requests) == len(faults) + 1


@pytest.mark.parametrize(
    "faults",
    [["500"] * 3, ["429"], ["409"] * 3, ["lost"] * 3, ["down"] * 3, ["partial"]],
)
def test_a_provider_that_is_down(gateway: StripeGateway, fake: FakeStripe, asked: Asked, faults: list[Fault]) -> None:
    fake.faults += faults
    with pytest.raises(GatewayDown) as down:
        gateway.start(asked)
    assert "ne répond pas" in down.value.sentence
    assert len(fake.sessions) <= 1
    assert gateway.start(asked).reference == fake.only(), "the same key, later, gives the one session"


def test_what_stripe_refuses(gateway: StripeGateway, fake: FakeStripe, asked: Asked) -> None:
    with pytest.raises(GatewayRefused) as refused:
        gateway.start(replace(asked, cents=49))
    assert refused.value.reason == "amount_too_small"
    assert gateway.minimum_cents == 50
    with pytest.raises(GatewayRefused):
        gateway.start(replace(asked, expires_at=asked.expires_at - timedelta(minutes=6)))
    fake.live = True
    with pytest.raises(GatewayRefused) as refused:
        gateway.fetch("cs_live_1")
    assert refused.value.reason == "AuthenticationError"
    assert fake.sessions == {}


def test_the_hold_outlives_the_shortest_session(gateway: StripeGateway, asked: Asked) -> None:
    assert gateway.hold > timedelta(minutes=30, seconds=3 * 25)


def test_nothing_is_asked_in_a_transaction(gateway: StripeGateway, fake: FakeStripe, asked: Asked) -> None:
    for call in (
        lambda: gateway.start(asked),
        lambda: gateway.fetch("cs_test_1"),
        lambda: gateway.find(asked.key),
        lambda: gateway.expire("cs_test_1"),
    ):
        with transaction(), pytest.raises(RuntimeError, match="never called in a transaction"):
            call()
    assert fake.requests == []


@pytest.mark.parametrize(
    ("key", "live"), [("sk_test_1", False), ("rk_test_1", False), ("sk_live_1", True), ("rk_live_1", True)]
)
def test_the_mode_is_read_off_the_key(app: Flask, key: str, live: bool) -> None:
    assert StripeGateway(replace(app.extensions["shop.config"], stripe_secret_key=key)).live is live


def test_it_is_there_only_with_its_key(app: Flask, make_app: MakeApp, fake: FakeStripe) -> None:
    shop = make_app(**settings(fake))
    assert set(app.extensions["payments.gateways"]) == {"sandbox"}
    assert set(shop.extensions["payments.gateways"]) == {"sandbox", "stripe"}
    for each, directive in ((app, "form-action 'self';"), (shop, "form-action 'self' https://checkout.stripe.com;")):
        assert directive in each.test_client().get("/").headers["Content-Security-Policy"]


# --- events ---


def event_of(gateway: StripeGateway, fake: FakeStripe, asked: Asked, kind: str = "checkout.session.completed") -> bytes:
    return fake.event(kind, fake.pay(gateway.start(asked).reference))


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_an_event_signed_with_any_of_our_secrets(
    gateway: StripeGateway, fake: FakeStripe, asked: Asked, clock: StoppedClock, secret: str
) -> None:
    body = event_of(gateway, fake, asked)
    assert gateway.read_event(body, signature(body, secret), clock.now()) == Notice(
        key=json.loads(body)["id"],
        kind="checkout.session.completed",
        reference=fake.only(),
        payment_key=asked.key,
        live=False,
    )


def test_events_nobody_is_to_believe(
    gateway: StripeGateway, fake: FakeStripe, asked: Asked, clock: StoppedClock
) -> None:
    body = event_of(gateway, fake, asked)
    good = signature(body, NEW)["Stripe-Signature"]
    ago = int(time.time()) - 301
    for header, changed, reason in (
        (None, body, "unsigned"),
        ("", body, "unsigned"),
        ("nonsense", body, "forged"),
        (signature(body, "whsec_somebody_else")["Stripe-Signature"], body, "forged"),
        (good, body + b" ", "forged"),
        (good, body.replace(b"1520", b"9999"), "forged"),
        (good.replace("v1=", "v0="), body, "forged"),
        (signature(body, NEW, ago)["Stripe-Signature"], body, "stale"),
        (signature(body, OLD, ago)["Stripe-Signature"], body, "stale"),
        (good, b"\xff\xfe", "unreadable"),
    ):
        with pytest.raises(EventRefused) as refused:
            gateway.read_event(changed, {} if header is None else {"Stripe-Signature": header}, clock.now())
        assert refused.value.reason == reason, header


@pytest.mark.parametrize("text", ["{}", "[]", "1", "null", '{"object": "event", "id": "evt_1"}', "not json"])
def test_signed_nonsense(gateway: StripeGateway, clock: StoppedClock, text: str) -> None:
    with pytest.raises(EventRefused) as refused:
        gateway.read_event(text.encode(), signature(text.encode(), NEW), clock.now())
    assert refused.value.reason == "unreadable"


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("checkout.session.completed", "payment"),
        ("checkout.session.async_payment_succeeded", "payment"),
        ("checkout.session.async_payment_failed", "payment"),
        ("checkout.session.expired", "payment"),
        ("payment_intent.succeeded", "payment"),
        ("payment_intent.payment_failed", "other"),
        ("setup_intent.succeeded", "other"),
        ("customer.created", "other"),
        ("refund.created", "money_back"),
        ("refund.failed", "money_back"),
        ("charge.refunded", "money_back"),
        ("charge.dispute.created", "money_back"),
        ("charge.succeeded", "other"),
    ],
)
def test_what_events_are_about(
    gateway: StripeGateway, fake: FakeStripe, asked: Asked, clock: StoppedClock, kind: str, about: str
) -> None:
    session = fake.pay(gateway.start(asked).reference)
    thing = session if kind.startswith("checkout.session") else fake.intents[session["payment_intent"]]
    body = fake.event(kind, thing)
    notice = gateway.read_event(body, signature(body, NEW), clock.now())
    assert (notice.about, notice.payment_key) == (about, asked.key)
    assert notice.reference == (session["id"] if thing is session else None)


def test_events_of_the_other_mode_and_of_another_account(
    gateway: StripeGateway, fake: FakeStripe, asked: Asked, clock: StoppedClock
) -> None:
    session = fake.pay(gateway.start(asked).reference)
    live = fake.event("checkout.session.completed", session, livemode=True)
    assert gateway.read_event(live, signature(live, NEW), clock.now()).live is True
    foreign = fake.event("checkout.session.completed", session, account="acct_somebody")
    assert gateway.read_event(foreign, signature(foreign, NEW), clock.now()).account == "acct_somebody"
