"""The doors tell nobody who has an account (trust: T-043): not by what they answer, not by how long they take."""

import re
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, update
from werkzeug.test import TestResponse

from accounts import operations, passwords
from accounts.errors import AddressTaken
from accounts.models import Account
from shop.database import transaction
from shop.models import Tries
from tests.accounts.conftest import PERSON
from tests.conftest import MakeApp, SignIn, Submit
from tests.factory import PASSWORD, Person, Town

# Of one length, because pages and headers are compared to the letter.
ACTIVE, UNCONFIRMED, FREE = "active.one@example.org", "waits.here@example.org", "nobody.yet@example.org"
DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "sign-in": ("/connexion", {"password": "un autre mot de passe"}),
    "sign-up": ("/creer-un-compte", PERSON),
    "reset": ("/mot-de-passe-oublie", {}),
    "e-mail change": ("/mon-compte/adresse-e-mail", {"current": PASSWORD}),
}
TIMINGS = 200
ROUNDS = 3
WITHIN_SECONDS = 0.005


@dataclass
class Stranger:
    """Somebody who knocks at a door with an address, each time as if for the first time, in a browser of their own."""

    app: Flask
    sign_in: SignIn
    submit: Submit
    account: Person

    def knock(self, door: str, email: str) -> tuple[FlaskClient, TestResponse, float]:
        """The browser, what it is answered, and after how many seconds."""
        self.app.extensions["shop.limits"].reset()
        with self.app.app_context(), transaction() as db:
            db.execute(delete(Tries))
        client = self.app.test_client()
        if door == "e-mail change":
            self.sign_in(client, self.account)
        path, form = DOORS[door]
        began = time.perf_counter()
        answer = self.submit(client, path, {**form, "email": email})
        return client, answer, time.perf_counter() - began

    def told(self, door: str, email: str) -> list[object]:
        """Everything that the browser gets to see and to keep, the page after the door included."""
        client, answer, _seconds = self.knock(door, email)
        pages = [answer, *([client.get(answer.location)] if answer.location else [])]
        with client.session_transaction() as cookie:
            kept = {name: value for name, value in cookie.items() if name not in ("_user_id", "csrf_token")}
        said = [
            (page.status, [_without_key(*header) for header in page.headers], _TOKEN.sub("", page.text))
            for page in pages
        ]
        return [str(found).replace(email, "ADDRESS") for found in (*said, kept)]

    def apart(self, door: str, timings: int = TIMINGS, rounds: int = ROUNDS) -> float:
        """By how much the medians for a taken and a free address differ, in seconds.

        The two take turns, so that whatever else the machine does meets both; it may still favour one for a while, but
        not round after round, as a door that tells would.
        """
        apart = 0.0
        for _round in range(rounds):
            taken: dict[str, list[float]] = {ACTIVE: [], FREE: []}
            for number in range(timings):
                for email in sorted(taken, reverse=number % 2 == 0):
                    taken[email].append(self.knock(door, email)[2])
            apart = abs(median(taken[ACTIVE]) - median(taken[FREE]))
            if apart <= WITHIN_SECONDS:
                break
        return apart


_TOKEN = re.compile(r'(?<=name="csrf_token")[^>]*value="[^"]+"|(?<=id="csrf_token")[^>]*value="[^"]+"')


def _without_key(name: str, value: str) -> tuple[str, str]:
    """A header; of a cookie its name and attributes, as its value is a key or signed."""
    return name, re.sub("=[^;]*", "", value, count=1) if name == "Set-Cookie" else value


@pytest.fixture
def stranger(make_app: MakeApp, town: Town, sign_in: SignIn, submit: Submit) -> Stranger:
    """A stranger with an account of their own, at a shop that hashes passwords as a real one does."""
    account = town.family(email="claire@example.org")
    town.family(email=ACTIVE)
    town.family(email=UNCONFIRMED, state="unconfirmed")
    app = make_app(cheap_passwords=False)
    with app.app_context():
        password_hash = passwords.hash_password(PASSWORD)
        with transaction() as db:
            db.execute(update(Account).values(password_hash=password_hash))
    return Stranger(app, sign_in, submit, account)


@pytest.mark.parametrize("door", DOORS)
def test_a_door_says_the_same_whoever_has_the_address(stranger: Stranger, door: str) -> None:
    free = stranger.told(door, FREE)
    assert "ADDRESS" in str(free)
    assert stranger.told(door, ACTIVE) == free
    assert stranger.told(door, UNCONFIRMED) == free


def test_the_comparison_sees_a_door_that_tells(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    real = operations.ask_email_change

    def tells(db: Any, account_id: int, new_email: str, now: Any) -> None:
        if operations._is_taken(db, new_email, account_id):
            raise AddressTaken
        real(db, account_id, new_email, now)

    monkeypatch.setattr(operations, "ask_email_change", tells)
    assert stranger.told("e-mail change", ACTIVE) != stranger.told("e-mail change", FREE)


@pytest.mark.race
@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_a_door_takes_as_long_whoever_has_the_address(stranger: Stranger, door: str) -> None:
    if door != "reset" and not stranger.app.extensions["shop.database"].is_sqlite:
        pytest.skip("a hash weighs the same on both databases; only what hashes nothing is measured on each")
    assert stranger.apart(door) <= WITHIN_SECONDS


@pytest.mark.race
def test_the_clock_sees_a_door_that_hashes_for_some_alone(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    real = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda kept, password: kept is not None and real(kept, password))
    assert stranger.apart("sign-in", timings=10, rounds=1) > WITHIN_SECONDS
