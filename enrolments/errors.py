"""Refusals about access to services, and about invoices of elsewhere.

TariffUnknown       422: no such tariff
YearNotOpen         422: not a school year that may be asked for now
AudienceMismatch    422: an adult's tariff for a child, or the reverse
AlreadyAsked        409: waiting already, or approved already
MovedOn             409: a request was decided, withdrawn or answered meanwhile
TwoTariffs          422: two tariffs of one service for one child, at once
OwnRequest          403: nobody decides about his own family
ReferenceKnown      409: the reference of an invoice stands for something else
InvoiceClosed       409: an invoice was closed otherwise meanwhile
OwnInvoice          403: nobody closes an invoice of his own family
"""

from collections.abc import Sequence
from datetime import date

from shop.errors import Conflict, Forbidden, Refusal
from shop.french import day_plain, listing
from shop.money import format_euros
from shop.words import gettext as _

STATE_WORDS = {
    "requested": _("en attente"),
    "to_complete": _("à compléter"),
    "approved": _("déjà validée"),
    "refused": _("déjà refusée"),
    "revoked": _("retirée par la mairie"),
    "expired": _("terminée"),
    "withdrawn": _("annulée par la famille"),
}


class TariffUnknown(Refusal):
    """There is no such tariff."""

    def __init__(self) -> None:
        super().__init__(_("Ce tarif n’existe pas, ou plus. Choisissez-en un dans la liste."))


class YearNotOpen(Refusal):
    """Access cannot be asked for that school year now."""

    def __init__(self, school_year: int) -> None:
        super().__init__(_("Les demandes ne sont pas ouvertes pour cette année scolaire."))
        self.school_year = school_year


class AudienceMismatch(Refusal):
    """The tariff is not for these persons."""

    def __init__(self, names: list[str], audience: str) -> None:
        if audience == "adult":
            sentence = _("Ce tarif est réservé aux adultes : il ne convient pas à %(names)s.", names=listing(names))
        else:
            sentence = _("Ce tarif est réservé aux enfants : il ne convient pas à %(names)s.", names=listing(names))
        super().__init__(sentence)
        self.names = names
        self.audience = audience


class AlreadyAsked(Conflict):
    """A request for this service is waiting already, or this tariff is approved."""

    def __init__(self, name: str, tariff_label: str, state: str) -> None:
        if state == "approved":
            sentence = _("%(name)s a déjà accès à ce service au tarif « %(tariff)s ».", name=name, tariff=tariff_label)
        else:
            sentence = _(
                "Une demande attend déjà pour %(name)s à ce service, au tarif « %(tariff)s ». "
                "Pour changer de tarif, annulez-la d’abord dans « Mes services ».",
                name=name,
                tariff=tariff_label,
            )
        super().__init__(sentence)
        self.name = name
        self.tariff_label = tariff_label
        self.state = state


class MovedOn(Conflict):
    """Somebody else was first: `moved` names the persons and the states found."""

    def __init__(self, moved: Sequence[tuple[str, str]]) -> None:
        found = listing([_("%(name)s (%(state)s)", name=name, state=STATE_WORDS[state]) for name, state in moved])
        super().__init__(
            _("La situation a changé entre-temps pour %(found)s. Rien n’a été enregistré : vérifiez.", found=found)
        )
        self.moved = tuple(moved)


class TwoTariffs(Refusal):
    """Two tariffs of one service cannot be approved for one child."""

    def __init__(self, name: str) -> None:
        super().__init__(
            _(
                "Deux tarifs du même service sont demandés pour %(name)s : validez-en un seul. Rien n’a été enregistré.",
                name=name,
            )
        )
        self.name = name


class OwnRequest(Forbidden):
    """The clerk belongs to the family."""

    def __init__(self) -> None:
        super().__init__(
            _("Cette demande est celle de votre famille : une autre personne de la mairie doit la traiter.")
        )


class ReferenceKnown(Conflict):
    """The reference stands in this régie for another invoice, or for this one with other facts."""

    def __init__(self, reference: str, same_family: bool, cents: int, due_on: date, state: str) -> None:
        facts = {"reference": reference, "amount": format_euros(cents), "due": day_plain(due_on)}
        if not same_family:
            sentence = _("La facture %(reference)s est déjà notée, pour une autre famille : vérifiez la référence.")
        elif state == "paid":
            sentence = _("La facture %(reference)s est déjà notée pour cette famille, et payée.")
        else:
            sentence = _(
                "La facture %(reference)s est déjà notée pour cette famille : %(amount)s, échéance le %(due)s. "
                "Retirez-la d’abord si elle est fausse."
            )
        super().__init__(sentence % facts)


class InvoiceClosed(Conflict):
    """The invoice is paid or withdrawn already."""

    def __init__(self, reference: str, state: str) -> None:
        if state == "paid":
            sentence = _("La facture %(reference)s est déjà notée comme payée : rien n’a changé.", reference=reference)
        else:
            sentence = _("La facture %(reference)s est déjà retirée : rien n’a changé.", reference=reference)
        super().__init__(sentence)


class OwnInvoice(Forbidden):
    """The clerk belongs to the family."""

    def __init__(self) -> None:
        super().__init__(
            _("Cette famille est la vôtre : une autre personne de la mairie doit s’occuper de ses factures.")
        )
