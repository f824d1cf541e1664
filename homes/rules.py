"""Decisions about a child who lives in two homes: values in, values out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from shop.errors import Refusal
from shop.words import gettext as _

LONGEST_SWAP = timedelta(days=60)
FURTHEST = timedelta(days=730)
"""How far ahead a calendar may begin or a swap lie."""


class Calendar(NamedTuple):
    """A custody calendar that both homes have agreed to."""

    first_day: date
    even_home: int
    odd_home: int
    holidays_home: int
    """Whose is the first half of the school holidays that begin in an even year."""


class Swap(NamedTuple):
    """Days, both included, that both homes have given to one of them."""

    first_day: date
    last_day: date
    home: int


class Stretch(NamedTuple):
    """School holidays: the first and the last day without school."""

    first_day: date
    last_day: date


@dataclass(frozen=True)
class Custody:
    """What two homes have agreed about a child, in the order in which they agreed, and the school holidays of its commune."""

    calendars: Sequence[Calendar] = ()
    swaps: Sequence[Swap] = ()
    holidays: Sequence[Stretch] = ()

    def home_on(self, day: date) -> int | None:
        """The home that decides on a day; nothing where nothing is agreed: then either may book, and who books first has it.

        A swap comes before every calendar. Of what overlaps, what was agreed last counts.
        """
        for swap in reversed(self.swaps):
            if swap.first_day <= day <= swap.last_day:
                return swap.home
        for calendar in reversed(self.calendars):
            if calendar.first_day <= day:
                return _home_by(calendar, day, self.holidays)
        return None


def _home_by(calendar: Calendar, day: date, holidays: Sequence[Stretch]) -> int:
    stretch = next((one for one in holidays if one.first_day <= day <= one.last_day), None)
    if stretch is None:
        # Weeks 53 and 1 are both odd: after a year of 53 weeks the same home has two in a row.
        return calendar.even_home if day.isocalendar().week % 2 == 0 else calendar.odd_home
    other = calendar.odd_home if calendar.holidays_home == calendar.even_home else calendar.even_home
    in_first_half = day <= last_of_first_half(stretch)
    in_even_year = stretch.first_day.year % 2 == 0
    return calendar.holidays_home if in_first_half == in_even_year else other


def last_of_first_half(stretch: Stretch) -> date:
    """The last day of the first half of holidays; where their days are odd in number, the middle one belongs to it."""
    return stretch.first_day + (stretch.last_day - stretch.first_day) // 2


def check_first_day(first_day: date, today: date) -> None:
    """Refuses a calendar that would begin in the past or too far ahead."""
    if first_day < today:
        raise Refusal(_("Choisissez un premier jour à partir d’aujourd’hui."))
    if first_day - today > FURTHEST:
        raise Refusal(_("Choisissez un premier jour dans les deux ans qui viennent."))


def check_swap(first_day: date, last_day: date, today: date, waiting: Sequence[Swap]) -> None:
    """Refuses a swap in the past, upside down, of more than two months, or over days for which one waits already."""
    if last_day < first_day:
        raise Refusal(_("Le dernier jour vient après le premier."))
    if first_day < today:
        raise Refusal(_("Choisissez des jours à partir d’aujourd’hui."))
    if last_day - first_day > LONGEST_SWAP or first_day - today > FURTHEST:
        raise Refusal(_("Un échange porte sur deux mois au plus, dans les deux ans qui viennent."))
    if any(swap.first_day <= last_day and first_day <= swap.last_day for swap in waiting):
        raise Refusal(_("Une demande attend déjà pour ces jours-là : répondez-y ou retirez-la d’abord."))


def check_invitation(relation: str, homes: int, already_sent: bool, to_oneself: bool) -> None:
    """Refuses an invitation for an adult, for a child who has two homes, a second one, and one to one's own address."""
    if relation == "self":
        raise Refusal(_("Seul un enfant peut avoir deux foyers."))
    if homes > 1:
        raise Refusal(_("Cet enfant a déjà deux foyers : il ne peut pas en avoir un troisième."))
    if already_sent:
        raise Refusal(_("Une invitation attend déjà une réponse : retirez-la avant d’en envoyer une autre."))
    if to_oneself:
        raise Refusal(_("Cette adresse est celle de votre propre foyer : écrivez celle de l’autre parent."))
