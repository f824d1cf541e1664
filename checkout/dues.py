"""Amounts due: meals without a booking that the wallet did not suffice for. They are settled from the wallet, whole and the
oldest first: by the family's click, or by the top-up that makes it possible.

Locks: the ledger accounts, then the meals by id, as everybody who charges, settles or strikes off a meal takes them.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

import wallet.operations
from accounts.models import Beneficiary
from catalog.models import Service, ServiceDay, Tariff, TariffPrice
from checkout.errors import DuesChanged
from checkout.place import Buyer
from checkout.rules import carried
from orders.models import UnbookedMeal
from shop.database import AnySelect, lock
from shop.errors import NotFound
from wallet.errors import BalanceTooShort
from wallet.operations import AccountRef, Entry


class EatenMeal(NamedTuple):
    """A meal without a booking, in words that pages and letters need."""

    id: int
    household_id: int
    regie_id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    tariff_label: str
    cents: int
    basis: str
    price_from: date
    decided_on: date | None
    state: str
    noted_at: datetime
    struck_reason: str | None


_EATEN: AnySelect = (
    select(
        UnbookedMeal.id,
        UnbookedMeal.household_id,
        UnbookedMeal.regie_id,
        Beneficiary.first_name,
        Beneficiary.last_name,
        ServiceDay.day,
        Service.name,
        Tariff.label,
        UnbookedMeal.cents,
        UnbookedMeal.basis,
        TariffPrice.valid_from,
        TariffPrice.decided_on,
        UnbookedMeal.state,
        UnbookedMeal.noted_at,
        UnbookedMeal.struck_reason,
    )
    .join(Beneficiary, Beneficiary.id == UnbookedMeal.beneficiary_id)
    .join(ServiceDay, ServiceDay.id == UnbookedMeal.service_day_id)
    .join(Service, Service.id == ServiceDay.service_id)
    .join(Tariff, Tariff.id == UnbookedMeal.tariff_id)
    .join(TariffPrice, TariffPrice.id == UnbookedMeal.tariff_price_id)
    .order_by(UnbookedMeal.id)
)


def dues_of(db: Session, household_id: int) -> list[EatenMeal]:
    """What the household owes for meals without a booking, the oldest first."""
    rows = db.execute(_EATEN.where(UnbookedMeal.household_id == household_id, UnbookedMeal.state == "due"))
    return [EatenMeal._make(row) for row in rows]


def eaten_by_id(db: Session, meal_ids: Sequence[int]) -> list[EatenMeal]:
    """Meals without a booking by id, in whatever state."""
    return [EatenMeal._make(row) for row in db.execute(_EATEN.where(UnbookedMeal.id.in_(meal_ids)))]


def settle(db: Session, buyer: Buyer, meal_ids: Sequence[int], seen_cents: int, now: datetime) -> int:
    """Settle amounts due of the household from its wallet; the cents, 0 when they were all settled already.

    All of them or none: raises `NotFound`, `DuesChanged` when they are not the sum that the family saw, `BalanceTooShort`.
    """
    wanted = set(meal_ids)
    theirs = db.execute(
        select(UnbookedMeal.regie_id).where(
            UnbookedMeal.household_id == buyer.household_id, UnbookedMeal.id.in_(sorted(wanted))
        )
    ).all()
    regie_ids = {row.regie_id for row in theirs}
    if len(theirs) < len(wanted) or len(regie_ids) != 1:
        raise NotFound
    regie_id = regie_ids.pop()
    balance = _lock_balance(db, regie_id, buyer.household_id)
    meals = lock(db, UnbookedMeal, wanted)
    if all(meal.state == "paid" for meal in meals):
        return 0
    due = [meal for meal in meals if meal.state == "due"]
    total = sum(meal.cents for meal in due)
    if total != seen_cents:
        raise DuesChanged(seen_cents, total)
    if total > balance:
        raise BalanceTooShort(balance, total)
    if not due:
        # Some were settled, the others struck off meanwhile.
        return 0
    _settle(db, due, buyer.account_id, now)
    return total


def settle_oldest(db: Session, household_id: int, regie_id: int, now: datetime) -> list[int]:
    """Settle what the household owes the régie, the oldest first, as far as its wallet carries whole meals: their ids.

    For a transaction that has just credited the wallet and so holds its lock: a meal that is noted meanwhile is seen here, or
    sees the new balance.
    """
    are_due = (
        UnbookedMeal.household_id == household_id,
        UnbookedMeal.regie_id == regie_id,
        UnbookedMeal.state == "due",
    )
    ids = db.scalars(select(UnbookedMeal.id).where(*are_due)).all()
    if not ids:
        return []
    balance = _lock_balance(db, regie_id, household_id)
    due = [meal for meal in lock(db, UnbookedMeal, ids) if meal.state == "due"]
    settled = due[: carried([meal.cents for meal in due], balance)]
    if settled:
        _settle(db, settled, None, now)
    return [meal.id for meal in settled]


def _lock_balance(db: Session, regie_id: int, household_id: int) -> int:
    # The wallet is named first: it is the older of the two accounts, and whoever holds it alone may still take the other.
    purse = AccountRef("wallet", household_id)
    accounts = wallet.operations.lock_accounts(db, regie_id, [purse, AccountRef("receivable", household_id)])
    return accounts[purse][1]


def _settle(db: Session, meals: Sequence[UnbookedMeal], account_id: int | None, now: datetime) -> None:
    entries = [
        Entry(
            kind="due_settled",
            key=f"due_settled:unbooked_meal:{meal.id}",
            regie_id=meal.regie_id,
            postings=(
                (AccountRef("wallet", meal.household_id), -meal.cents),
                (AccountRef("receivable", meal.household_id), meal.cents),
            ),
            unbooked_meal_id=meal.id,
            account_id=account_id,
        )
        for meal in meals
    ]
    wallet.operations.enter_all(db, entries, now)
    db.execute(
        update(UnbookedMeal)
        .where(UnbookedMeal.id.in_([meal.id for meal in meals]))
        .values(state="paid", settled_at=now)
        .execution_options(synchronize_session=False)
    )
