"""How SQLite finds rows: no page reads a whole table that grows with the families. (PostgreSQL decides by what it counts.)"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, select

from orders.models import Reservation
from shop.database import reading
from tests.conftest import SignIn, Submit
from tests.factory import Town
from tests.house.test_pages import World, readable
from tests.house.test_pages import world as world

SMALL = {"alembic_version", "communes", "regies", "school_limits", "schools", "services", "tariffs"}
"""Tables that grow with the towns only."""

Sent = dict[str, Any]
"""Statements and the values of one time they were sent."""


@contextmanager
def noting(engine: Engine) -> Iterator[Sent]:
    """What is read and changed while the block runs."""
    sent: Sent = {}

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            sent[statement] = tuple(values)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def read_whole(engine: Engine, sent: Sent) -> set[str]:
    """The tables, but for the small ones, that SQLite would read from one end to the other for these statements."""
    found = set()
    with engine.connect() as connection:
        for statement, values in sent.items():
            for *_numbers, step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values):
                if scanned := re.match(r"SCAN (\w+)\b(?! VIRTUAL)", step):
                    alias = re.search(rf"(\w+) AS {scanned[1]}\b", statement)
                    found.add(alias[1] if alias else scanned[1])
    return {name for name in found - SMALL if not re.fullmatch(r"anon_\d+|CONSTANT", name)}


@pytest.fixture
def engine(app: Flask) -> Engine:
    """The database's engine; SQLite's only."""
    database = app.extensions["shop.database"]
    if not database.is_sqlite:
        pytest.skip("sqlite only")
    found: Engine = database.engine
    return found


@pytest.mark.parametrize("who", ["anonymous", "parent", "clerk"])
def test_no_page_reads_a_whole_table(
    app: Flask, engine: Engine, world: World, client: FlaskClient, sign_in: SignIn, who: str
) -> None:
    if who != "anonymous":
        sign_in(client, world.parent if who == "parent" else world.clerk)
    for rule, url in readable(app, world):
        with noting(engine) as sent:
            client.get(url)
        assert read_whole(engine, sent) == set(), rule


def test_a_purchase_reads_no_whole_table(
    engine: Engine, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit
) -> None:
    family, canteen = town.family(balance_cents=5000), town.aiguilhe.canteen
    sign_in(client, family)
    meal = f"{family.beneficiary_ids[0]}.{canteen.open_days(town.now)[-1].isoformat()}"
    with noting(engine) as sent:
        submit(client, f"/reserver/aiguilhe/{canteen.slug}", {"ajouter": "1", "repas": meal})
        basket = re.search(r'porte-monnaie".*?name="panier" value="(\d+)"', client.get("/panier").text, re.DOTALL)
        assert basket is not None
        paid = submit(client, "/panier/payer/porte-monnaie", {"panier": basket[1], "total": "380"})
        assert "/commandes/" in paid.location
        client.get(paid.location)
    assert any("UPDATE service_days" in statement for statement in sent)
    assert read_whole(engine, sent) == set()


def test_a_whole_table_is_seen(app: Flask, engine: Engine) -> None:
    with app.app_context(), noting(engine) as sent, reading() as db:
        db.execute(select(Reservation.id).where(Reservation.cents == 380))
    assert read_whole(engine, sent) == {"reservations"}
