"""Who did what to a meal without a booking, and when: as the family reads it, as a clerk reads it, and nobody else."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from checkout import call_off
from checkout.call_off import Plan, Scope
from checkout.eaten_history import eaten_by_family, tell
from tests.checkout.presence import MONDAY, TODAY, Noon
from tests.conftest import BooksHold, CountStatements, OpenSession, SignIn, as_typed
from tests.factory import Town

WORDS = "Le restaurant scolaire a dû fermer ce midi."


@pytest.fixture
def noon(town: Town, write: OpenSession, read: OpenSession) -> Noon:
    return Noon(town, write, read, balance_cents=500)


def lines(noon: Noon, meal_id: int, with_names: bool = False) -> list[str]:
    with noon.read() as db:
        events = tell(eaten_by_family(db, noon.family.household_id, meal_id), with_names)
    return [" | ".join(filter(None, (event.words, event.who, event.note))) for event in events]


def plain(client: FlaskClient, address: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", as_typed(client.get(address).text).replace("\u00a0", " ")))


def test_what_was_paid_at_once_and_taken_back(noon: Noon, books_hold: BooksHold) -> None:
    meal_id = noon.note()
    noted = ["Noté présent sans réservation, à 3,80\u00a0€ | la mairie | Tarif « Résident commune »"]
    paid = ["Payé avec le porte-monnaie"]
    assert [as_typed(line) for line in lines(noon, meal_id)] == noted + paid
    noon.strike(meal_id)
    back = "Noté par erreur. – 3,80\u00a0€ recrédités sur le porte-monnaie"
    assert lines(noon, meal_id)[2:] == [f"Retiré par la mairie | la mairie | {back}"]
    assert lines(noon, meal_id, with_names=True)[2:] == [f"Retiré par la mairie | Claire Mairie (mairie) | {back}"]
    books_hold()


def test_what_was_due_and_settled(noon: Noon) -> None:
    first, second = noon.note(), noon.note(child=1)
    assert lines(noon, second)[1:] == ["Le porte-monnaie ne suffisait pas : montant dû".replace(" :", "\u00a0:")]
    noon.town.top_up(noon.family, 1000)
    noon.settle([second], 380)
    assert lines(noon, second)[2:] == ["Montant dû réglé avec le porte-monnaie | Camille Dupont1"]
    assert lines(noon, first)[1:] == ["Payé avec le porte-monnaie"]


def test_what_was_due_and_called_off(noon: Noon) -> None:
    noon.note()
    meal_id = noon.note(child=1)
    scope = Scope(noon.canteen.day_ids[TODAY])
    with noon.write() as db:
        seen, plan = call_off.affected(db, scope), Plan(scope, "strike", WORDS)
        number = call_off.plan(db, plan, seen, noon.clerk.account_id, noon.town.now)
    with noon.write() as db:
        call_off.carry_out(db, number, noon.town.now + timedelta(minutes=10))
    assert [as_typed(line) for line in lines(noon, meal_id)[2:]] == [
        f"Annulation annoncée : grève | la mairie | {WORDS}",
        "Retiré par la mairie | la mairie | 3,80\u00a0€ ne sont plus dus",
    ]


def test_both_pages_show_what_was_noted_and_taken_back(
    noon: Noon, app: Flask, sign_in: SignIn, statements: CountStatements, books_hold: BooksHold
) -> None:
    parent, clerk = app.test_client(), app.test_client()
    sign_in(parent, noon.family)
    sign_in(clerk, noon.clerk)
    file = f"/mairie/familles/{noon.family.household_id}/repas?mois=2026-11"
    mine = "/mes-reservations?mois=2026-11"
    assert "Aucun repas ce mois-ci" in plain(clerk, file)
    with statements() as before:
        clerk.get(file)
    meal_id = noon.note(day=MONDAY)
    assert f'href="/mes-reservations/sans-reservation/{meal_id}"' in parent.get(mine).text
    assert "Sans réservation Payé" in plain(clerk, file)
    noon.strike(meal_id)
    noon.note()
    with statements() as after:
        page = plain(clerk, file)
    assert after.count == before.count, after
    assert "lundi 16 novembre 2026" in page
    assert "Sans réservation Retiré" in page
    assert f'href="/mairie/repas/sans-reservation/{meal_id}"' in clerk.get(file).text
    assert "Retiré par la mairie" in plain(parent, mine)
    told = plain(parent, f"/mes-reservations/sans-reservation/{meal_id}")
    assert "Noté par erreur." in told
    assert "Claire" not in told
    told = plain(clerk, f"/mairie/repas/sans-reservation/{meal_id}")
    assert "par Claire Mairie (mairie)" in told
    statement = plain(parent, "/mes-credits")
    assert "Repas sans réservation du 16 novembre retiré : Louane" in statement
    assert "Noté par erreur." in statement
    assert "Annulation d’un mouvement" not in statement
    books_hold()


def test_others_read_nothing_of_it(noon: Noon, app: Flask, town: Town, sign_in: SignIn) -> None:
    meal_id, home = noon.note(), town.family(children=0)
    town.share(noon.family, home)
    for person, address in (
        (home, "/mes-reservations/sans-reservation"),
        (town.clerk(town.coubon), "/mairie/repas/sans-reservation"),
    ):
        client = app.test_client()
        sign_in(client, person)
        assert client.get(f"{address}/{meal_id}").status_code == 404
