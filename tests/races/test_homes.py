"""Both parents of a child pay the same day at once: one has the meal, the other a sentence; on both databases."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from flask import Flask
from sqlalchemy import func, select

from accounts.models import HouseholdBeneficiary
from checkout.errors import AlreadyBooked
from checkout.place import Buyer, pay_from_wallet
from homes.operations import accept, invite
from homes.queries import invitations_to
from orders.models import Reservation
from shop.clock import request_now
from shop.database import transaction
from shop.outbox import send_letters
from tests.conftest import BooksHold, Cleaner, OpenSession
from tests.factory import Family, Town
from tests.races.together import kinds_of_refusal, meeting, succeeded, together, without_fences, without_locks
from wallet.models import LedgerAccount

pytestmark = pytest.mark.race

FenceOff = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def fences_off(app: Flask, cleaner: Cleaner) -> FenceOff:
    """`with fences_off("table.uq_…"):` — see `without_fences`."""
    return lambda *names: without_fences(app, cleaner.clean, *names)


def pay(family: Family, basket_id: int) -> Callable[[], str]:
    def paying() -> str:
        with transaction() as db:
            buyer = Buyer(family.household_id, family.account_id, family.email)
            return pay_from_wallet(db, buyer, basket_id, None, request_now())

    return paying


def both_parents(town: Town) -> list[Callable[[], str]]:
    """Each of two homes pays the same day of the same child."""
    one, two = town.family(children=1, balance_cents=5000), town.family(children=0, balance_cents=5000)
    child, canteen = town.share(one, two), town.aiguilhe.canteen
    town.enrol(two, child, canteen)
    day = canteen.open_days(town.now)[:1]
    return [pay(family, town.basket(family, canteen, day, [child])) for family in (one, two)]


def booked(read: OpenSession) -> int:
    with read() as db:
        return db.scalar(select(func.count()).where(Reservation.state == "confirmed")) or 0


def spent(read: OpenSession) -> int:
    with read() as db:
        held = db.scalar(select(func.sum(LedgerAccount.balance_cents)).where(LedgerAccount.kind == "wallet")) or 0
    return 10_000 - int(held)


def test_both_parents_pay_the_same_day_at_once_and_one_has_it(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold
) -> None:
    results = together(app, both_parents(town))
    assert len(succeeded(results)) == 1
    assert kinds_of_refusal(results) == {"BasketRefused"}
    assert (booked(read), spent(read)) == (1, 380)
    books_hold()


def test_without_locks_the_index_still_refuses_the_second_meal_with_a_sentence(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold
) -> None:
    with without_locks(app), meeting(app, "INSERT INTO orders"):
        results = together(app, both_parents(town))
    assert len(succeeded(results)) == 1
    (refused,) = [result for result in results if isinstance(result, Exception)]
    assert isinstance(refused, AlreadyBooked)
    assert "par l’autre parent" in refused.sentence
    assert (booked(read), spent(read)) == (1, 380)
    books_hold()


def test_control_without_locks_and_index_the_meal_is_sold_twice(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold, fences_off: FenceOff
) -> None:
    with fences_off("reservations.uq_reservations_live"):
        purchases = both_parents(town)
        with without_locks(app), meeting(app, "INSERT INTO orders"):
            results = together(app, purchases)
        assert len(succeeded(results)) == 2, results
        assert (booked(read), spent(read)) == (2, 760)
        with pytest.raises(AssertionError, match="deux fois"):
            books_hold()


def test_an_invitation_accepted_ten_times_at_once_adds_one_home(
    app: Flask, town: Town, read: OpenSession, books_hold: BooksHold
) -> None:
    one, two = town.family(children=1), town.family(children=0)
    child = one.beneficiary_ids[0]
    with app.app_context():
        with transaction() as db:
            invite(db, one.household_id, one.account_id, child, two.email, town.now)
        with transaction() as db:
            ((_name, token),) = invitations_to(db, two.email, town.now)

    def accepting() -> int:
        with transaction() as db:
            return accept(db, two.household_id, two.email, True, token, "father", request_now())

    results = together(app, [accepting] * 10)
    assert len(succeeded(results)) == 1
    assert kinds_of_refusal(results) == {"InvitationEnded"}
    with read() as db:
        homes = db.scalars(
            select(HouseholdBeneficiary.household_id).where(HouseholdBeneficiary.beneficiary_id == child)
        ).all()
    assert sorted(homes) == sorted([one.household_id, two.household_id])
    with app.app_context():
        assert send_letters() == 2
    books_hold()
