"""Hours are those of Paris, on every night of the year; a moment is read once."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from shop.clock import PARIS, StoppedClock, TravellingClock, paris_day, paris_instant, request_now

SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
"""Nights on which clocks change: 2 h becomes 3 h, 3 h becomes 2 h."""


@pytest.mark.parametrize(
    ("day", "hour", "instant"),
    [
        (date(2026, 11, 5), time(10), "2026-11-05T09:00+00:00"),
        (date(2026, 7, 14), time(10), "2026-07-14T08:00+00:00"),
        (SPRING, time(1, 59), "2026-03-29T00:59+00:00"),
        # The hour that does not exist: the instant of the jump, for every minute of it.
        (SPRING, time(2), "2026-03-29T01:00+00:00"),
        (SPRING, time(2, 30), "2026-03-29T01:00+00:00"),
        (SPRING, time(2, 59), "2026-03-29T01:00+00:00"),
        (SPRING, time(3), "2026-03-29T01:00+00:00"),
        (SPRING, time(10), "2026-03-29T08:00+00:00"),
        (AUTUMN, time(1, 59), "2026-10-24T23:59+00:00"),
        # The hour that comes twice: its first coming, so that nobody is told a deadline that has passed.
        (AUTUMN, time(2), "2026-10-25T00:00+00:00"),
        (AUTUMN, time(2, 59), "2026-10-25T00:59+00:00"),
        (AUTUMN, time(3), "2026-10-25T02:00+00:00"),
        (AUTUMN, time(10), "2026-10-25T09:00+00:00"),
    ],
)
def test_an_hour_in_paris_is_this_instant(day: date, hour: time, instant: str) -> None:
    found = paris_instant(day, hour)
    assert found == datetime.fromisoformat(instant)
    assert found.tzinfo is UTC


@given(st.dates(date(2020, 1, 1), date(2040, 1, 1)), st.times().map(lambda t: t.replace(second=0, microsecond=0)))
def test_an_instant_reads_as_its_hour_and_is_never_later_than_it_reads(day: date, hour: time) -> None:
    local = paris_instant(day, hour).astimezone(PARIS)
    assert local.date() == day
    # Only the hour that is jumped over reads as another one: the end of the jump.
    assert local.time() == hour or (hour.hour, local.time()) == (2, time(3))


@given(st.dates(date(2020, 1, 1), date(2040, 1, 1)))
def test_later_hours_are_never_earlier_instants(day: date) -> None:
    instants = [paris_instant(day, time(hour, minute)) for hour in range(24) for minute in (0, 30)]
    assert instants == sorted(instants)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-19T22:59:59+00:00", date(2026, 11, 19)),
        ("2026-11-19T23:00:00+00:00", date(2026, 11, 20)),
        ("2026-07-14T21:59:59+00:00", date(2026, 7, 14)),
        ("2026-07-14T22:00:00+00:00", date(2026, 7, 15)),
        ("2026-10-25T00:30:00+00:00", AUTUMN),
        ("2026-03-28T23:00:00+00:00", SPRING),
    ],
)
def test_the_day_is_the_day_in_paris(moment: str, day: date) -> None:
    assert paris_day(datetime.fromisoformat(moment)) == day


def test_a_moment_is_read_once_per_context(app: Flask, clock: StoppedClock) -> None:
    with app.app_context():
        first = request_now()
        clock.moment += timedelta(hours=1)
        assert request_now() == first
    with app.app_context():
        assert request_now() == first + timedelta(hours=1)


def test_a_travelling_clock_ticks_on_from_where_it_started() -> None:
    start = datetime(2026, 11, 19, 8, tzinfo=PARIS)
    clock = TravellingClock.starting_at(start)
    first, second = clock.now(), clock.now()
    assert start <= first <= second < start + timedelta(minutes=1)
