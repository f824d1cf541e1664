"""Pages that know no room: for machines, and the reports of browsers."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from shop import pages
from shop.database import Database
from tests.conftest import CountStatements, OpenSession

SECRET = "kXo9-a-single-use-key"


def test_security_contact(client: FlaskClient) -> None:
    response = client.get("/.well-known/security.txt")
    assert response.mimetype == "text/plain"
    fields = dict(line.split(": ", 1) for line in response.text.splitlines())
    assert fields["Contact"] == "http://localhost/contact"
    assert fields["Canonical"] == "http://localhost/.well-known/security.txt"
    expires = datetime.strptime(fields["Expires"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert datetime(2026, 12, 19, tzinfo=UTC) < expires < datetime(2027, 11, 19, tzinfo=UTC)


def test_robots_keep_out_of_private_pages(client: FlaskClient) -> None:
    lines = client.get("/robots.txt").text.splitlines()
    assert lines[0] == "User-agent: *"
    assert "Disallow: /mon-compte" in lines
    assert "Disallow: /" not in lines


def test_alive_asks_nobody(client: FlaskClient, statements: CountStatements) -> None:
    with statements() as seen:
        response = client.get("/healthz")
    assert (response.status_code, response.text, seen.count) == (200, "ok\n", 0)


def test_ready(client: FlaskClient) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.text) == (200, "ok\n")


def test_not_ready_when_the_schema_is_old(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_newest_revision", lambda: "9999")
    response = client.get("/readyz")
    assert (response.status_code, response.text) == (503, "schema\n")
    assert response.headers["Retry-After"] == "5"


def test_not_ready_without_a_database(app: Flask, client: FlaskClient) -> None:
    whole = app.extensions["shop.database"]
    app.extensions["shop.database"] = Database("postgresql://nobody@127.0.0.1:1/nothing")
    try:
        response = client.get("/readyz")
        assert (response.status_code, response.text) == (503, "database\n")
        assert client.get("/healthz").status_code == 200
    finally:
        app.extensions["shop.database"].engine.dispose()
        app.extensions["shop.database"] = whole


def test_a_report_is_noted_without_its_secrets(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    report = {
        "csp-report": {
            "document-uri": f"http://localhost/confirmer/{SECRET}",
            "blocked-uri": f"https://elsewhere.example.org/{SECRET}",
            "effective-directive": "style-src-elem",
        }
    }
    response = client.post("/csp", json=report)
    assert response.status_code == 204
    assert response.data == b""
    noted = capsys.readouterr().out
    assert "style-src-elem" in noted
    assert "elsewhere.example.org" in noted
    assert "'/confirmer'" in noted
    assert SECRET not in noted


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"words"', b'{"csp-report": null}', b"\xff\xfe", b"[" * 9000]
)
def test_a_report_that_is_none(client: FlaskClient, body: bytes) -> None:
    assert client.post("/csp", data=body, content_type="application/csp-report").status_code == 204


def test_reports_are_bounded(client: FlaskClient) -> None:
    assert client.post("/csp", data=b"x" * (16 * 1024 + 1)).status_code == 413
    assert client.get("/csp").status_code == 405
    codes = [client.post("/csp", data=b"{}").status_code for _ in range(70)]
    assert set(codes) == {204, 429}


def test_a_report_writes_nothing(client: FlaskClient, read: OpenSession, statements: CountStatements) -> None:
    with statements() as seen:
        client.post("/csp", json={"csp-report": {}})
    assert seen.count == 0, seen
    with read() as db:
        assert db.scalar(text("SELECT count(*) FROM tries")) == 0
