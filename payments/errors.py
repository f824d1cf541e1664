"""Refusals of payments.

GatewayDown         503: the provider did not answer in time, or answered that it cannot
GatewayRefused      503: the provider refused what we asked; nothing was created there
AttemptUnderWay     409: the order awaits the outcome of an earlier attempt
CardRefused         422: the sandbox's card was refused, or is none of its test cards

EventRefused and MoveRefused are no refusals to a person: the first answers a provider, the second stops a mistake of ours.
"""

from shop.errors import Conflict, Refusal
from shop.words import gettext as _


class GatewayDown(Refusal):
    """The provider did not answer in time, or answered that it cannot now. What it did meanwhile is unknown: ask again."""

    status = 503

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(
            _(
                "Le service de paiement ne répond pas pour l’instant. Rien n’a été débité : réessayez dans quelques minutes."
            )
        )
        self.provider = provider
        self.reason = reason


class GatewayRefused(Refusal):
    """The provider refused what we asked for, before it created anything: asking again the same way cannot help."""

    status = 503

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(_("Le paiement par carte est indisponible pour l’instant. Rien n’a été débité."))
        self.provider = provider
        self.reason = reason


class EventRefused(Exception):
    """A notice whose sender cannot be told: forged, stale or unreadable. Nothing of it is kept."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AttemptUnderWay(Conflict):
    """An earlier attempt to pay the same order has no known outcome yet: a second one could charge twice."""

    def __init__(self, payment_key: str) -> None:
        super().__init__(
            _("Un paiement de cette commande est déjà en cours. Attendez son résultat avant de recommencer.")
        )
        self.payment_key = payment_key


class CardRefused(Refusal):
    """The sandbox refused the card; another one may be tried."""


class MoveRefused(Exception):
    """A payment was to move between two states that have no way between them."""

    def __init__(self, key: str, state: str, to: str) -> None:
        super().__init__(f"payment {key}: {state} to {to}")
        self.state = state
        self.to = to
