"""Two tabs, one wallet; ten clicks; the last place; the same cancellation ten times: on both databases, with controls."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

import wallet.operations
from checkout.cancel import cancel_reservations
from checkout.place import Buyer, pay_from_wallet
from orders.models import Order, Reservation
from shop.clock import request_now
from shop.database import transaction
from tests.conftest import BooksHold, Cleaner, OpenSession, SignIn, Submit
from tests.factory import Family, Town
from tests.races.together import kinds_of_refusal, slow, succeeded, together, without_fences, without_locks
from wallet.models import LedgerAccount
from wallet.operations import AccountRef, Entry

pytestmark = pytest.mark.race

FenceOff = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def fences_off(app: Flask, cleaner: Cleaner) -> FenceOff:
    """`with fences_off("table.ck_…"):` — see `without_fences`."""
    return lambda *names: without_fences(app, cleaner.clean, *names)


def buyer(family: Family) -> Buyer:
    return Buyer(family.household_id, family.account_id, family.email)


def pay(family: Family, basket_id: int, seen_cents: int | None = None) -> Callable[[], str]:
    def paying() -> str:
        with transaction() as db:
            return pay_from_wallet(db, buyer(family), basket_id, seen_cents, request_now())

    return paying


# --- two tabs, one wallet ---


def spend(town: Town, family: Family, number: int, cents: int) -> Callable[[], int]:
    entry = Entry(
        kind="adjustment",
        key=f"spent:{number}",
        regie_id=town.regie_id,
        postings=((AccountRef("wallet", family.household_id), -cents), (AccountRef("sales"), cents)),
    )

    def spending() -> int:
        with transaction() as db:
            return wallet.operations.enter(db, entry, request_now())

    return spending


def balance(read: OpenSession, family: Family) -> int:
    with read() as db:
        return db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.id == family.wallet_id)).one()


def test_a_wallet_is_spent_once(app: Flask, town: Town, read: OpenSession, books_hold: BooksHold) -> None:
    family = town.family(balance_cents=1000)
    results = together(app, [spend(town, family, number, 300) for number in range(12)])
    assert len(succeeded(results)) == 3
    assert kinds_of_refusal(results) == {"BalanceTooShort"}
    assert balance(read, family) == 100
    books_hold()


def test_control_without_locks_the_same_wallet_is_spent_again(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold, fences_off: FenceOff
) -> None:
    with fences_off("ledger_accounts.ck_ledger_accounts_wallet_balance"):
        family = town.family(balance_cents=1000)
        # `enter` writes the entry before it reads the balance, so that even a late BEGIN would guard it on SQLite.
        with without_locks(app, begin_on_write=False), slow(app, "INSERT INTO postings"):
            results = together(app, [spend(town, family, number, 300) for number in range(12)])
        assert len(succeeded(results)) > 3
        assert balance(read, family) < 100
        with pytest.raises(AssertionError, match="porte-monnaie sous zéro"):
            books_hold()


def test_without_locks_the_check_still_refuses_to_go_below_zero(
    app: Flask, town: Town, read: OpenSession, fences_off: FenceOff
) -> None:
    """The second fence: the balance moves by a difference, under a CHECK."""
    family = town.family(balance_cents=1000)
    with without_locks(app), slow(app, "INSERT INTO postings"):
        together(app, [spend(town, family, number, 300) for number in range(12)])
    assert balance(read, family) == 100


# --- ten clicks ---


def test_ten_clicks_on_pay_are_one_order(app: Flask, town: Town, read: OpenSession, books_hold: BooksHold) -> None:
    family = town.family(balance_cents=10_000)
    basket_id = town.basket(family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:3])
    results = together(app, [pay(family, basket_id)] * 10)
    assert len(set(succeeded(results))) == 1
    assert len(succeeded(results)) == 10
    with read() as db:
        assert db.scalar(select(func.count()).select_from(Order)) == 1
    assert balance(read, family) == 10_000 - 6 * 380
    books_hold()


def test_control_without_locks_ten_clicks_are_refused_or_pay_twice(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold, fences_off: FenceOff
) -> None:
    with fences_off("orders.uq_orders_basket", "reservations.uq_reservations_live"):
        family = town.family(balance_cents=30_000)
        basket_id = town.basket(family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:3])
        with without_locks(app), slow(app, "INSERT INTO orders"):
            together(app, [pay(family, basket_id)] * 10)
        with read() as db:
            assert (db.scalar(select(func.count()).select_from(Order)) or 0) > 1
        with pytest.raises(AssertionError, match="paniers commandés deux fois"):
            books_hold()


# --- the last place ---


def twenty_families(town: Town) -> list[Callable[[], str]]:
    canteen = town.aiguilhe.canteen
    day = canteen.open_days(town.now)[0]
    town.change_day(canteen, day, capacity=1)
    families = [town.family(children=1, balance_cents=1000) for _ in range(20)]
    return [pay(family, town.basket(family, canteen, [day])) for family in families]


def booked(read: OpenSession) -> int:
    with read() as db:
        return db.scalar(select(func.count()).where(Reservation.state == "confirmed")) or 0


def test_the_last_place_goes_to_one_of_twenty_families(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold
) -> None:
    results = together(app, twenty_families(town))
    assert len(succeeded(results)) == 1
    assert kinds_of_refusal(results) <= {"BasketRefused", "PlaceJustTaken"}
    assert len(results) == 20
    assert booked(read) == 1
    books_hold()


def test_control_without_locks_the_last_place_is_sold_again(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold, fences_off: FenceOff
) -> None:
    with fences_off("service_days.ck_service_days_places"):
        families = twenty_families(town)
        with without_locks(app), slow(app, "INSERT INTO orders"):
            together(app, families)
        assert booked(read) > 1
        with pytest.raises(AssertionError, match="dépasse la capacité"):
            books_hold()


def test_without_locks_the_check_still_guards_the_last_place(app: Flask, town: Town, read: OpenSession) -> None:
    with without_locks(app), slow(app, "INSERT INTO orders"):
        together(app, twenty_families(town))
    assert booked(read) == 1


def test_baskets_that_overlap_in_any_order_never_wait_for_each_other(
    app: Flask, town: Town, books_hold: BooksHold
) -> None:
    """Days are locked by id, whatever the order in the basket: nobody has to try again."""
    canteen = town.aiguilhe.canteen
    days = canteen.open_days(town.now)[:8]
    families = [town.family(children=1, balance_cents=5000) for _ in range(8)]
    purchases = []
    for place, family in enumerate(families):
        turned = days[place:] + days[:place]
        purchases.append(pay(family, town.basket(family, canteen, turned if place % 2 else turned[::-1])))
    with slow(app, "INSERT INTO reservations", seconds=0.01):
        results = together(app, purchases)
    assert len(succeeded(results)) == 8, results
    books_hold()


# --- cancelling ---


def cancel(family: Family, reservation_ids: list[int]) -> Callable[[], int]:
    def cancelling() -> int:
        with transaction() as db:
            return cancel_reservations(db, buyer(family), reservation_ids, None, request_now()) or 0

    return cancelling


@pytest.fixture
def bought(app: Flask, town: Town) -> tuple[Family, list[int]]:
    family = town.family(balance_cents=10_000)
    order_id = town.paid_order(family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:2])
    return family, town.reservation_ids(order_id)


def test_a_meal_cancelled_ten_times_is_credited_once(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold, bought: tuple[Family, list[int]]
) -> None:
    family, reservations = bought
    results = together(app, [cancel(family, reservations[:1])] * 10)
    assert sorted(succeeded(results)) == [0] * 9 + [380]
    assert balance(read, family) == 10_000 - 3 * 380
    books_hold()


def test_control_without_locks_a_place_is_given_back_again(
    app: Flask, books_hold: BooksHold, bought: tuple[Family, list[int]]
) -> None:
    """Without the locks the credit is still made once, by its key; but the places are counted wrong."""
    family, reservations = bought
    with without_locks(app), slow(app, "UPDATE service_days"):
        together(app, [cancel(family, reservations[:1])] * 4)
    with pytest.raises(AssertionError, match="nombre de places prises"):
        books_hold()


def test_cancelling_and_paying_at_once_keep_the_books(
    app: Flask, town: Town, books_hold: BooksHold, bought: tuple[Family, list[int]]
) -> None:
    family, reservations = bought
    days = town.aiguilhe.canteen.open_days(town.now)[2:5]
    basket_id = town.basket(family, town.aiguilhe.canteen, days)
    things: list[Callable[[], object]] = [cancel(family, [number]) for number in reservations]
    results = together(app, [*things, pay(family, basket_id), cancel(family, reservations)])
    assert kinds_of_refusal(results) <= {"CannotCancel"}
    books_hold()


def test_ten_tabs_that_click_at_once_are_all_led_to_the_one_order(
    app: Flask, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession, books_hold: BooksHold
) -> None:
    """The whole way through the door: ten browsers of one family, each with its token."""
    family = town.family(balance_cents=10_000)
    basket_id = town.basket(family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:3])
    form = {"panier": str(basket_id), "total": str(6 * 380)}
    browsers = [app.test_client() for _ in range(10)]
    for browser in browsers:
        sign_in(browser, family)

    def click(browser: FlaskClient) -> Callable[[], tuple[int, str]]:
        def clicking() -> tuple[int, str]:
            answer = submit(browser, "/panier/payer/porte-monnaie", form)
            return answer.status_code, answer.headers.get("Location", "")

        return clicking

    answers = succeeded(together(app, [click(browser) for browser in browsers]))
    assert len(answers) == 10
    assert {status for status, _location in answers} == {303}
    assert len({location for _status, location in answers}) == 1
    assert balance(read, family) == 10_000 - 6 * 380
    books_hold()
