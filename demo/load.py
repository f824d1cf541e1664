"""Loading the demo town into an empty database: its catalogue, its people, a year of their orders."""

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import partial
from random import Random

from flask import Flask, current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.models import (
    Account,
    Beneficiary,
    Consent,
    Household,
    HouseholdBeneficiary,
    HouseholdMember,
    StaffRole,
)
from accounts.passwords import hash_password
from accounts.rules import clean_phone
from catalog.models import Commune, Regie, School, Service, ServiceDay, Tariff, TariffPrice
from catalog.operations import import_calendar, import_town, refresh_services, write_menus
from demo.books import Books, Customer
from demo.bulk import BulkWriter
from demo.files import Eater, Family, Login, People, Request, the_menus, the_people, the_school_calendar, the_town
from demo.history import Day, Meal, plan_purchases
from enrolments.models import Enrolment
from enrolments.rules import school_year_of, validity
from homes.models import CustodyCalendar
from shop.clock import paris_day, paris_instant
from shop.database import reading, transaction
from shop.demo_letters import DemoAccount
from shop.outbox import the_sealer

PAST = timedelta(days=365)
BOOKED_AHEAD = timedelta(days=10)
DAYS_AN_ORDER = 28
CANCEL_SHARE = 0.04
SETTLEMENTS = {"wallet": ("wallet",), "card": ("card",), "both": ("wallet", "wallet", "card")}
HAD_A_RIGHT = ("approved", "revoked", "expired")


def is_empty() -> bool:
    """Whether no town has been opened in this database."""
    with reading() as db:
        return db.scalar(select(Regie.id).limit(1)) is None


def load(now: datetime) -> None:
    """Load the whole demo town, in one transaction. The database must hold no town yet."""
    people = the_people()
    hashes = _hash_all(people)
    with transaction() as db:
        service_ids = load_catalogue(db, now)
        loader = _Loader(db, now, people, hashes)
        loader.staff()
        loader.families()
        db.flush()
        _write_history(db, loader.customers, service_ids, now)


def load_catalogue(db: Session, now: datetime) -> list[int]:
    """The demo town without its people, its days planned and its menus written. The ids of its services."""
    first_day = paris_day(now - PAST)
    import_town(db, the_town(), now)
    import_calendar(db, the_school_calendar())
    service_ids = list(db.scalars(select(Service.id)))
    refresh_services(db, service_ids, first_day, now)
    canteens = list(db.scalars(select(Service.id).where(Service.kind == "canteen")))
    last_day = db.scalars(select(ServiceDay.day).order_by(ServiceDay.day.desc()).limit(1)).one()
    write_menus(db, canteens, the_menus(first_day, last_day))
    return service_ids


def list_accounts() -> list[DemoAccount]:
    """Everybody who can sign in to the demo town, the guides' family first, then the other families, then the staff."""
    people, names = the_people(), {commune.slug: commune.name for commune in the_town().communes}
    found: list[DemoAccount] = []
    for family in people.families:
        logins = [family.holder, family.co] if family.co else [family.holder]
        asked = [names[request.commune] for eater in family.eaters for request in eater.requests]
        commune = asked[0] if asked else None
        found += [_demo_account(login, family.note, commune, None) for login in logins]
    for person in people.staff:
        commune = names[person.commune] if person.commune else None
        found.append(_demo_account(person.login, person.note, commune, person.totp_secret))
    return found


def _demo_account(login: Login, role: str, commune: str | None, totp_secret: str | None) -> DemoAccount:
    return DemoAccount(
        role=role,
        name=f"{login.first_name} {login.last_name}",
        email=login.email,
        password=login.password,
        commune=commune,
        totp_secret=totp_secret,
    )


def _hash_all(people: People) -> dict[str, str]:
    """The hash of everybody's password by e-mail address; the hashing releases the interpreter, so threads help."""
    logins = [login for family in people.families for login in (family.holder, family.co) if login]
    logins += [person.login for person in people.staff]
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]

    def hashed(login: Login) -> tuple[str, str]:
        with app.app_context():
            return login.email, hash_password(login.password)

    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(pool.map(hashed, logins))


@dataclass
class _Habit:
    """Somebody who eats at a service on certain weekdays, at a tariff, between two days, having the right since."""

    beneficiary_id: int
    service_id: int
    tariff_id: int
    weekdays: Collection[int]
    weeks: str | None
    """Whether only the "even" or the "odd" weeks are theirs."""
    first_day: date
    last_day: date
    since: datetime


@dataclass
class _Regular:
    """A family, how it pays, and what it usually eats."""

    family: Family
    customer: Customer
    habits: list[_Habit]


class _Loader:
    """Writes the people of the demo town, row by row: there are few."""

    def __init__(self, db: Session, now: datetime, people: People, hashes: dict[str, str]) -> None:
        self.db, self.now, self.people, self.hashes = db, now, people, hashes
        self.year = school_year_of(paris_day(now))
        self.regie_id = db.scalars(select(Regie.id)).one()
        self.communes = {slug: key for key, slug in db.execute(select(Commune.id, Commune.slug))}
        self.schools = {
            (slug, name): key
            for key, slug, name in db.execute(
                select(School.id, Commune.slug, School.name).join(Commune, Commune.id == School.commune_id)
            )
        }
        self.tariffs = {
            (commune, service, code): (service_id, tariff_id)
            for commune, service, code, service_id, tariff_id in db.execute(
                select(Commune.slug, Service.slug, Tariff.code, Service.id, Tariff.id)
                .join(Service, Service.commune_id == Commune.id)
                .join(Tariff, Tariff.service_id == Service.id)
            )
        }
        self.clerks: dict[str, int] = {}
        self.eaters: dict[tuple[str, str], int] = {}
        self.homes: dict[int, tuple[str, Customer]] = {}
        """Which weeks of a child in two homes are those of the home that brought it in."""
        self.customers: list[_Regular] = []

    def staff(self) -> None:
        for person in self.people.staff:
            account = self._account(person.login, self.now - PAST)
            account.totp_secret = the_sealer().seal(person.totp_secret, f"accounts.totp_secret:{account.id}")
            account.totp_enrolled_at = account.created_at
            commune_id = self.communes[person.commune] if person.commune else None
            self.db.add(
                StaffRole(
                    account_id=account.id,
                    scope="commune" if commune_id else "regie" if person.regie else "platform",
                    regie_id=self.regie_id if commune_id or person.regie else None,
                    commune_id=commune_id,
                    role=person.role,
                    given_at=account.created_at,
                )
            )
            if person.commune and person.role == "manager":
                self.clerks[person.commune] = account.id

    def families(self) -> None:
        for family in self.people.families:
            self._family(family)

    def _family(self, family: Family) -> None:
        oldest = max((request.days_ago for eater in family.eaters for request in eater.requests), default=1)
        regular = any(request.since_last_year for eater in family.eaters for request in eater.requests)
        created_at = self._ago(max(oldest, 460 if regular else 0) + 1)
        account = self._account(family.holder, created_at, family.confirmed)
        account.address, account.postcode, account.city = family.address, family.postcode, family.city
        account.birth_date = family.birth_date
        account.organisation_name, account.siret = family.organisation, family.siret
        household = Household(created_at=created_at)
        self.db.add(household)
        self.db.flush()
        self.db.add(HouseholdMember(household_id=household.id, account_id=account.id, role="holder"))
        if family.co:
            co = self._account(family.co, created_at + timedelta(days=3))
            co.address, co.postcode, co.city = family.address, family.postcode, family.city
            self.db.add(HouseholdMember(household_id=household.id, account_id=co.id, role="co"))
        for kind, given in (("newsletter", family.newsletter), ("partners", family.partners)):
            if given:
                self.db.add(Consent(account_id=account.id, kind=kind, given_at=created_at))
        customer = Customer(household.id, account.id, account.email)
        habits: list[_Habit] = []
        for position, eater in enumerate(family.eaters):
            beneficiary_id = self._eater(eater, family.holder.email, created_at)
            self.db.add(
                HouseholdBeneficiary(
                    household_id=household.id,
                    beneficiary_id=beneficiary_id,
                    relation=eater.relation,
                    position=position,
                )
            )
            if eater.weeks and eater.same_as:
                homes = {eater.weeks: customer, self.homes[beneficiary_id][0]: self.homes[beneficiary_id][1]}
                self._share(beneficiary_id, homes["even"], homes["odd"])
            elif eater.weeks:
                self.homes[beneficiary_id] = (eater.weeks, customer)
            for request in eater.requests:
                habits += self._request(request, customer, beneficiary_id, eater.weeks)
        self.customers.append(_Regular(family, customer, habits))

    def _share(self, beneficiary_id: int, even: Customer, odd: Customer) -> None:
        """A calendar that both homes of a child agreed to before this school year."""
        self.db.add(
            CustodyCalendar(
                beneficiary_id=beneficiary_id,
                first_day=date(self.year, 9, 1),
                even_home_id=even.household_id,
                odd_home_id=odd.household_id,
                holidays_home_id=odd.household_id,
                state="agreed",
                asked_at=self._summer_before(self.year),
                asked_home_id=even.household_id,
                asked_by_id=even.account_id,
                decided_at=self._summer_before(self.year) + timedelta(hours=5),
                decided_by_id=odd.account_id,
            )
        )

    def _account(self, login: Login, created_at: datetime, confirmed: bool = True) -> Account:
        account = Account(
            email=login.email,
            password_hash=self.hashes[login.email],
            title=login.title,
            first_name=login.first_name,
            last_name=login.last_name,
            phone=clean_phone(login.phone) or None,
            state="active" if confirmed else "unconfirmed",
            terms_accepted_at=created_at,
            created_at=created_at,
            confirmed_at=created_at + timedelta(minutes=7) if confirmed else None,
        )
        self.db.add(account)
        self.db.flush()
        return account

    def _eater(self, eater: Eater, email: str, created_at: datetime) -> int:
        if eater.same_as:
            return self.eaters[eater.same_as]
        beneficiary = Beneficiary(
            first_name=eater.first_name,
            last_name=eater.last_name,
            birth_date=eater.birth_date,
            school_id=self.schools[eater.school] if eater.school else None,
            class_name=eater.class_name,
            diet=eater.diet,
            created_at=created_at,
        )
        self.db.add(beneficiary)
        self.db.flush()
        if eater.allergies:
            beneficiary.allergies = the_sealer().seal(eater.allergies, f"beneficiaries.allergies:{beneficiary.id}")
        self.eaters[email, eater.first_name] = beneficiary.id
        return beneficiary.id

    def _request(
        self, request: Request, customer: Customer, beneficiary_id: int, weeks: str | None
    ) -> Iterable[_Habit]:
        """Write the enrolment (and last year's, where there was one); the habits that follow from it."""
        year = self.year - 1 if request.state == "expired" else self.year
        requested_at = self._ago(request.days_ago)
        if request.since_last_year:
            habit = self._enrolment(
                request, customer, beneficiary_id, self.year - 1, "expired", self._summer_before(self.year - 1)
            )
            yield replace(habit, weeks=weeks)
        if request.state == "expired":
            requested_at = self._summer_before(year)
        habit = self._enrolment(request, customer, beneficiary_id, year, request.state, requested_at)
        if request.state in HAD_A_RIGHT and request.eats:
            yield replace(habit, weeks=weeks)

    def _enrolment(
        self,
        request: Request,
        customer: Customer,
        beneficiary_id: int,
        year: int,
        state: str,
        requested_at: datetime,
    ) -> _Habit:
        service_id, tariff_id = self.tariffs[request.commune, request.service, request.tariff]
        valid_from, valid_until = validity(year)
        granted_at = requested_at + timedelta(days=1, hours=2, minutes=11)
        decided_at: datetime | None = granted_at
        decided_by: int | None = self.clerks[request.commune]
        if state == "requested":
            decided_at = decided_by = None
        elif state == "revoked":
            decided_at = self._ago(14)
        elif state == "expired":
            # By the passing of time, the day after the last one.
            decided_at, decided_by = expiry(valid_until), None
        self.db.add(
            Enrolment(
                household_id=customer.household_id,
                beneficiary_id=beneficiary_id,
                service_id=service_id,
                tariff_id=tariff_id,
                school_year=year,
                valid_from=valid_from,
                valid_until=valid_until,
                state=state,
                requested_at=requested_at,
                requested_by_id=customer.account_id,
                message=request.message if year == self.year else None,
                decided_at=decided_at,
                decided_by_id=decided_by,
                reason=request.reason if state in ("refused", "to_complete", "revoked") else None,
            )
        )
        today = paris_day(self.now)
        last_day = paris_day(decided_at) if state == "revoked" and decided_at else today + BOOKED_AHEAD
        return _Habit(
            beneficiary_id,
            service_id,
            tariff_id,
            request.eats,
            None,
            max(valid_from, today - PAST),
            min(valid_until, last_day),
            granted_at,
        )

    def _ago(self, days: int) -> datetime:
        """A moment so many days ago, at an hour at which people fill in forms."""
        moment = self.now - timedelta(days=days)
        return moment.replace(hour=8 + days % 11, minute=days * 7 % 60, second=days * 13 % 60, microsecond=0)

    def _summer_before(self, year: int) -> datetime:
        return self.now.replace(year=year, month=8, day=20, hour=9, minute=42, second=0, microsecond=0)


def _write_history(db: Session, regulars: Collection[_Regular], service_ids: Collection[int], now: datetime) -> None:
    days = open_days(db, service_ids, paris_day(now - PAST), paris_day(now + BOOKED_AHEAD))
    price = partial(_price_on, prices_by_tariff(db))
    books = Books.open(db, db.scalars(select(Regie.id)).one(), BulkWriter(db))
    for number, regular in enumerate(regulars):
        random = Random(number)  # noqa: S311 — the same town every time
        meals = [
            Meal(habit.beneficiary_id, habit.since, day, habit.tariff_id, *price(habit.tariff_id, day.day))
            for habit in regular.habits
            for day in days[habit.service_id]
            if day.day.isoweekday() in habit.weekdays
            and habit.weeks in (None, "odd" if day.day.isocalendar().week % 2 else "even")
            and habit.first_day <= day.day <= habit.last_day
            and habit.since < day.book_deadline_at
            # A day here and there without the canteen: a cold, an outing, grandparents.
            and random.random() > 0.05
        ]
        settlements = SETTLEMENTS[regular.family.pays]
        cancel_share = CANCEL_SHARE if "wallet" in settlements else 0
        purchases = plan_purchases(meals, settlements, DAYS_AN_ORDER, cancel_share, now, random)
        books.record(regular.customer, purchases, regular.family.balance_cents or 0, now)
    books.close()


def expiry(valid_until: date) -> datetime:
    """When an enrolment expires: in the night after its last day."""
    return paris_instant(valid_until + timedelta(days=1), time(2))


def open_days(db: Session, service_ids: Collection[int], first: date, last: date) -> dict[int, list[Day]]:
    """The open days of services between two days (both included), in order, by service."""
    found: dict[int, list[Day]] = {key: [] for key in service_ids}
    rows = db.execute(
        select(
            ServiceDay.service_id,
            ServiceDay.id,
            ServiceDay.day,
            ServiceDay.book_deadline_at,
            ServiceDay.cancel_deadline_at,
        )
        .where(ServiceDay.service_id.in_(service_ids), ServiceDay.is_open, ServiceDay.day.between(first, last))
        .order_by(ServiceDay.service_id, ServiceDay.day)
    )
    for service_id, key, day, book_deadline_at, cancel_deadline_at in rows:
        found[service_id].append(Day(key, day, book_deadline_at, cancel_deadline_at))
    return found


@dataclass(frozen=True)
class Price:
    """A dated price of a tariff."""

    id: int
    valid_from: date
    valid_until: date
    cents: int


def prices_by_tariff(db: Session) -> dict[int, list[Price]]:
    """Every price, by tariff."""
    found: dict[int, list[Price]] = {}
    rows = db.execute(
        select(
            TariffPrice.tariff_id,
            TariffPrice.id,
            TariffPrice.valid_from,
            TariffPrice.valid_until,
            TariffPrice.cents,
        )
    )
    for tariff_id, key, valid_from, valid_until, cents in rows:
        found.setdefault(tariff_id, []).append(Price(key, valid_from, valid_until or date.max, cents))
    return found


def _price_on(prices: dict[int, list[Price]], tariff_id: int, day: date) -> tuple[int, int]:
    """Id and cents of the one price that holds on a day."""
    (price,) = [price for price in prices[tariff_id] if price.valid_from <= day <= price.valid_until]
    return price.id, price.cents


def describe_accounts() -> list[str]:
    """The sign-ins for a terminal, one a line: address, password, who it is, the secret of the second factor."""
    accounts = list_accounts()
    address, password = (max(len(getattr(account, name)) for account in accounts) for name in ("email", "password"))
    return [
        f"  {account.email:{address}}  {account.password:{password}}  {account.role}"
        + (f"  [{account.totp_secret}]" if account.totp_secret else "")
        for account in accounts
    ]
