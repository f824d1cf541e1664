"""Money is whole cents of euro. `Decimal` appears only while an amount is read or a rate applied; floats never."""

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from shop.errors import Refusal
from shop.words import NO_BREAK_SPACE
from shop.words import gettext as _

LARGEST_AMOUNT_CENTS = 10_000_000

# ASCII digits on purpose: `\d` would take "١٢" and Decimal would read it as 12.
_AMOUNT = re.compile(r"([0-9]{1,100})(?:[.,]([0-9]+))?")
_SPACES = str.maketrans("", "", " \u00a0\u202f\u2009")


class AmountRefused(Refusal):
    """What was typed is not an amount of money."""

    def __init__(self, typed: str, reason: str) -> None:
        super().__init__(reason)
        self.typed = typed


class AmountTooLarge(AmountRefused):
    """It is an amount, and more than any that is asked for."""

    def __init__(self, typed: str) -> None:
        super().__init__(typed, _("Ce montant est trop grand."))


def parse_euros(typed: str) -> int:
    """Cents for an amount as people type it ("15", "15,2", "15.20", "1 500,00 €"); never negative.

    Raises `AmountRefused` for anything else: signs, exponents, other digits, more than two decimals; `AmountTooLarge` for
    what is too much.
    """
    text = typed.translate(_SPACES).removesuffix("€")
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise AmountRefused(typed, _("Écrivez un montant en euros, par exemple 15,20."))
    euros, decimals = match.group(1), match.group(2) or ""
    if len(decimals) > 2:
        raise AmountRefused(typed, _("Un montant a deux chiffres au plus après la virgule, par exemple 15,20."))
    cents = int(euros) * 100 + int(decimals.ljust(2, "0") or 0)
    if cents > LARGEST_AMOUNT_CENTS:
        raise AmountTooLarge(typed)
    return cents


def format_euros(cents: int) -> str:
    """The amount as French people read it: 1520 → "15,20 €", with no-break spaces."""
    sign = "\u2212" if cents < 0 else ""
    euros, rest = divmod(abs(cents), 100)
    grouped = f"{euros:,}".replace(",", NO_BREAK_SPACE)
    return f"{sign}{grouped},{rest:02d}{NO_BREAK_SPACE}€"


def round_half_up(amount_cents: Decimal) -> int:
    """A computed amount in cents, rounded half up (away from zero), once."""
    return int(amount_cents.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def split(total_cents: int, weights: Sequence[int]) -> list[int]:
    """`total_cents` shared in proportion to `weights`, no cent lost (largest remainder, first come first)."""
    if total_cents < 0 or not weights or min(weights) < 0 or sum(weights) == 0:
        raise ValueError("a non-negative total and at least one positive weight are needed")
    whole = sum(weights)
    shares = [total_cents * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total_cents * weights[i] % whole), i))
    for i in by_remainder[: total_cents - sum(shares)]:
        shares[i] += 1
    return shares
