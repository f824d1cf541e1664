"""Random walks through wallets, baskets, orders, payments, cancellations, meals given back, waiting lists, meals without a
booking and time, beside a plain model (trust: T-011).

The model below is a few dictionaries and says of every step what must come of it: which refusal, which order, which
credit. After each step the database holds what the model holds, and every invariant of the books.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import insert, select, update

import cart.operations
import cart.places
import cart.waiting
import payments.operations
from accounts.models import HouseholdBeneficiary
from cart.errors import AlreadyWaiting, CannotWait, PaymentUnderWay
from cart.models import Basket, BasketLine, WaitingEntry
from cart.rules import Line
from cart.rules import Meal as Ticked
from catalog.models import Service, ServiceDay, TariffPrice
from checkout import books, call_off, dues, freed, unbooked, waiting
from checkout.call_off import Plan, Scope
from checkout.cancel import cancel_reservations
from checkout.errors import (
    AlreadyCalledOff,
    BasketRefused,
    CannotBeUnbooked,
    CannotCancel,
    CannotGiveBack,
    CannotKeep,
    DuesChanged,
    EatenAlready,
    EmptyBasket,
    PriceChanged,
    TooLateToTakeBack,
    TotalChanged,
)
from checkout.place import Buyer, hold_for_card, pay_from_wallet
from checkout.settle import give_up, settle
from checkout.top_up import open_top_up
from enrolments.models import Enrolment
from orders.models import FreedMeal, Order, Reservation, UnbookedMeal
from payments.gateways.base import Seen, Started
from payments.models import Payment
from shop.clock import paris_day, paris_instant
from shop.database import reading, transaction
from shop.errors import NotFound, Refusal
from tests.conftest import START, Cleaner
from tests.factory import Family, Town
from wallet.errors import BalanceTooShort
from wallet.models import LedgerAccount

FAMILIES = 2
CHILDREN = 3
"""The first child belongs to both families, the second to the first, the third to the second."""
DAYS = 4
OPENING = (20_000, 2_000)
"""What the wallets hold at first: one rich, one soon too short."""
SMALL = 2
"""The capacity of the first day; the others hold everybody."""
FREED_UNTIL = time(9)
"""Of the day itself: until then what was given back may be taken."""
KEPT = timedelta(hours=24)
"""How long a place of the waiting list is kept."""

families = st.integers(0, FAMILIES - 1)
children = st.integers(0, CHILDREN - 1)
days = st.integers(0, DAYS - 1)
some = st.integers(0, 10_000)
"""Which one, of however many there are."""

Meal = tuple[int, int]
"""A child and a day."""
meals = st.sets(st.tuples(children, days), min_size=2, max_size=6)


@dataclass
class ModelOrder:
    """What the model knows of an order."""

    id: int
    number: str
    family: int
    basket: int | None
    """Nothing once late money has revived it: the basket may be ordered anew."""
    meals: dict[Meal, int]
    """The meals and their prices."""
    state: str
    cancelled: set[Meal] = field(default_factory=set)


@dataclass
class ModelPayment:
    """What the model knows of a payment."""

    key: str
    family: int
    cents: int
    order: ModelOrder | None
    state: str = "sent"


@dataclass
class ModelOffer:
    """What the model knows of a meal that was given back."""

    order: ModelOrder
    meal: Meal
    state: str = "offered"
    taker: ModelOrder | None = None

    @property
    def is_alive(self) -> bool:
        return self.state in ("offered", "held")


@dataclass
class ModelWait:
    """What the model knows of an entry in a waiting list."""

    id: int
    family: int
    meal: Meal
    state: str = "waiting"
    until: datetime | None = None
    order: ModelOrder | None = None
    """What took the place that was waited for."""

    @property
    def is_live(self) -> bool:
        return self.state in ("waiting", "offered")


@dataclass
class ModelEaten:
    """What the model knows of a meal without a booking."""

    id: int
    family: int
    meal: Meal
    cents: int
    state: str


class Walk(RuleBasedStateMachine):
    """One random walk. The test below gives it the application and what empties the database."""

    app: Flask
    cleaner: Cleaner

    @initialize(booked=st.tuples(st.sets(days), st.sets(days)))
    def found(self, booked: tuple[set[int], set[int]]) -> None:
        """Found the town, empty its books, begin the model; each family books some days for its own child at once."""
        self.cleaner.clean(self.app.extensions["shop.database"])
        self.now = START
        self.town = town = Town.founded(self.app, START)
        self.canteen = town.aiguilhe.canteen
        self.days: list[date] = self.canteen.open_days(START)[1 : 1 + 4 * DAYS : 4]
        town.change_day(self.canteen, self.days[0], capacity=SMALL)
        first, second = (
            town.family(children=2, balance_cents=OPENING[0]),
            town.family(children=1, balance_cents=OPENING[1]),
        )
        self.families = [first, second]
        shared, own = first.beneficiary_ids
        self.children = [shared, own, *second.beneficiary_ids]
        self.belongs = [{0, 1}, {0, 2}]
        with self.app.app_context(), transaction() as db:
            db.execute(
                insert(HouseholdBeneficiary).values(
                    household_id=second.household_id, beneficiary_id=shared, relation="father", position=1
                )
            )
            rows = db.execute(select(ServiceDay.day, ServiceDay.book_deadline_at, ServiceDay.cancel_deadline_at))
            self.deadlines: dict[date, datetime] = {row.day: row.book_deadline_at for row in rows}
            until = {"at": f"{FREED_UNTIL:%H:%M}", "days_before": 0, "counted": "calendar"}
            policies = {"credit": "full", "freed": {"until": until}}
            db.execute(update(Service).where(Service.id == self.canteen.id).values(policies=policies))
            for day in self.days:
                freed_until = paris_instant(day, FREED_UNTIL)
                db.execute(
                    update(ServiceDay)
                    .where(ServiceDay.id == self.canteen.day_ids[day])
                    .values(freed_deadline_at=freed_until)
                )
        town.enrol(second, shared, self.canteen)

        self.clerk = town.clerk()
        self.called_off: dict[int, tuple[int, str]] = {}
        """By day, the call-off that holds: its number and state."""
        self.picnics: set[int] = set()
        self.capacity = [SMALL, 60, 60, 60]
        self.is_open = [True] * DAYS
        self.rights = {(family, child) for family, theirs in enumerate(self.belongs) for child in theirs}
        self.price = [(self.canteen.price_id, self.canteen.cents)] * DAYS
        self.changed: set[date] = set()
        self.wallets = list(OPENING)
        self.sales = self.suspense = 0
        self.baskets: list[dict[Meal, tuple[int, int]]] = [{} for _ in range(FAMILIES)]
        self.basket_ids: list[int | None] = [None] * FAMILIES
        self.paying: list[ModelOrder | None] = [None] * FAMILIES
        self.orders: list[ModelOrder] = []
        self.payments: list[ModelPayment] = []
        self.live: dict[Meal, ModelOrder] = {}
        self.offers: list[ModelOffer] = []
        self.waits: list[ModelWait] = []
        self.eaten: list[ModelEaten] = []
        for family, theirs in enumerate(booked):
            if theirs:
                self.choose_and_pay(family, {(family + 1, day) for day in theirs})

    # --- doing ---

    def do(self, verb: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """One transaction of the shop; its result, or the refusal."""
        try:
            with self.app.app_context(), transaction() as db:
                return verb(db, *arguments, now=self.now, **named)
        except Refusal as refusal:
            return refusal

    def buyer(self, family: int) -> Buyer:
        who: Family = self.families[family]
        return Buyer(who.household_id, who.account_id, who.email)

    # --- the model's own reckoning ---

    def taken(self, day: int) -> int:
        """Meals, one for a meal that was given back and the one that is held in its place, and places that are kept."""
        held = sum(offer.state == "held" for offer in self.offers if offer.meal[1] == day)
        kept = sum(wait.state == "offered" for wait in self.waits if wait.meal[1] == day)
        return sum(1 for _child, on in self.live if on == day) - held + kept

    def is_late(self, day: int) -> bool:
        deadline: datetime = self.deadlines[self.days[day]]
        return self.now >= deadline

    def freed_until(self, day: int) -> datetime:
        return paris_instant(self.days[day], FREED_UNTIL)

    def to_take(self, family: int, day: int) -> list[ModelOffer]:
        """What other families have given back on a day and this one may take, in the order in which it was offered."""
        if self.now >= self.freed_until(day):
            return []
        return [
            offer
            for offer in self.offers
            if offer.state == "offered"
            and offer.meal[1] == day
            and offer.order.family != family
            and offer.meal[0] not in self.belongs[family]
        ]

    def freed_meals(self, family: int) -> set[Meal]:
        """The meals of the basket that take the place of one that was given back: on a day that is late the first ones."""
        found = set()
        for day in range(DAYS):
            if self.is_late(day):
                wanted = sorted(meal for meal in self.baskets[family] if meal[1] == day)
                found |= set(wanted[: len(self.to_take(family, day))])
        return found

    def is_eaten(self, meal: Meal) -> bool:
        return any(one.meal == meal and one.state != "struck" for one in self.eaten)

    def is_kept(self, family: int, meal: Meal) -> bool:
        return any(
            wait.family == family
            and wait.meal == meal
            and wait.state == "offered"
            and wait.until is not None
            and self.now < wait.until
            for wait in self.waits
        )

    def blocked(self, family: int) -> set[Meal]:
        """The meals of the family's basket that cannot be ordered as they stand."""
        basket, in_place = self.baskets[family], self.freed_meals(family)
        wanted = [meal for meal in basket if meal not in in_place and not self.is_kept(family, meal)]
        return {
            (child, day)
            for (child, day), quoted in basket.items()
            if (child, day) in self.live
            or self.is_eaten((child, day))
            or not self.is_open[day]
            or (self.is_late(day) and (child, day) not in in_place)
            or (family, child) not in self.rights
            or quoted != self.price[day]
            or (
                (child, day) in wanted
                and self.taken(day) + sum(1 for _c, on in wanted if on == day) > self.capacity[day]
            )
        }

    def may_revive(self, order: ModelOrder) -> bool:
        if any(
            other.basket == order.basket and other.state in ("pending", "paid")
            for other in self.orders
            if other is not order
        ):
            return False
        return all(
            meal not in self.live
            and not self.is_eaten(meal)
            and self.is_open[meal[1]]
            and (order.family, meal[0]) in self.rights
            and self.has_place_again(order, meal[1])
            for meal in order.meals
        )

    def has_place_again(self, order: ModelOrder, day: int) -> bool:
        """Whether what the order wants of a day fits: beside what is kept for it, or in the place of what was given back."""
        kept = sum(wait.state == "offered" for wait in self.waits_of(order) if wait.meal[1] == day)
        wanted = sum(1 for _child, on in order.meals if on == day) - kept
        if self.is_late(day):
            return len(self.to_take(order.family, day)) >= sum(1 for _child, on in order.meals if on == day)
        return self.taken(day) + wanted <= self.capacity[day]

    def waits_of(self, order: ModelOrder) -> list[ModelWait]:
        """The family's entries, still live, for the meals of an order."""
        return [
            wait for wait in self.waits if wait.is_live and wait.family == order.family and wait.meal in order.meals
        ]

    def expected_refusal(self, family: int, seen: int | None) -> type[Refusal] | None:
        basket = self.baskets[family]
        if self.paying[family] is not None:
            return PaymentUnderWay
        if not basket:
            return EmptyBasket
        if self.blocked(family):
            return BasketRefused
        if seen is not None and seen != sum(cents for _price, cents in basket.values()):
            return TotalChanged
        return None

    def new_order(self, family: int, number: str, state: str) -> ModelOrder:
        basket_id = self.basket_ids[family]
        assert basket_id is not None
        with self.app.app_context(), reading() as db:
            order_id = db.scalars(select(Order.id).where(Order.number == number)).one()
        meals = {meal: cents for meal, (_price, cents) in self.baskets[family].items()}
        order = ModelOrder(order_id, number, family, basket_id, meals, state)
        self.orders.append(order)
        self.book(order, self.freed_meals(family))
        return order

    def book(self, order: ModelOrder, in_place: set[Meal]) -> None:
        """The meals are booked or held: in the place of what was given back, whose givers are credited once it is paid; and
        nobody waits for them any more."""
        for meal in sorted(in_place):
            offer = self.to_take(order.family, meal[1])[0]
            offer.taker, offer.state = order, "held"
        for wait in self.waits_of(order):
            wait.state, wait.order = "taken", order
        self.live.update(dict.fromkeys(order.meals, order))
        if order.state == "paid":
            self.credit_givers(order)

    def credit_givers(self, order: ModelOrder) -> None:
        for offer in self.offers:
            if offer.taker is order and offer.state == "held":
                offer.state = "taken"
                self.credit(offer.order, offer.meal)

    # --- the basket ---

    @rule(family=families, wanted=meals)
    def choose(self, family: int, wanted: set[Meal]) -> None:
        new = {
            meal: self.price[meal[1]]
            for meal in sorted(wanted)
            if meal[0] in self.belongs[family] and meal not in self.baskets[family]
        }
        if not new:
            return
        lines = [
            Line(*self.row(meal), self.canteen.tariff_id, price_id, cents, cents, None)
            for meal, (price_id, cents) in new.items()
        ]

        def put(db: Any, now: datetime) -> int:
            household_id = self.families[family].household_id
            basket = cart.operations.lock_live_basket(db, household_id, self.town.regie_id, now)
            cart.operations.add_lines(db, basket, lines)
            return basket.id

        result = self.do(put)
        if self.paying[family] is not None:
            assert isinstance(result, PaymentUnderWay)
            return
        assert self.basket_ids[family] in (None, result), result
        self.basket_ids[family] = result
        self.baskets[family].update(new)

    @precondition(lambda self: any(self.basket_ids))
    @rule(family=families, which=some)
    def take_out(self, family: int, which: int) -> None:
        if not self.baskets[family]:
            return
        meal = sorted(self.baskets[family])[which % len(self.baskets[family])]
        with self.app.app_context(), reading() as db:
            line_id = db.scalar(
                select(BasketLine.id).where(
                    BasketLine.basket_id == self.basket_ids[family],
                    BasketLine.beneficiary_id == self.children[meal[0]],
                    BasketLine.service_day_id == self.canteen.day_ids[self.days[meal[1]]],
                )
            )
        result = self.do(cart.operations.remove_lines, self.families[family].household_id, [line_id])
        if self.paying[family] is not None:
            assert isinstance(result, PaymentUnderWay)
        else:
            assert len(result) == 1
            del self.baskets[family][meal]

    # --- paying from the wallet ---

    def empty(self, family: int) -> None:
        """Take everything out of the basket: what stands in it may be impossible by now."""
        if not self.baskets[family]:
            return
        with self.app.app_context(), reading() as db:
            lines = select(BasketLine.id).where(BasketLine.basket_id == self.basket_ids[family])
            ids = list(db.scalars(lines))
        result = self.do(cart.operations.remove_lines, self.families[family].household_id, ids)
        if self.paying[family] is None:
            assert len(result) == len(ids)
            self.baskets[family] = {}

    @rule(family=families, wanted=meals)
    def choose_and_pay(self, family: int, wanted: set[Meal]) -> None:
        self.empty(family)
        self.choose(family, wanted)
        self.pay(family, False)

    @precondition(lambda self: any(self.basket_ids))
    @rule(family=families, wrong_total=st.sampled_from([False, False, False, True]))
    def pay(self, family: int, wrong_total: bool) -> None:
        if self.basket_ids[family] is None:
            return
        total = sum(cents for _price, cents in self.baskets[family].values())
        seen = total + 1 if wrong_total else total
        refusal = self.expected_refusal(family, seen)
        if refusal is None and self.wallets[family] < total:
            refusal = BalanceTooShort
        result = self.do(pay_from_wallet, self.buyer(family), self.basket_ids[family], seen)
        if refusal is not None:
            assert type(result) is refusal, (result, refusal)
            if isinstance(result, BasketRefused):
                assert len(result.problems) == len(self.blocked(family))
            return
        assert isinstance(result, str), result
        self.wallets[family] -= total
        self.sales += total
        self.new_order(family, result, "paid")
        self.baskets[family], self.basket_ids[family] = {}, None

    @precondition(lambda self: self.orders or self.payments or any(self.basket_ids))
    @rule(what=st.sampled_from(["again", "others", "payment"]), which=some, family=families)
    def what_changes_nothing(self, what: str, which: int, family: int) -> None:
        """One rule, so that most steps are of use."""
        if what == "again":
            self.pay_again(which)
        elif what == "others":
            self.pay_a_basket_of_others(family)
        elif self.payments:
            self.nothing_of_use(self.payments[which % len(self.payments)], which)

    def pay_again(self, which: int) -> None:
        """A second click on a basket that was ordered gives its order, and changes nothing."""
        paid = [order for order in self.orders if order.state == "paid" and order.basket is not None]
        if paid:
            order = paid[which % len(paid)]
            assert self.do(pay_from_wallet, self.buyer(order.family), order.basket, None) == order.number

    def pay_a_basket_of_others(self, family: int) -> None:
        other = self.basket_ids[1 - family]
        if other is not None:
            result = self.do(pay_from_wallet, self.buyer(family), other, None)
            assert isinstance(result, NotFound)

    # --- paying by card ---

    @precondition(lambda self: any(self.basket_ids))
    @rule(family=families)
    def hold(self, family: int) -> None:
        if self.basket_ids[family] is None:
            return
        refusal = self.expected_refusal(family, None)
        gateways = self.app.extensions["payments.gateways"]
        result = self.do(hold_for_card, self.buyer(family), self.basket_ids[family], None, gateways)
        if refusal is not None:
            assert type(result) is refusal, (result, refusal)
            return
        assert isinstance(result, Payment), result
        with self.app.app_context(), reading() as db:
            number = db.scalars(select(Order.number).where(Order.id == result.order_id)).one()
        order = self.new_order(family, number, "pending")
        self.paying[family] = order
        self.sent(result, family, order)

    @rule(family=families, cents=st.integers(1000, 3000))
    def top_up(self, family: int, cents: int) -> None:
        gateways = self.app.extensions["payments.gateways"]
        result = self.do(open_top_up, self.buyer(family), self.town.regie_id, cents, gateways, False)
        assert isinstance(result, Payment), result
        self.sent(result, family, None)

    def sent(self, payment: Payment, family: int, order: ModelOrder | None) -> None:
        with self.app.app_context(), transaction() as db:
            payments.operations.mark_sent(db, payment.id, Started(f"walk_{payment.id}", "http://localhost/pay"))
        self.payments.append(ModelPayment(payment.key, family, payment.cents, order))

    def told(self, payment: ModelPayment, state: Any, cents: int | None = None, currency: str = "eur") -> str:
        """Settle a payment with what its provider says."""
        with self.app.app_context(), reading() as db:
            reference = db.scalars(select(Payment.provider_reference).where(Payment.key == payment.key)).one()
        seen = Seen(reference or "", payment.key, state, payment.cents if cents is None else cents, currency, False)
        outcome = self.do(settle, payment.key, seen)
        assert isinstance(outcome, str), outcome
        return outcome

    @rule(family=families, wanted=meals)
    def choose_and_hold(self, family: int, wanted: set[Meal]) -> None:
        self.empty(family)
        self.choose(family, wanted)
        self.hold(family)

    @rule(family=families, wanted=meals)
    def hold_and_lapse(self, family: int, wanted: set[Meal]) -> None:
        before = len(self.payments)
        self.choose_and_hold(family, wanted)
        if len(self.payments) > before:
            self.money_does_not_come(before, False)

    @precondition(lambda self: any(payment.state == "expired" for payment in self.payments))
    @rule(which=some)
    def money_comes_late(self, which: int) -> None:
        lapsed = [place for place, payment in enumerate(self.payments) if payment.state == "expired"]
        self.money_comes(lapsed[which % len(lapsed)])

    @precondition(lambda self: self.payments)
    @rule(which=some)
    def money_comes(self, which: int) -> None:
        """The provider says paid: in time, late, or for the second time."""
        payment = self.payments[which % len(self.payments)]
        expected = self.expected_outcome(payment)
        assert self.told(payment, "paid") == expected
        if expected in ("already", "amount_mismatch"):
            return
        payment.state = "confirmed"
        order = payment.order
        if expected in ("topped_up", "late_to_wallet", "double_to_wallet"):
            self.wallets[payment.family] += payment.cents
            if expected == "topped_up":
                self.settle_the_oldest(payment.family)
            return
        assert order is not None
        self.sales += payment.cents
        order.state = "paid"
        if expected == "order_paid":
            self.credit_givers(order)
            self.paying[order.family] = None
            self.baskets[order.family], self.basket_ids[order.family] = {}, None
            for meal in order.meals:
                if self.called_off.get(meal[1], (0, ""))[1] == "done":
                    self.credit(order, meal)
        else:
            order.basket = None
            self.book(order, {meal for meal in order.meals if self.is_late(meal[1])})
            for meal in order.meals:
                self.baskets[order.family].pop(meal, None)

    def expected_outcome(self, payment: ModelPayment) -> str:
        if payment.state in ("confirmed", "quarantined"):
            return "already"
        if payment.order is None:
            return "topped_up"
        if payment.order.state == "paid":
            return "double_to_wallet"
        if payment.order.state == "pending":
            return "order_paid"
        return "order_revived" if self.may_revive(payment.order) else "late_to_wallet"

    @precondition(lambda self: self.payments)
    @rule(which=some, cancelled=st.booleans())
    def money_does_not_come(self, which: int, cancelled: bool) -> None:
        payment = self.payments[which % len(self.payments)]
        outcome = self.do(give_up, payment.key, "cancelled") if cancelled else self.told(payment, "expired")
        assert outcome == ("expired" if payment.state == "sent" else "already")
        if payment.state == "sent":
            payment.state = "cancelled" if cancelled else "expired"
            self.let_go(payment.order, payment.state)

    def let_go(self, order: ModelOrder | None, state: str) -> None:
        """The places of a pending order are given back; its basket is open again."""
        if order is not None and order.state == "pending":
            order.state = state
            self.paying[order.family] = None
            for meal in order.meals:
                del self.live[meal]
            held = [offer for offer in self.offers if offer.taker is order and offer.state == "held"]
            for offer in held:
                offer.state, offer.taker = "offered", None
            if held:
                self.lapse()
            for wait in self.waits:
                if wait.order is order:
                    kept = wait.until is not None and self.now < wait.until
                    wait.state = "waiting" if wait.until is None else "offered" if kept else "lapsed"
                    wait.order = None

    @precondition(lambda self: self.payments)
    @rule(which=some, cents=st.integers(1, 5000))
    def another_amount_comes(self, which: int, cents: int) -> None:
        """Not what we asked for: nothing is fulfilled, the money stands in suspense, once."""
        payment = self.payments[which % len(self.payments)]
        if cents == payment.cents:
            return
        assert self.told(payment, "paid", cents=cents) == "amount_mismatch"
        if payment.state not in ("confirmed", "quarantined"):
            payment.state = "quarantined"
            self.suspense += cents
            self.let_go(payment.order, "expired")

    def nothing_of_use(self, payment: ModelPayment, which: int) -> None:
        state = ("open", "processing", "unknown", "paid in dollars")[which % 4]
        if state == "paid in dollars":
            assert self.told(payment, "paid", currency="usd") == "currency_mismatch"
        else:
            assert self.told(payment, state) == "waiting"

    # --- cancelling ---

    @precondition(lambda self: self.orders)
    @rule(which=some, family=families)
    def cancel(self, which: int, family: int) -> None:
        booked = [(order, meal) for order in self.orders if order.state == "paid" for meal in sorted(order.meals)]
        if not booked:
            return
        self.cancel_meal(*booked[which % len(booked)], family)

    def cancel_meal(self, order: ModelOrder, meal: Meal, family: int) -> None:
        number = self.reservation_of(order, meal)
        result = self.do(cancel_reservations, self.buyer(family), [number], None)
        if family != order.family:
            assert isinstance(result, Refusal)
            assert result.status == 404
        elif meal in order.cancelled:
            assert result is None
        elif self.is_late(meal[1]):
            assert isinstance(result, CannotCancel)
        else:
            assert result == order.meals[meal]
            self.credit(order, meal)
            self.offer_places(meal[1])

    def credit(self, order: ModelOrder, meal: Meal) -> None:
        """The meal is cancelled and credited in full to the family that paid."""
        order.cancelled.add(meal)
        del self.live[meal]
        self.wallets[order.family] += order.meals[meal]
        self.sales -= order.meals[meal]

    @precondition(lambda self: self.live)
    @rule(which=some, before=st.booleans())
    def cancel_around_the_deadline(self, which: int, before: bool) -> None:
        booked = sorted(meal for meal, order in self.live.items() if order.state == "paid")
        if booked:
            meal = booked[which % len(booked)]
            self.deadline_comes(meal[1], before)
            self.cancel_meal(self.live[meal], meal, self.live[meal].family)

    @precondition(lambda self: any(payment.state == "expired" and payment.order for payment in self.payments))
    @rule(which=some, before=st.booleans())
    def money_comes_around_the_deadline(self, which: int, before: bool) -> None:
        lapsed = [
            place
            for place, payment in enumerate(self.payments)
            if payment.state == "expired" and payment.order is not None and payment.order.state == "expired"
        ]
        if lapsed:
            place = lapsed[which % len(lapsed)]
            order = self.payments[place].order
            assert order is not None
            self.deadline_comes(min(day for _child, day in order.meals), before)
            self.money_comes(place)

    # --- meals that are given back ---

    def reservation_of(self, order: ModelOrder, meal: Meal) -> int:
        with self.app.app_context(), reading() as db:
            return db.scalars(
                select(Reservation.id).where(
                    Reservation.order_id == order.id,
                    Reservation.beneficiary_id == self.children[meal[0]],
                    Reservation.service_day_id == self.canteen.day_ids[self.days[meal[1]]],
                )
            ).one()

    def last_offer(self, order: ModelOrder, meal: Meal) -> ModelOffer | None:
        found = [offer for offer in self.offers if offer.order is order and offer.meal == meal]
        return found[-1] if found else None

    @precondition(lambda self: self.live)
    @rule(which=some, by_card=st.booleans(), seconds=st.sampled_from([0, 0, 0, -1]))
    def give_back_and_take(self, which: int, by_card: bool, seconds: int) -> None:
        """The deadline of a paid meal comes, its family gives it back, and the other one, late, takes what there is."""
        booked = self.next_booked()
        if not booked:
            return
        meal = booked[which % len(booked)]
        self.now = max(self.now, self.deadlines[self.days[meal[1]]] + timedelta(seconds=seconds))
        giver = self.live[meal].family
        self.give_back(self.live[meal], meal, giver)
        self.empty(1 - giver)
        left = [(child, meal[1]) for child in sorted(self.belongs[1 - giver]) if (child, meal[1]) not in self.live]
        self.choose(1 - giver, set(left[: 1 + which % 2]))
        if by_card:
            self.hold(1 - giver)
        else:
            self.pay(1 - giver, False)

    def next_booked(self) -> list[Meal]:
        """What is paid for the first day that is not over: time goes on slowly, so that much happens on each day."""
        paid = [meal for meal, order in self.live.items() if order.state == "paid"]
        first = min((day for _child, day in paid if self.now < self.freed_until(day)), default=None)
        return sorted(meal for meal in paid if meal[1] == first)

    @precondition(lambda self: self.orders)
    @rule(which=some, family=families)
    def give_any_back(self, which: int, family: int) -> None:
        paid = [(order, meal) for order in self.orders if order.state == "paid" for meal in sorted(order.meals)]
        if paid:
            self.give_back(*paid[which % len(paid)], family)

    def give_back(self, order: ModelOrder, meal: Meal, family: int) -> None:
        who = self.families[family]
        number, known = self.reservation_of(order, meal), self.last_offer(order, meal)
        result = self.do(freed.give_back, who.household_id, who.account_id, number)
        if family != order.family:
            assert isinstance(result, NotFound)
        elif known is not None and known.is_alive:
            assert result is False
        elif meal in order.cancelled or not self.is_late(meal[1]) or self.now >= self.freed_until(meal[1]):
            assert isinstance(result, CannotGiveBack)
        else:
            assert result is True
            self.offers.append(ModelOffer(order, meal))

    @precondition(lambda self: self.offers)
    @rule(which=some, family=families)
    def keep(self, which: int, family: int) -> None:
        offer = self.offers[which % len(self.offers)]
        number = self.reservation_of(offer.order, offer.meal)
        result = self.do(freed.keep, self.families[family].household_id, number)
        last = self.last_offer(offer.order, offer.meal)
        assert last is not None
        if family != offer.order.family:
            assert isinstance(result, NotFound)
        elif last.state in ("held", "taken"):
            assert isinstance(result, CannotKeep)
        else:
            assert result is (last.state == "offered")
            if result:
                last.state = "withdrawn"

    def lapse(self) -> None:
        for offer in self.offers:
            if offer.state == "offered" and self.now >= self.freed_until(offer.meal[1]):
                offer.state = "lapsed"

    # --- waiting for a place ---

    @rule(family=families, child=children, day=days, first_fill=st.booleans())
    def wait(self, family: int, child: int, day: int, first_fill: bool) -> None:
        """Ask for the waiting list; where `first_fill`, the town has just lowered the places to those that are taken."""
        meal = (child, day)
        if (family, child) not in self.rights:
            return
        if first_fill and not self.is_late(day):
            self.capacity_changes(day, 0)
        known = any(wait.is_live and wait.meal == meal for wait in self.waits)
        full = (
            self.is_open[day]
            and not self.is_late(day)
            and meal not in self.live
            and not self.is_eaten(meal)
            and meal not in self.baskets[family]
            and self.taken(day) >= self.capacity[day]
        )
        result = self.do(self.join, family, meal)
        if known or not full:
            assert isinstance(result, AlreadyWaiting if known else CannotWait), result
            return
        assert isinstance(result, int), result
        self.waits.append(ModelWait(result, family, meal))

    def join(self, db: Any, family: int, meal: Meal, now: datetime) -> int:
        who = self.families[family]
        slugs = self.canteen.commune_slug, self.canteen.slug
        found = cart.places.find_place(db, who.household_id, *slugs, paris_day(now))
        assert found is not None
        theirs = {child.id: child for child in found[2]}
        ticked = Ticked(self.children[meal[0]], self.days[meal[1]])
        cart.waiting.join(db, who.household_id, who.account_id, self.canteen.id, theirs, ticked, now)
        number: int = db.scalars(select(WaitingEntry.id).order_by(WaitingEntry.id.desc()).limit(1)).one()
        return number

    @precondition(lambda self: self.live)
    @rule(which=some, some_time=st.sampled_from([0, 0, 60 * 23, 60 * 25]), takes=st.booleans())
    def wait_until_another_cancels(self, which: int, some_time: int, takes: bool) -> None:
        """A child waits for a full day; another's meal is cancelled; and after some time the place is taken, or not."""
        booked = [meal for meal in self.next_booked() if not self.is_late(meal[1])]
        if not booked:
            return
        meal = booked[which % len(booked)]
        order = self.live[meal]
        for family, child in sorted(self.rights):
            if (child, meal[1]) not in self.live:
                self.wait(family, child, meal[1], True)
        self.cancel_meal(order, meal, order.family)
        self.now += timedelta(minutes=some_time)
        kept = [wait for wait in self.waits if wait.state == "offered"]
        if takes and kept:
            self.empty(kept[0].family)
            self.take_the_place(0, which % 2 == 0)

    @precondition(lambda self: self.waits)
    @rule(which=some, family=families)
    def leave(self, which: int, family: int) -> None:
        wait = self.waits[which % len(self.waits)]
        result = self.do(waiting.leave, self.families[family].household_id, wait.id)
        if family != wait.family:
            assert isinstance(result, NotFound)
            return
        assert result == (wait.state if wait.is_live else None)
        if wait.is_live:
            offered = wait.state == "offered"
            wait.state = "declined" if offered else "left"
            if offered:
                self.offer_places(wait.meal[1])

    @precondition(lambda self: self.waits or self.offers)
    @rule()
    def the_worker_comes(self) -> None:
        with self.app.app_context():
            waiting.make_offers(self.now)
            freed.lapse_due(self.now)
        for day in range(DAYS):
            self.offer_places(day)
        self.lapse()

    @precondition(lambda self: any(wait.state == "offered" for wait in self.waits))
    @rule(which=some, by_card=st.booleans())
    def take_the_place(self, which: int, by_card: bool) -> None:
        kept = [wait for wait in self.waits if wait.state == "offered"]
        wait = kept[which % len(kept)]
        self.choose(wait.family, {wait.meal})
        if by_card:
            self.hold(wait.family)
        else:
            self.pay(wait.family, False)

    def offer_places(self, day: int) -> None:
        """What ends ends, and what is free is offered in order of arrival: where anything of the day may move."""
        of_day = [wait for wait in self.waits if wait.is_live and wait.meal[1] == day]
        is_free = self.taken(day) < self.capacity[day]
        if not any(
            (wait.until is not None and wait.until <= self.now)
            or self.is_late(day)
            or not self.is_open[day]
            or (wait.state == "waiting" and is_free)
            or wait.meal in self.live
            for wait in of_day
        ):
            return
        off = self.called_off.get(day, (0, ""))[1]
        for wait in of_day:
            if (
                wait.meal in self.live
                or (wait.family, wait.meal[0]) not in self.rights
                or off == "done"
                or (not self.is_open[day] and not off)
                or (self.is_late(day) and wait.state == "waiting")
            ):
                wait.state = "over"
            elif self.is_late(day) or (wait.until is not None and self.now >= wait.until):
                wait.state = "lapsed"
        for wait in of_day:
            if wait.state == "waiting" and not off and self.is_open[day] and self.taken(day) < self.capacity[day]:
                wait.state, wait.until = "offered", min(self.now + KEPT, self.deadlines[self.days[day]])

    # --- without a booking ---

    @rule(family=families, child=children, day=days, comes=st.booleans(), wrong=st.sampled_from([0, 0, 0, 1]))
    def eat(self, family: int, child: int, day: int, comes: bool, wrong: int) -> None:
        """A clerk notes a child who is there without a booking; where the day `comes`, at its noon."""
        if child not in self.belongs[family]:
            return
        if comes:
            day = next((place for place in range(DAYS) if self.days[place] >= paris_day(self.now)), day)
            self.now = max(self.now, paris_instant(self.days[day], time(12)))
        meal, cents = (child, day), self.price[day][1]
        known = next((one for one in self.eaten if one.meal == meal and one.state != "struck"), None)
        refusal: type[Refusal] | None = None
        if (family, child) not in self.rights:
            refusal = NotFound
        elif self.days[day] > paris_day(self.now) or not self.is_open[day] or meal in self.live:
            refusal = CannotBeUnbooked
        elif known is not None and known.family != family:
            refusal = EatenAlready
        elif known is None and wrong:
            refusal = PriceChanged
        with self.app.app_context(), reading() as db:
            enrolment_id = db.scalars(
                select(Enrolment.id)
                .where(
                    Enrolment.household_id == self.families[family].household_id,
                    Enrolment.beneficiary_id == self.children[child],
                )
                .order_by(Enrolment.id.desc())
            ).first()
        day_id = self.canteen.day_ids[self.days[day]]
        result = self.do(unbooked.note_eaten, day_id, enrolment_id, cents + wrong, self.clerk.account_id)
        if refusal is not None:
            assert type(result) is refusal, (result, refusal)
            return
        number, fresh = result
        assert fresh is (known is None)
        if known is not None:
            assert number == known.id
            return
        paid = self.wallets[family] >= cents
        self.eaten.append(ModelEaten(number, family, meal, cents, "paid" if paid else "due"))
        self.wallets[family] -= cents if paid else 0
        self.sales += cents

    def due(self, family: int) -> list[ModelEaten]:
        return [one for one in self.eaten if one.family == family and one.state == "due"]

    def settle_the_oldest(self, family: int) -> None:
        for one in self.due(family):
            if self.wallets[family] < one.cents:
                return
            self.wallets[family] -= one.cents
            one.state = "paid"

    @precondition(lambda self: any(one.state == "due" for one in self.eaten))
    @rule(family=families, which=some, wrong=st.sampled_from([0, 0, 0, 1]))
    def settle_dues(self, family: int, which: int, wrong: int) -> None:
        chosen = self.due(family)
        chosen = chosen[: 1 + which % len(chosen)] if chosen else []
        if not chosen:
            return
        total = sum(one.cents for one in chosen)
        result = self.do(dues.settle, self.buyer(family), [one.id for one in chosen], total + wrong)
        if wrong or total > self.wallets[family]:
            assert isinstance(result, DuesChanged if wrong else BalanceTooShort)
            return
        assert result == total
        self.wallets[family] -= total
        for one in chosen:
            one.state = "paid"

    @precondition(lambda self: self.eaten)
    @rule(which=some)
    def strike_off(self, which: int) -> None:
        one = self.eaten[which % len(self.eaten)]
        here, reason = [self.town.aiguilhe.id], "Noté par erreur."
        _day_id, fresh = self.do(unbooked.strike_off, here, one.id, reason, self.clerk.account_id)
        assert fresh is (one.state != "struck")
        if fresh:
            self.wallets[one.family] += one.cents if one.state == "paid" else 0
            self.sales -= one.cents
            one.state = "struck"

    # --- the town hall calls a day off ---

    @rule(day=days, step=st.sampled_from(["plan", "plan", "done", "done", "back", "picnics"]))
    def town_hall(self, day: int, step: str) -> None:
        if step == "plan":
            self.plan_call_off(day)
        elif step == "picnics":
            self.picnics_are_told(day)
        elif day in self.called_off:
            self.end_call_off(day, step)

    def planned(self, day: int, kind: str, picnic: bool) -> Any:
        scope = Scope(self.canteen.day_ids[self.days[day]])
        with self.app.app_context(), reading() as db:
            seen = call_off.affected(db, scope, picnic)
        asked = Plan(scope, kind, "Grève ou sortie.", picnic)
        return self.do(call_off.plan, asked, seen, self.clerk.account_id)

    def plan_call_off(self, day: int) -> None:
        result = self.planned(day, "strike", False)
        if not self.is_open[day]:
            assert isinstance(result, AlreadyCalledOff)
            return
        assert isinstance(result, int), result
        self.called_off[day], self.is_open[day] = (result, "planned"), False

    def end_call_off(self, day: int, step: str) -> None:
        number, state = self.called_off[day]
        if step == "back":
            result = self.do(call_off.take_back, number, self.clerk.account_id)
            assert isinstance(result, TooLateToTakeBack) == (state == "done")
            if state == "planned":
                del self.called_off[day]
                self.is_open[day] = True
            return
        paid = [(order, meal) for meal, order in self.live.items() if meal[1] == day and order.state == "paid"]
        result = self.do(call_off.carry_out, number)
        assert result == (len(paid) if state == "planned" else None)
        self.called_off[day] = (number, "done")
        if state == "planned":
            for order, meal in paid:
                self.credit(order, meal)
                for offer in self.offers:
                    if offer.is_alive and offer.order is order and offer.meal == meal:
                        offer.state, offer.taker = "withdrawn", None

    def picnics_are_told(self, day: int) -> None:
        """An outing with picnics moves no meal and no money."""
        result = self.planned(day, "outing", True)
        if not self.is_open[day] or day in self.picnics:
            assert isinstance(result, AlreadyCalledOff)
            return
        paid = [meal for meal, order in self.live.items() if meal[1] == day and order.state == "paid"]
        assert self.do(call_off.carry_out, result) == len(paid)
        self.picnics.add(day)

    # --- the world ---

    @rule(minutes=st.sampled_from([1, 29, 60, 60 * 24]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(change=st.sampled_from(["price", "capacity", "strike", "right", "deadline"]), data=st.data())
    def the_world_changes(self, change: str, data: st.DataObject) -> None:
        """One rule, so that most steps are a family's."""
        day = data.draw(days)
        if change == "price":
            self.price_changes(day, data.draw(st.sampled_from([380, 395, 420])))
        elif change == "capacity":
            self.capacity_changes(day, data.draw(st.integers(0, 4)))
        elif change == "strike":
            self.strike(day)
        elif change == "right":
            self.right_changes(data.draw(families), data.draw(children))
        else:
            self.deadline_comes(day, data.draw(st.booleans()))

    def deadline_comes(self, day: int, before: bool) -> None:
        """To the deadline of a day, or to one second before it."""
        self.now = max(self.now, self.deadlines[self.days[day]] - timedelta(seconds=before))

    def capacity_changes(self, day: int, spare: int) -> None:
        self.capacity[day] = self.taken(day) + spare
        self.town.change_day(self.canteen, self.days[day], capacity=self.capacity[day])

    def strike(self, day: int) -> None:
        """The day is closed without a word, or opened again."""
        if day in self.called_off:
            return
        self.is_open[day] = not self.is_open[day]
        self.town.change_day(self.canteen, self.days[day], is_open=self.is_open[day])

    def right_changes(self, family: int, child: int) -> None:
        """The town hall revokes a family's access, or approves a new one."""
        if child not in self.belongs[family]:
            return
        if (family, child) not in self.rights:
            self.town.enrol(
                self.families[family], self.children[child], self.canteen, requested_at=self.now, decided_at=self.now
            )
            self.rights.add((family, child))
            return
        with self.app.app_context(), transaction() as db:
            db.execute(
                update(Enrolment)
                .where(
                    Enrolment.household_id == self.families[family].household_id,
                    Enrolment.beneficiary_id == self.children[child],
                    Enrolment.state == "approved",
                )
                .values(state="revoked", decided_at=self.now)
            )
        self.rights.remove((family, child))

    def price_changes(self, day: int, cents: int) -> None:
        """From a day on, another price holds; what is in a basket keeps the price that was shown."""
        since = self.days[day]
        if since in self.changed:
            return
        self.changed.add(since)
        with self.app.app_context(), transaction() as db:
            db.execute(
                update(TariffPrice)
                .where(
                    TariffPrice.tariff_id == self.canteen.tariff_id,
                    TariffPrice.valid_from < since,
                    TariffPrice.valid_until.is_(None) | (TariffPrice.valid_until >= since),
                )
                .values(valid_until=since - timedelta(days=1))
            )
            following = db.scalars(
                select(TariffPrice.valid_from)
                .where(TariffPrice.tariff_id == self.canteen.tariff_id, TariffPrice.valid_from > since)
                .order_by(TariffPrice.valid_from)
            ).first()
            until = following - timedelta(days=1) if following else None
            price_id = db.scalars(
                insert(TariffPrice)
                .values(tariff_id=self.canteen.tariff_id, valid_from=since, valid_until=until, cents=cents)
                .returning(TariffPrice.id)
            ).one()
        for place in range(day, DAYS):
            if until is None or self.days[place] <= until:
                self.price[place] = (price_id, cents)

    # --- what must hold ---

    @invariant()
    def the_database_is_the_model(self) -> None:
        with self.app.app_context(), reading() as db:
            balances: dict[tuple[str, int | None], int] = {
                (kind, household_id): cents
                for kind, household_id, cents in db.execute(
                    select(LedgerAccount.kind, LedgerAccount.household_id, LedgerAccount.balance_cents)
                )
            }
            states = {row.id: row.state for row in db.execute(select(Order.id, Order.state))}
            live = {
                (row.beneficiary_id, row.service_day_id): row.order_id
                for row in db.execute(
                    select(Reservation.beneficiary_id, Reservation.service_day_id, Reservation.order_id).where(
                        Reservation.state.in_(("held", "confirmed"))
                    )
                )
            }
            lines = {
                (row.household_id, row.beneficiary_id, row.service_day_id)
                for row in db.execute(
                    select(Basket.household_id, BasketLine.beneficiary_id, BasketLine.service_day_id)
                    .join(BasketLine, BasketLine.basket_id == Basket.id)
                    .where(Basket.state.in_(("open", "completing")))
                )
            }
            payment_states = {row.key: row.state for row in db.execute(select(Payment.key, Payment.state))}
            offers = list(db.scalars(select(FreedMeal.state).order_by(FreedMeal.id)))
            waits = {row.id: row.state for row in db.execute(select(WaitingEntry.id, WaitingEntry.state))}
            eaten = {row.id: row.state for row in db.execute(select(UnbookedMeal.id, UnbookedMeal.state))}
            findings = books.check(db)
        assert findings == []
        of_families = [family.household_id for family in self.families]
        assert [balances.get(("wallet", key), 0) for key in of_families] == self.wallets
        owed = [sum(one.cents for one in self.due(family)) for family in range(FAMILIES)]
        assert [-balances.get(("receivable", key), 0) for key in of_families] == owed
        assert balances.get(("sales", None), 0) == self.sales
        assert balances.get(("suspense", None), 0) == self.suspense
        assert offers == [offer.state for offer in self.offers]
        assert waits == {wait.id: wait.state for wait in self.waits}
        assert eaten == {one.id: one.state for one in self.eaten}
        assert states == {order.id: order.state for order in self.orders}
        assert live == {self.row(meal): order.id for meal, order in self.live.items()}
        assert lines == {
            (self.families[family].household_id, *self.row(meal))
            for family, basket in enumerate(self.baskets)
            for meal in basket
        }
        assert {payment.key: payment.state for payment in self.payments}.items() <= payment_states.items()

    def row(self, meal: Meal) -> tuple[int, int]:
        return self.children[meal[0]], self.canteen.day_ids[self.days[meal[1]]]


@pytest.mark.slow
def test_any_walk_keeps_the_books(app: Flask, cleaner: Cleaner) -> None:
    """`WALKS=2000 WALK_STEPS=50` walks further than a push can wait for."""
    sqlite = app.extensions["shop.database"].is_sqlite

    class Here(Walk):
        pass

    Here.app, Here.cleaner = app, cleaner
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=int(os.environ.get("WALKS", "90" if sqlite else "14")),
            stateful_step_count=int(os.environ.get("WALK_STEPS", "30" if sqlite else "25")),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=[Phase.generate, Phase.shrink],
        ),
    )
