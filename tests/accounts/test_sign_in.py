"""Signing in and out: who gets in, what is counted, what is told."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from accounts.models import Account, LoginSession
from accounts.passwords import hash_password
from shop.clock import StoppedClock
from tests.conftest import START, OpenSession, SignIn, Submit
from tests.factory import PASSWORD, Town

WRONG = "Adresse e-mail ou mot de passe incorrect."


def credentials(email: str, password: str = PASSWORD, **more: str) -> dict[str, str]:
    return {"email": email, "password": password, **more}


def test_the_page_says_what_the_guide_says(client: FlaskClient) -> None:
    page = client.get("/connexion").text
    for words in (
        "Vous n’avez pas encore de compte usager",
        "Créer votre compte",
        "Déjà inscrit ?",
        "Mot de passe oublié ?",
    ):
        assert words in page


def test_a_parent_signs_in_and_out(client: FlaskClient, submit: Submit, town: Town, read: OpenSession) -> None:
    family = town.family()
    answer = submit(client, "/connexion", credentials(family.email.upper()))
    assert (answer.status_code, answer.location) == (303, "/mon-compte")
    assert client.get("/mon-compte").status_code == 200
    answer = submit(client, "/deconnexion")
    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get("/mon-compte").status_code == 303
    with read() as db:
        assert db.scalars(select(LoginSession.ended_at)).one() is not None


def test_an_old_cookie_is_worth_nothing_after_signing_out(client: FlaskClient, submit: Submit, town: Town) -> None:
    submit(client, "/connexion", credentials(town.family().email))
    with client.session_transaction() as cookie:
        kept = dict(cookie)
    submit(client, "/deconnexion")
    with client.session_transaction() as cookie:
        cookie.update(kept)
    assert client.get("/mon-compte").status_code == 303


def test_every_sign_in_makes_a_new_session(client: FlaskClient, submit: Submit, town: Town, read: OpenSession) -> None:
    family = town.family()
    keys = []
    for _ in range(2):
        submit(client, "/connexion", credentials(family.email))
        with client.session_transaction() as cookie:
            keys.append(cookie["_user_id"])
    assert keys[0] != keys[1]
    with read() as db:
        ended = db.scalars(select(LoginSession.ended_at).order_by(LoginSession.id)).all()
        kept = db.scalars(select(LoginSession.token_hash)).all()
    assert ended[0] is not None
    assert ended[1] is None
    assert not set(keys) & set(kept)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("nobody@example.org", PASSWORD),
        ("pas une adresse", PASSWORD),
        ("a\0@example.org", PASSWORD),
        ("", PASSWORD),
        ("KNOWN", "un autre mot de passe"),
        ("KNOWN", ""),
        ("KNOWN", "x" * 5000),
    ],
)
def test_refuses_the_wrong_ones(
    client: FlaskClient, submit: Submit, town: Town, read: OpenSession, email: str, password: str
) -> None:
    family = town.family()
    answer = submit(client, "/connexion", credentials(family.email if email == "KNOWN" else email, password))
    assert answer.status_code == 422
    assert "_user_id" not in client.get("/").text
    assert not password or password not in answer.text
    with read() as db:
        assert db.scalars(select(LoginSession)).all() == []


def test_says_the_same_for_an_unknown_address_and_a_wrong_password(app: Flask, submit: Submit, town: Town) -> None:
    family = town.family()
    answers = []
    for email in (family.email, "x" * (len(family.email) - 12) + "@example.org"):
        client = app.test_client()
        answer = submit(client, "/connexion", credentials(email, "un autre mot de passe"))
        text = answer.text.replace(email, "ADDRESS")
        with client.session_transaction() as cookie:
            names = sorted(cookie)
        answers.append((answer.status_code, sorted(answer.headers.keys()), WRONG in text, len(text), names))
    assert answers[0][:3] == answers[1][:3]
    assert answers[0] == answers[1]


def test_closed_accounts_do_not_open(client: FlaskClient, submit: Submit, town: Town, write: OpenSession) -> None:
    family = town.family()
    with write() as db:
        db.execute(update(Account).values(state="closed"))
    assert submit(client, "/connexion", credentials(family.email)).status_code == 422


@pytest.mark.parametrize(
    ("target", "led"),
    [
        ("/reserver", "/reserver"),
        ("/panier?x=1", "/panier?x=1"),
        ("//evil.example", "/mon-compte"),
        ("/\\evil.example", "/mon-compte"),
        ("https://evil.example/", "/mon-compte"),
        ("https:evil", "/mon-compte"),
        ("/\t/evil.example", "/mon-compte"),
        ("javascript:alert(1)", "/mon-compte"),
    ],
)
def test_next_never_leads_elsewhere(client: FlaskClient, submit: Submit, town: Town, target: str, led: str) -> None:
    answer = submit(client, "/connexion", credentials(town.family().email, next=target))
    assert (answer.status_code, answer.location) == (303, led)


def test_the_page_that_was_asked_for_comes_after(client: FlaskClient, submit: Submit, town: Town) -> None:
    town.family()
    answer = client.get("/mon-compte/filiations")
    assert (answer.status_code, answer.location) == (303, "/connexion?next=/mon-compte/filiations")
    page = client.get(answer.location).text
    assert 'value="/mon-compte/filiations"' in page


def test_passwords_are_hashed_anew_under_better_parameters(
    app: Flask, client: FlaskClient, submit: Submit, town: Town, read: OpenSession, write: OpenSession
) -> None:
    family = town.family()
    old = PasswordHasher(time_cost=1, memory_cost=16, parallelism=2).hash(PASSWORD)
    with write() as db:
        db.execute(update(Account).values(password_hash=old))
    assert submit(client, "/connexion", credentials(family.email)).status_code == 303
    with read() as db:
        assert db.scalars(select(Account.password_hash)).one() != old


def test_a_password_is_never_hashed_inside_a_transaction(write: OpenSession, app: Flask) -> None:
    with write(), pytest.raises(RuntimeError):
        hash_password("le petit chat dort")


def test_a_stranger_is_slowed_down_and_the_owner_gets_in(
    app: Flask, submit: Submit, town: Town, clock: StoppedClock
) -> None:
    family = town.family()
    owner = app.test_client()
    assert submit(owner, "/connexion", credentials(family.email)).status_code == 303
    submit(owner, "/deconnexion")
    stranger, checked = app.test_client(), 0
    for minute in range(24 * 60):
        answer = submit(stranger, "/connexion", credentials(family.email, f"essai numéro {minute}"))
        while answer.status_code == 422:
            checked += 1
            answer = submit(stranger, "/connexion", credentials(family.email, f"essai numéro {minute} encore"))
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        clock.moment += timedelta(seconds=int(answer.headers["Retry-After"]))
        if clock.moment - START > timedelta(hours=24):
            break
    assert 5 <= checked <= 25
    # From the browser that signed in before, at once; and somewhere else only later.
    assert submit(owner, "/connexion", credentials(family.email)).status_code == 303


def test_the_right_password_is_refused_while_the_account_is_blocked_elsewhere(
    app: Flask, submit: Submit, town: Town, read: OpenSession
) -> None:
    family = town.family()
    stranger = app.test_client()
    for number in range(6):
        submit(stranger, "/connexion", credentials(family.email, f"un essai {number}"))
    answer = submit(stranger, "/connexion", credentials(family.email))
    assert answer.status_code == 429
    assert "Trop d’essais" in answer.text
    with read() as db:
        assert db.scalars(select(LoginSession)).all() == []


def test_an_unknown_address_is_slowed_down_all_the_same(client: FlaskClient, submit: Submit) -> None:
    codes = [submit(client, "/connexion", credentials("nobody@example.org", "un essai")).status_code for _ in range(6)]
    assert codes == [422] * 5 + [429]


def test_one_address_cannot_try_many_accounts(client: FlaskClient, submit: Submit) -> None:
    codes = [submit(client, "/connexion", credentials(f"n{n}@example.org", "un essai")).status_code for n in range(22)]
    assert codes.count(429) == 2


def test_a_forged_device_cookie_is_worth_nothing(client: FlaskClient, submit: Submit, town: Town) -> None:
    family = town.family()
    client.set_cookie("device", "eyJkIjoieCIsImEiOlsxXX0.AAAA")
    codes = [submit(client, "/connexion", credentials(family.email, f"essai {n}")).status_code for n in range(6)]
    assert codes[-1] == 429


def test_signing_in_is_refused_without_a_csrf_token(client: FlaskClient, town: Town) -> None:
    assert client.post("/connexion", data=credentials(town.family().email)).status_code == 400


def test_connections_are_listed_and_ended(
    app: Flask, submit: Submit, sign_in: SignIn, town: Town, read: OpenSession
) -> None:
    family, stranger = town.family(), town.family()
    here, there, other = app.test_client(), app.test_client(), app.test_client()
    for client in (here, there):
        submit(client, "/connexion", credentials(family.email), headers={"User-Agent": "Firefox/140 Android"})
    sign_in(other, stranger)
    page = here.get("/mon-compte/connexions").text
    assert page.count("Firefox, Android") >= 2
    assert "Cet appareil" in page
    with read() as db:
        ids = db.scalars(select(LoginSession.id).order_by(LoginSession.id)).all()
    # A stranger's session is not one's own.
    assert submit(here, f"/mon-compte/connexions/{ids[2]}/fermer").status_code == 404
    assert submit(here, "/mon-compte/connexions/999999/fermer").status_code == 404
    assert other.get("/mon-compte").status_code == 200
    for told in ("L’appareil est déconnecté.", "L’appareil était déjà déconnecté."):
        answer = submit(here, f"/mon-compte/connexions/{ids[1]}/fermer")
        assert (answer.status_code, answer.location) == (303, "/mon-compte/connexions")
        assert told in here.get(answer.location).text
    assert there.get("/mon-compte").status_code == 303
    assert here.get("/mon-compte").status_code == 200
    submit(there, "/connexion", credentials(family.email))
    submit(here, "/mon-compte/connexions/fermer-les-autres")
    assert there.get("/mon-compte").status_code == 303
    assert here.get("/mon-compte").status_code == 200


def test_sessions_end_by_themselves(client: FlaskClient, submit: Submit, town: Town, clock: StoppedClock) -> None:
    family = town.family()
    submit(client, "/connexion", credentials(family.email))
    for _ in range(17):
        clock.moment += timedelta(hours=10)
        last = client.get("/mon-compte").status_code
    assert last == 303
    submit(client, "/connexion", credentials(family.email))
    clock.moment += timedelta(hours=12, minutes=1)
    assert client.get("/mon-compte").status_code == 303
