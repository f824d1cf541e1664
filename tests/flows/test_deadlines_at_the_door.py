"""One second before a deadline and at it, through the pages, on both daylight-saving week-ends."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select, update

from cart.models import Basket
from catalog.models import SchoolYear, Service, ServiceDay
from catalog.operations import refresh_days
from catalog.rules.deadlines import DeadlineRule
from orders.models import Reservation
from shop.clock import PARIS, StoppedClock
from tests.conftest import BooksHold, OpenSession, SignIn, Submit
from tests.factory import Family, Town

SECOND = timedelta(seconds=1)
RULES = {
    "10 h": DeadlineRule.of("10:00", days_before=2, counted="calendar"),
    "2 h 30": DeadlineRule.of("02:30", days_before=2, counted="calendar"),
}


@dataclass(frozen=True)
class Case:
    """A meal, its rule, and the instant that people are told."""

    name: str
    day: date
    rule: str
    at: datetime
    words: str


CASES = (
    Case("autumn, the day before the night", date(2026, 10, 26), "10 h", datetime(2026, 10, 24, 8, tzinfo=UTC), "10 h"),
    Case("autumn, the day after the night", date(2026, 10, 27), "10 h", datetime(2026, 10, 25, 9, tzinfo=UTC), "10 h"),
    Case(
        "autumn, the hour that comes twice",
        date(2026, 10, 27),
        "2 h 30",
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        "2 h 30",
    ),
    Case("spring, the day before the night", date(2027, 3, 29), "10 h", datetime(2027, 3, 27, 9, tzinfo=UTC), "10 h"),
    Case("spring, the day after the night", date(2027, 3, 30), "10 h", datetime(2027, 3, 28, 8, tzinfo=UTC), "10 h"),
    Case(
        "spring, the hour that does not exist", date(2027, 3, 30), "2 h 30", datetime(2027, 3, 28, 1, tzinfo=UTC), "3 h"
    ),
)


@dataclass
class Door:
    """A parent of one child at the door of the shop, whose canteen serves on the day of the case."""

    case: Case
    client: FlaskClient
    submit: Submit
    read: OpenSession
    town: Town
    clock: StoppedClock
    sign_in: SignIn
    family: Family

    def go_to(self, moment: datetime) -> None:
        self.clock.moment = moment
        self.sign_in(self.client, self.family)

    def choose(self) -> tuple[int, str]:
        answer = self.submit(
            self.client,
            f"/reserver/aiguilhe/restaurant-scolaire?periode=mois:{self.case.day:%Y-%m}",
            {"repas": f"{self.family.beneficiary_ids[0]}.{self.case.day.isoformat()}"},
        )
        return answer.status_code, answer.text

    def pay(self) -> tuple[int, str]:
        with self.read() as db:
            basket_id = db.scalars(select(Basket.id).where(Basket.state == "open")).one()
        answer = self.submit(self.client, "/panier/payer/porte-monnaie", {"panier": basket_id, "total": 380})
        return answer.status_code, answer.text

    def cancel(self) -> tuple[int, str]:
        with self.read() as db:
            meal = db.scalars(select(Reservation.id).where(Reservation.state == "confirmed")).one()
        answer = self.submit(self.client, "/mes-reservations/annuler", {"repas": meal, "credit": 380})
        return answer.status_code, answer.text

    @property
    def told(self) -> str:
        """The hour as the parent reads it."""
        return self.case.words.replace(" ", "\u00a0")


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def door(
    request: pytest.FixtureRequest,
    town: Town,
    client: FlaskClient,
    clock: StoppedClock,
    read: OpenSession,
    write: OpenSession,
    sign_in: SignIn,
    submit: Submit,
) -> Door:
    case: Case = request.param
    canteen, rule = town.aiguilhe.canteen, RULES[case.rule]
    clock.moment = case.at - timedelta(days=3)
    with write() as db:
        db.execute(
            update(Service).where(Service.id == canteen.id).values(book_rule=rule.as_json(), cancel_rule=rule.as_json())
        )
        db.execute(delete(ServiceDay).where(ServiceDay.service_id == canteen.id))
        assert db.scalars(select(SchoolYear.first_day)).one() < case.day
        refresh_days(db, canteen.id, case.day - timedelta(days=14), case.day + timedelta(days=14), clock.now())
    return Door(case, client, submit, read, town, clock, sign_in, town.family(children=1, balance_cents=5000))


def test_what_is_stored_is_what_is_shown(door: Door) -> None:
    with door.read() as db:
        at = db.scalars(select(ServiceDay.book_deadline_at).where(ServiceDay.day == door.case.day)).one()
    assert at == door.case.at
    # 2 h 30 of the spring night does not exist: people are told of the hour at which the clocks jump over it.
    assert at.astimezone(PARIS).hour == int(door.case.words.split(" ")[0])


def test_one_second_before_it_is_booked_and_paid(door: Door, books_hold: BooksHold) -> None:
    door.go_to(door.case.at - SECOND)
    assert door.choose()[0] == 303
    assert door.pay()[0] == 303
    books_hold()


def test_at_the_deadline_it_cannot_be_chosen(door: Door, books_hold: BooksHold) -> None:
    door.go_to(door.case.at)
    status, page = door.choose()
    assert status == 422
    assert "il fallait réserver avant" in page
    assert door.told in page
    books_hold()


def test_chosen_in_time_and_paid_at_the_deadline_is_refused(door: Door, books_hold: BooksHold) -> None:
    door.go_to(door.case.at - SECOND)
    assert door.choose()[0] == 303
    door.go_to(door.case.at)
    status, page = door.pay()
    assert status == 422
    assert "Trop tard" in page
    assert door.told in page
    # The control: it was the second that made the difference.
    door.go_to(door.case.at - SECOND)
    assert door.pay()[0] == 303
    books_hold()


def test_cancelled_one_second_before_and_not_at_the_deadline(door: Door, books_hold: BooksHold) -> None:
    door.go_to(door.case.at - timedelta(days=1))
    door.choose()
    door.pay()
    door.go_to(door.case.at)
    status, page = door.cancel()
    assert status == 422
    assert "il fallait annuler avant" in page
    door.go_to(door.case.at - SECOND)
    assert door.cancel()[0] == 303
    with door.read() as db:
        assert db.scalars(select(Reservation.state)).all() == ["cancelled"]
    books_hold()
