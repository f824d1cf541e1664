"""Letters about access to services, one function each. `facts["things"]` lists who, service and tariff."""

from typing import Any

from flask import current_app, render_template
from sqlalchemy.orm import Session

from shop.config import Config
from shop.outbox import Composer, Message
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


LETTERS: dict[str, Composer] = {
    "access_requested": access_requested,
    "access_approved": access_approved,
    "access_refused": access_refused,
    "access_to_complete": access_to_complete,
    "access_revoked": access_revoked,
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
