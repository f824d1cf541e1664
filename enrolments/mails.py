"""Letters about access to services, whose `facts["things"]` list who, service and tariff, and about invoices of elsewhere."""

from typing import Any

from flask import current_app, render_template
from sqlalchemy.orm import Session

from enrolments.outside_invoices import get_told
from shop.config import Config
from shop.french import day_plain
from shop.money import format_euros
from shop.outbox import Composer, Message
from shop.stationery import Sheet, write
from shop.web import link_to
from shop.words import gettext as _
from shop.words import ngettext


def access_requested(_db: Session, facts: dict[str, Any]) -> Message:
    """What was asked for, and what happens next."""
    count = len(facts["things"])
    subject = ngettext(
        "Votre demande d’accès est transmise à la mairie",
        "Vos demandes d’accès sont transmises à la mairie",
        count,
    )
    return _letter(subject, "access_requested", facts)


def access_approved(_db: Session, facts: dict[str, Any]) -> Message:
    """What was approved: meals can be booked."""
    subject = _("Accès validé : vous pouvez réserver pour %(names)s", names=_names(facts))
    return _letter(subject, "access_approved", facts)


def access_refused(_db: Session, facts: dict[str, Any]) -> Message:
    """What was refused, and why."""
    return _letter(_("Demande d’accès refusée pour %(names)s", names=_names(facts)), "access_refused", facts)


def access_to_complete(_db: Session, facts: dict[str, Any]) -> Message:
    """What the town hall needs before it decides."""
    subject = _("Demande d’accès à compléter pour %(names)s", names=_names(facts))
    return _letter(subject, "access_to_complete", facts)


def access_revoked(_db: Session, facts: dict[str, Any]) -> Message:
    """What was taken back, and why."""
    return _letter(_("Accès retiré pour %(names)s", names=_names(facts)), "access_revoked", facts)


def invoice_noted(db: Session, facts: dict[str, Any]) -> Message:
    """The régie knows of an unpaid invoice: which, and what ends it."""
    invoice = get_told(db, facts["invoice_id"]).invoice
    sheet = Sheet(
        subject=_(
            "Facture %(reference)s : %(amount)s à payer",
            reference=invoice.reference,
            amount=format_euros(invoice.cents),
        ),
        first_name=None,
        before=[
            _("La régie nous signale une facture qui n’est pas payée."),
            _("Elle ne se paie pas sur ce site : payez-la comme elle l’indique, puis prévenez la régie."),
        ],
        facts=[
            (_("Facture"), invoice.reference),
            (_("Montant"), format_euros(invoice.cents)),
            (_("À payer au plus tard le"), day_plain(invoice.due_on)),
            (_("Régie"), invoice.contact),
        ],
        button=(link_to("wallet.statement"), _("Voir mes crédits")),
        after=[
            _(
                "Selon le règlement du service, une facture échue fait attendre vos nouvelles réservations. "
                "Vos repas déjà réservés le restent."
            ),
            _("Une erreur, ou déjà payée ? Dites-le à la régie : elle met cette facture à jour."),
        ],
    )
    return write(sheet)


def invoice_paid(db: Session, facts: dict[str, Any]) -> Message:
    """The régie has seen that an invoice is paid: it keeps nothing waiting any more."""
    invoice = get_told(db, facts["invoice_id"]).invoice
    sheet = Sheet(
        subject=_("Facture %(reference)s : payée", reference=invoice.reference),
        first_name=None,
        before=[_("La régie a noté votre facture comme payée : elle ne fait plus attendre vos réservations. Merci.")],
        facts=[(_("Facture"), invoice.reference), (_("Montant"), format_euros(invoice.cents))],
        button=(link_to("cart.choose"), _("Réserver")),
    )
    return write(sheet)


def invoice_withdrawn(db: Session, facts: dict[str, Any]) -> Message:
    """An invoice was noted wrongly: why."""
    invoice, reason = get_told(db, facts["invoice_id"])
    sheet = Sheet(
        subject=_("Facture %(reference)s : retirée", reference=invoice.reference),
        first_name=None,
        before=[_("La régie a retiré cette facture, notée par erreur : elle ne fait plus attendre vos réservations.")],
        facts=[
            (_("Facture"), invoice.reference),
            (_("Montant"), format_euros(invoice.cents)),
            (_("Motif"), reason or ""),
        ],
        button=(link_to("cart.choose"), _("Réserver")),
    )
    return write(sheet)


LETTERS: dict[str, Composer] = {
    "access_requested": access_requested,
    "access_approved": access_approved,
    "access_refused": access_refused,
    "access_to_complete": access_to_complete,
    "access_revoked": access_revoked,
    "invoice_noted": invoice_noted,
    "invoice_paid": invoice_paid,
    "invoice_withdrawn": invoice_withdrawn,
}


def _names(facts: dict[str, Any]) -> str:
    names = list(dict.fromkeys(thing["name"] for thing in facts["things"]))
    if len(names) > 3:
        return _("%(name)s et %(count)s autres personnes", name=names[0], count=len(names) - 1)
    return ", ".join(names)


def _letter(subject: str, template: str, facts: dict[str, Any]) -> Message:
    config: Config = current_app.extensions["shop.config"]
    words = {
        "subject": subject,
        "site_name": config.site_name,
        "book_url": f"{config.base_url}/reserver",
        "things": [(thing["name"], f"{thing['service']} / {thing['tariff']}") for thing in facts["things"]],
        "reason": facts["reason"],
    }
    return Message(
        subject,
        render_template(f"enrolments/mail_{template}.txt", **words),
        render_template(f"enrolments/mail_{template}.html", **words),
    )
