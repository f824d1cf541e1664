"""A browser that costs next to nothing: reads a plan from its standard input, sends it, and says how long it took.

It runs as a process of its own, so that its CPU is not counted, and writes bytes to sockets itself, so that the server is
never kept waiting. One connection is one browser after another, kept alive.
"""

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

TIMEOUT_SECONDS = 30
HIDDEN = re.compile(rb'payer/porte-monnaie".*?name="panier" value="(\d+)".*?name="total" value="(\d+)"', re.DOTALL)


class Browser:
    """One connection, and the cookie of who uses it now."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.page = b""
        self.location = b""

    def visit(self, visit: dict[str, Any]) -> Iterator[int]:
        """Do what the visit says; the bytes of each page."""
        cookie = visit["cookie"].encode()
        for request in visit["requests"]:
            path = self.location if request["path"] == "@" else request["path"].encode()
            form = request["form"].encode()
            if b"{panier}" in form:
                found = HIDDEN.search(self.page)
                if found is None:
                    raise RuntimeError(f"nothing to pay on the page: {self.page[-3000:].decode()}")
                form = form.replace(b"{panier}", found[1]).replace(b"{total}", found[2])
            cookie = self.send(request["method"].encode(), path, cookie, form)
            yield len(self.page)

    def send(self, method: bytes, path: bytes, cookie: bytes, form: bytes) -> bytes:
        """Send one request and read its answer; the cookie afterwards."""
        head = b"%b %b HTTP/1.1\r\nHost: localhost\r\n" % (method, path)
        if cookie:
            head += b"Cookie: %b\r\n" % cookie
        if method == b"POST":
            head += b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n" % len(form)
        self.connection.sendall(head + b"\r\n" + form)
        answer = self.connection.recv(65536)
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        said, _, page = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in said.split(b"\r\n")[1:])
        length = int(fields[b"Content-Length"])
        parts, have = [page], len(page)
        while have < length:
            parts.append(self._more())
            have += len(parts[-1])
        self.page = b"".join(parts)
        expected = b" 303 " if method == b"POST" else b" 200 "
        if expected not in said[:20]:
            raise RuntimeError(f"{method!r} {path!r}: {said.decode()}\n{self.page[-3000:].decode()}")
        self.location = fields.get(b"Location", b"")
        return fields[b"Set-Cookie"].partition(b";")[0] if b"Set-Cookie" in fields else cookie

    def _more(self) -> bytes:
        more = self.connection.recv(65536)
        if not more:
            raise RuntimeError("the server closed the connection")
        return more


def main() -> None:
    """Send the plan on standard input: the visits are dealt out to the connections beforehand."""
    plan = json.load(sys.stdin)
    count = plan["connections"]
    sizes: list[int] = []
    failures: list[str] = []

    def work(browser: Browser, visits: list[dict[str, Any]]) -> None:
        try:
            for visit in visits:
                sizes.extend(browser.visit(visit))
        except Exception as failure:
            failures.append(f"{type(failure).__name__}: {failure}")

    browsers = [Browser(plan["port"]) for _ in range(count)]
    threads = [
        threading.Thread(target=work, args=(browser, plan["visits"][number::count]))
        for number, browser in enumerate(browsers)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failures:
        raise SystemExit(failures[0])
    json.dump({"requests": len(sizes), "seconds": seconds, "bytes": sum(sizes) // max(len(sizes), 1)}, sys.stdout)


if __name__ == "__main__":
    main()
