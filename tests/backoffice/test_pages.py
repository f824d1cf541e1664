"""The town hall's pages, as clerks see them."""

from collections.abc import Callable
from datetime import date

from flask.testing import FlaskClient

from tests.conftest import CountStatements, SignIn
from tests.factory import Town


def test_smoke(client: FlaskClient, town: Town, sign_in: SignIn) -> None:
    family = town.family(approved=False)
    town.enrol(family, family.beneficiary_ids[0], town.aiguilhe.canteen, "requested")
    other = town.family(balance_cents=5000)
    day = town.aiguilhe.canteen.open_days(town.now)[0]
    town.paid_order(other, town.aiguilhe.canteen, [day])
    sign_in(client, town.clerk())
    for url in [
        "",
        "/demandes",
        "/demandes/1",
        f"/jour?date={day}",
        "/jour",
        "/familles",
        "/familles?q=dupont2",
        "/familles/1",
        "/demandes?etat=traitees",
        "/demandes?etat=a-completer",
    ]:
        page = client.get("/mairie" + url)
        assert page.status_code == 200, (url, page.text)
