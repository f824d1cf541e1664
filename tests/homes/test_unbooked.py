"""A child of two homes who is there without a booking: the clerk is told whose day it is, and that home owes the meal."""

import re
from datetime import date
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select, update

from checkout.errors import OtherHomesDay
from checkout.queries import booked_between
from checkout.unbooked import note_eaten, strike_off
from enrolments.models import Enrolment
from homes.models import CustodyCalendar
from orders.models import UnbookedMeal
from shop.models import AuditLine, Outbox
from tests.conftest import BooksHold, CountStatements, OpenSession, SignIn, Submit, as_typed
from tests.factory import Family, Town
from wallet.models import JournalEntry

ODD, EVEN = date(2026, 11, 19), date(2026, 11, 13)
"""A Thursday in week 47: today. A Friday in week 46."""


class Homes:
    """A child of two homes, both enrolled; only the first one's wallet holds something."""

    def __init__(self, town: Town, write: OpenSession, read: OpenSession, agreed: bool = True) -> None:
        self.town, self.write, self.read = town, write, read
        self.canteen = town.aiguilhe.canteen
        self.even, self.odd = town.family(children=1, balance_cents=5000), town.family(children=0)
        self.child = town.share(self.even, self.odd)
        town.enrol(self.odd, self.child, self.canteen)
        if agreed:
            town.custody(self.child, self.even, self.odd)
        self.clerk = town.clerk()
        self.names = {family.household_id: self.name(family) for family in (self.even, self.odd)}

    def name(self, family: Family) -> str:
        return f"Camille Dupont{re.sub('[^0-9]', '', family.email.split('@')[0])}"

    def enrolment(self, family: Family) -> int:
        with self.read() as db:
            return db.scalars(select(Enrolment.id).where(Enrolment.household_id == family.household_id)).one()

    def address(self, day: date, family: Family | None = None) -> str:
        query = f"?inscription={self.enrolment(family)}" if family else ""
        return f"/mairie/jour/{self.canteen.day_ids[day]}/sans-reservation{query}"

    def noted(self) -> list[tuple[int, str]]:
        with self.read() as db:
            rows = db.execute(select(UnbookedMeal.household_id, UnbookedMeal.state))
            return [(household_id, state) for household_id, state in rows]

    def everything(self) -> list[Any]:
        with self.read() as db:
            return [
                db.scalar(select(func.count()).select_from(model))
                for model in (UnbookedMeal, JournalEntry, Outbox, AuditLine)
            ]


@pytest.fixture
def homes(town: Town, write: OpenSession, read: OpenSession) -> Homes:
    return Homes(town, write, read)


@pytest.mark.parametrize(("day", "state"), [(ODD, "due"), (EVEN, "paid")])
def test_the_clerk_is_told_whose_day_it_is_and_charges_that_home(
    homes: Homes,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    books_hold: BooksHold,
    day: date,
    state: str,
) -> None:
    mine, other = (homes.odd, homes.even) if day == ODD else (homes.even, homes.odd)
    sign_in(client, homes.clerk)
    whose = f"ce jour est celui du foyer de {homes.name(mine)}."
    search = as_typed(client.get(homes.address(day)).text)
    assert search.count(f"L’enfant a deux foyers : d’après le calendrier de garde, {whose}") == 2

    # The other home's page leads to the right one, and has nothing to confirm.
    page = as_typed(client.get(homes.address(day, other)).text)
    assert "ce jour est celui de l’autre" in page
    assert f"c’est le foyer de {homes.name(mine)} qui doit ce repas, et non celui de {homes.name(other)}." in page
    assert f'href="{homes.address(day, mine)}"' in page
    assert 'name="centimes"' not in page
    before = homes.everything()
    form = {"inscription": str(homes.enrolment(other)), "centimes": "380"}
    answer = submit(client, homes.address(day), form)
    assert answer.status_code == 422
    assert "Rien n’a été noté." in as_typed(answer.text)
    assert homes.everything() == before

    page = as_typed(client.get(homes.address(day, mine)).text)
    assert whose in page
    assert f"<dt>Foyer qui doit ce repas</dt><dd>{homes.name(mine)}</dd>" in page
    form = {"inscription": str(homes.enrolment(mine)), "centimes": "380"}
    assert submit(client, homes.address(day), form).status_code == 303
    assert homes.noted() == [(mine.household_id, state)]
    books_hold()


def test_the_other_home_sees_the_meal_and_nothing_of_its_money(
    homes: Homes, app: Flask, sign_in: SignIn, statements: CountStatements, books_hold: BooksHold
) -> None:
    mine, other = app.test_client(), app.test_client()
    sign_in(mine, homes.odd)
    sign_in(other, homes.even)
    pages = ("/mes-reservations?mois=2026-11", "/mes-reservations?semaine=2026-W47")
    with statements() as before:
        other.get(pages[0])
    assert "Sans réservation" not in as_typed(other.get(pages[0]).text)
    with homes.write() as db:
        number = homes.enrolment(homes.odd)
        note_eaten(db, homes.canteen.day_ids[ODD], number, 380, homes.clerk.account_id, homes.town.now)
    with statements() as after:
        other.get(pages[0])
    assert after.count == before.count, after
    for address in pages:
        assert "3,80\u00a0€, montant dû" in as_typed(mine.get(address).text)
        page = as_typed(other.get(address).text)
        (line,) = re.findall(r'<li><span class="meal is-ok is-there">.*?</li>', page, re.DOTALL)
        assert "<b>Louane</b>" in line
        assert "Sans réservation, chez l’autre parent" in line
        assert "jeudi 19 novembre 2026" in line
        assert "montant dû" not in page
        assert "3,80" not in page
    year = other.get("/mes-reservations?annee=2026").text
    assert "sans réservation : 1" in as_typed(year)
    with homes.read() as db:
        (told,) = booked_between(db, homes.even.household_id, ODD, ODD)
    assert (told.state, told.cents, told.regie_id) == ("eaten", 0, None)
    with homes.write() as db:
        (meal_id,) = db.scalars(select(UnbookedMeal.id))
        strike_off(db, [homes.town.aiguilhe.id], meal_id, "Noté par erreur.", homes.clerk.account_id, homes.town.now)
    assert "Sans réservation" not in as_typed(other.get(pages[0]).text), "what was taken back was not eaten"
    books_hold()


def test_without_an_agreement_the_clerk_chooses_and_is_told_so(
    town: Town,
    write: OpenSession,
    read: OpenSession,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    books_hold: BooksHold,
) -> None:
    homes = Homes(town, write, read, agreed=False)
    sign_in(client, homes.clerk)
    nothing = "L’enfant a deux foyers, et leur calendrier de garde ne dit rien de ce jour."
    assert as_typed(client.get(homes.address(ODD)).text).count(nothing) == 2
    page = as_typed(client.get(homes.address(ODD, homes.even)).text)
    assert nothing in page
    assert f"<dt>Foyer qui doit ce repas</dt><dd>{homes.name(homes.even)}</dd>" in page
    form = {"inscription": str(homes.enrolment(homes.even)), "centimes": "380"}
    assert submit(client, homes.address(ODD), form).status_code == 303
    assert homes.noted() == [(homes.even.household_id, "paid")]
    books_hold()


def test_a_home_that_is_not_enrolled_cannot_owe(
    homes: Homes, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    with homes.write() as db:
        db.execute(update(Enrolment).where(Enrolment.household_id == homes.odd.household_id).values(valid_until=EVEN))
    sign_in(client, homes.clerk)
    page = as_typed(client.get(homes.address(ODD, homes.even)).text)
    assert "Ce foyer-là n’est pas inscrit à ce service : le foyer choisi doit ce repas" in page
    assert f"ce jour est celui du foyer de {homes.name(homes.odd)}." in page
    assert f"<dt>Foyer qui doit ce repas</dt><dd>{homes.name(homes.even)}</dd>" in page
    form = {"inscription": str(homes.enrolment(homes.even)), "centimes": "380"}
    assert submit(client, homes.address(ODD), form).status_code == 303
    assert homes.noted() == [(homes.even.household_id, "paid")]
    books_hold()


def test_another_town_s_home_is_not_named(homes: Homes, client: FlaskClient, sign_in: SignIn) -> None:
    with homes.write() as db:
        db.execute(delete(Enrolment).where(Enrolment.household_id == homes.odd.household_id))
    sign_in(client, homes.clerk)
    for page in (homes.address(ODD), homes.address(ODD, homes.even)):
        words = as_typed(client.get(page).text)
        assert "d’après le calendrier de garde, ce jour est celui de l’autre foyer." in words
        assert homes.name(homes.odd) not in words


def test_a_calendar_agreed_between_the_page_and_the_click_is_followed(homes: Homes) -> None:
    with homes.write() as db:
        # As if both had agreed on the other weeks after the clerk's page.
        db.execute(
            update(CustodyCalendar).values(even_home_id=homes.odd.household_id, odd_home_id=homes.even.household_id)
        )
    before = homes.everything()
    day_id, number = homes.canteen.day_ids[ODD], homes.enrolment(homes.odd)
    with pytest.raises(OtherHomesDay), homes.write() as db:
        note_eaten(db, day_id, number, 380, homes.clerk.account_id, homes.town.now)
    assert homes.everything() == before


def test_the_search_reads_no_more_for_more_such_children(
    homes: Homes, town: Town, client: FlaskClient, sign_in: SignIn, statements: CountStatements
) -> None:
    sign_in(client, homes.clerk)
    with statements() as one:
        client.get(homes.address(ODD))
    for _more in range(3):
        even, odd = town.family(children=1), town.family(children=0)
        town.enrol(odd, town.share(even, odd), homes.canteen)
        town.custody(even.beneficiary_ids[0], even, odd)
    with statements() as many:
        client.get(homes.address(ODD))
    assert many.count == one.count, many
