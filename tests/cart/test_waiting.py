"""What makes new bookings wait: an amount due for too long, a PAI that is not valid, an enrolment that has ended."""

from datetime import date, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from cart.errors import BookingWaits
from cart.models import BasketLine
from cart.rules import Child, Due, Pattern, Right, covered, lacking_words, overdue_cents
from catalog.models import Tariff
from catalog.rules.policies import Blocking
from checkout.change import Wish, plan_change
from enrolments.care_plans import note_plan
from enrolments.models import Enrolment
from orders.models import Order
from shop.clock import StoppedClock
from tests.checkout.presence import MONDAY, Noon
from tests.conftest import START, BooksHold, CountStatements, OpenSession, SignIn, Submit, as_typed
from tests.factory import Town

PAGE = "/reserver/aiguilhe/restaurant-scolaire"
WALLET, CARD = "/panier/payer/porte-monnaie", "/panier/payer/carte"
OLD = {"amount_due_hours": 48}
PAI = {"pai": True}


@pytest.fixture
def noon(town: Town, write: OpenSession, read: OpenSession) -> Noon:
    return Noon(town, write, read)


def sold(read: OpenSession) -> tuple[int, int]:
    """How many meals are in baskets, and how many orders there are."""
    with read() as db:
        counts = [db.scalar(select(func.count()).select_from(model)) or 0 for model in (BasketLine, Order)]
    return counts[0], counts[1]


# --- the rules ---


@pytest.mark.parametrize(
    ("hours", "age", "cents"), [(None, 1000, 0), (48, 47, 0), (48, 48, 380), (48, 49, 380), (0, 0, 380)]
)
def test_an_amount_due_counts_from_its_hour_on(hours: int | None, age: int, cents: int) -> None:
    dues = [Due(380, START - timedelta(hours=age)), Due(100, START + timedelta(seconds=1))]
    assert overdue_cents(Blocking(hours), dues, START) == cents


def child(first: date, last: date, plans: list[tuple[date, date]] | None) -> Child:
    return Child(1, "Louane", "Dupont", (Right(1, "PAI", 1, 380, first, last, None, plans),))


@pytest.mark.parametrize(
    ("plans", "words"),
    [
        (None, None),
        ([(date(2026, 9, 1), date(2027, 8, 31))], None),
        ([(date(2026, 9, 1), date(2026, 11, 30)), (date(2026, 12, 1), date(2027, 8, 31))], None),
        ([], "la mairie n’en a pas encore"),
        ([(date(2026, 9, 1), date(2026, 11, 18))], "était valable jusqu’au 18 novembre 2026"),
        ([(date(2026, 9, 1), date(2026, 12, 4))], "est valable jusqu’au 4 décembre 2026"),
        ([(date(2027, 1, 4), date(2027, 7, 2))], "sera valable du 4 janvier 2027 au 2 juillet 2027"),
        ([(date(2027, 1, 4), date(2027, 7, 2)), (date(2026, 9, 1), date(2026, 11, 24))], "jusqu’au 24 novembre 2026"),
    ],
)
def test_a_page_says_which_days_a_pai_does_not_cover(plans: list[tuple[date, date]] | None, words: str | None) -> None:
    louane = child(date(2026, 8, 1), date(2027, 7, 31), plans)
    papers, ended = lacking_words([louane], date(2026, 11, 19), date(2026, 12, 18), date(2026, 11, 19))
    assert ended == []
    assert papers == [] if words is None else words in papers[0]


@pytest.mark.parametrize(("last", "told"), [((2026, 11, 18), True), ((2026, 11, 19), False), ((2026, 6, 1), False)])
def test_an_enrolment_that_has_just_ended_is_told(last: tuple[int, int, int], told: bool) -> None:
    louane = child(date(2026, 1, 1), date(*last), None)
    _papers, ended = lacking_words([louane], date(2026, 11, 19), date(2026, 12, 18), date(2026, 11, 19))
    assert bool(ended) == told


def test_days_are_covered_with_both_their_ends() -> None:
    spans = [(date(2026, 9, 1), date(2026, 9, 2))]
    assert [covered(spans, date(2026, 9, day)) for day in (1, 2, 3)] == [True, True, False]


# --- an amount due ---


def test_an_amount_due_keeps_new_bookings_waiting_and_nothing_else(
    noon: Noon,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    clock: StoppedClock,
    statements: CountStatements,
    books_hold: BooksHold,
) -> None:
    noon.rules(blocking=OLD)
    days = noon.canteen.open_days(town.now + timedelta(days=4))
    sign_in(client, noon.family)
    town.top_up(noon.family, 1000)
    order_id = town.paid_order(noon.family, noon.canteen, days[:1])
    basket = town.basket(noon.family, noon.canteen, days[1:2])
    noon.note(MONDAY)
    sign_in(client, noon.family)
    # Not yet: it is not two days old.
    assert "Un montant dû fait attendre" not in client.get(PAGE).text
    clock.moment += timedelta(hours=48)
    sign_in(client, noon.family)
    with statements() as seen:
        page = client.get(PAGE).text
    assert seen.count <= 4, seen
    assert "Un montant dû fait attendre" in page
    assert "3,80\u00a0€ restent dus depuis plus de 48" in as_typed(page)
    assert f"/mes-credits?regie={town.regie_id}" in page
    before, meals = noon.everything(), sold(noon.read)
    code = f"{noon.family.beneficiary_ids[0]}.{days[2]}"
    answer = submit(client, PAGE, {"repas": code})
    assert answer.status_code == 422
    assert "restent dus" in answer.text
    assert f'value="{code}"' in answer.text
    answer = submit(client, PAGE, {"attendre": code})
    assert (answer.status_code, "restent dus" in answer.text) == (422, True)
    for address in (WALLET, CARD):
        answer = submit(client, address, {"panier": basket, "total": 760})
        assert answer.status_code == 422
        assert "Un montant dû fait attendre ce panier" in answer.text
        assert "Payer avec" not in answer.text
    assert (noon.everything(), sold(noon.read)) == (before, meals)
    # What is booked stays booked, can be cancelled, and whoever eats is noted.
    reservation = town.reservation_ids(order_id)[0]
    assert submit(client, "/mes-reservations/annuler", {"repas": str(reservation), "credit": 380}).status_code == 303
    noon.note(child=1, now=clock.now())
    # Settled, it goes on.
    town.top_up(noon.family, 2000)
    noon.settle([1], 380)
    assert "Un montant dû fait attendre" not in client.get(PAGE).text
    assert submit(client, PAGE, {"repas": code}).status_code == 303
    assert submit(client, WALLET, {"panier": basket, "total": 1140}).status_code == 303
    books_hold()


def test_other_days_wait_as_well_where_they_book_something_new(
    noon: Noon, town: Town, clock: StoppedClock, books_hold: BooksHold
) -> None:
    noon.rules(blocking=OLD)
    days = noon.canteen.open_days(town.now + timedelta(days=4))
    town.top_up(noon.family, 1000)
    town.paid_order(noon.family, noon.canteen, days[:1])
    noon.note(MONDAY)
    later = town.now + timedelta(hours=48)
    children = frozenset(noon.family.beneficiary_ids)
    mondays = Wish(noon.canteen.id, children, later.date(), Pattern(weekdays=frozenset({1})))
    with noon.read() as db:
        assert plan_change(db, noon.family.household_id, mondays, town.now).added
        with pytest.raises(BookingWaits):
            plan_change(db, noon.family.household_id, mondays, later)
        # None any more is no new booking.
        assert plan_change(db, noon.family.household_id, mondays._replace(pattern=None), later).ended
    books_hold()


def test_without_the_rule_an_amount_due_keeps_nothing_waiting(
    noon: Noon,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    clock: StoppedClock,
    statements: CountStatements,
) -> None:
    noon.rules()
    noon.note(MONDAY)
    clock.moment += timedelta(days=28)
    town.change_day(noon.canteen, date(2026, 12, 18), book_deadline_at=clock.now() + timedelta(days=1))
    sign_in(client, noon.family)
    with statements() as seen:
        client.get(PAGE)
    assert seen.count <= 3, seen
    code = f"{noon.family.beneficiary_ids[0]}.2026-12-18"
    assert submit(client, PAGE, {"repas": code}).status_code == 303


# --- a PAI ---


def test_a_tariff_with_pai_waits_for_one_that_covers_the_day(
    noon: Noon,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    write: OpenSession,
    statements: CountStatements,
    books_hold: BooksHold,
) -> None:
    noon.rules(blocking=PAI)
    town.top_up(noon.family, 5000)
    with write() as db:
        db.execute(update(Tariff).where(Tariff.id == noon.canteen.tariff_id).values(pai=True))
    days = noon.canteen.open_days(town.now)
    louane, theo = noon.family.beneficiary_ids
    basket = town.basket(noon.family, noon.canteen, days[:2], [louane])
    sign_in(client, noon.family)
    page = client.get(PAGE).text
    assert "Louane : le tarif demande un PAI" in page
    assert f'value="{louane}.{days[3]}"' not in page
    answer = submit(client, PAGE, {"repas": f"{louane}.{days[3]}"})
    assert answer.status_code == 422
    assert "demande un PAI" in answer.text
    before, meals = noon.everything(), sold(noon.read)
    for address in (WALLET, CARD):
        answer = submit(client, address, {"panier": basket, "total": 760})
        assert answer.status_code == 422
        assert "demande un PAI, et la mairie n’en a pas pour ce jour" in answer.text
    assert (noon.everything(), sold(noon.read)) == (before, meals)
    with write() as db:
        span = (days[0], days[3])
        note_plan(db, noon.family.household_id, louane, town.aiguilhe.id, span, noon.clerk.account_id, town.now)
    with statements() as seen:
        page = client.get(PAGE).text
    assert seen.count <= 4, seen
    assert f'value="{louane}.{days[3]}"' in page
    assert f'value="{louane}.{days[4]}"' not in page
    assert f'value="{theo}.{days[3]}"' not in page
    assert submit(client, PAGE, {"repas": f"{louane}.{days[3]}"}).status_code == 303
    assert submit(client, PAGE, {"repas": f"{louane}.{days[4]}"}).status_code == 422
    assert submit(client, WALLET, {"panier": basket, "total": 1140}).status_code == 303
    books_hold()


@pytest.mark.parametrize(("blocking", "asks"), [({}, True), (PAI, False)])
def test_without_the_rule_or_the_tariff_no_pai_is_asked(
    noon: Noon,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    write: OpenSession,
    statements: CountStatements,
    blocking: dict[str, Any],
    asks: bool,
) -> None:
    noon.rules(blocking=blocking)
    with write() as db:
        db.execute(update(Tariff).where(Tariff.id == noon.canteen.tariff_id).values(pai=asks))
    sign_in(client, noon.family)
    with statements() as seen:
        client.get(PAGE)
    assert seen.count <= 3, seen
    code = f"{noon.family.beneficiary_ids[0]}.{noon.canteen.open_days(town.now)[0]}"
    assert submit(client, PAGE, {"repas": code}).status_code == 303


# --- an enrolment that has ended ---


def test_an_enrolment_that_ends_says_when_and_what_to_do(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, write: OpenSession
) -> None:
    town.top_up(noon.family, 5000)
    days = noon.canteen.open_days(town.now)
    louane, theo = noon.family.beneficiary_ids
    basket = town.basket(noon.family, noon.canteen, days[1:2], [louane])
    with write() as db:
        db.execute(update(Enrolment).where(Enrolment.beneficiary_id == louane).values(valid_until=days[0]))
        db.execute(update(Enrolment).where(Enrolment.beneficiary_id == theo).values(valid_until=date(2026, 11, 18)))
    sign_in(client, noon.family)
    page = client.get(PAGE).text
    assert "Théo : l’inscription a pris fin le 18 novembre 2026" in page
    assert "/mon-compte/services" in page
    answer = submit(client, PAGE, {"repas": [f"{louane}.{days[0]}", f"{louane}.{days[2]}"]})
    assert answer.status_code == 422
    assert "l’inscription a pris fin le" in answer.text
    assert "Demandez-la à nouveau dans « Mes services »." in answer.text
    answer = submit(client, WALLET, {"panier": basket, "total": 380})
    assert answer.status_code == 422
    assert "n’est plus valable pour ce jour" in answer.text
    assert "Voir mes services" in answer.text


# --- a meal that was eaten ---


def test_a_meal_that_was_eaten_without_a_booking_is_not_booked_as_well(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    town.top_up(noon.family, 5000)
    today = date(2026, 11, 19)
    town.change_day(noon.canteen, today, book_deadline_at=town.now + timedelta(hours=4))
    louane = noon.family.beneficiary_ids[0]
    basket = town.basket(noon.family, noon.canteen, [today], [louane])
    noon.note()
    before, meals = noon.everything(), sold(noon.read)
    sign_in(client, noon.family)
    assert f'value="{louane}.{today}"' not in client.get(PAGE).text
    answer = submit(client, WALLET, {"panier": basket, "total": 380})
    assert answer.status_code == 422
    assert "mangé sans réservation" in answer.text
    assert (noon.everything(), sold(noon.read)) == (before, meals)
    books_hold()
