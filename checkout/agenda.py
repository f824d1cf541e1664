"""Meals for a family's own calendar: an order's, or everything at a private address that calendars read by themselves."""

import secrets
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, Protocol

from icalendar import Calendar, Event
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from accounts.models import Beneficiary, Household, HouseholdBeneficiary
from accounts.queries import digest
from checkout.queries import next_booked
from orders.models import CalendarFeed
from shop.database import lock
from shop.french import moment
from shop.outbox import the_sealer
from shop.words import gettext as _

BACK, AHEAD = timedelta(days=60), timedelta(days=400)
"""What of the past and of the time ahead a calendar is given."""
REFRESH = "PT6H"


class Booked(Protocol):
    """A meal as a calendar needs it."""

    @property
    def id(self) -> int: ...
    @property
    def first_name(self) -> str: ...
    @property
    def last_name(self) -> str: ...
    @property
    def day(self) -> date: ...
    @property
    def service_name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def cancel_deadline_at(self) -> datetime: ...
    @property
    def own(self) -> bool: ...


def as_calendar(meals: Iterable[Booked], at: datetime, name: str) -> bytes:
    """The booked ones of these meals as an iCalendar file, each on its day with its deadline; `at` is when it was true."""
    calendar = Calendar()
    calendar.add("prodid", "-//Cantine Facile//FR")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", name)
    calendar.add("x-published-ttl", REFRESH)
    for meal in meals:
        if meal.state != "confirmed":
            continue
        event = Event()
        event.add("uid", f"repas-{meal.id}@cantine-facile")
        who = f"{meal.first_name} {meal.last_name}"
        event.add("summary", _("%(service)s : %(who)s", service=meal.service_name, who=who))
        limit = _("Annulable jusqu’au %(until)s.", until=moment(meal.cancel_deadline_at))
        event.add("description", limit if meal.own else _("Réservé par l’autre parent."))
        event.add("dtstart", meal.day)
        event.add("dtend", meal.day + timedelta(days=1))
        event.add("dtstamp", at.astimezone(UTC))
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    written: bytes = calendar.to_ical()
    return written


def make_feed(db: Session, household_id: int, now: datetime) -> None:
    """Give the household a private address; one that it had before no longer opens anything."""
    end_feed(db, household_id)
    token = secrets.token_urlsafe(32)
    db.add(
        CalendarFeed(
            household_id=household_id,
            token_hash=digest(token),
            token=the_sealer().seal(token, f"calendar_feeds.token:{household_id}"),
            made_at=now,
        )
    )
    db.flush()


def end_feed(db: Session, household_id: int) -> None:
    """The household's private address opens nothing any more."""
    # Two clicks at once make one address after the other.
    lock(db, Household, [household_id])
    db.execute(delete(CalendarFeed).where(CalendarFeed.household_id == household_id))


def end_with_household(db: Session, household_id: int, _account_id: int, _now: datetime) -> None:
    """The family closes its account."""
    end_feed(db, household_id)


class Eater(NamedTuple):
    """Somebody who eats in a household, or did."""

    id: int
    first_name: str
    last_name: str
    archived: bool


def family_and_feed(
    db: Session, household_id: int, today: date, child: int | None
) -> tuple[list[Eater], str | None, date | None]:
    """Who eats in the household, those who did last; the key in its private address, if it has one; and the next day from
    today on with a meal, of `child` when it is given. One statement."""
    rows = db.execute(
        select(
            CalendarFeed.token,
            next_booked(household_id, today, child),
            Beneficiary.id,
            Beneficiary.first_name,
            Beneficiary.last_name,
            HouseholdBeneficiary.archived_at.is_not(None),
        )
        .select_from(Household)
        .outerjoin(CalendarFeed, CalendarFeed.household_id == Household.id)
        .outerjoin(HouseholdBeneficiary, HouseholdBeneficiary.household_id == Household.id)
        .outerjoin(Beneficiary, Beneficiary.id == HouseholdBeneficiary.beneficiary_id)
        .where(Household.id == household_id)
        .order_by(HouseholdBeneficiary.archived_at.is_not(None), HouseholdBeneficiary.position, Beneficiary.id)
    ).all()
    sealed = rows[0][0] if rows else None
    token = None if sealed is None else the_sealer().open(sealed, f"calendar_feeds.token:{household_id}")
    next_day = rows[0][1] if rows else None
    return [Eater._make(eater) for _token, _day, *eater in rows if eater[0] is not None], token, next_day


def household_of(db: Session, token: str) -> int | None:
    """Whose private address has this key."""
    return db.scalar(select(CalendarFeed.household_id).where(CalendarFeed.token_hash == digest(token)))
