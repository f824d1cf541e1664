"""Verbs that change the catalogue: bring in a town and its school calendar, keep its serving days up to date."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import column, delete, func, insert, or_, select, table, union_all, update
from sqlalchemy.orm import Session

from catalog.errors import ImportRefused
from catalog.models import (
    CallOff,
    Closure,
    Commune,
    Holiday,
    Regie,
    School,
    SchoolLimit,
    SchoolPlace,
    SchoolYear,
    Service,
    ServiceDay,
    Tariff,
    TariffPrice,
)
from catalog.rules.days import Period, plan_days
from catalog.rules.deadlines import Calendar, DeadlineRule, sentences
from catalog.rules.policies import Policies, deadlines, policy_sentences, read_rules
from catalog.rules.prices import amount_words, read_grid, row_words
from catalog.town import CommuneEntry, PlacesEntry, PriceEntry, SchoolCalendar, ServiceEntry, TariffEntry, Town
from shop.clock import paris_day
from shop.database import Row
from shop.french import day_long, day_plain, moment_short, plural
from shop.money import format_euros
from shop.words import gettext as _
from shop.words import ngettext

R = TypeVar("R", bound=Row)

DAYS_TO_LOOK_BACK = 120
"""Serving days before the first day to compute that a deadline may count back over: more than a summer."""


@dataclass(frozen=True)
class ImportReport:
    """What an import changed, or would change, one plain line each: "+" added, "~" changed, "-" removed, "=" kept."""

    lines: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether file and database differed; what was merely kept is no difference."""
        return any(not line.startswith("=") for line in self.lines)


@dataclass(frozen=True)
class MovedDay:
    """A day as parents knew it, and as it is now."""

    id: int
    day: date
    before: Mapping[str, Any]
    """`is_open` and the deadlines, by their column."""
    after: Mapping[str, Any]


@dataclass(frozen=True)
class RefreshReport:
    """What became of a service's days."""

    added: int
    changed: int
    """On how many something changed."""
    moved: tuple[MovedDay, ...] = ()
    """Those on which a deadline or the serving itself changed."""


def import_town(db: Session, town: Town, now: datetime) -> ImportReport:
    """Make the catalogue what the file says. Twice the same file changes nothing the second time.

    Nothing is ever deleted, because orders refer to it: what the file no longer holds is kept, and told. A price that
    has begun never changes; the file ends it and opens another. Raises `ImportRefused` with every such reason.
    """
    importing = _Import(db, paris_day(now))
    importing.town(town)
    if importing.refused:
        raise ImportRefused(tuple(importing.refused))
    db.flush()
    return ImportReport(tuple(importing.lines))


class _Import:
    """One comparison of a file with the database, and what it found."""

    def __init__(self, db: Session, today: date) -> None:
        self.db, self.today = db, today
        self.lines: list[str] = []
        self.refused: list[str] = []

    def town(self, town: Town) -> None:
        regie = town.regie
        # Two imports at once wait for each other here.
        found = self.db.scalars(select(Regie).where(Regie.slug == regie.slug).with_for_update()).one_or_none()
        row = self._match(
            found,
            Regie,
            regie.legal_name,
            {"slug": regie.slug},
            {
                "legal_name": regie.legal_name,
                "contact_email": regie.email,
                "contact_phone": regie.phone,
                "address": regie.address,
                "card_gateway": regie.card_gateway,
                "minimum_top_up_cents": regie.minimum_top_up_cents,
                "maximum_top_up_cents": regie.maximum_top_up_cents,
                "minimum_online_cents": regie.minimum_online_cents,
            },
        )
        communes = self._children(Commune, Commune.regie_id, row, Commune.slug)
        elsewhere = self.db.execute(
            select(Commune.slug, Regie.legal_name)
            .join(Regie, Regie.id == Commune.regie_id)
            .where(Commune.slug.in_([entry.slug for entry in town.communes]), Regie.slug != regie.slug)
        )
        taken = dict(elsewhere.all())
        for entry in town.communes:
            if entry.slug in taken:
                self.refused.append(
                    _(
                        "La commune « %(slug)s » dépend déjà d’une autre régie, %(regie)s.",
                        slug=entry.slug,
                        regie=taken[entry.slug],
                    )
                )
                continue
            self.commune(row, entry, communes.pop(entry.slug, None))
        self._kept(commune.name for commune in communes.values())

    def commune(self, regie: Regie, entry: CommuneEntry, found: Commune | None) -> None:
        row = self._match(
            found,
            Commune,
            entry.name,
            {"regie_id": regie.id, "slug": entry.slug},
            {
                "name": entry.name,
                "insee": entry.insee,
                "zone": entry.zone,
                "accent": entry.accent,
                "contact_email": entry.email,
                "contact_phone": entry.phone,
                "address": entry.address,
            },
        )
        schools = self._children(School, School.commune_id, row, School.name)
        school_ids: dict[str, int] = {}
        for school in entry.schools:
            label = f"{entry.name} / {school.name}"
            key = {"commune_id": row.id, "name": school.name}
            known = schools.pop(school.name, None)
            school_ids[school.name] = self._match(known, School, label, key, {"level": school.level}).id
        self._kept(f"{entry.name} / {name}" for name in schools)

        services = self._children(Service, Service.commune_id, row, Service.slug)
        for position, service in enumerate(entry.services):
            found_service = self.service(row, entry, service, position, services.pop(service.slug, None))
            self.places(found_service, f"{entry.name} / {service.name}", service.places, school_ids)
        self._kept(f"{entry.name} / {service.name}" for service in services.values())
        self.closures(row, None, entry.name, entry.closures)

    def service(
        self, commune: Commune, entry: CommuneEntry, service: ServiceEntry, position: int, found: Service | None
    ) -> Service:
        label = f"{entry.name} / {service.name}"
        row = self._match(
            found,
            Service,
            label,
            {"commune_id": commune.id, "slug": service.slug},
            {
                "name": service.name,
                "kind": service.kind,
                "description": service.description,
                "weekdays": "".join(str(weekday) for weekday in service.weekdays),
                "settlement": service.settlement,
                "capacity": service.capacity,
                "book_rule": service.booking.as_json(),
                "cancel_rule": service.cancel.as_json(),
                "policies": service.policies.as_json(),
                "position": position,
            },
        )
        tariffs = self._children(Tariff, Tariff.service_id, row, Tariff.code)
        for rank, tariff in enumerate(service.tariffs):
            self.tariff(row, f"{label} / {tariff.label}", tariff, rank, tariffs.pop(tariff.code, None))
        self._kept(f"{label} / {tariff.label}" for tariff in tariffs.values())
        self.closures(commune, row, label, service.closures)
        return row

    def places(
        self, service: Service, label: str, entries: Iterable[PlacesEntry], school_ids: Mapping[str, int]
    ) -> None:
        """Limits of schools. Nothing refers to one: what the file no longer holds ends."""
        known = self._children(SchoolLimit, SchoolLimit.service_id, service, SchoolLimit.school_id)
        names = {key: name for name, key in school_ids.items()}
        for entry in entries:
            school_id = school_ids[entry.school]
            named = _("%(label)s / places de %(school)s", label=label, school=entry.school)
            key = {"service_id": service.id, "school_id": school_id}
            self._match(known.pop(school_id, None), SchoolLimit, named, key, {"capacity": entry.capacity})
        for school_id, left in known.items():
            name = names.get(school_id) or self.db.scalar(select(School.name).where(School.id == school_id))
            self.lines.append(_("- %(label)s / places de %(school)s", label=label, school=name))
            self.db.delete(left)

    def tariff(self, service: Service, label: str, tariff: TariffEntry, position: int, found: Tariff | None) -> None:
        row = self._match(
            found,
            Tariff,
            label,
            {"service_id": service.id, "code": tariff.code},
            {
                "label": tariff.label,
                "audience": tariff.audience,
                "documents": tariff.documents,
                "pai": tariff.pai,
                "position": position,
            },
        )
        self.prices(row, label, tariff.prices)

    def prices(self, tariff: Tariff, label: str, entries: Sequence[PriceEntry]) -> None:
        known = self._children(TariffPrice, TariffPrice.tariff_id, tariff, TariffPrice.valid_from)
        for entry in entries:
            named = f"{label} / {_price_words(entry.from_day, entry.until_day, entry.cents)}"
            found = known.pop(entry.from_day, None)
            grid = None if entry.grid is None else [line.as_json() for line in entry.grid]
            facts = {"valid_until": entry.until_day, "cents": entry.cents, "grid": grid, "decided_on": entry.decided_on}
            if (
                found is not None
                and found.valid_from <= self.today
                and (found.cents, found.grid) != (entry.cents, grid)
            ):
                was = _price_words(found.valid_from, found.valid_until, found.cents)
                self.refused.append(
                    _(
                        "%(label)s : le prix %(was)s a déjà commencé et ne change plus. Donnez-lui une fin et"
                        " ajoutez un prix à partir du lendemain.",
                        label=label,
                        was=was,
                    )
                )
                continue
            self._match(
                found,
                TariffPrice,
                named,
                {"tariff_id": tariff.id, "valid_from": entry.from_day},
                facts,
            )
        for left in known.values():
            words = f"{label} / {_price_words(left.valid_from, left.valid_until, left.cents)}"
            if any(_overlap(left, entry) for entry in entries):
                self.refused.append(
                    _("%(price)s n’est plus dans le fichier, et un prix du fichier le chevauche.", price=words)
                )
            else:
                self._kept([words])

    def closures(self, commune: Commune, service: Service | None, label: str, entries: Iterable[Any]) -> None:
        owner = Closure.service_id.is_(None) if service is None else Closure.service_id == service.id
        rows = self.db.execute(
            select(Closure.first_day, Closure.last_day, Closure.reason).where(Closure.commune_id == commune.id, owner)
        )
        known = {(first, last, reason) for first, last, reason in rows}
        for entry in entries:
            if (entry.from_day, entry.until_day, entry.reason) in known:
                continue
            self.lines.append(
                _(
                    "+ %(label)s : fermé du %(first)s au %(last)s (%(reason)s)",
                    label=label,
                    first=day_plain(entry.from_day),
                    last=day_plain(entry.until_day),
                    reason=entry.reason,
                )
            )
            self.db.add(
                Closure(
                    commune_id=commune.id,
                    service_id=service.id if service else None,
                    first_day=entry.from_day,
                    last_day=entry.until_day,
                    reason=entry.reason,
                )
            )

    def _children(self, model: type[R], parent: Any, owner: Row, key: Any) -> dict[Any, R]:
        """The rows of a parent by their key."""
        rows = self.db.scalars(select(model).where(parent == owner.id).order_by(model.id))
        return {getattr(row, key.key): row for row in rows}

    def _match(
        self, found: R | None, model: type[R], label: str, key: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> R:
        """The row with these facts: added or changed where it must be, with a line that says so."""
        if found is None:
            self.lines.append(f"+ {label}")
            row = model(**key, **facts)
            self.db.add(row)
            self.db.flush()
            return row
        for name, value in facts.items():
            old = getattr(found, name)
            if old == value:
                continue
            change = {"label": label, "name": FIELDS[name], "old": _words(name, old), "new": _words(name, value)}
            self.lines.append(_("~ %(label)s : %(name)s : %(old)s → %(new)s", **change))
            setattr(found, name, value)
        return found

    def _kept(self, labels: Iterable[str]) -> None:
        """What the file no longer names stays: orders may refer to it. Told, but no change."""
        self.lines.extend(_("= %(label)s n’est plus dans le fichier : conservé", label=label) for label in labels)


def _overlap(price: TariffPrice, entry: PriceEntry) -> bool:
    ends, begins = price.valid_until or date.max, price.valid_from
    return begins <= (entry.until_day or date.max) and entry.from_day <= ends


def _price_words(first: date, last: date | None, cents: int) -> str:
    if last is None:
        return _("%(amount)s à partir du %(first)s", amount=format_euros(cents), first=day_plain(first))
    return _(
        "%(amount)s du %(first)s au %(last)s",
        amount=format_euros(cents),
        first=day_plain(first),
        last=day_plain(last),
    )


def _words(name: str, value: Any) -> str:
    """A value as a line of the report shows it."""
    if value is None:
        return _("rien")
    if isinstance(value, bool):
        return _("oui") if value else _("non")
    if name.endswith("cents"):
        return format_euros(value)
    if isinstance(value, date):
        return day_plain(value)
    if name in _RULES:
        return _("« %(text)s »", text=" ".join(_RULES[name](value)))
    return _("« %(text)s »", text=value) if isinstance(value, str) else str(value)


_RULES: dict[str, Callable[[Any], Sequence[str]]] = {
    "book_rule": lambda value: sentences(DeadlineRule.from_json(value), _("Réservez")),
    "cancel_rule": lambda value: sentences(DeadlineRule.from_json(value), _("Annulez")),
    "policies": lambda value: policy_sentences(Policies.from_json(value)),
    "grid": lambda value: [
        _("%(where)s : %(amount)s.", where=row_words(row), amount=amount_words(row)) for row in read_grid(value)
    ],
}
"""How rules are told: as parents read them."""

FIELDS = {
    "legal_name": _("nom de la régie"),
    "contact_email": _("e-mail"),
    "contact_phone": _("téléphone"),
    "address": _("adresse"),
    "card_gateway": _("paiement par carte"),
    "minimum_top_up_cents": _("rechargement le plus petit"),
    "maximum_top_up_cents": _("rechargement le plus grand"),
    "minimum_online_cents": _("plus petit paiement par carte"),
    "name": _("nom"),
    "insee": _("code INSEE"),
    "zone": _("zone scolaire"),
    "accent": _("couleur"),
    "level": _("niveau"),
    "kind": _("genre"),
    "description": _("description"),
    "weekdays": _("jours de service"),
    "settlement": _("règlement"),
    "capacity": _("places"),
    "book_rule": _("limite pour réserver"),
    "cancel_rule": _("limite pour annuler"),
    "policies": _("règles"),
    "position": _("place dans la liste"),
    "label": _("libellé"),
    "audience": _("public"),
    "documents": _("pièces demandées"),
    "pai": _("PAI demandé"),
    "valid_until": _("dernier jour"),
    "cents": _("prix"),
    "grid": _("grille"),
    "decided_on": _("délibération du"),
}
"""What a report calls the columns that an import may change."""


def import_calendar(db: Session, calendar: SchoolCalendar) -> ImportReport:
    """Make school years, holidays and public holidays what the file says, within the days that its years span."""
    lines: list[str] = []
    known = {(row.zone, row.year): row for row in db.scalars(select(SchoolYear))}
    zones = ("A", "B", "C")
    for year in calendar.years:
        first_civil_year = int(year.name[:4])
        for zone in zones:
            row = known.get((zone, first_civil_year))
            if row is not None and (row.first_day, row.last_day) == (year.from_day, year.until_day):
                continue
            sign = "+" if row is None else "~"
            lines.append(_("%(sign)s année scolaire %(year)s, zone %(zone)s", sign=sign, year=year.name, zone=zone))
            row = row or SchoolYear(zone=zone, year=first_civil_year)
            row.first_day, row.last_day = year.from_day, year.until_day
            db.add(row)

    wanted: set[tuple[str | None, str, date, date]] = {
        (holiday.zone, holiday.label, holiday.from_day, holiday.until_day)
        for year in calendar.years
        for holiday in year.holidays
    } | {(None, label, day, day) for day, label in calendar.public_holidays.items()}
    first, last = min(entry[2] for entry in wanted), max(entry[3] for entry in wanted)
    rows = db.execute(
        select(Holiday.id, Holiday.zone, Holiday.label, Holiday.first_day, Holiday.last_day).where(
            Holiday.first_day >= first, Holiday.last_day <= last
        )
    )
    there: dict[tuple[str | None, str, date, date], int] = {
        (zone, label, begins, ends): key for key, zone, label, begins, ends in rows
    }
    gone = [there[entry] for entry in there.keys() - wanted]
    new = sorted(wanted - there.keys(), key=lambda entry: (entry[2], entry[0] or ""))
    lines += [f"- {_holiday_words(entry)}" for entry in there.keys() - wanted]
    lines += [f"+ {_holiday_words(entry)}" for entry in new]
    if gone:
        db.execute(delete(Holiday).where(Holiday.id.in_(gone)))
    if new:
        db.execute(
            insert(Holiday),
            [
                {"zone": zone, "label": label, "first_day": begins, "last_day": ends}
                for zone, label, begins, ends in new
            ],
        )
    db.flush()
    return ImportReport(tuple(lines))


def _holiday_words(entry: tuple[str | None, str, date, date]) -> str:
    zone, label, first, last = entry
    if zone is None:
        return f"{label}, {day_plain(first)}"
    return _(
        "%(label)s, zone %(zone)s, du %(first)s au %(last)s",
        label=label,
        zone=zone,
        first=day_plain(first),
        last=day_plain(last),
    )


_KEPT_WHEN_CLOSED = ("capacity", "book_deadline_at", "cancel_deadline_at", "late_deadline_at", "freed_deadline_at")


def refresh_days(db: Session, service_id: int, from_day: date, until_day: date, now: datetime) -> RefreshReport:
    """Compute the service's days from a day to a day (both included) and write what is new or has changed.

    A day whose booking deadline has passed keeps what parents were promised: it is never recomputed, and a deadline that
    has passed is never moved. A day that the service no longer serves is closed, not deleted. Fewer places than are
    booked already means none left.
    """
    service = db.execute(
        select(
            Service.weekdays,
            Service.capacity,
            Service.book_rule,
            Service.cancel_rule,
            Service.policies,
            Commune.id,
            Commune.zone,
        )
        .join(Commune, Commune.id == Service.commune_id)
        .where(Service.id == service_id)
    ).one()
    weekdays, capacity, book_rule, cancel_rule, policies, commune_id, zone = service
    rules = read_rules(book_rule, cancel_rule, policies)
    known = _known_days(db, service_id, from_day, until_day)
    first_day, served, years = (
        from_day - timedelta(days=DAYS_TO_LOOK_BACK),
        {int(digit) for digit in weekdays},
        _school_years(db, zone),
    )
    shut, usual = _shut(db, zone, commune_id, service_id)
    planned = list(plan_days(first_day, until_day, served, years, shut))
    # A day that was called off counts as before: nobody's deadline moves because of a strike.
    counted = plan_days(first_day, until_day, served, years, usual)
    calendar = Calendar([plan.day for plan in counted if plan.closed_reason is None], public_holidays(db))

    added: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    moved: list[MovedDay] = []
    for plan in planned:
        if plan.day < from_day:
            continue
        limits = deadlines(rules, plan.day, calendar)
        facts: dict[str, Any] = {
            "is_open": plan.closed_reason is None,
            "closed_reason": plan.closed_reason,
            "capacity": capacity,
            "book_deadline_at": limits.book,
            "cancel_deadline_at": limits.cancel,
            "late_deadline_at": limits.late,
            "freed_deadline_at": limits.freed,
        }
        row = known.pop(plan.day, None)
        if row is None:
            added.append({"service_id": service_id, "day": plan.day, "booked_count": 0, **facts})
        elif row.book_deadline_at > now:
            if facts["capacity"] is not None:
                facts["capacity"] = max(facts["capacity"], row.booked_count)
            # What is still open never closes in the past, and what has closed does not open again.
            for name in ("book_deadline_at", "cancel_deadline_at"):
                if facts[name] <= now or getattr(row, name) <= now:
                    facts[name] = getattr(row, name)
            if row.cancel_deadline_at <= now:
                # Meals may have been given back already, until then.
                facts["freed_deadline_at"] = row.freed_deadline_at
            if any(getattr(row, name) != value for name, value in facts.items()):
                changed.append({"id": row.id, **facts})
                moved += _moved(row, facts)
    no_longer = _("Pas de service ce jour-là")
    for row in known.values():
        if row.book_deadline_at > now and row.is_open:
            facts = {name: getattr(row, name) for name in _KEPT_WHEN_CLOSED}
            facts |= {"is_open": False, "closed_reason": no_longer}
            changed.append({"id": row.id, **facts})
            moved += _moved(row, facts)
    if added:
        db.execute(insert(ServiceDay), added)
    if changed:
        db.execute(update(ServiceDay), changed)
    _refresh_school_places(db, service_id, from_day, until_day, now)
    return RefreshReport(len(added), len(changed), tuple(moved))


# The rooms of orders and baskets stand above this one: their tables are known by name only.
_reservations = table("reservations", column("service_day_id"), column("school_id"), column("state"))
_entries = table("waiting_entries", column("service_day_id"), column("school_id"), column("state"))


def _refresh_school_places(db: Session, service_id: int, from_day: date, until_day: date, now: datetime) -> None:
    """The places of schools on the days that can still be booked. The caller holds these days.

    A limit that comes when meals are booked counts them; fewer places than are taken already means none left.
    """
    limits = dict(
        db.execute(
            select(SchoolLimit.school_id, SchoolLimit.capacity).where(SchoolLimit.service_id == service_id)
        ).all()
    )
    ahead = (
        ServiceDay.service_id == service_id,
        ServiceDay.day.between(from_day, until_day),
        ServiceDay.book_deadline_at > now,
    )
    rows = db.execute(
        select(
            SchoolPlace.id,
            SchoolPlace.service_day_id,
            SchoolPlace.school_id,
            SchoolPlace.capacity,
            SchoolPlace.booked_count,
        )
        .join(ServiceDay, ServiceDay.id == SchoolPlace.service_day_id)
        .where(*ahead)
        .order_by(SchoolPlace.id)
        .with_for_update(key_share=True, of=SchoolPlace)
    ).all()
    if not limits and not rows:
        return
    changed = []
    for row in rows:
        limit = limits.get(row.school_id)
        capacity = None if limit is None else max(limit, row.booked_count)
        if capacity != row.capacity:
            changed.append({"id": row.id, "capacity": capacity})
    there = {(row.service_day_id, row.school_id) for row in rows}
    days = db.scalars(select(ServiceDay.id).where(*ahead).order_by(ServiceDay.id)).all()
    missing = [(day_id, school_id) for day_id in days for school_id in limits if (day_id, school_id) not in there]
    taken = _taken_by_school(db, ahead) if missing else {}
    added = [
        {
            "service_day_id": day_id,
            "school_id": school_id,
            "capacity": max(limits[school_id], taken.get((day_id, school_id), 0)),
            "booked_count": taken.get((day_id, school_id), 0),
        }
        for day_id, school_id in missing
    ]
    if changed:
        db.execute(update(SchoolPlace), changed)
    if added:
        db.execute(insert(SchoolPlace), added)


def _taken_by_school(db: Session, ahead: Sequence[Any]) -> dict[tuple[int, int | None], int]:
    """Places taken on these days, by day and school: booked, held or offered."""
    places = union_all(
        select(_reservations.c.service_day_id, _reservations.c.school_id).where(
            _reservations.c.state.in_(("held", "confirmed"))
        ),
        select(_entries.c.service_day_id, _entries.c.school_id).where(_entries.c.state == "offered"),
    ).subquery()
    rows = db.execute(
        select(places.c.service_day_id, places.c.school_id, func.count())
        .join(ServiceDay, ServiceDay.id == places.c.service_day_id)
        .where(*ahead)
        .group_by(places.c.service_day_id, places.c.school_id)
    )
    return {(day_id, school_id): count for day_id, school_id, count in rows}


_TOLD = ("is_open", "book_deadline_at", "late_deadline_at", "cancel_deadline_at", "freed_deadline_at")


def _moved(row: Any, facts: Mapping[str, Any]) -> list[MovedDay]:
    before, after = ({name: value(name) for name in _TOLD} for value in (partial(getattr, row), facts.__getitem__))
    return [MovedDay(row.id, row.day, before, after)] if before != after else []


def refresh_services(
    db: Session, service_ids: Collection[int], from_day: date, now: datetime
) -> dict[int, RefreshReport]:
    """Compute the days of several services, from a day to the end of the last school year that is known."""
    until_day = db.scalar(select(SchoolYear.last_day).order_by(SchoolYear.last_day.desc()).limit(1))
    if until_day is None:
        return {}
    return {key: refresh_days(db, key, from_day, until_day, now) for key in sorted(service_ids)}


def describe_refresh(reports: Mapping[int, RefreshReport]) -> str:
    """What refreshing did, in one line."""
    added = sum(report.added for report in reports.values())
    changed = sum(report.changed for report in reports.values())
    return ", ".join(
        [
            ngettext("%(count)d jour ajouté", "%(count)d jours ajoutés", added),
            ngettext("%(count)d jour recalculé", "%(count)d jours recalculés", changed),
        ]
    )


MOST_TOLD = 5
"""Days of a service that are told one by one."""
_LIMITS = {
    "book_deadline_at": _("réserver"),
    "late_deadline_at": _("hors délai"),
    "cancel_deadline_at": _("annuler"),
    "freed_deadline_at": _("rendre"),
}
# The basket's room stands above this one: its tables are known by name only.
_lines = table("basket_lines", column("basket_id"), column("service_day_id"))
_baskets = table("baskets", column("id"), column("state"))


def describe_moved(db: Session, reports: Mapping[int, RefreshReport]) -> list[str]:
    """What changed for families, a line a service and one for each of its first days: before, after, open baskets."""
    names = dict(db.execute(select(Service.id, Service.name).where(Service.id.in_(reports)).order_by(Service.id)).all())
    lines: list[str] = []
    for service_id, name in names.items():
        moved = reports[service_id].moved
        if not moved:
            continue
        ids = [day.id for day in moved]
        baskets = db.scalar(
            select(func.count(_lines.c.basket_id.distinct()))
            .join_from(_lines, _baskets, _baskets.c.id == _lines.c.basket_id)
            .where(_baskets.c.state == "open", _lines.c.service_day_id.in_(ids))
        )
        facts = {"name": name, "days": plural(len(moved), _("jour")), "baskets": plural(baskets or 0, _("panier"))}
        lines.append(_("%(name)s : %(days)s à venir et %(baskets)s changent.", **facts))
        lines += [_moved_words(day) for day in moved[:MOST_TOLD]]
        if len(moved) > MOST_TOLD:
            lines.append(_("  … et %(days)s encore.", days=plural(len(moved) - MOST_TOLD, _("jour"))))
    return lines


def _moved_words(day: MovedDay) -> str:
    before, after = day.before, day.after
    facts: dict[str, object] = {"day": day_long(day.day)}
    if before["is_open"] != after["is_open"]:
        return (
            _("  %(day)s : servi désormais", **facts) if after["is_open"] else _("  %(day)s : fermé désormais", **facts)
        )
    changes = [
        _(
            "%(what)s %(before)s → %(after)s",
            what=what,
            before=moment_short(before[name]) if before[name] else _("jamais"),
            after=moment_short(after[name]) if after[name] else _("jamais"),
        )
        for name, what in _LIMITS.items()
        if before[name] != after[name]
    ]
    return _("  %(day)s : %(changes)s", changes=", ".join(changes), **facts)


def write_menus(db: Session, service_ids: Collection[int], menus: Mapping[date, str]) -> None:
    """Write the menu of each day (dishes, one a line) on the open days of these services."""
    if not menus or not service_ids:
        return
    days = db.execute(
        select(ServiceDay.id, ServiceDay.day).where(
            ServiceDay.service_id.in_(service_ids),
            ServiceDay.day.between(min(menus), max(menus)),
            ServiceDay.is_open,
        )
    )
    served = [{"id": key, "menu": menus[day]} for key, day in days if day in menus]
    if served:
        db.execute(update(ServiceDay), served)


def _known_days(db: Session, service_id: int, from_day: date, until_day: date) -> dict[date, Any]:
    # Locked by id, as everybody locks days: a booking that is under way is waited for, and its count is not lost.
    rows = db.execute(
        select(
            ServiceDay.id,
            ServiceDay.day,
            ServiceDay.is_open,
            ServiceDay.closed_reason,
            ServiceDay.capacity,
            ServiceDay.booked_count,
            ServiceDay.book_deadline_at,
            ServiceDay.cancel_deadline_at,
            ServiceDay.late_deadline_at,
            ServiceDay.freed_deadline_at,
        )
        .where(ServiceDay.service_id == service_id, ServiceDay.day.between(from_day, until_day))
        .order_by(ServiceDay.id)
        .with_for_update(key_share=True)
    )
    return {row.day: row for row in rows}


def public_holidays(db: Session) -> frozenset[date]:
    """Every public holiday that is known."""
    rows = db.execute(select(Holiday.first_day, Holiday.last_day).where(Holiday.zone.is_(None)))
    return frozenset(first + timedelta(days=n) for first, last in rows for n in range((last - first).days + 1))


def _school_years(db: Session, zone: str) -> list[Period]:
    rows = db.execute(select(SchoolYear.first_day, SchoolYear.last_day, SchoolYear.year).where(SchoolYear.zone == zone))
    return [Period(first, last, str(year)) for first, last, year in rows]


def _shut(db: Session, zone: str, commune_id: int, service_id: int) -> tuple[list[Period], list[Period]]:
    """Holidays of the zone first, then public holidays, then closures: the reason that parents read is the widest. All of it,
    and the same without what was called off."""
    holidays = db.execute(
        select(Holiday.first_day, Holiday.last_day, Holiday.label)
        .where(or_(Holiday.zone == zone, Holiday.zone.is_(None)))
        .order_by(Holiday.zone.is_(None), Holiday.first_day)
    )
    closures = db.execute(
        select(Closure.first_day, Closure.last_day, Closure.reason, CallOff.id)
        .outerjoin(CallOff, CallOff.closure_id == Closure.id)
        .where(Closure.commune_id == commune_id, or_(Closure.service_id == service_id, Closure.service_id.is_(None)))
        .order_by(Closure.first_day, Closure.id)
    ).all()
    known = [Period(first, last, label) for first, last, label in holidays]
    usual = [*known, *(Period(row.first_day, row.last_day, row.reason) for row in closures if row.id is None)]
    return [*known, *(Period(row.first_day, row.last_day, row.reason) for row in closures)], usual
