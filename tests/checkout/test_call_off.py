"""A strike, a closure, an outing: planned, taken back or carried out; everybody is credited in full and told, once."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from accounts.models import Beneficiary
from catalog.models import CallOff, Closure, School, Service, ServiceDay
from catalog.operations import refresh_days
from checkout import call_off
from checkout.call_off import TIME_TO_TAKE_BACK, Affected, Plan, Scope
from checkout.errors import AlreadyCalledOff, BasketRefused, CallOffChanged, TooLateToTakeBack
from checkout.jobs import carry_out_call_offs
from checkout.place import Buyer, pay_from_wallet
from orders.models import Reservation
from shop.clock import StoppedClock
from tests.conftest import BooksHold, CountStatements, OpenSession, SendLetters, SignIn, Submit
from tests.factory import Family, Town, add
from wallet.models import LedgerAccount

WORDS = "Le restaurant scolaire est fermé, prévoyez un repas."
NOTHING_UNBOOKED = {"unbooked": "0", "due_cents": "0", "paid_cents": "0"}


class Strike:
    """Two families with paid meals on the same day, and the clerk of their commune."""

    def __init__(self, town: Town, write: OpenSession, read: OpenSession) -> None:
        self.town, self.write, self.read = town, write, read
        self.canteen = town.aiguilhe.canteen
        self.day = self.canteen.open_days(town.now)[2]
        self.day_id = self.canteen.day_ids[self.day]
        self.families = [town.family(children=2, balance_cents=5000), town.family(children=1, balance_cents=5000)]
        for family in self.families:
            town.paid_order(family, self.canteen, [self.day])
        self.clerk = town.clerk()

    def plan(self, seen: Affected | None = None, **scope: object) -> int:
        wanted = Scope(self.day_id, **scope)  # type: ignore[arg-type]
        with self.write() as db:
            found = seen or call_off.affected(db, wanted)
            return call_off.plan(db, Plan(wanted, "strike", WORDS), found, self.clerk.account_id, self.town.now)

    def balance(self, family: Family) -> int:
        with self.read() as db:
            account = LedgerAccount.id == family.wallet_id
            return db.scalars(select(LedgerAccount.balance_cents).where(account)).one()

    def balances(self) -> list[int]:
        return [self.balance(family) for family in self.families]

    def states(self) -> list[str]:
        with self.read() as db:
            return list(db.scalars(select(Reservation.state).order_by(Reservation.id)))

    def is_open(self) -> bool:
        with self.read() as db:
            return db.scalars(select(ServiceDay.is_open).where(ServiceDay.id == self.day_id)).one()


@pytest.fixture
def strike(town: Town, write: OpenSession, read: OpenSession) -> Strike:
    return Strike(town, write, read)


def test_all_is_cancelled_credited_and_told_once_its_time_has_come(
    strike: Strike, app: Flask, clock: StoppedClock, letters: SendLetters, books_hold: BooksHold
) -> None:
    before = strike.balances()
    strike.plan()
    assert (strike.states(), strike.is_open()) == (["confirmed"] * 3, False)
    clock.moment += TIME_TO_TAKE_BACK - timedelta(seconds=1)
    with app.app_context():
        assert carry_out_call_offs() == 0
    assert strike.balances() == before
    clock.moment += timedelta(seconds=1)
    for done in (1, 0):
        with app.app_context():
            assert carry_out_call_offs() == done
        assert strike.states() == ["cancelled"] * 3
        assert strike.balances() == [before[0] + 2 * 380, before[1] + 380]
    told = [letter for letter in letters() if "annulé par la mairie" in str(letter["Subject"])]
    assert sorted(str(letter["To"]) for letter in told) == sorted(family.email for family in strike.families)
    with strike.read() as db:
        found = db.execute(select(CallOff.state, CallOff.meals, CallOff.cents)).one()
        assert tuple(found) == ("done", 3, 3 * 380)
        assert db.scalars(select(ServiceDay.booked_count).where(ServiceDay.id == strike.day_id)).one() == 0
    books_hold()


def test_one_that_fails_keeps_no_other_waiting(
    strike: Strike, app: Flask, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch, books_hold: BooksHold
) -> None:
    other_day = strike.canteen.open_days(strike.town.now)[4]
    with strike.write() as db:
        scope = Scope(strike.canteen.day_ids[other_day])
        asked = Plan(scope, "outing", WORDS)
        bad = call_off.plan(db, asked, Affected(0, 0, 0), strike.clerk.account_id, strike.town.now)
    strike.plan()
    real = call_off.carry_out_now

    def fails_once(number: int, now: datetime) -> int | None:
        if number == bad:
            raise RuntimeError("out of order")
        return real(number, now)

    monkeypatch.setattr(call_off, "carry_out_now", fails_once)
    clock.moment += TIME_TO_TAKE_BACK
    with app.app_context():
        assert carry_out_call_offs() == 2
    assert strike.states() == ["cancelled"] * 3
    monkeypatch.undo()
    with app.app_context():
        assert carry_out_call_offs() == 1, "the other is still due"
    books_hold()


def test_what_is_taken_back_has_changed_nothing(
    strike: Strike, app: Flask, clock: StoppedClock, letters: SendLetters, books_hold: BooksHold
) -> None:
    before, number = strike.balances(), strike.plan()
    with strike.write() as db:
        call_off.take_back(db, number, strike.clerk.account_id, strike.town.now)
    assert strike.is_open()
    clock.moment += timedelta(hours=1)
    with app.app_context():
        assert carry_out_call_offs() == 0
    assert (strike.states(), strike.balances()) == (["confirmed"] * 3, before)
    with strike.read() as db:
        assert db.scalar(select(func.count()).select_from(Closure)) == 0
    assert not [letter for letter in letters() if "annulé par la mairie" in str(letter["Subject"])]
    with pytest.raises(TooLateToTakeBack), strike.write() as db:
        call_off.take_back(db, number, strike.clerk.account_id, strike.town.now)
    books_hold()


def test_what_is_done_cannot_be_taken_back(strike: Strike, books_hold: BooksHold) -> None:
    number = strike.plan()
    with strike.write() as db:
        assert call_off.carry_out(db, number, strike.town.now) == 3
    with pytest.raises(TooLateToTakeBack), strike.write() as db:
        call_off.take_back(db, number, strike.clerk.account_id, strike.town.now)
    assert strike.states() == ["cancelled"] * 3
    books_hold()


def test_the_day_stays_shut_when_days_are_planned_anew(strike: Strike) -> None:
    strike.plan()
    with strike.write() as db:
        refresh_days(db, strike.canteen.id, strike.day, strike.day, strike.town.now)
    assert not strike.is_open()


def test_a_day_is_called_off_once(strike: Strike) -> None:
    strike.plan()
    with pytest.raises(AlreadyCalledOff):
        strike.plan(school_id=strike.town.aiguilhe.school_id)


def test_what_the_clerk_saw_must_be_what_happens(strike: Strike) -> None:
    with pytest.raises(CallOffChanged):
        strike.plan(seen=Affected(2, 2, 760))
    assert (strike.is_open(), strike.states()) == (True, ["confirmed"] * 3)


def in_class(strike: Strike, child: int, class_name: str) -> None:
    with strike.write() as db:
        db.execute(update(Beneficiary).where(Beneficiary.id == child).values(class_name=class_name))


def test_an_outing_of_a_class_leaves_everybody_else(
    strike: Strike, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    first = strike.families[0].beneficiary_ids[0]
    in_class(strike, first, " cm1 ")
    number = strike.plan(school_id=strike.town.aiguilhe.school_id, class_name="CM1")
    assert strike.is_open()
    with strike.write() as db:
        assert call_off.carry_out(db, number, strike.town.now) == 1
    assert strike.states() == ["cancelled", "confirmed", "confirmed"]
    # The pupil cannot be booked again that day, the others may.
    sign_in(client, strike.families[0])
    address = f"/reserver/aiguilhe/{strike.canteen.slug}"
    answer = submit(client, address, {"ajouter": "1", "repas": [f"{first}.{strike.day}"]})
    assert answer.status_code == 422
    assert "annulé par la mairie" in answer.text
    other = strike.town.family(children=1)
    sign_in(client, other)
    meal = f"{other.beneficiary_ids[0]}.{strike.day}"
    assert submit(client, address, {"ajouter": "1", "repas": [meal]}).status_code == 303
    books_hold()


def test_another_school_is_not_concerned(strike: Strike) -> None:
    with strike.write() as db:
        school = add(db, School, commune_id=strike.town.aiguilhe.id, name="École du Haut", level="primary")
        assert call_off.affected(db, Scope(strike.day_id, school)) == Affected(0, 0, 0)


def test_a_basket_with_a_meal_that_was_called_off_is_told(strike: Strike, books_hold: BooksHold) -> None:
    family = strike.town.family(children=1, balance_cents=5000)
    basket_id = strike.town.basket(family, strike.canteen, [strike.day])
    strike.plan(school_id=strike.town.aiguilhe.school_id)
    buyer = Buyer(family.household_id, family.account_id, family.email)
    with pytest.raises(BasketRefused) as refused, strike.write() as db:
        pay_from_wallet(db, buyer, basket_id, 380, strike.town.now)
    assert WORDS in next(iter(refused.value.problems.values()))
    assert strike.balance(family) == 5000
    books_hold()


def test_money_that_comes_after_the_strike_goes_back_to_the_family(
    strike: Strike, pay: Callable[[Family, int], str], books_hold: BooksHold
) -> None:
    family = strike.town.family(children=1)
    _order, payment_id = strike.town.pending_order(family, strike.canteen, [strike.day])
    number = strike.plan()
    with strike.write() as db:
        assert call_off.carry_out(db, number, strike.town.now) == 3, "what is not paid yet waits"
    assert pay(family, payment_id) == "order_paid"
    assert strike.states()[-1] == "cancelled"
    assert strike.balance(family) == 380
    books_hold()


@pytest.fixture
def pay(write: OpenSession, read: OpenSession, town: Town) -> Callable[[Family, int], str]:
    """The provider says that a pending payment was paid."""
    from checkout.settle import settle
    from payments.gateways.base import Seen
    from payments.models import Payment

    def done(_family: Family, payment_id: int) -> str:
        with write() as db:
            payment = db.get_one(Payment, payment_id)
            seen = Seen(
                payment_key=payment.key,
                reference=payment.provider_reference or "",
                state="paid",
                cents=payment.cents,
                currency=payment.currency,
                live=payment.live,
            )
            return settle(db, payment.key, seen, town.now)

    return done


def test_what_was_sold_with_a_smaller_credit_is_credited_in_full_by_the_town(
    strike: Strike, books_hold: BooksHold
) -> None:
    with strike.write() as db:
        db.execute(update(Reservation).values(credit_cents=0))
    before, number = strike.balances(), strike.plan()
    with strike.write() as db:
        call_off.carry_out(db, number, strike.town.now)
    assert strike.balances() == [before[0] + 760, before[1] + 380]
    books_hold()


@pytest.mark.parametrize("families", [3, 24])
def test_the_number_of_statements_does_not_grow_with_the_meals(
    strike: Strike, statements: CountStatements, books_hold: BooksHold, families: int
) -> None:
    for _number in range(families):
        strike.town.paid_order(strike.town.family(children=2, balance_cents=5000), strike.canteen, [strike.day])
    number = strike.plan()
    with strike.write() as db, statements() as seen:
        call_off.carry_out(db, number, strike.town.now)
    assert seen.count <= 26, seen
    books_hold()


def test_a_clerk_sees_what_it_does_confirms_and_takes_back(
    strike: Strike, client: FlaskClient, sign_in: SignIn, submit: Submit, read: OpenSession
) -> None:
    sign_in(client, strike.clerk)
    form = {"service": strike.canteen.id, "day": str(strike.day), "school": 0, "kind": "strike", "words": WORDS}
    page = submit(client, "/mairie/annulations", form)
    assert page.status_code == 200
    assert "À confirmer" in page.text
    assert "11,40\u00a0€" in page.text
    assert strike.is_open(), "seeing changes nothing"
    seen: dict[str, Any] = {"meals": 3, "families": 2, "cents": 1140} | NOTHING_UNBOOKED
    seen["vu"] = f"{strike.canteen.id}/{strike.day}/0//False"
    other = form | seen | {"day": str(strike.canteen.open_days(strike.town.now)[4])}
    assert "À confirmer" in submit(client, "/mairie/annulations", other).text, "what was not reviewed is shown first"
    assert strike.is_open()
    assert submit(client, "/mairie/annulations", form | seen).status_code == 303
    with read() as db:
        number = db.scalars(select(CallOff.id)).one()
    assert "Retirer cette annulation" in client.get("/mairie/annulations").text
    assert submit(client, f"/mairie/annulations/{number}/retirer").status_code == 303
    assert strike.is_open()
    assert submit(client, f"/mairie/annulations/{number}/retirer").status_code == 409
    assert submit(client, "/mairie/annulations", form | seen).status_code == 303
    with read() as db:
        number = db.scalars(select(func.max(CallOff.id))).one()
    assert submit(client, f"/mairie/annulations/{number}/executer").status_code == 303
    assert strike.states() == ["cancelled"] * 3
    assert submit(client, f"/mairie/annulations/{number}/executer").status_code == 409


def test_a_class_is_called_off_once_however_it_is_written(strike: Strike) -> None:
    school = strike.town.aiguilhe.school_id
    strike.plan(school_id=school, class_name="CE2")
    with pytest.raises(AlreadyCalledOff):
        strike.plan(school_id=school, class_name="ce2")


def test_nobody_elses_deadline_moves_because_of_a_strike(strike: Strike) -> None:
    with strike.write() as db:
        rule = {"at": "10:00", "days_before": 2, "counted": "serving"}
        db.execute(update(Service).where(Service.id == strike.canteen.id).values(book_rule=rule, cancel_rule=rule))
        refresh_days(db, strike.canteen.id, strike.day, date(2026, 12, 18), strike.town.now)
    query = select(ServiceDay.day, ServiceDay.book_deadline_at).where(ServiceDay.service_id == strike.canteen.id)
    with strike.read() as db:
        before = db.execute(query.order_by(ServiceDay.day)).all()
    strike.plan()
    with strike.write() as db:
        refresh_days(db, strike.canteen.id, strike.day, date(2026, 12, 18), strike.town.now)
    with strike.read() as db:
        assert db.execute(query.order_by(ServiceDay.day)).all() == before


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"words": ""}, 422, "Écrivez une phrase"),
        ({"words": "   "}, 422, "Écrivez une phrase"),
        ({"words": "x" * 301}, 422, "300 caractères au plus"),
        ({"kind": ""}, 422, "Choisissez le motif"),
        ({"day": "2026-11-22"}, 422, "ne sert pas ce jour-là"),
        ({"day": "2026-11-02"}, 422, "ce jour est passé"),
        ({"class_name": "CE2"}, 422, "Choisissez aussi l’école"),
        ({"class_name": "CE9", "school": "1"}, 422, "n’existe pas dans cette école"),
        ({"service": "999"}, 404, ""),
        ({"school": "999"}, 404, ""),
        (
            NOTHING_UNBOOKED | {"meals": "3", "families": "2", "cents": "1", "vu": "1/2026-11-26/0//False"},
            409,
            "La liste a changé",
        ),
    ],
)
def test_a_wrong_call_off_is_refused_and_kept(
    strike: Strike,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    change: dict[str, str],
    status: int,
    sentence: str,
) -> None:
    sign_in(client, strike.clerk)
    form = {"service": strike.canteen.id, "day": str(strike.day), "school": 0, "kind": "strike", "words": WORDS}
    answer = submit(client, "/mairie/annulations", form | change)
    assert answer.status_code == status
    assert sentence in answer.text
    assert (strike.is_open(), strike.states()) == (True, ["confirmed"] * 3)


def test_a_class_with_an_accent_is_found_in_any_letters(strike: Strike) -> None:
    with strike.write() as db:
        db.execute(update(Beneficiary).values(class_name="Élèves de CE2", school_id=strike.town.aiguilhe.school_id))
    with strike.read() as db:
        for typed in ("Élèves de CE2", "élèves de ce2", "ÉLÈVES DE CE2"):
            scope = Scope(strike.day_id, strike.town.aiguilhe.school_id, typed)
            assert call_off.affected(db, scope) == Affected(3, 2, 1140)


def test_nobody_calls_off_in_another_commune(
    strike: Strike, client: FlaskClient, sign_in: SignIn, submit: Submit
) -> None:
    number = strike.plan()
    sign_in(client, strike.town.clerk(strike.town.coubon))
    for verb in ("retirer", "executer"):
        assert submit(client, f"/mairie/annulations/{number}/{verb}").status_code == 404
    form = {"service": strike.canteen.id, "day": str(strike.day), "school": 0, "kind": "strike", "words": WORDS}
    assert submit(client, "/mairie/annulations", form).status_code == 404
    sign_in(client, strike.town.clerk(role="cashier"))
    assert client.get("/mairie/annulations").status_code == 403


# --- an outing with picnics ---


def picnic_on(strike: Strike, **scope: object) -> int:
    wanted = Scope(strike.day_id, **scope)  # type: ignore[arg-type]
    with strike.write() as db:
        asked = Plan(wanted, "outing", "Sortie à la ferme.", picnic=True)
        return call_off.plan(db, asked, call_off.affected(db, wanted), strike.clerk.account_id, strike.town.now)


def test_picnics_cancel_nothing_and_are_told_once(
    strike: Strike, app: Flask, clock: StoppedClock, letters: SendLetters, books_hold: BooksHold
) -> None:
    before = strike.balances()
    picnic_on(strike)
    clock.moment += TIME_TO_TAKE_BACK
    for done in (1, 0):
        with app.app_context():
            assert carry_out_call_offs() == done
    assert (strike.states(), strike.balances(), strike.is_open()) == (["confirmed"] * 3, before, True)
    told = [letter for letter in letters() if "pique-nique" in str(letter["Subject"])]
    assert sorted(str(letter["To"]) for letter in told) == sorted(family.email for family in strike.families)
    with strike.read() as db:
        assert tuple(db.execute(select(CallOff.state, CallOff.meals, CallOff.cents)).one()) == ("done", 0, 0)
    books_hold()


def test_families_see_their_picnics(strike: Strike, client: FlaskClient, sign_in: SignIn) -> None:
    school = strike.town.aiguilhe.school_id
    picnic_on(strike, school_id=school, class_name="CE2")
    with strike.write() as db:
        db.execute(update(Beneficiary).values(school_id=school, class_name="CP"))
        theirs = Beneficiary.id == strike.families[0].beneficiary_ids[0]
        db.execute(update(Beneficiary).where(theirs).values(class_name="CE2"))
    words = "Pique-nique préparé par la cuisine"
    for family, times in zip(strike.families, (1, 0), strict=True):
        sign_in(client, family)
        assert client.get(f"/mes-reservations?mois={strike.day:%Y-%m}").text.count(words) == times


def test_those_who_take_picnics_still_book(strike: Strike, books_hold: BooksHold) -> None:
    picnic_on(strike)
    late = strike.town.family(children=1, balance_cents=5000)
    basket_id = strike.town.basket(late, strike.canteen, [strike.day])
    with strike.write() as db:
        pay_from_wallet(db, Buyer(late.household_id, late.account_id, late.email), basket_id, None, strike.town.now)
    assert strike.states() == ["confirmed"] * 4
    books_hold()


def test_a_strike_may_follow_upon_picnics_but_not_picnics_upon_a_strike(strike: Strike, books_hold: BooksHold) -> None:
    picnics = picnic_on(strike)
    with pytest.raises(AlreadyCalledOff):
        picnic_on(strike)
    number = strike.plan()
    with strike.write() as db:
        call_off.carry_out(db, picnics, strike.town.now)
        call_off.carry_out(db, number, strike.town.now)
    assert strike.states() == ["cancelled"] * 3
    with pytest.raises(AlreadyCalledOff):
        picnic_on(strike, school_id=strike.town.aiguilhe.school_id)
    books_hold()


def test_a_card_payment_that_comes_after_the_picnics_were_told_keeps_its_meal(
    strike: Strike, books_hold: BooksHold
) -> None:
    number = picnic_on(strike)
    with strike.write() as db:
        call_off.carry_out(db, number, strike.town.now)
    strike.town.paid_order(strike.town.family(children=1), strike.canteen, [strike.day], settlement="card")
    assert strike.states() == ["confirmed"] * 4
    books_hold()


def test_the_kitchen_counts_its_picnics(
    strike: Strike, client: FlaskClient, sign_in: SignIn, submit: Submit, write: OpenSession
) -> None:
    """Those concerned alone, by diet, as they are booked now: one who cancels takes her picnic along."""
    school = strike.town.aiguilhe.school_id
    with write() as db:
        db.execute(update(Beneficiary).values(school_id=None))
        first = strike.families[0]
        for beneficiary_id, diet in zip(first.beneficiary_ids, ("standard", "no_pork"), strict=True):
            here = Beneficiary.id == beneficiary_id
            db.execute(update(Beneficiary).where(here).values(school_id=school, class_name="CE2", diet=diet))
    sign_in(client, strike.clerk)
    form = {
        "service": strike.canteen.id,
        "day": str(strike.day),
        "school": school,
        "class_name": "ce2",
        "kind": "picnic",
        "words": "Sortie à la ferme.",
    }
    assert "Rien : les repas restent réservés" in submit(client, "/mairie/annulations", form).text
    seen: dict[str, Any] = {"meals": 2, "families": 1, "cents": 760} | NOTHING_UNBOOKED
    other = form | seen | {"vu": f"{strike.canteen.id}/{strike.day}/{school}/ce2/False"}
    assert "À confirmer" in submit(client, "/mairie/annulations", other).text, "a strike was reviewed, not picnics"
    seen["vu"] = f"{strike.canteen.id}/{strike.day}/{school}/ce2/True"
    assert submit(client, "/mairie/annulations", form | seen).status_code == 303
    page = client.get(f"/mairie/jour?date={strike.day}").text
    assert "2 pique-niques à préparer" in page
    assert page.count("Pique-nique</span>") == 2
    strike.town.cancel(first, strike.town.reservation_ids(1)[0])
    assert "1 pique-nique à préparer" in client.get(f"/mairie/jour?date={strike.day}").text
    with strike.read() as db:
        number = db.scalars(select(CallOff.id)).one()
    assert submit(client, f"/mairie/annulations/{number}/executer").status_code == 303
    assert "1 pique-nique à préparer" in client.get("/mairie/annulations").text
    assert strike.states().count("confirmed") == 2
