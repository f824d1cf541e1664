"""Refusals of the wallet."""

from shop.errors import Conflict, Refusal
from shop.money import format_euros
from shop.words import gettext as _


class BalanceTooShort(Refusal):
    """The wallet does not hold enough. `missing_cents` is what a top-up must bring at least."""

    def __init__(self, balance_cents: int, needed_cents: int) -> None:
        self.balance_cents = balance_cents
        self.needed_cents = needed_cents
        self.missing_cents = needed_cents - balance_cents
        super().__init__(
            _(
                "Il manque %(missing)s dans votre porte-monnaie : il contient %(balance)s, il faut %(needed)s.",
                missing=format_euros(self.missing_cents),
                balance=format_euros(balance_cents),
                needed=format_euros(needed_cents),
            )
        )


class KeyReused(Conflict):
    """The key of an entry came again with other facts: a fault of the caller, never of the family."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(_("Cette opération a déjà été enregistrée autrement. Rien n’a été modifié."))


class TopUpRefused(Refusal):
    """The amount is outside the régie's bounds."""

    def __init__(self, minimum_cents: int, maximum_cents: int) -> None:
        self.minimum_cents = minimum_cents
        self.maximum_cents = maximum_cents
        super().__init__(
            _(
                "Choisissez un montant entre %(least)s et %(most)s.",
                least=format_euros(minimum_cents),
                most=format_euros(maximum_cents),
            )
        )
