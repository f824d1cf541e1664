""" "Mon compte": what can be changed, what is asked for before, who is told."""

import re
from datetime import date, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from accounts.beneficiaries import Facts, add_beneficiaries
from accounts.models import Account, Beneficiary, Consent, HouseholdBeneficiary, LoginSession
from enrolments.models import Enrolment
from shop.clock import StoppedClock
from tests.accounts.conftest import GOOD, Moved, path_in
from tests.conftest import OpenSession, SendLetters, SignIn, Submit
from tests.factory import PASSWORD, Family, Town

DETAILS = {"title": "", "first_name": "Claire", "last_name": "Martin", "city": "Aiguilhe"}


@pytest.fixture
def family(town: Town) -> Family:
    """A family with two children and nothing in its wallet."""
    return town.family(children=2, balance_cents=0, email="claire@example.org")


@pytest.fixture
def parent(client: FlaskClient, sign_in: SignIn, family: Family) -> FlaskClient:
    """The browser in which the family is signed in."""
    sign_in(client, family)
    return client


def test_the_page_leads_to_everything(parent: FlaskClient) -> None:
    page = parent.get("/mon-compte").text
    for words in (
        "Réserver",
        "Mes réservations",
        "Historique de mes commandes",
        "Mes crédits",
        "Mes filiations",
        "Mes services",
        "Mes coordonnées",
        "Mot de passe",
        "Adresse e-mail",
        "Mes connexions",
        "Fermer mon compte",
    ):
        assert words in page


@pytest.mark.parametrize(
    "path",
    [
        "/mon-compte",
        "/mon-compte/coordonnees",
        "/mon-compte/mot-de-passe",
        "/mon-compte/adresse-e-mail",
        "/mon-compte/connexions",
        "/mon-compte/fermer",
        "/mon-compte/filiations",
        "/mon-compte/filiations/ajouter",
        "/creer-un-compte/filiations",
    ],
)
def test_pages_are_read_by_their_owner_alone_and_reading_moves_nothing(
    app: Flask, parent: FlaskClient, snapshot: Moved, path: str
) -> None:
    assert app.test_client().get(path).status_code == 303
    before = snapshot()
    assert parent.head(path).status_code == 200
    answer = parent.get(path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert snapshot() == before


class TestDetails:
    """ "Mes coordonnées"."""

    def test_changes_and_dates_consents(
        self, parent: FlaskClient, submit: Submit, read: OpenSession, clock: StoppedClock
    ) -> None:
        answer = submit(parent, "/mon-compte/coordonnees", {**DETAILS, "newsletter": "y", "phone": "04.71.00.00.00"})
        assert answer.status_code == 303
        with read() as db:
            row = db.execute(select(Account.first_name, Account.city, Account.phone, Account.title)).one()
            assert tuple(row) == ("Claire", "Aiguilhe", "+33471000000", None)
            given = db.execute(select(Consent.kind, Consent.given_at, Consent.revoked_at)).one()
        assert tuple(given) == ("newsletter", clock.moment, None)
        assert "04 71 00 00 00" in parent.get("/mon-compte/coordonnees").text
        clock.moment += timedelta(hours=1)
        submit(parent, "/mon-compte/coordonnees", DETAILS)
        with read() as db:
            assert db.scalars(select(Consent.revoked_at)).one() == clock.moment
            assert db.scalars(select(Account.phone)).one() is None
        wrong = submit(parent, "/mon-compte/coordonnees", {**DETAILS, "phone": "04.71.00.00.00", "first_name": "12"})
        assert 'value="04 71 00 00 00"' in wrong.text
        assert "ce prénom" in wrong.text
        submit(parent, "/mon-compte/coordonnees", {**DETAILS, "newsletter": "y"})
        with read() as db:
            assert db.scalars(select(Consent.revoked_at).order_by(Consent.id)).all() == [clock.moment, None]

    def test_the_same_again_keeps_the_date(
        self, parent: FlaskClient, submit: Submit, read: OpenSession, clock: StoppedClock
    ) -> None:
        for _ in range(2):
            submit(parent, "/mon-compte/coordonnees", {**DETAILS, "partners": "y"})
            clock.moment += timedelta(hours=1)
        with read() as db:
            assert db.scalars(select(Consent.given_at)).one() == clock.moment - timedelta(hours=2)

    @pytest.mark.parametrize(
        "change", [{"first_name": ""}, {"last_name": "x" * 81}, {"phone": "12"}, {"postcode": "x"}, {"city": "x" * 81}]
    )
    def test_refuses_what_cannot_be(
        self, parent: FlaskClient, submit: Submit, snapshot: Moved, change: dict[str, str]
    ) -> None:
        before = snapshot()
        assert submit(parent, "/mon-compte/coordonnees", {**DETAILS, **change}).status_code == 422
        assert snapshot() == before

    def test_address_state_and_password_do_not_change_here(
        self, parent: FlaskClient, submit: Submit, read: OpenSession
    ) -> None:
        with read() as db:
            before = db.execute(select(Account.email, Account.state, Account.password_hash)).one()
        forged = {"email": "x@example.org", "state": "closed", "password_hash": "x", "password": "x"}
        submit(parent, "/mon-compte/coordonnees", {**DETAILS, **forged})
        with read() as db:
            assert db.execute(select(Account.email, Account.state, Account.password_hash)).one() == before


class TestPassword:
    """Changing the password."""

    def test_changes_and_ends_other_sessions(
        self,
        app: Flask,
        parent: FlaskClient,
        submit: Submit,
        sign_in: SignIn,
        family: Family,
        letters: SendLetters,
        read: OpenSession,
    ) -> None:
        other = app.test_client()
        sign_in(other, family)
        with parent.session_transaction() as cookie:
            old_key = cookie["_user_id"]
        answer = submit(parent, "/mon-compte/mot-de-passe", {"current": PASSWORD, "password": GOOD})
        assert answer.status_code == 303
        assert parent.get("/mon-compte").status_code == 200
        assert other.get("/mon-compte").status_code == 303
        with parent.session_transaction() as cookie:
            assert cookie["_user_id"] != old_key
        assert [letter["Subject"] for letter in letters()] == ["Votre mot de passe a été changé"]
        stranger = app.test_client()
        assert submit(stranger, "/connexion", {"email": family.email, "password": PASSWORD}).status_code == 422
        assert submit(stranger, "/connexion", {"email": family.email, "password": GOOD}).status_code == 303

    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            ({"current": "ce n’est pas lui", "password": GOOD}, "n’est pas le vôtre"),
            ({"current": "", "password": GOOD}, "Écrivez votre mot de passe."),
            ({"current": PASSWORD, "password": "azerty"}, "au moins 12 caractères"),
            ({"current": PASSWORD, "password": ""}, "Choisissez un mot de passe."),
            ({"current": PASSWORD, "password": "Claire@Example.org"}, "reprend votre adresse"),
        ],
    )
    def test_refuses(
        self, parent: FlaskClient, submit: Submit, snapshot: Moved, data: dict[str, str], sentence: str
    ) -> None:
        before = snapshot()
        answer = submit(parent, "/mon-compte/mot-de-passe", data)
        assert answer.status_code == 422
        assert sentence in answer.text
        assert snapshot() == before

    def test_an_unattended_screen_does_not_allow_guessing(
        self, parent: FlaskClient, submit: Submit, snapshot: Moved
    ) -> None:
        before = snapshot()
        data = {"current": "ce n’est pas lui", "password": GOOD}
        codes = [submit(parent, "/mon-compte/mot-de-passe", data).status_code for _ in range(11)]
        assert codes == [422] * 10 + [429]
        data["current"] = PASSWORD
        assert submit(parent, "/mon-compte/mot-de-passe", data).status_code == 429
        assert snapshot() == before


class TestForgottenPassword:
    """A link, never a mailed password."""

    def ask(self, submit: Submit, client: FlaskClient, email: str) -> Any:
        return submit(client, "/mot-de-passe-oublie", {"email": email})

    def test_a_link_sets_a_new_password_once(
        self,
        app: Flask,
        submit: Submit,
        sign_in: SignIn,
        family: Family,
        letters: SendLetters,
        read: OpenSession,
        snapshot: Moved,
    ) -> None:
        signed_in, client = app.test_client(), app.test_client()
        sign_in(signed_in, family)
        assert self.ask(submit, client, family.email).location == "/mot-de-passe-oublie/envoye"
        letter = letters()[0]
        path = path_in(letter)
        assert PASSWORD not in letter.as_string()
        before = snapshot()
        assert client.get(path).status_code == 200
        assert submit(client, path, {"password": "azerty"}).status_code == 422
        own = submit(client, path, {"password": family.email})
        assert own.status_code == 422
        assert "reprend votre adresse" in own.text
        assert snapshot() == before
        answer = submit(client, path, {"password": GOOD})
        assert (answer.status_code, answer.location) == (303, "/connexion")
        assert client.get("/mon-compte").status_code == 303
        assert signed_in.get("/mon-compte").status_code == 303
        assert [sent["Subject"] for sent in letters()] == ["Votre mot de passe a été changé"]
        before = snapshot()
        assert submit(client, path, {"password": "un tout autre mot"}).status_code == 410
        spent = client.get(path)
        assert spent.status_code == 410
        assert 'href="/mot-de-passe-oublie">Mot de passe oublié' in spent.text
        assert snapshot() == before
        assert submit(client, "/connexion", {"email": family.email, "password": GOOD}).status_code == 303

    @pytest.mark.parametrize(
        ("wanted", "afterwards"),
        [
            ("/reserver/aiguilhe/cantine?repas=1.2026-12-01", "/reserver/aiguilhe/cantine?repas=1.2026-12-01"),
            ("/reserver/aiguilhe/cantine?repas=" + "1.2026-12-01,1" * 200, "/reserver/aiguilhe/cantine"),
            ("https://evil.example", None),
            ("//evil.example/", None),
        ],
    )
    def test_the_way_back_outlives_the_reset(
        self,
        app: Flask,
        client: FlaskClient,
        submit: Submit,
        family: Family,
        letters: SendLetters,
        wanted: str,
        afterwards: str | None,
    ) -> None:
        page = client.get("/connexion", query_string={"next": wanted}).text
        (link,) = re.findall('href="(/mot-de-passe-oublie[^"]*)"', page)
        page = client.get(unescape(link)).text
        (kept,) = re.findall('name="next" type="hidden" value="([^"]*)"', page)
        assert unescape(kept) == (afterwards or "")
        submit(client, "/mot-de-passe-oublie", {"email": family.email, "next": wanted})
        path = path_in(letters()[0])
        location = submit(client, path, {"password": GOOD}).location
        found = parse_qs(urlsplit(location).query).get("next", [None])
        assert (urlsplit(location).path, found) == ("/connexion", [afterwards])
        # Another browser knows nothing of it.
        self.ask(submit, app.test_client(), family.email)
        assert submit(client, path_in(letters()[-1]), {"password": f"{GOOD} autre"}).location == "/connexion"

    def test_the_newest_link_alone_is_good(
        self, client: FlaskClient, submit: Submit, family: Family, letters: SendLetters
    ) -> None:
        self.ask(submit, client, family.email)
        first = path_in(letters()[0])
        self.ask(submit, client, family.email)
        second = path_in(letters()[0])
        assert client.get(first).status_code == 410
        assert client.get(second).status_code == 200

    @pytest.mark.parametrize(("seconds", "code"), [(3599, 200), (3600, 410)])
    def test_for_sixty_minutes(
        self,
        client: FlaskClient,
        submit: Submit,
        family: Family,
        letters: SendLetters,
        clock: StoppedClock,
        seconds: int,
        code: int,
    ) -> None:
        self.ask(submit, client, family.email)
        path = path_in(letters()[0])
        clock.moment += timedelta(seconds=seconds)
        assert client.get(path).status_code == code

    def test_says_the_same_for_everybody(
        self, app: Flask, submit: Submit, family: Family, letters: SendLetters
    ) -> None:
        answers = []
        for email in (family.email, "personne@example.org"):
            client = app.test_client()
            answer = self.ask(submit, client, email)
            page = client.get(answer.location)
            answers.append(
                (
                    answer.status_code,
                    answer.location,
                    sorted(answer.headers.keys()),
                    page.text.replace(email, "ADDRESS"),
                )
            )
        assert answers[0] == answers[1]
        assert [letter["To"] for letter in letters()] == [family.email]

    def test_nobodys_letter_box_is_filled(
        self, client: FlaskClient, submit: Submit, family: Family, letters: SendLetters
    ) -> None:
        locations = {self.ask(submit, client, family.email).location for _ in range(10)}
        assert locations == {"/mot-de-passe-oublie/envoye"}
        assert len(letters()) == 3

    def test_robots_are_told_to_wait(self, client: FlaskClient, submit: Submit) -> None:
        answers = [self.ask(submit, client, f"n{n}@example.org") for n in range(22)]
        assert [answer.status_code for answer in answers] == [303] * 20 + [429] * 2
        assert int(answers[-1].headers["Retry-After"]) > 0

    def test_a_made_up_link_is_worth_nothing(self, client: FlaskClient, submit: Submit, snapshot: Moved) -> None:
        before = snapshot()
        for token, told in {"x": 410, "x" * 43: 410, "é": 410, "%00": 404}.items():
            assert client.get(f"/nouveau-mot-de-passe/{token}").status_code == told
            assert submit(client, f"/nouveau-mot-de-passe/{token}", {"password": GOOD}).status_code == told
        assert snapshot() == before

    def test_a_link_of_another_purpose_is_worth_nothing(
        self, client: FlaskClient, submit: Submit, family: Family, letters: SendLetters
    ) -> None:
        self.ask(submit, client, family.email)
        token = path_in(letters()[0]).rpartition("/")[2]
        for place in ("confirmer", "activer", "confirmer-adresse", "annuler-adresse"):
            assert client.get(f"/{place}/{token}").status_code == 410

    def test_closed_accounts_get_no_link(
        self, client: FlaskClient, submit: Submit, family: Family, letters: SendLetters, write: OpenSession
    ) -> None:
        with write() as db:
            db.execute(update(Account).values(state="closed"))
        self.ask(submit, client, family.email)
        assert letters() == []


class TestAddress:
    """Changing the e-mail address."""

    def ask(self, submit: Submit, parent: FlaskClient, email: str = "nouvelle@example.org") -> Any:
        return submit(parent, "/mon-compte/adresse-e-mail", {"email": email, "current": PASSWORD})

    def test_changes_when_the_new_address_answers(
        self, app: Flask, parent: FlaskClient, submit: Submit, letters: SendLetters, read: OpenSession
    ) -> None:
        assert self.ask(submit, parent).status_code == 303
        to_new, to_old = sorted(letters(), key=lambda letter: str(letter["To"]), reverse=True)
        assert (to_new["To"], to_old["To"]) == ("nouvelle@example.org", "claire@example.org")
        path = path_in(to_new)
        elsewhere = app.test_client()
        for verb in ("GET", "HEAD"):
            assert elsewhere.open(path, method=verb).status_code == 200
            assert elsewhere.open(path_in(to_old), method=verb).status_code == 200
        with read() as db:
            assert db.scalars(select(Account.email)).one() == "claire@example.org"
        assert submit(elsewhere, path).status_code == 303
        with read() as db:
            assert db.scalars(select(Account.email)).one() == "nouvelle@example.org"
        for method in ("GET", "POST"):
            answer = elsewhere.get(path) if method == "GET" else submit(elsewhere, path)
            assert (answer.status_code, answer.location) == (303, "/connexion")
            assert "Votre adresse e-mail est déjà confirmée." in elsewhere.get("/connexion").text
        # The old address can still take it back, because somebody else may have done it.
        answer = submit(elsewhere, path_in(to_old))
        assert answer.status_code == 303
        with read() as db:
            assert db.scalars(select(Account.email)).one() == "claire@example.org"
        assert parent.get("/mon-compte").status_code == 303
        assert [letter["Subject"] for letter in letters()] == ["Choisissez un nouveau mot de passe"]

    def test_the_old_address_can_stop_it(
        self, app: Flask, parent: FlaskClient, submit: Submit, letters: SendLetters, read: OpenSession
    ) -> None:
        self.ask(submit, parent)
        by_recipient = {str(letter["To"]): path_in(letter) for letter in letters()}
        elsewhere = app.test_client()
        assert submit(elsewhere, by_recipient["claire@example.org"]).status_code == 303
        assert submit(elsewhere, by_recipient["nouvelle@example.org"]).status_code == 410
        with read() as db:
            assert db.scalars(select(Account.email)).one() == "claire@example.org"
        assert parent.get("/mon-compte").status_code == 200

    def test_says_the_same_when_the_address_is_taken(
        self, parent: FlaskClient, submit: Submit, town: Town, letters: SendLetters, read: OpenSession
    ) -> None:
        town.family(email="prise@example.org")
        answer = self.ask(submit, parent, "prise@example.org")
        assert (answer.status_code, answer.location) == (303, "/mon-compte")
        subjects = {str(letter["To"]): letter["Subject"] for letter in letters()}
        assert subjects["prise@example.org"] == "Vous avez déjà un compte à cette adresse"
        with read() as db:
            assert "claire@example.org" in db.scalars(select(Account.email)).all()

    def test_of_two_who_want_it_one_gets_it(
        self, app: Flask, parent: FlaskClient, submit: Submit, sign_in: SignIn, town: Town, letters: SendLetters
    ) -> None:
        other = app.test_client()
        sign_in(other, town.family(email="autre@example.org"))
        for client in (parent, other):
            self.ask(submit, client)
        first, second = [path_in(letter) for letter in letters() if letter["To"] == "nouvelle@example.org"]
        assert submit(client, first).status_code == 303
        assert submit(client, second).status_code == 409

    @pytest.mark.parametrize(
        "data",
        [
            {"email": "nouvelle@example.org", "current": "ce n’est pas lui"},
            {"email": "nouvelle@example.org", "current": ""},
            {"email": "nouvelle", "current": PASSWORD},
            {"email": "", "current": PASSWORD},
            {"email": "Claire@Example.org", "current": PASSWORD},
        ],
    )
    def test_refuses(self, parent: FlaskClient, submit: Submit, snapshot: Moved, data: dict[str, str]) -> None:
        before = snapshot()
        assert submit(parent, "/mon-compte/adresse-e-mail", data).status_code == 422
        assert snapshot() == before


CHILD = {
    "last_name": "Martin",
    "first_name": "Noé",
    "relation": "guardian",
    "birth_date": "2019-02-03",
    "school_id": "0",
    "class_name": "CP",
    "diet": "vegetarian",
    "allergies": "arachide",
}


class TestFamily:
    """ "Mes filiations"."""

    def test_adds_changes_and_takes_out(
        self, parent: FlaskClient, submit: Submit, family: Family, read: OpenSession, town: Town
    ) -> None:
        child = {**CHILD, "school_id": str(town.aiguilhe.school_id)}
        assert submit(parent, "/mon-compte/filiations/ajouter", child).status_code == 303
        with read() as db:
            row = db.scalars(select(Beneficiary).where(Beneficiary.first_name == "Noé")).one()
            noe = row.id
            assert (row.birth_date, row.school_id, row.diet) == (
                date(2019, 2, 3),
                town.aiguilhe.school_id,
                "vegetarian",
            )
            assert row.allergies is not None
            assert "arachide" not in row.allergies
        page = parent.get("/mon-compte/filiations").text
        assert "Noé Martin" in page
        assert "Allergies signalées" in page
        assert "arachide" not in page
        path = f"/mon-compte/filiations/{noe}"
        assert 'value="arachide"' in parent.get(path).text
        assert submit(parent, path, {**child, "first_name": "Noah", "allergies": ""}).status_code == 303
        with read() as db:
            kept = db.execute(select(Beneficiary.first_name, Beneficiary.allergies).where(Beneficiary.id == noe)).one()
        assert tuple(kept) == ("Noah", None)
        for verb in ("GET", "HEAD"):
            assert parent.open(f"{path}/supprimer", method=verb).status_code == 200
        assert parent.get(path).status_code == 200
        assert submit(parent, f"{path}/supprimer").status_code == 303
        assert "Noah" not in parent.get("/mon-compte/filiations").text.replace("Noah Martin ne figure plus", "")
        assert parent.get(path).status_code == 404
        # The same child comes back as itself, with its past.
        submit(parent, "/mon-compte/filiations/ajouter", {**child, "first_name": "noah", "diet": "standard"})
        with read() as db:
            links = db.execute(
                select(HouseholdBeneficiary.beneficiary_id, HouseholdBeneficiary.archived_at).where(
                    HouseholdBeneficiary.beneficiary_id == noe
                )
            ).one()
            assert tuple(links) == (noe, None)
            assert db.scalars(select(Beneficiary.diet).where(Beneficiary.id == noe)).one() == "standard"

    def test_a_child_who_is_there_is_not_added_again(
        self, parent: FlaskClient, submit: Submit, family: Family, snapshot: Moved
    ) -> None:
        assert submit(parent, "/mon-compte/filiations/ajouter", CHILD).status_code == 303
        assert "Noé figure désormais parmi vos bénéficiaires." in parent.get("/mon-compte/filiations").text
        before = snapshot()
        answer = submit(parent, "/mon-compte/filiations/ajouter", {**CHILD, "birth_date": "", "class_name": "CM2"})
        assert answer.status_code == 422
        assert "Noé figure déjà parmi vos bénéficiaires." in answer.text
        assert 'value="CM2"' in answer.text
        assert snapshot() == before

    def test_of_two_rows_that_name_one_person_the_first_counts(
        self, family: Family, write: OpenSession, town: Town
    ) -> None:
        with write() as db:
            rows = [Facts("Ada", "Martin", "mother"), Facts("ADA", "Martin", "other"), Facts("Bo", "Martin", "mother")]
            ids = add_beneficiaries(db, family.household_id, family.account_id, rows, town.now)
            assert ids[0] == ids[1] != ids[2]
            assert db.scalars(select(Beneficiary.first_name).where(Beneficiary.last_name == "Martin")).all() == [
                "Ada",
                "Bo",
            ]

    def test_a_name_elides_before_a_vowel(self, parent: FlaskClient, submit: Submit, family: Family) -> None:
        submit(parent, f"/mon-compte/filiations/{family.beneficiary_ids[0]}", {**CHILD, "first_name": "Inès"})
        assert "Les informations d’Inès sont enregistrées." in parent.get("/mon-compte/filiations").text

    def test_sealed_allergies_belong_to_their_row(
        self, app: Flask, parent: FlaskClient, submit: Submit, read: OpenSession, write: OpenSession
    ) -> None:
        submit(parent, "/mon-compte/filiations/ajouter", CHILD)
        with read() as db:
            noe, sealed = db.execute(
                select(Beneficiary.id, Beneficiary.allergies).where(Beneficiary.allergies.is_not(None))
            ).one()
        with write() as db:
            db.execute(update(Beneficiary).where(Beneficiary.id == noe - 1).values(allergies=sealed))
        assert parent.get(f"/mon-compte/filiations/{noe - 1}").status_code == 500

    def test_another_familys_child_does_not_exist(
        self, parent: FlaskClient, submit: Submit, town: Town, snapshot: Moved
    ) -> None:
        theirs = town.family().beneficiary_ids[0]
        before = snapshot()
        for path in (f"/mon-compte/filiations/{theirs}", f"/mon-compte/filiations/{theirs}/supprimer"):
            assert parent.get(path).status_code == 404
            assert submit(parent, path, CHILD).status_code == 404
        assert parent.get("/mon-compte/filiations/999999").status_code == 404
        assert snapshot() == before

    @pytest.mark.parametrize(
        "change",
        [
            {"first_name": ""},
            {"last_name": "🍕" * 500},
            {"relation": ""},
            {"relation": "x"},
            {"diet": "x"},
            {"birth_date": "1800-01-01"},
            {"birth_date": "hier"},
            {"school_id": "99999"},
            {"class_name": "x" * 41},
            {"allergies": "x" * 501},
        ],
    )
    def test_refuses_what_cannot_be(
        self, parent: FlaskClient, submit: Submit, family: Family, snapshot: Moved, change: dict[str, str]
    ) -> None:
        before = snapshot()
        for path in ("/mon-compte/filiations/ajouter", f"/mon-compte/filiations/{family.beneficiary_ids[0]}"):
            answer = submit(parent, path, {**CHILD, **change})
            assert answer.status_code == 422
            assert "à corriger" in answer.text
        assert snapshot() == before

    def test_oneself_once(self, parent: FlaskClient, submit: Submit, snapshot: Moved) -> None:
        oneself = {**CHILD, "first_name": "Claire", "relation": "self", "birth_date": ""}
        assert submit(parent, "/mon-compte/filiations/ajouter", oneself).status_code == 303
        before = snapshot()
        again = submit(parent, "/mon-compte/filiations/ajouter", {**oneself, "first_name": "Jean"})
        assert again.status_code == 422
        assert "qu’une fois" in again.text
        assert snapshot() == before


class TestClosing:
    """Closing the account."""

    def close(self, submit: Submit, parent: FlaskClient, **change: str) -> Any:
        return submit(parent, "/mon-compte/fermer", {"current": PASSWORD, "sure": "y", **change})

    def test_erases_who_it_was(
        self,
        app: Flask,
        parent: FlaskClient,
        submit: Submit,
        family: Family,
        letters: SendLetters,
        read: OpenSession,
    ) -> None:
        submit(parent, "/mon-compte/coordonnees", {**DETAILS, "newsletter": "y", "phone": "04 71 00 00 00"})
        submit(parent, "/mon-compte/filiations/ajouter", CHILD)
        answer = self.close(submit, parent)
        assert (answer.status_code, answer.location) == (303, "/")
        assert parent.get("/mon-compte").status_code == 303
        assert [(letter["To"], letter["Subject"]) for letter in letters()] == [
            ("claire@example.org", "Votre compte est fermé")
        ]
        with read() as db:
            account = str(db.execute(select(Account.__table__)).all())
            assert db.scalars(select(Account.state)).one() == "closed"
            for canary in ("claire", "Claire", "Martin", "Aiguilhe", "+33471000000"):
                assert canary not in account
            children = str(db.execute(select(Beneficiary.__table__)).all())
            for canary in ("Noé", "Martin", "Louane", "CP"):
                assert canary not in children
            assert db.scalars(select(Beneficiary.allergies)).all() == [None] * 3
            assert None not in db.scalars(select(HouseholdBeneficiary.archived_at)).all()
            assert None not in db.scalars(select(Consent.revoked_at)).all()
            assert None not in db.scalars(select(LoginSession.ended_at)).all()
            assert set(db.scalars(select(Enrolment.state))) == {"revoked"}
        stranger = app.test_client()
        refused = submit(stranger, "/connexion", {"email": family.email, "password": PASSWORD})
        assert refused.status_code == 422

    @pytest.mark.parametrize("change", [{"current": "ce n’est pas lui"}, {"current": ""}, {"sure": ""}])
    def test_is_refused_without_password_and_tick(
        self, parent: FlaskClient, submit: Submit, snapshot: Moved, change: dict[str, str]
    ) -> None:
        before = snapshot()
        data = {"current": PASSWORD, "sure": "y", **change}
        if not data["sure"]:
            del data["sure"]
        assert submit(parent, "/mon-compte/fermer", data).status_code == 422
        assert snapshot() == before

    def test_is_refused_while_money_is_left(
        self, client: FlaskClient, submit: Submit, sign_in: SignIn, town: Town, snapshot: Moved
    ) -> None:
        sign_in(client, town.family(balance_cents=1520))
        before = snapshot()
        answer = self.close(submit, client)
        assert answer.status_code == 422
        for page in (answer.text, client.get("/mon-compte/fermer").text):
            assert "15,20" in page
            assert 'href="/mes-credits">Mes crédits' in page
            assert 'name="current"' not in page
        assert snapshot() == before

    def test_is_refused_while_meals_are_booked(
        self,
        client: FlaskClient,
        submit: Submit,
        sign_in: SignIn,
        town: Town,
        snapshot: Moved,
        clock: StoppedClock,
    ) -> None:
        family = town.family(children=1, balance_cents=760)
        days = town.aiguilhe.canteen.open_days(clock.now())[:2]
        town.paid_order(family, town.aiguilhe.canteen, days)
        sign_in(client, family)
        before = snapshot()
        answer = self.close(submit, client)
        assert answer.status_code == 422
        for page in (answer.text, client.get("/mon-compte/fermer").text):
            assert "2 repas sont encore réservés" in page
            assert f'href="/mes-reservations?mois={days[0]:%Y-%m}">Mes réservations' in page
        assert snapshot() == before
        clock.moment += timedelta(days=60)
        sign_in(client, family)
        assert self.close(submit, client).status_code == 303

    def test_is_refused_while_a_payment_is_under_way(
        self,
        client: FlaskClient,
        submit: Submit,
        sign_in: SignIn,
        town: Town,
        snapshot: Moved,
        clock: StoppedClock,
    ) -> None:
        family = town.family(children=1, balance_cents=0)
        town.pending_order(family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(clock.now())[:1])
        sign_in(client, family)
        before = snapshot()
        answer = self.close(submit, client)
        for page in (answer.text, client.get("/mon-compte/fermer").text):
            assert "Un paiement est en cours" in page
            (path,) = re.findall(r'href="(/paiement/[^"]+)">Voir ce paiement', page)
            assert client.get(path).status_code == 200
        assert answer.status_code == 422
        assert snapshot() == before

    def test_the_address_is_free_again(
        self, app: Flask, parent: FlaskClient, submit: Submit, letters: SendLetters, read: OpenSession
    ) -> None:
        self.close(submit, parent)
        letters()
        client = app.test_client()
        person = {**DETAILS, "email": "claire@example.org", "password": GOOD, "terms": "y"}
        submit(client, "/creer-un-compte", person)
        assert submit(client, path_in(letters()[0])).status_code == 303
        with read() as db:
            assert sorted(db.scalars(select(Account.state))) == ["active", "closed"]
