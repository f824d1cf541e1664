"""The private address of a family's calendar: read by a calendar, changed, ended, and nobody else's."""

import re
from datetime import date, timedelta

from flask.testing import FlaskClient
from icalendar import Calendar

from shop.clock import StoppedClock
from tests.conftest import SignIn, Submit
from tests.factory import Family, Town


def address_of(client: FlaskClient) -> str:
    found = re.search(r'value="http://localhost(/agenda/[^"]+)"', client.get("/mes-reservations").text)
    assert found is not None
    return found[1]


def made(client: FlaskClient, submit: Submit) -> str:
    assert submit(client, "/mes-reservations/agenda").status_code == 303
    return address_of(client)


def days(client: FlaskClient, address: str) -> list[tuple[date, str]]:
    answer = client.get(address)
    assert (answer.status_code, answer.mimetype) == (200, "text/calendar")
    events = Calendar.from_ical(answer.data).walk("VEVENT")
    return [(event.decoded("dtstart"), str(event["summary"]).replace("\u00a0", " ")) for event in events]


def test_a_calendar_reads_what_is_booked_with_its_deadlines(
    client: FlaskClient, sign_in: SignIn, submit: Submit, town: Town
) -> None:
    family, canteen = town.family(children=1, balance_cents=5000), town.aiguilhe.canteen
    first, second = canteen.open_days(town.now)[:2]
    order = town.paid_order(family, canteen, [first, second])
    sign_in(client, family)
    address = made(client, submit)
    name = f"Restaurant scolaire : Louane Dupont{family.email.removeprefix('famille').split('@')[0]}"
    stranger = client.application.test_client()
    assert days(stranger, address) == [(first, name), (second, name)]
    event = Calendar.from_ical(stranger.get(address).data).walk("VEVENT")[0]
    assert "Annulable jusqu’au" in str(event["description"])
    town.cancel(family, town.reservation_ids(order)[0])
    assert days(stranger, address) == [(second, name)]


def test_a_changed_or_ended_address_opens_nothing(
    client: FlaskClient, sign_in: SignIn, submit: Submit, town: Town
) -> None:
    family = town.family()
    sign_in(client, family)
    old = made(client, submit)
    new = made(client, submit)
    assert old != new
    assert (client.get(old).status_code, client.get(new).status_code) == (404, 200)
    assert submit(client, "/mes-reservations/agenda/retirer").status_code == 303
    assert client.get(new).status_code == 404
    assert "Créer une adresse d’agenda" in client.get("/mes-reservations").text


def test_each_family_has_its_own_and_the_past_is_left_out(
    client: FlaskClient, sign_in: SignIn, submit: Submit, town: Town, clock: StoppedClock
) -> None:
    families: list[Family] = [town.family(children=1, balance_cents=5000) for _number in range(2)]
    day = town.aiguilhe.canteen.open_days(town.now)[0]
    town.paid_order(families[0], town.aiguilhe.canteen, [day])
    addresses = []
    for family in families:
        sign_in(client, family)
        addresses.append(made(client, submit))
    assert [len(days(client, address)) for address in addresses] == [1, 0]
    clock.moment += timedelta(days=90)
    assert days(client, addresses[0]) == []
    assert client.get("/agenda/inconnu.ics").status_code == 404
