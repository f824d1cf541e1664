"""Two tabs that change a family's days at once; ten clicks; a meal cancelled meanwhile: on both databases, with a control."""

import threading
from collections.abc import Callable
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

import cart.operations
from cart.models import Basket, BasketLine
from cart.operations import LiveBasket
from cart.rules import Pattern
from catalog.models import ServiceDay
from checkout import change
from checkout.cancel import cancel_reservations
from checkout.change import Change, Done, Seen, Wish, change_from, plan_change
from checkout.place import Buyer
from orders.models import Reservation
from shop.clock import request_now
from shop.database import transaction
from tests.conftest import BooksHold, OpenSession
from tests.factory import Family, Town, add
from tests.races.together import kinds_of_refusal, slow, succeeded, together, without_locks

pytestmark = pytest.mark.race

MONDAY = date(2026, 11, 23)
THURSDAY, FRIDAY = 4, 5


class Home:
    """Two children who are booked on Mondays and Tuesdays."""

    def __init__(self, town: Town, read: OpenSession) -> None:
        self.town, self.read = town, read
        self.canteen = town.aiguilhe.canteen
        self.family: Family = town.family(balance_cents=20_000)
        self.buyer = Buyer(self.family.household_id, self.family.account_id, self.family.email)
        days = [day for day in self.canteen.open_days(town.now) if day >= MONDAY and day.isoweekday() in (1, 2)]
        self.reservations = town.reservation_ids(town.paid_order(self.family, self.canteen, days))

    def wish(self, weekday: int) -> Wish:
        children = frozenset(self.family.beneficiary_ids)
        return Wish(self.canteen.id, children, MONDAY, Pattern(children, frozenset({weekday})))

    def seen(self, weekday: int) -> Seen:
        with self.read() as db:
            return plan_change(db, self.family.household_id, self.wish(weekday), self.town.now).moves

    def click(self, weekday: int) -> Callable[[], Done | None]:
        wish, seen = self.wish(weekday), self.seen(weekday)

        def clicking() -> Done | None:
            with transaction() as db:
                return change_from(db, self.buyer, wish, seen, request_now())

        return clicking

    def weekdays(self) -> set[int]:
        """The weekdays of what is in the basket."""
        with self.read() as db:
            days = db.scalars(select(ServiceDay.day).join(BasketLine, BasketLine.service_day_id == ServiceDay.id))
            return {day.isoweekday() for day in days}

    def live(self) -> int:
        with self.read() as db:
            return db.scalar(select(func.count()).where(Reservation.state == "confirmed")) or 0


@pytest.fixture
def home(town: Town, read: OpenSession) -> Home:
    return Home(town, read)


@pytest.fixture
def newcomer(home: Home, town: Town) -> Home:
    """The same family before it has booked anything: nothing but the basket tells two tabs from each other."""
    for reservation_id in home.reservations:
        town.cancel(home.family, reservation_id)
    return home


def test_of_two_tabs_one_changes_the_days_and_the_other_is_told(app: Flask, home: Home, books_hold: BooksHold) -> None:
    clicks = [home.click(THURSDAY), home.click(FRIDAY)]
    with slow(app, "UPDATE reservations"):
        results = together(app, clicks)
    assert len(succeeded(results)) == 1, results
    assert kinds_of_refusal(results) == {"ChangeMoved"}
    assert home.weekdays() == {THURSDAY if results[0] in succeeded(results) else FRIDAY}
    assert home.live() == 0
    books_hold()


def test_of_two_tabs_one_fills_the_basket(app: Flask, newcomer: Home, books_hold: BooksHold) -> None:
    results = together(app, [newcomer.click(THURSDAY), newcomer.click(FRIDAY)])
    assert len(succeeded(results)) == 1, results
    assert kinds_of_refusal(results) == {"ChangeMoved"}
    assert len(newcomer.weekdays()) == 1
    books_hold()


def test_control_without_the_basket_locked_first_the_family_has_both(
    app: Flask, newcomer: Home, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context(), transaction() as db:
        basket_id = add(
            db,
            Basket,
            household_id=newcomer.family.household_id,
            regie_id=town.regie_id,
            state="open",
            created_at=town.now,
            changed_at=town.now,
        )
    clicks, both = [newcomer.click(THURSDAY), newcomer.click(FRIDAY)], threading.Barrier(2)
    honest = change.plan_change

    def planned_by_both(db: Session, household_id: int, wish: Wish, now: object) -> Change:
        plan = honest(db, household_id, wish, now)  # type: ignore[arg-type]
        both.wait(20)
        return plan

    monkeypatch.setattr(cart.operations, "lock_live_basket", lambda *_facts: LiveBasket(basket_id, 0))
    monkeypatch.setattr(change, "plan_change", planned_by_both)
    with without_locks(app):
        together(app, clicks)
    assert newcomer.weekdays() == {THURSDAY, FRIDAY}


def test_ten_clicks_change_the_days_once(app: Flask, home: Home, books_hold: BooksHold) -> None:
    with slow(app, "UPDATE reservations"):
        results = together(app, [home.click(THURSDAY)] * 10)
    assert len(succeeded(results)) == 10, results
    assert sum(result is not None for result in results) == 1
    assert home.weekdays() == {THURSDAY}
    books_hold()


def test_a_meal_cancelled_meanwhile_is_never_credited_again(app: Flask, home: Home, books_hold: BooksHold) -> None:
    def cancelling() -> None:
        with transaction() as db:
            cancel_reservations(db, home.buyer, home.reservations[:1], None, request_now())

    things: list[Callable[[], object]] = [home.click(THURSDAY), cancelling]
    results = together(app, things)
    assert kinds_of_refusal(results) <= {"ChangeMoved", "CannotCancel"}
    assert succeeded(results)
    books_hold()
