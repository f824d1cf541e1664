"""Refusals of the basket."""

from collections.abc import Sequence
from datetime import date

from shop.errors import Conflict, Refusal
from shop.french import day_long
from shop.words import gettext as _
from shop.words import ngettext


class MealsRefused(Refusal):
    """Some of the meals cannot be put in the basket. `problems` says which and why, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__(
            ngettext(
                "Un repas ne peut pas être réservé : rien n’a été ajouté au panier.",
                "%(count)s repas ne peuvent pas être réservés : rien n’a été ajouté au panier.",
                len(self.problems),
            )
        )


class NothingChosen(Refusal):
    """No meal was ticked."""

    def __init__(self) -> None:
        super().__init__(_("Cochez au moins un repas avant de l’ajouter au panier."))


class AlreadyWaiting(Conflict):
    """The child is on the waiting list of that day."""

    def __init__(self, who: str, day: date) -> None:
        facts = {"who": who, "day": day_long(day)}
        super().__init__(_("%(who)s, %(day)s : déjà sur la liste d’attente.", **facts))


class CannotWait(Refusal):
    """There is nothing to wait for; the sentence says why."""


class PaymentUnderWay(Conflict):
    """The basket is being paid by card: it cannot change meanwhile."""

    def __init__(self) -> None:
        super().__init__(
            _("Un paiement par carte est en cours pour ce panier. Terminez-le ou abandonnez-le avant de le modifier.")
        )


class TooManyMeals(Refusal):
    """More meals at once than a basket takes."""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(_("Un panier contient %(most)s repas au plus. Payez-le, puis réservez la suite.", most=most))


class BookingWaits(Refusal):
    """The household owes something, here or elsewhere, for longer than the service's rule lets it: nothing new is booked
    until it is settled."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
