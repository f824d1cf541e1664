"""Many days at once: weekdays, every other week, a whole year, as last week; what was left out, and why."""

import re
from datetime import date, time, timedelta

import pytest
from flask.testing import FlaskClient

from cart.rules import CellState, Day, Meal, Pattern, as_last_week, skipped
from shop.clock import paris_day, paris_instant
from tests.conftest import CountStatements, SignIn, Submit, as_typed
from tests.factory import Town

MONDAY = date(2026, 11, 23)
"""In week 48, an even one."""
LIMIT = paris_instant(MONDAY, time(10))


@pytest.mark.parametrize(
    ("pattern", "meal", "meant"),
    [
        (Pattern(), Meal(1, MONDAY), True),
        (Pattern(children=frozenset({2})), Meal(1, MONDAY), False),
        (Pattern(weekdays=frozenset({1, 4})), Meal(1, MONDAY), True),
        (Pattern(weekdays=frozenset({2})), Meal(1, MONDAY), False),
        (Pattern(weeks="paires"), Meal(1, MONDAY), True),
        (Pattern(weeks="impaires"), Meal(1, MONDAY), False),
        (Pattern(weeks="impaires"), Meal(1, MONDAY + timedelta(days=7)), True),
        # The year that ends in week 53 has two odd weeks in a row.
        (Pattern(weeks="impaires"), Meal(1, date(2026, 12, 31)), True),
        (Pattern(weeks="impaires"), Meal(1, date(2027, 1, 4)), True),
    ],
)
def test_a_pattern_means_a_meal(pattern: Pattern, meal: Meal, meant: bool) -> None:
    assert pattern.means(meal) == meant


def test_as_last_week_is_each_childs_own_weekdays() -> None:
    before = [Meal(1, MONDAY), Meal(2, MONDAY + timedelta(days=1))]
    week = [Meal(child, MONDAY + timedelta(days=7 + day)) for child in (1, 2) for day in range(5)]
    assert as_last_week(week, before) == {Meal(1, date(2026, 11, 30)), Meal(2, date(2026, 12, 1))}


def test_what_is_left_out_is_counted_by_reason() -> None:
    closed = Day(1, MONDAY, False, "Grève", None, 0, LIMIT, None, None)
    meals = [Meal(child, MONDAY + timedelta(days=n)) for child in (1, 2) for n in range(2)]
    states: dict[Meal, CellState] = {meal: "closed" if meal.day == MONDAY else "full" for meal in meals}
    days = {MONDAY: closed, MONDAY + timedelta(days=1): closed}
    assert [as_typed(words) for words in skipped(meals, days, states)] == ["2 repas : Grève", "2 repas : complet"]


def ticked(page: str) -> list[str]:
    return re.findall(r'name="repas" value="([^"]+)"[^>]* checked', page)


def test_every_other_monday_of_the_year_in_one_request(
    client: FlaskClient, sign_in: SignIn, submit: Submit, town: Town, statements: CountStatements
) -> None:
    family = town.family(children=3)
    sign_in(client, family)
    address = f"/reserver/aiguilhe/{town.aiguilhe.canteen.slug}"
    with statements() as seen:
        page = submit(client, address, {"cocher": "annee", "jours": ["1"], "semaines": "impaires"})
    assert page.status_code == 200
    mondays = [day for day in town.aiguilhe.canteen.open_days(town.now) if day.isoweekday() == 1]
    wanted = [day for day in mondays if day.isocalendar().week % 2]
    assert wanted
    assert set(ticked(page.text)) == {f"{child}.{day}" for child in family.beneficiary_ids for day in wanted}
    assert seen.count <= 5, seen
    assert "Toute l’année, jusqu’au 2 juillet 2027" in page.text


@pytest.mark.parametrize(
    ("button", "sentence"),
    [
        ("jours", "Cochez d’abord les jours de la semaine"),
        ("vacances", "Cochez d’abord les jours de la semaine"),
        ("annee", "Cochez d’abord les jours de la semaine"),
        ("comme", "Rien n’était réservé ces quatre dernières semaines"),
    ],
)
def test_a_button_that_means_no_day_says_so_and_keeps_what_was_ticked(
    client: FlaskClient, sign_in: SignIn, submit: Submit, town: Town, button: str, sentence: str
) -> None:
    family, canteen = town.family(), town.aiguilhe.canteen
    sign_in(client, family)
    address = f"/reserver/aiguilhe/{canteen.slug}"
    assert re.findall(r'name="jours"[^>]* checked', client.get(address).text) == [], "no weekday is chosen beforehand"
    code = f"{family.beneficiary_ids[0]}.{canteen.open_days(town.now)[0]}"
    page = submit(client, address, {"cocher": button, "repas": code})
    assert (page.status_code, sentence in page.text) == (422, True)
    assert ticked(page.text) == [code]


def test_as_the_last_week_in_which_the_family_ate(
    client: FlaskClient, sign_in: SignIn, submit: Submit, town: Town
) -> None:
    canteen, today = town.aiguilhe.canteen, paris_day(town.now)
    family = town.family(children=2, balance_cents=5000)
    last_week = [day for day in canteen.day_ids if today - timedelta(days=14) <= day < today - timedelta(days=7)]
    tuesday = next(day for day in last_week if day.isoweekday() == 2)
    town.paid_order(family, canteen, [tuesday])
    sign_in(client, family)
    address = f"/reserver/aiguilhe/{canteen.slug}?periode=semaine:2026-12-07"
    page = submit(client, address, {"cocher": "comme"})
    assert set(ticked(page.text)) == {f"{child}.2026-12-08" for child in family.beneficiary_ids}


def test_days_that_cannot_be_had_are_told(client: FlaskClient, sign_in: SignIn, submit: Submit, town: Town) -> None:
    canteen = town.aiguilhe.canteen
    family = town.family(children=1)
    sign_in(client, family)
    day = next(day for day in canteen.open_days(town.now) if day >= date(2026, 12, 7))
    town.change_day(canteen, day, is_open=False, closed_reason="Grève")
    page = submit(client, f"/reserver/aiguilhe/{canteen.slug}?periode=mois:2026-12", {"cocher": "tout"})
    assert "<li>1 repas : Grève</li>" in as_typed(page.text)
    assert f"{family.beneficiary_ids[0]}.{day}" not in ticked(page.text)
