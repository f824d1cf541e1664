"""kill -9 of the real server in the middle of checkouts (trust: F1 to F3, T-015).

Families buy at gunicorn's door, from their wallets and by card, while its processes are killed again and again at
moments when a transaction is open. After each kill the books hold as they stand; in the end every order that was
acknowledged is there, nothing is there by half, and asking again for a basket gives the order that it became.
"""

import random
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine, func, select, text

from checkout import books
from checkout.reconcile import reconcile
from orders.models import Order, Reservation
from payments.models import Payment
from shop.clock import StoppedClock
from shop.config import Config
from shop.database import Database, snapshot
from tests.conftest import BooksHold, OpenSession, SignIn
from tests.factory import Family, ServiceFacts, Town
from tests.races.server import Answer, Browser, Cut, Server
from wallet.models import LedgerAccount

pytestmark = [pytest.mark.race, pytest.mark.slow]

RICH = 100_000
WALLET, CARD = "/panier/payer/porte-monnaie", "/panier/payer/carte"
KINDS = ("workers", "one worker", "everything", "one worker", "workers", "everything")
"""Who is killed, one after the other."""
BETWEEN = 3
"""How many orders are acknowledged between two kills, at least."""


@dataclass
class Purchase:
    """A basket that was to be paid, and what the family knows of it."""

    basket_id: int
    cents: int
    number: str = ""
    """The order's number, once an answer with it had come whole."""
    cut: int = 0
    """How many requests for it ended without an answer."""


@dataclass
class Buyer:
    """A family at its telephone: one day after the other it fills the basket and pays."""

    family: Family
    browser: Browser
    canteen: ServiceFacts
    days: list[date]
    by_card: bool
    stop: threading.Event
    rush: threading.Event
    """Set while somebody is about to be killed. Without it a quick machine has sold every day before the last kill."""
    purchases: list[Purchase] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    waiting: bool = False
    cut: int = 0

    def run(self) -> None:
        for day in self.days:
            while not self.rush.wait(0.05):
                if self.stop.is_set():
                    return
            if self.stop.is_set():
                return
            try:
                if not self.buy(day):
                    return
            except Exception as error:
                self.trouble.append(repr(error))
                return

    def ask(self, verb: str, address: str, purchase: Purchase | None = None, **form: object) -> Answer | None:
        """One request, again and again until an answer comes, as a person reloads; nothing once the test is over."""
        while True:
            self.waiting = True
            try:
                answer = self.browser.post(address, **form) if verb == "POST" else self.browser.get(address)
            except Cut as cut:
                if "Refused" not in str(cut):
                    self.cut += 1
                    if purchase is not None:
                        purchase.cut += 1
            else:
                if answer.status >= 500 and answer.status != 503:
                    self.trouble.append(f"{verb} {address}: {answer.status}")
                return answer
            finally:
                self.waiting = False
            if self.stop.wait(0.05):
                return None

    def buy(self, day: date) -> bool:
        meals = [f"{child}.{day.isoformat()}" for child in self.family.beneficiary_ids]
        chosen = self.ask("POST", f"/reserver/{self.canteen.commune_slug}/{self.canteen.slug}", repas=meals)
        if chosen is not None and chosen.status not in (303, 409):
            self.trouble.append(f"choosing: {chosen.status}")
        page = self.ask("GET", "/panier")
        found = page and re.search(
            r'name="panier" value="(\d+)"><input type="hidden" name="total" value="(\d+)"', page.text
        )
        if not found:
            # A card payment whose start was cut: the page says so, and nothing can be bought until it is known.
            return False
        purchase = Purchase(int(found[1]), int(found[2]))
        self.purchases.append(purchase)
        way = CARD if self.by_card else WALLET
        answer = self.ask("POST", way, purchase, panier=purchase.basket_id, total=purchase.cents)
        if answer is not None and self.by_card and "/paiement-securise/" in answer.location:
            answer = self.at_the_payment_page(answer.location, purchase)
        if answer is None or answer.status != 303 or "/commandes/" not in answer.location:
            return False
        purchase.number = answer.location.rsplit("/", 1)[1]
        return True

    def at_the_payment_page(self, address: str, purchase: Purchase) -> Answer | None:
        answer = self.ask("POST", address, purchase, test_card="4242 4242 4242 4242")
        while answer is not None and answer.status == 303 and "/commandes/" not in answer.location:
            answer = self.ask("GET", answer.location, purchase)
        return answer


@contextmanager
def watching(database: Database) -> Iterator[Callable[[], bool]]:
    """A function that says whether somebody else is in the middle of a writing transaction at this moment."""
    if database.is_sqlite:
        file = sqlite3.connect(database.engine.url.database or "", timeout=0, isolation_level=None)

        def is_locked() -> bool:
            try:
                file.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            file.execute("ROLLBACK")
            return False

        with closing(file):
            yield is_locked
        return
    open_ones = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state = 'idle in transaction' AND application_name = 'cantine-facile'"
    )
    engine = create_engine(database.engine.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield lambda: bool(connection.scalar(open_ones))
    engine.dispose()


@dataclass
class Rush:
    """Families who buy, a server that is killed, and what stands in the books after each kill."""

    app: Flask
    server: Server
    buyers: list[Buyer]
    chance: random.Random = field(default_factory=lambda: random.Random(20261119))
    findings: list[object] = field(default_factory=list)
    kills: int = 0
    cut: int = 0

    @property
    def database(self) -> Database:
        database: Database = self.app.extensions["shop.database"]
        return database

    @property
    def acknowledged(self) -> int:
        return sum(bool(purchase.number) for buyer in self.buyers for purchase in buyer.purchases)

    def run(self, kinds: Sequence[str]) -> None:
        """Let everybody buy, and kill in these ways, each time as soon as a transaction is seen to be open."""
        stop = self.buyers[0].stop
        threads = [threading.Thread(target=buyer.run, daemon=True) for buyer in self.buyers]
        self.server.start()
        for thread in threads:
            thread.start()
        try:
            with watching(self.database) as is_open:
                for number, kind in enumerate(kinds):
                    self._kill(kind, is_open)
                    self._look()
                    if self.findings:
                        break
                    if kind == "everything" and number < len(kinds) - 1:
                        self.server.start()
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
            self.server.kill()
        assert not any(thread.is_alive() for thread in threads)

    def _kill(self, kind: str, is_open: Callable[[], bool]) -> None:
        rush = self.buyers[0].rush
        rush.set()
        enough = self.acknowledged + BETWEEN
        deadline = time.monotonic() + 30
        while self.acknowledged < enough:
            assert time.monotonic() < deadline, "nobody buys any more: nothing is tried"
            time.sleep(0.005)
        time.sleep(self.chance.uniform(0, 0.05))
        while not is_open():
            assert time.monotonic() < deadline, "no transaction any more: nothing is tried"
        before = sum(buyer.cut for buyer in self.buyers)
        if kind == "everything":
            self.server.kill()
        else:
            self.server.kill_workers(1 if kind == "one worker" else 99)
        self.kills += 1
        deadline = time.monotonic() + 5
        while sum(buyer.cut for buyer in self.buyers) == before and time.monotonic() < deadline:
            time.sleep(0.005)
        self.cut += sum(buyer.cut for buyer in self.buyers) > before
        rush.clear()

    def _look(self) -> None:
        with self.app.app_context(), snapshot() as db:
            self.findings += books.check(db)


@pytest.fixture
def rush(
    app: Flask, town: Town, config: Config, clock: StoppedClock, sign_in: SignIn, tmp_path: Path
) -> Iterator[Callable[..., Rush]]:
    servers: list[Server] = []

    def made(wallets: int, cards: int, application: str = "") -> Rush:
        server = Server(config, tmp_path, clock.now(), application)
        servers.append(server)
        canteen, stop, hour = town.aiguilhe.canteen, threading.Event(), threading.Event()
        buyers = []
        for number in range(wallets + cards):
            by_card = number >= wallets
            family = town.family(children=2, balance_cents=0 if by_card else RICH)
            browser = Browser.of(server, app, sign_in, family)
            buyers.append(Buyer(family, browser, canteen, canteen.open_days(town.now), by_card, stop, hour))
        return Rush(app, server, buyers)

    yield made
    for server in servers:
        server.kill()


def balance(read: OpenSession, family: Family) -> int:
    with read() as db:
        return db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.id == family.wallet_id)).one()


def paid_orders(read: OpenSession) -> dict[int, str]:
    """Basket and number of every paid order, each of which has its two meals; nothing is left pending."""
    meals = select(func.count()).where(Reservation.order_id == Order.id, Reservation.state == "confirmed")
    with read() as db:
        rows = db.execute(
            select(Order.basket_id, Order.number, Order.state, meals.scalar_subquery().label("meals"))
        ).all()
        assert set(db.scalars(select(Payment.state))) <= {"confirmed", "expired"}
    assert {(row.state, row.meals) for row in rows} <= {("paid", 2), ("expired", 0)}
    return {row.basket_id: row.number for row in rows if row.state == "paid"}


def test_kill_9_in_the_middle_of_checkouts(
    app: Flask, rush: Callable[..., Rush], clock: StoppedClock, read: OpenSession, books_hold: BooksHold
) -> None:
    hour = rush(wallets=6, cards=8)
    hour.run(KINDS)
    purchases = [purchase for buyer in hour.buyers for purchase in buyer.purchases]
    assert [buyer.trouble for buyer in hour.buyers if buyer.trouble] == []
    assert hour.findings == [], "the books hold at every kill, before anything is repaired"
    assert (hour.kills, hour.cut) == (len(KINDS), len(KINDS)), "every kill has cut somebody's request"
    assert any(purchase.cut for purchase in purchases), "no purchase was hit: nothing was tried"

    # What the provider knows and we do not is asked for; what nobody can pay any more is given back.
    for minutes in (2, 45):
        clock.moment += timedelta(minutes=minutes)
        with app.app_context():
            reconcile()
    books_hold()
    orders = paid_orders(read)
    acknowledged = {purchase.basket_id: purchase.number for purchase in purchases if purchase.number}
    assert len(acknowledged) >= BETWEEN * len(KINDS)
    assert acknowledged.items() <= orders.items()

    # Asked again, the same basket is the same order; what was lost on the way is bought now, once.
    hour.server.start()
    for buyer in hour.buyers:
        for purchase in buyer.purchases:
            form = {"panier": purchase.basket_id, "total": purchase.cents}
            answers = [buyer.browser.post(WALLET, **form) for _ in range(2)]
            if buyer.by_card and purchase.basket_id not in orders:
                assert [answer.status for answer in answers] == [422, 422], "its wallet is empty"
                continue
            (number,) = {answer.location.removeprefix("/commandes/") for answer in answers}
            assert orders.setdefault(purchase.basket_id, number) == number
        if not buyer.by_card:
            spent = sum(purchase.cents for purchase in buyer.purchases)
            assert balance(read, buyer.family) == RICH - spent, "each basket was paid once"
    hour.server.kill()
    assert paid_orders(read) == orders
    books_hold()


def test_control_without_all_or_nothing_the_kill_is_seen_in_the_books(rush: Callable[..., Rush]) -> None:
    hour = rush(wallets=8, cards=0, application="tests.races.careless:create_app()")
    hour.run(["workers"] * 8)
    assert any("sans exactement une écriture" in str(finding) for finding in hour.findings), hour.findings
