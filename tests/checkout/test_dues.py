"""Amounts due: shown tied to child and day, settled whole and the oldest first, by a click or by the top-up that can."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from checkout.closing import money_left
from checkout.errors import DuesChanged
from checkout.settle import settle as settle_payment
from checkout.unbooked import note_eaten
from payments.gateways.base import Seen
from payments.models import Payment
from shop.errors import NotFound
from shop.models import Outbox
from tests.checkout.presence import MONDAY, TODAY, TUESDAY, Noon
from tests.conftest import BooksHold, CountStatements, OpenSession, SendLetters, SignIn, Submit, as_typed
from tests.factory import Town
from tests.payments.attempts import open_top_up
from wallet.errors import BalanceTooShort
from wallet.models import JournalEntry

SETTLE = "/mes-credits/regler"


@pytest.fixture
def noon(town: Town, write: OpenSession, read: OpenSession) -> Noon:
    return Noon(town, write, read)


# --- by a click ---


def test_a_family_settles_what_it_saw_once(noon: Noon, town: Town, books_hold: BooksHold) -> None:
    meals = [noon.note(MONDAY), noon.note(TUESDAY)]
    town.top_up(noon.family, 1000)
    assert noon.settle(meals, 760) == 760
    assert (noon.balances(), noon.states()) == ((240, 0), ["paid", "paid"])
    before = noon.everything()
    assert noon.settle(meals, 760) == 0
    assert noon.everything() == before
    books_hold()


def test_a_wallet_that_does_not_suffice_settles_nothing(noon: Noon, town: Town, books_hold: BooksHold) -> None:
    meals = [noon.note(MONDAY), noon.note(TUESDAY)]
    town.top_up(noon.family, 759)
    before = noon.everything()
    with pytest.raises(BalanceTooShort) as refused:
        noon.settle(meals, 760)
    assert refused.value.missing_cents == 1
    assert noon.everything() == before
    books_hold()


@pytest.mark.parametrize("how", ["another sum", "one struck off", "one settled already"])
def test_what_the_family_did_not_see_is_not_settled(noon: Noon, town: Town, how: str, books_hold: BooksHold) -> None:
    meals, seen = [noon.note(MONDAY), noon.note(TUESDAY)], 760
    town.top_up(noon.family, 2000)
    if how == "another sum":
        seen = 380
    elif how == "one struck off":
        noon.strike(meals[0])
    else:
        noon.settle(meals[:1], 380)
    before = noon.everything()
    with pytest.raises(DuesChanged):
        noon.settle(meals, seen)
    assert noon.everything() == before
    books_hold()


def test_nothing_is_left_to_settle_of_what_was_struck_off(noon: Noon, town: Town, books_hold: BooksHold) -> None:
    meals = [noon.note(MONDAY), noon.note(TUESDAY)]
    town.top_up(noon.family, 1000)
    noon.strike(meals[0])
    noon.settle(meals[1:], 380)
    before = noon.everything()
    assert [noon.settle(meals, 0), noon.settle(meals[:1], 0)] == [0, 0]
    assert noon.everything() == before
    books_hold()


def test_another_familys_amounts_do_not_exist(noon: Noon, town: Town) -> None:
    stranger = town.family(children=1, balance_cents=5000)
    mine, theirs = noon.note(), noon.note(family=stranger, day=MONDAY)
    before = noon.everything()
    for meals in ([theirs], [mine, theirs], [999]):
        with pytest.raises(NotFound):
            noon.settle(meals, 380)
    assert noon.everything() == before


# --- by a top-up ---


def arrive(app: Flask, payment: Payment, town: Town, write: OpenSession) -> str:
    with write() as db:
        seen = Seen("sb_top_up", payment.key, "paid", payment.cents, "eur", False)
        return settle_payment(db, payment.key, seen, town.now)


@pytest.mark.parametrize(
    ("cents", "balances", "states"),
    [
        (1000, (240, 0), ["paid", "paid"]),
        # The second does not fit: none of it is paid.
        (1139, (379, 0), ["paid", "paid"]),
        (759, (379, 380), ["paid", "due"]),
        (379, (379, 760), ["due", "due"]),
    ],
)
def test_a_top_up_settles_the_oldest_first_and_whole(
    app: Flask,
    noon: Noon,
    town: Town,
    write: OpenSession,
    letters: SendLetters,
    books_hold: BooksHold,
    cents: int,
    balances: tuple[int, int],
    states: list[str],
) -> None:
    noon.note(TUESDAY)
    noon.note(MONDAY, now=town.now + timedelta(minutes=1))
    letters()
    payment = open_top_up(app, town, noon.family, cents=cents)
    assert arrive(app, payment, town, write) == "topped_up"
    assert (noon.balances(), noon.states()) == (balances, states)
    # The provider calls again.
    before = noon.everything()
    assert arrive(app, payment, town, write) == "already"
    assert noon.everything() == before
    (letter,) = letters()
    words = as_typed(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert ("mardi 17 novembre 2026" in words) == (states[0] == "paid")
    assert ("lundi 16 novembre 2026" in words) == (states[1] == "paid")
    books_hold()


def test_a_top_up_settles_nothing_of_another_regie(
    app: Flask, town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    noon = Noon(town, write, read)
    elsewhere = town.another_regie()
    number = town.enrol(noon.family, noon.family.beneficiary_ids[0], elsewhere.canteen)
    clerk = town.clerk(elsewhere)
    with write() as db:
        note_eaten(db, elsewhere.canteen.day_ids[TODAY], number, 400, clerk.account_id, town.now)
    assert arrive(app, open_top_up(app, town, noon.family, cents=1000), town, write) == "topped_up"
    assert noon.states() == ["due"]
    books_hold()


# --- what the family reads ---


def test_the_family_sees_each_line_and_settles_them(
    noon: Noon,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    statements: CountStatements,
    books_hold: BooksHold,
) -> None:
    sign_in(client, noon.family)
    client.get("/mon-compte")
    with statements() as usual:
        assert "restent dus" not in client.get("/mon-compte").text
    meals = [noon.note(MONDAY), noon.note(TUESDAY, child=1)]
    with statements() as owing:
        assert "7,60\u00a0€ restent dus" in client.get("/mon-compte").text
    assert owing.count == usual.count, owing
    page = client.get("/mes-credits").text
    assert "Louane" in page
    assert "lundi 16 novembre 2026" in page
    assert "Pourquoi ce prix" in page
    assert "Régler" not in page.split("Montants dus")[1].split("Rechargez")[0]
    assert "7,60\u00a0€ de montants dus" in client.get("/recharger").text
    town.top_up(noon.family, 500)
    assert "Régler 3,80\u00a0€ avec mon porte-monnaie" in client.get("/mes-credits").text
    form = {"repas": [str(meals[0])], "total": 380, "regie": town.regie_id}
    assert submit(client, SETTLE, {**form, "total": 381}).status_code == 409
    assert submit(client, SETTLE, {**form, "repas": ["x"]}).status_code == 404
    assert noon.states() == ["due", "due"]
    for _click in range(2):
        assert submit(client, SETTLE, form).status_code == 303
    page = client.get("/mes-credits").text
    assert "C’était déjà réglé" in page
    assert "Montant dû réglé" in page
    assert noon.states() == ["paid", "due"]
    assert submit(client, SETTLE, {**form, "repas": [str(meals[1])]}).status_code == 422
    noon.strike(meals[0])
    assert re.search(r"Repas sans réservation du [^<]+ retiré : ", as_typed(client.get("/mes-credits").text))
    books_hold()


def test_what_is_missing_for_a_basket_is_reckoned_after_what_is_due(
    app: Flask,
    noon: Noon,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    write: OpenSession,
    books_hold: BooksHold,
) -> None:
    noon.note()
    basket = town.basket(noon.family, noon.canteen, noon.canteen.open_days(town.now)[:1])
    sign_in(client, noon.family)
    page = client.get("/panier").text
    assert "Recharger 11,40\u00a0€ et revenir ici" in page
    assert "règle d’abord vos montants dus, 3,80\u00a0€" in page
    assert submit(client, "/recharger", {"regie": town.regie_id, "montant": "7.60", "panier": 1}).status_code == 422
    answer = submit(client, "/recharger", {"regie": town.regie_id, "montant": "11.40", "panier": 1})
    assert answer.status_code == 303
    with noon.read() as db:
        key, reference = db.execute(
            select(Payment.key, Payment.provider_reference).order_by(Payment.id.desc()).limit(1)
        ).one()
    with write() as db:
        seen = Seen(reference or "", key, "paid", 1140, "eur", False)
        assert settle_payment(db, key, seen, town.now) == "topped_up"
    assert noon.balances() == (760, 0)
    assert submit(client, "/panier/payer/porte-monnaie", {"panier": basket, "total": 760}).status_code == 303
    assert noon.balances() == (0, 0)
    books_hold()


def test_a_family_that_owes_something_keeps_its_account(noon: Noon, town: Town) -> None:
    noon.note()
    with noon.read() as db:
        obstacle = money_left(db, noon.family.household_id, town.now)
        assert obstacle is not None
        assert "reste à régler" in obstacle.sentence


def test_a_letter_a_meal(noon: Noon) -> None:
    noon.note()
    noon.note()
    with noon.read() as db:
        assert len(db.scalars(select(Outbox.id).where(Outbox.kind == "unbooked_meal")).all()) == 1
        (key,) = db.scalars(select(JournalEntry.key))
    assert key == "unbooked_meal:1"
