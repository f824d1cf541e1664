"""Refusals of the checkout."""

from collections.abc import Sequence

from shop.errors import Conflict, Gone, Refusal
from shop.french import plural
from shop.money import format_euros
from shop.words import gettext as _
from shop.words import ngettext


class BasketRefused(Refusal):
    """Some meals of the basket cannot be ordered as they stand. `problems`: line id → the sentence that says why."""

    def __init__(self, problems: dict[int, str]) -> None:
        self.problems = problems
        super().__init__(
            ngettext(
                "Un repas de votre panier pose problème. Rien n’a été payé.",
                "%(count)s repas de votre panier posent problème. Rien n’a été payé.",
                len(problems),
            )
        )


class EmptyBasket(Refusal):
    """There is nothing to pay for."""

    def __init__(self) -> None:
        super().__init__(_("Votre panier est vide."))


class TotalChanged(Conflict):
    """The total that the person saw is not the total now: nothing is ever repriced silently."""

    def __init__(self, seen_cents: int, total_cents: int) -> None:
        self.seen_cents = seen_cents
        self.total_cents = total_cents
        super().__init__(
            _(
                "Le total a changé : il était de %(seen)s, il est de %(total)s. Rien n’a été payé ; vérifiez le panier.",
                seen=format_euros(seen_cents),
                total=format_euros(total_cents),
            )
        )


class WeekWaits(Refusal):
    """New bookings of the household wait. Why is told to nobody who merely holds a reminder's link."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "De nouvelles réservations doivent attendre. Rien n’a été réservé ni payé : connectez-vous, la page "
                "« Réserver » dit pourquoi."
            )
        )


class WeekChanged(Conflict):
    """What a reminder's link offers has another total than the one that the person saw."""

    def __init__(self, seen_cents: int, total_cents: int) -> None:
        super().__init__(
            _(
                "Le total a changé : il était de %(seen)s, il est de %(total)s. Rien n’a été réservé ni payé : voici ce que "
                "ce lien réserve maintenant.",
                seen=format_euros(seen_cents),
                total=format_euros(total_cents),
            )
        )


class BelowMinimum(Refusal):
    """The amount is too small for a card payment."""

    def __init__(self, minimum_cents: int) -> None:
        self.minimum_cents = minimum_cents
        super().__init__(
            _(
                "Le paiement par carte commence à %(least)s. Payez avec votre porte-monnaie, ou ajoutez des repas.",
                least=format_euros(minimum_cents),
            )
        )


class PlaceJustTaken(Conflict):
    """Somebody else was faster at the very last instant."""

    def __init__(self) -> None:
        super().__init__(_("Une place vient d’être prise. Rien n’a été payé : vérifiez votre panier et recommencez."))


class AlreadyBooked(Conflict):
    """The child's other home, or another page, has booked one of the meals at the very last instant."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "Un de ces repas vient d’être réservé, dans une autre page ou par l’autre parent. Rien n’a été payé : "
                "vérifiez votre panier et recommencez."
            )
        )


class TwoAmounts(Refusal):
    """One amount is ticked and another one typed: which of them is meant is for the person to say."""

    def __init__(self, ticked_cents: int, typed_cents: int) -> None:
        self.ticked_cents = ticked_cents
        self.typed_cents = typed_cents
        super().__init__(
            _(
                "Vous avez coché %(ticked)s et écrit %(typed)s. Gardez un seul montant : cochez « Autre montant », ou videz "
                "le champ. Rien n’a été débité.",
                ticked=format_euros(ticked_cents),
                typed=format_euros(typed_cents),
            )
        )


class CannotCancel(Refusal):
    """Some of the meals cannot be cancelled; then none is."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__(_("Rien n’a été annulé."))


class CreditChanged(Conflict):
    """The credit that the person was shown is not the credit now."""

    def __init__(self, seen_cents: int, credit_cents: int) -> None:
        self.seen_cents = seen_cents
        self.credit_cents = credit_cents
        super().__init__(
            _(
                "Le montant à recréditer a changé : %(now)s au lieu de %(seen)s. Rien n’a été annulé.",
                now=format_euros(credit_cents),
                seen=format_euros(seen_cents),
            )
        )


class AlreadyCalledOff(Conflict):
    """The day is not served, or called off already for those whom the clerk means."""

    def __init__(self) -> None:
        super().__init__(_("Ce jour est déjà annulé ou fermé pour ces élèves."))


class CallOffChanged(Conflict):
    """What the clerk saw is not what calling off would do now."""

    def __init__(self, meals: int, cents: int, unbooked: int = 0) -> None:
        """`unbooked`: of the meals, those without a booking."""
        words = (
            _("La liste a changé : %(meals)s, dont %(unbooked)s sans réservation, et %(credit)s à créditer maintenant.")
            if unbooked
            else _("La liste a changé : %(meals)s et %(credit)s à créditer maintenant.")
        )
        facts = {"meals": plural(meals, "repas"), "unbooked": unbooked, "credit": format_euros(cents)}
        super().__init__(words % facts + " " + _("Vérifiez, puis confirmez."))


class TooLateToTakeBack(Conflict):
    """The call-off was carried out, or taken back already."""

    def __init__(self) -> None:
        super().__init__(_("Trop tard : cette annulation est déjà faite, ou déjà retirée."))


class NothingBooked(Refusal):
    """The child has no meal on these days."""

    def __init__(self) -> None:
        super().__init__(_("Aucun repas n’est réservé ces jours-là : il n’y a rien à changer."))


class NothingToChange(Refusal):
    """The days that were chosen are how things stand already."""

    def __init__(self) -> None:
        super().__init__(_("Il n’y a rien à changer : tout est déjà ainsi."))


class ChangeMoved(Conflict):
    """A change of days would not do what the family saw. `differences`: a sentence for each meal."""

    def __init__(self, differences: Sequence[str]) -> None:
        self.differences = list(differences)
        super().__init__(_("La situation a changé depuis l’aperçu : rien n’a été modifié. Vérifiez, puis confirmez."))


class ReminderOver(Gone):
    """The link of a reminder about a week that is too old, or whose account has changed."""

    def __init__(self) -> None:
        super().__init__(_("Ce lien n’est plus valable : connectez-vous et choisissez « Réserver »."))


class NothingLeft(Conflict):
    """Nothing of what a link offers can still be booked, or all of it is."""

    def __init__(self) -> None:
        super().__init__(_("Il ne reste rien à réserver avec ce lien : voyez vos réservations et votre panier."))


class CannotGiveBack(Refusal):
    """The meal cannot be given back to another family."""

    def __init__(self, why: str) -> None:
        super().__init__(why)


class CannotKeep(Conflict):
    """Another family has taken the meal that was given back, or is paying for it."""

    def __init__(self, paid: bool) -> None:
        self.paid = paid
        super().__init__(
            _("Trop tard : une autre famille a repris ce repas. Son prix est dans votre porte-monnaie.")
            if paid
            else _("Une autre famille est en train de payer ce repas. Si elle abandonne, vous pourrez le garder.")
        )


class CannotBeUnbooked(Refusal):
    """The child cannot have eaten without a booking that day."""


class EatenAlready(Conflict):
    """The child's meal of that day is noted already, for another family of its."""

    def __init__(self) -> None:
        super().__init__(_("Ce repas est déjà noté, pour l’autre foyer de l’enfant. Rien n’a été noté."))


class OtherHomesDay(Refusal):
    """The child's other home decides on that day by the custody calendar, and can be charged."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "D’après le calendrier de garde, ce jour est celui de l’autre foyer de l’enfant : c’est lui qui doit ce "
                "repas. Rien n’a été noté."
            )
        )


class PriceUnknown(Refusal):
    """The catalogue has no price for the meal, or several: never a price of our choosing."""

    def __init__(self) -> None:
        super().__init__(
            _("Le prix de ce repas n’est pas connu : corrigez le catalogue, puis notez-le. L’enfant mange quand même.")
        )


class PriceChanged(Conflict):
    """The price that the clerk was shown is not the price now."""

    def __init__(self, seen_cents: int, cents: int) -> None:
        self.seen_cents = seen_cents
        self.cents = cents
        super().__init__(
            _(
                "Le prix a changé : %(now)s au lieu de %(seen)s. Rien n’a été noté.",
                now=format_euros(cents),
                seen=format_euros(seen_cents),
            )
        )


class DuesChanged(Conflict):
    """What the family saw of its amounts due is not what is due now."""

    def __init__(self, seen_cents: int, cents: int) -> None:
        self.seen_cents = seen_cents
        self.cents = cents
        super().__init__(
            _(
                "Les montants dus ont changé : %(now)s au lieu de %(seen)s. Rien n’a été réglé.",
                now=format_euros(cents),
                seen=format_euros(seen_cents),
            )
        )
