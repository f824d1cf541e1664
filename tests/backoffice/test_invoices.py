"""A clerk notes an unpaid invoice of elsewhere on a family's file, marks it paid, withdraws it."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, insert, select

from accounts.models import HouseholdMember
from enrolments.models import OutsideInvoice
from shop.models import AuditLine, Outbox
from tests.conftest import BooksHold, CountStatements, OpenSession, SendLetters, SignIn, Submit, as_typed
from tests.factory import Family, Person, Town

FORM = {"reference": "2026-0412", "amount": "45,20", "due_on": "2026-10-01"}


@pytest.fixture
def family(town: Town) -> Family:
    return town.family()


@pytest.fixture
def clerk(town: Town) -> Person:
    return town.clerk(role="cashier")


def invoices(read: OpenSession) -> list[tuple[str, int, str]]:
    with read() as db:
        rows = db.execute(
            select(OutsideInvoice.reference, OutsideInvoice.cents, OutsideInvoice.state).order_by(OutsideInvoice.id)
        )
        return [(reference, cents, state) for reference, cents, state in rows]


def everything(read: OpenSession) -> tuple[Any, ...]:
    """All that noting and closing may write."""
    with read() as db:
        return (*invoices(read), *(db.scalar(select(func.count()).select_from(table)) for table in (Outbox, AuditLine)))


def form_of(town: Town, **changes: str) -> dict[str, Any]:
    return {"regie": town.regie_id, **FORM, **changes}


def test_an_invoice_is_noted_and_marked_paid_once_whatever_is_clicked(
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    town: Town,
    family: Family,
    clerk: Person,
    read: OpenSession,
    letters: SendLetters,
    books_hold: BooksHold,
) -> None:
    sign_in(client, clerk)
    page = f"/mairie/familles/{family.household_id}"
    assert "Aucune facture impayée n’est notée." in client.get(page).text
    for _click in range(10):
        assert submit(client, f"{page}/factures", form_of(town, reference="  2026-0412\t")).status_code == 303
    assert invoices(read) == [("2026-0412", 4520, "open")]
    text = as_typed(client.get(page).text)
    assert "La facture 2026-0412 était déjà notée : rien n’a changé." in text
    assert "échéance le 1er octobre 2026" in text
    assert "Échue" in text
    (letter,) = letters()
    words = as_typed(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert letter["To"] == family.email
    for told in ("2026-0412", "45,20", "1er octobre 2026", "regie@agglo.example.org", "ne se paie pas sur ce site"):
        assert told in words
    with read() as db:
        invoice_id = db.scalars(select(OutsideInvoice.id)).one()
    assert f"/mairie/factures/{invoice_id}" in text
    assert "Confirmer : 45,20" in as_typed(client.get(f"/mairie/factures/{invoice_id}").text)
    for _click in range(10):
        assert submit(client, f"/mairie/factures/{invoice_id}/payee").status_code == 303
    assert invoices(read) == [("2026-0412", 4520, "paid")]
    (letter,) = letters()
    assert "payée" in letter["Subject"]
    answer = submit(client, f"/mairie/factures/{invoice_id}/retirer", {"reason": "Erreur."})
    assert (answer.status_code, "déjà notée comme payée" in answer.text) == (409, True)
    assert letters() == []
    assert "Confirmer :" not in as_typed(client.get(f"/mairie/factures/{invoice_id}").text)
    with read() as db:
        lines = db.execute(select(AuditLine.action, AuditLine.account_id, AuditLine.facts).order_by(AuditLine.number))
        trail = [(action, who, facts["reference"]) for action, who, facts in lines]
    assert trail == [
        ("invoice_noted", clerk.account_id, "2026-0412"),
        ("invoice_paid", clerk.account_id, "2026-0412"),
    ]
    # Paid is paid: its reference is not noted again.
    answer = submit(client, f"{page}/factures", form_of(town))
    assert (answer.status_code, "déjà notée pour cette famille, et payée" in answer.text) == (409, True)
    books_hold()


def test_an_invoice_that_was_noted_wrongly_is_withdrawn_with_a_reason_and_may_be_noted_again(
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    town: Town,
    family: Family,
    clerk: Person,
    read: OpenSession,
    letters: SendLetters,
) -> None:
    sign_in(client, clerk)
    page = f"/mairie/familles/{family.household_id}"
    submit(client, f"{page}/factures", form_of(town))
    letters()
    with read() as db:
        invoice_id = db.scalars(select(OutsideInvoice.id)).one()
    address, before = f"/mairie/factures/{invoice_id}/retirer", everything(read)
    for reason, sentence in (
        ("", "Écrivez le motif"),
        (" \n ", "Écrivez le motif"),
        ("x" * 301, "300 caractères au plus"),
    ):
        answer = submit(client, address, {"reason": reason})
        assert (answer.status_code, sentence in answer.text) == (422, True)
    assert "x" * 301 in answer.text
    assert everything(read) == before
    for _click in range(10):
        assert submit(client, address, {"reason": "Facture de la\nfamille Martin."}).status_code == 303
    assert invoices(read) == [("2026-0412", 4520, "withdrawn")]
    (letter,) = letters()
    assert "Facture de la famille Martin." in letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "Facture de la famille Martin." in client.get(page).text
    answer = submit(client, f"/mairie/factures/{invoice_id}/payee")
    assert (answer.status_code, "déjà retirée" in answer.text) == (409, True)
    assert submit(client, f"{page}/factures", form_of(town, amount="12")).status_code == 303
    assert invoices(read) == [("2026-0412", 4520, "withdrawn"), ("2026-0412", 1200, "open")]


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("reference", "", "Écrivez la référence"),
        ("reference", " \u00a0\t", "Écrivez la référence"),
        ("reference", "x" * 41, "40 caractères au plus"),
        ("amount", "", "Écrivez le montant"),
        ("amount", "12,345", "deux chiffres au plus après la virgule"),
        ("amount", "-5", "Écrivez un montant en euros"),
        ("amount", "1e9", "Écrivez un montant en euros"),
        ("amount", "١٢", "Écrivez un montant en euros"),
        ("amount", "0,00", "au-dessus de zéro"),
        ("amount", "100000,01", "trop grand"),
        ("due_on", "", "Choisissez la date"),
        ("due_on", "01/10/2026", "date"),
        ("due_on", "0001-01-01", "entre le 1er janvier 2000 et le 20 novembre 2027"),
        ("due_on", "1999-12-31", "entre le 1er janvier 2000 et le 20 novembre 2027"),
        ("due_on", "2027-11-21", "entre le 1er janvier 2000 et le 20 novembre 2027"),
        ("due_on", "9999-12-31", "entre le 1er janvier 2000 et le 20 novembre 2027"),
    ],
)
def test_a_wrong_form_is_told_at_its_field_and_kept(
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    town: Town,
    family: Family,
    clerk: Person,
    read: OpenSession,
    field: str,
    typed: str,
    sentence: str,
) -> None:
    sign_in(client, clerk)
    before = everything(read)
    form = form_of(town, **{field: typed})
    answer = submit(client, f"/mairie/familles/{family.household_id}/factures", form)
    assert answer.status_code == 422
    assert sentence in as_typed(answer.text)
    assert "Une information est à corriger" in answer.text
    assert all(f'value="{form[name]}"' in answer.text for name in FORM if form[name].strip())
    assert everything(read) == before


@pytest.mark.parametrize(("typed", "cents"), [("1 500,5 €", 150050), ("0,01", 1), ("100000", 10_000_000)])
def test_amounts_are_read_as_people_type_them(
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    town: Town,
    family: Family,
    clerk: Person,
    read: OpenSession,
    typed: str,
    cents: int,
) -> None:
    sign_in(client, clerk)
    assert (
        submit(client, f"/mairie/familles/{family.household_id}/factures", form_of(town, amount=typed)).status_code
        == 303
    )
    assert invoices(read) == [("2026-0412", cents, "open")]


def test_a_reference_that_stands_for_something_else_is_told_at_its_field(
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    town: Town,
    family: Family,
    clerk: Person,
    read: OpenSession,
) -> None:
    sign_in(client, clerk)
    other = town.family()
    assert submit(client, f"/mairie/familles/{other.household_id}/factures", form_of(town)).status_code == 303
    before = everything(read)
    answer = submit(client, f"/mairie/familles/{family.household_id}/factures", form_of(town))
    assert answer.status_code == 409
    assert "est déjà notée, pour une autre famille" in answer.text
    assert 'value="45,20"' in answer.text
    assert other.email not in answer.text
    answer = submit(client, f"/mairie/familles/{other.household_id}/factures", form_of(town, amount="45,21"))
    assert answer.status_code == 409
    assert "45,20\u00a0€, échéance le 1er octobre 2026" in as_typed(answer.text)
    assert everything(read) == before
    # Another régie counts its own.
    voisine = town.another_regie()
    town.enrol(family, family.beneficiary_ids[0], voisine.canteen)
    sign_in(client, town.clerk(voisine))
    form = form_of(town) | {"regie": voisine.regie_id}
    assert submit(client, f"/mairie/familles/{family.household_id}/factures", form).status_code == 303


def test_nobody_else_notes_sees_or_closes_it(
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    town: Town,
    family: Family,
    clerk: Person,
    read: OpenSession,
) -> None:
    sign_in(client, clerk)
    file = f"/mairie/familles/{family.household_id}"
    submit(client, f"{file}/factures", form_of(town))
    with read() as db:
        invoice_id = db.scalars(select(OutsideInvoice.id)).one()
    before, voisine = everything(read), town.another_regie()
    posts: list[tuple[str, dict[str, Any]]] = [
        (f"{file}/factures", form_of(town, reference="AUTRE")),
        (f"/mairie/factures/{invoice_id}/payee", {}),
        (f"/mairie/factures/{invoice_id}/retirer", {"reason": "Erreur."}),
    ]
    # A commune that the family has asked for nothing, of this régie and of another one; roles that may not.
    strangers = [(town.clerk(town.coubon), 404), (town.clerk(voisine), 404)]
    for who, status in [
        *strangers,
        (town.clerk(role="auditor"), 403),
        (town.clerk(role="kitchen"), 403),
        (family, 403),
    ]:
        sign_in(client, who)
        for address, form in posts:
            assert submit(client, address, form).status_code == status, (who, address)
        assert client.get(f"/mairie/factures/{invoice_id}").status_code == status
    # An auditor reads the file, without the buttons.
    sign_in(client, town.clerk(role="auditor"))
    page = client.get(file).text
    assert "2026-0412" in page
    assert "/mairie/factures/" not in page
    assert "Noter une facture impayée" not in page
    # A régie that is none, or another's; an invoice that is none; a family that asked for nothing.
    sign_in(client, clerk)
    for regie in ("", "0", "x", str(voisine.regie_id)):
        assert submit(client, f"{file}/factures", form_of(town) | {"regie": regie}).status_code == 404
    assert client.get("/mairie/factures/999999").status_code == 404
    stranger = town.family(approved=False)
    assert submit(client, f"/mairie/familles/{stranger.household_id}/factures", form_of(town)).status_code == 404
    assert everything(read) == before


def test_a_clerk_does_not_deal_with_her_own_familys_invoices(
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    town: Town,
    family: Family,
    clerk: Person,
    read: OpenSession,
    write: OpenSession,
) -> None:
    sign_in(client, clerk)
    submit(client, f"/mairie/familles/{family.household_id}/factures", form_of(town))
    with write() as db:
        db.execute(
            insert(HouseholdMember).values(household_id=family.household_id, account_id=clerk.account_id, role="co")
        )
    before = everything(read)
    with read() as db:
        invoice_id = db.scalars(select(OutsideInvoice.id)).one()
    for address, form in (
        (f"/mairie/familles/{family.household_id}/factures", form_of(town, reference="AUTRE")),
        (f"/mairie/factures/{invoice_id}/payee", {}),
        (f"/mairie/factures/{invoice_id}/retirer", {"reason": "Erreur."}),
    ):
        answer = submit(client, address, form)
        assert (answer.status_code, "Cette famille est la vôtre" in answer.text) == (403, True)
    assert everything(read) == before


def test_the_file_has_no_statement_more_with_many_invoices(
    client: FlaskClient,
    submit: Submit,
    sign_in: SignIn,
    town: Town,
    family: Family,
    clerk: Person,
    statements: CountStatements,
) -> None:
    sign_in(client, clerk)
    page = f"/mairie/familles/{family.household_id}"
    counts = []
    for number in range(4):
        submit(client, f"{page}/factures", form_of(town, reference=f"F-{number}"))
        client.get(page)
        with statements() as seen:
            client.get(page)
        counts.append(seen.count)
    assert len(set(counts)) == 1, counts
