"""What people type about themselves and those who eat."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import wtforms
from wtforms import (
    BooleanField,
    DateField,
    Field,
    FieldList,
    FormField,
    HiddenField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import DataRequired, InputRequired, Optional, ValidationError

from accounts import rules
from accounts.beneficiaries import Facts
from accounts.errors import FieldRefused
from accounts.models import DIETS, RELATIONS
from accounts.queries import BeneficiaryFacts, diet_words, relation_words
from shop import french
from shop.clock import paris_day, request_now
from shop.forms import Form
from shop.words import gettext as _

MOST_ROWS = 30
LONGEST_ADDRESS = 200
LONGEST_CITY = 80
LONGEST_ORGANISATION = 120
LONGEST_CLASS = 40
LONGEST_ALLERGIES = 500


class Cleaned:
    """A validator that keeps what a rule makes of the typed text, or shows the rule's sentence beside the field."""

    def __init__(self, clean: Callable[[str | None], str]) -> None:
        self.clean = clean

    def __call__(self, _form: Any, field: Any) -> None:
        try:
            field.data = self.clean(field.data)
        except FieldRefused as refused:
            raise ValidationError(refused.sentence) from refused


def line(longest: int) -> Cleaned:
    """One line of free text of at most this many characters."""
    return Cleaned(lambda text: rules.clean_line(text, longest))


def needed(words: str) -> InputRequired:
    """A field that must be filled, and the sentence when it is not."""
    return InputRequired(words)


class BirthDate:
    """A validator of birth dates, on the day it is in Paris."""

    def __init__(self, adult: bool = False) -> None:
        self.adult = adult

    def __call__(self, _form: Any, field: Any) -> None:
        try:
            rules.check_birth_date(field.data, paris_day(request_now()), self.adult)
        except FieldRefused as refused:
            raise ValidationError(refused.sentence) from refused


class FrenchDateField(DateField):
    """A date as the browser's own field sends it, or as people type it where there is none: 10/05/2018."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError as unreadable:
            raise ValueError(_("Écrivez une date qui existe, comme 10/05/2018.")) from unreadable


class PhoneField(StringField):
    """A telephone number, shown as people write it although it is kept otherwise."""

    def _value(self) -> str:
        return french.phone(self.data)


def birth_date_field(label: str, *validators: Any) -> DateField:
    """A birth date; nobody has to give one."""
    return FrenchDateField(label, format=["%Y-%m-%d", "%d/%m/%Y"], validators=[Optional(), *validators])


def email_field(label: str = "", missing: str = "") -> StringField:
    """An e-mail address, in lower case once it is validated."""
    return StringField(
        label or _("Adresse e-mail"),
        validators=[needed(missing or _("Écrivez votre adresse e-mail.")), Cleaned(rules.clean_email)],
        render_kw={"type": "email", "autocomplete": "email", "maxlength": rules.LONGEST_EMAIL},
    )


class NewPassword:
    """A validator of a password that is being chosen: compares it with the e-mail address that the form asks for, or with
    that of the account whose password it is."""

    def __call__(self, form: Any, field: Any) -> None:
        email = form["email"].data if "email" in form else form.account_email
        try:
            rules.check_password(field.data or "", email or "")
        except FieldRefused as refused:
            raise ValidationError(refused.sentence) from refused


def new_password_field(label: str = "") -> PasswordField:
    """A password that is being chosen."""
    return PasswordField(
        label or _("Mot de passe"),
        description=_("12 caractères au moins. Une phrase convient très bien."),
        validators=[needed(_("Choisissez un mot de passe.")), NewPassword()],
    )


def current_password_field(label: str = "") -> PasswordField:
    """The password that the account has."""
    return PasswordField(label or _("Votre mot de passe actuel"), validators=[needed(_("Écrivez votre mot de passe."))])


class StartForm(Form):
    """The address with which somebody begins to sign up."""

    new_email = email_field()


class SignInForm(Form):
    """Address and password."""

    email = StringField(
        _("Adresse e-mail"),
        validators=[needed(_("Écrivez votre adresse e-mail."))],
        render_kw={"type": "email", "autocomplete": "username", "maxlength": rules.LONGEST_EMAIL},
    )
    password = PasswordField(_("Mot de passe"), validators=[needed(_("Écrivez votre mot de passe."))])
    next = HiddenField()


class PersonForm(Form):
    """What an account says about its person."""

    title = RadioField(
        _("Genre"),
        choices=[SelectChoice("Mme"), SelectChoice("M", "M."), SelectChoice("", _("Ne pas préciser"))],
        default="",
        validators=[Optional()],
    )
    first_name = StringField(
        _("Prénom"),
        validators=[
            DataRequired(_("Écrivez votre prénom.")),
            Cleaned(rules.clean_first_name),
        ],
        render_kw={"autocomplete": "given-name", "maxlength": rules.LONGEST_NAME},
    )
    last_name = StringField(
        _("Nom"),
        validators=[DataRequired(_("Écrivez votre nom.")), Cleaned(rules.clean_name)],
        render_kw={"autocomplete": "family-name", "maxlength": rules.LONGEST_NAME},
    )
    birth_date = birth_date_field(_("Date de naissance"), BirthDate(adult=True))
    phone = PhoneField(
        _("Téléphone"),
        validators=[Cleaned(rules.clean_phone)],
        render_kw={"type": "tel", "autocomplete": "tel", "maxlength": 30},
    )
    address = StringField(
        _("Adresse"),
        validators=[line(LONGEST_ADDRESS)],
        render_kw={"autocomplete": "street-address", "maxlength": LONGEST_ADDRESS},
    )
    postcode = StringField(
        _("Code postal"),
        validators=[Cleaned(rules.clean_postcode)],
        render_kw={"autocomplete": "postal-code", "inputmode": "numeric", "maxlength": 10},
    )
    city = StringField(
        _("Commune"),
        validators=[line(LONGEST_CITY)],
        render_kw={"autocomplete": "address-level2", "maxlength": LONGEST_CITY},
    )
    newsletter = BooleanField(_("S’inscrire à la newsletter"))
    partners = BooleanField(_("Recevoir les offres spéciales de nos partenaires"))
    is_company = BooleanField(_("Je suis une société"))
    organisation_name = StringField(
        _("Nom de la société ou de l’association"),
        render_kw={"autocomplete": "organization", "maxlength": LONGEST_ORGANISATION},
    )
    siret = StringField(_("Numéro SIRET"), render_kw={"inputmode": "numeric", "maxlength": 20})

    def validate_organisation_name(self, field: Any) -> None:
        """Asked for only when the person says to be a company."""
        if not self.is_company.data:
            field.data = ""
            return
        line(LONGEST_ORGANISATION)(self, field)
        if not field.data:
            raise ValidationError(_("Écrivez le nom de la société ou de l’association."))

    def validate_siret(self, field: Any) -> None:
        """Asked for only when the person says to be a company; an association may have none."""
        if not self.is_company.data:
            field.data = ""
            return
        Cleaned(rules.clean_siret)(self, field)

    def details(self) -> dict[str, Any]:
        """The values as an account keeps them: nothing where nothing was typed."""
        names = (
            "title", "first_name", "last_name", "birth_date", "phone", "address", "postcode", "city",
            "organisation_name", "siret",
        )  # fmt: skip
        return {name: self[name].data or None for name in names}


class SignUpForm(PersonForm):
    """Step 1: "Infos personnelles"."""

    email = email_field()
    password = new_password_field()
    terms = BooleanField(
        _("Conditions générales"),
        validators=[DataRequired(_("Pour créer un compte, acceptez les conditions générales."))],
    )

    def __iter__(self) -> Iterator[Field]:
        """In the order of the page, which is that of the list of errors: address and password follow the name."""
        late = ("email", "password")
        for name, field in self._fields.items():
            if name not in late:
                yield field
            if name == "last_name":
                yield from (self[other] for other in late)


class _Row(wtforms.Form):
    """A form within a form: it needs no CSRF token of its own."""

    class Meta:
        locales = ("fr",)


def already(one: BeneficiaryFacts) -> str:
    """What is said of somebody whom the household has."""
    return _("%(name)s figure déjà parmi vos bénéficiaires.", name=one.first_name)


class BeneficiaryRow(_Row):
    """One who eats."""

    last_name = StringField(
        _("Nom"),
        validators=[DataRequired(_("Écrivez le nom.")), Cleaned(rules.clean_name)],
        render_kw={"maxlength": rules.LONGEST_NAME, "autocomplete": "off"},
    )
    first_name = StringField(
        _("Prénom"),
        validators=[DataRequired(_("Écrivez le prénom.")), Cleaned(rules.clean_first_name)],
        render_kw={"maxlength": rules.LONGEST_NAME, "autocomplete": "off"},
    )
    relation = SelectField(
        _("Type de filiation"),
        choices=[
            SelectChoice("", _("Choisissez…")),
            *(SelectChoice(relation, relation_words(relation)) for relation in RELATIONS),
        ],
        validators=[needed(_("Dites qui vous êtes pour cette personne."))],
    )
    birth_date = birth_date_field(_("Date de naissance"), BirthDate())
    school_id = SelectField(_("École"), coerce=lambda value: int(value) if str(value).isdecimal() else 0)
    class_name = StringField(
        _("Classe"), validators=[line(LONGEST_CLASS)], render_kw={"maxlength": LONGEST_CLASS, "autocomplete": "off"}
    )
    diet = SelectField(_("Régime"), choices=[SelectChoice(diet, diet_words(diet)) for diet in DIETS], default=DIETS[0])

    def is_blank(self, family_name: str) -> bool:
        """Whether nobody was typed here; the family's name may stand there by itself."""
        dated = bool(self.birth_date.raw_data and self.birth_date.raw_data[0])
        typed = [(text or "").strip() for text in (self.last_name.data, self.first_name.data, self.class_name.data)]
        return not dated and not typed[1] and not typed[2] and typed[0] in ("", family_name)

    def known(self, known: Sequence[BeneficiaryFacts]) -> BeneficiaryFacts | None:
        """The one of these whom the row names."""
        who = self.facts().who
        return next(
            (one for one in known if rules.same_person((one.first_name, one.last_name, one.birth_date), who)), None
        )

    def refuse_name(self, sentence: str) -> None:
        """Say beside the first name that this person is there already."""
        self.first_name.errors = [*self.first_name.errors, sentence]

    def facts(self) -> Facts:
        """What the row says. An adult ("Moi-même") has neither school nor class."""
        adult = self.relation.data == "self"
        return Facts(
            first_name=self.first_name.data or "",
            last_name=self.last_name.data or "",
            relation=self.relation.data,
            birth_date=self.birth_date.data,
            school_id=None if adult else self.school_id.data or None,
            class_name=None if adult else self.class_name.data or None,
            diet=self.diet.data,
        )


class RowList(FieldList):  # type: ignore[type-arg]
    """A list of rows whose numbers are those of our own pages: "rows-²-…" and numbers without end name no row."""

    def _extract_indices(self, prefix: str, formdata: Any) -> Iterator[int]:
        number = re.compile(re.escape(prefix) + "-([0-9]{1,4})-")
        for name in formdata:
            if found := number.match(name):
                yield int(found.group(1))


class FamilyForm(Form):
    """Step 2: as many beneficiaries as there are. Rows in which nothing was typed count for nothing."""

    rows = RowList(FormField(BeneficiaryRow), label=_("Bénéficiaire"), min_entries=1, max_entries=MOST_ROWS)

    def offer(self, schools: list[tuple[int, str]]) -> None:
        """Let each row choose among these schools."""
        for entry in self.rows:
            offer_schools(entry.form, schools)

    def all_blank(self, family_name: str) -> bool:
        """Whether nobody was typed in any row."""
        return all(entry.form.is_blank(family_name) for entry in self.rows)

    def drop_blank_rows(self, family_name: str) -> None:
        """Leave only the rows in which somebody was typed."""
        self.rows.entries = [entry for entry in self.rows.entries if not entry.form.is_blank(family_name)]

    def remove(self, name: str) -> None:
        """Take out the row of this name ("rows-2"); one that is not there changes nothing."""
        self.rows.entries = [entry for entry in self.rows.entries if entry.name != name]

    def add_row(self, last_name: str) -> None:
        """One more row, when there are not too many; the family's name is a likely start."""
        if len(self.rows.entries) < MOST_ROWS:
            self.rows.append_entry({"last_name": last_name})

    def validate(self, extra_validators: Any = None) -> bool:
        """Nobody stands in two rows: the second says so."""
        fine: bool = super().validate(extra_validators)
        rows = [entry.form for entry in self.rows]
        for place, row in enumerate(rows):
            who = row.facts().who
            if who[0] and any(rules.same_person(other.facts().who, who) for other in rows[:place]):
                self._refuse(row, _("%(name)s est déjà dans la liste.", name=who[0]))
                fine = False
        return fine

    def _refuse(self, row: BeneficiaryRow, sentence: str) -> None:
        row.refuse_name(sentence)
        self.rows.errors = [entry.errors for entry in self.rows]

    def refuse_known(self, known: Sequence[BeneficiaryFacts]) -> bool:
        """Whether a row speaks otherwise of somebody whom the household has; it says so. One that says the same again comes
        of a second click."""
        refused = False
        for entry in self.rows:
            row, facts = entry.form, entry.form.facts()
            one = row.known(known)
            if one is not None and facts.who[2] in (None, one.birth_date):
                said = (facts.relation, facts.school_id, facts.class_name, facts.diet)
                if said == (one.relation, one.school_id, one.class_name, one.diet):
                    continue
            if one is not None:
                self._refuse(row, already(one))
                refused = True
        return refused

    def validate_rows(self, field: Any) -> None:
        """ "Moi-même" at most once."""
        try:
            rules.check_relations([entry.form.relation.data for entry in field.entries])
        except FieldRefused as refused:
            raise ValidationError(refused.sentence) from refused


def offer_schools(row: Any, schools: list[tuple[int, str]]) -> None:
    """Let a row choose among these schools, or none."""
    row.school_id.choices = [
        SelectChoice("0", _("Aucune, ou pas dans la liste")),
        *(SelectChoice(str(school_id), name) for school_id, name in schools),
    ]


class BeneficiaryForm(Form, BeneficiaryRow):
    """One beneficiary, with allergies."""

    allergies = StringField(
        _("Allergies"),
        validators=[line(LONGEST_ALLERGIES)],
        render_kw={"maxlength": LONGEST_ALLERGIES, "autocomplete": "off"},
        description=_("Chiffrées ; la cuisine les lit le jour du repas, personne d’autre."),
    )

    def refuse_known(self, known: Sequence[BeneficiaryFacts]) -> bool:
        """Whether the household has this person; then the form says so."""
        one = self.known(known)
        if one is not None:
            self.refuse_name(already(one))
        return one is not None

    def facts(self) -> Facts:
        """What the form says, allergies included."""
        return replace(super().facts(), allergies=self.allergies.data or None)


class AskResetForm(Form):
    """The address to which a link to choose a new password is sent."""

    email = email_field()
    next = HiddenField()


class AccountForm(Form):
    """A form about an account that is known, whose address the password must not be."""

    def __init__(self, account_email: str) -> None:
        super().__init__()
        self.account_email = account_email


class NewPasswordForm(AccountForm):
    """A password, chosen by a link."""

    password = new_password_field(_("Nouveau mot de passe"))


class ChangePasswordForm(AccountForm):
    """The present password and the new one."""

    current = current_password_field()
    password = new_password_field(_("Nouveau mot de passe"))


class ChangeEmailForm(Form):
    """The new address, and the password, so that an unattended screen is not enough."""

    email = email_field(_("Nouvelle adresse e-mail"))
    current = current_password_field()


class CloseForm(Form):
    """The password, and a tick that says it is meant."""

    current = current_password_field()
    sure = BooleanField(
        _("Confirmation"),
        validators=[DataRequired(_("Cochez cette case pour confirmer."))],
    )


def code_field(label: str = "", keyboard: str = "text") -> StringField:
    """A code of the second factor; `keyboard` is the one that a telephone shows."""
    return StringField(
        label or _("Code"),
        validators=[needed(_("Écrivez le code.")), line(40)],
        render_kw={"autocomplete": "one-time-code", "inputmode": keyboard, "maxlength": 40, "spellcheck": "false"},
    )


class CodeForm(Form):
    """A code of the second factor; while it is being set up, the secret that the page shows, sealed."""

    code = code_field()
    draft = HiddenField()
    next = HiddenField()


class RenewCodesForm(Form):
    """The password and a code of the telephone: an unattended screen is not enough for new recovery codes."""

    current = current_password_field()
    code = code_field(_("Code de votre téléphone"), keyboard="numeric")


class ButtonForm(Form):
    """A page of one button."""
