"""The same payment settled fifty times and at once; money that comes late; return, webhook and reconciler together."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from checkout.place import Buyer, pay_from_wallet
from checkout.settle import Outcome, give_up, settle
from orders.models import Order
from payments.gateways.base import Seen, SeenState
from payments.models import Payment
from shop.clock import request_now
from shop.database import transaction
from shop.models import Outbox
from tests.conftest import BooksHold, OpenSession
from tests.factory import Family, Town
from tests.races.together import slow, succeeded, together, without_locks
from wallet.models import JournalEntry, LedgerAccount

pytestmark = pytest.mark.race


class Awaited:
    """An order of four meals (15,20 €) that waits for its card payment, and what its provider may say."""

    def __init__(self, town: Town, read: OpenSession) -> None:
        self.town, self.family = town, town.family()
        self.days = town.aiguilhe.canteen.open_days(town.now)[:2]
        self.order_id, self.payment_id = town.pending_order(self.family, town.aiguilhe.canteen, self.days)
        with read() as db:
            self.key, reference, self.cents = db.execute(
                select(Payment.key, Payment.provider_reference, Payment.cents).where(Payment.id == self.payment_id)
            ).one()
        self.reference = reference or ""

    def seen(self, state: SeenState) -> Seen:
        return Seen(self.reference, self.key, state, self.cents, "eur", False)

    def settle(self, state: SeenState, now: datetime | None = None) -> Callable[[], Outcome]:
        def settling() -> Outcome:
            with transaction() as db:
                return settle(db, self.key, self.seen(state), now or request_now())

        return settling

    def give_up(self) -> Outcome:
        with transaction() as db:
            return give_up(db, self.key, "cancelled", request_now())


@pytest.fixture
def awaited(town: Town, read: OpenSession) -> Awaited:
    return Awaited(town, read)


def order_state(read: OpenSession, awaited: Awaited) -> str:
    with read() as db:
        return db.scalars(select(Order.state).where(Order.id == awaited.order_id)).one()


def wallet_of(read: OpenSession, family: Family) -> int:
    with read() as db:
        return db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.id == family.wallet_id)).one()


def entries(read: OpenSession) -> Counter[str]:
    with read() as db:
        return Counter(db.scalars(select(JournalEntry.kind)))


def test_the_same_payment_settled_fifty_times_is_paid_once(
    app: Flask, awaited: Awaited, read: OpenSession, books_hold: BooksHold
) -> None:
    outcomes = Counter(succeeded(together(app, [awaited.settle("paid")] * 20)))
    with app.app_context():
        outcomes.update(awaited.settle("paid")() for _ in range(30))
    assert outcomes == {"order_paid": 1, "already": 49}
    assert entries(read) == {"card_payment": 1}
    with read() as db:
        assert db.scalar(select(func.count()).select_from(Outbox)) == 1
    books_hold()


def test_control_without_locks_it_is_confirmed_again_and_only_the_key_of_the_entry_holds(
    app: Flask, awaited: Awaited, read: OpenSession, books_hold: BooksHold
) -> None:
    with without_locks(app, begin_on_write=False), slow(app, "UPDATE payments"):
        outcomes = Counter(succeeded(together(app, [awaited.settle("paid")] * 10)))
    assert outcomes["order_paid"] + outcomes["double_to_wallet"] > 1
    # The second fence: the key of an entry makes it once.
    assert entries(read)["card_payment"] == 1


def test_paid_and_given_up_at_once_lose_no_cent(
    app: Flask, awaited: Awaited, read: OpenSession, books_hold: BooksHold
) -> None:
    """The provider says paid, while the reconciler and the person give the payment up: whatever comes first."""
    ways = [awaited.settle("paid"), awaited.give_up, awaited.settle("paid"), awaited.settle("expired")] * 3
    outcomes = together(app, ways)
    assert len(succeeded(outcomes)) == len(ways), outcomes
    assert Counter(succeeded(outcomes))["order_paid"] + Counter(succeeded(outcomes))["order_revived"] == 1
    assert order_state(read, awaited) == "paid"
    books_hold()


# --- after the hold has lapsed ---


def lapse(app: Flask, awaited: Awaited) -> None:
    with app.app_context():
        assert awaited.settle("expired")() == "expired"


def test_late_money_books_when_the_places_are_still_free(
    app: Flask, awaited: Awaited, read: OpenSession, books_hold: BooksHold
) -> None:
    lapse(app, awaited)
    assert order_state(read, awaited) == "expired"
    outcomes = succeeded(together(app, [awaited.settle("paid")] * 8))
    assert Counter(outcomes) == {"order_revived": 1, "already": 7}
    assert order_state(read, awaited) == "paid"
    books_hold()


def test_late_money_goes_to_the_wallet_when_a_place_is_gone(
    app: Flask, town: Town, awaited: Awaited, read: OpenSession, books_hold: BooksHold
) -> None:
    lapse(app, awaited)
    town.change_day(town.aiguilhe.canteen, awaited.days[1], capacity=1)
    outcomes = succeeded(together(app, [awaited.settle("paid")] * 8))
    assert Counter(outcomes) == {"late_to_wallet": 1, "already": 7}
    assert order_state(read, awaited) == "expired"
    assert wallet_of(read, awaited.family) == 4 * 380
    books_hold()


def test_late_money_goes_to_the_wallet_after_the_deadline(
    app: Flask, town: Town, awaited: Awaited, read: OpenSession, books_hold: BooksHold
) -> None:
    lapse(app, awaited)
    town.change_day(town.aiguilhe.canteen, awaited.days[0], book_deadline_at=town.now + timedelta(minutes=40))
    with app.app_context():
        assert awaited.settle("paid", town.now + timedelta(minutes=40))() == "late_to_wallet"
    assert wallet_of(read, awaited.family) == 4 * 380
    books_hold()


def test_late_money_one_second_before_the_deadline_still_books(
    app: Flask, town: Town, awaited: Awaited, books_hold: BooksHold
) -> None:
    lapse(app, awaited)
    town.change_day(town.aiguilhe.canteen, awaited.days[0], book_deadline_at=town.now + timedelta(minutes=40))
    with app.app_context():
        assert awaited.settle("paid", town.now + timedelta(minutes=40, seconds=-1))() == "order_revived"
    books_hold()


def test_late_money_and_another_family_race_for_the_last_places(
    app: Flask, town: Town, awaited: Awaited, read: OpenSession, books_hold: BooksHold
) -> None:
    """Whoever comes first has the places; the money of the late one is in its wallet, the other is told."""
    lapse(app, awaited)
    canteen, day = town.aiguilhe.canteen, awaited.days[0]
    town.change_day(canteen, day, capacity=2)
    other = town.family(children=1, balance_cents=1000)
    basket_id = town.basket(other, canteen, [day])
    buyer = Buyer(other.household_id, other.account_id, other.email)

    def buy() -> str:
        with transaction() as db:
            return pay_from_wallet(db, buyer, basket_id, None, request_now())

    things: list[Callable[[], str]] = [awaited.settle("paid"), buy]
    late, bought = together(app, things)
    if isinstance(bought, Exception):
        assert (type(bought).__name__, late) == ("BasketRefused", "order_revived")
        assert wallet_of(read, awaited.family) == 0
    else:
        assert late == "late_to_wallet"
        assert wallet_of(read, awaited.family) == 4 * 380
    books_hold()


def test_money_for_a_basket_bought_again_meanwhile_goes_to_the_wallet(
    app: Flask, town: Town, read: OpenSession, write: OpenSession, books_hold: BooksHold
) -> None:
    family = town.family(balance_cents=5000)
    days = town.aiguilhe.canteen.open_days(town.now)[:2]
    basket_id = town.basket(family, town.aiguilhe.canteen, days)
    order_id, payment_id = town.pending_order(family, town.aiguilhe.canteen, days)
    with write() as db:
        db.execute(update(Order).where(Order.id == order_id).values(basket_id=basket_id))
        key, reference = db.execute(
            select(Payment.key, Payment.provider_reference).where(Payment.id == payment_id)
        ).one()
        settle(db, key, Seen(reference or "", key, "expired", None, None, False), town.now)
    with write() as db:
        pay_from_wallet(db, Buyer(family.household_id, family.account_id, family.email), basket_id, None, town.now)
    with write() as db:
        outcome = settle(db, key, Seen(reference or "", key, "paid", 4 * 380, "eur", False), town.now)
    assert outcome == "late_to_wallet"
    assert wallet_of(read, family) == 5000
    books_hold()
