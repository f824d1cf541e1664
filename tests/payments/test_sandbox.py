"""The sandbox's page, as a browser sees it, and its calls to the shop."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from payments.errors import EventRefused
from payments.gateways import the_gateways
from payments.gateways.sandbox import LATE_BY, SandboxGateway, call_back, sign
from payments.models import SandboxPayment
from shop.clock import StoppedClock
from shop.config import ConfigurationRefused
from shop.database import reading, transaction
from tests.conftest import CountStatements, MakeApp, Submit, test_config
from tests.factory import Town
from tests.payments.attempts import Attempted, asked_for, open_top_up, started

SUCCEEDS, DECLINED, CHALLENGE = "4242 4242 4242 4242", "4000 0000 0000 0002", "4000 0027 6000 3184"
LATE, NEVER = "4000 0000 0000 0077", "4000 0000 0000 0119"
GOOD = {"expiry": "12/29", "code": "123"}


@pytest.fixture
def attempt(app: Flask, town: Town) -> Attempted:
    """A top-up of 20 € with its page at the sandbox."""
    return started(app, open_top_up(app, town, town.family()))


def path(attempt: Attempted) -> str:
    return attempt.pay_url.removeprefix("http://localhost")


def seen_state(app: Flask, attempt: Attempted) -> str:
    with app.app_context():
        return the_gateways()["sandbox"].fetch(attempt.reference).state


def row_of(app: Flask, attempt: Attempted) -> SandboxPayment:
    with app.app_context(), transaction() as db:
        return db.scalars(select(SandboxPayment).where(SandboxPayment.reference == attempt.reference)).one()


def work(app: Flask) -> int:
    with app.app_context():
        return call_back()


# --- the page ---


def test_the_page_says_what_and_how_much(client: FlaskClient, attempt: Attempted) -> None:
    page = client.get(path(attempt))
    assert (page.status_code, page.mimetype) == (200, "text/html")
    html = page.get_data(as_text=True)
    for words in (
        "20,00\u00a0€",
        "Paiement sécurisé",
        "Recharge du porte-monnaie",
        "Revenir à la boutique sans payer",
    ):
        assert words in html
    for number in (SUCCEEDS, DECLINED, CHALLENGE, LATE, NEVER):
        assert number in html
    assert page.headers["Cache-Control"] == "no-store"
    assert 'href="http://localhost/paiement-securise/cancel"' in html


def test_a_card_that_succeeds(app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted) -> None:
    answer = submit(client, path(attempt), {"number": SUCCEEDS} | GOOD)
    assert (answer.status_code, answer.location) == (303, "http://localhost/paiement-securise/success")
    assert seen_state(app, attempt) == "paid"
    assert "Ce paiement est fait" in client.get(path(attempt)).get_data(as_text=True)


def test_a_press_on_a_test_card_pays_with_it(
    app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted
) -> None:
    answer = submit(client, path(attempt), {"test_card": SUCCEEDS})
    assert answer.status_code == 303
    assert seen_state(app, attempt) == "paid"


@pytest.mark.parametrize("card", [SUCCEEDS, LATE, NEVER])
def test_a_double_click_pays_once(
    app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted, card: str
) -> None:
    answers = [submit(client, path(attempt), {"test_card": card}) for _ in range(3)]
    assert {(answer.status_code, answer.location) for answer in answers} == {
        (303, "http://localhost/paiement-securise/success")
    }
    state = seen_state(app, attempt)
    assert submit(client, path(attempt), {"test_card": DECLINED}).status_code == 303
    assert seen_state(app, attempt) == state


def test_a_declined_card_leaves_room_for_another(
    app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted
) -> None:
    answer = submit(client, path(attempt), {"number": DECLINED} | GOOD)
    assert answer.status_code == 422
    assert "Votre banque a refusé ce paiement" in answer.get_data(as_text=True)
    assert seen_state(app, attempt) == "open"
    assert submit(client, path(attempt), {"number": SUCCEEDS} | GOOD).status_code == 303
    assert seen_state(app, attempt) == "paid"


def test_the_bank_asks_and_the_person_confirms(
    app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted
) -> None:
    assert submit(client, path(attempt), {"number": CHALLENGE} | GOOD).location == path(attempt)
    assert "Votre banque demande une confirmation" in client.get(path(attempt)).get_data(as_text=True)
    assert seen_state(app, attempt) == "open"
    for _ in range(2):
        answer = submit(client, f"{path(attempt)}/confirmation", {"answer": "yes"})
        assert answer.location == "http://localhost/paiement-securise/success"
    assert seen_state(app, attempt) == "paid"


def test_the_bank_asks_and_the_person_refuses(
    app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted
) -> None:
    submit(client, path(attempt), {"test_card": CHALLENGE})
    answer = submit(client, f"{path(attempt)}/confirmation", {"answer": "no"})
    assert answer.status_code == 422
    assert "n’a pas été confirmé" in answer.get_data(as_text=True)
    assert seen_state(app, attempt) == "open"
    # An answer to a question that nobody asked pays nothing.
    submit(client, f"{path(attempt)}/confirmation", {"answer": "yes"})
    assert seen_state(app, attempt) == "open"


def test_late_success(app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted, clock: StoppedClock) -> None:
    submit(client, path(attempt), {"test_card": LATE})
    assert seen_state(app, attempt) == "processing"
    assert "en cours de vérification" in client.get(path(attempt)).get_data(as_text=True)
    clock.moment += LATE_BY - timedelta(seconds=1)
    assert seen_state(app, attempt) == "processing"
    clock.moment += timedelta(seconds=1)
    assert seen_state(app, attempt) == "paid"


def test_a_card_that_never_answers(
    app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted, clock: StoppedClock
) -> None:
    submit(client, path(attempt), {"test_card": NEVER})
    clock.moment += timedelta(minutes=29)
    assert seen_state(app, attempt) == "processing"
    clock.moment += timedelta(minutes=1)
    assert seen_state(app, attempt) == "expired"
    work(app)
    row = row_of(app, attempt)
    assert (row.state, row.call_at, row.calls) == ("expired", None, 0), "silent to the end"


def test_an_expired_page_takes_no_card(
    app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted, clock: StoppedClock
) -> None:
    clock.moment += timedelta(minutes=30)
    html = client.get(path(attempt)).get_data(as_text=True)
    assert "a expiré" in html
    assert "<button" not in html
    assert submit(client, path(attempt), {"test_card": SUCCEEDS}).location == path(attempt)
    assert seen_state(app, attempt) == "expired"


def test_the_shop_closes_a_page(app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted) -> None:
    with app.app_context():
        the_gateways()["sandbox"].expire(attempt.reference)
    assert seen_state(app, attempt) == "expired"
    submit(client, path(attempt), {"test_card": SUCCEEDS})
    assert seen_state(app, attempt) == "expired"


def test_what_is_paid_cannot_be_closed(app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted) -> None:
    submit(client, path(attempt), {"test_card": SUCCEEDS})
    with app.app_context():
        the_gateways()["sandbox"].expire(attempt.reference)
    assert seen_state(app, attempt) == "paid"


TWELVE_TO_NINETEEN = "Un numéro de carte a de 12 à 19 chiffres\u00a0: vérifiez celui-ci.</p>"
"""Alone in its place."""


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"number": "", "expiry": "12/29", "code": "123"}, "Écrivez le numéro de la carte."),
        ({"number": "4242", "expiry": "12/29", "code": "123"}, TWELVE_TO_NINETEEN),
        ({"number": "x" * 500, "expiry": "12/29", "code": "123"}, TWELVE_TO_NINETEEN),
        ({"number": "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢", "expiry": "12/29", "code": "123"}, TWELVE_TO_NINETEEN),
        ({"number": SUCCEEDS, "expiry": "10/26", "code": "123"}, "Cette carte est expirée."),
        ({"number": SUCCEEDS, "expiry": "13/29", "code": "123"}, "sous la forme MM/AA"),
        ({"number": SUCCEEDS, "expiry": "12/29", "code": "12"}, "fait de 3 chiffres"),
        ({"number": SUCCEEDS, "expiry": "12/29"}, "Écrivez les 3 chiffres"),
        ({"test_card": "4970 1000 0000 0154"}, "que les cartes de test"),
        ({"test_card": ""}, "que les cartes de test"),
    ],
)
def test_bad_input(
    app: Flask, client: FlaskClient, submit: Submit, attempt: Attempted, typed: dict[str, str], sentence: str
) -> None:
    answer = submit(client, path(attempt), typed)
    assert answer.status_code == 422
    assert sentence in answer.get_data(as_text=True)
    assert seen_state(app, attempt) == "open"


def test_what_was_typed_is_kept_but_never_a_real_card(client: FlaskClient, submit: Submit, attempt: Attempted) -> None:
    kept = submit(client, path(attempt), {"number": SUCCEEDS, "expiry": "1/2", "code": "123"}).get_data(as_text=True)
    assert 'value="4242424242424242"' in kept
    answer = submit(client, path(attempt), {"number": "4970 1000 0000 0154"} | GOOD)
    assert answer.status_code == 422
    assert "4970" not in answer.get_data(as_text=True)


def test_reading_writes_nothing(
    app: Flask,
    client: FlaskClient,
    submit: Submit,
    attempt: Attempted,
    clock: StoppedClock,
    statements: CountStatements,
) -> None:
    for step in ("open", "expired"):
        with statements() as seen:
            assert client.get(path(attempt)).status_code == 200
        assert seen.count <= 2, seen
        assert all(statement.startswith("SELECT") for statement in seen.statements), (step, seen)
        clock.moment += timedelta(minutes=31)


def test_nobody_elses_page(client: FlaskClient, submit: Submit) -> None:
    assert client.get("/paiement-securise/sbx_unknown").status_code == 404
    assert submit(client, "/paiement-securise/sbx_unknown", {"test_card": SUCCEEDS}).status_code == 404
    assert submit(client, "/paiement-securise/sbx_unknown/confirmation", {"answer": "yes"}).status_code == 404


def test_paying_needs_its_token(app: Flask, client: FlaskClient, attempt: Attempted) -> None:
    assert client.post(path(attempt), data={"test_card": SUCCEEDS}).status_code == 400
    assert client.post(f"{path(attempt)}/confirmation", data={"answer": "yes"}).status_code == 400
    assert seen_state(app, attempt) == "open"


# --- the gateway ---


def test_production_cannot_have_it(make_app: MakeApp) -> None:
    config = test_config("sqlite://")
    with pytest.raises(ConfigurationRefused):
        SandboxGateway(test_config("sqlite://", mode="production"))
    with pytest.raises(ConfigurationRefused):
        SandboxGateway(test_config("sqlite://", sandbox_secret=""))
    assert SandboxGateway(config).live is False
    production = make_app(mode="production", sandbox_secret="", base_url="https://cantine.example.org")
    assert dict(production.extensions["payments.gateways"]) == {}
    assert "sandbox_callbacks" not in [job.name for job in production.extensions["shop.jobs"]]
    assert not [rule for rule in production.url_map.iter_rules() if "paiement-securise" in rule.rule]


def test_the_same_key_starts_one_payment(app: Flask, town: Town) -> None:
    payment = open_top_up(app, town, town.family())
    with app.app_context():
        gateway = the_gateways()["sandbox"]
        first, second = gateway.start(asked_for(payment)), gateway.start(asked_for(payment))
        assert first == second
        found = gateway.find(payment.key)
        assert found is not None
        assert (found.reference, found.payment_key, found.cents, found.state) == (
            first.reference,
            payment.key,
            2000,
            "open",
        )
        assert gateway.find("0" * 32) is None
        assert gateway.fetch("sbx_unknown").state == "unknown"


def test_no_provider_is_called_in_a_transaction(app: Flask, attempt: Attempted, town: Town) -> None:
    payment = open_top_up(app, town, town.family())
    with app.app_context():
        gateway = the_gateways()["sandbox"]
        for call in (
            lambda: gateway.start(asked_for(payment)),
            lambda: gateway.fetch(attempt.reference),
            lambda: gateway.find(payment.key),
            lambda: gateway.expire(attempt.reference),
        ):
            with transaction(), pytest.raises(RuntimeError, match="never called in a transaction"):
                call()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda header: "", "unsigned"),
        (lambda header: "nonsense", "unsigned"),
        (lambda header: header.replace("t=", "t=x"), "unsigned"),
        (lambda header: header + ",t=1", "unsigned"),
        (lambda header: re.sub("v1=.*", "", header), "forged"),
        (lambda header: header[:-1] + ("0" if header[-1] != "0" else "1"), "forged"),
        (lambda header: re.sub("v1=.*", "v1=é", header), "forged"),
        (lambda header: re.sub("t=[0-9]+", "t=1", header), "forged"),
    ],
)
def test_forged_calls(app: Flask, clock: StoppedClock, spoil: object, reason: str) -> None:
    body = b'{"id": "evt_1"}'
    header = sign(body, "the sandbox's secret in tests", clock.now())
    gateway = SandboxGateway(app.extensions["shop.config"])
    with pytest.raises(EventRefused) as refused:
        gateway.read_event(body, {"Sandbox-Signature": spoil(header)}, clock.now())  # type: ignore[operator]
    assert refused.value.reason == reason


def test_a_call_is_good_for_five_minutes(app: Flask, clock: StoppedClock) -> None:
    gateway, now = SandboxGateway(app.extensions["shop.config"]), clock.now()
    body = json.dumps({"id": "e", "type": "payment.paid", "reference": "r", "payment_key": "k", "live": False}).encode()
    headers = {"Sandbox-Signature": sign(body, "the sandbox's secret in tests", now)}
    for late in (timedelta(0), timedelta(minutes=5), -timedelta(minutes=5)):
        assert gateway.read_event(body, headers, now + late).payment_key == "k"
    for late in (timedelta(minutes=5, seconds=1), -timedelta(minutes=5, seconds=1)):
        with pytest.raises(EventRefused) as refused:
            gateway.read_event(body, headers, now + late)
        assert refused.value.reason == "stale"


@pytest.mark.parametrize("body", [b"{}", b"[]", b"1", b"\xff", b"not json", b'{"id": 1}'])
def test_signed_nonsense(app: Flask, clock: StoppedClock, body: bytes) -> None:
    gateway = SandboxGateway(app.extensions["shop.config"])
    headers = {"Sandbox-Signature": sign(body, "the sandbox's secret in tests", clock.now())}
    with pytest.raises(EventRefused) as refused:
        gateway.read_event(body, headers, clock.now())
    assert refused.value.reason == "unreadable"


# --- calling back ---


class Shop:
    """What stands at the other end of the line: it answers as it is told and remembers what it was told."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.heard: list[tuple[str, bytes, str]] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                shop.heard.append((self.path, body, self.headers["Sandbox-Signature"]))
                self.send_response(shop.answers.pop(0) if shop.answers else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    @contextmanager
    def listening(self) -> Iterator["Shop"]:
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


def test_calls_are_repeated_until_they_are_answered(
    make_app: MakeApp, clock: StoppedClock, town: Town, submit: Submit
) -> None:
    with Shop().listening() as line:
        app = make_app(base_url=line.url)
        attempt = started(app, open_top_up(app, town, town.family()))
        submit(app.test_client(), attempt.pay_url.removeprefix(line.url), {"test_card": SUCCEEDS})
        line.answers = [500, 503, 404]
        for _ in range(3):
            assert work(app) == 0
            assert work(app) == 0, "not before its pause is over"
            clock.moment += timedelta(minutes=1)
        assert len(line.heard) == 3
        assert work(app) == 1
        clock.moment += timedelta(hours=1)
        assert work(app) == 0
    assert len(line.heard) == 4
    assert {address for address, _body, _header in line.heard} == {"/webhooks/sandbox"}
    assert len({json.loads(body)["id"] for _address, body, _header in line.heard}) == 1, "the same event each time"
    gateway = SandboxGateway(app.extensions["shop.config"])
    _address, body, header = line.heard[-1]
    notice = gateway.read_event(body, {"Sandbox-Signature": header}, clock.now() - timedelta(hours=1))
    assert (notice.kind, notice.reference, notice.payment_key) == ("payment.paid", attempt.reference, attempt.key)


def test_nobody_at_the_other_end(make_app: MakeApp, clock: StoppedClock, town: Town, submit: Submit) -> None:
    line = Shop()
    line.server.server_close()
    app = make_app(base_url=line.url)
    attempt = started(app, open_top_up(app, town, town.family()))
    submit(app.test_client(), attempt.pay_url.removeprefix(line.url), {"test_card": LATE})
    assert work(app) == 0
    assert row_of(app, attempt).calls == 0, "nothing to tell yet"
    clock.moment += LATE_BY
    assert work(app) == 0
    row = row_of(app, attempt)
    assert (row.state, row.calls) == ("paid", 1)
    clock.moment += timedelta(days=1, minutes=11)
    assert work(app) == 0
    row = row_of(app, attempt)
    assert (row.call_at, row.calls) == (None, 2), "given up after a day"


def test_an_expired_page_is_told_too(make_app: MakeApp, clock: StoppedClock, town: Town) -> None:
    with Shop().listening() as line:
        app = make_app(base_url=line.url)
        attempt = started(app, open_top_up(app, town, town.family()))
        clock.moment += timedelta(minutes=30)
        assert work(app) == 1
    assert json.loads(line.heard[0][1])["type"] == "payment.expired"
    with app.app_context(), reading() as db:
        assert db.scalars(select(SandboxPayment.state).where(SandboxPayment.reference == attempt.reference)).one()
