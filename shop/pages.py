"""Pages that know no room: what is kept about people, the terms, and what machines ask for."""

import json
from datetime import date, timedelta
from functools import lru_cache
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Response, current_app, render_template, request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shop import schema
from shop.access import open_to_all
from shop.clock import request_now
from shop.config import Config
from shop.database import reading
from shop.limits import limited
from shop.web import csrf

log = structlog.get_logger(__name__)
blueprint = Blueprint("pages", __name__)

A_DAY_SECONDS = 86400
SECURITY_CONTACT_LASTS = timedelta(days=180)
REPORT_BYTES = 16 * 1024
TERMS_OF = date(2026, 11, 21)
"""The day since which the terms read as they do."""
PRIVATE_PATHS = (
    "/confirmer/",
    "/commandes",
    "/demo/",
    "/mairie",
    "/mes-",
    "/mon-compte",
    "/paiement",
    "/panier",
    "/recharger",
    "/reserver",
    "/webhooks/",
)


@blueprint.get("/donnees-personnelles")
@open_to_all
def personal_data() -> str:
    """What is kept about people, why, for how long, and how they can have it changed."""
    return render_template("pages/personal_data.html")


@blueprint.get("/conditions-generales")
@open_to_all
def terms() -> str:
    """The terms that a new account accepts."""
    return render_template("pages/terms.html", since=TERMS_OF)


@blueprint.get("/robots.txt")
@open_to_all
def robots() -> Response:
    """What search engines may read: the public pages."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in PRIVATE_PATHS)]
    return _plain("\n".join(lines) + "\n", A_DAY_SECONDS)


@blueprint.get("/.well-known/security.txt")
@open_to_all
def security_contact() -> Response:
    """Where to tell of a weakness (RFC 9116)."""
    config: Config = current_app.extensions["shop.config"]
    expires = (request_now() + SECURITY_CONTACT_LASTS).strftime("%Y-%m-%dT00:00:00Z")
    lines = [
        f"Contact: {config.base_url}/contact",
        f"Expires: {expires}",
        "Preferred-Languages: fr, en",
        f"Canonical: {config.base_url}/.well-known/security.txt",
    ]
    return _plain("\n".join(lines) + "\n", A_DAY_SECONDS)


@blueprint.get("/healthz")
@open_to_all
def alive() -> Response:
    """Whether this process answers. It asks nobody else."""
    return _plain("ok\n")


@blueprint.get("/readyz")
@open_to_all
def ready() -> Response:
    """Whether this process can serve: the database answers and its schema is the newest. 503 when not."""
    try:
        with reading() as db:
            revision = db.scalar(text("SELECT version_num FROM alembic_version"))
    except SQLAlchemyError as failure:
        log.warning("not ready: no database", error=type(failure).__name__)
        return _not_ready("database")
    if revision != _newest_revision():
        log.warning("not ready: schema", revision=revision)
        return _not_ready("schema")
    return _plain("ok\n")


@lru_cache(maxsize=1)
def _newest_revision() -> str | None:
    """Read once: the migrations that came with this process do not change under it."""
    return schema.newest_revision()


@csrf.exempt  # type: ignore[untyped-decorator]
@blueprint.post("/csp")
@open_to_all
@limited("60 per minute", "csp")
def policy_report() -> Response:
    """Take a browser's report that a page broke the content security policy, and note it without personal data."""
    request.max_content_length = REPORT_BYTES
    try:
        report = json.loads(request.get_data(cache=False))
        facts = report["csp-report"] if isinstance(report, dict) else {}
        log.warning(
            "content security policy",
            directive=str(facts.get("effective-directive") or facts.get("violated-directive") or "")[:60],
            blocked=_where(facts.get("blocked-uri")),
            page=_room(facts.get("document-uri")),
        )
    except (ValueError, KeyError, AttributeError, RecursionError):
        log.info("content security policy: a report that cannot be read")
    return Response(status=204)


def _where(address: object) -> str:
    """The host of an address, or the word that stands for one ("inline"): never its path, which may hold a secret."""
    parts = urlsplit(str(address or "")[:2000])
    return (parts.netloc or parts.scheme or parts.path)[:100]


def _room(address: object) -> str:
    """The first part of a page's path: a link in a letter carries its key further on."""
    return "/" + urlsplit(str(address or "")[:2000]).path.lstrip("/").partition("/")[0][:60]


def _plain(words: str, max_age: int = 0) -> Response:
    response = Response(words, mimetype="text/plain")
    response.headers["Cache-Control"] = f"public, max-age={max_age}" if max_age else "no-store"
    return response


def _not_ready(what: str) -> Response:
    response = _plain(f"{what}\n")
    response.status_code = 503
    response.headers["Retry-After"] = "5"
    return response
