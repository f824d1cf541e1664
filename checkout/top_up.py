"""Topping up the wallet by card."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

import payments.operations
from cart.models import Basket, BasketLine
from catalog.models import Commune, Regie, Service
from checkout.place import Buyer
from enrolments.models import Enrolment
from payments.gateways.base import Gateway
from payments.models import Payment
from payments.rules import UNSETTLED
from shop.errors import NotFound
from wallet.errors import TopUpRefused
from wallet.models import LedgerAccount


class Purse(NamedTuple):
    """A household's wallet at a régie, and the bounds of a top-up there."""

    regie_id: int
    regie_name: str
    minimum_cents: int
    maximum_cents: int
    card_gateway: str
    balance_cents: int
    due_cents: int
    """What the household owes there: a top-up settles it first."""
    under_way: bool
    """Whether a top-up of it has no known outcome yet."""


def purses(db: Session, household_id: int) -> list[Purse]:
    """The régies that the household has to do with, each with its wallet there: public money is never mixed."""
    theirs = (
        select(Commune.regie_id)
        .join(Service, Service.commune_id == Commune.id)
        .join(Enrolment, Enrolment.service_id == Service.id)
        .where(Enrolment.household_id == household_id, Enrolment.state.in_(("approved", "requested", "to_complete")))
    )
    receivable = aliased(LedgerAccount)
    owed = (
        select(-receivable.balance_cents)
        .where(
            receivable.regie_id == Regie.id, receivable.household_id == household_id, receivable.kind == "receivable"
        )
        .correlate(Regie)
        .scalar_subquery()
    )
    under_way = exists().where(
        Payment.regie_id == Regie.id,
        Payment.household_id == household_id,
        Payment.purpose == "top_up",
        Payment.state.in_(sorted(UNSETTLED)),
    )
    rows = db.execute(
        select(
            Regie.id,
            Regie.legal_name,
            Regie.minimum_top_up_cents,
            Regie.maximum_top_up_cents,
            Regie.card_gateway,
            func.coalesce(LedgerAccount.balance_cents, 0),
            func.coalesce(owed, 0),
            under_way,
        )
        .outerjoin(
            LedgerAccount,
            (LedgerAccount.regie_id == Regie.id)
            & (LedgerAccount.household_id == household_id)
            & (LedgerAccount.kind == "wallet"),
        )
        .where(Regie.id.in_(theirs) | LedgerAccount.id.is_not(None))
        .order_by(Regie.id)
    )
    return [Purse._make(row) for row in rows]


def open_top_up(
    db: Session,
    buyer: Buyer,
    regie_id: int,
    cents: int,
    gateways: Mapping[str, Gateway],
    back_to_basket: bool,
    now: datetime,
) -> Payment:
    """A payment that will fill the wallet, to be started at the gateway after the commit.

    Raises `NotFound` for a régie that the household has nothing to do with, `TopUpRefused` outside its bounds. Exactly what
    is missing for the basket (`back_to_basket`) may be less than the régie's minimum for a top-up of one's own choice.
    """
    purse = next((purse for purse in purses(db, buyer.household_id) if purse.regie_id == regie_id), None)
    if purse is None:
        raise NotFound
    gateway = gateways[purse.card_gateway]
    least = max(gateway.minimum_cents, purse.minimum_cents)
    missing = purse.due_cents - purse.balance_cents
    if back_to_basket and cents == _basket_cents(db, buyer.household_id, regie_id) + missing:
        least = gateway.minimum_cents
    most = min(gateway.maximum_cents, purse.maximum_cents)
    if not least <= cents <= most:
        raise TopUpRefused(least, most)
    return payments.operations.open_attempt(
        db,
        purpose="top_up",
        regie_id=regie_id,
        household_id=buyer.household_id,
        account_id=buyer.account_id,
        order_id=None,
        cents=cents,
        gateway_name=gateway.name,
        live=gateway.live,
        hold=gateway.hold,
        back_to_basket=back_to_basket,
        now=now,
    )


def _basket_cents(db: Session, household_id: int, regie_id: int) -> int:
    total = db.scalar(
        select(func.sum(BasketLine.quoted_cents))
        .join(Basket, Basket.id == BasketLine.basket_id)
        .where(Basket.household_id == household_id, Basket.regie_id == regie_id, Basket.state == "open")
    )
    return total or 0
