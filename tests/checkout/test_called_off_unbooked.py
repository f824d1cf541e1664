"""What was noted without a booking on a day that is called off: taken back with all that it moved, and told, once."""

import re
from collections import Counter
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from accounts.models import Beneficiary
from catalog.models import CallOff, School
from checkout import call_off
from checkout.call_off import Affected, Plan, Scope
from checkout.errors import CallOffChanged, CannotBeUnbooked, DuesChanged
from orders.models import UnbookedMeal
from shop.clock import StoppedClock
from shop.models import AuditLine
from tests.checkout.presence import TODAY, Noon
from tests.conftest import BooksHold, CountStatements, OpenSession, SendLetters, SignIn, Submit, as_typed
from tests.factory import Town, add
from tests.races.together import the_database_of
from wallet.models import JournalEntry

WORDS = "Le restaurant scolaire a dû fermer ce midi."


class Strike(Noon):
    """A noon at which children were noted, and a clerk who calls the day off after it."""

    def scope(self, school_id: int | None = None) -> Scope:
        return Scope(self.canteen.day_ids[TODAY], school_id)

    def affected(self, school_id: int | None = None, picnic: bool = False) -> Affected:
        with self.read() as db:
            return call_off.affected(db, self.scope(school_id), picnic)

    def plan(
        self,
        school_id: int | None = None,
        picnic: bool = False,
        seen: Affected | None = None,
        now: datetime | None = None,
    ) -> int:
        asked = Plan(self.scope(school_id), "outing" if picnic else "strike", WORDS, picnic)
        seen = seen or self.affected(school_id, picnic)
        with self.write() as db:
            return call_off.plan(db, asked, seen, self.clerk.account_id, now or self.town.now)

    def carry_out(self, number: int) -> int | None:
        with self.write() as db:
            return call_off.carry_out(db, number, self.town.now)


@pytest.fixture
def strike(town: Town, write: OpenSession, read: OpenSession) -> Strike:
    """Two children noted: the family had the money for one."""
    found = Strike(town, write, read, balance_cents=500)
    found.note()
    found.note(child=1)
    assert found.balances() == (120, 380)
    return found


def test_what_is_due_is_due_no_longer_and_what_was_paid_comes_back(
    strike: Strike, town: Town, letters: SendLetters, read: OpenSession, books_hold: BooksHold
) -> None:
    other = town.family(children=1, balance_cents=1000)
    town.paid_order(other, strike.canteen, [TODAY])
    assert strike.affected() == Affected(1, 2, 380, 2, 380, 380)
    number = strike.plan()
    letters()
    assert strike.carry_out(number) == 3
    assert (strike.balances(), strike.states()) == ((500, 0), ["struck", "struck"])
    with read() as db:
        assert Counter(db.scalars(select(JournalEntry.kind).where(JournalEntry.unbooked_meal_id.is_not(None)))) == {
            "unbooked_meal": 2,
            "reversal": 2,
        }
        facts = db.execute(
            select(UnbookedMeal.call_off_id, UnbookedMeal.struck_reason, UnbookedMeal.struck_by_id).distinct()
        ).one()
        assert tuple(facts) == (number, WORDS, strike.clerk.account_id)
        assert tuple(db.execute(select(CallOff.meals, CallOff.cents)).one()) == (1, 380), "the booked ones"
        done = db.scalars(select(AuditLine.facts).where(AuditLine.action == "call_off_done")).one()
    assert done["unbooked"] == [1, 2]
    told = {str(letter["To"]): as_typed(letter.get_body(("plain",)).get_content()) for letter in letters()}  # type: ignore[union-attr]
    assert set(told) == {strike.family.email, other.email}
    words = told[strike.family.email]
    assert words.count("noté sans réservation, retiré") == 2
    assert re.search("Recrédité sur votre porte-monnaie : 3,80", words)
    assert re.search("Montant qui n’est plus dû : 3,80", words)
    assert WORDS in words
    assert "sans réservation" not in told[other.email]
    assert strike.carry_out(number) is None, "once"
    assert strike.balances() == (500, 0)
    books_hold()


def test_the_clerk_sees_who_is_concerned_and_the_money(
    strike: Strike,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    statements: CountStatements,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with strike.write() as db:
        db.execute(update(Beneficiary).values(class_name="CE2"))
    sign_in(client, strike.clerk)
    form = {"service": strike.canteen.id, "day": str(TODAY), "school": 0, "kind": "strike", "words": WORDS}
    with statements() as few:
        page = submit(client, "/mairie/annulations", form).text
    nobody = "Personne de concerné n’a de repas ce jour-là."
    assert nobody not in page
    assert "Qui est concerné : 2\u00a0repas" in page
    assert len(re.findall(r"Dupont1 (Louane|Théo)</span>, CE2 <span class=.quiet.>sans réservation", page)) == 2
    assert page.count("sans réservation, montant dû") == 1
    for _more in range(3):
        town.paid_order(town.family(children=2, balance_cents=1000), strike.canteen, [TODAY])
    with statements() as many:
        page = submit(client, "/mairie/annulations", form).text
    assert many.count == few.count, many
    assert page.count("Dupont") == 8
    assert "de plus." not in page
    monkeypatch.setattr(call_off, "NAMED", 5)
    page = submit(client, "/mairie/annulations", form).text
    assert page.count("Dupont") == 5
    assert "Et 3\u00a0repas de plus." in page
    names = re.findall(r"Dupont\d+ \w+(?=</span>)", page)
    assert names == sorted(names)
    form["day"] = "2026-12-10"
    page = submit(client, "/mairie/annulations", form).text
    assert nobody in page
    assert "Qui est concerné" not in page


def test_what_is_done_tells_the_money_of_meals_without_a_booking(
    strike: Strike, client: FlaskClient, sign_in: SignIn, books_hold: BooksHold
) -> None:
    strike.carry_out(strike.plan())
    sign_in(client, strike.clerk)
    page = client.get("/mairie/annulations").text
    told = "2 repas sans réservation retirés, 3,80\u00a0€ recrédités, 3,80\u00a0€ ne sont plus dus"
    assert told in page
    assert "0 repas annulé" not in page
    books_hold()


def test_one_letter_tells_a_family_of_its_meals_of_both_kinds(
    strike: Strike, town: Town, letters: SendLetters, books_hold: BooksHold
) -> None:
    both = town.family(children=2, balance_cents=1000)
    town.paid_order(both, strike.canteen, [TODAY], both.beneficiary_ids[:1])
    strike.note(family=both, child=1)
    assert strike.affected().families == 2
    number = strike.plan()
    letters()
    strike.carry_out(number)
    (letter,) = [letter for letter in letters() if str(letter["To"]) == both.email]
    words = as_typed(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert "La mairie a annulé ces repas (grève)" in words
    assert words.count("jeudi 19 novembre 2026") >= 2
    assert "7,60\u00a0€" in words
    assert "n’est plus dû" not in words
    books_hold()


def test_what_is_taken_back_itself_has_changed_nothing(strike: Strike, books_hold: BooksHold) -> None:
    before, number = (strike.balances(), strike.states()), strike.plan()
    assert (strike.balances(), strike.states()) == before
    with strike.write() as db:
        call_off.take_back(db, number, strike.clerk.account_id, strike.town.now)
    assert strike.carry_out(number) is None
    assert (strike.balances(), strike.states()) == before
    books_hold()


def test_what_was_settled_or_struck_off_before_its_time_is_taken_as_it_stands(
    strike: Strike, town: Town, letters: SendLetters, books_hold: BooksHold
) -> None:
    number = strike.plan()
    strike.strike(1)
    town.top_up(strike.family, 1000)
    strike.settle([2], 380)
    assert strike.balances() == (1120 + 380 - 380 + 380 - 380, 0)
    letters()
    assert strike.carry_out(number) == 1
    assert (strike.balances(), strike.states()) == ((1500, 0), ["struck", "struck"])
    (letter,) = letters()
    words = as_typed(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert words.count("noté sans réservation, retiré") == 1
    with pytest.raises(DuesChanged):
        strike.settle([2], 380)
    assert strike.balances() == (1500, 0)
    books_hold()


def test_what_is_noted_after_it_for_some_pupils_stays(
    strike: Strike, town: Town, clock: StoppedClock, books_hold: BooksHold
) -> None:
    number, later = strike.plan(town.aiguilhe.school_id), town.now + timedelta(minutes=1)
    other = town.family(children=1)
    strike.note(family=other, now=later)
    assert strike.carry_out(number) == 2
    assert strike.states() == ["struck", "struck", "due"]
    # Who ate indeed is noted again.
    strike.note(now=later)
    assert strike.states() == ["struck", "struck", "due", "paid"]
    books_hold()


def test_on_a_day_that_is_shut_nobody_is_noted_again(strike: Strike, books_hold: BooksHold) -> None:
    strike.carry_out(strike.plan())
    before = strike.everything()
    with pytest.raises(CannotBeUnbooked):
        strike.note()
    assert strike.everything() == before
    books_hold()


def test_other_pupils_and_picnics_keep_theirs(strike: Strike, town: Town, books_hold: BooksHold) -> None:
    with strike.write() as db:
        school = add(db, School, commune_id=town.aiguilhe.id, name="École du Haut", level="primary")
        theirs = Beneficiary.id == strike.family.beneficiary_ids[1]
        db.execute(update(Beneficiary).where(theirs).values(school_id=school))
    assert strike.affected(school) == Affected(0, 1, 0, 1, 380, 0)
    assert strike.affected(picnic=True) == Affected(0, 0, 0)
    assert strike.carry_out(strike.plan(picnic=True)) == 0
    assert strike.states() == ["paid", "due"]
    assert strike.carry_out(strike.plan(school)) == 1
    assert (strike.states(), strike.balances()) == (["paid", "struck"], (120, 0))
    books_hold()


def test_what_the_clerk_saw_must_be_what_happens(strike: Strike, town: Town) -> None:
    seen = strike.affected()
    town.top_up(strike.family, 380)
    strike.settle([2], 380)
    before = strike.everything()
    with pytest.raises(CallOffChanged) as refused:
        strike.plan(seen=seen)
    assert "2\u00a0repas, dont 2 sans réservation, et 7,60\u00a0€ à créditer" in as_typed(refused.value.sentence)
    assert strike.everything() == before


def test_meals_that_cost_nothing_are_taken_back_too(
    town: Town, write: OpenSession, read: OpenSession, letters: SendLetters, books_hold: BooksHold
) -> None:
    strike = Strike(town, write, read)
    town.change_price(strike.canteen, 0)
    strike.note(cents=0)
    assert strike.affected() == Affected(0, 1, 0, 1, 0, 0)
    letters_before = len(letters())
    assert strike.carry_out(strike.plan()) == 1
    assert strike.states() == ["struck"]
    assert (letters_before, len(letters())) == (1, 1)
    books_hold()


@pytest.mark.parametrize("families", [3, 24])
def test_the_number_of_statements_does_not_grow_with_the_meals(
    strike: Strike, town: Town, statements: CountStatements, books_hold: BooksHold, families: int
) -> None:
    for number in range(families):
        family = town.family(children=2, balance_cents=5000 * (number % 2))
        strike.note(family=family)
        town.paid_order(town.family(children=1, balance_cents=500), strike.canteen, [TODAY])
    number = strike.plan()
    with strike.write() as db, statements() as seen:
        assert call_off.carry_out(db, number, town.now) == 2 + 2 * families
    assert seen.count <= 34, seen
    books_hold()


def test_its_locks_are_taken_in_the_order_of_the_house(
    strike: Strike, app: Flask, town: Town, statements: CountStatements
) -> None:
    if the_database_of(app).is_sqlite:
        pytest.skip("on SQLite the writing transaction itself is the lock")
    town.paid_order(town.family(children=1, balance_cents=500), strike.canteen, [TODAY])
    number = strike.plan()
    with strike.write() as db, statements() as seen:
        call_off.carry_out(db, number, town.now)
    locked = [re.search(r"FROM (\w+)", sent)[1] for sent in seen.sent if "FOR NO KEY UPDATE" in sent]  # type: ignore[index]
    # The entries lock their accounts again, which are held by then.
    assert locked == [
        "orders",
        "service_days",
        "call_offs",
        "freed_meals",
        "ledger_accounts",
        "unbooked_meals",
        "ledger_accounts",
    ]
