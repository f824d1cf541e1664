"""Placing an order: the basket becomes reservations, paid from the wallet at once or held while a card is awaited."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import String, bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import cart.operations
import orders.operations
import payments.operations
import wallet.operations
from accounts.models import Beneficiary
from cart.errors import PaymentUnderWay
from cart.meals import meals_of_basket
from cart.models import Basket, BasketLine
from catalog.models import Regie, ServiceDay
from checkout import freed, waiting
from checkout.errors import AlreadyBooked, BelowMinimum, PlaceJustTaken
from checkout.rules import Draft, check_basket
from orders.models import Order
from orders.operations import NewOrder
from payments.gateways.base import Gateway
from payments.models import Payment
from shop.database import Key, violated
from shop.errors import NotFound
from shop.outbox import Letter, post
from shop.statements import run
from wallet.operations import AccountRef, Entry


class Buyer(NamedTuple):
    """Who pays, and where the letter goes."""

    household_id: int
    account_id: int
    email: str


def pay_from_wallet(db: Session, buyer: Buyer, basket_id: int, seen_cents: int | None, now: datetime) -> str:
    """Order the basket and pay it from the wallet; the order's number. The same basket again gives the same order.

    `seen_cents` is the total that the person saw. Raises `NotFound`, `PaymentUnderWay`, the refusals of `check_basket`,
    `BalanceTooShort`, `PlaceJustTaken`, `AlreadyBooked`; then nothing has changed.
    """
    known = _lock_basket(db, buyer.household_id, basket_id)
    if known is not None:
        return known
    draft = _check(db, buyer.household_id, basket_id, seen_cents, now)
    order_id, number, entries = _place(db, buyer, draft, "wallet", None, now)
    if draft.total_cents:
        payment = Entry(
            kind="wallet_payment",
            key=f"wallet_payment:order:{order_id}",
            regie_id=draft.regie_id,
            postings=(
                (AccountRef("wallet", buyer.household_id), -draft.total_cents),
                (AccountRef("sales"), draft.total_cents),
            ),
            order_id=order_id,
            account_id=buyer.account_id,
        )
        entries = [payment, *entries]
    if entries:
        wallet.operations.enter_all(db, entries, now)
    cart.operations.set_state(db, basket_id, "converted", now)
    post(db, order_letter(order_id, buyer.email), now)
    return number


def hold_for_card(
    db: Session,
    buyer: Buyer,
    basket_id: int,
    seen_cents: int | None,
    gateways: Mapping[str, Gateway],
    now: datetime,
) -> Payment | str:
    """Order the basket, hold its places and open a payment by card, to be started at the gateway after the commit.

    A basket that is ordered already gives that order's number. Raises as `pay_from_wallet` does, and `BelowMinimum`.
    """
    known = _lock_basket(db, buyer.household_id, basket_id)
    if known is not None:
        return known
    draft = _check(db, buyer.household_id, basket_id, seen_cents, now)
    regie = db.execute(select(Regie.card_gateway, Regie.minimum_online_cents).where(Regie.id == draft.regie_id)).one()
    gateway = gateways[regie.card_gateway]
    minimum = max(gateway.minimum_cents, regie.minimum_online_cents)
    if draft.total_cents < minimum:
        raise BelowMinimum(minimum)
    order_id, _number, _entries = _place(db, buyer, draft, "card", now + gateway.hold, now)
    cart.operations.set_state(db, basket_id, "completing", now)
    return payments.operations.open_attempt(
        db,
        purpose="order",
        regie_id=draft.regie_id,
        household_id=buyer.household_id,
        account_id=buyer.account_id,
        order_id=order_id,
        cents=draft.total_cents,
        gateway_name=gateway.name,
        live=gateway.live,
        hold=gateway.hold,
        back_to_basket=False,
        now=now,
    )


def order_letter(order_id: int, email: str) -> Letter:
    """The one confirmation letter of an order."""
    return Letter(kind="order_paid", to=email, key=f"order_paid:{order_id}", facts={"order_id": order_id})


_LOCKED_BASKET = (
    select(Basket.state)
    .where(Basket.id == bindparam("basket_id"), Basket.household_id == bindparam("household_id"))
    .with_for_update(key_share=True)
)
_LOCKED_DAYS = (
    select(ServiceDay.id)
    .where(ServiceDay.id.in_(select(BasketLine.service_day_id).where(BasketLine.basket_id == bindparam("basket_id"))))
    .order_by(ServiceDay.id)
    .with_for_update(key_share=True)
)
_LINES = orders.operations.lines_from(
    # As `LINE_COLUMNS`: the basket's lines are copied inside the database, however many.
    select(
        bindparam("order_id", type_=Key),
        bindparam("household_id", type_=Key),
        BasketLine.beneficiary_id,
        BasketLine.service_day_id,
        Beneficiary.school_id,
        BasketLine.tariff_id,
        BasketLine.tariff_price_id,
        BasketLine.quoted_cents,
        BasketLine.credit_cents,
        BasketLine.basis,
        ServiceDay.cancel_deadline_at,
        bindparam("state", type_=String),
    )
    .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
    .join(Beneficiary, Beneficiary.id == BasketLine.beneficiary_id)
    .where(BasketLine.basket_id == bindparam("basket_id"))
    # In the order of their unique key: nothing needs sorting, and two that write the same wait for each other in one order.
    .order_by(BasketLine.beneficiary_id, BasketLine.service_day_id)
)


_FENCES = ("ck_service_days_places", "ck_school_places_places", "uq_orders_basket")


def _lock_basket(db: Session, household_id: int, basket_id: int) -> str | None:
    """Lock the basket. The number of its order when it was ordered already: a second click is harmless."""
    state = run(db, _LOCKED_BASKET, basket_id=basket_id, household_id=household_id).scalar()
    if state is None:
        raise NotFound
    if state == "open":
        return None
    number = db.scalar(select(Order.number).where(Order.basket_id == basket_id, Order.state == "paid"))
    if number is None:
        raise PaymentUnderWay
    return number


def _check(db: Session, household_id: int, basket_id: int, seen_cents: int | None, now: datetime) -> Draft:
    # The days first, by id: what is read afterwards about places and prices stays true until the commit.
    run(db, _LOCKED_DAYS, basket_id=basket_id)
    return check_basket(meals_of_basket(db, household_id, basket_id, now), seen_cents, now)


def _place(
    db: Session, buyer: Buyer, draft: Draft, settlement: str, held_until: datetime | None, now: datetime
) -> tuple[int, str, list[Entry]]:
    """Write the order and its meals: its id, its number, and the entries that credit what it takes of other families."""
    order = NewOrder(
        household_id=buyer.household_id,
        regie_id=draft.regie_id,
        basket_id=draft.basket_id,
        account_id=buyer.account_id,
        total_cents=draft.total_cents,
        settlement=settlement,
        held_until=held_until,
    )
    state = "confirmed" if held_until is None else "held"
    places = freed.places_of(draft.freed)
    offers = freed.take(db, buyer.household_id, places) if places else []
    entries: list[Entry] = []
    # Their places are left before they are taken: a full day never counts one too many.
    if offers and held_until is None:
        entries = freed.hand_over(db, offers, now)
    elif offers:
        freed.pass_places(db, [offer.id for offer in offers], -1)
    waited = [meal.entry_id for meal in draft.meals if meal.entry_id is not None]
    try:
        order_id, number = orders.operations.place(db, order, now)
        if waited:
            # Before the order takes its places: one that was kept is counted once.
            waiting.take(db, waited, order_id, now)
        orders.operations.place_lines(
            db,
            _LINES,
            order_id,
            at=freed.schools_of(offers, places),
            household_id=buyer.household_id,
            basket_id=draft.basket_id,
            state=state,
        )
    except IntegrityError as error:
        # The locks above make these impossible; the constraints are the second fence, and they too end in a sentence.
        if violated(error) == "uq_reservations_live":
            raise AlreadyBooked from error
        if violated(error) in _FENCES:
            raise PlaceJustTaken from error
        raise
    if offers:
        freed.note_takers(db, order_id, offers, places, now)
    return order_id, number, entries
