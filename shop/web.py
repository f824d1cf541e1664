"""What every page shares: headers, errors, what templates may count on, and where links in letters point."""

import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, current_app, get_flashed_messages, has_request_context, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter, Map, UnicodeConverter, ValidationError

from shop import french
from shop.access import ask_nobody_who_it_is, find_visitor, way_back
from shop.config import ROOT, Config
from shop.cookies import Cookies, Csrf, csrf_token
from shop.database import is_contention, is_unreachable, let_go_of_rows, retried
from shop.errors import Busy, Refusal, TooMany
from shop.templating import FoldingEnvironment, init_templates
from shop.words import gettext as _

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = structlog.get_logger(__name__)
csrf = Csrf()

MAX_UPLOAD_BYTES = 1024 * 1024
MAX_FORM_PARTS = 5000
LONGEST_ADDRESS = 8000
"""Letters. gunicorn.conf.py refuses the line of a longer one."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}
TRANSPORT = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}


class Site(NamedTuple):
    """What every template may say about the site."""

    name: str
    demo: bool
    test_mode: bool


class RowNumber(IntegerConverter):
    """A row's number in an address. One that no key can hold is not found, instead of upsetting the database."""

    def __init__(self, url_map: Map, max: int = 2**63 - 1, **options: Any) -> None:  # noqa: A002 — Werkzeug's name
        super().__init__(url_map, max=max, **options)


class Words(UnicodeConverter):
    """A part of an address in words. One with a NUL is not found: PostgreSQL refuses to compare such a text."""

    def to_python(self, value: str) -> str:
        if "\0" in value:
            raise ValidationError
        return value


class Shop(Flask):
    """The application. A request whose transaction the database refused is tried again, whole."""

    jinja_environment = FoldingEnvironment
    session_interface = Cookies()

    def __init__(self, *names: Any, **options: Any) -> None:
        super().__init__(*names, **options)
        self.url_map.converters |= {"int": RowNumber, "default": Words, "string": Words}

    def dispatch_request(self) -> Any:
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return super().dispatch_request()
        return retried(super().dispatch_request)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing here is asynchronous; Flask need not look for it ten times a request."""
        return func


def safe_next(target: str | None) -> str | None:
    """`target` when it is a path of this site, else nothing: `next` must never lead elsewhere (trust: T-060)."""
    if not target or len(target) > LONGEST_ADDRESS or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    if any(ord(letter) < 32 or letter == "\\" for letter in target):
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target


def whole_number(text: str | None) -> int | None:
    """The number that a form or an address names, when a key of ours can be it: ASCII digits, 63 bits."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > 18:
        return None
    return int(text)


def link_to(endpoint: str, **values: Any) -> str:
    """The full address of a page, from the configured base address: never from what a request claims (trust: T-061)."""
    config: Config = current_app.extensions["shop.config"]
    base = urlsplit(config.base_url)
    adapter = current_app.url_map.bind(base.netloc, url_scheme=base.scheme)
    return adapter.build(endpoint, values, force_external=True)


def content_security_policy(app: Flask) -> str:
    """The policy of every page. Hosts that a form may lead to are those of the gateways in use (trust: T-052)."""
    hosts: list[str] = app.extensions.get("shop.form_hosts", [])
    return "; ".join(
        [
            "default-src 'self'",
            "img-src 'self' data:",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            " ".join(["form-action 'self'", *hosts]),
            "report-uri /csp",
        ]
    )


def with_headers(app: Flask) -> "Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]":
    """The application as it is served, each answer with the headers of the house that it does not have already: style sheets
    too, which are served without passing through Flask."""
    config: Config = app.extensions["shop.config"]
    usual = HEADERS | (TRANSPORT if config.secure_cookies else {})
    usual |= {"Content-Security-Policy": content_security_policy(app), "Cache-Control": "no-store"}
    named = [(name.lower(), (name, value)) for name, value in usual.items()]
    inner = app.wsgi_app

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *failure: Any) -> Callable[[bytes], object]:
            there = {name.lower() for name, _value in headers}
            return start_response(status, [*headers, *(pair for name, pair in named if name not in there)], *failure)

        return inner(environ, start)

    return serve


def error_page(
    code: int,
    sentence: str,
    retry_after: int | None = None,
    reference: str = "",
    again: str | None = None,
    way_on: tuple[str, str] | None = None,
) -> Response:
    """The page for a request that went wrong, with a sentence that says what to do next. `again` is the address of the page
    that it was made from, where one can go on; `way_on` is the address and the words of another page that leads further."""
    if way_on is None:
        way_on = (again, _("Recharger la page")) if again else ("/", _("Retour à l’accueil"))
    titles = {
        400: _("Demande incomprise"),
        403: _("Accès refusé"),
        404: _("Page introuvable"),
        405: _("Cette page s’ouvre autrement"),
        409: _("La situation a changé"),
        410: _("Ce lien ne sert plus"),
        413: _("Envoi trop volumineux"),
        422: _("À corriger"),
        429: _("Trop d’essais"),
        500: _("Un incident est survenu"),
        503: _("Service très demandé"),
    }
    page = render_template(
        "errors/error.html",
        code=code,
        title=titles.get(code, _("Demande impossible")),
        sentence=sentence,
        reference=reference,
        next_url=way_on[0],
        next_label=way_on[1],
    )
    response = Response(page, status=code)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _on_refusal(refusal: Refusal) -> Response:
    retry_after = refusal.retry_after if isinstance(refusal, TooMany | Busy) else None
    return error_page(refusal.status, refusal.sentence, retry_after)


def _on_http_error(error: HTTPException) -> Response:
    sentences = {
        400: _("Cette demande n’a pas été comprise. Revenez à la page précédente et recommencez."),
        403: _("Vous n’avez pas accès à cette page."),
        404: _("Cette page n’existe pas, ou elle n’est pas à vous."),
        405: _("Cette adresse ne s’ouvre pas de cette façon. Revenez à la page précédente et utilisez ses boutons."),
        413: _("L’envoi est trop volumineux."),
        429: _("Trop d’essais de suite. Patientez un peu avant de recommencer."),
    }
    code = error.code or 500
    if code < 400:
        return error.get_response()  # type: ignore[return-value]
    retry_after = 60 if code == 429 else None
    page = error_page(code, sentences.get(code, _("Cette demande ne peut pas aboutir.")), retry_after)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        page.headers["Allow"] = ", ".join(sorted(allowed))
    return page


def _on_csrf_error(error: CSRFError) -> Response:
    sentence = _("La page était ouverte depuis trop longtemps. Rien n’a été enregistré : rechargez-la et recommencez.")
    return error_page(400, sentence, again=way_back())


def _page_name() -> str:
    """The page of the request as the URL map writes it: an address itself may hold the key of a link."""
    return str(request.url_rule or "")


def _on_crash(error: Exception) -> Response:
    # What failed may be the very search for the visitor, which the page's header would begin again.
    ask_nobody_who_it_is()
    if isinstance(error, DBAPIError) and (is_contention(error) or is_unreachable(error)):
        log.warning("database busy or away", page=_page_name(), error=type(error.orig).__name__)
        return _on_refusal(Busy())
    reference = secrets.token_hex(4)
    log.error("request failed", reference=reference, page=_page_name(), method=request.method, exc_info=error)
    sentence = _("L’incident est noté. Rien n’a été débité deux fois : vérifiez « Mes crédits » avant de recommencer.")
    return error_page(500, sentence, reference=reference)


def init_web(app: Flask) -> None:
    """Error pages, CSRF, and what templates may count on."""
    config: Config = app.extensions["shop.config"]
    app.config.update(
        SECRET_KEY=config.secret_key,
        SECRET_KEY_FALLBACKS=list(config.secret_key_fallbacks),
        SESSION_COOKIE_NAME="__Host-session" if config.secure_cookies else "session",
        SESSION_COOKIE_SECURE=config.secure_cookies,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=12 * 3600,
        MAX_CONTENT_LENGTH=MAX_UPLOAD_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_UPLOAD_BYTES,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
        TRUSTED_HOSTS=list(config.trusted_hosts) or None,
        WTF_CSRF_TIME_LIMIT=12 * 3600,
        WTF_CSRF_SSL_STRICT=False,
        TEMPLATES_AUTO_RELOAD=False,
    )
    if config.proxy_count:
        hops = config.proxy_count
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.teardown_appcontext(let_go_of_rows)
    csrf.init_app(app)
    app.register_error_handler(CSRFError, _on_csrf_error)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(Refusal, _on_refusal)
    app.register_error_handler(Exception, _on_crash)

    init_templates(app, ROOT / "static", {"csrf_token": csrf_token, "get_flashed_messages": get_flashed_messages})
    environment = app.jinja_env
    environment.filters.update(french.FILTERS)
    environment.globals.update(
        **french.GLOBALS,
        site=Site(config.site_name, config.demo, not config.production),
        link_to=link_to,
    )

    @app.context_processor
    def give() -> dict[str, Any]:
        return {"visitor": find_visitor() if has_request_context() else None}
