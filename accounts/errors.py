"""Refusals about people.

Refusal
├── FieldRefused      what was typed in one field cannot be; the form shows the sentence beside it
├── WrongPassword     the current password is not this one
├── WrongCode         the second factor's code is not this one, or it has served
├── ClosingRefused    the account cannot be closed yet; `obstacles` say why
└── Conflict
    └── AddressTaken  another active account has the address
Gone
└── LinkSpent         the link is used, replaced or too old
"""

from typing import NamedTuple

from shop.errors import Conflict, Gone, Refusal
from shop.words import gettext as _


class FieldRefused(Refusal):
    """What was typed in one field cannot be."""


class SignInRefused(Refusal):
    """Address and password do not belong together; the sentence never tells which of them is wrong."""

    def __init__(self) -> None:
        super().__init__(_("Adresse e-mail ou mot de passe incorrect."))


class WrongPassword(Refusal):
    """The current password is not this one."""

    def __init__(self) -> None:
        super().__init__(_("Ce mot de passe n’est pas le vôtre."))


class WrongCode(Refusal):
    """The second factor's code is not this one, or it has served."""

    def __init__(self) -> None:
        super().__init__(_("Ce code n’est pas le bon, ou il a déjà servi. Attendez le suivant et recommencez."))


class Obstacle(NamedTuple):
    """Something that stands in the way of closing an account, and the page where it is resolved."""

    sentence: str
    path: str
    words: str


class ClosingRefused(Refusal):
    """The account cannot be closed yet."""

    def __init__(self, obstacles: list[Obstacle]) -> None:
        super().__init__(" ".join(obstacle.sentence for obstacle in obstacles))
        self.obstacles = obstacles


class AddressTaken(Conflict):
    """Another active account has the address."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "Un autre compte actif porte déjà cette adresse e-mail. Connectez-vous à ce compte avec son mot de passe."
            )
        )


class LinkSpent(Gone):
    """A link that is used, replaced by a newer one, or too old."""

    def __init__(self) -> None:
        super().__init__(
            _("Ce lien a déjà servi, a été remplacé par un plus récent, ou a expiré. Demandez-en un nouveau.")
        )
