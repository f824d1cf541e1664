"""A catalogue as a file: what `flask catalog import` reads back unchanged."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import tomli_w
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.models import Closure, Commune, Regie, School, SchoolLimit, Service, Tariff, TariffPrice
from catalog.rules.deadlines import DeadlineRule, Limit, Part
from catalog.rules.policies import OFFER_HOURS, Policies
from catalog.rules.prices import Row, Surcharge, read_grid
from catalog.schemas import WEEKDAYS
from catalog.town import (
    ClosureEntry,
    CommuneEntry,
    PlacesEntry,
    PriceEntry,
    RegieEntry,
    SchoolEntry,
    ServiceEntry,
    TariffEntry,
    Town,
)
from shop.errors import NotFound

_NAME_OF = {number: name for name, number in WEEKDAYS.items()}


def write_town(town: Town) -> str:
    """The town as a catalogue file, without its examples: `read_town` reads it back."""
    regie = town.regie
    return tomli_w.dumps(
        {
            "regie": {
                "slug": regie.slug,
                "legal_name": regie.legal_name,
                "email": regie.email,
                "phone": regie.phone,
                "address": regie.address,
                "card_gateway": regie.card_gateway,
                "minimum_top_up": _euros(regie.minimum_top_up_cents),
                "maximum_top_up": _euros(regie.maximum_top_up_cents),
                "minimum_online": _euros(regie.minimum_online_cents),
            },
            "communes": [_commune(commune) for commune in town.communes],
        }
    )


def _commune(commune: CommuneEntry) -> dict[str, Any]:
    facts = {name: getattr(commune, name) for name in ("slug", "name", "insee", "zone", "accent")}
    facts |= {name: getattr(commune, name) for name in ("email", "phone", "address")}
    return {
        **facts,
        "schools": [{"name": school.name, "level": school.level} for school in commune.schools],
        "closures": [_closure(closure) for closure in commune.closures],
        "services": [_service(service) for service in commune.services],
    }


def _service(service: ServiceEntry) -> dict[str, Any]:
    policies = service.policies
    facts: dict[str, Any] = {
        "slug": service.slug,
        "name": service.name,
        "kind": service.kind,
        "weekdays": [_NAME_OF[weekday] for weekday in service.weekdays],
        "settlement": service.settlement,
        "capacity": service.capacity,
        "booking": _rule(service.booking),
        "cancel": _rule(service.cancel),
        "credit": policies.credit if isinstance(policies.credit, str) else _euros(policies.credit),
        "cost_price": None if policies.cost_price is None else _euros(policies.cost_price),
        "description": service.description or None,
    }
    if policies.late:
        facts["late"] = {"until": _rule(policies.late.until), **_surcharge(policies.late.surcharge)}
    if policies.unbooked:
        facts["unbooked"] = {**_surcharge(policies.unbooked.surcharge), "free": policies.unbooked.free}
    if policies.sickness:
        facts["sickness"] = {
            "carence_days": policies.sickness.carence_days,
            "announce": _rule(policies.sickness.announce),
            "paper": policies.sickness.paper,
        }
    if policies.freed:
        facts["freed"] = {"until": _rule(policies.freed)}
    if policies.offer_hours != OFFER_HOURS:
        facts["waiting"] = {"offer_hours": policies.offer_hours}
    if service.places:
        facts["places"] = [{"school": places.school, "capacity": places.capacity} for places in service.places]
    facts["blocking"] = policies.blocking.as_json() or None
    facts["closures"] = [_closure(closure) for closure in service.closures]
    facts["tariffs"] = [_tariff(tariff) for tariff in service.tariffs]
    return _given(facts)


def _rule(rule: DeadlineRule) -> Any:
    if len(rule.parts) == 1 and not rule.parts[0].weekdays:
        return _limit(rule.parts[0].limit)
    return [_part(part) for part in rule.parts]


def _part(part: Part) -> dict[str, Any]:
    return {"for": [_NAME_OF[weekday] for weekday in part.weekdays], **_limit(part.limit)}


def _limit(limit: Limit) -> dict[str, Any]:
    facts = limit.as_json()
    return facts | {name: _NAME_OF[facts[name]] for name in ("weekday_before", "weekday") if name in facts}


def _surcharge(surcharge: Surcharge) -> dict[str, Any]:
    return _given(
        {
            "more": None if surcharge.more is None else _euros(surcharge.more),
            "percent": None if surcharge.percent is None else surcharge.percent.replace(".", ","),
            "price": None if surcharge.price is None else _euros(surcharge.price),
        }
    )


def _tariff(tariff: TariffEntry) -> dict[str, Any]:
    return _given(
        {
            "code": tariff.code,
            "label": tariff.label,
            "audience": tariff.audience,
            "documents": tariff.documents,
            "pai": tariff.pai or None,
            "prices": [_price(price) for price in tariff.prices],
        }
    )


def _price(price: PriceEntry) -> dict[str, Any]:
    return _given(
        {
            "from": price.from_day.isoformat(),
            "until": price.until_day.isoformat() if price.until_day else None,
            "decided": price.decided_on.isoformat() if price.decided_on else None,
            "euros": _euros(price.cents) if price.grid is None else None,
            "rows": None if price.grid is None else [_row(row) for row in price.grid],
        }
    )


def _row(row: Row) -> dict[str, Any]:
    facts = row.as_json()
    for name in ("floor", "ceiling"):
        if name in facts:
            facts[name] = _euros(facts[name])
    if row.rate is not None:
        facts["rate"] = row.rate.replace(".", ",")
    if "cents" in facts:
        facts["euros"] = _euros(facts.pop("cents"))
    return facts


def _closure(closure: ClosureEntry) -> dict[str, Any]:
    return {
        "from": closure.from_day.isoformat(),
        "until": closure.until_day.isoformat(),
        "reason": closure.reason,
    }


def _euros(cents: int) -> str:
    return f"{cents // 100},{cents % 100:02d}"


def _given(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def read_catalogue(db: Session, regie_slug: str) -> Town:
    """What the database holds of a régie: its communes with their services, tariffs and prices. Raises `NotFound`."""
    regie = db.scalars(select(Regie).where(Regie.slug == regie_slug)).one_or_none()
    if regie is None:
        raise NotFound
    communes = db.scalars(select(Commune).where(Commune.regie_id == regie.id).order_by(Commune.id)).all()
    ids = [commune.id for commune in communes]
    services = db.scalars(
        select(Service).where(Service.commune_id.in_(ids)).order_by(Service.position, Service.id)
    ).all()
    of_service = [service.id for service in services]
    schools, closures = (
        _by(db, select(School).where(School.commune_id.in_(ids)).order_by(School.id), "commune_id"),
        _by(
            db, select(Closure).where(Closure.commune_id.in_(ids)).order_by(Closure.first_day, Closure.id), "commune_id"
        ),
    )
    tariffs = _by(
        db, select(Tariff).where(Tariff.service_id.in_(of_service)).order_by(Tariff.position, Tariff.id), "service_id"
    )
    prices = _by(
        db,
        select(TariffPrice)
        .join(Tariff, Tariff.id == TariffPrice.tariff_id)
        .where(Tariff.service_id.in_(of_service))
        .order_by(TariffPrice.valid_from),
        "tariff_id",
    )
    limits: dict[int, list[PlacesEntry]] = defaultdict(list)
    for service_id, school, capacity in db.execute(
        select(SchoolLimit.service_id, School.name, SchoolLimit.capacity)
        .join(School, School.id == SchoolLimit.school_id)
        .where(SchoolLimit.service_id.in_(of_service))
        .order_by(SchoolLimit.id)
    ):
        limits[service_id].append(PlacesEntry(school, capacity))
    return Town(
        RegieEntry(
            regie.slug,
            regie.legal_name,
            regie.contact_email,
            regie.contact_phone or "",
            regie.address or "",
            regie.card_gateway,
            regie.minimum_top_up_cents,
            regie.maximum_top_up_cents,
            regie.minimum_online_cents,
        ),
        tuple(
            CommuneEntry(
                commune.slug,
                commune.name,
                commune.insee,
                commune.zone,
                commune.accent,
                commune.contact_email or "",
                commune.contact_phone or "",
                commune.address or "",
                tuple(SchoolEntry(school.name, school.level) for school in schools[commune.id]),
                tuple(
                    _service_entry(
                        service, closures[commune.id], tariffs[service.id], prices, tuple(limits[service.id])
                    )
                    for service in services
                    if service.commune_id == commune.id
                ),
                _closure_entries(closures[commune.id], None),
            )
            for commune in communes
        ),
    )


def _by(db: Session, query: Any, name: str) -> defaultdict[int, list[Any]]:
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for row in db.scalars(query):
        found[getattr(row, name)].append(row)
    return found


def _service_entry(
    service: Service,
    closures: list[Closure],
    tariffs: list[Tariff],
    prices: Mapping[int, list[TariffPrice]],
    places: tuple[PlacesEntry, ...],
) -> ServiceEntry:
    return ServiceEntry(
        service.slug,
        service.name,
        service.kind,
        tuple(int(digit) for digit in service.weekdays),
        service.settlement,
        service.capacity,
        DeadlineRule.from_json(service.book_rule),
        DeadlineRule.from_json(service.cancel_rule),
        Policies.from_json(service.policies),
        service.description,
        tuple(
            TariffEntry(
                tariff.code,
                tariff.label,
                tariff.audience,
                tariff.documents,
                tuple(
                    PriceEntry(
                        price.valid_from,
                        price.valid_until,
                        price.cents,
                        None if price.grid is None else read_grid(price.grid),
                        price.decided_on,
                    )
                    for price in prices[tariff.id]
                ),
                tariff.pai,
            )
            for tariff in tariffs
        ),
        _closure_entries(closures, service.id),
        places,
    )


def _closure_entries(closures: list[Closure], service_id: int | None) -> tuple[ClosureEntry, ...]:
    return tuple(
        ClosureEntry(closure.first_day, closure.last_day, closure.reason)
        for closure in closures
        if closure.service_id == service_id
    )
