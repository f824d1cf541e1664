"""Every road on which money comes, or does not: each with its exact outcome, and books that hold."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import permutations
from typing import Any, Literal

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, insert, select, update
from werkzeug.test import TestResponse

import payments.operations
from accounts.models import HouseholdBeneficiary
from cart.models import Basket, BasketLine
from catalog.models import ServiceDay
from checkout.reconcile import reconcile
from checkout.settle import Outcome, give_up, settle
from enrolments.models import Enrolment
from orders.models import Order, Reservation
from payments.gateways.base import Seen
from payments.models import Payment
from shop.clock import StoppedClock
from shop.database import transaction
from shop.models import Outbox
from tests.checkout.provider import Fault, Provider
from tests.conftest import BooksHold, OpenSession, SendLetters, SignIn, Submit
from tests.factory import Family, Town
from wallet.models import JournalEntry, LedgerAccount

TOTAL = 4 * 380
WALLET, CARD = "/panier/payer/porte-monnaie", "/panier/payer/carte"


@dataclass
class Shop:
    """A family of two children with two dates in its basket, a browser of hers, and the provider."""

    app: Flask
    client: FlaskClient
    town: Town
    clock: StoppedClock
    provider: Provider
    read: OpenSession
    submit: Submit
    family: Family
    days: list[date]
    basket_id: int = 0
    key: str = ""
    reference: str = "ref_1"
    told: list[str] = field(default_factory=list)

    # --- what the person does ---

    def pay_by_card(self, cents: int = TOTAL, basket_id: int = 0) -> TestResponse:
        answer = self.submit(self.client, CARD, {"panier": basket_id or self.basket_id, "total": cents})
        with self.read() as db:
            self.key = db.scalars(select(Payment.key).order_by(Payment.id.desc())).first() or ""
        return answer

    def pay_from_wallet(self, cents: int) -> TestResponse:
        with self.read() as db:
            basket_id = db.scalar(select(Basket.id).where(Basket.state == "open"))
        return self.submit(self.client, WALLET, {"panier": basket_id, "total": cents})

    def top_up(self, cents: int, back_to_basket: bool = False) -> TestResponse:
        form = {"regie": self.town.regie_id, "montant": f"{cents / 100:.2f}", "panier": "1" if back_to_basket else ""}
        answer = self.submit(self.client, "/recharger", form)
        with self.read() as db:
            self.key = db.scalars(select(Payment.key).order_by(Payment.id.desc())).first() or ""
        return answer

    # --- the roads to `settle` ---

    def webhook(self) -> None:
        number = len(self.told)
        answer = self.client.post("/webhooks/sandbox", data=self.provider.event(self.reference, number))
        assert answer.status_code == 200
        self.told.append("webhook")

    def come_back(self) -> TestResponse:
        answer = self.client.get(f"/paiement/retour/{self.key}")
        assert answer.status_code == 303
        return answer

    def reconcile(self, **later: float) -> int:
        self.clock.moment += timedelta(**later)
        with self.app.app_context():
            return reconcile()

    def settle(self, **changes: Any) -> Outcome:
        """What `settle` makes of what the provider says, after these changes."""
        if changes:
            self.provider.says(self.reference, **changes)
        with self.app.app_context(), transaction() as db:
            return settle(db, self.key, self.provider.seen[self.reference], self.clock.now())

    def give_up(self) -> Outcome:
        with self.app.app_context(), transaction() as db:
            return give_up(db, self.key, "cancelled", self.clock.now())

    # --- what is there now ---

    def states(self) -> tuple[str, str, str]:
        """Of the newest payment, of its order, of the basket that was paid first."""
        with self.read() as db:
            payment, order = db.execute(
                select(Payment.state, Order.state)
                .outerjoin(Order, Order.id == Payment.order_id)
                .where(Payment.key == self.key)
            ).one()
            basket = db.scalars(select(Basket.state).where(Basket.id == self.basket_id)).one()
        return payment, order or "", basket

    def meals(self) -> Counter[str]:
        with self.read() as db:
            return Counter(db.scalars(select(Reservation.state)))

    def places(self) -> int:
        with self.read() as db:
            return db.scalar(select(func.sum(ServiceDay.booked_count))) or 0

    def entries(self) -> Counter[str]:
        with self.read() as db:
            return Counter(db.scalars(select(JournalEntry.kind)))

    def letters(self) -> list[tuple[str, str]]:
        with self.read() as db:
            return [(row.kind, row.recipient) for row in db.execute(select(Outbox.kind, Outbox.recipient))]

    def balance(self, family: Family | None = None) -> int:
        with self.read() as db:
            wallet = (family or self.family).wallet_id
            return db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.id == wallet)).one()

    def account(self, kind: str) -> int:
        with self.read() as db:
            return db.scalar(select(LedgerAccount.balance_cents).where(LedgerAccount.kind == kind)) or 0

    def picture(self) -> list[object]:
        """Money, places and states: equal pictures mean that nothing moved."""
        money = {"sales": self.account("sales"), "suspense": self.account("suspense"), "wallet": self.balance()}
        return [self.states(), self.meals(), self.places(), self.entries(), self.letters(), money]


@pytest.fixture
def shop(
    app: Flask,
    client: FlaskClient,
    town: Town,
    clock: StoppedClock,
    read: OpenSession,
    submit: Submit,
    sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> Shop:
    provider = Provider()
    monkeypatch.setitem(app.extensions["payments.gateways"], "sandbox", provider)
    family = town.family(children=2)
    sign_in(client, family)
    days = town.aiguilhe.canteen.open_days(town.now)
    shop = Shop(app, client, town, clock, provider, read, submit, family, days)
    shop.basket_id = town.basket(family, town.aiguilhe.canteen, days[:2])
    return shop


@pytest.fixture
def held(shop: Shop) -> Shop:
    """The basket is being paid by card."""
    answer = shop.pay_by_card()
    assert (answer.status_code, answer.headers["Location"]) == (303, "http://localhost/elsewhere/ref_1")
    assert shop.states() == ("sent", "pending", "completing")
    assert (shop.meals(), shop.places()) == ({"held": 4}, 4)
    return shop


@pytest.fixture
def lapsed(held: Shop) -> Shop:
    """Nobody paid in time: the places are given back."""
    assert held.settle(state="expired") == "expired"
    assert held.states() == ("expired", "expired", "open")
    assert (held.meals(), held.places()) == ({"released": 4}, 0)
    assert held.letters() == [("payment_failed", held.family.email)]
    return held


def paid(shop: Shop) -> None:
    assert shop.states() == ("confirmed", "paid", "converted")
    assert (shop.meals(), shop.places()) == ({"confirmed": 4}, 4)
    assert shop.entries() == {"card_payment": 1}
    # Where the money came after the hold, the letter about its lapse came before.
    told = [kind for kind, to in shop.letters() if to == shop.family.email]
    assert (told.count("order_paid"), set(told) - {"payment_failed"}) == (1, {"order_paid"})
    assert (shop.account("sales"), shop.account("card_clearing"), shop.balance()) == (TOTAL, -TOTAL, 0)


# --- in time ---


@pytest.mark.parametrize("roads", list(permutations(["webhook", "return", "reconciler"])), ids="-".join)
def test_three_roads_in_every_order_pay_once(held: Shop, books_hold: BooksHold, roads: Sequence[str]) -> None:
    held.provider.says("ref_1", state="paid")
    ways: dict[str, Callable[[], object]] = {
        "webhook": held.webhook,
        "return": held.come_back,
        "reconciler": lambda: held.reconcile(minutes=1),
    }
    for road in roads:
        ways[road]()
        paid(held)
    for road in roads:
        ways[road]()
    paid(held)
    assert "/commandes/" in held.client.get(f"/paiement/{held.key}").headers["Location"]
    books_hold()


def test_confirmed_again_is_nothing_new(held: Shop, books_hold: BooksHold) -> None:
    assert held.settle(state="paid") == "order_paid"
    assert [held.settle() for _ in range(3)] == ["already"] * 3
    assert held.settle(state="expired") == "already"
    assert held.give_up() == "already"
    paid(held)
    books_hold()


@pytest.mark.parametrize("state", ["open", "processing", "unknown"])
def test_while_nothing_is_known_the_page_says_so_and_no_second_attempt_is_made(
    held: Shop, books_hold: BooksHold, state: str
) -> None:
    before = held.picture()
    assert held.settle(state=state) == "waiting"
    page = held.client.get(held.come_back().headers["Location"])
    assert "en cours de vérification" in page.text
    assert "n’a pas eu lieu" not in page.text
    assert "échec" not in page.text.lower()
    assert held.pay_by_card().status_code == 409
    assert held.submit(held.client, WALLET, {"panier": held.basket_id, "total": TOTAL}).status_code == 409
    assert held.picture() == before
    assert held.provider.calls.count("start") == 1
    books_hold()


def test_the_hold_lapses_while_the_money_is_under_way(held: Shop, books_hold: BooksHold) -> None:
    """The person has done her part: the places are hers until the bank has spoken."""
    held.provider.says("ref_1", state="processing")
    for _ in range(4):
        assert held.reconcile(hours=1) == 0
    assert (held.states(), held.places()) == (("sent", "pending", "completing"), 4)
    held.provider.says("ref_1", state="paid")
    assert held.reconcile(hours=1) == 1
    paid(held)
    books_hold()


def test_the_hold_lapses_and_the_money_under_way_does_not_come(held: Shop, books_hold: BooksHold) -> None:
    held.provider.says("ref_1", state="processing")
    assert held.reconcile(hours=1) == 0
    held.provider.says("ref_1", state="expired")
    assert held.reconcile(hours=1) == 1
    assert (held.states(), held.meals(), held.places()) == (("expired", "expired", "open"), {"released": 4}, 0)
    assert held.entries() == {}
    books_hold()


@pytest.mark.parametrize("state", ["expired", "refused"])
def test_a_payment_that_did_not_happen_has_one_letter(
    held: Shop, letters: SendLetters, books_hold: BooksHold, state: Literal["expired", "refused"]
) -> None:
    def end() -> Outcome:
        with held.app.app_context(), transaction() as db:
            return give_up(db, held.key, state, held.clock.now())

    assert [end(), end(), held.settle(state="expired"), held.give_up()] == ["expired", "already", "already", "already"]
    assert held.letters() == [("payment_failed", held.family.email)]
    (letter,) = letters()
    assert " ".join(str(letter["Subject"]).split()) == "Votre paiement de 15,20 € n’a pas eu lieu"
    body = letter.get_body(("plain",))
    assert body is not None
    words = " ".join(body.get_content().split())
    assert "Vos repas sont toujours dans votre panier, mais ils ne sont pas réservés." in words
    assert "/panier" in words
    books_hold()


@pytest.mark.parametrize(("back", "leads_to"), [(True, "/panier"), (False, "/mes-credits")])
def test_a_top_up_that_did_not_happen_has_one_letter_that_leads_where_one_came_from(
    shop: Shop, letters: SendLetters, back: bool, leads_to: str
) -> None:
    shop.top_up(TOTAL, back_to_basket=back)
    assert [shop.settle(state="expired"), shop.settle()] == ["expired", "already"]
    (letter,) = letters()
    body = letter.get_body(("plain",))
    assert body is not None
    assert f"http://localhost{leads_to}" in body.get_content()
    assert "Vos repas" not in body.get_content()


def test_who_gives_a_payment_up_needs_no_letter(shop: Shop) -> None:
    shop.top_up(2000)
    assert shop.give_up() == "expired"
    assert shop.letters() == []


# --- given up ---


def test_given_up_the_meals_are_in_the_basket_and_can_be_bought_again(held: Shop, books_hold: BooksHold) -> None:
    assert held.submit(held.client, f"/paiement/{held.key}/abandonner").status_code == 303
    assert held.provider.seen["ref_1"].state == "expired", "closed there before it is given back here"
    assert held.states() == ("cancelled", "cancelled", "open")
    assert (held.meals(), held.places(), held.letters()) == ({"released": 4}, 0, [])
    assert "n’a pas eu lieu" in held.client.get(f"/paiement/{held.key}").text
    assert held.pay_by_card().headers["Location"] == "http://localhost/elsewhere/ref_2"
    held.reference = "ref_2"
    assert held.settle(state="paid") == "order_paid"
    assert held.states() == ("confirmed", "paid", "converted")
    assert held.meals() == {"released": 4, "confirmed": 4}
    books_hold()


def test_given_up_a_moment_after_it_was_paid_it_is_paid(held: Shop, books_hold: BooksHold) -> None:
    held.provider.says("ref_1", state="paid")
    held.submit(held.client, f"/paiement/{held.key}/abandonner")
    paid(held)
    books_hold()


def test_what_cannot_be_closed_at_the_provider_is_not_given_up(held: Shop, books_hold: BooksHold) -> None:
    before = held.picture()
    held.provider.faults = ["down"]
    held.submit(held.client, f"/paiement/{held.key}/abandonner")
    assert held.picture() == before
    books_hold()


def test_given_up_twice_or_lapsed_afterwards_is_one_end(held: Shop, books_hold: BooksHold) -> None:
    assert held.give_up() == "expired"
    before = held.picture()
    assert [held.give_up(), held.settle(state="expired")] == ["already", "already"]
    assert held.picture() == before
    books_hold()


# --- late ---


def basket_lines(shop: Shop) -> list[tuple[str, int]]:
    """State of the basket and day, of every line of the family's live baskets."""
    with shop.read() as db:
        return [
            (row.state, row.service_day_id)
            for row in db.execute(
                select(Basket.state, BasketLine.service_day_id)
                .join(BasketLine, BasketLine.basket_id == Basket.id)
                .where(Basket.household_id == shop.family.household_id, Basket.state.in_(("open", "completing")))
                .order_by(BasketLine.service_day_id)
            )
        ]


@pytest.mark.parametrize("how", ["lapsed", "cancelled"])
def test_late_money_books_what_can_still_be_booked(held: Shop, books_hold: BooksHold, how: str) -> None:
    assert (held.settle(state="expired") if how == "lapsed" else held.give_up()) == "expired"
    assert len(basket_lines(held)) == 4
    held.clock.moment += timedelta(hours=1)
    assert held.settle(state="paid") == "order_revived"
    assert held.states()[:2] == ("confirmed", "paid")
    assert basket_lines(held) == [], "they are booked: nobody must be led to buy them again"
    assert (held.meals(), held.places(), held.entries()) == ({"confirmed": 4}, 4, {"card_payment": 1})
    assert [letter for letter in held.letters() if letter[0] != "payment_failed"] == [("order_paid", held.family.email)]
    assert [held.settle(), held.settle(state="expired")] == ["already", "already"]
    books_hold()


def test_after_late_money_an_old_tab_buys_nothing_and_the_rest_can_be_bought(
    lapsed: Shop, books_hold: BooksHold
) -> None:
    """The family went on shopping meanwhile: what it added stays in its basket and is bought like any other."""
    canteen = lapsed.town.aiguilhe.canteen
    lapsed.town.basket(lapsed.family, canteen, lapsed.days[3:4])
    assert lapsed.settle(state="paid") == "order_revived"
    assert basket_lines(lapsed) == [("open", canteen.day_ids[lapsed.days[3]])] * 2
    for way in (CARD, WALLET):
        assert lapsed.submit(lapsed.client, way, {"panier": lapsed.basket_id, "total": TOTAL}).status_code == 409
    with lapsed.read() as db:
        basket_id = db.scalars(select(Basket.id).where(Basket.state == "open")).one()
    assert lapsed.pay_by_card(760, basket_id).status_code == 303
    lapsed.reference = "ref_2"
    assert lapsed.settle(state="paid") == "order_paid"
    assert (lapsed.meals(), lapsed.places(), lapsed.account("sales")) == ({"confirmed": 6}, 6, TOTAL + 760)
    books_hold()


def test_after_late_money_an_empty_basket_is_filled_and_paid_again(
    lapsed: Shop, books_hold: BooksHold, write: OpenSession
) -> None:
    assert lapsed.settle(state="paid") == "order_revived"
    assert "Votre panier est vide" in lapsed.client.get("/panier").text
    canteen = lapsed.town.aiguilhe.canteen
    meal = f"{lapsed.family.beneficiary_ids[0]}.{lapsed.days[4].isoformat()}"
    added = lapsed.submit(lapsed.client, f"/reserver/aiguilhe/{canteen.slug}", {"repas": meal})
    assert (added.status_code, added.headers["Location"]) == (303, "/panier")
    with lapsed.read() as db:
        basket_id = db.scalars(select(Basket.id).where(Basket.state == "open")).one()
    assert lapsed.pay_by_card(380, basket_id).status_code == 303
    lapsed.reference = "ref_2"
    assert lapsed.settle(state="paid") == "order_paid"
    books_hold()


def place_gone(shop: Shop) -> None:
    shop.town.change_day(shop.town.aiguilhe.canteen, shop.days[1], capacity=1)


def day_closed(shop: Shop) -> None:
    shop.town.change_day(shop.town.aiguilhe.canteen, shop.days[0], is_open=False, closed_reason="Grève")


def deadline_passed(shop: Shop) -> None:
    shop.town.change_day(shop.town.aiguilhe.canteen, shop.days[0], book_deadline_at=shop.clock.now())


def right_revoked(shop: Shop) -> None:
    with shop.app.app_context(), transaction() as db:
        db.execute(
            update(Enrolment)
            .where(Enrolment.id == shop.family.enrolment_ids[1])
            .values(state="revoked", decided_at=shop.clock.now())
        )


def right_ended(shop: Shop) -> None:
    with shop.app.app_context(), transaction() as db:
        db.execute(
            update(Enrolment)
            .where(Enrolment.id == shop.family.enrolment_ids[0])
            .values(valid_until=shop.days[1] - timedelta(days=1))
        )


def booked_by_the_other_parent(shop: Shop) -> None:
    """A child who lives in two households was booked by the other one for one of the days."""
    child = shop.family.beneficiary_ids[0]
    other = shop.town.family(children=0, balance_cents=5000)
    with shop.app.app_context(), transaction() as db:
        db.execute(
            insert(HouseholdBeneficiary).values(
                household_id=other.household_id, beneficiary_id=child, relation="father", position=0
            )
        )
    shop.town.enrol(other, child, shop.town.aiguilhe.canteen)
    shop.town.paid_order(other, shop.town.aiguilhe.canteen, shop.days[1:2], [child])


@pytest.mark.parametrize(
    "meanwhile",
    [place_gone, day_closed, deadline_passed, right_revoked, right_ended, booked_by_the_other_parent],
    ids=lambda meanwhile: meanwhile.__name__,
)
def test_late_money_that_can_no_longer_book_goes_whole_to_the_wallet(
    lapsed: Shop, books_hold: BooksHold, letters: SendLetters, meanwhile: Callable[[Shop], None]
) -> None:
    meanwhile(lapsed)
    places, sales = lapsed.places(), lapsed.account("sales")
    assert lapsed.settle(state="paid") == "late_to_wallet"
    assert lapsed.states() == ("confirmed", "expired", "open")
    assert (lapsed.meals()["released"], lapsed.places()) == (4, places), "all of the order or none of it"
    assert (lapsed.entries()["late_payment"], lapsed.balance(), lapsed.account("sales")) == (1, TOTAL, sales)
    assert len(basket_lines(lapsed)) == 4
    assert [lapsed.settle(), lapsed.settle()] == ["already", "already"]
    mine = [letter for letter in letters() if letter["To"] == lapsed.family.email]
    late = [letter for letter in mine if "trop tard" in str(letter["Subject"])]
    assert (len(mine), len(late)) == (2, 1)
    text = late[0].get_body(("plain",))
    assert text is not None
    assert "15,20" in text.get_content()
    assert "ne sont pas réservés" in text.get_content()
    assert lapsed.balance() == TOTAL
    books_hold()


def test_late_money_for_a_basket_that_is_being_paid_again_goes_to_the_wallet(
    lapsed: Shop, books_hold: BooksHold
) -> None:
    """The second attempt stands: what the first brings is the family's money, not a second order."""
    first = lapsed.key
    assert lapsed.pay_by_card().status_code == 303
    second, lapsed.key = lapsed.key, first
    assert lapsed.settle(state="paid") == "late_to_wallet"
    lapsed.key, lapsed.reference = second, "ref_2"
    assert lapsed.settle(state="paid") == "order_paid"
    assert lapsed.states() == ("confirmed", "paid", "converted")
    assert (lapsed.meals(), lapsed.balance()) == ({"released": 4, "confirmed": 4}, TOTAL)
    assert lapsed.entries() == {"late_payment": 1, "card_payment": 1}
    books_hold()


def test_late_money_of_an_order_without_a_basket_does_not_look_at_others(
    shop: Shop, town: Town, books_hold: BooksHold
) -> None:
    """Orders that a clerk or an import wrote have no basket: they have nothing to do with each other."""
    town.paid_order(town.family(balance_cents=5000), town.aiguilhe.canteen, shop.days[:1])
    _order_id, payment_id = town.pending_order(shop.family, town.aiguilhe.canteen, shop.days[:2])
    with shop.read() as db:
        shop.key, reference = db.execute(
            select(Payment.key, Payment.provider_reference).where(Payment.id == payment_id)
        ).one()
    shop.reference = reference or ""
    shop.provider.seen[shop.reference] = Seen(shop.reference, shop.key, "expired", TOTAL, "eur", False)
    assert [shop.settle(), shop.settle(state="paid")] == ["expired", "order_revived"]
    books_hold()


# --- twice ---


def second_attempt(shop: Shop) -> str:
    """Another payment of the same order, opened and started."""
    with shop.app.app_context(), transaction() as db:
        order_id = db.scalars(select(Payment.order_id).where(Payment.key == shop.key)).one()
        payment = payments.operations.open_attempt(
            db,
            purpose="order",
            regie_id=shop.town.regie_id,
            household_id=shop.family.household_id,
            account_id=shop.family.account_id,
            order_id=order_id,
            cents=TOTAL,
            gateway_name="sandbox",
            live=False,
            hold=timedelta(minutes=30),
            back_to_basket=False,
            now=shop.clock.now(),
        )
    shop.provider.seen["ref_b"] = Seen("ref_b", payment.key, "paid", TOTAL, "eur", False)
    return payment.key


def test_an_order_that_is_paid_twice_gives_the_second_to_the_wallet(
    lapsed: Shop, books_hold: BooksHold, letters: SendLetters
) -> None:
    second = second_attempt(lapsed)
    assert lapsed.settle(state="paid") == "order_revived"
    lapsed.key, lapsed.reference = second, "ref_b"
    assert [lapsed.settle(), lapsed.settle(), lapsed.settle()] == ["double_to_wallet", "already", "already"]
    assert lapsed.entries() == {"card_payment": 1, "double_payment": 1}
    assert (lapsed.balance(), lapsed.account("sales"), lapsed.account("card_clearing")) == (TOTAL, TOTAL, -2 * TOTAL)
    assert (lapsed.meals(), lapsed.places()) == ({"confirmed": 4}, 4)
    assert Counter(kind for kind, _to in lapsed.letters()) == {
        "payment_failed": 1,
        "order_paid": 1,
        "double_payment": 1,
    }
    assert any("deux fois" in str(letter["Subject"]) for letter in letters())
    books_hold()


def test_the_second_attempt_pays_and_the_first_comes_afterwards(lapsed: Shop, books_hold: BooksHold) -> None:
    first = lapsed.key
    lapsed.key, lapsed.reference = second_attempt(lapsed), "ref_b"
    assert lapsed.settle() == "order_revived"
    lapsed.key, lapsed.reference = first, "ref_1"
    assert lapsed.settle(state="paid") == "double_to_wallet"
    assert lapsed.balance() == TOTAL
    books_hold()


# --- not ours ---


@pytest.mark.parametrize("cents", [1, TOTAL - 1, TOTAL + 1, 10 * TOTAL])
def test_another_amount_is_set_aside_and_the_regie_is_told(
    held: Shop, books_hold: BooksHold, letters: SendLetters, cents: int
) -> None:
    assert held.settle(state="paid", cents=cents) == "amount_mismatch"
    assert held.states() == ("quarantined", "expired", "open")
    assert (held.meals(), held.places(), held.entries()) == ({"released": 4}, 0, {"suspense": 1})
    assert (held.account("suspense"), held.account("card_clearing"), held.balance()) == (cents, -cents, 0)
    assert held.letters() == [("payment_quarantined", "regie@agglo.example.org")]
    before = held.picture()
    assert [held.settle(), held.settle(cents=TOTAL), held.settle(state="expired")] == [
        "amount_mismatch",
        "already",
        "already",
    ]
    assert held.give_up() == "already"
    assert held.picture() == before
    assert "examiné par la régie" in held.client.get(f"/paiement/{held.key}").text
    (letter,) = letters()
    body = letter.get_body(("plain",))
    assert body is not None
    assert held.key in body.get_content()
    books_hold()


def test_another_amount_after_the_lapse_is_set_aside_too(lapsed: Shop, books_hold: BooksHold) -> None:
    assert lapsed.settle(state="paid", cents=5) == "amount_mismatch"
    assert (lapsed.states(), lapsed.account("suspense")) == (("quarantined", "expired", "open"), 5)
    books_hold()


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"currency": "usd"}, "currency_mismatch"),
        ({"currency": None}, "currency_mismatch"),
        ({"live": True}, "mode_mismatch"),
        ({"payment_key": "f" * 32}, "reference_mismatch"),
        ({"payment_key": None}, "reference_mismatch"),
        ({"reference": "ref_of_another"}, "reference_mismatch"),
        ({"cents": None}, "amount_mismatch"),
        ({"cents": 0}, "amount_mismatch"),
    ],
    ids=str,
)
def test_what_says_nothing_of_our_money_moves_nothing(
    held: Shop, books_hold: BooksHold, changes: dict[str, object], outcome: str
) -> None:
    before = held.picture()
    assert held.settle(state="paid", **changes) == outcome
    assert held.picture() == before
    held.provider.says("ref_1", reference="ref_1", payment_key=held.key, live=False, currency="eur", cents=TOTAL)
    assert held.settle(state="paid") == "order_paid", "and ours can still be paid"
    books_hold()


def test_a_payment_that_nobody_knows(held: Shop) -> None:
    before = held.picture()
    with held.app.app_context(), transaction() as db:
        seen = Seen("ref_9", "0" * 32, "paid", TOTAL, "eur", False)
        assert settle(db, "0" * 32, seen, held.clock.now()) == "unknown_payment"
        assert give_up(db, "0" * 32, "expired", held.clock.now()) == "unknown_payment"
    assert held.picture() == before


# --- top-ups ---


def test_a_top_up_made_for_a_basket_leads_back_to_it_and_pays_it(shop: Shop, books_hold: BooksHold) -> None:
    assert shop.pay_from_wallet(TOTAL).status_code == 422
    assert shop.top_up(TOTAL, back_to_basket=True).status_code == 303
    shop.provider.says("ref_1", state="paid")
    location = shop.come_back().headers["Location"]
    assert shop.client.get(location).headers["Location"] == "/panier"
    assert "Votre porte-monnaie est rechargé de 15,20\u00a0€." in shop.client.get("/panier").text
    assert (shop.states(), shop.balance(), shop.entries()) == (("confirmed", "", "open"), TOTAL, {"top_up": 1})
    answer = shop.pay_from_wallet(TOTAL)
    assert (answer.status_code, answer.headers["Location"].split("/")[1]) == (303, "commandes")
    assert (shop.balance(), shop.meals()) == (0, {"confirmed": 4})
    assert Counter(kind for kind, _to in shop.letters()) == {"topped_up": 1, "order_paid": 1}
    books_hold()


def test_a_top_up_of_ones_own_leads_to_the_statement(shop: Shop, books_hold: BooksHold) -> None:
    shop.top_up(2000)
    assert shop.settle(state="paid") == "topped_up"
    assert [shop.settle(), shop.settle(state="expired"), shop.give_up()] == ["already"] * 3
    assert shop.client.get(f"/paiement/{shop.key}").headers["Location"] == "/mes-credits"
    assert shop.balance() == 2000
    books_hold()


@pytest.mark.parametrize("how", ["lapsed", "cancelled"])
def test_a_top_up_that_comes_late_is_a_top_up(shop: Shop, books_hold: BooksHold, how: str) -> None:
    shop.top_up(2000)
    assert (shop.settle(state="expired") if how == "lapsed" else shop.give_up()) == "expired"
    assert shop.balance() == 0
    assert shop.settle(state="paid") == "topped_up"
    assert (shop.balance(), shop.entries()) == (2000, {"top_up": 1})
    books_hold()


def test_a_top_up_of_another_amount_is_set_aside(shop: Shop, books_hold: BooksHold) -> None:
    shop.top_up(2000)
    assert shop.settle(state="paid", cents=200_000) == "amount_mismatch"
    assert (shop.balance(), shop.account("suspense"), shop.states()[0]) == (0, 200_000, "quarantined")
    books_hold()


# --- the first call goes wrong ---


@pytest.mark.parametrize("fault", ["down", "lost"])
def test_the_first_call_is_not_answered_and_nobody_was_sent_there(
    shop: Shop, books_hold: BooksHold, fault: Fault
) -> None:
    """Whether the provider has done it or not, nobody could pay: after two minutes the basket is open again."""
    shop.provider.faults = [fault]
    answer = shop.pay_by_card()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/paiement/{shop.key}")
    assert shop.states() == ("created", "pending", "completing")
    assert "en cours de vérification" in shop.client.get(f"/paiement/{shop.key}").text
    assert shop.pay_by_card().status_code == 409, "no second payment while the first may be there"
    assert shop.reconcile(seconds=40) == 0
    assert shop.states() == ("created", "pending", "completing")
    assert shop.reconcile(minutes=2) == 1
    assert (shop.states(), shop.places()) == (("expired", "expired", "open"), 0)
    assert {seen.state for seen in shop.provider.seen.values()} <= {"expired"}
    assert shop.pay_by_card().status_code == 303
    assert (shop.states(), shop.places()) == (("sent", "pending", "completing"), 4)
    books_hold()


def test_the_first_call_is_not_answered_and_yet_it_was_paid(shop: Shop, books_hold: BooksHold) -> None:
    """The payment page was opened all the same, by a tab that got the answer: the reconciler finds it by our key."""
    shop.provider.faults = ["lost"]
    shop.pay_by_card()
    shop.provider.says("ref_1", state="paid")
    assert shop.reconcile(seconds=40) == 1
    paid(shop)
    books_hold()


def test_the_first_call_is_refused(shop: Shop, books_hold: BooksHold) -> None:
    shop.provider.faults = ["refused"]
    answer = shop.pay_by_card()
    assert answer.status_code == 503
    assert "Rien n’a été débité" in answer.text
    assert (shop.states(), shop.meals(), shop.places()) == (("refused", "expired", "open"), {"released": 4}, 0)
    assert shop.pay_by_card().status_code == 303, "and it can be tried again at once"
    assert shop.states() == ("sent", "pending", "completing")
    books_hold()


def test_a_top_up_whose_first_call_is_refused(shop: Shop, books_hold: BooksHold) -> None:
    shop.provider.faults = ["refused"]
    assert shop.top_up(2000).status_code == 503
    assert (shop.states()[0], shop.balance()) == ("refused", 0)
    books_hold()


def test_the_payment_is_written_down_before_the_provider_hears_of_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F2: whatever happens during the call, our key for it is committed."""
    found: list[tuple[str, str]] = []
    start = shop.provider.start

    def looking(asked: Any) -> Any:
        with shop.read() as db:
            row = db.execute(select(Payment.key, Payment.state)).one()
        found.append((row.key, row.state))
        assert found[-1][0] == asked.key
        return start(asked)

    monkeypatch.setattr(shop.provider, "start", looking)
    shop.pay_by_card()
    assert found == [(shop.key, "created")]
