"""Something changes at the very moment of a click: a price, a right, the order itself, the balance (trust: F18, F19, F30)."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from email.message import EmailMessage

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

import checkout.rules
import payments.operations
from cart.meals import BasketMeal
from cart.models import BasketLine
from checkout import books
from checkout.cancel import cancel_reservations
from checkout.errors import BasketRefused, CannotCancel
from checkout.place import Buyer, pay_from_wallet
from checkout.reconcile import reconcile
from checkout.rules import Draft
from checkout.settle import settle
from enrolments import operations
from enrolments.operations import Desk
from orders.models import Order, Reservation
from payments.gateways.base import Seen, Started
from payments.models import Payment
from shop.clock import StoppedClock, request_now
from shop.database import transaction
from shop.models import Outbox
from shop.outbox import Letter, post_all, send_letters
from tests.checkout.provider import Provider
from tests.conftest import BooksHold, Cleaner, OpenSession, Postbox, SignIn, Submit
from tests.factory import Family, Town
from tests.payments.attempts import open_top_up
from tests.races.together import kinds_of_refusal, meeting, slow, succeeded, together, without_fences, without_locks
from wallet.models import JournalEntry, LedgerAccount

pytestmark = pytest.mark.race

WALLET, CARD, NEW_PRICES = "/panier/payer/porte-monnaie", "/panier/payer/carte", "/panier/nouveaux-prix"


def at_once(clicks: Sequence[Callable[[], TestResponse]]) -> list[TestResponse]:
    """What each browser was answered; all of them click at the same instant."""
    gate = threading.Barrier(len(clicks))
    answers: dict[int, TestResponse] = {}

    def click(place: int) -> None:
        gate.wait(30)
        answers[place] = clicks[place]()

    threads = [threading.Thread(target=click, args=(place,), daemon=True) for place in range(len(clicks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [answers[place] for place in range(len(clicks))]


def buyer(family: Family) -> Buyer:
    return Buyer(family.household_id, family.account_id, family.email)


def balance(read: OpenSession, family: Family) -> int:
    with read() as db:
        return db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.id == family.wallet_id)).one()


def sold(read: OpenSession, family: Family) -> list[int]:
    """The totals of the family's orders."""
    with read() as db:
        return list(db.scalars(select(Order.total_cents).where(Order.household_id == family.household_id)))


class Tabs:
    """Two tabs of one family, with a basket of two meals at 3,80 €."""

    def __init__(self, app: Flask, town: Town, sign_in: SignIn, submit: Submit) -> None:
        self.town, self.submit = town, submit
        town.change_price(town.aiguilhe.canteen, 380)
        self.family = town.family(children=2, balance_cents=5000)
        self.tabs: list[FlaskClient] = [app.test_client(), app.test_client()]
        for tab in self.tabs:
            sign_in(tab, self.family)
        self.basket_id = town.basket(self.family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:1])

    def pay(self, tab: int, cents: int, way: str = WALLET) -> Callable[[], TestResponse]:
        return lambda: self.submit(self.tabs[tab], way, {"panier": self.basket_id, "total": cents})

    def accept_prices(self, tab: int) -> Callable[[], TestResponse]:
        return lambda: self.submit(self.tabs[tab], NEW_PRICES, {"panier": self.basket_id})

    def raise_price(self) -> TestResponse:
        self.town.change_price(self.town.aiguilhe.canteen, 395)
        return TestResponse([], "200 OK", {}, None)  # type: ignore[arg-type]


# --- a price ---


def test_a_price_that_changes_while_two_tabs_pay_is_never_paid_unseen(
    app: Flask, town: Town, read: OpenSession, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    for _ in range(6):
        tabs = Tabs(app, town, sign_in, submit)
        with slow(app, "INSERT INTO orders", seconds=0.01):
            first, second, _changed = at_once([tabs.pay(0, 760), tabs.pay(1, 760), tabs.raise_price])
        codes = {first.status_code, second.status_code}
        assert codes <= {303, 422}
        if 303 in codes:
            assert sold(read, tabs.family) == [760]
            paid = first if first.status_code == 303 else second
            assert tabs.pay(0, 790)().headers["Location"] == paid.headers["Location"]
        else:
            assert sold(read, tabs.family) == []
            assert "Le prix a changé" in first.text
            assert "3,95" in first.text
        assert balance(read, tabs.family) == 5000 - sum(sold(read, tabs.family))
    books_hold()


def test_a_price_that_has_changed_is_refused_on_both_ways(
    app: Flask, town: Town, read: OpenSession, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    tabs = Tabs(app, town, sign_in, submit)
    tabs.raise_price()
    for way in (WALLET, CARD):
        assert {tabs.pay(0, cents, way)().status_code for cents in (760, 790)} == {422}
    assert sold(read, tabs.family) == []
    assert tabs.accept_prices(0)().status_code == 303
    assert tabs.pay(1, 760)().status_code == 409, "the other tab still shows the old total"
    assert tabs.pay(0, 790)().status_code == 303
    assert sold(read, tabs.family) == [790]
    books_hold()


def test_control_without_the_comparison_the_old_price_is_sold(
    app: Flask,
    town: Town,
    read: OpenSession,
    sign_in: SignIn,
    submit: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("checkout.rules.find_problems", lambda _meals, _now: {})
    tabs = Tabs(app, town, sign_in, submit)
    tabs.raise_price()
    assert tabs.pay(0, 760)().status_code == 303
    assert sold(read, tabs.family) == [760]


def test_new_prices_accepted_in_one_tab_are_not_paid_by_the_other(
    app: Flask, town: Town, read: OpenSession, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    for _ in range(6):
        tabs = Tabs(app, town, sign_in, submit)
        tabs.raise_price()
        accepted, old = at_once([tabs.accept_prices(0), tabs.pay(1, 760)])
        assert (accepted.status_code, old.status_code in (409, 422)) == (303, True)
        assert sold(read, tabs.family) == []
        assert tabs.pay(0, 790)().status_code == 303
    books_hold()


def test_control_without_the_total_that_was_seen_it_is_paid_unseen(
    app: Flask,
    town: Town,
    read: OpenSession,
    sign_in: SignIn,
    submit: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = checkout.rules.check_basket

    def careless(meals: Sequence[BasketMeal], _seen: int | None, now: object) -> Draft:
        return honest(meals, None, now)  # type: ignore[arg-type]

    monkeypatch.setattr("checkout.place.check_basket", careless)
    tabs = Tabs(app, town, sign_in, submit)
    tabs.raise_price()
    tabs.accept_prices(0)()
    assert tabs.pay(1, 760)().status_code == 303
    assert sold(read, tabs.family) == [790]


# --- the basket itself ---


def changing_while_paying(app: Flask, town: Town, sign_in: SignIn, submit: Submit) -> list[Callable[[], TestResponse]]:
    """One tab pays the meals of two days; one adds a third day, another takes a meal out."""
    tabs = Tabs(app, town, sign_in, submit)
    canteen = town.aiguilhe.canteen
    days = canteen.open_days(town.now)
    town.basket(tabs.family, canteen, days[1:2])
    third = [f"{child}.{days[2].isoformat()}" for child in tabs.family.beneficiary_ids]
    with app.app_context(), transaction() as db:
        line_id = db.scalars(select(BasketLine.id).where(BasketLine.basket_id == tabs.basket_id)).first()
    another = app.test_client()
    sign_in(another, tabs.family)
    return [
        tabs.pay(0, 1520),
        lambda: submit(tabs.tabs[1], f"/reserver/aiguilhe/{canteen.slug}", {"repas": third}),
        lambda: submit(another, "/panier/retirer", {"ligne": line_id}),
    ]


def test_a_basket_that_changes_while_it_is_paid(
    app: Flask, town: Town, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    """What is sold is what was counted: the change comes before, and the total is refused, or after, in a new basket."""
    for _ in range(6):
        with slow(app, "INSERT INTO orders", "INSERT INTO reservations", seconds=0.01):
            paid, added, removed = at_once(changing_while_paying(app, town, sign_in, submit))
        assert (paid.status_code in (303, 409), added.status_code) == (True, 303)
        assert removed.status_code == (404 if paid.status_code == 303 else 303)
        books_hold()


def test_control_without_locks_something_else_is_sold_than_was_counted(
    app: Flask, town: Town, read: OpenSession, sign_in: SignIn, submit: Submit
) -> None:
    clicks = changing_while_paying(app, town, sign_in, submit)
    changes = ("INSERT INTO basket_lines", "DELETE FROM basket_lines")
    with (
        without_locks(app, begin_on_write=False),
        slow(app, *changes, seconds=0.15),
        slow(app, "INSERT INTO orders", seconds=0.5),
    ):
        at_once(clicks)
    with read() as db:
        found = " ".join(finding.sentence for finding in books.check(db))
    assert "total n’est pas la somme des repas" in found


# --- a right ---


def test_a_clerk_revokes_an_access_while_the_parent_pays(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold
) -> None:
    """Whoever is first: the meal is booked and stays booked, or it is refused. The clerk's click began a second before."""
    clerk, canteen = town.clerk(), town.aiguilhe.canteen
    desk = Desk(clerk.account_id, frozenset({town.aiguilhe.id}))
    outcomes: Counter[str] = Counter()
    for number in range(8):
        family = town.family(children=1, balance_cents=1000)
        basket_id = town.basket(family, canteen, canteen.open_days(town.now)[:1])

        def pay(family: Family = family, basket_id: int = basket_id) -> object:
            with transaction() as db:
                return pay_from_wallet(db, buyer(family), basket_id, 380, request_now() + timedelta(seconds=1))

        def revoke(family: Family = family) -> object:
            with transaction() as db:
                operations.revoke(db, family.enrolment_ids, desk, "Déménagement", request_now())
            return None

        things: list[Callable[[], object]] = [pay, revoke]
        with slow(app, "INSERT INTO orders", "UPDATE enrolments", seconds=0.01 * (number % 3)):
            paid, revoked = together(app, things)
        assert revoked is None
        outcomes["refused" if isinstance(paid, BasketRefused) else "booked"] += 1
        assert isinstance(paid, str | BasketRefused)
        assert sold(read, family) == ([380] if isinstance(paid, str) else [])
        late = together(app, [pay])
        assert (kinds_of_refusal(late) == {"BasketRefused"}) == isinstance(paid, BasketRefused)
        books_hold()


# --- the order itself ---


def test_cancelling_and_settling_at_once(app: Flask, town: Town, read: OpenSession, books_hold: BooksHold) -> None:
    """A meal that is only held cannot be cancelled; once it is paid it is credited once."""
    for _ in range(6):
        family = town.family()
        order_id, payment_id = town.pending_order(
            family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:1]
        )
        meals = town.reservation_ids(order_id)
        with read() as db:
            key, reference = db.execute(
                select(Payment.key, Payment.provider_reference).where(Payment.id == payment_id)
            ).one()

        def money(key: str = key, reference: str = reference or "") -> object:
            with transaction() as db:
                return settle(db, key, Seen(reference, key, "paid", 760, "eur", False), request_now())

        def cancel(family: Family = family, meals: Sequence[int] = tuple(meals)) -> object:
            with transaction() as db:
                return cancel_reservations(db, buyer(family), meals, None, request_now()) or 0

        things: list[Callable[[], object]] = [money, cancel, money, cancel]
        with slow(app, "UPDATE reservations", seconds=0.005):
            results = together(app, things)
        assert Counter([results[0], results[2]]) == {"order_paid": 1, "already": 1}
        assert all(result in (0, 760) or isinstance(result, CannotCancel) for result in (results[1], results[3]))
        credited = sum(result == 760 for result in (results[1], results[3]))
        assert balance(read, family) == 760 * credited
        with app.app_context():
            assert cancel() == (0 if credited else 760)
        assert balance(read, family) == 760
        books_hold()


# --- the balance ---


def topping_up_while_paying(app: Flask, town: Town, days: int = 2) -> tuple[Family, list[Callable[[], object]]]:
    """A family with 10 € that clicks on "pay" three times while a top-up of 5,20 € is settled three times over.

    The meals of two days cost all of it; those of one day could be paid before.
    """
    family = town.family(balance_cents=1000)
    basket_id = town.basket(family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:days])
    payment = open_top_up(app, town, family, cents=520)
    with app.app_context(), transaction() as db:
        payments.operations.mark_sent(db, payment.id, Started(f"sb_top_up_{payment.id}", "http://localhost/"))

    def money() -> object:
        seen = Seen(f"sb_top_up_{payment.id}", payment.key, "paid", 520, "eur", False)
        with transaction() as db:
            return settle(db, payment.key, seen, request_now())

    def pay() -> object:
        with transaction() as db:
            return pay_from_wallet(db, buyer(family), basket_id, days * 760, request_now())

    return family, [pay, money, pay, money, money, pay]


def test_a_top_up_and_a_payment_from_the_wallet_at_once(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold
) -> None:
    for _ in range(6):
        family, things = topping_up_while_paying(app, town)
        with slow(app, "INSERT INTO postings", seconds=0.003):
            results = together(app, things)
        assert kinds_of_refusal(results) <= {"BalanceTooShort"}
        assert Counter(results[place] for place in (1, 3, 4)) == {"topped_up": 1, "already": 2}
        numbers = {result for result in (results[0], results[2], results[5]) if isinstance(result, str)}
        assert len(numbers) <= 1
        (number,) = {*numbers, *succeeded(together(app, things[:1]))}
        assert isinstance(number, str)
        assert balance(read, family) == 0
        books_hold()


def test_control_without_locks_the_balance_is_not_what_moved(
    app: Flask, town: Town, read: OpenSession, cleaner: Cleaner
) -> None:
    fences = ("orders.uq_orders_basket", "reservations.uq_reservations_live")
    with without_fences(app, cleaner.clean, *fences):
        _family, things = topping_up_while_paying(app, town, days=1)
        with without_locks(app, begin_on_write=False), meeting(app, "INSERT INTO postings"):
            together(app, things)
        with read() as db:
            found = " ".join(finding.sentence for finding in books.check(db))
        assert "solde après coup n’est pas la somme" in found


# --- every road at once ---


def roads(
    app: Flask, town: Town, provider: Provider, sign_in: SignIn, submit: Submit
) -> list[Callable[[], TestResponse]]:
    """A paid order that the webhook tells of four times, and the browser's return and "verify" twice each, at the door."""
    family = town.family()
    clients = [app.test_client() for _ in range(5)]
    for client in clients:
        sign_in(client, family)
    basket_id = town.basket(family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:2])
    assert submit(clients[0], CARD, {"panier": basket_id, "total": 1520}).status_code == 303
    reference = list(provider.seen)[-1]
    key = provider.seen[reference].payment_key
    provider.says(reference, state="paid")
    event = provider.event(reference)
    clicks: list[Callable[[], TestResponse]] = []
    for number, client in enumerate(clients[1:]):
        clicks.append(lambda: app.test_client().post("/webhooks/sandbox", data=event))
        if number % 2:
            clicks.append(lambda client=client: client.get(f"/paiement/retour/{key}"))  # type: ignore[misc]
        else:
            clicks.append(lambda client=client: submit(client, f"/paiement/{key}/verifier"))  # type: ignore[misc]
    return clicks


@pytest.fixture
def provider(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Provider:
    provider = Provider()
    monkeypatch.setitem(app.extensions["payments.gateways"], "sandbox", provider)
    return provider


@pytest.fixture
def confirmations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The payments that were moved to "confirmed", each time that one was."""
    moved: list[int] = []
    move = payments.operations.move

    def noting(db: object, payment: Payment, state: str, now: object) -> None:
        move(db, payment, state, now)  # type: ignore[arg-type]
        if state == "confirmed":
            moved.append(payment.id)

    monkeypatch.setattr("payments.operations.move", noting)
    return moved


def test_webhook_return_and_reconciler_at_once_pay_once(
    app: Flask,
    town: Town,
    provider: Provider,
    confirmations: list[int],
    read: OpenSession,
    sign_in: SignIn,
    submit: Submit,
    clock: StoppedClock,
    books_hold: BooksHold,
) -> None:
    for _ in range(3):
        clicks = roads(app, town, provider, sign_in, submit)
        clock.moment += timedelta(minutes=1)

        def run() -> int:
            with app.app_context():
                return reconcile()

        reconciler = [threading.Thread(target=run, daemon=True) for _ in range(2)]
        for thread in reconciler:
            thread.start()
        answers = at_once(clicks)
        for thread in reconciler:
            thread.join(60)
        assert {answer.status_code for answer in answers} == {200, 303}
    assert len(confirmations) == len(set(confirmations)) == 3
    with read() as db:
        assert Counter(db.scalars(select(JournalEntry.kind))) == {"card_payment": 3}
        assert Counter(db.scalars(select(Outbox.kind))) == {"order_paid": 3}
        assert Counter(db.scalars(select(Reservation.state))) == {"confirmed": 12}
        assert db.scalar(select(func.count()).select_from(Order)) == 3
    books_hold()


def test_control_without_locks_it_is_confirmed_more_than_once(
    app: Flask, town: Town, provider: Provider, confirmations: list[int], sign_in: SignIn, submit: Submit
) -> None:
    clicks = roads(app, town, provider, sign_in, submit)
    with without_locks(app, begin_on_write=False), meeting(app, "UPDATE payments"):
        at_once(clicks)
    assert len(confirmations) > 1


# --- letters ---


class Slow(Postbox):
    """A mail server that takes its time."""

    def carry(self, message: EmailMessage) -> None:
        time.sleep(0.005)
        super().carry(message)


@pytest.fixture
def forty_letters(app: Flask, town: Town, write: OpenSession) -> Slow:
    order_id = town.paid_order(
        town.family(balance_cents=5000), town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:1]
    )
    with write() as db:
        letters = [
            Letter("order_paid", f"famille{n}@example.org", f"again:{n}", {"order_id": order_id}) for n in range(39)
        ]
        post_all(db, letters, town.now)
    app.extensions["shop.postman"] = postman = Slow()
    return postman


def worker() -> int:
    """How many letters one worker has sent in a while."""
    sent = 0
    for _ in range(5):
        sent += send_letters()
        time.sleep(0.01)
    return sent


def test_workers_at_once_send_each_letter_once(app: Flask, forty_letters: Slow) -> None:
    assert sum(succeeded(together(app, [worker] * 5))) == 40
    assert len({email["Message-ID"] for email in forty_letters.carried}) == len(forty_letters.carried) == 40


def test_control_without_the_lease_letters_are_sent_twice(
    app: Flask, forty_letters: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shop.outbox.LEASE", timedelta(seconds=-1))
    together(app, [worker] * 5)
    assert len(forty_letters.carried) > len({email["Message-ID"] for email in forty_letters.carried})
