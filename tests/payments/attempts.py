"""Payments under way, for tests: opened, started at a gateway, and what became of them."""

from typing import NamedTuple

from flask import Flask
from sqlalchemy import select

from checkout import books, place
from checkout.place import Buyer
from orders.models import Order
from payments.gateways import the_gateways
from payments.gateways.base import Asked, Started
from payments.models import Payment, PaymentEvent
from payments.operations import mark_sent, open_attempt
from shop.clock import request_now
from shop.database import reading, transaction
from shop.web import link_to
from tests.factory import Family, Town
from wallet.models import LedgerAccount


class Attempted(NamedTuple):
    """A payment that was started: its row, its name at the provider and its page."""

    id: int
    key: str
    reference: str
    pay_url: str


def asked_for(payment: Payment, email: str = "parent@example.org") -> Asked:
    """What the shop asks a gateway for."""
    return Asked(
        key=payment.key,
        cents=payment.cents,
        currency="eur",
        description="Recharge du porte-monnaie",
        payee="Régie de l’agglomération",
        email=email,
        success_url=link_to("payments.sandbox", reference="success"),
        cancel_url=link_to("payments.sandbox", reference="cancel"),
        expires_at=payment.expires_at,
    )


def open_top_up(app: Flask, town: Town, family: Family, provider: str = "sandbox", cents: int = 2000) -> Payment:
    """A top-up that was committed, and that no provider has heard of yet."""
    with app.app_context():
        gateway = the_gateways()[provider]
        with transaction() as db:
            return open_attempt(
                db,
                purpose="top_up",
                regie_id=town.regie_id,
                household_id=family.household_id,
                account_id=family.account_id,
                order_id=None,
                cents=cents,
                gateway_name=provider,
                live=gateway.live,
                hold=gateway.hold,
                back_to_basket=False,
                now=request_now(),
            )


def open_order(app: Flask, town: Town, family: Family, provider: str = "sandbox", days: int = 2) -> Payment:
    """A basket of Aiguilhe's canteen that was ordered by card: its places are held, no provider has heard of it yet."""
    canteen = town.aiguilhe.canteen
    basket_id = town.basket(family, canteen, canteen.open_days(town.now)[:days])
    with app.app_context(), transaction() as db:
        buyer = Buyer(family.household_id, family.account_id, family.email)
        held = place.hold_for_card(db, buyer, basket_id, None, {"sandbox": the_gateways()[provider]}, request_now())
    assert isinstance(held, Payment)
    return held


def started(app: Flask, payment: Payment) -> Attempted:
    """The payment after its provider has opened a page for it."""
    with app.app_context():
        begun: Started = the_gateways()[payment.provider].start(asked_for(payment))
        with transaction() as db:
            mark_sent(db, payment.id, begun)
    return Attempted(payment.id, payment.key, begun.reference, begun.pay_url)


def state_of(app: Flask, payment_id: int) -> str:
    """The payment's state now."""
    with app.app_context(), reading() as db:
        return db.scalars(select(Payment.state).where(Payment.id == payment_id)).one()


def order_state(app: Flask, payment_id: int) -> str:
    """The state of the payment's order now."""
    with app.app_context(), reading() as db:
        return db.scalars(
            select(Order.state).join(Payment, Payment.order_id == Order.id).where(Payment.id == payment_id)
        ).one()


def balance(app: Flask, family: Family) -> int:
    """What the family's wallet holds."""
    with app.app_context(), reading() as db:
        return db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.id == family.wallet_id)).one()


def outcomes(app: Flask) -> list[str | None]:
    """What came of every event that was kept, in the order of their arrival."""
    with app.app_context(), reading() as db:
        return list(db.scalars(select(PaymentEvent.outcome).order_by(PaymentEvent.id)))


def check_books(app: Flask) -> None:
    """The invariants hold."""
    with app.app_context(), reading() as db:
        found = list(books.check(db))
    assert not found, found
