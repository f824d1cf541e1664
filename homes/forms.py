"""What parents type about a child's two homes."""

from wtforms import DateField, RadioField, SelectField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired

from accounts.forms import FrenchDateField, email_field, needed
from accounts.models import RELATIONS
from accounts.queries import relation_words
from shop.forms import Form
from shop.words import gettext as _


def _day(label: str) -> DateField:
    return FrenchDateField(
        label, format=["%Y-%m-%d", "%d/%m/%Y"], validators=[needed(_("Écrivez une date, comme 05/11/2026."))]
    )


def _home(label: str) -> RadioField:
    return RadioField(
        label,
        choices=[SelectChoice("ici", _("Chez moi")), SelectChoice("ailleurs", _("Chez l’autre parent"))],
        validators=[InputRequired(_("Dites chez qui."))],
    )


class InviteForm(Form):
    """The address of the other parent."""

    email = email_field(_("Adresse e-mail de l’autre parent"), _("Écrivez l’adresse e-mail de l’autre parent."))


class AcceptForm(Form):
    """What the person who was invited is to the child."""

    relation = SelectField(
        _("Vous êtes pour cet enfant"),
        choices=[
            SelectChoice("", _("Choisissez…")),
            *(SelectChoice(relation, relation_words(relation)) for relation in RELATIONS if relation != "self"),
        ],
        validators=[needed(_("Dites qui vous êtes pour cet enfant."))],
    )


class CalendarForm(Form):
    """A calendar as one parent proposes it."""

    even_weeks = _home(_("Semaines paires"))
    holidays = _home(_("Première moitié des vacances, années paires"))
    starts_on = _day(_("À partir du"))


class SwapForm(Form):
    """A swap as one parent asks for it."""

    swap_from = _day(_("Du"))
    swap_until = _day(_("Au"))
    swap_home = _home(_("Ces jours-là"))
