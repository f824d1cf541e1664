"""The database says "again", "not now", or nothing at all: a request is done whole, once, or not at all (trust: F5 to F9)."""

import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

import payments.operations
from cart.models import Basket
from orders.models import Order, Reservation
from payments.gateways.base import Started
from payments.models import Payment
from shop.database import TRIES, Database
from tests.checkout.provider import Provider
from tests.conftest import BooksHold, MakeApp, OpenSession, SignIn, Submit
from tests.factory import Family, Town
from tests.races.together import the_database_of
from tests.races.wire import Wire, wire_to
from wallet.models import LedgerAccount

pytestmark = pytest.mark.race

WALLET, CARD, CANCEL = "/panier/payer/porte-monnaie", "/panier/payer/carte", "/mes-reservations/annuler"


@pytest.fixture
def postgresql(app: Flask) -> None:
    if the_database_of(app).is_sqlite:
        pytest.skip("PostgreSQL's own")


@pytest.fixture
def sqlite_only(app: Flask) -> None:
    if not the_database_of(app).is_sqlite:
        pytest.skip("SQLite's own")


@dataclass
class Purchase:
    """A family with four meals in its basket, and its browser."""

    client: FlaskClient
    submit: Submit
    read: OpenSession
    family: Family
    basket_id: int
    days: list[date]

    def pay(self, way: str = WALLET) -> TestResponse:
        return self.submit(self.client, way, {"panier": self.basket_id, "total": 1520})

    def facts(self) -> tuple[int, Counter[str], int, str]:
        """Orders, meals by state, the wallet, the basket."""
        with self.read() as db:
            return (
                len(db.scalars(select(Order.id)).all()),
                Counter(db.scalars(select(Reservation.state))),
                db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.id == self.family.wallet_id)).one(),
                db.scalars(select(Basket.state).where(Basket.id == self.basket_id)).one(),
            )

    nothing = (0, Counter[str](), 5000, "open")
    bought = (1, Counter({"confirmed": 4}), 5000 - 1520, "converted")


@pytest.fixture
def purchase(app: Flask, town: Town, read: OpenSession, sign_in: SignIn, submit: Submit) -> Purchase:
    return purchase_at(app, town, read, sign_in, submit)


def purchase_at(app: Flask, town: Town, read: OpenSession, sign_in: SignIn, submit: Submit) -> Purchase:
    client, family = app.test_client(), town.family(balance_cents=5000)
    sign_in(client, family)
    days = town.aiguilhe.canteen.open_days(town.now)
    return Purchase(client, submit, read, family, town.basket(family, town.aiguilhe.canteen, days[:2]), days)


@contextmanager
def errors_of(engine: Engine) -> Iterator[list[str]]:
    """The SQLSTATE (SQLite: the words) of every error that the database gives."""
    seen: list[str] = []

    def note(context: Any) -> None:
        seen.append(getattr(context.original_exception, "sqlstate", None) or str(context.original_exception))

    event.listen(engine, "handle_error", note)
    try:
        yield seen
    finally:
        event.remove(engine, "handle_error", note)


@contextmanager
def somebody_else(database: Database) -> Iterator[Connection]:
    """A transaction of somebody who is not the shop."""
    engine = create_engine(database.engine.url)
    if database.is_sqlite:

        @event.listens_for(engine, "connect")
        def prepare(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None

    with engine.connect() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.rollback()
    engine.dispose()


def in_the_background(work: Callable[[], TestResponse]) -> tuple[threading.Thread, list[TestResponse]]:
    answers: list[TestResponse] = []
    thread = threading.Thread(target=lambda: answers.append(work()), daemon=True)
    thread.start()
    return thread, answers


def wait_until_it_waits(connection: Connection) -> None:
    """Until somebody in this database waits for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 20
    while not connection.scalar(waiting):
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- "again" ---


def in_a_deadlock(
    app: Flask, wallet_id: int | None, work: Callable[[], TestResponse]
) -> tuple[TestResponse, list[str]]:
    """The answer to a request during which somebody takes the same locks in the other order, and the database's errors.

    The request waits for a wallet (or all of the ledger), holding its days; then we, who hold the wallet, wait for the
    days. PostgreSQL ends the transaction of whoever looks first, and we look after a minute only.
    """
    ledger = text("SELECT id FROM ledger_accounts WHERE id = coalesce(:wallet, id) FOR UPDATE")
    with errors_of(the_database_of(app).engine) as errors, somebody_else(the_database_of(app)) as other:
        other.execute(text("SET LOCAL deadlock_timeout = '60s'"))
        other.execute(ledger, {"wallet": wallet_id})
        thread, answers = in_the_background(work)
        wait_until_it_waits(other)
        other.execute(text("SELECT id FROM service_days FOR UPDATE"))
        other.rollback()
        thread.join(30)
    return answers[0], errors


@pytest.mark.usefixtures("postgresql")
def test_a_deadlock_is_tried_again_whole_and_pays_once(app: Flask, purchase: Purchase, books_hold: BooksHold) -> None:
    answer, errors = in_a_deadlock(app, purchase.family.wallet_id, purchase.pay)
    assert errors == ["40P01"], "no deadlock happened: nothing was tried"
    assert answer.status_code == 303
    assert purchase.facts() == purchase.bought
    books_hold()


@pytest.mark.usefixtures("postgresql")
def test_control_without_trying_again_the_deadlock_is_the_persons(
    app: Flask, purchase: Purchase, books_hold: BooksHold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shop.web.retried", lambda command: command())
    answer, errors = in_a_deadlock(app, purchase.family.wallet_id, purchase.pay)
    assert (errors, answer.status_code) == (["40P01"], 503)
    assert purchase.facts() == purchase.nothing
    books_hold()


@pytest.mark.usefixtures("postgresql")
@pytest.mark.parametrize("road", ["return", "verify", "webhook"])
def test_a_deadlock_when_money_comes_is_tried_again(
    app: Flask, purchase: Purchase, books_hold: BooksHold, monkeypatch: pytest.MonkeyPatch, road: str
) -> None:
    """On every road: also the browser's way back, which is a GET and is not tried again as a whole."""
    provider = Provider()
    monkeypatch.setitem(app.extensions["payments.gateways"], "sandbox", provider)
    assert purchase.pay(CARD).status_code == 303
    provider.says("ref_1", state="paid")
    key = provider.seen["ref_1"].payment_key
    ways: dict[str, Callable[[], TestResponse]] = {
        "return": lambda: purchase.client.get(f"/paiement/retour/{key}"),
        "verify": lambda: purchase.submit(purchase.client, f"/paiement/{key}/verifier"),
        "webhook": lambda: purchase.client.post("/webhooks/sandbox", data=provider.event("ref_1")),
    }
    answer, errors = in_a_deadlock(app, None, ways[road])
    assert errors == ["40P01"], "no deadlock happened: nothing was tried"
    assert answer.status_code == (200 if road == "webhook" else 303)
    assert purchase.facts() == (1, {"confirmed": 4}, 5000, "converted")
    books_hold()


@pytest.mark.usefixtures("postgresql")
@pytest.mark.parametrize("times", [1, TRIES - 1])
def test_what_is_written_after_the_provider_was_called_is_tried_again_without_calling_anew(
    app: Flask, purchase: Purchase, books_hold: BooksHold, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    provider, left, mark_sent = Provider(), [times], payments.operations.mark_sent
    monkeypatch.setitem(app.extensions["payments.gateways"], "sandbox", provider)

    def stumbling(db: Session, payment_id: int, started: Started) -> Payment:
        marked = mark_sent(db, payment_id, started)
        if left[0]:
            left[0] -= 1
            db.execute(text("DO $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '40P01'; END $$"))
        return marked

    monkeypatch.setattr("payments.operations.mark_sent", stumbling)
    answer = purchase.pay(CARD)
    assert (answer.status_code, answer.headers["Location"]) == (303, "http://localhost/elsewhere/ref_1")
    assert (left, provider.calls) == ([0], ["start"])
    assert purchase.facts() == (1, {"held": 4}, 5000, "completing")
    books_hold()


@pytest.mark.usefixtures("postgresql")
def test_a_storm_of_serialization_failures_is_waited_out_or_said(
    app: Flask, town: Town, read: OpenSession, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    """F8: thirty families buy the same day at once in a shop at REPEATABLE READ, where each is told to begin anew."""
    database = the_database_of(app)
    purchases = [purchase_at(app, town, read, sign_in, submit) for _ in range(30)]
    strict, usual = database.engine.execution_options(begin="BEGIN ISOLATION LEVEL REPEATABLE READ"), database.engine
    answers: list[TestResponse] = []
    gate = threading.Barrier(len(purchases))

    def buy(purchase: Purchase) -> None:
        gate.wait(30)
        answers.append(purchase.pay())

    database.engine = strict
    try:
        with errors_of(usual) as errors:
            threads = [threading.Thread(target=buy, args=(purchase,), daemon=True) for purchase in purchases]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
    finally:
        database.engine = usual
    assert errors.count("40001") >= 10, "nobody was told to begin anew: nothing was tried"
    assert len(errors) <= len(purchases) * TRIES
    codes = Counter(answer.status_code for answer in answers)
    assert set(codes) <= {303, 503}
    assert codes[303] >= 1
    assert codes.total() == 30
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers if answer.status_code == 503)
    books_hold()
    # Whoever was told to come back comes back, one after the other, and everybody has one order.
    assert {purchase.pay().status_code for purchase in purchases} == {303}
    assert purchases[0].facts()[:2] == (30, {"confirmed": 120})
    with read() as db:
        assert set(db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.kind == "wallet"))) == {3480}
    books_hold()


# --- "not now" ---


@pytest.mark.usefixtures("postgresql")
def test_after_the_last_try_the_person_is_told_to_come_back(
    app: Flask, purchase: Purchase, books_hold: BooksHold
) -> None:
    database = the_database_of(app)

    @event.listens_for(database.engine, "begin")
    def hurry(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '20ms'")

    try:
        with errors_of(database.engine) as errors, somebody_else(database) as other:
            other.execute(text("SELECT id FROM service_days FOR UPDATE"))
            answer = purchase.pay()
    finally:
        event.remove(database.engine, "begin", hurry)
    assert errors == ["55P03"] * TRIES
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "Rien n’a été enregistré" in answer.text
    assert purchase.facts() == purchase.nothing
    assert purchase.pay().status_code == 303
    assert purchase.facts() == purchase.bought
    books_hold()


@contextmanager
def impatient(database: Database) -> Iterator[None]:
    """SQLite waits for a tenth of a second only."""

    def hurry(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout = 100")

    event.listen(database.engine, "connect", hurry)
    database.engine.dispose()
    try:
        yield
    finally:
        event.remove(database.engine, "connect", hurry)
        database.engine.dispose()


@pytest.mark.usefixtures("sqlite_only")
@pytest.mark.parametrize("way", [WALLET, CARD])
def test_a_file_that_stays_locked_is_waited_for_once_and_then_said(
    app: Flask, purchase: Purchase, books_hold: BooksHold, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """F9. SQLite has waited already, ten seconds in production: waiting five times over would outlast any browser."""
    monkeypatch.setattr("shop.database.BUSY_TIMEOUT_SECONDS", 0.1)
    database = the_database_of(app)
    with impatient(database), errors_of(database.engine) as errors, somebody_else(database):
        answer = purchase.pay(way)
        assert "Votre panier" in purchase.client.get("/panier").text, "pages that only read are still there"
    assert errors == ["database is locked"]
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert purchase.facts() == purchase.nothing
    assert purchase.pay().status_code == 303
    assert purchase.facts() == purchase.bought
    books_hold()


@pytest.mark.usefixtures("sqlite_only")
def test_a_file_that_is_locked_for_a_moment_is_waited_for(
    app: Flask, purchase: Purchase, books_hold: BooksHold
) -> None:
    with somebody_else(the_database_of(app)) as other:
        thread, answers = in_the_background(purchase.pay)
        time.sleep(0.3)
        assert not answers
        other.rollback()
        thread.join(20)
    assert answers[0].status_code == 303
    books_hold()


# --- nothing at all ---


@dataclass
class Wired:
    """A shop whose PostgreSQL is at the other end of a wire."""

    app: Flask
    wire: Wire
    provider: Provider


@pytest.fixture
def wired(
    app: Flask, town: Town, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, postgresql: None
) -> Iterator[Wired]:
    with wire_to(make_url(app.extensions["shop.config"].database_url)) as (wire, url):
        another, provider = make_app(database_url=url), Provider()
        monkeypatch.setitem(another.extensions["payments.gateways"], "sandbox", provider)
        yield Wired(another, wire, provider)
        another.extensions["shop.database"].engine.dispose()


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_connection_is_lost_at_the_commit_of_a_payment(
    wired: Wired,
    town: Town,
    read: OpenSession,
    sign_in: SignIn,
    submit: Submit,
    books_hold: BooksHold,
    when: Any,
) -> None:
    """F6 and F7: the person is told to come back, and finds one order, whichever side of the commit it was."""
    purchase = purchase_at(wired.app, town, read, sign_in, submit)
    wired.wire.cut_at_commit = when
    answer = purchase.pay()
    assert wired.wire.cuts == 1
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert purchase.facts() == (purchase.nothing if when == "before" else purchase.bought)
    books_hold()
    numbers = {purchase.pay().headers["Location"] for _ in range(2)}
    assert len(numbers) == 1
    assert purchase.facts() == purchase.bought
    books_hold()


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_connection_is_lost_at_the_commit_of_a_cancellation(
    wired: Wired,
    town: Town,
    read: OpenSession,
    sign_in: SignIn,
    submit: Submit,
    books_hold: BooksHold,
    when: Any,
) -> None:
    purchase = purchase_at(wired.app, town, read, sign_in, submit)
    purchase.pay()
    with read() as db:
        meal = db.scalars(select(Reservation.id)).first()
    wired.wire.cut_at_commit = when
    assert submit(purchase.client, CANCEL, {"repas": meal, "credit": 380}).status_code == 503
    assert wired.wire.cuts == 1
    assert purchase.facts()[2] == (3480 if when == "before" else 3860)
    submit(purchase.client, CANCEL, {"repas": meal, "credit": 380})
    assert purchase.facts()[1:3] == ({"confirmed": 3, "cancelled": 1}, 3860)
    books_hold()


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_connection_is_lost_when_money_comes(
    wired: Wired,
    town: Town,
    read: OpenSession,
    sign_in: SignIn,
    submit: Submit,
    books_hold: BooksHold,
    when: Any,
) -> None:
    """The provider is told that nothing was kept, tells us again, and the money is booked once."""
    purchase = purchase_at(wired.app, town, read, sign_in, submit)
    assert purchase.pay(CARD).status_code == 303
    wired.provider.says("ref_1", state="paid")
    wired.wire.cut_at_commit = when
    codes = [
        purchase.client.post("/webhooks/sandbox", data=wired.provider.event("ref_1")).status_code for _ in range(3)
    ]
    assert (wired.wire.cuts, codes) == (1, [503, 200, 200])
    assert purchase.facts() == (1, {"confirmed": 4}, 5000, "converted")
    books_hold()


def test_the_connection_is_lost_between_hold_and_provider(
    wired: Wired, town: Town, read: OpenSession, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    """The places are held, the answer of the commit is lost, the provider was never called: nobody pays for nothing."""
    purchase = purchase_at(wired.app, town, read, sign_in, submit)
    wired.wire.cut_at_commit = "after"
    assert purchase.pay(CARD).status_code == 503
    assert (wired.wire.cuts, wired.provider.calls) == (1, [])
    assert purchase.facts() == (1, {"held": 4}, 5000, "completing")
    assert purchase.pay(CARD).status_code == 409
    with read() as db:
        assert db.scalars(select(Payment.state).where(Payment.purpose == "order")).all() == ["created"]
    books_hold()


def test_a_server_that_is_away_is_said_and_found_again(
    wired: Wired, town: Town, read: OpenSession, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    """F5: PostgreSQL hangs up and answers nobody; when it is back, the shop goes on by itself."""
    purchase = purchase_at(wired.app, town, read, sign_in, submit)
    assert purchase.client.get("/panier").status_code == 200
    wired.wire.close()
    for _ in range(3):
        for answer in (purchase.pay(), purchase.client.get("/panier"), purchase.client.get("/communes/aiguilhe")):
            assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "2")
    assert purchase.facts() == purchase.nothing
    wired.wire.open()
    assert purchase.pay().status_code == 303
    assert purchase.facts() == purchase.bought
    books_hold()


@pytest.mark.usefixtures("postgresql")
def test_connections_ended_in_the_middle_of_transactions(
    app: Flask, town: Town, read: OpenSession, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    """An administrator ends connections at random while eight families buy: each is told 503 or has its order."""
    chance = random.Random(5)
    purchases: list[Purchase] = []
    codes: list[int] = []

    def buy(mine: Purchase) -> None:
        for _ in range(30):
            codes.append(mine.pay().status_code)
            if codes[-1] == 303:
                break

    engine = create_engine(the_database_of(app).engine.url, isolation_level="AUTOCOMMIT")
    busy = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'cantine-facile' AND state <> 'idle' LIMIT 1"
    )
    ended = 0
    with engine.connect() as administrator:
        # On a quick machine the first eight may be through before anybody is hit.
        while not ended and len(purchases) < 80:
            eight = [purchase_at(app, town, read, sign_in, submit) for _ in range(8)]
            purchases += eight
            threads = [threading.Thread(target=buy, args=(purchase,), daemon=True) for purchase in eight]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads) and ended < 12:
                ended += len(administrator.execute(busy).all())
                time.sleep(chance.uniform(0, 0.01))
            for thread in threads:
                thread.join(60)
    engine.dispose()
    assert ended >= 1, "nobody was hit: nothing was tried"
    assert set(codes) <= {303, 503}
    assert codes.count(303) == len(purchases)
    assert purchases[0].facts()[:2] == (len(purchases), {"confirmed": 4 * len(purchases)})
    books_hold()
