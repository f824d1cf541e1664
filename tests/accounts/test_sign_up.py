"""Signing up: three steps that can be left and resumed, and that tell nobody who has an account."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from accounts.models import Account, Beneficiary, Consent, Household, HouseholdBeneficiary, HouseholdMember
from shop.clock import StoppedClock
from shop.models import Outbox
from tests.accounts.conftest import GOOD, PERSON, Moved, path_in
from tests.conftest import OpenSession, SendLetters, Submit
from tests.factory import Town

LOUANE = {
    "rows-0-last_name": "Dupont",
    "rows-0-first_name": "Louane",
    "rows-0-relation": "mother",
    "rows-0-birth_date": "2018-05-10",
    "rows-0-school_id": "0",
    "rows-0-diet": "standard",
}
THEO = {
    "rows-1-last_name": "Dupont",
    "rows-1-first_name": "THéo",
    "rows-1-relation": "mother",
    "rows-1-birth_date": "12/07/2013",
    "rows-1-school_id": "0",
    "rows-1-diet": "no_pork",
}


def test_the_address_typed_beside_the_sign_in_is_there_in_step_1(client: FlaskClient, submit: Submit) -> None:
    answer = submit(client, "/creer-un-compte/commencer", {"new_email": "Marie.Dupont@example.org"})
    assert (answer.status_code, answer.location) == (303, "/creer-un-compte")
    assert 'value="marie.dupont@example.org"' in client.get("/creer-un-compte").text


def test_the_whole_way(
    client: FlaskClient, submit: Submit, town: Town, read: OpenSession, letters: SendLetters
) -> None:
    answer = submit(client, "/creer-un-compte", {**PERSON, "phone": "04 71 00 00 00", "newsletter": "y"})
    assert (answer.status_code, answer.location) == (303, "/creer-un-compte/filiations")
    page = client.get("/creer-un-compte/filiations").text
    assert "Confirmez votre adresse e-mail" in page
    assert "Renvoyer le lien" in page
    answer = submit(client, "/creer-un-compte/filiations", LOUANE | THEO)
    assert (answer.status_code, answer.location) == (303, "/creer-un-compte/services")
    assert client.get(answer.location).status_code == 200
    with read() as db:
        account = db.scalars(select(Account)).one()
        assert (account.state, account.email, account.phone) == (
            "unconfirmed",
            "marie.dupont@example.org",
            "+33471000000",
        )
        assert account.password_hash.startswith("$argon2id$")
        assert account.terms_accepted_at is not None
        assert db.scalars(select(Consent.kind)).all() == ["newsletter"]
        assert db.scalars(select(HouseholdMember.role)).all() == ["holder"]
        children = db.execute(select(Beneficiary.first_name, Beneficiary.diet).order_by(Beneficiary.id)).all()
        assert [tuple(child) for child in children] == [("Louane", "standard"), ("THéo", "no_pork")]
    letter = letters()[0]
    assert letter["Subject"] == "Confirmez votre adresse e-mail"
    path = path_in(letter)
    assert "marie.dupont@example.org" in client.get(path).text
    assert client.head(path).status_code == 200
    with read() as db:
        assert db.scalars(select(Account.state)).one() == "unconfirmed"
    answer = submit(client, path)
    assert answer.status_code == 303
    with read() as db:
        assert db.scalars(select(Account.state)).one() == "active"
    assert "Renvoyer le lien" not in client.get("/mon-compte").text
    for method in ("GET", "POST"):
        again = client.get(path) if method == "GET" else submit(client, path)
        assert again.location == "/connexion"
        assert "Votre adresse e-mail est déjà confirmée." in client.get("/connexion", follow_redirects=True).text


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"first_name": ""}, "Écrivez votre prénom."),
    ({"first_name": "   "}, "Écrivez votre prénom."),
    ({"last_name": "🍕" * 500}, "Ce champ dépasse 80 caractères."),
    ({"last_name": "Du\x00pont"}, "caractère qui ne peut pas être enregistré"),
    ({"email": "marie"}, "adresse e-mail complète"),
    ({"email": ""}, "Écrivez votre adresse e-mail."),
    ({"password": "azerty"}, "au moins 12 caractères"),
    ({"password": "motdepasse123"}, "trop courant"),
    ({"password": "123456789012"}, "chiffres seulement"),
    ({"password": "marie.dupont@example.org"}, "reprend votre adresse"),
    ({"birth_date": "2030-01-01"}, "dans l’avenir"),
    ({"birth_date": "2020-01-01"}, "pas celle d’un adulte"),
    ({"birth_date": "31/02/1990"}, "une date qui existe"),
    ({"phone": "12"}, "numéro de téléphone"),
    ({"postcode": "43"}, "code postal"),
    ({"is_company": "y"}, "nom de la société"),
    ({"is_company": "y", "organisation_name": "Les Lentilles", "siret": "12345678901234"}, "SIRET n’existe pas"),
    ({"terms": ""}, "acceptez les conditions générales"),
    ({"title": "Dr"}, "pas un choix valide"),
]


@pytest.mark.parametrize(("change", "sentence"), WRONG)
def test_refuses_what_cannot_be_and_keeps_what_was_typed(
    client: FlaskClient, submit: Submit, snapshot: Moved, change: dict[str, Any], sentence: str
) -> None:
    before = snapshot()
    data = {name: value for name, value in {**PERSON, **change}.items() if value != "" or name != "terms"}
    answer = submit(client, "/creer-un-compte", data)
    assert answer.status_code == 422
    assert "à corriger" in answer.text
    assert sentence in answer.text
    if "last_name" not in change:
        assert 'value="Dupont"' in answer.text
    assert data["password"] not in answer.text.replace("marie.dupont@example.org", "")
    # Beside the field and in the list of errors, unless something else is wrong with it.
    again = answer.text.count("Écrivez de nouveau votre mot de passe")
    assert again == (0 if "password" in change else 2)
    assert 'id="password-erreur"' in answer.text
    assert snapshot() == before


def test_fields_that_the_form_does_not_have_are_ignored(client: FlaskClient, submit: Submit, read: OpenSession) -> None:
    forged = {"state": "active", "confirmed_at": "2026-01-01", "id": "99", "role": "manager", "totp_secret": "x"}
    assert submit(client, "/creer-un-compte", {**PERSON, **forged}).status_code == 303
    with read() as db:
        account = db.scalars(select(Account)).one()
        assert (account.state, account.confirmed_at, account.totp_secret) == ("unconfirmed", None, None)
        assert account.id != 99


def test_consents_are_off_until_they_are_ticked(client: FlaskClient, submit: Submit, read: OpenSession) -> None:
    page = client.get("/creer-un-compte").text
    assert "checked" not in page.replace('checked id="title', "").split("newsletter")[1]
    submit(client, "/creer-un-compte", PERSON)
    with read() as db:
        assert db.scalar(select(func.count()).select_from(Consent)) == 0


def test_a_company_gives_its_name_and_number(client: FlaskClient, submit: Submit, read: OpenSession) -> None:
    company = {"is_company": "y", "organisation_name": "Les Lentilles", "siret": "732 829 320 00074"}
    submit(client, "/creer-un-compte", {**PERSON, **company})
    with read() as db:
        kept = db.execute(select(Account.organisation_name, Account.siret)).one()
    assert tuple(kept) == ("Les Lentilles", "73282932000074")


def test_says_the_same_whether_or_not_the_address_has_an_account(
    app: Flask, submit: Submit, town: Town, letters: SendLetters, read: OpenSession
) -> None:
    family = town.family(email="deja.la@example.org")
    answers = []
    for email in ("deja.la@example.org", "pas.encore@example.org"):
        client = app.test_client()
        first = submit(client, "/creer-un-compte", {**PERSON, "email": email})
        second = client.get("/creer-un-compte/filiations")
        third = submit(client, "/creer-un-compte/filiations", LOUANE)
        fourth = submit(client, "/creer-un-compte/renvoyer-le-lien", {"back": "/mon-compte"})
        fifth = client.get("/mon-compte")
        texts = [answer.text.replace(email, "ADDRESS") for answer in (first, third, fourth)]
        answers.append(
            [
                [answer.status_code for answer in (first, second, third, fourth, fifth)],
                [answer.location for answer in (first, third, fourth)],
                [sorted(answer.headers.keys()) for answer in (first, second, third)],
                texts,
            ]
        )
    assert answers[0] == answers[1]
    subjects = {letter["To"]: letter["Subject"] for letter in letters()}
    assert subjects["deja.la@example.org"] == "Vous avez déjà un compte"
    assert subjects["pas.encore@example.org"] == "Confirmez votre adresse e-mail"
    with read() as db:
        active = db.scalars(select(Account.id).where(Account.state == "active")).all()
    assert active == [family.account_id]


def test_of_two_who_wait_for_one_address_one_gets_it(
    app: Flask, submit: Submit, letters: SendLetters, read: OpenSession
) -> None:
    for _ in range(2):
        submit(app.test_client(), "/creer-un-compte", PERSON)
    first, second = (path_in(letter) for letter in letters())
    client = app.test_client()
    assert submit(client, first).status_code == 303
    answer = submit(client, second)
    assert answer.status_code == 409
    assert "Un autre compte actif porte déjà cette adresse" in answer.text
    with read() as db:
        assert sorted(db.scalars(select(Account.state))) == ["active", "unconfirmed"]


def test_one_resumes_where_one_left(app: Flask, submit: Submit, town: Town) -> None:
    submit(app.test_client(), "/creer-un-compte", PERSON)
    credentials = {"email": PERSON["email"], "password": GOOD}
    client = app.test_client()
    assert submit(client, "/connexion", credentials).location == "/creer-un-compte/filiations"
    assert client.get("/creer-un-compte").location == "/creer-un-compte/filiations"
    submit(client, "/creer-un-compte/filiations", LOUANE)
    client = app.test_client()
    assert submit(client, "/connexion", credentials).location == "/creer-un-compte/services"


def test_the_link_can_be_sent_again_a_few_times(
    client: FlaskClient, submit: Submit, letters: SendLetters, read: OpenSession
) -> None:
    submit(client, "/creer-un-compte", PERSON)
    first = path_in(letters()[0])
    for _ in range(5):
        answer = submit(client, "/creer-un-compte/renvoyer-le-lien", {"back": "//evil.example"})
        assert answer.location == "/creer-un-compte/filiations"
    sent = letters()
    assert len(sent) == 3
    assert client.get(first).status_code == 410
    assert client.get(path_in(sent[-1])).status_code == 200


def test_a_link_grows_too_old(
    client: FlaskClient, submit: Submit, letters: SendLetters, clock: StoppedClock, read: OpenSession
) -> None:
    submit(client, "/creer-un-compte", PERSON)
    path = path_in(letters()[0])
    clock.moment += timedelta(days=7)
    assert client.get(path).status_code == 410
    answer = submit(client, path)
    assert answer.status_code == 410
    assert "Demandez-en un nouveau" in answer.text
    assert 'href="/connexion">Connexion' in answer.text
    with read() as db:
        assert db.scalars(select(Account.state)).one() == "unconfirmed"


def test_links_are_kept_as_digests_and_letters_sealed(
    client: FlaskClient, submit: Submit, letters: SendLetters, read: OpenSession
) -> None:
    submit(client, "/creer-un-compte", PERSON)
    with read() as db:
        before = db.execute(select(Outbox.facts)).scalar_one()
    token = path_in(letters()[0]).rpartition("/")[2]
    assert len(token) >= 22
    with read() as db:
        whole = str(db.execute(select(Outbox.facts, Outbox.composed)).all()) + before
    assert token not in whole


class TestRows:
    """Step 2 without JavaScript: rows are added and removed by the server, and nothing typed is lost."""

    @pytest.fixture(autouse=True)
    def begin(self, client: FlaskClient, submit: Submit) -> None:
        submit(client, "/creer-un-compte", PERSON)

    def post(self, submit: Submit, client: FlaskClient, data: dict[str, Any]) -> Any:
        return submit(client, "/creer-un-compte/filiations", data)

    def test_a_first_row_waits_with_the_familys_name(self, client: FlaskClient) -> None:
        page = client.get("/creer-un-compte/filiations").text
        assert 'name="rows-0-last_name"' in page
        assert 'value="Dupont"' in page
        assert 'name="rows-1-last_name"' not in page

    def test_rows_are_added_and_removed(self, client: FlaskClient, submit: Submit, snapshot: Moved) -> None:
        before = snapshot()
        page = self.post(submit, client, {"rows-0-last_name": "Dupont", "add": "1"}).text
        assert 'name="rows-1-first_name"' in page
        page = self.post(submit, client, LOUANE | THEO | {"remove": "rows-0"}).text
        assert 'value="Louane"' not in page
        assert 'value="THéo"' in page
        assert snapshot() == before

    def test_whoever_asks_for_one_more_row_finds_the_others_again(
        self, app: Flask, client: FlaskClient, submit: Submit, read: OpenSession, snapshot: Moved
    ) -> None:
        for row in (LOUANE, {name.replace("rows-1", "rows-0"): value for name, value in THEO.items()}):
            answer = self.post(submit, client, row | {"add": "1"})
            assert answer.status_code == 303
            page = client.get(answer.location).text
            assert 'name="rows-0-first_name"' in page
            assert 'name="rows-1-first_name"' not in page
        elsewhere = app.test_client()
        submit(elsewhere, "/connexion", {"email": PERSON["email"], "password": GOOD})
        page = elsewhere.get("/creer-un-compte/filiations").text
        with read() as db:
            louane, theo = db.scalars(select(Beneficiary.id).order_by(Beneficiary.id))
        for child in (louane, theo):
            for path in (f"/mon-compte/filiations/{child}", f"/mon-compte/filiations/{child}/supprimer"):
                assert f'href="{path}?retour=creation"' in page
                assert 'href="/creer-un-compte/filiations"' in elsewhere.get(f"{path}?retour=creation").text
        assert 'href="/mon-compte/coordonnees?retour=creation"' in page
        answer = submit(elsewhere, f"/mon-compte/filiations/{theo}/supprimer?retour=creation")
        assert answer.location == "/creer-un-compte/filiations"
        before = snapshot()
        wrong = self.post(submit, client, THEO | {"rows-1-first_name": "", "rows-1-class_name": "CE2", "add": "1"})
        assert wrong.status_code == 422
        assert "Écrivez le prénom." in wrong.text
        assert 'value="CE2"' in wrong.text
        assert snapshot() == before

    def test_blank_rows_count_for_nothing(self, client: FlaskClient, submit: Submit, read: OpenSession) -> None:
        blank = {"rows-1-last_name": "Dupont", "rows-1-first_name": "", "rows-1-relation": "", "rows-1-school_id": "0"}
        assert self.post(submit, client, LOUANE | blank | {"rows-1-diet": "standard"}).status_code == 303
        with read() as db:
            assert db.scalars(select(Beneficiary.first_name)).all() == ["Louane"]

    def test_nobody_at_all_is_refused(self, client: FlaskClient, submit: Submit, snapshot: Moved) -> None:
        before = snapshot()
        answer = self.post(submit, client, {"rows-0-last_name": "", "rows-0-first_name": ""})
        assert answer.status_code == 422
        assert "Ajoutez au moins une personne" in answer.text
        assert snapshot() == before

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"rows-0-first_name": ""}, "Écrivez le prénom."),
            ({"rows-0-relation": ""}, "Dites qui vous êtes"),
            ({"rows-0-relation": "emperor"}, "à corriger"),
            ({"rows-0-birth_date": "2027-01-01"}, "dans l’avenir"),
            ({"rows-0-diet": "only cake"}, "à corriger"),
            ({"rows-0-school_id": "999999"}, "à corriger"),
            ({"rows-0-class_name": "x" * 41}, "dépasse 40 caractères"),
            ({"rows-0-relation": "self", "rows-1-relation": "self"}, "qu’une fois"),
        ],
    )
    def test_refuses_what_cannot_be(
        self, client: FlaskClient, submit: Submit, snapshot: Moved, change: dict[str, Any], sentence: str
    ) -> None:
        before = snapshot()
        answer = self.post(submit, client, LOUANE | THEO | change)
        assert answer.status_code == 422
        assert sentence in answer.text
        assert 'value="THéo"' in answer.text
        assert snapshot() == before

    def test_twice_the_same_click_adds_nobody_twice(
        self, client: FlaskClient, submit: Submit, read: OpenSession
    ) -> None:
        for _ in range(2):
            assert self.post(submit, client, LOUANE | THEO).status_code == 303
        with read() as db:
            assert db.scalar(select(func.count()).select_from(HouseholdBeneficiary)) == 2

    def test_a_child_in_two_rows_is_told_of_and_saved_once(
        self, client: FlaskClient, submit: Submit, snapshot: Moved, read: OpenSession
    ) -> None:
        before = snapshot()
        twin = {name.replace("rows-0", "rows-1"): value for name, value in LOUANE.items()}
        answer = self.post(submit, client, LOUANE | twin | {"rows-1-first_name": "LOUANE", "rows-1-class_name": "CE2"})
        assert answer.status_code == 422
        assert answer.text.count("LOUANE est déjà dans la liste.") == 2  # beside the field and in the list of errors
        assert 'href="#rows-1-first_name"' in answer.text
        assert 'id="rows-1-first_name-erreur"' in answer.text
        assert 'value="CE2"' in answer.text
        assert snapshot() == before
        assert self.post(submit, client, LOUANE | twin | {"rows-1-birth_date": "2020-01-02"}).status_code == 303
        with read() as db:
            assert db.scalar(select(func.count()).select_from(Beneficiary)) == 2

    def test_a_child_who_is_there_is_not_changed_in_silence(
        self, client: FlaskClient, submit: Submit, snapshot: Moved
    ) -> None:
        self.post(submit, client, LOUANE)
        before = snapshot()
        answer = self.post(submit, client, LOUANE | {"rows-0-class_name": "CE2"})
        assert answer.status_code == 422
        assert "Louane figure déjà parmi vos bénéficiaires." in answer.text
        assert 'value="CE2"' in answer.text
        assert snapshot() == before

    def test_one_goes_on_without_adding_when_somebody_is_there(self, client: FlaskClient, submit: Submit) -> None:
        self.post(submit, client, LOUANE)
        page = client.get("/creer-un-compte/filiations").text
        assert "Louane Dupont" in page
        assert 'name="rows-0-last_name"' not in page
        assert self.post(submit, client, {}).location == "/creer-un-compte/services"

    def test_thirty_rows_at_most(self, client: FlaskClient, submit: Submit) -> None:
        many = {f"rows-{n}-first_name": f"Enfant {n}" for n in range(40)}
        page = self.post(submit, client, many | {"add": "1"}).text
        assert 'name="rows-29-first_name"' in page
        assert 'name="rows-30-first_name"' not in page


def test_robots_are_told_to_wait(client: FlaskClient, submit: Submit, snapshot: Moved) -> None:
    answers = [submit(client, "/creer-un-compte", {"email": "x"}) for _ in range(25)]
    assert [answer.status_code for answer in answers] == [422] * 20 + [429] * 5
    assert answers[-1].headers["Retry-After"] == "600"
    assert client.get("/creer-un-compte").status_code == 200


def test_a_household_of_an_account_that_is_not_ones_own_stays_closed(
    app: Flask, submit: Submit, town: Town, read: OpenSession, write: OpenSession
) -> None:
    """Somebody who signs up with another's address sees nothing of the other, even once both have beneficiaries."""
    family = town.family(email="deja.la@example.org")
    client = app.test_client()
    submit(client, "/creer-un-compte", {**PERSON, "email": family.email})
    assert "Louane" not in client.get("/creer-un-compte/filiations").text
    with write() as db:
        db.execute(update(Account).where(Account.id == family.account_id).values(first_name="Unique"))
    assert "Unique" not in client.get("/mon-compte").text
    with read() as db:
        assert db.scalar(select(func.count()).select_from(Household)) == 2
