"""A meal that is given back: due until another family has paid for it, then cancelled, credited in full and told."""

import re
from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from accounts.models import Beneficiary
from cart.models import Basket, BasketLine
from catalog.models import SchoolPlace, Service, ServiceDay
from checkout import call_off, freed
from checkout.call_off import Plan, Scope
from checkout.errors import BasketRefused, CannotGiveBack, CannotKeep, TotalChanged
from checkout.place import Buyer, hold_for_card, pay_from_wallet
from checkout.settle import settle
from checkout.sickness import tell_sick
from homes.models import CustodyCalendar
from orders.models import FreedMeal, Reservation
from payments.gateways.base import Seen, SeenState
from payments.models import Payment
from shop.clock import StoppedClock, paris_instant
from shop.errors import NotFound
from tests.conftest import BooksHold, OpenSession, SendLetters, SignIn, Submit, as_typed
from tests.factory import Family, Town, add
from wallet.models import LedgerAccount

SAME_DAY = {"at": "09:00", "days_before": 0, "counted": "calendar"}
LATE = {"until": SAME_DAY, "percent": "50"}
ONE_SECOND = timedelta(seconds=1)


class Canteen:
    """A full day whose deadlines have passed: one child eats, and may give its meal back; another family comes late."""

    def __init__(self, app: Flask, town: Town, write: OpenSession, read: OpenSession, clock: StoppedClock) -> None:
        self.app, self.town, self.write, self.read, self.clock = app, town, write, read, clock
        self.service = town.aiguilhe.canteen
        self.address = f"/reserver/{self.service.commune_slug}/{self.service.slug}"
        self.day = self.service.open_days(town.now)[0]
        self.day_id = self.service.day_ids[self.day]
        self.giver, self.taker = (
            town.family(children=1, balance_cents=1000),
            town.family(children=2, balance_cents=1000),
        )
        self.order = town.paid_order(self.giver, self.service, [self.day])
        (self.meal,) = town.reservation_ids(self.order)
        self.until = paris_instant(self.day, time(9))
        town.change_day(self.service, self.day, capacity=1, freed_deadline_at=self.until)
        self.rules({})
        with read() as db:
            self.deadline = db.scalars(select(ServiceDay.book_deadline_at).where(ServiceDay.id == self.day_id)).one()
        clock.moment = self.deadline

    @property
    def now(self) -> datetime:
        return self.clock.moment

    def rules(self, policies: dict[str, Any]) -> None:
        facts = {"credit": "full", "freed": {"until": SAME_DAY}} | policies
        with self.write() as db:
            db.execute(update(Service).where(Service.id == self.service.id).values(policies=facts))
            if "late" in policies:
                db.execute(update(ServiceDay).where(ServiceDay.id == self.day_id).values(late_deadline_at=self.until))

    def give(self, family: Family | None = None, meal: int | None = None) -> bool:
        family = family or self.giver
        with self.write() as db:
            return freed.give_back(db, family.household_id, family.account_id, meal or self.meal, self.now)

    def keep(self) -> bool:
        with self.write() as db:
            return freed.keep(db, self.giver.household_id, self.meal, self.now)

    def basket(self, family: Family | None = None, children: int = 1) -> int:
        family = family or self.taker
        return self.town.basket(family, self.service, [self.day], family.beneficiary_ids[:children])

    def pay(self, basket_id: int, family: Family | None = None, seen: int | None = None) -> str:
        with self.write() as db:
            return pay_from_wallet(db, buyer(family or self.taker), basket_id, seen, self.now)

    def hold(self, basket_id: int) -> Payment:
        with self.write() as db:
            gateways = self.app.extensions["payments.gateways"]
            held = hold_for_card(db, buyer(self.taker), basket_id, None, gateways, self.now)
        assert isinstance(held, Payment)
        return held

    def told(self, held: Payment, state: SeenState) -> str:
        with self.write() as db:
            return settle(db, held.key, Seen("sb_x", held.key, state, held.cents, "eur", False), self.now)

    def moved(self) -> tuple[object, ...]:
        """Everything that a refusal must leave alone: reservations, what is freed, places, wallets."""
        with self.read() as db:
            return (
                db.execute(select(Reservation.id, Reservation.state).order_by(Reservation.id)).all(),
                db.execute(select(FreedMeal.state, FreedMeal.taker_id).order_by(FreedMeal.id)).all(),
                self.booked(),
                self.balance(self.giver),
                self.balance(self.taker),
            )

    def states(self) -> list[str]:
        with self.read() as db:
            return list(db.scalars(select(FreedMeal.state).order_by(FreedMeal.id)))

    def meals(self) -> list[tuple[str, int]]:
        with self.read() as db:
            rows = db.execute(select(Reservation.state, Reservation.cents).order_by(Reservation.id))
            return [(state, cents) for state, cents in rows]

    def booked(self) -> int:
        with self.read() as db:
            return db.scalars(select(ServiceDay.booked_count).where(ServiceDay.id == self.day_id)).one()

    def balance(self, family: Family) -> int:
        with self.read() as db:
            return db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.id == family.wallet_id)).one()


def buyer(family: Family) -> Buyer:
    return Buyer(family.household_id, family.account_id, family.email)


@pytest.fixture
def canteen(app: Flask, town: Town, write: OpenSession, read: OpenSession, clock: StoppedClock) -> Canteen:
    return Canteen(app, town, write, read, clock)


# --- from click to letter ---


def test_from_giving_back_to_the_letter(
    canteen: Canteen,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    letters: SendLetters,
    books_hold: BooksHold,
) -> None:
    letters()
    sign_in(client, canteen.giver)
    page = client.get("/mes-reservations").text
    address = f"/mes-reservations/rendre?repas={canteen.meal}"
    assert address in page
    assert "Peut être rendu jusqu’au lun. 23 nov. à 9\u00a0h" in page
    before = client.get(address).text
    assert "Il reste dû, sauf si une autre famille le reprend à temps" in before
    assert "lundi 23 novembre 2026 à 9\u00a0h" in before
    assert "3,80\u00a0€" in before
    assert submit(client, "/mes-reservations/rendre", {"repas": canteen.meal}).status_code == 303
    page = client.get("/mes-reservations").text
    assert "Rendu, reste dû s’il n’est pas repris avant le lun. 23 nov. à 9\u00a0h" in page
    assert "Garder ce repas" in client.get(address).text

    sign_in(client, canteen.taker)
    page = client.get(canteen.address).text
    assert "1 repas rendu disponible, jusqu’au lun. 23 nov. à 9\u00a0h" in page
    meal = f"{canteen.taker.beneficiary_ids[0]}.{canteen.day}"
    assert submit(client, canteen.address, {"ajouter": "1", "repas": [meal]}).status_code == 303
    basket = client.get("/panier").text
    assert "Repas rendu" in basket
    assert "à la première qui le paie, avant le lundi 23 novembre 2026 à 9\u00a0h" in basket
    number = basket.split('name="panier" value="')[1].split('"')[0]
    answer = submit(client, "/panier/payer/porte-monnaie", {"panier": number, "total": "380"})
    assert answer.status_code == 303
    assert "Repas rendu par une autre famille" in client.get(answer.headers["Location"]).text

    assert canteen.meals() == [("cancelled", 380), ("confirmed", 380)]
    assert (canteen.balance(canteen.giver), canteen.balance(canteen.taker)) == (1000, 620)
    assert (canteen.states(), canteen.booked()) == (["taken"], 1)
    (told,) = [letter for letter in letters() if letter["To"] == canteen.giver.email]
    assert as_typed(str(told["Subject"])).replace("\u00a0", " ") == "Repas repris : 3,80 € crédités"
    sign_in(client, canteen.giver)
    assert "Repris par une autre famille, 3,80\u00a0€ recrédités" in client.get("/mes-reservations").text
    statement = client.get("/mes-credits").text
    assert "Repas rendu, repris par une autre famille" in statement
    assert "Repas annulé" not in statement
    books_hold()
    # The kitchen expects the one who eats.
    sign_in(client, canteen.town.clerk(role="kitchen"))
    kitchen = client.get(f"/mairie/jour?date={canteen.day}").text
    with canteen.read() as db:
        of_family = select(Beneficiary.last_name).where(Beneficiary.id == bindparam("child"))
        gave, took = (
            db.scalars(of_family, {"child": family.beneficiary_ids[0]}).one()
            for family in (canteen.giver, canteen.taker)
        )
    assert took in kitchen
    assert gave not in kitchen


def test_what_nobody_takes_stays_due_and_says_so(
    canteen: Canteen,
    client: FlaskClient,
    sign_in: SignIn,
    letters: SendLetters,
    books_hold: BooksHold,
) -> None:
    letters()
    canteen.give()
    canteen.clock.moment = canteen.until
    sign_in(client, canteen.giver)
    for lapsed in (0, 1):
        assert "Rendu, non repris : reste dû" in client.get("/mes-reservations").text
        assert canteen.states() == ["lapsed" if lapsed else "offered"]
        with canteen.app.app_context():
            assert freed.lapse_due(canteen.now) == 1 - lapsed
    assert canteen.meals() == [("confirmed", 380)]
    assert canteen.balance(canteen.giver) == 620
    assert letters() == []
    books_hold()


def test_kept_after_all(
    canteen: Canteen, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    sign_in(client, canteen.giver)
    for _click in range(2):
        assert submit(client, "/mes-reservations/rendre", {"repas": canteen.meal}).status_code == 303
    assert canteen.states() == ["offered"]
    for _click in range(2):
        assert submit(client, "/mes-reservations/garder", {"repas": canteen.meal}).status_code == 303
    assert canteen.states() == ["withdrawn"]
    basket = canteen.basket()
    before = canteen.moved()
    with pytest.raises(BasketRefused):
        canteen.pay(basket)
    assert canteen.moved() == before
    assert canteen.give()
    assert canteen.states() == ["withdrawn", "offered"]
    books_hold()


# --- when, and by whom ---


@pytest.mark.parametrize(("seconds", "fits"), [(-1, False), (0, True)])
def test_a_meal_that_can_be_cancelled_is_not_given_back(canteen: Canteen, seconds: int, fits: bool) -> None:
    canteen.clock.moment = canteen.deadline + seconds * ONE_SECOND
    gives(canteen, fits, "peut encore être annulé")


@pytest.mark.parametrize(("seconds", "fits"), [(-1, True), (0, False)])
def test_a_meal_is_given_back_until_its_limit(canteen: Canteen, seconds: int, fits: bool) -> None:
    canteen.clock.moment = canteen.until + seconds * ONE_SECOND
    gives(canteen, fits, "Trop tard")


def gives(canteen: Canteen, fits: bool, words: str) -> None:
    if fits:
        assert canteen.give()
        return
    with pytest.raises(CannotGiveBack, match=words):
        canteen.give()
    assert canteen.states() == []


def test_nothing_is_given_back_where_the_rule_is_not_said(
    canteen: Canteen, client: FlaskClient, sign_in: SignIn, submit: Submit
) -> None:
    canteen.town.change_day(canteen.service, canteen.day, freed_deadline_at=None)
    sign_in(client, canteen.giver)
    assert "/mes-reservations/rendre" not in client.get("/mes-reservations").text
    answer = submit(client, "/mes-reservations/rendre", {"repas": canteen.meal})
    assert answer.status_code == 422
    assert "Ce service ne reprend pas" in answer.text
    assert canteen.states() == []


def test_another_familys_meal_does_not_exist(canteen: Canteen) -> None:
    with pytest.raises(NotFound):
        canteen.give(canteen.taker)
    assert canteen.states() == []


@pytest.mark.parametrize(("seconds", "paid"), [(-1, True), (0, False)])
def test_a_freed_meal_is_taken_until_its_limit(
    canteen: Canteen, books_hold: BooksHold, seconds: int, paid: bool
) -> None:
    canteen.give()
    basket = canteen.basket()
    canteen.clock.moment = canteen.until + seconds * ONE_SECOND
    before = canteen.moved()
    if paid:
        canteen.pay(basket)
        assert canteen.states() == ["taken"]
    else:
        with pytest.raises(BasketRefused) as refusal:
            canteen.pay(basket)
        assert "Trop tard" in next(iter(refusal.value.problems.values()))
        assert canteen.moved() == before
    books_hold()


def test_a_family_never_takes_its_own_childs_meal(canteen: Canteen, write: OpenSession, books_hold: BooksHold) -> None:
    canteen.town.change_day(canteen.service, canteen.day, capacity=2)
    order = canteen.town.paid_order(canteen.taker, canteen.service, [canteen.day], canteen.taker.beneficiary_ids[:1])
    canteen.give(canteen.taker, canteen.town.reservation_ids(order)[0])
    basket = canteen.town.basket(canteen.taker, canteen.service, [canteen.day], canteen.taker.beneficiary_ids[1:])
    before = canteen.moved()
    with pytest.raises(BasketRefused):
        canteen.pay(basket)
    with pytest.raises(Exception, match="place"), write() as db:
        freed.take(db, canteen.taker.household_id, [freed.Place(canteen.taker.beneficiary_ids[1], canteen.day_id)])
    assert canteen.moved() == before
    books_hold()


# --- the first late request ---


def test_the_first_offered_is_the_first_taken_and_the_second_child_finds_none(
    canteen: Canteen, books_hold: BooksHold
) -> None:
    canteen.town.change_day(canteen.service, canteen.day, capacity=2)
    later = canteen.town.family(children=1, balance_cents=1000)
    (second,) = canteen.town.reservation_ids(canteen.town.paid_order(later, canteen.service, [canteen.day]))
    canteen.give(later, second)
    canteen.give()
    basket = canteen.basket(children=2)
    canteen.pay(basket, seen=760)
    assert canteen.states() == ["taken", "taken"]
    assert (canteen.balance(canteen.giver), canteen.balance(later)) == (1000, 1000)
    another = canteen.town.family(children=1, balance_cents=1000)
    before = canteen.moved()
    with pytest.raises(BasketRefused):
        canteen.pay(canteen.basket(another), another)
    assert canteen.moved() == before
    assert canteen.booked() == 2
    books_hold()


def test_the_first_offer_goes_first(canteen: Canteen, books_hold: BooksHold) -> None:
    canteen.town.change_day(canteen.service, canteen.day, capacity=2)
    later = canteen.town.family(children=1, balance_cents=1000)
    (second,) = canteen.town.reservation_ids(canteen.town.paid_order(later, canteen.service, [canteen.day]))
    canteen.give(later, second)
    canteen.give()
    canteen.pay(canteen.basket())
    assert canteen.states() == ["taken", "offered"]
    assert (canteen.balance(canteen.giver), canteen.balance(later)) == (620, 1000)
    books_hold()


@pytest.mark.parametrize("late", [False, True])
def test_taken_meanwhile_there_is_a_sentence_and_a_remedy(
    canteen: Canteen, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold, late: bool
) -> None:
    canteen.rules({"late": LATE} if late else {})
    canteen.town.change_day(canteen.service, canteen.day, capacity=3)
    canteen.give()
    sign_in(client, canteen.taker)
    meal = f"{canteen.taker.beneficiary_ids[0]}.{canteen.day}"
    assert submit(client, canteen.address, {"ajouter": "1", "repas": [meal]}).status_code == 303
    faster = canteen.town.family(children=1, balance_cents=1000)
    canteen.pay(canteen.basket(faster), faster, seen=380)
    page = client.get("/panier").text
    with canteen.read() as db:
        number = db.scalars(select(Basket.id).where(Basket.household_id == canteen.taker.household_id)).one()
    before = canteen.moved()
    refused = submit(client, "/panier/payer/porte-monnaie", {"panier": number, "total": "380"})
    assert refused.status_code == 422
    assert canteen.moved() == before
    if late:
        assert "Ce repas rendu n’est plus disponible : hors délai, il coûte 5,70\u00a0€ au lieu de 3,80\u00a0€." in page
        assert submit(client, "/panier/nouveaux-prix", {"panier": number}).status_code == 303
        canteen.pay(number, seen=570)
        assert canteen.balance(canteen.taker) == 430
    else:
        assert (
            "Ce repas rendu n’est plus disponible, repris par une autre famille ou gardé : retirez-le du panier."
            in page
        )
        assert "payer/porte-monnaie" not in page
    books_hold()


def test_a_freed_meal_comes_before_the_late_price(canteen: Canteen, books_hold: BooksHold) -> None:
    canteen.rules({"late": LATE})
    canteen.town.change_day(canteen.service, canteen.day, capacity=3)
    canteen.give()
    basket = canteen.basket(children=2)
    before = canteen.moved()
    with pytest.raises(BasketRefused) as refusal:
        canteen.pay(basket)
    (problem,) = refusal.value.problems.values()
    assert "hors délai" in problem, "one at the ordinary price, the other at the late one"
    assert canteen.moved() == before
    books_hold()


def test_two_children_ticked_for_one_freed_meal(
    canteen: Canteen, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    canteen.give()
    sign_in(client, canteen.taker)
    meals = [f"{child}.{canteen.day}" for child in canteen.taker.beneficiary_ids]
    answer = submit(client, canteen.address, {"ajouter": "1", "repas": meals})
    assert answer.status_code == 422
    assert "il ne reste qu’un repas rendu ce jour-là, pour Louane. Décochez l’un des deux." in as_typed(answer.text)
    every = submit(client, f"{canteen.address}?periode=semaine:{canteen.day}", {"cocher": "tout"}).text
    assert len(re.findall(f'value="\\d+.{canteen.day}"[^>]* checked', every)) == 1
    assert "1 repas : pas assez de repas rendus" in as_typed(every)
    assert submit(client, canteen.address, {"ajouter": "1", "repas": meals[:1]}).status_code == 303
    # What is in the basket takes the one that there is.
    page = client.get(canteen.address).text
    assert "repas rendu disponible" not in page
    assert page.count(">Panier</span>") == 1
    assert page.count("Repas rendu : au panier pour un autre enfant") == 1
    gone = "le dernier repas rendu ce jour-là est dans votre panier, pour Louane."
    before = canteen.moved()
    answer = submit(client, canteen.address, {"ajouter": "1", "repas": meals[1:]})
    assert answer.status_code == 422
    assert gone in as_typed(answer.text)
    assert "il fallait réserver" not in answer.text
    assert canteen.moved() == before
    assert submit(client, canteen.address, {"ajouter": "1", "repas": meals[:1]}).status_code == 303
    books_hold()


# --- by card ---


def test_held_while_the_card_is_awaited_and_taken_when_it_is_paid(canteen: Canteen, books_hold: BooksHold) -> None:
    canteen.give()
    held = canteen.hold(canteen.basket())
    assert (canteen.states(), canteen.booked()) == (["held"], 1)
    assert canteen.meals() == [("confirmed", 380), ("held", 380)]
    books_hold()
    with pytest.raises(CannotKeep, match="en train de payer"):
        canteen.keep()
    # Paid a little after the limit: it was held in time.
    canteen.clock.moment = canteen.until + ONE_SECOND
    assert canteen.told(held, "paid") == "order_paid"
    assert canteen.told(held, "paid") == "already"
    assert (canteen.states(), canteen.booked()) == (["taken"], 1)
    assert canteen.meals() == [("cancelled", 380), ("confirmed", 380)]
    assert canteen.balance(canteen.giver) == 1000
    with pytest.raises(CannotKeep, match="a repris"):
        canteen.keep()
    books_hold()


@pytest.mark.parametrize(("in_time", "state"), [(True, "offered"), (False, "lapsed")])
def test_a_hold_that_lapses_gives_it_back(canteen: Canteen, books_hold: BooksHold, in_time: bool, state: str) -> None:
    canteen.give()
    held = canteen.hold(canteen.basket())
    if not in_time:
        canteen.clock.moment = canteen.until
    assert canteen.told(held, "expired") == "expired"
    assert (canteen.states(), canteen.booked()) == ([state], 1)
    assert canteen.meals() == [("confirmed", 380), ("released", 380)]
    books_hold()


def test_late_money_takes_it_when_it_is_still_there(canteen: Canteen, books_hold: BooksHold) -> None:
    canteen.give()
    held = canteen.hold(canteen.basket())
    canteen.told(held, "expired")
    assert canteen.told(held, "paid") == "order_revived"
    assert (canteen.states(), canteen.booked()) == (["taken"], 1)
    assert canteen.balance(canteen.giver) == 1000
    books_hold()


@pytest.mark.parametrize("why", ["taken", "kept", "too late"])
def test_late_money_goes_to_the_wallet_when_it_is_gone(canteen: Canteen, books_hold: BooksHold, why: str) -> None:
    canteen.give()
    held = canteen.hold(canteen.basket())
    canteen.told(held, "expired")
    if why == "taken":
        faster = canteen.town.family(children=1, balance_cents=1000)
        canteen.pay(canteen.basket(faster), faster)
    elif why == "kept":
        canteen.keep()
    else:
        canteen.clock.moment = canteen.until
    giver, states = canteen.balance(canteen.giver), canteen.states()
    assert canteen.told(held, "paid") == "late_to_wallet"
    assert canteen.balance(canteen.taker) == 1380
    assert (canteen.balance(canteen.giver), canteen.states(), canteen.booked()) == (giver, states, 1)
    books_hold()


def test_a_meal_sold_at_the_late_price_never_takes_a_freed_one_by_late_money(
    canteen: Canteen, books_hold: BooksHold
) -> None:
    canteen.rules({"late": LATE})
    canteen.town.change_day(canteen.service, canteen.day, capacity=3)
    basket = canteen.basket()
    with canteen.write() as db:
        requote_late(db, basket)
    held = canteen.hold(basket)
    canteen.told(held, "expired")
    canteen.give()
    assert canteen.told(held, "paid") == "late_to_wallet"
    assert canteen.states() == ["offered"]
    books_hold()


def requote_late(db: Session, basket_id: int) -> None:
    basis = '{"late": {"percent": "50"}, "ordinary": 380}'
    db.execute(update(BasketLine).where(BasketLine.basket_id == basket_id).values(quoted_cents=570, basis=basis))


# --- what else becomes of a meal ---


@pytest.fixture
def strike(canteen: Canteen) -> Callable[[], None]:
    """The town hall calls the day off, and the worker carries it out."""

    def called() -> None:
        clerk = canteen.town.clerk()
        with canteen.write() as db:
            scope = Scope(canteen.day_id)
            seen = call_off.affected(db, scope)
            number = call_off.plan(db, Plan(scope, "strike", "Grève."), seen, clerk.account_id, canteen.now)
        with canteen.write() as db:
            call_off.carry_out(db, number, canteen.now)

    return called


def test_a_day_that_is_called_off_credits_the_giver_and_ends_the_offer(
    canteen: Canteen, strike: Callable[[], None], books_hold: BooksHold
) -> None:
    canteen.give()
    strike()
    assert (canteen.states(), canteen.booked()) == (["withdrawn"], 0)
    assert canteen.balance(canteen.giver) == 1000
    books_hold()


def test_a_day_that_is_called_off_while_the_card_is_awaited(
    canteen: Canteen, strike: Callable[[], None], books_hold: BooksHold
) -> None:
    canteen.give()
    held = canteen.hold(canteen.basket())
    strike()
    assert (canteen.states(), canteen.booked()) == (["withdrawn"], 1)
    books_hold()
    assert canteen.told(held, "paid") == "order_paid"
    assert [state for state, _cents in canteen.meals()] == ["cancelled", "cancelled"]
    assert (canteen.balance(canteen.giver), canteen.balance(canteen.taker)) == (1000, 1380)
    books_hold()


@pytest.mark.parametrize("credited", [True, False])
def test_a_sick_child_whose_meal_was_given_back(canteen: Canteen, books_hold: BooksHold, credited: bool) -> None:
    sickness = {"announce": SAME_DAY, "carence_days": 0 if credited else 1, "paper": False}
    canteen.rules({"sickness": sickness})
    canteen.give()
    with canteen.write() as db:
        days = (canteen.day, canteen.day)
        tell_sick(db, buyer(canteen.giver), canteen.giver.beneficiary_ids[0], days, None, canteen.now)
    assert canteen.states() == ["withdrawn" if credited else "offered"]
    if not credited:
        # It stays due, so that another family may still take it.
        canteen.pay(canteen.basket())
        assert canteen.states() == ["taken"]
    assert canteen.balance(canteen.giver) == 1000
    books_hold()


def test_what_was_taken_may_be_given_back_again(canteen: Canteen, books_hold: BooksHold) -> None:
    canteen.give()
    canteen.pay(canteen.basket())
    canteen.give(canteen.taker, canteen.meal + 1)
    third = canteen.town.family(children=1, balance_cents=1000)
    canteen.pay(canteen.basket(third), third)
    assert canteen.states() == ["taken", "taken"]
    assert (canteen.balance(canteen.giver), canteen.balance(canteen.taker), canteen.balance(third)) == (1000, 1000, 620)
    assert canteen.booked() == 1
    books_hold()


def test_another_total_than_the_one_seen_takes_nothing(canteen: Canteen, books_hold: BooksHold) -> None:
    canteen.give()
    basket = canteen.basket()
    before = canteen.moved()
    with pytest.raises(TotalChanged):
        canteen.pay(basket, seen=379)
    assert canteen.moved() == before
    books_hold()


def test_a_meal_that_was_taken_over_is_said_to_be(
    canteen: Canteen, client: FlaskClient, sign_in: SignIn, submit: Submit
) -> None:
    canteen.give()
    canteen.pay(canteen.basket())
    sign_in(client, canteen.giver)
    taken = "Une autre famille a repris ce repas : vous en avez été crédité, et votre enfant n’est plus attendu."
    page = as_typed(client.get(f"/mes-reservations/rendre?repas={canteen.meal}").text)
    assert taken in page
    assert "n’est pas réservé" not in page
    before = canteen.moved()
    answer = submit(client, "/mes-reservations/rendre", {"repas": canteen.meal})
    assert (answer.status_code, taken in as_typed(answer.text)) == (422, True)
    assert canteen.moved() == before


# --- a child of two homes ---


class TwoHomes(NamedTuple):
    """The giver's child lives in another home too, which has a child of its own; the giver's are the even weeks: this one."""

    other: Family
    child: int
    own: int


@pytest.fixture
def homes(canteen: Canteen) -> TwoHomes:
    other = canteen.town.family(children=1, balance_cents=1000)
    child = canteen.town.share(canteen.giver, other)
    canteen.town.enrol(other, child, canteen.service)
    canteen.town.custody(child, canteen.giver, other)
    assert canteen.day.isocalendar().week % 2 == 0
    return TwoHomes(other, child, other.beneficiary_ids[0])


def test_only_the_home_that_paid_gives_back_and_keeps(
    canteen: Canteen, homes: TwoHomes, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    before = canteen.moved()
    with pytest.raises(NotFound):
        canteen.give(homes.other)
    sign_in(client, homes.other)
    for page in ("rendre", "garder"):
        assert submit(client, f"/mes-reservations/{page}", {"repas": str(canteen.meal)}).status_code == 404
    assert client.get(f"/mes-reservations/rendre?repas={canteen.meal}").status_code == 404
    assert canteen.moved() == before
    canteen.give()
    with pytest.raises(NotFound), canteen.write() as db:
        freed.keep(db, homes.other.household_id, canteen.meal, canteen.now)
    assert canteen.states() == ["offered"]
    # Whose day it is has nothing to do with it: whoever paid gives back, and keeps.
    with canteen.write() as db:
        theirs, others = canteen.giver.household_id, homes.other.household_id
        db.execute(update(CustodyCalendar).values(even_home_id=others, odd_home_id=theirs))
    assert canteen.keep()
    assert canteen.give()
    books_hold()


def test_the_home_that_paid_is_credited_and_told_and_the_other_is_not(
    canteen: Canteen, homes: TwoHomes, letters: SendLetters, books_hold: BooksHold
) -> None:
    canteen.give()
    letters()
    canteen.pay(canteen.basket())
    assert canteen.states() == ["taken"]
    assert (canteen.balance(canteen.giver), canteen.balance(homes.other)) == (1000, 1000)
    assert canteen.balance(canteen.taker) == 620
    assert sorted(str(letter["To"]) for letter in letters()) == sorted([canteen.giver.email, canteen.taker.email])
    books_hold()


def test_neither_home_takes_the_meal_of_their_child(
    canteen: Canteen, homes: TwoHomes, client: FlaskClient, sign_in: SignIn, books_hold: BooksHold
) -> None:
    canteen.give()
    sign_in(client, homes.other)
    assert "repas rendu" not in client.get(canteen.address).text
    basket = canteen.town.basket(homes.other, canteen.service, [canteen.day], [homes.own])
    before = canteen.moved()
    with pytest.raises(BasketRefused):
        canteen.pay(basket, homes.other)
    assert canteen.moved() == before
    # Another family's it takes, while the first is on offer still.
    canteen.town.change_day(canteen.service, canteen.day, capacity=2)
    third = canteen.town.family(children=1, balance_cents=1000)
    (meal,) = canteen.town.reservation_ids(canteen.town.paid_order(third, canteen.service, [canteen.day]))
    canteen.give(third, meal)
    canteen.pay(basket, homes.other)
    assert canteen.states() == ["offered", "taken"]
    assert (canteen.balance(third), canteen.balance(canteen.giver), canteen.balance(homes.other)) == (1000, 620, 620)
    books_hold()


def test_the_home_whose_day_it_is_takes_one_for_their_child(
    canteen: Canteen, homes: TwoHomes, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    # Their child's own meal goes first, so that it has none; then another family gives one back.
    canteen.give()
    canteen.pay(canteen.basket())
    canteen.give(canteen.taker, canteen.meal + 1)
    sign_in(client, homes.other)
    meal = f"{homes.child}.{canteen.day}"
    before = canteen.moved()
    refused = submit(client, canteen.address, {"ajouter": "1", "repas": [meal]})
    assert refused.status_code == 422
    assert "c’est l’autre parent qui réserve ce jour-là" in as_typed(refused.text)
    basket = canteen.town.basket(homes.other, canteen.service, [canteen.day], [homes.child])
    with pytest.raises(BasketRefused):
        canteen.pay(basket, homes.other)
    assert canteen.moved() == before
    canteen.pay(canteen.basket(canteen.giver), canteen.giver)
    assert canteen.states() == ["taken", "taken"]
    assert (canteen.balance(canteen.giver), canteen.balance(canteen.taker)) == (620, 1000)
    assert canteen.balance(homes.other) == 1000
    books_hold()


# --- two schools ---


class Schools(NamedTuple):
    """The giver's school has one place, which its meal takes; the taker's has none."""

    giving: int
    taking: int


@pytest.fixture
def schools(canteen: Canteen) -> Schools:
    taking = canteen.town.another_school(canteen.town.aiguilhe, *canteen.taker.beneficiary_ids)
    giving = canteen.town.aiguilhe.school_id
    canteen.town.change_day(canteen.service, canteen.day, capacity=9)
    with canteen.write() as db:
        add(db, SchoolPlace, service_day_id=canteen.day_id, school_id=giving, capacity=1, booked_count=1)
        add(db, SchoolPlace, service_day_id=canteen.day_id, school_id=taking, capacity=0, booked_count=0)
    return Schools(giving, taking)


def at_schools(canteen: Canteen) -> dict[int, int]:
    """How many places each school's pupils take."""
    with canteen.read() as db:
        rows = db.execute(select(SchoolPlace.school_id, SchoolPlace.booked_count))
        return {school_id: int(count) for school_id, count in rows}


def test_a_child_of_a_full_school_takes_the_place_at_the_givers(
    canteen: Canteen, schools: Schools, books_hold: BooksHold
) -> None:
    full = {schools.giving: 1, schools.taking: 0}
    canteen.give()
    canteen.pay(canteen.basket())
    assert (canteen.states(), canteen.booked(), at_schools(canteen)) == (["taken"], 1, full)
    # It is given back again, and goes on to a child of the full school.
    canteen.give(canteen.taker, canteen.meal + 1)
    third = canteen.town.family(children=1, balance_cents=1000)
    with canteen.write() as db:
        (child,) = third.beneficiary_ids
        db.execute(update(Beneficiary).where(Beneficiary.id == child).values(school_id=schools.taking))
    canteen.pay(canteen.basket(third), third)
    assert (canteen.states(), canteen.booked(), at_schools(canteen)) == (["taken", "taken"], 1, full)
    books_hold()


@pytest.mark.parametrize("end", ["paid", "expired", "late money", "too late"])
def test_a_place_at_the_givers_school_that_is_held_by_card(
    canteen: Canteen, schools: Schools, books_hold: BooksHold, end: str
) -> None:
    full = {schools.giving: 1, schools.taking: 0}
    canteen.give()
    held = canteen.hold(canteen.basket())
    assert (canteen.states(), canteen.booked(), at_schools(canteen)) == (["held"], 1, full)
    books_hold()
    if end == "paid":
        canteen.told(held, "paid")
    else:
        canteen.told(held, "expired")
        assert (canteen.states(), canteen.booked(), at_schools(canteen)) == (["offered"], 1, full)
        books_hold()
    if end == "late money":
        assert canteen.told(held, "paid") == "order_revived"
    elif end == "too late":
        canteen.keep()
        assert canteen.told(held, "paid") == "late_to_wallet"
    taken = {"expired": "offered", "too late": "withdrawn"}.get(end, "taken")
    assert (canteen.states(), canteen.booked(), at_schools(canteen)) == ([taken], 1, full)
    books_hold()


def test_two_children_take_the_places_of_two_schools(canteen: Canteen, schools: Schools, books_hold: BooksHold) -> None:
    third = canteen.town.family(children=1, balance_cents=1000)
    elsewhere = canteen.town.another_school(canteen.town.aiguilhe, *third.beneficiary_ids)
    (meal,) = canteen.town.reservation_ids(canteen.town.paid_order(third, canteen.service, [canteen.day]))
    with canteen.write() as db:
        add(db, SchoolPlace, service_day_id=canteen.day_id, school_id=elsewhere, capacity=1, booked_count=1)
    canteen.give(third, meal)
    canteen.give()
    full = {schools.giving: 1, schools.taking: 0, elsewhere: 1}
    held = canteen.hold(canteen.basket(children=2))
    assert (canteen.states(), canteen.booked(), at_schools(canteen)) == (["held", "held"], 2, full)
    books_hold()
    canteen.told(held, "paid")
    assert (canteen.states(), canteen.booked(), at_schools(canteen)) == (["taken", "taken"], 2, full)
    assert (canteen.balance(third), canteen.balance(canteen.giver)) == (1000, 1000)
    books_hold()


def test_the_givers_school_is_called_off_while_the_card_is_awaited(
    canteen: Canteen, schools: Schools, books_hold: BooksHold
) -> None:
    canteen.give()
    held = canteen.hold(canteen.basket())
    clerk, scope = canteen.town.clerk(), Scope(canteen.day_id, schools.giving)
    with canteen.write() as db:
        seen = call_off.affected(db, scope)
        number = call_off.plan(db, Plan(scope, "strike", "Grève."), seen, clerk.account_id, canteen.now)
    with canteen.write() as db:
        call_off.carry_out(db, number, canteen.now)
    # The taker's child goes to the other school: it eats, at the place that it holds.
    assert (canteen.states(), canteen.booked()) == (["withdrawn"], 1)
    assert at_schools(canteen) == {schools.giving: 1, schools.taking: 0}
    assert canteen.balance(canteen.giver) == 1000
    books_hold()
    assert canteen.told(held, "paid") == "order_paid"
    assert [state for state, _cents in canteen.meals()] == ["cancelled", "confirmed"]
    books_hold()
