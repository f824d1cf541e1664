"""What keeps a family from closing its account: meals to come, money left, a payment under way."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounts.errors import Obstacle
from catalog.models import ServiceDay
from orders.models import Reservation
from payments.models import Payment
from shop.clock import paris_day
from shop.money import format_euros
from shop.words import gettext as _
from shop.words import ngettext
from wallet.models import LedgerAccount


def meals_ahead(db: Session, household_id: int, now: datetime) -> Obstacle | None:
    """An obstacle while meals from today on are booked or held."""
    count, first = db.execute(
        select(func.count(), func.min(ServiceDay.day))
        .select_from(Reservation)
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .where(
            Reservation.household_id == household_id,
            Reservation.state.in_(("held", "confirmed")),
            ServiceDay.day >= paris_day(now),
        )
    ).one()
    if not count:
        return None
    sentence = ngettext(
        "%(count)s repas est encore réservé : annulez-le ou attendez qu’il soit passé.",
        "%(count)s repas sont encore réservés : annulez-les ou attendez qu’ils soient passés.",
        count,
    )
    return Obstacle(sentence, f"/mes-reservations?mois={first:%Y-%m}", _("Mes réservations"))


def money_left(db: Session, household_id: int, now: datetime) -> Obstacle | None:
    """An obstacle while a wallet of the family is not empty, or while it owes something."""
    rows = db.execute(
        select(LedgerAccount.kind, func.sum(LedgerAccount.balance_cents))
        .where(LedgerAccount.household_id == household_id, LedgerAccount.balance_cents != 0)
        .group_by(LedgerAccount.kind)
    )
    balances = {kind: int(cents) for kind, cents in rows}
    if balances.get("wallet"):
        amount = format_euros(balances["wallet"])
        sentence = _(
            "Il reste %(amount)s dans votre porte-monnaie : utilisez-les ou demandez leur remboursement à la régie.",
            amount=amount,
        )
    elif balances:
        sentence = _("Une somme reste à régler : adressez-vous à la régie.")
    else:
        return None
    return Obstacle(sentence, "/mes-credits", _("Mes crédits"))


def payment_under_way(db: Session, household_id: int, now: datetime) -> Obstacle | None:
    """An obstacle while a card payment may still arrive."""
    open_payment = select(Payment.key).where(
        Payment.household_id == household_id, Payment.state.in_(("created", "sent"))
    )
    key = db.scalar(open_payment.order_by(Payment.id).limit(1))
    if key is None:
        return None
    sentence = _("Un paiement est en cours : attendez qu’il soit terminé.")
    return Obstacle(sentence, f"/paiement/{key}", _("Voir ce paiement"))


OBSTACLES = (meals_ahead, money_left, payment_under_way)
