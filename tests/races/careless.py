"""The shop with its all-or-nothing broken on purpose: a control, never served to anybody but a test."""

import time
from collections.abc import Sequence
from datetime import datetime

from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

import wallet.operations
from app import create_app as build
from wallet.operations import Entry


def create_app() -> Flask:
    """The shop, but a wallet payment commits its order and its places before it moves the money."""

    honest = wallet.operations.enter_all

    def enter_all(db: Session, entries: Sequence[Entry], now: datetime) -> dict[str, int]:
        db.commit()
        db.execute(text("SELECT 1"))
        time.sleep(0.1)
        return honest(db, entries, now)

    wallet.operations.enter_all = enter_all
    return build()
