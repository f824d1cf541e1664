"""Staff: a second factor from the first sign-in on, codes that serve once, links instead of chosen passwords."""

import re
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select, update

from accounts.models import Account, LoginSession, RecoveryCode, StaffRole
from shop.clock import StoppedClock
from tests.accounts.conftest import GOOD, Moved, path_in
from tests.conftest import CountStatements, OpenSession, SendLetters, SignIn, Submit
from tests.factory import PASSWORD, Person, Town

DOOR = "/mairie/double-authentification"
CODES = "/mon-compte/codes-de-secours"
WRONG = "Ce code n’est pas le bon, ou il a déjà servi."


@pytest.fixture
def clerk(town: Town, write: OpenSession) -> Person:
    """A clerk who has not set the second factor up."""
    clerk = town.clerk(town.aiguilhe)
    with write() as db:
        db.execute(
            update(Account)
            .where(Account.id == clerk.account_id)
            .values(totp_secret=None, totp_enrolled_at=None, totp_last_step=None)
        )
        db.execute(delete(RecoveryCode))
    return clerk


@pytest.fixture
def office(client: FlaskClient, submit: Submit, clerk: Person) -> FlaskClient:
    """A browser in which the clerk's password was given, and nothing more."""
    answer = submit(client, "/connexion", {"email": clerk.email, "password": PASSWORD, "next": "/mairie/jour"})
    assert answer.status_code == 303
    assert answer.location.startswith(DOOR)
    return client


def secret_in(page: str) -> tuple[str, str]:
    """The secret and its sealed draft, as the page shows them."""
    letters = re.search(r'<code class="ref">([A-Z2-7 ]+)</code>', page)
    draft = re.search(r'name="draft"[^>]* value="([^"]+)"', page)
    assert letters
    assert draft
    return letters.group(1).replace(" ", ""), draft.group(1)


def enrol(client: FlaskClient, submit: Submit, clock: StoppedClock) -> tuple[str, list[str]]:
    """Set the second factor up: the secret and the recovery codes."""
    secret, draft = secret_in(client.get(DOOR).text)
    code = pyotp.TOTP(secret).at(clock.moment)
    answer = submit(client, DOOR, {"code": code, "draft": draft, "next": "/mairie/jour"})
    assert answer.status_code == 200
    codes = re.findall(r'<code class="ref">([a-z2-9-]+)</code>', answer.text)
    assert len(codes) == 10
    assert 'href="/mairie/jour"' in answer.text
    return secret, codes


@pytest.mark.parametrize("path", ["/mairie/demandes", "/mairie/jour", "/mon-compte", "/mon-compte/mot-de-passe", CODES])
def test_no_page_of_the_office_opens_before(office: FlaskClient, path: str) -> None:
    answer = office.get(path)
    assert answer.status_code == 303
    assert answer.location.startswith(DOOR)


def test_setting_it_up(
    office: FlaskClient, submit: Submit, clock: StoppedClock, read: OpenSession, clerk: Person, snapshot: Moved
) -> None:
    before = snapshot()
    page = office.get(DOOR).text
    assert "data:image/svg+xml" in page
    assert snapshot() == before
    with office.session_transaction() as cookie:
        old_key = cookie["_user_id"]
    secret, codes = enrol(office, submit, clock)
    with office.session_transaction() as cookie:
        assert cookie["_user_id"] != old_key
    assert office.get("/mairie/demandes").status_code == 200
    with read() as db:
        kept = db.execute(
            select(Account.totp_secret, Account.totp_enrolled_at).where(Account.id == clerk.account_id)
        ).one()
        assert secret not in kept.totp_secret
        hashes = "".join(db.scalars(select(RecoveryCode.code_hash)))
        sessions = db.execute(
            select(LoginSession.second_factor_at, LoginSession.ended_at).order_by(LoginSession.id)
        ).all()
    assert not any(code in hashes or code.replace("-", "") in hashes for code in codes)
    assert sessions[0].ended_at is not None
    assert sessions[1].second_factor_at == clock.moment
    assert codes[0] not in office.get(DOOR, follow_redirects=True).text


@pytest.mark.parametrize("code", ["", "000000", "12345", "abcdef", "١٢٣٤٥٦", "x" * 500])
def test_a_wrong_code_sets_nothing_up(office: FlaskClient, submit: Submit, snapshot: Moved, code: str) -> None:
    secret, draft = secret_in(office.get(DOOR).text)
    before = snapshot()
    answer = submit(office, DOOR, {"code": code, "draft": draft})
    assert answer.status_code == 422
    assert secret_in(answer.text)[0] == secret
    assert snapshot() == before


def test_a_draft_of_another_session_is_refused(
    app: Flask,
    office: FlaskClient,
    submit: Submit,
    clock: StoppedClock,
    town: Town,
    snapshot: Moved,
    write: OpenSession,
) -> None:
    secret, _draft = secret_in(office.get(DOOR).text)
    before = snapshot()
    for draft in ("", "v1.x.y", "forged"):
        answer = submit(office, DOOR, {"code": pyotp.TOTP(secret).at(clock.moment), "draft": draft})
        assert answer.status_code == 422
    assert snapshot() == before


class TestAsked:
    """At every sign-in afterwards."""

    @pytest.fixture
    def enrolled(self, office: FlaskClient, submit: Submit, clock: StoppedClock) -> tuple[str, list[str]]:
        """The clerk's secret and recovery codes."""
        return enrol(office, submit, clock)

    @pytest.fixture
    def again(self, app: Flask, submit: Submit, clerk: Person, enrolled: Any, clock: StoppedClock) -> FlaskClient:
        """Another browser, an hour later, with the password given."""
        clock.moment += timedelta(hours=1)
        client = app.test_client()
        answer = submit(client, "/connexion", {"email": clerk.email, "password": PASSWORD})
        assert answer.location == DOOR
        return client

    def give(self, submit: Submit, client: FlaskClient, code: str) -> Any:
        return submit(client, DOOR, {"code": code, "next": "//evil.example"})

    def test_a_code_opens_once(
        self,
        app: Flask,
        again: FlaskClient,
        submit: Submit,
        enrolled: tuple[str, list[str]],
        clerk: Person,
        clock: StoppedClock,
        snapshot: Moved,
    ) -> None:
        code = pyotp.TOTP(enrolled[0]).at(clock.moment)
        answer = self.give(submit, again, f"{code[:3]} {code[3:]}")
        assert (answer.status_code, answer.location) == (303, "/mairie")
        assert again.get("/mairie/demandes").status_code == 200
        other = app.test_client()
        submit(other, "/connexion", {"email": clerk.email, "password": PASSWORD})
        before = snapshot()
        assert self.give(submit, other, code).status_code == 422
        assert snapshot() == before
        assert other.get("/mairie/demandes").status_code == 303

    @pytest.mark.parametrize(("seconds", "status"), [(-30, 303), (30, 303), (-90, 422), (90, 422)])
    def test_a_telephones_clock_may_be_a_little_off(
        self,
        again: FlaskClient,
        submit: Submit,
        enrolled: tuple[str, list[str]],
        clock: StoppedClock,
        seconds: int,
        status: int,
    ) -> None:
        code = pyotp.TOTP(enrolled[0]).at(clock.moment + timedelta(seconds=seconds))
        assert self.give(submit, again, code).status_code == status

    def test_a_recovery_code_opens_once(
        self,
        app: Flask,
        again: FlaskClient,
        submit: Submit,
        enrolled: tuple[str, list[str]],
        clerk: Person,
        snapshot: Moved,
    ) -> None:
        code = enrolled[1][3]
        assert self.give(submit, again, code.upper().replace("-", " ")).status_code == 303
        other = app.test_client()
        submit(other, "/connexion", {"email": clerk.email, "password": PASSWORD})
        before = snapshot()
        assert self.give(submit, other, code).status_code == 422
        assert snapshot() == before

    def test_guessing_is_slowed_down(
        self, again: FlaskClient, submit: Submit, enrolled: tuple[str, list[str]], clock: StoppedClock, snapshot: Moved
    ) -> None:
        before = snapshot()
        codes = [self.give(submit, again, "000000").status_code for _ in range(6)]
        assert codes == [422] * 5 + [429]
        assert self.give(submit, again, pyotp.TOTP(enrolled[0]).at(clock.moment)).status_code == 429
        assert snapshot() == before

    def test_a_reset_does_not_get_round_it(
        self, app: Flask, submit: Submit, clerk: Person, enrolled: Any, letters: SendLetters
    ) -> None:
        client = app.test_client()
        submit(client, "/mot-de-passe-oublie", {"email": clerk.email})
        submit(client, path_in(letters()[0]), {"password": GOOD})
        answer = submit(client, "/connexion", {"email": clerk.email, "password": GOOD})
        assert answer.location == DOOR
        assert "data:image" not in client.get(DOOR).text
        assert client.get("/mairie/demandes").status_code == 303

    def test_a_session_ends_with_the_role(
        self, office: FlaskClient, enrolled: Any, write: OpenSession, clock: StoppedClock
    ) -> None:
        assert office.get("/mairie/demandes").status_code == 200
        with write() as db:
            db.execute(update(StaffRole).values(revoked_at=clock.moment))
        assert office.get("/mairie/demandes").status_code == 403

    def test_staff_sit_idle_for_half_an_hour(self, office: FlaskClient, enrolled: Any, clock: StoppedClock) -> None:
        clock.moment += timedelta(minutes=29)
        assert office.get("/mairie/demandes").status_code == 200
        clock.moment += timedelta(minutes=31)
        assert office.get("/mairie/demandes").status_code == 303


def test_parents_have_no_such_door(client: FlaskClient, sign_in: SignIn, town: Town) -> None:
    sign_in(client, town.family())
    assert client.get(DOOR).status_code == 403
    assert client.get(CODES).status_code == 403
    assert "Codes de secours" not in client.get("/mon-compte").text


class TestRecoveryCodes:
    """Made anew by whoever shows the password and the telephone."""

    @pytest.fixture
    def enrolled(self, office: FlaskClient, submit: Submit, clock: StoppedClock) -> tuple[str, list[str]]:
        """The clerk's secret and first recovery codes; a minute has passed since."""
        found = enrol(office, submit, clock)
        clock.moment += timedelta(minutes=1)
        return found

    def door(self, app: Flask, submit: Submit, clerk: Person, code: str) -> int:
        """What another browser is answered that shows this code."""
        client = app.test_client()
        submit(client, "/connexion", {"email": clerk.email, "password": PASSWORD})
        return submit(client, DOOR, {"code": code}).status_code

    def test_the_page_says_how_many_are_left(
        self,
        app: Flask,
        office: FlaskClient,
        submit: Submit,
        clerk: Person,
        enrolled: tuple[str, list[str]],
        write: OpenSession,
        statements: CountStatements,
    ) -> None:
        assert CODES in office.get("/mon-compte").text
        assert "Il vous reste 10\u00a0codes sur 10" in office.get(CODES).text
        for code in enrolled[1][:9]:
            assert self.door(app, submit, clerk, code) == 303
        with statements() as seen:
            page = office.get(CODES).text
        assert "Il vous reste 1\u00a0code sur 10" in page
        assert seen.count == 2, seen
        assert self.door(app, submit, clerk, enrolled[1][9]) == 303
        assert "Il ne vous reste aucun code de secours" in office.get(CODES).text
        with write() as db:
            db.execute(delete(RecoveryCode))
        assert "Vous n’avez pas de codes de secours" in office.get(CODES).text

    def test_new_ones_are_shown_once_and_the_old_ones_stop_at_once(
        self,
        app: Flask,
        office: FlaskClient,
        submit: Submit,
        clerk: Person,
        enrolled: tuple[str, list[str]],
        clock: StoppedClock,
        letters: SendLetters,
        read: OpenSession,
    ) -> None:
        secret, old = enrolled
        form = {"current": PASSWORD, "code": pyotp.TOTP(secret).at(clock.moment)}
        answer = submit(office, CODES, form)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        new = re.findall(r'<code class="ref">([a-z2-9-]+)</code>', answer.text)
        assert len(set(new)) == 10
        assert not set(new) & set(old)
        assert 'href="/mon-compte"' in answer.text
        with read() as db:
            kept = db.scalars(select(RecoveryCode.code_hash)).all()
        assert len(kept) == 10
        assert not set(new) & set(kept)
        # The same form sent again, by a page that is loaded anew, shows nothing and makes nothing.
        again = submit(office, CODES, form)
        assert again.status_code == 422
        assert new[0] not in again.text
        assert new[0] not in office.get(CODES).text
        assert self.door(app, submit, clerk, old[0]) == 422
        assert self.door(app, submit, clerk, new[0]) == 303
        assert self.door(app, submit, clerk, new[0]) == 422
        (letter,) = letters()
        assert (letter["To"], letter["Subject"]) == (clerk.email, "Vos codes de secours ont été renouvelés")
        assert not any(code in letter.as_string() for code in new)

    @pytest.mark.parametrize(
        ("password", "code", "sentence"),
        [
            ("", "RIGHT", "Écrivez votre mot de passe."),
            ("ce n’est pas lui", "RIGHT", "Ce mot de passe n’est pas le vôtre."),
            (PASSWORD, "", "Écrivez le code."),
            (PASSWORD, "000000", WRONG),
            (PASSWORD, "SERVED", WRONG),
            (PASSWORD, "RECOVERY", WRONG),
            (PASSWORD, "١٢٣٤٥٦", WRONG),
            (PASSWORD, "x" * 500, "dépasse 40 caractères"),
        ],
    )
    def test_refuses(
        self,
        office: FlaskClient,
        submit: Submit,
        enrolled: tuple[str, list[str]],
        clock: StoppedClock,
        snapshot: Moved,
        password: str,
        code: str,
        sentence: str,
    ) -> None:
        totp = pyotp.TOTP(enrolled[0])
        known = {
            "RIGHT": totp.at(clock.moment),
            "SERVED": totp.at(clock.moment - timedelta(minutes=1)),
            "RECOVERY": enrolled[1][0],
        }
        before = snapshot()
        answer = submit(office, CODES, {"current": password, "code": known.get(code, code)})
        assert answer.status_code == 422
        assert sentence in answer.text
        assert f'value="{known.get(code, code) or PASSWORD}"' not in answer.text
        assert snapshot() == before

    def test_guessing_is_slowed_down_together_with_the_door(
        self,
        app: Flask,
        office: FlaskClient,
        submit: Submit,
        clerk: Person,
        enrolled: tuple[str, list[str]],
        clock: StoppedClock,
        snapshot: Moved,
    ) -> None:
        before = snapshot()
        form = {"current": PASSWORD, "code": "000000"}
        answers = [submit(office, CODES, form) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [422] * 5 + [429]
        assert int(answers[-1].headers["Retry-After"]) > 0
        assert "Trop d’essais de suite" in answers[-1].text
        form["code"] = pyotp.TOTP(enrolled[0]).at(clock.moment)
        assert submit(office, CODES, form).status_code == 429
        assert snapshot() == before
        assert self.door(app, submit, clerk, form["code"]) == 429

    def test_guessing_the_password_is_slowed_down(
        self,
        office: FlaskClient,
        submit: Submit,
        enrolled: tuple[str, list[str]],
        clock: StoppedClock,
        snapshot: Moved,
    ) -> None:
        before = snapshot()
        form = {"current": "ce n’est pas lui", "code": pyotp.TOTP(enrolled[0]).at(clock.moment)}
        assert [submit(office, CODES, form).status_code for _ in range(11)] == [422] * 10 + [429]
        form["current"] = PASSWORD
        assert submit(office, CODES, form).status_code == 429
        assert snapshot() == before


class TestInvitation:
    """`flask accounts invite-staff`."""

    def invite(self, app: Flask, *more: str, email: str = "agent@example.org") -> Any:
        return app.test_cli_runner().invoke(
            args=["accounts", "invite-staff", email, "--commune", "aiguilhe", "--role", "cashier", *more]
        )

    def test_a_link_lets_them_choose(
        self, app: Flask, client: FlaskClient, submit: Submit, town: Town, letters: SendLetters, read: OpenSession
    ) -> None:
        result = self.invite(app, "--first-name", "Agathe")
        assert result.exit_code == 0, result.output
        letter = letters()[0]
        assert letter["Subject"] == "Activez votre compte"
        path = path_in(letter)
        with read() as db:
            assert db.scalars(select(Account.state)).one() == "unconfirmed"
            role = db.execute(select(StaffRole.role, StaffRole.commune_id, StaffRole.scope)).one()
            assert tuple(role) == ("cashier", town.aiguilhe.id, "commune")
        assert client.get(path).status_code == 200
        assert submit(client, path, {"password": "azerty"}).status_code == 422
        assert submit(client, path, {"password": GOOD}).status_code == 303
        assert submit(client, path, {"password": GOOD}).status_code == 410
        answer = submit(client, "/connexion", {"email": "agent@example.org", "password": GOOD})
        assert answer.location == DOOR

    def test_inviting_again_sends_a_new_link_and_no_second_account(
        self, app: Flask, client: FlaskClient, town: Town, letters: SendLetters, read: OpenSession
    ) -> None:
        self.invite(app)
        first = path_in(letters()[0])
        self.invite(app)
        assert client.get(first).status_code == 410
        assert client.get(path_in(letters()[0])).status_code == 200
        with read() as db:
            assert len(db.scalars(select(Account.id)).all()) == 1
            assert len(db.scalars(select(StaffRole.id)).all()) == 1

    def test_an_account_that_exists_keeps_its_password(
        self, app: Flask, town: Town, letters: SendLetters, read: OpenSession
    ) -> None:
        family = town.family(email="agent@example.org")
        with read() as db:
            before = db.scalars(select(Account.password_hash)).one()
        self.invite(app)
        assert [letter["Subject"] for letter in letters()] == ["Vous avez accès à l’espace mairie"]
        with read() as db:
            assert db.scalars(select(Account.password_hash)).one() == before
            assert db.scalars(select(StaffRole.account_id)).one() == family.account_id

    def test_refuses_an_unknown_commune_and_a_bad_address(self, app: Flask, town: Town, snapshot: Moved) -> None:
        before = snapshot()
        assert self.invite(app, "--commune", "atlantide").exit_code == 1
        assert self.invite(app, email="agent").exit_code == 1
        assert self.invite(app, "--role", "king").exit_code == 2
        assert snapshot() == before
