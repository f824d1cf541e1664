"""Recurring jobs: each runs when it is due, in one process at a time, and one that fails does not stop the others."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from shop.clock import StoppedClock
from shop.jobs import LEASE, Recurring, run_due
from shop.models import Job
from tests.conftest import OpenSession
from tests.races.together import slow, together

HOUR = timedelta(hours=1)


@pytest.fixture
def ran(app: Flask) -> list[str]:
    """The names of the jobs that ran. They are known to the database already."""
    names: list[str] = []

    def job(name: str) -> Callable[[], object]:
        return lambda: names.append(name)

    app.extensions["shop.jobs"] = [
        Recurring("hourly", HOUR, job("hourly")),
        Recurring("daily", 24 * HOUR, job("daily")),
    ]
    assert run_due(app) == 0
    return names


def rows(read: OpenSession) -> dict[str, Job]:
    with read() as db:
        found = {row.name: row for row in db.scalars(select(Job))}
        db.expunge_all()
        return found


def test_a_job_runs_when_it_is_due_and_not_before(app: Flask, ran: list[str], clock: StoppedClock) -> None:
    assert run_due(app) == 2
    assert run_due(app) == 0
    clock.moment += HOUR - timedelta(seconds=1)
    assert run_due(app) == 0
    clock.moment += timedelta(seconds=1)
    assert run_due(app) == 1
    assert ran == ["hourly", "daily", "hourly"]


def test_what_was_missed_is_not_made_up_for(app: Flask, ran: list[str], clock: StoppedClock) -> None:
    run_due(app)
    clock.moment += 10 * HOUR
    assert run_due(app) == 1
    assert run_due(app) == 0


def test_a_job_that_fails_is_noted_and_tried_again_and_the_others_run(
    app: Flask, read: OpenSession, clock: StoppedClock, ran: list[str]
) -> None:
    def fail() -> None:
        raise LookupError("nothing there")

    app.extensions["shop.jobs"] = [Recurring("hourly", HOUR, fail), *app.extensions["shop.jobs"][1:]]
    assert run_due(app) == 2
    assert ran == ["daily"]
    assert rows(read)["hourly"].error == "LookupError: nothing there"
    assert rows(read)["hourly"].leased_until is None
    clock.moment += HOUR
    assert run_due(app) == 1


class Crash(BaseException):
    """As a kill -9 would: nothing catches it."""


def test_a_job_whose_process_died_runs_again_after_its_lease(app: Flask, clock: StoppedClock, ran: list[str]) -> None:
    def die() -> None:
        raise Crash

    healthy = app.extensions["shop.jobs"]
    app.extensions["shop.jobs"] = [Recurring("hourly", HOUR, die)]
    with pytest.raises(Crash):
        run_due(app)
    app.extensions["shop.jobs"] = healthy[:1]
    assert run_due(app) == 0
    clock.moment += LEASE
    assert run_due(app) == 1


def test_of_several_workers_one_runs_a_job(app: Flask, ran: list[str]) -> None:
    with slow(app, "UPDATE jobs"):
        counts = together(app, [lambda: run_due(app)] * 6)
    assert sum(count for count in counts if isinstance(count, int)) == 2, counts
    assert sorted(ran) == ["daily", "hourly"]


def test_the_command_runs_what_is_due_once(app: Flask, ran: list[str]) -> None:
    result = app.test_cli_runner().invoke(args=["jobs", "work", "--once"])
    assert result.exit_code == 0, result.output
    assert ran == ["hourly", "daily"]
