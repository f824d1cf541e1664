"""Cookies and tokens: what the libraries make themselves, only quicker."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask, g, session
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import generate_csrf, validate_csrf
from itsdangerous import URLSafeTimedSerializer

from shop.clock import StoppedClock
from shop.cookies import Cookies, csrf_token

FACTS = {"_user_id": "a key", "seen": 1_795_000_000, "_flashes": [("ok", "Réservé")]}


def test_what_one_writes_the_other_reads(app: Flask) -> None:
    ours, flasks = Cookies().get_signing_serializer(app), SecureCookieSessionInterface().get_signing_serializer(app)
    assert ours is not None
    assert flasks is not None
    assert ours.loads(flasks.dumps(FACTS)) == flasks.loads(ours.dumps(FACTS)) == FACTS


def test_a_signer_is_made_once_for_its_keys(app: Flask) -> None:
    first = Cookies().get_signing_serializer(app)
    assert Cookies().get_signing_serializer(app) is first
    before = app.config["SECRET_KEY"], app.config["SECRET_KEY_FALLBACKS"]
    try:
        app.config.update(SECRET_KEY="another key, which is just as long", SECRET_KEY_FALLBACKS=[before[0]])
        turned = Cookies().get_signing_serializer(app)
        assert turned is not first
        assert turned is not None
        assert first is not None
        assert turned.loads(first.dumps(FACTS)) == FACTS, "an old cookie outlives the turn of its key"
    finally:
        app.config.update(SECRET_KEY=before[0], SECRET_KEY_FALLBACKS=before[1])


def test_a_token_of_ours_is_one_of_the_librarys(app: Flask) -> None:
    with app.test_request_context():
        first = csrf_token()
        assert csrf_token() == first, "one token a page"
        secret = session["csrf_token"]
        g.pop("csrf_token")
        validate_csrf(csrf_token())
        g.pop("csrf_token")
        validate_csrf(generate_csrf())
        assert session["csrf_token"] == secret


def test_a_page_that_changes_nothing_sends_no_cookie(app: Flask) -> None:
    client = app.test_client()
    first = client.get("/connexion")
    again = client.get("/connexion")
    assert "Set-Cookie" in first.headers
    assert "Set-Cookie" not in again.headers
    assert (first.headers["Vary"], again.headers["Vary"]) == ("Cookie", "Cookie")


def test_a_token_is_renewed_with_the_minute(app: Flask, clock: StoppedClock) -> None:
    def token(secret: str) -> str:
        with app.test_request_context():
            session["csrf_token"] = secret
            return csrf_token()

    first = token("one")
    assert token("one") is first, "made once"
    assert token("another") != first
    clock.moment += timedelta(minutes=1)
    later = token("one")
    assert later is not first
    with app.test_request_context():
        session["csrf_token"] = "one"
        validate_csrf(later)


def opened(app: Flask, cookie: str) -> SessionMixin:
    with app.test_request_context(headers={"Cookie": f"session={cookie}"}):
        return session._get_current_object()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("facts", [FACTS, {"_user_id": "a key"}])
def test_what_a_page_does_to_a_session_does_not_reach_the_next(app: Flask, facts: dict[str, Any]) -> None:
    signer = Cookies().get_signing_serializer(app)
    assert signer is not None
    cookie = str(signer.dumps(facts))
    first = opened(app, cookie)
    assert first == facts
    first.setdefault("_flashes", []).append(("ok", "Payé"))
    first["_user_id"] = "another key"
    assert opened(app, cookie) == facts


def test_a_cookie_of_somebody_else_or_too_old_holds_nothing(app: Flask, clock: StoppedClock) -> None:
    signer = Cookies().get_signing_serializer(app)
    assert signer is not None
    assert opened(app, str(URLSafeTimedSerializer("another key", salt=Cookies.salt).dumps(FACTS))) == {}
    assert opened(app, "x" + str(signer.dumps(FACTS))[1:]) == {}
    lifetime = app.permanent_session_lifetime
    with time_machine.travel(datetime.now(UTC) - lifetime - timedelta(seconds=5)):
        old = str(signer.dumps(FACTS))
    assert opened(app, old) == {}
    # One that ages while it is remembered: judged anew each minute.
    with time_machine.travel(datetime.now(UTC), tick=False) as machine:
        cookie = str(signer.dumps(FACTS))
        assert opened(app, cookie) == FACTS
        machine.shift(lifetime + timedelta(seconds=5))
        clock.moment += lifetime
        assert opened(app, cookie) == {}
