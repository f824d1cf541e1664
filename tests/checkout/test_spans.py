"""Weeks, months and school years: how an address names them, what stands on their days, what they come to."""

import re
from datetime import UTC, date, datetime

import pytest
from flask.testing import FlaskClient

from checkout.queries import BookedMeal, DayMenu
from checkout.spans import menus_of, month_of, months_of, read_span, totals_of, views, week_of, year_of
from tests.conftest import CountStatements, SignIn, Submit
from tests.factory import Family, Town

TODAY = date(2026, 11, 19)
LIMIT = datetime(2026, 11, 1, tzinfo=UTC)


def meal(day: date, state: str = "confirmed", child: int = 1, name: str = "Louane", credit: int = 380) -> BookedMeal:
    return BookedMeal(1, child, name, f"Dupont{child}", day, "Cantine", state, 380, credit, False, LIMIT, "A-1")


@pytest.mark.parametrize(
    ("typed", "kind", "first", "last"),
    [
        ({}, "mois", date(2026, 11, 1), date(2026, 11, 30)),
        ({"mois": "2027-02"}, "mois", date(2027, 2, 1), date(2027, 2, 28)),
        ({"semaine": "2026-W53"}, "semaine", date(2026, 12, 28), date(2027, 1, 3)),
        ({"semaine": "2027-W01"}, "semaine", date(2027, 1, 4), date(2027, 1, 10)),
        ({"annee": "2026"}, "annee", date(2026, 9, 1), date(2027, 8, 31)),
        # What cannot be is this month.
        ({"semaine": "2027-W53"}, "mois", date(2026, 11, 1), date(2026, 11, 30)),
        ({"semaine": "2026-W00"}, "mois", date(2026, 11, 1), date(2026, 11, 30)),
        ({"semaine": "2026W47"}, "mois", date(2026, 11, 1), date(2026, 11, 30)),
        ({"annee": "9999"}, "mois", date(2026, 11, 1), date(2026, 11, 30)),
        ({"annee": "0000"}, "mois", date(2026, 11, 1), date(2026, 11, 30)),
        ({"mois": "x"}, "mois", date(2026, 11, 1), date(2026, 11, 30)),
    ],
)
def test_an_address_names_a_stretch_of_days(typed: dict[str, str], kind: str, first: date, last: date) -> None:
    span = read_span(typed, TODAY)
    assert (span.kind, span.first, span.last) == (kind, first, last)


@pytest.mark.parametrize("day", [date(2026, 8, 31), date(2026, 9, 1), date(2026, 12, 30), date(2027, 1, 1), TODAY])
def test_before_and_after_touch(day: date) -> None:
    for around in (week_of, month_of, year_of):
        span = around(day)
        assert span.first <= day <= span.last
        before = read_span({span.kind: span.before}, TODAY)
        after = read_span({span.kind: span.after}, TODAY)
        assert (span.first - before.last).days == 1
        assert (after.first - span.last).days == 1
        assert read_span({span.kind: span.code}, TODAY) == span


def test_titles() -> None:
    assert week_of(TODAY).title == "semaine 47, du 16 au 22 novembre 2026"
    assert week_of(date(2026, 12, 1)).title == "semaine 49, du 30 novembre au 6 décembre 2026"
    assert week_of(date(2027, 1, 1)).title == "semaine 53, du 28 décembre 2026 au 3 janvier 2027"
    assert year_of(date(2027, 8, 31)).title == "année scolaire 2026–2027"


def test_the_other_views_stay_where_one_is() -> None:
    assert [span.code for _words, span in views(year_of(TODAY), TODAY)] == ["2026-W47", "2026-11", "2026"]
    assert [span.code for _words, span in views(month_of(date(2027, 3, 9)), TODAY)] == ["2027-W09", "2027-03", "2026"]


def test_a_year_counts_each_day_by_state() -> None:
    day = date(2026, 11, 19)
    found = months_of(
        year_of(TODAY), [meal(day), meal(day, child=2), meal(day, "held"), meal(day, "cancelled"), meal(day, "due")]
    )
    assert [month.code for month in found][:4] == ["2026-09", "2026-10", "2026-11", "2026-12"]
    assert len(found) == 12
    days = [shown for month in found for week in month.weeks for shown in week if shown is not None]
    assert [shown[2:] for shown in days if shown.day == day] == [(2, 1, 1, 1)]
    assert {len(week) for month in found for week in month.weeks} == {5}
    assert {shown.day for shown in days} == {
        date.fromordinal(number)
        for number in range(date(2026, 9, 1).toordinal(), date(2027, 9, 1).toordinal())
        if date.fromordinal(number).isoweekday() < 6
    }
    with_sunday = months_of(year_of(TODAY), [meal(date(2026, 11, 22))])
    assert {len(week) for month in with_sunday for week in month.weeks} == {7}


def test_totals_are_what_was_paid_less_what_came_back() -> None:
    day = date(2026, 11, 19)
    meals = [
        meal(day),
        meal(day, "cancelled"),
        meal(day, "cancelled", credit=100),
        meal(day, "held"),
        meal(day, child=2),
    ]
    assert [(total.meals, total.cents) for total in totals_of(meals)] == [(1, 380 + 280), (1, 380)]
    # Two who share a first name are told apart.
    assert [total.name for total in totals_of(meals)] == ["Louane Dupont1", "Louane Dupont2"]
    assert [total.name for total in totals_of([meal(day), meal(day, child=2, name="Théo")])] == ["Louane", "Théo"]
    assert totals_of([meal(day, "cancelled")]) == []
    # What was eaten without a booking is a meal; what of it is due was not paid.
    assert [total[1:] for total in totals_of([meal(day, "paid"), meal(day, "due")])] == [(2, 380)]


def test_menus_are_shown_where_they_are_known_and_a_closed_day_says_why_once() -> None:
    found = [
        DayMenu(TODAY, "Cantine", True, None, "Poire"),
        DayMenu(TODAY, "Garderie", True, None, None),
        DayMenu(date(2026, 11, 20), "Cantine", False, "Grève", None),
        DayMenu(date(2026, 11, 20), "Garderie", False, "Grève", None),
    ]
    shown = menus_of(found)
    assert [menu.service_name for menu in shown[TODAY]] == ["Cantine"]
    assert [menu.closed_reason for menu in shown[date(2026, 11, 20)]] == ["Grève"]


# --- the pages ---


@pytest.fixture
def family(town: Town, client: FlaskClient, sign_in: SignIn) -> Family:
    family = town.family(children=2, balance_cents=50_000)
    town.paid_order(family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now))
    sign_in(client, family)
    return family


@pytest.mark.parametrize(("query", "most"), [("", 3), ("?semaine=2026-W48", 4), ("?annee=2026", 3), ("?enfant=1", 3)])
def test_statements_do_not_grow_with_the_meals(
    client: FlaskClient, family: Family, statements: CountStatements, query: str, most: int
) -> None:
    with statements() as seen:
        assert client.get(f"/mes-reservations{query}").status_code == 200
    assert seen.count <= most, seen


def test_a_week_has_its_number_its_menu_and_boxes_to_cancel_several(
    client: FlaskClient, town: Town, family: Family
) -> None:
    canteen = town.aiguilhe.canteen
    town.change_day(canteen, date(2026, 11, 24), menu="Taboulé\nPoire")
    page = client.get("/mes-reservations?semaine=2026-W48").text
    assert "Semaine 48, du 23 au 29 novembre 2026" in page
    assert "<li>Taboulé</li><li>Poire</li>" in page
    boxes = re.findall(r'name="repas" value="(\d+)"', page)
    assert len(boxes) == 8
    confirm = client.get(f"/mes-reservations/annuler?semaine=2026-W48&repas={boxes[0]}&repas={boxes[5]}").text
    assert "Annuler ces 2 repas ?" in confirm
    assert 'href="/mes-reservations?semaine=2026-W48"' in confirm


def test_several_cancelled_at_once_lead_back_to_the_same_view_and_child(
    client: FlaskClient, town: Town, family: Family, submit: Submit
) -> None:
    child = family.beneficiary_ids[1]
    page = client.get(f"/mes-reservations?semaine=2026-W48&enfant={child}").text
    boxes = re.findall(r'name="repas" value="(\d+)"', page)
    assert len(boxes) == 4
    assert f'name="enfant" value="{child}"' in page
    form = {"repas": boxes, "credit": 4 * 380, "semaine": "2026-W48", "enfant": child}
    answer = submit(client, "/mes-reservations/annuler", form)
    assert answer.headers["Location"] == f"/mes-reservations?semaine=2026-W48&enfant={child}"
    assert client.get(answer.headers["Location"]).text.count("Annulé, 3,80\u00a0€ recrédités") == 4


def test_a_filter_stays_on_every_link(client: FlaskClient, family: Family) -> None:
    child = family.beneficiary_ids[0]
    for query in ("mois=2026-12", "semaine=2026-W48", "annee=2026"):
        page = client.get(f"/mes-reservations?{query}&enfant={child}").text
        links = re.findall(r'href="(/mes-reservations\?[^"]*)"', page)
        without = [link for link in links if "enfant=" not in link]
        # Only "Tous" and the other child lead elsewhere.
        assert len(without) == 1
        assert {f"enfant={child}" in link for link in links if link not in without} == {True, False}
        assert "Théo Dupont" not in page


def test_a_year_leads_to_each_of_its_days(client: FlaskClient, family: Family, town: Town) -> None:
    page = client.get("/mes-reservations?annee=2026").text
    assert "Année scolaire 2026–2027" in page
    assert 'href="/mes-reservations?semaine=2026-W48#jour-2026-11-24"' in page
    assert 'id="jour-2026-11-24"' in client.get("/mes-reservations?semaine=2026-W48").text
    days = town.aiguilhe.canteen.open_days(town.now)
    november = [day for day in days if day.month == 11]
    assert f"{len(november)} repas</span>" in page.replace("\u00a0", " ")
    total = f"Total, {2 * len(days)} repas"
    assert total in page.replace("\u00a0", " ")


@pytest.mark.parametrize("query", ["mois=2026-11", "semaine=2026-W48", "annee=2026"])
def test_another_familys_child_does_not_exist(client: FlaskClient, family: Family, town: Town, query: str) -> None:
    stranger = town.family().beneficiary_ids[0]
    assert client.get(f"/mes-reservations?{query}&enfant={stranger}").status_code == 404
    assert client.get(f"/mes-reservations?{query}&enfant=x").status_code == 200
