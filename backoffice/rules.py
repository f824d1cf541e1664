"""What each role may do at the town hall, as data, and small decisions of its pages."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

from shop.french import fold
from shop.words import gettext as _

What = Literal["requests", "decide", "families", "day", "tariffs", "call_off", "roll_call", "charge"]

MAY: dict[str, frozenset[str]] = {
    "manager": frozenset({"requests", "decide", "families", "day", "tariffs", "call_off", "roll_call", "charge"}),
    "auditor": frozenset({"requests", "families", "day", "tariffs"}),
    "cashier": frozenset({"families", "day", "tariffs", "roll_call", "charge"}),
    "kitchen": frozenset({"day", "roll_call"}),
}
"""requests: read requests for access; decide: answer them; families: read their files; day: read a day's list;
tariffs: see at which tariff a child eats; call_off: cancel a day for everybody; roll_call: note who is there; charge: note
what a family owes, a meal without a booking or an invoice of elsewhere, and take it back."""


class Post(NamedTuple):
    """One role in one commune."""

    commune_id: int
    commune_name: str
    role: str


@dataclass(frozen=True)
class Reach:
    """How far a clerk's roles reach."""

    account_id: int
    posts: tuple[Post, ...]

    def communes(self, what: What) -> frozenset[int]:
        """The communes in which she may do this."""
        return frozenset(post.commune_id for post in self.posts if what in MAY[post.role])

    def may(self, what: What) -> bool:
        """Whether she may do this anywhere."""
        return any(what in MAY[post.role] for post in self.posts)

    @property
    def place(self) -> str:
        """The name of her commune, or nothing when she has several."""
        names = {post.commune_name for post in self.posts}
        return names.pop() if len(names) == 1 else ""


def whose_day(home_id: int | None, name: str | None) -> str:
    """Of a child of two homes, whose day it is: the household by the custody calendar, if it says one, and the name under
    which the town hall knows it, if it does."""
    if home_id is None:
        return _("L’enfant a deux foyers, et leur calendrier de garde ne dit rien de ce jour.")
    if name is None:
        return _("L’enfant a deux foyers : d’après le calendrier de garde, ce jour est celui de l’autre foyer.")
    return _(
        "L’enfant a deux foyers : d’après le calendrier de garde, ce jour est celui du foyer de %(who)s.", who=name
    )


def waiting_days(since: date, today: date) -> int:
    """Whole days that a request has waited; never negative."""
    return max((today - since).days, 0)


def pages_of(count: int, size: int) -> int:
    """How many pages `count` things make; at least one."""
    return max(1, -(-count // size))


class Tally(NamedTuple):
    """How many of something."""

    words: str
    number: int


def tally(words: Iterable[str], order: Sequence[str] = ()) -> list[Tally]:
    """How often each word comes: in `order` as far as it goes, then as they first come."""
    counts = Counter(words)
    known = [word for word in order if word in counts]
    return [Tally(word, counts[word]) for word in dict.fromkeys([*known, *counts])]


def escape_like(typed: str) -> str:
    """The text as a pattern in which nothing is a wildcard (escape character: backslash)."""
    return typed.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


class Word(NamedTuple):
    """One word to search for."""

    typed: str
    """In small letters, as e-mail addresses are kept."""
    folded: str
    """As names and telephone numbers are kept to be searched."""


_NUMBER = re.compile(r"(?<![\w.@-])\+?[0-9](?:[\s.()/\u00a0\u202f-]*[0-9]){3,}(?![\w@-])", re.ASCII)


def words_of(typed: str, most: int = 5) -> Sequence[Word]:
    """The words to search for, at most a few: a search must not become a flood of conditions.

    A telephone number is one word, however it is typed: "06 12 34 56 78", "+33 6.12.34.56.78".
    """
    whole = _NUMBER.sub(lambda found: _digits(found.group()), typed)
    return [Word(word.lower(), fold(word)) for word in whole.split() if fold(word)][:most]


def _digits(number: str) -> str:
    digits = re.sub(r"[^0-9+]", "", number)
    return re.sub(r"^(\+|00)(330?)?", lambda found: "0" if found.group(2) else "+", digits)
