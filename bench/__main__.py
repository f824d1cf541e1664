"""Measure the shop: `python -m bench`. See docs/performance.md."""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import create_engine, text

from bench.alone import Recording, record
from bench.measures import ALONE_MEALS, QUICK, THOROUGH, Bench, Effort
from bench.report import NAMES, Results, tables, write_into
from bench.statements import count_by_hand, count_statements
from bench.town import Town
from checkout import books
from shop.config import ROOT
from shop.database import reading
from tests.postgres import create_database, postgres_server

PARTS = ("statements", "pages", "paying", "purchases", "checkouts", "growth")
SMALL, LARGE, QUICK_LARGE = 10_000, 1_000_000, 100_000


def main() -> None:
    """Measure what is asked for, print it, and keep it in var/bench.json."""
    asked = _arguments()
    effort = QUICK if asked.quick else THOROUGH
    began = time.monotonic()
    measured: dict[str, Results] = {}
    with ExitStack() as closing:
        makers = {name: closing.enter_context(_databases(name)) for name in asked.database}
        large = QUICK_LARGE if asked.quick else LARGE
        for name, folder in makers.items():
            measured[name] = Results(_version(folder), reservations=(SMALL, large))
        grown = _grow(makers, large) if "growth" in asked.part else {}
        for name, url in makers.items():
            _say(f"measuring {NAMES[name]}…", began)
            _measure(measured[name], _named(url, "small"), grown.get(name), asked.part, effort)
    machine = _machine(measured)
    print(machine)
    for table in tables(measured):
        print(f"\n{table.text()}")
    _say("\nmeasured", began)
    kept = ROOT / "var" / "bench.json"
    kept.parent.mkdir(exist_ok=True)
    facts = {"machine": machine, "databases": {name: asdict(results) for name, results in measured.items()}}
    kept.write_text(json.dumps(facts, ensure_ascii=False, indent=2))
    if asked.write:
        write_into(ROOT / "docs" / "performance.md", machine, measured)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the shop on both databases.")
    parser.add_argument("--quick", action="store_true", help="few rounds and a smaller large town, for developers")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    parser.add_argument("--database", nargs="+", choices=tuple(NAMES), default=list(NAMES))
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    return parser.parse_args()


@contextmanager
def _databases(name: str) -> Iterator[str]:
    """Where databases of this kind can be made: the URL of a folder or of a server."""
    if name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="cantine-bench-") as folder:
            yield f"sqlite:///{folder}"
    else:
        with postgres_server(durable=True) as url:
            yield url


def _named(where: str, name: str) -> str:
    """The URL of a new database there."""
    return f"{where}/{name}.sqlite3" if where.startswith("sqlite") else create_database(where, f"cantine_bench_{name}")


def _grow(makers: dict[str, str], reservations: int) -> dict[str, str]:
    """Make a large town on each database, all at once; their URLs."""
    urls = {name: _named(where, "large") for name, where in makers.items()}
    with ProcessPoolExecutor(max_workers=len(urls)) as pool:
        list(pool.map(_found, urls.values(), [reservations] * len(urls)))
    return urls


def _found(url: str, reservations: int) -> None:
    Town.founded(url, reservations)


def _measure(results: Results, small: str, large: str | None, parts: list[str], effort: Effort) -> None:
    town = Town.founded(small, SMALL)
    if "statements" in parts:
        results.statements = count_statements(town)
        results.by_hand = count_by_hand(town)
    town.settle()
    with ExitStack() as closing:
        recording = _record(town, effort, closing) if "purchases" in parts else None
        bench = Bench(town, effort, closing)
        if "pages" in parts:
            results.pages = bench.pages()
        if "paying" in parts:
            results.paying = bench.paying()
        if recording is not None:
            results.purchases = bench.purchases()
            results.alone = bench.alone(recording)
        if "checkouts" in parts:
            results.checkouts = bench.checkouts()
        if large is not None:
            results.growth = bench.growth(Bench(Town(large), effort, closing))
    with town.app.app_context(), reading() as db:
        findings = books.check(db)
    if findings:
        raise SystemExit(f"the books do not balance after the measuring: {findings[:5]}")


def _record(town: Town, effort: Effort, closing: ExitStack) -> Recording:
    """Purchases to be sent again: noted before the shop is served, for nobody else may use the database meanwhile."""
    folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="cantine-bench-"))
    buyers = town.buyers(effort.purchases // 2 * (effort.rounds + 1), children=2)
    return record(town, buyers, ALONE_MEALS, Path(folder) / "purchases.json")


def _version(where: str) -> str:
    engine = create_engine("sqlite://" if where.startswith("sqlite") else where)
    with engine.connect() as connection:
        words = text("SELECT sqlite_version()" if engine.dialect.name == "sqlite" else "SHOW server_version")
        return str(connection.scalar(words))


def _machine(measured: dict[str, Results]) -> str:
    databases = ", ".join(f"{NAMES[name]} {results.version}" for name, results in measured.items())
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {databases}."


def _say(words: str, began: float) -> None:
    print(f"{words} ({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
