"""The roll-call at the town hall: who is there, who is there without a booking, what was noted wrongly, and the PAI."""

from datetime import date, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from catalog.models import Tariff
from enrolments.models import CarePlan
from orders.models import Reservation
from shop.clock import StoppedClock
from shop.models import AuditLine
from tests.checkout.presence import MONDAY, TODAY, TUESDAY, Noon
from tests.conftest import BooksHold, CountStatements, OpenSession, SignIn, Submit, as_typed
from tests.factory import Town

TOMORROW = date(2026, 11, 20)


@pytest.fixture
def noon(town: Town, write: OpenSession, read: OpenSession) -> Noon:
    return Noon(town, write, read, balance_cents=5000)


def attendance(read: OpenSession) -> list[str]:
    with read() as db:
        return list(db.scalars(select(Reservation.attendance).order_by(Reservation.id)))


# --- who is there ---


def test_several_are_marked_at_once_and_everybody_else_by_a_click(
    noon: Noon,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    read: OpenSession,
    books_hold: BooksHold,
) -> None:
    other = town.family(children=2, balance_cents=5000)
    ids = [
        number
        for family in (noon.family, other)
        for number in town.reservation_ids(town.paid_order(family, noon.canteen, [TODAY]))
    ]
    before = noon.everything()
    sign_in(client, town.clerk(role="kitchen"))
    address = f"/mairie/jour/{noon.canteen.day_ids[TODAY]}/pointage"
    assert address in client.get(f"/mairie/jour?date={TODAY}").text
    assert "4 à pointer" in client.get(address).text
    assert submit(client, address, {"repas": [str(ids[0]), str(ids[1])], "pointage": "absents"}).status_code == 303
    assert attendance(read) == ["absent", "absent", "expected", "expected"]
    for _click in range(2):
        assert submit(client, address, {"pointage": "reste"}).status_code == 303
    assert attendance(read) == ["absent", "absent", "present", "present"]
    assert "C’était déjà pointé : rien n’a changé." in client.get(address).text
    assert submit(client, address, {"repas": str(ids[0]), "pointage": "presents"}).status_code == 303
    assert attendance(read) == ["present", "absent", "present", "present"]
    page = client.get(address).text
    assert "3 présents" in page
    assert "1 absent" in page
    assert noon.everything() == before, "the roll-call moves no money"
    books_hold()


def test_the_roll_call_keeps_who_noted_a_child_first_and_when(
    noon: Noon,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    read: OpenSession,
    clock: StoppedClock,
) -> None:
    ids = town.reservation_ids(town.paid_order(noon.family, noon.canteen, [TODAY]))
    address = f"/mairie/jour/{noon.canteen.day_ids[TODAY]}/pointage"
    noted = select(Reservation.attendance, Reservation.attendance_at, Reservation.attendance_by_id).order_by(
        Reservation.id
    )

    def rows() -> list[tuple[object, ...]]:
        with read() as db:
            return [tuple(row) for row in db.execute(noted)]

    cook, at = town.clerk(role="kitchen"), clock.moment
    assert rows() == [("expected", None, None)] * 2
    sign_in(client, cook)
    submit(client, address, {"repas": str(ids[0]), "pointage": "presents"})
    sign_in(client, noon.clerk)
    clock.moment += timedelta(minutes=5)
    submit(client, address, {"repas": list(map(str, ids)), "pointage": "presents"})
    assert "1 enfant présent." in as_typed(client.get(address).text)
    assert rows() == [("present", at, cook.account_id), ("present", clock.moment, noon.clerk.account_id)]
    clock.moment += timedelta(minutes=5)
    submit(client, address, {"repas": str(ids[0]), "pointage": "absents"})
    assert rows()[0] == ("absent", clock.moment, noon.clerk.account_id)
    # The history tells it: the clerk reads who, the family that it was the town hall.
    page = as_typed(client.get(f"/mairie/repas/{ids[0]}").text)
    assert "Pointage : absent" in page
    assert "Jeudi 19 novembre 2026 à 8\u00a0h\u00a010, par Claire Mairie (mairie)" in page
    sign_in(client, noon.family)
    page = as_typed(client.get(f"/mes-reservations/repas/{ids[0]}").text)
    assert "Jeudi 19 novembre 2026 à 8\u00a0h\u00a010, par la mairie" in page
    assert "Claire" not in page


def test_a_child_who_is_ill_stays_excused_when_absent(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, write: OpenSession, read: OpenSession
) -> None:
    ids = town.reservation_ids(town.paid_order(noon.family, noon.canteen, [TODAY]))
    with write() as db:
        db.execute(update(Reservation).values(attendance="absent_excused"))
    sign_in(client, noon.clerk)
    address = f"/mairie/jour/{noon.canteen.day_ids[TODAY]}/pointage"
    rest = "Tous les autres sont présents"
    assert rest not in client.get(address).text, "nobody is left"
    with write() as db:
        db.execute(update(Reservation).where(Reservation.id == ids[1]).values(attendance="expected"))
    assert rest in client.get(address).text
    with write() as db:
        db.execute(update(Reservation).values(attendance="absent_excused"))
    submit(client, address, {"repas": str(ids[0]), "pointage": "absents"})
    submit(client, address, {"pointage": "reste"})
    assert attendance(read) == ["absent_excused", "absent_excused"]
    submit(client, address, {"repas": str(ids[1]), "pointage": "presents"})
    assert attendance(read) == ["absent_excused", "present"]


@pytest.mark.parametrize(
    ("day", "form", "words"),
    [
        (TODAY, {"pointage": "absents"}, "Cochez d’abord des enfants."),
        (TODAY, {"repas": "1"}, "Choisissez « Présents » ou « Absents »."),
        (TOMORROW, {"pointage": "reste"}, "n’est pas encore là"),
    ],
)
def test_what_cannot_be_marked_is_told(
    noon: Noon,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    read: OpenSession,
    day: date,
    form: dict[str, str],
    words: str,
) -> None:
    town.paid_order(noon.family, noon.canteen, [day])
    sign_in(client, noon.clerk)
    answer = submit(client, f"/mairie/jour/{noon.canteen.day_ids[day]}/pointage", form)
    assert answer.status_code == 422
    assert words in answer.text
    assert set(attendance(read)) == {"expected"}


def test_another_communes_day_and_another_days_child_are_left_alone(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, read: OpenSession
) -> None:
    ids = town.reservation_ids(town.paid_order(noon.family, noon.canteen, [TUESDAY]))
    sign_in(client, noon.clerk)
    today = noon.canteen.day_ids[TODAY]
    assert (
        submit(client, f"/mairie/jour/{today}/pointage", {"repas": str(ids[0]), "pointage": "absents"}).status_code
        == 303
    )
    sign_in(client, town.clerk(town.coubon))
    tuesday = noon.canteen.day_ids[TUESDAY]
    for path in (f"/mairie/jour/{tuesday}/pointage", f"/mairie/jour/{tuesday}/sans-reservation"):
        assert client.get(path).status_code == 404
    assert submit(client, f"/mairie/jour/{tuesday}/pointage", {"pointage": "reste"}).status_code == 404
    sign_in(client, town.clerk(role="auditor"))
    assert client.get(f"/mairie/jour/{tuesday}/pointage").status_code == 403
    assert attendance(read) == ["expected", "expected"]


# --- without a booking ---


def test_from_the_search_to_the_statement(
    town: Town,
    write: OpenSession,
    read: OpenSession,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    books_hold: BooksHold,
) -> None:
    noon = Noon(town, write, read)
    noon.rules(unbooked={"more": 200, "free": 0})
    town.paid_order(town.family(children=1, balance_cents=500), noon.canteen, [TODAY])
    sign_in(client, noon.clerk)
    address = f"/mairie/jour/{noon.canteen.day_ids[TODAY]}/sans-reservation"
    found = client.get(f"{address}?q=louane").text
    # Of the two Louanes one has a booking.
    assert found.count("Choisir") == 1
    assert "Aucun enfant trouvé" in client.get(f"{address}?q=personne").text
    enrolment = noon.family.enrolment_ids[0]
    page = client.get(f"{address}?inscription={enrolment}").text
    assert "5,80\u00a0€" in page
    assert "2,00\u00a0€ de plus" in page
    assert "montant dû" in page
    before = noon.everything()
    assert submit(client, address, {"inscription": enrolment, "centimes": 380}).status_code == 409
    assert submit(client, address, {"inscription": "x", "centimes": 580}).status_code == 404
    assert noon.everything() == before
    for _click in range(2):
        assert submit(client, address, {"inscription": enrolment, "centimes": 580}).status_code == 303
    page = client.get(f"/mairie/jour/{noon.canteen.day_ids[TODAY]}/pointage").text
    assert "C’était déjà noté" in page
    assert "Montant dû" in page
    assert "Ce repas est déjà noté." in client.get(f"{address}?inscription={enrolment}").text
    assert noon.balances() == (0, 580)
    sign_in(client, noon.family)
    assert "5,80\u00a0€" in client.get("/mes-credits").text
    books_hold()


def test_a_day_ahead_or_a_booked_child_is_refused_with_a_sentence(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit
) -> None:
    town.paid_order(noon.family, noon.canteen, [TODAY], noon.family.beneficiary_ids[:1])
    sign_in(client, noon.clerk)
    form = {"inscription": noon.family.enrolment_ids[0], "centimes": 380}
    before = noon.everything()
    for day, words in ((TODAY, "pointez sa présence"), (TOMORROW, "n’est pas encore là")):
        answer = submit(client, f"/mairie/jour/{noon.canteen.day_ids[day]}/sans-reservation", form)
        assert answer.status_code == 422
        assert words in answer.text
    assert noon.everything() == before


@pytest.mark.parametrize(("role", "status"), [("kitchen", 403), ("auditor", 403), ("cashier", 303), ("manager", 303)])
def test_who_may_note_and_strike_off(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, role: str, status: int
) -> None:
    sign_in(client, town.clerk(role=role))
    meal = noon.note(TUESDAY)
    form = {"inscription": noon.family.enrolment_ids[0], "centimes": 380}
    answer = submit(client, f"/mairie/jour/{noon.canteen.day_ids[TODAY]}/sans-reservation", form)
    assert answer.status_code == status
    answer = submit(client, f"/mairie/sans-reservation/{meal}/retirer", {"reason": "Absent."})
    assert answer.status_code == status
    assert noon.states() == (["struck", "paid"] if status == 303 else ["paid"])


def test_striking_off_asks_why_and_a_second_click_changes_nothing(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    meal = noon.note()
    sign_in(client, noon.clerk)
    address = f"/mairie/sans-reservation/{meal}/retirer"
    for reason, words in (("", "Écrivez le motif"), ("   ", "Écrivez le motif"), ("x" * 301, "trop long")):
        answer = submit(client, address, {"reason": reason})
        assert answer.status_code == 422
        assert words in answer.text
    assert noon.states() == ["paid"]
    for _click in range(2):
        assert submit(client, address, {"reason": "C’était Jade."}).status_code == 303
    assert noon.balances() == (5000, 0)
    sign_in(client, town.clerk(town.coubon))
    assert submit(client, address, {"reason": "x"}).status_code == 404
    books_hold()


def test_the_familys_file_tells_what_was_eaten_and_by_whom_it_was_noted(
    town: Town, write: OpenSession, read: OpenSession, client: FlaskClient, sign_in: SignIn
) -> None:
    noon = Noon(town, write, read)
    first, _second = noon.note(MONDAY), noon.note(TUESDAY)
    noon.strike(first)
    address = f"/mairie/familles/{noon.family.household_id}"
    sign_in(client, noon.clerk)
    page = as_typed(client.get(address).text)
    assert "Reste dû : 3,80" in page
    assert page.count("par Claire Mairie") == 3, "noted twice, struck off once"
    assert page.count("À régler</span>") == page.count("Retiré</span>") == 1
    sign_in(client, town.clerk(town.coubon))
    assert client.get(address).status_code == 404


def test_a_call_off_says_which_meals_without_a_booking_it_takes_back(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, books_hold: BooksHold
) -> None:
    poor = town.family(children=1)
    noon.note(TODAY)
    noon.note(TODAY, family=poor)
    sign_in(client, noon.clerk)
    form: dict[str, Any] = {"service": noon.canteen.id, "day": str(TODAY), "school": 0, "kind": "strike", "words": "x"}
    page = as_typed(submit(client, "/mairie/annulations", form).text)
    assert "2 repas notés sans réservation ce jour-là sont retirés." in page
    assert "3,80\u00a0€ ne sont plus dus." in page
    assert "3,80\u00a0€ étaient payés" in page
    assert "se note à nouveau" not in page, "nobody is served: there is nothing to note"
    assert "se note à nouveau" in submit(client, "/mairie/annulations", form | {"school": town.aiguilhe.school_id}).text
    before = noon.everything()
    seen = {"meals": 0, "families": 2, "cents": 0, "unbooked": 2, "due_cents": 380, "paid_cents": 380}
    seen_form = form | seen | {"vu": f"{noon.canteen.id}/{TODAY}/0//False"}
    less = submit(client, "/mairie/annulations", seen_form | {"unbooked": 1, "due_cents": 0})
    assert less.status_code == 409
    assert "2\u00a0repas, dont 2 sans réservation, et 3,80\u00a0€ à créditer" in as_typed(less.text)
    assert "À confirmer" in submit(client, "/mairie/annulations", seen_form | {"unbooked": ""}).text
    assert noon.everything() == before
    assert submit(client, "/mairie/annulations", seen_form).status_code == 303
    assert noon.states() == ["paid", "due"], "nothing moves before its time"
    assert submit(client, "/mairie/annulations/1/executer").status_code == 303
    page = as_typed(client.get("/mairie/annulations").text)
    assert "2 repas sans réservation retirés" in page
    assert (noon.states(), noon.balances()) == (["struck", "struck"], (5000, 0))
    file = as_typed(client.get(f"/mairie/familles/{poor.household_id}").text)
    assert "par Claire Mairie : x" in file
    books_hold()


def test_the_lists_count_who_ate_without_a_booking_apart(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, statements: CountStatements
) -> None:
    town.paid_order(noon.family, noon.canteen, [TODAY], noon.family.beneficiary_ids[:1])
    cook = town.clerk(role="kitchen")
    sign_in(client, cook)
    with statements() as before:
        page = as_typed(client.get(f"/mairie/jour?date={TODAY}").text)
    assert "sans réservation" not in page
    noon.note(TODAY, child=1)
    noon.strike(noon.note(TODAY, family=town.family(children=1)))
    with statements() as seen:
        page = as_typed(client.get(f"/mairie/jour?date={TODAY}").text)
    assert seen.count == before.count
    assert page.count("2\u00a0repas, dont 1 sans réservation") == 2, "of the day and of the service"
    assert "1\u00a0réservation" in page, "what takes a place"
    sign_in(client, noon.clerk)
    assert "2\u00a0repas, dont 1 sans réservation" in as_typed(client.get("/mairie").text)


# --- PAI ---


def test_a_clerk_notes_and_takes_back_a_pai(
    noon: Noon, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, write: OpenSession, read: OpenSession
) -> None:
    sign_in(client, noon.clerk)
    page = f"/mairie/familles/{noon.family.household_id}"
    assert "Noter un PAI" not in client.get(page).text
    with write() as db:
        db.execute(update(Tariff).where(Tariff.id == noon.canteen.tariff_id).values(pai=True))
    assert "Noter un PAI" in client.get(page).text
    child = noon.family.beneficiary_ids[0]
    form: dict[str, Any] = {
        "commune": town.aiguilhe.id,
        "beneficiary": child,
        "valid_from": "2026-11-19",
        "valid_until": "2027-08-31",
    }
    for change, words in (
        ({"valid_until": "2026-11-18"}, "Le dernier jour vient avant le premier."),
        ({"valid_until": "2036-01-01"}, "deux ans au plus"),
        ({"valid_from": ""}, "Choisissez le premier jour"),
        ({"valid_from": "0001-01-01", "valid_until": "0001-08-31"}, "plus de trois ans"),
        ({"valid_from": "9998-01-01", "valid_until": "9999-12-31"}, "plus de trois ans"),
        ({"valid_until": "9999-12-31"}, "deux ans au plus"),
    ):
        answer = submit(client, f"{page}/pai", form | change)
        assert answer.status_code == 422
        assert words in answer.text
    stranger = town.family()
    elsewhere: tuple[dict[str, Any], ...] = (
        {"commune": town.coubon.id},
        {"beneficiary": stranger.beneficiary_ids[0]},
        {"beneficiary": "x"},
    )
    for wrong in elsewhere:
        assert submit(client, f"{page}/pai", form | wrong).status_code == 404
    with read() as db:
        assert db.scalars(select(CarePlan.id)).all() == []
    for _click in range(2):
        assert submit(client, f"{page}/pai", form).status_code == 303
    with read() as db:
        plan = db.execute(select(CarePlan.id, CarePlan.beneficiary_id, CarePlan.valid_until)).one()
    assert (plan.beneficiary_id, plan.valid_until) == (child, date(2027, 8, 31))
    assert "Valable" in client.get(page).text
    assert submit(client, f"/mairie/familles/{stranger.household_id}/pai/{plan.id}/retirer").status_code == 404
    assert submit(client, f"{page}/pai/{plan.id}/retirer").status_code == 303
    assert "PAI retiré." in client.get(page).text
    again = submit(client, f"{page}/pai/{plan.id}/retirer", follow_redirects=True)
    assert (again.status_code, again.request.path) == (200, page)
    assert "Ce PAI était déjà retiré : rien n’a changé." in as_typed(again.text)
    sign_in(client, town.clerk(town.coubon))
    assert submit(client, f"{page}/pai/{plan.id}/retirer").status_code == 404
    with read() as db:
        assert db.scalars(select(CarePlan.id)).all() == []
        actions = db.scalars(select(AuditLine.action).order_by(AuditLine.number)).all()
    assert actions[-3:] == ["pai_noted", "pai_noted", "pai_removed"]
    sign_in(client, town.clerk(role="auditor"))
    assert submit(client, f"{page}/pai", form).status_code == 403
