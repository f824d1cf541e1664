"""The signed cookie of a browser and the tokens of its forms: Flask's and Flask-WTF's own, their signers made once.

Both libraries make a signer for every cookie and token they read or write, which costs more than the signing.
"""

import hashlib
from functools import lru_cache

from flask import Flask, Response, current_app, g, session
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import generate_csrf
from itsdangerous import TimestampSigner, URLSafeTimedSerializer


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

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write the cookie where the page has changed it (`SESSION_REFRESH_EACH_REQUEST` is off)."""
        if session.modified:
            super().save_session(app, session, response)
        elif session.accessed:
            response.headers.add("Vary", "Cookie")


def csrf_token() -> str:
    """The token that a form carries, as Flask-WTF makes it and reads it back."""
    if "csrf_token" not in g and "csrf_token" in session:
        g.csrf_token = _token_signer(current_app.config["SECRET_KEY"]).dumps(session["csrf_token"])
    token: str = generate_csrf()
    return token
