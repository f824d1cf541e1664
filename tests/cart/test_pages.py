"""The booking page, from click to basket."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from cart.models import BasketLine
from shop.clock import StoppedClock
from tests.conftest import CountStatements, OpenSession, SignIn, Submit, as_typed
from tests.factory import Family, Town


@pytest.fixture
def family(town: Town, client: FlaskClient, sign_in: SignIn) -> Family:
    family = town.family(children=2, balance_cents=5000)
    sign_in(client, family)
    return family


@pytest.fixture
def page(town: Town) -> str:
    return f"/reserver/{town.aiguilhe.slug}/{town.aiguilhe.canteen.slug}"


def lines(read: OpenSession) -> int:
    with read() as db:
        return db.scalar(select(func.count()).select_from(BasketLine)) or 0


def boxes(html: str) -> list[str]:
    return re.findall(r'name="repas" value="([^"]+)"', html)


def ticked(html: str) -> list[str]:
    return re.findall(r'name="repas" value="([^"]+)"[^>]* checked', html)


def codes(family: Family, days: list[date]) -> list[str]:
    return [f"{child}.{day.isoformat()}" for day in days for child in family.beneficiary_ids]


def test_each_box_is_named_in_full(client: FlaskClient, family: Family, page: str) -> None:
    html = client.get(f"{page}?periode=mois:2026-11").text
    names = re.findall(r'aria-label="([^"]+, [a-z]+ \d[^"]*2026)"', html)
    assert len(names) == len(boxes(html)) > 0
    assert any(name.endswith(", mardi 24 novembre 2026") for name in names)


@pytest.mark.parametrize("periode", ["mois:2026-11", "mois:2026-12", "semaine:2026-12-01", "vacances"])
@pytest.mark.parametrize("children", [1, 4])
def test_statements_do_not_grow(
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    statements: CountStatements,
    page: str,
    periode: str,
    children: int,
) -> None:
    sign_in(client, town.family(children=children))
    with statements() as seen:
        assert client.get(f"{page}?periode={periode}").status_code == 200
    assert seen.count <= 5, seen


def test_what_is_ticked_goes_into_the_basket(
    town: Town, client: FlaskClient, submit: Submit, read: OpenSession, family: Family, page: str, clock: StoppedClock
) -> None:
    days = town.aiguilhe.canteen.open_days(clock.now())[:2]
    answer = submit(client, page, {"repas": codes(family, days)})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/panier")
    assert lines(read) == 4
    basket = client.get("/panier").text
    assert "15,20\u00a0€" in basket
    assert "4 repas ajoutés à votre panier." in basket
    # Once more changes nothing: what is in the basket already is skipped.
    assert submit(client, page, {"repas": codes(family, days)}).status_code == 303
    assert lines(read) == 4
    assert "Ces repas étaient déjà dans votre panier." in client.get("/panier").text


def test_the_calendar_opens_where_somebody_can_still_be_booked(
    town: Town, client: FlaskClient, sign_in: SignIn, statements: CountStatements, page: str, clock: StoppedClock
) -> None:
    family = town.family(children=2, balance_cents=5000)

    def title() -> str:
        with statements() as seen:
            html = client.get(page).text
        assert seen.count <= 3, seen
        (words,) = re.findall(r'class="period-name">(.*?)<', html)
        return str(words)

    # Two days of November can still be booked on the 25th: one child has the first of them.
    clock.moment = datetime(2026, 11, 25, 7, tzinfo=UTC)
    sign_in(client, family)
    left = [day for day in town.aiguilhe.canteen.open_days(clock.now()) if day.month == 11]
    assert title() == "Novembre 2026"
    for day in left:
        town.paid_order(family, town.aiguilhe.canteen, [day])
    assert title() == "Décembre 2026"
    assert "Novembre 2026" in client.get(f"{page}?periode=mois:2026-11").text


def test_a_limit_that_is_past_is_left_out(
    town: Town, client: FlaskClient, family: Family, page: str, clock: StoppedClock
) -> None:
    canteen = town.aiguilhe.canteen
    over, ahead = canteen.open_days(clock.now())[:2]
    town.paid_order(family, canteen, [over])
    town.change_day(canteen, over, book_deadline_at=clock.now())
    text = client.get(f"{page}?periode=semaine:{over - timedelta(days=over.weekday())}").text
    assert f'id="l{over}"' not in text
    assert f'id="l{ahead}"' in text
    assert "Réservé" in text


def test_nothing_ticked_is_said(
    client: FlaskClient, submit: Submit, read: OpenSession, family: Family, page: str
) -> None:
    answer = submit(client, page, {})
    assert answer.status_code == 422
    assert "Cochez au moins un repas" in answer.text
    assert lines(read) == 0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("closed", "pas de service ce jour-là (Grève)"),
        ("full", "n’y a plus de place"),
        ("late", "il fallait réserver avant le"),
        ("booked", "déjà réservé"),
        ("never", "n’est pas un jour de service"),
    ],
)
def test_a_meal_that_cannot_be_had_is_said_and_the_others_stay_ticked(
    town: Town,
    client: FlaskClient,
    submit: Submit,
    read: OpenSession,
    family: Family,
    page: str,
    clock: StoppedClock,
    spoil: str,
    words: str,
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
        case "booked":
            town.paid_order(family, canteen, [bad])
        case "never":
            bad = date(2026, 11, 28)
    before = lines(read)
    answer = submit(client, f"{page}?periode=mois:2026-11", {"repas": codes(family, [bad, good])})
    assert answer.status_code == 422
    assert words in answer.text
    assert "rien n’a été ajouté" in answer.text
    assert set(codes(family, [good])) <= set(ticked(answer.text))
    assert lines(read) == before


def test_another_familys_child_does_not_exist(
    town: Town, client: FlaskClient, submit: Submit, read: OpenSession, family: Family, page: str, clock: StoppedClock
) -> None:
    other = town.family()
    day = town.aiguilhe.canteen.open_days(clock.now())[0]
    answer = submit(client, page, {"repas": [f"{other.beneficiary_ids[0]}.{day.isoformat()}"]})
    assert answer.status_code == 404
    assert "pas à vous" in answer.text
    assert lines(read) == 0


@pytest.mark.parametrize("code", ["x", "1e9.2026-11-24", "-1.2026-11-24", "1.demain", "' OR 1=1 --"])
def test_nonsense_is_not_found(
    client: FlaskClient, submit: Submit, read: OpenSession, family: Family, page: str, code: str
) -> None:
    assert submit(client, page, {"repas": [code]}).status_code == 404
    assert lines(read) == 0


def test_price_and_owner_posted_by_hand_are_ignored(
    town: Town, client: FlaskClient, submit: Submit, read: OpenSession, family: Family, page: str, clock: StoppedClock
) -> None:
    day = town.aiguilhe.canteen.open_days(clock.now())[0]
    forged = {
        "repas": codes(family, [day])[:1],
        "cents": "1",
        "quoted_cents": "1",
        "household_id": "99",
        "tariff_id": "1",
    }
    assert submit(client, page, forged).status_code == 303
    with read() as db:
        assert db.scalars(select(BasketLine.quoted_cents)).all() == [380]


def test_an_enrolment_that_is_not_approved_offers_nothing(
    town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, read: OpenSession, page: str, clock: StoppedClock
) -> None:
    waiting = town.family(approved=False)
    sign_in(client, waiting)
    html = client.get(page).text
    assert boxes(html) == []
    assert "Aucun bénéficiaire inscrit à ce service" in html
    day = town.aiguilhe.canteen.open_days(clock.now())[0]
    answer = submit(client, page, {"repas": codes(waiting, [day])})
    assert answer.status_code == 422
    assert "pas ou plus validée" in answer.text
    assert lines(read) == 0


@pytest.mark.parametrize("address", ["/reserver/aiguilhe/rien", "/reserver/nulle-part/cantine"])
def test_unknown_services(client: FlaskClient, family: Family, address: str) -> None:
    assert client.get(address).status_code == 404


def test_ticks_without_javascript(
    town: Town, client: FlaskClient, submit: Submit, read: OpenSession, family: Family, page: str
) -> None:
    month = f"{page}?periode=mois:2026-12"
    everything = set(boxes(client.get(month).text))
    assert set(ticked(submit(client, month, {"cocher": "tout"}).text)) == everything
    assert ticked(submit(client, month, {"cocher": "rien", "repas": sorted(everything)}).text) == []
    first = str(family.beneficiary_ids[0])
    mondays = submit(client, month, {"cocher": "jours", "jours": ["1"], "enfants": [first]})
    chosen = ticked(mondays.text)
    assert chosen
    for code in chosen:
        child, day = code.split(".")
        assert (child, date.fromisoformat(day).isoweekday()) == (first, 1)
    week = submit(client, month, {"cocher": "semaine:2026-12-07"})
    assert {date.fromisoformat(code.split(".")[1]) for code in ticked(week.text)} == {
        date(2026, 12, day) for day in (7, 8, 10, 11)
    }
    again = submit(client, month, {"cocher": "semaine:2026-12-07", "repas": ticked(week.text)})
    assert ticked(again.text) == []
    assert lines(read) == 0


def test_ticks_are_carried_to_another_month_and_back(
    client: FlaskClient, submit: Submit, family: Family, page: str
) -> None:
    november = f"{page}?periode=mois:2026-11"
    two = boxes(client.get(november).text)[:2]
    december = submit(client, november, {"aller": "mois:2026-12", "repas": two})
    assert december.status_code == 200
    assert set(ticked(december.text)) == set(two)
    assert "Déjà cochés sur d’autres pages" in december.text
    assert "7,60\u00a0€" in december.text
    back = submit(client, f"{page}?periode=mois:2026-12", {"aller": "mois:2026-11", "repas": two})
    assert set(ticked(back.text)) == set(two)
    assert "Déjà cochés sur d’autres pages" not in back.text


def test_days_until_the_holidays(
    client: FlaskClient, submit: Submit, family: Family, page: str, clock: StoppedClock
) -> None:
    answer = submit(
        client, page, {"cocher": "vacances", "jours": ["1", "4"], "enfants": [str(family.beneficiary_ids[0])]}
    )
    days = {date.fromisoformat(code.split(".")[1]) for code in ticked(answer.text)}
    assert {day.isoweekday() for day in days} == {1, 4}
    assert max(days) - min(days) > timedelta(days=14)


def test_a_basket_being_paid_cannot_change(
    town: Town, client: FlaskClient, submit: Submit, read: OpenSession, family: Family, page: str, clock: StoppedClock
) -> None:
    first, second = town.aiguilhe.canteen.open_days(clock.now())[:2]
    basket_id = town.basket(family, town.aiguilhe.canteen, [first])
    assert submit(client, "/panier/payer/carte", {"panier": basket_id, "total": 760}).status_code == 303
    before = lines(read)
    answer = submit(client, page, {"repas": codes(family, [second])})
    assert answer.status_code == 409
    assert "Un paiement par carte est en cours" in answer.text
    (alert,) = re.findall(r'<div class="alert is-bad".*?<form', answer.text, re.DOTALL)
    assert 'href="/panier"' in alert
    assert "Reprendre le paiement" in client.get("/panier").text
    with read() as db:
        line_id = db.scalars(select(BasketLine.id)).first()
    refused = submit(client, "/panier/retirer", {"ligne": line_id})
    assert refused.status_code == 409
    assert "Reprendre le paiement" in refused.text
    assert lines(read) == before


def test_families_without_and_with_one_service(town: Town, client: FlaskClient, sign_in: SignIn, page: str) -> None:
    sign_in(client, town.family(approved=False))
    assert "Aucun service à réserver" in client.get("/reserver").text
    sign_in(client, town.family())
    assert client.get("/reserver").headers["Location"] == page


def test_what_waits_is_said_where_nothing_can_be_booked_yet(
    town: Town, client: FlaskClient, sign_in: SignIn, statements: CountStatements
) -> None:
    waiting = town.family(children=2, approved=False)
    sign_in(client, waiting)
    one, other = waiting.beneficiary_ids
    town.enrol(waiting, one, town.aiguilhe.canteen, state="requested")
    with statements() as seen:
        html = client.get("/reserver").text
    assert seen.count <= 3, seen
    assert "Votre demande pour Louane attend la validation de la mairie (envoyée le 20 octobre)." in html
    assert "Demandez l’accès" not in html
    town.enrol(waiting, other, town.aiguilhe.canteen, state="requested")
    town.enrol(waiting, other, town.aiguilhe.childcare, state="to_complete")
    html = client.get("/reserver").text
    assert "Vos demandes pour Louane et Théo attendent la validation" in html
    assert "La mairie attend un complément à votre demande pour Théo" in html


def test_a_childcare_speaks_of_no_meals(town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit) -> None:
    childcare = town.aiguilhe.childcare
    family = town.family(children=1, balance_cents=5000, service=childcare)
    day = childcare.open_days(town.now)[0]
    town.paid_order(family, childcare, [day])
    sign_in(client, family)
    page = f"/reserver/{childcare.commune_slug}/{childcare.slug}"
    answer = submit(client, page, {"repas": f"{family.beneficiary_ids[0]}.{day.isoformat()}"})
    assert answer.status_code == 422
    assert "cet accueil est déjà réservé." in as_typed(answer.text)
    assert "ce repas" not in answer.text
    town.basket(family, childcare, [day])
    basket_page = as_typed(client.get("/panier").text)
    assert "Cet accueil est déjà réservé : retirez-le du panier." in basket_page
