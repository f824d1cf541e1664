"""The letters of two homes. They name the child and nothing of the other parent; their links lead to pages with buttons."""

from typing import Any

from sqlalchemy.orm import Session

from shop.french import of
from shop.outbox import Composer, Message
from shop.stationery import Sheet, write
from shop.web import link_to
from shop.words import gettext as _


def home_invitation(_db: Session, facts: dict[str, Any]) -> Message:
    """A parent invites the child's other parent."""
    child = facts["child"]
    return write(
        Sheet(
            _("Réservez aussi les repas %(of_child)s", of_child=of(child)),
            None,
            before=[
                _("L’autre parent %(of_child)s vous invite à réserver aussi ses repas.", of_child=of(child)),
                _("Chacun garde son compte, son tarif, son porte-monnaie et ses papiers."),
            ],
            button=(link_to("homes.invitation", token=facts["token"]), _("Voir l’invitation")),
            after=[
                _(
                    "Cette invitation vaut jusqu’au %(day)s. Si elle ne vous dit rien, ne faites rien.",
                    day=facts["lapses"],
                )
            ],
        )
    )


def home_answered(_db: Session, facts: dict[str, Any]) -> Message:
    """The other parent has answered the invitation."""
    child = facts["child"]
    link = link_to("homes.child", beneficiary_id=facts["beneficiary_id"])
    if facts["accepted"]:
        return write(
            Sheet(
                _("%(child)s a désormais deux foyers", child=child),
                facts["first_name"],
                before=[
                    _(
                        "L’autre parent a accepté votre invitation : %(child)s figure dans vos deux foyers.",
                        child=child,
                    ),
                    _("Convenez maintenant d’un calendrier : il dit qui réserve et paie quel jour."),
                ],
                button=(link, _("Proposer un calendrier")),
            )
        )
    return write(
        Sheet(
            _("Invitation refusée pour %(child)s", child=child),
            facts["first_name"],
            before=[_("L’autre parent n’a pas accepté votre invitation. Rien n’a changé pour %(child)s.", child=child)],
            button=(link, _("Voir les foyers")),
        )
    )


def custody_asked(_db: Session, facts: dict[str, Any]) -> Message:
    """The other parent proposes a calendar, or a swap of days."""
    child, days = facts["child"], facts["days"]
    if days:
        subject = _("Échange de jours demandé pour %(child)s", child=child)
        sentence = _("L’autre parent demande un échange pour %(child)s : %(days)s.", child=child, days=days)
    else:
        subject = _("Un calendrier est proposé pour %(child)s", child=child)
        sentence = _(
            "L’autre parent propose un calendrier pour %(child)s : qui réserve et paie quel jour.", child=child
        )
    return write(
        Sheet(
            subject,
            facts["first_name"],
            before=[sentence, _("Rien ne change tant que vous n’avez pas accepté.")],
            button=(link_to("homes.child", beneficiary_id=facts["beneficiary_id"]), _("Voir et répondre")),
        )
    )


def custody_answered(_db: Session, facts: dict[str, Any]) -> Message:
    """The other parent has agreed, declined, or taken back what was asked."""
    child, days = facts["child"], facts["days"]
    what = _("l’échange (%(days)s)", days=days) if days else _("le calendrier")
    subject, sentence = {
        "agreed": (
            _("C’est convenu pour %(child)s", child=child),
            _("Vous êtes tous deux d’accord sur %(what)s. Les repas déjà payés restent à qui les a payés.", what=what),
        ),
        "declined": (
            _("Demande refusée pour %(child)s", child=child),
            _("L’autre parent n’a pas accepté %(what)s. Ce qui valait avant vaut toujours.", what=what),
        ),
        "withdrawn": (
            _("Demande retirée pour %(child)s", child=child),
            _("L’autre parent a retiré sa demande : %(what)s. Ce qui valait avant vaut toujours.", what=what),
        ),
    }[facts["verdict"]]
    return write(
        Sheet(
            subject,
            facts["first_name"],
            before=[sentence],
            button=(link_to("homes.child", beneficiary_id=facts["beneficiary_id"]), _("Voir le calendrier")),
        )
    )


LETTERS: dict[str, Composer] = {
    "home_invitation": home_invitation,
    "home_answered": home_answered,
    "custody_asked": custody_asked,
    "custody_answered": custody_answered,
}
