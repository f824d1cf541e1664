"""The signed address by which somebody turns a kind of reminder off without signing in. It says whose and which, and opens
nothing else; so it does not lapse, however old the e-mail."""

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer

from checkout.errors import ReminderOver
from checkout.reminders.models import KINDS
from shop.config import Config
from shop.web import link_to


def _signer() -> URLSafeSerializer:
    config: Config = current_app.extensions["shop.config"]
    # The newest key signs; all of them are accepted.
    return URLSafeSerializer([*reversed(config.secret_key_fallbacks), config.secret_key], salt="reminders")


def stop_url(account_id: int, kind: str) -> str:
    """The address that turns a kind of reminder off for an account."""
    return link_to("reminders.stop", stop_key=_signer().dumps([account_id, kind]))


def read_stop(token: str) -> tuple[int, str]:
    """The account and the kind that an address of ours means. Raises `ReminderOver` for any other."""
    try:
        account_id, kind = _signer().loads(token)
    except (BadSignature, TypeError, ValueError) as wrong:
        raise ReminderOver from wrong
    if not isinstance(account_id, int) or kind not in KINDS:
        raise ReminderOver
    return account_id, kind
