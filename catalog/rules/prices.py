"""What a meal costs, and why: grids, surcharges, credits. Amounts are cents; what is computed is rounded half up, once.

A dated price of a tariff is flat, or a grid: rows with conditions on the family, exactly one of which holds in every
situation. What is not known of a family (no quotient was shown) counts as the row that costs most.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any, Literal, NamedTuple

from shop.french import plural
from shop.money import format_euros, round_half_up
from shop.words import gettext as _

LEVELS = ("nursery", "elementary", "secondary")
LEVEL_NAMES = {"nursery": _("maternelle"), "elementary": _("élémentaire"), "secondary": _("collège")}
AXES = ("quotient", "rank", "eating")
"""What a row may bound by numbers: the family quotient in euros (from 0), the child's rank by age among the family's
children (from 1), how many of the family's children eat that day, this one included (from 1)."""
LEAST = {"quotient": 0, "rank": 1, "eating": 1}
AGE_IN_FIRST_CLASS = 6
FIRST_SECONDARY_AGE = 11


class Situation(NamedTuple):
    """What a grid asks of a child and a day; nothing where it is not known."""

    quotient: int | None = None
    rank: int | None = None
    eating: int | None = None
    level: str | None = None


@dataclass(frozen=True)
class Row:
    """A line of a grid: where it holds, and its price, flat or by an effort rate on the quotient."""

    quotient_from: int | None = None
    quotient_to: int | None = None
    rank_from: int | None = None
    rank_to: int | None = None
    eating_from: int | None = None
    eating_to: int | None = None
    level: str | None = None
    cents: int = 0
    """The price, where there is no rate."""
    rate: str | None = None
    """The percentage of the quotient, as a decimal number: "0.45"."""
    floor: int = 0
    ceiling: int = 0
    """Bounds of what the rate gives, in cents."""

    def as_json(self) -> dict[str, Any]:
        """The row as a price keeps it; a bound of 0 is one."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) != item.default}

    def bounds(self, axis: str) -> tuple[int, int | None]:
        """From where to where (both included; nothing for no end) the row holds on an axis."""
        first: int | None = getattr(self, f"{axis}_from")
        return LEAST[axis] if first is None else first, getattr(self, f"{axis}_to")

    def may_hold(self, situation: Situation) -> bool:
        """Whether the row holds in that situation, or might, for all that is known of it."""
        if None not in (self.level, situation.level) and self.level != situation.level:
            return False
        for axis in AXES:
            value = getattr(situation, axis)
            first, last = self.bounds(axis)
            if value is not None and (value < first or (last is not None and value > last)):
                return False
        return True

    def price(self, quotient: int | None) -> int:
        """Cents; with a rate and no quotient, the ceiling."""
        if self.rate is None:
            return self.cents
        if quotient is None:
            return self.ceiling
        # So many hundredths of a euro for each euro of quotient.
        found = round_half_up(Decimal(quotient) * Decimal(self.rate))
        return min(max(found, self.floor), self.ceiling)


Grid = tuple[Row, ...]


def read_grid(facts: Iterable[dict[str, Any]]) -> Grid:
    """The grid of a price's row."""
    return tuple(Row(**fact) for fact in facts)


def axes(grid: Grid) -> tuple[str, ...]:
    """What the grid asks: among `AXES` and "level"."""
    found = [axis for axis in AXES if any(row.bounds(axis) != (LEAST[axis], None) for row in grid)]
    if any(row.rate is not None for row in grid) and "quotient" not in found:
        found.insert(0, "quotient")
    return (*found, *(["level"] if any(row.level for row in grid) else []))


class Hole(NamedTuple):
    """A situation in which no row of a grid holds, or several do."""

    situation: Situation
    """What the grid asks of it, and nothing else."""
    rows: tuple[int, ...]
    """The places of the rows that hold there."""


def holes(grid: Grid) -> Iterator[Hole]:
    """Every kind of situation in which not exactly one row holds. It is enough to look where rows begin and end."""
    points = {axis: _points(grid, axis) for axis in AXES}
    levels: Sequence[str | None] = LEVELS if any(row.level for row in grid) else (None,)
    asked = axes(grid)
    for quotient, rank, eating, level in product(points["quotient"], points["rank"], points["eating"], levels):
        situation = Situation(quotient, rank, eating, level)
        held = tuple(place for place, row in enumerate(grid) if row.may_hold(situation))
        if len(held) != 1:
            yield Hole(Situation(**{axis: getattr(situation, axis) for axis in asked}), held)


def _points(grid: Grid, axis: str) -> list[int]:
    found = {LEAST[axis]}
    for row in grid:
        first, last = row.bounds(axis)
        found |= {first} if last is None else {first, last + 1}
    return sorted(point for point in found if point >= LEAST[axis])


@dataclass(frozen=True)
class Surcharge:
    """What is asked in place of the ordinary price: a sum more, a percentage more, or another price. One is given."""

    more: int | None = None
    percent: str | None = None
    """As a decimal number: "50", "12.5"."""
    price: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The surcharge as a row keeps it."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def on(self, ordinary: int, cost_price: int | None = None) -> int:
        """Cents for a meal of that ordinary price; never above what the meal costs the commune, where it says so, unless
        the ordinary price is above it already."""
        if self.price is not None:
            found = self.price
        elif self.percent is not None:
            found = round_half_up(Decimal(ordinary) * (100 + Decimal(self.percent)) / 100)
        else:
            found = ordinary + (self.more or 0)
        return found if cost_price is None else min(found, max(cost_price, ordinary))

    def words(self) -> str:
        """ "50 % de plus", "1,00 € de plus", "10,00 € le repas"."""
        if self.price is not None:
            return _("%(amount)s le repas", amount=format_euros(self.price))
        if self.percent is not None:
            return _("%(percent)s\u00a0%% de plus", percent=self.percent.replace(".", ","))
        return _("%(amount)s de plus", amount=format_euros(self.more or 0))


def cap_words(ordinary: int, cost_price: int) -> str:
    """Why a surcharge on that ordinary price was kept below what it says."""
    amount = format_euros(cost_price)
    if ordinary > cost_price:
        return _(
            "Le prix à temps dépasse déjà le prix de revient, %(amount)s : rien de plus n’est demandé.", amount=amount
        )
    return _("Plafonné au prix de revient, %(amount)s.", amount=amount)


class Priced(NamedTuple):
    """What a meal costs."""

    cents: int
    ordinary: int
    """What it would cost in time, in cents."""
    row: Row | None
    """The row of the grid that gave it; nothing for a flat price."""
    unknown: tuple[str, ...]
    """What of the grid's questions is not known of the family."""


def ordinary_price(flat: int, grid: Grid | None, situation: Situation) -> Priced:
    """The price in time: `flat` where there is no grid. Raises `LookupError` where no row of the grid holds."""
    if grid is None:
        return Priced(flat, flat, None, ())
    rows = [row for row in grid if row.may_hold(situation)]
    if not rows:
        raise LookupError(f"no price for {situation}")
    row = max(rows, key=lambda row: row.price(situation.quotient))
    cents = row.price(situation.quotient)
    unknown = tuple(axis for axis in axes(grid) if getattr(situation, axis) is None)
    return Priced(cents, cents, row, unknown)


def highest(grid: Grid) -> int:
    """What the grid asks of a family of which nothing is known, in cents."""
    return max(row.price(None) for row in grid)


def lowest(grid: Grid) -> int:
    """The least that the grid can ask, in cents."""
    return min(row.cents if row.rate is None else row.floor for row in grid)


def level_on(school_level: str | None, born: date | None, school_year: int) -> str | None:
    """The level of a child in the school year that begins in that civil year.

    The school's own; where a school has nursery and elementary classes, by age: a child enters the first elementary class
    in the September of the year in which it turns six (code de l'éducation, L113-1 and D321-3). Nothing when neither tells.
    """
    if school_level in LEVELS:
        return school_level
    if born is None:
        return None
    age = school_year - born.year
    if age < AGE_IN_FIRST_CLASS:
        return "nursery"
    return "elementary" if age < FIRST_SECONDARY_AGE or school_level == "primary" else "secondary"


Credit = Literal["full", "none"] | int
"""What a cancelled meal gives back: all that was paid, nothing, or so many cents."""


def credit(rule: Credit, paid: int) -> int:
    """Cents given back for a meal that was paid; never more than was paid."""
    if rule == "full":
        return paid
    return 0 if rule == "none" else min(rule, paid)


def row_words(row: Row) -> str:
    """Where a row holds, as parents read it: "quotient de 623 à 1000", "maternelle, 2 enfants ce jour-là"."""
    parts = []
    if row.level is not None:
        parts.append(LEVEL_NAMES[row.level])
    if "quotient" in axes((row,)) and (row.quotient_from, row.quotient_to) != (None, None):
        parts.append(_range_words(row, "quotient"))
    if row.rank_from is not None or row.rank_to is not None:
        parts.append(_range_words(row, "rank"))
    if row.eating_from is not None or row.eating_to is not None:
        parts.append(_range_words(row, "eating"))
    return ", ".join(parts) or _("tous")


def situation_words(situation: Situation) -> str:
    """A situation as people read it: "quotient 700, 2e enfant"; with nothing known, every one."""
    parts = []
    if situation.level is not None:
        parts.append(LEVEL_NAMES[situation.level])
    if situation.quotient is not None:
        parts.append(_("quotient %(quotient)d", quotient=situation.quotient))
    if situation.rank is not None:
        parts.append(_("%(rank)s enfant", rank=_ordinal(situation.rank)))
    if situation.eating is not None:
        parts.append(_("%(count)s ce jour-là", count=plural(situation.eating, _("enfant"))))
    return ", ".join(parts) or _("dans tous les cas")


def _range_words(row: Row, axis: str) -> str:
    first, last = row.bounds(axis)
    if axis == "quotient":
        if last is None:
            return _("quotient à partir de %(first)d", first=first)
        if first == 0:
            return _("quotient jusqu’à %(last)d", last=last)
        return _("quotient de %(first)d à %(last)d", first=first, last=last)
    if axis == "rank":
        if last == first:
            return _("%(rank)s enfant", rank=_ordinal(first))
        if last is None:
            return _("%(rank)s enfant et suivants", rank=_ordinal(first))
        return _("du %(first)s au %(last)s enfant", first=_ordinal(first), last=_ordinal(last))
    if last == first:
        return _("%(count)s ce jour-là", count=plural(first, _("enfant")))
    if last is None:
        return _("%(count)s ou plus ce jour-là", count=plural(first, _("enfant")))
    return _("de %(first)d à %(last)d enfants ce jour-là", first=first, last=last)


def _ordinal(number: int) -> str:
    return _("1er") if number == 1 else _("%(number)de", number=number)


def amount_words(row: Row) -> str:
    """What a row asks, as parents read it: "3,30 €", "0,45 % du quotient, de 1,00 € à 6,00 €"."""
    if row.rate is None:
        return format_euros(row.cents)
    return _(
        "%(rate)s %% du quotient, de %(floor)s à %(ceiling)s",
        rate=row.rate.replace(".", ","),
        floor=format_euros(row.floor),
        ceiling=format_euros(row.ceiling),
    )
