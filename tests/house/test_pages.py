"""Every page of the URL map: who may open it, CSRF, headers, and that reading writes nothing."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeSerializer
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from accounts.models import HouseholdBeneficiary, StaffRole
from accounts.queries import digest as key_digest
from checkout import call_off
from checkout.call_off import Affected, Plan, Scope
from checkout.reminders.models import Reminder
from checkout.reminders.queries import mark_of
from checkout.unbooked import note_eaten
from enrolments.models import CarePlan, OutsideInvoice
from homes.models import CustodyCalendar, CustodySwap
from orders.models import Order, SickLeave
from payments.models import Payment
from shop.access import audience_of, open_to_all
from shop.database import Base, transaction
from shop.web import csrf
from tests.conftest import MakeApp, OpenSession, SignIn, Submit
from tests.factory import Family, Person, ServiceFacts, Town, add, password_hash
from tests.house.policy import CACHED, FRAMED, WITHOUT_CSRF, WRITES_ON_GET, table

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none';"
        " form-action 'self'; report-uri /csp"
    ),
}


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every rule with each of its own methods."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method


@dataclass
class World:
    """A busy town, and an address for every rule in which it is the family that is meant."""

    town: Town
    parent: Family
    stranger: Person
    clerk: Person
    samples: dict[str, Any]

    def url(self, app: Flask, rule: Rule) -> str:
        adapter = app.url_map.bind("localhost")
        return adapter.build(rule.endpoint, {name: self.samples[name] for name in rule.arguments})


def readable(app: Flask, world: World) -> Iterator[tuple[str, str]]:
    """Every page that is only read: its rule, and its address in the world."""
    for rule, method in routes(app):
        if method == "GET" and rule.endpoint not in WRITES_ON_GET:
            yield rule.rule, world.url(app, rule)


WEEK_KEY = "the key of a link about a week"


def add_week_link(
    db: Session, family: Family, service: ServiceFacts, days: Sequence[date], now: datetime, key: str = WEEK_KEY
) -> int:
    """A reminder about a week, the key of its link, and what "comme d'habitude" means."""
    return add(
        db,
        Reminder,
        account_id=family.account_id,
        household_id=family.household_id,
        kind="week",
        about=str(days[0] - timedelta(days=days[0].weekday())),
        written_at=now,
        token_hash=key_digest(key),
        mark=mark_of(family.email, password_hash()),
        expires_at=now + timedelta(days=15),
        meals=[[child, service.id, day.isoformat()] for child in family.beneficiary_ids for day in days],
    )


@pytest.fixture
def world(town: Town, write: OpenSession) -> World:
    canteen = town.aiguilhe.canteen
    family = town.family(balance_cents=5000)
    days = canteen.open_days(town.now)
    order_id = town.paid_order(family, canteen, days[:2])
    _pending, payment_id = town.pending_order(family, canteen, days[2:4])
    basket_id = town.basket(family, canteen, days[4:6])
    asked = town.enrol(family, family.beneficiary_ids[0], town.aiguilhe.childcare, state="requested")
    other = town.family(children=0)
    clerk, outing = town.clerk(), Scope(canteen.day_ids[days[8]])
    with write() as db:
        called_off = call_off.plan(
            db, Plan(outing, "outing", "Sortie au lac."), Affected(0, 0, 0), clerk.account_id, town.now
        )
        leave_id = add(
            db,
            SickLeave,
            household_id=family.household_id,
            beneficiary_id=family.beneficiary_ids[0],
            first_day=days[0],
            last_day=days[0],
            told_at=town.now,
            told_by_id=family.account_id,
            paper=True,
        )
        add_week_link(db, family, canteen, days[6:8], town.now)
        asked_of = {
            "beneficiary_id": family.beneficiary_ids[0],
            "state": "asked",
            "asked_at": town.now,
            "asked_home_id": other.household_id,
            "asked_by_id": other.account_id,
        }
        add(
            db,
            HouseholdBeneficiary,
            household_id=other.household_id,
            beneficiary_id=family.beneficiary_ids[0],
            relation="father",
        )
        calendar_id = add(
            db,
            CustodyCalendar,
            first_day=days[0],
            even_home_id=family.household_id,
            odd_home_id=other.household_id,
            holidays_home_id=family.household_id,
            **asked_of,
        )
        swap_id = add(db, CustodySwap, first_day=days[0], last_day=days[1], home_id=other.household_id, **asked_of)
        plan_id = add(
            db,
            CarePlan,
            beneficiary_id=family.beneficiary_ids[0],
            commune_id=town.aiguilhe.id,
            valid_from=days[0],
            valid_until=days[0],
            noted_at=town.now,
            noted_by_id=clerk.account_id,
        )
        invoice_id = add(
            db,
            OutsideInvoice,
            regie_id=town.regie_id,
            household_id=family.household_id,
            reference="2026-0412",
            cents=4520,
            due_on=days[0],
            state="open",
            noted_at=town.now,
            noted_by_id=clerk.account_id,
        )
        eaten = note_eaten(
            db,
            canteen.day_ids[date(2026, 11, 17)],
            family.enrolment_ids[0],
            canteen.cents,
            clerk.account_id,
            town.now,
        )
        number = db.scalars(select(Order.number).where(Order.id == order_id)).one()
        key, reference = db.execute(
            select(Payment.key, Payment.provider_reference).where(Payment.id == payment_id)
        ).one()
    samples = {
        "slug": "aiguilhe",
        "commune": "aiguilhe",
        "service": canteen.slug,
        "number": number,
        "key": key,
        "reference": reference,
        "provider": "sandbox",
        "enrolment_id": asked,
        "household_id": family.household_id,
        "letter_id": 1,
        "token": "x" * 43,
        "session_id": 1,
        "call_off_id": called_off,
        "entry_id": town.wait(family, town.aiguilhe.canteen, days[7]),
        "leave_id": leave_id,
        "reservation_id": town.reservation_ids(order_id)[0],
        "basket_id": basket_id,
        "week_key": WEEK_KEY,
        "stop_key": URLSafeSerializer(town.app.secret_key or "", salt="reminders").dumps([family.account_id, "week"]),
        "calendar_id": calendar_id,
        "swap_id": swap_id,
        "plan_id": plan_id,
        "meal_id": eaten[0],
        "invoice_id": invoice_id,
        "service_day_id": canteen.day_ids[date(2026, 11, 17)],
        "beneficiary_id": family.beneficiary_ids[0],
    }
    return World(town, family, town.family(), clerk, samples)


def digest(db: Any) -> dict[str, str]:
    """A digest of every row of every table."""
    return {
        table.name: hashlib.sha256(
            json.dumps([list(row) for row in sorted(db.execute(select(table)), key=repr)], default=repr).encode()
        ).hexdigest()
        for table in Base.metadata.sorted_tables
    }


# --- the policy table (trust: T-054) ---


def test_every_route_is_in_the_policy_table_with_its_audience(make_app: MakeApp) -> None:
    app = make_app(mode="demo")
    found = {(rule.endpoint, method): audience_of(app, rule.endpoint) for rule, method in routes(app)}
    assert found == table()


def test_pages_of_the_demonstration_exist_only_there(app: Flask) -> None:
    found = {(rule.endpoint, method) for rule, method in routes(app)}
    assert {row for row in table() if row not in found} == {row for row in table() if row[0].startswith("demo.")}


def test_a_view_that_does_not_say_its_audience_is_refused_to_everybody(
    make_app: MakeApp, world: World, sign_in: SignIn
) -> None:
    app = make_app()
    app.add_url_rule("/planted", view_func=lambda: "planted", endpoint="planted")
    for who in (None, world.parent, world.clerk):
        client = app.test_client()
        if who is not None:
            sign_in(client, who)
        assert client.get("/planted").status_code == 403


def expected_answer(audience: str, who: str) -> tuple[int, str] | None:
    """The status and where it leads; nothing when the page opens (whatever it then answers)."""
    match audience, who:
        case "everybody", _:
            return None
        case _, "anonymous":
            return 303, "/connexion"
        case "parents" | "members", "parent":
            return None
        case "parents", _:
            return 403, ""
        case _, "parent":
            return 403, ""
        case "staff", _:
            return None
        case "office" | "members", "clerk without second factor":
            return 303, "/double-authentification"
        case _:
            return None


@pytest.mark.parametrize("who", ["anonymous", "parent", "clerk without second factor", "clerk"])
def test_the_gate_lets_in_whom_the_table_says(
    app: Flask, world: World, sign_in: SignIn, submit: Submit, write: OpenSession, who: str
) -> None:
    wrong: list[tuple[object, ...]] = []
    for rule, method in routes(app):
        client = app.test_client()
        if who == "parent":
            sign_in(client, world.parent)
        elif who != "anonymous":
            sign_in(client, world.clerk if who == "clerk" else Person(world.clerk.account_id, world.clerk.email))
        url = world.url(app, rule)
        answer = client.get(url) if method == "GET" else submit(client, url)
        expected = expected_answer(table()[rule.endpoint, method], who)
        if expected is None:
            if answer.status_code >= 500 or (answer.status_code == 403 and rule.endpoint not in WITHOUT_CSRF):
                wrong.append((method, url, answer.status_code))
        elif answer.status_code != expected[0] or expected[1] not in answer.headers.get("Location", ""):
            wrong.append((method, url, answer.status_code, answer.headers.get("Location")))
    assert not wrong


def test_another_family_finds_nothing(app: Flask, world: World, sign_in: SignIn, submit: Submit) -> None:
    """What belongs to a family does not exist for another: 404, on every address that names such a thing."""
    client = app.test_client()
    sign_in(client, world.stranger)
    named = {"number", "key", "enrolment_id", "session_id", "beneficiary_id"}
    wrong = []
    for rule, method in routes(app):
        if table()[rule.endpoint, method] != "parents" or not rule.arguments & named:
            continue
        url = world.url(app, rule)
        answer = client.get(url) if method == "GET" else submit(client, url)
        if answer.status_code != 404:
            wrong.append((method, url, answer.status_code))
    assert not wrong


def test_a_clerk_of_another_commune_finds_nothing(app: Flask, world: World, sign_in: SignIn, submit: Submit) -> None:
    client = app.test_client()
    sign_in(client, world.town.clerk(world.town.coubon))
    wrong = []
    for rule, method in routes(app):
        if table()[rule.endpoint, method] != "office" or not rule.arguments:
            continue
        url = world.url(app, rule)
        answer = client.get(url) if method == "GET" else submit(client, url)
        if answer.status_code != 404:
            wrong.append((method, url, answer.status_code))
    assert not wrong


# --- CSRF, and reading writes nothing (trust: T-050) ---


def test_unsafe_methods_without_a_token_are_refused(app: Flask, world: World, sign_in: SignIn) -> None:
    open_ones = set()
    for who in (None, world.parent, world.clerk):
        for rule, method in routes(app):
            if method == "GET":
                continue
            client = app.test_client()
            if who is not None:
                sign_in(client, who)
            answer = client.open(world.url(app, rule), method=method, data={"csrf_token": "forged"})
            if rule.endpoint in WITHOUT_CSRF:
                open_ones.add(rule.endpoint)
                continue
            assert answer.status_code == 400, (method, rule.rule, answer.status_code)
            assert "ouverte depuis trop longtemps" in answer.get_data(as_text=True)
    assert open_ones == set(WITHOUT_CSRF)


def test_the_csrf_sweep_sees_a_planted_exemption(make_app: MakeApp) -> None:
    app = make_app()
    planted = Blueprint("planted", __name__)

    @csrf.exempt  # type: ignore[untyped-decorator]
    @planted.post("/planted")
    @open_to_all
    def take() -> str:
        return "taken"

    app.register_blueprint(planted)
    try:
        assert app.test_client().post("/planted").status_code == 200
    finally:
        csrf._exempt_views.discard(f"{take.__module__}.{take.__name__}")


@pytest.mark.parametrize("who", ["anonymous", "parent", "clerk"])
def test_a_page_names_each_thing_once_and_labels_what_is_there(
    app: Flask, world: World, client: FlaskClient, sign_in: SignIn, town: Town, who: str
) -> None:
    if who != "anonymous":
        sign_in(client, world.parent if who == "parent" else world.clerk)
    # Two communes to note a quotient for: two forms of one kind on the family's page.
    town.enrol(world.parent, world.parent.beneficiary_ids[0], town.coubon.canteen)
    with app.app_context(), transaction() as db:
        facts = {"scope": "commune", "role": "manager", "given_at": town.now}
        where = {"regie_id": town.regie_id, "commune_id": town.coubon.id}
        add(db, StaffRole, account_id=world.clerk.account_id, **facts, **where)
    for rule, url in readable(app, world):
        page = client.get(url).text
        ids = re.findall(r' id="([^"]+)"', page)
        assert not [name for name, times in Counter(ids).items() if times > 1], rule
        assert set(re.findall(r'<label[^>]* for="([^"]+)"', page)) <= set(ids), rule


@pytest.mark.parametrize("who", ["anonymous", "parent", "clerk"])
def test_reading_writes_nothing(
    app: Flask, world: World, client: FlaskClient, sign_in: SignIn, read: OpenSession, who: str
) -> None:
    if who != "anonymous":
        sign_in(client, world.parent if who == "parent" else world.clerk)
    with read() as db:
        before = digest(db)
    for rule, url in readable(app, world):
        for verb in ("GET", "HEAD"):
            assert client.open(url, method=verb).status_code < 500, rule
    with read() as db:
        assert digest(db) == before


def test_the_digest_sees_a_planted_write(town: Town, read: OpenSession, write: OpenSession) -> None:
    with read() as db:
        before = digest(db)
    with write() as db:
        add(db, Base.registry._class_registry["Household"], created_at=town.now)  # type: ignore[arg-type]
    with read() as db:
        after = digest(db)
    assert {name for name in before if before[name] != after[name]} == {"households"}


# --- headers (trust: T-051, T-053) ---


@pytest.mark.parametrize("who", ["anonymous", "parent", "clerk"])
def test_every_answer_bears_the_headers(app: Flask, world: World, sign_in: SignIn, who: str) -> None:
    client = app.test_client()
    if who != "anonymous":
        sign_in(client, world.parent if who == "parent" else world.clerk)
    answers = [(rule.endpoint, client.open(world.url(app, rule), method=method)) for rule, method in routes(app)]
    answers += [("404", client.get("/nulle-part")), ("405", client.delete("/"))]
    for endpoint, answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, endpoint
        kept = CACHED.get(endpoint, "no-store") if answer.status_code == 200 else "no-store"
        assert answer.headers["Cache-Control"] == kept, endpoint
        assert "Strict-Transport-Security" not in answer.headers
        assert "Server" not in answer.headers


def test_only_letters_of_the_demonstration_have_a_policy_of_their_own() -> None:
    assert {endpoint for endpoint in FRAMED if not endpoint.startswith("demo.")} == set()
