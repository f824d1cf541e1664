"""Proposing a calendar and swaps, answering them, and the letters both ways."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from homes.models import CustodyCalendar, CustodySwap
from homes.queries import custodies
from shop.clock import StoppedClock, paris_day
from tests.conftest import OpenSession, SendLetters, SignIn, Submit
from tests.factory import Family, Town

PROPOSAL = {"even_weeks": "ici", "holidays": "ailleurs", "starts_on": "2026-11-23"}
SWAP = {"swap_from": "2026-11-30", "swap_until": "2026-12-01", "swap_home": "ici"}


class Home:
    """A parent at a browser, at the page of the child's homes."""

    def __init__(self, client: FlaskClient, family: Family, page: str, submit: Submit) -> None:
        self.client, self.family, self.page, self.submit = client, family, page, submit

    def travel(self, clock: StoppedClock, sign_in: SignIn, days: int) -> None:
        """Some days later, signed in again."""
        clock.moment += timedelta(days=days)
        sign_in(self.client, self.family)

    def read(self) -> str:
        answer = self.client.get(self.page)
        assert answer.status_code == 200
        return answer.text

    def send(self, where: str, form: dict[str, str], expected: int = 303) -> str:
        answer = self.submit(self.client, f"{self.page}/{where}", form)
        assert answer.status_code == expected
        return answer.text


@pytest.fixture
def homes(app: Flask, town: Town, sign_in: SignIn, submit: Submit) -> tuple[Home, Home]:
    """The two homes of one child."""
    first, second = town.family(children=1), town.family(children=0)
    page = f"/mon-compte/filiations/{town.share(first, second)}/foyers"
    found = []
    for family in (first, second):
        client = app.test_client()
        sign_in(client, family)
        found.append(Home(client, family, page, submit))
    return found[0], found[1]


def subjects(letters: SendLetters) -> list[tuple[str, str]]:
    return [(letter["To"], letter["Subject"]) for letter in letters()]


def test_a_calendar_holds_once_both_agree(
    homes: tuple[Home, Home], letters: SendLetters, read: OpenSession, town: Town
) -> None:
    one, other = homes
    child = one.family.beneficiary_ids[0]
    assert "Aucun calendrier ne vaut aujourd’hui" in one.read()
    one.send("calendrier", PROPOSAL)
    assert subjects(letters) == [(other.family.email, "Un calendrier est proposé pour Louane")]
    assert "Votre proposition attend l’autre parent" in one.read()
    assert "L’autre parent propose un calendrier" in other.read()
    with read() as db:
        assert custodies(db, one.family.household_id)[child].calendars == []
    # One cannot agree with oneself, nor take back what the other asked, nor propose while one waits.
    assert "C’est à l’autre parent de répondre" in one.send("calendrier/1", {"answer": "agreed"}, 422)
    assert "acceptez-la ou refusez-la" in other.send("calendrier/1", {"answer": "withdrawn"}, 422)
    assert "attend déjà" in other.send("calendrier", PROPOSAL, 409)
    one.send("calendrier/1", {"answer": "nonsense"}, 404)
    assert subjects(letters) == []
    other.send("calendrier/1", {"answer": "agreed"})
    assert subjects(letters) == [(one.family.email, "C’est convenu pour Louane")]
    assert "n’attend plus de réponse" in other.send("calendrier/1", {"answer": "agreed"}, 409)
    assert subjects(letters) == []
    with read() as db:
        for family in (one.family, other.family):
            (calendar,) = custodies(db, family.household_id)[child].calendars
            homes_of = (calendar.even_home, calendar.odd_home, calendar.holidays_home)
            assert homes_of == (one.family.household_id, other.family.household_id, other.family.household_id)
    page = one.read()
    assert "Semaine 48" in page
    assert "semaine 53" in page


@pytest.mark.parametrize("verdict", ["declined", "withdrawn"])
def test_what_is_declined_or_taken_back_leaves_the_former_calendar(
    homes: tuple[Home, Home], letters: SendLetters, read: OpenSession, town: Town, verdict: str
) -> None:
    one, other = homes
    child = one.family.beneficiary_ids[0]
    town.custody(child, one.family, other.family)
    with read() as db:
        before = custodies(db, one.family.household_id)[child]
    other.send("calendrier", PROPOSAL)
    letters()
    answering, told, subject = (
        (one, other, "Demande refusée pour Louane")
        if verdict == "declined"
        else (other, one, "Demande retirée pour Louane")
    )
    answering.send("calendrier/2", {"answer": verdict})
    assert subjects(letters) == [(told.family.email, subject)]
    with read() as db:
        assert custodies(db, one.family.household_id)[child] == before
    other.send("calendrier", PROPOSAL)


def test_a_proposal_agreed_late_begins_that_day(
    homes: tuple[Home, Home], read: OpenSession, clock: StoppedClock, sign_in: SignIn
) -> None:
    one, other = homes
    one.send("calendrier", PROPOSAL)
    other.travel(clock, sign_in, 6)
    other.send("calendrier/1", {"answer": "agreed"})
    with read() as db:
        assert db.scalars(select(CustodyCalendar.first_day)).one() == paris_day(clock.now())


def test_calendars_that_are_refused(homes: tuple[Home, Home], read: OpenSession, letters: SendLetters) -> None:
    one, _other = homes
    assert "à partir d’aujourd’hui" in one.send("calendrier", PROPOSAL | {"starts_on": "2026-11-18"}, 422)
    assert "Dites chez qui." in one.send("calendrier", {"starts_on": "2026-11-23"}, 422)
    assert "une date qui existe" in one.send("calendrier", PROPOSAL | {"starts_on": "31/02/2027"}, 422)
    with read() as db:
        assert db.scalars(select(CustodyCalendar)).all() == []
    assert subjects(letters) == []


def test_a_swap_holds_once_both_agree(
    homes: tuple[Home, Home], letters: SendLetters, read: OpenSession, town: Town
) -> None:
    one, other = homes
    child = one.family.beneficiary_ids[0]
    town.custody(child, one.family, other.family)
    one.send("echange", SWAP)
    assert subjects(letters) == [(other.family.email, "Échange de jours demandé pour Louane")]
    assert "Une demande attend déjà" in other.send("echange", SWAP, 422)
    assert "C’est à l’autre parent" in one.send("echange/1", {"answer": "agreed"}, 422)
    assert "L’autre parent demande un échange" in other.read()
    with read() as db:
        assert custodies(db, one.family.household_id)[child].swaps == []
    other.send("echange/1", {"answer": "agreed"})
    assert subjects(letters) == [(one.family.email, "C’est convenu pour Louane")]
    with read() as db:
        (swap,) = custodies(db, other.family.household_id)[child].swaps
    assert (str(swap.first_day), str(swap.last_day), swap.home) == ("2026-11-30", "2026-12-01", one.family.household_id)
    assert "Du lundi 30 novembre 2026 au mardi 1er décembre 2026" in one.read()
    # Week 49 is the other's, but for these two days.
    assert "<span>Mardi</span>" in one.read()
    assert "n’attend plus de réponse" in other.send("echange/1", {"answer": "declined"}, 409)


def test_swaps_that_are_refused(
    homes: tuple[Home, Home], read: OpenSession, letters: SendLetters, clock: StoppedClock, sign_in: SignIn
) -> None:
    one, other = homes
    assert "Le dernier jour vient après" in one.send("echange", SWAP | {"swap_until": "2026-11-29"}, 422)
    assert "Dites chez qui." in one.send("echange", {**SWAP, "swap_home": ""}, 422)
    with read() as db:
        assert db.scalars(select(CustodySwap)).all() == []
    assert subjects(letters) == []
    one.send("echange", SWAP)
    other.travel(clock, sign_in, 13)
    assert "n’attend plus de réponse" in other.send("echange/1", {"answer": "agreed"}, 409)
    with read() as db:
        assert db.scalars(select(CustodySwap.state)).one() == "asked"


def test_a_child_of_one_home_has_no_calendar(
    app: Flask, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession
) -> None:
    family, client = town.family(children=1), app.test_client()
    sign_in(client, family)
    home = Home(client, family, f"/mon-compte/filiations/{family.beneficiary_ids[0]}/foyers", submit)
    assert "invitez d’abord l’autre parent" in home.send("calendrier", PROPOSAL, 422)
    assert "invitez d’abord l’autre parent" in home.send("echange", SWAP, 422)
    with read() as db:
        assert [*db.scalars(select(CustodyCalendar)), *db.scalars(select(CustodySwap))] == []


def test_what_was_agreed_with_a_home_that_the_child_has_left_does_not_count(
    homes: tuple[Home, Home], town: Town, read: OpenSession, submit: Submit
) -> None:
    one, other = homes
    child, third = one.family.beneficiary_ids[0], town.family(children=0)
    town.custody(child, one.family, other.family)
    submit(other.client, f"/mon-compte/filiations/{child}/supprimer")
    with read() as db:
        assert custodies(db, one.family.household_id) == {}
    town.share(one.family, third)
    with read() as db:
        assert custodies(db, one.family.household_id)[child].calendars == []
        assert custodies(db, other.family.household_id) == {}
    assert other.client.get(other.page).status_code == 404
