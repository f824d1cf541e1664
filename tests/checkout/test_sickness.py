"""A sick child: due or credited by the rules of the service, shown before the click, told to the kitchen."""

import re
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from catalog.models import Commune, Service
from checkout.errors import CreditChanged, NothingBooked
from checkout.place import Buyer
from checkout.sickness import ill_since, meals_when_sick, tell_sick
from orders.models import Reservation, SickLeave
from shop.clock import StoppedClock, paris_instant
from shop.errors import NotFound
from tests.conftest import BooksHold, CountStatements, OpenSession, SendLetters, SignIn, Submit, as_typed
from tests.factory import Family, Town
from wallet.models import LedgerAccount

ANNOUNCE = {"at": "09:00", "days_before": 0, "counted": "calendar"}


def rule(carence: int = 0, paper: bool = False) -> dict[str, Any]:
    return {"credit": "full", "sickness": {"carence_days": carence, "announce": ANNOUNCE, "paper": paper}}


class Home:
    """A child with four paid meals, ill from the first of them on."""

    def __init__(self, town: Town, write: OpenSession, read: OpenSession) -> None:
        self.town, self.write, self.read = town, write, read
        self.canteen = town.aiguilhe.canteen
        self.days = self.canteen.open_days(town.now)[:4]
        self.family = town.family(children=2, balance_cents=10_000)
        town.paid_order(self.family, self.canteen, self.days)
        self.child = self.family.beneficiary_ids[0]
        self.illness = (self.days[0], self.days[3])

    def rules(self, policies: dict[str, Any]) -> None:
        with self.write() as db:
            db.execute(update(Service).where(Service.id == self.canteen.id).values(policies=policies))

    @property
    def buyer(self) -> Buyer:
        return Buyer(self.family.household_id, self.family.account_id, self.family.email)

    def tell(self, now: datetime, seen: int | None = None, family: Family | None = None) -> int:
        with self.write() as db:
            return tell_sick(db, self.buyer, (family or self.family).beneficiary_ids[0], self.illness, seen, now)

    def credits(self, now: datetime) -> list[int]:
        with self.read() as db:
            meals = meals_when_sick(db, self.family.household_id, self.child, self.illness, now)
        return [meal.credit_cents for meal in meals]

    def balance(self) -> int:
        with self.read() as db:
            account = LedgerAccount.id == self.family.wallet_id
            return db.scalars(select(LedgerAccount.balance_cents).where(account)).one()

    def meals(self) -> list[tuple[str, str]]:
        with self.read() as db:
            rows = db.execute(
                select(Reservation.state, Reservation.attendance)
                .where(Reservation.beneficiary_id == self.child)
                .order_by(Reservation.service_day_id)
            )
            return [(state, attendance) for state, attendance in rows]


@pytest.fixture
def home(town: Town, write: OpenSession, read: OpenSession) -> Home:
    return Home(town, write, read)


def morning(day: date, hour: int, minute: int = 0) -> datetime:
    return paris_instant(day, time(hour, minute))


@pytest.mark.parametrize(
    ("policies", "hour", "expected"),
    [
        # The first two are past their ordinary limit (two days before), the last two are not.
        ({"credit": "full"}, 8, [0, 0, 380, 380]),
        (rule(), 8, [380, 380, 380, 380]),
        (rule(), 9, [0, 380, 380, 380]),
        (rule(carence=1), 8, [0, 380, 380, 380]),
        (rule(carence=2), 8, [0, 0, 380, 380]),
        # What may still be cancelled is credited, carence or not.
        (rule(carence=4), 8, [0, 0, 380, 380]),
    ],
)
def test_each_meal_is_due_or_credited_by_the_rule(
    home: Home, policies: dict[str, Any], hour: int, expected: list[int]
) -> None:
    home.rules(policies)
    with home.write() as db:
        for place, day in enumerate(home.days):
            limit = morning(home.days[0], 7) if place < 2 else morning(day, 7)
            db.execute(
                update(Reservation)
                .where(Reservation.service_day_id == home.canteen.day_ids[day])
                .values(cancel_deadline_at=limit)
            )
    assert home.credits(morning(home.days[0], hour)) == expected


@pytest.mark.parametrize(
    ("gives", "in_time", "carence", "expected"),
    [
        # The illness gives 3,80 € a meal: what may still be cancelled gives back what cancelling does all the same.
        (100, (2, 3), 0, [380, 380, 100, 100]),
        (0, (2, 3), 0, [380, 380, 0, 0]),
        (100, (0, 1, 2, 3), 0, [100, 100, 100, 100]),
        # A day cancelled in time is one of the days of carence, wherever it stands among them.
        (100, (0,), 1, [100, 380, 380, 380]),
        (100, (0,), 2, [100, 0, 380, 380]),
        (100, (1,), 2, [0, 100, 380, 380]),
        (100, (1,), 3, [0, 100, 0, 380]),
    ],
)
def test_in_time_an_illness_gives_what_cancelling_does(
    home: Home, gives: int, in_time: tuple[int, ...], carence: int, expected: list[int], books_hold: BooksHold
) -> None:
    home.rules(rule(carence, paper=True))
    now, before = morning(home.days[0], 8), home.balance()
    with home.write() as db:
        for place, day in enumerate(home.days):
            db.execute(
                update(Reservation)
                .where(Reservation.service_day_id == home.canteen.day_ids[day])
                .values(cancel_deadline_at=now + timedelta(hours=1 if place in in_time else 0), credit_cents=gives)
            )
    assert home.credits(now) == expected
    assert home.tell(now, sum(expected)) == sum(expected)
    assert home.balance() == before + sum(expected)
    assert [state == "cancelled" for state, _attendance in home.meals()] == [
        place in in_time or cents > 0 for place, cents in enumerate(expected)
    ]
    with home.read() as db:
        # No certificate is asked for what is merely cancelled.
        assert db.scalars(select(SickLeave.paper)).one() is (len(in_time) < 4)
    books_hold()


def test_in_time_without_a_credit_says_so(
    home: Home, client: FlaskClient, sign_in: SignIn, clock: StoppedClock
) -> None:
    home.rules(rule())
    with home.write() as db:
        db.execute(update(Reservation).values(credit_cents=0))
    clock.moment = morning(home.days[0], 8) - timedelta(days=7)
    sign_in(client, home.family)
    address = f"/mes-reservations/malade?enfant={home.child}&du={home.days[0]}&au={home.days[3]}"
    page = as_typed(client.get(address).text)
    assert page.count("annulé à temps : ce service ne crédite pas") == 4
    assert "crédité : enfant malade" not in page


def test_what_is_credited_is_cancelled_and_the_rest_is_excused(
    home: Home, letters: SendLetters, clock: StoppedClock, books_hold: BooksHold
) -> None:
    home.rules(rule(carence=1, paper=True))
    with home.write() as db:
        facts = {"contact_email": "mairie@aiguilhe.example.org", "contact_phone": "+33471000000"}
        db.execute(update(Commune).values(**facts))
    clock.moment = morning(home.days[0], 8)
    now, before = morning(home.days[0], 8), home.balance()
    assert home.tell(now) == 3 * 380
    assert home.meals() == [("confirmed", "absent_excused"), *[("cancelled", "expected")] * 3]
    assert home.balance() == before + 3 * 380
    (told,) = [letter for letter in letters() if "Enfant malade" in str(letter["Subject"])]
    words = as_typed(told.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert (
        "certificat médical. Vous pouvez l’envoyer plus tard à la mairie d’Aiguilhe, mairie@aiguilhe.example.org"
        in (re.sub(r"\s+", " ", words))
    )
    told_of = [line for line in words.splitlines() if re.search(": (annulé|reste dû)", line)]
    assert ["reste dû" in line for line in told_of] == [True, False, False, False], (
        "by date, not by what became of them"
    )
    books_hold()
    # Told again, nothing more happens to the money.
    assert home.tell(now) == 0
    assert home.balance() == before + 3 * 380
    books_hold()


def test_a_credit_that_changed_meanwhile_changes_nothing(home: Home, books_hold: BooksHold) -> None:
    home.rules(rule())
    before = home.balance()
    with pytest.raises(CreditChanged):
        home.tell(morning(home.days[0], 9), seen=4 * 380)
    assert (home.balance(), home.meals()) == (before, [("confirmed", "expected")] * 4)
    with home.read() as db:
        assert db.scalars(select(SickLeave.id)).all() == []
    books_hold()


def test_another_familys_child_does_not_exist(home: Home) -> None:
    with pytest.raises(NotFound):
        home.tell(home.town.now, family=home.town.family())


def test_on_a_telephone(
    home: Home,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    clock: StoppedClock,
    books_hold: BooksHold,
) -> None:
    home.rules(rule(carence=1))
    clock.moment = morning(home.days[0], 8)
    sign_in(client, home.family)
    assert "/mes-reservations/malade" in client.get("/mes-reservations").text
    address = f"/mes-reservations/malade?enfant={home.child}&du={home.days[0]}&au={home.days[3]}"
    page = as_typed(client.get(address).text)
    due = re.search(r"reste dû : jour de carence</span></span><span class=.num.>([^<]+)<", page)
    assert due is not None
    assert due[1] == "3,80\u00a0€", "what stays due"
    assert "certificat" not in page
    assert "11,40\u00a0€" in page
    form = {"enfant": home.child, "du": str(home.days[0]), "au": str(home.days[3]), "credit": 1140}
    assert submit(client, "/mes-reservations/malade", form | {"credit": 1520}).status_code == 422
    assert submit(client, "/mes-reservations/malade", form).status_code == 303
    assert home.meals()[0] == ("confirmed", "absent_excused")
    assert "Aucun repas réservé" not in client.get(address).text
    statement = client.get("/mes-credits").text
    assert len(re.findall(">Enfant malade [0-9A-Z-]+</a>", statement)) == 3
    assert "Repas annulé" not in statement
    # The kitchen sees who stays at home.
    sign_in(client, home.town.clerk(role="kitchen"))
    page = client.get(f"/mairie/jour?date={home.days[0]}").text
    assert page.count("dont 1 absence annoncée") == 2
    assert "1 enfant malade ne viendra pas." in page
    sign_in(client, home.town.clerk())
    assert "2\u00a0réservations, dont 1 absence annoncée" in client.get("/mairie").text
    books_hold()


@pytest.mark.parametrize(
    ("first", "last"),
    [("2026-11-18", "2026-11-18"), ("2026-12-02", "2026-12-01"), ("2026-11-20", "2027-06-01"), ("hier", "demain")],
)
def test_days_that_make_no_sense_are_told(
    home: Home, client: FlaskClient, sign_in: SignIn, first: str, last: str
) -> None:
    sign_in(client, home.family)
    answer = client.get(f"/mes-reservations/malade?enfant={home.child}&du={first}&au={last}")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_a_clerk_notes_the_certificate_once(
    home: Home, client: FlaskClient, sign_in: SignIn, submit: Submit, clock: StoppedClock
) -> None:
    home.rules(rule(paper=True))
    home.tell(morning(home.days[0], 8))
    with home.read() as db:
        leave = db.scalars(select(SickLeave.id)).one()
    stranger, clerk = home.town.clerk(home.town.coubon), home.town.clerk()
    sign_in(client, stranger)
    assert submit(client, f"/mairie/maladies/{leave}/certificat").status_code == 404
    sign_in(client, clerk)
    page = f"/mairie/familles/{home.family.household_id}"
    assert "Certificat vu" in client.get(page).text
    for _click in range(2):
        assert submit(client, f"/mairie/maladies/{leave}/certificat").status_code == 303
        clock.moment += timedelta(minutes=1)
    with home.read() as db:
        seen = db.execute(select(SickLeave.paper_seen_at, SickLeave.paper_seen_by_id)).one()
    assert seen.paper_seen_by_id == clerk.account_id
    assert seen.paper_seen_at == clock.moment - timedelta(minutes=2)


def test_carence_is_not_counted_again_when_the_illness_goes_on(home: Home, books_hold: BooksHold) -> None:
    home.rules(rule(carence=1))
    first, rest = home.days[0], home.days[1]
    with home.write() as db:
        assert tell_sick(db, home.buyer, home.child, (first, first), None, morning(first, 8)) == 0
    with home.write() as db:
        assert tell_sick(db, home.buyer, home.child, (rest, rest), None, morning(rest, 8)) == 380
    books_hold()


SERVING = [date(2026, 11, day) for day in (2, 3, 5, 6, 9, 10, 12, 13, 16, 17, 19, 20)]


@pytest.mark.parametrize(
    ("first", "told", "expected"),
    [
        (date(2026, 11, 9), [], date(2026, 11, 9)),
        # The next day, over a Wednesday, over a week-end, overlapping.
        (date(2026, 11, 10), [(9, 9)], date(2026, 11, 9)),
        (date(2026, 11, 12), [(10, 10)], date(2026, 11, 10)),
        (date(2026, 11, 9), [(5, 6)], date(2026, 11, 5)),
        (date(2026, 11, 12), [(9, 13)], date(2026, 11, 9)),
        # A day at school lies between.
        (date(2026, 11, 12), [(9, 9)], date(2026, 11, 12)),
        (date(2026, 11, 9), [(3, 5)], date(2026, 11, 9)),
        (date(2026, 11, 12), [(10, 10), (9, 9), (3, 5)], date(2026, 11, 9)),
    ],
)
def test_an_illness_goes_on_unless_the_service_served_in_between(
    first: date, told: list[tuple[int, int]], expected: date
) -> None:
    leaves = [(date(2026, 11, begins), date(2026, 11, ends)) for begins, ends in told]
    assert ill_since(first, leaves, SERVING) == expected


def test_a_meal_in_between_ends_the_illness(home: Home, books_hold: BooksHold) -> None:
    home.rules(rule(carence=1))
    first, back = home.days[0], home.days[2]
    with home.write() as db:
        db.execute(update(Reservation).values(cancel_deadline_at=home.town.now))
        assert tell_sick(db, home.buyer, home.child, (first, first), None, morning(first, 8)) == 0
    with home.write() as db:
        assert tell_sick(db, home.buyer, home.child, (back, back), None, morning(back, 8)) == 0
    books_hold()


def test_days_without_service_do_not_end_the_illness(home: Home, books_hold: BooksHold) -> None:
    home.rules(rule(carence=1))
    first, closed, back = home.days[:3]
    home.town.change_day(home.canteen, closed, is_open=False, closed_reason="Grève")
    with home.write() as db:
        db.execute(update(Reservation).values(cancel_deadline_at=home.town.now))
        assert tell_sick(db, home.buyer, home.child, (first, first), None, morning(first, 8)) == 0
    with home.write() as db:
        assert tell_sick(db, home.buyer, home.child, (back, back), None, morning(back, 8)) == 380
    books_hold()


def test_judging_asks_no_more_for_more_leaves(home: Home, statements: CountStatements) -> None:
    home.rules(rule(carence=1))
    home.credits(home.town.now)
    with statements() as alone:
        home.credits(home.town.now)
    for day in home.days[:3]:
        with home.write() as db:
            db.execute(update(Reservation).values(cancel_deadline_at=home.town.now))
            tell_sick(db, home.buyer, home.child, (day, day), None, morning(day, 10))
    with statements() as after:
        home.credits(home.town.now)
    assert after.count == alone.count, after


def test_a_meal_that_stays_due_is_told_as_such(
    home: Home, client: FlaskClient, sign_in: SignIn, clock: StoppedClock
) -> None:
    clock.moment = morning(home.days[0], 8)
    with home.write() as db:
        db.execute(update(Reservation).values(cancel_deadline_at=home.town.now))
    sign_in(client, home.family)
    calendar, form = f"/mes-reservations?mois={home.days[0]:%Y-%m}", "/mes-reservations/malade"
    form += f"?enfant={home.child}&du={home.days[0]}&au={home.days[0]}"
    before = as_typed(client.get(calendar).text)
    assert "Absence signalée, reste dû" not in before
    assert "Prévenir la cantine" in client.get(form).text
    with home.write() as db:
        assert tell_sick(db, home.buyer, home.child, (home.days[0], home.days[0]), 0, clock.moment) == 0
    after = as_typed(client.get(calendar).text)
    assert after.count("Absence signalée, reste dû") == 1
    assert after.count("Trop tard pour annuler") == before.count("Trop tard pour annuler") - 1
    page = as_typed(client.get(form).text)
    assert "La cantine est déjà prévenue" in page
    assert "Prévenir la cantine" not in page


def test_told_twice_is_noted_once_and_nothing_booked_is_nothing_to_tell(home: Home, letters: SendLetters) -> None:
    home.rules({"credit": "full"})
    with home.write() as db:
        db.execute(update(Reservation).values(cancel_deadline_at=home.town.now))
    for _click in range(2):
        assert home.tell(home.town.now) == 0
    with home.read() as db:
        assert len(db.scalars(select(SickLeave.id)).all()) == 1
    (told,) = [letter for letter in letters() if "Enfant malade" in str(letter["Subject"])]
    assert "reste dû" in told.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    with pytest.raises(NothingBooked), home.write() as db:
        tell_sick(db, home.buyer, home.child, (date(2026, 12, 19), date(2026, 12, 20)), None, home.town.now)
