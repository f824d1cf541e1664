"""Processes under measurement: gunicorn as in production, the load that is sent to it, and the CPU that all of it took."""

import json
import os
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from shop.config import ROOT

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 30
STOP_SECONDS = 15
LOAD_SECONDS = 120


@dataclass(frozen=True)
class Request:
    """One HTTP request of a browser: method, path, form fields as they are sent."""

    method: str
    path: str
    form: str = ""


@dataclass(frozen=True)
class Visit:
    """What one browser does: its cookie and its requests, one after the other.

    In a form, `{panier}` and `{total}` stand for what the page before says; the path `@` is where the answer before led.
    """

    cookie: str
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Load:
    """What the client saw: how many requests, in how many seconds, and how many bytes of page each time."""

    requests: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Sample:
    """A load and the CPU seconds that every server process spent on it."""

    load: Load
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.load.requests / self.load.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of CPU a request."""
        return self.cpu_seconds * 1000 / self.load.requests


@dataclass(frozen=True)
class Server:
    """A gunicorn on a port of the loopback, and the database server that works for it, if there is one."""

    port: int
    pids: tuple[int, ...]
    """Roots of the process trees whose CPU counts."""
    started: float

    def measure(self, visits: Sequence[Visit], connections: int) -> Sample:
        """Send the visits over so many connections at once. Raises when an answer is not the expected one."""
        before = cpu_seconds(self.pids)
        load = send(self.port, visits, connections)
        return Sample(load, cpu_seconds(self.pids) - before)


def cpu_seconds(roots: Sequence[int]) -> float:
    """CPU time of these processes, of all that descend from them, and of those that have ended."""
    children: dict[int, list[int]] = defaultdict(list)
    spent: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                facts = (folder / "stat").read_text().rpartition(")")[2].split()
                alive = _nanoseconds(folder)
            except OSError:
                continue
            children[int(facts[1])].append(int(folder.name))
            own, ended = (sum(map(int, facts[place : place + 2])) / TICKS_A_SECOND for place in (11, 13))
            spent[int(folder.name)] = ended + (own if alive is None else alive / 1e9)
    total, waiting = 0.0, list(roots)
    while waiting:
        pid = waiting.pop()
        total += spent.get(pid, 0.0)
        waiting.extend(children[pid])
    return total


def _nanoseconds(process: Path) -> int | None:
    """What the threads of a process have spent, where the kernel tells it: its other clock counts hundredths of a second."""
    try:
        spent = [int(thread.read_text().split()[0]) for thread in process.glob("task/*/schedstat")]
    except (FileNotFoundError, IndexError):
        return None
    return sum(spent) if spent else None


def database_pid(url: str) -> int | None:
    """The process of the PostgreSQL server behind the URL when it runs on this machine; its backends are its children."""
    if not url.startswith("postgresql"):
        return None
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            backend = connection.scalar(text("SELECT pg_backend_pid()"))
            facts = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
            return int(facts[1])
    except OSError:
        return None
    finally:
        engine.dispose()


def send(port: int, visits: Sequence[Visit], connections: int) -> Load:
    """Send the visits from a process of its own."""
    plan = {"port": port, "connections": connections, "visits": [asdict(visit) for visit in visits]}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("client.py"))],
        input=json.dumps(plan).encode(),
        capture_output=True,
        timeout=LOAD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-2000:])
    return Load(**json.loads(done.stdout))


@contextmanager
def gunicorn(app: str, environment: Mapping[str, str], database: int | None = None) -> Iterator[Server]:
    """Serve an application with the shop's own gunicorn.conf.py and one worker, on a free port of the loopback."""
    port = _free_port()
    settings: dict[str, Any] = {
        **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "SHOP_CLOCK", "SHOP_ENV")},
        **environment,
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "WEB_CONCURRENCY": "1",
        "LOG_LEVEL": "error",
    }
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", app], cwd=ROOT, env=settings, stdin=subprocess.DEVNULL, process_group=0
    )
    try:
        _wait_for(port, process)
        roots = (process.pid,) if database is None else (process.pid, database)
        yield Server(port, roots, started)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start")
