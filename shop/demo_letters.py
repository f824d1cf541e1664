"""Pages of a demonstration alone: the letters that left, and who can sign in. Registered in no other mode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyotp
from flask import Blueprint, Response, current_app, render_template, request
from sqlalchemy import func, select

from shop.access import open_to_all
from shop.clock import request_now
from shop.database import reading
from shop.errors import NotFound
from shop.models import Outbox
from shop.outbox import Message, read_composed
from shop.web import whole_number

blueprint = Blueprint("demo", __name__, url_prefix="/demo")

PAGE = 30
MOST_PAGES = 10_000
LETTER_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
"""A letter as mail programs show it: its own style, nothing else; its links open beside it."""


@dataclass(frozen=True)
class DemoAccount:
    """Somebody who can sign in to the demonstration."""

    role: str
    name: str
    email: str
    password: str
    commune: str | None
    totp_secret: str | None


@dataclass(frozen=True)
class SentLetter:
    """A letter that left, as its reader got it."""

    id: int
    recipient: str
    sent_at: datetime
    message: Message


def _as_sent(row: Outbox) -> SentLetter:
    return SentLetter(row.id, row.recipient, row.sent_at or row.created_at, read_composed(row))


def _find(letter_id: int) -> SentLetter:
    with reading() as db:
        row = db.get(Outbox, letter_id)
        if row is None or row.composed is None:
            raise NotFound
        return _as_sent(row)


@blueprint.get("/lettres")
@open_to_all
def letters() -> str:
    """The letters that left, newest first; `pour` keeps those to one address, `page` counts from 1."""
    to = request.args.get("pour", "").replace("\0", "").strip()[:254]
    number = min(whole_number(request.args.get("page")) or 1, MOST_PAGES)
    query = select(Outbox).where(Outbox.composed.is_not(None))
    counting = select(func.count()).select_from(Outbox).where(Outbox.composed.is_not(None))
    if to:
        query, counting = query.where(Outbox.recipient == to), counting.where(Outbox.recipient == to)
    with reading() as db:
        count = db.scalar(counting) or 0
        waiting = db.scalar(select(func.count()).select_from(Outbox).where(Outbox.sent_at.is_(None))) or 0
        rows = db.scalars(
            query.order_by(Outbox.sent_at.desc(), Outbox.id.desc()).limit(PAGE).offset((number - 1) * PAGE)
        )
        lines = [_as_sent(row) for row in rows]
    pages = max((count + PAGE - 1) // PAGE, 1)
    return render_template(
        "demo/letters.html", letters=lines, to=to, count=count, waiting=waiting, page=number, pages=pages
    )


@blueprint.get("/lettres/<int:letter_id>")
@open_to_all
def letter(letter_id: int) -> str:
    """One letter: its text with links that can be followed, and its HTML in a frame."""
    return render_template("demo/letter.html", letter=_find(letter_id))


@blueprint.get("/lettres/<int:letter_id>/html")
@open_to_all
def letter_html(letter_id: int) -> Response:
    """The HTML part of a letter, alone and locked in."""
    # Links of a framed letter open in a window of their own: in the frame, every page refuses to be shown.
    page = _find(letter_id).message.html.replace("<head>", '<head><base target="_blank">', 1)
    response = Response(page)
    response.headers["Content-Security-Policy"] = LETTER_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


@blueprint.get("/connexions")
@open_to_all
def accounts() -> str:
    """Who can sign in, with which password, and the code of the second factor at this moment."""
    list_accounts: Callable[[], Sequence[DemoAccount]] = current_app.extensions["shop.demo_accounts"]
    now = request_now()
    found = [
        (account, pyotp.TOTP(account.totp_secret).at(now) if account.totp_secret else None)
        for account in list_accounts()
    ]
    return render_template("demo/accounts.html", accounts=found)
