"""`make run`: bring the database up to date, then run the web server and the worker together.

Ctrl-C (or SIGTERM) ends both. When one of them dies, the other is ended too and the exit code says so.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
FLASK = [sys.executable, "-m", "flask", "--app", "app"]
GUNICORN = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "--log-level", "warning"]
PATIENCE = 35  # seconds; gunicorn itself gives the requests under way 30


def main() -> int:
    """Run the shop until it is told to stop; the exit code is 0 only then."""
    os.chdir(ROOT)
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "5000"
    trouble = address_trouble(host, port)
    if trouble:
        print(trouble, file=sys.stderr)
        return 1
    environment = {**os.environ, "HOST": host, "PORT": port, "PYTHONUNBUFFERED": "1"}
    prepared = subprocess.run([*FLASK, *preparation()], env=environment, stdin=subprocess.DEVNULL, check=False)
    if prepared.returncode:
        return prepared.returncode
    supervisor = Supervisor()
    supervisor.start("web server", GUNICORN, environment)
    supervisor.start("worker", [*FLASK, "jobs", "work"], environment)
    # localhost rather than 127.0.0.1: the links that the shop writes say so, and a cookie belongs to one name.
    address = os.environ.get("BASE_URL") or f"http://localhost:{port}"
    supervisor.when_ready(host, int(port), lambda: print(f"\nReady: {address}  (Ctrl-C ends it)", flush=True))
    return supervisor.watch()


def preparation() -> list[str]:
    """The command that readies the database: the demo town comes with the demo only."""
    demo = os.environ.get("SHOP_ENV", "demo") == "demo"
    return ["demo", "prepare"] if demo else ["db", "upgrade"]


def address_trouble(host: str, port: str) -> str | None:
    """A sentence when nothing can listen at this address, or None."""
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        return f"PORT must be a number from 1 to 65535, not {port!r}."
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        return f"Nothing can listen on {host}:{port} ({error.strerror}). Another port: PORT=5001 make run"
    return None


class Supervisor:
    """Two or more processes that live and end together."""

    def __init__(self) -> None:
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.asked_to_stop = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.asked_to_stop += 1

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Start a process in a group of its own, so that a Ctrl-C reaches it through us alone."""
        self.processes[name] = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 (no thread here)
        )

    def when_ready(self, host: str, port: int, announce: Callable[[], None]) -> None:
        """Call `announce` as soon as the web server listens; give up when something ended before."""
        while not self.asked_to_stop and self._all_running():
            try:
                socket.create_connection((host, port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                announce()
                return

    def watch(self) -> int:
        """Wait for a signal or for the end of any process; end the others and give the exit code."""
        while not self.asked_to_stop and self._all_running():
            time.sleep(0.2)
        ended = {name: process.returncode for name, process in self.processes.items() if process.poll() is not None}
        self._end_all()
        if self.asked_to_stop:
            return 0
        for name, code in ended.items():
            print(f"The {name} ended by itself (exit code {code}); everything was stopped.", file=sys.stderr)
        return max((code for code in ended.values() if code > 0), default=1)

    def _all_running(self) -> bool:
        return all(process.poll() is None for process in self.processes.values())

    def _end_all(self) -> None:
        """Ask every process to end; insist after a while, or at once when the signal is given again."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        deadline, heard = time.monotonic() + PATIENCE, self.asked_to_stop
        while any(process.poll() is None for process in self.processes.values()):
            if time.monotonic() > deadline or self.asked_to_stop > heard:
                for process in self.processes.values():
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)
                        process.wait()
            time.sleep(0.05)


def _end_with_parent() -> None:
    """In the child: ask the kernel for a SIGTERM when this supervisor dies, even by kill -9."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
