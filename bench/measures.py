"""What is measured of the served shop: hot pages, the paying request, whole purchases, several buyers, growth.

Everything is a ratio of two servers that take turns: a round of one, a round of the other, again and again, so that whatever
else the machine does meets both. The figure is the median of the rounds.
"""

import base64
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from urllib.parse import urlencode

from bench.alone import Recording
from bench.served import Request, Sample, Server, Visit, database_pid, gunicorn
from bench.statements import BOOKING, PAY, PAYING_MEALS
from bench.town import DATA_KEY, SECRET_KEY, START, Buyer, Town

PURCHASE_MEALS = (1, 6, 30)
ALONE_MEALS = 6
BUYERS = (1, 4, 8)
REQUESTS_OF_A_PURCHASE = 5
FAMILIES = 20


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds, and requests in each."""

    rounds: int
    pages: int
    bare: int
    payments: dict[int, int]
    """Meals in a basket → how many baskets are paid a round."""
    purchases: int
    checkouts: int


THOROUGH = Effort(7, 300, 1200, {1: 40, 6: 40, 30: 30, 180: 15}, 60, 120)
QUICK = Effort(2, 80, 400, {1: 15, 6: 15, 30: 10, 180: 5}, 15, 40)


@dataclass(frozen=True)
class Pair:
    """Two servers compared: ours and the other's rate and CPU a request, and the ratios, medians of the rounds."""

    what: str
    rate: float
    other_rate: float
    rate_ratio: float
    """Ours divided by the other's: more is better."""
    cpu_ms: float
    other_cpu_ms: float
    cpu_ratio: float
    """Ours divided by the other's: less is better."""
    bytes: int


@dataclass(frozen=True)
class Cost:
    """CPU of one whole purchase, by meals, and as a multiple of the bare page's."""

    meals: int
    cpu_ms: float
    bare_cpu_ms: float
    ratio: float


@dataclass(frozen=True)
class Checkouts:
    """Paid checkouts a second with so many buyers at once."""

    buyers: int
    rate: float


class Bench:
    """A town, the shop that is served on it, and what it is compared with."""

    def __init__(self, town: Town, effort: Effort, closing: ExitStack) -> None:
        self.town, self.effort, self.closing = town, effort, closing
        self.shop = serve(town, closing)
        self.hand = closing.enter_context(
            gunicorn("bench.byhand:create_app()", {"DATABASE_URL": town.url}, database_pid(town.url))
        )

    def pages(self) -> list[Pair]:
        """The hot pages beside bare pages of the same size."""
        town, effort = self.town, self.effort
        families, single = town.buyers(FAMILIES), town.buyers(FAMILIES, children=1)
        full, ordering = town.buyers(FAMILIES), town.buyers(FAMILIES)
        town.fill_baskets(full, 6)
        orders = self._order(ordering, 6)
        town.settle()
        hot: dict[str, list[tuple[Buyer | None, str]]] = {
            "Home page": [(None, "/")],
            "Home page, signed in": [(buyer, "/") for buyer in families],
            "Booking page, 1 child, a month": [(buyer, BOOKING) for buyer in single],
            "Booking page, 4 children, a month": [(buyer, BOOKING) for buyer in families],
            "Booking page, 4 children, until the holidays": [
                (buyer, f"{BOOKING}?periode=vacances") for buyer in families
            ],
            "Basket of 6": [(buyer, "/panier") for buyer in full],
            "Confirmation of 6": list(zip(ordering, orders, strict=True)),
        }
        sizes = {str(number): self._size(wanted[0]) for number, wanted in enumerate(hot.values())}
        found = []
        with gunicorn("bench.bare:create_app()", {"BARE_PAGES": json.dumps(sizes)}) as bare:
            for number, (what, wanted) in enumerate(hot.items()):
                plain = [Visit("", (Request("GET", f"/{number}"),))]
                for server, visits in ((bare, plain), (self.shop, self._opening(wanted))):
                    server.measure(visits * 20, 1)
                found.append(
                    compare(
                        what,
                        effort.rounds,
                        lambda wanted=wanted: self.shop.measure(self._some(self._opening(wanted), effort.pages), 1),  # type: ignore[misc]
                        lambda plain=plain: bare.measure(plain * effort.bare, 1),  # type: ignore[misc]
                    )
                )
        return found

    def paying(self) -> list[Pair]:
        """The paying request beside the hand-written view, by meals in the basket."""
        found = []
        for meals in PAYING_MEALS:
            count = self.effort.payments[meals]
            self._pay(meals, 5)
            self._pay_by_hand(meals, 5)
            found.append(
                compare(
                    f"Pay {meals}",
                    self.effort.rounds,
                    lambda meals=meals, count=count: self._pay(meals, count),  # type: ignore[misc]
                    lambda meals=meals, count=count: self._pay_by_hand(meals, count),  # type: ignore[misc]
                )
            )
        return found

    def purchases(self) -> list[Cost]:
        """Whole purchases beside the bare page of the booking page's size."""
        (buyer,) = self.town.buyers(1, children=2)
        size = self._size((buyer, BOOKING))
        plain = [Visit("", (Request("GET", "/page"),))]
        costs: dict[int, list[tuple[float, float]]] = {meals: [] for meals in PURCHASE_MEALS}
        with gunicorn("bench.bare:create_app()", {"BARE_PAGES": json.dumps({"page": size})}) as bare:
            bare.measure(plain * 20, 1)
            # PostgreSQL's driver and planner settle on their plans after ten executions of a statement.
            self._purchase(6, 30)
            for _round in range(self.effort.rounds):
                before = bare.measure(plain * self.effort.bare, 1).cpu_ms
                for meals, seen in costs.items():
                    cpu_ms = self._purchase(meals, self.effort.purchases).cpu_ms * REQUESTS_OF_A_PURCHASE
                    seen.append((cpu_ms, before))
        return [_cost(meals, seen) for meals, seen in costs.items()]

    def alone(self, recording: Recording) -> tuple[Cost, Pair]:
        """The recorded purchases' statements with nothing around them, beside the bare page of the same size; then those of
        their booking pages only."""
        (buyer,) = self.town.buyers(1, children=2)
        size = self._size((buyer, BOOKING))
        plain = [Visit("", (Request("GET", "/page"),))]
        facts = {"DATABASE_URL": recording.url, "RECORDING": str(recording.path), "PAGE_BYTES": str(size)}
        visits = [
            Visit("", tuple(Request("GET", f"/{purchase}/{request}") for request in range(REQUESTS_OF_A_PURCHASE)))
            for purchase in range(recording.purchases)
        ]
        a_round = self.effort.purchases // 2
        warming, measured = visits[:a_round], visits[a_round:]
        seen = []
        with (
            gunicorn("bench.bare:create_app()", {"BARE_PAGES": json.dumps({"page": size})}) as bare,
            gunicorn("bench.alone:create_app()", facts, database_pid(recording.url)) as alone,
        ):
            bare.measure(plain * 20, 1)
            alone.measure(warming, 1)
            for first in range(0, len(measured), a_round):
                before = bare.measure(plain * self.effort.bare, 1).cpu_ms
                cpu_ms = alone.measure(measured[first : first + a_round], 1).cpu_ms * REQUESTS_OF_A_PURCHASE
                seen.append((cpu_ms, before))
            booking = [Visit("", visit.requests[:1]) for visit in measured]
            page = compare(
                "Booking page, 2 children, a month: its statements alone",
                self.effort.rounds,
                lambda: alone.measure(booking, 1),
                lambda: bare.measure(plain * self.effort.bare, 1),
            )
        return _cost(ALONE_MEALS, seen), page

    def checkouts(self) -> list[Checkouts]:
        """Paid checkouts of 6 meals a second, by how many buyers pay at once."""
        return [
            Checkouts(
                buyers,
                median(self._pay(6, self.effort.checkouts, buyers).rate for _round in range(self.effort.rounds)),
            )
            for buyers in BUYERS
        ]

    def growth(self, large: "Bench") -> list[Pair]:
        """The same requests on a larger town (ours) and on this one (the other)."""
        effort = self.effort
        small_families, large_families = self.town.buyers(FAMILIES), large.town.buyers(FAMILIES)
        self.town.settle()
        large.town.settle()

        def book(bench: Bench, families: Sequence[Buyer]) -> Sample:
            return bench.shop.measure(
                bench._some(bench._opening([(buyer, BOOKING) for buyer in families]), effort.pages), 1
            )

        for bench, families in ((self, small_families), (large, large_families)):
            book(bench, families)
            bench._pay(6, 5)
        return [
            compare(
                "Booking page, 4 children, a month",
                effort.rounds * 2,
                lambda: book(large, large_families),
                lambda: book(self, small_families),
            ),
            compare(
                "Pay 6",
                effort.rounds * 2,
                lambda: large._pay(6, effort.payments[6]),
                lambda: self._pay(6, effort.payments[6]),
            ),
        ]

    def _order(self, buyers: Sequence[Buyer], meals: int) -> list[str]:
        """Let each buyer buy; the addresses of the orders."""
        from bench.statements import Walker

        addresses = []
        for buyer, basket in zip(buyers, self.town.fill_baskets(buyers, meals), strict=True):
            addresses.append(Walker(self.town, buyer).post(PAY, panier=basket, total=self.town.cents * meals))
        return addresses

    def _size(self, wanted: tuple[Buyer | None, str]) -> int:
        return self.shop.measure(self._opening([wanted]), 1).load.bytes

    def _opening(self, wanted: Sequence[tuple[Buyer | None, str]]) -> list[Visit]:
        return [Visit(self._cookie(buyer) if buyer else "", (Request("GET", path),)) for buyer, path in wanted]

    @staticmethod
    def _some(visits: Sequence[Visit], count: int) -> list[Visit]:
        return [visits[number % len(visits)] for number in range(count)]

    def _cookie(self, buyer: Buyer) -> str:
        """As if the buyer had been here a moment ago by the clock of the served shop."""
        return self.town.cookie(buyer, START + timedelta(seconds=time.monotonic() - self.shop.started))

    def _pay(self, meals: int, count: int, connections: int = 1) -> Sample:
        buyers = self.town.buyers(count)
        baskets = self.town.fill_baskets(buyers, meals)
        total = self.town.cents * meals
        visits = []
        for buyer, basket in zip(buyers, baskets, strict=True):
            form = urlencode({"csrf_token": self.town.csrf_token(buyer), "panier": basket, "total": total})
            visits.append(Visit(self._cookie(buyer), (Request("POST", PAY, form),)))
        return self.shop.measure(visits, connections)

    def _pay_by_hand(self, meals: int, count: int) -> Sample:
        baskets = self.town.fill_baskets(self.town.buyers(count), meals)
        visits = [Visit("", (Request("POST", "/payer", urlencode({"panier": basket})),)) for basket in baskets]
        return self.hand.measure(visits, 1)

    def _purchase(self, meals: int, count: int) -> Sample:
        visits = []
        for buyer in self.town.buyers(count, children=1 if meals == 1 else 2):
            token = urlencode({"csrf_token": self.town.csrf_token(buyer)})
            boxes = urlencode({"ajouter": "1", "repas": self.town.codes(buyer, meals)}, doseq=True)
            requests = (
                Request("GET", BOOKING),
                Request("POST", BOOKING, f"{token}&{boxes}"),
                Request("GET", "@"),
                Request("POST", PAY, token + "&panier={panier}&total={total}"),
                Request("GET", "@"),
            )
            visits.append(Visit(self._cookie(buyer), requests))
        return self.shop.measure(visits, 1)


def _cost(meals: int, seen: Sequence[tuple[float, float]]) -> Cost:
    """From what was seen in each round: CPU of a purchase and of the bare page, in milliseconds."""
    return Cost(
        meals,
        median(ours for ours, _bare in seen),
        median(bare for _ours, bare in seen),
        median(ours / bare for ours, bare in seen),
    )


def serve(town: Town, closing: ExitStack) -> Server:
    """Serve the shop on the town's database, its clock set to `START`."""
    environment = {
        "SHOP_ENV": "test",
        "DATABASE_URL": town.url,
        "SHOP_CLOCK": START.isoformat(),
        "SECRET_KEY": SECRET_KEY,
        "DATA_KEYS": base64.b64encode(DATA_KEY).decode(),
        "BASE_URL": "http://localhost",
    }
    return closing.enter_context(gunicorn("app:create_app()", environment, database_pid(town.url)))


def compare(what: str, rounds: int, ours: Callable[[], Sample], others: Callable[[], Sample]) -> Pair:
    """Measure the two in turn, the other first."""
    seen = []
    for _round in range(rounds):
        other = others()
        seen.append((ours(), other))
    return Pair(
        what,
        median(mine.rate for mine, _other in seen),
        median(other.rate for _mine, other in seen),
        median(mine.rate / other.rate for mine, other in seen),
        median(mine.cpu_ms for mine, _other in seen),
        median(other.cpu_ms for _mine, other in seen),
        median(
            mine.cpu_seconds / mine.load.requests / max(other.cpu_seconds / other.load.requests, 1e-9)
            for mine, other in seen
        ),
        seen[0][0].load.bytes,
    )
