"""What the tests of this room share."""

import re
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from accounts.models import (
    Account,
    AccountLink,
    Beneficiary,
    Consent,
    Household,
    HouseholdBeneficiary,
    LoginSession,
    RecoveryCode,
)
from shop.models import Outbox
from tests.conftest import OpenSession

GOOD = "le petit chat dort"
PERSON: dict[str, Any] = {
    "title": "Mme",
    "first_name": "Marie",
    "last_name": "Dupont",
    "email": "marie.dupont@example.org",
    "password": GOOD,
    "terms": "y",
}


def path_in(letter: EmailMessage) -> str:
    """The path of the first link of ours in a letter."""
    body = letter.get_body(("plain",))
    assert body is not None
    found = re.search(r"http://localhost(/\S+)", body.get_content())
    assert found, body.get_content()
    return found.group(1)


Moved = Callable[[], tuple[Any, ...]]


@pytest.fixture
def snapshot(app: Flask, read: OpenSession) -> Moved:
    """`snapshot()` — everything of this room that could move, to compare before and after a refusal."""

    def taken() -> tuple[Any, ...]:
        with read() as db:
            rows = [
                db.execute(select(*model.__table__.columns).order_by(model.id)).all()
                for model in (Account, AccountLink, Beneficiary, Consent, Household, HouseholdBeneficiary, RecoveryCode)
            ]
            sessions = db.execute(select(LoginSession.id, LoginSession.ended_at).order_by(LoginSession.id)).all()
            letters = db.scalar(select(func.count()).select_from(Outbox))
        return (*rows, sessions, letters)

    return taken
