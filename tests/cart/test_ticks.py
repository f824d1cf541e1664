"""What is ticked outlives the session: it goes through the sign-in in the address, and is judged anew on arrival."""

import re
from datetime import date, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from accounts.models import LoginSession
from cart.models import BasketLine
from cart.rules import MOST_MEALS, Meal
from cart.ticks import FURTHEST, LONGEST, near, read_ticks, write_ticks
from shop.clock import StoppedClock
from tests.conftest import CountStatements, OpenSession, SignIn, Submit
from tests.factory import PASSWORD, Family, Town

TODAY = date(2026, 11, 19)
PAGE = "/reserver/aiguilhe/restaurant-scolaire"
DECEMBER = f"{PAGE}?periode=mois:2026-12"


# --- how an address carries them ---


def test_a_child_its_first_day_and_a_bit_a_day() -> None:
    days = [date(2026, 11, day) for day in (5, 6, 8)]
    assert write_ticks([Meal(12, day) for day in days], TODAY) == "12.2026-11-05.b"
    assert read_ticks("12.2026-11-05.b", TODAY) == {Meal(12, day) for day in days}


@given(st.sets(st.builds(Meal, st.integers(1, 9), st.dates(TODAY - timedelta(days=99), TODAY + timedelta(days=500)))))
def test_what_is_written_is_read(meals: set[Meal]) -> None:
    assert read_ticks(write_ticks(meals, TODAY), TODAY) == meals


def test_a_school_year_of_four_children_fits_many_times() -> None:
    days = [TODAY + timedelta(days=number) for number in range(0, 300, 2)]
    assert len(write_ticks([Meal(10**9 + child, day) for child in range(4) for day in days], TODAY)) < LONGEST / 4


def test_what_would_be_too_long_is_not_written() -> None:
    assert write_ticks([Meal(child, TODAY) for child in range(1, 1000)], TODAY) == ""


def test_days_that_no_page_offers_are_left_out() -> None:
    meals = {Meal(1, date.min), Meal(1, TODAY), Meal(1, TODAY + FURTHEST), Meal(1, date.max)}
    assert near(meals, TODAY) == {Meal(1, TODAY)}
    assert read_ticks(write_ticks(meals, TODAY), TODAY) == {Meal(1, TODAY)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "x",
        "12.2026-11-05",
        "12.2026-11-05.",
        "12.2026-11-05.g",
        "12.2026-11-05.B",
        "12.2026-11-05.0x1",
        "12.2026-11-05.1_1",
        "12.2026-11-05.-1",
        "12.2026-11-05.١",
        "12.2026-11-05.0",
        "012.2026-11-05.1",
        "-1.2026-11-05.1",
        "12.9999-12-31.ff",
        "12.0001-01-01.1",
        f"{'9' * 30}.2026-11-05.1",
        f"12.2026-11-05.{'f' * LONGEST}",
        ",".join(f"{child}.2026-11-05.{'f' * 200}" for child in range(1, 9)),
    ],
)
def test_nonsense_names_nothing(text: str) -> None:
    assert read_ticks(text, TODAY) == set()


def test_what_is_beside_nonsense_is_read() -> None:
    assert read_ticks("x,12.2026-11-05.1,12.2026-11-06.z", TODAY) == {Meal(12, date(2026, 11, 5))}


def test_no_address_names_more_than_a_basket_takes() -> None:
    longest = ",".join(f"{child}.2026-11-19.{'f' * 120}" for child in range(1, 5))
    assert len(read_ticks(longest, TODAY)) == 4 * 480 <= MOST_MEALS
    assert read_ticks(f"{longest},5.2026-11-19.{'f' * 120}", TODAY) == set()


# --- the way through the sign-in ---


@pytest.fixture
def family(town: Town, client: FlaskClient, sign_in: SignIn) -> Family:
    family = town.family(children=2, balance_cents=5000)
    sign_in(client, family)
    return family


def boxes(html: str) -> list[str]:
    return re.findall(r'name="repas" value="([^"]+)"', html)


def ticked(html: str) -> set[str]:
    return set(re.findall(r'name="repas" value="([^"]+)"[^>]* checked', html))


def codes(family: Family, days: list[date]) -> list[str]:
    return [f"{child}.{day.isoformat()}" for day in days for child in family.beneficiary_ids]


def end_sessions(write: OpenSession, clock: StoppedClock) -> None:
    with write() as db:
        db.execute(update(LoginSession).values(ended_at=clock.now()))


def sign_in_by_form(client: FlaskClient, submit: Submit, location: str, email: str) -> str:
    """Go through the sign-in page, a wrong password first; where that leads."""
    form = client.get(location).text
    (back,) = re.findall(r'name="next"[^>]* value="([^"]*)"', form)
    typed = {"email": email, "next": back.replace("&amp;", "&")}
    assert submit(client, "/connexion", {**typed, "password": "pas le bon du tout"}).status_code == 422
    answer = submit(client, "/connexion", {**typed, "password": PASSWORD})
    assert answer.status_code == 303
    return answer.location


def lines(read: OpenSession) -> int:
    with read() as db:
        return db.scalar(select(func.count()).select_from(BasketLine)) or 0


@pytest.mark.parametrize("ends", ["elsewhere", "idle"])
@pytest.mark.parametrize(
    ("button", "month"),
    [
        ({"ajouter": "1"}, "Décembre 2026"),
        ({"aller": "mois:2027-01"}, "Janvier 2027"),
        ({"cocher": "vacances"}, '<h2 class="period-name">Jusqu’au'),
    ],
)
def test_the_same_boxes_are_ticked_after_signing_in_again(
    town: Town,
    client: FlaskClient,
    submit: Submit,
    read: OpenSession,
    write: OpenSession,
    family: Family,
    clock: StoppedClock,
    ends: str,
    button: dict[str, str],
    month: str,
) -> None:
    wanted = codes(family, [day for day in town.aiguilhe.canteen.open_days(clock.now()) if day.month > 11][:30])
    if ends == "idle":
        clock.moment += timedelta(hours=12, seconds=1)
    else:
        end_sessions(write, clock)
    answer = submit(client, DECEMBER, {"repas": wanted, **button})
    assert answer.status_code == 303
    assert len(answer.location) < 400
    back = sign_in_by_form(client, submit, answer.location, family.email)
    page = client.get(back).text
    assert month in page
    assert ticked(page) == set(wanted)
    assert f"Vos {len(wanted)} repas sont restés cochés." in page
    assert "ne peuvent plus être réservés" not in page
    assert lines(read) == 0
    assert submit(client, DECEMBER, {"repas": sorted(ticked(page))}).location == "/panier"
    assert lines(read) == len(wanted)
    # Back on the page, they are in the basket: nothing of them is lost.
    assert "restés cochés" not in client.get(back).text
    assert "ne peuvent plus" not in client.get(back).text


def test_coming_back_costs_no_statement_more(
    town: Town, client: FlaskClient, family: Family, clock: StoppedClock, statements: CountStatements
) -> None:
    days = town.aiguilhe.canteen.open_days(clock.now())
    meals = [Meal(child, day) for day in days for child in family.beneficiary_ids]
    with statements() as seen:
        page = client.get(f"{PAGE}?coches={write_ticks(meals, TODAY)}").text
    assert seen.count <= 5, seen
    assert len(ticked(page)) == len(meals)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [("closed", "(Grève)"), ("full", "n’y a plus de place"), ("late", "il fallait réserver avant le")],
)
def test_what_can_no_longer_be_had_is_unticked_and_said(
    town: Town, client: FlaskClient, family: Family, clock: StoppedClock, spoil: str, words: str
) -> None:
    canteen = town.aiguilhe.canteen
    bad, good = canteen.open_days(clock.now())[:2]
    match spoil:
        case "closed":
            town.change_day(canteen, bad, is_open=False, closed_reason="Grève")
        case "full":
            town.change_day(canteen, bad, capacity=0)
        case "late":
            town.change_day(canteen, bad, book_deadline_at=clock.now())
    coches = write_ticks([Meal(child, day) for day in (bad, good) for child in family.beneficiary_ids], TODAY)
    page = client.get(f"{PAGE}?coches={coches}").text
    assert ticked(page) == set(codes(family, [good]))
    assert "Vos 2 repas sont restés cochés. Ils ne sont pas encore dans votre panier." in page
    assert "2 repas que vous aviez cochés ne peuvent plus être réservés." in page
    assert page.count(words) >= 2


def test_another_family_that_signs_in_finds_its_own_empty_calendar(
    town: Town,
    client: FlaskClient,
    submit: Submit,
    read: OpenSession,
    write: OpenSession,
    family: Family,
    clock: StoppedClock,
) -> None:
    other = town.family(children=1)
    end_sessions(write, clock)
    wanted = codes(family, town.aiguilhe.canteen.open_days(clock.now())[:3])
    answer = submit(client, DECEMBER, {"repas": wanted})
    page = client.get(sign_in_by_form(client, submit, answer.location, other.email))
    assert page.status_code == 200
    assert ticked(page.text) == set()
    assert {code.partition(".")[0] for code in boxes(page.text)} == {str(other.beneficiary_ids[0])}
    assert "restés cochés" not in page.text
    assert "ne peuvent plus" not in page.text
    assert lines(read) == 0


def test_a_family_that_may_not_book_there_finds_no_error(
    town: Town, client: FlaskClient, sign_in: SignIn, family: Family, clock: StoppedClock
) -> None:
    coches = write_ticks([Meal(family.beneficiary_ids[0], town.aiguilhe.canteen.open_days(clock.now())[0])], TODAY)
    sign_in(client, town.family(approved=False))
    page = client.get(f"{PAGE}?coches={coches}")
    assert page.status_code == 200
    assert "Aucun bénéficiaire inscrit à ce service" in page.text


@pytest.mark.parametrize(
    "repas",
    [["x"], ["1.demain"], ["' OR 1=1 --"], ["é" * 5000], ["1.9999-12-31"], [f"{n}.2026-12-01" for n in range(1, 3000)]],
)
def test_garbage_leads_to_the_bare_calendar(client: FlaskClient, submit: Submit, repas: list[str]) -> None:
    answer = submit(client, DECEMBER, {"repas": repas, "aller": "x" * 5000})
    assert (answer.status_code, answer.location) == (303, f"/connexion?next={PAGE}")


# --- a page that was open for too long ---


@pytest.mark.parametrize("signed_in", [True, False])
def test_a_refused_token_loses_nothing_either(
    town: Town,
    app: Flask,
    submit: Submit,
    sign_in: SignIn,
    read: OpenSession,
    family: Family,
    clock: StoppedClock,
    signed_in: bool,
) -> None:
    browser = app.test_client()
    if signed_in:
        sign_in(browser, family)
    wanted = codes(family, town.aiguilhe.canteen.open_days(clock.now())[:20])
    refused = browser.post(DECEMBER, data={"repas": wanted, "csrf_token": "périmé"})
    assert refused.status_code == 400
    assert "ouverte depuis trop longtemps" in refused.text
    (again,) = re.findall(r'href="([^"]+)">Recharger la page', refused.text)
    answer = browser.get(again.replace("&amp;", "&"))
    if not signed_in:
        answer = browser.get(sign_in_by_form(browser, submit, answer.location, family.email))
    assert ticked(answer.text) == set(wanted)
    assert lines(read) == 0


def test_a_sign_in_page_of_yesterday_still_leads_on(client: FlaskClient, town: Town) -> None:
    refused = client.post("/connexion", data={"next": f"{DECEMBER}&coches=1.2026-12-01.1", "email": "a@example.org"})
    assert refused.status_code == 400
    (again,) = re.findall(r'href="([^"]+)">Recharger la page', refused.text)
    query = parse_qs(urlsplit(again.replace("&amp;", "&")).query)
    assert query == {"next": [f"{DECEMBER}&coches=1.2026-12-01.1"]}


def test_a_sign_in_page_of_yesterday_leads_nowhere_else(client: FlaskClient) -> None:
    refused = client.post("/connexion", data={"next": "//evil.example"})
    assert 'href="/connexion">Recharger la page' in refused.text
