"""Hostile input on every page: whatever is sent, the answer is a page of ours that says what is wrong, never a crash."""

import secrets
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask, abort, request
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from accounts.models import Account
from shop.access import open_to_all
from shop.config import Config
from shop.database import transaction
from shop.models import Outbox
from shop.outbox import Message, as_email
from tests.conftest import START, MakeApp, OpenSession, SignIn, Submit
from tests.factory import Person, Town
from tests.house.policy import table
from tests.house.test_pages import HEADERS, World, routes, world  # noqa: F401 (a fixture)

HOSTILE = {
    "a number that no key can hold": "9" * 30,
    "a number that Python does not read": "9" * 5000,
    "a number far below zero": "-99999999999999999999999",
    "other digits": "١٢",
    "a digit that is none": "²",
    "an exponent": "1e9",
    "a date that is none": "0000-00",
    "emoji": "🍲" * 500,
    "control characters": "a\x00\x01\r\nBcc: somebody@example.org",
    "right to left": "\u202eabc\u200f",
    "markup": "<script>alert(1)</script>{{ 7*7 }}'\";--",
    "a long text": "x" * 100_000,
    "a path": "../../etc/passwd",
    "no UTF-8": "\udcff\udcfe",
}
FIELDS = [
    *("page", "periode", "mois", "semaine", "regie", "avant", "date", "etat", "service", "tout", "q", "next", "pour"),
    *("commune", "retour", "repas", "v", "enfants", "jours", "ligne", "panier", "total", "montant", "montant_libre"),
    *("credit", "decision", "ids", "reason", "paper", "title", "first_name", "last_name", "birth_date", "phone"),
    *("address", "postcode", "city", "newsletter", "partners", "is_company", "organisation_name", "siret", "relation"),
    *("school_id", "class_name", "diet", "allergies", "email", "new_email", "password", "current", "sure", "code"),
    *("draft", "back", "rows-0-first_name", "rows-0-last_name", "rows-0-relation", "rows-0-birth_date"),
    *("rows-0-school_id", "rows-0-diet", "tariff", "school_year", "beneficiaries", "message", "number", "expiry"),
    *("test_card", "answer", "terms", "coches", "value", "valid_from", "valid_until", "semaines", "enfant", "du", "au"),
    *("annee", "quoi", "vu", "commande", "fois"),
    *("reponse", "rappel", "attente"),
    *("even_weeks", "holidays", "starts_on", "swap_from", "swap_until", "swap_home"),
    *("pointage", "inscription", "centimes", "beneficiary", "kind", "words", "day"),
    *("meals", "families", "cents", "unbooked", "due_cents", "paid_cents"),
    *("reference", "amount", "due_on"),
]
BUTTONS = {
    "cart.choose_meals": ("aller", "cocher", "attendre"),
    "accounts.sign_up_family": ("add", "remove"),
    "backoffice.decide": ("only",),
}
"""With them a form does something else than without."""
ENDINGS = ("accounts.sign_out", "accounts.end_connection")
"""What signs this very browser out; every page after it would only send to the sign-in."""
LONGEST_ADDRESS = 1500
AUDIENCES = {"everybody": "nobody", "members": "parent", "parents": "parent", "staff": "clerk", "office": "clerk"}


@lru_cache(maxsize=256)
def encoded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


def posted(app: Flask, client: FlaskClient, address: str, names: list[str], value: str) -> TestResponse:
    """A form of these fields, each with the value, as bytes: not everything that is sent is text."""
    with client.session_transaction() as cookie:
        secret = cookie.setdefault("csrf_token", secrets.token_hex(20))
    token = URLSafeTimedSerializer(app.secret_key or "", salt="wtf-csrf-token").dumps(secret)
    body = "&".join([f"csrf_token={token}", *(f"{encoded(name)}={encoded(value)}" for name in names)])
    return client.post(address, data=body.encode(), content_type="application/x-www-form-urlencoded")


def requests_of(
    app: Flask,
    world: World,  # noqa: F811
    who: str,
    client: FlaskClient,
    value: str,
) -> Iterator[tuple[str, TestResponse]]:
    """Every page that this person may open, with the value in every place of its address and in every field."""
    policy, short = table(), value[:LONGEST_ADDRESS]
    query = "&".join(f"{name}={encoded(short[:60])}" for name in FIELDS)
    for rule, method in routes(app):
        if who != AUDIENCES[policy[rule.endpoint, method]] or rule.endpoint in ENDINGS:
            continue
        own = world.url(app, rule)
        others = [own.replace(f"/{world.samples[name]}", f"/{encoded(short)}", 1) for name in rule.arguments]
        if method == "GET":
            for address in [own, f"{own}?{query}", *others]:
                yield f"GET {rule}", client.get(address)
            continue
        for names in (FIELDS, *([*FIELDS, button] for button in BUTTONS.get(rule.endpoint, ()))):
            yield f"POST {rule}", posted(app, client, own, names, value)
        for address in others:
            yield f"POST {rule}", posted(app, client, address, FIELDS, short)


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_that_is_sent_upsets_a_page(
    make_app: MakeApp,
    world: World,  # noqa: F811
    sign_in: SignIn,
    kind: str,
) -> None:
    app = make_app(mode="demo")
    people: dict[str, Person | None] = {"nobody": None, "parent": world.parent, "clerk": world.clerk}
    upset = []
    for who, person in people.items():
        client = app.test_client()
        if person is not None:
            sign_in(client, person)
        for where, answer in requests_of(app, world, who, client, HOSTILE[kind]):
            if answer.status_code >= 500 or "Traceback" in answer.text:
                upset.append(f"{who}: {where} {answer.status_code}")
        assert person is None or client.get("/mon-compte").status_code == 200, "still signed in"
    assert not upset, "\n".join(sorted(set(upset)))


def test_the_sweep_sees_a_planted_crash(make_app: MakeApp, world: World, sign_in: SignIn) -> None:  # noqa: F811
    app = make_app()
    real = app.view_functions["orders.history"]

    def reads_carelessly() -> Any:
        return real() if not request.args.get("page") else str(int(request.args["page"]))

    reads_carelessly.audience = "parents"  # type: ignore[attr-defined]
    app.view_functions["orders.history"] = reads_carelessly
    client = app.test_client()
    sign_in(client, world.parent)
    answers = [
        answer.status_code for where, answer in requests_of(app, world, "parent", client, "x") if "/commandes" in where
    ]
    assert 500 in answers


@pytest.mark.parametrize("name", ["rows-²-first_name", f"rows-{'9' * 5000}-first_name", "rows--first_name", "rows-0-²"])
def test_rows_that_no_page_of_ours_has_are_ignored(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, name: str
) -> None:
    sign_in(client, town.family())
    assert submit(client, "/creer-un-compte/filiations", {name: "x"}).status_code in (303, 422)


def test_thousands_of_meals_are_refused_with_a_sentence(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit
) -> None:
    family, canteen = town.family(), town.aiguilhe.canteen
    sign_in(client, family)
    codes = [f"{number}.2026-12-01" for number in range(1, 3001)]
    answer = submit(client, f"/reserver/aiguilhe/{canteen.slug}", {"repas": codes})
    assert answer.status_code == 422
    assert "2000" in answer.text.replace("\u202f", "").replace("\u00a0", "")


def test_too_much_at_once_is_refused_with_a_sentence(client: FlaskClient) -> None:
    for size in (b"x" * 2_000_000, b"&".join(b"a=%d" % number for number in range(200_000))):
        answer = client.post("/connexion", data=size, content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 413
        assert "trop volumineux" in answer.text


# --- addresses and methods ---


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_the_wrong_method_is_told_in_french(app: Flask, world: World, sign_in: SignIn, method: str) -> None:  # noqa: F811
    client = app.test_client()
    sign_in(client, world.parent)
    for rule, _method in routes(app):
        answer = client.open(world.url(app, rule), method=method)
        assert answer.status_code == 405, rule
        assert "Revenez à la page précédente" in answer.text
        assert answer.headers["Allow"]
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "local host"])
def test_a_forged_host_is_refused_and_never_written_back(client: FlaskClient, host: str) -> None:
    answer = client.get("/connexion", headers={"Host": host})
    assert answer.status_code == 400
    assert "evil" not in answer.text
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_nobody_is_believed_about_proxies(client: FlaskClient) -> None:
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil"}
    answer = client.get("/mon-compte", headers=forged)
    assert answer.location == "/connexion?next=/mon-compte"


@pytest.mark.parametrize("path", ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "/etc/passwd", "", "..\\app.py"])
def test_files_outside_the_folder_are_not_served(client: FlaskClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_files_bear_the_headers_too(make_app: MakeApp) -> None:
    files = make_app(base_url="https://cantine.example.org", trusted_hosts=("cantine.example.org",)).test_client()
    answer = files.get("/static/favicon.svg", base_url="https://cantine.example.org")
    answer.close()
    assert answer.status_code == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers.getlist("Cache-Control") == ["max-age=31536000, public"]
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")


# --- what a crash tells (trust: T-065, T-074) ---


def test_a_crash_tells_nothing_to_the_visitor_and_no_secret_to_the_log(
    make_app: MakeApp, town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    town.family(email="canary@example.org")
    app = make_app()

    def breaks(token: str) -> str:
        with transaction() as db:
            row = db.execute(select(Account.__table__)).mappings().first()
            values = {**(row or {}), "first_name": "canary", "password_hash": "canary-hash"}
            db.execute(insert(Account).values(**values))
        return token

    app.add_url_rule("/casse/<token>", "house.breaks", open_to_all(breaks))
    answer = app.test_client().get("/casse/canary-token")
    said = capsys.readouterr()
    assert answer.status_code == 500
    assert "Un incident est survenu" in answer.text
    for word in ("canary", "Traceback", "IntegrityError", "accounts"):
        assert word not in answer.text
    log = said.out + said.err
    assert "request failed" in log
    assert IntegrityError.__name__ in log
    assert "canary" not in log


@pytest.mark.parametrize("code", [406, 408, 409, 411, 415, 416, 418, 431, 501])
def test_no_refusal_speaks_english(make_app: MakeApp, code: int) -> None:
    app = make_app()
    app.add_url_rule("/refus", "house.refuses", open_to_all(lambda: abort(code)))
    answer = app.test_client().get("/refus")
    assert answer.status_code == code
    for word in (
        "Acceptable",
        "Timeout",
        "Conflict",
        "Required",
        "Unsupported",
        "Satisfiable",
        "Teapot",
        "Large",
        "Not ",
    ):
        assert word not in answer.text


# --- names ---


@pytest.mark.parametrize(
    "name", ["🍲" * 500, "a\x00b", "\u202eeiraM", "Marie\r\nBcc: somebody@example.org", "\u200b", "12"]
)
def test_a_name_that_is_none_is_refused_and_kept_in_the_form(
    client: FlaskClient, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession, name: str
) -> None:
    family = town.family()
    sign_in(client, family)
    answer = submit(client, "/mon-compte/coordonnees", {"first_name": name, "last_name": "Dupont", "city": "Coubon"})
    assert answer.status_code == 422
    assert "Coubon" in answer.text
    if not any(unicodedata.category(letter) == "Cc" for letter in name):
        assert name in answer.text
    with read() as db:
        assert db.scalars(select(Account.last_name).where(Account.id == family.account_id)).one() != "Dupont"


def test_a_subject_holds_one_line(config: Config) -> None:
    row = Outbox(id=1, key="k", kind="k", recipient="a@example.org", facts="", created_at=START, due_at=START, tries=0)
    mail = as_email(Message("Bonjour\r\nBcc: somebody@example.org", "x", "<p>x"), row, config)
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]
