"""Tables of what is served when, for whom, at what price."""

import json
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, TypeDecorator, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from catalog.rules.policies import Policies
from shop.database import Key, Row, Word


class StoredPolicies(TypeDecorator[Policies]):
    """What a service's `policies` say, for statements of `shop.statements`: each text is read once, for all families."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: object, coltype: object) -> Callable[[str], Policies]:
        return _read_policies


@lru_cache(maxsize=1024)
def _read_policies(text: str) -> Policies:
    return Policies.from_json(json.loads(text))


class Regie(Row):
    """A cash office: it collects the money of one or more communes and answers for it."""

    __tablename__ = "regies"

    slug: Mapped[str] = mapped_column(String(60), unique=True)
    legal_name: Mapped[str] = mapped_column(String(120))
    contact_email: Mapped[str] = mapped_column(String(254))
    contact_phone: Mapped[str | None] = mapped_column(String(20))
    address: Mapped[str | None] = mapped_column(String(200))
    card_gateway: Mapped[str] = mapped_column(String(20))
    """The name of the gateway that takes its card payments: "sandbox", "stripe"."""
    minimum_top_up_cents: Mapped[int]
    maximum_top_up_cents: Mapped[int]
    minimum_online_cents: Mapped[int]
    """The smallest amount that may be paid by card."""

    __table_args__ = (
        CheckConstraint("minimum_top_up_cents > 0 AND maximum_top_up_cents >= minimum_top_up_cents", name="top_up"),
        CheckConstraint("minimum_online_cents > 0", name="online"),
    )


class Commune(Row):
    """A commune whose services are sold here."""

    __tablename__ = "communes"

    regie_id: Mapped[int] = mapped_column(Key, ForeignKey("regies.id"), index=True)
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    insee: Mapped[str] = mapped_column(String(5))
    zone: Mapped[str] = mapped_column(String(1))
    accent: Mapped[str] = mapped_column(String(7))
    """The commune's colour, "#rrggbb"."""
    contact_email: Mapped[str | None] = mapped_column(String(254))
    contact_phone: Mapped[str | None] = mapped_column(String(20))
    address: Mapped[str | None] = mapped_column(String(200))

    __table_args__ = (
        UniqueConstraint("id", "regie_id"),
        CheckConstraint("zone IN ('A', 'B', 'C')", name="zone"),
    )


class School(Row):
    """A school, where its pupils eat."""

    __tablename__ = "schools"

    commune_id: Mapped[int] = mapped_column(Key, ForeignKey("communes.id"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    level: Mapped[str] = mapped_column(String(20))

    __table_args__ = (
        UniqueConstraint("commune_id", "name"),
        CheckConstraint("level IN ('nursery', 'elementary', 'primary', 'secondary')", name="level"),
    )


class Service(Row):
    """What a commune offers on certain weekdays: the canteen, the childcare."""

    __tablename__ = "services"

    commune_id: Mapped[int] = mapped_column(Key, ForeignKey("communes.id"))
    slug: Mapped[str] = mapped_column(String(60))
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(Word(12))
    description: Mapped[str] = mapped_column(Text, default="")
    weekdays: Mapped[str] = mapped_column(String(7))
    """ISO weekday digits of the days it is served: "1245"."""
    settlement: Mapped[str] = mapped_column(Word(10))
    capacity: Mapped[int | None]
    """Meals a day; nothing means no limit."""
    book_rule: Mapped[Any] = mapped_column(JSON)
    cancel_rule: Mapped[Any] = mapped_column(JSON)
    """Deadline rules as `catalog.rules.deadlines` reads them."""
    policies: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Late bookings, meals without a booking, credits, sickness, what makes bookings wait, as `catalog.rules.policies` reads
    them."""
    position: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        UniqueConstraint("commune_id", "slug"),
        CheckConstraint("kind IN ('canteen', 'childcare')", name="kind"),
        CheckConstraint("settlement IN ('prepaid', 'invoiced')", name="settlement"),
        CheckConstraint("capacity IS NULL OR capacity >= 0", name="capacity"),
    )


class SchoolLimit(Row):
    """Meals a day that a service has for the pupils of one school."""

    __tablename__ = "school_limits"

    service_id: Mapped[int] = mapped_column(Key, ForeignKey("services.id"))
    school_id: Mapped[int] = mapped_column(Key, ForeignKey("schools.id"))
    capacity: Mapped[int]

    __table_args__ = (UniqueConstraint("service_id", "school_id"), CheckConstraint("capacity > 0", name="capacity"))


class Tariff(Row):
    """A situation that has its price at a service: "Résident commune", "Adulte"…"""

    __tablename__ = "tariffs"

    service_id: Mapped[int] = mapped_column(Key, ForeignKey("services.id"))
    code: Mapped[str] = mapped_column(String(60))
    label: Mapped[str] = mapped_column(String(80))
    audience: Mapped[str] = mapped_column(String(6))
    documents: Mapped[str | None] = mapped_column(String(300))
    """The papers that the town hall will ask for, as a sentence."""
    pai: Mapped[bool] = mapped_column(default=False)
    """Whether it asks for a PAI of the child, a paper that holds between two days."""
    position: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        UniqueConstraint("service_id", "code"),
        UniqueConstraint("id", "service_id"),
        CheckConstraint("audience IN ('child', 'adult')", name="audience"),
    )


class TariffPrice(Row):
    """What a meal costs at a tariff, from a day to a day (both included). Prices of a tariff never overlap."""

    __tablename__ = "tariff_prices"

    tariff_id: Mapped[int] = mapped_column(Key, ForeignKey("tariffs.id"))
    valid_from: Mapped[date]
    valid_until: Mapped[date | None]
    cents: Mapped[int]
    """The price; with a grid, what it asks of a family of which nothing is known."""
    grid: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    """Its rows, as `catalog.rules.prices` reads them."""
    decided_on: Mapped[date | None]
    """When the council decided it."""

    __table_args__ = (
        UniqueConstraint("tariff_id", "valid_from"),
        UniqueConstraint("id", "tariff_id"),
        CheckConstraint("cents >= 0", name="cents"),
        CheckConstraint("valid_until IS NULL OR valid_until >= valid_from", name="validity"),
    )


class SchoolYear(Row):
    """A school year of a zone: first and last day of school. Named by its first civil year."""

    __tablename__ = "school_years"

    zone: Mapped[str] = mapped_column(String(1))
    year: Mapped[int]
    first_day: Mapped[date]
    last_day: Mapped[date]

    __table_args__ = (UniqueConstraint("zone", "year"), CheckConstraint("last_day > first_day", name="days"))


class Holiday(Row):
    """School holidays of a zone, or a public holiday (no zone): first and last day without school."""

    __tablename__ = "holidays"

    zone: Mapped[str | None] = mapped_column(String(1))
    label: Mapped[str] = mapped_column(String(80))
    first_day: Mapped[date]
    last_day: Mapped[date]

    __table_args__ = (
        Index("uq_holidays_zone_first_day", "zone", "first_day", "label", unique=True),
        CheckConstraint("last_day >= first_day", name="days"),
    )


class Closure(Row):
    """Days on which a commune, or one of its services, does not serve, and why."""

    __tablename__ = "closures"

    commune_id: Mapped[int] = mapped_column(Key, ForeignKey("communes.id"), index=True)
    service_id: Mapped[int | None] = mapped_column(Key, ForeignKey("services.id"))
    first_day: Mapped[date]
    last_day: Mapped[date]
    reason: Mapped[str] = mapped_column(String(120))

    __table_args__ = (CheckConstraint("last_day >= first_day", name="days"),)


class ServiceDay(Row):
    """A dated meal, the product: one service on one day, its deadlines as instants, its places."""

    __tablename__ = "service_days"

    service_id: Mapped[int] = mapped_column(Key, ForeignKey("services.id"))
    day: Mapped[date]
    is_open: Mapped[bool]
    closed_reason: Mapped[str | None] = mapped_column(String(120))
    capacity: Mapped[int | None]
    booked_count: Mapped[int] = mapped_column(default=0)
    """Live reservations, holds and places that are offered to the waiting list; exact."""
    book_deadline_at: Mapped[datetime]
    """The first instant at which booking is too late."""
    cancel_deadline_at: Mapped[datetime]
    late_deadline_at: Mapped[datetime | None]
    """Until when a late booking is accepted, at the late price; nothing when none is."""
    freed_deadline_at: Mapped[datetime | None]
    """Until when a meal that can no longer be cancelled may be given back and taken; nothing when none may."""
    menu: Mapped[str | None] = mapped_column(Text)
    """Dishes, one a line; a line that ends in "(végétarien)" says so."""

    __table_args__ = (
        UniqueConstraint("service_id", "day"),
        CheckConstraint("booked_count >= 0 AND (capacity IS NULL OR booked_count <= capacity)", name="places"),
    )


class SchoolPlace(Row):
    """The places of one school on a service day, where the service limits them; counted as the day's own are.

    Whoever moves a count holds the lock on the day.
    """

    __tablename__ = "school_places"

    service_day_id: Mapped[int] = mapped_column(Key, ForeignKey("service_days.id"))
    school_id: Mapped[int] = mapped_column(Key, ForeignKey("schools.id"))
    capacity: Mapped[int | None]
    """Nothing once the service limits the school no longer."""
    booked_count: Mapped[int] = mapped_column(default=0)
    """Live reservations and holds of its pupils, and places that are offered to them; exact."""

    __table_args__ = (
        UniqueConstraint("service_day_id", "school_id"),
        CheckConstraint("booked_count >= 0 AND (capacity IS NULL OR booked_count <= capacity)", name="places"),
    )


class CallOff(Row):
    """What the town hall calls off on a day of a service (a strike, a closure, an outing), for everybody or for a school or a
    class. It is planned first and may be taken back until it is carried out: then meals are cancelled, credited and told, or,
    on an outing with picnics, told alone."""

    __tablename__ = "call_offs"

    service_day_id: Mapped[int] = mapped_column(Key, ForeignKey("service_days.id"), index=True)
    school_id: Mapped[int | None] = mapped_column(Key, ForeignKey("schools.id"))
    """Whose pupils alone it concerns; nothing for everybody."""
    class_name: Mapped[str | None] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(Word(10))
    picnic: Mapped[bool] = mapped_column(default=False)
    """Whether the kitchen prepares picnics for an outing: then no meal is cancelled, and those concerned are counted."""
    words: Mapped[str] = mapped_column(String(300))
    """What families read."""
    state: Mapped[str] = mapped_column(Word(8))
    asked_at: Mapped[datetime]
    asked_by_id: Mapped[int] = mapped_column(Key, ForeignKey("accounts.id"))
    due_at: Mapped[datetime]
    """When it is carried out, unless it is taken back before."""
    ended_at: Mapped[datetime | None]
    closure_id: Mapped[int | None] = mapped_column(Key, ForeignKey("closures.id"))
    """The closure that keeps the day shut, where it concerns everybody."""
    meals: Mapped[int] = mapped_column(default=0)
    cents: Mapped[int] = mapped_column(default=0)
    """What was cancelled and credited."""

    __table_args__ = (
        CheckConstraint("kind IN ('strike', 'closure', 'outing')", name="kind"),
        CheckConstraint("state IN ('planned', 'done', 'undone')", name="state"),
        CheckConstraint("class_name IS NULL OR school_id IS NOT NULL", name="scope"),
        CheckConstraint("NOT picnic OR kind = 'outing'", name="picnic"),
        CheckConstraint("(state = 'planned') = (ended_at IS NULL)", name="ended"),
        Index(
            "ix_call_offs_planned",
            "due_at",
            postgresql_where=text("state = 'planned'"),
            sqlite_where=text("state = 'planned'"),
        ),
    )
