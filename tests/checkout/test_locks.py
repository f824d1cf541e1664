"""The order of locks in the house: basket → order → payment → service days by id → school places by id → ledger accounts.

Whoever takes them in this order never waits for somebody who waits for him. Races find a lock that is missing, or taken
in another order, by luck; here it is read off what is sent to PostgreSQL. (On SQLite the transaction is the lock.)
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, event, select

import cart.operations
import payments.operations
from cart.models import BasketLine
from cart.rules import Line
from checkout import waiting
from checkout.cancel import cancel_reservations
from checkout.place import Buyer, hold_for_card, pay_from_wallet
from checkout.settle import give_up, settle
from payments.gateways.base import Seen, SeenState, Started
from payments.models import Payment
from shop.clock import request_now
from shop.database import transaction
from tests.conftest import BooksHold, OpenSession
from tests.factory import Family, Town
from tests.payments.attempts import open_top_up
from tests.races.together import the_database_of

HOUSE = ["baskets", "orders", "payments", "service_days", "school_places", "ledger_accounts"]
UNLIMITED = [table for table in HOUSE if table != "school_places"]
"""Where no school has places of its own."""
LOCKING = re.compile(r"FROM (\w+)\b.*?(ORDER BY (\w+)\.id)?\s*FOR (NO KEY )?UPDATE", re.DOTALL)
TOUCHING = re.compile(r"INSERT INTO (\w+)\b.*ON CONFLICT .* DO UPDATE", re.DOTALL)
UPDATING = re.compile(r"UPDATE (\w+) SET")


@pytest.fixture(autouse=True)
def _on_postgresql(app: Flask) -> None:
    if the_database_of(app).is_sqlite:
        pytest.skip("on SQLite the writing transaction itself is the lock")


@contextmanager
def locks(app: Flask) -> Iterator[list[str]]:
    """The tables whose rows are locked, in the order in which they are; what may be several rows is locked by id."""
    taken: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        touched = TOUCHING.search(statement)
        updated = UPDATING.match(statement)
        found = LOCKING.search(statement)
        if updated and updated[1] in HOUSE and updated[1] not in taken:
            taken.append(updated[1])
        if touched and touched[1] not in taken[-1:]:
            taken.append(touched[1])
        if found:
            # What stands among the columns has a FROM of its own, and comes first.
            table = found[3] if found[3] and f"FROM {found[3]}" in statement else found[1]
            assert found[3] == table or table == "baskets", f"not by id: {statement}"
            if table not in taken[-1:]:
                taken.append(table)

    engine = the_database_of(app).engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield taken
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert taken == sorted(taken, key=HOUSE.index), "not the order of the house"


class Flow:
    """A family with four meals in its basket, and verbs that say which locks they took."""

    def __init__(self, app: Flask, town: Town) -> None:
        self.app, self.town = app, town
        self.family: Family = town.family(balance_cents=5000)
        self.buyer = Buyer(self.family.household_id, self.family.account_id, self.family.email)
        self.days: list[date] = town.aiguilhe.canteen.open_days(town.now)
        self.basket_id = town.basket(self.family, town.aiguilhe.canteen, self.days[:2])
        self.payment: Payment | None = None

    def do(self, verb: Callable[..., Any], *arguments: Any) -> tuple[Any, list[str]]:
        with self.app.app_context(), locks(self.app) as taken, transaction() as db:
            result = verb(db, *arguments, now=request_now())
        return result, taken

    def hold(self) -> list[str]:
        gateways = self.app.extensions["payments.gateways"]
        self.payment, taken = self.do(hold_for_card, self.buyer, self.basket_id, 1520, gateways)
        return taken

    def told(self, state: SeenState, cents: int = 1520) -> tuple[str, list[str]]:
        assert self.payment is not None
        outcome, taken = self.do(
            settle, self.payment.key, Seen("ref", self.payment.key, state, cents, "eur", live=False)
        )
        return outcome, taken


@pytest.fixture
def flow(app: Flask, town: Town) -> Flow:
    return Flow(app, town)


def test_the_basket(app: Flask, flow: Flow, read: OpenSession) -> None:
    with app.app_context(), locks(app) as taken, transaction() as db:
        basket = cart.operations.lock_live_basket(db, flow.family.household_id, flow.town.regie_id, request_now())
        line = Line(
            flow.family.beneficiary_ids[0], flow.town.aiguilhe.canteen.day_ids[flow.days[5]], 1, 1, 380, 380, None
        )
        cart.operations.add_lines(db, basket, [line])
    assert taken == ["baskets"]
    with read() as db:
        line_id = db.scalars(select(BasketLine.id)).first()
    removed, taken = flow.do(cart.operations.remove_lines, flow.family.household_id, [line_id])
    assert (len(removed), taken) == (1, ["baskets"])
    with app.app_context(), locks(app) as taken, transaction() as db:
        assert cart.operations.lock_open(db, flow.family.household_id, flow.basket_id)
    assert taken == ["baskets"]


def test_paying_from_the_wallet_and_cancelling(flow: Flow, read: OpenSession, books_hold: BooksHold) -> None:
    _number, taken = flow.do(pay_from_wallet, flow.buyer, flow.basket_id, 1520)
    assert taken == ["baskets", "service_days", "ledger_accounts"]
    credit, taken = flow.do(cancel_reservations, flow.buyer, flow.town.reservation_ids(1)[:2], 760)
    assert (credit, taken) == (760, ["orders", "service_days", "ledger_accounts"])
    books_hold()


def test_paying_by_card(flow: Flow, books_hold: BooksHold) -> None:
    assert flow.hold() == ["baskets", "service_days"]
    assert flow.payment is not None
    _payment, taken = flow.do(
        lambda db, now: payments.operations.mark_sent(db, flow.payment.id, Started("ref", "http://localhost/"))  # type: ignore[union-attr]
    )
    assert taken == ["payments"]
    assert flow.told("paid") == ("order_paid", UNLIMITED)
    assert flow.told("paid") == ("already", ["baskets", "orders", "payments"])
    books_hold()


@pytest.mark.parametrize("how", ["lapsed", "cancelled"])
def test_giving_back_and_late_money(flow: Flow, books_hold: BooksHold, how: str) -> None:
    flow.hold()
    assert flow.payment is not None
    if how == "lapsed":
        assert flow.told("expired") == ("expired", UNLIMITED[:4])
    else:
        assert flow.do(give_up, flow.payment.key, "cancelled") == ("expired", UNLIMITED[:4])
    assert flow.told("paid") == ("order_revived", UNLIMITED)
    books_hold()


def test_late_money_that_goes_to_the_wallet(flow: Flow, books_hold: BooksHold) -> None:
    flow.hold()
    flow.told("expired")
    flow.town.change_day(flow.town.aiguilhe.canteen, flow.days[0], is_open=False)
    assert flow.told("paid") == ("late_to_wallet", UNLIMITED)
    books_hold()


def test_another_amount(flow: Flow, books_hold: BooksHold) -> None:
    flow.hold()
    assert flow.told("paid", cents=1) == ("amount_mismatch", UNLIMITED)
    books_hold()


def test_a_top_up(app: Flask, flow: Flow, books_hold: BooksHold) -> None:
    flow.payment = open_top_up(app, flow.town, flow.family)
    assert flow.told("paid", cents=2000) == ("topped_up", ["payments", "ledger_accounts"])
    books_hold()


def test_control_another_order_is_seen(app: Flask, flow: Flow) -> None:
    def wrong(db: Any, now: object) -> None:
        cancel = "SELECT service_days.id FROM service_days ORDER BY service_days.id FOR NO KEY UPDATE"
        db.connection().exec_driver_sql(cancel)
        db.connection().exec_driver_sql("SELECT orders.id FROM orders ORDER BY orders.id FOR NO KEY UPDATE")

    with pytest.raises(AssertionError, match="not the order of the house"):
        flow.do(wrong)

    def unordered(db: Any, now: object) -> None:
        db.connection().exec_driver_sql("SELECT service_days.id FROM service_days FOR NO KEY UPDATE")

    with pytest.raises(AssertionError, match="not by id"):
        flow.do(unordered)


def test_the_waiting_list(app: Flask, flow: Flow, books_hold: BooksHold) -> None:
    canteen, day = flow.town.aiguilhe.canteen, flow.days[0]
    flow.town.limit_school(canteen, day, 1)
    flow.town.limit_school(canteen, flow.days[3], 1)
    entries = [flow.town.wait(flow.family, canteen, other) for other in (day, flow.days[3])]
    for other in (day, flow.days[3]):
        _none, taken = flow.do(waiting.turn, canteen.day_ids[other])
        assert taken == ["service_days", "school_places"]
    assert flow.do(waiting.leave, flow.family.household_id, entries[1]) == (
        "offered",
        ["service_days", "school_places"],
    )
    with app.app_context(), transaction() as db:
        second = BasketLine.beneficiary_id == flow.family.beneficiary_ids[1]
        db.execute(delete(BasketLine).where(second))
    _number, taken = flow.do(pay_from_wallet, flow.buyer, flow.basket_id, 760)
    assert taken == ["baskets", "service_days", "school_places", "ledger_accounts"]
    books_hold()
