"""The rules that thirteen communes publish, through file, import, database, engine, page, basket and books.

Every file of demo/published/ carries what its commune's règlement says as worked examples; here each of them must come true.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, select, update

from accounts.models import Beneficiary
from cart.models import BasketLine
from catalog.models import Commune, Service, ServiceDay, Tariff
from catalog.operations import import_calendar, import_town, refresh_services
from catalog.town import Case, Town
from demo.files import the_school_calendar
from demo.published import published_towns
from enrolments.models import Enrolment, Quotient
from enrolments.rules import validity
from shop.clock import StoppedClock, paris_day
from shop.database import transaction
from tests import factory
from tests.conftest import BooksHold, OpenSession, SignIn, Submit

TOWNS = {file.stem: town for file, town in published_towns()}
CASES = [(name, case) for name, town in TOWNS.items() for case in town.cases]
BORN = {"nursery": date(2022, 3, 1), "elementary": date(2018, 3, 1), None: date(2018, 3, 1)}


def named(case: Any) -> str:
    return case if isinstance(case, str) else f"{case.action}-{case.meal}-{case.quotient or case.eating or ''}"


@pytest.fixture
def opened(app: Flask, town: factory.Town) -> Callable[[str], Town]:
    """Open one of the towns beside the factory's own, from its file, its days planned."""

    def done(name: str) -> Town:
        found = TOWNS[name]
        with app.app_context(), transaction() as db:
            import_calendar(db, the_school_calendar())
            import_town(db, found, town.now)
            services = list(
                db.scalars(
                    select(Service.id)
                    .join(Commune, Commune.id == Service.commune_id)
                    .where(Commune.slug == found.communes[0].slug)
                )
            )
            refresh_services(db, services, paris_day(town.now), town.now)
        return found

    return done


def the_service(db: Any, name: str, case: Case) -> Any:
    """The number of the case's service and tariff, and its slug."""
    query = (
        select(Service.id, Service.slug, Tariff.id.label("tariff_id"), Commune.id.label("commune_id"), Commune.regie_id)
        .join(Commune, Commune.id == Service.commune_id)
        .join(Tariff, Tariff.service_id == Service.id)
        .where(Commune.slug == TOWNS[name].communes[0].slug)
        .order_by(Service.position, Tariff.position)
    )
    if case.service:
        query = query.where(Service.slug == case.service)
    if case.tariff:
        query = query.where(Tariff.code == case.tariff)
    return db.execute(query).first()


@pytest.mark.parametrize(("name", "case"), [pair for pair in CASES if pair[1].deadline], ids=named)
def test_a_published_deadline_is_the_one_that_is_kept(
    name: str, case: Case, opened: Callable[[str], Town], read: OpenSession
) -> None:
    opened(name)
    with read() as db:
        service = the_service(db, name, case)
        day = db.execute(
            select(ServiceDay.book_deadline_at, ServiceDay.cancel_deadline_at).where(
                ServiceDay.service_id == service.id, ServiceDay.day == case.meal
            )
        ).one()
    assert (day.book_deadline_at if case.action == "book" else day.cancel_deadline_at) == case.deadline


@pytest.fixture
def enrolled(town: factory.Town, write: OpenSession) -> Callable[..., factory.Family]:
    """A family whose children are enrolled as the case has it."""

    def made(name: str, case: Case) -> factory.Family:
        family = town.family(children=case.eating or 1, approved=False)
        first, last = validity(2026)
        with write() as db:
            service = the_service(db, name, case)
            db.execute(
                update(Beneficiary)
                .where(Beneficiary.id.in_(family.beneficiary_ids))
                .values(birth_date=BORN[case.level], school_id=None)
            )
            rows = [
                {
                    "household_id": family.household_id,
                    "beneficiary_id": child,
                    "service_id": service.id,
                    "tariff_id": service.tariff_id,
                    "school_year": 2026,
                    "valid_from": first,
                    "valid_until": last,
                    "state": "approved",
                    "requested_at": town.now,
                    "requested_by_id": family.account_id,
                }
                for child in family.beneficiary_ids
            ]
            db.execute(insert(Enrolment), rows)
            if case.quotient is not None:
                db.execute(
                    insert(Quotient).values(
                        household_id=family.household_id,
                        commune_id=service.commune_id,
                        value=case.quotient,
                        valid_from=first,
                        valid_until=last,
                        noted_at=town.now,
                        noted_by_id=family.account_id,
                    )
                )
        return family

    return made


def shown_price(page: str, child: int, day: date, eating: int) -> int:
    """What the calendar says that the meal costs when so many of the family eat that day."""
    box = re.search(rf'<input[^>]*value="{child}\.{day.isoformat()}"[^>]*>', page)
    assert box is not None, "the meal can be ticked"
    prices = re.search(r'data-cents="([\d ]+)"', box[0]) or re.search(rf'id="p{child}" data-cents="(\d+)"', page)
    assert prices is not None
    found = [int(cents) for cents in prices[1].split(" ")]
    return found[min(eating, len(found)) - 1]


@pytest.mark.parametrize(
    ("name", "case"), [pair for pair in CASES if pair[1].cents and pair[1].action == "book"], ids=named
)
def test_a_published_price_is_the_one_that_is_shown_and_asked(
    name: str,
    case: Case,
    opened: Callable[[str], Town],
    enrolled: Callable[..., factory.Family],
    client: FlaskClient,
    clock: StoppedClock,
    sign_in: SignIn,
    submit: Submit,
    read: OpenSession,
    books_hold: BooksHold,
) -> None:
    commune = opened(name).communes[0]
    family = enrolled(name, case)
    with read() as db:
        service = the_service(db, name, case)
    clock.moment = case.at or clock.moment
    sign_in(client, family)
    address = f"/reserver/{commune.slug}/{service.slug}?periode=mois:{case.meal:%Y-%m}"
    eating = len(family.beneficiary_ids)
    page = client.get(address).text
    assert {shown_price(page, child, case.meal, eating) for child in family.beneficiary_ids} == {case.cents}
    meals = [f"{child}.{case.meal}" for child in family.beneficiary_ids]
    # One after the other: what is in the basket already follows the number of children.
    for meal in meals:
        assert submit(client, address, {"ajouter": "1", "repas": [meal]}).status_code == 303
    with read() as db:
        lines = db.execute(select(BasketLine.quoted_cents, BasketLine.credit_cents)).all()
    assert [line.quoted_cents for line in lines] == [case.cents] * eating
    basket = client.get("/panier").text
    assert "Pourquoi ce prix" in basket
    assert "À vérifier" not in basket
    books_hold()
