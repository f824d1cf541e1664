"""The words people read. French is the source language, so a word stands for itself until another language is added."""

import gettext as _gettext
from pathlib import Path

TRANSLATIONS = Path(__file__).parent.parent / "translations"

_catalogue = _gettext.translation("messages", TRANSLATIONS, languages=["fr"], fallback=True)


def gettext(message: str, **facts: object) -> str:
    """The message in the reader's language, its `%(name)s` places filled from `facts`."""
    words = _catalogue.gettext(message)
    return words % facts if facts else words


def ngettext(one: str, many: str, count: int, **facts: object) -> str:
    """`one` or `many` by French grammar (0 and 1 are singular), with `%(count)s` and the other facts filled in."""
    words = one if abs(count) < 2 else many
    return _catalogue.gettext(words) % {"count": count, **facts}
