"""Throttling: a few tries are free, each one more costs twice the wait, and nobody is locked out for good."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from shop import tries
from shop.database import transaction
from shop.errors import TooMany
from shop.models import Tries
from tests.conftest import START, OpenSession
from tests.races.together import kinds_of_refusal, succeeded, together

MINUTE = timedelta(minutes=1)
TakeOne = Callable[..., None]


@pytest.fixture
def take(write: OpenSession) -> TakeOne:
    def take_one(now: datetime, subject: str = "a", free: int = 3) -> None:
        with write() as db:
            tries.take(db, "sign in", subject, now, free=free, window=MINUTE * 60, longest=MINUTE * 15)

    return take_one


def blocked_for(take: TakeOne, now: datetime, subject: str = "a") -> int:
    with pytest.raises(TooMany) as refused:
        take(now, subject)
    return refused.value.retry_after


def test_each_try_too_many_costs_twice_the_wait_up_to_the_longest(take: TakeOne) -> None:
    now = START
    for _ in range(3):
        take(now)
    waits = []
    for _ in range(6):
        waits.append(blocked_for(take, now))
        now += timedelta(seconds=waits[-1])
        take(now)
    assert waits == [61, 121, 241, 481, 901, 901]


def test_a_blocked_try_is_not_counted(take: TakeOne) -> None:
    for _ in range(3):
        take(START)
    first = blocked_for(take, START)
    assert [blocked_for(take, START) for _ in range(50)] == [first] * 50


def test_subjects_and_purposes_are_counted_apart(take: TakeOne, write: OpenSession) -> None:
    for _ in range(3):
        take(START)
    take(START, "b")
    with write() as db:
        tries.check(db, "reset", "a", START)


def test_after_the_window_everything_is_forgotten(take: TakeOne, read: OpenSession) -> None:
    for _ in range(2):
        take(START)
    take(START + MINUTE * 61)
    with read() as db:
        assert db.scalars(select(Tries.count)).all() == [1]


def test_a_try_that_turned_out_well_is_given_back(take: TakeOne, write: OpenSession) -> None:
    for _ in range(20):
        take(START)
        with write() as db:
            tries.give_back(db, "sign in", "a")


def test_who_has_shown_to_be_right_begins_anew(take: TakeOne, write: OpenSession) -> None:
    for _ in range(3):
        take(START)
    with write() as db:
        tries.forget(db, "sign in", "a")
    take(START)


def test_the_table_holds_no_address(take: TakeOne, read: OpenSession) -> None:
    take(START, "famille@example.org")
    with read() as db:
        assert [len(key) for key in db.scalars(select(Tries.key))] == [32]


def test_tries_made_at_the_same_time_do_not_slip_past_each_other(app: Flask) -> None:
    def take_one() -> None:
        with transaction() as db:
            tries.take(db, "sign in", "a", START, free=3, window=MINUTE * 60, longest=MINUTE * 15)

    results = together(app, [take_one] * 12)
    assert len(succeeded(results)) == 3
    assert kinds_of_refusal(results) == {"TooMany"}
