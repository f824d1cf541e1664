"""The town that is measured: the demo's catalogue, families who have eaten for a year, and buyers with full wallets."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

from flask import Flask
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from accounts.models import Account, LoginSession
from accounts.queries import digest
from accounts.rules import search_text
from app import create_app
from cart.models import Basket, BasketLine
from catalog.models import Commune, Service, ServiceDay, Tariff, TariffPrice
from demo.books import Books, Customer
from demo.bulk import BulkWriter, day_text
from demo.grow import grow
from demo.load import load_catalogue
from enrolments.rules import school_year_of, validity
from shop import schema
from shop.clock import PARIS, StoppedClock, paris_day, paris_instant
from shop.config import Config
from shop.database import reading, the_database, transaction

START = datetime(2026, 11, 19, 8, 0, tzinfo=PARIS).astimezone(UTC)
"""When everything is measured: eight o'clock in Paris on a Thursday of a school week."""

COMMUNE, SERVICE = "aiguilhe", "cantine"
DOMAIN = "mesure.example.net"
SECRET_KEY = "a key for measuring only, and long enough to be one"
DATA_KEY = b"thirty-two bytes for the measure"
BALANCE_CENTS = 400_000
MEALS_A_FAMILY = 200
SHOPPING = 400
"""How many families have left something in their baskets."""


@dataclass(frozen=True)
class Buyer:
    """A family that is about to buy, signed in: its children and the keys of its browser."""

    household_id: int
    account_id: int
    email: str
    children: tuple[int, ...]
    token: str
    csrf_secret: str


@dataclass(frozen=True)
class Day:
    """A day that can be booked."""

    id: int
    day: date


class Town:
    """An application on a database of its own, with the town in it."""

    def __init__(self, url: str) -> None:
        """The town that stands in the database already."""
        self.url = url
        self.app = make_app(url)
        with self.app.app_context(), reading() as db:
            named = Account.email.endswith(f"@{DOMAIN}")
            self._buyers = db.scalar(select(func.count()).select_from(Account).where(named)) or 0
            self.service_id, self.regie_id = db.execute(
                select(Service.id, Commune.regie_id)
                .join(Commune, Commune.id == Service.commune_id)
                .where(Commune.slug == COMMUNE, Service.slug == SERVICE)
            ).one()
            self.days = _bookable_days(db, self.service_id)
            self.tariff_id, self.price_id, self.cents = _price(db, self.service_id)

    @classmethod
    def founded(cls, url: str, reservations: int) -> "Town":
        """A town in an empty database, its families having so many reservations."""
        app = make_app(url)
        with app.app_context():
            schema.upgrade(the_database())
            with transaction() as db:
                load_catalogue(db, START)
            if reservations:
                grow(max(reservations // MEALS_A_FAMILY, 1), reservations, START)
            the_database().engine.dispose()
        town = cls(url)
        # Baskets and sessions as on any day: a planner that has only seen empty tables makes plans for empty tables.
        town.fill_baskets(town.buyers(SHOPPING), 6)
        town.settle()
        return town

    def settle(self) -> None:
        """Let the database finish what a large import leaves to be done, so that nothing of it is measured."""
        database = self.app.extensions["shop.database"]
        with database.engine.connect() as connection:
            plain = connection.execution_options(begin=None)
            if database.is_sqlite:
                plain.exec_driver_sql("ANALYZE")
                plain.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            else:
                plain.execute(text("VACUUM (ANALYZE, FREEZE)"))
                plain.execute(text("CHECKPOINT"))

    def buyers(self, count: int, children: int = 4) -> list[Buyer]:
        """Families of so many approved children, each with money in its wallet and signed in."""
        with self.app.app_context(), transaction() as db:
            writer = BulkWriter(db)
            books = Books.open(db, self.regie_id, writer)
            found = [self._buyer(writer, books, children) for _number in range(count)]
            books.close()
            db.execute(
                insert(LoginSession),
                [
                    {
                        "account_id": buyer.account_id,
                        "token_hash": digest(buyer.token),
                        "device": "Firefox, Linux",
                        "created_at": START,
                        "expires_at": START + timedelta(days=30),
                    }
                    for buyer in found
                ],
            )
        return found

    def _buyer(self, writer: BulkWriter, books: Books, children: int) -> Buyer:
        self._buyers += 1
        before = writer.stamp(START - timedelta(days=80))
        email = f"acheteur{self._buyers}@{DOMAIN}"
        account_id = writer.add(
            *("accounts", email, "no password", None, "Camille", "Mesure", "+33639989998"),
            *("1 rue de la Mesure", "43000", "Aiguilhe", search_text("Mesure", "Camille", "+33639989998")),
            *("active", before, before, before),
        )
        household_id = writer.add("households", before)
        writer.add("household_members", household_id, account_id, "holder")
        year = school_year_of(paris_day(START))
        first, last = (day_text(day) for day in validity(year))
        keys = []
        for rank in range(children):
            born = day_text(date(2016 + rank, 5, 10))
            name = ("Louane", "Théo", "Jade", "Noah")[rank % 4]
            child = writer.add(
                *("beneficiaries", name, "Mesure", search_text("Mesure", name), born, None, None),
                *("standard", before),
            )
            writer.add("household_beneficiaries", household_id, child, "mother", rank)
            writer.add(
                *("enrolments", household_id, child, self.service_id, self.tariff_id, year, first, last),
                *("approved", before, account_id, before, None),
            )
            keys.append(child)
        customer = Customer(household_id, account_id, email)
        books.record(customer, [], BALANCE_CENTS, START - timedelta(days=1))
        secret = secrets.token_hex(20)
        return Buyer(household_id, account_id, email, tuple(keys), secrets.token_urlsafe(32), secret)

    def meals(self, buyer: Buyer, count: int) -> list[tuple[int, Day]]:
        """So many meals for a family, all its children on the same days: child and day."""
        pairs = ((child, day) for day in self.days for child in buyer.children)
        meals = list(islice(pairs, count))
        assert len(meals) == count, "the school year is too short"
        return meals

    def codes(self, buyer: Buyer, count: int) -> list[str]:
        """The same meals as the booking page's boxes name them."""
        return [f"{child}.{day.day.isoformat()}" for child, day in self.meals(buyer, count)]

    def fill_baskets(self, buyers: Sequence[Buyer], meals: int) -> list[int]:
        """Put so many meals into a new basket of each; the baskets' ids in the buyers' order."""
        with self.app.app_context(), transaction() as db:
            rows = [
                {
                    "household_id": buyer.household_id,
                    "regie_id": self.regie_id,
                    "state": "open",
                    "created_at": START,
                    "changed_at": START,
                }
                for buyer in buyers
            ]
            baskets = list(db.scalars(insert(Basket).returning(Basket.id, sort_by_parameter_order=True), rows))
            db.execute(
                insert(BasketLine),
                [
                    {
                        "basket_id": basket,
                        "beneficiary_id": child,
                        "service_day_id": day.id,
                        "tariff_id": self.tariff_id,
                        "tariff_price_id": self.price_id,
                        "quoted_cents": self.cents,
                        "credit_cents": self.cents,
                    }
                    for buyer, basket in zip(buyers, baskets, strict=True)
                    for child, day in self.meals(buyer, meals)
                ],
            )
        return baskets

    def cookie(self, buyer: Buyer, seen: datetime) -> str:
        """The cookie of the buyer's browser, as the shop signs it; it was last here at `seen`."""
        signer = self.app.session_interface.get_signing_serializer(self.app)  # type: ignore[attr-defined]
        facts = {
            "_user_id": buyer.token,
            "_fresh": True,
            "seen": int(seen.timestamp()),
            "csrf_token": buyer.csrf_secret,
        }
        return f"session={signer.dumps(facts)}"

    def csrf_token(self, buyer: Buyer) -> str:
        """What the forms on the buyer's pages carry."""
        return str(URLSafeTimedSerializer(SECRET_KEY, salt="wtf-csrf-token").dumps(buyer.csrf_secret))


def make_app(url: str) -> Flask:
    """The shop on this database, its clock stopped at `START`, with the keys that the served one has too."""
    config = Config(
        mode="test",
        database_url=url,
        base_url="http://localhost",
        secret_key=SECRET_KEY,
        data_keys=(DATA_KEY,),
        trusted_hosts=("localhost", "127.0.0.1"),
        sandbox_secret="the sandbox's secret while measuring",
        cheap_passwords=True,
    )
    return create_app(config, StoppedClock(START))


def _bookable_days(db: Session, service_id: int) -> list[Day]:
    """The open days of this school year that can still be booked a few days after `START`."""
    last = date(school_year_of(paris_day(START)) + 1, 7, 1)
    rows = db.execute(
        select(ServiceDay.id, ServiceDay.day)
        .where(
            ServiceDay.service_id == service_id,
            ServiceDay.is_open,
            ServiceDay.day <= last,
            ServiceDay.book_deadline_at > paris_instant(paris_day(START) + timedelta(days=2), time(12)),
        )
        .order_by(ServiceDay.day)
    )
    return [Day(*row) for row in rows]


def _price(db: Session, service_id: int) -> tuple[int, int, int]:
    """The first tariff for children, its price and the cents."""
    row = db.execute(
        select(Tariff.id, TariffPrice.id, TariffPrice.cents)
        .join(TariffPrice, TariffPrice.tariff_id == Tariff.id)
        .where(Tariff.service_id == service_id, Tariff.audience == "child", TariffPrice.valid_until.is_(None))
        .order_by(Tariff.position)
    ).first()
    assert row is not None
    return row[0], row[1], row[2]
