"""Decisions about menus."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dish:
    """One dish of a menu."""

    name: str
    vegetarian: bool


VEGETARIAN = "(végétarien)"


def dishes(menu: str | None) -> tuple[Dish, ...]:
    """The dishes of a menu as a serving day keeps it: one a line, "(végétarien)" at the end of one that is."""
    lines = (line.strip() for line in (menu or "").splitlines())
    return tuple(Dish(line.removesuffix(VEGETARIAN).rstrip(), line.endswith(VEGETARIAN)) for line in lines if line)
