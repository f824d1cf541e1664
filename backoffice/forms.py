"""What a clerk types."""

from datetime import timedelta
from typing import TypeVar

from wtforms import (
    DateField,
    IntegerField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
    ValidationError,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import AnyOf, DataRequired, InputRequired, Length, NumberRange

from enrolments.forms import tidy, whole
from enrolments.models import LONGEST_REFERENCE
from enrolments.outside_invoices import EARLIEST_DUE, MOST_DAYS_AHEAD
from shop.clock import paris_day, request_now
from shop.forms import Form
from shop.french import day_plain
from shop.money import AmountRefused, parse_euros
from shop.words import gettext as _

LONGEST_REASON = 500
LONGEST_WORDS = 300
LONGEST_CLASS = 40
LONGEST_PAPER_DAYS = 731
FURTHEST_PAPER_DAYS = 3 * 366
"""How far from today such a paper begins."""
PICNIC = "picnic"
"""The outing on which no meal is cancelled."""
DECISIONS = ("approve", "refuse", "ask_paper", "revoke")
AnyForm = TypeVar("AnyForm", bound=Form)


def told_apart(form: AnyForm, by: str) -> AnyForm:
    """The form, its fields with ids of their own: for a page that shows several of its kind."""
    for field in form:
        field.id = f"{by}-{field.id}"
    return form


class CallOffForm(Form):
    """What is called off, for whom, and the sentence that families read."""

    service = SelectField(_("Service"), coerce=whole, validate_choice=False)
    day = DateField(_("Jour"), validators=[InputRequired(_("Choisissez le jour."))])
    school = SelectField(_("Pour"), coerce=whole, validate_choice=False)
    class_name = StringField(
        _("Classe"),
        filters=[lambda typed: tidy(typed)[:LONGEST_CLASS]],
        description=_("Vide : toute l’école. Sinon la classe comme les familles l’écrivent : CE2."),
    )
    kind = RadioField(
        _("Motif"),
        choices=[
            SelectChoice("strike", _("Grève")),
            SelectChoice("closure", _("Fermeture")),
            SelectChoice("outing", _("Sortie scolaire : les familles prévoient le repas, il est annulé")),
            SelectChoice(PICNIC, _("Sortie scolaire : la cuisine prépare des pique-niques, le repas reste réservé")),
        ],
        validators=[InputRequired(_("Choisissez le motif."))],
    )
    words = TextAreaField(
        _("Message aux familles"),
        filters=[lambda typed: tidy(typed).replace("\n", " ")],
        validators=[
            DataRequired(_("Écrivez une phrase : les familles la liront.")),
            Length(max=LONGEST_WORDS, message=_("Cette phrase est trop longue : 300 caractères au plus.")),
        ],
    )

    @property
    def picnic(self) -> bool:
        """Whether the meals stay, as picnics."""
        kind: str | None = self.kind.data
        return kind == PICNIC

    def validate(self, extra_validators: object = None) -> bool:
        """A class is a class of a school."""
        fine: bool = super().validate(extra_validators)
        if self.class_name.data and not self.school.data:
            self.class_name.errors = [_("Choisissez aussi l’école de cette classe.")]
            fine = False
        return fine


class _ForSomeDays(Form):
    """A paper that a family has shown, and the days for which it holds (`valid_from`, `valid_until`)."""

    too_long: str
    """The sentence for days that no such paper holds."""

    def validate(self, extra_validators: object = None) -> bool:
        """The days are in order, near today, and not more than people keep such a paper."""
        fine: bool = super().validate(extra_validators)
        first, last = self["valid_from"].data, self["valid_until"].data
        if first and abs((first - paris_day(request_now())).days) > FURTHEST_PAPER_DAYS:
            self["valid_from"].errors = [_("Ce jour est à plus de trois ans d’aujourd’hui : vérifiez l’année.")]
            fine = False
        if first and last and last < first:
            self["valid_until"].errors = [_("Le dernier jour vient avant le premier.")]
            fine = False
        elif first and last and (last - first).days > LONGEST_PAPER_DAYS:
            self["valid_until"].errors = [self.too_long]
            fine = False
        return fine


class QuotientForm(_ForSomeDays):
    """A family's quotient, as its certificate says it."""

    too_long = _("Un quotient vaut deux ans au plus.")

    commune = IntegerField(validators=[InputRequired()])
    value = IntegerField(
        _("Quotient familial"),
        validators=[
            InputRequired(_("Écrivez le quotient, un nombre entier d’euros : 850.")),
            NumberRange(0, 100_000, _("Un quotient est un nombre d’euros entre 0 et 100 000.")),
        ],
    )
    valid_from = DateField(_("À partir du"), validators=[InputRequired(_("Choisissez le premier jour."))])
    valid_until = DateField(_("Jusqu’au"), validators=[InputRequired(_("Choisissez le dernier jour."))])


class CarePlanForm(_ForSomeDays):
    """The days that a child's PAI covers."""

    too_long = _("Un PAI vaut deux ans au plus : notez-le à nouveau quand il est renouvelé.")

    commune = IntegerField(validators=[InputRequired()])
    beneficiary = SelectField(_("Enfant"), coerce=whole, validate_choice=False, id="pai-enfant")
    valid_from = DateField(
        _("Valable à partir du"), id="pai-du", validators=[InputRequired(_("Choisissez le premier jour."))]
    )
    valid_until = DateField(
        _("Valable jusqu’au"), id="pai-au", validators=[InputRequired(_("Choisissez le dernier jour."))]
    )


def _one_line(typed: str | None) -> str:
    """What was typed, on one line, without control characters and with single spaces."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in typed or "").split())


class InvoiceForm(Form):
    """An invoice of elsewhere that a family has not paid, as it is printed. `cents` is what a valid one asks."""

    regie = SelectField(_("Régie"), coerce=whole, validate_choice=False, id="facture-regie")
    reference = StringField(
        _("Référence de la facture"),
        id="facture-reference",
        filters=[_one_line],
        validators=[
            DataRequired(_("Écrivez la référence, comme elle est imprimée sur la facture.")),
            Length(max=LONGEST_REFERENCE, message=_("Cette référence est trop longue : 40 caractères au plus.")),
        ],
    )
    amount = StringField(
        _("Montant"),
        id="facture-montant",
        validators=[InputRequired(_("Écrivez le montant qui reste à payer, par exemple 45,20."))],
    )
    due_on = DateField(
        _("Date d’échéance"), id="facture-echeance", validators=[InputRequired(_("Choisissez la date d’échéance."))]
    )
    cents = 0

    def validate_amount(self, field: StringField) -> None:
        """An amount above nothing; it becomes `cents`."""
        try:
            self.cents = parse_euros(field.data or "")
        except AmountRefused as refusal:
            raise ValidationError(refusal.sentence) from refusal
        if not self.cents:
            raise ValidationError(_("Une facture impayée a un montant au-dessus de zéro."))

    def validate_due_on(self, field: DateField) -> None:
        """A day of this century, and not of a far year."""
        latest = paris_day(request_now()) + timedelta(days=MOST_DAYS_AHEAD)
        if field.data is not None and not EARLIEST_DUE <= field.data <= latest:
            raise ValidationError(
                _(
                    "Choisissez une échéance entre le %(first)s et le %(last)s.",
                    first=day_plain(EARLIEST_DUE),
                    last=day_plain(latest),
                )
            )


class StrikeForm(Form):
    """Why something that was noted wrongly, a meal or an invoice, is taken back."""

    reason = TextAreaField(
        _("Motif"),
        filters=[lambda typed: tidy(typed).replace("\n", " ")],
        validators=[
            DataRequired(_("Écrivez le motif : la famille le lira.")),
            Length(max=LONGEST_WORDS, message=_("Ce motif est trop long : 300 caractères au plus.")),
        ],
    )


class DecisionForm(Form):
    """One decision about one or several requests. Which button was pressed is the decision."""

    ids = SelectMultipleField(_("Demandes"), coerce=whole, validate_choice=False)
    decision = StringField(_("Décision"), validators=[AnyOf(DECISIONS, _("Choisissez une décision."))])
    reason = TextAreaField(
        _("Motif du refus"),
        filters=[tidy],
        validators=[Length(max=LONGEST_REASON, message=_("Ce motif est trop long : 500 caractères au plus."))],
    )
    paper = TextAreaField(
        _("Pièce ou information demandée"),
        filters=[tidy],
        validators=[Length(max=LONGEST_REASON, message=_("Ce texte est trop long : 500 caractères au plus."))],
    )

    def validate(self, extra_validators: object = None) -> bool:
        """At least one request, and words for the family where the decision needs some."""
        fine: bool = super().validate(extra_validators)
        if not self.ids.data:
            self.form_errors.append(_("Cochez au moins une demande."))
            fine = False
        if self.decision.data in ("refuse", "revoke") and not self.reason.data:
            self.reason.errors = [*self.reason.errors, _("Écrivez le motif : la famille le lira.")]
            fine = False
        if self.decision.data == "ask_paper" and not self.paper.data:
            self.paper.errors = [*self.paper.errors, _("Écrivez ce que la famille doit fournir.")]
            fine = False
        return fine

    @property
    def words(self) -> str:
        """What the family will read with the decision."""
        return (self.paper.data if self.decision.data == "ask_paper" else self.reason.data) or ""
