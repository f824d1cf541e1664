"""One place that comes free: who waits, who buys, two workers, a lapse and a payment at once; with controls."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from cart import places
from cart.models import WaitingEntry
from cart.rules import Meal
from cart.waiting import join
from checkout import waiting
from checkout.cancel import cancel_reservations
from checkout.errors import BasketRefused
from checkout.place import Buyer, pay_from_wallet
from orders.models import Reservation
from shop.clock import StoppedClock, request_now
from shop.database import transaction
from tests.conftest import BooksHold, Cleaner, OpenSession
from tests.factory import Family, Town
from tests.races.together import kinds_of_refusal, meeting, slow, succeeded, together, without_fences, without_locks

pytestmark = pytest.mark.race

OFFERED_BEFORE = "UPDATE waiting_entries"


class FreePlace:
    """A day of one place that is free, and families that wait for it."""

    def __init__(self, app: Flask, town: Town, read: OpenSession) -> None:
        self.app, self.town, self.read = app, town, read
        self.canteen = town.aiguilhe.canteen
        self.day = town.aiguilhe.canteen.open_days(town.now)[6]
        self.day_id = self.canteen.day_ids[self.day]
        town.change_day(self.canteen, self.day, capacity=1)

    def waits(self, number: int) -> list[Family]:
        families = [self.town.family(children=1, balance_cents=1000) for _ in range(number)]
        for family in families:
            self.town.wait(family, self.canteen, self.day)
        return families

    def buying(self, family: Family, at: datetime | None = None) -> Callable[[], object]:
        basket_id = self.town.basket(family, self.canteen, [self.day])
        buyer = Buyer(family.household_id, family.account_id, family.email)

        def buy() -> str:
            with transaction() as db:
                return pay_from_wallet(db, buyer, basket_id, None, at or request_now())

        return buy

    def work(self, at: datetime | None = None) -> object:
        return waiting.make_offers(at or request_now())

    def turn(self) -> None:
        """As one of two workers that both found the day due."""
        with transaction() as db:
            waiting.turn(db, self.day_id, request_now())

    def states(self) -> list[str]:
        with self.read() as db:
            return list(db.scalars(select(WaitingEntry.state).order_by(WaitingEntry.id)))

    def booked(self) -> int:
        with self.read() as db:
            return db.scalar(select(func.count()).where(Reservation.state == "confirmed")) or 0


@pytest.fixture
def place(app: Flask, town: Town, read: OpenSession) -> FreePlace:
    return FreePlace(app, town, read)


def test_one_place_many_who_wait_and_one_who_buys(app: Flask, place: FreePlace, books_hold: BooksHold) -> None:
    place.waits(6)
    direct = place.town.family(children=1, balance_cents=1000)
    with slow(app, OFFERED_BEFORE, "INSERT INTO orders"):
        results = together(app, [place.turn, place.buying(direct), place.turn, place.turn])
    bought = place.booked()
    assert place.states() == (["waiting"] * 6 if bought else ["offered"] + ["waiting"] * 5)
    assert kinds_of_refusal(results) <= {"BasketRefused"}
    assert bought == (0 if kinds_of_refusal(results) else 1)
    books_hold()


def test_who_buys_while_a_meal_is_cancelled_does_not_come_before_who_waits(
    app: Flask, place: FreePlace, books_hold: BooksHold
) -> None:
    eater = place.town.family(children=1, balance_cents=1000)
    meals = place.town.reservation_ids(place.town.paid_order(eater, place.canteen, [place.day]))
    place.waits(2)
    buying = [place.buying(place.town.family(children=1, balance_cents=1000)) for _ in range(4)]

    def cancel() -> None:
        with transaction() as db:
            buyer = Buyer(eater.household_id, eater.account_id, eater.email)
            cancel_reservations(db, buyer, meals, None, request_now())

    with slow(app, OFFERED_BEFORE):
        results = together(app, [cancel, *buying])
    assert len(succeeded(results)) == 1
    assert kinds_of_refusal(results) == {"BasketRefused"}
    assert (place.states(), place.booked()) == (["offered", "waiting"], 0)
    books_hold()


def test_control_without_locks_the_place_is_offered_and_sold(
    app: Flask, place: FreePlace, books_hold: BooksHold, cleaner: Cleaner
) -> None:
    with without_fences(app, cleaner.clean, "service_days.ck_service_days_places"):
        place.waits(1)
        direct = place.town.family(children=1, balance_cents=1000)
        buying = place.buying(direct)
        with without_locks(app), slow(app, OFFERED_BEFORE, "INSERT INTO orders", seconds=0.3):
            together(app, [place.turn, buying])
        assert (place.states(), place.booked()) == (["offered"], 1)
        with pytest.raises(AssertionError, match="dépasse la capacité"):
            books_hold()


def test_two_workers_offer_one_place_once(
    app: Flask, place: FreePlace, read: OpenSession, books_hold: BooksHold
) -> None:
    place.waits(4)
    with slow(app, OFFERED_BEFORE):
        results = together(app, [place.turn] * 6)
    assert len(succeeded(results)) == 6
    assert place.states() == ["offered", "waiting", "waiting", "waiting"]
    books_hold()


def test_control_without_locks_two_workers_count_an_offer_twice(
    app: Flask, place: FreePlace, books_hold: BooksHold, cleaner: Cleaner
) -> None:
    with without_fences(app, cleaner.clean, "service_days.ck_service_days_places"):
        place.waits(1)
        with without_locks(app), meeting(app, OFFERED_BEFORE):
            together(app, [place.turn] * 2)
        with pytest.raises(AssertionError, match="nombre de places prises"):
            books_hold()


@pytest.fixture
def offered(place: FreePlace, clock: StoppedClock) -> tuple[Family, Family, datetime]:
    """Who has the offer, who is next, and when it lapses."""
    first, second = place.waits(2)
    with place.app.app_context():
        place.work()
    assert place.states() == ["offered", "waiting"]
    return first, second, clock.now() + timedelta(hours=24)


def test_an_offer_that_lapses_while_it_is_paid_is_one_or_the_other(
    app: Flask, place: FreePlace, offered: tuple[Family, Family, datetime], books_hold: BooksHold
) -> None:
    """The click comes a second before the end, the worker a second after: whoever has the day first."""
    first, _second, until = offered
    buying = place.buying(first, until - timedelta(seconds=1))
    with slow(app, OFFERED_BEFORE, "INSERT INTO orders"):
        results = together(app, [buying, lambda: place.work(until + timedelta(seconds=1))])
    if isinstance(results[0], Exception):
        assert isinstance(results[0], BasketRefused)
        assert (place.states(), place.booked()) == (["lapsed", "offered"], 0)
    else:
        assert (place.states(), place.booked()) == (["taken", "waiting"], 1)
    books_hold()


def test_control_without_locks_a_lapsing_offer_is_sold_and_passed_on(
    app: Flask,
    place: FreePlace,
    books_hold: BooksHold,
    cleaner: Cleaner,
    clock: StoppedClock,
) -> None:
    fences = ("service_days.ck_service_days_places", "waiting_entries.ck_waiting_entries_taken")
    with without_fences(app, cleaner.clean, *fences):
        first, _second = place.waits(2)
        with app.app_context():
            place.work()
        until = clock.now() + timedelta(hours=24)
        buying = place.buying(first, until - timedelta(seconds=1))

        def worker() -> object:
            with transaction() as db:
                waiting.turn(db, place.day_id, until + timedelta(seconds=1))
            return None

        with without_locks(app), meeting(app, OFFERED_BEFORE):
            together(app, [buying, worker])
        with pytest.raises(AssertionError, match="places"):
            books_hold()


def joining(place: FreePlace, family: Family) -> Callable[[], None]:
    def click() -> None:
        with transaction() as db:
            found = places.find_place(db, family.household_id, "aiguilhe", place.canteen.slug, place.day)
            assert found is not None
            children = {child.id: child for child in found[2]}
            meal = Meal(family.beneficiary_ids[0], place.day)
            join(db, family.household_id, family.account_id, place.canteen.id, children, meal, request_now())

    return click


def test_ten_clicks_put_a_child_on_the_list_once(app: Flask, place: FreePlace, books_hold: BooksHold) -> None:
    eater = place.town.family(children=1, balance_cents=1000)
    place.town.paid_order(eater, place.canteen, [place.day])
    family = place.town.family(children=1)

    with slow(app, "INSERT INTO waiting_entries"):
        results = together(app, [joining(place, family)] * 10)
    assert len(succeeded(results)) == 1
    assert kinds_of_refusal(results) == {"AlreadyWaiting"}
    assert place.states() == ["waiting"]
    books_hold()


def test_control_without_locks_the_index_alone_stands_in_the_way(app: Flask, place: FreePlace) -> None:
    eater = place.town.family(children=1, balance_cents=1000)
    place.town.paid_order(eater, place.canteen, [place.day])
    family = place.town.family(children=1)

    with without_locks(app), meeting(app, "INSERT INTO waiting_entries"):
        results = together(app, [joining(place, family)] * 2)
    assert kinds_of_refusal(results) == {"IntegrityError"}
    assert place.states() == ["waiting"]


def test_the_last_place_of_a_school_is_sold_once(
    app: Flask, place: FreePlace, books_hold: BooksHold, town: Town
) -> None:
    town.change_day(place.canteen, place.day, capacity=None)
    town.limit_school(place.canteen, place.day, 1)
    families = [town.family(children=1, balance_cents=1000) for _ in range(8)]
    results = together(app, [place.buying(family) for family in families])
    assert len(succeeded(results)) == 1
    assert kinds_of_refusal(results) <= {"BasketRefused", "PlaceJustTaken"}
    books_hold()


def test_control_without_locks_the_last_place_of_a_school_is_sold_again(
    app: Flask, place: FreePlace, books_hold: BooksHold, town: Town, cleaner: Cleaner
) -> None:
    with without_fences(app, cleaner.clean, "school_places.ck_school_places_places"):
        town.change_day(place.canteen, place.day, capacity=None)
        town.limit_school(place.canteen, place.day, 1)
        families = [town.family(children=1, balance_cents=1000) for _ in range(8)]
        buying = [place.buying(family) for family in families]
        with without_locks(app), slow(app, "INSERT INTO orders"):
            together(app, buying)
        assert place.booked() > 1
        with pytest.raises(AssertionError, match="dépasse leur limite"):
            books_hold()


def test_without_locks_the_check_still_guards_the_school(app: Flask, place: FreePlace, town: Town) -> None:
    town.change_day(place.canteen, place.day, capacity=None)
    town.limit_school(place.canteen, place.day, 1)
    buying = [place.buying(town.family(children=1, balance_cents=1000)) for _ in range(8)]
    with without_locks(app), slow(app, "INSERT INTO orders"):
        results = together(app, buying)
    assert place.booked() == 1
    assert "PlaceJustTaken" in kinds_of_refusal(results)
