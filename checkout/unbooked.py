"""A child who is there without a booking ("présent sans réservation"): it is fed all the same; what that costs, and why.

It takes no place: the count of a day is of what was booked, and a full day never keeps a child from eating. The meal is paid
from the wallet when that suffices for the whole of it; otherwise it is an amount due, never a wallet below zero and never
paid in part.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

import wallet.operations
from accounts.models import Account, Beneficiary, HouseholdBeneficiary, HouseholdMember
from cart.families import find_family
from cart.quotes import NOBODY, Quote, Terms, asks_who_eats, quote_unbooked, reasons
from catalog.models import Commune, Service, ServiceDay, Tariff, TariffPrice
from catalog.rules.policies import Policies
from catalog.rules.prices import read_grid
from checkout.errors import EatenAlready, OtherHomesDay, PriceChanged, PriceUnknown
from checkout.rules import check_eaten
from enrolments.models import Enrolment
from enrolments.rules import school_year_of, validity
from homes.queries import homes_on
from orders.models import Reservation, UnbookedMeal
from shop import audit
from shop.clock import paris_day
from shop.database import lock, violated
from shop.errors import NotFound
from shop.outbox import Letter, post_all
from shop.words import gettext as _
from wallet.models import JournalEntry, LedgerAccount, Posting
from wallet.operations import AccountRef, Entry

ONE_DAY = timedelta(days=1)
_other_home = aliased(HouseholdBeneficiary)


class Weighed(NamedTuple):
    """What a meal without a booking would cost, and who would pay."""

    enrolment_id: int
    household_id: int
    beneficiary_id: int
    regie_id: int
    name: str
    day: date
    tariff_id: int
    price_id: int
    price: Quote
    why: list[str]
    balance_cents: int
    """What the wallet holds."""
    known: int | None
    """The meal, where it is noted already for this family."""
    two_homes: bool = False
    """Whether the child has another home too."""
    home_id: int | None = None
    """Of a child of two homes: the household whose day it is, where both have agreed on that."""
    home_enrolment_id: int | None = None
    """Where that is the other home: its own enrolment for that day. Then it is the one that is charged."""

    @property
    def paid_at_once(self) -> bool:
        """Whether the wallet suffices for the whole of it."""
        return self.balance_cents >= self.price.cents


def weigh(db: Session, service_day_id: int, enrolment_id: int, now: datetime) -> Weighed:
    """What noting the meal would do, before the click.

    Raises `NotFound` for an enrolment that does not hold at that service on that day, the refusals of `rules.check_eaten`,
    `EatenAlready` where another family is charged already, `PriceUnknown`.
    """
    row = _right(db, service_day_id, enrolment_id)
    booked = db.execute(
        select(Reservation.state).where(
            Reservation.beneficiary_id == row.beneficiary_id,
            Reservation.service_day_id == service_day_id,
            Reservation.state.in_(("held", "confirmed")),
        )
    ).scalar()
    shut = None if row.is_open else row.closed_reason or _("fermé")
    check_eaten(f"{row.first_name} {row.last_name}", row.day, paris_day(now), shut, booked)
    known = db.execute(
        select(UnbookedMeal.id, UnbookedMeal.household_id).where(
            UnbookedMeal.beneficiary_id == row.beneficiary_id,
            UnbookedMeal.service_day_id == service_day_id,
            UnbookedMeal.state != "struck",
        )
    ).first()
    if known is not None and known.household_id != row.household_id:
        raise EatenAlready
    price = _price(db, service_day_id, row)
    home_id = homes_on(db, [(row.household_id, row.beneficiary_id)], row.day) if row.two_homes else {}
    deciding = home_id.get((row.household_id, row.beneficiary_id))
    balance = db.scalar(
        select(LedgerAccount.balance_cents).where(
            LedgerAccount.regie_id == row.regie_id,
            LedgerAccount.household_id == row.household_id,
            LedgerAccount.kind == "wallet",
        )
    )
    return Weighed(
        enrolment_id,
        row.household_id,
        row.beneficiary_id,
        row.regie_id,
        f"{row.first_name} {row.last_name}",
        row.day,
        row.tariff_id,
        row.price_id,
        price,
        reasons(price.basis, price.cents, row.label, row.valid_from, row.decided_on),
        balance or 0,
        known.id if known else None,
        row.two_homes,
        deciding,
        None if deciding in (None, row.household_id) else _enrolment_of(db, deciding, row),
    )


def _enrolment_of(db: Session, household_id: int, row: Any) -> int | None:
    """The enrolment of the child's other home at the same service for the same day, if it has one."""
    return db.scalar(
        select(Enrolment.id).where(
            Enrolment.household_id == household_id,
            Enrolment.beneficiary_id == row.beneficiary_id,
            Enrolment.service_id == row.service_id,
            Enrolment.state == "approved",
            Enrolment.valid_from <= row.day,
            Enrolment.valid_until >= row.day,
        )
    )


def _right(db: Session, service_day_id: int, enrolment_id: int) -> Any:
    """The enrolment, the day and the price that holds then."""
    rows = db.execute(
        select(
            Enrolment.household_id,
            Enrolment.beneficiary_id,
            Enrolment.tariff_id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            ServiceDay.day,
            ServiceDay.service_id,
            ServiceDay.is_open,
            ServiceDay.closed_reason,
            Service.policies,
            Commune.id.label("commune_id"),
            Commune.regie_id,
            Tariff.label,
            TariffPrice.id.label("price_id"),
            TariffPrice.cents,
            TariffPrice.grid,
            TariffPrice.valid_from,
            TariffPrice.decided_on,
            select(_other_home.id)
            .where(
                _other_home.beneficiary_id == Enrolment.beneficiary_id,
                _other_home.household_id != Enrolment.household_id,
                _other_home.archived_at.is_(None),
            )
            .exists()
            .label("two_homes"),
        )
        .select_from(Enrolment)
        .join(
            HouseholdBeneficiary,
            (HouseholdBeneficiary.household_id == Enrolment.household_id)
            & (HouseholdBeneficiary.beneficiary_id == Enrolment.beneficiary_id)
            & HouseholdBeneficiary.archived_at.is_(None),
        )
        .join(Beneficiary, Beneficiary.id == Enrolment.beneficiary_id)
        .join(ServiceDay, ServiceDay.service_id == Enrolment.service_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .join(Commune, Commune.id == Service.commune_id)
        .join(Tariff, Tariff.id == Enrolment.tariff_id)
        .outerjoin(
            TariffPrice,
            (TariffPrice.tariff_id == Enrolment.tariff_id)
            & (TariffPrice.valid_from <= ServiceDay.day)
            & or_(TariffPrice.valid_until.is_(None), TariffPrice.valid_until >= ServiceDay.day),
        )
        .where(
            Enrolment.id == enrolment_id,
            Enrolment.state == "approved",
            ServiceDay.id == service_day_id,
            Enrolment.valid_from <= ServiceDay.day,
            Enrolment.valid_until >= ServiceDay.day,
        )
    ).all()
    if not rows:
        raise NotFound
    if len(rows) > 1 or rows[0].price_id is None:
        raise PriceUnknown
    return rows[0]


def _price(db: Session, service_day_id: int, row: Any) -> Quote:
    grid = None if row.grid is None else read_grid(row.grid)
    family = NOBODY if grid is None else find_family(db, row.household_id)
    eating = {row.beneficiary_id}
    if asks_who_eats(grid):
        eating |= _eating(db, service_day_id, row.household_id)
    terms = Terms(Policies.from_json(row.policies), row.commune_id, family)
    times = 1 + _times(db, service_day_id, row)
    try:
        return quote_unbooked(row.cents, grid, terms, row.beneficiary_id, row.day, family.eating(eating), times)
    except LookupError as hole:
        raise PriceUnknown from hole


def _eating(db: Session, service_day_id: int, household_id: int) -> set[int]:
    """Who of the household eats that day, booked or not."""
    of_household = select(HouseholdBeneficiary.beneficiary_id).where(HouseholdBeneficiary.household_id == household_id)
    booked = select(Reservation.beneficiary_id).where(
        Reservation.service_day_id == service_day_id,
        Reservation.state.in_(("held", "confirmed")),
        Reservation.beneficiary_id.in_(of_household),
    )
    unbooked = select(UnbookedMeal.beneficiary_id).where(
        UnbookedMeal.service_day_id == service_day_id,
        UnbookedMeal.state != "struck",
        UnbookedMeal.beneficiary_id.in_(of_household),
    )
    return set(db.scalars(booked.union(unbooked)))


def _times(db: Session, service_day_id: int, row: Any) -> int:
    """How often the child was noted without a booking at this service before, in the school year of the day."""
    year = school_year_of(row.day)
    first, next_first = validity(year)[0], validity(year + 1)[0]
    count = db.scalar(
        select(func.count())
        .select_from(UnbookedMeal)
        .join(ServiceDay, ServiceDay.id == UnbookedMeal.service_day_id)
        .where(
            UnbookedMeal.beneficiary_id == row.beneficiary_id,
            UnbookedMeal.state != "struck",
            UnbookedMeal.service_day_id != service_day_id,
            ServiceDay.service_id == row.service_id,
            ServiceDay.day.between(first, next_first - ONE_DAY),
        )
    )
    return count or 0


def note_eaten(
    db: Session, service_day_id: int, enrolment_id: int, seen_cents: int, account_id: int, now: datetime
) -> tuple[int, bool]:
    """Note that a child ate without a booking, at the price that the clerk saw: the meal, and whether it is new.

    Noting the same again gives the meal that is there. Raises what `weigh` does, `OtherHomesDay` where the child's other home
    decides on that day and can be charged, and `PriceChanged`: then nothing changed.
    """
    child = db.scalar(select(Enrolment.beneficiary_id).where(Enrolment.id == enrolment_id))
    # The child first, so that its times of the year are counted one after the other, and its homes agree on nothing else
    # meanwhile; then the day, as whoever books it does.
    lock(db, Beneficiary, [] if child is None else [child])
    lock(db, ServiceDay, [service_day_id])
    found = weigh(db, service_day_id, enrolment_id, now)
    if found.known is not None:
        return found.known, False
    if found.home_enrolment_id is not None:
        raise OtherHomesDay
    if found.price.cents != seen_cents:
        raise PriceChanged(seen_cents, found.price.cents)
    purse = AccountRef("wallet", found.household_id)
    receivable, sales = AccountRef("receivable", found.household_id), AccountRef("sales")
    balance = wallet.operations.lock_accounts(db, found.regie_id, [purse, receivable, sales])[purse][1]
    cents, paid = found.price.cents, balance >= found.price.cents
    try:
        meal_id = db.scalars(
            insert(UnbookedMeal).returning(UnbookedMeal.id),
            {
                "regie_id": found.regie_id,
                "household_id": found.household_id,
                "beneficiary_id": found.beneficiary_id,
                "service_day_id": service_day_id,
                "tariff_id": found.tariff_id,
                "tariff_price_id": found.price_id,
                "cents": cents,
                "basis": found.price.basis,
                "state": "paid" if paid else "due",
                "noted_at": now,
                "noted_by_id": account_id,
                "settled_at": now if paid else None,
            },
        ).one()
    except IntegrityError as error:
        # The locks above make it impossible; the index is the second fence.
        if violated(error) == "uq_unbooked_meals_live":
            raise EatenAlready from error
        raise
    if cents:
        entry = Entry(
            kind="unbooked_meal",
            key=f"unbooked_meal:{meal_id}",
            regie_id=found.regie_id,
            postings=((purse if paid else receivable, -cents), (sales, cents)),
            unbooked_meal_id=meal_id,
            account_id=account_id,
        )
        wallet.operations.enter(db, entry, now)
    post_all(db, _letters(db, "unbooked_meal", meal_id, found.household_id, {"paid": paid}), now)
    facts: dict[str, object] = {
        "beneficiary": found.beneficiary_id,
        "day": service_day_id,
        "cents": cents,
        "paid": paid,
    }
    audit.note(db, found.regie_id, account_id, "unbooked_noted", f"unbooked_meal:{meal_id}", facts, now)
    return meal_id, True


def strike_off(
    db: Session, commune_ids: Sequence[int], meal_id: int, reason: str, account_id: int, now: datetime
) -> tuple[int, bool]:
    """Take back a meal that was noted wrongly, with all that it moved: its service day, and whether it was there still.

    Raises `NotFound` out of these communes.
    """
    row = db.execute(
        select(UnbookedMeal.regie_id, UnbookedMeal.household_id, UnbookedMeal.service_day_id)
        .join(ServiceDay, ServiceDay.id == UnbookedMeal.service_day_id)
        .join(Service, Service.id == ServiceDay.service_id)
        .where(UnbookedMeal.id == meal_id, Service.commune_id.in_(sorted(commune_ids)))
    ).first()
    if row is None:
        raise NotFound
    owned = [AccountRef("wallet", row.household_id), AccountRef("receivable", row.household_id)]
    wallet.operations.lock_accounts(db, row.regie_id, [*owned, AccountRef("sales")])
    (meal,) = lock(db, UnbookedMeal, [meal_id])
    if meal.state == "struck":
        return row.service_day_id, False
    entries = reversals(db, [meal_id], account_id)
    if entries:
        wallet.operations.enter_all(db, entries, now)
    was = meal.state
    db.execute(
        update(UnbookedMeal)
        .where(UnbookedMeal.id == meal_id)
        .values(state="struck", struck_at=now, struck_by_id=account_id, struck_reason=reason)
        .execution_options(synchronize_session=False)
    )
    back = meal.cents if was == "paid" else 0
    post_all(db, _letters(db, "unbooked_struck", meal_id, row.household_id, {"credit_cents": back}), now)
    facts: dict[str, object] = {"reason": reason, "was": was, "cents": meal.cents}
    audit.note(db, row.regie_id, account_id, "unbooked_struck", f"unbooked_meal:{meal_id}", facts, now)
    return row.service_day_id, True


def reversals(db: Session, meal_ids: Sequence[int], account_id: int) -> list[Entry]:
    """An entry that undoes each entry of these meals, the newest first. The caller holds the accounts, then the meals."""
    rows = db.execute(
        select(
            JournalEntry.id,
            JournalEntry.regie_id,
            JournalEntry.unbooked_meal_id,
            LedgerAccount.kind,
            LedgerAccount.household_id,
            Posting.cents,
        )
        .join(Posting, Posting.entry_id == JournalEntry.id)
        .join(LedgerAccount, LedgerAccount.id == Posting.ledger_account_id)
        .where(JournalEntry.unbooked_meal_id.in_(meal_ids), JournalEntry.kind != "reversal")
        .order_by(JournalEntry.id.desc(), Posting.id)
    )
    undone: dict[tuple[int, int, int | None], list[tuple[AccountRef, int]]] = {}
    for entry_id, regie_id, meal_id, kind, household_id, cents in rows:
        undone.setdefault((entry_id, regie_id, meal_id), []).append((AccountRef(kind, household_id), -cents))
    return [
        Entry(
            kind="reversal",
            key=f"reversal:entry:{entry_id}",
            regie_id=regie_id,
            postings=tuple(postings),
            reverses_id=entry_id,
            unbooked_meal_id=meal_id,
            account_id=account_id,
        )
        for (entry_id, regie_id, meal_id), postings in undone.items()
    ]


def _letters(db: Session, kind: str, meal_id: int, household_id: int, facts: dict[str, Any]) -> list[Letter]:
    """A letter to everybody who acts for the household."""
    rows = db.execute(
        select(Account.id, Account.email)
        .join(HouseholdMember, HouseholdMember.account_id == Account.id)
        .where(HouseholdMember.household_id == household_id, Account.state == "active")
        .order_by(Account.id)
    )
    return [
        Letter(kind=kind, to=email, key=f"{kind}:{meal_id}:{account_id}", facts={"meal_id": meal_id, **facts})
        for account_id, email in rows
    ]
