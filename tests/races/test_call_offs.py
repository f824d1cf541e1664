"""A strike that several workers carry out while families cancel and pay: on both databases, with controls."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from flask import Flask
from sqlalchemy import select

from catalog.models import CallOff, ServiceDay
from checkout import call_off
from checkout.call_off import Plan, Scope
from checkout.cancel import cancel_reservations
from checkout.errors import CallOffChanged
from checkout.place import Buyer, pay_from_wallet
from orders.models import Reservation
from shop.clock import request_now
from shop.database import transaction
from tests.conftest import BooksHold, Cleaner, OpenSession
from tests.factory import Family, Town
from tests.races.together import (
    AT_MOST_SECONDS,
    kinds_of_refusal,
    meeting,
    slow,
    succeeded,
    together,
    without_fences,
    without_locks,
)
from wallet.models import LedgerAccount

pytestmark = pytest.mark.race

FenceOff = Callable[..., AbstractContextManager[None]]
PRICE = 380
MEALS = 4
PLACES = "service_days.ck_service_days_places"


@pytest.fixture
def fences_off(app: Flask, cleaner: Cleaner) -> FenceOff:
    """`with fences_off("table.ck_…"):` — see `without_fences`."""
    return lambda *names: without_fences(app, cleaner.clean, *names)


class Strike:
    """A family with four paid meals on a day, and its strike, planned when it is asked for."""

    def __init__(self, town: Town, write: OpenSession, read: OpenSession) -> None:
        self.town, self.write, self.read = town, write, read
        self.canteen = town.aiguilhe.canteen
        self.day = self.canteen.open_days(town.now)[2]
        self.scope = Scope(self.canteen.day_ids[self.day])
        self.family = town.family(children=MEALS, balance_cents=10_000)
        self.order_id = town.paid_order(self.family, self.canteen, [self.day])
        self.clerk = town.clerk()

    def plan(self) -> int:
        asked = Plan(self.scope, "strike", "Grève du personnel.")
        with self.write() as db:
            seen = call_off.affected(db, self.scope)
            return call_off.plan(db, asked, seen, self.clerk.account_id, self.town.now)

    def carry_out(self, number: int) -> Callable[[], int | None]:
        return lambda: call_off.carry_out_now(number, request_now())

    def at_once(self) -> int | None:
        """Plan it, again where somebody paid between what was seen and the plan, and carry it out."""
        while True:
            try:
                return call_off.carry_out_now(self.plan(), request_now())
            except CallOffChanged:
                continue

    def take_back(self, number: int) -> Callable[[], None]:
        def taking() -> None:
            with transaction() as db:
                call_off.take_back(db, number, self.clerk.account_id, request_now())

        return taking

    def cancel(self) -> Callable[[], int | None]:
        family, meals = self.family, self.town.reservation_ids(self.order_id)[:2]
        buyer = Buyer(family.household_id, family.account_id, family.email)

        def cancelling() -> int | None:
            with transaction() as db:
                return cancel_reservations(db, buyer, meals, None, request_now())

        return cancelling

    def pay(self, family: Family, basket_id: int) -> Callable[[], str]:
        buyer = Buyer(family.household_id, family.account_id, family.email)

        def paying() -> str:
            with transaction() as db:
                return pay_from_wallet(db, buyer, basket_id, None, request_now())

        return paying

    def balance(self, family: Family | None = None) -> int:
        with self.read() as db:
            account = LedgerAccount.id == (family or self.family).wallet_id
            return db.scalars(select(LedgerAccount.balance_cents).where(account)).one()

    def live(self) -> int:
        with self.read() as db:
            return len(db.scalars(select(Reservation.id).where(Reservation.state.in_(("held", "confirmed")))).all())

    def is_open(self) -> bool:
        with self.read() as db:
            return db.scalars(select(ServiceDay.is_open).where(ServiceDay.id == self.scope.service_day_id)).one()

    def state(self) -> str:
        with self.read() as db:
            return db.scalars(select(CallOff.state)).one()


@pytest.fixture
def strike(town: Town, write: OpenSession, read: OpenSession) -> Strike:
    return Strike(town, write, read)


# --- several workers ---


def test_eight_workers_carry_a_strike_out_once(app: Flask, strike: Strike, books_hold: BooksHold) -> None:
    before, number = strike.balance(), strike.plan()
    results = together(app, [strike.carry_out(number)] * 8)
    assert sorted(succeeded(results), key=str) == [MEALS] + [None] * 7
    assert (strike.balance(), strike.live()) == (before + MEALS * PRICE, 0)
    books_hold()


def test_control_without_locks_places_are_given_back_again(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold, fences_off: FenceOff
) -> None:
    with fences_off(PLACES):
        strike = Strike(town, write, read)
        number = strike.plan()
        with without_locks(app), slow(app, "UPDATE service_days", seconds=0.3):
            together(app, [strike.carry_out(number)] * 8)
        with pytest.raises(AssertionError, match=r"places"):
            books_hold()


# --- a family cancels meanwhile ---


def test_a_family_that_cancels_meanwhile_is_credited_once(app: Flask, strike: Strike, books_hold: BooksHold) -> None:
    before, number = strike.balance(), strike.plan()
    together(app, [strike.carry_out(number), *[strike.cancel()] * 5])
    assert (strike.balance(), strike.live()) == (before + MEALS * PRICE, 0)
    books_hold()


def test_control_without_locks_it_is_credited_by_both(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold, fences_off: FenceOff
) -> None:
    with fences_off(PLACES):
        strike = Strike(town, write, read)
        number, cancelling = strike.plan(), strike.cancel()
        with without_locks(app), slow(app, "UPDATE service_days", seconds=0.3):
            together(app, [strike.carry_out(number), *[cancelling] * 5])
        with pytest.raises(AssertionError):
            books_hold()


# --- taken back while it is carried out ---


def test_it_is_taken_back_or_carried_out_never_both(app: Flask, strike: Strike, books_hold: BooksHold) -> None:
    before, number = strike.balance(), strike.plan()
    results = together(app, [strike.carry_out(number), strike.take_back(number)] * 4)
    taken_back = strike.state() == "undone"
    assert strike.is_open() == taken_back
    assert strike.balance() == before + (0 if taken_back else MEALS * PRICE)
    assert strike.live() == (MEALS if taken_back else 0)
    assert kinds_of_refusal(results) == {"TooLateToTakeBack"}
    books_hold()


def test_control_without_locks_both_go_on(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, fences_off: FenceOff
) -> None:
    with fences_off(PLACES):
        strike = Strike(town, write, read)
        number = strike.plan()
        with without_locks(app, begin_on_write=False), meeting(app, "UPDATE call_offs"):
            results = together(app, [strike.carry_out(number), strike.take_back(number)])
        # Both went on; where the second comes to grief, a constraint has stopped it, and nobody was told in words.
        assert "TooLateToTakeBack" not in kinds_of_refusal(results)


# --- families pay meanwhile ---


def paying_families(strike: Strike) -> tuple[list[Family], list[Callable[[], str]]]:
    families = [strike.town.family(children=1, balance_cents=PRICE) for _number in range(6)]
    baskets = [strike.town.basket(family, strike.canteen, [strike.day]) for family in families]
    return families, [strike.pay(*pair) for pair in zip(families, baskets, strict=True)]


def test_a_meal_paid_meanwhile_is_refused_or_credited(app: Flask, strike: Strike, books_hold: BooksHold) -> None:
    families, paying = paying_families(strike)
    with slow(app, "INSERT INTO reservations"):
        results = together(app, [*paying[:3], strike.at_once, *paying[3:]])
    assert kinds_of_refusal(results) <= {"BasketRefused"}
    assert (strike.live(), {strike.balance(family) for family in families}) == (0, {PRICE})
    books_hold()


def test_control_without_locks_it_is_served_on_a_day_that_is_called_off(app: Flask, strike: Strike) -> None:
    _families, paying = paying_families(strike)
    with without_locks(app, begin_on_write=False), slow(app, "INSERT INTO reservations", seconds=1) as reached:

        def strikes_meanwhile() -> int | None:
            reached.wait(AT_MOST_SECONDS)
            return strike.at_once()

        together(app, [*paying[:3], strikes_meanwhile])
    assert not strike.is_open()
    assert strike.live() > 0
