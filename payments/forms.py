"""The form of the sandbox's payment page."""

import re
from datetime import date

from wtforms import StringField, ValidationError
from wtforms.validators import InputRequired

from shop.clock import paris_day, request_now
from shop.forms import Form
from shop.words import gettext as _

_EXPIRY = re.compile(r"(0[1-9]|1[0-2]) ?/? ?([0-9]{2})")


def digits(typed: str | None) -> str | None:
    """A card number as people type it, without its spaces."""
    return typed and re.sub(r"[\s\u00a0\u202f.-]", "", typed)


class CardForm(Form):
    """A card: its number, until when it is valid, its code."""

    number = StringField(
        _("Numéro de carte"),
        filters=[digits],
        validators=[InputRequired(_("Écrivez le numéro de la carte."))],
    )
    expiry = StringField(
        _("Date d’expiration (MM/AA)"),
        validators=[InputRequired(_("Écrivez la date d’expiration, par exemple 12/29."))],
    )
    code = StringField(_("Cryptogramme"), validators=[InputRequired(_("Écrivez les 3 chiffres du dos de la carte."))])

    def validate_number(self, field: StringField) -> None:
        if not re.fullmatch(r"[0-9]{12,19}", field.data or ""):
            raise ValidationError(_("Un numéro de carte a de 12 à 19 chiffres : vérifiez celui-ci."))

    def validate_expiry(self, field: StringField) -> None:
        match = _EXPIRY.fullmatch((field.data or "").strip())
        if match is None:
            raise ValidationError(_("Écrivez la date d’expiration sous la forme MM/AA, par exemple 12/29."))
        month, year = int(match.group(1)), 2000 + int(match.group(2))
        today = paris_day(request_now())
        if date(year, month, 1) < today.replace(day=1):
            raise ValidationError(_("Cette carte est expirée."))

    def validate_code(self, field: StringField) -> None:
        if not re.fullmatch(r"[0-9]{3,4}", (field.data or "").strip()):
            raise ValidationError(_("Le cryptogramme est fait de 3 chiffres, au dos de la carte."))
