"""The basket and both ways to pay, by the pages."""

import re
from datetime import UTC, date, datetime, time, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from accounts.models import Beneficiary
from cart.meals import meals_of_household
from cart.models import Basket, BasketLine
from catalog.models import ServiceDay
from checkout.basket import baskets, days_in_words
from checkout.views import RELOAD_AFTER
from orders.models import Order, Reservation
from payments.gateways.base import GatewayDown, GatewayRefused
from payments.gateways.sandbox import SandboxGateway
from payments.models import Payment
from shop.clock import PARIS, StoppedClock
from shop.french import day_long, hour, month_name
from shop.models import Outbox
from tests.conftest import CountStatements, OpenSession, SendLetters, SignIn, Submit
from tests.factory import Family, Town, add_commune, add_regie, add_service
from wallet.models import JournalEntry, LedgerAccount

NEVER = "4000000000000119"
UNDER_WAY = "Une recharge de 15,20\u00a0€ est en cours"


@pytest.fixture
def family(town: Town, client: FlaskClient, sign_in: SignIn) -> Family:
    family = town.family(children=2, balance_cents=5000)
    sign_in(client, family)
    return family


@pytest.fixture
def days(town: Town, clock: StoppedClock) -> list[date]:
    return town.aiguilhe.canteen.open_days(clock.now())


@pytest.fixture
def basket_id(town: Town, family: Family, days: list[date]) -> int:
    """Two children, two dates: 15,20 €."""
    return town.basket(family, town.aiguilhe.canteen, days[:2])


class Picture:
    """What money and places look like: equal pictures mean that nothing moved."""

    def __init__(self, read: OpenSession) -> None:
        with read() as db:
            self.facts = (
                db.scalar(select(func.count()).select_from(Order)),
                db.scalar(select(func.count()).select_from(Reservation)),
                db.scalar(select(func.count()).select_from(JournalEntry)),
                db.scalar(select(func.count()).select_from(Payment)),
                db.scalar(select(func.count()).select_from(Outbox)),
                db.scalar(select(func.sum(ServiceDay.booked_count))),
                tuple(map(tuple, db.execute(select(Basket.id, Basket.state).order_by(Basket.id)))),
                tuple(map(tuple, db.execute(select(LedgerAccount.id, LedgerAccount.balance_cents)))),
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and self.facts == other.facts

    __hash__ = None  # type: ignore[assignment]


WALLET = "/panier/payer/porte-monnaie"
CARD = "/panier/payer/carte"


def test_baskets_of_two_regies_bear_their_names(
    client: FlaskClient, town: Town, family: Family, basket_id: int, days: list[date], write: OpenSession
) -> None:
    alone = client.get("/panier").text
    assert "Régie de l’agglomération" not in alone
    with write() as db:
        other = add_commune(db, add_regie(db, "polignac", "Régie de Polignac"), "polignac", "Polignac", "43152")
        add_service(db, other, "cantine", "Cantine", "canteen", 400, 560, None)
    town.communes["polignac"] = other
    (canteen,) = other.services.values()
    town.enrol(family, family.beneficiary_ids[0], canteen)
    town.basket(family, canteen, days[:1], family.beneficiary_ids[:1])
    page = client.get("/panier").text
    assert page.index("<h2>Régie de l’agglomération</h2>") < page.index("<h2>Régie de Polignac</h2>")
    assert "Il manque 4,00\u00a0€ dans votre porte-monnaie de cette régie" in page
    assert page.count("Payer avec mon porte-monnaie") == 1, "the other régie's wallet is empty"


def test_from_basket_to_confirmation(
    client: FlaskClient,
    submit: Submit,
    family: Family,
    basket_id: int,
    read: OpenSession,
    letters: SendLetters,
    books_hold: None,
) -> None:
    html = client.get("/panier").text
    for words in (
        "Disponibilité",
        "Prix unitaire",
        "Quantité",
        "Total produits TTC",
        "Non payé = non réservé",
        "15,20",
    ):
        assert words in html
    answer = submit(client, WALLET, {"panier": basket_id, "total": 1520})
    assert answer.status_code == 303
    page = client.get(answer.headers["Location"]).text
    assert "4 repas sont réservés et payés" in page
    number = answer.headers["Location"].rsplit("/", 1)[1]
    (letter,) = letters()
    assert number in str(letter["Subject"])
    assert number in client.get("/commandes").text
    assert number in client.get("/mes-credits").text
    assert "34,80" in client.get("/mes-credits").text
    calendar = client.get(f"/commandes/{number}.ics")
    assert calendar.text.count("BEGIN:VEVENT") == 4
    assert client.get("/panier").text.count("Votre panier est vide") == 1


def test_the_basket_says_who_eats_when(
    town: Town, client: FlaskClient, submit: Submit, family: Family, days: list[date], basket_id: int, read: OpenSession
) -> None:
    def said() -> str:
        (words,) = re.findall(r'<tr class="basket-who"><td colspan="5"><p>(.*?)</p>', client.get("/panier").text)
        return " ".join(words.replace("\u00a0", " ").split())

    def take_out(child: int, day: date) -> None:
        with read() as db:
            of_day = select(BasketLine.id).join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
            line = db.scalar(of_day.where(BasketLine.beneficiary_id == child, ServiceDay.day == day))
        assert submit(client, "/panier/retirer", {"ligne": line}).status_code == 303

    (one, other), (first, second) = family.beneficiary_ids, days[:2]
    with read() as db:
        names = {child.id: f"{child.first_name} {child.last_name}" for child in db.scalars(select(Beneficiary))}
    both = days_in_words([first, second])
    assert said() == f"Bénéficiaires : {names[one]}, {names[other]}<br>Dates : {both}"
    take_out(other, second)
    assert said() == (
        f'Bénéficiaires et dates :<br><span class="strong">{names[one]} :</span> {both}'
        f'<br><span class="strong">{names[other]} :</span> {days_in_words([first])}'
    )
    take_out(other, first)
    assert said() == f"Bénéficiaire : {names[one]}<br>Dates : {both}"
    take_out(one, second)
    assert said() == f"Bénéficiaire : {names[one]}<br>Date : {days_in_words([first])}"


def test_a_second_click_gives_the_same_order(
    client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession
) -> None:
    first = submit(client, WALLET, {"panier": basket_id, "total": 1520})
    before = Picture(read)
    for way in (WALLET, CARD):
        again = submit(client, way, {"panier": basket_id, "total": 1520})
        assert again.headers["Location"] == first.headers["Location"]
    assert Picture(read) == before


@pytest.mark.parametrize("way", [WALLET, CARD])
@pytest.mark.parametrize("total", ["0", "1", "1519", "999999"])
def test_a_total_that_was_not_shown_is_refused(
    client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession, way: str, total: str
) -> None:
    before = Picture(read)
    answer = submit(client, way, {"panier": basket_id, "total": total})
    assert answer.status_code == 409
    assert "Le total a changé" in answer.text
    assert Picture(read) == before


@pytest.mark.parametrize("value", ["", "x", "-1", "1e3", "١٢", "9" * 40])
def test_a_basket_that_is_no_number_is_not_found(
    client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession, value: str
) -> None:
    before = Picture(read)
    assert submit(client, WALLET, {"panier": value, "total": 1520}).status_code == 404
    assert submit(client, CARD, {"panier": basket_id, "total": value}).status_code == 404
    assert Picture(read) == before


def test_another_familys_basket_order_and_payment_do_not_exist(
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    family: Family,
    basket_id: int,
    days: list[date],
    read: OpenSession,
) -> None:
    order_id = town.paid_order(family, town.aiguilhe.canteen, days[3:4])
    with read() as db:
        number = db.scalars(select(Order.number).where(Order.id == order_id)).one()
        line_id = db.scalars(select(BasketLine.id).where(BasketLine.basket_id == basket_id)).first()
        meal_id = db.scalars(select(Reservation.id).where(Reservation.order_id == order_id)).first()
    opened = submit(client, "/recharger", {"regie": town.regie_id, "montant": "20"})
    assert opened.status_code == 303
    with read() as db:
        key = db.scalars(select(Payment.key).order_by(Payment.id.desc())).first()
    sign_in(client, town.family(balance_cents=9000))
    before = Picture(read)
    for way in (WALLET, CARD):
        assert submit(client, way, {"panier": basket_id, "total": 1520}).status_code == 404
    assert submit(client, "/panier/retirer", {"ligne": line_id}).status_code == 404
    assert submit(client, "/panier/nouveaux-prix", {"panier": basket_id}).status_code == 404
    assert submit(client, "/mes-reservations/annuler", {"repas": meal_id, "credit": 380}).status_code == 404
    for verb in ("verifier", "abandonner"):
        assert submit(client, f"/paiement/{key}/{verb}", {}).status_code == 404
    pages = (f"/commandes/{number}", f"/commandes/{number}.ics", f"/paiement/{key}", f"/paiement/retour/{key}")
    for address in (*pages, f"/mes-reservations/annuler?repas={meal_id}"):
        assert client.get(address).status_code == 404, address
    assert Picture(read) == before


def test_what_is_said_of_one_meal_is_in_the_singular(
    town: Town, client: FlaskClient, submit: Submit, family: Family, days: list[date], letters: SendLetters
) -> None:
    basket_id = town.basket(family, town.aiguilhe.canteen, days[:1], children=family.beneficiary_ids[:1])
    assert submit(client, WALLET, {"panier": basket_id, "total": 380}).status_code == 303
    (letter,) = letters()
    assert str(letter["Subject"]).startswith("1 repas réservé : commande")
    body = letter.get_body(("plain",))
    assert body is not None
    assert "Ce repas peut être annulé avant le " in " ".join(body.get_content().split())


def test_a_short_balance_says_what_is_missing_and_tops_it_up(
    town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, days: list[date], read: OpenSession
) -> None:
    poor = town.family(children=2, balance_cents=1000)
    sign_in(client, poor)
    basket_id = town.basket(poor, town.aiguilhe.canteen, days[:2])
    html = client.get("/panier").text
    assert "Il manque 5,20\u00a0€" in html
    assert WALLET not in html
    before = Picture(read)
    answer = submit(client, WALLET, {"panier": basket_id, "total": 1520})
    assert answer.status_code == 422
    assert "Il manque 5,20\u00a0€ dans votre porte-monnaie" in answer.text
    assert Picture(read) == before
    found = re.search(r'name="montant" value="([^"]+)"', html)
    assert found is not None
    opened = submit(client, "/recharger", {"regie": town.regie_id, "montant": found[1], "panier": "1"})
    assert opened.status_code == 303
    with read() as db:
        payments = db.execute(
            select(Payment.cents, Payment.back_to_basket, Payment.purpose).order_by(Payment.id.desc())
        )
        assert payments.first() == (520, True, "top_up")


def test_a_top_up_under_way_is_said_before_another_is_offered(
    town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, days: list[date], read: OpenSession
) -> None:
    poor = town.family(children=2)
    sign_in(client, poor)
    town.basket(poor, town.aiguilhe.canteen, days[:2])
    pages = ("/panier", "/recharger", "/mes-credits")
    assert [UNDER_WAY in client.get(page).text for page in pages] == [False] * 3
    form = {"regie": town.regie_id, "montant": "15.20", "panier": "1"}
    page = submit(client, "/recharger", form).headers["Location"]
    submit(client, page, {"test_card": NEVER})
    with read() as db:
        key = db.scalars(select(Payment.key).where(Payment.purpose == "top_up")).one()
    for address in pages:
        html = client.get(address).text
        assert UNDER_WAY in html
        assert f'href="/paiement/{key}"' in html
    html = client.get("/panier").text
    assert "et revenir ici" not in html
    assert "Une autre recharge reste possible" in html
    html = client.get("/recharger").text
    assert "Vous pouvez en faire une autre ici" in html
    assert submit(client, "/recharger", form).status_code == 303
    assert "2 recharges sont en cours" in client.get("/panier").text
    # It is nobody else's.
    sign_in(client, town.family())
    assert [UNDER_WAY in client.get(page).text for page in pages] == [False] * 3


def test_a_top_up_of_another_regie_does_not_keep_one_from_being_offered(
    town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, days: list[date]
) -> None:
    poor = town.family(children=1)
    sign_in(client, poor)
    town.basket(poor, town.aiguilhe.canteen, days[:2])
    other = town.another_regie()
    town.enrol(poor, poor.beneficiary_ids[0], other.canteen)
    regies = re.findall(r'name="regie" value="(\d+)"', client.get("/recharger").text)
    (elsewhere,) = (regie for regie in regies if int(regie) != town.regie_id)
    assert submit(client, "/recharger", {"regie": elsewhere, "montant": "20"}).status_code == 303
    html = client.get("/panier").text
    assert "est en cours" not in html
    assert "et revenir ici" in html
    assert "est en cours" in client.get("/recharger").text
    assert "est en cours" not in client.get(f"/mes-credits?regie={town.regie_id}").text
    assert "est en cours" in client.get(f"/mes-credits?regie={elsewhere}").text


@pytest.mark.parametrize(("cents", "more"), [(5000, 0), (0, 1)])
def test_only_a_short_balance_looks_for_top_ups_under_way(
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    days: list[date],
    statements: CountStatements,
    cents: int,
    more: int,
) -> None:
    family = town.family(children=2, balance_cents=cents)
    sign_in(client, family)
    town.basket(family, town.aiguilhe.canteen, days[:2])
    with statements() as seen:
        client.get("/panier")
    assert sum("FROM payments" in statement for statement in seen.sent) == more


def test_less_than_the_minimum_is_for_what_is_missing_only(
    town: Town, client: FlaskClient, submit: Submit, family: Family, read: OpenSession
) -> None:
    before = Picture(read)
    answer = submit(client, "/recharger", {"regie": town.regie_id, "montant": "0,50", "panier": "1"})
    assert answer.status_code == 422
    assert Picture(read) == before


def test_a_form_sent_after_the_session_ended_leads_back_to_its_page(
    town: Town, client: FlaskClient, submit: Submit
) -> None:
    page = f"/reserver/{town.aiguilhe.slug}/{town.aiguilhe.canteen.slug}"
    ticked = submit(client, page, {"repas": ["1.2026-11-24"]}).headers["Location"]
    assert ticked == f"/connexion?next={page}?coches%3D1.2026-11-24.1"
    assert submit(client, "/recharger", {"montant": "20"}).headers["Location"] == "/connexion?next=/recharger"
    assert submit(client, "/panier/retirer", {"ligne": 1}).headers["Location"] == "/connexion"


def test_taking_meals_out(
    client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession
) -> None:
    with read() as db:
        ids = list(db.scalars(select(BasketLine.id).where(BasketLine.basket_id == basket_id)))
    assert submit(client, "/panier/retirer", {"ligne": ids[0]}).status_code == 303
    assert "11,40\u00a0€" in client.get("/panier").text
    assert submit(client, "/panier/retirer", {"ligne": ids[0]}).status_code == 404
    assert submit(client, "/panier/retirer", {"ligne": ids[1:]}).status_code == 303
    assert "Votre panier est vide" in client.get("/panier").text
    answer = submit(client, WALLET, {"panier": basket_id, "total": 0})
    assert answer.status_code == 422
    assert "Votre panier est vide" in answer.text


def test_a_price_that_changed_is_shown_and_must_be_accepted(
    town: Town, client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession
) -> None:
    town.change_price(town.aiguilhe.canteen, 410)
    before = Picture(read)
    answer = submit(client, WALLET, {"panier": basket_id, "total": 1520})
    assert answer.status_code == 422
    assert "4,10\u00a0€ au lieu de 3,80\u00a0€" in answer.text
    assert Picture(read) == before
    assert submit(client, "/panier/nouveaux-prix", {"panier": basket_id}).status_code == 303
    page = client.get("/panier").text
    assert "16,40\u00a0€" in page
    assert "Nouveaux prix acceptés." in page
    assert submit(client, WALLET, {"panier": basket_id, "total": 1640}).status_code == 303


def test_every_problem_of_a_basket_at_once(
    town: Town,
    client: FlaskClient,
    submit: Submit,
    family: Family,
    basket_id: int,
    days: list[date],
    clock: StoppedClock,
    read: OpenSession,
) -> None:
    canteen = town.aiguilhe.canteen
    town.change_day(canteen, days[0], is_open=False, closed_reason="Grève")
    town.change_day(canteen, days[1], book_deadline_at=clock.now())
    before = Picture(read)
    for way in (WALLET, CARD):
        answer = submit(client, way, {"panier": basket_id, "total": 1520})
        assert answer.status_code == 422
        assert "4 repas de votre panier posent problème" in answer.text
        assert "(Grève)" in answer.text
        assert "Trop tard" in answer.text
    assert Picture(read) == before


@pytest.mark.parametrize(
    "typed", ["12,345", "-5", "1e9", "١٢", "", "abc", "0", "4,99", "100000", "5 5 5 5 5 5", "💶" * 30]
)
def test_amounts_that_cannot_be(
    town: Town, client: FlaskClient, submit: Submit, family: Family, read: OpenSession, typed: str
) -> None:
    before = Picture(read)
    answer = submit(client, "/recharger", {"regie": town.regie_id, "montant_libre": typed})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert f'value="{typed}"' in answer.text
    assert Picture(read) == before


@pytest.mark.parametrize("ticked", ["autre", "20"])
def test_an_amount_too_large_to_be_read_tells_the_bounds(
    town: Town, client: FlaskClient, submit: Submit, family: Family, read: OpenSession, ticked: str
) -> None:
    before = Picture(read)
    form = {"regie": town.regie_id, "montant": ticked, "montant_libre": "9" * 20}
    answer = submit(client, "/recharger", form)
    assert answer.status_code == 422
    assert re.search(r"Choisissez un montant entre [0-9]+,00\u00a0€ et [0-9\u00a0]+,00\u00a0€\.", answer.text)
    assert Picture(read) == before


def test_the_form_that_was_wrong_comes_first(town: Town, client: FlaskClient, submit: Submit, family: Family) -> None:
    """With several régies, below the sentence that says what is wrong."""
    canteen = town.another_regie().canteen
    town.enrol(family, family.beneficiary_ids[0], canteen)
    forms = r'name="regie" value="(\d+)"'
    usual = re.findall(forms, client.get("/recharger").text)
    assert len(usual) == 2
    answer = submit(client, "/recharger", {"regie": usual[1], "montant_libre": "-5"})
    assert re.findall(forms, answer.text) == usual[::-1]


@pytest.mark.parametrize(
    ("ticked", "typed", "cents"),
    [("100", "", 10000), ("autre", "30", 3000), ("", "30", 3000), ("20", "20,00", 2000), ("100", " ", 10000)],
)
def test_one_choice_of_an_amount_counts(
    town: Town,
    client: FlaskClient,
    submit: Submit,
    family: Family,
    read: OpenSession,
    ticked: str,
    typed: str,
    cents: int,
) -> None:
    form = {"regie": town.regie_id, "montant": ticked, "montant_libre": typed}
    assert submit(client, "/recharger", form).status_code == 303
    with read() as db:
        assert db.scalars(select(Payment.cents).order_by(Payment.id.desc())).first() == cents


def test_two_amounts_at_once_are_not_chosen_between(
    town: Town, client: FlaskClient, submit: Submit, family: Family, read: OpenSession
) -> None:
    before = Picture(read)
    answer = submit(client, "/recharger", {"regie": town.regie_id, "montant": "100", "montant_libre": "30"})
    assert answer.status_code == 422
    assert "Vous avez coché 100,00\u00a0€ et écrit 30,00\u00a0€" in answer.text
    # As it was sent: sending it again unread is refused again.
    assert 'value="30"' in answer.text
    assert re.search(r'value="100" [^>]*checked', answer.text)
    assert Picture(read) == before


def test_a_regie_one_has_nothing_to_do_with(
    town: Town, client: FlaskClient, submit: Submit, family: Family, read: OpenSession
) -> None:
    before = Picture(read)
    for regie in ("99", "x", ""):
        assert submit(client, "/recharger", {"regie": regie, "montant": "20"}).status_code == 404
    assert Picture(read) == before


def test_card_held_abandoned_and_open_again(
    client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession, books_hold: None
) -> None:
    answer = submit(client, CARD, {"panier": basket_id, "total": 1520})
    assert "/paiement-securise/" in answer.headers["Location"]
    assert "<dd>Régie de l’agglomération</dd>" in client.get(answer.headers["Location"]).text
    with read() as db:
        key = db.scalars(select(Payment.key).where(Payment.purpose == "order")).one()
        assert set(db.scalars(select(Reservation.state))) == {"held"}
    html = client.get("/panier").text
    assert "Un paiement par carte est en cours" in html
    assert WALLET not in html
    refused = submit(client, WALLET, {"panier": basket_id, "total": 1520})
    assert refused.status_code == 409
    assert refused.text.count("Un paiement par carte est en cours") == 1
    assert "Vous n’avez pas encore payé" in client.get(f"/paiement/{key}").text
    assert submit(client, f"/paiement/{key}/abandonner", {}).status_code == 303
    assert "Rien n’a été débité" in client.get(f"/paiement/{key}").text
    with read() as db:
        assert set(db.scalars(select(Reservation.state))) == {"released"}
        assert db.scalars(select(Basket.state)).one() == "open"
    assert "Abandonnée, non payée" in client.get("/commandes").text
    assert submit(client, WALLET, {"panier": basket_id, "total": 1520}).status_code == 303


WAITS, UNPAID = "Paiement en cours de vérification", "Vous n’avez pas encore payé"


def to_the_bank(client: FlaskClient, submit: Submit, basket_id: int, read: OpenSession) -> tuple[str, str]:
    """Go to pay a basket by card: the payment's key and the address of its page."""
    page = submit(client, CARD, {"panier": basket_id, "total": 1520}).headers["Location"]
    with read() as db:
        return db.scalars(select(Payment.key).where(Payment.purpose == "order")).one(), page


def test_a_payment_says_what_is_known_of_it(
    client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession
) -> None:
    key, page = to_the_bank(client, submit, basket_id, read)
    there = client.get(f"/paiement/{key}").text
    assert [words in there for words in (UNPAID, "Reprendre le paiement")] == [True, True]
    assert [words in there for words in (WAITS, "Vérifier maintenant")] == [False, False]
    # Back from the bank, where a payment may be under way: what is safest.
    assert WAITS in client.get(f"/paiement/{key}?retour=1").text
    assert submit(client, page, {"test_card": NEVER}).status_code == 303
    assert WAITS in client.get(f"/paiement/{key}").text
    assert UNPAID not in client.get(f"/paiement/{key}").text


RESUME, GIVE_UP, CHECK = "Reprendre le paiement", "Abandonner ce paiement", "Vérifier maintenant"
TWICE = "Ne payez pas une seconde fois"


def offered(html: str) -> list[bool]:
    return [words in html for words in (RESUME, GIVE_UP, CHECK, TWICE)]


def test_what_is_offered_is_possible(
    client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession
) -> None:
    key, page = to_the_bank(client, submit, basket_id, read)
    html = client.get(f"/paiement/{key}").text
    assert offered(html) == [True, True, False, False]
    assert ">Revenir au panier<" in html
    assert "Refresh" not in client.get(f"/paiement/{key}").headers
    assert offered(client.get(f"/paiement/{key}?retour=1").text) == [False, False, True, True]
    submit(client, page, {"test_card": NEVER})
    assert offered(client.get(f"/paiement/{key}").text) == [False, False, True, True]


def test_the_page_of_a_payment_under_way_looks_again_by_itself_for_some_minutes(
    client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession
) -> None:
    key, page = to_the_bank(client, submit, basket_id, read)
    submit(client, page, {"test_card": NEVER})
    address, waited = f"/paiement/{key}?retour=1", 0
    for _time in range(len(RELOAD_AFTER)):
        answer = client.get(address)
        assert "Cette page se recharge d’elle-même" in answer.text
        seconds, address = answer.headers["Refresh"].split("; url=")
        waited += int(seconds)
    assert waited == 300
    answer = client.get(address)
    assert "Refresh" not in answer.headers
    assert "ne se recharge pas d’elle-même" in answer.text
    # It can be stopped at once, too.
    (still,) = re.findall(r'href="([^"]+)">Ne plus la recharger<', client.get(f"/paiement/{key}").text)
    assert "Refresh" not in client.get(still).headers


def test_giving_up_leads_back_to_the_basket(
    client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession
) -> None:
    key, _page = to_the_bank(client, submit, basket_id, read)
    answer = submit(client, f"/paiement/{key}/abandonner", {})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/panier")
    html = client.get("/panier").text
    assert "rien n’a été débité" in html
    assert "Payer par Carte Bancaire" in html
    assert client.get(f"/paiement/{key}").status_code == 200


@pytest.mark.parametrize("asked", [GatewayDown("sandbox", "away"), GatewayRefused("sandbox", "no")])
def test_what_the_bank_does_not_say_is_not_said(
    client: FlaskClient,
    submit: Submit,
    family: Family,
    basket_id: int,
    read: OpenSession,
    monkeypatch: pytest.MonkeyPatch,
    asked: Exception,
) -> None:
    key, _page = to_the_bank(client, submit, basket_id, read)

    def fail(_self: SandboxGateway, _reference: str) -> None:
        raise asked

    monkeypatch.setattr(SandboxGateway, "fetch", fail)
    html = client.get(f"/paiement/{key}").text
    assert WAITS in html
    assert UNPAID not in html
    assert offered(html) == [True, True, True, False]
    before = Picture(read)
    assert "n’a pas encore répondu" in submit(client, f"/paiement/{key}/abandonner", {}, follow_redirects=True).text
    assert Picture(read) == before


def test_a_payment_that_is_over_at_the_bank_is_settled_when_it_is_looked_at(
    client: FlaskClient, submit: Submit, family: Family, basket_id: int, read: OpenSession, books_hold: None
) -> None:
    key, page = to_the_bank(client, submit, basket_id, read)
    submit(client, page, {"test_card": "4242424242424242"})
    answer = client.get(f"/paiement/{key}", follow_redirects=True)
    assert "4 repas sont réservés et payés" in answer.text


def test_a_payment_that_the_bank_has_not_answered_cannot_be_given_up(
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    family: Family,
    basket_id: int,
    read: OpenSession,
    clock: StoppedClock,
) -> None:
    key, page = to_the_bank(client, submit, basket_id, read)
    submit(client, page, {"test_card": NEVER})
    before = Picture(read)
    html = submit(client, f"/paiement/{key}/abandonner", {}, follow_redirects=True).text
    assert "Votre banque n’a pas encore répondu" in html
    assert f"Vous devriez être fixé avant {hour(clock.now() + timedelta(minutes=30))}." in html
    assert WAITS in html
    assert Picture(read) == before
    clock.moment += timedelta(minutes=31)
    sign_in(client, family)
    assert "n’a pas eu lieu" in submit(client, f"/paiement/{key}/abandonner", {}, follow_redirects=True).text


def test_my_reservations_open_on_the_month_of_the_next_meal(
    town: Town, client: FlaskClient, family: Family, clock: StoppedClock, days: list[date], statements: CountStatements
) -> None:
    today = clock.now().date()
    with statements() as empty:
        html = client.get("/mes-reservations").text
    assert "Novembre 2026" in html, "nothing is booked: this month"
    later = [day for day in days if (day.year, day.month) > (today.year, today.month)]
    louane, theo = family.beneficiary_ids
    town.paid_order(family, town.aiguilhe.canteen, later[:1], children=[louane])
    with statements() as seen:
        html = client.get("/mes-reservations").text
    assert f"{month_name(later[0]).capitalize()}</h2>" in html
    assert seen.count == empty.count
    # Of a child who has none, and of an address that names a month: as before.
    assert "Novembre 2026</h2>" in client.get(f"/mes-reservations?enfant={theo}").text
    assert "Novembre 2026</h2>" in client.get("/mes-reservations?mois=2026-11").text
    assert "Novembre 2026</h2>" in client.get("/mes-reservations?mois=x").text
    # A meal of this month comes first.
    town.paid_order(family, town.aiguilhe.canteen, days[:1])
    assert days[0].month == today.month
    assert "Novembre 2026</h2>" in client.get("/mes-reservations").text


def test_a_page_of_orders_beyond_the_last_is_the_last(
    town: Town, client: FlaskClient, family: Family, days: list[date], read: OpenSession
) -> None:
    town.paid_order(family, town.aiguilhe.canteen, days[:1])
    with read() as db:
        number = db.scalars(select(Order.number)).one()
    for page in ("999", "0", "x", "1"):
        html = client.get(f"/commandes?page={page}").text
        assert number in html
        assert "Aucune commande" not in html


def test_what_was_taken_out_or_cancelled_is_named_when_it_is_one_meal(
    town: Town, client: FlaskClient, submit: Submit, family: Family, days: list[date], basket_id: int, read: OpenSession
) -> None:
    with read() as db:
        lines = list(
            db.execute(
                select(BasketLine.id, Beneficiary.first_name, Beneficiary.last_name, ServiceDay.day)
                .join(Beneficiary, Beneficiary.id == BasketLine.beneficiary_id)
                .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
                .where(BasketLine.basket_id == basket_id)
            )
        )
    line_id, first_name, last_name, day = lines[0]
    html = submit(client, "/panier/retirer", {"ligne": line_id}, follow_redirects=True).text

    assert f"1\u00a0repas hors du panier : {first_name} {last_name}, {day_long(day)}." in html
    html = submit(client, "/panier/retirer", {"ligne": [line[0] for line in lines[1:]]}, follow_redirects=True).text
    assert "3\u00a0repas hors du panier." in html
    town.paid_order(family, town.aiguilhe.canteen, days[2:4])
    with read() as db:
        booked = list(
            db.execute(
                select(Reservation.id, Beneficiary.first_name, Beneficiary.last_name, ServiceDay.day)
                .join(Beneficiary, Beneficiary.id == Reservation.beneficiary_id)
                .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
            )
        )
    meal_id, first_name, last_name, day = booked[0]
    address = "/mes-reservations/annuler"
    html = submit(client, address, {"repas": meal_id, "credit": 380}, follow_redirects=True).text
    assert f"{first_name} {last_name}, {day_long(day)} : annulation faite, 3,80\u00a0€" in html
    others = [row[0] for row in booked[1:]]
    html = submit(client, address, {"repas": others, "credit": 380 * 3}, follow_redirects=True).text
    assert "3\u00a0repas : annulation faite, 11,40\u00a0€" in html


def test_tariffs_of_a_service_are_told_apart_in_the_basket(
    family: Family, basket_id: int, read: OpenSession, clock: StoppedClock
) -> None:
    with read() as db:
        meals = meals_of_household(db, family.household_id, clock.now())
    (alike,) = baskets(meals, clock.now())
    assert [product.name for product in alike.products] == ["Réservation de repas Restaurant scolaire"]
    mixed = [meals[0]._replace(tariff_label="Hors commune"), *meals[1:]]
    (apart,) = baskets(mixed, clock.now())
    assert sorted(product.name for product in apart.products) == [
        "Réservation de repas Restaurant scolaire, tarif «\u00a0Hors commune\u00a0»",
        "Réservation de repas Restaurant scolaire, tarif «\u00a0Résident commune\u00a0»",
    ]


def test_nothing_ticked_stays_on_the_order(
    town: Town, client: FlaskClient, family: Family, days: list[date], read: OpenSession
) -> None:
    town.paid_order(family, town.aiguilhe.canteen, days[:1])
    with read() as db:
        number = db.scalars(select(Order.number)).one()
    form = re.search(r'name="commande" value="([^"]+)"', client.get(f"/commandes/{number}").text)
    assert form is not None
    answer = client.get(f"/mes-reservations/annuler?commande={form[1]}")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/commandes/{number}")
    assert "Cochez d’abord les repas à annuler." in client.get(f"/commandes/{number}").text
    assert client.get("/mes-reservations/annuler").headers["Location"] == "/mes-reservations"


def test_cancelling_shows_the_credit_and_gives_exactly_it(
    town: Town,
    client: FlaskClient,
    submit: Submit,
    family: Family,
    days: list[date],
    read: OpenSession,
    letters: SendLetters,
    books_hold: None,
) -> None:
    order_id = town.paid_order(family, town.aiguilhe.canteen, days[:2])
    ids = list(town.reservation_ids(order_id))
    letters()
    page = client.get(f"/mes-reservations/annuler?repas={ids[0]}").text
    assert "Annuler et recréditer 3,80\u00a0€" in page
    with read() as db:
        before = db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.id == family.wallet_id)).one()
    answer = submit(client, "/mes-reservations/annuler", {"repas": ids[0], "credit": 380})
    assert answer.status_code == 303
    with read() as db:
        after = db.scalars(select(LedgerAccount.balance_cents).where(LedgerAccount.id == family.wallet_id)).one()
    assert after - before == 380
    assert len(letters()) == 1
    # Again: nothing more. Then the other three at once.
    again = Picture(read)
    assert submit(client, "/mes-reservations/annuler", {"repas": ids[0], "credit": 380}).status_code == 303
    assert Picture(read) == again
    mixed = submit(client, "/mes-reservations/annuler", {"repas": ids[:2], "credit": 760})
    assert mixed.status_code == 422
    assert "déjà annulé" in mixed.text
    assert Picture(read) == again
    assert submit(client, "/mes-reservations/annuler", {"repas": ids[1:], "credit": 1140}).status_code == 303
    assert client.get("/mes-credits").text.count("Repas annulé") == 4


def test_cancelling_too_late_or_for_another_sum_moves_nothing(
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    family: Family,
    days: list[date],
    clock: StoppedClock,
    read: OpenSession,
) -> None:
    order_id = town.paid_order(family, town.aiguilhe.canteen, days[:1])
    first = next(iter(town.reservation_ids(order_id)))
    before = Picture(read)
    answer = submit(client, "/mes-reservations/annuler", {"repas": first, "credit": 999})
    assert answer.status_code == 409
    assert "3,80\u00a0€ au lieu de 9,99\u00a0€" in answer.text
    with read() as db:
        deadline = db.scalars(select(Reservation.cancel_deadline_at).where(Reservation.id == first)).one()
    clock.moment = deadline - timedelta(seconds=1)
    sign_in(client, family)
    assert "Annuler et recréditer" in client.get(f"/mes-reservations/annuler?repas={first}").text
    clock.moment = deadline
    late = submit(client, "/mes-reservations/annuler", {"repas": first, "credit": 380})
    assert late.status_code == 422
    assert "il fallait annuler avant le" in late.text
    assert Picture(read) == before


def test_each_meal_ahead_says_whether_it_can_be_cancelled(
    town: Town, client: FlaskClient, sign_in: SignIn, family: Family, days: list[date], clock: StoppedClock
) -> None:
    town.paid_order(family, town.aiguilhe.canteen, days[:2])
    assert client.get("/mes-reservations").text.count('<span class="meal-do">Annuler</span>') == 4
    assert "Trop tard pour annuler" not in client.get("/mes-reservations").text
    clock.moment = datetime.combine(days[0], time(6), PARIS).astimezone(UTC)
    sign_in(client, family)
    page = client.get("/mes-reservations").text
    assert page.count("Trop tard pour annuler") + page.count('class="meal-do"') == 4
    assert page.count("Trop tard pour annuler") >= 2


@pytest.mark.parametrize("query", ["?repas=", "?repas=x", "?repas=-1", "?repas=" + "9" * 30, "?repas=999999"])
def test_cancelling_nothing_that_is_there(client: FlaskClient, family: Family, query: str) -> None:
    assert client.get(f"/mes-reservations/annuler{query}").status_code == 404


@pytest.mark.parametrize("many", [1, 6, 24])
def test_statements_of_a_purchase_do_not_grow(
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    statements: CountStatements,
    days: list[date],
    many: int,
) -> None:
    buyer = town.family(children=2, balance_cents=100_000)
    sign_in(client, buyer)
    children = buyer.beneficiary_ids[: min(many, 2)]
    chosen = days[: max(many // 2, 1)]
    address = f"/reserver/{town.aiguilhe.slug}/{town.aiguilhe.canteen.slug}"
    codes = [f"{child}.{day}" for child in children for day in chosen]
    with statements() as seen:
        client.get(f"{address}?periode=vacances")
        assert submit(client, address, {"repas": codes}).status_code == 303
        client.get("/panier")
    with statements() as paying:
        answer = submit(client, WALLET, {"panier": 1, "total": 380 * len(codes)})
    with statements() as confirming:
        assert client.get(answer.headers["Location"]).status_code == 200
    # The very first sale of a régie opens its account, in two statements more.
    assert paying.count <= 15, paying
    assert seen.count + paying.count + confirming.count <= 36


@pytest.mark.parametrize("address", ["/mes-reservations", "/mes-credits", "/commandes", "/panier", "/recharger"])
def test_empty_pages_say_what_to_do(
    town: Town, client: FlaskClient, sign_in: SignIn, statements: CountStatements, address: str
) -> None:
    sign_in(client, town.family(approved=False))
    with statements() as seen:
        answer = client.get(address)
    assert answer.status_code == 200
    assert seen.count <= 4, seen


@pytest.mark.parametrize("query", ["?mois=2026-13", "?mois=9999-12", "?mois=x", "?mois=0001-01", "?mois=2026-11"])
def test_months_that_cannot_be_show_this_one(client: FlaskClient, family: Family, query: str) -> None:
    assert "Novembre 2026" in client.get(f"/mes-reservations{query}").text


def calendars(html: str) -> dict[str, list[int]]:
    """What each calendar of a page is called, and the days of November on which it says that something is booked."""
    return {
        re.sub("<[^>]*>", "", name): [
            int(day) for day in dict.fromkeys(re.findall(r" (\d+)(?:er)? novembre 2026", body))
        ]
        for name, body in re.findall(r'<caption class="sr">(.*?)</caption>(.*?)</table>', html, re.DOTALL)
    }


GONE, AHEAD = "Jours passés : novembre 2026", "Réservations : novembre 2026"


@pytest.mark.parametrize(
    ("moment", "shown", "words"),
    [
        ((19, 8, 0), {AHEAD: [23, 24, 26]}, ""),
        ((23, 23, 59), {AHEAD: [23, 24, 26]}, ""),
        ((24, 0, 0), {GONE: [23], AHEAD: [24, 26]}, "Jours passés, jusqu’au lun. 23 nov."),
        ((25, 8, 0), {GONE: [23, 24], AHEAD: [26]}, "Jours passés, jusqu’au mar. 24 nov."),
        ((26, 23, 59), {GONE: [23, 24], AHEAD: [26]}, "Jours passés, jusqu’au mer. 25 nov."),
        ((28, 8, 0), {GONE: [23, 24, 26]}, "Plus rien de réservé ce mois-ci"),
        ((30, 8, 0), {GONE: [23, 24, 26]}, "Plus rien de réservé ce mois-ci"),
    ],
)
def test_what_is_ahead_this_month_comes_first(
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    statements: CountStatements,
    clock: StoppedClock,
    moment: tuple[int, int, int],
    shown: dict[str, list[int]],
    words: str,
) -> None:
    family = town.family(balance_cents=5000)
    town.paid_order(family, town.aiguilhe.canteen, [date(2026, 11, day) for day in (23, 24, 26)])
    clock.moment = datetime(2026, 11, *moment, tzinfo=PARIS).astimezone(UTC)
    sign_in(client, family)
    with statements() as seen:
        page = client.get("/mes-reservations").text
    assert seen.count <= 3, seen
    assert calendars(page) == shown
    assert words in page
    assert ("<details" in page) == (GONE in shown)
    assert "<details open" not in page
    # Today is marked where it stands, and nowhere else.
    assert page.count('aria-current="date"') == (AHEAD in shown)


def test_nothing_ticked_leads_back_with_a_sentence(client: FlaskClient, family: Family) -> None:
    answer = client.get("/mes-reservations/annuler?mois=2026-12")
    assert (answer.status_code, answer.location) == (303, "/mes-reservations?mois=2026-12")
    assert "Cochez d’abord les repas à annuler." in client.get(answer.location).text


@pytest.mark.parametrize(("month", "day"), [("2026-11", 3), ("2026-12", 25)])
def test_another_month_is_shown_whole(
    town: Town, client: FlaskClient, sign_in: SignIn, clock: StoppedClock, month: str, day: int
) -> None:
    family = town.family(balance_cents=5000)
    town.paid_order(family, town.aiguilhe.canteen, [date(2026, 11, 23), date(2026, 12, 15)])
    clock.moment = datetime(2026, 12 if month == "2026-11" else 11, day, 8, tzinfo=PARIS).astimezone(UTC)
    sign_in(client, family)
    page = client.get(f"/mes-reservations?mois={month}").text
    (body,) = re.findall(r'<table class="month">.*?</table>', page, re.DOTALL)
    assert ("lundi 23 novembre 2026" if month == "2026-11" else "mardi 15 décembre 2026") in body
    assert '<span class="month-day">2 ' in body
    assert "<details" not in page
    assert 'aria-current="date"' not in page


@pytest.mark.parametrize("query", ["?avant=x", "?avant=-3", "?avant=" + "9" * 30, "?regie=99", "?page=-1"])
def test_odd_addresses_of_the_statement_never_break(client: FlaskClient, family: Family, query: str) -> None:
    assert client.get(f"/mes-credits{query}").status_code == (404 if "regie" in query else 200)
    assert client.get(f"/commandes?page={'9' * 30}").status_code == 200
