"""The test ground itself: a clean database each time, a town whose numbers start at one."""

import pytest
from sqlalchemy import func, select

from catalog.models import Regie
from tests.conftest import CountStatements, OpenSession
from tests.factory import Town
from wallet.models import LedgerAccount


@pytest.mark.parametrize("time", [1, 2])
def test_every_test_begins_with_an_empty_database(time: int, read: OpenSession) -> None:
    with read() as db:
        assert db.scalar(select(func.count()).select_from(Regie)) == 0


@pytest.mark.parametrize("time", [1, 2, 3])
def test_a_town_is_numbered_from_one(time: int, town: Town, read: OpenSession) -> None:
    family = town.family(children=2, balance_cents=5000)
    assert (town.regie_id, family.account_id) == (1, 1)
    days = town.aiguilhe.canteen.open_days(town.now)
    order = town.paid_order(family, town.aiguilhe.canteen, days[:3])
    town.cancel(family, town.reservation_ids(order)[0])
    with read() as db:
        assert db.scalar(select(LedgerAccount.balance_cents).filter_by(id=family.wallet_id)) == 5000 - 5 * 380


def test_statements_are_counted_alike_on_both_databases(
    town: Town, read: OpenSession, write: OpenSession, statements: CountStatements
) -> None:
    with statements() as seen:
        with read() as db:
            db.scalar(select(func.count()).select_from(Regie))
        with write() as db:
            db.scalar(select(func.count()).select_from(Regie))
    assert seen.count == 2, seen
