"""Who did what to a meal, and when: told from the order, its payment, the ledger, call-offs, illnesses and the roll-call.

Nothing is written for it. A family reads its own people's names and "la mairie" for everybody else; a clerk reads names.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, exists, select
from sqlalchemy.orm import Session, aliased

from accounts.models import Account, Beneficiary, HouseholdMember
from catalog.models import CallOff, Commune, Service, ServiceDay, Tariff, TariffPrice
from orders.models import FreedMeal, Order, Reservation, SickLeave
from orders.queries import reserved
from shop.database import AnySelect
from shop.errors import NotFound
from shop.money import format_euros
from shop.words import gettext as _
from wallet.models import JournalEntry, LedgerAccount, Posting


class Who(NamedTuple):
    """Somebody who did something."""

    name: str
    of_family: bool
    """Whether they act for the household."""


class Facts(NamedTuple):
    """A meal with everything that is known of it."""

    id: int
    household_id: int
    beneficiary_id: int
    first_name: str
    last_name: str
    day: date
    service_name: str
    commune_name: str
    tariff_label: str
    price_from: date
    decided_on: date | None
    basis: str | None
    cents: int
    credit_cents: int
    """What cancelling gives back, or gave."""
    state: str
    attendance: str
    attendance_at: datetime | None
    """Nothing where it was noted before that was kept."""
    cancel_deadline_at: datetime
    cancelled_at: datetime | None
    order_number: str
    order_state: str
    settlement: str
    placed_at: datetime
    held_until: datetime | None
    paid_at: datetime | None
    closed_at: datetime | None
    call_off_kind: str | None
    call_off_words: str | None
    call_off_asked_at: datetime | None
    credited_at: datetime | None
    credited_cents: int | None
    """What the ledger says was given back, when it says so."""
    ordered_by: Who
    cancelled_by: Who | None
    called_off_by: Who | None
    attendance_by: Who | None


class Illness(NamedTuple):
    """Days of illness that a family has told and the meal lies in."""

    first_day: date
    last_day: date
    told_at: datetime
    told_by: Who
    paper: bool
    paper_seen_at: datetime | None
    paper_seen_by: Who | None


class GivenBack(NamedTuple):
    """That the family gave the meal back to others, and what became of it."""

    state: str
    offered_at: datetime
    offered_by: Who
    ended_at: datetime | None


class Event(NamedTuple):
    """A line of the history."""

    at: datetime | None
    """Nothing where no moment is known."""
    icon: str
    words: str
    who: str
    note: str = ""


_orderer, _canceller, _caller, _noter = (aliased(Account) for _account in range(4))
_teller, _seer, _giver = aliased(Account), aliased(Account), aliased(Account)


def acts_for(account_id: object, household_id: object) -> ColumnElement[bool]:
    """Whether the account acts for the household."""
    return exists().where(HouseholdMember.account_id == account_id, HouseholdMember.household_id == household_id)


_FACTS: AnySelect = (
    reserved(
        Reservation.id,
        Reservation.household_id,
        Reservation.beneficiary_id,
        Beneficiary.first_name,
        Beneficiary.last_name,
        ServiceDay.day,
        Service.name,
        Commune.name,
        Tariff.label,
        TariffPrice.valid_from,
        TariffPrice.decided_on,
        Reservation.basis,
        Reservation.cents,
        Reservation.credit_cents,
        Reservation.state,
        Reservation.attendance,
        Reservation.attendance_at,
        Reservation.cancel_deadline_at,
        Reservation.cancelled_at,
        Order.number,
        Order.state,
        Order.settlement,
        Order.placed_at,
        Order.held_until,
        Order.paid_at,
        Order.closed_at,
        CallOff.kind,
        CallOff.words,
        CallOff.asked_at,
        JournalEntry.at,
        Posting.cents,
        _orderer.first_name + " " + _orderer.last_name,
        acts_for(Order.account_id, Reservation.household_id),
        _canceller.first_name + " " + _canceller.last_name,
        acts_for(Reservation.cancelled_by_id, Reservation.household_id),
        _caller.first_name + " " + _caller.last_name,
        _noter.first_name + " " + _noter.last_name,
        acts_for(Reservation.attendance_by_id, Reservation.household_id),
    )
    .join(Commune, Commune.id == Service.commune_id)
    .join(Tariff, Tariff.id == Reservation.tariff_id)
    .join(TariffPrice, TariffPrice.id == Reservation.tariff_price_id)
    .join(Order, Order.id == Reservation.order_id)
    .join(_orderer, _orderer.id == Order.account_id)
    .outerjoin(_canceller, _canceller.id == Reservation.cancelled_by_id)
    .outerjoin(CallOff, CallOff.id == Reservation.call_off_id)
    .outerjoin(_caller, _caller.id == CallOff.asked_by_id)
    .outerjoin(_noter, _noter.id == Reservation.attendance_by_id)
    .outerjoin(JournalEntry, and_(JournalEntry.reservation_id == Reservation.id, JournalEntry.kind == "cancelled_meal"))
    .outerjoin(
        LedgerAccount,
        and_(
            LedgerAccount.household_id == Reservation.household_id,
            LedgerAccount.regie_id == Order.regie_id,
            LedgerAccount.kind == "wallet",
        ),
    )
    .outerjoin(Posting, and_(Posting.entry_id == JournalEntry.id, Posting.ledger_account_id == LedgerAccount.id))
)
_PLAIN = 31
"""How many columns come before those about people."""


def meal_of_family(db: Session, household_id: int, reservation_id: int) -> tuple[Facts, list[Illness], list[GivenBack]]:
    """A meal of the household, the illnesses that it lies in, how it was given back. Raises `NotFound` for others'."""
    return _read(db, _FACTS.where(Reservation.id == reservation_id, Reservation.household_id == household_id))


def meal_in_communes(
    db: Session, commune_ids: Collection[int], reservation_id: int
) -> tuple[Facts, list[Illness], list[GivenBack]]:
    """As `meal_of_family`, a meal at a service of these communes. Raises `NotFound` for any other."""
    return _read(db, _FACTS.where(Reservation.id == reservation_id, Service.commune_id.in_(sorted(commune_ids))))


def _read(db: Session, query: AnySelect) -> tuple[Facts, list[Illness], list[GivenBack]]:
    row = db.execute(query).first()
    if row is None:
        raise NotFound
    orderer, of_family, canceller, cancelled_in_family, caller, noter, noted_in_family = row[_PLAIN:]
    people = (
        Who(orderer, of_family),
        Who(canceller, cancelled_in_family) if canceller else None,
        Who(caller, False) if caller else None,
        Who(noter, noted_in_family) if noter else None,
    )
    facts = Facts._make((*row[:_PLAIN], *people))
    rows = db.execute(
        select(
            SickLeave.first_day,
            SickLeave.last_day,
            SickLeave.told_at,
            _teller.first_name + " " + _teller.last_name,
            acts_for(SickLeave.told_by_id, SickLeave.household_id),
            SickLeave.paper,
            SickLeave.paper_seen_at,
            _seer.first_name + " " + _seer.last_name,
        )
        .join(_teller, _teller.id == SickLeave.told_by_id)
        .outerjoin(_seer, _seer.id == SickLeave.paper_seen_by_id)
        .where(
            SickLeave.household_id == facts.household_id,
            SickLeave.beneficiary_id == facts.beneficiary_id,
            SickLeave.first_day <= facts.day,
            SickLeave.last_day >= facts.day,
        )
        .order_by(SickLeave.told_at, SickLeave.id)
    )
    illnesses = [
        Illness(first, last, told_at, Who(teller, told_in_family), paper, seen_at, Who(seer, False) if seer else None)
        for first, last, told_at, teller, told_in_family, paper, seen_at, seer in rows
    ]
    return facts, illnesses, _given_back(db, facts)


def _given_back(db: Session, facts: Facts) -> list[GivenBack]:
    """How often the meal was given back to other families, the first time first."""
    rows = db.execute(
        select(
            FreedMeal.state,
            FreedMeal.offered_at,
            _giver.first_name + " " + _giver.last_name,
            acts_for(FreedMeal.offered_by_id, facts.household_id),
            FreedMeal.ended_at,
        )
        .join(_giver, _giver.id == FreedMeal.offered_by_id)
        .where(FreedMeal.reservation_id == facts.id)
        .order_by(FreedMeal.id)
    )
    return [GivenBack(state, at, Who(name, of_family), ended) for state, at, name, of_family, ended in rows]


PAID = {
    "wallet": _("Payé avec le porte-monnaie"),
    "card": _("Payé par carte bancaire"),
    "invoice": _("À payer sur facture"),
    "counter": _("Payé au guichet"),
}
CALLED_OFF = {"strike": _("grève"), "closure": _("fermeture"), "outing": _("sortie scolaire")}
KEPT = {"withdrawn": _("N’est plus proposé aux autres familles"), "lapsed": _("Repris par personne : reste dû")}
"""What became of a meal that was given back and that nobody took."""
ATTENDANCE = {
    "present": ("check-circle", _("Pointage : présent")),
    "absent": ("cross-circle", _("Pointage : absent")),
    "absent_excused": ("info", _("La cantine sait que l’enfant ne vient pas")),
}


def name_of(who: Who | None, with_names: bool) -> str:
    """Who did it, for whom reads: the family's own people by name, the town hall's `with_names` or as one."""
    if who is None:
        return _("automatiquement")
    if who.of_family:
        return who.name
    return _("%(name)s (mairie)", name=who.name) if with_names else _("la mairie")


def tell(facts: Facts, illnesses: list[Illness], given: list[GivenBack], with_names: bool) -> list[Event]:
    """The history, in the order in which things happened; `with_names` says who of the town hall it was."""

    def by(who: Who | None) -> str:
        return name_of(who, with_names)

    events = [
        Event(
            facts.placed_at,
            "basket",
            _("Commandé à %(price)s", price=format_euros(facts.cents)),
            by(facts.ordered_by),
            _("Tarif « %(label)s », commande %(number)s", label=facts.tariff_label, number=facts.order_number),
        ),
        *_paid(facts),
    ]
    for illness in illnesses:
        events.append(
            Event(
                illness.told_at,
                "info",
                _("Enfant malade : la cantine est prévenue"),
                by(illness.told_by),
                _("La mairie demande un certificat médical.") if illness.paper else "",
            )
        )
        if illness.paper_seen_at is not None:
            events.append(
                Event(
                    illness.paper_seen_at,
                    "file",
                    _("Certificat médical vu"),
                    by(illness.paper_seen_by or Who("", False)),
                )
            )
    for gift in given:
        events.append(Event(gift.offered_at, "undo", _("Rendu : proposé aux autres familles"), by(gift.offered_by)))
        if gift.state in KEPT and gift.ended_at is not None:
            events.append(Event(gift.ended_at, "clock", KEPT[gift.state], ""))
    taken = any(gift.state == "taken" for gift in given)
    events += _ended(facts, illnesses, taken, by(facts.called_off_by), by(facts.cancelled_by))
    if facts.attendance in ATTENDANCE:
        icon, words = ATTENDANCE[facts.attendance]
        events.append(Event(facts.attendance_at, icon, words, by(facts.attendance_by) if facts.attendance_by else ""))
    events.sort(key=lambda event: (event.at is None, event.at or facts.placed_at))
    return events


def _paid(facts: Facts) -> list[Event]:
    """What became of the order."""
    if facts.paid_at is not None:
        words = PAID[facts.settlement] if facts.cents else _("Gratuit : rien à payer")
        return [Event(facts.paid_at, "card" if facts.settlement == "card" else "wallet", words, "")]
    if facts.order_state == "pending":
        return [Event(None, "clock", _("Le paiement est en cours : la place est gardée"), "")]
    words = (
        _("Paiement abandonné : la place est rendue")
        if facts.order_state == "cancelled"
        else _("Paiement jamais arrivé : la place est rendue")
    )
    return [Event(facts.closed_at, "cross-circle", words, "")]


def _ended(facts: Facts, illnesses: list[Illness], taken: bool, caller: str, canceller: str) -> list[Event]:
    """How the meal was cancelled, if it was."""
    if facts.cancelled_at is None:
        return []
    credited = (
        _("%(credit)s recrédités sur le porte-monnaie", credit=format_euros(facts.credited_cents))
        if facts.credited_cents
        else _("Sans remboursement")
    )
    if facts.call_off_words is not None and facts.call_off_asked_at is not None:
        kind = CALLED_OFF[facts.call_off_kind or "closure"]
        announced = _("Annulation annoncée : %(kind)s", kind=kind)
        return [
            Event(facts.call_off_asked_at, "alert", announced, caller, facts.call_off_words),
            Event(facts.cancelled_at, "undo", _("Annulé par la mairie"), caller, credited),
        ]
    if taken:
        return [Event(facts.cancelled_at, "undo", _("Repris par une autre famille, qui l’a payé"), "", credited)]
    ill = any(illness.told_at == facts.cancelled_at for illness in illnesses)
    words = _("Annulé : enfant malade") if ill else _("Annulé")
    return [Event(facts.cancelled_at, "undo", words, canceller, credited)]
