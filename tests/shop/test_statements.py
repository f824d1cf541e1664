"""Statements that are built once: their values, their rows, their errors."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, insert, select, update
from sqlalchemy.exc import IntegrityError

from catalog.models import Holiday, Regie, ServiceDay
from shop.database import reading, rows, transaction
from shop.statements import as_rows, numbers, run, run_all
from tests.factory import Town
from tests.races.together import the_database_of

_PAIRS = numbers("one", "two")
PAIRS = select(_PAIRS.c.one, _PAIRS.c.two)
HOLIDAY = insert(Holiday)


@pytest.mark.parametrize("pairs", [[], [(1, 2)], [(0, -3), (2**62, -(2**62)), (7, 7)], [(n, -n) for n in range(2000)]])
def test_rows_of_numbers_arrive_as_they_are(app: Flask, pairs: list[tuple[int, int]]) -> None:
    with app.app_context(), rows() as db:
        found = run(db, PAIRS, rows=as_rows(pairs))
    assert sorted(map(tuple, found)) == sorted(pairs)


def test_rows_of_numbers_change_rows(app: Flask, town: Town) -> None:
    wanted = numbers("day_id", "places")
    statement = update(ServiceDay).where(ServiceDay.id == wanted.c.day_id).values(capacity=wanted.c.places)
    with app.app_context():
        with transaction() as db:
            run(db, statement, rows=as_rows([(1, 41), (3, 63)]))
        with reading() as db:
            found = db.execute(
                select(ServiceDay.id, ServiceDay.capacity).where(ServiceDay.id <= 3).order_by(ServiceDay.id)
            )
            capacities = [tuple(row) for row in found]
    assert (capacities[0], capacities[2]) == ((1, 41), (3, 63))
    assert capacities[1][1] not in (41, 63)


def test_what_a_session_has_still_to_write_comes_first(app: Flask, town: Town) -> None:
    with app.app_context(), transaction() as db:
        town_regie = db.get_one(Regie, town.regie_id)
        town_regie.legal_name = "Régie de la Loire"
        assert run(db, select(Regie.legal_name).where(Regie.id == town.regie_id)).scalar() == "Régie de la Loire"


def test_a_session_that_was_undone_goes_on_over_a_connection_of_its_own(app: Flask, town: Town) -> None:
    names = select(Regie.legal_name).where(Regie.slug == "no such")
    with app.app_context(), transaction() as db:
        run(db, names)
        db.rollback()
        assert run(db, names) == []


def test_errors_are_the_librarys(app: Flask, town: Town) -> None:
    day = {"zone": "A", "label": "Toussaint", "first_day": town.now.date(), "last_day": town.now.date()}
    with app.app_context(), pytest.raises(IntegrityError), transaction() as db:
        run_all(db, HOLIDAY, [day, day])


def test_a_statement_that_failed_runs_again(app: Flask, town: Town) -> None:
    facts = {"label": "Toussaint", "first_day": town.now.date(), "last_day": town.now.date()}
    with app.app_context():
        with transaction() as db:
            run(db, HOLIDAY, zone="A", **facts)
        for _time in range(2):
            with pytest.raises(IntegrityError), transaction() as db:
                run(db, HOLIDAY, zone="A", **facts)
        with transaction() as db:
            run(db, HOLIDAY, zone="B", **facts)


def test_who_listens_may_change_what_is_sent(app: Flask) -> None:
    engine = the_database_of(app).engine

    def other(_c: Any, _cursor: Any, _statement: str, values: Any, _context: Any, _many: bool) -> tuple[str, Any]:
        return "SELECT 5, 6", None if engine.dialect.name == "postgresql" else ()

    event.listen(engine, "before_cursor_execute", other, retval=True)
    try:
        with app.app_context(), rows() as db:
            assert list(map(tuple, run(db, PAIRS, rows="[]"))) == [(5, 6)]
    finally:
        event.remove(engine, "before_cursor_execute", other)
