"""Inviting the other parent, from click to letter to the same child in two homes; and every way in which it is refused."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from accounts.models import Beneficiary, HouseholdBeneficiary
from homes.jobs import sweep
from homes.models import HomeInvitation
from shop.clock import StoppedClock
from tests.conftest import BooksHold, OpenSession, SendLetters, SignIn, Submit
from tests.factory import Family, Town

GUEST = "autre.parent@example.net"


@pytest.fixture
def family(town: Town, client: FlaskClient, sign_in: SignIn) -> Family:
    family = town.family(children=1, balance_cents=5000)
    sign_in(client, family)
    return family


def page_of(family: Family) -> str:
    return f"/mon-compte/filiations/{family.beneficiary_ids[0]}/foyers"


def homes_of(read: OpenSession, child: int) -> list[tuple[int, str]]:
    with read() as db:
        rows = db.execute(
            select(HouseholdBeneficiary.household_id, HouseholdBeneficiary.relation)
            .where(HouseholdBeneficiary.beneficiary_id == child, HouseholdBeneficiary.archived_at.is_(None))
            .order_by(HouseholdBeneficiary.id)
        )
        return [(household_id, relation) for household_id, relation in rows]


def states(read: OpenSession) -> list[tuple[str, str | None]]:
    with read() as db:
        return [(one.state, one.email) for one in db.scalars(select(HomeInvitation).order_by(HomeInvitation.id))]


def invited(client: FlaskClient, submit: Submit, letters: SendLetters, family: Family, email: str = GUEST) -> str:
    """Invite, and give the address in the letter."""
    assert submit(client, f"{page_of(family)}/inviter", {"email": email}).status_code == 303
    (letter,) = [letter for letter in letters() if letter["To"] == email]
    body = letter.get_body(("plain",))
    assert body is not None
    found = re.search(r"http://localhost(/invitation/\S+)", body.get_content())
    assert found is not None
    return found[1]


def test_the_other_parent_with_an_account_accepts(
    app: Flask,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    letters: SendLetters,
    read: OpenSession,
    family: Family,
    books_hold: BooksHold,
) -> None:
    address = invited(client, submit, letters, family)
    assert "Invitation envoyée" in client.get(page_of(family)).text
    guest, other = town.family(children=0, email=GUEST), app.test_client()
    # Until somebody is signed in, the page says the child's first name and nothing else.
    stranger = other.get(address).text
    assert "Louane" in stranger
    for secret in (family.email, GUEST, "Dupont", "CE2"):
        assert secret not in stranger
    sign_in(other, guest)
    assert "Vous êtes invité(e) à réserver pour Louane" in other.get("/mon-compte/filiations").text
    # Dites qui vous êtes: a relation is asked for, and reading the link changes nothing.
    assert submit(other, address).status_code == 422
    assert len(homes_of(read, family.beneficiary_ids[0])) == 1
    assert submit(other, address, {"relation": "father"}).status_code == 303
    child = family.beneficiary_ids[0]
    assert homes_of(read, child) == [(family.household_id, "mother"), (guest.household_id, "father")]
    assert states(read) == [("accepted", None)]
    (told,) = letters()
    assert (told["To"], told["Subject"]) == (family.email, "Louane a désormais deux foyers")
    assert GUEST not in str(told)
    # The link has served; booking needs an enrolment of one's own.
    assert other.get(address).status_code == 410
    assert submit(other, address, {"relation": "father"}).status_code == 410
    canteen = f"/reserver/aiguilhe/{town.aiguilhe.canteen.slug}"
    assert "Aucun bénéficiaire inscrit" in other.get(canteen).text
    assert "Louane" in other.get("/mon-compte/services/ajouter?commune=aiguilhe").text
    books_hold()


def test_somebody_who_creates_an_account_finds_the_invitation_after_confirming(
    app: Flask,
    town: Town,
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    letters: SendLetters,
    read: OpenSession,
    family: Family,
) -> None:
    address = invited(client, submit, letters, family)
    other = app.test_client()
    person = {
        "first_name": "Paul",
        "last_name": "Martin",
        "email": GUEST,
        "password": "une phrase assez longue",
        "terms": "y",
    }
    assert submit(other, "/creer-un-compte", person).status_code == 303
    # The address is not confirmed: whoever signs up with somebody's address learns and gets nothing.
    assert "Louane" not in other.get("/creer-un-compte/filiations").text
    assert "Confirmez d’abord votre adresse e-mail" in other.get(address).text
    refused = submit(other, address, {"relation": "father"})
    assert (refused.status_code, len(homes_of(read, family.beneficiary_ids[0]))) == (409, 1)
    (letter,) = letters()
    body = letter.get_body(("plain",))
    assert body is not None
    found = re.search(r"http://localhost(/confirmer/\S+)", body.get_content())
    assert found is not None
    landed = submit(other, found[1], follow_redirects=True).text
    assert "Vous êtes invité(e) à réserver pour Louane" in landed
    assert submit(other, address, {"relation": "father"}).status_code == 303
    assert len(homes_of(read, family.beneficiary_ids[0])) == 2


@pytest.mark.parametrize("how", ["retirée", "expirée", "refusée"])
def test_an_invitation_that_has_ended_opens_nothing(
    app: Flask,
    town: Town,
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    letters: SendLetters,
    read: OpenSession,
    family: Family,
    clock: StoppedClock,
    how: str,
) -> None:
    address, other = invited(client, submit, letters, family), app.test_client()
    guest = town.family(children=0, email=GUEST)
    if how == "retirée":
        assert submit(client, f"{page_of(family)}/retirer").status_code == 303
        assert submit(client, f"{page_of(family)}/retirer").status_code == 409
    elif how == "expirée":
        clock.moment += timedelta(days=14)
    sign_in(other, guest)
    if how == "refusée":
        assert submit(other, address, {"answer": "declined"}).status_code == 303
        assert [letter["Subject"] for letter in letters()] == ["Invitation refusée pour Louane"]
    assert other.get(address).status_code == 410
    assert submit(other, address, {"relation": "father"}).status_code == 410
    assert homes_of(read, family.beneficiary_ids[0]) == [(family.household_id, "mother")]
    assert "invité(e)" not in other.get("/mon-compte/filiations").text
    # Another one may be sent.
    sign_in(client, family)
    assert submit(client, f"{page_of(family)}/inviter", {"email": GUEST}).status_code == 303


def test_the_address_of_an_invitation_that_lapsed_is_forgotten(
    app: Flask,
    client: FlaskClient,
    submit: Submit,
    letters: SendLetters,
    read: OpenSession,
    family: Family,
    clock: StoppedClock,
) -> None:
    invited(client, submit, letters, family)
    with app.app_context():
        assert sweep() == 0
    assert states(read) == [("sent", GUEST)]
    clock.moment += timedelta(days=14)
    with app.app_context():
        assert sweep() == 1
    assert states(read) == [("revoked", None)]


def test_invitations_that_are_refused_change_nothing(
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    letters: SendLetters,
    read: OpenSession,
    family: Family,
) -> None:
    def refusal(email: str) -> str:
        answer = submit(client, f"{page_of(family)}/inviter", {"email": email})
        assert answer.status_code == 422
        return answer.text

    assert "celle de votre propre foyer" in refusal(family.email)
    assert "adresse e-mail complète" in refusal("pas une adresse")
    assert (states(read), letters()) == ([], [])
    invited(client, submit, letters, family)
    assert "Une invitation attend déjà une réponse" in refusal("un.autre@example.net")
    town.share(family, town.family(children=0))
    assert "déjà deux foyers" in refusal("un.troisieme@example.net")
    assert states(read) == [("sent", GUEST)]
    assert letters() == []
    unconfirmed = town.family(children=1, state="unconfirmed")
    sign_in(client, unconfirmed)
    answer = submit(client, f"{page_of(unconfirmed)}/inviter", {"email": GUEST})
    assert (answer.status_code, "Confirmez d’abord" in answer.text) == (422, True)


def test_only_the_person_invited_may_accept(
    app: Flask,
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    letters: SendLetters,
    read: OpenSession,
    family: Family,
) -> None:
    address = invited(client, submit, letters, family)
    before = homes_of(read, family.beneficiary_ids[0])
    for who, sentence in (
        (town.family(), "une autre adresse que celle de votre compte"),
        (family, "votre propre foyer"),
    ):
        other = app.test_client()
        sign_in(other, who)
        assert sentence in other.get(address).text
        for form in ({"relation": "father"}, {"answer": "declined"}):
            answer = submit(other, address, form)
            assert (answer.status_code, sentence in answer.text, GUEST in answer.text) == (409, True, False)
    clerk = app.test_client()
    sign_in(clerk, town.clerk())
    assert "pas celui d’une famille" in clerk.get(address).text
    assert submit(app.test_client(), address, {"relation": "father"}).headers["Location"].startswith("/connexion?next=")
    assert homes_of(read, family.beneficiary_ids[0]) == before
    assert states(read) == [("sent", GUEST)]


def test_the_same_child_typed_by_hand_must_go_first(
    town: Town,
    client: FlaskClient,
    sign_in: SignIn,
    submit: Submit,
    letters: SendLetters,
    read: OpenSession,
    write: OpenSession,
    family: Family,
) -> None:
    address = invited(client, submit, letters, family)
    guest = town.family(children=1, email=GUEST)
    with write() as db:
        names = {one.id: one for one in db.scalars(select(Beneficiary))}
        names[guest.beneficiary_ids[0]].last_name = names[family.beneficiary_ids[0]].last_name
    sign_in(client, guest)
    answer = submit(client, address, {"relation": "father"})
    assert (answer.status_code, "dans une fiche à part" in answer.text) == (409, True)
    assert len(homes_of(read, family.beneficiary_ids[0])) == 1
    submit(client, f"/mon-compte/filiations/{guest.beneficiary_ids[0]}/supprimer")
    assert submit(client, address, {"relation": "father"}).status_code == 303
    assert len(homes_of(read, family.beneficiary_ids[0])) == 2


def test_a_parent_who_comes_back_finds_no_third_home(
    town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, read: OpenSession, family: Family
) -> None:
    child, second, third = family.beneficiary_ids[0], town.family(children=0), town.family(children=0)
    town.share(family, second)
    with read() as db:
        last_name = db.scalars(select(Beneficiary.last_name).where(Beneficiary.id == child)).one()
    sign_in(client, second)
    submit(client, f"/mon-compte/filiations/{child}/supprimer")
    again = {"first_name": "Louane", "last_name": last_name, "relation": "father", "school_id": "0", "diet": "standard"}
    town.share(family, third)
    answer = submit(client, "/mon-compte/filiations/ajouter", again)
    assert (answer.status_code, "ne peut pas en avoir un troisième" in answer.text) == (422, True)
    assert {home for home, _relation in homes_of(read, child)} == {family.household_id, third.household_id}
    sign_in(client, third)
    submit(client, f"/mon-compte/filiations/{child}/supprimer")
    sign_in(client, second)
    assert submit(client, "/mon-compte/filiations/ajouter", again).status_code == 303
    assert {home for home, _relation in homes_of(read, child)} == {family.household_id, second.household_id}


def test_each_parent_sees_what_the_other_changed(
    app: Flask, town: Town, client: FlaskClient, sign_in: SignIn, submit: Submit, family: Family
) -> None:
    child, second = family.beneficiary_ids[0], town.family(children=0)
    form = {
        "first_name": "Louane",
        "last_name": "Martin",
        "relation": "mother",
        "birth_date": "2018-05-10",
        "school_id": str(town.aiguilhe.school_id),
        "class_name": "CE2",
        "diet": "vegetarian",
        "allergies": "Arachide",
    }
    # Nobody else reads it yet: nothing is kept.
    assert submit(client, f"/mon-compte/filiations/{child}", form).status_code == 303
    town.share(family, second)
    other = app.test_client()
    sign_in(other, second)
    assert "Ce qui a changé dans la fiche" not in other.get(page_of(family)).text
    # The relation is each one's own.
    assert submit(client, f"/mon-compte/filiations/{child}", form | {"relation": "guardian"}).status_code == 303
    assert "Ce qui a changé dans la fiche" not in other.get(page_of(family)).text
    changes = {"diet": "no_pork", "allergies": "Arachide, œuf"}
    assert submit(client, f"/mon-compte/filiations/{child}", form | changes).status_code == 303
    seen = other.get(page_of(family)).text
    assert "Régime et allergies" in seen
    assert "par l’autre parent, le jeudi 19 novembre 2026 à 8\u00a0h" in seen
    assert "par vous, le" in client.get(page_of(family)).text
    assert "Père" in other.get("/mon-compte/filiations").text


def test_who_closes_an_account_takes_back_what_it_asked(
    town: Town,
    client: FlaskClient,
    submit: Submit,
    letters: SendLetters,
    read: OpenSession,
    sign_in: SignIn,
) -> None:
    family = town.family(children=1)
    sign_in(client, family)
    address = invited(client, submit, letters, family)
    assert submit(client, "/mon-compte/fermer", {"current": "une phrase assez longue", "sure": "y"}).status_code == 303
    assert states(read) == [("revoked", None)]
    assert client.get(address).status_code == 410


def test_the_clerk_sees_both_homes(town: Town, client: FlaskClient, sign_in: SignIn, family: Family) -> None:
    second = town.family(children=0)
    child = town.share(family, second)
    sign_in(client, town.clerk())
    file = client.get(f"/mairie/familles/{family.household_id}").text
    assert "l’autre n’a rien demandé à votre mairie" in file
    assert second.email not in file
    town.enrol(second, child, town.aiguilhe.canteen, state="requested")
    for one, other in ((family, second), (second, family)):
        file = client.get(f"/mairie/familles/{one.household_id}").text
        assert "Deux foyers : aussi chez" in file
        assert f'href="/mairie/familles/{other.household_id}"' in file
