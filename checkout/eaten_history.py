"""Who did what to a meal without a booking, and when: told from the meal, the ledger and the call-off that took it back."""

from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.orm import Session, aliased

from accounts.models import Account, Beneficiary
from catalog.models import CallOff, Commune, Service, ServiceDay, Tariff, TariffPrice
from checkout.meal_history import CALLED_OFF, Event, Who, acts_for, name_of
from orders.models import UnbookedMeal
from shop.database import AnySelect
from shop.errors import NotFound
from shop.money import format_euros
from shop.words import gettext as _
from wallet.models import JournalEntry


class Eaten(NamedTuple):
    """A meal without a booking with everything that is known of it."""

    id: int
    household_id: int
    regie_id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    commune_name: str
    tariff_label: str
    price_from: date
    decided_on: date | None
    basis: str
    cents: int
    state: str
    noted_at: datetime
    settled_at: datetime | None
    struck_at: datetime | None
    struck_reason: str | None
    call_off_kind: str | None
    """Of the call-off that took it back, if one did."""
    call_off_asked_at: datetime | None
    was_due: bool
    """Whether it was due before it was settled."""
    noted_by: Who
    settled_by: Who | None
    """Nobody where a top-up settled it."""
    struck_by: Who | None


_noter, _settler, _striker = (aliased(Account) for _account in range(3))

_EATEN: AnySelect = (
    select(
        UnbookedMeal.id,
        UnbookedMeal.household_id,
        UnbookedMeal.regie_id,
        Beneficiary.first_name,
        Beneficiary.last_name,
        ServiceDay.day,
        Service.name,
        Commune.name,
        Tariff.label,
        TariffPrice.valid_from,
        TariffPrice.decided_on,
        UnbookedMeal.basis,
        UnbookedMeal.cents,
        UnbookedMeal.state,
        UnbookedMeal.noted_at,
        UnbookedMeal.settled_at,
        UnbookedMeal.struck_at,
        UnbookedMeal.struck_reason,
        CallOff.kind,
        CallOff.asked_at,
        JournalEntry.id.is_not(None),
        _noter.first_name + " " + _noter.last_name,
        acts_for(UnbookedMeal.noted_by_id, UnbookedMeal.household_id),
        _settler.first_name + " " + _settler.last_name,
        acts_for(JournalEntry.account_id, UnbookedMeal.household_id),
        _striker.first_name + " " + _striker.last_name,
        acts_for(UnbookedMeal.struck_by_id, UnbookedMeal.household_id),
    )
    .join(Beneficiary, Beneficiary.id == UnbookedMeal.beneficiary_id)
    .join(ServiceDay, ServiceDay.id == UnbookedMeal.service_day_id)
    .join(Service, Service.id == ServiceDay.service_id)
    .join(Commune, Commune.id == Service.commune_id)
    .join(Tariff, Tariff.id == UnbookedMeal.tariff_id)
    .join(TariffPrice, TariffPrice.id == UnbookedMeal.tariff_price_id)
    .join(_noter, _noter.id == UnbookedMeal.noted_by_id)
    .outerjoin(
        JournalEntry,
        and_(
            JournalEntry.unbooked_meal_id == UnbookedMeal.id,
            JournalEntry.kind == "due_settled",
            JournalEntry.kind != "reversal",  # SQLite sees only by the very words that the index answers this
        ),
    )
    .outerjoin(_settler, _settler.id == JournalEntry.account_id)
    .outerjoin(_striker, _striker.id == UnbookedMeal.struck_by_id)
    .outerjoin(CallOff, CallOff.id == UnbookedMeal.call_off_id)
)
_PLAIN = 21
"""How many columns come before those about people."""


def eaten_by_family(db: Session, household_id: int, meal_id: int) -> Eaten:
    """A meal without a booking of the household. Raises `NotFound` for others', another home of the child included."""
    return _read(db, _EATEN.where(UnbookedMeal.id == meal_id, UnbookedMeal.household_id == household_id))


def eaten_in_communes(db: Session, commune_ids: Collection[int], meal_id: int) -> Eaten:
    """A meal without a booking at a service of these communes. Raises `NotFound` for any other."""
    return _read(db, _EATEN.where(UnbookedMeal.id == meal_id, Service.commune_id.in_(sorted(commune_ids))))


def _read(db: Session, query: AnySelect) -> Eaten:
    row = db.execute(query).first()
    if row is None:
        raise NotFound
    noter, noted_in_family, settler, settled_in_family, striker, struck_in_family = row[_PLAIN:]
    return Eaten._make(
        (
            *row[:_PLAIN],
            Who(noter, noted_in_family),
            Who(settler, settled_in_family) if settler else None,
            Who(striker, struck_in_family) if striker else None,
        )
    )


def tell(meal: Eaten, with_names: bool) -> list[Event]:
    """The history, in the order in which things happened; `with_names` says who of the town hall it was."""
    price = format_euros(meal.cents)
    events = [
        Event(
            meal.noted_at,
            "meal",
            _("Noté présent sans réservation, à %(price)s", price=price) if meal.cents else _("Noté sans réservation"),
            name_of(meal.noted_by, with_names),
            _("Tarif « %(label)s »", label=meal.tariff_label),
        )
    ]
    paid = meal.settled_at is not None
    if meal.was_due or not paid:
        events.append(Event(meal.noted_at, "clock", _("Le porte-monnaie ne suffisait pas : montant dû"), ""))
    if meal.was_due:
        who = name_of(meal.settled_by, with_names)
        events.append(Event(meal.settled_at, "wallet", _("Montant dû réglé avec le porte-monnaie"), who))
    elif paid:
        words = _("Payé avec le porte-monnaie") if meal.cents else _("Gratuit : rien à payer")
        events.append(Event(meal.settled_at, "wallet", words, ""))
    if meal.struck_at is None:
        return events
    striker, reason = name_of(meal.struck_by, with_names), meal.struck_reason or ""
    if meal.call_off_kind is not None:
        announced = _("Annulation annoncée : %(kind)s", kind=CALLED_OFF[meal.call_off_kind])
        events.append(Event(meal.call_off_asked_at, "alert", announced, striker, reason))
    back = (
        ""
        if not meal.cents
        else _("%(credit)s recrédités sur le porte-monnaie", credit=price)
        if paid
        else _("%(amount)s ne sont plus dus", amount=price)
    )
    note = back if meal.call_off_kind is not None else " – ".join(filter(None, (reason, back)))
    events.append(Event(meal.struck_at, "undo", _("Retiré par la mairie"), striker, note))
    return events
