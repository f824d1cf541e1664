"""Browsers that have signed in before: they keep their own count of wrong passwords, so that a stranger who guesses at
an account cannot keep its owner out."""

import secrets
from dataclasses import dataclass

from flask import after_this_request, current_app, request
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.wrappers import Response

from shop.config import Config

A_YEAR = 365 * 86400
MOST_ACCOUNTS = 8
"""How many accounts one browser is known to: a family's, not a forger's."""


@dataclass(frozen=True)
class Device:
    """What the cookie says: a random name, and the accounts that signed in from here, the latest last."""

    name: str
    account_ids: tuple[int, ...]


def _signer(config: Config) -> URLSafeSerializer:
    # The newest key signs; all of them are accepted, so that a change of key forgets nobody.
    return URLSafeSerializer([*reversed(config.secret_key_fallbacks), config.secret_key], salt="device")


def _cookie(config: Config) -> str:
    return "__Host-device" if config.secure_cookies else "device"


def this_device() -> Device | None:
    """The browser of this request, when it carries a cookie of ours that nobody changed."""
    config: Config = current_app.extensions["shop.config"]
    try:
        said = _signer(config).loads(request.cookies.get(_cookie(config), ""))
        return Device(str(said["d"]), tuple(int(number) for number in said["a"]))
    except (BadSignature, KeyError, TypeError, ValueError):
        return None


def remember_device(account_id: int) -> None:
    """Let the answer to this request tell the browser that this account signed in here."""
    config: Config = current_app.extensions["shop.config"]
    known = this_device()
    if known is not None and known.account_ids[-1:] == (account_id,):
        return
    name = known.name if known else secrets.token_urlsafe(16)
    others = [number for number in (known.account_ids if known else ()) if number != account_id]
    value = _signer(config).dumps({"d": name, "a": [*others, account_id][-MOST_ACCOUNTS:]})

    @after_this_request
    def add_cookie(response: Response) -> Response:
        response.set_cookie(
            _cookie(config), value, max_age=A_YEAR, httponly=True, samesite="Lax", secure=config.secure_cookies
        )
        return response
