"""What keeps a family from closing its account: meals to come, money left, a payment under way."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from catalog.models import ServiceDay
from orders.models import Reservation
from payments.models import Payment
from shop.clock import paris_day
from shop.money import format_euros
from shop.words import gettext as _
from shop.words import ngettext
from wallet.models import LedgerAccount


def meals_ahead(db: Session, household_id: int, now: datetime) -> str | None:
    """A sentence while meals from today on are booked or held."""
    count = db.scalar(
        select(func.count())
        .select_from(Reservation)
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .where(
            Reservation.household_id == household_id,
            Reservation.state.in_(("held", "confirmed")),
            ServiceDay.day >= paris_day(now),
        )
    )
    if not count:
        return None
    return ngettext(
        "%(count)s repas est encore réservé : annulez-le ou attendez qu’il soit passé.",
        "%(count)s repas sont encore réservés : annulez-les ou attendez qu’ils soient passés.",
        count,
    )


def money_left(db: Session, household_id: int, now: datetime) -> str | None:
    """A sentence while a wallet of the family is not empty, or while it owes something."""
    rows = db.execute(
        select(LedgerAccount.kind, func.sum(LedgerAccount.balance_cents))
        .where(LedgerAccount.household_id == household_id, LedgerAccount.balance_cents != 0)
        .group_by(LedgerAccount.kind)
    )
    balances = {kind: int(cents) for kind, cents in rows}
    if balances.get("wallet"):
        amount = format_euros(balances["wallet"])
        return _(
            "Il reste %(amount)s dans votre porte-monnaie : utilisez-les ou demandez leur remboursement à la mairie.",
            amount=amount,
        )
    return _("Une somme reste à régler : adressez-vous à la mairie.") if balances else None


def payment_under_way(db: Session, household_id: int, now: datetime) -> str | None:
    """A sentence while a card payment may still arrive."""
    open_payment = select(Payment.id).where(
        Payment.household_id == household_id, Payment.state.in_(("created", "sent"))
    )
    if db.scalar(open_payment.limit(1)) is None:
        return None
    return _("Un paiement est en cours : attendez qu’il soit terminé.")


OBSTACLES = (meals_ahead, money_left, payment_under_way)
