"""Late prices, credits and prices by siblings, from the tick to the books: what was promised is what is kept."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from cart.models import BasketLine
from catalog.models import Service, ServiceDay, TariffPrice
from orders.models import Reservation
from shop.clock import StoppedClock
from tests.conftest import BooksHold, OpenSession, SignIn, Submit
from tests.factory import Town
from wallet.models import LedgerAccount

LATE = {"until": {"at": "09:00", "days_before": 0, "counted": "calendar"}, "percent": "50"}
BY_SIBLINGS = [
    {"eating_to": 1, "cents": 450},
    {"eating_from": 2, "eating_to": 2, "cents": 440},
    {"eating_from": 3, "cents": 425},
]
ONE_SECOND = timedelta(seconds=1)


class Shop:
    """A parent at the canteen of Aiguilhe, through its pages."""

    def __init__(self, client: FlaskClient, submit: Submit, read: OpenSession, write: OpenSession, town: Town) -> None:
        self.client, self.submit, self.read, self.write, self.town = client, submit, read, write, town
        self.family = town.family(children=3, balance_cents=10_000)
        canteen = town.aiguilhe.canteen
        self.address = f"/reserver/{canteen.commune_slug}/{canteen.slug}"
        self.day = canteen.open_days(town.now)[3]
        self.day_id = canteen.day_ids[self.day]

    def rules(self, policies: dict[str, Any], grid: list[dict[str, Any]] | None = None) -> None:
        canteen = self.town.aiguilhe.canteen
        with self.write() as db:
            db.execute(update(Service).where(Service.id == canteen.id).values(policies=policies))
            if grid:
                db.execute(update(TariffPrice).where(TariffPrice.id == canteen.price_id).values(grid=grid, cents=450))

    def late_until(self, at: datetime) -> None:
        with self.write() as db:
            db.execute(update(ServiceDay).where(ServiceDay.id == self.day_id).values(late_deadline_at=at))

    @property
    def deadline(self) -> datetime:
        with self.read() as db:
            return db.scalars(select(ServiceDay.book_deadline_at).where(ServiceDay.id == self.day_id)).one()

    def add(self, *children: int) -> int:
        meals = [f"{self.family.beneficiary_ids[place]}.{self.day}" for place in children]
        return self.submit(self.client, self.address, {"ajouter": "1", "repas": meals}).status_code

    def lines(self) -> list[tuple[int, int]]:
        with self.read() as db:
            rows = db.execute(select(BasketLine.quoted_cents, BasketLine.credit_cents).order_by(BasketLine.id))
            return [(quoted, credit) for quoted, credit in rows]

    def pay(self) -> str:
        page = self.client.get("/panier").text
        form = {"panier": page.split('name="panier" value="')[1].split('"')[0]}
        total = page.split('name="total" value="')[1].split('"')[0]
        answer = self.submit(self.client, "/panier/payer/porte-monnaie", form | {"total": total})
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def sold(self) -> list[tuple[int, int]]:
        with self.read() as db:
            rows = db.execute(select(Reservation.cents, Reservation.credit_cents).order_by(Reservation.id))
            return [(cents, credit) for cents, credit in rows]

    def balance(self) -> int:
        with self.read() as db:
            account = LedgerAccount.id == self.family.wallet_id
            return db.scalars(select(LedgerAccount.balance_cents).where(account)).one()

    def cancel_all(self) -> None:
        with self.read() as db:
            rows = db.execute(select(Reservation.id, Reservation.credit_cents)).all()
        ids, credit = [row.id for row in rows], sum(row.credit_cents for row in rows)
        answer = self.submit(self.client, "/mes-reservations/annuler", {"repas": ids, "credit": credit})
        assert answer.status_code == 303, answer.text


@pytest.fixture
def shop(
    client: FlaskClient, submit: Submit, read: OpenSession, write: OpenSession, town: Town, sign_in: SignIn
) -> Shop:
    found = Shop(client, submit, read, write, town)
    sign_in(client, found.family)
    return found


@pytest.fixture
def wait_until(shop: Shop, clock: StoppedClock, sign_in: SignIn) -> Callable[[datetime], None]:
    """Come back at that moment, signed in."""

    def done(moment: datetime) -> None:
        clock.moment = moment
        sign_in(shop.client, shop.family)

    return done


def test_a_cancelled_meal_gives_back_what_the_rule_promised_when_it_was_sold(shop: Shop, books_hold: BooksHold) -> None:
    shop.rules({"credit": 300})
    assert shop.add(0, 1) == 303
    shop.pay()
    assert shop.sold() == [(380, 300), (380, 300)]
    shop.rules({"credit": "none"})
    shop.cancel_all()
    assert shop.balance() == 10_000 - 2 * 380 + 2 * 300
    books_hold()


def test_cancelling_says_what_was_paid_and_what_comes_back(shop: Shop) -> None:
    shop.rules({"credit": 300})
    shop.add(0, 1)
    order = shop.pay()
    with shop.read() as db:
        ids = list(db.scalars(select(Reservation.id)))
    page = shop.client.get("/mes-reservations/annuler?" + "&".join(f"repas={number}" for number in ids)).text
    assert page.count("payé 3,80\u00a0€, crédité 3,00\u00a0€") == 2
    assert "payé 7,60\u00a0€, crédité 6,00\u00a0€" in page
    assert shop.client.get(order).text.count("si vous annulez : 3,00\u00a0€ crédités") == 2
    with shop.write() as db:
        db.execute(update(Reservation).values(credit_cents=Reservation.cents))
    assert "payé" not in shop.client.get(f"/mes-reservations/annuler?repas={ids[0]}").text, (
        "one number where both are it"
    )


def test_a_meal_that_gives_nothing_back_is_cancelled_without_an_entry(shop: Shop, books_hold: BooksHold) -> None:
    shop.rules({"credit": "none"})
    shop.add(0)
    shop.pay()
    shop.cancel_all()
    assert shop.balance() == 10_000 - 380
    books_hold()


@pytest.mark.parametrize(("seconds", "quoted"), [(-1, 380), (0, 570)])
def test_from_the_deadline_on_a_meal_costs_the_late_price(
    shop: Shop, wait_until: Callable[[datetime], None], books_hold: BooksHold, seconds: int, quoted: int
) -> None:
    shop.rules({"credit": "full", "late": LATE})
    shop.late_until(shop.deadline + timedelta(days=1))
    wait_until(shop.deadline + seconds * ONE_SECOND)
    assert shop.add(0) == 303
    assert shop.lines() == [(quoted, quoted)]
    basket = shop.client.get("/panier").text
    assert ("ne pourra plus être annulé" in basket, "Disponible" in basket) == (seconds == 0, seconds != 0)
    page = shop.client.get(shop.pay()).text
    assert ("hors délai" in page) == (quoted == 570), "the order says why"
    assert shop.balance() == 10_000 - quoted
    books_hold()


@pytest.mark.parametrize(("seconds", "status"), [(-1, 303), (0, 422)])
def test_a_late_booking_has_its_own_end(
    shop: Shop, wait_until: Callable[[datetime], None], books_hold: BooksHold, seconds: int, status: int
) -> None:
    shop.rules({"credit": "full", "late": LATE})
    end = shop.deadline + timedelta(days=1)
    shop.late_until(end)
    wait_until(end + seconds * ONE_SECOND)
    assert shop.add(0) == status
    assert len(shop.lines()) == (status == 303)
    books_hold()


def test_a_basket_that_waits_past_the_deadline_is_told_the_late_price_and_keeps_its_meals(
    shop: Shop, wait_until: Callable[[datetime], None], books_hold: BooksHold
) -> None:
    shop.rules({"credit": "full", "late": LATE})
    shop.late_until(shop.deadline + timedelta(days=1))
    shop.add(0)
    wait_until(shop.deadline)
    page = shop.client.get("/panier").text
    assert "hors délai, ce repas coûte 5,70\u00a0€ au lieu de 3,80\u00a0€" in page
    assert "payer/porte-monnaie" not in page
    number = page.split('name="panier" value="')[1].split('"')[0]
    refused = shop.submit(shop.client, "/panier/payer/porte-monnaie", {"panier": number, "total": "380"})
    assert refused.status_code == 422
    assert (shop.sold(), shop.balance()) == ([], 10_000)
    assert shop.submit(shop.client, "/panier/nouveaux-prix", {"panier": number}).status_code == 303
    shop.pay()
    assert shop.sold() == [(570, 570)]
    books_hold()


def test_each_meal_follows_how_many_of_the_family_eat_that_day(shop: Shop, books_hold: BooksHold) -> None:
    shop.rules({"credit": "full"}, BY_SIBLINGS)
    shop.add(0)
    assert shop.lines() == [(450, 450)]
    shop.add(1)
    assert shop.lines() == [(440, 440)] * 2
    shop.add(2)
    assert shop.lines() == [(425, 425)] * 3
    with shop.read() as db:
        line = db.scalars(select(BasketLine.id).order_by(BasketLine.id)).first()
    shop.submit(shop.client, "/panier/retirer", {"ligne": str(line)})
    assert shop.lines() == [(440, 440)] * 2
    shop.pay()
    # What is sold stays as sold; a third child who comes later pays the price of three.
    shop.add(0)
    assert shop.lines()[-1] == (425, 425)
    shop.pay()
    assert shop.sold() == [(440, 440), (440, 440), (425, 425)]
    books_hold()


def test_a_price_that_the_town_changed_is_not_followed_but_told(shop: Shop, books_hold: BooksHold) -> None:
    shop.rules({"credit": "full"}, BY_SIBLINGS)
    shop.add(0)
    shop.rules({"credit": "full"}, [{"cents": 500}])
    shop.add(1)
    assert shop.lines() == [(450, 450), (500, 500)]
    assert "Le prix a changé" in shop.client.get("/panier").text
    books_hold()
