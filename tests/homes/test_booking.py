"""Booking for a child of two homes: whose day it is, no meal twice, both see the meals, neither the other's money."""

import re
from dataclasses import dataclass
from datetime import date, time
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from icalendar import Calendar
from sqlalchemy import func, select, update

from accounts.models import Account, Beneficiary
from cart.models import Basket, BasketLine
from catalog.models import Service
from checkout.queries import booked_between
from checkout.settle import settle
from checkout.unbooked import note_eaten
from orders.models import Order, Reservation
from payments.gateways.base import Seen, SeenState
from payments.models import Payment
from shop.clock import StoppedClock, paris_instant
from tests.conftest import BooksHold, CountStatements, OpenSession, SendLetters, SignIn, Submit
from tests.factory import Family, Town
from tests.house.policy import WRITES_ON_GET, table
from tests.house.test_pages import routes


@dataclass
class Homes:
    """A child of two homes, both enrolled at the canteen: even weeks are the first home's."""

    town: Town
    even: Family
    odd: Family
    child: int
    mine: FlaskClient
    other: FlaskClient

    @property
    def page(self) -> str:
        return f"/reserver/{self.town.aiguilhe.slug}/{self.town.aiguilhe.canteen.slug}"

    def days(self, parity: int) -> list[date]:
        open_days = self.town.aiguilhe.canteen.open_days(self.town.now)
        return [day for day in open_days if day.isocalendar().week % 2 == parity]

    def code(self, day: date) -> str:
        return f"{self.child}.{day.isoformat()}"


@pytest.fixture
def homes(app: Flask, town: Town, sign_in: SignIn) -> Homes:
    even, odd = town.family(children=1, balance_cents=5000), town.family(children=0, balance_cents=5000)
    child = town.share(even, odd)
    town.enrol(odd, child, town.aiguilhe.canteen)
    town.custody(child, even, odd)
    mine, other = app.test_client(), app.test_client()
    sign_in(mine, even)
    sign_in(other, odd)
    return Homes(town, even, odd, child, mine, other)


def boxes(html: str) -> set[str]:
    return set(re.findall(r'name="repas" value="([^"]+)"', html))


def count(read: OpenSession, model: Any) -> int:
    with read() as db:
        return db.scalar(select(func.count()).select_from(model)) or 0


def pay(client: FlaskClient, submit: Submit, read: OpenSession, family: Family) -> int:
    """Pay the household's basket from the wallet, as the page's button does where nothing is wrong."""
    with read() as db:
        basket_id, total = db.execute(
            select(BasketLine.basket_id, func.sum(BasketLine.quoted_cents))
            .join(Basket, Basket.id == BasketLine.basket_id)
            .where(Basket.household_id == family.household_id)
            .group_by(BasketLine.basket_id)
        ).one()
    return submit(client, "/panier/payer/porte-monnaie", {"panier": basket_id, "total": int(total)}).status_code


def test_each_home_ticks_its_own_days_and_sees_the_other_s(homes: Homes) -> None:
    mine, other = (
        {code for month in ("11", "12") for code in boxes(client.get(f"{homes.page}?periode=mois:2026-{month}").text)}
        for client in (homes.mine, homes.other)
    )
    assert mine == {homes.code(day) for day in homes.days(0)}
    assert other == {homes.code(day) for day in homes.days(1)}
    page = homes.mine.get(f"{homes.page}?periode=mois:2026-12").text
    assert "Chez l’autre parent" in page
    assert "Chez l’autre parent, réservé" not in page
    homes.town.paid_order(homes.odd, homes.town.aiguilhe.canteen, homes.days(1)[:1], [homes.child])
    day = homes.days(1)[0]
    page = homes.mine.get(f"{homes.page}?periode=semaine:{day.isoformat()}").text
    assert page.count("Chez l’autre parent, réservé") == 1


def test_a_week_of_the_other_home_cannot_be_ticked_at_once(homes: Homes, submit: Submit) -> None:
    day = homes.days(1)[0]
    answer = submit(homes.mine, f"{homes.page}?periode=semaine:{day.isoformat()}", {"cocher": "tout"})
    assert answer.status_code == 200
    assert "4 repas : chez l’autre parent" in answer.text
    assert boxes(answer.text) == set()


def test_adding_by_hand_is_refused(homes: Homes, submit: Submit, read: OpenSession) -> None:
    own, away = homes.days(0)[0], homes.days(1)[0]
    answer = submit(homes.mine, homes.page, {"repas": [homes.code(own), homes.code(away)]})
    assert answer.status_code == 422
    assert "c’est l’autre parent qui réserve ce jour-là. Demandez un échange" in answer.text
    assert count(read, BasketLine) == 0
    assert submit(homes.mine, homes.page, {"repas": homes.code(own)}).status_code == 303
    assert submit(homes.other, homes.page, {"repas": homes.code(away)}).status_code == 303
    assert count(read, BasketLine) == 2


def test_ticks_that_come_back_after_signing_in_say_whose_day_it_is(homes: Homes) -> None:
    day = homes.days(1)[0]
    page = homes.mine.get(f"{homes.page}?coches={homes.code(day)}.1").text
    assert "Un repas que vous aviez coché ne peut plus être réservé." in page
    assert "c’est l’autre parent qui réserve ce jour-là" in page


def test_a_calendar_agreed_while_the_basket_waits_is_named_there(
    homes: Homes, submit: Submit, read: OpenSession, books_hold: BooksHold
) -> None:
    day = homes.days(0)[0]
    submit(homes.mine, homes.page, {"repas": homes.code(day)})
    homes.town.custody(homes.child, homes.odd, homes.even)
    basket = homes.mine.get("/panier").text
    assert "c’est désormais l’autre parent qui réserve : retirez ce repas du panier" in basket
    assert pay(homes.mine, submit, read, homes.even) == 422
    assert (count(read, Order), count(read, Reservation)) == (0, 0)
    # The remedy: taken out.
    line = re.search(r'name="ligne" value="(\d+)"', basket)
    assert line is not None
    assert submit(homes.mine, "/panier/retirer", {"ligne": line[1]}).status_code == 303
    assert count(read, BasketLine) == 0
    books_hold()


def test_without_a_calendar_who_pays_first_has_the_meal(
    app: Flask, town: Town, sign_in: SignIn, submit: Submit, read: OpenSession, books_hold: BooksHold
) -> None:
    one, two = town.family(children=1, balance_cents=5000), town.family(children=0, balance_cents=5000)
    child = town.share(one, two)
    town.enrol(two, child, town.aiguilhe.canteen)
    day = town.aiguilhe.canteen.open_days(town.now)[0]
    page = f"/reserver/aiguilhe/{town.aiguilhe.canteen.slug}"
    clients = []
    for family in (one, two):
        client = app.test_client()
        sign_in(client, family)
        assert submit(client, page, {"repas": f"{child}.{day}"}).status_code == 303
        clients.append(client)
    assert pay(clients[0], submit, read, one) == 303
    assert "L’autre parent a déjà réservé ce repas : retirez-le du panier." in clients[1].get("/panier").text
    assert pay(clients[1], submit, read, two) == 422
    assert (count(read, Order), count(read, Reservation)) == (1, 1)
    week = clients[1].get(f"{page}?periode=semaine:{day}").text
    assert "Réservé par l’autre parent" in week
    answer = submit(clients[1], page, {"repas": f"{child}.{day}"})
    assert (answer.status_code, "l’autre parent a déjà réservé ce repas" in answer.text) == (422, True)
    books_hold()


def test_an_agreed_swap_moves_the_day(homes: Homes, submit: Submit, read: OpenSession, books_hold: BooksHold) -> None:
    day = homes.days(1)[0]
    assert submit(homes.mine, homes.page, {"repas": homes.code(day)}).status_code == 422
    swaps = f"/mon-compte/filiations/{homes.child}/foyers/echange"
    submit(homes.mine, swaps, {"swap_from": str(day), "swap_until": str(day), "swap_home": "ici"})
    assert submit(homes.other, f"{swaps}/1", {"answer": "agreed"}).status_code == 303
    assert submit(homes.other, homes.page, {"repas": homes.code(day)}).status_code == 422
    assert submit(homes.mine, homes.page, {"repas": homes.code(day)}).status_code == 303
    assert pay(homes.mine, submit, read, homes.even) == 303
    books_hold()


def test_only_who_paid_cancels_or_tells_an_illness(
    homes: Homes, submit: Submit, read: OpenSession, books_hold: BooksHold
) -> None:
    day = homes.days(0)[0]
    order = homes.town.paid_order(homes.even, homes.town.aiguilhe.canteen, [day], [homes.child])
    (meal,) = homes.town.reservation_ids(order)
    # Even where the day has become the other's since.
    homes.town.custody(homes.child, homes.odd, homes.even)
    assert homes.other.get(f"/mes-reservations/annuler?repas={meal}").status_code == 404
    assert submit(homes.other, "/mes-reservations/annuler", {"repas": meal, "credit": "380"}).status_code == 404
    ill = {"enfant": str(homes.child), "du": str(day), "au": str(day), "credit": "0"}
    assert "rien à changer" in submit(homes.other, "/mes-reservations/malade", ill).text
    with read() as db:
        assert db.scalars(select(Reservation.state)).one() == "confirmed"
    assert submit(homes.mine, "/mes-reservations/annuler", {"repas": meal, "credit": "380"}).status_code == 303
    books_hold()


def test_both_see_the_meals_and_only_who_paid_can_act(homes: Homes, submit: Submit) -> None:
    mine, other = homes.days(0)[0], homes.days(1)[0]
    canteen = homes.town.aiguilhe.canteen
    (own,) = homes.town.reservation_ids(homes.town.paid_order(homes.even, canteen, [mine], [homes.child]))
    order = homes.town.paid_order(homes.odd, canteen, [other], [homes.child])
    (theirs,) = homes.town.reservation_ids(order)
    for client, links in ((homes.mine, {str(own)}), (homes.other, {str(theirs)})):
        seen = "".join(client.get(f"/mes-reservations?mois=2026-{month}").text for month in ("11", "12"))
        assert seen.count("Réservé par l’autre parent") == 1
        assert set(re.findall(r"annuler\?repas=(\d+)", seen)) == links
        submit(client, "/mes-reservations/agenda")
        address = re.search(r'value="http://localhost(/agenda/[^"]+)"', client.get("/mes-reservations").text)
        assert address is not None
        events = Calendar.from_ical(client.get(address[1]).data).walk("VEVENT")
        assert sorted(event.decoded("dtstart") for event in events) == sorted([mine, other])
        words = [str(event["description"]) for event in events]
        assert sum("Réservé par l’autre parent" in one for one in words) == 1
        assert sum("Annulable" in one for one in words) == 1


# --- late money ---


def test_late_money_does_not_book_a_day_that_both_have_given_away(
    homes: Homes, read: OpenSession, write: OpenSession, books_hold: BooksHold
) -> None:
    day = homes.days(0)[0]
    order_id, payment_id = homes.town.pending_order(homes.even, homes.town.aiguilhe.canteen, [day])
    with read() as db:
        columns = (Payment.key, Payment.provider_reference, Payment.cents)
        payment = db.execute(select(*columns).where(Payment.id == payment_id)).one()
    states: tuple[SeenState, ...] = ("expired", "paid")
    outcomes = []
    homes.town.custody(homes.child, homes.odd, homes.even)
    for state in states:
        with write() as db:
            seen = Seen(payment.provider_reference, payment.key, state, payment.cents, "eur", False)
            outcomes.append(settle(db, payment.key, seen, homes.town.now))
    assert outcomes == ["expired", "late_to_wallet"]
    with read() as db:
        assert db.scalars(select(Order.state).where(Order.id == order_id)).one() == "expired"
        assert db.scalars(select(Reservation.state)).one() == "released"
    books_hold()


# --- nothing of the other home ---


def test_statements_of_a_family_without_two_homes_do_not_grow(
    town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, statements: CountStatements
) -> None:
    family = town.family(children=2, balance_cents=5000)
    sign_in(client, family)
    page = f"/reserver/aiguilhe/{town.aiguilhe.canteen.slug}"
    day = town.aiguilhe.canteen.open_days(town.now)[0]
    with statements() as seen:
        client.get(page)
    assert seen.count == 3, seen
    with statements() as seen:
        submit(client, page, {"repas": f"{family.beneficiary_ids[0]}.{day}"})
    assert seen.count == 5, seen
    with statements() as seen:
        client.get("/panier")
    assert seen.count == 3, seen


PRIVATE = {
    "first_name": "Zéphyrine",
    "last_name": "Quatremère",
    "phone": "+33639981099",
    "address": "99 rue des Secrets",
    "city": "Saint-Secret",
}
"""What the other parent's account says of its person."""


@dataclass
class Watched:
    """Two homes that have both bought, and what of the first must not be seen by the second."""

    homes: Homes
    secrets: set[str]
    meal: int
    samples: dict[str, Any]
    cancelled: int


@pytest.fixture
def watched(homes: Homes, submit: Submit, read: OpenSession, write: OpenSession) -> Watched:
    town, canteen = homes.town, homes.town.aiguilhe.canteen
    with write() as db:
        db.execute(update(Account).where(Account.id == homes.even.account_id).values(**PRIVATE))
        db.execute(update(Beneficiary).where(Beneficiary.id == homes.child).values(last_name="Martin"))
    theirs = town.paid_order(homes.even, canteen, homes.days(0)[:3], [homes.child], number="SECR-ET01")
    meal, cancelled, _third = town.reservation_ids(theirs)
    town.cancel(homes.even, cancelled)
    submit(homes.mine, "/mes-reservations/agenda")
    feed = re.search(r'value="http://localhost(/agenda/[^"]+)"', homes.mine.get("/mes-reservations").text)
    assert feed is not None
    town.paid_order(homes.odd, canteen, homes.days(1)[:1], [homes.child], number="OWN0-0001")
    town.basket(homes.odd, canteen, [homes.days(0)[0], homes.days(1)[1]], [homes.child])
    page = f"/mon-compte/filiations/{homes.child}/foyers"
    form = {"first_name": "Louane", "last_name": "Martin", "relation": "mother", "school_id": "0", "diet": "no_pork"}
    assert submit(homes.mine, f"/mon-compte/filiations/{homes.child}", form).status_code == 303
    submit(homes.mine, f"{page}/calendrier", {"even_weeks": "ici", "holidays": "ici", "starts_on": "2026-12-01"})
    submit(homes.mine, f"{page}/echange", {"swap_from": "2026-12-07", "swap_until": "2026-12-08", "swap_home": "ici"})
    clerk = town.clerk()
    with write() as db:
        day_id, enrolment_id = canteen.day_ids[date(2026, 11, 13)], homes.even.enrolment_ids[0]
        eaten, _new = note_eaten(db, day_id, enrolment_id, 380, clerk.account_id, town.now)
    # 50,00 € less three meals of 3,80 €, one of which came back, and one without a booking.
    secrets = {homes.even.email, "Zéphyrine", "Quatremère", "639981099", "06 39 98 10 99", "rue des Secrets"}
    secrets |= {"Saint-Secret", "SECR-ET01", "38,60", "11,40", feed[1]}
    samples = {
        "slug": "aiguilhe",
        "commune": "aiguilhe",
        "service": canteen.slug,
        "number": "OWN0-0001",
        "beneficiary_id": homes.child,
        "calendar_id": 2,
        "swap_id": 1,
        "enrolment_id": homes.even.enrolment_ids[0],
        "session_id": 1,
        "reservation_id": meal,
        "meal_id": eaten,
        "key": "x",
        "token": "x",
        "provider": "sandbox",
        "reference": "x",
    }
    return Watched(homes, secrets, meal, samples, cancelled)


ENDINGS = ("accounts.sign_out", "accounts.close", "accounts.end_connection")
SPOILERS = ("accounts.remove_from_family", "orders.make_feed", "orders.end_feed")
"""What would take away what the walk looks for."""


def walk(app: Flask, watched: Watched, client: FlaskClient, submit: Submit) -> dict[str, str]:
    """Every page that a parent may open, with months and weeks in which both have meals, and every form, with the other
    home's meals in it: address → what was answered, with what was redirected to."""
    policy, adapter = table(), app.url_map.bind("localhost")
    asked = f"repas={watched.meal}&enfant={watched.homes.child}&du={watched.homes.days(0)[0]}"
    day = watched.homes.days(0)[0]
    form = {
        "repas": [str(watched.meal), str(watched.cancelled)],
        "credit": "0",
        "enfant": str(watched.homes.child),
        "du": str(day),
        "au": str(day),
        "answer": "declined",
        "email": "encore@example.net",
        "even_weeks": "ici",
        "holidays": "ici",
        "starts_on": "2026-12-01",
        "swap_from": "2026-12-07",
        "swap_until": "2026-12-08",
        "swap_home": "ici",
    }
    found: dict[str, str] = {}
    for rule, method in routes(app):
        if policy[rule.endpoint, method] in ("staff", "office") or rule.endpoint in (*WRITES_ON_GET, *ENDINGS):
            continue
        if method == "POST" and rule.endpoint in SPOILERS:
            continue
        address = adapter.build(rule.endpoint, {name: watched.samples.get(name, "x") for name in rule.arguments})
        if method == "GET":
            for query in ("", "?mois=2026-11", "?mois=2026-12", "?annee=2026", f"?{asked}", f"?periode=semaine:{day}"):
                answer = client.get(f"{address}{query}", follow_redirects=True)
                found[f"{address}{query}"] = answer.text
        else:
            found[f"POST {address}"] = submit(client, address, form, follow_redirects=True).text
    # The gist of it once more, by hand: the meal of the other home, ticked and in a basket that is paid.
    page = watched.homes.page
    found["ticked"] = submit(client, page, {"repas": watched.homes.code(day)}, follow_redirects=True).text
    found["paid"] = submit(client, "/panier/payer/porte-monnaie", {"panier": "1", "total": "760"}).text
    return found


def test_no_page_of_one_parent_tells_anything_of_the_other(
    app: Flask, watched: Watched, submit: Submit, letters: SendLetters
) -> None:
    letters()
    pages = walk(app, watched, watched.homes.other, submit)
    told = {address: sorted(secret for secret in watched.secrets if secret in text) for address, text in pages.items()}
    assert {address: secrets for address, secrets in told.items() if secrets} == {}
    assert len(pages) > 150
    assert sum("Réservé par l’autre parent" in text for text in pages.values()) > 3
    for letter in letters():
        if letter["To"] != watched.homes.even.email:
            assert not [secret for secret in watched.secrets if secret in letter.as_string()], letter["Subject"]
            parts = [part.get_content() for part in letter.walk() if part.get_content_maintype() == "text"]
            assert not [secret for secret in watched.secrets if secret in "".join(parts)], letter["Subject"]


def test_the_walk_sees_what_one_tells_of_oneself(app: Flask, watched: Watched, submit: Submit) -> None:
    """The control: on their own pages all of these secrets are told."""
    pages = walk(app, watched, watched.homes.mine, submit)
    assert {secret for secret in watched.secrets if any(secret in text for text in pages.values())} >= (
        watched.secrets - {"639981099"}
    )


def test_no_letter_of_two_homes_names_the_other(
    watched: Watched, submit: Submit, letters: SendLetters, clock: StoppedClock
) -> None:
    page = f"/mon-compte/filiations/{watched.homes.child}/foyers"
    submit(watched.homes.other, f"{page}/calendrier/2", {"answer": "agreed"})
    submit(watched.homes.other, f"{page}/echange/1", {"answer": "declined"})
    sent = [letter for letter in letters() if letter["Subject"].endswith("Louane")]
    assert len(sent) == 4
    private = {homes.email for homes in (watched.homes.even, watched.homes.odd)}
    for letter in sent:
        (to,) = private & {letter["To"]}
        text = "".join(part.get_content() for part in letter.walk() if part.get_content_maintype() == "text")
        assert not [email for email in private - {to} if email in text]
        assert "Quatremère" not in text


def test_an_illness_goes_on_in_the_other_home(
    homes: Homes,
    read: OpenSession,
    write: OpenSession,
    sign_in: SignIn,
    submit: Submit,
    clock: StoppedClock,
    books_hold: BooksHold,
) -> None:
    canteen, both = homes.town.aiguilhe.canteen, homes.days(0) + homes.days(1)
    first, second, third = sorted(both)[:3]
    for family, days in ((homes.even, [first]), (homes.odd, [second, third])):
        homes.town.paid_order(family, canteen, days, children=[homes.child])
    announce = {"at": "09:00", "days_before": 0, "counted": "calendar"}
    rules = {"credit": "full", "sickness": {"carence_days": 1, "announce": announce, "paper": False}}
    with write() as db:
        db.execute(update(Service).where(Service.id == canteen.id).values(policies=rules))
        db.execute(update(Reservation).values(cancel_deadline_at=homes.town.now))
    clock.moment = paris_instant(first, time(8))
    sign_in(homes.mine, homes.even)
    sign_in(homes.other, homes.odd)
    sick = "/mes-reservations/malade"
    seen = f"{sick}?enfant={homes.child}&du={second}&au={second}"
    assert "jour de carence" in homes.other.get(seen).text
    assert submit(homes.mine, sick, {"enfant": homes.child, "du": first, "au": first, "credit": 0}).status_code == 303
    # The day of carence was the other home's; nothing of it is told here.
    page = homes.other.get(seen).text
    assert "jour de carence" not in page
    assert "3,80" in page
    shown = homes.other.get(f"/mes-reservations?mois={first:%Y-%m}").text
    assert "Réservé par l’autre parent" in shown
    assert "Absence signalée" not in shown
    with read() as db:
        meals = booked_between(db, homes.odd.household_id, first, second)
    assert [(meal.own, meal.excused) for meal in meals] == [(False, False), (True, False)]
    form = {"enfant": homes.child, "du": second, "au": second, "credit": 380}
    assert submit(homes.other, sick, form).status_code == 303
    books_hold()
