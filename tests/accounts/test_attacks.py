"""What somebody tries who wants another's account."""

from datetime import timedelta

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from accounts.models import Account
from shop.clock import StoppedClock
from tests.accounts.conftest import GOOD, PERSON, path_in
from tests.conftest import OpenSession, SendLetters, SignIn, Submit
from tests.factory import PASSWORD, Family, Town

STRANGERS_OWN = "le mot de passe de l’inconnu"


def sign_up_as(submit: Submit, browser: FlaskClient, email: str) -> None:
    """Make an unconfirmed account with somebody else's address, and let this browser be known to it."""
    submit(browser, "/creer-un-compte", PERSON | {"email": email, "password": STRANGERS_OWN})
    submit(browser, "/deconnexion")
    answer = submit(browser, "/connexion", {"email": email, "password": STRANGERS_OWN})
    assert answer.status_code == 303
    submit(browser, "/deconnexion")


def test_an_account_with_the_same_address_gives_no_tries_at_the_real_one(
    app: Flask, town: Town, submit: Submit, clock: StoppedClock
) -> None:
    family, stranger = town.family(), app.test_client()
    sign_up_as(submit, stranger, family.email)
    for number in range(5):
        answer = submit(stranger, "/connexion", {"email": family.email, "password": f"essai numéro {number}"})
        assert answer.status_code == 422
    # Their own password opens their own account, and wins them nothing.
    answer = submit(stranger, "/connexion", {"email": family.email, "password": STRANGERS_OWN})
    assert answer.status_code == 303
    submit(stranger, "/deconnexion")
    answer = submit(stranger, "/connexion", {"email": family.email, "password": PASSWORD})
    assert answer.status_code == 422, "the real account is blocked for this browser"
    clock.moment += timedelta(minutes=2)
    assert submit(stranger, "/connexion", {"email": family.email, "password": PASSWORD}).status_code == 303


def test_an_account_with_the_same_address_keeps_nobody_out(app: Flask, town: Town, submit: Submit) -> None:
    family, owner, stranger = town.family(), app.test_client(), app.test_client()
    assert submit(owner, "/connexion", {"email": family.email, "password": PASSWORD}).status_code == 303
    submit(owner, "/deconnexion")
    sign_up_as(submit, stranger, family.email)
    sign_up_as(submit, stranger, family.email)
    for number in range(8):
        submit(app.test_client(), "/connexion", {"email": family.email, "password": f"essai numéro {number}"})
    answer = submit(owner, "/connexion", {"email": family.email, "password": "une faute de frappe"})
    assert answer.status_code == 422
    assert submit(owner, "/connexion", {"email": family.email, "password": PASSWORD}).status_code == 303


def test_who_signs_up_anew_on_a_known_browser_gets_into_the_new_account(app: Flask, town: Town, submit: Submit) -> None:
    family, browser = town.family(), app.test_client()
    submit(browser, "/connexion", {"email": family.email, "password": PASSWORD})
    submit(browser, "/deconnexion")
    submit(browser, "/creer-un-compte", PERSON | {"email": family.email, "password": GOOD})
    submit(browser, "/deconnexion")
    assert submit(browser, "/connexion", {"email": family.email, "password": GOOD}).status_code == 303


def test_letters_to_new_addresses_are_few(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, letters: SendLetters
) -> None:
    family: Family = town.family()
    sign_in(client, family)
    form = {"email": "somebody.else@example.org", "current": PASSWORD}
    codes = [submit(client, "/mon-compte/adresse-e-mail", form).status_code for _ in range(10)]
    assert codes == [303] * 3 + [429] * 7
    assert sum(letter["To"] == form["email"] for letter in letters()) == 3


def test_signing_up_again_and_again_fills_no_letter_box(app: Flask, submit: Submit, letters: SendLetters) -> None:
    for _ in range(9):
        browser = app.test_client()
        answer = submit(browser, "/creer-un-compte", PERSON)
        assert (answer.status_code, answer.location) == (303, "/creer-un-compte/filiations")
        submit(browser, "/creer-un-compte/renvoyer-le-lien")
    assert sum(letter["To"] == PERSON["email"] for letter in letters()) == 5


def test_the_owner_of_the_old_address_takes_it_back_after_two_changes(
    app: Flask, town: Town, sign_in: SignIn, submit: Submit, letters: SendLetters, read: OpenSession
) -> None:
    family, thief, owner = town.family(email="owner@example.org"), app.test_client(), app.test_client()
    sign_in(thief, family)
    cancel: dict[str, str] = {}
    for address in ("thief.one@example.org", "thief.two@example.org"):
        submit(thief, "/mon-compte/adresse-e-mail", {"email": address, "current": PASSWORD})
        for letter in letters():
            if letter["To"] == address:
                confirm = path_in(letter)
            else:
                cancel[letter["To"]] = path_in(letter)
        assert submit(thief, confirm).status_code == 303

    def address_now() -> str:
        with read() as db:
            return db.scalars(select(Account.email).where(Account.id == family.account_id)).one()

    assert address_now() == "thief.two@example.org"
    assert submit(owner, cancel["owner@example.org"]).status_code == 303
    assert address_now() == "owner@example.org"
    assert submit(thief, cancel["thief.one@example.org"]).status_code == 410
    assert address_now() == "owner@example.org"
