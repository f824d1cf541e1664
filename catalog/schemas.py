"""The shape of the files that open a town, its catalogue and its school calendar: see docs/catalogue.md."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from marshmallow import RAISE, Schema, ValidationError, fields, validates_schema
from marshmallow.error_store import merge_errors

from catalog.rules.deadlines import DeadlineRule, Limit, Part
from catalog.rules.policies import Policies, Rules, contradictions
from catalog.rules.prices import AXES, Row, holes, situation_words
from catalog.rules.prices import LEVELS as ROW_LEVELS
from shop.clock import paris_instant
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
COUNTINGS = ("serving", "working", "calendar")

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
INSEE = re.compile(r"[0-9][0-9AB][0-9]{3}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
PHONE = re.compile(r"0[1-9]( ?[0-9]{2}){4}")
HOUR = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")
PERCENT = re.compile(r"[0-9]{1,4}(?:[.,][0-9]{1,4})?")
INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
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
    """An hour of the day in Paris, "10:00"; "24:00" is the end of the day. The hour that the spring night skips is none."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> str:
        if not isinstance(value, str) or not HOUR.fullmatch(value):
            raise ValidationError(_('%(value)s : une heure s’écrit "10:00", et minuit "24:00"', value=_shown(value)))
        if value.startswith("02:"):
            raise ValidationError(
                _("%(value)s : cette heure n’existe pas la nuit du passage à l’heure d’été", value=_shown(value))
            )
        return value


class Instant(_Item):
    """A moment in Paris, "2026-11-20T09:00"; read into an aware one."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> datetime:
        if isinstance(value, str) and INSTANT.fullmatch(value):
            try:
                local = datetime.fromisoformat(value)
            except ValueError:
                raise ValidationError(_("« %(value)s » n’existe pas au calendrier", value=value)) from None
            return paris_instant(local.date(), local.time())
        raise ValidationError(_("%(value)s : un moment s’écrit 2026-11-20T09:00", value=_shown(value)))


class Boolean(_Item):
    """true or false."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> bool:
        if type(value) is not bool:
            raise ValidationError(_("%(value)s : true ou false est attendu", value=_shown(value)))
        return value


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


Faults: TypeAlias = dict[Any, Any]


def _refuse(*several: Faults) -> None:
    """Raise what several checks found, all together; nothing when they found nothing."""
    faults: Faults = {}
    for found in several:
        faults = merge_errors(faults, found)  # type: ignore[no-untyped-call]
    if faults:
        raise ValidationError(faults)


def _at(place: tuple[str, ...], sentence: str) -> Faults:
    """A fault at a place within the table."""
    first, *rest = place
    return {first: _at(tuple(rest), sentence) if rest else [sentence]}


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


class LimitSchema(_Table):
    """One limit: `{ days_before, counted, at }`, `{ weekday_before, at }`, `{ weekday, weeks_before, at }` or
    `{ day_of_month, months_before, at }`; `if_off` with any; `for` names the weekdays of the meals it is for."""

    for_weekdays = Several(Weekday(), data_key="for")
    days_before = Whole(0, 60)
    counted = Choice(COUNTINGS)
    weekday_before = Weekday()
    weekday = Weekday()
    weeks_before = Whole(0, 8)
    day_of_month = Whole(1, 31)
    months_before = Whole(1, 6)
    if_off = Choice(("earlier",))
    at = Hour(required=True)

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _one_way(self, _data: Any, original: Any, **_more: Any) -> None:
        if not isinstance(original, Mapping):
            return
        given = [first for first in _WAYS if first in original]
        if len(given) != 1:
            raise ValidationError(
                _("donnez une seule façon de compter : days_before, weekday_before, weekday ou day_of_month")
            )
        (way,) = given
        faults: Faults = {}
        for first, second in _WAYS.items():
            if second is None:
                continue
            if first == way and second not in original:
                faults[second] = [_("champ obligatoire avec %(field)s", field=first)]
            if first != way and second in original:
                faults[second] = [_("ce champ ne va qu’avec %(field)s", field=first)]
        _refuse(faults)


_WAYS = {
    "days_before": "counted",
    "weekday_before": None,
    "weekday": "weeks_before",
    "day_of_month": "months_before",
}
"""How a limit may count, and the field that goes with it."""


class Deadline(_Item):
    """A rule of one limit (a table) or of one for each group of weekdays (a list of tables); read into a `DeadlineRule`."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> DeadlineRule:
        several = isinstance(value, list)
        if not several and not isinstance(value, Mapping):
            raise ValidationError(_("une table { … } ou une liste de tables est attendue ici"))
        found = LimitSchema().load(value, many=several)
        if not several:
            if "for_weekdays" in found:
                raise ValidationError({"for": [_("ce champ ne va que dans une liste de tables")]})
            return DeadlineRule((Part(Limit(**found)),))
        if not found:
            raise ValidationError(_("il faut au moins une limite"))
        faults: Faults = {}
        seen: set[int] = set()
        parts = []
        for place, limit in enumerate(found):
            weekdays = limit.pop("for_weekdays", None)
            if not weekdays:
                faults[place] = {"for": [_("nommez les jours de repas que cette limite concerne")]}
                continue
            if seen & set(weekdays) or len(set(weekdays)) < len(weekdays):
                faults[place] = {"for": [_("chaque jour une seule fois dans toute la règle")]}
            seen |= set(weekdays)
            parts.append(Part(Limit(**limit), tuple(sorted(weekdays))))
        _refuse(faults)
        return DeadlineRule(tuple(parts))


class Percent(_Item):
    """A percentage written as people write it, "50" or "12,5", between quotes; read into a decimal number above zero."""

    def __init__(self, most: int, **more: Any):
        super().__init__(**more)
        self.most = most

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> str:
        if not isinstance(value, str) or not PERCENT.fullmatch(value):
            raise ValidationError(_('%(value)s : un pourcentage s’écrit "12,5"', value=_shown(value)))
        number = Decimal(value.replace(",", "."))
        if not 0 < number <= self.most:
            raise ValidationError(_("« %(value)s » : entre 0 exclu et %(most)d compris", value=value, most=self.most))
        return f"{number.normalize():f}"


class SurchargeSchema(_Table):
    """What is asked in place of the ordinary price: `more`, `percent` or `price`."""

    more = Euros()
    percent = Percent(1000)
    price = Euros()

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _one_of_three(self, _data: Any, original: Any, **_more: Any) -> None:
        if isinstance(original, Mapping) and sum(name in original for name in ("more", "percent", "price")) != 1:
            raise ValidationError(_("donnez un seul de more, percent et price"))


class LateSchema(SurchargeSchema):
    """Booking after the deadline: until when, at what price."""

    until = Deadline(required=True)


class UnbookedSchema(SurchargeSchema):
    """A meal eaten without a booking: at what price, after so many free times in the school year."""

    free = Whole(0, 50, load_default=0)


class SicknessSchema(_Table):
    """A sick child: days that stay due, until when to say so, whether with a paper."""

    carence_days = Whole(0, 30, load_default=0)
    announce = Deadline(required=True)
    paper = Boolean(load_default=False)


class FreedSchema(_Table):
    """A meal that is given back to another family: until when."""

    until = Deadline(required=True)


class WaitingSchema(_Table):
    """The waiting list of a day that is full: for how many hours a place is offered."""

    offer_hours = Whole(1, 240, required=True)


class PlacesSchema(_Table):
    """How many meals a day there are for the pupils of one school."""

    school = Text(120, required=True)
    capacity = Whole(1, 100_000, required=True)


class BlockingSchema(_Table):
    """What makes new bookings wait: an amount due for so many hours, an unpaid invoice so many days after its due date, a PAI
    that is asked for and not valid."""

    amount_due_hours = Whole(0, 8760)
    overdue_invoice_days = Whole(0, 366)
    pai = Boolean(load_default=False)

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _something(self, data: Mapping[str, Any], original: Any, **_more: Any) -> None:
        counted = ("amount_due_hours", "overdue_invoice_days")
        if isinstance(original, Mapping) and not any(name in original for name in counted) and data.get("pai") is False:
            raise ValidationError(_("donnez amount_due_hours, overdue_invoice_days ou pai = true, un ou plusieurs"))


class RefundOf(_Item):
    """What a cancelled meal gives back: "full", "none", or an amount; read into the word or cents."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> str | int:
        if value in ("full", "none"):
            return str(value)
        if isinstance(value, str) and value.isalpha():
            raise ValidationError(_('ni "full" (le prix payé), ni "none" (rien), ni un montant comme "3,80"'))
        cents: int = Euros().deserialize(value)
        return cents


class PeriodSchema(_Table):
    """A first and a last day, both included; what a missing last day means is the table's own affair."""

    from_day = Day(required=True, data_key="from")
    until_day = Day(data_key="until")

    @validates_schema(skip_on_field_errors=False)
    def _in_order(self, data: Mapping[str, Any], **_more: Any) -> None:
        _refuse(_backwards(data))


class RowSchema(_Table):
    """A row of a grid: where it holds, and its price or its effort rate."""

    quotient_from = Whole(0, 100_000)
    quotient_to = Whole(0, 100_000)
    rank_from = Whole(1, 20)
    rank_to = Whole(1, 20)
    eating_from = Whole(1, 20)
    eating_to = Whole(1, 20)
    level = Choice(ROW_LEVELS)
    cents = Euros(data_key="euros")
    rate = Percent(100)
    floor = Euros()
    ceiling = Euros()

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _whole(self, data: Mapping[str, Any], original: Any, **_more: Any) -> None:
        if not isinstance(original, Mapping):
            return
        faults: Faults = {}
        for axis in AXES:
            if f"{axis}_from" in data and f"{axis}_to" in data and data[f"{axis}_to"] < data[f"{axis}_from"]:
                faults[f"{axis}_to"] = [_("la fin vient avant le début")]
        by_rate = "rate" in original
        if by_rate == ("euros" in original):
            faults["_schema"] = [_("donnez soit euros, soit rate avec floor et ceiling")]
        for bound in ("floor", "ceiling"):
            if by_rate and bound not in original:
                faults[bound] = [_("champ obligatoire avec %(field)s", field="rate")]
            if not by_rate and bound in original:
                faults[bound] = [_("ce champ ne va qu’avec %(field)s", field="rate")]
        if "floor" in data and "ceiling" in data and data["ceiling"] < data["floor"]:
            faults["ceiling"] = [_("le plafond est plus petit que le plancher")]
        _refuse(faults)


class PriceSchema(PeriodSchema):
    """What a meal costs from one day to another (or for good): flat, or by a grid."""

    cents = Euros(data_key="euros")
    rows = _tables(RowSchema)
    decided_on = Day(data_key="decided")

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _one_of_two(self, data: Mapping[str, Any], original: Any, **_more: Any) -> None:
        if not isinstance(original, Mapping):
            return
        if ("euros" in original) == ("rows" in original):
            raise ValidationError(_("donnez soit euros, soit rows"))
        _refuse(_empty(data, "rows", _("il faut au moins une ligne")))

    @validates_schema
    def _no_hole(self, data: Mapping[str, Any], **_more: Any) -> None:
        rows = data.get("rows")
        if not rows:
            return
        hole = next(holes(tuple(Row(**row) for row in rows)), None)
        if hole is None:
            return
        words = situation_words(hole.situation)
        if hole.rows:
            second = hole.rows[1]
            raise ValidationError({"rows": {second: [_("deux lignes valent en même temps (%(where)s)", where=words)]}})
        raise ValidationError({"rows": [_("aucune ligne ne vaut dans ce cas : %(where)s", where=words)]})


class ClosureSchema(PeriodSchema):
    """Days on which nothing is served, and why."""

    reason = Text(120, required=True)


class TariffSchema(_Table):
    """A tariff as parents choose it."""

    code = Text(40, form=SLUG, example="resident-commune", required=True)
    label = Text(required=True)
    audience = Choice(AUDIENCES, required=True)
    documents = Text(300, load_default=None)
    pai = Boolean(load_default=False)
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
    places = _tables(PlacesSchema, load_default=list)
    waiting = _table(WaitingSchema)
    booking = Deadline(required=True)
    cancel = Deadline(required=True)
    late = _table(LateSchema)
    unbooked = _table(UnbookedSchema)
    credit = RefundOf(load_default="full")
    sickness = _table(SicknessSchema)
    cost_price = Euros()
    freed = _table(FreedSchema)
    blocking = _table(BlockingSchema)
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
            _twins(data, "places", "school"),
        )

    @validates_schema
    def _consistent(self, data: Mapping[str, Any], **_more: Any) -> None:
        rules = Rules(data["booking"], data["cancel"], Policies.of(data))
        in_vain = rules.policies.blocking.pai and not any(tariff["pai"] for tariff in data["tariffs"])
        _refuse(
            *(_at(place, words) for place, words in contradictions(rules, data["weekdays"], data["kind"])),
            _at(("blocking", "pai"), _("aucun tarif de ce service ne demande de PAI")) if in_vain else {},
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
        _refuse(_twins(data, "schools", "name"), _twins(data, "services", "slug"), _places_of_nobody(data))


def _places_of_nobody(data: Mapping[str, Any]) -> Faults:
    """Places for a school that is none of the commune's."""
    names = {school.get("name") for school in data.get("schools") or ()}
    faults: dict[int, Any] = {}
    for place, service in enumerate(data.get("services") or ()):
        unknown = {
            number: {"school": [_("« %(name)s » n’est pas une école de la commune", name=entry["school"])]}
            for number, entry in enumerate(service.get("places") or ())
            if "school" in entry and entry["school"] not in names
        }
        if unknown:
            faults[place] = {"places": unknown}
    return {"services": faults} if faults else {}


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


class CaseSchema(_Table):
    """A worked example of the rules, with what the règlement says it gives."""

    situation = Text(200, load_default="")
    commune = Text(60)
    service = Text(60)
    tariff = Text(60)
    action = Choice(("book", "cancel", "eat", "free"), load_default="book")
    meal = Day(required=True)
    at = Instant()
    quotient = Whole(0, 100_000)
    rank = Whole(1, 20)
    eating = Whole(1, 20)
    level = Choice(ROW_LEVELS)
    times = Whole(1, 200, load_default=1)
    deadline = Instant()
    cents = Euros(data_key="euros")


class TownSchema(_Table):
    """A whole catalogue file."""

    regie = _table(RegieSchema, required=True)
    communes = _tables(CommuneSchema, required=True)
    cases = _tables(CaseSchema, load_default=list)

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
