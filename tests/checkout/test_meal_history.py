"""Who did what to a meal, and when: as the family reads it, as a clerk reads it, and nobody else."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from accounts.models import HouseholdMember
from catalog.models import Service
from checkout import call_off
from checkout.call_off import Affected, Plan, Scope
from checkout.meal_history import Facts, GivenBack, Illness, Who, tell
from orders.models import Reservation, SickLeave
from shop.clock import StoppedClock
from tests.conftest import BooksHold, CountStatements, OpenSession, SignIn, Submit
from tests.factory import Family, Town, add

AT = datetime.fromisoformat("2026-11-19T07:00:00+00:00")
CAMILLE, CLAIRE = Who("Camille Dupont", True), Who("Claire Mairie", False)


def facts(**changes: Any) -> Facts:
    usual = Facts(
        id=1,
        household_id=1,
        beneficiary_id=1,
        first_name="Louane",
        last_name="Dupont",
        day=date(2026, 11, 26),
        service_name="Cantine",
        commune_name="Aiguilhe",
        tariff_label="Résident",
        price_from=date(2026, 9, 1),
        decided_on=None,
        basis=None,
        cents=380,
        credit_cents=380,
        state="confirmed",
        attendance="expected",
        attendance_at=None,
        cancel_deadline_at=AT + timedelta(days=5),
        cancelled_at=None,
        order_number="A-1",
        order_state="paid",
        settlement="wallet",
        placed_at=AT,
        held_until=None,
        paid_at=AT,
        closed_at=None,
        call_off_kind=None,
        call_off_words=None,
        call_off_asked_at=None,
        credited_at=None,
        credited_cents=None,
        ordered_by=CAMILLE,
        cancelled_by=None,
        called_off_by=None,
        attendance_by=None,
    )
    return usual._replace(**changes)


def lines(
    meal: Facts, illnesses: tuple[Illness, ...] = (), given: tuple[GivenBack, ...] = (), with_names: bool = False
) -> list[str]:
    found = tell(meal, list(illnesses), list(given), with_names)
    return [" | ".join(filter(None, (event.words, event.who, event.note))) for event in found]


ENDED = {"state": "cancelled", "cancelled_at": AT + timedelta(days=1)}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "Payé avec le porte-monnaie"),
        ({"settlement": "card"}, "Payé par carte bancaire"),
        ({"settlement": "counter"}, "Payé au guichet"),
        ({"cents": 0}, "Gratuit : rien à payer"),
        ({"order_state": "pending", "paid_at": None}, "Le paiement est en cours : la place est gardée"),
        ({"order_state": "expired", "paid_at": None, "closed_at": AT}, "Paiement jamais arrivé : la place est rendue"),
        ({"order_state": "cancelled", "paid_at": None, "closed_at": AT}, "Paiement abandonné : la place est rendue"),
        (
            ENDED | {"cancelled_by": CAMILLE, "credited_cents": 380},
            "Annulé | Camille Dupont | 3,80 € recrédités sur le porte-monnaie",
        ),
        (ENDED | {"cancelled_by": CAMILLE}, "Annulé | Camille Dupont | Sans remboursement"),
        (
            ENDED | {"cancelled_by": CLAIRE, "credited_cents": 380},
            "Annulé | la mairie | 3,80 € recrédités sur le porte-monnaie",
        ),
        (ENDED | {"credited_cents": 380}, "Annulé | automatiquement | 3,80 € recrédités sur le porte-monnaie"),
        ({"attendance": "present"}, "Pointage : présent"),
        ({"attendance": "absent"}, "Pointage : absent"),
        (
            {"attendance": "absent", "attendance_at": AT + timedelta(days=7), "attendance_by": CLAIRE},
            "Pointage : absent | la mairie",
        ),
    ],
)
def test_what_happened_last(changes: dict[str, Any], told: str) -> None:
    found = [line.replace("\u00a0", " ") for line in lines(facts(**changes))]
    assert found[0] == "Commandé à {} € | Camille Dupont | Tarif « Résident », commande A-1".format(
        "0,00" if changes.get("cents") == 0 else "3,80"
    )
    assert found[-1] == told


def test_what_was_called_off_says_why_and_a_clerk_reads_who() -> None:
    meal = facts(
        **ENDED,
        credited_cents=380,
        cancelled_by=CLAIRE,
        called_off_by=CLAIRE,
        call_off_kind="strike",
        call_off_words="Grève : prévoyez un pique-nique.",
        call_off_asked_at=AT + timedelta(hours=23),
    )
    announced, done = lines(meal)[2:]
    assert announced == "Annulation annoncée\u00a0: grève | la mairie | Grève : prévoyez un pique-nique."
    assert done.startswith("Annulé par la mairie | la mairie | 3,80")
    assert "Claire" not in "".join(lines(meal))
    assert "Claire Mairie (mairie)" in lines(meal, with_names=True)[3]
    # A roll-call before the call-off is told before it, and by whom to clerks alone.
    noted = meal._replace(attendance="present", attendance_at=AT + timedelta(hours=22), attendance_by=CLAIRE)
    assert lines(noted)[2] == "Pointage\u00a0: présent | la mairie"
    assert lines(noted, with_names=True)[2] == "Pointage\u00a0: présent | Claire Mairie (mairie)"


def test_an_illness_is_told_with_its_paper_in_the_order_of_time() -> None:
    told = AT + timedelta(days=1)
    ill = Illness(date(2026, 11, 26), date(2026, 11, 27), told, CAMILLE, True, told + timedelta(days=3), CLAIRE)
    meal = facts(**ENDED, cancelled_by=CAMILLE, credited_cents=380)
    found = lines(meal, (ill,))
    assert found[2].startswith("Enfant malade\u00a0: la cantine est prévenue | Camille Dupont | La mairie demande")
    assert found[3].startswith("Annulé\u00a0: enfant malade | Camille Dupont")
    assert found[4] == "Certificat médical vu | la mairie"
    excused = lines(facts(attendance="absent_excused"), (ill,))
    assert excused[-1] == "La cantine sait que l’enfant ne vient pas"


def test_a_meal_given_back_tells_what_became_of_it() -> None:
    first = GivenBack("withdrawn", AT + timedelta(hours=1), CAMILLE, AT + timedelta(hours=2))
    nobody = GivenBack("lapsed", AT + timedelta(hours=3), CAMILLE, AT + timedelta(hours=4))
    assert [line.split(" | ")[0] for line in lines(facts(), (), (first, nobody))][2:] == [
        "Rendu\u00a0: proposé aux autres familles",
        "N’est plus proposé aux autres familles",
        "Rendu\u00a0: proposé aux autres familles",
        "Repris par personne\u00a0: reste dû",
    ]
    taken = GivenBack("taken", AT + timedelta(hours=1), CAMILLE, AT + timedelta(days=1))
    meal = facts(**ENDED, cancelled_by=CAMILLE, credited_cents=380)
    found = lines(meal, (), (taken,))
    assert found[2] == "Rendu\u00a0: proposé aux autres familles | Camille Dupont"
    assert found[3] == "Repris par une autre famille, qui l’a payé | 3,80\u00a0€ recrédités sur le porte-monnaie"


# --- from the click to the page ---


class Home:
    def __init__(self, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit) -> None:
        self.town, self.client, self.submit = town, client, submit
        self.canteen = town.aiguilhe.canteen
        self.days = self.canteen.open_days(town.now)[:2]
        self.family: Family = town.family(balance_cents=5000)
        self.meals = town.reservation_ids(town.paid_order(self.family, self.canteen, self.days))
        sign_in(client, self.family)

    def page(self, number: int = 0, path: str = "/mes-reservations/repas") -> str:
        answer = self.client.get(f"{path}/{self.meals[number]}")
        assert answer.status_code == 200
        return answer.text


@pytest.fixture
def home(town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit) -> Home:
    return Home(town, client, sign_in, submit)


def test_a_meal_cancelled_by_the_family(home: Home, statements: CountStatements, books_hold: BooksHold) -> None:
    form = {"repas": home.meals[0], "credit": 380}
    assert home.submit(home.client, "/mes-reservations/annuler", form).status_code == 303
    with statements() as seen:
        page = home.page()
    assert seen.count <= 4, seen
    assert "3,80\u00a0€ recrédités sur le porte-monnaie" in page
    assert page.count("par Camille Dupont1") == 2
    assert f'href="/mes-reservations/repas/{home.meals[0]}"' in home.client.get("/mes-reservations").text
    books_hold()


def test_a_strike_is_the_town_halls_and_no_clerk_is_named(
    home: Home, write: OpenSession, client: FlaskClient, sign_in: SignIn, books_hold: BooksHold
) -> None:
    clerk, scope = home.town.clerk(), Scope(home.canteen.day_ids[home.days[0]])
    with write() as db:
        plan = Plan(scope, "strike", "Grève du personnel.")
        number = call_off.plan(db, plan, Affected(2, 1, 760), clerk.account_id, home.town.now)
    with write() as db:
        call_off.carry_out(db, number, home.town.now + timedelta(minutes=11))
    page = home.page()
    assert "Grève du personnel." in page
    assert "par la mairie" in page
    assert "Claire" not in page
    sign_in(client, clerk)
    assert "par Claire Mairie (mairie)" in home.page(path="/mairie/repas")
    books_hold()


def test_an_illness_is_told(home: Home, write: OpenSession, clock: StoppedClock, books_hold: BooksHold) -> None:
    policies = {
        "credit": "full",
        "sickness": {
            "carence_days": 0,
            "announce": {"at": "09:00", "days_before": 0, "counted": "calendar"},
            "paper": True,
        },
    }
    with write() as db:
        db.execute(update(Service).where(Service.id == home.canteen.id).values(policies=policies))
    day, child = home.days[0].isoformat(), home.family.beneficiary_ids[0]
    form = {"enfant": child, "du": day, "au": day, "credit": 380}
    assert home.submit(home.client, "/mes-reservations/malade", form).status_code == 303
    page = home.page()
    assert "Enfant malade : la cantine est prévenue" in page
    assert "Annulé : enfant malade" in page
    assert "Certificat médical vu" not in page
    with write() as db:
        clerk = home.town
        db.execute(update(SickLeave).values(paper_seen_at=clerk.now, paper_seen_by_id=home.family.account_id))
    assert "Certificat médical vu" in home.page()
    books_hold()


def test_only_ones_own(home: Home, client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client, home.town.family())
    assert client.get(f"/mes-reservations/repas/{home.meals[0]}").status_code == 404
    assert client.get("/mes-reservations/repas/999999").status_code == 404


def test_the_town_hall_reads_its_own_communes_only(home: Home, client: FlaskClient, sign_in: SignIn) -> None:
    addresses = (f"/mairie/repas/{home.meals[0]}", f"/mairie/familles/{home.family.household_id}/repas?mois=2026-11")
    sign_in(client, home.town.clerk())
    for address in addresses:
        page = client.get(address)
        assert page.status_code == 200
        assert "Louane Dupont1" in page.text
    assert "par Camille Dupont1" in client.get(addresses[0]).text
    sign_in(client, home.town.clerk(home.town.coubon))
    assert [client.get(address).status_code for address in addresses] == [404, 404]
    sign_in(client, home.town.clerk(role="kitchen"))
    assert [client.get(address).status_code for address in addresses] == [403, 403]
    listed = client.get(f"/mairie/jour?date={home.days[0]}").text
    assert "Dupont1 Louane" in listed
    assert "/mairie/repas/" not in listed


def test_the_lists_of_the_town_hall_lead_to_the_history(home: Home, client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client, home.town.clerk())
    assert f'href="/mairie/repas/{home.meals[0]}"' in client.get(f"/mairie/jour?date={home.days[0]}").text
    file = client.get(f"/mairie/familles/{home.family.household_id}").text
    assert f'href="/mairie/familles/{home.family.household_id}/repas"' in file


def test_the_co_representative_is_named_too(home: Home, write: OpenSession) -> None:
    other = home.town.account(first_name="Sacha")
    with write() as db:
        facts = {"household_id": home.family.household_id, "account_id": other.account_id}
        add(db, HouseholdMember, role="co", **facts)
        at = home.town.now
        db.execute(
            update(Reservation)
            .where(Reservation.id == home.meals[0])
            .values(state="cancelled", cancelled_at=at, cancelled_by_id=other.account_id)
        )
    assert "par Sacha Dupont" in home.page()
