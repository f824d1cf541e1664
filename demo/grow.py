"""Growing a town to any size: made-up families and their meals, always the same ones, for measuring."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from random import Random

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from accounts.models import Account
from accounts.passwords import hash_password
from accounts.rules import search_text
from catalog.models import Commune, School, SchoolYear, Service, Tariff
from demo.books import Books, Customer
from demo.bulk import COLUMNS, BulkWriter, day_text
from demo.history import Day, Meal, plan_purchases
from demo.load import Price, expiry, open_days, prices_by_tariff
from enrolments.rules import school_year_of, validity
from shop.clock import paris_day, paris_instant
from shop.database import reading, transaction
from shop.errors import Refusal
from shop.words import gettext as _

PASSWORD = "une-famille-parmi-mille"  # noqa: S105 — public on purpose
DOMAIN = "croissance.example.net"
PAST = timedelta(days=365)
DAYS_AN_ORDER = 14
CANCEL_SHARE = 0.02
TOP_UP_STEP_CENTS = 5_000
MEALS_A_BATCH = 60_000

FIRST_NAMES = (
    *("Jade", "Gabriel", "Louise", "Raphaël", "Alba", "Léo", "Emma", "Maël", "Alma", "Noah", "Romy", "Jules"),
    *("Rose", "Adam", "Ambre", "Arthur", "Lina", "Isaac", "Anna", "Liam", "Mia", "Sacha", "Agathe", "Eden"),
)
LAST_NAMES = (
    *("Abrial", "Bachelard", "Chabanon", "Delabre", "Enjolras", "Faure", "Gagne", "Habouzit", "Issartel"),
    *("Jouve", "Liogier", "Mounier", "Nicolas", "Ouillon", "Portal", "Rocher", "Sabatier", "Testud", "Varennes"),
)


class TooManyMeals(Refusal):
    """So many meals do not fit into the school days that are known."""

    def __init__(self, most: int) -> None:
        super().__init__(_("Ces familles ne peuvent pas manger plus de %(most)d fois.", most=most))
        self.most = most


@dataclass(frozen=True)
class _Place:
    """A service without a limit of places, as a family's children eat there."""

    service_id: int
    tariff_id: int
    school_id: int | None
    city: str
    days: tuple[Day, ...]
    prices: tuple[Price, ...]

    def price_on(self, day: date) -> Price:
        return next(price for price in self.prices if price.valid_from <= day <= price.valid_until)


@dataclass(frozen=True)
class _Plan:
    """One family to be: its number, how many children, where they eat, how many meals in all."""

    number: int
    children: int
    place: _Place
    meals: int


def grow(families: int, reservations: int, now: datetime) -> str:
    """Add families and meals; what was added, in one line. Raises `TooManyMeals`.

    The same numbers on the same database give the same rows. Each batch is a transaction whose books balance, so an
    interruption leaves a smaller town, not a broken one.
    """
    password_hash = hash_password(PASSWORD)
    with reading() as db:
        places = _places(db, now)
        regie_id = db.scalars(select(Commune.regie_id).limit(1)).one()
        first = db.scalar(select(func.count()).select_from(Account).where(Account.email.endswith(f"@{DOMAIN}"))) or 0
    plans = _plans(families, reservations, first, places)
    most = sum(plan.children * len(plan.place.days) for plan in plans)
    if any(plan.meals > plan.children * len(plan.place.days) for plan in plans):
        raise TooManyMeals(most)
    waiting = iter(plans)
    size = max(1, MEALS_A_BATCH * families // max(reservations, families))
    while batch := list(islice(waiting, size)):
        with transaction() as db:
            _write(db, batch, regie_id, password_hash, now)
    with transaction() as db:
        # The planner of either database has seen a small town until now.
        for table in (*COLUMNS, "service_days"):
            db.execute(text(f"ANALYZE {table}"))
    return _(
        "%(families)d familles et %(meals)d repas ajoutés (famille%(first)d@%(domain)s, mot de passe %(password)s).",
        families=families,
        meals=reservations,
        first=first + 1,
        domain=DOMAIN,
        password=PASSWORD,
    )


def _places(db: Session, now: datetime) -> list[_Place]:
    rows = db.execute(
        select(Service.id, Commune.id, Commune.name)
        .join(Commune, Commune.id == Service.commune_id)
        .where(Service.capacity.is_(None), Service.settlement == "prepaid")
        .order_by(Service.id)
    ).all()
    last = db.scalars(select(func.max(SchoolYear.last_day))).one()
    days = open_days(db, [row.id for row in rows], paris_day(now - PAST), last)
    prices = prices_by_tariff(db)
    places = []
    for service_id, commune_id, city in rows:
        tariff_id = db.scalar(
            select(Tariff.id)
            .where(Tariff.service_id == service_id, Tariff.audience == "child")
            .order_by(Tariff.position)
            .limit(1)
        )
        school_id = db.scalar(select(School.id).where(School.commune_id == commune_id).order_by(School.id).limit(1))
        if tariff_id is not None and days[service_id]:
            priced = tuple(prices[tariff_id])
            places.append(_Place(service_id, tariff_id, school_id, city, tuple(days[service_id]), priced))
    return places


def _plans(families: int, reservations: int, first: int, places: Sequence[_Place]) -> list[_Plan]:
    """Families with one, two or three children in turn; the meals are shared out by children, none is lost."""
    shapes = [(number, 1 + number % 3, places[number % len(places)]) for number in range(first, first + families)]
    children = sum(shape[1] for shape in shapes)
    plans, given, seen = [], 0, 0
    for number, count, place in shapes:
        seen += count
        meals = reservations * seen // children - given
        given += meals
        plans.append(_Plan(number, count, place, meals))
    return plans


def _write(db: Session, plans: Sequence[_Plan], regie_id: int, password_hash: str, now: datetime) -> None:
    writer = BulkWriter(db)
    books = Books.open(db, regie_id, writer)
    for plan in plans:
        customer, children = _settle_in(writer, plan, password_hash, now)
        random = Random(plan.number)  # noqa: S311 — the same family every time
        settlements = ("wallet", "wallet", "card", "wallet")[plan.number % 3 :]
        meals = islice(_meals(plan, children, school_year_of(paris_day(now))), plan.meals)
        purchases = plan_purchases(meals, settlements, DAYS_AN_ORDER, CANCEL_SHARE, now, random)
        books.record(customer, purchases, 0, now, TOP_UP_STEP_CENTS)
    books.close()


def _meals(plan: _Plan, children: Sequence[int], current_year: int) -> Iterator[Meal]:
    """The family's meals from the oldest day on, all its children each day."""
    for day in plan.place.days:
        price = plan.place.price_on(day.day)
        since = _granted_at(min(school_year_of(day.day), current_year))
        for child in children:
            yield Meal(child, since, day, plan.place.tariff_id, price.id, price.cents)


def _granted_at(year: int) -> datetime:
    """When the town hall approves everybody: on 20 August, before any deadline of the school year."""
    return paris_instant(date(year, 8, 20), time(9))


def _settle_in(writer: BulkWriter, plan: _Plan, password_hash: str, now: datetime) -> tuple[Customer, list[int]]:
    """Write the household, its account, its children and their enrolments."""
    place, number = plan.place, plan.number
    years = sorted({school_year_of(day.day) for day in place.days})
    current = school_year_of(paris_day(now))
    arrived = writer.stamp(_granted_at(years[0]) - timedelta(days=2))
    last_name = LAST_NAMES[number % len(LAST_NAMES)]
    first_name, phone = FIRST_NAMES[number * 7 % len(FIRST_NAMES)], "+33639989999"
    email = f"famille{number + 1}@{DOMAIN}"
    account_id = writer.add(
        "accounts",
        email,
        password_hash,
        None,
        first_name,
        last_name,
        phone,
        f"{number % 120 + 1} rue de la Croissance",
        "43000",
        place.city,
        search_text(last_name, first_name, phone),
        "active",
        arrived,
        arrived,
        arrived,
    )
    household_id = writer.add("households", arrived)
    writer.add("household_members", household_id, account_id, "holder")
    children = []
    for rank in range(plan.children):
        born = date(current - 5 - (number + rank * 2) % 6, 1 + number % 12, 1 + (number * 3 + rank) % 28)
        child_name = FIRST_NAMES[(number + rank * 5) % len(FIRST_NAMES)]
        child = writer.add(
            "beneficiaries",
            child_name,
            last_name,
            search_text(last_name, child_name),
            day_text(born),
            place.school_id,
            None,
            "standard",
            arrived,
        )
        writer.add("household_beneficiaries", household_id, child, "mother", rank)
        children.append(child)
        for year in years:
            valid_from, valid_until = validity(year)
            granted = _granted_at(min(year, current))
            writer.add(
                "enrolments",
                household_id,
                child,
                place.service_id,
                place.tariff_id,
                year,
                day_text(valid_from),
                day_text(valid_until),
                "expired" if year < current else "approved",
                writer.stamp(granted - timedelta(days=1)),
                account_id,
                writer.stamp(expiry(valid_until) if year < current else granted),
                None,
            )
    return Customer(household_id, account_id, email), children
