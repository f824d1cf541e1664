"""Refusals: every "no" of the house.

Refusal                    a rule says no; the page shows `sentence`; everything is undone
├── NotFound               404: it does not exist, or it is another family's
├── Forbidden              403: this person may not do this
├── Gone                   410: a link that is used or too old
├── Conflict               409: the state has moved on meanwhile
├── TooMany                429: try again after `retry_after` seconds
└── Busy                   503: the database could not take the change; try again
"""

from shop.words import gettext as _


class Refusal(Exception):
    """A rule said no. `sentence` is for the person at the screen; subclasses carry the facts."""

    status = 422

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class NotFound(Refusal):
    """Nothing there for this visitor: the same answer whether it never existed or belongs to somebody else."""

    status = 404

    def __init__(self, sentence: str = "") -> None:
        super().__init__(sentence or _("Cette page n’existe pas, ou elle n’est pas à vous."))


class Forbidden(Refusal):
    """This person may not do this."""

    status = 403

    def __init__(self, sentence: str = "") -> None:
        super().__init__(sentence or _("Vous n’avez pas accès à cette page."))


class Gone(Refusal):
    """A link that was used already or has grown too old."""

    status = 410


class Conflict(Refusal):
    """What the person saw is no longer so."""

    status = 409


class TooMany(Refusal):
    """Too many tries; `retry_after` says in how many seconds one more is welcome."""

    status = 429

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Busy(Refusal):
    """The database could not take the change after several tries; nothing of it was kept."""

    status = 503
    retry_after = 2

    def __init__(self) -> None:
        super().__init__(_("Le service est très demandé. Rien n’a été enregistré : réessayez dans quelques secondes."))
