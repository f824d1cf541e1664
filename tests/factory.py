"""A small town for tests, written row by row, so that a test of one room needs no other room's operations.

    town.regie_id                       the cash office of both communes
    town.aiguilhe.canteen               Monday, Tuesday, Thursday, Friday; 3,80 €; 60 places a day
    town.aiguilhe.childcare             the same days; 2,10 €
    town.coubon.canteen                 4,10 €
    family = town.family(children=2, balance_cents=5000)
    days = town.aiguilhe.canteen.open_days(town.now)            those that can still be booked
    order = town.paid_order(family, town.aiguilhe.canteen, days[:3])

Every helper leaves books that `checkout.books.check` finds in order.
"""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import BigInteger, bindparam, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from accounts.models import Account, Beneficiary, Household, HouseholdBeneficiary, HouseholdMember, StaffRole
from cart.models import Basket, BasketLine, WaitingEntry
from catalog.models import (
    Closure,
    Commune,
    Regie,
    School,
    SchoolPlace,
    SchoolYear,
    Service,
    ServiceDay,
    Tariff,
    TariffPrice,
)
from catalog.rules.deadlines import Calendar, DeadlineRule, deadline
from enrolments.models import Enrolment
from homes.models import CustodyCalendar
from orders.models import Order, Reservation
from payments.models import Payment
from shop.database import Row, transaction
from shop.outbox import Letter, post
from shop.statements import run, run_all
from wallet.models import JournalEntry, LedgerAccount, Posting

PASSWORD = "une phrase assez longue"
TWO_DAYS_BEFORE = DeadlineRule.of("10:00", days_before=2, counted="calendar")
FIRST_DAY, LAST_DAY = date(2026, 11, 2), date(2026, 12, 18)
FIRST_NAMES = ("Louane", "Théo", "Inès", "Hugo", "Jade", "Malo", "Zoé", "Noé")


@lru_cache(maxsize=1)
def password_hash() -> str:
    """The hash of `PASSWORD`, as cheap as argon2 makes them."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


# Built once: nearly every test runs them, and to build one anew takes longer than to run it.
ACCOUNT = select(LedgerAccount.id).where(
    LedgerAccount.regie_id == bindparam("regie_id"),
    LedgerAccount.kind == bindparam("kind"),
    LedgerAccount.household_id.is_not_distinct_from(bindparam("household_id", type_=BigInteger)),
)
MOVED = (
    update(LedgerAccount)
    .where(LedgerAccount.id == bindparam("account"))
    .values(balance_cents=LedgerAccount.balance_cents + bindparam("change"))
    .returning(LedgerAccount.balance_cents)
)
RESERVATIONS, DAYS = insert(Reservation), insert(ServiceDay)
BOOKED = (
    update(ServiceDay)
    .where(ServiceDay.id == bindparam("day_id"))
    .values(booked_count=ServiceDay.booked_count + bindparam("places"))
)
NUMBERS_OF_DAYS = select(ServiceDay.day, ServiceDay.id).where(ServiceDay.service_id == bindparam("service_id"))


@cache
def _insertion(model: type[Row]) -> ReturningInsert[tuple[int]]:
    return insert(model).returning(model.id)


def add(db: Session, model: type[Row], **values: Any) -> int:
    """Insert one row and give its number."""
    number: int = run(db, _insertion(model), **values).scalar()
    return number


@cache
def limit(day: date) -> datetime:
    """Until when this day can be booked, and a meal of it cancelled."""
    return deadline(TWO_DAYS_BEFORE, day, Calendar())


@dataclass
class ServiceFacts:
    """A service with its two tariffs, for the commune's families and for others, and its days."""

    id: int
    slug: str
    commune_slug: str
    tariff_id: int
    price_id: int
    cents: int
    outside_tariff_id: int
    outside_price_id: int
    outside_cents: int
    day_ids: dict[date, int] = field(default_factory=dict)
    """Every day on which it serves, from 2 November to 18 December 2026, and its number."""

    def open_days(self, now: datetime) -> list[date]:
        """Days whose deadline (two days before, at 10 h in Paris) is still ahead, in order."""
        return [day for day in sorted(self.day_ids) if limit(day) > now]

    def ids(self, days: Iterable[date]) -> list[int]:
        """The numbers of these days."""
        return [self.day_ids[day] for day in days]


@dataclass
class CommuneFacts:
    """A commune with its school and services."""

    id: int
    regie_id: int
    slug: str
    name: str
    school_id: int
    services: dict[str, ServiceFacts] = field(default_factory=dict)

    @property
    def canteen(self) -> ServiceFacts:
        return self.services["restaurant-scolaire"]

    @property
    def childcare(self) -> ServiceFacts:
        return self.services["garderie"]


@dataclass(frozen=True)
class Person:
    """Somebody who can sign in, with `PASSWORD`."""

    account_id: int
    email: str
    staff: bool = False


@dataclass(frozen=True)
class Family(Person):
    """A household with one account, its beneficiaries and its wallet."""

    household_id: int = 0
    beneficiary_ids: tuple[int, ...] = ()
    enrolment_ids: tuple[int, ...] = ()
    """Of the canteen's tariff for the commune's families, one per beneficiary; empty when not `approved`."""
    wallet_id: int = 0


@dataclass
class Town:
    """The builder. Every method commits on its own."""

    app: Flask
    now: datetime
    regie_id: int = 0
    communes: dict[str, CommuneFacts] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def founded(cls, app: Flask, now: datetime) -> "Town":
        """One régie and two communes, Aiguilhe (canteen, childcare) and Coubon (canteen)."""
        town = cls(app, now)
        with app.app_context(), transaction() as db:
            db.execute(
                insert(SchoolYear).values(zone="A", year=2026, first_day=date(2026, 9, 1), last_day=date(2027, 7, 2))
            )
            town.regie_id = add_regie(db, "agglo", "Régie de l’agglomération")
            aiguilhe = add_commune(db, town.regie_id, "aiguilhe", "Aiguilhe", "43002")
            add_service(db, aiguilhe, "restaurant-scolaire", "Restaurant scolaire", "canteen", 380, 520, 60)
            add_service(db, aiguilhe, "garderie", "Garderie du soir", "childcare", 210, 290, None)
            coubon = add_commune(db, town.regie_id, "coubon", "Coubon", "43078")
            add_service(db, coubon, "restaurant-scolaire", "Restaurant scolaire", "canteen", 410, 560, None)
            town.communes = {"aiguilhe": aiguilhe, "coubon": coubon}
        return town

    @property
    def aiguilhe(self) -> CommuneFacts:
        return self.communes["aiguilhe"]

    @property
    def coubon(self) -> CommuneFacts:
        return self.communes["coubon"]

    # --- people ---

    def account(self, email: str = "", state: str = "active", **values: Any) -> Person:
        """An account without a household."""
        with self.app.app_context(), transaction() as db:
            email = email or f"compte{next(self._numbers)}@example.org"
            return Person(self._account(db, email, state, **values), email)

    def family(
        self,
        children: int = 2,
        balance_cents: int = 0,
        approved: bool = True,
        email: str = "",
        service: ServiceFacts | None = None,
        outside: bool = False,
        state: str = "active",
    ) -> Family:
        """A household: an account, children, a wallet topped up by card with `balance_cents`.

        When `approved`, each child is enrolled at `service` (Aiguilhe's canteen) for the school year 2026, at the tariff of
        the commune's families, or of others when `outside`.
        """
        service = service or self.aiguilhe.canteen
        commune = self.communes[service.commune_slug]
        with self.app.app_context(), transaction() as db:
            number = next(self._numbers)
            email = email or f"famille{number}@example.org"
            account_id = self._account(db, email, state, last_name=f"Dupont{number}")
            household_id = add(db, Household, created_at=self.now)
            add(db, HouseholdMember, household_id=household_id, account_id=account_id, role="holder")
            beneficiaries, enrolments = [], []
            for position in range(children):
                child = add(
                    db,
                    Beneficiary,
                    first_name=FIRST_NAMES[position % len(FIRST_NAMES)],
                    last_name=f"Dupont{number}",
                    birth_date=date(2018, 5, 10),
                    school_id=commune.school_id,
                    class_name="CE2",
                    diet="standard",
                    created_at=self.now,
                )
                beneficiaries.append(child)
                add(
                    db,
                    HouseholdBeneficiary,
                    household_id=household_id,
                    beneficiary_id=child,
                    relation="mother",
                    position=position,
                )
                if approved:
                    enrolments.append(
                        self._enrolment(db, household_id, account_id, child, service, "approved", outside)
                    )
            wallet_id = add(
                db, LedgerAccount, regie_id=commune.regie_id, kind="wallet", household_id=household_id, balance_cents=0
            )
            if balance_cents:
                payment_id = self._payment(db, "top_up", household_id, account_id, commune.regie_id, balance_cents)
                self._entry(
                    db,
                    "top_up",
                    f"top_up:payment:{payment_id}",
                    commune.regie_id,
                    [("card_clearing", None, -balance_cents), ("wallet", household_id, balance_cents)],
                    payment_id=payment_id,
                )
        return Family(
            account_id,
            email,
            household_id=household_id,
            beneficiary_ids=tuple(beneficiaries),
            enrolment_ids=tuple(enrolments),
            wallet_id=wallet_id,
        )

    def top_up(self, family: Family, cents: int) -> None:
        """Fill the family's wallet by card; nothing else happens."""
        with self.app.app_context(), transaction() as db:
            payment_id = self._payment(db, "top_up", family.household_id, family.account_id, self.regie_id, cents)
            self._entry(
                db,
                "top_up",
                f"top_up:payment:{payment_id}",
                self.regie_id,
                [("card_clearing", None, -cents), ("wallet", family.household_id, cents)],
                payment_id=payment_id,
            )

    def clerk(self, commune: CommuneFacts | None = None, role: str = "manager", email: str = "") -> Person:
        """Somebody of the town hall of `commune` (Aiguilhe)."""
        commune = commune or self.aiguilhe
        with self.app.app_context(), transaction() as db:
            email = email or f"mairie{next(self._numbers)}@example.org"
            account_id = self._account(db, email, "active", first_name="Claire", last_name="Mairie")
            add(
                db,
                StaffRole,
                account_id=account_id,
                scope="commune",
                regie_id=commune.regie_id,
                commune_id=commune.id,
                role=role,
                given_at=self.now,
            )
        return Person(account_id, email, staff=True)

    def enrol(
        self,
        family: Family,
        beneficiary_id: int,
        service: ServiceFacts,
        state: str = "approved",
        outside: bool = False,
        **values: Any,
    ) -> int:
        """One more enrolment of a family, in any state."""
        with self.app.app_context(), transaction() as db:
            return self._enrolment(
                db, family.household_id, family.account_id, beneficiary_id, service, state, outside, **values
            )

    def share(self, family: Family, other: Family, place: int = 0) -> int:
        """The child at that place of the family lives in the other home too: the child."""
        child = family.beneficiary_ids[place]
        with self.app.app_context(), transaction() as db:
            add(
                db,
                HouseholdBeneficiary,
                household_id=other.household_id,
                beneficiary_id=child,
                relation="father",
                position=len(other.beneficiary_ids),
            )
        return child

    def custody(self, child: int, even: Family, odd: Family, first_day: date = FIRST_DAY) -> int:
        """A calendar to which both homes of the child have agreed."""
        with self.app.app_context(), transaction() as db:
            return add(
                db,
                CustodyCalendar,
                beneficiary_id=child,
                first_day=first_day,
                even_home_id=even.household_id,
                odd_home_id=odd.household_id,
                holidays_home_id=even.household_id,
                state="agreed",
                asked_at=self.now,
                asked_home_id=even.household_id,
                asked_by_id=even.account_id,
                decided_at=self.now,
                decided_by_id=odd.account_id,
            )

    # --- the catalogue ---

    def another_regie(self, slug: str = "voisine") -> CommuneFacts:
        """A second régie with its one commune and canteen; `Town.communes` knows it by the same slug."""
        with self.app.app_context(), transaction() as db:
            regie_id = add_regie(db, slug, f"Régie {slug}")
            commune = add_commune(db, regie_id, slug, slug.title(), "43157")
            add_service(db, commune, "restaurant-scolaire", "Restaurant scolaire", "canteen", 400, 500, None)
        self.communes[slug] = commune
        return commune

    def change_day(self, service: ServiceFacts, day: date, **values: Any) -> None:
        """Change columns of a service day: `capacity=1`, `is_open=False, closed_reason="Grève"`, `book_deadline_at=…`."""
        with self.app.app_context(), transaction() as db:
            db.execute(update(ServiceDay).where(ServiceDay.id == service.day_ids[day]).values(**values))

    def limit_school(self, service: ServiceFacts, day: date, capacity: int) -> None:
        """Places of their own for the pupils of the commune's school, on a day on which none has a meal."""
        school_id = self.communes[service.commune_slug].school_id
        with self.app.app_context(), transaction() as db:
            day_id = service.day_ids[day]
            add(db, SchoolPlace, service_day_id=day_id, school_id=school_id, capacity=capacity, booked_count=0)

    def another_school(self, commune: CommuneFacts, *beneficiary_ids: int) -> int:
        """One more school of the commune, to which these children go from now on."""
        with self.app.app_context(), transaction() as db:
            number = next(self._numbers)
            school_id = add(db, School, commune_id=commune.id, name=f"École {number}", level="elementary")
            db.execute(update(Beneficiary).where(Beneficiary.id.in_(beneficiary_ids)).values(school_id=school_id))
        return school_id

    def wait(self, family: Family, service: ServiceFacts, day: date, child: int = 0) -> int:
        """An entry of a child of the family (by its place among them) in the waiting list of a day."""
        with self.app.app_context(), transaction() as db:
            return add(
                db,
                WaitingEntry,
                household_id=family.household_id,
                beneficiary_id=family.beneficiary_ids[child],
                service_day_id=service.day_ids[day],
                account_id=family.account_id,
                state="waiting",
                asked_at=self.now,
            )

    def change_price(self, service: ServiceFacts, cents: int) -> None:
        """The price of the tariff of the commune's families becomes `cents` (for every day, under the same number)."""
        with self.app.app_context(), transaction() as db:
            db.execute(update(TariffPrice).where(TariffPrice.id == service.price_id).values(cents=cents))
        service.cents = cents

    def close(self, commune: CommuneFacts, day: date, reason: str) -> None:
        """A closure of the whole commune on a day (days are not planned anew)."""
        with self.app.app_context(), transaction() as db:
            add(db, Closure, commune_id=commune.id, first_day=day, last_day=day, reason=reason)

    # --- baskets and orders ---

    def basket(
        self, family: Family, service: ServiceFacts, days: Sequence[date], children: Sequence[int] | None = None
    ) -> int:
        """An open basket with one line per child and day, at today's price."""
        with self.app.app_context(), transaction() as db:
            regie_id = self.communes[service.commune_slug].regie_id
            basket_id = db.scalar(
                select(Basket.id).where(
                    Basket.household_id == family.household_id, Basket.regie_id == regie_id, Basket.state == "open"
                )
            ) or add(
                db,
                Basket,
                household_id=family.household_id,
                regie_id=regie_id,
                state="open",
                created_at=self.now,
                changed_at=self.now,
            )
            lines = [
                {
                    "basket_id": basket_id,
                    "beneficiary_id": child,
                    "service_day_id": service.day_ids[day],
                    "tariff_id": service.tariff_id,
                    "tariff_price_id": service.price_id,
                    "quoted_cents": service.cents,
                    "credit_cents": service.cents,
                }
                for child in (family.beneficiary_ids if children is None else children)
                for day in days
            ]
            db.execute(insert(BasketLine), lines)
        return basket_id

    def paid_order(
        self,
        family: Family,
        service: ServiceFacts,
        days: Sequence[date],
        children: Sequence[int] | None = None,
        settlement: str = "wallet",
        number: str = "",
    ) -> int:
        """A paid order with its confirmed reservations, entry and letter, paid by card or from a wallet that holds enough."""
        children = family.beneficiary_ids if children is None else children
        regie_id = self.communes[service.commune_slug].regie_id
        total = service.cents * len(days) * len(children)
        with self.app.app_context(), transaction() as db:
            order_id = add(
                db,
                Order,
                number=number or f"TEST-{next(self._numbers):05d}",
                household_id=family.household_id,
                regie_id=regie_id,
                account_id=family.account_id,
                total_cents=total,
                settlement=settlement,
                state="paid",
                placed_at=self.now,
                paid_at=self.now,
            )
            self._reserve(db, order_id, family, service, days, children, "confirmed")
            source: tuple[str, int | None] = ("wallet", family.household_id)
            payment_id = None
            kind, key = "wallet_payment", f"wallet_payment:order:{order_id}"
            if settlement == "card":
                source = ("card_clearing", None)
                payment_id = self._payment(
                    db, "order", family.household_id, family.account_id, regie_id, total, order_id=order_id
                )
                kind, key = "card_payment", f"card_payment:payment:{payment_id}"
            if total:
                self._entry(
                    db,
                    kind,
                    key,
                    regie_id,
                    [(*source, -total), ("sales", None, total)],
                    order_id=order_id,
                    payment_id=payment_id,
                )
            post(db, Letter("order_paid", family.email, f"order_paid:{order_id}", {"order_id": order_id}), self.now)
        return order_id

    def pending_order(
        self, family: Family, service: ServiceFacts, days: Sequence[date], held_until: datetime | None = None
    ) -> tuple[int, int]:
        """An order that waits for its card payment, holding its places, and the payment: (order id, payment id)."""
        regie_id = self.communes[service.commune_slug].regie_id
        total = service.cents * len(days) * len(family.beneficiary_ids)
        until = held_until or self.now + timedelta(minutes=30)
        with self.app.app_context(), transaction() as db:
            order_id = add(
                db,
                Order,
                number=f"TEST-{next(self._numbers):05d}",
                household_id=family.household_id,
                regie_id=regie_id,
                account_id=family.account_id,
                total_cents=total,
                settlement="card",
                state="pending",
                placed_at=self.now,
                held_until=until,
            )
            self._reserve(db, order_id, family, service, days, family.beneficiary_ids, "held")
            payment_id = self._payment(
                db,
                "order",
                family.household_id,
                family.account_id,
                regie_id,
                total,
                order_id=order_id,
                state="sent",
                expires_at=until,
            )
        return order_id, payment_id

    def reservation_ids(self, order_id: int) -> list[int]:
        """The reservations of an order."""
        with self.app.app_context(), transaction() as db:
            query = select(Reservation.id).where(Reservation.order_id == order_id).order_by(Reservation.id)
            return list(db.scalars(query))

    def cancel(self, family: Family, reservation_id: int) -> None:
        """A cancelled meal, credited to the wallet."""
        with self.app.app_context(), transaction() as db:
            order_id, day_id, school_id, cents, regie_id = db.execute(
                select(
                    Reservation.order_id,
                    Reservation.service_day_id,
                    Reservation.school_id,
                    Reservation.cents,
                    Order.regie_id,
                )
                .join(Order, Order.id == Reservation.order_id)
                .where(Reservation.id == reservation_id)
            ).one()
            db.execute(
                update(Reservation)
                .where(Reservation.id == reservation_id)
                .values(state="cancelled", cancelled_at=self.now, cancelled_by_id=family.account_id)
            )
            db.execute(
                update(ServiceDay).where(ServiceDay.id == day_id).values(booked_count=ServiceDay.booked_count - 1)
            )
            db.execute(
                update(SchoolPlace)
                .where(SchoolPlace.service_day_id == day_id, SchoolPlace.school_id == school_id)
                .values(booked_count=SchoolPlace.booked_count - 1)
            )
            self._entry(
                db,
                "cancelled_meal",
                f"cancelled_meal:reservation:{reservation_id}",
                regie_id,
                [("sales", None, -cents), ("wallet", family.household_id, cents)],
                order_id=order_id,
                reservation_id=reservation_id,
            )

    # --- rows ---

    def _account(self, db: Session, email: str, state: str, **values: Any) -> int:
        facts: dict[str, Any] = {
            "email": email,
            "password_hash": password_hash(),
            "first_name": "Camille",
            "last_name": "Dupont",
            "phone": "+33471000000",
            "address": "1 place de la Mairie",
            "postcode": "43000",
            "city": "Aiguilhe",
            "state": state,
            "terms_accepted_at": self.now,
            "created_at": self.now,
            "confirmed_at": None if state == "unconfirmed" else self.now,
            "closed_at": self.now if state == "closed" else None,
        }
        return add(db, Account, **(facts | values))

    def _enrolment(
        self,
        db: Session,
        household_id: int,
        account_id: int,
        beneficiary_id: int,
        service: ServiceFacts,
        state: str,
        outside: bool = False,
        **values: Any,
    ) -> int:
        decided = state not in ("requested", "withdrawn")
        facts: dict[str, Any] = {
            "household_id": household_id,
            "beneficiary_id": beneficiary_id,
            "service_id": service.id,
            "tariff_id": service.outside_tariff_id if outside else service.tariff_id,
            "school_year": 2026,
            "valid_from": date(2026, 8, 1),
            "valid_until": date(2027, 7, 31),
            "state": state,
            "requested_at": self.now - timedelta(days=30),
            "requested_by_id": account_id,
            "decided_at": self.now - timedelta(days=29) if decided else None,
        }
        return add(db, Enrolment, **(facts | values))

    def _reserve(
        self,
        db: Session,
        order_id: int,
        family: Family,
        service: ServiceFacts,
        days: Sequence[date],
        children: Sequence[int],
        state: str,
    ) -> None:
        query = select(Beneficiary.id, Beneficiary.school_id).where(Beneficiary.id.in_(children))
        schools = {row.id: row.school_id for row in db.execute(query)}
        rows = [
            {
                "order_id": order_id,
                "household_id": family.household_id,
                "beneficiary_id": child,
                "service_day_id": service.day_ids[day],
                "school_id": schools[child],
                "tariff_id": service.tariff_id,
                "tariff_price_id": service.price_id,
                "cents": service.cents,
                "credit_cents": service.cents,
                "cancel_deadline_at": limit(day),
                "state": state,
            }
            for child in children
            for day in days
        ]
        run_all(db, RESERVATIONS, rows)
        run_all(db, BOOKED, [{"day_id": day_id, "places": len(children)} for day_id in service.ids(days)])
        for school_id, count in Counter(schools.values()).items():
            db.execute(
                update(SchoolPlace)
                .where(SchoolPlace.service_day_id.in_(service.ids(days)), SchoolPlace.school_id == school_id)
                .values(booked_count=SchoolPlace.booked_count + count)
            )

    def _payment(
        self,
        db: Session,
        purpose: str,
        household_id: int,
        account_id: int,
        regie_id: int,
        cents: int,
        order_id: int | None = None,
        state: str = "confirmed",
        expires_at: datetime | None = None,
    ) -> int:
        number = next(self._numbers)
        return add(
            db,
            Payment,
            key=f"{number:032d}",
            purpose=purpose,
            regie_id=regie_id,
            household_id=household_id,
            account_id=account_id,
            order_id=order_id,
            attempt=1,
            provider="sandbox",
            provider_reference=f"sb_{number}",
            pay_url=f"http://localhost/paiement-securise/sb_{number}",
            cents=cents,
            currency="eur",
            live=False,
            state=state,
            back_to_basket=False,
            created_at=self.now,
            expires_at=expires_at or self.now + timedelta(minutes=30),
            settled_at=self.now if state == "confirmed" else None,
        )

    def _entry(
        self,
        db: Session,
        kind: str,
        key: str,
        regie_id: int,
        postings: Sequence[tuple[str, int | None, int]],
        **refers_to: int | None,
    ) -> int:
        entry_id = add(
            db,
            JournalEntry,
            regie_id=regie_id,
            kind=kind,
            key=key,
            input_hash=hashlib.sha256(json.dumps([key, postings]).encode()).hexdigest(),
            at=self.now,
            **refers_to,
        )
        for account_kind, household_id, cents in postings:
            facts = {"regie_id": regie_id, "kind": account_kind, "household_id": household_id}
            account_id = run(db, ACCOUNT, **facts).scalar() or add(db, LedgerAccount, balance_cents=0, **facts)
            balance: int = run(db, MOVED, account=account_id, change=cents).scalar()
            add(
                db,
                Posting,
                entry_id=entry_id,
                ledger_account_id=account_id,
                regie_id=regie_id,
                cents=cents,
                balance_cents=balance,
            )
        return entry_id


def add_regie(db: Session, slug: str, name: str) -> int:
    """A cash office that takes cards through the sandbox, top-ups of 10 to 300 €."""
    return add(
        db,
        Regie,
        slug=slug,
        legal_name=name,
        contact_email=f"regie@{slug}.example.org",
        card_gateway="sandbox",
        minimum_top_up_cents=1000,
        maximum_top_up_cents=30000,
        minimum_online_cents=100,
    )


def add_commune(db: Session, regie_id: int, slug: str, name: str, insee: str) -> CommuneFacts:
    """A commune of zone A with one school."""
    commune_id = add(db, Commune, regie_id=regie_id, slug=slug, name=name, insee=insee, zone="A", accent="#205080")
    school_id = add(db, School, commune_id=commune_id, name=f"École de {name}", level="elementary")
    return CommuneFacts(commune_id, regie_id, slug, name, school_id)


def add_service(
    db: Session,
    commune: CommuneFacts,
    slug: str,
    name: str,
    kind: str,
    cents: int,
    outside_cents: int,
    capacity: int | None,
) -> ServiceFacts:
    """A prepaid service with two tariffs, its days planned, deadlines two days before at 10 h."""
    service_id = add(
        db,
        Service,
        commune_id=commune.id,
        slug=slug,
        name=name,
        kind=kind,
        description="",
        weekdays="1245",
        settlement="prepaid",
        capacity=capacity,
        book_rule=TWO_DAYS_BEFORE.as_json(),
        cancel_rule=TWO_DAYS_BEFORE.as_json(),
        policies={"credit": "full"},
        position=len(commune.services),
    )
    sold = [
        add_tariff(db, service_id, "resident", "Résident commune", cents, 0),
        add_tariff(db, service_id, "outside", "Hors commune", outside_cents, 1),
    ]
    service = ServiceFacts(service_id, slug, commune.slug, *sold[0], cents, *sold[1], outside_cents)
    days = [FIRST_DAY + timedelta(days=n) for n in range((LAST_DAY - FIRST_DAY).days + 1)]
    rows = [
        {
            "service_id": service_id,
            "day": day,
            "is_open": True,
            "capacity": capacity,
            "booked_count": 0,
            "book_deadline_at": limit(day),
            "cancel_deadline_at": limit(day),
        }
        for day in days
        if day.isoweekday() in (1, 2, 4, 5)
    ]
    run_all(db, DAYS, rows)
    service.day_ids = {day: number for day, number in run(db, NUMBERS_OF_DAYS, service_id=service_id)}
    commune.services[slug] = service
    return service


def add_tariff(db: Session, service_id: int, code: str, label: str, cents: int, position: int) -> tuple[int, int]:
    """A tariff for children and its price since 1 September 2026: the numbers of both."""
    tariff_id = add(db, Tariff, service_id=service_id, code=code, label=label, audience="child", position=position)
    return tariff_id, add(db, TariffPrice, tariff_id=tariff_id, valid_from=date(2026, 9, 1), cents=cents)
