"""Recurring jobs: plain functions, safe to run twice, run by `flask jobs work` in as many processes as one likes."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from flask import Flask
from sqlalchemy import select, update

from shop.clock import Clock
from shop.database import insert_missing, transaction
from shop.models import Job

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=10)


@dataclass(frozen=True)
class Recurring:
    """A job: its name, how often it is due, and what it does (in its own transactions)."""

    name: str
    every: timedelta
    run: Callable[[], object]


def _take(job: Recurring, now: datetime) -> bool:
    """Whether this process gets to run the job now: it is due and nobody else holds it."""
    with transaction() as db:
        row = db.scalar(select(Job).where(Job.name == job.name).with_for_update(skip_locked=True))
        if row is None:
            # New to this database, or in another worker's hands. Either way the next round finds it.
            insert_missing(db, Job, {"name": job.name, "due_at": now})
            return False
        if row.due_at > now or (row.leased_until is not None and row.leased_until > now):
            return False
        row.leased_until = now + LEASE
        return True


def run_due(app: Flask) -> int:
    """Run every job that is due, once each. Returns how many ran."""
    jobs: list[Recurring] = app.extensions["shop.jobs"]
    clock: Clock = app.extensions["shop.clock"]
    ran = 0
    for job in jobs:
        error: str | None = None
        with app.app_context():
            now = clock.now()
            if not _take(job, now):
                continue
            ran += 1
            try:
                job.run()
            except Exception as failure:
                # A job that fails is tried again at its next turn; the others go on.
                error = f"{type(failure).__name__}: {failure}"[:300]
                log.exception("job failed", job=job.name)
            with transaction() as db:
                db.execute(
                    update(Job)
                    .where(Job.name == job.name)
                    .values(due_at=now + job.every, leased_until=None, finished_at=clock.now(), error=error)
                )
    return ran


def work(app: Flask, pause_seconds: float = 1.0) -> None:
    """Run due jobs until SIGTERM or SIGINT; what is under way is finished first."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            run_due(app)
        except Exception:
            # The database may be away for a while: the worker outlives it.
            log.exception("the worker could not reach its jobs")
            stop.wait(5)
        stop.wait(pause_seconds)
