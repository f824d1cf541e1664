"""`make run`: bring the database up to date, then run the web server and the worker together.

Ctrl-C (or SIGTERM) ends both. When one of them dies, the other is ended too and the exit code says so.

The application is imported once, here, and every process is a fork of this one: three imports would be two seconds more.
This process itself opens no database and starts no thread, so that a fork inherits neither.
"""

import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 35  # seconds; gunicorn itself gives the requests under way 30
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the shop until it is told to stop; the exit code is 0 only then."""
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    host = os.environ.setdefault("HOST", "127.0.0.1")
    port = os.environ.setdefault("PORT", "5000")
    trouble = address_trouble(host, port)
    if trouble:
        print(trouble, file=sys.stderr)
        return 1
    supervisor = Supervisor()
    import app  # noqa: F401 (for the forks; after the quick refusals above)

    prepared = supervisor.run(prepare)
    if prepared or supervisor.asked_to_stop:
        return prepared
    supervisor.start("serveur web", serve)
    supervisor.start("travaux de fond", work)
    # localhost rather than 127.0.0.1: the links that the shop writes say so, and a cookie belongs to one name.
    address = os.environ.get("BASE_URL") or f"http://localhost:{port}"
    supervisor.when_ready(host, int(port), lambda: print(f"\n{address}  (Ctrl-C pour arrêter)", flush=True))
    return supervisor.watch()


def prepare() -> None:
    """Bring the schema up to date; in the demo, load the town when there is none and print who can sign in."""
    demo = os.environ.get("SHOP_ENV", "demo") == "demo"
    flask(["demo", "prepare"] if demo else ["db", "upgrade"])


def work() -> None:
    """Run the jobs and send the letters until stopped."""
    flask(["jobs", "work"])


def serve() -> None:
    """Serve the pages as in production: by gunicorn, with gunicorn.conf.py."""
    from gunicorn.app.wsgiapp import WSGIApplication

    sys.argv = ["gunicorn", "--config", "gunicorn.conf.py", "--log-level", os.environ.get("LOG_LEVEL") or "warning"]
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]").run()


def flask(arguments: list[str]) -> None:
    """Do what `flask --app app` with these arguments does, without importing anything again."""
    from flask.cli import ScriptInfo

    from app import create_app

    try:
        shop = create_app()
    except Exception as refusal:
        if not hasattr(refusal, "problems"):
            raise
        sys.exit(str(refusal))  # shop.config.ConfigurationRefused: one sentence a line
    shop.cli.main(arguments, prog_name="flask", obj=ScriptInfo(create_app=lambda: shop))


def address_trouble(host: str, port: str) -> str | None:
    """A sentence when nothing can listen at this address, or None."""
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        return f"PORT doit être un nombre de 1 à 65535, et non {port!r}."
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        return f"Impossible d’écouter sur {host}:{port} ({error.strerror}). Pour un autre port : PORT=5001 make run"
    return None


class Supervisor:
    """Forks of this process that live and end together."""

    def __init__(self) -> None:
        self.processes: dict[str, BaseProcess] = {}
        self.asked_to_stop = 0
        for number in SIGNALS:
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.asked_to_stop += 1

    def run(self, target: Callable[[], None]) -> int:
        """Run something to its end, or until we are told to stop, and give its exit code."""
        process = _fork(target)
        while process.is_alive() and not self.asked_to_stop:
            process.join(0.02)
        if process.is_alive():
            process.terminate()
            process.join()
            return 0
        return process.exitcode or 0

    def start(self, name: str, target: Callable[[], None]) -> None:
        """Start something that ends only when told to."""
        self.processes[name] = _fork(target)

    def when_ready(self, host: str, port: int, announce: Callable[[], None]) -> None:
        """Call `announce` as soon as the web server listens; give up when something ended before."""
        while not self.asked_to_stop and self._all_running():
            try:
                socket.create_connection((host, port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                announce()
                return

    def watch(self) -> int:
        """Wait for a signal or for the end of any process; end the others and give the exit code."""
        while not self.asked_to_stop and self._all_running():
            time.sleep(0.2)
        ended = {name: process.exitcode or 0 for name, process in self.processes.items() if not process.is_alive()}
        self._end_all()
        if self.asked_to_stop:
            return 0
        for name, code in ended.items():
            print(f"Arrêt inattendu : {name} (code {code}) ; tout a été arrêté.", file=sys.stderr)
        return max((code for code in ended.values() if code > 0), default=1)

    def _all_running(self) -> bool:
        return all(process.is_alive() for process in self.processes.values())

    def _end_all(self) -> None:
        """Ask every process to end; insist after a while, or at once when the signal is given again."""
        for process in self.processes.values():
            process.terminate()
        deadline, heard = time.monotonic() + PATIENCE, self.asked_to_stop
        for process in self.processes.values():
            while process.is_alive():
                if time.monotonic() > deadline or self.asked_to_stop > heard:
                    assert process.pid is not None, "it was started"
                    os.killpg(process.pid, signal.SIGKILL)
                process.join(0.05)


def _fork(target: Callable[[], None]) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=_in_child, args=(target,))
    process.start()
    return process


def _in_child(target: Callable[[], None]) -> None:
    """Stand on our own feet: signals as in a new program, and a group that a Ctrl-C in the terminal does not reach."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.setpgid(0, 0)
    if sys.platform == "linux":
        # A SIGTERM when the supervisor dies, even by kill -9.
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    target()


if __name__ == "__main__":
    sys.exit(main())
