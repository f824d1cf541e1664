"""What a clerk types."""

from wtforms import SelectMultipleField, StringField, TextAreaField
from wtforms.validators import AnyOf, Length

from enrolments.forms import tidy, whole
from shop.forms import Form
from shop.words import gettext as _

LONGEST_REASON = 500
DECISIONS = ("approve", "refuse", "ask_paper", "revoke")


class DecisionForm(Form):
    """One decision about one or several requests. Which button was pressed is the decision."""

    ids = SelectMultipleField(_("Demandes"), coerce=whole, validate_choice=False)
    decision = StringField(validators=[AnyOf(DECISIONS, _("Choisissez une décision."))])
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
