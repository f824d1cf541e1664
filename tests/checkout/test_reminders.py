"""Reminders from the job to the click: what is written and to whom, what a link does, how they are turned off."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select, update

from accounts.models import Account, HouseholdMember
from cart.models import Basket, BasketLine
from cart.rules import Pattern
from checkout.change import Wish, change_from, plan_change
from checkout.place import Buyer
from checkout.reminders import jobs
from checkout.reminders.links import read_stop, stop_url
from checkout.reminders.models import MutedReminder, QuietWeek, Reminder
from orders.models import Order, Reservation
from shop.clock import PARIS, StoppedClock
from shop.limits import Limits
from tests.checkout.presence import Noon
from tests.checkout.test_outside_invoices import Office
from tests.conftest import BooksHold, CountStatements, OpenSession, SendLetters, SignIn, Submit, as_typed
from tests.factory import Family, Town, add
from wallet.models import LedgerAccount
from wallet.operations import AccountRef, Entry, enter

MONDAY = date(2026, 12, 7)
"""Of the week to come."""
WEEK = timedelta(days=7)
HABITS = [MONDAY - WEEK * back + timedelta(days=day) for back in (2, 3, 4) for day in (0, 1)]
"""Mondays and Tuesdays of three weeks."""
Run = Callable[[Callable[[], int]], int]


def paris(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 12, day, hour, minute, tzinfo=PARIS).astimezone(UTC)


THURSDAY = paris(3, 12)
"""Less than two days before Monday's deadline, which is Saturday at ten."""


@pytest.fixture
def run(app: Flask) -> Run:
    """`run(jobs.remind_of_weeks)` — as the worker does; how many e-mails were written."""

    def running(job: Callable[[], int]) -> int:
        with app.app_context():
            return job()

    return running


@pytest.fixture
def regular(town: Town, clock: StoppedClock) -> Family:
    """A family of two children that eats every Monday and Tuesday, paid from the wallet; it is Thursday."""
    family = town.family(balance_cents=2 * 6 * 380 + 5000)
    town.paid_order(family, town.aiguilhe.canteen, HABITS)
    clock.moment = THURSDAY
    return family


@dataclass
class Opened:
    """The page of a link about a week."""

    client: FlaskClient
    submit: Submit
    path: str

    @property
    def html(self) -> str:
        answer = self.client.get(self.path)
        assert answer.status_code == 200
        return str(answer.text)

    @property
    def total(self) -> str:
        return str(re.findall(r'name="total" value="(\d+)"', self.html)[0])

    def say(self, answer: str, total: object = None) -> Any:
        return self.submit(self.client, self.path, {"reponse": answer, "total": total or self.total})


@pytest.fixture
def opened(regular: Family, run: Run, letters: SendLetters, client: FlaskClient, submit: Submit) -> Opened:
    """The link that the regular family got, in a browser in which nobody is signed in."""
    assert run(jobs.remind_of_weeks) == 1
    return Opened(client, submit, link_in(letters()))


def link_in(emails: list[EmailMessage]) -> str:
    email = next(email for email in emails if "Rien n’est réservé" in email["Subject"])
    return str(re.findall(r"http://localhost(/rappel/[\w-]+)", words_of(email))[0])


def words_of(email: EmailMessage) -> str:
    part = email.get_body(("plain",))
    assert part is not None
    return as_typed(part.get_content()).replace("\u00a0", " ")


def balance(read: OpenSession, family: Family) -> int:
    with read() as db:
        return db.get_one(LedgerAccount, family.wallet_id).balance_cents


def booked(read: OpenSession, family: Family) -> int:
    """How many meals of the week to come are booked."""
    with read() as db:
        later = select(Reservation.id).join(Order, Order.id == Reservation.order_id).where(Order.basket_id.is_not(None))
        return len(db.scalars(later.where(Reservation.household_id == family.household_id)).all())


def in_basket(read: OpenSession, family: Family) -> int:
    with read() as db:
        lines = select(BasketLine.id).join(Basket, Basket.id == BasketLine.basket_id)
        return len(db.scalars(lines.where(Basket.household_id == family.household_id, Basket.state == "open")).all())


# --- a basket that will lapse ---


def test_a_basket_is_reminded_of_once_a_day_before_its_first_deadline(
    town: Town, clock: StoppedClock, run: Run, letters: SendLetters, write: OpenSession
) -> None:
    family = town.family(children=2)
    basket_id = town.basket(family, town.aiguilhe.canteen, [date(2026, 12, 8), date(2026, 12, 10)])
    clock.moment = paris(5, 9, 59)
    assert run(jobs.remind_of_baskets) == 0, "the deadline is Sunday at ten"
    clock.moment = paris(5, 10)
    assert run(jobs.remind_of_baskets) == 1
    assert run(jobs.remind_of_baskets) == 0
    (email,) = letters()
    assert email["To"] == family.email
    words = words_of(email)
    assert "Louane Dupont1, Restaurant scolaire : 8 et 10 décembre 2026" in words
    assert "Théo" in words
    assert "15,20 €" in words
    assert "dimanche 6 décembre 2026 à 10 h" in words
    assert "http://localhost/panier" in words
    with write() as db:
        db.execute(update(Basket).where(Basket.id == basket_id).values(changed_at=clock.now()))
    assert run(jobs.remind_of_baskets) == 1, "it has changed"
    clock.moment = paris(6, 10)
    assert run(jobs.remind_of_baskets) == 0, "the next deadline is far"


def test_nobody_is_written_to_at_night_unless_the_deadline_passes_then(
    town: Town, clock: StoppedClock, run: Run
) -> None:
    day = date(2026, 12, 8)
    town.basket(town.family(), town.aiguilhe.canteen, [day])
    clock.moment = paris(5, 22)
    assert run(jobs.remind_of_baskets) == 0
    clock.moment = paris(6, 7)
    assert run(jobs.remind_of_baskets) == 1
    another = date(2026, 12, 10)
    town.change_day(town.aiguilhe.canteen, another, book_deadline_at=paris(8, 5))
    town.basket(town.family(), town.aiguilhe.canteen, [another])
    clock.moment = paris(7, 22)
    assert run(jobs.remind_of_baskets) == 1


def test_a_basket_that_is_paid_or_being_paid_is_left_alone(
    town: Town, clock: StoppedClock, run: Run, write: OpenSession
) -> None:
    basket_id = town.basket(town.family(), town.aiguilhe.canteen, [date(2026, 12, 8)])
    clock.moment = paris(5, 12)
    for state in ("completing", "converted", "expired"):
        with write() as db:
            db.execute(update(Basket).where(Basket.id == basket_id).values(state=state))
        assert run(jobs.remind_of_baskets) == 0


def test_my_account_says_until_when_the_basket_is_to_be_paid(town: Town, client: FlaskClient, sign_in: SignIn) -> None:
    family = town.family()
    sign_in(client, family)
    town.basket(family, town.aiguilhe.canteen, [date(2026, 12, 8)])
    words = client.get("/mon-compte").text.replace("\u00a0", " ")
    assert "Panier à payer avant le dimanche 6 décembre 2026 à 10 h." in words


# --- a week in which nothing is booked ---


def test_a_family_with_nothing_in_a_usual_week_is_told_once(
    town: Town, regular: Family, run: Run, letters: SendLetters
) -> None:
    letters()
    assert run(jobs.remind_of_weeks) == 1
    assert run(jobs.remind_of_weeks) == 0
    (email,) = letters()
    words = words_of(email)
    assert as_typed(email["Subject"]) == "Rien n’est réservé pour la semaine du 7 décembre 2026"
    assert "Louane, Restaurant scolaire : lundi 7 et mardi 8 décembre" in words
    assert "Théo, Restaurant scolaire : lundi 7 et mardi 8 décembre" in words
    assert "samedi 5 décembre 2026 à 10 h" in words
    assert "Dupont" not in words


@pytest.mark.parametrize(
    ("moment", "due"), [(paris(3, 9, 59), 0), (paris(3, 10), 1), (paris(3, 23), 0), (paris(4, 7), 1), (paris(5, 10), 0)]
)
def test_it_is_written_two_days_before_the_first_deadline_and_by_day(
    regular: Family, clock: StoppedClock, run: Run, moment: datetime, due: int
) -> None:
    clock.moment = moment
    assert run(jobs.remind_of_weeks) == due


@pytest.mark.parametrize("what", ["booked", "basket", "one child", "quiet", "unconfirmed", "not enrolled any more"])
def test_who_has_seen_to_the_week_is_not_written_to(
    town: Town, regular: Family, run: Run, write: OpenSession, letters: SendLetters, what: str
) -> None:
    canteen = town.aiguilhe.canteen
    match what:
        case "booked":
            town.paid_order(regular, canteen, [MONDAY + timedelta(days=4)])
        case "basket":
            town.basket(regular, canteen, [MONDAY])
        case "one child":
            town.basket(regular, canteen, [MONDAY], children=regular.beneficiary_ids[:1])
        case "quiet":
            with write() as db:
                add(db, QuietWeek, household_id=regular.household_id, monday=MONDAY, said_at=THURSDAY)
        case "unconfirmed":
            with write() as db:
                db.execute(update(Account).where(Account.id == regular.account_id).values(state="unconfirmed"))
        case _:
            with write() as db:
                db.connection().exec_driver_sql("UPDATE enrolments SET state = 'revoked'")
    letters()
    assert run(jobs.remind_of_weeks) == (1 if what == "one child" else 0)
    if what == "one child":
        words = words_of(letters()[0])
        assert "Théo" in words
        assert "Louane" not in words


def test_both_parents_are_told_each_with_a_link_of_their_own(
    town: Town, regular: Family, run: Run, write: OpenSession, read: OpenSession
) -> None:
    other = town.account()
    with write() as db:
        add(db, HouseholdMember, household_id=regular.household_id, account_id=other.account_id, role="co")
    assert run(jobs.remind_of_weeks) == 2
    with read() as db:
        keys = db.execute(select(Reminder.account_id, Reminder.token_hash)).all()
    assert {row.account_id for row in keys} == {regular.account_id, other.account_id}
    assert len({row.token_hash for row in keys}) == 2


def stop(family: Family, town: Town, write: OpenSession, children: tuple[int, ...], weekdays: str = "") -> None:
    """What a family says under « Modifier à partir d’une date », from the week to come on: other days, or none."""
    pattern = Pattern(frozenset(children), frozenset(map(int, weekdays))) if weekdays else None
    wish = Wish(town.aiguilhe.canteen.id, frozenset(children), MONDAY, pattern)
    with write() as db:
        seen = plan_change(db, family.household_id, wish, THURSDAY).moves
        change_from(db, Buyer(family.household_id, family.account_id, family.email), wish, seen, THURSDAY)


@pytest.mark.parametrize(
    ("stops", "written"), [("nothing is said", 2), ("nothing was booked", 0), ("a day was booked", 0)]
)
def test_who_has_stopped_is_not_reminded_of_what_was_usual(
    town: Town,
    regular: Family,
    run: Run,
    write: OpenSession,
    clock: StoppedClock,
    books_hold: BooksHold,
    stops: str,
    written: int,
) -> None:
    if stops == "a day was booked":
        town.paid_order(regular, town.aiguilhe.canteen, [MONDAY])
    if stops != "nothing is said":
        stop(regular, town, write, regular.beneficiary_ids)
    found = 0
    # What was booked before would be usual for two weeks more.
    for _week in range(2):
        found += run(jobs.remind_of_weeks)
        clock.moment += WEEK
    assert found == written
    books_hold()


def test_one_child_stops_and_the_other_is_still_reminded_of(
    town: Town, regular: Family, run: Run, write: OpenSession, letters: SendLetters
) -> None:
    stop(regular, town, write, regular.beneficiary_ids[:1])
    letters()
    assert run(jobs.remind_of_weeks) == 1
    words = words_of(letters()[0])
    assert "Théo" in words
    assert "Louane" not in words


def test_who_has_chosen_other_days_is_not_reminded_of_the_old_ones(
    town: Town, regular: Family, run: Run, write: OpenSession, letters: SendLetters
) -> None:
    stop(regular, town, write, regular.beneficiary_ids, weekdays="4")
    with write() as db:
        # The family leaves the new days in its basket, and takes them out.
        db.execute(delete(BasketLine))
    assert run(jobs.remind_of_weeks) == 0


# --- the link ---


def test_the_page_says_first_names_days_and_prices_and_no_more(opened: Opened, read: OpenSession) -> None:
    html = opened.html.replace("\u00a0", " ")
    assert "lundi 7 et mardi 8 décembre" in html
    assert "Louane" in html
    assert "2 repas à 3,80 €" in html
    assert "15,20 €" in html
    for secret in ("Dupont", "50,00", "allergi", "famille1@"):
        assert secret not in html
    with read() as db:
        assert db.scalars(select(Reminder.answer)).all() == [None], "reading changes nothing"


def test_as_usual_books_from_the_wallet_at_one_click_and_once(
    opened: Opened, regular: Family, read: OpenSession, letters: SendLetters, books_hold: BooksHold
) -> None:
    total = opened.total
    assert opened.say("habitude").status_code == 303
    assert (booked(read, regular), balance(read, regular)) == (4, 5000 - 1520)
    assert "C’est réservé et payé" in opened.html
    assert "lundi 7 et mardi 8 décembre" in opened.html
    (email,) = letters()
    assert "4 repas réservés" in as_typed(email["Subject"]).replace("\u00a0", " ")
    assert opened.say("habitude", total).status_code == 303
    assert opened.say("rien", total).status_code == 303
    assert (booked(read, regular), balance(read, regular)) == (4, 5000 - 1520)
    assert "C’est réservé et payé" in opened.html
    with read() as db:
        assert db.scalars(select(QuietWeek.id)).all() == []
    books_hold()


def test_with_too_little_in_the_wallet_the_meals_go_into_the_basket(
    town: Town, opened: Opened, regular: Family, read: OpenSession, books_hold: BooksHold
) -> None:
    town.paid_order(regular, town.aiguilhe.canteen, [date(2026, 12, day) for day in (10, 14, 15, 17, 18)])
    left = balance(read, regular)
    assert left < 1520
    assert opened.say("habitude").status_code == 303
    assert (booked(read, regular), in_basket(read, regular), balance(read, regular)) == (0, 4, left)
    assert "Ces repas sont dans votre panier" in opened.html
    assert opened.say("habitude", 1520).status_code == 303
    assert in_basket(read, regular) == 4
    assert opened.client.get("/panier").location.startswith("/connexion"), "paying is for who signs in"
    books_hold()


def test_an_unpaid_invoice_keeps_the_link_waiting_too(
    town: Town, opened: Opened, regular: Family, read: OpenSession, write: OpenSession, books_hold: BooksHold
) -> None:
    noon = Noon(town, write, read)
    noon.rules(blocking={"overdue_invoice_days": 0})
    office = Office(noon)
    invoice = office.note(family=regular)
    answer = opened.say("habitude")
    assert (answer.status_code, "De nouvelles réservations doivent attendre" in answer.text) == (422, True)
    assert not re.search("2026-0412|facture|échéance", answer.text), (
        "whoever holds the link learns nothing of the money"
    )
    assert (booked(read, regular), in_basket(read, regular), balance(read, regular)) == (0, 0, 5000)
    office.pay(invoice)
    assert opened.say("habitude").status_code == 303
    assert booked(read, regular) == 4
    books_hold()


def test_what_else_is_in_the_basket_is_never_bought_by_the_link(
    town: Town, opened: Opened, regular: Family, read: OpenSession, books_hold: BooksHold
) -> None:
    town.basket(regular, town.aiguilhe.canteen, [date(2026, 12, 14)])
    opened.say("habitude")
    assert (booked(read, regular), in_basket(read, regular), balance(read, regular)) == (0, 6, 5000)
    books_hold()


def test_nothing_this_week_is_remembered_and_may_be_thought_better_of(
    opened: Opened, regular: Family, run: Run, read: OpenSession, write: OpenSession
) -> None:
    assert opened.say("rien").status_code == 303
    with read() as db:
        assert db.scalars(select(QuietWeek.monday)).all() == [MONDAY]
    assert "C’est noté : rien cette semaine" in opened.html
    opened.say("rien")
    with write() as db:
        db.connection().exec_driver_sql("DELETE FROM reminders WHERE answer IS NULL")
    assert run(jobs.remind_of_weeks) == 0
    opened.say("habitude")
    assert booked(read, regular) == 4


@pytest.mark.parametrize("what", ["price", "all booked", "card under way", "nonsense"])
def test_what_has_changed_meanwhile_is_said_and_nothing_moves(
    town: Town, opened: Opened, regular: Family, read: OpenSession, write: OpenSession, what: str, books_hold: BooksHold
) -> None:
    total, canteen = opened.total, town.aiguilhe.canteen
    match what:
        case "price":
            town.change_price(canteen, 400)
            status, words = 409, "voici ce que ce lien réserve maintenant."
        case "all booked":
            town.paid_order(regular, canteen, [MONDAY, MONDAY + timedelta(days=1)])
            status, words = 409, "Il ne reste rien à réserver"
        case "card under way":
            basket_id = town.basket(regular, canteen, [date(2026, 12, 17)])
            with write() as db:
                db.execute(update(Basket).where(Basket.id == basket_id).values(state="completing"))
            status, words = 409, "Un paiement par carte est en cours"
        case _:
            total, status, words = "1e9", 404, ""
    before = (booked(read, regular), in_basket(read, regular), balance(read, regular))
    answer = opened.say("habitude", total)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert (booked(read, regular), in_basket(read, regular), balance(read, regular)) == before
    with read() as db:
        assert db.scalars(select(Reminder.answer)).all() == [None]


def test_a_full_day_is_not_offered(town: Town, opened: Opened, regular: Family, read: OpenSession) -> None:
    town.change_day(town.aiguilhe.canteen, MONDAY, capacity=0)
    assert "lundi 7" not in opened.html
    assert "mardi 8 décembre" in opened.html
    opened.say("habitude")
    assert booked(read, regular) == 2


@pytest.mark.parametrize("what", ["deadline", "password", "address", "closed", "left", "forged"])
def test_a_link_ends_with_its_deadline_the_password_the_address_or_the_account(
    opened: Opened, regular: Family, clock: StoppedClock, read: OpenSession, write: OpenSession, what: str
) -> None:
    path, mine = opened.path, Account.id == regular.account_id
    changes: dict[str, dict[str, object]] = {
        "password": {"password_hash": "another"},
        "address": {"email": "autre@example.org"},
        "closed": {"state": "closed", "closed_at": THURSDAY},
    }
    if what in changes:
        with write() as db:
            db.execute(update(Account).where(mine).values(**changes[what]))
    elif what == "left":
        with write() as db:
            db.connection().exec_driver_sql("DELETE FROM household_members")
    elif what == "deadline":
        clock.moment = paris(5, 10)
    else:
        path = path[:-1] + ("A" if path[-1] != "A" else "B")
    assert opened.client.get(path).status_code == 410
    for answer in ("habitude", "rien"):
        assert opened.submit(opened.client, path, {"reponse": answer, "total": 1520}).status_code == 410
    assert booked(read, regular) == 0
    with read() as db:
        assert db.scalars(select(QuietWeek.id)).all() == []


def test_guesses_are_limited(app: Flask, client: FlaskClient, submit: Submit) -> None:
    limits: Limits = app.extensions["shop.limits"]
    limits.reset()
    answers = [submit(client, f"/rappel/{number:043d}", {"reponse": "rien"}).status_code for number in range(21)]
    assert (answers[0], answers[-1]) == (410, 429)


def test_the_page_takes_a_bounded_number_of_statements(opened: Opened, statements: CountStatements) -> None:
    with statements() as seen:
        opened.client.get(opened.path)
    assert seen.count == 3, seen
    with statements() as seen:
        opened.submit(opened.client, opened.path, {"reponse": "habitude", "total": 1520})
    assert seen.count <= 24, seen


# --- a wallet that will not last ---


def test_my_account_says_how_far_the_wallet_lasts(
    town: Town, regular: Family, client: FlaskClient, sign_in: SignIn, run: Run, statements: CountStatements
) -> None:
    sign_in(client, regular)
    assert "Votre porte-monnaie" not in client.get("/mon-compte").text, "it pays every usual day that is known"
    town.paid_order(regular, town.aiguilhe.canteen, [date(2026, 12, day) for day in (10, 11, 17, 18)])
    # 19,60 € are left: Monday and Tuesday of the week to come, and half of the Monday after.
    with statements() as seen:
        html = client.get("/mon-compte").text.replace("\u00a0", " ")
    assert "Votre porte-monnaie couvre vos repas habituels jusqu’au mardi 8 décembre 2026." in html
    assert seen.count <= 7, seen
    assert run(jobs.remind_of_balances) == 0, "the deadline of the 14th is the 12th, more than a week ahead"


def test_a_wallet_that_is_short_within_the_week_is_written_of_until_money_comes(
    town: Town,
    regular: Family,
    run: Run,
    letters: SendLetters,
    clock: StoppedClock,
    write: OpenSession,
    books_hold: BooksHold,
) -> None:
    town.paid_order(regular, town.aiguilhe.canteen, [date(2026, 12, day) for day in (10, 11, 14, 17, 18)])
    letters()
    # 12,00 € are left: Monday for both, not Tuesday.
    assert run(jobs.remind_of_balances) == 1
    assert run(jobs.remind_of_balances) == 0
    (email,) = letters()
    words = words_of(email)
    assert "Votre porte-monnaie couvre vos repas habituels jusqu’au lundi 7 décembre 2026." in words
    assert "Premier jour non couvert : mardi 8 décembre 2026" in words
    assert "Solde : 12,00 €" in words
    assert "http://localhost/recharger" in words
    town.cancel(regular, town.reservation_ids(2)[0])
    assert run(jobs.remind_of_balances) == 0, "the credit of a meal is no money that came"
    top_up(town, write, regular, 100)
    clock.moment = paris(3, 22)
    assert run(jobs.remind_of_balances) == 0
    clock.moment = paris(4, 7)
    assert run(jobs.remind_of_balances) == 0, "15,80 € and the credit pay both days; the next is far"
    town.paid_order(regular, town.aiguilhe.childcare, [date(2026, 12, 10)])
    assert run(jobs.remind_of_balances) == 1


def top_up(town: Town, write: OpenSession, family: Family, cents: int) -> None:
    entry = Entry(
        kind="adjustment",
        key=f"adjustment:{cents}",
        regie_id=town.regie_id,
        postings=((AccountRef("cash"), -cents), (AccountRef("wallet", family.household_id), cents)),
    )
    with write() as db:
        enter(db, entry, town.now)


# --- turned off ---


@pytest.mark.parametrize("kind", ["basket", "week", "balance"])
def test_an_unsubscribe_link_turns_its_kind_off_by_one_post_without_signing_in(
    app: Flask, town: Town, regular: Family, run: Run, letters: SendLetters, read: OpenSession, kind: str
) -> None:
    with app.test_request_context():
        url = stop_url(regular.account_id, kind).removeprefix("http://localhost")
    client = app.test_client()
    assert "Ne plus recevoir ce rappel" in client.get(url).text
    with read() as db:
        assert db.scalars(select(MutedReminder.id)).all() == [], "opening it does nothing"
    for _ in range(2):
        answer = client.post(url, data={"List-Unsubscribe": "One-Click"})
        assert (answer.status_code, "C’est noté" in answer.text) == (200, True)
    with read() as db:
        assert db.execute(select(MutedReminder.account_id, MutedReminder.kind)).all() == [(regular.account_id, kind)]
    assert run(jobs.remind_of_weeks) == (0 if kind == "week" else 1)


def test_every_reminder_says_how_to_turn_it_off(opened: Opened, postbox: Any, app: Flask, regular: Family) -> None:
    email = postbox.carried[-1]
    assert email["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = email["List-Unsubscribe"].strip("<>")
    assert url in words_of(email)
    with app.app_context():
        assert read_stop(url.rpartition("/")[2]) == (regular.account_id, "week")


def test_a_confirmation_cannot_be_turned_off(town: Town, letters: SendLetters) -> None:
    town.paid_order(town.family(balance_cents=5000), town.aiguilhe.canteen, [date(2026, 12, 8)])
    assert letters()[0]["List-Unsubscribe"] is None


def test_a_forged_unsubscribe_link_is_refused(client: FlaskClient, read: OpenSession) -> None:
    assert client.get("/rappels/arreter/WzEsIndlZWsiXQ.forged").status_code == 410
    assert client.post("/rappels/arreter/WzEsIndlZWsiXQ.forged").status_code == 410
    with read() as db:
        assert db.scalars(select(MutedReminder.id)).all() == []


def test_kinds_are_turned_off_and_on_again_on_a_page(
    town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, read: OpenSession
) -> None:
    family, other = town.family(), town.family()
    for who in (family, other):
        sign_in(client, who)
        assert client.get("/mon-compte/rappels").text.count(" checked") == 3, "on until somebody says otherwise"
        submit(client, "/mon-compte/rappels", {"rappel": ["week"]})
    submit(client, "/mon-compte/rappels", {"rappel": ["week", "basket", "balance", "forged"]})
    with read() as db:
        muted = db.execute(select(MutedReminder.account_id, MutedReminder.kind).order_by(MutedReminder.kind)).all()
    assert muted == [(family.account_id, "balance"), (family.account_id, "basket")]


# --- the work does not grow ---


def test_the_statements_of_the_jobs_do_not_grow_with_families(
    town: Town, regular: Family, run: Run, statements: CountStatements, clock: StoppedClock
) -> None:
    counts = []
    for more in (0, 5):
        for _ in range(more):
            family = town.family(balance_cents=12 * 380)
            town.paid_order(family, town.aiguilhe.canteen, HABITS)
            town.basket(town.family(), town.aiguilhe.canteen, [MONDAY])
        with statements() as seen:
            written = [run(job) for job in (jobs.remind_of_weeks, jobs.remind_of_balances, jobs.remind_of_baskets)]
        counts.append((written, seen.count))
    assert counts[0][0] == [1, 0, 0]
    assert counts[1][0][:2] == [5, 5]
    clock.moment = paris(4, 10)
    with statements() as seen:
        assert run(jobs.remind_of_baskets) == 5
    assert seen.count <= 6, seen
    assert counts[1][1] - counts[0][1] <= 4, "the first e-mails about wallets: readers, money, row and letter"
