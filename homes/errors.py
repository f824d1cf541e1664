"""Refusals about children who live in two homes.

Gone
└── InvitationEnded   it was answered, taken back, or has lapsed
Conflict
├── CannotJoin        the person who is signed in cannot accept; the sentence says what to do
└── AlreadyDecided    the other parent, or another page, was faster
"""

from shop.errors import Conflict, Gone
from shop.words import gettext as _


class InvitationEnded(Gone):
    """An invitation that was answered, taken back, or has lapsed."""

    def __init__(self) -> None:
        super().__init__(
            _("Cette invitation a déjà reçu une réponse, a été retirée, ou a expiré. Demandez-en une nouvelle.")
        )


class CannotJoin(Conflict):
    """The person who is signed in cannot accept this invitation."""


class AlreadyDecided(Conflict):
    """What one wants to answer is no longer asked."""

    def __init__(self) -> None:
        super().__init__(_("Cette demande n’attend plus de réponse : rien n’a changé."))
