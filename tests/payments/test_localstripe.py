"""Stripe as others have rebuilt it: `localstripe`, a separate process on loopback, driven through the real library.

It has no Checkout; it plays payment intents, cards that are declined or ask for 3-D Secure, refunds, and webhooks signed by
its own code. What is tried here: our client's settings, its errors, and that we read events which somebody else wrote.
"""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import stripe
from flask import Flask

from payments.errors import EventRefused, GatewayDown
from payments.gateways.stripe_checkout import StripeGateway
from shop.clock import StoppedClock

SECRET = "whsec_of_localstripe"
MARK = {"payment": "0123456789abcdef0123456789abcdef"}
START_SECONDS, EVENT_SECONDS = 30, 20
# Its own command listens on every interface and writes to a fixed place; this does neither.
PROGRAM = """
import sys
from aiohttp import web
from localstripe import resources
from localstripe.server import app
resources.Store.dump_to_disk = lambda self: None
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""


@dataclass
class Peer:
    """The running peer: its address and the calls it made to us, as (body, signature)."""

    url: str
    heard: queue.Queue[tuple[bytes, str]]

    def wait_for(self, kind: str) -> tuple[bytes, str]:
        """The next call about an event of this kind."""
        deadline = time.monotonic() + EVENT_SECONDS
        while True:
            body, header = self.heard.get(timeout=max(0.1, deadline - time.monotonic()))
            if json.loads(body)["type"] == kind:
                return body, header


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """localstripe, and a listener for its webhooks."""
    heard: queue.Queue[tuple[bytes, str]] = queue.Queue()

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.put((self.rfile.read(int(self.headers["Content-Length"])), self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listener = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    port, said = free_port(), Path(tmp_path_factory.mktemp("localstripe")) / "log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_listening(port):
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port}"
        hook = json.dumps({"url": f"http://127.0.0.1:{listener.server_port}/", "secret": SECRET}).encode()
        request = urllib.request.Request(f"{url}/_config/webhooks/ours", hook, {"Content-Type": "application/json"})
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()
        yield Peer(url, heard)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listener.shutdown()
        thread.join()
        listener.server_close()


@pytest.fixture
def gateway(app: Flask, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeGateway]:
    """Our gateway, with the peer for its Stripe."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with app.app_context():
        yield StripeGateway(
            replace(
                app.extensions["shop.config"],
                stripe_secret_key="sk_test_12345",
                stripe_webhook_secrets=("whsec_another", SECRET),
                stripe_api_base=peer.url,
            )
        )


@pytest.fixture
def client(peer: Peer, gateway: StripeGateway) -> stripe.StripeClient:
    """The library's client, set up as the gateway's own."""
    return stripe.StripeClient(
        "sk_test_12345",
        base_addresses={"api": peer.url},
        max_network_retries=2,
        http_client=stripe.RequestsClient(timeout=(5, 20)),
    )


def card(client: stripe.StripeClient, number: str) -> str:
    """A payment method of this card."""
    return client.v1.payment_methods.create(
        {"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2030, "cvc": "123"}}
    ).id


def test_an_event_that_somebody_else_signed(
    gateway: StripeGateway, client: stripe.StripeClient, peer: Peer, clock: StoppedClock
) -> None:
    intent = client.v1.payment_intents.create(
        {"amount": 1520, "currency": "eur", "payment_method": "pm_card_visa", "metadata": MARK}
    )
    assert client.v1.payment_intents.confirm(intent.id).status == "succeeded"
    body, header = peer.wait_for("payment_intent.succeeded")
    notice = gateway.read_event(body, {"Stripe-Signature": header}, clock.now())
    assert (notice.kind, notice.about, notice.payment_key) == ("payment_intent.succeeded", "payment", MARK["payment"])
    assert (notice.reference, notice.live, notice.account) == (None, False, None)
    for changed, signed in ((body.replace(b"1520", b"1521"), header), (body, header[:-4] + "0000")):
        with pytest.raises(EventRefused) as refused:
            gateway.read_event(changed, {"Stripe-Signature": signed}, clock.now())
        assert refused.value.reason == "forged"


def test_a_declined_card(gateway: StripeGateway, client: stripe.StripeClient, peer: Peer, clock: StoppedClock) -> None:
    intent = client.v1.payment_intents.create(
        {"amount": 900, "currency": "eur", "payment_method": card(client, "4000000000000341"), "metadata": MARK}
    )
    with pytest.raises(stripe.CardError) as declined:
        client.v1.payment_intents.confirm(intent.id)
    assert declined.value.code == "card_declined"
    body, header = peer.wait_for("payment_intent.payment_failed")
    notice = gateway.read_event(body, {"Stripe-Signature": header}, clock.now())
    assert (notice.about, notice.payment_key) == ("other", MARK["payment"]), (
        "another card may be tried: nothing is given up"
    )


def test_a_card_that_asks_for_the_bank(gateway: StripeGateway, client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create(
        {"amount": 900, "currency": "eur", "payment_method": card(client, "4000002760003184")}
    )
    assert client.v1.payment_intents.confirm(intent.id).status == "requires_action"


def test_a_refund_in_parts(client: stripe.StripeClient) -> None:
    """It does not refuse to give back more than was taken: our own check, under lock, has to."""
    intent = client.v1.payment_intents.create({"amount": 1000, "currency": "eur", "payment_method": "pm_card_visa"})
    client.v1.payment_intents.confirm(intent.id)
    refunds = [client.v1.refunds.create({"payment_intent": intent.id, "amount": cents}) for cents in (300, 700)]
    assert [(refund.status, refund.amount) for refund in refunds] == [("succeeded", 300), ("succeeded", 700)]
    charge = client.v1.charges.retrieve(str(refunds[0].charge))
    assert (charge.amount_refunded, charge.refunded) == (1000, True)


def test_an_answer_that_is_not_stripes(gateway: StripeGateway) -> None:
    """It has no Checkout and says so in plain words: that is no "no" from Stripe, so nothing may be concluded from it."""
    with pytest.raises(GatewayDown):
        gateway.fetch("cs_test_1")
    with pytest.raises(GatewayDown):
        gateway.find("k" * 32)
