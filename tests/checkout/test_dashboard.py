"""What "Mon compte" shows first."""

import re

from flask.testing import FlaskClient

from checkout.jobs import verify_books
from shop.clock import StoppedClock
from shop.french import day_long
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
    assert seen.count <= 6, seen
    assert "Prochaine date limite" in html
    assert "2 repas attendent dans votre panier" in html
    assert "La mairie attend un complément" in html
    assert "Aucun repas réservé" not in html


def test_the_deadline_is_of_a_day_on_which_somebody_is_not_booked(
    town: Town, client: FlaskClient, sign_in: SignIn, clock: StoppedClock
) -> None:
    family = town.family(children=2, balance_cents=5000)
    sign_in(client, family)
    canteen = town.aiguilhe.canteen
    first, second, third = canteen.open_days(clock.now())[:3]

    def named() -> list[str]:
        found = re.findall(
            r"Prochaine date limite pour réserver : .*?, pour le repas du (.*?) \(", client.get("/mon-compte").text
        )
        return [words.replace("\u00a0", " ") for words in found]

    assert named() == [day_long(first, False)]
    town.paid_order(family, canteen, [first])
    assert named() == [day_long(second, False)]
    # One child of two is booked: the other still can be.
    town.cancel(family, town.reservation_ids(town.paid_order(family, canteen, [second]))[0])
    assert named() == [day_long(second, False)]
    town.change_day(canteen, second, capacity=1)
    assert named() == [day_long(third, False)]


def test_the_nightly_job_counts_what_does_not_hold(town: Town, write: OpenSession) -> None:
    family = town.family(balance_cents=500)
    with town.app.app_context():
        assert verify_books() == 0
    with write() as db:
        account = db.get_one(LedgerAccount, family.wallet_id)
        account.balance_cents += 1
    with town.app.app_context():
        assert verify_books() > 0
