"""The signed cookie of a browser and the tokens of its forms: Flask's and Flask-WTF's own, their signers made once.

Both libraries make a signer for every cookie and token they read or write, which costs more than the signing.
"""

import hashlib
from functools import lru_cache

from flask import Flask, Response, current_app, g, session
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import generate_csrf
from itsdangerous import URLSafeTimedSerializer

# The function itself instead of the libraries' lazy one: with it, HMAC is computed by OpenSSL.
_DIGEST = staticmethod(hashlib.sha1)


class Cookies(SecureCookieSessionInterface):
    """Flask's sessions in signed cookies."""

    digest_method = _DIGEST

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        keys = (app.secret_key, *(app.config["SECRET_KEY_FALLBACKS"] or ()))
        signers: dict[object, URLSafeTimedSerializer | None] = app.extensions.setdefault("shop.cookies", {})
        if keys not in signers:
            signers[keys] = super().get_signing_serializer(app)
        return signers[keys]

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write the cookie where the page has changed it (`SESSION_REFRESH_EACH_REQUEST` is off)."""
        if session.modified:
            super().save_session(app, session, response)
        elif session.accessed:
            response.headers.add("Vary", "Cookie")


@lru_cache(maxsize=4)
def _token_signer(key: str | bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt="wtf-csrf-token", signer_kwargs={"digest_method": _DIGEST.__func__})


def csrf_token() -> str:
    """The token that a form carries, as Flask-WTF makes it and reads it back."""
    if "csrf_token" not in g and "csrf_token" in session:
        g.csrf_token = _token_signer(current_app.secret_key or "").dumps(session["csrf_token"])
    token: str = generate_csrf()
    return token
