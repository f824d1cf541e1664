"""The audit trail shows every change made to it (trust: T-070)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta, timezone

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from shop import audit
from shop.audit import Broken
from shop.database import transaction
from tests.conftest import OpenSession
from tests.factory import Town
from tests.races.together import together


@pytest.fixture
def trail(town: Town, write: OpenSession) -> Town:
    """A trail of five lines, and one of another régie."""
    other = town.another_regie()
    with write() as db:
        for number in range(1, 6):
            facts = {"number": number, "reason": "à vérifier", "list": [1, None, True]}
            audit.note(db, town.regie_id, None, "tested", f"thing:{number}", facts, town.now)
        audit.note(db, other.regie_id, None, "tested", "thing:1", {}, town.now)
    return town


@contextmanager
def tampering(app: Flask) -> Iterator[Session]:
    """A session without the triggers that refuse it; all of it is undone at the end."""
    with app.extensions["shop.database"].engine.connect().execution_options(begin=None) as connection:
        connection.exec_driver_sql("BEGIN")
        if connection.dialect.name == "sqlite":
            for verb in ("update", "delete"):
                connection.exec_driver_sql(f"DROP TRIGGER audit_lines_no_{verb}")
        else:
            connection.exec_driver_sql("ALTER TABLE audit_lines DISABLE TRIGGER append_only")
        with Session(bind=connection) as db:
            yield db
        connection.rollback()


def test_an_untouched_trail_holds(trail: Town, read: OpenSession) -> None:
    with read() as db:
        assert audit.find_breaks(db) == []


SWAP = """
    UPDATE audit_lines SET number = CASE number WHEN 2 THEN -3 ELSE -2 END WHERE number IN (2, 3) AND regie_id = 1;
    UPDATE audit_lines SET number = -number WHERE number < 0
"""


@pytest.mark.parametrize(
    ("tamper", "first_bad"),
    [
        ("UPDATE audit_lines SET action = 'other' WHERE number = 3", 3),
        ("UPDATE audit_lines SET subject = 'other' WHERE number = 1 AND regie_id = 1", 1),
        ("UPDATE audit_lines SET facts = '{}' WHERE number = 4", 4),
        ("UPDATE audit_lines SET at = '2020-01-01 00:00:00' WHERE number = 5", 5),
        ("UPDATE audit_lines SET previous = digest WHERE number = 2", 2),
        ("UPDATE audit_lines SET digest = previous WHERE number = 2", 2),
        ("DELETE FROM audit_lines WHERE number = 3", 3),
        ("DELETE FROM audit_lines WHERE number = 1 AND regie_id = 1", 1),
        # Cut off at the end: the head remembers how long the chain was.
        ("DELETE FROM audit_lines WHERE number >= 4", 4),
        ("DELETE FROM audit_lines WHERE number = 5", 5),
        (SWAP, 2),
        ("UPDATE audit_heads SET number = 4 WHERE regie_id = 1", 6),
    ],
)
def test_what_was_tampered_with_is_named(trail: Town, app: Flask, tamper: str, first_bad: int) -> None:
    with tampering(app) as db:
        for statement in tamper.split(";"):
            db.execute(text(statement))
        assert audit.find_breaks(db) == [Broken(1, first_bad)]


def test_the_moment_counts_and_not_how_its_zone_is_written(town: Town, write: OpenSession, read: OpenSession) -> None:
    with write() as db:
        audit.note(db, 1, None, "tested", "thing", {}, town.now.astimezone(timezone(timedelta(hours=5))))
    with read() as db:
        assert audit.find_breaks(db) == []


def test_lines_noted_at_the_same_time_make_one_chain(app: Flask, town: Town, read: OpenSession) -> None:
    def noting(number: int) -> Callable[[], None]:
        def note() -> None:
            with transaction() as db:
                audit.note(db, town.regie_id, None, "tested", f"thing:{number}", {}, town.now)

        return note

    assert together(app, [noting(number) for number in range(12)]) == [None] * 12
    with read() as db:
        assert audit.find_breaks(db) == []
        assert db.execute(text("SELECT number FROM audit_heads")).scalar_one() == 12


def test_a_line_of_a_transaction_that_failed_leaves_no_gap(town: Town, read: OpenSession, write: OpenSession) -> None:
    def fail() -> None:
        with write() as db:
            audit.note(db, 1, None, "tested", "thing", {}, town.now)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with write() as db:
        audit.note(db, 1, None, "tested", "thing", {}, town.now)
    with read() as db:
        assert audit.find_breaks(db) == []
