"""What a meal costs a child on a day, how that came about, and why, sentence by sentence."""

import json
from collections.abc import Collection
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart.quotes import NOBODY, Family, Pupil, Quote, Terms, asks_who_eats, quote, reasons
from catalog.rules.deadlines import DeadlineRule
from catalog.rules.policies import Late, Policies
from catalog.rules.prices import Credit, Grid, Row, Surcharge

DAY = date(2026, 11, 24)
AIGUILHE, COUBON = 1, 2
LOUANE, THEO, CAMILLE = 11, 12, 99
"""Two children of the household, and its grown-up."""
FAMILY = Family(
    quotients=(
        (AIGUILHE, date(2026, 1, 1), date(2026, 12, 31), 650),
        (AIGUILHE, date(2027, 1, 1), date(2027, 12, 31), 710),
        (COUBON, date(2026, 9, 1), date(2027, 8, 31), 0),
    ),
    pupils={LOUANE: Pupil(1, "primary", date(2019, 5, 10)), THEO: Pupil(2, "primary", date(2022, 3, 1))},
)
NOON = DeadlineRule.of("12:00", days_before=1, counted="calendar")
BY_QUOTIENT: Grid = (Row(quotient_to=699, cents=250), Row(quotient_from=700, cents=375))
BY_EATING: Grid = (
    Row(eating_to=1, cents=450),
    Row(eating_from=2, eating_to=2, cents=440),
    Row(eating_from=3, cents=425),
)
BY_RANK: Grid = (Row(rank_to=1, cents=380), Row(rank_from=2, cents=190))
BY_LEVEL: Grid = tuple(
    Row(level=level, cents=300 + n) for n, level in enumerate(("nursery", "elementary", "secondary"))
)
EFFORT: Grid = (Row(rate="0.45", floor=100, ceiling=600),)


def plain(words: list[str]) -> list[str]:
    return [sentence.replace("\u00a0", " ") for sentence in words]


def asked(
    grid: Grid | None = None,
    *,
    cents: int = 380,
    late: Surcharge | None = None,
    cost_price: int | None = None,
    credit: Credit = "full",
    family: Family = FAMILY,
    child: int = LOUANE,
    commune: int = AIGUILHE,
    day: date = DAY,
    eating: int = 1,
) -> Quote:
    """A price; late where `late` says what is asked then."""
    policies = Policies(Late(NOON, late) if late else None, credit=credit, cost_price=cost_price)
    return quote(cents, grid, Terms(policies, commune, family), child, day, eating, late is not None)


def basis(found: Quote) -> dict[str, Any]:
    """How the price came about."""
    assert found.basis is not None
    facts: dict[str, Any] = json.loads(found.basis)
    return facts


# --- prices ---


def test_a_flat_price_in_time_needs_no_explanation() -> None:
    assert asked() == Quote(380, 380, None)


def test_a_flat_price_asks_nothing_of_the_family() -> None:
    assert asked(family=NOBODY, child=CAMILLE) == Quote(380, 380, None)


@pytest.mark.parametrize(
    ("surcharge", "cents"),
    [(Surcharge(percent="50"), 570), (Surcharge(more=100), 480), (Surcharge(price=1000), 1000)],
)
def test_a_late_price_keeps_what_it_would_have_been(surcharge: Surcharge, cents: int) -> None:
    found = asked(late=surcharge)
    assert (found.cents, found.credit_cents) == (cents, cents)
    assert basis(found) == {"late": surcharge.as_json(), "ordinary": 380}


@pytest.mark.parametrize(
    ("cost_price", "cents", "kept"),
    [
        (500, 500, {"cost_price": 500}),
        (570, 570, {}),
        (720, 570, {}),
        # The ordinary price is above the cost already.
        (300, 380, {"cost_price": 300}),
    ],
)
def test_a_late_price_is_kept_below_the_cost(cost_price: int, cents: int, kept: dict[str, int]) -> None:
    found = asked(late=Surcharge(percent="50"), cost_price=cost_price)
    assert found.cents == cents
    assert basis(found) == {"late": {"percent": "50"}, "ordinary": 380, **kept}


def test_a_late_day_of_a_service_that_takes_none_any_more_costs_the_ordinary_price() -> None:
    found = quote(380, None, Terms(Policies(), AIGUILHE, FAMILY), LOUANE, DAY, 1, True)
    assert (found.cents, found.credit_cents) == (380, 380)


@pytest.mark.parametrize(
    ("commune", "day", "cents", "known"),
    [
        (AIGUILHE, DAY, 250, {"quotient": 650}),
        (AIGUILHE, date(2027, 1, 4), 375, {"quotient": 710}),
        # A quotient of 0 is a quotient.
        (COUBON, DAY, 250, {"quotient": 0}),
        # None for that day, or for that commune.
        (COUBON, date(2027, 9, 2), 375, {"unknown": ["quotient"]}),
        (3, DAY, 375, {"unknown": ["quotient"]}),
    ],
)
def test_a_grid_asks_for_the_quotient_of_the_commune_and_the_day(
    commune: int, day: date, cents: int, known: dict[str, Any]
) -> None:
    found = asked(BY_QUOTIENT, commune=commune, day=day)
    row = {"quotient_to": 699, "cents": 250} if cents == 250 else {"quotient_from": 700, "cents": 375}
    assert found.cents == cents
    assert basis(found) == {"row": row, **known}


@pytest.mark.parametrize(("eating", "cents"), [(1, 450), (2, 440), (3, 425), (4, 425)])
def test_a_grid_asks_how_many_eat(eating: int, cents: int) -> None:
    found = asked(BY_EATING, eating=eating)
    assert (found.cents, basis(found)["eating"]) == (cents, eating)


@pytest.mark.parametrize(
    ("child", "cents", "known"),
    [(LOUANE, 380, {"rank": 1}), (THEO, 190, {"rank": 2}), (CAMILLE, 380, {"unknown": ["rank"]})],
)
def test_a_grid_asks_for_the_child_s_rank(child: int, cents: int, known: dict[str, Any]) -> None:
    found = asked(BY_RANK, child=child)
    row = {"rank_to": 1, "cents": 380} if cents == 380 else {"rank_from": 2, "cents": 190}
    assert (found.cents, basis(found)) == (cents, {"row": row, **known})


@pytest.mark.parametrize(
    ("child", "day", "level"),
    [
        (LOUANE, DAY, "elementary"),
        (THEO, DAY, "nursery"),
        # Théo turns six in 2028: he moves up that September, and not in January.
        (THEO, date(2028, 6, 30), "nursery"),
        (THEO, date(2028, 9, 4), "elementary"),
    ],
)
def test_a_grid_asks_for_the_child_s_level_in_that_school_year(child: int, day: date, level: str) -> None:
    found = asked(BY_LEVEL, child=child, day=day)
    assert basis(found)["level"] == basis(found)["row"]["level"] == level


def test_an_effort_rate_is_asked_of_the_quotient() -> None:
    assert asked(EFFORT).cents == 293
    assert asked(EFFORT, family=NOBODY).cents == 600


def test_a_grid_asks_nothing_that_its_rows_do_not_bound() -> None:
    assert basis(asked(BY_EATING, eating=2)).keys() == {"row", "eating"}


def test_a_late_price_goes_above_that_of_the_row() -> None:
    found = asked(BY_QUOTIENT, late=Surcharge(percent="50"), day=date(2027, 1, 4))
    # 562,5 cents, rounded once.
    assert found.cents == 563
    assert basis(found) == {
        "row": {"quotient_from": 700, "cents": 375},
        "quotient": 710,
        "late": {"percent": "50"},
        "ordinary": 375,
    }


@pytest.mark.parametrize("grid", [BY_QUOTIENT[:0], (Row(quotient_to=600, cents=250),)])
def test_a_grid_without_a_row_for_the_family_is_an_error(grid: Grid) -> None:
    with pytest.raises(LookupError):
        asked(grid)


@pytest.mark.parametrize(
    ("credit", "late", "expected"),
    [
        ("full", None, 380),
        ("none", None, 0),
        (300, None, 300),
        (450, None, 380),
        # Of what was paid, surcharge and all.
        ("full", Surcharge(more=100), 480),
        ("none", Surcharge(more=100), 0),
        (450, Surcharge(more=100), 450),
    ],
)
def test_what_cancelling_gives_back_is_settled_with_the_price(
    credit: Credit, late: Surcharge | None, expected: int
) -> None:
    assert asked(late=late, credit=credit).credit_cents == expected


def test_a_grid_is_credited_by_its_own_price() -> None:
    assert asked(BY_QUOTIENT, credit=300).credit_cents == 250
    assert asked(BY_QUOTIENT, credit=200).credit_cents == 200


@given(
    st.sampled_from([None, BY_QUOTIENT, BY_EATING, BY_RANK, BY_LEVEL, EFFORT]),
    st.sampled_from([None, Surcharge(percent="50"), Surcharge(more=100), Surcharge(price=1000)]),
    st.none() | st.integers(1, 900),
    st.sampled_from(["full", "none", 200, 2000]),
    st.sampled_from([LOUANE, THEO, CAMILLE]),
)
def test_never_more_is_credited_than_asked(
    grid: Grid | None, late: Surcharge | None, cost_price: int | None, credit: Credit, child: int
) -> None:
    found = asked(grid, late=late, cost_price=cost_price, credit=credit, child=child)
    assert 0 <= found.credit_cents <= found.cents
    assert (found.basis is None) == (grid is None and late is None)


# --- families ---


@pytest.mark.parametrize(
    ("commune", "day", "expected"),
    [
        (AIGUILHE, date(2025, 12, 31), None),
        (AIGUILHE, date(2026, 1, 1), 650),
        (AIGUILHE, date(2026, 12, 31), 650),
        (AIGUILHE, date(2027, 1, 1), 710),
        (AIGUILHE, date(2027, 12, 31), 710),
        (AIGUILHE, date(2028, 1, 1), None),
        (COUBON, DAY, 0),
        (COUBON, date(2026, 8, 31), None),
        (3, DAY, None),
    ],
)
def test_a_quotient_is_one_commune_s_for_some_days(commune: int, day: date, expected: int | None) -> None:
    assert FAMILY.quotient_on(commune, day) == expected


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ([LOUANE, THEO], 2),
        ([LOUANE], 1),
        ([LOUANE, LOUANE], 1),
        # A grown-up at the table is no child, nor is somebody else's.
        ([LOUANE, CAMILLE], 1),
        ([LOUANE, THEO, CAMILLE, 7], 2),
        # A price is asked for somebody.
        ([], 1),
        ([CAMILLE], 1),
    ],
)
def test_only_children_of_the_family_count(who: Collection[int], expected: int) -> None:
    assert FAMILY.eating(who) == expected


def test_a_household_without_children_asks_for_one() -> None:
    assert NOBODY.eating([LOUANE, THEO]) == 1


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (None, False),
        (BY_QUOTIENT, False),
        (BY_RANK, False),
        (BY_EATING, True),
        ((Row(eating_from=1, cents=300),), False),
        ((Row(quotient_to=10, cents=1), Row(quotient_from=11, eating_to=2, cents=2)), True),
    ],
)
def test_some_grids_ask_who_eats(grid: Grid | None, expected: bool) -> None:
    assert asks_who_eats(grid) == expected


# --- reasons ---

IN_FORCE = "Tarif « Résident commune », en vigueur depuis le 1er septembre 2026."
DECIDED = "Décidé par le conseil le 30 juin 2026."


def why(found: Quote, decided_on: date | None = None) -> list[str]:
    """The sentences of a price."""
    return plain(reasons(found.basis, found.cents, "Résident commune", date(2026, 9, 1), decided_on))


def test_a_flat_price_says_its_tariff_alone() -> None:
    assert why(asked()) == [IN_FORCE]


def test_a_decided_price_says_when() -> None:
    assert why(asked(), date(2026, 6, 30)) == [IN_FORCE, DECIDED, "Prix du repas : 3,80 €."]


@pytest.mark.parametrize(
    ("surcharge", "more"),
    [
        (
            Surcharge(percent="12.5"),
            [
                "Réservé hors délai : 12,5 % de plus (3,80 € à temps).",
                "Arrondi une fois, au centime le plus proche.",
                "Prix du repas : 4,28 €.",
            ],
        ),
        (
            Surcharge(more=100),
            ["Réservé hors délai : 1,00 € de plus (3,80 € à temps).", "Prix du repas : 4,80 €."],
        ),
        (
            Surcharge(price=1000),
            ["Réservé hors délai : 10,00 € le repas (3,80 € à temps).", "Prix du repas : 10,00 €."],
        ),
    ],
)
def test_a_late_price_says_what_it_would_have_been(surcharge: Surcharge, more: list[str]) -> None:
    assert why(asked(late=surcharge)) == [IN_FORCE, *more]


def test_a_late_price_says_what_stopped_it() -> None:
    assert why(asked(late=Surcharge(more=200), cost_price=500)) == [
        IN_FORCE,
        "Réservé hors délai : 2,00 € de plus (3,80 € à temps).",
        "Plafonné au prix de revient, 5,00 €.",
        "Prix du repas : 5,00 €.",
    ]


def test_a_price_above_the_cost_says_that_nothing_is_added() -> None:
    assert why(asked(late=Surcharge(more=200), cost_price=300)) == [
        IN_FORCE,
        "Réservé hors délai : 2,00 € de plus (3,80 € à temps).",
        "Le prix à temps dépasse déjà le prix de revient, 3,00 € : rien de plus n’est demandé.",
        "Prix du repas : 3,80 €.",
    ]


@pytest.mark.parametrize(
    ("found", "more"),
    [
        (
            asked(BY_QUOTIENT),
            [
                "Votre situation : quotient familial 650.",
                "Ligne du tarif : quotient jusqu’à 699, 2,50 €.",
                "Prix du repas : 2,50 €.",
            ],
        ),
        (
            asked(BY_QUOTIENT, commune=COUBON),
            [
                "Votre situation : quotient familial 0.",
                "Ligne du tarif : quotient jusqu’à 699, 2,50 €.",
                "Prix du repas : 2,50 €.",
            ],
        ),
        (
            asked(BY_QUOTIENT, commune=3),
            [
                "Ligne du tarif : quotient à partir de 700, 3,75 €.",
                "Quotient familial non connu : le prix le plus élevé s’applique. Montrez votre attestation à la mairie.",
                "Prix du repas : 3,75 €.",
            ],
        ),
        (
            asked(BY_EATING, eating=2),
            [
                "Votre situation : 2 enfants de la famille ce jour-là.",
                "Ligne du tarif : 2 enfants ce jour-là, 4,40 €.",
                "Prix du repas : 4,40 €.",
            ],
        ),
        (
            asked(BY_RANK, child=THEO),
            [
                "Votre situation : rang 2 dans la fratrie.",
                "Ligne du tarif : 2e enfant et suivants, 1,90 €.",
                "Prix du repas : 1,90 €.",
            ],
        ),
        (asked(BY_LEVEL), ["Ligne du tarif : élémentaire, 3,01 €.", "Prix du repas : 3,01 €."]),
        (
            asked(EFFORT),
            [
                "Votre situation : quotient familial 650.",
                "Ligne du tarif : tous, 0,45 % du quotient, de 1,00 € à 6,00 €.",
                "Prix du repas : 2,93 €.",
            ],
        ),
    ],
)
def test_a_grid_says_the_situation_and_the_row(found: Quote, more: list[str]) -> None:
    assert why(found) == [IN_FORCE, *more]


def test_everything_is_said_in_order() -> None:
    grid: Grid = (
        Row(quotient_to=699, rank_to=1, eating_from=2, cents=375),
        *(Row(quotient_to=699, rank_to=1, eating_to=1, cents=390), Row(quotient_to=699, rank_from=2, cents=190)),
        Row(quotient_from=700, cents=600),
    )
    late = asked(grid, late=Surcharge(percent="50"), cost_price=500, eating=2)
    assert why(late, date(2026, 6, 30)) == [
        IN_FORCE,
        DECIDED,
        "Votre situation : quotient familial 650, rang 1 dans la fratrie et 2 enfants de la famille ce jour-là.",
        "Ligne du tarif : quotient jusqu’à 699, 1er enfant, 2 enfants ou plus ce jour-là, 3,75 €.",
        "Réservé hors délai : 50 % de plus (3,75 € à temps).",
        "Arrondi une fois, au centime le plus proche.",
        "Plafonné au prix de revient, 5,00 €.",
        "Prix du repas : 5,00 €.",
    ]
