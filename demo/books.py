"""A family's purchases written as orders, reservations, payments and entries, all at once and all in balance."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from demo.bulk import BulkWriter
from demo.history import Purchase
from orders.numbers import ALPHABET
from wallet.models import LedgerAccount
from wallet.operations import AccountRef, Entry

COMMON_KINDS = ("card_clearing", "sales")
ROUND_TOP_UP_CENTS = 500
SMALLEST_TOP_UP_CENTS = 500


@dataclass(frozen=True)
class Customer:
    """A household, and the account that acts for it."""

    household_id: int
    account_id: int
    email: str


@dataclass(frozen=True)
class TopUp:
    """Money put into the wallet."""

    at: datetime
    cents: int


@dataclass(frozen=True)
class Cancelling:
    """A meal given back: the purchase and the place of the meal in it."""

    at: datetime
    purchase: Purchase
    place: int


Event = Purchase | TopUp | Cancelling


@dataclass
class Books:
    """The books of one régie, open for a great many entries in one transaction. `close` writes them."""

    db: Session
    regie_id: int
    writer: BulkWriter
    refs: dict[AccountRef, int] = field(default_factory=dict)
    balances: dict[int, int] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)
    places: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @classmethod
    def open(cls, db: Session, regie_id: int, writer: BulkWriter) -> "Books":
        """The books with the régie's common accounts as they stand."""
        books = cls(db, regie_id, writer)
        rows = db.execute(
            select(LedgerAccount.id, LedgerAccount.kind, LedgerAccount.balance_cents).where(
                LedgerAccount.regie_id == regie_id, LedgerAccount.household_id.is_(None)
            )
        )
        for key, kind, balance in rows:
            books.refs[AccountRef(kind)] = key
            books.balances[key] = balance
        return books

    def record(
        self,
        customer: Customer,
        purchases: Sequence[Purchase],
        balance_cents: int,
        newest: datetime,
        step_cents: int = ROUND_TOP_UP_CENTS,
    ) -> None:
        """Record purchases, the top-ups they needed, and the credits of their cancelled meals, in the order of time.

        Top-ups are multiples of `step_cents`, but for the last, which leaves `balance_cents` in the wallet (when it does
        not hold more already) and is made at `newest` at the latest.
        """
        lines: dict[int, tuple[int, list[int]]] = {}
        for event in _with_top_ups(purchases, balance_cents, newest, step_cents):
            match event:
                case TopUp(at, cents):
                    self._top_up(customer, at, cents)
                case Purchase():
                    lines[id(event)] = self._purchase(customer, event)
                case Cancelling(at, purchase, place):
                    order_id, reservation_ids = lines[id(purchase)]
                    self._cancel(customer, order_id, reservation_ids[place], purchase.meals[place].cents, at)

    def close(self) -> None:
        """Write everything that was recorded."""
        for ref, key in self.refs.items():
            if key in self.opened:
                # Its id was given when the first posting needed it; the balance is known only now.
                self.writer.put("ledger_accounts", key, self.regie_id, ref.kind, ref.household_id, self.balances[key])
        self.writer.write()
        self.writer.set_balances({key: cents for key, cents in self.balances.items() if key not in self.opened})
        self.writer.count_places(self.places)

    def _top_up(self, customer: Customer, at: datetime, cents: int) -> None:
        payment_id = self._payment(customer, "top_up", None, cents, at)
        postings = ((AccountRef("card_clearing"), -cents), (AccountRef("wallet", customer.household_id), cents))
        entry = Entry("top_up", f"top_up:payment:{payment_id}", self.regie_id, postings, payment_id=payment_id)
        self._enter(entry, at)
        self._letter(customer, "topped_up", f"topped_up:{payment_id}", at)

    def _purchase(self, customer: Customer, purchase: Purchase) -> tuple[int, list[int]]:
        writer, at, total = self.writer, self.writer.stamp(purchase.placed_at), purchase.total_cents
        order_id = writer.reserve("orders")
        writer.put(
            "orders",
            order_id,
            order_number(order_id),
            customer.household_id,
            self.regie_id,
            customer.account_id,
            total,
            purchase.settlement,
            "paid",
            at,
            at,
        )
        reservation_ids = []
        for place, meal in enumerate(purchase.meals):
            cancelled_at = purchase.cancelled.get(place)
            reservation_ids.append(
                writer.add(
                    "reservations",
                    order_id,
                    customer.household_id,
                    meal.beneficiary_id,
                    meal.day.id,
                    meal.tariff_id,
                    meal.price_id,
                    meal.cents,
                    meal.cents,
                    writer.stamp(meal.day.cancel_deadline_at),
                    "cancelled" if cancelled_at else "confirmed",
                    "expected",
                    writer.stamp(cancelled_at) if cancelled_at else None,
                    customer.account_id if cancelled_at else None,
                )
            )
            if not cancelled_at:
                self.places[meal.day.id] += 1
        self._pay(customer, order_id, purchase.settlement, total, purchase.placed_at)
        self._letter(customer, "order_paid", f"order_paid:{order_id}", purchase.placed_at)
        return order_id, reservation_ids

    def _pay(self, customer: Customer, order_id: int, settlement: str, total: int, at: datetime) -> None:
        payment_id = None
        source, kind, key = AccountRef("wallet", customer.household_id), "wallet_payment", f"order:{order_id}"
        if settlement == "card":
            payment_id = self._payment(customer, "order", order_id, total, at)
            source, kind, key = AccountRef("card_clearing"), "card_payment", f"payment:{payment_id}"
        entry = Entry(
            kind,
            f"{kind}:{key}",
            self.regie_id,
            ((source, -total), (AccountRef("sales"), total)),
            order_id=order_id,
            payment_id=payment_id,
            account_id=None if payment_id else customer.account_id,
        )
        self._enter(entry, at)

    def _cancel(self, customer: Customer, order_id: int, reservation_id: int, cents: int, at: datetime) -> None:
        entry = Entry(
            "cancelled_meal",
            f"cancelled_meal:reservation:{reservation_id}",
            self.regie_id,
            ((AccountRef("sales"), -cents), (AccountRef("wallet", customer.household_id), cents)),
            order_id=order_id,
            reservation_id=reservation_id,
            account_id=customer.account_id,
        )
        self._enter(entry, at)
        digest = hashlib.sha256(str(reservation_id).encode()).hexdigest()[:32]
        self._letter(customer, "meals_cancelled", f"meals_cancelled:{digest}", at)

    def _payment(self, customer: Customer, purpose: str, order_id: int | None, cents: int, at: datetime) -> int:
        writer = self.writer
        stamp = writer.stamp(at)
        seed = f"{purpose}:{customer.household_id}:{order_id}:{stamp}"
        key = hashlib.sha256(seed.encode()).hexdigest()[:32]
        return writer.add(
            "payments",
            key,
            purpose,
            self.regie_id,
            customer.household_id,
            customer.account_id,
            order_id,
            1,
            "sandbox",
            f"past_{key}",
            cents,
            "eur",
            False,
            "confirmed",
            False,
            stamp,
            writer.stamp(at + timedelta(minutes=30)),
            stamp,
        )

    def _enter(self, entry: Entry, at: datetime) -> None:
        writer = self.writer
        entry_id = writer.add(
            "journal_entries",
            self.regie_id,
            entry.kind,
            entry.key,
            entry.input_hash,
            writer.stamp(at),
            entry.account_id,
            entry.order_id,
            entry.reservation_id,
            entry.payment_id,
        )
        for ref, cents in entry.postings:
            account = self._account(ref)
            self.balances[account] += cents
            writer.add("postings", entry_id, account, self.regie_id, cents, self.balances[account])

    def _account(self, ref: AccountRef) -> int:
        key = self.refs.get(ref)
        if key is None:
            key = self.writer.reserve("ledger_accounts")
            self.refs[ref] = key
            self.balances[key] = 0
            self.opened.add(key)
        return key

    def _letter(self, customer: Customer, kind: str, key: str, at: datetime) -> None:
        stamp = self.writer.stamp(at)
        self.writer.add("outbox", key, kind, customer.email, "", stamp, stamp, 1, stamp)


def order_number(order_id: int) -> str:
    """A number for an order that looks as random as the others, made from its id so that no two are the same."""
    # Multiplying by a number prime to 30⁸ moves every id to another place; 8 letters of 30 hold all of them.
    rest = order_id * 387_420_489_761 % len(ALPHABET) ** 8
    letters = []
    for _place in range(8):
        rest, letter = divmod(rest, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return f"{''.join(letters[:4])}-{''.join(letters[4:])}"


def _when(event: Purchase | Cancelling) -> datetime:
    return event.at if isinstance(event, Cancelling) else event.placed_at


def _with_top_ups(
    purchases: Sequence[Purchase], wanted_cents: int, newest: datetime, step_cents: int
) -> Iterator[Event]:
    """The purchases and their cancellings in the order of time, and a top-up before each that the wallet cannot pay."""
    cancellings = (
        Cancelling(at, purchase, place) for purchase in purchases for place, at in purchase.cancelled.items()
    )
    happened: list[Purchase | Cancelling] = sorted([*purchases, *cancellings], key=_when)
    events: list[Event] = []
    balance, last_at = 0, datetime.min.replace(tzinfo=newest.tzinfo)
    last_top_up: int | None = None
    for event in happened:
        at = _when(event)
        if isinstance(event, Cancelling):
            balance += event.purchase.meals[event.place].cents
        elif event.settlement == "wallet":
            missing = event.total_cents - balance
            if missing > 0:
                cents = -(-missing // step_cents) * step_cents
                last_top_up = len(events)
                events.append(TopUp(max(last_at, at - timedelta(minutes=4)), cents))
                balance += cents
            balance -= event.total_cents
        events.append(event)
        last_at = at
    missing = wanted_cents - balance
    if missing >= SMALLEST_TOP_UP_CENTS:
        events.append(TopUp(max(last_at, newest - timedelta(days=2)), missing))
    elif missing > 0 and last_top_up is not None:
        # Too little for a top-up of its own: the last one brought that much more.
        brought = events[last_top_up]
        if isinstance(brought, TopUp):
            events[last_top_up] = TopUp(brought.at, brought.cents + missing)
    return iter(events)
