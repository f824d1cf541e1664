"""Two workers and two clicks at the same time: a reminder is written once, a link books once; with controls."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from accounts.models import HouseholdMember
from checkout.reminders import jobs, operations
from checkout.reminders.models import Reminder
from orders.models import Order, Reservation
from shop.clock import PARIS, StoppedClock, request_now
from shop.database import transaction
from shop.models import Outbox
from tests.conftest import BooksHold, Cleaner, OpenSession
from tests.factory import Family, Town, add
from tests.house.test_pages import WEEK_KEY, add_week_link
from tests.races.together import kinds_of_refusal, meeting, slow, succeeded, together, without_fences, without_locks

pytestmark = pytest.mark.race

MONDAY = date(2026, 12, 7)
WANTED = [MONDAY, MONDAY + timedelta(days=1)]
JOBS = {
    "week": jobs.remind_of_weeks,
    "balance": jobs.remind_of_balances,
    "basket": jobs.remind_of_baskets,
}


@pytest.fixture
def families(town: Town, clock: StoppedClock) -> list[Family]:
    """Five families that eat on Mondays and Tuesdays and have nothing left; three more with a basket of which the first
    meal is to be paid by Saturday at ten. It is Friday."""
    found = [town.family(children=1, balance_cents=6 * 380) for _ in range(5)]
    for family in found:
        town.paid_order(family, town.aiguilhe.canteen, [day - timedelta(weeks=n) for n in (2, 3, 4) for day in WANTED])
    for _ in range(3):
        town.basket(town.family(children=1), town.aiguilhe.canteen, WANTED)
    clock.moment = datetime(2026, 12, 4, 12, tzinfo=PARIS).astimezone(UTC)
    return found


def at_once(app: Flask, read: OpenSession, kind: str) -> tuple[int, int, int]:
    """What two workers and one after them have written: as they say, rows, e-mails."""
    written = succeeded(together(app, [JOBS[kind], JOBS[kind]]))
    assert len(written) == 2
    with app.app_context():
        last = JOBS[kind]()
    with read() as db:
        rows = db.scalar(select(func.count()).select_from(Reminder)) or 0
        emails = db.scalar(select(func.count()).where(Outbox.kind == f"{kind}_reminder")) or 0
    return sum(written) + last, rows, emails


@pytest.mark.parametrize(("kind", "count"), [("week", 5), ("balance", 5), ("basket", 3)])
def test_two_workers_at_once_write_each_reminder_once(
    app: Flask, families: list[Family], read: OpenSession, kind: str, count: int
) -> None:
    with slow(app, "INSERT INTO reminders"):
        assert at_once(app, read, kind) == (count, count, count)


@pytest.mark.parametrize(("kind", "count"), [("week", 5), ("balance", 5), ("basket", 3)])
def test_control_without_the_unique_row_they_are_written_again(
    app: Flask, families: list[Family], read: OpenSession, cleaner: Cleaner, kind: str, count: int
) -> None:
    with without_fences(app, cleaner.clean, "reminders.uq_reminders_once"):
        assert at_once(app, read, kind) == (3 * count, 3 * count, 3 * count)


# --- two clicks ---


def linked(town: Town, write: OpenSession) -> Family:
    family = town.family(balance_cents=5000)
    with write() as db:
        add_week_link(db, family, town.aiguilhe.canteen, WANTED, town.now)
    return family


def click(key: str = WEEK_KEY) -> Callable[[], None]:
    def booking() -> None:
        with transaction() as db:
            operations.book_usual(db, key, 4 * 380, request_now(), pay=True)

    return booking


def orders(read: OpenSession) -> tuple[int, int]:
    with read() as db:
        return (
            db.scalar(select(func.count()).select_from(Order)) or 0,
            db.scalar(select(func.count()).select_from(Reservation)) or 0,
        )


def test_two_clicks_at_once_book_once_and_both_are_answered(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    linked(town, write)
    with slow(app, "INSERT INTO orders"):
        results = together(app, [click(), click()])
    assert (len(succeeded(results)), orders(read)) == (2, (1, 4))
    books_hold()


def test_control_without_locks_the_second_click_is_refused(
    app: Flask, town: Town, write: OpenSession, read: OpenSession
) -> None:
    linked(town, write)
    with meeting(app, "INSERT INTO baskets"), without_locks(app):
        results = together(app, [click(), click()])
    assert (kinds_of_refusal(results), orders(read)) == ({"NothingLeft"}, (1, 4))


def test_two_parents_at_once_book_once(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    family, other = linked(town, write), town.account()
    with write() as db:
        add(db, HouseholdMember, household_id=family.household_id, account_id=other.account_id, role="co")
        second = Family(other.account_id, other.email, False, family.household_id, family.beneficiary_ids)
        add_week_link(db, second, town.aiguilhe.canteen, WANTED, town.now, "another key")
    with slow(app, "INSERT INTO orders"):
        results = together(app, [click(), click("another key")])
    assert (len(succeeded(results)), kinds_of_refusal(results), orders(read)) == (1, {"NothingLeft"}, (1, 4))
    books_hold()
