"""How many SQL statements pages and flows take, counted inside the process."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event
from werkzeug.test import TestResponse

import bench.byhand
from bench.town import COMMUNE, SERVICE, START, Buyer, Town

BOOKING = f"/reserver/{COMMUNE}/{SERVICE}"
PAY = "/panier/payer/porte-monnaie"
PAYING_MEALS = (1, 6, 30, 180)
_TO_PAY = re.compile(r'payer/porte-monnaie".*?name="panier" value="(\d+)".*?name="total" value="(\d+)"', re.DOTALL)


@dataclass(frozen=True)
class Count:
    """A page or a flow: its requests and its statements. BEGIN, COMMIT and ROLLBACK are not among them."""

    what: str
    requests: int
    statements: int


@dataclass
class Tally:
    """Statements that an engine has sent."""

    sent: list[str] = field(default_factory=list)


@contextmanager
def counting(engine: Engine) -> Iterator[Tally]:
    """Count what the engine sends while the block runs."""
    tally = Tally()

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            tally.sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield tally
    finally:
        event.remove(engine, "before_cursor_execute", note)


class Walker:
    """A buyer's browser inside the process."""

    def __init__(self, town: Town, buyer: Buyer) -> None:
        self.town, self.buyer = town, buyer
        self.client: FlaskClient = town.app.test_client()
        name, _, value = town.cookie(buyer, START).partition("=")
        self.client.set_cookie(name, value)
        self.requests = 0

    def get(self, path: str) -> TestResponse:
        """Open a page."""
        return self._expect(200, self.client.get(path))

    def post(self, path: str, **fields: Any) -> str:
        """Send a form; where the answer leads."""
        form = {"csrf_token": self.town.csrf_token(self.buyer), **fields}
        return self._expect(303, self.client.post(path, data=form)).headers["Location"]

    def _expect(self, status: int, answer: TestResponse) -> TestResponse:
        self.requests += 1
        if answer.status_code != status:
            raise RuntimeError(f"{answer.request.path}: {answer.status}\n{answer.get_data(as_text=True)[-3000:]}")
        return answer

    def buy(self, meals: int) -> None:
        """A whole purchase: booking page, add, basket, pay, confirmation."""
        self.get(BOOKING)
        basket = self.post(BOOKING, ajouter="1", repas=self.town.codes(self.buyer, meals))
        found = _TO_PAY.search(self.get(basket).get_data(as_text=True))
        if found is None:
            raise RuntimeError("the basket cannot be paid")
        self.get(self.post(PAY, panier=found[1], total=found[2]))


def count_statements(town: Town) -> list[Count]:
    """Every page and flow, once."""
    engine = town.app.extensions["shop.database"].engine
    found: list[Count] = []
    one, four = town.buyers(1, children=1)[0], town.buyers(1)[0]
    # The first page of a process also asks what PostgreSQL's driver and the templates want to know once.
    Walker(town, one).get(BOOKING)

    def note(what: str, walker: Walker, tally: Tally) -> None:
        found.append(Count(what, walker.requests, len(tally.sent)))

    for what, path in (("Home page", "/"), ("Home page, signed in", "/")):
        with counting(engine) as tally:
            walker = Walker(town, four)
            if what == "Home page":
                walker.client = town.app.test_client()
            walker.get(path)
        note(what, walker, tally)
    for buyer, children in ((one, "1 child"), (four, "4 children")):
        for period, words in (("", "a month"), ("?periode=vacances", "until the holidays")):
            walker = Walker(town, buyer)
            with counting(engine) as tally:
                walker.get(BOOKING + period)
            note(f"Booking page, {children}, {words}", walker, tally)
    for meals in PAYING_MEALS:
        walker = Walker(town, town.buyers(1)[0])
        with counting(engine) as tally:
            basket = walker.post(BOOKING, ajouter="1", repas=town.codes(walker.buyer, meals))
        note(f"Add {meals} to the basket", walker, tally)
        walker.requests = 0
        with counting(engine) as tally:
            page = walker.get(basket).get_data(as_text=True)
        note(f"Basket of {meals}", walker, tally)
        walker.requests = 0
        match = _TO_PAY.search(page)
        assert match is not None
        with counting(engine) as tally:
            order = walker.post(PAY, panier=match[1], total=match[2])
        note(f"Pay {meals}", walker, tally)
        walker.requests = 0
        with counting(engine) as tally:
            walker.get(order)
        note(f"Confirmation of {meals}", walker, tally)
    for meals in (1, 6, 30):
        walker = Walker(town, town.buyers(1)[0])
        with counting(engine) as tally:
            walker.buy(meals)
        note(f"Whole purchase of {meals}", walker, tally)
    return found


def count_by_hand(town: Town) -> dict[int, int]:
    """The statements of the hand-written paying view, by meals."""
    engine: Engine = town.app.extensions["shop.database"].engine
    client = _by_hand(engine).test_client()
    found = {}
    for meals in PAYING_MEALS:
        (basket,) = town.fill_baskets(town.buyers(1), meals)
        with counting(engine) as tally:
            answer = client.post("/payer", data={"panier": basket})
        assert answer.status_code == 303, answer.get_data(as_text=True)
        found[meals] = len(tally.sent)
    return found


def _by_hand(engine: Engine) -> Flask:
    return bench.byhand.create_app(engine)
