"""The card payment's conversation with its provider: each network call stands between two transactions."""

from datetime import datetime
from typing import Literal

import structlog

import payments.operations
from checkout.queries import PaymentFacts, regie_names
from checkout.settle import Outcome, give_up, settle
from payments.gateways import the_gateways
from payments.gateways.base import Asked, GatewayDown, GatewayRefused, Seen, SeenState, Started
from payments.models import Payment
from shop.database import reading, retried, transaction
from shop.web import link_to
from shop.words import gettext as _

log = structlog.get_logger(__name__)


def start(payment: Payment, email: str, now: datetime) -> str | None:
    """Ask the provider for its payment page; where to send the browser.

    Nothing when the provider does not answer: the payment stays open, the reconciler finds out what became of it. Raises
    `GatewayRefused` when it will not have the payment; then the places are given back first.
    """
    back = link_to("checkout.come_back", key=payment.key)
    words = _("Réservation de repas") if payment.purpose == "order" else _("Recharge du porte-monnaie")
    with reading() as db:
        payee = regie_names(db, [payment.regie_id])[payment.regie_id]
    asked = Asked(
        key=payment.key,
        cents=payment.cents,
        currency=payment.currency,
        description=words,
        payee=payee,
        email=email,
        success_url=back,
        cancel_url=link_to("checkout.payment", key=payment.key),
        expires_at=payment.expires_at,
    )
    try:
        started = the_gateways()[payment.provider].start(asked)
    except GatewayDown:
        log.warning("gateway did not answer", provider=payment.provider, payment_id=payment.id)
        return None
    except GatewayRefused:
        retried(lambda: _give_up(payment.key, "refused", now))
        raise
    retried(lambda: _mark_sent(payment.id, started))
    return started.pay_url


def look(payment: PaymentFacts) -> SeenState | None:
    """What the provider says of a payment now, nothing of it kept; nothing when it cannot be asked or has no page for it."""
    gateway = the_gateways().get(payment.provider)
    if gateway is None or payment.provider_reference is None:
        return None
    try:
        return gateway.fetch(payment.provider_reference).state
    except (GatewayDown, GatewayRefused):
        return None


def ask_and_settle(payment: PaymentFacts, now: datetime) -> Outcome | None:
    """Ask the provider what it says now and settle; nothing when it cannot be asked."""
    gateway = the_gateways().get(payment.provider)
    if gateway is None:
        return None
    try:
        reference = payment.provider_reference
        seen = gateway.fetch(reference) if reference else gateway.find(payment.key, payment.created_at)
    except (GatewayDown, GatewayRefused):
        return None
    if seen is None:
        return None
    return retried(lambda: _settle(payment.key, seen, now))


def abandon(payment: PaymentFacts, now: datetime) -> Outcome | None:
    """End a payment at the person's wish: first at the provider, so that it cannot be paid afterwards, then here."""
    gateway = the_gateways().get(payment.provider)
    if gateway is None or payment.provider_reference is None:
        return None
    try:
        gateway.expire(payment.provider_reference)
        seen = gateway.fetch(payment.provider_reference)
    except (GatewayDown, GatewayRefused):
        return None
    if seen.state == "expired":
        return retried(lambda: _give_up(payment.key, "cancelled", now))
    return retried(lambda: _settle(payment.key, seen, now))


# Each of these stands after a call to the provider, so it is tried again alone: the request as a whole would call anew.


def _mark_sent(payment_id: int, started: Started) -> None:
    with transaction() as db:
        payments.operations.mark_sent(db, payment_id, started)


def _settle(payment_key: str, seen: Seen, now: datetime) -> Outcome:
    with transaction() as db:
        return settle(db, payment_key, seen, now)


def _give_up(payment_key: str, state: Literal["cancelled", "refused"], now: datetime) -> Outcome:
    with transaction() as db:
        return give_up(db, payment_key, state, now)
