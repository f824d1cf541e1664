"""One second before a deadline and at it, on every kind of night: what is shown and what is enforced are one instant."""

from datetime import date, datetime, time, timedelta

import pytest

from catalog.rules.deadlines import Calendar, DeadlineRule, deadline
from checkout.cancel import cancel_reservations
from checkout.errors import BasketRefused, CannotCancel
from checkout.place import Buyer, pay_from_wallet
from shop.clock import PARIS, paris_instant
from shop.french import moment
from tests.conftest import BooksHold, OpenSession
from tests.factory import Family, Town

SECOND = timedelta(seconds=1)

DEADLINES = {
    "an ordinary morning": paris_instant(date(2026, 11, 23), time(10)),
    "midnight": paris_instant(date(2026, 11, 23), time(0)),
    "before the autumn night": paris_instant(date(2026, 10, 24), time(10)),
    "in the hour that comes twice": paris_instant(date(2026, 10, 25), time(2, 30)),
    "after the autumn night": paris_instant(date(2026, 10, 25), time(10)),
    "in the hour that does not exist": paris_instant(date(2027, 3, 28), time(2, 30)),
    "after the spring night": paris_instant(date(2027, 3, 28), time(10)),
}

at_each_deadline = pytest.mark.parametrize("at", DEADLINES.values(), ids=DEADLINES)


def buyer(family: Family) -> Buyer:
    return Buyer(family.household_id, family.account_id, family.email)


@at_each_deadline
def test_a_meal_can_be_paid_one_second_before_and_not_at_the_deadline(
    town: Town, write: OpenSession, books_hold: BooksHold, at: datetime
) -> None:
    canteen = town.aiguilhe.canteen
    day = canteen.open_days(town.now)[0]
    town.change_day(canteen, day, book_deadline_at=at)
    late, early = town.family(children=1, balance_cents=1000), town.family(children=1, balance_cents=1000)
    late_basket, early_basket = (town.basket(family, canteen, [day]) for family in (late, early))
    with write() as db:
        pay_from_wallet(db, buyer(early), early_basket, 380, at - SECOND)
    for moment_of_click in (at, at + SECOND, at + timedelta(hours=1)):
        with pytest.raises(BasketRefused) as refused, write() as db:
            pay_from_wallet(db, buyer(late), late_basket, 380, moment_of_click)
        (problem,) = refused.value.problems.values()
        assert moment(at) in problem
    books_hold()


@at_each_deadline
def test_a_meal_can_be_cancelled_one_second_before_and_not_at_the_deadline(
    town: Town, write: OpenSession, books_hold: BooksHold, at: datetime
) -> None:
    canteen = town.aiguilhe.canteen
    day = canteen.open_days(town.now)[0]
    # The deadline as it was sold is the one that counts: a rule that changes later does not shorten it.
    town.change_day(canteen, day, cancel_deadline_at=at)
    family = town.family(children=2, balance_cents=1000)
    basket_id = town.basket(family, canteen, [day])
    with write() as db:
        pay_from_wallet(db, buyer(family), basket_id, 760, town.now)
    town.change_day(canteen, day, cancel_deadline_at=at - timedelta(days=30))
    first, second = town.reservation_ids(1)
    with write() as db:
        assert cancel_reservations(db, buyer(family), [first], 380, at - SECOND) == 380
    for moment_of_click in (at, at + SECOND):
        with pytest.raises(CannotCancel) as refused, write() as db:
            cancel_reservations(db, buyer(family), [second], 380, moment_of_click)
        (problem,) = refused.value.problems
        assert moment(at) in problem
    books_hold()


@pytest.mark.parametrize(
    ("day", "at"),
    [
        (date(2026, 10, 26), "2026-10-24T08:00+00:00"),
        (date(2026, 10, 27), "2026-10-25T09:00+00:00"),
        (date(2027, 3, 29), "2027-03-27T09:00+00:00"),
        (date(2027, 3, 30), "2027-03-28T08:00+00:00"),
    ],
)
def test_ten_o_clock_stays_ten_o_clock_across_both_nights(day: date, at: str) -> None:
    rule = DeadlineRule.of("10:00", days_before=2, counted="calendar")
    found = deadline(rule, day, Calendar())
    assert found == datetime.fromisoformat(at)
    assert (found.astimezone(PARIS).date(), found.astimezone(PARIS).hour) == (day - timedelta(days=2), 10)


def test_one_late_meal_holds_up_the_whole_basket_and_says_which(
    town: Town, write: OpenSession, books_hold: BooksHold
) -> None:
    canteen = town.aiguilhe.canteen
    days = canteen.open_days(town.now)[:3]
    family = town.family(children=1, balance_cents=5000)
    basket_id = town.basket(family, canteen, days)
    now = deadline(DeadlineRule.of("10:00", days_before=2, counted="calendar"), days[0], Calendar())
    with pytest.raises(BasketRefused) as refused, write() as db:
        pay_from_wallet(db, buyer(family), basket_id, 3 * 380, now)
    assert len(refused.value.problems) == 1
    books_hold()
