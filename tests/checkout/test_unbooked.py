"""A child who is there without a booking: fed, charged by the rule, paid whole or due, struck off with all that it moved."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from accounts.models import HouseholdBeneficiary
from catalog.models import ServiceDay, TariffPrice
from checkout.errors import CannotBeUnbooked, EatenAlready, PriceChanged, PriceUnknown
from checkout.rules import carried, check_eaten
from checkout.unbooked import strike_off
from orders.models import Reservation, UnbookedMeal
from shop.errors import NotFound
from shop.models import AuditLine
from tests.checkout.presence import MONDAY, TODAY, TUESDAY, Noon
from tests.conftest import BooksHold, OpenSession, SendLetters, as_typed
from tests.factory import Town, add
from wallet.models import JournalEntry


@pytest.fixture
def noon(town: Town, write: OpenSession, read: OpenSession) -> Noon:
    return Noon(town, write, read)


# --- what it costs ---


@pytest.mark.parametrize(
    ("policies", "cents", "why"),
    [
        ({}, 380, "au prix ordinaire"),
        (
            {"unbooked": {"more": 200, "free": 0}},
            580,
            "Présent sans réservation : 2,00\u00a0€ de plus (3,80\u00a0€ à temps).",
        ),
        ({"unbooked": {"percent": "50", "free": 0}}, 570, "50\u00a0% de plus"),
        ({"unbooked": {"price": 1000, "free": 0}}, 1000, "10,00\u00a0€ le repas"),
        ({"unbooked": {"price": 1000, "free": 0}, "cost_price": 900}, 900, "Plafonné au prix de revient, 9,00\u00a0€."),
        ({"unbooked": {"price": 1000, "free": 1}}, 380, "la première fois de l’année scolaire"),
        ({"unbooked": {"price": 1000, "free": 2}}, 380, "les 2 premières fois de l’année scolaire"),
    ],
)
def test_it_costs_what_the_rule_says_and_says_why(noon: Noon, policies: dict[str, Any], cents: int, why: str) -> None:
    noon.rules(**policies)
    weighed = noon.weigh()
    assert weighed.price.cents == cents
    assert why in as_typed(" ".join(weighed.why))
    assert weighed.price.credit_cents == 0


def test_the_first_times_are_of_a_child_a_service_and_a_school_year(noon: Noon, books_hold: BooksHold) -> None:
    noon.rules(unbooked={"price": 1000, "free": 1})
    first = noon.note(MONDAY)
    assert noon.weigh(TUESDAY).price.cents == 1000
    assert noon.weigh(TUESDAY, child=1).price.cents == 380
    # What was struck off never was.
    noon.strike(first)
    assert noon.weigh(TUESDAY).price.cents == 380
    # Another school year begins at nought.
    noon.note(MONDAY)
    with noon.write() as db:
        db.execute(
            update(ServiceDay).where(ServiceDay.id == noon.canteen.day_ids[MONDAY]).values(day=date(2026, 6, 15))
        )
    assert noon.weigh(TUESDAY).price.cents == 380


def test_siblings_who_eat_count_in_a_price_by_who_eats(noon: Noon, books_hold: BooksHold) -> None:
    rows = [{"eating_to": 1, "cents": 380}, {"eating_from": 2, "cents": 300}]
    with noon.write() as db:
        db.execute(update(TariffPrice).where(TariffPrice.id == noon.canteen.price_id).values(grid=rows))
    assert noon.weigh().price.cents == 380
    noon.note(child=1)
    assert noon.weigh().price.cents == 300
    noon.note(cents=300)
    books_hold()


@pytest.mark.parametrize("how", ["no price", "two prices"])
def test_a_price_that_is_not_known_is_never_chosen(noon: Noon, how: str) -> None:
    with noon.write() as db:
        if how == "no price":
            db.execute(update(TariffPrice).values(valid_from=date(2027, 1, 1)))
        else:
            add(db, TariffPrice, tariff_id=noon.canteen.tariff_id, valid_from=date(2026, 10, 1), cents=1)
    before = noon.everything()
    with pytest.raises(PriceUnknown):
        noon.note()
    assert noon.everything() == before


# --- the money ---


def test_it_is_paid_from_a_wallet_that_suffices(
    town: Town, write: OpenSession, read: OpenSession, letters: SendLetters, books_hold: BooksHold
) -> None:
    noon = Noon(town, write, read, balance_cents=380)
    assert noon.weigh().paid_at_once
    noon.note()
    assert (noon.balances(), noon.states()) == ((0, 0), ["paid"])
    (letter,) = letters()
    words = as_typed(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert "a mangé sans réservation le jeudi 19 novembre 2026" in as_typed(str(letter["Subject"]))
    assert "Votre porte-monnaie l’a payé" in words
    assert "3,80\u00a0€" in words
    assert "au prix ordinaire" in words
    books_hold()


def test_one_cent_short_it_is_due_whole(
    town: Town, write: OpenSession, read: OpenSession, letters: SendLetters, books_hold: BooksHold
) -> None:
    noon = Noon(town, write, read, balance_cents=1379)
    noon.rules(unbooked={"price": 1380, "free": 0})
    assert not noon.weigh().paid_at_once
    noon.note(cents=1380)
    assert (noon.balances(), noon.states()) == ((1379, 1380), ["due"])
    (letter,) = letters()
    words = as_typed(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert "c’est un montant dû" in words
    assert "/recharger" in words
    books_hold()


def test_a_meal_that_costs_nothing_moves_nothing(noon: Noon, town: Town, books_hold: BooksHold) -> None:
    town.change_price(noon.canteen, 0)
    noon.note(cents=0)
    assert (noon.balances(), noon.states()) == ((0, 0), ["paid"])
    with noon.read() as db:
        assert db.scalars(select(JournalEntry.id)).all() == []
    books_hold()


def test_it_takes_no_place_and_a_full_day_keeps_nobody_from_eating(
    noon: Noon, town: Town, books_hold: BooksHold
) -> None:
    town.change_day(noon.canteen, TODAY, capacity=0)
    noon.note()
    with noon.read() as db:
        booked = db.scalar(select(ServiceDay.booked_count).where(ServiceDay.id == noon.canteen.day_ids[TODAY]))
    assert booked == 0
    books_hold()


def test_the_same_again_is_the_meal_that_is_there(noon: Noon, books_hold: BooksHold) -> None:
    first = noon.note()
    before = noon.everything()
    # Whatever the price would be by now.
    assert noon.note(cents=999) == first
    assert noon.everything() == before
    books_hold()


def test_a_price_that_the_clerk_did_not_see_is_not_charged(noon: Noon, books_hold: BooksHold) -> None:
    before = noon.everything()
    noon.rules(unbooked={"more": 200, "free": 0})
    with pytest.raises(PriceChanged):
        noon.note(cents=380)
    assert noon.everything() == before
    books_hold()


# --- who cannot ---


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"day": TUESDAY, "today": MONDAY}, "n’est pas encore là"),
        ({"shut": "Grève"}, "pas de service le jeudi 19 novembre 2026 (Grève)"),
        ({"booked": "confirmed"}, "pointez sa présence"),
        ({"booked": "held"}, "paiement par carte est en cours"),
    ],
)
def test_what_cannot_be_without_a_booking(facts: dict[str, Any], words: str) -> None:
    usual: dict[str, Any] = {"day": TODAY, "today": TODAY, "shut": None, "booked": None}
    check_eaten("Louane", **usual)
    with pytest.raises(CannotBeUnbooked) as refused:
        check_eaten("Louane", **(usual | facts))
    assert words in as_typed(refused.value.sentence)


def test_a_child_with_a_live_reservation_is_not_unbooked(
    town: Town, write: OpenSession, read: OpenSession, books_hold: BooksHold
) -> None:
    noon = Noon(town, write, read, balance_cents=5000)
    order_id = town.paid_order(noon.family, noon.canteen, [TODAY])
    before = noon.everything()
    with pytest.raises(CannotBeUnbooked):
        noon.note()
    assert noon.everything() == before
    # One that was cancelled is none.
    with write() as db:
        db.execute(update(Reservation).values(cancel_deadline_at=town.now.replace(year=2027)))
    town.cancel(noon.family, town.reservation_ids(order_id)[0])
    noon.note()
    books_hold()


@pytest.mark.parametrize("change", ["elsewhere", "refused", "ended", "taken out"])
def test_who_has_no_enrolment_there_does_not_exist(noon: Noon, town: Town, change: str) -> None:
    family = noon.family
    if change == "elsewhere":
        family = town.family(service=town.coubon.canteen)
    elif change == "refused":
        family = town.family(approved=False)
        child = family.beneficiary_ids[0]
        family = family.__class__(
            **{**vars(family), "enrolment_ids": (town.enrol(family, child, noon.canteen, "refused"),)}
        )
    elif change == "ended":
        family = town.family(approved=False)
        number = town.enrol(family, family.beneficiary_ids[0], noon.canteen, valid_until=date(2026, 11, 18))
        family = replace(family, enrolment_ids=(number,))
    else:
        with noon.write() as db:
            db.execute(update(HouseholdBeneficiary).values(archived_at=town.now))
    before = noon.everything()
    with pytest.raises(NotFound):
        noon.note(family=family)
    assert noon.everything() == before


def test_a_child_of_two_families_is_charged_to_one(noon: Noon, town: Town, books_hold: BooksHold) -> None:
    other = town.family(children=0)
    child = noon.family.beneficiary_ids[0]
    with noon.write() as db:
        add(
            db,
            HouseholdBeneficiary,
            household_id=other.household_id,
            beneficiary_id=child,
            relation="father",
            position=0,
        )
    number = town.enrol(other, child, noon.canteen)
    noon.note()
    before = noon.everything()
    with pytest.raises(EatenAlready):
        noon.note(family=replace(other, enrolment_ids=(number,)))
    assert noon.everything() == before
    books_hold()


# --- struck off ---


@pytest.mark.parametrize(("balance", "state"), [(0, "due"), (380, "paid")])
def test_struck_off_nothing_is_left_of_it(
    town: Town,
    write: OpenSession,
    read: OpenSession,
    letters: SendLetters,
    books_hold: BooksHold,
    balance: int,
    state: str,
) -> None:
    noon = Noon(town, write, read, balance_cents=balance)
    meal = noon.note()
    assert noon.states() == [state]
    letters()
    assert noon.strike(meal)
    assert (noon.balances(), noon.states()) == ((balance, 0), ["struck"])
    with read() as db:
        (charge,) = db.scalars(select(JournalEntry.id).where(JournalEntry.kind == "unbooked_meal"))
        (undone,) = db.scalars(select(JournalEntry.reverses_id).where(JournalEntry.kind == "reversal"))
        assert undone == charge
        facts = db.scalars(select(AuditLine.facts).where(AuditLine.action == "unbooked_struck")).one()
    assert (facts["reason"], facts["was"]) == ("Noté par erreur.", state)
    (letter,) = letters()
    words = as_typed(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert "Noté par erreur." in words
    assert ("Recrédité" if balance else "n’est plus dû") in words
    before = noon.everything()
    assert not noon.strike(meal)
    assert noon.everything() == before
    # The child was there after all.
    noon.note()
    assert noon.states() == ["struck", state]
    books_hold()


def test_what_was_settled_later_comes_back_to_the_wallet(noon: Noon, town: Town, books_hold: BooksHold) -> None:
    meal = noon.note()
    town.top_up(noon.family, 1000)
    noon.settle([meal], 380)
    assert noon.balances() == (620, 0)
    noon.strike(meal)
    assert (noon.balances(), noon.states()) == ((1000, 0), ["struck"])
    books_hold()


def test_a_clerk_of_another_commune_strikes_nothing_off(noon: Noon, town: Town) -> None:
    meal = noon.note()
    before = noon.everything()
    with pytest.raises(NotFound), noon.write() as db:
        strike_off(db, [town.coubon.id], meal, "x", noon.clerk.account_id, town.now)
    assert noon.everything() == before


def test_nobody_eats_twice_by_the_database_itself(noon: Noon) -> None:
    noon.note()
    with noon.read() as db:
        row = db.execute(select(UnbookedMeal.__table__)).mappings().one()
    with pytest.raises(IntegrityError), noon.write() as db:
        add(db, UnbookedMeal, **{name: value for name, value in row.items() if name != "id"})


@pytest.mark.parametrize(
    ("amounts", "balance", "number"),
    [
        ([], 100, 0),
        ([380], 379, 0),
        ([380], 380, 1),
        ([380, 500, 100], 880, 2),
        # None after one that the balance does not carry, however small.
        ([380, 500, 100], 600, 1),
        ([500, 100], 400, 0),
        ([0, 0, 100], 0, 2),
    ],
)
def test_a_balance_carries_whole_amounts_from_the_oldest_on(amounts: list[int], balance: int, number: int) -> None:
    assert carried(amounts, balance) == number
