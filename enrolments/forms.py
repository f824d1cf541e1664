"""What a family types to ask for a service."""

from typing import Any

from wtforms import RadioField, SelectMultipleField, TextAreaField
from wtforms.validators import DataRequired, InputRequired, Length
from wtforms.widgets import CheckboxInput, ListWidget

from shop.forms import Form
from shop.words import gettext as _
from shop.words import no_break

LONGEST_MESSAGE = 500
_KEPT = "\n\t\u00a0\u202f"
"""What is not printed and is kept all the same: no-break spaces are how French is typed with care."""


def whole(typed: Any) -> int:
    """The number of a row as a form sends it; 0, which is nobody's, for anything else."""
    text = str(typed)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def tidy(text: str | None) -> str:
    """What was typed, without control characters (a database refuses some) and without space around it; others will
    read it, so its lines break where a French line may."""
    kept = (letter for letter in (text or "").replace("\r\n", "\n") if letter.isprintable() or letter in _KEPT)
    return no_break("".join(kept).strip())


class AskForm(Form):
    """A request: a tariff, for whom, a message. The rules judge the choices, not the form: it may be stale."""

    tariff = RadioField(
        _("Votre situation"),
        coerce=whole,
        validate_choice=False,
        validators=[InputRequired(_("Choisissez le tarif qui correspond à votre situation."))],
    )
    school_year = RadioField(_("Année scolaire"), coerce=whole, validate_choice=False)
    beneficiaries = SelectMultipleField(
        _("Pour qui ?"),
        coerce=whole,
        validate_choice=False,
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
        validators=[DataRequired(_("Cochez au moins une personne."))],
    )
    message = TextAreaField(
        _("Message à la mairie"),
        filters=[tidy],
        validators=[Length(max=LONGEST_MESSAGE, message=_("Ce message est trop long : 500 caractères au plus."))],
    )


class AnswerForm(Form):
    """A family's answer to what the town hall asked for."""

    answer = TextAreaField(
        _("Votre réponse"),
        filters=[tidy],
        validators=[
            DataRequired(_("Écrivez votre réponse à la mairie.")),
            Length(max=LONGEST_MESSAGE, message=_("Cette réponse est trop longue : 500 caractères au plus.")),
        ],
    )
