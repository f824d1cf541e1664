"""Nothing calls a network while a transaction is open (trust: T-018): the watch that every test is under sees it."""

import http.client
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from flask import Flask

from shop.database import transaction
from tests.checkout.provider import Provider
from tests.conftest import SendLetters, SignIn, Submit
from tests.factory import Town
from tests.network import NetworkInTransaction, Watch


class Quiet(BaseHTTPRequestHandler):
    """Answers everything with nothing."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def by_http(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
    finally:
        connection.close()


def by_smtp(port: int) -> None:
    server = smtplib.SMTP(timeout=5)
    try:
        server.connect("127.0.0.1", port)
    finally:
        server.close()


def by_socket(port: int) -> None:
    with socket.socket() as plug:
        plug.connect(("127.0.0.1", port))


@pytest.mark.parametrize("call", [by_http, by_smtp, by_socket])
def test_control_a_call_in_a_transaction_is_caught(
    app: Flask, network: Watch, port: int, call: Callable[[int], None]
) -> None:
    with app.app_context(), pytest.raises(NetworkInTransaction), transaction():
        call(port)
    assert network.caught
    network.caught.clear()


def test_control_a_connection_that_was_open_before_is_caught_too(app: Flask, network: Watch, port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/")
    connection.getresponse().read()
    with app.app_context(), pytest.raises(NetworkInTransaction), transaction():
        connection.request("GET", "/")
    connection.close()
    assert network.caught == ["http.client.send"]
    network.caught.clear()


def test_control_a_gateway_that_forgets_the_guard_is_caught(
    app: Flask, network: Watch, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateways' own guard refuses first; without it the watch sees the call."""
    provider = Provider(on_call=lambda: by_http(port))
    with app.app_context():
        with pytest.raises(RuntimeError, match="never called in a transaction"), transaction():
            provider.fetch("ref_1")
        monkeypatch.setattr("tests.checkout.provider.leave_the_house", lambda: None)
        with pytest.raises(NetworkInTransaction), transaction():
            provider.fetch("ref_1")
    network.caught.clear()


def test_outside_of_a_transaction_anything_may_be_called(app: Flask, network: Watch, port: int) -> None:
    with app.app_context():
        with transaction():
            pass
        by_http(port)
        by_socket(port)
    assert (network.calls >= 3, network.caught) == (True, [])


def test_a_purchase_by_card_calls_out_only_between_its_transactions(
    app: Flask,
    town: Town,
    network: Watch,
    port: int,
    sign_in: SignIn,
    submit: Submit,
    letters: SendLetters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Start, webhook, return, giving up: each with a provider that really is called."""
    provider = Provider(on_call=lambda: by_http(port))
    monkeypatch.setitem(app.extensions["payments.gateways"], "sandbox", provider)
    canteen = town.aiguilhe.canteen
    day = canteen.open_days(town.now)[0]
    for number, state in enumerate(("paid", "expired", "open"), 1):
        client, family = app.test_client(), town.family(children=2)
        sign_in(client, family)
        basket = town.basket(family, canteen, [day])
        assert submit(client, "/panier/payer/carte", {"panier": basket, "total": 760}).status_code == 303
        reference = f"ref_{number}"
        key = provider.seen[reference].payment_key
        if state == "open":
            submit(client, f"/paiement/{key}/abandonner")
            assert provider.seen[reference].state == "expired"
        else:
            provider.says(reference, state=state)
            assert client.post("/webhooks/sandbox", data=provider.event(reference)).status_code == 200
            assert client.get(f"/paiement/retour/{key}").status_code == 303
    assert letters()
    assert provider.calls.count("start") == 3
    assert network.calls >= 2 * len(provider.calls)
