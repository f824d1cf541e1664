"""The nightly job: what nobody confirmed goes, what the books point to stays."""

from datetime import timedelta

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from accounts.jobs import sweep
from accounts.models import Account, AccountLink, Beneficiary, Household, LoginSession
from enrolments.models import Enrolment
from shop.clock import StoppedClock
from shop.models import Tries
from tests.accounts.conftest import PERSON
from tests.accounts.test_sign_up import LOUANE
from tests.conftest import OpenSession, Submit
from tests.factory import Town


def count(read: OpenSession, model: type) -> int:
    with read() as db:
        return db.scalar(select(func.count()).select_from(model)) or 0


def run(app: Flask) -> int:
    with app.app_context():
        return sweep()


def test_unconfirmed_accounts_go_after_thirty_days(
    app: Flask,
    client: FlaskClient,
    submit: Submit,
    town: Town,
    clock: StoppedClock,
    read: OpenSession,
    write: OpenSession,
) -> None:
    kept = town.family()
    submit(client, "/creer-un-compte", PERSON)
    submit(client, "/creer-un-compte/filiations", LOUANE)
    with read() as db:
        child = db.scalars(select(Beneficiary.id).order_by(Beneficiary.id.desc())).first()
    submit(
        client,
        "/creer-un-compte/services?commune=aiguilhe",
        {"tariff": str(town.aiguilhe.canteen.tariff_id), "beneficiaries": str(child)},
    )
    assert count(read, Enrolment) == len(kept.enrolment_ids) + 1
    clock.moment += timedelta(days=29)
    assert run(app) == 0
    clock.moment += timedelta(days=2)
    assert run(app) == 1
    assert run(app) == 0
    assert (count(read, Account), count(read, Household)) == (1, 1)
    assert count(read, Beneficiary) == len(kept.beneficiary_ids)
    assert count(read, Enrolment) == len(kept.enrolment_ids)


def test_an_account_that_the_books_know_stays(
    app: Flask, town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession
) -> None:
    town.family(balance_cents=1000)
    with write() as db:
        db.execute(update(Account).values(state="unconfirmed"))
    clock.moment += timedelta(days=40)
    assert run(app) == 0
    assert count(read, Account) == 1


def test_invited_staff_stay(app: Flask, town: Town, clock: StoppedClock, read: OpenSession) -> None:
    app.test_cli_runner().invoke(args=["accounts", "invite-staff", "agent@example.org", "--commune", "aiguilhe"])
    clock.moment += timedelta(days=40)
    assert run(app) == 0
    assert count(read, Account) == 1


def test_links_sessions_and_counts_go_too(
    app: Flask, client: FlaskClient, submit: Submit, town: Town, clock: StoppedClock, read: OpenSession
) -> None:
    family = town.family()
    submit(client, "/mot-de-passe-oublie", {"email": family.email})
    submit(client, "/connexion", {"email": family.email, "password": "un essai de trop"})
    assert (count(read, AccountLink), count(read, Tries)) == (1, 3)
    run(app)
    assert (count(read, AccountLink), count(read, Tries)) == (1, 3)
    clock.moment += timedelta(days=60)
    run(app)
    assert (count(read, AccountLink), count(read, Tries), count(read, LoginSession)) == (0, 0, 0)
