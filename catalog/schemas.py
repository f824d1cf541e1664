"""The shape of the files that open a town, its catalogue and its school calendar: see docs/catalogue.md."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any, TypeAlias

from marshmallow import RAISE, Schema, ValidationError, fields, validates_schema
from marshmallow.error_store import merge_errors

from shop.errors import Refusal
from shop.money import parse_euros
from shop.words import gettext as _
from shop.words import no_break

WEEKDAYS = {"lun": 1, "mar": 2, "mer": 3, "jeu": 4, "ven": 5, "sam": 6, "dim": 7}
KINDS = ("canteen", "childcare")
LEVELS = ("nursery", "elementary", "primary", "secondary")
AUDIENCES = ("child", "adult")
SETTLEMENTS = ("prepaid", "invoiced")
ZONES = ("A", "B", "C")
CARD_GATEWAYS = ("sandbox", "stripe")
COUNTINGS = ("serving", "calendar")

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
INSEE = re.compile(r"[0-9][0-9AB][0-9]{3}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
PHONE = re.compile(r"0[1-9]( ?[0-9]{2}){4}")
HOUR = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NO_BREAK_SPACES = str.maketrans("\u00a0\u202f", "  ")


Messages: TypeAlias = dict[str, str | list[Any] | dict[Any, Any]]

_COMMON: Messages = {
    "required": _("champ obligatoire, absent"),
    "null": _("valeur manquante"),
    "validator_failed": _("valeur refusée"),
}
_A_TABLE = _("une table de champs est attendue ici")


class _Table(Schema):
    """A table of the file: an unknown key is a fault, and every check runs even when another has failed."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": _("champ inconnu"), "type": _A_TABLE}


class _Item(fields.Field[Any]):
    """A field whose sentences are ours."""

    default_error_messages = _COMMON


class Text(_Item):
    """Words: not empty, on one line, at most `longest` characters; of a given form when one is given."""

    def __init__(self, longest: int = 80, *, form: re.Pattern[str] | None = None, example: str = "", **more: Any):
        super().__init__(**more)
        self.longest, self.form, self.example = longest, form, example

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(_("un texte entre guillemets est attendu"))
        text = no_break(value.strip())
        if not text:
            raise ValidationError(_("ce texte est vide"))
        if len(text) > self.longest:
            raise ValidationError(
                _("%(count)d caractères, %(most)d au plus", count=len(text), most=self.longest),
            )
        if not text.translate(_NO_BREAK_SPACES).isprintable():
            raise ValidationError(_("ce texte contient un retour à la ligne ou un caractère invisible"))
        if self.form and not self.form.fullmatch(text):
            raise ValidationError(
                _(
                    "« %(text)s » n’a pas la forme attendue, par exemple %(example)s",
                    text=text,
                    example=self.example,
                )
            )
        return text


class Choice(_Item):
    """One word of a closed list."""

    def __init__(self, words: Iterable[str], **more: Any):
        super().__init__(**more)
        self.words = tuple(words)

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValidationError(
                _("%(value)s : choisissez parmi %(words)s", value=_shown(value), words=", ".join(self.words))
            )
        return value


class Euros(_Item):
    """An amount written as people write it, "3,80" or "3.80", between quotes; read into cents, above zero."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> int:
        if not isinstance(value, str):
            raise ValidationError(_('un montant s’écrit entre guillemets, par exemple "3,80"'))
        try:
            cents = parse_euros(value)
        except Refusal as refused:
            raise ValidationError(_("« %(value)s » : %(why)s", value=value, why=refused.sentence)) from refused
        if cents == 0:
            raise ValidationError(_("un montant nul n’est pas accepté"))
        return cents


class Whole(_Item):
    """A whole number between two bounds, both allowed."""

    def __init__(self, least: int, most: int, **more: Any):
        super().__init__(**more)
        self.least, self.most = least, most

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> int:
        if type(value) is not int or not self.least <= value <= self.most:
            raise ValidationError(
                _(
                    "%(value)s : un nombre entier de %(least)d à %(most)d est attendu",
                    value=_shown(value),
                    least=self.least,
                    most=self.most,
                ),
            )
        return int(value)


class Day(_Item):
    """A day, "2026-09-01", between guillemets or not."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> date:
        if type(value) is date:
            return value
        if isinstance(value, str) and DAY.fullmatch(value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                raise ValidationError(_("« %(value)s » n’existe pas au calendrier", value=value)) from None
        raise ValidationError(_("%(value)s : un jour s’écrit 2026-09-01", value=_shown(value)))


class Hour(_Item):
    """An hour of the day in Paris, "10:00"."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> time:
        if not isinstance(value, str) or not HOUR.fullmatch(value):
            raise ValidationError(_('%(value)s : une heure s’écrit "10:00"', value=_shown(value)))
        return time.fromisoformat(value)


class Weekday(_Item):
    """A day of the week in three letters; read into 1 (Monday) to 7."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> int:
        if not isinstance(value, str) or value not in WEEKDAYS:
            raise ValidationError(
                _("%(value)s : choisissez parmi %(words)s", value=_shown(value), words=", ".join(WEEKDAYS))
            )
        return WEEKDAYS[value]


class Several(fields.List[Any]):
    """A list of values, each read by the same field; all its faults are told, each with its place."""

    default_error_messages = _COMMON | {"invalid": _("une liste entre crochets est attendue")}


def _tables(schema: type[Schema], **more: Any) -> fields.Nested:
    """A list of tables ([[…]]) of one shape."""
    return fields.Nested(
        schema,
        many=True,
        error_messages=_COMMON | {"type": _("une liste de tables [[…]] est attendue ici")},
        **more,
    )


def _table(schema: type[Schema], **more: Any) -> fields.Nested:
    """One table of a shape."""
    return fields.Nested(schema, error_messages=_COMMON | {"type": _A_TABLE}, **more)


def _shown(value: object) -> str:
    return _("« %(text)s »", text=value) if isinstance(value, str) else str(value)


Faults: TypeAlias = dict[str, Any]


def _refuse(*several: Faults) -> None:
    """Raise what several checks found, all together; nothing when they found nothing."""
    faults: Faults = {}
    for found in several:
        faults = merge_errors(faults, found)  # type: ignore[no-untyped-call]
    if faults:
        raise ValidationError(faults)


def _backwards(data: Mapping[str, Any]) -> Faults:
    """The last day of a period is before its first; either may be missing."""
    if "until_day" in data and "from_day" in data and data["until_day"] < data["from_day"]:
        return {"until": [_("le dernier jour vient avant le premier")]}
    return {}


def _empty(data: Mapping[str, Any], table: str, sentence: str) -> Faults:
    """The list is there and holds nothing."""
    return {table: [sentence]} if data.get(table) == [] else {}


def _twins(data: Mapping[str, Any], table: str, key: str) -> Faults:
    """Rows of a list of tables have the same `key`."""
    seen: set[Any] = set()
    faults: dict[int, Any] = {}
    for place, row in enumerate(data.get(table) or ()):
        value = row.get(key)
        if value is not None and value in seen:
            faults[place] = {key: [_("« %(text)s » est déjà pris plus haut", text=value)]}
        seen.add(value)
    return {table: faults} if faults else {}


class DeadlineSchema(_Table):
    """`{ days_before, counted, at }` or `{ weekday_before, at }`."""

    days_before = Whole(0, 60)
    counted = Choice(COUNTINGS)
    weekday_before = Weekday()
    at = Hour(required=True)

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _one_of_two(self, _data: Any, original: Any, **_more: Any) -> None:
        if not isinstance(original, Mapping):
            return
        by_days = "days_before" in original
        if by_days == ("weekday_before" in original):
            raise ValidationError(_("donnez soit days_before et counted, soit weekday_before"))
        if by_days and "counted" not in original:
            raise ValidationError({"counted": [_("champ obligatoire avec days_before")]})
        if not by_days and "counted" in original:
            raise ValidationError({"counted": [_("ce champ ne va qu’avec days_before")]})


class PeriodSchema(_Table):
    """A first and a last day, both included; what a missing last day means is the table's own affair."""

    from_day = Day(required=True, data_key="from")
    until_day = Day(data_key="until")

    @validates_schema(skip_on_field_errors=False)
    def _in_order(self, data: Mapping[str, Any], **_more: Any) -> None:
        _refuse(_backwards(data))


class PriceSchema(PeriodSchema):
    """What a meal costs from one day to another (or for good)."""

    cents = Euros(required=True, data_key="euros")


class ClosureSchema(PeriodSchema):
    """Days on which nothing is served, and why."""

    reason = Text(120, required=True)


class TariffSchema(_Table):
    """A tariff as parents choose it."""

    code = Text(40, form=SLUG, example="resident-commune", required=True)
    label = Text(required=True)
    audience = Choice(AUDIENCES, required=True)
    documents = Text(300, load_default=None)
    prices = _tables(PriceSchema, required=True)

    @validates_schema(skip_on_field_errors=False)
    def _prices_apart(self, data: Mapping[str, Any], **_more: Any) -> None:
        dated = sorted(
            (price["from_day"], price.get("until_day") or date.max, place)
            for place, price in enumerate(data.get("prices") or ())
            if "from_day" in price
        )
        faults: dict[int, Any] = {}
        latest = date.min
        for from_day, until_day, place in dated:
            if from_day <= latest:
                faults[place] = {"from": [_("ce prix chevauche un autre prix du même tarif")]}
            latest = max(latest, until_day)
        _refuse(_empty(data, "prices", _("il faut au moins un prix")), {"prices": faults} if faults else {})


class ServiceSchema(_Table):
    """A canteen or a childcare, with its rules and its tariffs."""

    slug = Text(60, form=SLUG, example="cantine", required=True)
    name = Text(required=True)
    kind = Choice(KINDS, required=True)
    weekdays = Several(Weekday(), required=True)
    settlement = Choice(SETTLEMENTS, required=True)
    capacity = Whole(1, 100_000)
    booking = _table(DeadlineSchema, required=True)
    cancel = _table(DeadlineSchema, required=True)
    description = Text(500, load_default="")
    tariffs = _tables(TariffSchema, required=True)
    closures = _tables(ClosureSchema, load_default=list)

    @validates_schema(skip_on_field_errors=False)
    def _distinct(self, data: Mapping[str, Any], **_more: Any) -> None:
        weekdays = data.get("weekdays") or ()
        twice = len(set(weekdays)) < len(weekdays)
        _refuse(
            _empty(data, "weekdays", _("il faut au moins un jour")),
            {"weekdays": [_("chaque jour une seule fois")]} if twice else {},
            _empty(data, "tariffs", _("il faut au moins un tarif")),
            _twins(data, "tariffs", "code"),
            _twins(data, "tariffs", "label"),
        )


class SchoolSchema(_Table):
    """A school of the commune."""

    name = Text(120, required=True)
    level = Choice(LEVELS, required=True)


class CommuneSchema(_Table):
    """A commune: who it is, its schools, its services."""

    slug = Text(60, form=SLUG, example="aiguilhe", required=True)
    name = Text(required=True)
    insee = Text(5, form=INSEE, example="43002", required=True)
    zone = Choice(ZONES, required=True)
    accent = Text(7, form=COLOUR, example="#8a3324", required=True)
    email = Text(254, form=EMAIL, example="cantine@example.org", required=True)
    phone = Text(14, form=PHONE, example="01 99 00 43 02", required=True)
    address = Text(200, required=True)
    schools = _tables(SchoolSchema, load_default=list)
    services = _tables(ServiceSchema, required=True)
    closures = _tables(ClosureSchema, load_default=list)

    @validates_schema(skip_on_field_errors=False)
    def _distinct(self, data: Mapping[str, Any], **_more: Any) -> None:
        _refuse(_twins(data, "schools", "name"), _twins(data, "services", "slug"))


class RegieSchema(_Table):
    """The cash office that collects for the communes of the file."""

    slug = Text(60, form=SLUG, example="agglo-lepuyenvelay", required=True)
    legal_name = Text(120, required=True)
    email = Text(254, form=EMAIL, example="regie@example.org", required=True)
    phone = Text(14, form=PHONE, example="01 99 00 43 00", required=True)
    address = Text(200, required=True)
    card_gateway = Choice(CARD_GATEWAYS, required=True)
    minimum_top_up_cents = Euros(required=True, data_key="minimum_top_up")
    maximum_top_up_cents = Euros(required=True, data_key="maximum_top_up")
    minimum_online_cents = Euros(required=True, data_key="minimum_online")

    @validates_schema(skip_on_field_errors=False)
    def _bounds(self, data: Mapping[str, Any], **_more: Any) -> None:
        least, most = data.get("minimum_top_up_cents", 0), data.get("maximum_top_up_cents")
        if most is not None and most < least:
            raise ValidationError({"maximum_top_up": [_("le maximum est plus petit que le minimum")]})


class TownSchema(_Table):
    """A whole catalogue file."""

    regie = _table(RegieSchema, required=True)
    communes = _tables(CommuneSchema, required=True)

    @validates_schema(skip_on_field_errors=False)
    def _distinct(self, data: Mapping[str, Any], **_more: Any) -> None:
        _refuse(
            _empty(data, "communes", _("il faut au moins une commune")),
            *(_twins(data, "communes", key) for key in ("slug", "name", "insee")),
        )


class HolidaySchema(_Table):
    """A school holiday of one or several zones: its first and last day without school."""

    label = Text(required=True)
    zones = Several(Choice(ZONES), required=True)
    from_day = Day(required=True, data_key="from")
    until_day = Day(required=True, data_key="until")

    @validates_schema(skip_on_field_errors=False)
    def _in_order(self, data: Mapping[str, Any], **_more: Any) -> None:
        _refuse(_backwards(data))


class SchoolYearSchema(_Table):
    """A school year: its first and last day of school, and the holidays between."""

    name = Text(9, form=re.compile(r"[0-9]{4}-[0-9]{4}"), example="2026-2027", required=True)
    from_day = Day(required=True, data_key="from")
    until_day = Day(required=True, data_key="until")
    holidays = _tables(HolidaySchema, required=True)

    @validates_schema(skip_on_field_errors=False)
    def _in_order(self, data: Mapping[str, Any], **_more: Any) -> None:
        first, last = data.get("from_day", date.min), data.get("until_day", date.max)
        faults = {
            place: {"from": [_("ces vacances ne sont pas dans l’année scolaire")]}
            for place, holiday in enumerate(data.get("holidays") or ())
            if "from_day" in holiday and not first <= holiday["from_day"] <= last
        }
        _refuse(_backwards(data), {"holidays": faults} if faults else {})


class PublicHolidaySchema(_Table):
    """A public holiday."""

    day = Day(required=True)
    label = Text(required=True)


class SchoolCalendarSchema(_Table):
    """A whole school calendar file."""

    years = _tables(SchoolYearSchema, required=True)
    public_holidays = _tables(PublicHolidaySchema, required=True)

    @validates_schema(skip_on_field_errors=False)
    def _distinct(self, data: Mapping[str, Any], **_more: Any) -> None:
        _refuse(_twins(data, "years", "name"), _twins(data, "public_holidays", "day"))
