"""A pytest plugin: no test passes in which HTTP, SMTP or any socket was used while a transaction was open (trust: T-018).

Python tells of every connection, and of every message over one that was kept open. PostgreSQL's own connections are
made by its library in C and are not told of.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from shop.database import in_transaction

EVENTS = frozenset({"socket.connect", "http.client.connect", "http.client.send", "smtplib.connect", "smtplib.send"})


class NetworkInTransaction(BaseException):
    """Somebody called a network while a transaction was open. No `except Exception` hides it."""


@dataclass
class Watch:
    """What was heard during a test."""

    calls: int = 0
    """How often a network was used at all."""
    caught: list[str] = field(default_factory=list)
    """The events that came while a transaction was open."""

    def hear(self, event: str, _arguments: object) -> None:
        if event in EVENTS:
            self.calls += 1
            if in_transaction():
                self.caught.append(event)
                raise NetworkInTransaction(event)


_watch = Watch()
sys.addaudithook(_watch.hear)


@pytest.fixture(autouse=True)
def network() -> Iterator[Watch]:
    """What the test does with networks. A test that plants a wrong call empties `caught` afterwards."""
    _watch.calls = 0
    _watch.caught.clear()
    yield _watch
    assert not _watch.caught, f"a network was used in a transaction: {_watch.caught}"
