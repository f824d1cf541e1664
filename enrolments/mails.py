"""Letters about access to services, whose `facts["things"]` list who, service and tariff, and about invoices of elsewhere."""

from typing import Any

from sqlalchemy.orm import Session

from enrolments.outside_invoices import get_told
from shop.french import day_plain, listing, of, phone
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
    sentence = ngettext(
        "Votre demande est enregistrée. %(town_hall)s va l’étudier ; un e-mail vous dira sa réponse.",
        "Vos demandes sont enregistrées. %(town_hall)s va les étudier ; un e-mail vous dira sa réponse.",
        count,
        town_hall=_town_hall(facts),
    )
    return _letter(subject, sentence, facts, "", (link_to("enrolments.mine"), _("Suivre ma demande")))


def access_approved(_db: Session, facts: dict[str, Any]) -> Message:
    """What was approved: meals can be booked."""
    subject = _("Accès validé : vous pouvez réserver pour %(names)s", names=_names(facts))
    sentence = _(
        "%(town_hall)s a validé votre accès. Vous pouvez réserver dès maintenant.", town_hall=_town_hall(facts)
    )
    return _letter(subject, sentence, facts, "", (link_to("cart.choose"), _("Réserver des repas")))


def access_refused(_db: Session, facts: dict[str, Any]) -> Message:
    """What was refused, and why."""
    subject = _("Demande d’accès refusée pour %(names)s", names=_names(facts))
    sentence = _("%(town_hall)s n’a pas validé votre demande.", town_hall=_town_hall(facts))
    return _letter(subject, sentence, facts, _("Motif"), (link_to("enrolments.mine"), _("Voir mes services")))


def access_to_complete(_db: Session, facts: dict[str, Any]) -> Message:
    """What the town hall needs before it decides."""
    subject = _("Demande d’accès à compléter pour %(names)s", names=_names(facts))
    sentence = _("%(town_hall)s a besoin d’un complément avant de valider votre demande.", town_hall=_town_hall(facts))
    button = (link_to("enrolments.mine"), _("Répondre à la mairie"))
    return _letter(subject, sentence, facts, _("Ce qui est demandé"), button)


def access_revoked(_db: Session, facts: dict[str, Any]) -> Message:
    """What was taken back, and why."""
    subject = _("Accès retiré pour %(names)s", names=_names(facts))
    sentence = _("%(town_hall)s a retiré votre accès. Les repas déjà réservés le restent.", town_hall=_town_hall(facts))
    return _letter(subject, sentence, facts, _("Motif"), (link_to("enrolments.mine"), _("Voir mes services")))


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
    """The first names of those whom a letter is about; of more than three, two and how many others."""
    names = list({thing["name"]: thing.get("first_name") or thing["name"] for thing in facts["things"]}.values())
    if len(names) > 3:
        return _("%(names)s et %(count)s autres", names=", ".join(names[:2]), count=len(names) - 2)
    return listing(names)


def _town_hall(facts: dict[str, Any]) -> str:
    """ "La mairie d’Aiguilhe"; of a letter that waits since before its town was noted, "La mairie"."""
    town = facts.get("town")
    return _("La mairie %(of_town)s", of_town=of(town)) if town else _("La mairie")


def _letter(subject: str, sentence: str, facts: dict[str, Any], why: str, button: tuple[str, str]) -> Message:
    """A letter that says what is asked for or decided, why (under this word) where there is a reason, and who answers
    questions."""
    contact = [part for part in (facts.get("town_email"), phone(facts.get("town_phone"))) if part]
    things = [(thing["name"], f"{thing['service']} / {thing['tariff']}") for thing in facts["things"]]
    sheet = Sheet(
        subject=subject,
        first_name=facts.get("first_name"),
        before=[sentence],
        facts=[*things, *([(why, facts["reason"])] if why else [])],
        button=button,
        after=[
            *(
                [_("Une question ? Écrivez ou téléphonez : %(contact)s.", contact=", ".join(contact))]
                if contact
                else []
            ),
            _town_hall(facts),
        ],
    )
    return write(sheet)
