"""The signed cookie of a browser and the tokens of its forms: Flask's and Flask-WTF's own, their signers made once.

Both libraries make a signer for every cookie and token they read or write, which costs more than the signing.
"""

import hashlib
import hmac
from copy import deepcopy
from functools import lru_cache
from typing import Any

from flask import Flask, Request, Response, current_app, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import CSRFProtect, generate_csrf
from itsdangerous import BadData, BadSignature, TimestampSigner, URLSafeTimedSerializer

from shop.clock import request_now
from shop.kept import kept


class _Signer(TimestampSigner):
    """The libraries' signer, which derives each key once, and by the hash function itself instead of a lazy one: with it,
    HMAC is computed by OpenSSL."""

    default_digest_method = staticmethod(hashlib.sha1)

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        return _derived(self.salt, self.secret_keys[-1] if secret_key is None else secret_key, self.key_derivation)


@lru_cache(maxsize=16)
def _derived(salt: bytes, secret_key: str | bytes, key_derivation: str) -> bytes:
    return TimestampSigner(secret_key, salt, key_derivation=key_derivation).derive_key()


@lru_cache(maxsize=16)
def _cookie_signer(*keys: str) -> URLSafeTimedSerializer:
    """What reads and writes cookies; the newest key is the last."""
    options = {"key_derivation": Cookies.key_derivation}
    return URLSafeTimedSerializer(list(keys), Cookies.salt, Cookies.serializer, signer=_Signer, signer_kwargs=options)


@lru_cache(maxsize=16)
def _token_signer(key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, "wtf-csrf-token", signer=_Signer)


class Cookies(SecureCookieSessionInterface):
    """Flask's sessions in signed cookies."""

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        return _cookie_signer(*app.config["SECRET_KEY_FALLBACKS"], app.config["SECRET_KEY"])

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        """What the browser's cookie holds, if it is ours and not too old."""
        cookie = request.cookies.get(self.get_cookie_name(app))
        if not cookie:
            return self.session_class()
        keys = (*app.config["SECRET_KEY_FALLBACKS"], app.config["SECRET_KEY"])
        opened = _opened(keys, cookie, int(app.permanent_session_lifetime.total_seconds()), _this_minute())
        if opened is None:
            return self.session_class()
        facts, simple = opened
        return self.session_class(facts.copy() if simple else deepcopy(facts))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write the cookie where the page has changed it (`SESSION_REFRESH_EACH_REQUEST` is off)."""
        if session.modified:
            super().save_session(app, session, response)
        elif session.accessed:
            response.headers.add("Vary", "Cookie")


@lru_cache(maxsize=4096)
def _opened(keys: tuple[str, ...], cookie: str, max_age: int, _minute: int) -> tuple[dict[str, Any], bool] | None:
    """What a cookie holds, and whether a copy of that is as good as a new one; its signature is computed once a minute."""
    try:
        facts: dict[str, Any] = _cookie_signer(*keys).loads(cookie, max_age=max_age)
    except BadSignature:
        return None
    return facts, all(isinstance(value, str | int) for value in facts.values())


def _this_minute() -> int:
    return int(request_now().timestamp()) // 60


def csrf_token() -> str:
    """The token that a form carries, as Flask-WTF makes it and reads it back."""
    here = kept()
    if "csrf_token" not in here:
        secret = session.get("csrf_token")
        here["csrf_token"] = generate_csrf() if secret is None else _token(_key(), secret, _this_minute())
    token: str = here["csrf_token"]
    return token


@lru_cache(maxsize=4096)
def _token(key: str, secret: str, _minute: int) -> str:
    """The token of a browser, the same for a minute: it is dated when it is first asked for."""
    return str(_token_signer(key).dumps(secret))


def _key() -> str:
    key: str = current_app.config["SECRET_KEY"]
    return key


class Csrf(CSRFProtect):  # type: ignore[misc]
    """Flask-WTF's protection. A token that is good is seen to be so at once; what is not is the library's to judge."""

    def protect(self, apply_exemptions: bool = False) -> None:
        """Let pass what only reads, and a form that bears this browser's token."""
        if request.method not in current_app.config["WTF_CSRF_METHODS"]:
            return
        exempt = apply_exemptions and self._is_exempt()
        if not exempt and _is_good(request.form.get("csrf_token")):
            g.csrf_valid = True
        else:
            super().protect(apply_exemptions)


def _is_good(token: str | None) -> bool:
    secret = session.get("csrf_token")
    if not token or not isinstance(secret, str):
        return False
    try:
        shown = _token_signer(_key()).loads(token, max_age=current_app.config["WTF_CSRF_TIME_LIMIT"])
    except BadData:
        return False
    return isinstance(shown, str) and hmac.compare_digest(secret.encode(), shown.encode())
