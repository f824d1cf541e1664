"""The letters of a demonstration: readable there, absent elsewhere."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from shop.database import transaction
from shop.demo_letters import DemoAccount
from shop.outbox import Letter, Message, post, send_letters
from tests.conftest import MakeApp

HTML = "<!DOCTYPE html><html><head><title>x</title></head><body><p>Bonjour</p></body></html>"


def compose(_db: Session, facts: dict[str, object]) -> Message:
    text = f"Bonjour,\n\nOuvrez http://localhost/confirmer/abc\n\n<b>{facts['number']}</b>"
    return Message(f"Lettre {facts['number']}", text, HTML)


@pytest.fixture
def demo(make_app: MakeApp) -> Flask:
    app = make_app(mode="demo")
    app.extensions["shop.letters"] = {"test": compose}
    return app


def write(app: Flask, count: int, to: str = "camille@example.org") -> None:
    with app.app_context():
        clock = app.extensions["shop.clock"]
        with transaction() as db:
            for number in range(count):
                post(db, Letter("test", to, f"{to}:{number}", {"number": number}), clock.now())
        while send_letters():
            pass


@pytest.mark.parametrize("path", ["/demo/lettres", "/demo/lettres/1", "/demo/lettres/1/html", "/demo/connexions"])
def test_they_exist_in_a_demonstration_only(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_list(demo: Flask) -> None:
    client = demo.test_client()
    assert "Aucun e-mail" in client.get("/demo/lettres").text
    write(demo, 2)
    write(demo, 1, "theo@example.org")
    page = client.get("/demo/lettres").text
    assert page.index("theo@example.org") < page.index("camille@example.org")
    assert page.count("Lettre ") >= 3
    page = client.get("/demo/lettres?pour=camille@example.org").text
    assert "theo@example.org" not in page
    assert "Lettre 1" in page
    assert client.get("/demo/lettres?pour=" + "x" * 5000).status_code == 200
    assert client.get("/demo/lettres?page=-3").status_code == 200
    assert client.get("/demo/lettres?page=99").status_code == 200


def test_pages_of_the_list(demo: Flask) -> None:
    write(demo, 31)
    client = demo.test_client()
    assert 'href="/demo/lettres?page=2"' in client.get("/demo/lettres").text
    assert "Lettre 0" in client.get("/demo/lettres?page=2").text


def test_a_letter(demo: Flask) -> None:
    write(demo, 1)
    client = demo.test_client()
    page = client.get("/demo/lettres/1").text
    assert 'href="http://localhost/confirmer/abc"' in page
    assert "&lt;b&gt;0&lt;/b&gt;" in page
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page
    assert client.get("/demo/lettres/2").status_code == 404


def test_the_html_part_is_locked_in(demo: Flask) -> None:
    write(demo, 1)
    response = demo.test_client().get("/demo/lettres/1/html")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "<p>Bonjour</p>" in response.text


def test_who_can_sign_in(demo: Flask) -> None:
    demo.extensions["shop.demo_accounts"] = lambda: [
        DemoAccount("Parent", "Camille Dupont", "camille@example.org", "une phrase assez longue", None, None),
        DemoAccount(
            "Gestion",
            "Claire",
            "claire@example.org",
            "une autre phrase",
            "Aiguilhe",
            "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        ),
    ]
    page = demo.test_client().get("/demo/connexions").text
    assert "camille@example.org" in page
    assert "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" in page
