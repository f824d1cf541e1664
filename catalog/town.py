"""A town's catalogue file, read into frozen records; all its faults are told at once, each with its line."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from marshmallow import Schema, ValidationError

from catalog.errors import FileFault, FileRefused
from catalog.rules.deadlines import DeadlineRule
from catalog.rules.policies import Policies, Rules
from catalog.rules.prices import Grid, Row, highest
from catalog.schemas import SchoolCalendarSchema, TownSchema
from catalog.toml_lines import Path, line_of, locate
from shop.words import gettext as _


@dataclass(frozen=True)
class PriceEntry:
    """The price of one meal from a day to a day, both included; without a last day, until further notice."""

    from_day: date
    until_day: date | None
    cents: int
    """With a grid, what it asks of a family of which nothing is known."""
    grid: Grid | None = None
    decided_on: date | None = None
    """When the council decided it."""


@dataclass(frozen=True)
class ClosureEntry:
    """Days without service, both included, and why."""

    from_day: date
    until_day: date
    reason: str


@dataclass(frozen=True)
class TariffEntry:
    """A tariff of a service; `code` names it for ever, `label` is what parents read."""

    code: str
    label: str
    audience: str
    documents: str | None
    prices: tuple[PriceEntry, ...]
    pai: bool = False
    """Whether it asks for a PAI of the child."""


@dataclass(frozen=True)
class PlacesEntry:
    """How many meals a day there are for the pupils of one school, known by its name."""

    school: str
    capacity: int


@dataclass(frozen=True)
class ServiceEntry:
    """A canteen or a childcare; weekdays count from 1 (Monday); no capacity means no limit."""

    slug: str
    name: str
    kind: str
    weekdays: tuple[int, ...]
    settlement: str
    capacity: int | None
    booking: DeadlineRule
    cancel: DeadlineRule
    policies: Policies
    description: str
    tariffs: tuple[TariffEntry, ...]
    closures: tuple[ClosureEntry, ...]
    places: tuple[PlacesEntry, ...] = ()

    @property
    def rules(self) -> Rules:
        """All rules of the service."""
        return Rules(self.booking, self.cancel, self.policies)


@dataclass(frozen=True)
class SchoolEntry:
    """A school: its name and level ("nursery", "elementary", "primary" for both of them, "secondary")."""

    name: str
    level: str


@dataclass(frozen=True)
class CommuneEntry:
    """A commune with everything it offers."""

    slug: str
    name: str
    insee: str
    zone: str
    accent: str
    email: str
    phone: str
    address: str
    schools: tuple[SchoolEntry, ...]
    services: tuple[ServiceEntry, ...]
    closures: tuple[ClosureEntry, ...]


@dataclass(frozen=True)
class RegieEntry:
    """The cash office."""

    slug: str
    legal_name: str
    email: str
    phone: str
    address: str
    card_gateway: str
    minimum_top_up_cents: int
    maximum_top_up_cents: int
    minimum_online_cents: int


@dataclass(frozen=True)
class Case:
    """An example: an action on the meal of a day, who asks, when, and what it should give."""

    action: str
    """"book", "cancel", "eat" (without a booking), or "free" (give back)."""
    meal: date
    commune: str | None = None
    service: str | None = None
    tariff: str | None = None
    at: datetime | None = None
    """When the family acts (aware); in time where nothing is said."""
    quotient: int | None = None
    rank: int | None = None
    eating: int | None = None
    level: str | None = None
    times: int = 1
    """The how many-th time of the school year that a child eats without a booking."""
    situation: str = ""
    """The example in words."""
    deadline: datetime | None = None
    """What the règlement says: the first instant that is too late (aware)."""
    cents: int | None = None
    """What the règlement says: the price, or what cancelling gives back."""


@dataclass(frozen=True)
class Town:
    """A whole catalogue file: one cash office, its communes, and worked examples of their rules."""

    regie: RegieEntry
    communes: tuple[CommuneEntry, ...]
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True)
class HolidayEntry:
    """A school holiday of one zone: its first and last day without school."""

    zone: str
    label: str
    from_day: date
    until_day: date


@dataclass(frozen=True)
class SchoolYearEntry:
    """A school year: its first and last day of school, and its holidays, one for each zone."""

    name: str
    from_day: date
    until_day: date
    holidays: tuple[HolidayEntry, ...]


@dataclass(frozen=True)
class SchoolCalendar:
    """A whole calendar file: the school years and the public holidays with their names."""

    years: tuple[SchoolYearEntry, ...]
    public_holidays: dict[date, str]


def read_town(text: str, file: str) -> Town:
    """The town that a catalogue file describes. Raises `FileRefused`. `file` is its name, for the faults."""
    found = _load(text, file, TownSchema())
    return Town(
        regie=RegieEntry(**found["regie"]),
        communes=tuple(_commune(commune) for commune in found["communes"]),
        cases=tuple(Case(**case) for case in found["cases"]),
    )


def read_school_calendar(text: str, file: str) -> SchoolCalendar:
    """The school years and public holidays of a calendar file. Raises `FileRefused`."""
    found = _load(text, file, SchoolCalendarSchema())
    return SchoolCalendar(
        years=tuple(
            SchoolYearEntry(
                name=year["name"],
                from_day=year["from_day"],
                until_day=year["until_day"],
                holidays=tuple(
                    HolidayEntry(zone, holiday["label"], holiday["from_day"], holiday["until_day"])
                    for holiday in year["holidays"]
                    for zone in holiday["zones"]
                ),
            )
            for year in found["years"]
        ),
        public_holidays={holiday["day"]: holiday["label"] for holiday in found["public_holidays"]},
    )


def _load(text: str, file: str, schema: Schema) -> dict[str, Any]:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as broken:
        raise FileRefused((_syntax_fault(text, file, str(broken)),)) from broken
    try:
        found: dict[str, Any] = schema.load(raw)
    except ValidationError as refused:
        lines = locate(text)
        faults = [
            FileFault(file, line_of(lines, path), _dotted(path), sentence)
            for path, sentence in _flatten(refused.messages)
        ]
        raise FileRefused(tuple(sorted(faults, key=lambda fault: fault.line))) from refused
    return found


def _syntax_fault(text: str, file: str, message: str) -> FileFault:
    """The one fault tomllib stops at: it names the line in its message."""
    what, _at, place = message.partition(" (at ")
    number = place.removeprefix("line ").split(",")[0]
    line = int(number) if number.isdigit() else text.count("\n") + 1
    return FileFault(file, line, "", _("ce n’est pas du TOML valide (%(what)s)", what=what))


def _flatten(messages: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """marshmallow's tree of messages as (path, sentence) pairs."""
    if isinstance(messages, Mapping):
        for key, below in messages.items():
            # "_schema" holds what is wrong with a table as a whole.
            yield from _flatten(below, path if key == "_schema" else (*path, key))
    elif isinstance(messages, str):
        yield path, messages
    else:
        for message in messages:
            yield from _flatten(message, path)


def _dotted(path: Path) -> str:
    """`communes[2].services[0].name`, counting from 1 as people do."""
    words = ""
    for part in path:
        words += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if words else part
    return words


def _commune(found: dict[str, Any]) -> CommuneEntry:
    return CommuneEntry(
        **{key: value for key, value in found.items() if key not in {"schools", "services", "closures"}},
        schools=tuple(SchoolEntry(**school) for school in found["schools"]),
        services=tuple(_service(service) for service in found["services"]),
        closures=_closures(found["closures"]),
    )


def _service(found: dict[str, Any]) -> ServiceEntry:
    return ServiceEntry(
        slug=found["slug"],
        name=found["name"],
        kind=found["kind"],
        weekdays=tuple(sorted(found["weekdays"])),
        settlement=found["settlement"],
        capacity=found.get("capacity"),
        booking=found["booking"],
        cancel=found["cancel"],
        policies=Policies.of(found),
        description=found["description"],
        tariffs=tuple(_tariff(tariff) for tariff in found["tariffs"]),
        closures=_closures(found["closures"]),
        places=tuple(PlacesEntry(**places) for places in found["places"]),
    )


def _tariff(found: dict[str, Any]) -> TariffEntry:
    prices = (_price(price) for price in found["prices"])
    return TariffEntry(
        code=found["code"],
        label=found["label"],
        audience=found["audience"],
        documents=found["documents"],
        prices=tuple(sorted(prices, key=lambda price: price.from_day)),
        pai=found["pai"],
    )


def _price(found: dict[str, Any]) -> PriceEntry:
    grid = tuple(Row(**row) for row in found["rows"]) if "rows" in found else None
    return PriceEntry(
        found["from_day"],
        found.get("until_day"),
        found["cents"] if grid is None else highest(grid),
        grid,
        found.get("decided_on"),
    )


def _closures(found: list[dict[str, Any]]) -> tuple[ClosureEntry, ...]:
    return tuple(
        ClosureEntry(closure["from_day"], closure.get("until_day") or closure["from_day"], closure["reason"])
        for closure in found
    )
