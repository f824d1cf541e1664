"""A form of ours leads to Stripe's page: Chromium refuses that under `form-action 'self'`, and only a browser can tell."""

import datetime
import os
import shutil
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask
from playwright.sync_api import sync_playwright
from sqlalchemy import update
from werkzeug.serving import make_server

from catalog.models import Regie
from payments.gateways.stripe_checkout import StripeGateway
from shop.clock import StoppedClock
from shop.database import transaction
from tests.browser.windows import FLAGS
from tests.conftest import MakeApp, SignIn
from tests.factory import Town
from tests.payments.fake_stripe import FakeStripe, settings
from tests.payments.test_localstripe import free_port

pytestmark = pytest.mark.browser

HOST = "checkout.stripe.com"


def certificate(folder: Path) -> Path:
    """A certificate for Stripe's page that nobody but this test's browser accepts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture(scope="module")
def stripes_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that answers as Stripe's payment page would."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = b"<!DOCTYPE html><title>Stripe</title><h1>Payer chez Stripe</h1>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path_factory.mktemp("stripe")))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def serving(app: Flask, port: int) -> Iterator[None]:
    """The shop, behind a small server."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Visit(NamedTuple):
    """Where the browser ended up, and what its console said."""

    url: str
    heading: str
    said: list[str]


def top_up(port: int, cookie: str, stripe_port: int) -> Visit:
    """Ask for a top-up in a browser for which Stripe's host is the server at that port."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.fail("There is no Chromium here: apt install chromium, or name one with CHROMIUM=/path/to/chromium.")
    flags = [*FLAGS, f"--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{stripe_port}"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        page = browser.new_context(ignore_https_errors=True, locale="fr-FR").new_page()
        page.set_default_timeout(10_000)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.context.add_cookies([{"name": "session", "value": cookie, "url": f"http://localhost:{port}"}])
        page.goto(f"http://localhost:{port}/recharger")
        page.get_by_role("textbox").fill("12,50")
        page.get_by_role("main").get_by_role("button").last.click()
        # Either Stripe's page comes, or the console says why it does not.
        deadline = time.monotonic() + 10
        while HOST not in page.url and not said and time.monotonic() < deadline:
            page.wait_for_timeout(50)
        page.wait_for_load_state()
        visit = Visit(page.url, page.get_by_role("heading", level=1).inner_text(), said)
        browser.close()
        return visit


@pytest.mark.parametrize("allowed", [True, False])
def test_a_form_leads_to_stripes_page(
    make_app: MakeApp,
    clock: StoppedClock,
    town: Town,
    sign_in: SignIn,
    stripes_page: int,
    monkeypatch: pytest.MonkeyPatch,
    allowed: bool,
) -> None:
    """The second time is the control: without Stripe's host in the policy, the browser stays where it is."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    if not allowed:
        monkeypatch.setattr(StripeGateway, "form_hosts", ())
    family, port = town.family(children=1), free_port()
    with FakeStripe(clock.now) as fake:
        app = make_app(**settings(fake), base_url=f"http://localhost:{port}")
        with app.app_context(), transaction() as db:
            db.execute(update(Regie).values(card_gateway="stripe"))
        client = app.test_client()
        sign_in(client, family)
        cookie = client.get_cookie("session")
        assert cookie is not None
        with serving(app, port), ThreadPoolExecutor(1) as thread:
            # In a thread of its own: the other tests' browser keeps a loop running in this one.
            visit = thread.submit(top_up, port, cookie.value, stripes_page).result()
        session_id = fake.only()
    assert fake.sessions[session_id]["amount_total"] == 1250
    if allowed:
        assert (visit.url, visit.heading) == (f"https://{HOST}/c/pay/{session_id}", "Payer chez Stripe")
    else:
        assert visit.url == f"http://localhost:{port}/recharger"
        assert any("form-action" in sentence for sentence in visit.said), visit
