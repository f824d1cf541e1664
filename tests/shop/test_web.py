"""What every page shares: where one may be sent, whose word counts about addresses, cookies, keys that change."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shop.clock import StoppedClock
from shop.web import link_to, safe_next
from tests.conftest import MakeApp, SignIn
from tests.factory import Town

# --- where one may be sent afterwards (trust: T-060) ---


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/panier",
        "/reserver/aiguilhe/garderie?mois=2026-11",
        "/a//b",
        "/%2f%2fexample.org",
        "/panier#ligne-3",
        "/é",
    ],
)
def test_a_path_of_this_site_is_taken(target: str) -> None:
    assert safe_next(target) == target


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "panier",
        "//example.org",
        "///example.org",
        "/\\example.org",
        "\\\\example.org",
        "/\\/example.org",
        "https:example.org",
        "https://example.org",
        "HTTPS://example.org",
        "%2f%2fexample.org",
        "javascript:alert(1)",
        "/\t/example.org",
        "/\n/example.org",
        "\t//example.org",
        " //example.org",
        "/panier\\..\\x",
        "/\x00",
        "/pa\rnier",
        "/" + "a" * 8000,
    ],
)
def test_whatever_might_lead_elsewhere_is_not(target: str | None) -> None:
    assert safe_next(target) is None


@pytest.mark.parametrize("target", ["//example.org", "https://example.org", "/\\example.org", "%2f%2fexample.org"])
def test_signing_in_leads_nowhere_else(client: FlaskClient, town: Town, sign_in: SignIn, target: str) -> None:
    sign_in(client, town.family())
    answer = client.get("/connexion", query_string={"next": target})
    assert "example.org" not in answer.headers.get("Location", "")


@pytest.mark.parametrize(
    ("address", "again"),
    [
        ("/mot-de-passe-oublie", "/mot-de-passe-oublie"),
        ("/creer-un-compte?x=%3Cb%3E", "/creer-un-compte?x=%3Cb%3E"),
        ("/deconnexion", "/"),
        ("/panier/retirer", "/"),
    ],
)
def test_a_page_open_for_too_long_can_be_opened_again(client: FlaskClient, address: str, again: str) -> None:
    refused = client.post(address, data={"csrf_token": "périmé"})
    assert refused.status_code == 400
    assert f'<a class="btn btn-primary" href="{again}">' in refused.text


# --- whose word counts about addresses (trust: T-061) ---


@pytest.mark.parametrize(
    "host", ["evil.example.org", "localhost.evil.example.org", "evil.example.org:80", "localhost@evil"]
)
def test_a_forged_host_is_refused(client: FlaskClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400
    assert "evil" not in answer.get_data(as_text=True)


def test_links_come_from_the_configuration_alone(app: Flask) -> None:
    forged = {
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-Proto": "https",
        "Forwarded": "host=evil.example.org",
    }
    with app.test_request_context("/", headers=forged):
        assert link_to("catalog.home") == "http://localhost/"
    with app.app_context():
        assert link_to("catalog.commune", slug="aiguilhe") == "http://localhost/communes/aiguilhe"


def test_behind_a_proxy_that_is_ours_links_still_come_from_the_configuration(make_app: MakeApp) -> None:
    app = make_app(base_url="https://cantine.example.org", trusted_hosts=("cantine.example.org",), proxy_count=1)
    headers = {"X-Forwarded-Host": "evil.example.org", "X-Forwarded-For": "203.0.113.7"}
    assert app.test_client().get("/", headers=headers).status_code == 400
    with app.test_request_context("/", headers=headers):
        assert link_to("catalog.home") == "https://cantine.example.org/"


# --- cookies (trust: T-049, T-053) ---


def test_over_https_the_cookie_is_bound_to_the_host_and_never_travels_in_clear(make_app: MakeApp, town: Town) -> None:
    app = make_app(base_url="https://localhost")
    answer = app.test_client().get("/connexion", base_url="https://localhost")
    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 1
    name, *attributes = cookies[0].split("; ")
    assert name.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes)
    assert not any(attribute.startswith("Domain") for attribute in attributes)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


def test_flask_s_unsafe_defaults_are_all_overridden(make_app: MakeApp) -> None:
    settings = make_app(base_url="https://localhost").config
    assert settings["SESSION_COOKIE_SECURE"] is True
    assert settings["SESSION_COOKIE_HTTPONLY"] is True
    assert settings["SESSION_COOKIE_SAMESITE"] == "Lax"
    assert settings["PERMANENT_SESSION_LIFETIME"] == 12 * 3600
    assert settings["MAX_CONTENT_LENGTH"] == 1024 * 1024
    assert settings["MAX_FORM_MEMORY_SIZE"] == 1024 * 1024
    assert settings["TRUSTED_HOSTS"] == ["localhost"]
    assert settings["DEBUG"] is False


# --- keys that change (trust: T-066) ---


def test_a_session_survives_a_new_key_until_the_old_one_is_dropped(
    app: Flask, client: FlaskClient, town: Town, sign_in: SignIn, make_app: MakeApp
) -> None:
    sign_in(client, town.family())
    cookie = client.get_cookie("session")
    assert cookie is not None
    old = app.config["SECRET_KEY"]

    def opens(secret_key: str, fallbacks: tuple[str, ...]) -> bool:
        browser = make_app(secret_key=secret_key, secret_key_fallbacks=fallbacks).test_client()
        browser.set_cookie("session", cookie.value)
        return browser.get("/panier").status_code == 200

    assert opens("a new key, which is long enough to be one too", (old,))
    assert not opens("a new key, which is long enough to be one too", ())


# --- sessions grow old (trust: T-048) ---


@pytest.mark.parametrize(("who", "hours"), [("parent", 12), ("clerk", 0.5)])
def test_a_session_ends_when_nobody_uses_it(
    client: FlaskClient, town: Town, sign_in: SignIn, clock: StoppedClock, who: str, hours: float
) -> None:
    sign_in(client, town.family() if who == "parent" else town.clerk())
    page = "/panier" if who == "parent" else "/mairie"
    clock.moment += timedelta(hours=hours)
    assert client.get(page).status_code == 200
    clock.moment += timedelta(hours=hours, seconds=1)
    answer = client.get(page)
    assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (303, "/connexion")
