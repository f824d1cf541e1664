"""Reads for reminders: of many households at once, in a fixed number of statements."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, exists, false, func, literal, literal_column, null, or_, select, true, union_all
from sqlalchemy.orm import Session, aliased

from accounts.models import Account, Beneficiary, HouseholdBeneficiary, HouseholdMember
from accounts.queries import digest
from cart.models import Basket, BasketLine
from cart.operations import LIVE_STATES
from catalog.models import CallOff, Commune, Service, ServiceDay
from checkout.errors import ReminderOver
from checkout.reminders.models import MutedReminder, PatternChange, QuietWeek, Reminder
from checkout.reminders.rules import LOOK_AHEAD, LOOK_BACK, Day, Family, Had, Right
from enrolments.models import Enrolment
from homes.queries import custodies_of
from orders.models import Order, Reservation
from shop.database import Key
from wallet.models import JournalEntry, LedgerAccount, Posting


def households_after(db: Session, household_id: int, service_ids: Collection[int], today: date, most: int) -> list[int]:
    """Households after this one that may book at one of these services; `most` at once."""
    query = (
        select(Enrolment.household_id)
        .where(
            Enrolment.household_id > household_id,
            Enrolment.service_id.in_(service_ids),
            Enrolment.state == "approved",
            Enrolment.valid_until >= today,
        )
        .group_by(Enrolment.household_id)
        .order_by(Enrolment.household_id)
        .limit(most)
    )
    return list(db.scalars(query))


def days_around(db: Session, service_ids: Collection[int] | None, today: date) -> dict[int, list[Day]]:
    """The days of these services, or of all, from some weeks ago to some weeks ahead; by service, in order."""
    query = (
        select(
            ServiceDay.id,
            ServiceDay.service_id,
            Service.name,
            Commune.regie_id,
            Service.settlement == "prepaid",
            ServiceDay.day,
            ServiceDay.is_open,
            ServiceDay.capacity,
            ServiceDay.booked_count,
            ServiceDay.book_deadline_at,
        )
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .where(ServiceDay.day.between(today - LOOK_BACK, today + LOOK_AHEAD))
        .order_by(ServiceDay.day, ServiceDay.service_id)
    )
    if service_ids is not None:
        query = query.where(ServiceDay.service_id.in_(service_ids))
    days: dict[int, list[Day]] = defaultdict(list)
    for row in db.execute(query):
        day = Day._make(row)
        days[day.service_id].append(day)
    return days


class EnrolmentFacts(NamedTuple):
    """An enrolment of a child that is in the family."""

    right: Right
    state: str
    shared: bool
    """Whether the child has another home too."""


def enrolments_of(db: Session, household_ids: Collection[int]) -> list[EnrolmentFacts]:
    """What these households may book, or have asked for."""
    other_home = aliased(HouseholdBeneficiary)
    rows = db.execute(
        select(
            Enrolment.household_id,
            Enrolment.beneficiary_id,
            Beneficiary.first_name,
            Enrolment.service_id,
            Enrolment.valid_from,
            Enrolment.valid_until,
            Enrolment.state,
            exists().where(
                other_home.beneficiary_id == Enrolment.beneficiary_id,
                other_home.household_id != Enrolment.household_id,
                other_home.archived_at.is_(None),
            ),
        )
        .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
        .join(
            HouseholdBeneficiary,
            and_(
                HouseholdBeneficiary.household_id == Enrolment.household_id,
                HouseholdBeneficiary.beneficiary_id == Enrolment.beneficiary_id,
            ),
        )
        .where(
            Enrolment.household_id.in_(household_ids),
            Enrolment.state.in_(("approved", "requested", "to_complete")),
            or_(Enrolment.state != "approved", HouseholdBeneficiary.archived_at.is_(None)),
        )
        .order_by(Enrolment.household_id, HouseholdBeneficiary.position, Enrolment.id)
    )
    return [EnrolmentFacts(Right._make(row[:6]), *row[6:]) for row in rows]


def families_of(
    db: Session, household_ids: Collection[int], enrolments: Sequence[EnrolmentFacts], today: date
) -> dict[int, Family]:
    """What these households have, and may book by `enrolments`. One statement; some more where a child has two homes."""
    meal = (
        Reservation.beneficiary_id,
        Beneficiary.first_name,
        ServiceDay.service_id,
        ServiceDay.day,
        Reservation.state,
        Reservation.cents,
        Reservation.basis,
        Order.settlement,
        ServiceDay.book_deadline_at,
    )
    # Live ones by child, whoever booked them; called off by the family's own. Each in the words of an index: both in one
    # condition would read every reservation there is.
    live = (
        select(HouseholdBeneficiary.household_id, Reservation.household_id == HouseholdBeneficiary.household_id, *meal)
        .select_from(HouseholdBeneficiary)
        .join(Reservation, Reservation.beneficiary_id == HouseholdBeneficiary.beneficiary_id)
        .where(
            HouseholdBeneficiary.household_id.in_(household_ids),
            Reservation.state.in_(["held", "confirmed"]),
            ServiceDay.day.between(today - LOOK_BACK, today + LOOK_AHEAD),
        )
    )
    called_off = (
        select(Reservation.household_id, true(), *meal)
        .select_from(CallOff)
        .join(Reservation, Reservation.call_off_id == CallOff.id)
        .where(Reservation.household_id.in_(household_ids))
    )
    reservations = [
        query.join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
        .join(Order, Order.id == Reservation.order_id)
        for query in (live, called_off)
    ]
    lines = (
        select(
            Basket.household_id,
            true(),
            BasketLine.beneficiary_id,
            Beneficiary.first_name,
            ServiceDay.service_id,
            ServiceDay.day,
            literal("basket"),
            BasketLine.quoted_cents,
            BasketLine.basis,
            literal(""),
            ServiceDay.book_deadline_at,
        )
        .join(BasketLine, BasketLine.basket_id == Basket.id)
        .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
        .join(Beneficiary, Beneficiary.id == BasketLine.beneficiary_id)
        .where(Basket.household_id.in_(household_ids), Basket.state.in_(LIVE_STATES))
    )
    nothing = literal_column("0", Key)
    quiet = select(
        QuietWeek.household_id,
        false(),
        nothing,
        literal(""),
        nothing,
        QuietWeek.monday,
        literal("quiet"),
        nothing,
        null(),
        literal(""),
        QuietWeek.said_at,
    ).where(QuietWeek.household_id.in_(household_ids), QuietWeek.monday >= today)
    changed = select(
        PatternChange.household_id,
        false(),
        PatternChange.beneficiary_id,
        literal(""),
        PatternChange.service_id,
        PatternChange.first_day,
        literal("changed"),
        nothing,
        null(),
        literal(""),
        PatternChange.said_at,
    ).where(PatternChange.household_id.in_(household_ids), PatternChange.first_day >= today - LOOK_BACK)
    had: dict[int, list[Had]] = defaultdict(list)
    weeks: dict[int, set[date]] = defaultdict(set)
    changes: dict[int, dict[tuple[int, int], list[date]]] = defaultdict(lambda: defaultdict(list))
    found: Any = db.execute(union_all(*reservations, lines, quiet, changed))
    for household_id, own, child_id, first_name, service_id, day, state, cents, basis, settlement, deadline_at in found:
        if state == "quiet":
            weeks[household_id].add(day)
            continue
        if state == "changed":
            changes[household_id][child_id, service_id].append(day)
            continue
        had[household_id].append(
            Had(
                household_id,
                bool(own),
                child_id,
                first_name,
                service_id,
                day,
                "basket" if state == "basket" else "called_off" if state == "cancelled" else "booked",
                state == "confirmed",
                cents,
                basis,
                settlement == "wallet",
                deadline_at,
            )
        )
    rights: dict[int, list[Right]] = defaultdict(list)
    for facts in enrolments:
        if facts.state == "approved":
            rights[facts.right.household_id].append(facts.right)
    homes = custodies_of(db, {facts.right.household_id for facts in enrolments if facts.shared})
    return {key: Family(rights[key], had[key], weeks[key], homes.get(key, {}), changes[key]) for key in household_ids}


def wallets_of(db: Session, household_ids: Collection[int]) -> dict[int, dict[int, int]]:
    """Household → régie → what its wallet holds."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    rows = db.execute(
        select(LedgerAccount.household_id, LedgerAccount.regie_id, LedgerAccount.balance_cents).where(
            LedgerAccount.household_id.in_(household_ids), LedgerAccount.kind == "wallet"
        )
    )
    for household_id, regie_id, cents in rows:
        if household_id is not None:
            found[household_id][regie_id] = int(cents)
    return found


def last_money_into(db: Session, household_ids: Collection[int]) -> dict[tuple[int, int], int]:
    """(Household, régie) → the number of the last posting by which money came into its wallet, credits of meals left out."""
    rows = db.execute(
        select(LedgerAccount.household_id, LedgerAccount.regie_id, func.max(Posting.id))
        .join(Posting, Posting.ledger_account_id == LedgerAccount.id)
        .join(JournalEntry, JournalEntry.id == Posting.entry_id)
        .where(
            LedgerAccount.household_id.in_(household_ids),
            LedgerAccount.kind == "wallet",
            Posting.cents > 0,
            JournalEntry.kind != "cancelled_meal",
        )
        .group_by(LedgerAccount.household_id, LedgerAccount.regie_id)
    )
    return {(int(household_id or 0), regie_id): int(posting_id) for household_id, regie_id, posting_id in rows}


class Reader(NamedTuple):
    """An account that wants reminders of a kind."""

    household_id: int
    account_id: int
    email: str
    first_name: str
    mark: str


def mark_of(email: str, password_hash: str) -> str:
    """What changes when an account's address or password does."""
    return digest(f"{email}\n{password_hash}")


def readers(db: Session, household_ids: Collection[int], kind: str) -> list[Reader]:
    """The active accounts of these households that have not turned the kind off."""
    muted = exists().where(MutedReminder.account_id == Account.id, MutedReminder.kind == kind)
    rows = db.execute(
        select(HouseholdMember.household_id, Account.id, Account.email, Account.first_name, Account.password_hash)
        .join(Account, Account.id == HouseholdMember.account_id)
        .where(HouseholdMember.household_id.in_(household_ids), Account.state == "active", ~muted)
        .order_by(Account.id)
    )
    return [Reader(*row[:4], mark_of(row[2], row[4])) for row in rows]


class DueBasket(NamedTuple):
    """An open basket of which a meal can soon no longer be paid in time."""

    id: int
    household_id: int
    changed_at: datetime
    first_deadline_at: datetime


def due_baskets(db: Session, after_id: int, now: datetime, until: datetime, most: int) -> list[DueBasket]:
    """Baskets whose next deadline is not later than `until`; by number, after `after_id`, `most` at once."""
    first = func.min(ServiceDay.book_deadline_at)
    rows = db.execute(
        select(Basket.id, Basket.household_id, Basket.changed_at, first)
        .join(BasketLine, BasketLine.basket_id == Basket.id)
        .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
        .where(Basket.state == "open", Basket.id > after_id, ServiceDay.book_deadline_at > now)
        .group_by(Basket.id, Basket.household_id, Basket.changed_at)
        .having(first <= until)
        .order_by(Basket.id)
        .limit(most)
    )
    return [DueBasket._make(row) for row in rows]


class BasketLineFacts(NamedTuple):
    """A meal that waits in a basket."""

    first_name: str
    last_name: str
    service_name: str
    day: date
    cents: int


def lines_of_basket(db: Session, basket_id: int) -> list[BasketLineFacts]:
    """What is in a basket, by service and day."""
    rows = db.execute(
        select(Beneficiary.first_name, Beneficiary.last_name, Service.name, ServiceDay.day, BasketLine.quoted_cents)
        .join(Beneficiary, Beneficiary.id == BasketLine.beneficiary_id)
        .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(BasketLine.basket_id == basket_id)
        .order_by(Service.id, ServiceDay.day, Beneficiary.id)
    )
    return [BasketLineFacts._make(row) for row in rows]


class WeekLink(NamedTuple):
    """The link of a reminder about a week, and whose it is."""

    id: int
    household_id: int
    account_id: int
    email: str
    monday: date
    expires_at: datetime
    meals: list[tuple[int, int, date]]
    """Beneficiary, service, day."""
    answer: str | None
    order_id: int | None


def find_week(db: Session, token: str, now: datetime) -> WeekLink:
    """The link of a key. Raises `ReminderOver` when there is none, when its deadline has passed, or when the account was
    closed or has another address or password than it had when it was written."""
    row: Any = db.execute(
        select(
            Reminder.id,
            Reminder.household_id,
            Reminder.account_id,
            Account.email,
            Reminder.about,
            Reminder.expires_at,
            Reminder.meals,
            Reminder.answer,
            Reminder.order_id,
            Reminder.mark,
            Account.password_hash,
        )
        .join(Account, Account.id == Reminder.account_id)
        .join(
            HouseholdMember,
            and_(
                HouseholdMember.account_id == Reminder.account_id,
                HouseholdMember.household_id == Reminder.household_id,
            ),
        )
        .where(Reminder.token_hash == digest(token), Reminder.expires_at > now, Account.state == "active")
    ).first()
    if row is None or row.mark != mark_of(row.email, row.password_hash):
        raise ReminderOver
    meals = [(int(child), int(service), date.fromisoformat(day)) for child, service, day in row.meals or ()]
    return WeekLink(
        row.id,
        row.household_id,
        row.account_id,
        row.email,
        date.fromisoformat(row.about),
        row.expires_at,
        meals,
        row.answer,
        row.order_id,
    )


class BookedMeal(NamedTuple):
    """A meal that a link has booked."""

    first_name: str
    service_name: str
    day: date
    cents: int


def meals_booked(db: Session, order_id: int) -> list[BookedMeal]:
    """The meals of an order that are still booked."""
    rows = db.execute(
        select(Beneficiary.first_name, Service.name, ServiceDay.day, Reservation.cents)
        .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
        .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(Reservation.order_id == order_id, Reservation.state == "confirmed")
        .order_by(ServiceDay.day, Beneficiary.id, Service.id)
    )
    return [BookedMeal._make(row) for row in rows]


def muted_by(db: Session, account_id: int) -> set[str]:
    """The kinds that an account has turned off."""
    return set(db.scalars(select(MutedReminder.kind).where(MutedReminder.account_id == account_id)))
