"""Rules made up for tests: what hypothesis draws them from, and a catalogue file with one service to write them into."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st

from catalog.errors import FileRefused
from catalog.rules.deadlines import Calendar, DeadlineRule, Limit, Part
from catalog.rules.policies import Blocking, Late, Policies, Rules, Sickness, Unbooked
from catalog.rules.prices import Surcharge
from catalog.town import ServiceEntry, Town, read_town


def plain(words: str) -> str:
    """The words as a test writes them, every space an ordinary one."""
    return words.replace("\u00a0", " ")


# --- what hypothesis draws from ---

HOURS = st.sampled_from(
    [f"{hour:02d}:{minute:02d}" for hour in range(24) if hour != 2 for minute in (0, 30)] + ["24:00"]
)
WEEKDAY = st.integers(1, 7)
MORE: dict[str, Any] = {"at": HOURS, "if_off": st.sampled_from([None, "earlier"])}
LIMITS_BY_WEEK = st.one_of(
    st.builds(
        Limit, days_before=st.integers(0, 60), counted=st.sampled_from(["calendar", "working", "serving"]), **MORE
    ),
    st.builds(Limit, weekday_before=WEEKDAY, **MORE),
    st.builds(Limit, weekday=WEEKDAY, weeks_before=st.integers(0, 8), **MORE),
)
"""Limits that are the same in every ordinary week."""
LIMITS = LIMITS_BY_WEEK | st.builds(Limit, day_of_month=st.integers(1, 31), months_before=st.integers(1, 6), **MORE)
WEEKDAYS = st.frozensets(WEEKDAY, min_size=1)
"""The ISO weekdays of a service."""


@st.composite
def rules_of(draw: st.DrawFn, limits: st.SearchStrategy[Limit]) -> DeadlineRule:
    """A rule of one limit, or of one for each of two groups of weekdays that together are the whole week."""
    first = draw(st.frozensets(WEEKDAY, max_size=6))
    if not first:
        return DeadlineRule((Part(draw(limits)),))
    groups = (tuple(sorted(first)), tuple(sorted(set(range(1, 8)) - first)))
    return DeadlineRule(tuple(Part(draw(limits), group) for group in groups))


RULES, RULES_BY_WEEK = rules_of(LIMITS), rules_of(LIMITS_BY_WEEK)
CENTS = st.integers(1, 2000)
SURCHARGES = st.one_of(
    st.builds(Surcharge, more=CENTS),
    st.builds(Surcharge, percent=st.sampled_from(["0.5", "12.5", "50", "100"])),
    st.builds(Surcharge, price=CENTS),
)
POLICIES = st.builds(
    Policies,
    late=st.none() | st.builds(Late, RULES, SURCHARGES),
    unbooked=st.none() | st.builds(Unbooked, SURCHARGES, st.integers(0, 5)),
    credit=st.sampled_from(["full", "none"]) | CENTS,
    sickness=st.none() | st.builds(Sickness, RULES, st.integers(0, 3), st.booleans()),
    cost_price=st.none() | CENTS,
    freed=st.none() | RULES,
    blocking=st.builds(Blocking, st.none() | st.integers(0, 8760), st.booleans(), st.none() | st.integers(0, 366)),
)
ALL_RULES = st.builds(Rules, RULES, RULES, POLICIES)


def ordinary_weeks(weekdays: frozenset[int]) -> tuple[Calendar, list[date]]:
    """Weeks without holidays, as many as a limit may reach back over, and the meals of ten more across a new year."""
    first, meals = date(2025, 10, 6), date(2026, 12, 14)
    days = [day for n in range(7 * 72) if (day := first + timedelta(days=n)).isoweekday() in weekdays]
    return Calendar(days), [day for day in days if day >= meals]


# --- a catalogue file ---

FILE = """\
[regie]
slug = "agglo"
legal_name = "Agglomération"
email = "regie@example.org"
phone = "01 99 00 43 00"
address = "Place de la Mairie"
card_gateway = "sandbox"
minimum_top_up = "5,00"
maximum_top_up = "500,00"
minimum_online = "1,00"

[[communes]]
slug = "aiguilhe"
name = "Aiguilhe"
insee = "43002"
zone = "A"
accent = "#8c3b2e"
email = "cantine@example.org"
phone = "01 99 00 43 02"
address = "Mairie"

[[communes.services]]
slug = "cantine"
name = "Cantine Aiguilhe"
kind = "canteen"
weekdays = ["lun", "mar", "jeu", "ven"]
settlement = "prepaid"
booking = BOOKING
cancel = CANCEL
POLICIES

[[communes.services.tariffs]]
code = "resident"
label = "Résident commune"
audience = "child"
prices = [{ from = "2026-09-01", PRICE }]

CASES
"""
DAY_BEFORE = '{ days_before = 1, counted = "serving", at = "10:00" }'
SERVICE = "communes[1].services[1]"
"""How faults name the service of the file."""


def written(
    booking: str = DAY_BEFORE,
    cancel: str = DAY_BEFORE,
    policies: str = "",
    price: str = 'euros = "3,80"',
    cases: str = "",
) -> str:
    """The text of a catalogue file with these rules for its one service."""
    text = FILE
    for name, value in zip(
        ("BOOKING", "CANCEL", "POLICIES", "PRICE", "CASES"), (booking, cancel, policies, price, cases), strict=True
    ):
        text = text.replace(name, value)
    return text


def read(**rules: str) -> Town:
    """The town of `written`."""
    return read_town(written(**rules), "ville.toml")


def service(**rules: str) -> ServiceEntry:
    """The one service of `written`."""
    return read(**rules).communes[0].services[0]


def faults(text: str) -> list[tuple[int, str, str]]:
    """Line, field and sentence of every fault of a catalogue file; a field of its one service begins with a dot."""
    with pytest.raises(FileRefused) as refused:
        read_town(text, "ville.toml")
    assert {fault.file for fault in refused.value.faults} == {"ville.toml"}
    return [(fault.line, fault.field.removeprefix(SERVICE), plain(fault.sentence)) for fault in refused.value.faults]


def line_of(text: str, words: str) -> int:
    """The number of the first line that holds these words."""
    return next(n for n, line in enumerate(text.splitlines(), 1) if words in line)
