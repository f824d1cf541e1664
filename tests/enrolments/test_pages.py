"""A family asks for services, follows its requests, answers, takes them back."""

import re
from datetime import date, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from accounts.models import HouseholdBeneficiary
from enrolments.queries import Right, approved_for
from shop.clock import PARIS, StoppedClock
from tests.conftest import CountStatements, OpenSession, SendLetters, SignIn, Submit
from tests.enrolments.support import add_adult_tariff, add_myself, letters_waiting, rows, snapshot, states, text_of
from tests.factory import Town

ADD = "/mon-compte/services/ajouter?commune=aiguilhe"
SIGN_UP = "/creer-un-compte/services?commune=aiguilhe"
MINE = "/mon-compte/services"


def test_the_third_step_from_commune_to_request_to_end(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession
) -> None:
    family = town.family(approved=False, state="unconfirmed")
    sign_in(client, family)
    page = client.get("/creer-un-compte/services").text
    assert "Aiguilhe" in page
    assert "Coubon" in page
    assert "Merci de choisir" not in page  # there is nothing to choose yet but the commune
    page = client.get(SIGN_UP).text
    assert page.count("Merci de choisir, dans votre commune, l’élément correspondant à votre situation.") == 1
    assert "Résident commune" in page
    assert "3,80" in page
    assert "Garderie du soir" in page
    answer = submit(
        client,
        SIGN_UP,
        {
            "tariff": str(town.aiguilhe.canteen.tariff_id),
            "beneficiaries": [str(number) for number in family.beneficiary_ids],
            "message": "Nous venons d’emménager.",
        },
    )
    assert answer.status_code == 303
    assert answer.location == "/creer-un-compte/services"
    page = client.get(answer.location).text
    assert page.count("En attente") == 2
    assert "Terminer" in page
    found = rows(read)
    assert [(row.household_id, row.tariff_id, row.state, row.school_year) for row in found] == [
        (family.household_id, town.aiguilhe.canteen.tariff_id, "requested", 2026)
    ] * 2
    assert found[0].valid_from == date(2026, 8, 1)
    assert found[0].valid_until == date(2027, 8, 31)
    assert found[0].message == "Nous venons d’emménager."
    # Nothing is written to an address that nobody has confirmed.
    assert letters_waiting(read) == []
    assert "Confirmez d’abord votre adresse" in client.get("/creer-un-compte/termine").text


def test_the_letter_of_what_was_asked_before_is_written_once_the_address_is_confirmed(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, letters: SendLetters
) -> None:
    family = town.family(approved=False, state="unconfirmed")
    sign_in(client, family)
    submit(client, "/creer-un-compte/renvoyer-le-lien")
    asked = {"tariff": str(town.aiguilhe.canteen.tariff_id)}
    submit(client, SIGN_UP, {**asked, "beneficiaries": [str(number) for number in family.beneficiary_ids]})
    town.enrol(family, family.beneficiary_ids[0], town.aiguilhe.childcare, "withdrawn")
    (letter,) = letters()
    (path,) = re.findall(r"http://localhost(/confirmer/\S+)", text_of(letter))
    assert submit(client, path).status_code == 303
    (letter,) = letters()
    assert (letter["To"], "transmises à la mairie" in letter["Subject"]) == (family.email, True)
    assert "Louane" in text_of(letter)
    assert "Théo" in text_of(letter)
    assert "Garderie" not in text_of(letter)
    submit(client, path)
    assert letters() == []


def test_an_active_account_gets_a_letter(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, letters: SendLetters
) -> None:
    family = town.family(approved=False)
    sign_in(client, family)
    answer = submit(
        client, ADD, {"tariff": str(town.aiguilhe.childcare.tariff_id), "beneficiaries": str(family.beneficiary_ids[0])}
    )
    assert answer.location == MINE
    (letter,) = letters()
    assert letter["To"] == family.email
    text = text_of(letter)
    assert "Louane" in text
    assert "Garderie du soir / Résident commune" in text
    assert "http://localhost/mon-compte/services" in text
    assert "Garderie du soir / Résident commune" in text_of(letter, "html")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "Choisissez le tarif"),
        ({"tariff": "resident"}, "Ce tarif n’existe pas"),
        ({"tariff": "999999"}, "Ce tarif n’existe pas"),
        ({"tariff": "9" * 40}, "Ce tarif n’existe pas"),
        ({"tariff": "-1"}, "Ce tarif n’existe pas"),
        ({"tariff": "١"}, "Ce tarif n’existe pas"),
        ({"beneficiaries": []}, "Cochez au moins une personne"),
        ({"message": "🍽" * 501}, "500 caractères au plus"),
        ({"tariff": "adult"}, "réservé aux adultes"),
        ({"beneficiaries": "myself"}, "réservé aux enfants"),
    ],
)
def test_what_cannot_be_asked_for(
    client: FlaskClient,
    town: Town,
    sign_in: SignIn,
    submit: Submit,
    read: OpenSession,
    data: dict[str, str | list[str]],
    sentence: str,
) -> None:
    family = town.family(approved=False)
    numbers = {"adult": str(add_adult_tariff(town)), "myself": str(add_myself(town, family))}
    sign_in(client, family)
    before = snapshot(read)
    fine = {
        "tariff": str(town.aiguilhe.canteen.tariff_id),
        "beneficiaries": [str(family.beneficiary_ids[0])],
        "message": "À bientôt",
    }
    posted: dict[str, Any] = {"message": "ici"}
    if data:
        posted = fine | {key: numbers.get(str(value), value) for key, value in data.items()}
    answer = submit(client, ADD, posted)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert posted["message"][:500] in answer.text
    assert snapshot(read) == before


def test_the_parent_asks_for_an_adult_tariff(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession
) -> None:
    family = town.family(approved=False)
    tariff_id, myself = add_adult_tariff(town), add_myself(town, family)
    sign_in(client, family)
    assert submit(client, ADD, {"tariff": str(tariff_id), "beneficiaries": str(myself)}).status_code == 303
    assert list(states(read).values()) == ["requested"]


@pytest.mark.parametrize("whose", ["theirs", "nobody's", "archived", "both"])
def test_only_beneficiaries_of_the_family(
    client: FlaskClient,
    town: Town,
    sign_in: SignIn,
    submit: Submit,
    read: OpenSession,
    write: OpenSession,
    whose: str,
) -> None:
    family, others = town.family(approved=False), town.family(approved=False)
    chosen = {
        "theirs": [others.beneficiary_ids[0]],
        "nobody's": [123456],
        "archived": [family.beneficiary_ids[1]],
        "both": [family.beneficiary_ids[0], others.beneficiary_ids[0]],
    }[whose]
    with write() as db:
        db.execute(
            update(HouseholdBeneficiary)
            .where(HouseholdBeneficiary.beneficiary_id == family.beneficiary_ids[1])
            .values(archived_at=town.now)
        )
    sign_in(client, family)
    before = snapshot(read)
    data = {"tariff": str(town.aiguilhe.canteen.tariff_id), "beneficiaries": [str(number) for number in chosen]}
    assert submit(client, ADD, data).status_code == 404
    assert snapshot(read) == before


def test_what_is_posted_beside_the_form_is_ignored(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession
) -> None:
    family, others = town.family(approved=False), town.family(approved=False)
    sign_in(client, family)
    data = {
        "tariff": str(town.aiguilhe.canteen.tariff_id),
        "beneficiaries": str(family.beneficiary_ids[0]),
        "state": "approved",
        "household_id": str(others.household_id),
        "school_year": "2030",
        "valid_until": "2040-01-01",
    }
    assert submit(client, ADD, data).status_code == 303
    (row,) = rows(read)
    assert (row.state, row.household_id, row.school_year) == ("requested", family.household_id, 2026)


@pytest.mark.parametrize(("state", "sentence"), [("requested", "attend déjà"), ("approved", "a déjà accès")])
def test_asking_twice(
    client: FlaskClient,
    town: Town,
    sign_in: SignIn,
    submit: Submit,
    read: OpenSession,
    state: str,
    sentence: str,
) -> None:
    family = town.family(children=1, approved=False)
    town.enrol(family, family.beneficiary_ids[0], town.aiguilhe.canteen, state)
    sign_in(client, family)
    before = snapshot(read)
    data = {"tariff": str(town.aiguilhe.canteen.tariff_id), "beneficiaries": str(family.beneficiary_ids[0])}
    answer = submit(client, ADD, data)
    assert answer.status_code == 409
    assert sentence in answer.text
    assert "à corriger" not in answer.text
    assert snapshot(read) == before


def test_a_change_of_tariff_may_be_asked_for(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession
) -> None:
    family = town.family(children=1)
    sign_in(client, family)
    data = {"tariff": str(town.aiguilhe.canteen.outside_tariff_id), "beneficiaries": str(family.beneficiary_ids[0])}
    assert submit(client, ADD, data).status_code == 303
    assert sorted(states(read).values()) == ["approved", "requested"]


def test_the_next_school_year_from_may_on(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession, clock: StoppedClock
) -> None:
    family = town.family(children=1)
    clock.moment = datetime(2027, 5, 3, 8, 0, tzinfo=PARIS)
    sign_in(client, family)
    page = client.get(ADD).text
    assert "2027–2028" in page
    data = {"tariff": str(town.aiguilhe.canteen.tariff_id), "beneficiaries": str(family.beneficiary_ids[0])}
    refused = submit(client, ADD, data | {"school_year": "2030"})
    assert refused.status_code == 422
    assert "ne sont pas ouvertes" in refused.text
    assert submit(client, ADD, data | {"school_year": "2027"}).status_code == 303
    (row,) = [row for row in rows(read) if row.state == "requested"]
    assert (row.school_year, row.valid_from, row.valid_until) == (2027, date(2027, 8, 1), date(2028, 8, 31))


@pytest.mark.parametrize("url", [ADD.replace("aiguilhe", "atlantide"), SIGN_UP.replace("aiguilhe", "%00")])
def test_a_commune_that_does_not_exist(client: FlaskClient, town: Town, sign_in: SignIn, url: str) -> None:
    sign_in(client, town.family(approved=False))
    assert client.get(url).status_code == 404


def test_every_state_says_what_it_means(client: FlaskClient, town: Town, sign_in: SignIn, clock: StoppedClock) -> None:
    family = town.family(children=1)
    child, garderie = family.beneficiary_ids[0], town.aiguilhe.childcare
    town.enrol(family, child, garderie, "requested")
    town.enrol(family, child, garderie, "to_complete", outside=True, reason="Un justificatif de domicile")
    town.enrol(family, child, town.coubon.canteen, "refused", reason="Réservé aux habitants")
    town.enrol(family, child, town.coubon.canteen, "withdrawn")
    sign_in(client, family)
    page = client.get(MINE).text
    for words in (
        "En attente",
        "Validé",
        "À compléter",
        "Refusé",
        "Un justificatif de domicile",
        "Réservé aux habitants",
    ):
        assert words in page
    assert "Demande annulée" not in page
    assert "/reserver/aiguilhe/restaurant-scolaire" in page
    clock.moment = datetime(2027, 9, 1, 8, 0, tzinfo=PARIS)
    sign_in(client, family)
    assert "Terminé" in client.get(MINE).text


def test_an_empty_page_says_what_to_do(client: FlaskClient, town: Town, sign_in: SignIn) -> None:
    sign_in(client, town.family(children=0))
    assert "Aucun service pour l’instant" in client.get(MINE).text
    assert "Qui mangera ?" in client.get(ADD).text
    assert "Qui mangera ?" in client.get("/creer-un-compte/services").text


def test_withdrawing(client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession) -> None:
    family = town.family(children=1, approved=False)
    number = town.enrol(family, family.beneficiary_ids[0], town.aiguilhe.canteen, "requested")
    sign_in(client, family)
    assert submit(client, f"{MINE}/{number}/annuler").status_code == 303
    assert states(read) == {number: "withdrawn"}
    assert submit(client, f"{MINE}/{number}/annuler").status_code == 409
    # It may be asked for again.
    data = {"tariff": str(town.aiguilhe.canteen.tariff_id), "beneficiaries": str(family.beneficiary_ids[0])}
    assert submit(client, ADD, data).status_code == 303


@pytest.mark.parametrize("state", ["approved", "refused", "revoked", "expired"])
def test_what_is_decided_cannot_be_withdrawn(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession, state: str
) -> None:
    family = town.family(children=1, approved=False)
    number = town.enrol(family, family.beneficiary_ids[0], town.aiguilhe.canteen, state)
    sign_in(client, family)
    before = snapshot(read)
    answer = submit(client, f"{MINE}/{number}/annuler")
    assert answer.status_code == 409
    assert "Louane" in answer.text
    assert snapshot(read) == before


def test_requests_of_another_family_do_not_exist(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession
) -> None:
    family, others = town.family(approved=False), town.family(approved=False)
    number = town.enrol(others, others.beneficiary_ids[0], town.aiguilhe.canteen, "to_complete", reason="Une pièce")
    sign_in(client, family)
    before = snapshot(read)
    assert submit(client, f"{MINE}/{number}/annuler").status_code == 404
    assert submit(client, f"{MINE}/{number}/completer", {f"r{number}-answer": "Voici"}).status_code == 404
    assert submit(client, f"{MINE}/{number}/completer").status_code == 404
    assert submit(client, f"{MINE}/9999999/annuler").status_code == 404
    assert snapshot(read) == before


def test_answering_what_was_asked(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession
) -> None:
    family = town.family(children=1, approved=False)
    number = town.enrol(
        family,
        family.beneficiary_ids[0],
        town.aiguilhe.canteen,
        "to_complete",
        message="Bonjour",
        reason="Une pièce",
    )
    sign_in(client, family)
    before = snapshot(read)
    url = f"{MINE}/{number}/completer"
    empty = submit(client, url, {f"r{number}-answer": "   "})
    assert empty.status_code == 422
    assert "Écrivez votre réponse" in empty.text
    too_long = submit(client, url, {f"r{number}-answer": "x" * 501})
    assert too_long.status_code == 422
    assert "x" * 501 in too_long.text
    assert snapshot(read) == before
    assert submit(client, url, {f"r{number}-answer": "Déposée ce matin\x00 à l’accueil."}).status_code == 303
    (row,) = rows(read)
    assert (row.state, row.message, row.reason) == (
        "requested",
        "Bonjour\n\nDéposée ce matin à l’accueil.",
        "Une pièce",
    )
    assert submit(client, url, {f"r{number}-answer": "Encore"}).status_code in (404, 409)


def test_approved_for_gives_what_other_rooms_need(town: Town, read: OpenSession, write: OpenSession) -> None:
    family = town.family(children=2)
    canteen = town.aiguilhe.canteen
    town.enrol(family, family.beneficiary_ids[0], town.aiguilhe.childcare, "requested")
    november = (date(2026, 11, 1), date(2026, 11, 30))
    with read() as db:
        rights = approved_for(db, family.household_id, canteen.id, *november)
        assert rights == [
            Right(number, canteen.tariff_id, date(2026, 8, 1), date(2027, 7, 31)) for number in family.beneficiary_ids
        ]
        assert approved_for(db, family.household_id, town.aiguilhe.childcare.id, *november) == []
        assert approved_for(db, family.household_id, canteen.id, date(2028, 1, 1), date(2028, 2, 1)) == []
        assert approved_for(db, family.household_id + 1, canteen.id, *november) == []
    with write() as db:
        db.execute(
            update(HouseholdBeneficiary)
            .where(HouseholdBeneficiary.beneficiary_id == family.beneficiary_ids[0])
            .values(archived_at=town.now)
        )
    with read() as db:
        rights = approved_for(db, family.household_id, canteen.id, *november)
    assert [right.beneficiary_id for right in rights] == [family.beneficiary_ids[1]]


@pytest.mark.parametrize("url", [MINE, ADD, "/creer-un-compte/services", SIGN_UP, "/creer-un-compte/termine"])
def test_who_may_open_the_pages(client: FlaskClient, town: Town, sign_in: SignIn, url: str) -> None:
    away = client.get(url)
    assert away.status_code == 303
    assert "/connexion" in away.location
    sign_in(client, town.clerk())
    assert client.get(url).status_code == 403
    sign_in(client, town.family())
    assert client.get(url).status_code == 200


def test_statements_do_not_grow_with_the_children(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, statements: CountStatements
) -> None:
    counts = []
    for children in (1, 8):
        family = town.family(children=children, approved=False)
        sign_in(client, family)
        data = {
            "tariff": str(town.aiguilhe.canteen.tariff_id),
            "beneficiaries": [str(number) for number in family.beneficiary_ids],
        }
        client.get(MINE)
        with statements() as posting:
            assert submit(client, ADD, data).status_code == 303
        with statements() as reading:
            client.get(MINE)
        counts.append((posting.count, reading.count))
    assert counts[0] == counts[1], counts
    assert counts[0][0] <= 12
    assert counts[0][1] <= 4
