"""Tries at the same moment cannot slip past each other; of two uses of a link or a code at once, one counts."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from accounts import second_factor
from accounts.models import Account
from shop import tries
from shop.clock import StoppedClock
from shop.database import insert_missing, transaction
from shop.errors import Refusal
from shop.models import Tries
from tests.accounts.conftest import GOOD, path_in
from tests.conftest import OpenSession, SendLetters, Submit
from tests.factory import Town

pytestmark = pytest.mark.race

AT_ONCE = 12


def together(work: Callable[[], Any]) -> Counter[Any]:
    """What `work` gave in each of twelve threads that start it at the same moment."""
    gate, given, lock = threading.Barrier(AT_ONCE), Counter[Any](), threading.Lock()

    def run() -> None:
        gate.wait()
        result = work()
        with lock:
            given[result] += 1

    threads = [threading.Thread(target=run) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return given


def guess(app: Flask, submit: Submit, email: str) -> int:
    return submit(app.test_client(), "/connexion", {"email": email, "password": "pas le bon mot"}).status_code


def test_twelve_guesses_at_once_are_five(app: Flask, submit: Submit, town: Town) -> None:
    email = town.family().email
    assert together(lambda: guess(app, submit, email)) == {422: 5, 429: AT_ONCE - 5}


def test_without_the_lock_more_would_slip_past(
    app: Flask, submit: Submit, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    if app.extensions["shop.database"].is_sqlite:
        pytest.skip("on SQLite the writing transaction itself is the lock")

    def check_then_count(db: Session, purpose: str, subject: str, now: datetime, free: int, **_: Any) -> None:
        key = tries.key_of(purpose, subject)
        before = db.scalar(select(Tries.count).where(Tries.key == key)) or 0
        time.sleep(0.1)
        if before >= free:
            tries._refuse(now, now)
        insert_missing(db, Tries, {"key": key, "count": 0, "since": now})
        db.execute(update(Tries).where(Tries.key == key).values(count=before + 1))

    monkeypatch.setattr(tries, "take", check_then_count)
    email = town.family().email
    assert together(lambda: guess(app, submit, email))[422] > 5


def test_a_reset_link_serves_once(app: Flask, submit: Submit, town: Town, letters: SendLetters) -> None:
    family = town.family()
    submit(app.test_client(), "/mot-de-passe-oublie", {"email": family.email})
    path = path_in(letters()[0])
    codes = together(lambda: submit(app.test_client(), path, {"password": GOOD}).status_code)
    assert codes == {303: 1, 410: AT_ONCE - 1}


def test_a_code_of_the_telephone_serves_once(
    app: Flask, town: Town, clock: StoppedClock, write: OpenSession, read: OpenSession
) -> None:
    account_id, secret = town.account().account_id, second_factor.new_secret()
    with write() as db:
        second_factor.enrol(db, account_id, secret, pyotp.TOTP(secret).at(clock.moment), clock.moment)
    later = clock.moment.timestamp() + 60
    code = pyotp.TOTP(secret).at(int(later))

    def show() -> str:
        with app.app_context():
            try:
                with transaction() as db:
                    second_factor.check_code(db, account_id, code, datetime.fromtimestamp(later, clock.moment.tzinfo))
            except Refusal:
                return "refused"
            return "accepted"

    assert together(show) == {"accepted": 1, "refused": AT_ONCE - 1}
    with read() as db:
        assert db.scalars(select(Account.totp_last_step).where(Account.id == account_id)).one() == int(later) // 30
