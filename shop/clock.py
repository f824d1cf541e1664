"""The only reader of the real clock. A moment is read once per request, job or command and handed down as a value."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from flask import current_app

from shop.kept import kept

PARIS = ZoneInfo("Europe/Paris")


class Clock(Protocol):
    """Something that tells the time."""

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class TravellingClock:
    """A clock that stands `offset` away from the machine's: for demonstrations (`SHOP_CLOCK`) and tests."""

    offset: timedelta

    @classmethod
    def starting_at(cls, moment: datetime) -> "TravellingClock":
        """A clock that shows `moment` (aware) now and ticks on from there."""
        return cls(moment - datetime.now(UTC))

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset


@dataclass
class StoppedClock:
    """A clock that shows one moment until it is set to another: for tests."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment


def request_now() -> datetime:
    """The moment of this request, job or command: read once, the same however often it is asked for."""
    here = kept()
    if "now" not in here:
        clock: Clock = current_app.extensions["shop.clock"]
        here["now"] = clock.now()
    now: datetime = here["now"]
    return now


def paris_day(moment: datetime) -> date:
    """The day it is in Paris at that moment."""
    return moment.astimezone(PARIS).date()


def paris_instant(day: date, hour: time) -> datetime:
    """The instant, in UTC, at which clocks in Paris show `hour` on `day`.

    An hour that comes twice (the autumn night) is its first occurrence; an hour that does not exist (the spring
    night) is the instant at which the clocks jump over it, so that a deadline is never later than it reads.
    """
    local = datetime.combine(day, hour, tzinfo=PARIS)
    moment = local.astimezone(UTC)
    if moment.astimezone(PARIS).replace(tzinfo=None) != local.replace(tzinfo=None):
        # fold=1 reads the missing hour with the offset after the jump, which is the earlier instant of the two.
        earlier = local.replace(fold=1).astimezone(UTC)
        jump = earlier.replace(minute=0, second=0, microsecond=0)
        while jump.astimezone(PARIS).utcoffset() == (jump - timedelta(minutes=1)).astimezone(PARIS).utcoffset():
            jump += timedelta(minutes=30)
        return jump
    return moment
