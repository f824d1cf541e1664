"""The checker finds what is wrong. A checker that cannot fail is a lie: every check has its planted violation here."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import pytest
from flask import Flask
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from catalog.models import SchoolPlace
from checkout import books, call_off, waiting
from checkout.call_off import Affected, Plan, Scope
from checkout.dues import settle
from checkout.place import Buyer, pay_from_wallet
from checkout.unbooked import note_eaten, strike_off
from orders.models import FreedMeal
from shop import audit
from tests.conftest import OpenSession, as_typed
from tests.factory import Town, add

LIVE_BASKET = """
    INSERT INTO baskets (id, household_id, regie_id, state, created_at, changed_at)
    SELECT {id}, household_id, regie_id, '{state}', created_at, changed_at FROM baskets LIMIT 1"""

LINK_THAT_BOOKED = """
    INSERT INTO reminders (account_id, household_id, kind, about, written_at, token_hash, answer, order_id)
    SELECT {account}, {household}, 'week', '2026-11-23', placed_at, 'x', 'booked', id FROM orders LIMIT 1"""
ANOTHER_FREED = """
    INSERT INTO freed_meals (id, reservation_id, service_day_id, state, offered_at, offered_by_id, taker_id)
    SELECT 990 + giver, giver, service_day_id, '{state}', offered_at, offered_by_id, {taker}
    FROM freed_meals, ({givers}) AS givers"""

PLANTS: dict[str, list[str]] = {
    "enfants de plus de deux foyers": [
        """
        INSERT INTO household_beneficiaries (id, household_id, beneficiary_id, relation, position)
        SELECT 900 + n.number, 900 + n.number, 1, 'other', 0 FROM (SELECT 1 AS number UNION ALL SELECT 2) AS n
        """,
    ],
    "calendriers de garde convenus avec un foyer qui n’a jamais été celui de l’enfant": [
        """
        INSERT INTO custody_calendars (id, beneficiary_id, even_home_id, odd_home_id, state)
        SELECT 900, beneficiary_id, household_id, 999, 'agreed' FROM household_beneficiaries LIMIT 1
        """,
    ],
    "écritures dont les lignes ne tombent pas à zéro": ["UPDATE postings SET cents = cents + 1 WHERE id = 1"],
    "écritures sans aucune ligne": ["DELETE FROM postings WHERE entry_id = 1"],
    "régies dont les comptes ne tombent pas à zéro": [
        "UPDATE ledger_accounts SET balance_cents = balance_cents + 1 WHERE kind = 'sales'",
    ],
    "lignes sans leur écriture ou leur compte, ou à cheval sur deux régies": [
        "UPDATE postings SET ledger_account_id = 999 WHERE id = 1",
        "UPDATE postings SET entry_id = 999 WHERE id = 1",
        "UPDATE postings SET regie_id = 2 WHERE id = 1",
    ],
    "comptes dont le solde n’est pas la somme de leurs lignes": [
        "UPDATE ledger_accounts SET balance_cents = balance_cents + 1 WHERE kind = 'wallet'",
        "DELETE FROM postings WHERE ledger_account_id = (SELECT min(id) FROM ledger_accounts WHERE kind = 'sales')",
    ],
    "lignes dont le solde après coup n’est pas la somme des lignes jusque-là": [
        "UPDATE postings SET balance_cents = balance_cents + 1 WHERE id = 1",
    ],
    "lignes qui laissent un porte-monnaie sous zéro": [
        "UPDATE postings SET balance_cents = -1 WHERE ledger_account_id = 1",
    ],
    "porte-monnaie sous zéro": ["UPDATE ledger_accounts SET balance_cents = -1 WHERE kind = 'wallet'"],
    "comptes de montants dus au-dessus de zéro": [
        "UPDATE ledger_accounts SET balance_cents = 1 WHERE kind = 'receivable'",
    ],
    "familles dont le compte de montants dus n’est pas la somme de leurs repas dus": [
        "UPDATE ledger_accounts SET balance_cents = balance_cents - 1 WHERE kind = 'receivable' AND balance_cents < 0",
        "UPDATE unbooked_meals SET state = 'paid', settled_at = noted_at WHERE state = 'due'",
        "UPDATE unbooked_meals SET household_id = 1 WHERE state = 'due'",
        "UPDATE unbooked_meals SET cents = cents + 1 WHERE state = 'due'",
    ],
    "comptes tenus en double": [
        (
            "INSERT INTO ledger_accounts (id, regie_id, kind, household_id, balance_cents)"
            " SELECT 999, regie_id, kind, household_id, 0 FROM ledger_accounts WHERE kind = 'sales'"
        ),
    ],
    "contre-passations qui ne disent pas ce qu’elles annulent, ou écritures annulées deux fois": [
        "UPDATE journal_entries SET kind = 'reversal' WHERE id = 2",
        "UPDATE journal_entries SET kind = 'reversal', reverses_id = 1 WHERE id IN (2, 3)",
    ],
    "contre-passations qui n’annulent pas exactement leur original": [
        "UPDATE journal_entries SET kind = 'reversal', reverses_id = 1 WHERE id = 2",
    ],
    "paiements reçus qui n’ont pas exactement une écriture, ou écritures d’un paiement qui n’est pas reçu": [
        "UPDATE payments SET state = 'expired' WHERE id = 1",
        "UPDATE payments SET state = 'quarantined' WHERE id = 1",
        "UPDATE payments SET state = 'confirmed' WHERE state = 'sent'",
        "DELETE FROM journal_entries WHERE payment_id = 1",
        "UPDATE journal_entries SET payment_id = 1 WHERE kind = 'card_payment'",
    ],
    "écritures de carte sans leur paiement, d’une autre régie, ou d’un genre qui n’est pas le sien": [
        "UPDATE journal_entries SET payment_id = NULL WHERE kind = 'top_up'",
        "UPDATE payments SET regie_id = 2 WHERE id = 1",
        "UPDATE journal_entries SET kind = 'late_payment' WHERE kind = 'top_up'",
    ],
    "écritures dont le montant n’est pas celui du paiement, ou crédité ailleurs que là où il doit l’être": [
        "UPDATE payments SET cents = cents + 1 WHERE id = 1",
        "UPDATE payments SET household_id = 2 WHERE id = 1",
    ],
    "écritures dont la clé ne dit pas ce qu’elles concernent": [
        "UPDATE journal_entries SET key = 'x' WHERE kind = 'top_up'",
        "UPDATE journal_entries SET key = 'x' WHERE kind = 'wallet_payment'",
        "UPDATE journal_entries SET key = 'x' WHERE kind = 'cancelled_meal'",
        "UPDATE journal_entries SET key = 'x' WHERE kind = 'unbooked_meal' AND reverses_id IS NULL",
        "UPDATE journal_entries SET key = 'x' WHERE kind = 'due_settled'",
        "UPDATE journal_entries SET key = (SELECT key FROM journal_entries WHERE id = 1) WHERE id = 2",
    ],
    "commandes dont le total n’est pas la somme des repas": [
        "UPDATE orders SET total_cents = total_cents + 1 WHERE id = 1",
        "UPDATE reservations SET cents = cents - 1 WHERE id = 1",
        "DELETE FROM reservations WHERE order_id = 1",
    ],
    "commandes payées sans exactement une écriture de paiement, ou écritures d’une commande qui n’est pas payée": [
        "DELETE FROM journal_entries WHERE kind = 'wallet_payment'",
        "UPDATE journal_entries SET kind = 'adjustment' WHERE kind = 'card_payment'",
        "UPDATE orders SET state = 'pending', paid_at = NULL WHERE id = 1",
        "UPDATE orders SET state = 'paid' WHERE state = 'pending'",
    ],
    "paiements de commande qui ne sont pas de son total, de sa régie ou de sa famille": [
        "UPDATE orders SET total_cents = total_cents + 1 WHERE id = 1",
        "UPDATE orders SET household_id = 2 WHERE id = 1",
        "UPDATE orders SET regie_id = 2 WHERE id = 1",
        "UPDATE journal_entries SET order_id = 1 WHERE kind = 'card_payment'",
        "UPDATE journal_entries SET order_id = NULL WHERE kind = 'wallet_payment'",
    ],
    "repas annulés qui n’ont pas été recrédités": ["DELETE FROM journal_entries WHERE kind = 'cancelled_meal'"],
    "repas recrédités deux fois": [
        (
            "UPDATE journal_entries SET kind = 'cancelled_meal', reservation_id ="
            " (SELECT reservation_id FROM journal_entries WHERE kind = 'cancelled_meal') WHERE id = 1"
        ),
    ],
    "crédits d’un repas qui n’est pas annulé, ou qui ne sont pas du montant promis, à la famille qui l’a payé": [
        "UPDATE reservations SET state = 'confirmed', cancelled_at = NULL WHERE state = 'cancelled'",
        "UPDATE reservations SET credit_cents = credit_cents + 1 WHERE state = 'cancelled'",
        "UPDATE orders SET household_id = 2 WHERE id = 1",
    ],
    "repas d’une autre famille que celle de la commande": ["UPDATE reservations SET household_id = 2 WHERE id = 1"],
    "repas sans réservation dont les écritures ne vont pas avec leur état": [
        "UPDATE unbooked_meals SET state = 'paid', settled_at = noted_at WHERE state = 'due'",
        "UPDATE unbooked_meals SET state = 'due', settled_at = NULL WHERE state = 'paid'",
        "UPDATE unbooked_meals SET state = 'due', struck_at = NULL WHERE state = 'struck'",
        "UPDATE unbooked_meals SET state = 'struck', struck_at = noted_at WHERE state = 'due'",
        "UPDATE unbooked_meals SET cents = cents + 1 WHERE state = 'paid'",
        "UPDATE unbooked_meals SET household_id = 1 WHERE state = 'paid'",
        "UPDATE unbooked_meals SET regie_id = 2 WHERE state = 'paid'",
        "DELETE FROM journal_entries WHERE kind = 'unbooked_meal'",
        "DELETE FROM journal_entries WHERE kind = 'due_settled'",
        "DELETE FROM journal_entries WHERE kind = 'reversal'",
        "UPDATE journal_entries SET unbooked_meal_id = NULL WHERE kind = 'unbooked_meal'",
    ],
    "écritures de repas sans réservation sans leur repas, ou d’un autre genre": [
        "UPDATE journal_entries SET unbooked_meal_id = NULL WHERE kind = 'due_settled'",
        "UPDATE journal_entries SET kind = 'adjustment' WHERE kind = 'unbooked_meal'",
    ],
    "repas notés deux fois pour le même enfant, ou à la fois réservés et notés sans réservation": [
        (
            "UPDATE unbooked_meals SET (beneficiary_id, service_day_id) ="
            " (SELECT beneficiary_id, service_day_id FROM unbooked_meals WHERE id = 1) WHERE state = 'due'"
        ),
        (
            "UPDATE reservations SET (beneficiary_id, service_day_id) ="
            " (SELECT beneficiary_id, service_day_id FROM unbooked_meals WHERE id = 1) WHERE state = 'confirmed'"
        ),
    ],
    "repas sans réservation notés pour un enfant qui n’avait pas d’inscription validée ce jour-là": [
        "UPDATE enrolments SET state = 'requested'",
        "UPDATE enrolments SET valid_from = '2026-11-18'",
        "UPDATE unbooked_meals SET tariff_id = 2 WHERE state = 'due'",
        "UPDATE unbooked_meals SET household_id = 1 WHERE state = 'due'",
    ],
    "repas sans réservation notés ou retirés sans que le journal le dise": [
        "DELETE FROM audit_lines WHERE action = 'unbooked_noted'",
        "DELETE FROM audit_lines WHERE action = 'unbooked_struck'",
    ],
    "repas sans réservation retirés par une annulation de la mairie qui n’a pas eu lieu, ou d’un autre jour": [
        "UPDATE call_offs SET state = 'planned'",
        "UPDATE call_offs SET picnic = true",
        "UPDATE call_offs SET service_day_id = 1",
        "DELETE FROM call_offs",
        "UPDATE unbooked_meals SET state = 'due' WHERE call_off_id IS NOT NULL",
        "UPDATE call_offs SET asked_at = '2026-01-01 00:00:00.000000'",
    ],
    "repas sans réservation à un prix, un tarif, un service ou une régie qui ne vont pas ensemble": [
        "UPDATE unbooked_meals SET tariff_price_id = 2 WHERE id = 1",
        "UPDATE unbooked_meals SET tariff_id = 3, tariff_price_id = 3 WHERE id = 1",
        "UPDATE unbooked_meals SET regie_id = 2 WHERE id = 1",
        "DELETE FROM tariff_prices WHERE id = 1",
    ],
    "repas réservés deux fois pour le même enfant": [
        (
            "UPDATE reservations SET (beneficiary_id, service_day_id) ="
            " (SELECT beneficiary_id, service_day_id FROM reservations WHERE id = 2) WHERE id = 3"
        ),
    ],
    "jours dont le nombre de places prises n’est pas exact, ou dépasse la capacité": [
        "UPDATE service_days SET booked_count = booked_count + 1 WHERE id = 1",
        "UPDATE service_days SET booked_count = 0 WHERE booked_count > 0",
        "UPDATE service_days SET capacity = 1 WHERE booked_count > 1",
        "DELETE FROM waiting_entries WHERE state = 'offered'",
        "UPDATE freed_meals SET state = 'held', taker_id = 1",
    ],
    "repas rendus dont l’état ne va pas avec celui des deux repas, ou d’un autre jour": [
        "UPDATE reservations SET state = 'released' WHERE id = (SELECT reservation_id FROM freed_meals)",
        "UPDATE freed_meals SET service_day_id = service_day_id + 1",
        # Held or taken by a meal of another day; held by one that is paid already; taken, but the first was not cancelled.
        "UPDATE freed_meals SET state = 'held', taker_id = 1",
        "UPDATE freed_meals SET state = 'held', taker_id = reservation_id",
        "UPDATE freed_meals SET state = 'taken', taker_id = reservation_id",
        "UPDATE freed_meals SET reservation_id = 999",
        "UPDATE freed_meals SET state = 'taken'",
        # Taken by a meal that is not paid yet.
        ANOTHER_FREED.format(
            givers="SELECT min(id) AS giver FROM reservations WHERE state = 'cancelled'",
            state="taken",
            taker="(SELECT min(id) FROM reservations WHERE state = 'held')",
        ),
    ],
    "repas rendus deux fois, repris deux fois, ou repris par la famille qui les a rendus": [
        ANOTHER_FREED.format(givers="SELECT reservation_id AS giver FROM freed_meals", state="offered", taker="NULL"),
        ANOTHER_FREED.format(givers="SELECT 1 AS giver UNION SELECT 3", state="held", taker="2"),
        "UPDATE freed_meals SET state = 'held', taker_id = reservation_id",
    ],
    "écoles dont le nombre de places prises un jour n’est pas exact, ou dépasse leur limite": [
        "UPDATE school_places SET booked_count = booked_count + 1",
        "UPDATE school_places SET booked_count = 0 WHERE booked_count > 0",
        "UPDATE school_places SET capacity = 1 WHERE booked_count > 1",
        "UPDATE waiting_entries SET school_id = NULL WHERE state = 'offered'",
        "UPDATE reservations SET school_id = NULL WHERE state = 'confirmed'",
    ],
    "enfants inscrits deux fois sur la liste d’attente d’un jour, ou dont la famille a déjà le repas": [
        (
            "INSERT INTO waiting_entries SELECT 999, household_id, beneficiary_id, service_day_id, account_id, state,"
            " asked_at, offered_at, offered_until, school_id, ended_at, order_id FROM waiting_entries"
            " WHERE state = 'waiting'"
        ),
        "UPDATE waiting_entries SET state = 'waiting', ended_at = NULL WHERE state = 'taken'",
    ],
    "places de la liste d’attente dont l’offre, la fin ou la commande ne vont pas ensemble": [
        "UPDATE waiting_entries SET order_id = NULL WHERE state = 'taken'",
        "UPDATE waiting_entries SET order_id = 1 WHERE state = 'taken'",
        "UPDATE waiting_entries SET state = 'lapsed' WHERE state = 'taken'",
        "UPDATE waiting_entries SET state = 'taken' WHERE state = 'waiting'",
        "UPDATE waiting_entries SET ended_at = NULL WHERE state = 'taken'",
        "UPDATE waiting_entries SET offered_until = NULL WHERE state = 'offered'",
        "UPDATE waiting_entries SET offered_at = NULL WHERE state = 'offered'",
        "UPDATE waiting_entries SET state = 'offered' WHERE state = 'waiting'",
    ],
    "repas dont l’état ne va pas avec celui de la commande": [
        "UPDATE reservations SET state = 'released' WHERE id = 2",
        "UPDATE orders SET state = 'expired' WHERE state = 'pending'",
    ],
    "repas réservés sans inscription validée à ce tarif ce jour-là": [
        "UPDATE enrolments SET state = 'requested'",
        "UPDATE enrolments SET valid_until = '2026-11-01'",
        "UPDATE enrolments SET valid_from = '2027-01-01'",
        "UPDATE enrolments SET tariff_id = 2",
        "UPDATE enrolments SET household_id = 999",
        # Revoked before the order was placed.
        "UPDATE enrolments SET state = 'revoked'",
    ],
    "repas annulés après l’heure limite sans que le journal dise pourquoi": [
        "UPDATE reservations SET cancelled_at = cancel_deadline_at WHERE state = 'cancelled'",
    ],
    "annulations de la mairie qui n’ont pas annulé ce qu’elles disent": [
        "UPDATE call_offs SET meals = 1",
        "UPDATE call_offs SET picnic = true, meals = 1",
        "UPDATE reservations SET call_off_id = 1 WHERE state = 'cancelled'",
    ],
    "repas vendus à un prix, un tarif ou un service qui ne vont pas ensemble, ou par une autre régie": [
        "UPDATE reservations SET tariff_price_id = 2 WHERE id = 1",
        "UPDATE reservations SET tariff_id = 3, tariff_price_id = 3 WHERE id = 1",
        "UPDATE orders SET regie_id = 2 WHERE id = 1",
        "DELETE FROM tariff_prices WHERE id = 1",
    ],
    "prix d’un même tarif qui se chevauchent": [
        "INSERT INTO tariff_prices (id, tariff_id, valid_from, cents) VALUES (999, 1, '2026-12-01', 400)",
    ],
    "paniers commandés deux fois": ["UPDATE orders SET basket_id = 1 WHERE id IN (1, 2)"],
    "familles avec deux paniers en cours dans une régie": [
        LIVE_BASKET.format(id=998, state="open"),
    ],
    "rappels dont le lien a réservé pour une autre famille": [
        LINK_THAT_BOOKED.format(household="999", account="account_id"),
        LINK_THAT_BOOKED.format(household="household_id", account="999"),
    ],
    "paniers en cours de paiement sans commande en attente, ou l’inverse": [
        "UPDATE baskets SET state = 'completing'",
        "UPDATE orders SET basket_id = 1 WHERE state = 'pending'",
    ],
    "régies dont les paiements reçus par carte ne sont pas ceux des comptes": [
        "UPDATE payments SET cents = cents + 1 WHERE id = 1",
        "UPDATE ledger_accounts SET balance_cents = balance_cents - 1 WHERE kind = 'card_clearing'",
    ],
    "commandes payées sans e-mail de confirmation": ["DELETE FROM outbox WHERE key = 'order_paid:1'"],
    "e-mails de confirmation en trop": [
        (
            "INSERT INTO outbox (id, key, kind, recipient, facts, created_at, due_at, tries)"
            " SELECT 999, 'order_paid:999', kind, recipient, facts, created_at, due_at, tries FROM outbox"
            " WHERE kind = 'order_paid' LIMIT 1"
        ),
    ],
}


@pytest.fixture
def busy_town(town: Town, write: OpenSession) -> Town:
    """Two families: orders paid from the wallet, paid by card, awaited; a cancelled meal, one that is given back; an open
    basket; an outing; an audit trail. A full day: a place of the waiting list that is taken, one offered, one awaited. A
    third family whose children ate without a booking: due, settled, struck off, paid, called off."""
    family, other = town.family(balance_cents=5000), town.family(balance_cents=2000)
    days = town.aiguilhe.canteen.open_days(town.now)
    order_id = town.paid_order(family, town.aiguilhe.canteen, days[:2])
    town.cancel(family, town.reservation_ids(order_id)[0])
    paid = town.paid_order(other, town.aiguilhe.canteen, days[:3], settlement="card")
    town.pending_order(other, town.aiguilhe.canteen, days[4:6])
    town.basket(family, town.aiguilhe.canteen, days[6:8])
    clerk, outing = town.clerk(), Scope(town.aiguilhe.canteen.day_ids[days[9]])
    with write() as db:
        plan = Plan(outing, "outing", "Sortie au lac.")
        called_off = call_off.plan(db, plan, Affected(0, 0, 0), clerk.account_id, town.now)
    given = town.reservation_ids(paid)[-1]
    full = days[11]
    town.limit_school(town.aiguilhe.canteen, full, 3)
    town.paid_order(family, town.aiguilhe.canteen, [full], settlement="card")
    first, second, third = (town.family(children=1, balance_cents=1000) for _ in range(3))
    for waits in (first, second):
        town.wait(waits, town.aiguilhe.canteen, full)
    with write() as db:
        waiting.turn(db, town.aiguilhe.canteen.day_ids[full], town.now)
    town.change_day(town.aiguilhe.canteen, full, capacity=4)
    with write() as db:
        db.execute(update(SchoolPlace).values(capacity=4))
        waiting.turn(db, town.aiguilhe.canteen.day_ids[full], town.now)
    town.wait(third, town.aiguilhe.canteen, full)
    basket_id = town.basket(first, town.aiguilhe.canteen, [full])
    with write() as db:
        pay_from_wallet(db, Buyer(first.household_id, first.account_id, first.email), basket_id, None, town.now)
    with write() as db:
        facts = {"service_day_id": town.aiguilhe.canteen.day_ids[days[2]], "offered_by_id": other.account_id}
        add(db, FreedMeal, reservation_id=given, state="offered", offered_at=town.now, **facts)
        call_off.carry_out(db, called_off, town.now)
        for number in range(3):
            audit.note(db, town.regie_id, None, "tested", f"thing:{number}", {"n": number}, town.now)
    _eat_without_booking(town, write, clerk.account_id)
    return town


def _eat_without_booking(town: Town, write: OpenSession, clerk_id: int) -> None:
    family, canteen = town.family(children=2), town.aiguilhe.canteen
    first, second = (canteen.day_ids[date(2026, 11, day)] for day in (16, 17))
    with write() as db:
        places = [(first, 0), (first, 1), (second, 0)]
        meals = [
            note_eaten(db, day_id, family.enrolment_ids[child], 380, clerk_id, town.now)[0] for day_id, child in places
        ]
        strike_off(db, [town.aiguilhe.id], meals[2], "Absent ce jour-là.", clerk_id, town.now)
    town.top_up(family, 760)
    with write() as db:
        buyer = Buyer(family.household_id, family.account_id, family.email)
        assert settle(db, buyer, meals[:1], 380, town.now) == 380
        _meal, fresh = note_eaten(db, second, family.enrolment_ids[1], 380, clerk_id, town.now)
        assert fresh
    scope = Scope(canteen.day_ids[date(2026, 11, 19)], town.aiguilhe.school_id)
    with write() as db:
        note_eaten(db, scope.service_day_id, family.enrolment_ids[0], 380, clerk_id, town.now)
        seen = call_off.affected(db, scope)
        assert seen.unbooked == 1
        strike = call_off.plan(db, Plan(scope, "strike", "Grève."), seen, clerk_id, town.now)
        call_off.carry_out(db, strike, town.now)


@contextmanager
def without_fences(app: Flask, *tables: str) -> Iterator[Session]:
    """A session in which these tables have no constraint and no trigger; all of it is undone at the end."""
    database = app.extensions["shop.database"]
    with database.engine.connect().execution_options(begin=None) as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("BEGIN")
        for table in tables:
            connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_before")
            connection.exec_driver_sql(f"CREATE TABLE {table} AS SELECT * FROM {table}_before")
        with Session(bind=connection) as db:
            yield db
        connection.rollback()
        connection.invalidate()


def sentences(db: Session) -> set[str]:
    return {finding.sentence for finding in books.check(db)}


def test_clean_books_have_no_finding(busy_town: Town, read: OpenSession) -> None:
    with read() as db:
        assert books.check(db) == []


def test_an_empty_database_has_no_finding(read: OpenSession) -> None:
    with read() as db:
        assert books.check(db) == []


def test_every_check_has_a_planted_violation() -> None:
    assert {check.sentence for check in books.CHECKS} == set(PLANTS)


def test_a_planted_violation_is_found(
    busy_town: Town, app: Flask, read: OpenSession, subtests: pytest.Subtests
) -> None:
    for sentence, plant in ((sentence, plant) for sentence, plants in PLANTS.items() for plant in plants):
        with subtests.test(sentence, plant=plant):
            words = re.search(r"(?:UPDATE|DELETE FROM|INSERT INTO) (\w+)", plant)
            assert words is not None
            statement = plant
            if "'revoked'" in plant:
                zone = "" if app.extensions["shop.database"].is_sqlite else "+00"
                statement += f", decided_at = '{busy_town.now - timedelta(days=1):%Y-%m-%d %H:%M:%S.%f}{zone}'"
            # Undone after each, so that one town serves them all.
            with without_fences(app, words[1]) as db:
                changed = db.execute(text(statement))
                assert changed.rowcount != 0, "the plant changed nothing"  # type: ignore[attr-defined]
                assert sentence in sentences(db)
    with read() as db:
        assert books.check(db) == []


def test_a_meal_of_a_right_revoked_later_is_in_order(busy_town: Town, read: OpenSession, write: OpenSession) -> None:
    with write() as db:
        db.execute(text("UPDATE enrolments SET state = 'revoked'"))
        db.execute(text("UPDATE enrolments SET decided_at = (SELECT max(placed_at) FROM orders)"))
    with read() as db:
        assert books.check(db) == []


def test_a_late_cancellation_that_the_trail_explains_is_in_order(
    busy_town: Town, app: Flask, write: OpenSession
) -> None:
    with without_fences(app, "reservations") as db:
        db.execute(text("UPDATE reservations SET cancelled_at = cancel_deadline_at WHERE state = 'cancelled'"))
        assert sentences(db) == {"repas annulés après l’heure limite sans que le journal dise pourquoi"}
        audit.note(db, busy_town.regie_id, None, "cancelled late", "reservation:1", {"why": "strike"}, busy_town.now)
        assert sentences(db) == set()


def test_a_missing_trigger_is_found(busy_town: Town, app: Flask) -> None:
    with without_fences(app) as db:
        if app.extensions["shop.database"].is_sqlite:
            db.execute(text("DROP TRIGGER postings_no_update"))
            expected: tuple[str, ...] = ("postings: update",)
        else:
            db.execute(text("ALTER TABLE postings DISABLE TRIGGER append_only"))
            expected = ("postings: delete", "postings: update")
        (finding,) = books.check(db)
        assert (finding.invariant, finding.examples) == (3, expected)


def test_a_missing_sum_trigger_is_found_on_postgresql(busy_town: Town, app: Flask) -> None:
    if app.extensions["shop.database"].is_sqlite:
        pytest.skip("SQLite has no deferred trigger")
    with without_fences(app) as db:
        db.execute(text("DROP TRIGGER balanced ON postings"))
        (finding,) = books.check(db)
        assert finding.examples == ("postings: insert",)


def test_a_broken_audit_chain_is_found(busy_town: Town, app: Flask) -> None:
    with without_fences(app, "audit_lines") as db:
        db.execute(text("UPDATE audit_lines SET subject = 'other' WHERE number = 2"))
        assert ("1: 2",) in {finding.examples for finding in books.check(db)}


# --- the command ---


def test_the_command_says_what_it_checked(busy_town: Town, app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["books", "check"])
    assert result.exit_code == 0, result.output
    assert "17  repas" in result.output
    assert "ok  1" in result.output
    assert "Les comptes sont justes" in result.output


def test_the_command_exits_1_on_a_violation(busy_town: Town, app: Flask, write: OpenSession) -> None:
    with write() as db:
        db.execute(text("UPDATE service_days SET booked_count = booked_count + 1 WHERE id = 1"))
    result = app.test_cli_runner().invoke(args=["books", "check"])
    assert result.exit_code == 1
    assert "Un invariant ne tient pas." in result.output
    assert "jours dont le nombre de places prises n’est pas exact, ou dépasse la capacité : 1\n" in as_typed(
        result.output
    )
