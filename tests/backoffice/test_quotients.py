"""Family quotients: noted by the commune that has seen them, for the days they are for."""

from datetime import date

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from enrolments.models import Quotient
from enrolments.quotients import note_quotient
from shop.models import AuditLine
from tests.conftest import OpenSession, SignIn, Submit
from tests.factory import Family, Town

YEAR = (date(2026, 8, 1), date(2027, 8, 31))


def known(read: OpenSession) -> list[tuple[int, date, date]]:
    with read() as db:
        rows = db.execute(
            select(Quotient.value, Quotient.valid_from, Quotient.valid_until).order_by(Quotient.valid_from)
        )
        return [(value, first, last) for value, first, last in rows]


def noted(write: OpenSession, town: Town, family: Family, value: int, first: date, last: date) -> None:
    with write() as db:
        note_quotient(db, family.household_id, town.aiguilhe.id, value, (first, last), family.account_id, town.now)


def test_a_quotient_in_the_middle_of_another_cuts_it_in_two(town: Town, read: OpenSession, write: OpenSession) -> None:
    family = town.family()
    noted(write, town, family, 900, *YEAR)
    noted(write, town, family, 600, date(2026, 11, 1), date(2026, 12, 31))
    assert known(read) == [
        (900, date(2026, 8, 1), date(2026, 10, 31)),
        (600, date(2026, 11, 1), date(2026, 12, 31)),
        (900, date(2027, 1, 1), date(2027, 8, 31)),
    ]


def test_a_quotient_takes_the_place_of_those_within_its_days(town: Town, read: OpenSession, write: OpenSession) -> None:
    family = town.family()
    noted(write, town, family, 700, date(2026, 9, 1), date(2026, 9, 30))
    noted(write, town, family, 800, date(2026, 12, 1), date(2027, 1, 31))
    noted(write, town, family, 500, date(2026, 9, 1), date(2026, 12, 31))
    assert known(read) == [
        (500, date(2026, 9, 1), date(2026, 12, 31)),
        (800, date(2027, 1, 1), date(2027, 1, 31)),
    ]


def test_a_clerk_notes_it_on_the_familys_file(
    client: FlaskClient, submit: Submit, sign_in: SignIn, town: Town, read: OpenSession
) -> None:
    family = town.family()
    sign_in(client, town.clerk())
    page = f"/mairie/familles/{family.household_id}"
    assert "le plus élevé s’applique" in client.get(page).text
    form = {"commune": town.aiguilhe.id, "value": "850", "valid_from": "2026-11-19", "valid_until": "2027-08-31"}
    assert submit(client, f"{page}/quotient", form).status_code == 303
    assert known(read) == [(850, date(2026, 11, 19), date(2027, 8, 31))]
    assert "850" in client.get(page).text
    with read() as db:
        line = db.execute(select(AuditLine.action, AuditLine.facts)).one()
    assert (line.action, line.facts["value"]) == ("quotient_noted", 850)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"value": "-1"}, "entre 0 et 100"),
        ({"value": "8e2"}, "entier"),
        ({"value": ""}, "Écrivez le quotient"),
        ({"valid_until": "2026-11-18"}, "Le dernier jour vient avant le premier."),
        ({"valid_until": "2036-01-01"}, "deux ans au plus"),
        ({"valid_from": "19/11"}, "date"),
    ],
)
def test_a_wrong_quotient_is_told_and_kept(
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    town: Town,
    read: OpenSession,
    change: dict[str, str],
    sentence: str,
) -> None:
    family = town.family()
    sign_in(client, town.clerk())
    form = {"commune": town.aiguilhe.id, "value": "850", "valid_from": "2026-11-19", "valid_until": "2027-08-31"}
    answer = submit(client, f"/mairie/familles/{family.household_id}/quotient", {**form, **change})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert all(f'value="{typed}"' in answer.text for typed in change.values() if typed)
    assert known(read) == []


def test_no_clerk_notes_it_for_another_commune_or_a_family_that_asked_for_nothing(
    client: FlaskClient, submit: Submit, sign_in: SignIn, town: Town, read: OpenSession
) -> None:
    family, stranger = town.family(), town.family(approved=False)
    sign_in(client, town.clerk())
    form = {"commune": town.aiguilhe.id, "value": "850", "valid_from": "2026-11-19", "valid_until": "2027-08-31"}
    for household, commune in ((family, town.coubon.id), (stranger, town.aiguilhe.id)):
        answer = submit(client, f"/mairie/familles/{household.household_id}/quotient", {**form, "commune": commune})
        assert answer.status_code == 404
    sign_in(client, town.clerk(role="auditor"))
    assert submit(client, f"/mairie/familles/{family.household_id}/quotient", form).status_code == 403
    assert known(read) == []
