"""The waiting list, from the click on a full day to the meal that is booked; and everything that may come between."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, insert, select, update
from werkzeug.test import TestResponse

from accounts.models import HouseholdBeneficiary
from cart.models import BasketLine, WaitingEntry
from catalog.models import CallOff, SchoolPlace, Service, ServiceDay
from checkout import call_off, waiting
from checkout.call_off import Plan, Scope
from checkout.cancel import cancel_reservations
from checkout.errors import BasketRefused
from checkout.jobs import offer_places
from checkout.place import Buyer, hold_for_card, pay_from_wallet
from checkout.settle import give_up, settle
from checkout.sickness import tell_sick
from enrolments.models import Enrolment
from orders.models import Reservation
from payments.gateways.base import Seen
from payments.models import Payment
from shop.clock import StoppedClock, paris_day
from shop.database import transaction
from shop.errors import NotFound, Refusal
from tests.catalog.made import plain
from tests.conftest import BooksHold, CountStatements, OpenSession, SendLetters, SignIn, Submit
from tests.factory import Family, Town

LIST = "/mes-reservations/attente"


class Full:
    """A day of the canteen of Aiguilhe with two places, both booked by one family, and whoever waits for them."""

    def __init__(self, app: Flask, town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession) -> None:
        self.app, self.town, self.clock, self.read, self.write = app, town, clock, read, write
        self.canteen = town.aiguilhe.canteen
        self.day = self.canteen.open_days(town.now)[6]
        self.day_id = self.canteen.day_ids[self.day]
        self.page = f"/reserver/aiguilhe/{self.canteen.slug}"
        self.eaters = town.family(children=2, balance_cents=5000)
        town.change_day(self.canteen, self.day, capacity=2)
        self.order_id = town.paid_order(self.eaters, self.canteen, [self.day])

    def buyer(self, family: Family) -> Buyer:
        return Buyer(family.household_id, family.account_id, family.email)

    def waits(self, children: int = 1, balance_cents: int = 2000) -> Family:
        """A family whose first child waits."""
        family = self.town.family(children=children, balance_cents=balance_cents)
        self.town.wait(family, self.canteen, self.day)
        return family

    def free(self, number: int = 1) -> None:
        """The eaters cancel so many of their meals."""
        ids = self.town.reservation_ids(self.order_id)[:number]
        with self.write() as db:
            cancel_reservations(db, self.buyer(self.eaters), ids, None, self.clock.now())

    def work(self) -> int:
        with self.app.app_context():
            return offer_places()

    def states(self) -> list[str]:
        with self.read() as db:
            return list(db.scalars(select(WaitingEntry.state).order_by(WaitingEntry.id)))

    def taken(self) -> int:
        with self.read() as db:
            return db.scalars(select(ServiceDay.booked_count).where(ServiceDay.id == self.day_id)).one()

    def of_school(self) -> tuple[int | None, int]:
        with self.read() as db:
            row = db.execute(select(SchoolPlace.capacity, SchoolPlace.booked_count)).one()
            return row[0], row[1]

    def code(self, family: Family, child: int = 0) -> str:
        return f"{family.beneficiary_ids[child]}.{self.day.isoformat()}"

    def basket(self, family: Family, children: Sequence[int] | None = None) -> int:
        return self.town.basket(family, self.canteen, [self.day], children)

    def pay(self, family: Family, basket_id: int) -> str:
        with self.write() as db:
            return pay_from_wallet(db, self.buyer(family), basket_id, None, self.clock.now())

    def hold(self, family: Family, basket_id: int) -> str:
        """By card: the payment's key."""
        gateways = self.app.extensions["payments.gateways"]
        with self.write() as db:
            payment = hold_for_card(db, self.buyer(family), basket_id, None, gateways, self.clock.now())
            assert isinstance(payment, Payment)
            return payment.key

    def give_up(self, key: str) -> None:
        with self.write() as db:
            give_up(db, key, "cancelled", self.clock.now())

    def told(self, key: str, cents: int = 380) -> str:
        with self.write() as db:
            return settle(db, key, Seen("ref", key, "paid", cents, "eur", live=False), self.clock.now())


@pytest.fixture
def full(app: Flask, town: Town, clock: StoppedClock, read: OpenSession, write: OpenSession) -> Full:
    return Full(app, town, clock, read, write)


# --- joining ---


def join(full: Full, submit: Submit, client: FlaskClient, code: str, **form: Any) -> TestResponse:
    return submit(client, f"{full.page}?periode=mois:{full.day:%Y-%m}", {"attendre": code, **form})


def test_a_full_day_offers_the_list_and_keeps_what_is_ticked(
    full: Full, client: FlaskClient, sign_in: SignIn, submit: Submit, statements: CountStatements, books_hold: BooksHold
) -> None:
    family = full.town.family(children=2)
    sign_in(client, family)
    with statements() as seen:
        page = client.get(f"{full.page}?periode=mois:{full.day:%Y-%m}").text
    assert seen.count <= 5, seen
    assert re.findall(r'name="attendre" value="([^"]+)"', page) == [full.code(family), full.code(family, 1)]
    others = [f"{family.beneficiary_ids[0]}.{day}" for day in full.canteen.open_days(full.town.now)[:6]]
    answer = join(full, submit, client, full.code(family), repas=others)
    assert answer.status_code == 200
    assert "est sur la liste d’attente du" in plain(answer.text)
    assert re.findall(r'name="repas" value="([^"]+)"[^>]* checked', answer.text) == others
    assert re.findall(r'name="attendre" value="([^"]+)"', answer.text) == [full.code(family, 1)]
    assert full.states() == ["waiting"]
    assert "En attente, rang 1" in client.get(LIST).text
    books_hold()


def test_nobody_is_on_the_list_twice(
    full: Full, client: FlaskClient, sign_in: SignIn, submit: Submit, read: OpenSession, write: OpenSession
) -> None:
    family = full.waits()
    sign_in(client, family)
    answer = join(full, submit, client, full.code(family))
    assert answer.status_code == 409
    assert "déjà sur la liste d’attente" in answer.text
    # Nor by its other household.
    other = full.town.family(children=1)
    with write() as db:
        db.execute(
            insert(HouseholdBeneficiary).values(
                household_id=other.household_id,
                beneficiary_id=family.beneficiary_ids[0],
                relation="father",
                position=5,
            )
        )
    full.town.enrol(other, family.beneficiary_ids[0], full.canteen)
    another = full.app.test_client()
    sign_in(another, other)
    assert join(full, submit, another, full.code(family)).status_code == 409
    assert full.states() == ["waiting"]


@pytest.mark.parametrize(
    ("why", "words", "status"),
    [
        ("free", "une place est libre", 422),
        ("late", "il fallait réserver avant", 422),
        ("hors délai", "la date limite est passée, la liste d’attente est fermée", 422),
        ("closed", "pas de service ce jour-là", 422),
        ("booked", "ce repas est déjà réservé", 422),
        ("no right", "aucune inscription validée", 422),
        ("stranger", None, 404),
        ("no day", None, 404),
        ("nonsense", None, 404),
    ],
)
def test_what_cannot_be_waited_for(
    full: Full,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    clock: StoppedClock,
    why: str,
    words: str,
    status: int,
) -> None:
    family = full.eaters if why == "booked" else full.town.family(children=1)
    code = full.code(family)
    if why == "free":
        full.free()
    elif why == "late":
        full.town.change_day(full.canteen, full.day, book_deadline_at=clock.now())
    elif why == "hors délai":
        later = clock.now() + timedelta(hours=1)
        full.town.change_day(full.canteen, full.day, book_deadline_at=clock.now(), late_deadline_at=later)
    elif why == "closed":
        full.town.change_day(full.canteen, full.day, is_open=False, closed_reason="Grève")
    elif why == "no right":
        with full.write() as db:
            mine = Enrolment.household_id == family.household_id
            db.execute(update(Enrolment).where(mine).values(valid_from=full.day + timedelta(days=1)))
    elif why == "stranger":
        code = full.code(full.eaters)
    elif why == "no day":
        code = f"{family.beneficiary_ids[0]}.2026-11-29"
    elif why == "nonsense":
        code = "1.2026"
    sign_in(client, family)
    answer = join(full, submit, client, code)
    assert answer.status_code == status
    if words:
        assert words in answer.text
    assert full.states() == []


# --- from the place that comes free to the meal ---


def test_a_freed_place_is_offered_told_taken_and_paid(
    full: Full,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    letters: SendLetters,
    books_hold: BooksHold,
    statements: CountStatements,
) -> None:
    first, second = full.waits(), full.waits()
    assert full.work() == 0, "nothing is free"
    letters()
    full.free()
    assert full.states() == ["offered", "waiting"]
    assert full.taken() == 2, "the offer holds the place"
    assert full.work() == 0
    (letter,) = [letter for letter in letters() if "Une place pour" in str(letter["Subject"])]
    assert letter["To"] == first.email
    body = letter.get_body()
    assert body is not None
    assert f"http://localhost{LIST}" in body.get_content()
    books_hold()
    sign_in(client, first)
    page = client.get(LIST).text
    assert "Place gardée jusqu’au vendredi 20 novembre 2026 à 8 h" in plain(page)
    assert "Une place est gardée pour vous" in client.get(f"{full.page}?periode=mois:{full.day:%Y-%m}").text
    assert submit(client, full.page, {"repas": full.code(first), "ajouter": "1"}).status_code == 303
    assert "Payer le panier" in client.get(LIST).text
    with statements() as seen:
        basket = client.get("/panier").text
    assert seen.count <= 4, seen
    assert "Place gardée jusqu’au" in basket
    number = re.search(r'name="panier" value="(\d+)"', basket)
    assert number is not None
    paid = submit(client, "/panier/payer/porte-monnaie", {"panier": number[1], "total": "380"})
    assert "/commandes/" in paid.headers["Location"]
    assert (full.states(), full.taken()) == (["taken", "waiting"], 2)
    assert "Place prise" in client.get(LIST).text
    assert full.work() == 0
    books_hold()
    sign_in(client, second)
    assert "En attente, rang 1" in client.get(LIST).text


def test_a_place_that_nobody_takes_goes_on_to_the_next(
    full: Full, clock: StoppedClock, letters: SendLetters, books_hold: BooksHold
) -> None:
    first, second = full.waits(), full.waits()
    full.free()
    full.work()
    clock.moment += timedelta(hours=24) - timedelta(seconds=1)
    assert full.work() == 0
    assert full.states() == ["offered", "waiting"]
    clock.moment += timedelta(seconds=1)
    assert full.work() == 1
    assert (full.states(), full.taken()) == (["lapsed", "offered"], 2)
    told = [str(letter["To"]) for letter in letters() if "Une place pour" in str(letter["Subject"])]
    assert told == [first.email, second.email]
    books_hold()
    with pytest.raises(Refusal):
        full.pay(first, full.basket(first))
    assert full.states() == ["lapsed", "offered"]
    full.pay(second, full.basket(second))
    books_hold()


def test_an_offer_never_outlives_the_deadline(full: Full, clock: StoppedClock, books_hold: BooksHold) -> None:
    full.waits()
    limit = clock.now() + timedelta(hours=3)
    full.town.change_day(full.canteen, full.day, book_deadline_at=limit)
    full.free()
    full.work()
    with full.read() as db:
        assert db.scalars(select(WaitingEntry.offered_until)).one() == limit
    late = full.waits()
    clock.moment = limit.astimezone(UTC)
    assert full.work() == 1
    assert (full.states(), full.taken()) == (["lapsed", "over"], 1)
    assert full.work() == 0
    assert late.household_id
    books_hold()


def test_the_service_says_how_long(full: Full, clock: StoppedClock) -> None:
    with full.write() as db:
        db.execute(update(Service).where(Service.id == full.canteen.id).values(policies={"offer_hours": 2}))
    full.waits()
    full.free()
    full.work()
    with full.read() as db:
        assert db.scalars(select(WaitingEntry.offered_until)).one() == clock.now() + timedelta(hours=2)


def test_declined_goes_on_and_left_counts_no_more(
    full: Full, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    first, second, third = full.waits(), full.waits(), full.waits()
    full.free()
    full.work()
    for family, number, words in ((second, 2, "vous n’attendez plus"), (first, 1, "proposée à la famille suivante")):
        sign_in(client, family)
        assert submit(client, f"{LIST}/quitter", {"attente": "3"}).status_code == 404
        assert submit(client, f"{LIST}/quitter", {"attente": str(number)}).status_code == 303
        assert words in client.get(LIST).text
        submit(client, f"{LIST}/quitter", {"attente": str(number)})
        assert "rien n’a changé" in client.get(LIST).text
    assert submit(client, f"{LIST}/quitter", {"attente": "x"}).status_code == 404
    assert (full.states(), full.taken()) == (["declined", "left", "offered"], 2)
    assert full.work() == 0
    assert third.household_id
    books_hold()


def test_every_way_in_which_a_place_comes_free_is_seen(full: Full, books_hold: BooksHold) -> None:
    for _ in range(4):
        full.waits()
    full.town.change_day(full.canteen, full.day, capacity=3)
    full.work()
    assert full.states() == ["offered", "waiting", "waiting", "waiting"]
    with full.write() as db:
        child = full.eaters.beneficiary_ids[1]
        tell_sick(db, full.buyer(full.eaters), child, (full.day, full.day), None, full.clock.now())
    assert full.states() == ["offered", "offered", "waiting", "waiting"]
    full.free()
    assert full.states() == ["offered", "offered", "offered", "waiting"]
    assert full.work() == 0
    books_hold()


def cancel_then_buy(full: Full) -> None:
    """Somebody waits, a meal is cancelled, and somebody else buys before the worker's turn."""
    full.waits()
    direct = full.town.family(children=1, balance_cents=1000)
    basket_id = full.basket(direct)
    full.free()
    full.pay(direct, basket_id)


def test_nobody_buys_what_comes_free_before_those_who_wait(full: Full, books_hold: BooksHold) -> None:
    with pytest.raises(BasketRefused):
        cancel_then_buy(full)
    assert (full.states(), full.taken()) == (["offered"], 2)
    with full.read() as db:
        assert db.scalar(select(func.count()).where(Reservation.state == "confirmed")) == 1
    books_hold()


def test_control_a_place_that_is_not_offered_at_once_is_sold(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "offer_at_once", lambda *_: None)
    cancel_then_buy(full)
    assert (full.states(), full.taken()) == (["waiting"], 2)


def test_cancelling_asks_once_whether_somebody_waits(
    full: Full, statements: CountStatements, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = full.canteen.open_days(full.town.now)[:3]
    counted = []
    for _ in range(2):
        ids = full.town.reservation_ids(full.town.paid_order(full.eaters, full.canteen, days))
        with statements() as seen, full.write() as db:
            cancel_reservations(db, full.buyer(full.eaters), ids, None, full.clock.now())
        counted.append(seen.count)
        monkeypatch.setattr(waiting, "offer_at_once", lambda *_: None)
    assert counted[0] == counted[1] + 1


def test_a_hold_that_is_released_serves_who_waits(full: Full, books_hold: BooksHold) -> None:
    full.town.change_day(full.canteen, full.day, capacity=3)
    buyer = full.town.family(children=1)
    basket_id = full.basket(buyer)
    key = full.hold(buyer, basket_id)
    full.waits()
    assert full.work() == 0
    full.give_up(key)
    full.work()
    assert full.states() == ["offered"]
    with pytest.raises(BasketRefused):
        full.hold(buyer, basket_id)
    books_hold()


def test_whoever_waits_may_buy_a_place_that_is_free_and_waits_no_more(full: Full, books_hold: BooksHold) -> None:
    first = full.waits()
    full.town.change_day(full.canteen, full.day, capacity=3)
    full.pay(first, full.basket(first))
    assert (full.states(), full.taken()) == (["taken"], 3)
    assert full.work() == 0
    books_hold()


# --- by card ---


def offered(full: Full) -> Family:
    family = full.waits(balance_cents=0)
    full.free()
    full.work()
    assert full.states() == ["offered"]
    return family


def test_an_offer_that_lapses_while_it_is_being_paid_is_the_familys(
    full: Full, clock: StoppedClock, books_hold: BooksHold
) -> None:
    family = offered(full)
    clock.moment += timedelta(hours=24) - timedelta(seconds=1)
    key = full.hold(family, full.basket(family))
    full.waits()
    clock.moment += timedelta(minutes=5)
    assert full.work() == 0
    assert full.told(key) == "order_paid"
    assert (full.states(), full.taken()) == (["taken", "waiting"], 2)
    books_hold()


def test_a_payment_that_is_given_up_keeps_the_offer(full: Full, books_hold: BooksHold) -> None:
    family = offered(full)
    basket_id = full.basket(family)
    key = full.hold(family, basket_id)
    assert full.states() == ["taken"]
    books_hold()
    full.give_up(key)
    assert (full.states(), full.taken()) == (["offered"], 2)
    books_hold()
    full.hold(family, basket_id)
    assert (full.states(), full.taken()) == (["taken"], 2)
    books_hold()


def test_a_payment_that_is_given_up_after_the_offer_passes_it_on(
    full: Full, clock: StoppedClock, books_hold: BooksHold
) -> None:
    family = offered(full)
    clock.moment += timedelta(hours=23, minutes=59)
    key = full.hold(family, full.basket(family))
    full.waits()
    clock.moment += timedelta(minutes=5)
    full.give_up(key)
    assert (full.states(), full.taken()) == (["lapsed", "waiting"], 1)
    full.work()
    assert (full.states(), full.taken()) == (["lapsed", "offered"], 2)
    books_hold()


def test_money_that_comes_late_takes_the_place_that_is_kept(full: Full, books_hold: BooksHold) -> None:
    family = offered(full)
    key = full.hold(family, full.basket(family))
    full.give_up(key)
    assert full.told(key) == "order_revived"
    assert (full.states(), full.taken()) == (["taken"], 2)
    books_hold()


def test_money_that_comes_late_takes_nobody_elses_place(full: Full, clock: StoppedClock, books_hold: BooksHold) -> None:
    family = offered(full)
    clock.moment += timedelta(hours=23, minutes=59)
    key = full.hold(family, full.basket(family))
    full.waits()
    clock.moment += timedelta(minutes=5)
    full.give_up(key)
    full.work()
    assert full.told(key) == "late_to_wallet"
    assert (full.states(), full.taken()) == (["lapsed", "offered"], 2)
    books_hold()


def test_money_that_comes_after_the_deadline_finds_no_place_in_what_was_kept(
    full: Full, town: Town, clock: StoppedClock, books_hold: BooksHold
) -> None:
    # Meals may be given back here, and none was.
    town.change_day(full.canteen, full.day, freed_deadline_at=clock.moment + timedelta(days=60))
    family = offered(full)
    key = full.hold(family, full.basket(family))
    full.give_up(key)
    with full.read() as db:
        clock.moment = db.scalars(select(ServiceDay.book_deadline_at).where(ServiceDay.id == full.day_id)).one()
    assert full.states() == ["offered"], "the worker has not come yet"
    assert full.told(key) == "late_to_wallet"
    assert (full.states(), full.taken()) == (["offered"], 2)
    full.work()
    assert (full.states(), full.taken()) == (["lapsed"], 1)
    books_hold()


# --- what ends an entry ---


@pytest.mark.parametrize("state", ["waiting", "offered"])
@pytest.mark.parametrize("why", ["closed", "archived", "revoked", "booked elsewhere"])
def test_nothing_more_can_come_of_it(full: Full, books_hold: BooksHold, state: str, why: str) -> None:
    family = full.waits()
    if state == "offered":
        full.free()
        full.work()
    if why == "closed":
        full.town.change_day(full.canteen, full.day, is_open=False, closed_reason="Grève")
    elif why == "booked elsewhere":
        full.town.change_day(full.canteen, full.day, capacity=5)
        other = full.town.family(children=1, balance_cents=1000)
        full.town.paid_order(other, full.canteen, [full.day])
        with full.write() as db:
            mine = Reservation.household_id == other.household_id
            db.execute(update(Reservation).where(mine).values(beneficiary_id=family.beneficiary_ids[0]))
            taken = HouseholdBeneficiary.beneficiary_id == family.beneficiary_ids[0]
            assert db.scalar(select(func.count()).where(taken)) == 1
            enrolled = Enrolment.household_id == other.household_id
            db.execute(update(Enrolment).where(enrolled).values(beneficiary_id=family.beneficiary_ids[0]))
    else:
        with full.write() as db:
            if why == "archived":
                mine = HouseholdBeneficiary.household_id == family.household_id
                db.execute(update(HouseholdBeneficiary).where(mine).values(archived_at=full.clock.now()))
            else:
                enrolled = Enrolment.household_id == family.household_id
                db.execute(update(Enrolment).where(enrolled).values(state="revoked", decided_at=full.clock.now()))
        full.town.change_day(full.canteen, full.day, capacity=5)
        full.waits()
    full.work()
    assert full.states()[0] == "over"
    assert full.states()[1:] in ([], ["offered"])
    books_hold()


def test_a_call_off_that_is_taken_back_costs_nobody_the_rank(
    full: Full, clock: StoppedClock, books_hold: BooksHold
) -> None:
    full.waits()
    clerk, scope = full.town.clerk(), Scope(full.day_id)
    with full.write() as db:
        seen = call_off.affected(db, scope)
        number = call_off.plan(db, Plan(scope, "strike", "Grève."), seen, clerk.account_id, clock.now())
    full.free()
    full.work()
    assert full.states() == ["waiting"]
    with full.write() as db:
        call_off.take_back(db, number, clerk.account_id, clock.now())
    full.work()
    assert full.states() == ["offered"]
    with full.write() as db:
        seen = call_off.affected(db, scope)
        number = call_off.plan(db, Plan(scope, "strike", "Grève."), seen, clerk.account_id, clock.now())
    with full.write() as db:
        call_off.carry_out(db, number, clock.now())
        assert db.scalars(select(CallOff.state).where(CallOff.id == number)).one() == "done"
    full.work()
    assert (full.states(), full.taken()) == (["over"], 0)
    books_hold()


def test_picnics_keep_nobody_from_a_place(full: Full, books_hold: BooksHold) -> None:
    full.waits()
    full.free()
    clerk, scope = full.town.clerk(), Scope(full.day_id)
    with full.write() as db:
        asked = Plan(scope, "outing", "Sortie au lac.", picnic=True)
        call_off.plan(db, asked, call_off.affected(db, scope), clerk.account_id, full.clock.now())
    full.work()
    assert full.states() == ["offered"]
    books_hold()


def test_a_family_that_closes_its_account_waits_no_more(full: Full, books_hold: BooksHold) -> None:
    family = full.waits()
    full.free()
    full.work()
    with full.write() as db:
        waiting.end_with_household(db, family.household_id, family.account_id, full.clock.now())
    assert (full.states(), full.taken()) == (["left"], 1)
    books_hold()


def test_one_day_that_fails_keeps_no_other_waiting(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    other_day = full.canteen.open_days(full.town.now)[3]
    full.town.change_day(full.canteen, other_day, capacity=1)
    full.town.wait(full.town.family(children=1), full.canteen, other_day)
    full.waits()
    full.town.change_day(full.canteen, full.day, capacity=3)
    real, bad = waiting.turn, full.canteen.day_ids[other_day]

    def fails(db: Any, day_id: int, now: datetime) -> None:
        if day_id == bad:
            raise RuntimeError("out of order")
        real(db, day_id, now)

    monkeypatch.setattr(waiting, "turn", fails)
    assert full.work() == 2
    assert full.states() == ["waiting", "offered"]
    monkeypatch.undo()
    full.work()
    assert full.states() == ["offered", "offered"]


# --- a child of two homes ---


@pytest.mark.parametrize("state", ["waiting", "offered"])
def test_an_entry_ends_when_the_day_becomes_the_other_homes(
    full: Full, sign_in: SignIn, submit: Submit, statements: CountStatements, books_hold: BooksHold, state: str
) -> None:
    family, other = full.waits(), full.town.family(children=0)
    full.waits()
    child = full.town.share(family, other)
    full.town.enrol(other, child, full.canteen)
    mine, theirs = full.app.test_client(), full.app.test_client()
    sign_in(mine, family)
    sign_in(theirs, other)
    if state == "offered":
        full.free()
    assert full.work() == 0, "nothing is agreed: either home may book"
    assert full.states() == [state, "waiting"]
    with statements() as seen:
        mine.get(LIST)
    assert seen.count <= 3, seen
    even, odd = (other, family) if full.day.isocalendar().week % 2 == 0 else (family, other)
    full.town.custody(child, even, odd)
    assert join(full, submit, mine, full.code(family)).status_code == 409
    assert full.work() == 1
    assert full.states() == ["over", "offered" if state == "offered" else "waiting"]
    assert full.taken() == 2
    assert full.work() == 0
    assert "Chez l’autre parent" in mine.get(LIST).text
    assert "Liste fermée" not in mine.get(LIST).text
    assert join(full, submit, mine, full.code(family)).status_code == 422
    assert join(full, submit, theirs, full.code(family)).status_code == 200
    assert full.states()[2:] == ["waiting"]
    full.town.change_day(full.canteen, full.day, capacity=4)
    full.work()
    assert full.states() == ["over", "offered", "offered"]
    assert full.work() == 0
    books_hold()


def test_a_place_that_comes_free_is_not_offered_to_the_wrong_home(full: Full, books_hold: BooksHold) -> None:
    family, other = full.waits(), full.town.family(children=0)
    full.waits()
    child = full.town.share(family, other)
    even, odd = (other, family) if full.day.isocalendar().week % 2 == 0 else (family, other)
    full.town.custody(child, even, odd)
    full.free()
    assert full.states() == ["over", "offered"]
    books_hold()


def test_a_home_keeps_its_entry_on_its_own_days(full: Full, books_hold: BooksHold) -> None:
    family, other = full.waits(), full.town.family(children=0)
    child = full.town.share(family, other)
    even, odd = (family, other) if full.day.isocalendar().week % 2 == 0 else (other, family)
    full.town.custody(child, even, odd)
    assert full.work() == 0
    full.free()
    assert full.states() == ["offered"]
    books_hold()


# --- places of a school ---


def test_a_school_that_is_full_refuses_its_pupils_alone(
    full: Full, client: FlaskClient, sign_in: SignIn, submit: Submit, town: Town, books_hold: BooksHold
) -> None:
    day = full.canteen.open_days(town.now)[4]
    town.limit_school(full.canteen, day, 2)
    first, here, there = (town.family(children=2, balance_cents=5000) for _ in range(3))
    town.another_school(town.aiguilhe, *there.beneficiary_ids)
    full.pay(first, town.basket(first, full.canteen, [day]))
    assert full.of_school() == (2, 2)
    books_hold()
    sign_in(client, here)
    page = client.get(f"{full.page}?periode=mois:{day:%Y-%m}").text
    assert f'name="attendre" value="{here.beneficiary_ids[0]}.{day}"' in page
    answer = submit(client, full.page, {"repas": f"{here.beneficiary_ids[0]}.{day}"})
    assert "il n’y a plus de place" in answer.text
    basket_id = town.basket(here, full.canteen, [day])
    assert "puis attendez une place depuis le calendrier." in client.get("/panier").text
    with pytest.raises(Refusal):
        full.pay(here, basket_id)
    assert full.of_school() == (2, 2)
    full.pay(there, town.basket(there, full.canteen, [day]))
    assert full.of_school() == (2, 2)
    books_hold()


def test_places_of_a_school_are_counted_wherever_the_days_are(full: Full, town: Town, books_hold: BooksHold) -> None:
    day = full.canteen.open_days(town.now)[4]
    town.limit_school(full.canteen, day, 4)
    first, second = town.family(children=2, balance_cents=5000), town.family(children=2)
    order_id = town.paid_order(first, full.canteen, [day])
    key = full.hold(second, town.basket(second, full.canteen, [day]))
    assert full.of_school() == (4, 4)
    books_hold()
    full.give_up(key)
    assert full.of_school() == (4, 2)
    # The child changes school: its meal counts where it was sold.
    town.another_school(town.aiguilhe, first.beneficiary_ids[0])
    assert full.told(key, 760) == "order_revived"
    assert full.of_school() == (4, 4)
    books_hold()
    meals = town.reservation_ids(order_id)
    with full.write() as db:
        cancel_reservations(db, full.buyer(first), meals[:1], None, full.clock.now())
    assert full.of_school() == (4, 3)
    with full.write() as db:
        tell_sick(db, full.buyer(first), first.beneficiary_ids[1], (day, day), None, full.clock.now())
    assert full.of_school() == (4, 2)
    scope, clerk = Scope(full.canteen.day_ids[day]), town.clerk()
    with full.write() as db:
        seen = call_off.affected(db, scope)
        number = call_off.plan(db, Plan(scope, "strike", "Grève."), seen, clerk.account_id, town.now)
    with full.write() as db:
        call_off.carry_out(db, number, town.now)
    assert full.of_school() == (4, 0)
    books_hold()


def test_late_money_finds_a_school_full(full: Full, town: Town, books_hold: BooksHold) -> None:
    day = full.canteen.open_days(town.now)[4]
    town.limit_school(full.canteen, day, 2)
    first, second = town.family(children=2), town.family(children=1, balance_cents=1000)
    key = full.hold(first, town.basket(first, full.canteen, [day]))
    full.give_up(key)
    full.pay(second, town.basket(second, full.canteen, [day]))
    assert full.told(key, 760) == "late_to_wallet"
    assert full.of_school() == (2, 1)
    books_hold()


def test_who_waits_for_a_full_school_lets_the_others_by(full: Full, town: Town, books_hold: BooksHold) -> None:
    day = full.canteen.open_days(town.now)[4]
    town.limit_school(full.canteen, day, 1)
    town.change_day(full.canteen, day, capacity=2)
    eats, here, there = (town.family(children=1, balance_cents=1000) for _ in range(3))
    school_id = town.another_school(town.aiguilhe, there.beneficiary_ids[0])
    order_id = town.paid_order(eats, full.canteen, [day])
    town.wait(here, full.canteen, day)
    town.wait(there, full.canteen, day)
    assert full.work() == 1
    assert full.states() == ["waiting", "offered"]
    with full.read() as db:
        assert db.scalars(select(WaitingEntry.school_id).where(WaitingEntry.state == "offered")).one() == school_id
    meals = town.reservation_ids(order_id)
    with full.write() as db:
        cancel_reservations(db, full.buyer(eats), meals, None, full.clock.now())
    full.work()
    assert (full.states(), full.of_school()) == (["offered", "offered"], (1, 1))
    books_hold()
    # Whose child has changed school meanwhile needs a place there: its offer counts at the former one.
    town.another_school(town.aiguilhe, here.beneficiary_ids[0])
    full.pay(here, town.basket(here, full.canteen, [day]))
    assert full.of_school() == (1, 0)
    books_hold()


def test_the_clerks_list_says_how_many_wait(full: Full, client: FlaskClient, sign_in: SignIn) -> None:
    full.waits()
    full.waits()
    full.free()
    full.work()
    sign_in(client, full.town.clerk())
    page = client.get(f"/mairie/jour?date={full.day}").text
    assert "1 enfant attend une place sur la liste d’attente." in page
    assert "1 place est gardée pour une famille de la liste." in page


def test_the_list_of_a_family_that_waits_for_nothing(client: FlaskClient, town: Town, sign_in: SignIn) -> None:
    sign_in(client, town.family())
    assert "Vous n’attendez aucune place" in client.get(LIST).text
    assert LIST in client.get("/mes-reservations").text


def test_another_familys_entry_is_not_found(full: Full) -> None:
    full.waits()
    with full.app.app_context(), pytest.raises(NotFound), transaction() as db:
        waiting.leave(db, full.eaters.household_id, 1, full.clock.now())
    assert full.states() == ["waiting"]


def test_a_day_gone_by_is_not_shown(full: Full, client: FlaskClient, sign_in: SignIn, clock: StoppedClock) -> None:
    family = full.waits()
    clock.moment += timedelta(days=30)
    assert full.day < paris_day(clock.now()) < date(2027, 1, 1)
    sign_in(client, family)
    assert "Vous n’attendez aucune place" in client.get(LIST).text
    with full.read() as db:
        assert db.scalar(select(func.count()).select_from(BasketLine)) == 0
