"""The demo town's files, as frozen records. See the comments at the top of each file for what a field means."""

import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from catalog.schemas import WEEKDAYS
from catalog.town import SchoolCalendar, Town, read_school_calendar, read_town
from shop.money import parse_euros
from shop.words import no_break

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Request:
    """What a family asked for, for one beneficiary."""

    commune: str
    service: str
    tariff: str
    state: str
    days_ago: int
    since_last_year: bool
    eats: frozenset[int]
    """ISO weekdays on which the beneficiary usually eats there."""
    message: str | None
    reason: str | None


@dataclass(frozen=True)
class Eater:
    """A beneficiary of a family; `same_as` ("e-mail/first name") is one that another family brought in."""

    relation: str
    first_name: str
    last_name: str
    birth_date: date | None
    diet: str
    allergies: str | None
    school: tuple[str, str] | None
    """Commune and name."""
    class_name: str | None
    same_as: tuple[str, str] | None
    weeks: str | None
    """Of a child in two homes: whether the "even" or the "odd" weeks are this family's."""
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Login:
    """Somebody who signs in."""

    email: str
    password: str
    title: str | None
    first_name: str
    last_name: str
    phone: str | None


@dataclass(frozen=True)
class Family:
    """A household: who signs in, who eats, how it pays."""

    holder: Login
    co: Login | None
    note: str
    address: str | None
    postcode: str | None
    city: str | None
    birth_date: date | None
    organisation: str | None
    siret: str | None
    newsletter: bool
    partners: bool
    confirmed: bool
    pays: str
    balance_cents: int | None
    eaters: tuple[Eater, ...]


@dataclass(frozen=True)
class Staff:
    """Somebody of a town hall, of the régie or of the platform (neither `commune` nor `regie`)."""

    login: Login
    note: str
    role: str
    commune: str | None
    regie: bool
    totp_secret: str


@dataclass(frozen=True)
class People:
    """Everybody in the demo town."""

    families: tuple[Family, ...]
    staff: tuple[Staff, ...]


def the_town() -> Town:
    """The demo town's catalogue."""
    return read_town(_text("town.toml"), "demo/town.toml")


def the_school_calendar() -> SchoolCalendar:
    """The demo town's school years and public holidays."""
    return read_school_calendar(_text("calendar.toml"), "demo/calendar.toml")


def the_menus(first: date, last: date) -> dict[date, str]:
    """The menu of every weekday that has one, from a day to a day, dishes one a line; the weeks come round in turn."""
    weeks = tomllib.loads(_text("menus.toml"))["weeks"]
    menus: dict[date, str] = {}
    day = first
    while day <= last:
        # Counted from a Monday, so that a week's number does not depend on where one begins.
        week = weeks[(day - date(2024, 1, 1)).days // 7 % len(weeks)]
        dishes = next(
            (week[name] for name, number in WEEKDAYS.items() if number == day.isoweekday() and name in week), None
        )
        if dishes is not None:
            vegetarian = " (végétarien)" if dishes.get("vegetarian") else ""
            lines = [dishes["starter"], dishes["main"] + vegetarian, dishes["side"], dishes["dairy"], dishes["dessert"]]
            menus[day] = "\n".join(lines)
        day += timedelta(days=1)
    return menus


def the_people() -> People:
    """The families and the staff of the demo town."""
    found = tomllib.loads(_text("families.toml"))
    return People(
        families=tuple(_family(family) for family in found["families"]),
        staff=tuple(
            Staff(
                login=_login(person),
                note=no_break(person["note"]),
                role=person["role"],
                commune=person.get("commune"),
                regie=person.get("regie", False),
                totp_secret=person["totp_secret"],
            )
            for person in found["staff"]
        ),
    )


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _login(found: dict[str, Any]) -> Login:
    return Login(
        email=found["email"],
        password=found["password"],
        title=found.get("title"),
        first_name=found["first_name"],
        last_name=found["last_name"],
        phone=found.get("phone"),
    )


def _family(found: dict[str, Any]) -> Family:
    return Family(
        holder=_login(found),
        co=_login(found["co"]) if "co" in found else None,
        note=no_break(found["note"]),
        address=found.get("address"),
        postcode=found.get("postcode"),
        city=found.get("city"),
        birth_date=_day(found.get("birth_date")),
        organisation=found.get("organisation"),
        siret=found.get("siret"),
        newsletter=found.get("newsletter", False),
        partners=found.get("partners", False),
        confirmed=found.get("state") != "unconfirmed",
        pays=found.get("pays", "card"),
        balance_cents=parse_euros(found["balance"]) if "balance" in found else None,
        eaters=tuple(_eater(eater) for eater in found.get("beneficiaries", ())),
    )


def _eater(found: dict[str, Any]) -> Eater:
    return Eater(
        relation=found["relation"],
        first_name=found.get("first_name", ""),
        last_name=found.get("last_name", ""),
        birth_date=_day(found.get("birth_date")),
        diet=found.get("diet", "standard"),
        allergies=found.get("allergies"),
        school=_pair(found.get("school")),
        class_name=found.get("class_name"),
        same_as=_pair(found.get("same_as")),
        weeks=found.get("weeks"),
        requests=tuple(_request(request) for request in found.get("enrolments", ())),
    )


def _request(found: dict[str, Any]) -> Request:
    commune, service = found["service"].split("/")
    return Request(
        commune=commune,
        service=service,
        tariff=found["tariff"],
        state=found["state"],
        days_ago=found["days_ago"],
        since_last_year=found.get("since_last_year", False),
        eats=frozenset(WEEKDAYS[name] for name in found.get("eats", ())),
        message=_words(found.get("message")),
        reason=_words(found.get("reason")),
    )


def _words(text: str | None) -> str | None:
    """A text as it is kept when a person has typed it into a form."""
    return no_break(text) if text else None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _pair(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    first, second = text.split("/", 1)
    return first, second
