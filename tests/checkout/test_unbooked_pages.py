"""Meals without a booking where families look: among their reservations, and in the booking calendar."""

import re

import pytest
from flask.testing import FlaskClient

from accounts.models import HouseholdBeneficiary
from tests.checkout.presence import MONDAY, TODAY, TUESDAY, Noon
from tests.conftest import BooksHold, CountStatements, OpenSession, SignIn, Submit, as_typed
from tests.factory import Town, add

RESERVATIONS = "/mes-reservations"
WORDS = "Sans réservation"


@pytest.fixture
def noon(town: Town, write: OpenSession, read: OpenSession) -> Noon:
    return Noon(town, write, read, balance_cents=500)


def booking(noon: Noon) -> str:
    return f"/reserver/aiguilhe/{noon.canteen.slug}"


def test_they_stand_on_their_days_with_their_price_due_or_paid(
    noon: Noon, client: FlaskClient, sign_in: SignIn, statements: CountStatements, books_hold: BooksHold
) -> None:
    sign_in(client, noon.family)
    with statements() as before:
        assert WORDS not in client.get(RESERVATIONS).text
    noon.note(MONDAY)
    noon.note(TUESDAY, child=1)
    noon.strike(noon.note(TODAY))
    with statements() as seen:
        page = as_typed(client.get(RESERVATIONS).text)
    assert seen.count == before.count
    assert page.count(WORDS) == 3, "what was struck off stays visible, with its history"
    assert "3,80\u00a0€, payé" in page
    assert "3,80\u00a0€, montant dû" in page
    assert page.count('<span class="meal-do">Régler</span>') == 1
    assert f'href="/mes-credits?regie={noon.town.regie_id}"' in page
    assert client.get(f"/mes-credits?regie={noon.town.regie_id}").status_code == 200
    one = as_typed(client.get(f"{RESERVATIONS}?enfant={noon.family.beneficiary_ids[1]}").text)
    assert one.count(WORDS) == 1
    week = as_typed(client.get(f"{RESERVATIONS}?semaine=2026-W47").text)
    assert week.count(WORDS) == 3
    year = as_typed(client.get(f"{RESERVATIONS}?annee=2026").text)
    assert year.count("sans réservation : 1") == 2
    words = as_typed(year).replace("\u00a0", " ")
    assert re.search(r"Total, 2 repas</span><span class=.num.>3,80 €", words), "what is due is not paid"
    books_hold()


def test_nobody_elses_are_shown(noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn) -> None:
    noon.note(MONDAY)
    sign_in(client, town.family())
    assert WORDS not in client.get(RESERVATIONS).text


def test_the_booking_calendar_says_that_it_was_eaten(
    noon: Noon, client: FlaskClient, sign_in: SignIn, submit: Submit, statements: CountStatements
) -> None:
    sign_in(client, noon.family)
    with statements() as before:
        assert "Mangé sans réservation" not in client.get(booking(noon)).text
    noon.note()
    with statements() as seen:
        page = client.get(booking(noon)).text
    assert seen.count == before.count
    assert page.count("Mangé sans réservation</span>") == 1
    assert "Réservé</span>" not in page
    meal = f"{noon.family.beneficiary_ids[0]}.{TODAY}"
    before_booking = noon.everything()
    answer = submit(client, booking(noon), {"ajouter": "1", "repas": meal})
    assert answer.status_code == 422
    assert "ce repas a été mangé sans réservation" in answer.text
    assert noon.everything() == before_booking


def test_the_childs_other_home_reads_that_it_was_eaten_and_nothing_of_the_money(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn
) -> None:
    other = town.family(children=0)
    child = noon.family.beneficiary_ids[0]
    with noon.write() as db:
        add(
            db,
            HouseholdBeneficiary,
            household_id=other.household_id,
            beneficiary_id=child,
            relation="father",
            position=0,
        )
    town.enrol(other, child, noon.canteen)
    noon.note()
    sign_in(client, other)
    assert client.get(booking(noon)).text.count("Mangé sans réservation</span>") == 1
    page = as_typed(client.get(RESERVATIONS).text)
    assert "Sans réservation, chez l’autre parent" in page
    assert not re.search("3,80|montant dû|payé", page)
