"""A provider of payments that does what a test tells it to: answers, falls silent, refuses, loses its own answer."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Literal

from payments.gateways.base import (
    Asked,
    EventRefused,
    GatewayDown,
    GatewayRefused,
    Notice,
    Seen,
    Started,
    leave_the_house,
)

Fault = Literal["down", "lost", "refused"]
"""`down`: no answer, and nothing was done. `lost`: it was done, and the answer never came. `refused`: it says no."""


@dataclass
class Provider:
    """Stands where the sandbox stands, under its name."""

    seen: dict[str, Seen] = field(default_factory=dict)
    """What it says of each payment, by its reference: tests write here what has happened."""
    faults: list[Fault] = field(default_factory=list)
    """What goes wrong with the next calls, in order."""
    calls: list[str] = field(default_factory=list)
    name: str = "sandbox"
    live: bool = False
    form_hosts: tuple[str, ...] = ()
    minimum_cents: int = 1
    maximum_cents: int = 99_999_999
    hold: timedelta = timedelta(minutes=30)
    on_call: Callable[[], None] = lambda: None
    """What is done at every call, such as really calling somebody."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def _called(self, what: str) -> Fault | None:
        leave_the_house()
        self.calls.append(what)
        self.on_call()
        fault = self.faults.pop(0) if self.faults else None
        if fault == "down":
            raise GatewayDown(self.name, "no answer")
        if fault == "refused":
            raise GatewayRefused(self.name, "not like this")
        return fault

    def start(self, asked: Asked) -> Started:
        fault = self._called("start")
        reference = f"ref_{next(self._numbers)}"
        self.seen[reference] = Seen(reference, asked.key, "open", asked.cents, asked.currency, self.live)
        if fault == "lost":
            raise GatewayDown(self.name, "the answer was lost")
        return Started(reference, f"http://localhost/elsewhere/{reference}")

    def fetch(self, reference: str) -> Seen:
        self._called("fetch")
        return self.seen.get(reference) or Seen(reference, None, "unknown", None, None, self.live)

    def find(self, key: str, since: datetime | None = None) -> Seen | None:
        self._called("find")
        return next((seen for seen in self.seen.values() if seen.payment_key == key), None)

    def expire(self, reference: str) -> None:
        self._called("expire")
        if self.seen[reference].state == "open":
            self.says(reference, state="expired")

    def read_event(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Notice:
        try:
            event = json.loads(body)
            return Notice(event["id"], "payment.changed", event["reference"], event["key"], self.live)
        except (ValueError, KeyError) as error:
            raise EventRefused("unreadable") from error

    # --- what tests do ---

    def says(self, reference: str, /, **changes: object) -> None:
        """From now on it says this of a payment: `says("ref_1", state="paid")`."""
        self.seen[reference] = replace(self.seen[reference], **changes)  # type: ignore[arg-type]

    def event(self, reference: str, number: int = 1) -> bytes:
        """The body of the event that it would send."""
        return json.dumps(
            {"id": f"evt_{reference}_{number}", "reference": reference, "key": self.seen[reference].payment_key}
        ).encode()
