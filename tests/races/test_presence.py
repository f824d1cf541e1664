"""At noon: a roll-call sent twice at once, two settlements at once, the top-up's webhook twice, a day that is called off
meanwhile; each with its control."""

from collections import Counter
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select

from checkout import books, call_off, unbooked
from checkout.call_off import Plan, Scope
from checkout.dues import settle
from checkout.errors import CallOffChanged
from checkout.place import pay_from_wallet
from checkout.settle import Outcome
from checkout.settle import settle as settle_payment
from orders.models import UnbookedMeal
from payments.gateways.base import Seen
from shop.clock import request_now
from shop.database import transaction
from tests.checkout.presence import MONDAY, TODAY, TUESDAY, Noon
from tests.conftest import BooksHold, Cleaner, OpenSession
from tests.factory import Town
from tests.payments.attempts import open_top_up
from tests.races.together import kinds_of_refusal, meeting, slow, succeeded, together, without_fences, without_locks
from wallet.models import JournalEntry

pytestmark = pytest.mark.race


@pytest.fixture
def noon(town: Town, write: OpenSession, read: OpenSession) -> Noon:
    return Noon(town, write, read)


def note(noon: Noon, child: int = 0) -> Callable[[], tuple[int, bool]]:
    def noting() -> tuple[int, bool]:
        with transaction() as db:
            return unbooked.note_eaten(
                db,
                noon.canteen.day_ids[TODAY],
                noon.family.enrolment_ids[child],
                380,
                noon.clerk.account_id,
                request_now(),
            )

    return noting


def pay(noon: Noon, meals: list[int]) -> Callable[[], int]:
    def paying() -> int:
        with transaction() as db:
            return settle(db, noon.buyer, meals, 380 * len(meals), request_now())

    return paying


def entries(read: OpenSession) -> Counter[str]:
    with read() as db:
        return Counter(db.scalars(select(JournalEntry.kind)))


# --- the roll-call sent twice ---


def test_a_roll_call_sent_ten_times_charges_once(
    app: Flask, noon: Noon, read: OpenSession, books_hold: BooksHold
) -> None:
    with slow(app, "INSERT INTO unbooked_meals"):
        results = together(app, [note(noon)] * 10)
    assert len(succeeded(results)) == 10, results
    assert Counter(fresh for _meal, fresh in succeeded(results)) == {True: 1, False: 9}
    assert entries(read) == {"unbooked_meal": 1}
    books_hold()


def test_control_without_locks_and_index_it_is_charged_twice(
    app: Flask, noon: Noon, read: OpenSession, cleaner: Cleaner
) -> None:
    with without_fences(app, cleaner.clean, "unbooked_meals.uq_unbooked_meals_live"):
        with without_locks(app, begin_on_write=False), slow(app, "INSERT INTO unbooked_meals"):
            together(app, [note(noon)] * 6)
        with read() as db:
            assert (db.scalar(select(func.count()).select_from(UnbookedMeal)) or 0) > 1


def test_two_children_and_a_wallet_for_one_are_paid_and_due(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    for _ in range(4):
        noon = Noon(town, write, read, balance_cents=500)
        results = together(app, [note(noon), note(noon, 1)])
        assert len(succeeded(results)) == 2, results
        assert noon.balances() == (120, 380)
    books_hold()


def test_booked_late_and_noted_at_once_is_one_meal(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    """The family pays a late booking of today while the clerk notes the child."""
    outcomes: Counter[bool] = Counter()
    town.change_day(town.aiguilhe.canteen, TODAY, book_deadline_at=town.now.replace(hour=22))
    for _ in range(4):
        noon = Noon(town, write, read, balance_cents=1000)
        basket = town.basket(noon.family, noon.canteen, [TODAY], noon.family.beneficiary_ids[:1])

        def book(noon: Noon = noon, basket: int = basket) -> str:
            with transaction() as db:
                return pay_from_wallet(db, noon.buyer, basket, None, request_now())

        ways: list[Callable[[], object]] = [book, note(noon)]
        results = together(app, ways)
        assert len(succeeded(results)) == 1, results
        assert kinds_of_refusal(results) <= {"BasketRefused", "CannotBeUnbooked"}
        assert noon.balances() == (620, 0)
        outcomes[isinstance(succeeded(results)[0], str)] += 1
    books_hold()


# --- two settlements ---


def test_two_settlements_at_once_pay_once(app: Flask, noon: Noon, town: Town, books_hold: BooksHold) -> None:
    meals = [noon.note(MONDAY), noon.note(TUESDAY)]
    town.top_up(noon.family, 760)
    with slow(app, "UPDATE unbooked_meals"):
        results = succeeded(together(app, [pay(noon, meals)] * 8))
    assert Counter(results) == {760: 1, 0: 7}
    assert (noon.balances(), noon.states()) == ((0, 0), ["paid", "paid"])
    books_hold()


def test_control_without_locks_it_is_settled_more_than_once_and_only_the_key_of_the_entry_holds(
    app: Flask, noon: Noon, town: Town, read: OpenSession
) -> None:
    meals = [noon.note(MONDAY)]
    town.top_up(noon.family, 760)
    with without_locks(app, begin_on_write=False), slow(app, "UPDATE unbooked_meals", "INSERT INTO journal_entries"):
        results = succeeded(together(app, [pay(noon, meals)] * 8))
    assert Counter(results)[380] > 1
    # The second fence: the key of an entry makes it once.
    assert entries(read)["due_settled"] == 1


# --- the top-up ---


def arrive(app: Flask, noon: Noon, town: Town, cents: int) -> Callable[[], Outcome]:
    payment = open_top_up(app, town, noon.family, cents=cents)
    seen = Seen("sb_top_up", payment.key, "paid", cents, "eur", False)

    def arriving() -> Outcome:
        with transaction() as db:
            return settle_payment(db, payment.key, seen, request_now())

    return arriving


def test_the_webhook_twice_and_a_click_settle_once(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    for _ in range(3):
        noon = Noon(town, write, read)
        meals = [noon.note(MONDAY), noon.note(TUESDAY)]
        town.top_up(noon.family, 100)
        top_up = arrive(app, noon, town, 1000)
        results = together(app, [top_up, top_up, pay(noon, meals), top_up])
        assert Counter(result for result in results if isinstance(result, str)) == {"topped_up": 1, "already": 2}
        assert noon.balances() == (340, 0), results
    books_hold()


def test_a_meal_noted_while_the_top_up_arrives_is_settled_whichever_comes_first(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    for _ in range(4):
        noon = Noon(town, write, read)
        results = together(app, [arrive(app, noon, town, 1000), note(noon)])
        assert len(succeeded(results)) == 2, results
        assert noon.balances() == (620, 0)
    books_hold()


def test_control_without_locks_the_meal_stays_due_beside_a_full_wallet(
    app: Flask, town: Town, write: OpenSession, read: OpenSession
) -> None:
    left: Counter[tuple[int, int]] = Counter()
    for _ in range(3):
        noon = Noon(town, write, read)
        top_up = arrive(app, noon, town, 1000)
        waits = slow(app, "UPDATE payments", seconds=0.2), slow(app, "INSERT INTO unbooked_meals", seconds=0.6)
        with without_locks(app, begin_on_write=False), waits[0], waits[1]:
            together(app, [top_up, note(noon)])
        left[noon.balances()] += 1
    assert left[1000, 380] > 0, left


# --- called off meanwhile ---


@pytest.fixture
def strike(noon: Noon) -> Callable[[], int]:
    """Plan to call today off, as a clerk who has seen what is there."""

    def planned() -> int:
        scope = Scope(noon.canteen.day_ids[TODAY])
        with noon.write() as db:
            seen = call_off.affected(db, scope)
            return call_off.plan(db, Plan(scope, "strike", "Grève."), seen, noon.clerk.account_id, noon.town.now)

    return planned


def carry_out(number: int) -> Callable[[], int | None]:
    return lambda: call_off.carry_out_now(number, request_now())


def strike_off(noon: Noon, meal: int) -> Callable[[], tuple[int, bool]]:
    def striking() -> tuple[int, bool]:
        with transaction() as db:
            here = [noon.town.aiguilhe.id]
            return unbooked.strike_off(db, here, meal, "Absent.", noon.clerk.account_id, request_now())

    return striking


def test_a_due_that_is_settled_while_the_day_is_called_off_comes_back(
    app: Flask, noon: Noon, town: Town, strike: Callable[[], int], books_hold: BooksHold
) -> None:
    """The family pays, by a click or by the top-up that arrives, while the worker carries the call-off out."""
    meals = [noon.note(), noon.note(child=1)]
    town.top_up(noon.family, 760)
    top_up, number = arrive(app, noon, town, 1000), strike()
    ways: list[Callable[[], object]] = [
        pay(noon, meals),
        carry_out(number),
        top_up,
        carry_out(number),
        pay(noon, meals),
    ]
    with slow(app, "UPDATE unbooked_meals"):
        results = together(app, ways)
    assert kinds_of_refusal(results) <= {"DuesChanged"}
    assert Counter((results[1], results[3])) == {2: 1, None: 1}, results
    assert (noon.balances(), noon.states()) == ((1760, 0), ["struck", "struck"])
    books_hold()


def test_a_clerk_who_strikes_off_meanwhile_does_it_once(
    app: Flask,
    noon: Noon,
    town: Town,
    strike: Callable[[], int],
    read: OpenSession,
    books_hold: BooksHold,
) -> None:
    town.top_up(noon.family, 380)
    meal, _other = noon.note(), noon.note(child=1)
    number = strike()
    ways: list[Callable[[], object]] = [strike_off(noon, meal), carry_out(number), strike_off(noon, meal)]
    with slow(app, "UPDATE unbooked_meals"):
        results = together(app, ways)
    assert len(succeeded(results)) == 3, results
    assert (noon.balances(), noon.states()) == ((380, 0), ["struck", "struck"])
    assert entries(read)["reversal"] == 2
    books_hold()


def test_a_child_noted_while_the_day_is_called_off_is_struck_off_or_refused(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    noon = Noon(town, write, read)
    scope = Scope(noon.canteen.day_ids[TODAY])

    def call_it_off() -> int | None:
        while True:
            try:
                with transaction() as db:
                    asked, seen = Plan(scope, "strike", "Grève."), call_off.affected(db, scope)
                    number = call_off.plan(db, asked, seen, noon.clerk.account_id, request_now())
                return call_off.carry_out_now(number, request_now())
            except CallOffChanged:
                continue

    ways: list[Callable[[], object]] = [note(noon), call_it_off, note(noon, 1)]
    results = together(app, ways)
    assert kinds_of_refusal(results) <= {"CannotBeUnbooked"}
    assert (noon.balances(), set(noon.states()) - {"struck"}) == ((0, 0), set()), results
    books_hold()


def test_control_without_locks_and_constraints_it_is_paid_and_taken_back_by_halves(
    app: Flask, noon: Noon, town: Town, strike: Callable[[], int], read: OpenSession, cleaner: Cleaner
) -> None:
    meals = [noon.note()]
    town.top_up(noon.family, 760)
    number = strike()
    # The second fence, where the family's click is the last: what is struck off is never paid.
    fences = "unbooked_meals.ck_unbooked_meals_struck", "unbooked_meals.ck_unbooked_meals_called_off"
    with without_fences(app, cleaner.clean, *fences):
        with without_locks(app, begin_on_write=False), meeting(app, "INSERT INTO journal_entries"):
            together(app, [pay(noon, meals), carry_out(number)])
        with read() as db:
            assert "repas sans réservation dont les écritures ne vont pas avec leur état" in {
                finding.sentence for finding in books.check(db)
            }
