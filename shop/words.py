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
