"""A wire between the shop and PostgreSQL that can be cut at the worst moment: just before a COMMIT, or just after it."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import URL

COMMIT = b"COMMIT\0"


@dataclass
class Wire:
    """Carries bytes both ways, one thread a connection."""

    server: str | tuple[str, int]
    """The path of PostgreSQL's socket, or its address."""
    cut_at_commit: Literal["before", "after", ""] = ""
    """Cut the next connection that commits: before PostgreSQL hears of it, or before its answer is heard."""
    cuts: int = 0
    port: int = 0
    _listener: socket.socket | None = None
    _plugs: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def open(self) -> None:
        """Listen; always at the same port."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._begin(self._accept, listener)

    def close(self) -> None:
        """Refuse everybody from now on, and hang up on those who are there."""
        for plug in self._plugs:
            with suppress(OSError):
                plug.shutdown(socket.SHUT_RDWR)
        self._plugs.clear()
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def end(self) -> None:
        """Close, and wait for everybody to be gone."""
        self.close()
        for thread in self._threads:
            thread.join(5)

    def _begin(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                shop, _address = listener.accept()
            except OSError:
                return
            unix = isinstance(self.server, str)
            database = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
            database.connect(self.server)
            self._plugs.append(shop)
            self._begin(self._carry, shop, database)

    def _carry(self, shop: socket.socket, database: socket.socket) -> None:
        with shop, database, suppress(OSError):
            while True:
                ready, _, _ = select.select([shop, database], [], [])
                for side in ready:
                    data = side.recv(65536)
                    if not data:
                        return
                    if side is shop and COMMIT in data and self.cut_at_commit:
                        when, self.cut_at_commit = self.cut_at_commit, ""
                        self.cuts += 1
                        if when == "after":
                            database.sendall(data)
                            database.recv(65536)
                        return
                    (database if side is shop else shop).sendall(data)


@contextmanager
def wire_to(url: URL) -> Iterator[tuple[Wire, str]]:
    """A wire to the PostgreSQL of this URL, and the URL by which it is reached over the wire."""
    host = url.query.get("host") or url.host or "localhost"
    port = int(str(url.query.get("port") or url.port or 5432))
    path = str(host)
    wire = Wire(f"{path}/.s.PGSQL.{port}" if path.startswith("/") else (path, port))
    wire.open()
    through = url.difference_update_query(["host", "port"]).set(host="127.0.0.1", port=wire.port)
    try:
        yield wire, through.update_query_dict({"sslmode": "disable"}).render_as_string(hide_password=False)
    finally:
        wire.end()
