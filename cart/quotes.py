"""What one meal costs one child on one day, how that came about, and what cancelling it gives back."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from catalog.rules.policies import Policies
from catalog.rules.prices import (
    Grid,
    Row,
    Situation,
    Surcharge,
    amount_words,
    axes,
    cap_words,
    credit,
    level_on,
    ordinary_price,
    row_words,
)
from enrolments.rules import school_year_of
from shop.french import day_plain, listing, plural
from shop.money import format_euros
from shop.words import gettext as _
from shop.words import ngettext


class Pupil(NamedTuple):
    """A child of a household as grids ask about it."""

    rank: int
    """By age among the household's children, from 1."""
    school_level: str | None
    born: date | None


class Family(NamedTuple):
    """What grids ask about a household; it is read only where a grid asks."""

    quotients: Sequence[tuple[int, date, date, int]] = ()
    """Commune, first day, last day, quotient; those of a commune do not overlap."""
    pupils: Mapping[int, Pupil] = {}
    """The household's children."""

    def quotient_on(self, commune_id: int, day: date) -> int | None:
        """The quotient that was shown to the commune for that day, if one was."""
        return next(
            (value for key, first, last, value in self.quotients if key == commune_id and first <= day <= last), None
        )

    def eating(self, children: Collection[int]) -> int:
        """How many of these beneficiaries are children of the household; at least one, for whom a price is asked."""
        return max(len(self.pupils.keys() & set(children)), 1)


NOBODY = Family()


class Quote(NamedTuple):
    """The price of a meal."""

    cents: int
    credit_cents: int
    """What the wallet gets back when it is cancelled in time."""
    basis: str | None
    """How the price came about, as JSON; nothing for a flat price in time."""


class Terms(NamedTuple):
    """What a service asks, and of whom."""

    policies: Policies
    commune_id: int
    family: Family = NOBODY


def quote(cents: int, grid: Grid | None, terms: Terms, child_id: int, day: date, eating: int, late: bool) -> Quote:
    """The price of a meal at a tariff of that price (`cents` where it has no grid).

    `eating` is how many of the family's children eat at the service that day, this one included. Raises `LookupError` where
    the grid has no row for it: an error of the catalogue, never a price of our choosing.
    """
    if grid is None and not late:
        return Quote(cents, credit(terms.policies.credit, cents), None)
    policies = terms.policies
    asked, basis = _ordinary(cents, grid, terms, child_id, day, eating)
    if late and policies.late is not None:
        asked = _surcharged(policies.late.surcharge, asked, policies, basis, "late")
    return Quote(asked, credit(policies.credit, asked), json.dumps(basis, sort_keys=True))


def quote_unbooked(
    cents: int, grid: Grid | None, terms: Terms, child_id: int, day: date, eating: int, times: int
) -> Quote:
    """The price of a meal that is eaten without a booking, the `times`-th of the child's school year at the service; it
    is never credited. Otherwise as `quote`."""
    asked, basis = _ordinary(cents, grid, terms, child_id, day, eating)
    unbooked = terms.policies.unbooked
    if unbooked is None or times <= unbooked.free:
        basis |= {"unbooked": None, "times": times, "free": unbooked.free if unbooked else None}
    else:
        asked = _surcharged(unbooked.surcharge, asked, terms.policies, basis, "unbooked")
    return Quote(asked, 0, json.dumps(basis, sort_keys=True))


def _ordinary(
    cents: int, grid: Grid | None, terms: Terms, child_id: int, day: date, eating: int
) -> tuple[int, dict[str, Any]]:
    """The price in time and how it came about."""
    situation = _situation(grid, terms, child_id, day, eating) if grid else Situation()
    priced = ordinary_price(cents, grid, situation)
    basis: dict[str, Any] = {}
    if priced.row is not None:
        basis["row"] = priced.row.as_json()
        basis |= {name: value for name, value in situation._asdict().items() if value is not None}
        if priced.unknown:
            basis["unknown"] = list(priced.unknown)
    return priced.cents, basis


def _surcharged(surcharge: Surcharge, ordinary: int, policies: Policies, basis: dict[str, Any], name: str) -> int:
    """The price with a surcharge; `basis` is told, under that name."""
    asked = surcharge.on(ordinary, policies.cost_price)
    basis |= {name: surcharge.as_json(), "ordinary": ordinary}
    if asked < surcharge.on(ordinary):
        basis["cost_price"] = policies.cost_price
    return asked


def as_freed(price: Quote) -> Quote:
    """The price of a meal that another family has given back: the same, and its basis says so."""
    basis = {**json.loads(price.basis or "{}"), "freed": True}
    return price._replace(basis=json.dumps(basis, sort_keys=True))


def says(basis: str | None, what: Literal["freed", "late"]) -> bool:
    """Whether it was the price of a meal that another family has given back, or a late price."""
    return basis is not None and what in json.loads(basis)


def _situation(grid: Grid, terms: Terms, child_id: int, day: date, eating: int) -> Situation:
    asked = axes(grid)
    pupil = terms.family.pupils.get(child_id)
    level = level_on(pupil.school_level, pupil.born, school_year_of(day)) if pupil else None
    return Situation(
        terms.family.quotient_on(terms.commune_id, day) if "quotient" in asked else None,
        pupil.rank if pupil and "rank" in asked else None,
        eating if "eating" in asked else None,
        level if "level" in asked else None,
    )


def asks_who_eats(grid: Grid | None) -> bool:
    """Whether a price moves with how many of the family's children eat that day."""
    return grid is not None and "eating" in axes(grid)


def reasons(basis: str | None, cents: int, tariff_label: str, valid_from: date, decided_on: date | None) -> list[str]:
    """Why a meal cost what it cost, sentence by sentence, as parents read it."""
    facts: dict[str, Any] = json.loads(basis) if basis else {}
    found = [_("Tarif « %(label)s », en vigueur depuis le %(day)s.", label=tariff_label, day=day_plain(valid_from))]
    if decided_on is not None:
        found.append(_("Décidé par le conseil le %(day)s.", day=day_plain(decided_on)))
    if "row" in facts:
        found += _row_reasons(Row(**facts["row"]), facts)
    if "unbooked" in facts and facts["unbooked"] is None:
        found.append(_ordinary_reason(facts["free"]))
    surcharged = facts.get("late") or facts.get("unbooked")
    if surcharged:
        surcharge = Surcharge(**surcharged)
        words = _("Réservé hors délai : %(words)s (%(ordinary)s à temps).")
        if "unbooked" in facts:
            words = _("Présent sans réservation : %(words)s (%(ordinary)s à temps).")
        found.append(words % {"words": surcharge.words(), "ordinary": format_euros(facts["ordinary"])})
        if surcharge.percent is not None and facts["ordinary"] * Decimal(surcharge.percent) % 100:
            found.append(_("Arrondi une fois, au centime le plus proche."))
    if "freed" in facts:
        found.append(_("Repas rendu par une autre famille : au prix ordinaire, même après la date limite."))
    if facts.get("cost_price") is not None:
        found.append(cap_words(facts["ordinary"], facts["cost_price"]))
    if len(found) > 1:
        found.append(_("Prix du repas : %(amount)s.", amount=format_euros(cents)))
    return found


def _ordinary_reason(free: int | None) -> str:
    """Why a meal without a booking costs no more than another."""
    if free is None:
        return _("Présent sans réservation : au prix ordinaire.")
    return ngettext(
        "Présent sans réservation : la première fois de l’année scolaire est au prix ordinaire.",
        "Présent sans réservation : les %(count)d premières fois de l’année scolaire sont au prix ordinaire.",
        free,
    )


def _row_reasons(row: Row, facts: Mapping[str, Any]) -> list[str]:
    known = []
    if "quotient" in facts:
        known.append(_("quotient familial %(value)d", value=facts["quotient"]))
    if "rank" in facts:
        known.append(_("rang %(rank)d dans la fratrie", rank=facts["rank"]))
    if "eating" in facts:
        known.append(_("%(count)s de la famille ce jour-là", count=plural(facts["eating"], _("enfant"))))
    found = []
    if known:
        found.append(_("Votre situation : %(known)s.", known=listing(known)))
    found.append(_("Ligne du tarif : %(row)s, %(amount)s.", row=row_words(row), amount=amount_words(row)))
    if "quotient" in facts.get("unknown", ()):
        found.append(
            _("Quotient familial non connu : le prix le plus élevé s’applique. Montrez votre attestation à la mairie.")
        )
    return found
