"""An invoice of elsewhere that is not paid: which services wait for it, at every door of a purchase; what families see."""

from datetime import date, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, update

from cart.errors import BookingWaits
from cart.models import Basket
from cart.rules import INVOICES_NAMED, Pattern, unpaid_invoices, unpaid_words, wait_of
from catalog.models import Regie, Service
from catalog.rules.policies import Blocking
from checkout.change import Wish, plan_change
from checkout.place import Buyer, hold_for_card, pay_from_wallet
from enrolments.operations import Desk
from enrolments.outside_invoices import NewInvoice, OpenInvoice, mark_paid, note_invoice, withdraw
from orders.models import Order
from shop.clock import StoppedClock
from tests.cart.test_waiting import CARD, PAGE, WALLET, sold
from tests.checkout.presence import MONDAY, Noon
from tests.conftest import BooksHold, CountStatements, OpenSession, SignIn, Submit, as_typed
from tests.factory import CommuneFacts, Family, Town
from wallet.models import LedgerAccount

TODAY = date(2026, 11, 19)
RULE = {"overdue_invoice_days": 30}
LONG_AGO = TODAY - timedelta(days=31)


@pytest.fixture
def noon(town: Town, write: OpenSession, read: OpenSession) -> Noon:
    return Noon(town, write, read)


class Office:
    """The clerk's desk of Aiguilhe, for tests about invoices."""

    def __init__(self, noon: Noon, commune: CommuneFacts | None = None) -> None:
        self.noon = noon
        commune = commune or noon.town.aiguilhe
        self.regie_id = commune.regie_id
        self.desk = Desk(noon.town.clerk(commune).account_id, frozenset({commune.id}))

    def note(
        self, due_on: date = LONG_AGO, reference: str = "2026-0412", cents: int = 4520, family: Family | None = None
    ) -> int:
        household_id = (family or self.noon.family).household_id
        with self.noon.write() as db:
            new = NewInvoice(household_id, self.regie_id, reference, cents, due_on)
            return note_invoice(db, new, self.desk, self.noon.town.now)[0]

    def pay(self, invoice_id: int) -> None:
        with self.noon.write() as db:
            mark_paid(db, invoice_id, self.desk, self.noon.town.now)

    def withdraw(self, invoice_id: int) -> None:
        with self.noon.write() as db:
            withdraw(db, invoice_id, "Facture d’une autre famille.", self.desk, self.noon.town.now)


# --- the rule ---


def an_invoice(due_on: date, reference: str = "F-1", cents: int = 4520) -> OpenInvoice:
    return OpenInvoice(1, reference, cents, due_on, "Régie du Puy", "0471090000", "regie@example.org")


@pytest.mark.parametrize(
    ("days", "late_by", "waits"),
    [
        (None, 9999, False),
        (0, -1, False),
        (0, 0, False),
        (0, 1, True),
        (30, 30, False),
        (30, 31, True),
        (366, 367, True),
    ],
)
def test_an_invoice_counts_from_the_day_after_its_days(days: int | None, late_by: int, waits: bool) -> None:
    invoice = an_invoice(TODAY - timedelta(days=late_by))
    assert unpaid_invoices(Blocking(overdue_invoice_days=days), [invoice], TODAY) == ((invoice,) if waits else ())


@pytest.mark.parametrize("due_on", [date.min, date.max])
def test_no_due_date_upsets_the_rule(due_on: date) -> None:
    found = unpaid_invoices(Blocking(overdue_invoice_days=366), [an_invoice(due_on)], TODAY)
    assert bool(found) == (due_on == date.min)


def test_why_it_waits_says_which_invoice_how_much_since_when_and_where_to_turn() -> None:
    words = as_typed(unpaid_words([an_invoice(date(2026, 10, 1))]))
    assert words == (
        "La facture F-1, 45,20\u00a0€, à payer au plus tard le 1er octobre 2026, n’est pas payée. Payez-la comme elle "
        "l’indique, puis prévenez la régie (Régie du Puy, 04 71 09 00 00, regie@example.org) : vos repas déjà réservés le "
        "restent."
    )


@pytest.mark.parametrize(("count", "end"), [(3, "et F-3 ("), (4, "et 1 autre."), (9, "et 6 autres.")])
def test_several_invoices_are_named_up_to_three(count: int, end: str) -> None:
    words = as_typed(unpaid_words([an_invoice(LONG_AGO, f"F-{number}") for number in range(1, count + 1)]))
    assert words.startswith(
        f"{count} factures ne sont pas payées : F-1 (45,20\u00a0€, échéance le 19 octobre 2026), F-2"
    )
    assert end in words
    assert words.count("échéance") == INVOICES_NAMED


def test_both_reasons_are_told() -> None:
    wait = wait_of(Blocking(0, False, 0), 380, [an_invoice(LONG_AGO)])
    assert wait is not None
    assert "restent dus" in wait.sentence
    assert "n’est pas payée" in wait.sentence
    assert wait_of(Blocking(0, False, 0), 0, ()) is None


# --- at every door ---


def test_an_unpaid_invoice_keeps_new_bookings_waiting_and_nothing_else(
    noon: Noon,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    write: OpenSession,
    clock: StoppedClock,
    statements: CountStatements,
    books_hold: BooksHold,
) -> None:
    noon.rules(blocking=RULE)
    with write() as db:
        db.execute(update(Regie).values(contact_phone="0471090000"))
    days = noon.canteen.open_days(town.now + timedelta(days=4))
    town.top_up(noon.family, 5000)
    order_id = town.paid_order(noon.family, noon.canteen, days[:1])
    basket = town.basket(noon.family, noon.canteen, days[1:2])
    sign_in(client, noon.family)
    office = Office(noon)
    invoice = office.note(TODAY - timedelta(days=30))
    # Not yet: it is thirty days late, not more. Paris begins its day an hour before UTC does.
    clock.moment = clock.moment.replace(hour=22, minute=59)
    sign_in(client, noon.family)
    assert "facture impayée" not in client.get(PAGE).text
    clock.moment = clock.moment.replace(hour=23, minute=0)
    sign_in(client, noon.family)
    with statements() as seen:
        page = as_typed(client.get(PAGE).text)
    assert seen.count <= 4, seen
    assert "Une facture impayée fait attendre vos nouvelles réservations" in page
    for words in ("2026-0412", "45,20\u00a0€", "20 octobre 2026", "04 71 09 00 00", "regie@agglo.example.org"):
        assert words in page
    assert f"/mes-credits?regie={town.regie_id}" in page
    before, meals = noon.everything(), sold(noon.read)
    code = f"{noon.family.beneficiary_ids[0]}.{days[2]}"
    answer = submit(client, PAGE, {"repas": code})
    assert (answer.status_code, "2026-0412" in answer.text) == (422, True)
    assert f'value="{code}"' in answer.text
    answer = submit(client, PAGE, {"attendre": code})
    assert (answer.status_code, "2026-0412" in answer.text) == (422, True)
    page = client.get("/panier").text
    assert "Une facture impayée fait attendre ce panier" in page
    assert "Payer avec" not in page
    for address in (WALLET, CARD):
        answer = submit(client, address, {"panier": basket, "total": 760})
        assert answer.status_code == 422
        assert "Une facture impayée fait attendre ce panier" in answer.text
        assert "2026-0412" in answer.text
    assert (noon.everything(), sold(noon.read)) == (before, meals)
    # What is booked stays booked, can be cancelled, and whoever eats is noted.
    reservation = town.reservation_ids(order_id)[0]
    assert submit(client, "/mes-reservations/annuler", {"repas": str(reservation), "credit": 380}).status_code == 303
    noon.note(MONDAY, child=1, now=clock.now())
    # Paid elsewhere, it goes on.
    office.pay(invoice)
    assert "facture impayée" not in client.get(PAGE).text
    assert submit(client, PAGE, {"repas": code}).status_code == 303
    assert submit(client, WALLET, {"panier": basket, "total": 1140}).status_code == 303
    books_hold()


def test_the_paying_transaction_looks_again(
    noon: Noon, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    """The page was shown before the invoice was noted; the click on it moves nothing."""
    noon.rules(blocking=RULE)
    town.top_up(noon.family, 5000)
    basket = town.basket(noon.family, noon.canteen, noon.canteen.open_days(town.now)[:2])
    buyer = Buyer(noon.family.household_id, noon.family.account_id, noon.family.email)
    office = Office(noon)
    invoice = office.note()
    before, meals = noon.everything(), sold(noon.read)
    with pytest.raises(BookingWaits) as refusal, write() as db:
        pay_from_wallet(db, buyer, basket, 1520, town.now)
    assert "2026-0412" in refusal.value.sentence
    with pytest.raises(BookingWaits), write() as db:
        hold_for_card(db, buyer, basket, 1520, town.app.extensions["payments.gateways"], town.now)
    assert (noon.everything(), sold(noon.read)) == (before, meals)
    with read() as db:
        assert db.get_one(Basket, basket).state == "open"
    office.withdraw(invoice)
    with write() as db:
        pay_from_wallet(db, buyer, basket, 1520, town.now)
    with read() as db:
        assert db.query(Order).one().state == "paid"
    books_hold()


def test_it_waits_only_where_the_rule_is_and_for_invoices_of_the_same_regie(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, statements: CountStatements, write: OpenSession
) -> None:
    voisine = town.another_regie()
    town.enrol(noon.family, noon.family.beneficiary_ids[0], voisine.canteen)
    for place in (noon.canteen, voisine.canteen):
        with write() as db:
            db.get_one(Service, place.id).policies = {"credit": "full", "blocking": RULE}
    Office(noon, voisine).note()
    sign_in(client, noon.family)
    assert "facture impayée" not in client.get(PAGE).text
    page = client.get("/reserver/voisine/restaurant-scolaire").text
    assert "facture impayée" in page
    assert "regie@voisine.example.org" in page
    Office(noon).note()
    assert "facture impayée" in client.get(PAGE).text
    noon.rules()
    with statements() as seen:
        assert "facture impayée" not in client.get(PAGE).text
    assert seen.count <= 3, seen


def test_an_amount_due_and_an_invoice_are_both_told(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, statements: CountStatements
) -> None:
    noon.rules(blocking={"amount_due_hours": 0, "overdue_invoice_days": 0})
    days = noon.canteen.open_days(town.now + timedelta(days=4))
    basket = town.basket(noon.family, noon.canteen, days[1:2])
    noon.note(MONDAY)
    Office(noon).note()
    sign_in(client, noon.family)
    with statements() as seen:
        page = client.get(PAGE).text
    assert seen.count <= 5, seen
    assert "Un montant dû et une facture impayée font attendre vos nouvelles réservations" in page
    page = submit(client, WALLET, {"panier": basket, "total": 760}).text
    assert "Un montant dû et une facture impayée font attendre ce panier" in page
    assert "3,80\u00a0€ restent dus" in page
    assert "2026-0412" in page


def test_other_days_wait_as_well_where_they_book_something_new(noon: Noon, town: Town, books_hold: BooksHold) -> None:
    noon.rules(blocking=RULE)
    town.top_up(noon.family, 1000)
    town.paid_order(noon.family, noon.canteen, noon.canteen.open_days(town.now + timedelta(days=4))[:1])
    Office(noon).note()
    children = frozenset(noon.family.beneficiary_ids)
    mondays = Wish(noon.canteen.id, children, town.now.date(), Pattern(weekdays=frozenset({1})))
    with noon.read() as db:
        with pytest.raises(BookingWaits):
            plan_change(db, noon.family.household_id, mondays, town.now)
        assert plan_change(db, noon.family.household_id, mondays._replace(pattern=None), town.now).ended
    books_hold()


def test_the_flow_has_one_statement_more_with_the_rule_and_none_more_with_many_invoices(
    noon: Noon, town: Town, statements: CountStatements, write: OpenSession
) -> None:
    counts: list[int] = []
    # The first purchase of a régie opens its accounts.
    rules: tuple[dict[str, Any], ...] = ({}, {}, RULE, RULE)
    for number, blocking in enumerate(rules):
        noon = Noon(town, noon.write, noon.read, balance_cents=5000)
        noon.rules(blocking=blocking)
        basket = town.basket(noon.family, noon.canteen, noon.canteen.open_days(town.now)[:2])
        buyer = Buyer(noon.family.household_id, noon.family.account_id, noon.family.email)
        office = Office(noon)
        for invoice in range(5 * number):
            office.note(TODAY, f"F-{number}-{invoice}")
        with statements() as seen, write() as db:
            pay_from_wallet(db, buyer, basket, 1520, town.now)
        counts.append(seen.count)
    assert counts[2] - counts[1] == 1
    assert counts[3] == counts[2]


# --- what a family sees ---


def test_a_family_sees_its_open_invoices_under_its_credits_and_no_other_home_does(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, statements: CountStatements
) -> None:
    other = town.family()
    town.share(noon.family, other)
    office = Office(noon)
    sign_in(client, noon.family)
    with statements() as seen:
        assert "Factures à payer ailleurs" not in client.get("/mes-credits").text
    few = seen.count
    first, paid = office.note(), office.note(TODAY, "<b>B&1</b>", 1)
    gone = office.note(TODAY, "RETIREE")
    office.pay(paid)
    office.withdraw(gone)
    for number in range(4):
        office.note(TODAY + timedelta(days=number), f"C-{number}", 100)
    with statements() as seen:
        page = as_typed(client.get("/mes-credits").text)
    assert seen.count == few
    assert first
    assert "Factures à payer ailleurs" in page
    for words in (
        "Facture 2026-0412",
        "19 octobre 2026",
        "45,20\u00a0€",
        "49,20\u00a0€",
        "regie@agglo.example.org",
        "C-3",
    ):
        assert words in page
    assert "RETIREE" not in page
    assert "B&amp;1" not in page
    assert "49,20\u00a0€ de factures restent à payer ailleurs." in as_typed(client.get("/mon-compte").text)
    sign_in(client, other)
    assert "2026-0412" not in client.get("/mes-credits").text
    noon.rules(blocking=RULE)
    assert "facture impayée" not in client.get(PAGE).text


def test_a_family_without_a_wallet_sees_its_invoices(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, write: OpenSession
) -> None:
    family = town.family(approved=False)
    town.enrol(family, family.beneficiary_ids[0], noon.canteen, state="refused")
    Office(noon).note(reference="<b>B&1</b>", family=family)
    with write() as db:
        db.execute(delete(LedgerAccount).where(LedgerAccount.household_id == family.household_id))
    sign_in(client, family)
    page = client.get("/mes-credits").text
    assert "Pas encore de porte-monnaie" in page
    assert "&lt;b&gt;B&amp;1&lt;/b&gt;" in page
