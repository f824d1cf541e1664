"""What may be booked, decided on plain values."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from cart.periods import FURTHEST, month, read_period, usual_periods
from cart.quotes import Terms
from cart.rules import (
    AmbiguousPrice,
    Child,
    Day,
    Meal,
    Right,
    Taken,
    cell_state,
    choose,
    day_state,
    had,
    leave_to_the_first,
    may_wait,
    read_meal,
    right_on,
    stages_of,
    until_the_holidays,
)
from catalog.rules.policies import Policies
from tests.conftest import as_typed

THURSDAY = date(2026, 11, 5)
DEADLINE = datetime(2026, 11, 3, 9, tzinfo=UTC)
BEFORE = DEADLINE - timedelta(seconds=1)
TERMS = Terms(Policies(), 1)


def day(
    *, is_open: bool = True, capacity: int | None = None, booked: int = 0, on: date = THURSDAY, number: int = 7
) -> Day:
    return Day(number, on, is_open, None if is_open else "Grève", capacity, booked, DEADLINE, None, None)


def right(cents: int = 380, first: date = date(2026, 9, 1), last: date = date(2027, 8, 31), price_id: int = 4) -> Right:
    return Right(3, "Résident commune", price_id, cents, first, last)


def child(*rights: Right, number: int = 12) -> Child:
    return Child(number, "Louane", "Dupont", rights)


@pytest.mark.parametrize(
    ("what", "state"),
    [
        ({}, "free"),
        ({"now": DEADLINE}, "late"),
        ({"now": BEFORE}, "free"),
        ({"taken": "booked", "now": DEADLINE}, "booked"),
        ({"taken": "eaten", "now": DEADLINE}, "eaten"),
        ({"taken": "eaten", "day": day(is_open=False)}, "eaten"),
        ({"taken": "booked", "day": day(is_open=False)}, "booked"),
        ({"taken": "basket"}, "basket"),
        ({"taken": "basket", "has_right": False}, "basket"),
        ({"taken": "basket", "day": day(capacity=2, booked=2)}, "basket"),
        ({"taken": "basket", "now": DEADLINE}, "late"),
        ({"taken": "freed", "now": DEADLINE}, "basket"),
        ({"taken": "freed", "day": day(is_open=False), "now": DEADLINE}, "closed"),
        ({"taken": "full"}, "full"),
        ({"taken": "full", "has_right": False}, "no_tariff"),
        ({"taken": "full", "now": DEADLINE}, "late"),
        ({"taken": "waiting", "day": day(capacity=2, booked=2)}, "waiting"),
        ({"taken": "waiting", "day": day(capacity=2, booked=1)}, "waiting"),
        ({"taken": "waiting", "now": DEADLINE}, "late"),
        ({"taken": "waiting", "day": day(is_open=False)}, "closed"),
        ({"taken": "offered", "day": day(capacity=2, booked=2)}, "free"),
        ({"taken": "offered", "day": day(capacity=3, booked=2)}, "free"),
        ({"taken": "offered", "day": day(capacity=2, booked=2), "has_right": False}, "no_tariff"),
        ({"taken": "offered", "day": day(capacity=2, booked=2), "now": DEADLINE}, "late"),
        ({"has_right": False}, "no_tariff"),
        ({"has_right": False, "day": day(capacity=0)}, "no_tariff"),
        ({"has_right": False, "now": DEADLINE}, "late"),
        ({"day": day(is_open=False)}, "closed"),
        ({"day": day(is_open=False), "now": DEADLINE}, "closed"),
        ({"day": day(capacity=2, booked=2)}, "full"),
        ({"day": day(capacity=2, booked=1)}, "free"),
        ({"day": day(capacity=0)}, "full"),
    ],
)
def test_state_of_a_box(what: dict[str, Any], state: str) -> None:
    of_day = day_state(what.get("day", day()), what.get("now", BEFORE))
    assert cell_state(of_day, None if what.get("has_right", True) else "no_tariff", what.get("taken")) == state


LATER = DEADLINE + timedelta(days=1)


@pytest.mark.parametrize(
    ("changes", "now", "state"),
    [
        ({"freed": 1, "freed_deadline_at": LATER}, BEFORE, "free"),
        ({"freed": 1, "freed_deadline_at": LATER}, DEADLINE, "freed"),
        # Its place is taken by the meal that was given back.
        ({"freed": 1, "freed_deadline_at": LATER, "capacity": 2, "booked_count": 2}, DEADLINE, "freed"),
        ({"freed": 0, "freed_deadline_at": LATER}, DEADLINE, "late"),
        ({"freed": 1, "freed_deadline_at": LATER}, LATER, "late"),
        ({"freed": 1, "freed_deadline_at": None}, DEADLINE, "late"),
        ({"freed": 1, "freed_deadline_at": LATER, "is_open": False}, DEADLINE, "closed"),
        # The ordinary price comes before the late one, as long as there is one.
        ({"freed": 1, "freed_deadline_at": LATER, "late_deadline_at": LATER}, DEADLINE, "freed"),
        ({"freed": 0, "freed_deadline_at": LATER, "late_deadline_at": LATER}, DEADLINE, "surcharge"),
    ],
)
def test_a_day_on_which_a_meal_was_given_back(changes: dict[str, Any], now: datetime, state: str) -> None:
    assert day_state(day()._replace(**changes), now) == state


class Wanted(NamedTuple):
    """A line of a basket, on a day whose deadline has passed."""

    line_id: int
    basis: str | None = None
    service_day_id: int = 7
    freed: int = 1
    book_deadline_at: datetime = DEADLINE
    late_deadline_at: datetime | None = LATER
    freed_deadline_at: datetime | None = LATER


def test_the_first_lines_have_what_was_given_back_before_them_those_that_were_quoted_so() -> None:
    lines = [Wanted(1), Wanted(2), Wanted(3, '{"freed": true}'), Wanted(4, service_day_id=8)]
    assert stages_of(lines, DEADLINE) == {1: "late", 2: "late", 3: "freed", 4: "freed"}
    assert stages_of(lines[:2], DEADLINE) == {1: "freed", 2: "late"}
    assert set(stages_of(lines, BEFORE).values()) == {"in_time"}


def test_the_last_place_is_for_one_child() -> None:
    two = {number: child(right(), number=number) for number in (12, 13)}
    ticked = [Meal(number, THURSDAY) for number in two]
    lines, problems = choose(ticked, two, {THURSDAY: day(capacity=10, booked=9)}, {}, TERMS, BEFORE)
    assert [line.beneficiary_id for line in lines] == [12]
    (words,) = map(as_typed, problems)
    assert words == (
        "Louane Dupont, jeudi 5 novembre 2026 : il ne reste qu’une place ce jour-là, pour Louane. Choisissez qui mange."
    )
    for room in (day(capacity=10, booked=8), day()):
        assert choose(ticked, two, {THURSDAY: room}, {}, TERMS, BEFORE)[1] == []
    # The place that is offered to one child is kept for it, and counted already.
    offered: dict[Meal, Taken] = {ticked[1]: "offered"}
    assert choose(ticked, two, {THURSDAY: day(capacity=10, booked=9)}, offered, TERMS, BEFORE)[1] == []


def test_one_meal_given_back_is_one_meal_chosen() -> None:
    two = {number: child(right(), number=number) for number in (12, 13)}
    given = day()._replace(freed=1, freed_deadline_at=LATER)
    ticked = [Meal(number, THURSDAY) for number in two]
    lines, problems = choose(ticked, two, {THURSDAY: given}, {}, TERMS, DEADLINE)
    assert [(line.beneficiary_id, line.quoted_cents, line.basis) for line in lines] == [(12, 380, '{"freed": true}')]
    (words,) = map(as_typed, problems)
    assert words == (
        "Louane Dupont, jeudi 5 novembre 2026 : il ne reste qu’un repas rendu ce jour-là, pour Louane. "
        "Décochez l’un des deux."
    )


def test_what_the_basket_takes_for_one_child_is_not_too_late_for_another_but_gone() -> None:
    two = {number: child(right(), number=number) for number in (12, 13)}
    given = day()._replace(freed=0, freed_deadline_at=LATER, spoken_for=(12,))
    assert day_state(given, DEADLINE) == "spoken"
    assert day_state(given, LATER) == "late", "the limit for what was given back has passed too"
    assert day_state(given._replace(late_deadline_at=LATER), DEADLINE) == "surcharge"
    assert day_state(given._replace(freed=1), DEADLINE) == "freed"
    taken: dict[Meal, Taken] = {Meal(12, THURSDAY): "freed"}
    lines, problems = choose([Meal(13, THURSDAY)], two, {THURSDAY: given}, taken, TERMS, DEADLINE)
    assert lines == []
    assert [as_typed(words) for words in problems] == [
        "Louane Dupont, jeudi 5 novembre 2026 : le dernier repas rendu ce jour-là est dans votre panier, pour Louane."
    ]
    (words,) = choose(
        [Meal(13, THURSDAY)], two, {THURSDAY: given._replace(spoken_for=(12, 99))}, taken, TERMS, DEADLINE
    )[1]
    assert "les 2 derniers repas rendus ce jour-là sont dans votre panier, pour vos autres enfants." in as_typed(words)


def test_ticking_everything_ticks_no_more_than_was_given_back() -> None:
    given = day()._replace(freed=1, freed_deadline_at=LATER)
    both = [Meal(number, THURSDAY) for number in (12, 13)]
    assert leave_to_the_first(both, (), {THURSDAY: given}, DEADLINE) == {both[0]}
    assert leave_to_the_first(both, both[1:], {THURSDAY: given}, DEADLINE) == {both[1]}
    assert leave_to_the_first(both, (), {THURSDAY: given._replace(freed=2)}, DEADLINE) == set(both)
    # In time there is no need of it.
    assert leave_to_the_first(both, (), {THURSDAY: given}, BEFORE) == set(both)
    assert leave_to_the_first(both, (), {THURSDAY: day()}, BEFORE) == set(both)


@pytest.mark.parametrize(
    "code",
    [
        *("", ".", "12", "12.", "12.2026-13-01", "12.2026-11-5", "-1.2026-11-05", "x.2026-11-05", "١٢.2026-11-05"),
        *("12.20261105  ", "12.2026-11-05.1", "9" * 30 + ".2026-11-05", "1e3.2026-11-05", "12.２０２６-11-05"),
    ],
)
def test_nonsense_is_not_a_meal(code: str) -> None:
    assert read_meal(code) is None


def test_a_meal_is_read_as_it_is_written() -> None:
    meal = Meal(12, THURSDAY)
    assert meal.code == "12.2026-11-05"
    assert read_meal(meal.code) == meal


def test_two_prices_for_one_day_are_an_error_and_never_a_choice() -> None:
    with pytest.raises(AmbiguousPrice):
        right_on(child(right(380), right(520, price_id=5)), THURSDAY)


def test_prices_follow_their_dates() -> None:
    theirs = child(right(380, last=date(2026, 12, 31)), right(400, first=date(2027, 1, 1), price_id=5))
    assert right_on(theirs, date(2026, 12, 31)) == theirs.rights[0]
    assert right_on(theirs, date(2027, 1, 1)) == theirs.rights[1]
    assert right_on(theirs, date(2026, 8, 31)) is None


def test_choosing_prices_each_meal_and_skips_what_is_in_the_basket() -> None:
    friday = THURSDAY + timedelta(days=1)
    days = {THURSDAY: day(), friday: day(on=friday, number=8)}
    meals = [Meal(12, THURSDAY), Meal(12, friday), Meal(12, THURSDAY)]
    lines, problems = choose(meals, {12: child(right())}, days, {Meal(12, friday): "basket"}, TERMS, BEFORE)
    assert problems == []
    assert [(line.beneficiary_id, line.service_day_id, line.quoted_cents) for line in lines] == [(12, 7, 380)]


def test_every_problem_is_named_at_once_with_who_and_when() -> None:
    friday, saturday = THURSDAY + timedelta(days=1), THURSDAY + timedelta(days=2)
    days = {THURSDAY: day(is_open=False), friday: day(on=friday, capacity=1, booked=1)}
    meals = [Meal(12, THURSDAY), Meal(12, friday), Meal(12, saturday)]
    lines, problems = choose(meals, {12: child(right())}, days, {}, TERMS, BEFORE)
    assert lines == []
    assert [as_typed(problem) for problem in problems] == [
        "Louane Dupont, jeudi 5 novembre 2026 : pas de service ce jour-là (Grève).",
        "Louane Dupont, vendredi 6 novembre 2026 : il n’y a plus de place.",
        "Louane Dupont, samedi 7 novembre 2026 : ce n’est pas un jour de service.",
    ]


@pytest.mark.parametrize(
    ("code", "first", "last"),
    [
        ("mois:2026-12", date(2026, 12, 1), date(2026, 12, 31)),
        ("semaine:2026-11-05", date(2026, 11, 2), date(2026, 11, 8)),
        ("vacances", date(2026, 11, 4), date(2026, 12, 18)),
        ("annee", date(2026, 11, 4), date(2027, 7, 2)),
    ],
)
def test_periods(code: str, first: date, last: date) -> None:
    period = read_period(code, date(2026, 11, 4), date(2026, 12, 18), date(2027, 7, 2))
    assert period is not None
    assert (period.first, period.last) == (first, last)


@pytest.mark.parametrize("code", [None, "", "mois:2026-13", "mois:9999-12", "semaine:0001-01-01", "siècle:2026"])
def test_an_address_that_names_no_period(code: str | None) -> None:
    assert read_period(code, date(2026, 11, 4), date(2026, 12, 18), date(2027, 7, 2)) is None


@pytest.mark.parametrize(("day", "codes"), [(23, ["mois:2026-11"]), (24, ["mois:2026-11", "mois:2026-12"])])
def test_in_the_last_days_of_a_month_the_next_one_comes_up(day: int, codes: list[str]) -> None:
    assert [period.code for period in usual_periods(date(2026, 11, day))] == codes


def test_periods_end_somewhere() -> None:
    today = date(2026, 11, 4)
    assert month(today + FURTHEST, today).after is None
    assert month(today, today).before is None


@pytest.mark.parametrize(
    ("start", "end", "last"),
    [
        (date(2026, 12, 19), date(2027, 7, 3), date(2026, 12, 18)),
        (None, date(2027, 7, 3), date(2027, 7, 3)),
        (None, None, date(2027, 1, 3)),
    ],
)
def test_until_the_holidays(start: date | None, end: date | None, last: date) -> None:
    assert until_the_holidays(date(2026, 11, 4), start, end) == last


def test_one_may_wait_for_what_is_full_until_the_ordinary_deadline() -> None:
    assert may_wait("full", True, DEADLINE, BEFORE)
    assert not may_wait("full", True, DEADLINE, DEADLINE)
    assert not may_wait("full", False, DEADLINE, BEFORE)
    for state in ("free", "surcharge", "booked", "eaten", "basket", "waiting", "late", "closed", "no_tariff"):
        assert not may_wait(state, True, DEADLINE, BEFORE)


def test_who_waits_does_not_eat_yet() -> None:
    whats: tuple[Taken, ...] = ("booked", "eaten", "basket", "off", "offered", "waiting", "full")
    meals = {Meal(number, THURSDAY): what for number, what in enumerate(whats)}
    assert had(meals) == {Meal(0, THURSDAY), Meal(1, THURSDAY), Meal(2, THURSDAY)}
