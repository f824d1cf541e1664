"""Verbs of reminders: the two answers to one about a week, and which kinds an account wants."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

import cart.days
import cart.families
import cart.operations
import cart.places
import cart.waits
from cart.errors import BookingWaits
from cart.places import Place
from cart.quotes import NOBODY, Terms, asks_who_eats
from cart.repricing import follow_who_eats
from cart.rules import Child, Line, Meal, choose
from checkout import place
from checkout.errors import NothingLeft, WeekChanged
from checkout.place import Buyer
from checkout.reminders import queries
from checkout.reminders.models import KINDS, MutedReminder, PatternChange, QuietWeek, Reminder
from checkout.reminders.queries import WeekLink
from orders.models import Order
from shop.database import insert_missing, lock
from shop.statements import Rows


class OfferedMeal(NamedTuple):
    """A meal that "comme d'habitude" would book."""

    first_name: str
    service_name: str
    day: date
    cents: int


@dataclass
class Offer:
    """What "comme d'habitude" would book now, and at what price."""

    meals: list[OfferedMeal] = field(default_factory=list)
    lines: dict[int, list[Line]] = field(default_factory=lambda: defaultdict(list))
    """By régie."""
    moves: bool = False
    """Whether a price moves with who else eats."""

    @property
    def total_cents(self) -> int:
        return sum(meal.cents for meal in self.meals)


Places = Mapping[int, tuple[Place, Sequence[Child]]]
"""By service."""


def _places(db: Rows, link: WeekLink) -> Places:
    wanted = {service_id for _child, service_id, _day in link.meals}
    found = cart.places.places_with_children(db, link.household_id)
    return {found_at.service_id: (found_at, children) for found_at, children in found if found_at.service_id in wanted}


def find_offer(db: Rows, link: WeekLink, now: datetime) -> Offer:
    """What the link would book now. At most four statements."""
    return _offer(db, link, _places(db, link), now)


def _offer(db: Rows, link: WeekLink, places: Places, now: datetime) -> Offer:
    offer = Offer()
    if not places:
        return offer
    first, last = min(day for _child, _service, day in link.meals), max(day for _child, _service, day in link.meals)
    shared = any(child.shared for _place, children in places.values() for child in children)
    by_service = cart.days.days_of_services(db, link.household_id, first, last, now, shared)
    rights = [right for _place, children in places.values() for child in children for right in child.rights]
    family = NOBODY
    if any(right.grid is not None for right in rights):
        family = cart.families.find_family(db, link.household_id)
    offer.moves = any(asks_who_eats(right.grid) for right in rights)
    for service_id, (at, children) in places.items():
        days, taken = by_service.get(service_id, ({}, {}))
        may = cart.places.between(children, first, last)
        meals = {Meal(child, day) for child, service, day in link.meals if service == service_id and child in may}
        terms = Terms(at.policies, at.commune_id, family)
        lines, _problems = choose(meals, may, days, taken, terms, now)
        offer.lines[at.regie_id] += lines
        by_id = {day.id: day.day for day in days.values()}
        offer.meals += [
            OfferedMeal(
                may[line.beneficiary_id].first_name, at.service_name, by_id[line.service_day_id], line.quoted_cents
            )
            for line in lines
        ]
    offer.meals.sort(key=lambda meal: meal.day)
    return offer


def book_usual(db: Session, token: str, seen_cents: int, now: datetime, pay: bool) -> None:
    """Book what the link offers: paid from the wallet when `pay` and nothing else waits in the basket, else put into the
    basket. A link that has booked books nothing more.

    `seen_cents` is the total that the person saw. Raises `ReminderOver`, `NothingLeft`, `WeekChanged`, `BookingWaits`,
    `PaymentUnderWay`, `TooManyMeals`, and with `pay` what `pay_from_wallet` does; then nothing has changed.
    """
    link = queries.find_week(db, token, now)
    (reminder,) = lock(db, Reminder, [link.id])
    if reminder.answer in ("booked", "basket"):
        return
    places = _places(db, link)
    # A family has one basket for each régie, and hardly ever more than one régie.
    regie_ids = sorted({at.regie_id for at, _children in places.values()})
    baskets = {key: cart.operations.lock_live_basket(db, link.household_id, key, now) for key in regie_ids}
    offer = _offer(db, link, places, now)
    if not offer.meals:
        raise NothingLeft
    if offer.total_cents != seen_cents:
        raise WeekChanged(seen_cents, offer.total_cents)
    waits = cart.waits.why_waiting(db, link.household_id, [at for at, _children in places.values()], now)
    if waits is not None:
        raise BookingWaits(waits.sentence)
    for regie_id, lines in offer.lines.items():
        if lines:
            cart.operations.add_lines(db, baskets[regie_id], lines)
    if pay and len(baskets) == 1 and baskets[regie_ids[0]].lines == 0:
        buyer = Buyer(link.household_id, link.account_id, link.email)
        number = place.pay_from_wallet(db, buyer, baskets[regie_ids[0]].id, seen_cents, now)
        reminder.order_id = db.scalars(select(Order.id).where(Order.number == number)).one()
        reminder.answer = "booked"
    else:
        if offer.moves:
            follow_who_eats(db, link.household_id, now)
        reminder.answer = "basket"
    db.flush()


def say_nothing(db: Session, token: str, now: datetime) -> None:
    """Remember that the family wants nothing in the link's week, unless the link has booked. Raises `ReminderOver`."""
    link = queries.find_week(db, token, now)
    (reminder,) = lock(db, Reminder, [link.id])
    if reminder.answer in ("booked", "basket"):
        return
    insert_missing(db, QuietWeek, {"household_id": link.household_id, "monday": link.monday, "said_at": now})
    reminder.answer = "nothing"
    db.flush()


def note_other_days(
    db: Session, household_id: int, child_ids: Collection[int], service_id: int, first: date, now: datetime
) -> None:
    """Remember that from a day on these children eat at the service on other days or not at all: nobody is reminded of what
    was usual before, until new days have become so."""
    rows = [
        {
            "household_id": household_id,
            "beneficiary_id": child_id,
            "service_id": service_id,
            "first_day": first,
            "said_at": now,
        }
        for child_id in sorted(child_ids)
    ]
    insert_missing(db, PatternChange, rows)


def mute(db: Session, account_id: int, kind: str, now: datetime) -> None:
    """The account wants no more reminders of this kind."""
    insert_missing(db, MutedReminder, {"account_id": account_id, "kind": kind, "muted_at": now})


def choose_kinds(db: Session, account_id: int, wanted: Collection[str], now: datetime) -> None:
    """The account wants reminders of these kinds alone."""
    off = [kind for kind in KINDS if kind not in wanted]
    db.execute(
        delete(MutedReminder)
        .where(MutedReminder.account_id == account_id, MutedReminder.kind.not_in(off))
        .execution_options(synchronize_session=False)
    )
    insert_missing(db, MutedReminder, [{"account_id": account_id, "kind": kind, "muted_at": now} for kind in off])
