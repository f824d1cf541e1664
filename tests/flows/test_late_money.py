"""Money that comes after the hold has lapsed: what the family finds in its basket afterwards, and what it can still do."""

import pytest
from flask import Flask
from sqlalchemy import func, select

from cart.models import Basket, BasketLine
from checkout.place import Buyer, hold_for_card, pay_from_wallet
from checkout.settle import settle
from payments.gateways.base import Seen, SeenState
from payments.models import Payment
from tests.conftest import BooksHold, OpenSession
from tests.factory import Family, Town


class Lapsed:
    """A family with 50 €, whose card payment for the meals of two days was not made in time."""

    def __init__(self, app: Flask, town: Town, write: OpenSession) -> None:
        self.town, self.write = town, write
        self.family: Family = town.family(balance_cents=5000)
        self.buyer = Buyer(self.family.household_id, self.family.account_id, self.family.email)
        self.days = town.aiguilhe.canteen.open_days(town.now)
        self.basket_id = town.basket(self.family, town.aiguilhe.canteen, self.days[:2])
        with write() as db:
            held = hold_for_card(db, self.buyer, self.basket_id, None, app.extensions["payments.gateways"], town.now)
        assert isinstance(held, Payment)
        self.key, self.cents = held.key, held.cents
        assert self.told("expired") == "expired"

    def told(self, state: SeenState) -> str:
        with self.write() as db:
            return settle(db, self.key, Seen("sb_x", self.key, state, self.cents, "eur", False), self.town.now)


@pytest.fixture
def lapsed(app: Flask, town: Town, write: OpenSession) -> Lapsed:
    return Lapsed(app, town, write)


def test_the_meals_are_in_the_basket_again_after_the_lapse(lapsed: Lapsed, read: OpenSession) -> None:
    with read() as db:
        state, lines = db.execute(
            select(Basket.state, func.count(BasketLine.id))
            .join(BasketLine)
            .where(Basket.id == lapsed.basket_id)
            .group_by(Basket.state)
        ).one()
    assert (state, lines) == ("open", 4)


def test_after_late_money_has_booked_the_basket_can_be_filled_and_paid_again(
    lapsed: Lapsed, town: Town, write: OpenSession, books_hold: BooksHold
) -> None:
    assert lapsed.told("paid") == "order_revived"
    books_hold()
    basket_id = town.basket(lapsed.family, town.aiguilhe.canteen, lapsed.days[2:3])
    with write() as db:
        pay_from_wallet(db, lapsed.buyer, basket_id, 2 * 380, town.now)
    books_hold()


def test_after_late_money_has_booked_what_was_added_meanwhile_can_be_paid(
    lapsed: Lapsed, town: Town, write: OpenSession, books_hold: BooksHold
) -> None:
    basket_id = town.basket(lapsed.family, town.aiguilhe.canteen, lapsed.days[2:3])
    assert basket_id == lapsed.basket_id
    assert lapsed.told("paid") == "order_revived"
    with write() as db:
        pay_from_wallet(db, lapsed.buyer, basket_id, 2 * 380, town.now)
    books_hold()


def test_after_late_money_has_booked_the_same_meals_can_be_paid_by_card_again(
    app: Flask, lapsed: Lapsed, town: Town, write: OpenSession, books_hold: BooksHold
) -> None:
    basket_id = town.basket(lapsed.family, town.aiguilhe.canteen, lapsed.days[2:3])
    assert lapsed.told("paid") == "order_revived"
    with write() as db:
        held = hold_for_card(db, lapsed.buyer, basket_id, None, app.extensions["payments.gateways"], town.now)
    assert isinstance(held, Payment)
    assert held.cents == 2 * 380
    books_hold()
