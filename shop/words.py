"""The words people read. French is the source language, so a word stands for itself until another language is added.

Sentences are written with ordinary spaces, as they are typed. No line may begin with a colon or end with an opening
guillemet, so they leave here with no-break spaces in these places: once each, for every page and letter.
"""

import gettext as _gettext
import re
from functools import lru_cache
from pathlib import Path

TRANSLATIONS = Path(__file__).parent.parent / "translations"
NO_BREAK_SPACE = "\u00a0"

_catalogue = _gettext.translation("messages", TRANSLATIONS, languages=["fr"], fallback=True)
_BREAKABLE = re.compile(r" (?=[:;!?»])|(?<=«) ")


def no_break(words: str) -> str:
    """The words with a no-break space before each : ; ! ? and », and after each «, where they have an ordinary one."""
    return _BREAKABLE.sub(NO_BREAK_SPACE, words)


@lru_cache(maxsize=4096)
def _written(message: str) -> str:
    return no_break(_catalogue.gettext(message))


def gettext(message: str, **facts: object) -> str:
    """The message in the reader's language, its `%(name)s` places filled from `facts`."""
    words = _written(message)
    return words % facts if facts else words


def ngettext(one: str, many: str, count: int, **facts: object) -> str:
    """`one` or `many` by French grammar (0 and 1 are singular), with `%(count)s` and the other facts filled in."""
    words = one if abs(count) < 2 else many
    return _written(words) % {"count": count, **facts}


_CHILDCARE = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"\bde repas (?=rendus\b)", "d’accueils "),
        (r"\b([Dd])u repas\b", r"\1e l’accueil"),
        (r"\bau repas\b", "à l’accueil"),
        (r"\b([LlDd])e repas\b", r"\1’accueil"),
        (r"\b([Cc])e repas\b", r"\1et accueil"),
        (r"\b([Uu]n|[Vv]otre|[Ss]on|[Cc]haque|dernier|0|1)([ \u00a0])repas\b", r"\1\2accueil"),
        (r"\bRepas\b", "Accueil"),
        (r"\brepas\b", "accueils"),
        (r"\bmange\b", "est accueilli"),
        (r"\bmangent\b", "sont accueillis"),
    )
)
"""What a childcare sells is an « accueil »: masculine as « repas » is, but it elides, and has a plural: what is left."""


def of_service(words: str, kind: str) -> str:
    """Words about meals, as they are said of a service of this kind: a childcare serves none, it takes children in. What is
    markup stays so."""
    return words if kind != "childcare" else type(words)(_of_childcare(str(words)))


@lru_cache(maxsize=4096)
def _of_childcare(words: str) -> str:
    for pattern, instead in _CHILDCARE:
        words = pattern.sub(instead, words)
    return words
