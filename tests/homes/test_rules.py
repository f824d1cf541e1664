"""Whose day it is: even and odd weeks, week 53, halves of holidays, swaps, what was agreed last."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homes.rules import (
    Calendar,
    Custody,
    Stretch,
    Swap,
    check_first_day,
    check_invitation,
    check_swap,
    last_of_first_half,
)
from shop.errors import Refusal
from tests.conftest import as_typed

A, B = 1, 2
START = date(2020, 1, 1)
WEEKS = Calendar(START, even_home=A, odd_home=B, holidays_home=A)
days = st.dates(date(2020, 1, 6), date(2040, 12, 31))


def on(day: date, *swaps: Swap, calendars: tuple[Calendar, ...] = (WEEKS,), holidays: tuple[Stretch, ...] = ()) -> int:
    home = Custody(calendars, swaps, holidays).home_on(day)
    assert home is not None
    return home


@pytest.mark.parametrize(
    ("day", "home"),
    [
        (date(2026, 11, 23), A),  # week 48
        (date(2026, 11, 29), A),  # its Sunday
        (date(2026, 11, 30), B),  # week 49
        (date(2026, 12, 31), B),  # week 53: 2026 has one
        (date(2027, 1, 3), B),  # its Sunday, in another year
        (date(2027, 1, 4), B),  # week 1
        (date(2027, 1, 11), A),  # week 2
        (date(2024, 12, 30), B),  # week 1 of 2025
    ],
)
def test_weeks_are_those_of_calendars_and_53_and_1_are_both_odd(day: date, home: int) -> None:
    assert on(day) == home


@given(days)
def test_every_day_has_one_of_the_two_homes_and_a_week_is_never_split(day: date) -> None:
    monday = day - timedelta(days=day.weekday())
    assert on(day) == on(monday) in (A, B)


@given(days)
def test_weeks_take_turns_except_after_a_week_53(day: date) -> None:
    after = day + timedelta(weeks=1)
    assert (on(day) == on(after)) == (day.isocalendar().week == 53)


def test_without_an_agreement_nobody_decides() -> None:
    assert Custody().home_on(START) is None
    assert Custody([WEEKS]).home_on(START - timedelta(days=1)) is None


# --- holidays ---

CHRISTMAS_2026 = Stretch(date(2026, 12, 19), date(2027, 1, 3))
WINTER_2027 = Stretch(date(2027, 2, 20), date(2027, 3, 7))


def test_holidays_are_halved_and_the_halves_change_with_the_year_in_which_they_begin() -> None:
    holidays = (CHRISTMAS_2026, WINTER_2027)
    assert on(date(2026, 12, 26), holidays=holidays) == A
    assert on(date(2026, 12, 27), holidays=holidays) == B
    assert on(date(2027, 1, 3), holidays=holidays) == B  # They begin in 2026, an even year.
    assert on(date(2027, 2, 27), holidays=holidays) == B
    assert on(date(2027, 2, 28), holidays=holidays) == A
    assert on(date(2027, 3, 8), holidays=holidays) == A  # Week 10.


@given(days, st.integers(0, 80))
def test_each_half_is_one_home_s_and_the_middle_day_is_in_the_first(first: date, length: int) -> None:
    stretch = Stretch(first, first + timedelta(days=length))
    homes = [on(first + timedelta(days=place), holidays=(stretch,)) for place in range(length + 1)]
    half = (last_of_first_half(stretch) - first).days + 1
    assert len(set(homes[:half])) == 1
    assert half - (length + 1 - half) in (0, 1)
    if length:
        assert set(homes[half:]) == {A, B} - {homes[0]}
    assert homes[0] == (A if first.year % 2 == 0 else B)


# --- swaps, and what was agreed last ---


@given(days, st.integers(0, 59), st.sampled_from([A, B]), days)
def test_a_swap_decides_on_its_days_and_on_no_other(first: date, length: int, home: int, day: date) -> None:
    swap = Swap(first, first + timedelta(days=length), home)
    within = swap.first_day <= day <= swap.last_day
    assert on(day, swap) == (home if within else on(day))


@given(days, days)
def test_the_calendar_agreed_last_holds_from_its_first_day_on(begins: date, day: date) -> None:
    other = Calendar(begins, even_home=B, odd_home=A, holidays_home=B)
    assert on(day, calendars=(WEEKS, other)) == (3 - on(day) if day >= begins else on(day))


def test_of_two_swaps_the_one_agreed_last_counts() -> None:
    day = date(2026, 11, 24)
    assert on(day, Swap(day, day, B), Swap(day, day, A)) == A
    assert on(day, Swap(day, day, A), Swap(day, day, B)) == B


def test_a_swap_comes_before_holidays_and_before_any_calendar() -> None:
    day = CHRISTMAS_2026.first_day
    assert on(day, Swap(day, day, B), holidays=(CHRISTMAS_2026,)) == B
    assert Custody(swaps=[Swap(day, day, B)]).home_on(day) == B


# --- refusals ---

TODAY = date(2026, 11, 19)


@pytest.mark.parametrize(
    ("first", "last", "sentence"),
    [
        (TODAY, TODAY - timedelta(days=1), "Le dernier jour vient après le premier."),
        (TODAY - timedelta(days=1), TODAY, "Choisissez des jours à partir d’aujourd’hui."),
        (TODAY, TODAY + timedelta(days=61), "Un échange porte sur deux mois au plus"),
        (date(2030, 1, 1), date(2030, 1, 2), "dans les deux ans qui viennent"),
        (date(2026, 12, 3), date(2026, 12, 4), "Une demande attend déjà pour ces jours-là"),
    ],
)
def test_swaps_that_are_refused(first: date, last: date, sentence: str) -> None:
    waiting = [Swap(date(2026, 12, 4), date(2026, 12, 8), A)]
    with pytest.raises(Refusal) as refused:
        check_swap(first, last, TODAY, waiting)
    assert sentence in as_typed(refused.value.sentence)


def test_a_swap_beside_one_that_waits_is_welcome() -> None:
    check_swap(date(2026, 12, 3), date(2026, 12, 3), TODAY, [Swap(date(2026, 12, 4), date(2026, 12, 8), A)])
    check_first_day(TODAY, TODAY)


@pytest.mark.parametrize("day", [TODAY - timedelta(days=1), date(2030, 1, 1)])
def test_calendars_begin_from_today_on_and_not_in_many_years(day: date) -> None:
    with pytest.raises(Refusal):
        check_first_day(day, TODAY)


@pytest.mark.parametrize(
    ("relation", "homes", "sent", "own", "sentence"),
    [
        ("self", 1, False, False, "Seul un enfant"),
        ("mother", 2, False, False, "déjà deux foyers"),
        ("mother", 1, True, False, "attend déjà une réponse"),
        ("mother", 1, False, True, "votre propre foyer"),
    ],
)
def test_invitations_that_are_refused(relation: str, homes: int, sent: bool, own: bool, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        check_invitation(relation, homes, sent, own)
    check_invitation("mother", 1, False, False)
