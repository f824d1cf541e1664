"""The checkout's decisions, on plain values."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from cart.meals import BasketMeal
from cart.quotes import Quote
from checkout.basket import baskets, days_in_words
from checkout.errors import BasketRefused, EmptyBasket, TotalChanged
from checkout.rules import (
    Places,
    Waits,
    check_basket,
    find_problems,
    next_states,
    why_not_cancelled,
    why_not_given_back,
)
from tests.conftest import as_typed

DEADLINE = datetime(2026, 11, 3, 9, tzinfo=UTC)
BEFORE = DEADLINE - timedelta(seconds=1)


def meal(**changes: Any) -> BasketMeal:
    facts: dict[str, Any] = {
        "line_id": 1,
        "basket_id": 5,
        "regie_id": 1,
        "basket_state": "open",
        "beneficiary_id": 12,
        "first_name": "Louane",
        "last_name": "Dupont",
        "service_id": 2,
        "service_name": "Cantine Aiguilhe",
        "service_slug": "cantine",
        "kind": "canteen",
        "policies": {"credit": "full"},
        "commune_id": 1,
        "commune_slug": "aiguilhe",
        "service_day_id": 7,
        "day": date(2026, 11, 5),
        "is_open": True,
        "closed_reason": None,
        "capacity": None,
        "booked_count": 0,
        "book_deadline_at": DEADLINE,
        "cancel_deadline_at": DEADLINE,
        "late_deadline_at": None,
        "tariff_label": "Résident commune",
        "tariff_price_id": 4,
        "quoted_cents": 380,
        "basis": None,
        "price_id": 4,
        "flat_cents": 380,
        "grid": None,
        "price_from": date(2026, 9, 1),
        "decided_on": None,
        "enrolment_id": 9,
        "reservation_id": None,
        "call_off": None,
        "booked_there": None,
        "shared": False,
        "eaten_id": None,
        "asks_plan": False,
        "price": Quote(380, 380, None),
    }
    return BasketMeal(**{**facts, **changes})


def test_two_children_and_two_dates_make_four_meals_and_15_20() -> None:
    meals = [
        meal(
            line_id=1 + 2 * i + j,
            beneficiary_id=12 + i,
            first_name=name,
            service_day_id=7 + j,
            day=date(2026, 11, 5 + j),
        )
        for i, name in enumerate(["Louane", "Théo"])
        for j in range(2)
    ]
    assert check_basket(meals, 1520, BEFORE).total_cents == 1520
    (view,) = baskets(meals, BEFORE)
    (product,) = view.products
    assert (product.quantity, product.unit_cents, product.total_cents) == (4, 380, 1520)
    assert product.people == ["Louane Dupont", "Théo Dupont"]
    assert product.dates == "5 et 6 novembre 2026"
    assert view.problems == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reservation_id": 3}, "déjà réservé"),
        ({"is_open": False, "closed_reason": "Grève"}, "plus de service ce jour-là (Grève)"),
        ({"enrolment_id": None}, "n’est plus valable"),
        ({"price_id": None, "price": None}, "n’est pas connu"),
        ({"price": Quote(410, 410, None), "price_id": 8}, "4,10\u00a0€ au lieu de 3,80\u00a0€"),
        ({"quoted_cents": 1}, "Le prix a changé"),
        ({"capacity": 3, "booked_count": 3}, "plus de place"),
    ],
)
def test_what_stands_in_the_way_of_a_meal(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BasketRefused) as refusal:
        check_basket([meal(**change)], None, BEFORE)
    assert words in refusal.value.problems[1]


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"reservation_id": 3}, "remove"),
        ({"call_off": "Grève"}, "remove"),
        ({"is_open": False, "closed_reason": "Grève"}, "another_day"),
        ({"book_deadline_at": BEFORE}, "another_day"),
        ({"capacity": 3, "booked_count": 3}, "another_day"),
        ({"enrolment_id": None}, "services"),
        ({"price_id": None, "price": None}, "remove"),
        ({"price": Quote(410, 410, None), "price_id": 8}, "accept"),
        ({"price_id": 8}, "accept"),
    ],
)
def test_each_problem_of_a_meal_has_what_mends_it(change: dict[str, Any], remedy: str) -> None:
    meals = [meal(**change), meal(line_id=2, service_day_id=8, day=date(2026, 11, 6))]
    assert {line_id: problem.remedy for line_id, problem in find_problems(meals, BEFORE).items()} == {1: remedy}
    (view,) = baskets(meals, BEFORE)
    assert view.lines_to_remove == ([] if remedy == "accept" else [1])
    assert view.price_changed == (remedy == "accept")


def test_one_second_before_the_deadline_and_at_it() -> None:
    assert check_basket([meal()], 380, BEFORE).total_cents == 380
    with pytest.raises(BasketRefused) as refusal:
        check_basket([meal()], 380, DEADLINE)
    problem = as_typed(refusal.value.problems[1])
    assert problem == "Trop tard : il fallait réserver avant le mardi 3 novembre 2026 à 10\u00a0h."


def test_all_problems_come_at_once() -> None:
    with pytest.raises(BasketRefused) as refusal:
        check_basket([meal(line_id=1, is_open=False), meal(line_id=2, enrolment_id=None)], None, BEFORE)
    assert set(refusal.value.problems) == {1, 2}


def test_places_are_counted_for_all_the_family_wants() -> None:
    two = [meal(line_id=1, capacity=5, booked_count=4), meal(line_id=2, beneficiary_id=13, capacity=5, booked_count=4)]
    with pytest.raises(BasketRefused):
        check_basket(two, None, BEFORE)
    assert check_basket(two[:1], None, BEFORE).total_cents == 380


def test_a_line_that_finds_two_prices_is_refused() -> None:
    with pytest.raises(BasketRefused):
        check_basket([meal(), meal(price_id=8, price=Quote(1, 1, None))], None, BEFORE)


def test_nothing_and_another_total_than_the_one_seen() -> None:
    with pytest.raises(EmptyBasket):
        check_basket([], 0, BEFORE)
    with pytest.raises(TotalChanged):
        check_basket([meal()], 379, BEFORE)


@pytest.mark.parametrize(
    ("state", "now", "words"),
    [
        ("confirmed", BEFORE, None),
        ("confirmed", DEADLINE, "il fallait annuler avant le"),
        ("cancelled", BEFORE, "déjà annulé"),
        ("released", BEFORE, "n’est pas réservé"),
        ("held", BEFORE, "n’est pas réservé"),
    ],
)
def test_cancelling(state: str, now: datetime, words: str | None) -> None:
    why = why_not_cancelled(state, "Louane", "jeudi", DEADLINE, now)
    assert why is None if words is None else words in (why or "")


def test_dates_in_words() -> None:
    days = [date(2027, 3, 22), date(2027, 3, 21), date(2027, 4, 1), date(2027, 3, 21)]
    assert days_in_words(days) == "21 et 22 mars 2027, 1er avril 2027"


FREED = {"freed": 1, "freed_deadline_at": DEADLINE + timedelta(days=1)}
AS_FREED = Quote(380, 380, '{"freed": true}')


def test_a_meal_that_was_given_back_is_ordered_after_the_deadline_on_a_full_day() -> None:
    draft = check_basket([meal(**FREED, capacity=3, booked_count=3, price=AS_FREED)], 380, DEADLINE)
    assert [line.line_id for line in draft.freed] == [1]
    assert check_basket([meal(**FREED)], 380, BEFORE).freed == ()


def test_two_meals_want_the_one_that_was_given_back() -> None:
    two = [
        meal(line_id=1, **FREED, price=AS_FREED),
        meal(line_id=2, beneficiary_id=13, **FREED, basis='{"freed": true}'),
    ]
    with pytest.raises(BasketRefused) as refusal:
        check_basket(two, None, DEADLINE)
    assert set(refusal.value.problems) == {1}, "the one that was quoted as given back has it"


@pytest.mark.parametrize(
    ("changes", "now", "words"),
    [
        ({}, DEADLINE, "repris par une autre famille ou gardé : retirez-le du panier"),
        ({}, DEADLINE + timedelta(days=1), "il fallait réserver avant le mercredi 4 novembre 2026 à 10"),
        (
            {"late_deadline_at": DEADLINE + timedelta(days=2), "price": Quote(570, 570, None)},
            DEADLINE,
            "n’est plus disponible : hors délai, il coûte 5,70\u00a0€ au lieu de 3,80\u00a0€",
        ),
    ],
)
def test_a_meal_that_was_given_back_is_gone(changes: dict[str, Any], now: datetime, words: str) -> None:
    gone = meal(**FREED | {"freed": 0, "basis": '{"freed": true}'} | changes)
    with pytest.raises(BasketRefused) as refusal:
        check_basket([gone], None, now)
    assert words in as_typed(refusal.value.problems[1])


@pytest.mark.parametrize(
    ("state", "seconds", "limit", "words"),
    [
        ("confirmed", 0, 1, None),
        ("confirmed", -1, 1, "peut encore être annulé"),
        ("confirmed", 1, 1, "Trop tard"),
        ("confirmed", 0, None, "ne reprend pas"),
        ("held", 0, 1, "n’est pas réservé"),
        ("cancelled", 0, 1, "n’est pas réservé"),
    ],
)
def test_why_a_meal_is_not_given_back(state: str, seconds: int, limit: int | None, words: str | None) -> None:
    until = None if limit is None else DEADLINE + timedelta(seconds=limit)
    why = why_not_given_back(state, DEADLINE, until, DEADLINE + timedelta(seconds=seconds))
    assert why is None if words is None else why is not None and words in why


def test_a_meal_that_another_family_has_taken_over_says_so() -> None:
    until = DEADLINE + timedelta(seconds=1)
    assert "Une autre famille a repris ce repas" in str(
        why_not_given_back("cancelled", DEADLINE, until, DEADLINE, "taken")
    )
    for freed in ("withdrawn", "lapsed"):
        why = why_not_given_back("cancelled", DEADLINE, until, DEADLINE, freed)
        assert why is not None
        assert "n’est pas réservé" in why


# --- places that are kept, places of a school ---

FULL = {"capacity": 2, "booked_count": 2}
NO_PLACE = (
    "Il n’y a plus de place ce jour-là : retirez ce repas du panier, puis attendez une place depuis le calendrier."
)
LATER = BEFORE + timedelta(hours=1)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (FULL, NO_PLACE),
        ({"capacity": 2, "booked_count": 1}, None),
        (FULL | {"kept_until": LATER}, None),
        (
            FULL | {"kept_until": BEFORE},
            "La place n’est plus gardée pour vous, et il n’y en a plus d’autre ce jour-là.",
        ),
        ({"capacity": 2, "booked_count": 1, "kept_until": BEFORE}, None),
        ({"school_id": 3, "school_capacity": 2, "school_booked_count": 2}, NO_PLACE),
        ({"school_id": 3, "school_capacity": 2, "school_booked_count": 1}, None),
        (
            {
                "school_id": 3,
                "school_capacity": 2,
                "school_booked_count": 2,
                "kept_until": LATER,
                "kept_school_id": 3,
            },
            None,
        ),
        (
            {
                "school_id": 3,
                "school_capacity": 2,
                "school_booked_count": 2,
                "kept_until": LATER,
                "kept_school_id": 4,
            },
            NO_PLACE,
        ),
    ],
)
def test_a_place_that_is_kept_is_its_familys_and_a_school_may_be_full(facts: dict[str, Any], words: str | None) -> None:
    found = find_problems([meal(**facts)], BEFORE)
    assert {key: as_typed(problem.sentence) for key, problem in found.items()} == ({1: words} if words else {})


def test_a_kept_place_serves_one_child_alone() -> None:
    kept = meal(capacity=3, booked_count=2, kept_until=LATER, entry_id=8)
    others = [meal(capacity=3, booked_count=2, line_id=2, beneficiary_id=13)]
    assert find_problems([kept, *others], BEFORE) == {}
    others.append(meal(capacity=3, booked_count=2, line_id=3, beneficiary_id=14))
    assert set(find_problems([kept, *others], BEFORE)) == {2, 3}


def test_siblings_of_one_school_count_together_and_of_two_apart() -> None:
    places = {"school_capacity": 3, "school_booked_count": 2}
    here = [meal(**places, school_id=3, line_id=number, beneficiary_id=number) for number in (1, 2)]
    assert set(find_problems(here, BEFORE)) == {1, 2}
    assert find_problems([here[0], meal(**places, school_id=4, line_id=2, beneficiary_id=2)], BEFORE) == {}


# --- the turn of a waiting list ---


def waits(number: int, **changes: Any) -> Waits:
    facts: dict[str, Any] = {
        "household_id": number,
        "state": "waiting",
        "offered_until": None,
        "kept_school_id": None,
        "school_id": None,
        "entitled": True,
        "booked": False,
        "called_off": None,
        "elsewhere": False,
    }
    return Waits(number, **{**facts, **changes})


def offered(number: int, until: datetime, **changes: Any) -> Waits:
    return waits(number, state="offered", offered_until=until, **changes)


def turn(
    queue: list[Waits],
    free: int = 1,
    schools: dict[int, tuple[int | None, int]] | None = None,
    now: datetime = BEFORE,
    is_open: bool = True,
) -> dict[int, str]:
    held = sum(entry.state == "offered" for entry in queue)
    return dict(next_states(Places(is_open, held + free, held, DEADLINE), schools or {}, queue, now))


@pytest.mark.parametrize(
    ("queue", "more", "moved"),
    [
        ([waits(1), waits(2)], {}, {1: "offered"}),
        ([waits(1), waits(2)], {"free": 2}, {1: "offered", 2: "offered"}),
        ([waits(1)], {"free": 0}, {}),
        ([], {}, {}),
        ([offered(1, LATER), waits(2)], {"free": 0}, {}),
        ([offered(1, BEFORE), waits(2), waits(3)], {"free": 0}, {1: "lapsed", 2: "offered"}),
        ([offered(1, LATER), waits(2)], {"free": 0, "now": DEADLINE}, {1: "lapsed", 2: "over"}),
        ([waits(1, entitled=False), waits(2)], {}, {1: "over", 2: "offered"}),
        ([waits(1, booked=True), waits(2)], {}, {1: "over", 2: "offered"}),
        ([waits(1, elsewhere=True), waits(2)], {}, {1: "over", 2: "offered"}),
        ([offered(1, LATER, elsewhere=True), waits(2)], {"free": 0}, {1: "over", 2: "offered"}),
        ([offered(1, LATER, booked=True), waits(2)], {"free": 0}, {1: "over", 2: "offered"}),
        ([waits(1, called_off="planned"), waits(2)], {}, {2: "offered"}),
        ([waits(1, called_off="done"), waits(2)], {}, {1: "over", 2: "offered"}),
        ([waits(1, called_off="planned"), offered(2, LATER, called_off="planned")], {"is_open": False}, {}),
        ([waits(1), offered(2, LATER)], {"is_open": False}, {1: "over", 2: "over"}),
        ([waits(1, school_id=3), waits(2, school_id=4)], {"schools": {3: (5, 5)}}, {2: "offered"}),
        ([waits(1, school_id=3), waits(2, school_id=4)], {"schools": {3: (None, 5)}}, {1: "offered"}),
        ([waits(1, school_id=3), waits(2, school_id=3)], {"free": 2, "schools": {3: (5, 4)}}, {1: "offered"}),
        (
            [offered(1, BEFORE, kept_school_id=3, school_id=4), waits(2, school_id=3)],
            {"free": 0, "schools": {3: (5, 5)}},
            {1: "lapsed", 2: "offered"},
        ),
    ],
)
def test_the_next_states_of_a_waiting_list(queue: list[Waits], more: dict[str, Any], moved: dict[int, str]) -> None:
    assert turn(queue, **more) == moved
