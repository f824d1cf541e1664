"""Reads of the checkout: the header's facts, what letters and pages say of orders and payments."""

from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    CompoundSelect,
    ScalarSelect,
    bindparam,
    false,
    func,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from accounts.models import Account, Beneficiary, HouseholdBeneficiary, HouseholdMember
from cart.days import takes_picnic
from cart.models import Basket, BasketLine
from cart.operations import LIVE_STATES
from catalog.models import Commune, Regie, Service, ServiceDay, Tariff, TariffPrice
from enrolments.models import Enrolment
from orders.models import Order, Reservation, SickLeave, UnbookedMeal
from orders.queries import freed_state, reserved
from payments.models import Payment
from shop.database import AnySelect
from shop.french import day_long
from shop.statements import Rows, run
from wallet.models import JournalEntry, LedgerAccount, Posting


def header_columns() -> tuple[ScalarSelect[int], ScalarSelect[int], ScalarSelect[int]]:
    """What the header shows of the visitor's household, the balance of its wallets and the meals in its baskets; and what it
    owes.

    Columns for the statement that finds the visitor, so that no page needs another one.
    """
    balance = (
        select(func.coalesce(func.sum(LedgerAccount.balance_cents), 0))
        .where(LedgerAccount.household_id == HouseholdMember.household_id, LedgerAccount.kind == "wallet")
        .correlate(HouseholdMember)
        .scalar_subquery()
    )
    meals = (
        select(func.count(BasketLine.id))
        .join(Basket, Basket.id == BasketLine.basket_id)
        .where(Basket.household_id == HouseholdMember.household_id, Basket.state.in_(LIVE_STATES))
        .correlate(HouseholdMember)
        .scalar_subquery()
    )
    due = (
        select(func.coalesce(-func.sum(LedgerAccount.balance_cents), 0))
        .where(LedgerAccount.household_id == HouseholdMember.household_id, LedgerAccount.kind == "receivable")
        .correlate(HouseholdMember)
        .scalar_subquery()
    )
    return balance, meals, due


class Funds(NamedTuple):
    """What a household has at a régie, and what it owes there."""

    wallet_cents: int = 0
    due_cents: int = 0


_FUNDS = select(LedgerAccount.regie_id, LedgerAccount.kind, LedgerAccount.balance_cents).where(
    LedgerAccount.household_id == bindparam("household_id"), LedgerAccount.kind.in_(["wallet", "receivable"])
)


def funds(db: Rows, household_id: int) -> dict[int, Funds]:
    """What the household has and owes, by régie."""
    found: dict[int, Funds] = defaultdict(Funds)
    for regie_id, kind, cents in run(db, _FUNDS, household_id=household_id):
        one = found[regie_id]
        found[regie_id] = one._replace(wallet_cents=cents) if kind == "wallet" else one._replace(due_cents=-cents)
    return found


def regie_names(db: Rows, regie_ids: Collection[int]) -> dict[int, str]:
    """The names of cash offices."""
    found = db.execute(select(Regie.id, Regie.legal_name).where(Regie.id.in_(sorted(regie_ids))))
    return {row.id: row.legal_name for row in found}


class OrderFacts(NamedTuple):
    """An order's own facts."""

    id: int
    number: str
    state: str
    settlement: str
    total_cents: int
    placed_at: datetime
    paid_at: datetime | None
    regie_name: str
    first_name: str
    """Of who ordered."""


class OrderMeal(NamedTuple):
    """A reservation of an order."""

    id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    commune_name: str
    tariff_label: str
    cents: int
    credit_cents: int
    """What cancelling gives back, or gave."""
    basis: str | None
    """How the price came about, beside the dated price itself."""
    price_from: date
    decided_on: date | None
    state: str
    cancel_deadline_at: datetime

    @property
    def own(self) -> bool:
        """An order holds nobody else's meals."""
        return True


_ORDER = (
    select(
        Order.id,
        Order.number,
        Order.state,
        Order.settlement,
        Order.total_cents,
        Order.placed_at,
        Order.paid_at,
        Regie.legal_name,
        Account.first_name,
    )
    .join(Regie, Regie.id == Order.regie_id)
    .join(Account, Account.id == Order.account_id)
)

_MEALS = (
    reserved(
        Reservation.id,
        Beneficiary.first_name,
        Beneficiary.last_name,
        ServiceDay.day,
        Service.name,
        Commune.name,
        Tariff.label,
        Reservation.cents,
        Reservation.credit_cents,
        Reservation.basis,
        TariffPrice.valid_from,
        TariffPrice.decided_on,
        Reservation.state,
        Reservation.cancel_deadline_at,
    )
    .join(Commune, Commune.id == Service.commune_id)
    .join(Tariff, Tariff.id == Reservation.tariff_id)
    .join(TariffPrice, TariffPrice.id == Reservation.tariff_price_id)
    .order_by(Service.id, ServiceDay.day, Beneficiary.id)
)


# An order has at least one meal: one statement reads both.
_ORDER_BY_NUMBER = (
    _MEALS.add_columns(*_ORDER.selected_columns)
    .join(Order, Order.id == Reservation.order_id)
    .join(Regie, Regie.id == Order.regie_id)
    .join(Account, Account.id == Order.account_id)
    .where(Order.number == bindparam("number"), Order.household_id == bindparam("household_id"))
)
_MEALS_OF_ORDER = _MEALS.where(Reservation.order_id == bindparam("order_id"))


def find_order(db: Rows, household_id: int, number: str) -> tuple[OrderFacts, list[OrderMeal]] | None:
    """The household's order of that number and its meals, by service and day."""
    found = run(db, _ORDER_BY_NUMBER, number=number, household_id=household_id)
    if not found:
        return None
    width = len(OrderMeal._fields)
    return OrderFacts._make(found[0][width:]), [OrderMeal._make(row[:width]) for row in found]


def get_order(db: Session, order_id: int) -> OrderFacts:
    """The order of that id, which must exist."""
    return OrderFacts._make(db.execute(_ORDER.where(Order.id == order_id)).one())


def meals_of_order(db: Session, order_id: int) -> list[OrderMeal]:
    """The order's meals, by service and day."""
    return [OrderMeal._make(row) for row in run(db, _MEALS_OF_ORDER, order_id=order_id)]


def meals_by_id(db: Session, reservation_ids: list[int]) -> list[OrderMeal]:
    """Reservations by id, by service and day."""
    return [OrderMeal._make(row) for row in db.execute(_MEALS.where(Reservation.id.in_(reservation_ids)))]


def meal_in_words(db: Session, beneficiary_id: int, service_day_id: int) -> str:
    """ "Louane Dupont, jeudi 3 décembre 2026"."""
    found = (
        select(Beneficiary.first_name, Beneficiary.last_name, ServiceDay.day)
        .join(ServiceDay, ServiceDay.id == service_day_id)
        .where(Beneficiary.id == beneficiary_id)
    )
    first_name, last_name, day = db.execute(found).one()
    return f"{first_name} {last_name}, {day_long(day)}"


class PaymentFacts(NamedTuple):
    """A payment as its person sees it."""

    id: int
    key: str
    purpose: str
    state: str
    cents: int
    provider: str
    provider_reference: str | None
    pay_url: str | None
    back_to_basket: bool
    created_at: datetime
    expires_at: datetime
    household_id: int
    order_number: str | None
    first_name: str


_PAYMENT = (
    select(
        Payment.id,
        Payment.key,
        Payment.purpose,
        Payment.state,
        Payment.cents,
        Payment.provider,
        Payment.provider_reference,
        Payment.pay_url,
        Payment.back_to_basket,
        Payment.created_at,
        Payment.expires_at,
        Payment.household_id,
        Order.number,
        Account.first_name,
    )
    .outerjoin(Order, Order.id == Payment.order_id)
    .join(Account, Account.id == Payment.account_id)
)


def find_payment(db: Session, key: str) -> PaymentFacts | None:
    """The payment of that key, whoever's it is."""
    row = db.execute(_PAYMENT.where(Payment.key == key)).first()
    return PaymentFacts._make(row) if row else None


def get_payment(db: Session, payment_id: int) -> PaymentFacts:
    """The payment of that id, which must exist."""
    return PaymentFacts._make(db.execute(_PAYMENT.where(Payment.id == payment_id)).one())


def payment_under_way(db: Rows, household_id: int) -> PaymentFacts | None:
    """The card payment that the household's basket waits for, if it does."""
    row = db.execute(
        _PAYMENT.where(
            Payment.household_id == household_id,
            Payment.purpose == "order",
            Order.state == "pending",
            Payment.state.in_(("created", "sent")),
        )
    ).first()
    return PaymentFacts._make(row) if row else None


class TopUpUnderWay(NamedTuple):
    """A top-up whose outcome is still awaited."""

    key: str
    regie_id: int
    cents: int


_TOP_UPS_UNDER_WAY = (
    select(Payment.key, Payment.regie_id, Payment.cents)
    .where(
        Payment.household_id == bindparam("household_id"),
        Payment.purpose == "top_up",
        Payment.state.in_(["created", "sent"]),
    )
    .order_by(Payment.id)
)


def top_ups_under_way(db: Rows, household_id: int) -> list[TopUpUnderWay]:
    """The household's top-ups that may still be paid, or whose bank has not answered, the oldest first."""
    return [TopUpUnderWay._make(row) for row in run(db, _TOP_UPS_UNDER_WAY, household_id=household_id)]


def payment_of_order(db: Rows, order_id: int) -> PaymentFacts | None:
    """The newest card payment of an order."""
    row = db.execute(_PAYMENT.where(Payment.order_id == order_id).order_by(Payment.id.desc()).limit(1)).first()
    return PaymentFacts._make(row) if row else None


class OrderLine(NamedTuple):
    """An order in the history."""

    number: str
    state: str
    settlement: str
    total_cents: int
    placed_at: datetime
    meals: int
    cancelled: int


PAGE = 20


def history(db: Session, household_id: int, page: int) -> tuple[list[OrderLine], int, int]:
    """A page of the household's orders, newest first, which one it is and how many there are: the last for one beyond it."""
    count = db.scalar(select(func.count()).where(Order.household_id == household_id)) or 0
    pages = max(-(-count // PAGE), 1)
    page = min(max(page, 1), pages)
    of_order = select(func.count()).where(Reservation.order_id == Order.id)
    rows = db.execute(
        select(
            Order.number,
            Order.state,
            Order.settlement,
            Order.total_cents,
            Order.placed_at,
            of_order.correlate(Order).scalar_subquery(),
            of_order.where(Reservation.state == "cancelled").correlate(Order).scalar_subquery(),
        )
        .where(Order.household_id == household_id)
        .order_by(Order.placed_at.desc(), Order.id.desc())
        .limit(PAGE)
        .offset((page - 1) * PAGE)
    )
    return [OrderLine._make(row) for row in rows], page, pages


class BookedMeal(NamedTuple):
    """A reservation in the calendar of everything, or a meal without a booking: then `due`, `paid` or `struck`, and `eaten`
    where another home of the child is charged for it."""

    id: int
    beneficiary_id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    state: str
    cents: int
    credit_cents: int
    """What cancelling gives back, or gave."""
    called_off: bool
    """Whether the town hall cancelled it."""
    cancel_deadline_at: datetime
    order_number: str
    own: bool = True
    """Whether it is the household's. Of a meal that a child's other home has, nothing is told but that the child eats."""
    freed_deadline_at: datetime | None = None
    freed: str | None = None
    """What became of it when it was given back to other families; nothing when it never was."""
    picnic: bool = False
    """Whether it is a picnic, because the child is on an outing."""
    excused: bool = False
    """Whether the kitchen knows that the child does not come; the meal stays due unless it is cancelled."""
    regie_id: int | None = None

    @property
    def unbooked(self) -> bool:
        """Whether the child ate without a booking."""
        return self.state in ("due", "paid", "struck", "eaten")


def booked_between(db: Session, household_id: int, first: date, last: date) -> list[BookedMeal]:
    """The household's reservations from `first` to `last`, by day: booked, held or cancelled; the meals without a booking
    that it is charged for, or was before they were taken back; and what its children have in their other homes, booked or
    not. One statement."""
    booked = (
        reserved(
            Reservation.id.label("meal_id"),
            Reservation.beneficiary_id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            ServiceDay.day,
            Service.name,
            Reservation.state,
            Reservation.cents,
            Reservation.credit_cents,
            Reservation.call_off_id.is_not(None),
            Reservation.cancel_deadline_at,
            Order.number,
            Reservation.household_id == household_id,
            ServiceDay.freed_deadline_at,
            freed_state(),
            takes_picnic(Reservation.service_day_id, Beneficiary),
            Reservation.attendance == "absent_excused",
            Order.regie_id,
            Service.id.label("service_id"),
        )
        .join(Order, Order.id == Reservation.order_id)
        .where(Reservation.id.in_(_seen_by(household_id)), ServiceDay.day.between(first, last))
    )
    eaten: AnySelect = (
        select(
            UnbookedMeal.id,
            UnbookedMeal.beneficiary_id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            ServiceDay.day,
            Service.name,
            UnbookedMeal.state,
            UnbookedMeal.cents,
            literal_column("0"),
            false(),
            ServiceDay.cancel_deadline_at,
            literal_column("''"),
            UnbookedMeal.household_id == household_id,
            null(),
            null(),
            false(),
            false(),
            UnbookedMeal.regie_id,
            Service.id,
        )
        .join(ServiceDay, ServiceDay.id == UnbookedMeal.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Beneficiary, Beneficiary.id == UnbookedMeal.beneficiary_id)
        .where(UnbookedMeal.id.in_(_eaten_seen_by(household_id)), ServiceDay.day.between(first, last))
    )
    both: CompoundSelect[*tuple[Any, ...]] = union_all(booked, eaten)
    rows = db.execute(both.order_by("day", "service_id", "first_name", "meal_id"))
    return [_told(BookedMeal._make(row[:-1])) for row in rows]


def _seen_by(household_id: int) -> CompoundSelect[int]:
    """The ids of the household's reservations, and of what its children's other homes have booked and paid."""
    own = select(Reservation.id).where(
        Reservation.household_id == household_id, Reservation.state.in_(("held", "confirmed", "cancelled"))
    )
    others = (
        select(Reservation.id)
        .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == Reservation.beneficiary_id)
        .where(
            HouseholdBeneficiary.household_id == household_id,
            HouseholdBeneficiary.archived_at.is_(None),
            Reservation.household_id != household_id,
            Reservation.state.in_(("held", "confirmed")),  # as the index says
            Reservation.state == "confirmed",
        )
    )
    return union_all(own, others)


def _eaten_seen_by(household_id: int) -> CompoundSelect[int]:
    """The ids of the meals without a booking that were noted for the household, and of what its children's other homes are
    charged for."""
    own = select(UnbookedMeal.id).where(UnbookedMeal.household_id == household_id)
    others = (
        select(UnbookedMeal.id)
        .join(HouseholdBeneficiary, HouseholdBeneficiary.beneficiary_id == UnbookedMeal.beneficiary_id)
        .where(
            HouseholdBeneficiary.household_id == household_id,
            HouseholdBeneficiary.archived_at.is_(None),
            UnbookedMeal.household_id != household_id,
            UnbookedMeal.state != "struck",
        )
    )
    return union_all(own, others)


def next_booked(household_id: int, today: date, child: int | None) -> ScalarSelect[date]:
    """The next day from today on for which the household, or the other home of a child of it, has a meal booked or held; a
    column."""
    ahead = (
        select(func.min(ServiceDay.day))
        .join(Reservation, Reservation.service_day_id == ServiceDay.id)
        .where(
            Reservation.id.in_(_seen_by(household_id)),
            Reservation.state.in_(("held", "confirmed")),
            ServiceDay.day >= today,
        )
    )
    if child is not None:
        ahead = ahead.where(Reservation.beneficiary_id == child)
    return ahead.scalar_subquery()


def _told(meal: BookedMeal) -> BookedMeal:
    """The meal as the household may see it: of another home's money nothing, not even whether a meal is paid."""
    if meal.own:
        return meal
    state = "eaten" if meal.unbooked else meal.state
    return meal._replace(state=state, cents=0, credit_cents=0, order_number="", excused=False, regie_id=None)


class DayMenu(NamedTuple):
    """What a service that the household may book serves on a day, or why it does not."""

    day: date
    service_name: str
    is_open: bool
    closed_reason: str | None
    menu: str | None


def menus_between(db: Session, household_id: int, first: date, last: date) -> list[DayMenu]:
    """The days of the household's services from `first` to `last`, by day."""
    theirs = select(Enrolment.service_id).where(Enrolment.household_id == household_id, Enrolment.state == "approved")
    rows = db.execute(
        select(ServiceDay.day, Service.name, ServiceDay.is_open, ServiceDay.closed_reason, ServiceDay.menu)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(ServiceDay.service_id.in_(theirs), ServiceDay.day.between(first, last))
        .order_by(ServiceDay.day, Service.position, Service.id)
    )
    return [DayMenu._make(row) for row in rows]


class Movement(NamedTuple):
    """A line of the wallet's statement."""

    posting_id: int
    at: datetime
    kind: str
    cents: int
    balance_cents: int
    order_id: int | None
    order_number: str | None
    reservation_id: int | None
    payment_key: str | None
    unbooked_meal_id: int | None


def movements(db: Session, regie_id: int, household_id: int, before: int | None) -> list[Movement]:
    """The wallet's newest movements, at most `PAGE` and one more; older than the posting `before` when it is given."""
    query = (
        select(
            Posting.id,
            JournalEntry.at,
            JournalEntry.kind,
            Posting.cents,
            Posting.balance_cents,
            JournalEntry.order_id,
            Order.number,
            JournalEntry.reservation_id,
            Payment.key,
            JournalEntry.unbooked_meal_id,
        )
        .join(JournalEntry, JournalEntry.id == Posting.entry_id)
        .join(LedgerAccount, LedgerAccount.id == Posting.ledger_account_id)
        .outerjoin(Order, Order.id == JournalEntry.order_id)
        .outerjoin(Payment, Payment.id == JournalEntry.payment_id)
        .where(
            LedgerAccount.regie_id == regie_id,
            LedgerAccount.household_id == household_id,
            LedgerAccount.kind == "wallet",
        )
        .order_by(Posting.id.desc())
        .limit(PAGE + 1)
    )
    if before is not None:
        query = query.where(Posting.id < before)
    return [Movement._make(row) for row in db.execute(query)]


class MovementMeal(NamedTuple):
    """A meal that a movement is tied to."""

    order_id: int
    reservation_id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    taken: bool
    """Whether it was given back and another family has taken it."""
    ill: bool
    """Whether it was cancelled because the child was ill."""


def meals_of_movements(db: Session, lines: list[Movement]) -> list[MovementMeal]:
    """The meals behind these movements: one statement."""
    order_ids = [line.order_id for line in lines if line.order_id is not None and line.reservation_id is None]
    reservation_ids = [line.reservation_id for line in lines if line.reservation_id is not None]
    rows = db.execute(
        reserved(
            Reservation.order_id,
            Reservation.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            ServiceDay.day,
            Service.name,
            func.coalesce(freed_state() == "taken", false()),
            select(SickLeave.id)
            .where(
                SickLeave.household_id == Reservation.household_id,
                SickLeave.beneficiary_id == Reservation.beneficiary_id,
                SickLeave.told_at == Reservation.cancelled_at,
            )
            .exists(),
        )
        .where(Reservation.order_id.in_(order_ids) | Reservation.id.in_(reservation_ids))
        .order_by(ServiceDay.day)
    )
    return [MovementMeal._make(row) for row in rows]
