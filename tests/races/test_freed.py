"""One freed meal and twenty late families; a family that keeps it against one that takes it; late money against a taker."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import time

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from catalog.models import Service, ServiceDay
from checkout import freed
from checkout.place import Buyer, hold_for_card, pay_from_wallet
from checkout.settle import settle
from orders.models import FreedMeal, Reservation
from payments.gateways import the_gateways
from payments.gateways.base import Seen, SeenState
from payments.models import Payment
from shop.clock import StoppedClock, paris_instant, request_now
from shop.database import transaction
from tests.conftest import BooksHold, Cleaner, OpenSession
from tests.factory import Family, Town
from tests.races.together import kinds_of_refusal, meeting, slow, succeeded, together, without_fences, without_locks
from wallet.models import LedgerAccount

pytestmark = pytest.mark.race

FenceOff = Callable[..., AbstractContextManager[None]]
RULE = {"credit": "full", "freed": {"until": {"at": "09:00", "days_before": 0, "counted": "calendar"}}}


@pytest.fixture
def fences_off(app: Flask, cleaner: Cleaner) -> FenceOff:
    """`with fences_off("table.ck_…"):` — see `without_fences`."""
    return lambda *names: without_fences(app, cleaner.clean, *names)


class Offered:
    """A full day of which one family has given its meal back; nobody can book any more but in its place."""

    def __init__(self, town: Town, clock: StoppedClock, write: OpenSession, read: OpenSession) -> None:
        self.town, self.read = town, read
        self.service = town.aiguilhe.canteen
        self.day = self.service.open_days(town.now)[0]
        self.giver = town.family(children=1, balance_cents=1000)
        (self.meal,) = town.reservation_ids(town.paid_order(self.giver, self.service, [self.day]))
        town.change_day(self.service, self.day, capacity=1, freed_deadline_at=paris_instant(self.day, time(9)))
        with write() as db:
            db.execute(update(Service).where(Service.id == self.service.id).values(policies=RULE))
            day = ServiceDay.id == self.service.day_ids[self.day]
            clock.moment = db.scalars(select(ServiceDay.book_deadline_at).where(day)).one()
        with write() as db:
            freed.give_back(db, self.giver.household_id, self.giver.account_id, self.meal, clock.moment)

    def takers(self, count: int) -> list[tuple[Family, int]]:
        families = [self.town.family(children=1, balance_cents=1000) for _ in range(count)]
        return [(family, self.town.basket(family, self.service, [self.day])) for family in families]

    def pay(self, family: Family, basket_id: int) -> Callable[[], str]:
        def paying() -> str:
            with transaction() as db:
                return pay_from_wallet(db, buyer(family), basket_id, 380, request_now())

        return paying

    def keep(self) -> Callable[[], str]:
        def keeping() -> str:
            with transaction() as db:
                freed.keep(db, self.giver.household_id, self.meal, request_now())
            return "kept"

        return keeping

    def states(self) -> list[str]:
        with self.read() as db:
            return list(db.scalars(select(FreedMeal.state)))

    def confirmed(self) -> int:
        with self.read() as db:
            return db.scalar(select(func.count()).where(Reservation.state == "confirmed")) or 0

    def balance(self) -> int:
        with self.read() as db:
            own = LedgerAccount.id == self.giver.wallet_id
            return db.scalars(select(LedgerAccount.balance_cents).where(own)).one()


def buyer(family: Family) -> Buyer:
    return Buyer(family.household_id, family.account_id, family.email)


MakeOffered = Callable[[], Offered]


@pytest.fixture
def offered(town: Town, clock: StoppedClock, write: OpenSession, read: OpenSession) -> MakeOffered:
    """Made where the test asks for it: within the block whose fences are off."""
    return lambda: Offered(town, clock, write, read)


# --- twenty late families ---


def test_one_freed_meal_goes_to_one_of_twenty_families(app: Flask, offered: MakeOffered, books_hold: BooksHold) -> None:
    shop = offered()
    results = together(app, [shop.pay(*taker) for taker in shop.takers(20)])
    assert len(succeeded(results)) == 1, results
    assert kinds_of_refusal(results) == {"BasketRefused"}
    assert (shop.states(), shop.confirmed(), shop.balance()) == (["taken"], 1, 1000)
    books_hold()


def test_control_without_locks_one_freed_meal_is_sold_again(
    app: Flask, offered: MakeOffered, books_hold: BooksHold, fences_off: FenceOff
) -> None:
    with fences_off("service_days.ck_service_days_places", "freed_meals.uq_freed_meals_sold"):
        shop = offered()
        takers = shop.takers(20)
        with without_locks(app), slow(app, "UPDATE service_days", "INSERT INTO orders"):
            together(app, [shop.pay(*taker) for taker in takers])
        assert shop.confirmed() > 1
        with pytest.raises(AssertionError, match="nombre de places prises"):
            books_hold()


# --- the giver keeps it ---


def test_kept_or_taken_but_never_both(app: Flask, offered: MakeOffered, books_hold: BooksHold) -> None:
    shop = offered()
    (taker,) = shop.takers(1)
    results = together(app, [shop.keep(), shop.pay(*taker)])
    assert len(succeeded(results)) == 1, results
    assert kinds_of_refusal(results) <= {"CannotKeep", "BasketRefused"}
    kept = succeeded(results) == ["kept"]
    assert shop.states() == ["withdrawn" if kept else "taken"]
    assert (shop.confirmed(), shop.balance()) == (1, 620 if kept else 1000)
    books_hold()


def test_control_without_locks_it_is_kept_and_taken(app: Flask, offered: MakeOffered, books_hold: BooksHold) -> None:
    shop = offered()
    (taker,) = shop.takers(1)
    with without_locks(app), meeting(app, "UPDATE"):
        results = together(app, [shop.keep(), shop.pay(*taker)])
    assert len(succeeded(results)) == 2, results
    # Whichever is written last: the giver was told that it keeps a meal that was sold and credited.
    assert shop.balance() == 1000
    if shop.states() == ["withdrawn"]:
        with pytest.raises(AssertionError, match="sans que le journal dise pourquoi"):
            books_hold()


# --- the hold lapses ---


def test_late_money_and_another_family_at_once(
    app: Flask, offered: MakeOffered, write: OpenSession, books_hold: BooksHold
) -> None:
    shop = offered()
    first, second = shop.takers(2)
    held = hold(first, write)
    with write() as db:
        assert settle(db, held.key, seen(held, "expired"), request_now()) == "expired"
    results = together(app, [late_money(held), shop.pay(*second)])
    outcome = results[0]
    assert outcome in ("order_revived", "late_to_wallet"), results
    assert isinstance(results[1], Exception) == (outcome == "order_revived")
    assert (shop.states(), shop.confirmed(), shop.balance()) == (["taken"], 1, 1000)
    books_hold()


def test_control_without_locks_late_money_and_another_family_both_have_it(
    app: Flask, offered: MakeOffered, write: OpenSession, books_hold: BooksHold, fences_off: FenceOff
) -> None:
    with fences_off("service_days.ck_service_days_places", "freed_meals.uq_freed_meals_sold"):
        shop = offered()
        first, second = shop.takers(2)
        held = hold(first, write)
        with write() as db:
            settle(db, held.key, seen(held, "expired"), request_now())
        with without_locks(app, begin_on_write=False), meeting(app, "UPDATE service_days"):
            results = together(app, [late_money(held), shop.pay(*second)])
        assert results[0] == "order_revived"
        assert shop.confirmed() == 2, results
        with pytest.raises(AssertionError, match="nombre de places prises"):
            books_hold()


def test_the_end_of_a_hold_and_its_money_at_once(
    app: Flask, offered: MakeOffered, write: OpenSession, books_hold: BooksHold
) -> None:
    shop = offered()
    held = hold(shop.takers(1)[0], write)
    results = together(app, [late_money(held), told(held, "expired"), late_money(held), told(held, "expired")])
    assert len(succeeded(results)) == 4, results
    assert (shop.states(), shop.confirmed(), shop.balance()) == (["taken"], 1, 1000)
    books_hold()


def hold(taker: tuple[Family, int], write: OpenSession) -> Payment:
    family, basket_id = taker
    with write() as db:
        held = hold_for_card(db, buyer(family), basket_id, 380, the_gateways(), request_now())
    assert isinstance(held, Payment)
    return held


def seen(held: Payment, state: SeenState) -> Seen:
    return Seen("sb_x", held.key, state, held.cents, "eur", False)


def told(held: Payment, state: SeenState) -> Callable[[], str]:
    def telling() -> str:
        with transaction() as db:
            return settle(db, held.key, seen(held, state), request_now())

    return telling


def late_money(held: Payment) -> Callable[[], str]:
    return told(held, "paid")
