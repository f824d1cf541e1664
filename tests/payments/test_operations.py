"""Opening, moving and settling rows: what the tables and the table of moves refuse."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from payments.errors import AttemptUnderWay, MoveRefused
from payments.gateways.base import Notice, Started
from payments.models import Payment, PaymentEvent
from payments.operations import mark_sent, move, note_outcome, open_attempt, take_in
from payments.queries import due_for_asking, find_noticed, is_known
from shop.database import lock, reading, transaction
from tests.conftest import OpenSession
from tests.factory import Town
from tests.payments.attempts import open_top_up


def attempt(town: Town, order_id: int, household_id: int, account_id: int) -> Payment:
    with town.app.app_context(), transaction() as db:
        return open_attempt(
            db,
            purpose="order",
            regie_id=town.regie_id,
            household_id=household_id,
            account_id=account_id,
            order_id=order_id,
            cents=760,
            gateway_name="sandbox",
            live=False,
            hold=timedelta(minutes=30),
            back_to_basket=False,
            now=town.now,
        )


def test_one_attempt_at_a_time_and_numbered(town: Town, write: OpenSession) -> None:
    family = town.family(children=1)
    order_id, first_id = town.pending_order(
        family, town.aiguilhe.canteen, town.aiguilhe.canteen.open_days(town.now)[:2]
    )
    with pytest.raises(AttemptUnderWay) as refused:
        attempt(town, order_id, family.household_id, family.account_id)
    assert "déjà en cours" in refused.value.sentence
    with write() as db:
        (first,) = lock(db, Payment, [first_id])
        assert refused.value.payment_key == first.key
        move(db, first, "refused", town.now)
        assert (first.settled_at, first.pay_url) == (town.now, None)
    second = attempt(town, order_id, family.household_id, family.account_id)
    assert (second.attempt, second.state, second.currency) == (2, "created", "eur")
    assert second.expires_at == town.now + timedelta(minutes=30)
    assert len(second.key) == 32


def test_what_the_table_of_moves_refuses_raises(app: Flask, town: Town, write: OpenSession) -> None:
    payment = open_top_up(app, town, town.family())
    with write() as db:
        (row,) = lock(db, Payment, [payment.id])
        move(db, row, "confirmed", town.now)
    with write() as db:
        (row,) = lock(db, Payment, [payment.id])
        with pytest.raises(MoveRefused):
            move(db, row, "expired", town.now)


def test_sent_after_it_was_settled_keeps_the_outcome(app: Flask, town: Town, write: OpenSession) -> None:
    """The provider's notice may be quicker than the answer to our own call."""
    payment = open_top_up(app, town, town.family())
    with write() as db:
        (row,) = lock(db, Payment, [payment.id])
        move(db, row, "confirmed", town.now)
    with write() as db:
        row = mark_sent(db, payment.id, Started("ref", "https://pay.example.org/ref"))
        assert (row.state, row.provider_reference, row.pay_url) == ("confirmed", "ref", None)


def test_an_event_is_kept_once_and_its_outcome_written_once(app: Flask, town: Town, write: OpenSession) -> None:
    payment = open_top_up(app, town, town.family())
    notice = Notice("evt_1", "payment.paid", None, payment.key, live=False)
    with write() as db:
        event_id = take_in(db, "sandbox", notice, b"{}", town.now)
        assert event_id is not None
        assert take_in(db, "sandbox", notice, b"{}", town.now) is None
        assert take_in(db, "stripe", notice, b"{}", town.now) is not None
        note_outcome(db, event_id, payment.id, "topped_up")
    with app.app_context(), reading() as db:
        assert is_known(db, "sandbox", "evt_1")
        assert not is_known(db, "sandbox", "evt_2")
        found = find_noticed(db, "sandbox", notice)
        assert found is not None
        assert found.id == payment.id
        assert find_noticed(db, "stripe", notice) is None
        event = db.execute(
            select(PaymentEvent.outcome, PaymentEvent.payment_id).where(PaymentEvent.id == event_id)
        ).one()
        assert tuple(event) == ("topped_up", payment.id)
    with pytest.raises(DBAPIError, match="append-only"), write() as db:
        note_outcome(db, event_id, payment.id, "expired")


def test_when_a_provider_is_asked(app: Flask, town: Town) -> None:
    payment = open_top_up(app, town, town.family())

    def due(age: timedelta) -> bool:
        with app.app_context(), reading() as db:
            return [attempt.id for attempt in due_for_asking(db, town.now + age, 10)] == [payment.id]

    def asked(age: timedelta) -> None:
        with app.app_context(), transaction() as db:
            db.execute(update(Payment).values(checked_at=town.now + age))

    assert not due(timedelta(seconds=29))
    assert due(timedelta(seconds=30))
    asked(timedelta(seconds=30))
    assert not due(timedelta(seconds=59))
    assert due(timedelta(seconds=60))
    asked(timedelta(minutes=10))
    assert not due(timedelta(minutes=11))
    assert due(timedelta(minutes=12))
    asked(timedelta(minutes=29))
    assert due(timedelta(minutes=30)), "the moment it lapses, before its pause is over"
    asked(timedelta(minutes=30))
    assert not due(timedelta(minutes=31))
    asked(timedelta(hours=5))
    assert not due(timedelta(hours=5, minutes=9))
    assert due(timedelta(hours=5, minutes=10))
    asked(timedelta(days=9))
    assert not due(timedelta(days=9, minutes=59))
    assert due(timedelta(days=9, hours=1))
    with app.app_context(), transaction() as db:
        (row,) = lock(db, Payment, [payment.id])
        move(db, row, "expired", town.now)
    assert not due(timedelta(days=30))
