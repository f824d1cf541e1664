"""What a meal costs: grids, surcharges, credits, and how rows read; amounts that communes publish."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.rules.prices import (
    LEVELS,
    Credit,
    Grid,
    Priced,
    Row,
    Situation,
    Surcharge,
    amount_words,
    axes,
    credit,
    highest,
    holes,
    level_on,
    lowest,
    ordinary_price,
    read_grid,
    row_words,
    situation_words,
)
from tests.catalog.made import SURCHARGES, plain

CHAMPCEVINEL: Grid = (
    Row(quotient_to=622, cents=100),
    Row(quotient_from=623, quotient_to=1000, cents=330),
    Row(quotient_from=1001, quotient_to=1500, cents=340),
    Row(quotient_from=1501, cents=350),
)
SAUSSAY: Grid = (
    Row(eating_to=1, cents=450),
    Row(eating_from=2, eating_to=2, cents=440),
    Row(eating_from=3, cents=425),
)
BAINS: Grid = (
    Row(level="nursery", cents=390),
    Row(level="elementary", cents=406),
    Row(level="secondary", cents=450),
)
EFFORT: Grid = (Row(rate="0.45", floor=100, ceiling=600),)
BY_RANK: Grid = (Row(rank_to=2, cents=380), Row(rank_from=3, cents=190))
MIXED: Grid = (
    Row(level="nursery", cents=300),
    Row(level="elementary", quotient_to=699, rank_to=1, cents=350),
    Row(level="elementary", quotient_to=699, rank_from=2, cents=250),
    Row(level="elementary", quotient_from=700, rate="0.5", floor=360, ceiling=500),
    Row(level="secondary", eating_to=1, cents=520),
    Row(level="secondary", eating_from=2, cents=480),
)


def cents(grid: Grid, situation: Situation) -> int:
    """What the grid asks in that situation."""
    return ordinary_price(1, grid, situation).cents


# --- the price of a situation ---


def test_a_flat_price_asks_nothing_of_the_family() -> None:
    assert ordinary_price(380, None, Situation(quotient=0, rank=3)) == Priced(380, 380, None, ())


@pytest.mark.parametrize(
    ("quotient", "expected"),
    [
        (0, 100),
        (622, 100),
        (623, 330),
        (1000, 330),
        (1001, 340),
        (1500, 340),
        (1501, 350),
        (100_000, 350),
    ],
)
def test_a_bracket_holds_from_its_first_to_its_last_quotient(quotient: int, expected: int) -> None:
    priced = ordinary_price(1, CHAMPCEVINEL, Situation(quotient))
    assert (priced.cents, priced.ordinary, priced.unknown) == (expected, expected, ())
    assert priced.row is not None
    assert priced.row.cents == expected


def test_an_unknown_quotient_counts_as_the_row_that_costs_most() -> None:
    assert ordinary_price(1, CHAMPCEVINEL, Situation()) == Priced(350, 350, CHAMPCEVINEL[3], ("quotient",))
    # Wherever that row stands.
    upside_down = tuple(reversed(CHAMPCEVINEL))
    assert ordinary_price(1, upside_down, Situation()) == Priced(350, 350, CHAMPCEVINEL[3], ("quotient",))


@pytest.mark.parametrize(
    ("quotient", "expected"),
    [
        (650, 293),  # 292,5 cents are rounded up,
        (649, 292),  # 292,05 down.
        (652, 293),
        (0, 100),
        (222, 100),  # 99,9
        (223, 100),  # 100,35
        (224, 101),
        (1333, 600),  # 599,85
        (1334, 600),
        (5000, 600),
        (None, 600),
    ],
)
def test_an_effort_rate_is_rounded_once_and_kept_within_its_bounds(quotient: int | None, expected: int) -> None:
    assert cents(EFFORT, Situation(quotient)) == expected


def test_an_effort_rate_alone_asks_for_the_quotient() -> None:
    assert axes(EFFORT) == ("quotient",)
    assert ordinary_price(1, EFFORT, Situation()).unknown == ("quotient",)


@pytest.mark.parametrize(("rank", "expected"), [(1, 380), (2, 380), (3, 190), (7, 190), (None, 380)])
def test_a_rank_has_its_price(rank: int | None, expected: int) -> None:
    assert cents(BY_RANK, Situation(rank=rank)) == expected


@pytest.mark.parametrize(("eating", "expected"), [(1, 450), (2, 440), (3, 425), (6, 425), (None, 450)])
def test_each_meal_costs_less_where_more_children_eat(eating: int | None, expected: int) -> None:
    assert cents(SAUSSAY, Situation(eating=eating)) == expected


@pytest.mark.parametrize(
    ("level", "expected"), [("nursery", 390), ("elementary", 406), ("secondary", 450), (None, 450)]
)
def test_a_level_has_its_price(level: str | None, expected: int) -> None:
    assert cents(BAINS, Situation(level=level)) == expected


@pytest.mark.parametrize(
    ("situation", "expected", "unknown"),
    [
        (Situation(699, 1, 1, "elementary"), 350, ()),
        (Situation(699, 2, 1, "elementary"), 250, ()),
        (Situation(700, 2, 1, "elementary"), 360, ()),
        (Situation(801, 2, 1, "elementary"), 401, ()),
        (Situation(0, 1, 1, "nursery"), 300, ()),
        (Situation(0, 1, 2, "secondary"), 480, ()),
        # What is not known is as dear as it may be, among the rows that what is known leaves.
        (Situation(None, 2, 1, "elementary"), 500, ("quotient",)),
        (Situation(650, None, 1, "elementary"), 350, ("rank",)),
        (Situation(650, 2, 1, None), 520, ("level",)),
        (Situation(), 520, ("quotient", "rank", "eating", "level")),
    ],
)
def test_conditions_of_every_kind_go_together(situation: Situation, expected: int, unknown: tuple[str, ...]) -> None:
    priced = ordinary_price(1, MIXED, situation)
    assert (priced.cents, priced.unknown) == (expected, unknown)


def test_a_situation_without_a_row_is_an_error_and_no_price() -> None:
    with pytest.raises(LookupError, match="quotient=1501"):
        ordinary_price(380, CHAMPCEVINEL[:3], Situation(1501))
    with pytest.raises(LookupError):
        ordinary_price(380, (), Situation())


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (CHAMPCEVINEL, ("quotient",)),
        (SAUSSAY, ("eating",)),
        (BAINS, ("level",)),
        (BY_RANK, ("rank",)),
        (MIXED, ("quotient", "rank", "eating", "level")),
        # Bounds that hold for everybody ask nothing.
        ((Row(quotient_from=0, rank_from=1, eating_from=1, cents=300),), ()),
    ],
)
def test_a_grid_asks_only_what_its_rows_bound(grid: Grid, expected: tuple[str, ...]) -> None:
    assert axes(grid) == expected


@pytest.mark.parametrize(
    ("grid", "least", "most"), [(CHAMPCEVINEL, 100, 350), (SAUSSAY, 425, 450), (EFFORT, 100, 600), (MIXED, 250, 520)]
)
def test_a_grid_costs_from_its_lowest_to_its_highest_price(grid: Grid, least: int, most: int) -> None:
    assert (lowest(grid), highest(grid)) == (least, most)


QUOTIENTS = st.none() | st.integers(0, 3000)
NUMBERS = st.none() | st.integers(1, 8)
SITUATIONS = st.builds(Situation, QUOTIENTS, NUMBERS, NUMBERS, st.none() | st.sampled_from(LEVELS))


@given(st.sampled_from([CHAMPCEVINEL, SAUSSAY, BAINS, EFFORT, BY_RANK, MIXED]), SITUATIONS)
def test_every_situation_has_a_price_within_the_grid(grid: Grid, situation: Situation) -> None:
    assert lowest(grid) <= cents(grid, situation) <= highest(grid)


@given(SITUATIONS, st.sampled_from(Situation._fields))
def test_knowing_less_never_makes_a_meal_cheaper(situation: Situation, axis: str) -> None:
    assert cents(MIXED, situation._replace(**{axis: None})) >= cents(MIXED, situation)


# --- holes and overlaps ---


@st.composite
def brackets(draw: st.DrawFn, axis: str = "quotient", least: int = 0) -> Grid:
    """Rows that follow each other on an axis, from its beginning to no end."""
    ends = sorted(draw(st.sets(st.integers(least, 3000), min_size=1, max_size=6)))
    firsts: list[int | None] = [draw(st.sampled_from([None, least])), *(end + 1 for end in ends)]
    bounds: list[dict[str, Any]] = [
        {f"{axis}_from": first, f"{axis}_to": last} for first, last in zip(firsts, [*ends, None], strict=True)
    ]
    return tuple(Row(**bound, cents=300 + place) for place, bound in enumerate(bounds))


GRIDS = st.one_of(brackets("quotient", 0), brackets("rank", 1), brackets("eating", 1))


@given(GRIDS)
def test_brackets_that_follow_each_other_have_no_hole(grid: Grid) -> None:
    assert list(holes(grid)) == []


@given(GRIDS, st.data())
def test_a_row_taken_away_leaves_a_hole(grid: Grid, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(grid) - 1))
    found = list(holes(grid[:place] + grid[place + 1 :]))
    assert [hole.rows for hole in found] == [()]
    # And the hole is where that row was.
    assert grid[place].may_hold(found[0].situation)


@given(GRIDS, st.data())
def test_a_row_written_twice_overlaps_itself(grid: Grid, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(grid) - 1))
    assert {hole.rows for hole in holes((*grid, replace(grid[place], cents=1)))} == {(place, len(grid))}


@given(GRIDS, st.data())
def test_brackets_that_share_one_number_overlap_there(grid: Grid, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(grid) - 2))
    (axis,) = axes(grid)
    first, last = f"{axis}_from", f"{axis}_to"
    longer = replace(grid[place], **{last: getattr(grid[place + 1], first)})
    found = list(holes((*grid[:place], longer, *grid[place + 1 :])))
    assert [hole.rows for hole in found] == [(place, place + 1)]
    assert getattr(found[0].situation, axis) == getattr(longer, last)


def two(least: int) -> st.SearchStrategy[tuple[int | None, int | None]]:
    """A first and a last number of a row, in order, either of which may be missing."""
    number = st.integers(least, 4)
    return st.tuples(st.none() | number, st.none() | number).filter(
        lambda pair: None in pair or (pair[0] or 0) <= (pair[1] or 0)
    )


@st.composite
def any_rows(draw: st.DrawFn) -> Row:
    """A row with small bounds on every axis."""
    quotient, rank, eating = draw(two(0)), draw(two(1)), draw(two(1))
    return Row(*quotient, *rank, *eating, level=draw(st.sampled_from([None, "nursery"])), cents=1)


@given(st.lists(any_rows(), min_size=1, max_size=4))
def test_holes_are_found_exactly_where_somebody_would_fall_into_one(rows: list[Row]) -> None:
    levels = LEVELS if any(row.level for row in rows) else (None,)
    everybody = [
        Situation(quotient, rank, eating, level)
        for quotient in range(7)
        for rank in range(1, 7)
        for eating in range(1, 7)
        for level in levels
    ]
    held = {tuple(n for n, row in enumerate(rows) if row.may_hold(situation)) for situation in everybody}
    assert {hole.rows for hole in holes(tuple(rows))} == {places for places in held if len(places) != 1}


@pytest.mark.parametrize(
    ("grid", "situation", "rows"),
    [
        (CHAMPCEVINEL[:3], Situation(1501), ()),
        (CHAMPCEVINEL[1:], Situation(0), ()),
        (BAINS[:2], Situation(level="secondary"), ()),
        ((*BAINS, Row(level="nursery", quotient_to=500, cents=100)), Situation(0, level="nursery"), (0, 3)),
        ((Row(cents=300), Row(eating_from=2, cents=250)), Situation(eating=2), (0, 1)),
        ((Row(cents=300), Row(cents=250)), Situation(), (0, 1)),
        (MIXED[:-1], Situation(0, 1, 2, "secondary"), ()),
    ],
)
def test_a_hole_is_named_by_its_first_situation(grid: Grid, situation: Situation, rows: tuple[int, ...]) -> None:
    assert next(iter(holes(grid))) == (situation, rows)


@pytest.mark.parametrize("grid", [CHAMPCEVINEL, SAUSSAY, BAINS, EFFORT, BY_RANK, MIXED])
def test_a_grid_that_communes_publish_has_no_hole(grid: Grid) -> None:
    assert list(holes(grid)) == []


@pytest.mark.parametrize("grid", [CHAMPCEVINEL, SAUSSAY, BAINS, EFFORT, BY_RANK, MIXED])
def test_a_grid_comes_back_from_its_price_as_it_was(grid: Grid) -> None:
    assert read_grid(json.loads(json.dumps([row.as_json() for row in grid]))) == grid


@given(any_rows())
def test_a_row_comes_back_with_all_its_bounds(row: Row) -> None:
    assert read_grid(json.loads(json.dumps([row.as_json()]))) == (row,)


def test_a_bracket_that_ends_at_0_still_ends_there_in_its_price() -> None:
    grid = (Row(quotient_to=0, cents=100), Row(quotient_from=1, cents=50))
    assert cents(read_grid([row.as_json() for row in grid]), Situation(700)) == 50


# --- surcharges ---


@pytest.mark.parametrize(
    ("surcharge", "ordinary", "expected"),
    [
        (Surcharge(percent="50"), 375, 563),  # 562,5
        (Surcharge(percent="50"), 420, 630),
        (Surcharge(percent="25"), 406, 508),  # 507,5
        (Surcharge(percent="12.5"), 380, 428),  # 427,5
        (Surcharge(percent="12.5"), 379, 426),  # 426,375
        (Surcharge(percent="100"), 333, 666),
        (Surcharge(more=100), 380, 480),
        (Surcharge(price=1000), 380, 1000),
        # Another price may be lower.
        (Surcharge(price=300), 380, 300),
    ],
)
def test_a_surcharge_is_rounded_half_up_once(surcharge: Surcharge, ordinary: int, expected: int) -> None:
    assert surcharge.on(ordinary) == expected


@pytest.mark.parametrize(
    ("surcharge", "ordinary", "cost_price", "expected"),
    [
        (Surcharge(more=100), 380, 450, 450),
        (Surcharge(more=100), 380, 480, 480),
        (Surcharge(more=100), 380, 481, 480),
        (Surcharge(percent="50"), 375, 500, 500),
        (Surcharge(price=1000), 380, 720, 720),
        # An ordinary price above the cost stays what it is.
        (Surcharge(more=100), 600, 500, 600),
        (Surcharge(price=1000), 600, 500, 600),
        (Surcharge(price=300), 600, 500, 300),
        (Surcharge(more=100), 500, 500, 500),
    ],
)
def test_a_surcharge_never_goes_above_what_the_meal_costs(
    surcharge: Surcharge, ordinary: int, cost_price: int, expected: int
) -> None:
    assert surcharge.on(ordinary, cost_price) == expected


@given(SURCHARGES, st.integers(1, 2000), st.integers(1, 2000))
def test_a_cost_price_only_ever_lowers_and_never_below_the_ordinary_price(
    surcharge: Surcharge, ordinary: int, cost_price: int
) -> None:
    capped, asked = surcharge.on(ordinary, cost_price), surcharge.on(ordinary)
    assert min(asked, ordinary) <= capped <= asked
    assert capped <= max(cost_price, ordinary)


@pytest.mark.parametrize(
    ("surcharge", "expected"),
    [
        (Surcharge(percent="50"), "50 % de plus"),
        (Surcharge(percent="12.5"), "12,5 % de plus"),
        (Surcharge(more=100), "1,00 € de plus"),
        (Surcharge(price=1000), "10,00 € le repas"),
    ],
)
def test_a_surcharge_in_words(surcharge: Surcharge, expected: str) -> None:
    assert plain(surcharge.words()) == expected


# --- credits ---


@pytest.mark.parametrize(
    ("rule", "paid", "expected"),
    [
        ("full", 450, 450),
        ("none", 450, 0),
        (385, 450, 385),
        (385, 385, 385),
        (385, 300, 300),
        ("full", 0, 0),
        (385, 0, 0),
    ],
)
def test_a_cancelled_meal_gives_back(rule: Credit, paid: int, expected: int) -> None:
    assert credit(rule, paid) == expected


@given(st.sampled_from(["full", "none"]) | st.integers(1, 2000), st.integers(0, 2000))
def test_never_more_is_given_back_than_was_paid(rule: Credit, paid: int) -> None:
    assert 0 <= credit(rule, paid) <= paid


# --- levels ---


@pytest.mark.parametrize(
    ("school", "born", "expected"),
    [
        # The school's own, whatever the child's age.
        ("nursery", date(2016, 1, 1), "nursery"),
        ("elementary", date(2022, 1, 1), "elementary"),
        ("secondary", None, "secondary"),
        # Both under one roof: the September of the year in which the child turns six.
        ("primary", date(2020, 12, 31), "elementary"),
        ("primary", date(2020, 1, 1), "elementary"),
        ("primary", date(2021, 1, 1), "nursery"),
        ("primary", date(2023, 8, 1), "nursery"),
        # A primary school has no secondary classes, even for who stays on.
        ("primary", date(2015, 6, 1), "elementary"),
        # No school: by age alone.
        (None, date(2021, 1, 1), "nursery"),
        (None, date(2020, 12, 31), "elementary"),
        (None, date(2016, 1, 1), "elementary"),
        (None, date(2015, 12, 31), "secondary"),
        ("primary", None, None),
        (None, None, None),
    ],
)
def test_a_child_has_a_level(school: str | None, born: date | None, expected: str | None) -> None:
    assert level_on(school, born, 2026) == expected


def test_a_child_moves_up_with_the_school_year() -> None:
    born = date(2021, 12, 31)
    assert [level_on("primary", born, year) for year in (2025, 2026, 2027)] == ["nursery", "nursery", "elementary"]


# --- words ---


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row(quotient_to=622, cents=100), "quotient jusqu’à 622"),
        (Row(quotient_from=0, quotient_to=622, cents=100), "quotient jusqu’à 622"),
        (Row(quotient_from=623, quotient_to=1000, cents=330), "quotient de 623 à 1000"),
        (Row(quotient_from=1501, cents=350), "quotient à partir de 1501"),
        (Row(rank_to=1, cents=380), "1er enfant"),
        (Row(rank_from=2, rank_to=2, cents=380), "2e enfant"),
        (Row(rank_to=2, cents=380), "du 1er au 2e enfant"),
        (Row(rank_from=3, cents=190), "3e enfant et suivants"),
        (Row(eating_to=1, cents=450), "1 enfant ce jour-là"),
        (Row(eating_from=2, eating_to=2, cents=440), "2 enfants ce jour-là"),
        (Row(eating_from=2, eating_to=3, cents=440), "de 2 à 3 enfants ce jour-là"),
        (Row(eating_from=3, cents=425), "3 enfants ou plus ce jour-là"),
        (Row(level="nursery", cents=390), "maternelle"),
        (Row(level="elementary", cents=390), "élémentaire"),
        (Row(level="secondary", cents=390), "collège"),
        (
            Row(level="elementary", quotient_to=699, rank_to=1, eating_from=2, cents=350),
            "élémentaire, quotient jusqu’à 699, 1er enfant, 2 enfants ou plus ce jour-là",
        ),
        (Row(cents=380), "tous"),
        (Row(quotient_from=0, cents=380), "tous"),
        (Row(rate="0.45", floor=100, ceiling=600), "tous"),
        (Row(rate="0.45", floor=100, ceiling=600, quotient_from=700), "quotient à partir de 700"),
    ],
)
def test_a_row_says_where_it_holds(row: Row, expected: str) -> None:
    assert plain(row_words(row)) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row(cents=330), "3,30 €"),
        (Row(cents=50), "0,50 €"),
        (Row(rate="0.45", floor=100, ceiling=600), "0,45 % du quotient, de 1,00 € à 6,00 €"),
        (Row(rate="1", floor=50, ceiling=1250), "1 % du quotient, de 0,50 € à 12,50 €"),
    ],
)
def test_a_row_says_what_it_asks(row: Row, expected: str) -> None:
    assert plain(amount_words(row)) == expected


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (Situation(700, 2), "quotient 700, 2e enfant"),
        (Situation(0, 1, 1), "quotient 0, 1er enfant, 1 enfant ce jour-là"),
        (Situation(eating=3, level="secondary"), "collège, 3 enfants ce jour-là"),
        (Situation(), "dans tous les cas"),
    ],
)
def test_a_situation_in_words(situation: Situation, expected: str) -> None:
    assert plain(situation_words(situation)) == expected
