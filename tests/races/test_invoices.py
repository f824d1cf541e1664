"""Invoices of elsewhere: two clerks at one, a click sent ten times, one noted while a basket is paid; with controls."""

from collections import Counter
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select

from checkout.place import pay_from_wallet
from enrolments import outside_invoices
from enrolments.models import OutsideInvoice
from enrolments.outside_invoices import NewInvoice
from orders.models import Order
from shop.clock import request_now
from shop.database import transaction
from shop.models import AuditLine, Outbox
from tests.checkout.presence import Noon
from tests.checkout.test_outside_invoices import LONG_AGO, RULE, Office
from tests.conftest import BooksHold, Cleaner, OpenSession
from tests.factory import Family, Town
from tests.races.together import kinds_of_refusal, meeting, slow, succeeded, together, without_fences, without_locks

pytestmark = pytest.mark.race


@pytest.fixture
def noon(town: Town, write: OpenSession, read: OpenSession) -> Noon:
    return Noon(town, write, read, balance_cents=5000)


def note(office: Office, family: Family) -> Callable[[], tuple[int, bool]]:
    def noting() -> tuple[int, bool]:
        with transaction() as db:
            new = NewInvoice(family.household_id, office.regie_id, "2026-0412", 4520, LONG_AGO)
            return outside_invoices.note_invoice(db, new, office.desk, request_now())

    return noting


def mark_paid(office: Office, invoice_id: int) -> Callable[[], tuple[int, bool]]:
    def marking() -> tuple[int, bool]:
        with transaction() as db:
            return outside_invoices.mark_paid(db, invoice_id, office.desk, request_now())

    return marking


def withdraw(office: Office, invoice_id: int) -> Callable[[], tuple[int, bool]]:
    def withdrawing() -> tuple[int, bool]:
        with transaction() as db:
            return outside_invoices.withdraw(db, invoice_id, "Erreur.", office.desk, request_now())

    return withdrawing


def told(read: OpenSession) -> Counter[str]:
    """The letters, and the lines of the audit trail."""
    with read() as db:
        kinds = [*db.scalars(select(Outbox.kind)), *db.scalars(select("audit:" + AuditLine.action))]
    return Counter(kind for kind in kinds if "invoice" in kind)


# --- noting ---


def test_a_click_sent_ten_times_notes_once(app: Flask, noon: Noon, read: OpenSession, books_hold: BooksHold) -> None:
    office = Office(noon)
    with slow(app, "INSERT INTO outside_invoices"):
        results = together(app, [note(office, noon.family)] * 10)
    assert Counter(fresh for _invoice, fresh in succeeded(results)) == {True: 1, False: 9}, results
    assert told(read) == {"invoice_noted": 1, "audit:invoice_noted": 1}
    books_hold()


def test_one_reference_for_two_families_at_once_is_noted_for_one(
    app: Flask, noon: Noon, town: Town, read: OpenSession
) -> None:
    office, other = Office(noon), town.family()
    with slow(app, "INSERT INTO outside_invoices"):
        results = together(app, [note(office, noon.family), note(office, other)])
    assert len(succeeded(results)) == 1, results
    assert kinds_of_refusal(results) == {"ReferenceKnown"}
    assert told(read) == {"invoice_noted": 1, "audit:invoice_noted": 1}


def test_control_without_the_index_it_is_noted_twice(
    app: Flask, noon: Noon, read: OpenSession, cleaner: Cleaner
) -> None:
    office = Office(noon)
    with without_fences(app, cleaner.clean, "outside_invoices.uq_outside_invoices_reference"):
        together(app, [note(office, noon.family)] * 3)
        with read() as db:
            assert (db.scalar(select(func.count()).select_from(OutsideInvoice)) or 0) > 1


# --- closing ---


def test_paid_and_withdrawn_at_once_is_closed_once(
    app: Flask, noon: Noon, read: OpenSession, books_hold: BooksHold
) -> None:
    office = Office(noon)
    invoice_id = office.note()
    with slow(app, "UPDATE outside_invoices"):
        ways = [mark_paid(office, invoice_id), withdraw(office, invoice_id)]
        results = together(app, ways * 3)
    assert Counter(fresh for _household, fresh in succeeded(results)) == {True: 1, False: 2}, results
    assert kinds_of_refusal(results) == {"InvoiceClosed"}
    with read() as db:
        state = db.scalars(select(OutsideInvoice.state)).one()
    counts = told(read)
    assert (counts[f"invoice_{state}"], counts[f"audit:invoice_{state}"], counts.total()) == (1, 1, 4)
    books_hold()


def test_control_without_the_lock_it_is_closed_twice(app: Flask, noon: Noon, read: OpenSession) -> None:
    office = Office(noon)
    invoice_id = office.note()
    with without_locks(app, begin_on_write=False), meeting(app, "UPDATE outside_invoices"):
        together(app, [mark_paid(office, invoice_id), withdraw(office, invoice_id)])
    counts = told(read)
    assert counts["invoice_paid"] == counts["invoice_withdrawn"] == 1


# --- while a basket is paid ---


def test_noted_while_a_basket_is_paid_it_comes_before_or_after_and_never_takes_a_meal_back(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    """No lock ties the two: noting touches no meal and paying touches no invoice, so either order is a right one."""
    outcomes: Counter[bool] = Counter()
    for number in range(4):
        noon = Noon(town, write, read, balance_cents=5000)
        noon.rules(blocking=RULE)
        office = Office(noon)
        basket = town.basket(noon.family, noon.canteen, noon.canteen.open_days(town.now)[:2])

        def pay(noon: Noon = noon, basket: int = basket) -> str:
            with transaction() as db:
                return pay_from_wallet(db, noon.buyer, basket, 1520, request_now())

        def noting(noon: Noon = noon, office: Office = office, number: int = number) -> str:
            with transaction() as db:
                new = NewInvoice(noon.family.household_id, office.regie_id, f"F-{number}", 4520, LONG_AGO)
                return str(outside_invoices.note_invoice(db, new, office.desk, request_now())[1])

        ways: list[Callable[[], str]] = [pay, noting]
        paid, noted = together(app, ways)
        assert noted == "True"
        was_paid = isinstance(paid, str)
        assert was_paid or kinds_of_refusal([paid]) == {"BookingWaits"}
        assert noon.balances() == (5000 - 1520 * was_paid, 0)
        with read() as db:
            states = db.scalars(select(Order.state).where(Order.household_id == noon.family.household_id)).all()
        assert list(states) == ["paid"] * was_paid
        outcomes[was_paid] += 1
    assert outcomes.total() == 4
    books_hold()
