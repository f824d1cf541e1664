"""What "Mon compte" shows first."""

from flask.testing import FlaskClient

from checkout.jobs import verify_books
from shop.clock import StoppedClock
from tests.conftest import CountStatements, OpenSession, SignIn
from tests.factory import Town
from wallet.models import LedgerAccount


def test_the_days_ahead_the_deadline_and_what_to_do(
    town: Town, client: FlaskClient, sign_in: SignIn, clock: StoppedClock, statements: CountStatements
) -> None:
    family = town.family(children=2, balance_cents=5000)
    sign_in(client, family)
    days = town.aiguilhe.canteen.open_days(clock.now())
    assert "Aucun repas réservé" in client.get("/mon-compte").text
    town.paid_order(family, town.aiguilhe.canteen, days[:1])
    town.basket(family, town.aiguilhe.canteen, days[1:2])
    town.enrol(family, family.beneficiary_ids[0], town.aiguilhe.childcare, state="to_complete")
    with statements() as seen:
        html = client.get("/mon-compte").text
    assert seen.count <= 5, seen
    assert "Prochaine date limite" in html
    assert "2 repas attendent dans votre panier" in html
    assert "La mairie attend un complément" in html
    assert "Aucun repas réservé" not in html


def test_the_nightly_job_counts_what_does_not_hold(town: Town, write: OpenSession) -> None:
    family = town.family(balance_cents=500)
    with town.app.app_context():
        assert verify_books() == 0
    with write() as db:
        account = db.get_one(LedgerAccount, family.wallet_id)
        account.balance_cents += 1
    with town.app.app_context():
        assert verify_books() > 0
