"""The demo town: it loads, its books are in order, it grows, and it never touches production."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pyotp
import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounts.models import Account, Beneficiary, HouseholdBeneficiary, HouseholdMember, StaffRole
from accounts.passwords import matches
from accounts.rules import check_password
from catalog.models import Service, ServiceDay, Tariff
from checkout import books
from demo.books import order_number
from demo.files import the_people
from demo.grow import PASSWORD, TooManyMeals, grow
from demo.history import Day, Meal, plan_purchases
from demo.load import list_accounts, load
from demo.published import CLERK, load_published
from enrolments.models import Enrolment
from enrolments.rules import fits
from orders.models import Order, Reservation
from shop.clock import StoppedClock
from shop.database import transaction
from shop.outbox import the_sealer
from wallet.models import LedgerAccount

Open = Callable[[], AbstractContextManager[Session]]


@pytest.fixture
def loaded(app: Flask, clock: StoppedClock, read: Open) -> Open:
    """The demo town, as it is loaded at the tests' beginning."""
    with app.app_context():
        load(clock.now())
    return read


def count(db: Session, model: type) -> int:
    """How many rows a table holds."""
    return db.scalar(select(func.count()).select_from(model)) or 0


def household_of(db: Session, email: str) -> int:
    """The household of a demo account."""
    query = select(HouseholdMember.household_id).join(Account, Account.id == HouseholdMember.account_id)
    return db.scalars(query.where(Account.email == email)).one()


def test_the_books_of_the_demo_town_are_in_order(loaded: Open) -> None:
    with loaded() as db:
        assert books.check(db) == []
        assert count(db, Order) > 100
        assert set(db.scalars(select(Reservation.state).distinct())) == {"confirmed", "cancelled"}


def test_the_guides_family_is_there(loaded: Open) -> None:
    with loaded() as db:
        louane, theo = (
            db.scalars(
                select(Beneficiary).where(Beneficiary.first_name == name, Beneficiary.last_name == "Dupont")
            ).one()
            for name in ("Louane", "Théo")
        )
        assert (louane.birth_date.isoformat(), theo.birth_date.isoformat()) == ("2018-05-10", "2013-07-12")  # type: ignore[union-attr]
        states = db.scalars(
            select(Enrolment.state).where(
                Enrolment.beneficiary_id.in_([louane.id, theo.id]), Enrolment.school_year == 2026
            )
        )
        assert set(states) == {"approved"}


def test_requests_are_there_in_every_state(loaded: Open) -> None:
    with loaded() as db:
        states = set(db.scalars(select(Enrolment.state).distinct()))
        assert states >= {"requested", "to_complete", "approved", "refused", "revoked", "expired"}
        told = select(Enrolment.reason).where(Enrolment.state.in_(("refused", "to_complete", "revoked")))
        assert all(db.scalars(told))


def test_wallets_hold_what_the_file_says(loaded: Open) -> None:
    wanted = {f.holder.email: f.balance_cents for f in the_people().families if f.balance_cents is not None}
    with loaded() as db:
        for email, cents in wanted.items():
            balance = db.scalar(
                select(LedgerAccount.balance_cents).where(
                    LedgerAccount.household_id == household_of(db, email), LedgerAccount.kind == "wallet"
                )
            )
            assert (balance or 0) == cents, email


def test_nobody_booked_after_the_deadline_or_in_the_future(loaded: Open, clock: StoppedClock) -> None:
    with loaded() as db:
        late = (
            select(Reservation.id)
            .join(Order, Order.id == Reservation.order_id)
            .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        )
        assert not db.scalars(late.where(Order.placed_at >= ServiceDay.book_deadline_at)).all()
        assert not db.scalars(late.where(Order.placed_at > clock.now())).all()
        assert not db.scalars(late.where(Reservation.cancelled_at >= Reservation.cancel_deadline_at)).all()


def test_everybody_can_sign_in(loaded: Open, app: Flask) -> None:
    with loaded() as db, app.app_context():
        for account in list_accounts():
            row = db.scalars(select(Account).where(Account.email == account.email)).one()
            assert matches(row.password_hash, account.password)
            check_password(account.password, account.email)
            assert (row.totp_secret is None) == (account.totp_secret is None)
            if row.totp_secret:
                assert the_sealer().open(row.totp_secret, f"accounts.totp_secret:{row.id}") == account.totp_secret
                assert len(pyotp.TOTP(account.totp_secret or "").secret) == 32
        assert count(db, StaffRole) == len(the_people().staff)


def test_every_request_fits_its_beneficiary(loaded: Open, clock: StoppedClock) -> None:
    with loaded() as db:
        rows = db.execute(
            select(Tariff.audience, HouseholdBeneficiary.relation, Beneficiary.birth_date, Beneficiary.first_name)
            .join(Enrolment, Enrolment.tariff_id == Tariff.id)
            .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
            .join(
                HouseholdBeneficiary,
                (HouseholdBeneficiary.beneficiary_id == Enrolment.beneficiary_id)
                & (HouseholdBeneficiary.household_id == Enrolment.household_id),
            )
        )
        for audience, relation, birth_date, name in rows:
            assert fits(audience, relation, birth_date, clock.now().date()), name


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 9, 3, 6, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2027, 3, 28, 1, tzinfo=UTC),
        datetime(2027, 7, 20, 12, tzinfo=UTC),
        datetime(2028, 2, 29, 12, tzinfo=UTC),
    ],
)
def test_it_loads_at_any_moment_of_the_known_years(app: Flask, read: Open, moment: datetime) -> None:
    with app.app_context():
        load(moment)
    with read() as db:
        assert books.check(db) == []


def test_the_published_communes_have_a_family_and_a_clerk(loaded: Open, app: Flask, clock: StoppedClock) -> None:
    def have() -> tuple[int, int]:
        with loaded() as db:
            roles = select(func.count()).select_from(StaffRole).join(Account, Account.id == StaffRole.account_id)
            clerk = db.scalar(roles.where(Account.email == CLERK, StaffRole.role == "manager"))
            return count(db, Enrolment), clerk or 0

    before, _one = have()
    for _time in range(2):
        with app.app_context(), transaction() as db:
            assert load_published(db, clock.now()) == 13
        assert have() == (before + 13 * 6, 14)


def test_it_grows_and_its_books_stay_in_order(loaded: Open, app: Flask, clock: StoppedClock) -> None:
    with loaded() as db:
        before = count(db, Reservation)
    with app.app_context():
        grow(7, 1000, clock.now())
        grow(3, 100, clock.now())
    with loaded() as db:
        assert count(db, Reservation) == before + 1100
        assert books.check(db) == []
        limited = select(ServiceDay.id).join(Service, Service.id == ServiceDay.service_id)
        ids = select(Account.id).where(Account.email.endswith("@croissance.example.net"))
        full = (
            select(func.count())
            .select_from(Reservation)
            .join(Order, Order.id == Reservation.order_id)
            .where(
                Order.account_id.in_(ids), Reservation.service_day_id.in_(limited.where(Service.capacity.is_not(None)))
            )
        )
        assert db.scalar(full) == 0
        newest = db.scalars(select(Account).where(Account.email == "famille10@croissance.example.net")).one()
        with app.app_context():
            assert matches(newest.password_hash, PASSWORD)


def test_what_is_grown_is_followed_by_what_is_bought(
    loaded: Open, app: Flask, clock: StoppedClock, write: Open
) -> None:
    # The bulk writer gives ids itself: the next row that the shop adds must not meet one of them.
    with app.app_context():
        grow(2, 50, clock.now())
    with write() as db:
        db.add(
            Account(
                email="next@example.org",
                password_hash="!",
                first_name="A",
                last_name="B",
                state="active",
                created_at=clock.now(),
            )
        )
    with loaded() as db:
        assert books.check(db) == []


def test_more_meals_than_days_are_refused(loaded: Open, app: Flask, clock: StoppedClock) -> None:
    with loaded() as db:
        before = count(db, Account)
    with app.app_context(), pytest.raises(TooManyMeals):
        grow(1, 100_000, clock.now())
    with loaded() as db:
        assert count(db, Account) == before


def test_commands(app: Flask, clock: StoppedClock, read: Open) -> None:
    runner = app.test_cli_runner()
    assert runner.invoke(args=["demo", "prepare"]).exit_code == 0
    again = runner.invoke(args=["demo", "prepare"])
    assert "julien.dupont@example.org" in again.output
    assert runner.invoke(args=["demo", "load", "--if-empty"]).exit_code == 0
    refused = runner.invoke(args=["demo", "load"])
    assert refused.exit_code == 1
    accounts = json.loads(runner.invoke(args=["demo", "accounts", "--json"]).output)
    assert {"role", "email", "password", "commune", "totp_secret"} <= accounts[0].keys()
    assert runner.invoke(args=["demo", "grow", "--families", "2", "--reservations", "20"]).exit_code == 0
    with read() as db:
        assert books.check(db) == []


def test_production_refuses_every_command(app: Flask, read: Open) -> None:
    kept = app.extensions["shop.config"]
    app.extensions["shop.config"] = replace(kept, mode="production")
    try:
        runner = app.test_cli_runner()
        for args in (
            ["load"],
            ["load", "--if-empty"],
            ["accounts"],
            ["prepare"],
            ["grow", "--families", "1", "--reservations", "1"],
        ):
            result = runner.invoke(args=["demo", *args])
            assert result.exit_code == 1, args
            assert "jamais en production" in result.output
    finally:
        app.extensions["shop.config"] = kept
    with read() as db:
        assert count(db, Account) == 0


def test_order_numbers_made_from_ids_never_meet() -> None:
    numbers = {order_number(key) for key in range(1, 20_000)}
    assert len(numbers) == 19_999
    assert all(len(number) == 9 and number[4] == "-" for number in numbers)


def test_a_purchase_that_could_not_have_been_is_left_out() -> None:
    now = datetime(2026, 11, 19, 7, tzinfo=UTC)
    deadline = datetime(2026, 11, 10, 9, tzinfo=UTC)
    day = Day(1, deadline.date(), deadline, deadline)
    late = Meal(1, datetime(2026, 11, 11, tzinfo=UTC), day, 1, 1, 380)
    assert plan_purchases([late], ("card",), 14, 0, now, Random(1)) == []
    (purchase,) = plan_purchases(
        [replace(late, since=datetime(2026, 9, 1, tzinfo=UTC))], ("card",), 14, 0, now, Random(1)
    )
    assert purchase.placed_at < deadline
