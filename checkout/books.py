"""The books prove themselves: the invariants of the domain, verified on a whole database.

Every check is one statement over sets, the same on both databases, that selects what violates it; none loads rows into
Python but the audit chain, whose digests have to be computed. They trust nothing that a trigger, a constraint or the code
is there to guarantee: a restore, a repair by hand or a fault of the database shows here.

docs/money.md lists the invariants by their numbers, and what only tests can show.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from shop import audit
from shop.schema import missing_guards
from shop.words import gettext as _

MOST_EXAMPLES = 10


@dataclass(frozen=True)
class Finding:
    """A violated invariant: its number, what is wrong, and the first numbers of the rows concerned."""

    invariant: int
    sentence: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """One thing to verify. `query` selects the numbers of the rows that violate it; `sentence` says what they are."""

    invariant: int
    sentence: str
    query: str


@dataclass(frozen=True)
class Checked:
    """What came of one check, and how long it took."""

    check: Check
    finding: Finding | None
    seconds: float


PAID_INTO = "('top_up', 'card_payment', 'late_payment', 'double_payment', 'suspense')"
"""Kinds of entry by which the money of a card payment comes into the books."""

A_MINUTE_BEFORE = {
    "postgresql": "o.placed_at - INTERVAL '1 minute'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', o.placed_at, '-1 minute')",
}
"""By database. Requests read the clock when they begin: of two at once, the first to commit may bear the later time."""

CHECKS = (
    # 1. Everything sums to zero, and nothing spans two régies.
    Check(
        1,
        _("écritures dont les lignes ne tombent pas à zéro"),
        "SELECT entry_id FROM postings GROUP BY entry_id HAVING sum(cents) <> 0",
    ),
    Check(
        1,
        _("écritures sans aucune ligne"),
        """
        SELECT id FROM journal_entries e
        WHERE NOT EXISTS (SELECT 1 FROM postings p WHERE p.entry_id = e.id)
        """,
    ),
    Check(
        1,
        _("régies dont les comptes ne tombent pas à zéro"),
        "SELECT regie_id FROM ledger_accounts GROUP BY regie_id HAVING sum(balance_cents) <> 0",
    ),
    Check(
        1,
        _("lignes sans leur écriture ou leur compte, ou à cheval sur deux régies"),
        """
        SELECT p.id FROM postings p
        LEFT JOIN journal_entries e ON e.id = p.entry_id
        LEFT JOIN ledger_accounts a ON a.id = p.ledger_account_id
        WHERE e.id IS NULL OR a.id IS NULL OR p.regie_id <> e.regie_id OR p.regie_id <> a.regie_id
        """,
    ),
    # 2. A stored balance is the sum of its postings, at every point of its history; a wallet is never below zero.
    Check(
        2,
        _("comptes dont le solde n’est pas la somme de leurs lignes"),
        """
        SELECT a.id FROM ledger_accounts a
        LEFT JOIN (SELECT ledger_account_id, sum(cents) AS total FROM postings GROUP BY ledger_account_id) p
          ON p.ledger_account_id = a.id
        WHERE a.balance_cents <> coalesce(p.total, 0)
        """,
    ),
    Check(
        2,
        _("lignes dont le solde après coup n’est pas la somme des lignes jusque-là"),
        """
        SELECT id FROM (
            SELECT id, balance_cents, sum(cents) OVER (
                PARTITION BY ledger_account_id ORDER BY id ROWS UNBOUNDED PRECEDING
            ) AS running FROM postings
        ) AS history
        WHERE balance_cents <> running
        """,
    ),
    Check(
        2,
        _("lignes qui laissent un porte-monnaie sous zéro"),
        """
        SELECT p.id FROM postings p JOIN ledger_accounts a ON a.id = p.ledger_account_id
        WHERE p.balance_cents < 0 AND a.kind = 'wallet'
        """,
    ),
    Check(
        2,
        _("porte-monnaie sous zéro"),
        "SELECT id FROM ledger_accounts WHERE kind = 'wallet' AND balance_cents < 0",
    ),
    Check(
        2,
        _("comptes tenus en double"),
        """
        SELECT max(id) FROM ledger_accounts
        GROUP BY regie_id, kind, coalesce(household_id, 0) HAVING count(*) > 1
        """,
    ),
    Check(
        2,
        _("comptes de montants dus au-dessus de zéro"),
        "SELECT id FROM ledger_accounts WHERE kind = 'receivable' AND balance_cents > 0",
    ),
    Check(
        2,
        _("familles dont le compte de montants dus n’est pas la somme de leurs repas dus"),
        """
        SELECT household_id FROM (
            SELECT household_id, regie_id, cents FROM unbooked_meals WHERE state = 'due'
            UNION ALL
            SELECT household_id, regie_id, balance_cents FROM ledger_accounts WHERE kind = 'receivable'
        ) AS owed
        GROUP BY household_id, regie_id HAVING sum(cents) <> 0
        """,
    ),
    # 3. Corrections are new entries. (The triggers are looked for below.)
    Check(
        3,
        _("contre-passations qui ne disent pas ce qu’elles annulent, ou écritures annulées deux fois"),
        """
        SELECT id FROM journal_entries WHERE (kind = 'reversal') <> (reverses_id IS NOT NULL)
        UNION SELECT reverses_id FROM journal_entries
        WHERE reverses_id IS NOT NULL GROUP BY reverses_id HAVING count(*) > 1
        """,
    ),
    Check(
        3,
        _("contre-passations qui n’annulent pas exactement leur original"),
        """
        SELECT r.id FROM journal_entries r JOIN postings p ON p.entry_id IN (r.id, r.reverses_id)
        WHERE r.reverses_id IS NOT NULL
        GROUP BY r.id, p.ledger_account_id HAVING sum(p.cents) <> 0
        """,
    ),
    # 4. What is credited is what was captured, once.
    Check(
        4,
        _("paiements reçus qui n’ont pas exactement une écriture, ou écritures d’un paiement qui n’est pas reçu"),
        f"""
        SELECT p.id FROM payments p
        LEFT JOIN (
            SELECT payment_id, count(*) AS times,
                   sum(CASE WHEN kind = 'suspense' THEN 1 ELSE 0 END) AS suspended
            FROM journal_entries WHERE payment_id IS NOT NULL AND kind IN {PAID_INTO} GROUP BY payment_id
        ) e ON e.payment_id = p.id
        WHERE coalesce(e.times, 0) <> CASE WHEN p.state IN ('confirmed', 'quarantined') THEN 1 ELSE 0 END
           OR coalesce(e.suspended, 0) <> CASE WHEN p.state = 'quarantined' THEN 1 ELSE 0 END
        """,  # noqa: S608 — no value of anybody's in it
    ),
    Check(
        4,
        _("écritures de carte sans leur paiement, d’une autre régie, ou d’un genre qui n’est pas le sien"),
        f"""
        SELECT e.id FROM journal_entries e LEFT JOIN payments p ON p.id = e.payment_id
        WHERE e.kind IN {PAID_INTO}
          AND (p.id IS NULL OR p.regie_id <> e.regie_id OR (e.kind = 'top_up') <> (p.purpose = 'top_up')
               AND e.kind <> 'suspense')
        """,  # noqa: S608 — no value of anybody's in it
    ),
    Check(
        4,
        _("écritures dont le montant n’est pas celui du paiement, ou crédité ailleurs que là où il doit l’être"),
        """
        SELECT e.id FROM journal_entries e
        JOIN payments p ON p.id = e.payment_id
        JOIN postings s ON s.entry_id = e.id
        JOIN ledger_accounts a ON a.id = s.ledger_account_id
        WHERE e.kind IN ('top_up', 'card_payment', 'late_payment', 'double_payment')
        GROUP BY e.id, p.cents
        HAVING sum(CASE WHEN a.kind = 'card_clearing' THEN s.cents ELSE 0 END) <> -p.cents
            OR sum(CASE WHEN a.kind = 'sales' AND e.kind = 'card_payment'
                          OR a.kind = 'wallet' AND e.kind <> 'card_payment' AND a.household_id = p.household_id
                        THEN s.cents ELSE 0 END) <> p.cents
        """,
    ),
    Check(
        4,
        _("écritures dont la clé ne dit pas ce qu’elles concernent"),
        f"""
        SELECT id FROM journal_entries
        WHERE kind IN {PAID_INTO} AND key <> kind || ':payment:' || coalesce(payment_id, 0)
           OR kind = 'wallet_payment' AND key <> 'wallet_payment:order:' || coalesce(order_id, 0)
           OR kind = 'cancelled_meal' AND key <> 'cancelled_meal:reservation:' || coalesce(reservation_id, 0)
           OR kind = 'unbooked_meal' AND key <> 'unbooked_meal:' || coalesce(unbooked_meal_id, 0)
           OR kind = 'due_settled' AND key <> 'due_settled:unbooked_meal:' || coalesce(unbooked_meal_id, 0)
        UNION SELECT max(id) FROM journal_entries GROUP BY key HAVING count(*) > 1
        """,  # noqa: S608 — no value of anybody's in it
    ),
    # 5. An order is its lines, and is paid if and only if the ledger holds its payment.
    Check(
        5,
        _("commandes dont le total n’est pas la somme des repas"),
        """
        SELECT o.id FROM orders o
        LEFT JOIN (SELECT order_id, sum(cents) AS total FROM reservations GROUP BY order_id) r ON r.order_id = o.id
        WHERE r.total IS NULL OR r.total <> o.total_cents
        """,
    ),
    Check(
        5,
        _("commandes payées sans exactement une écriture de paiement, ou écritures d’une commande qui n’est pas payée"),
        """
        SELECT o.id FROM orders o
        LEFT JOIN (
            SELECT CAST(coalesce(e.order_id, p.order_id) AS BIGINT) AS order_id, count(*) AS times
            FROM journal_entries e LEFT JOIN payments p ON p.id = e.payment_id
            WHERE e.kind IN ('wallet_payment', 'card_payment') GROUP BY 1
        ) e ON e.order_id = o.id
        WHERE coalesce(e.times, 0) <> CASE WHEN o.state = 'paid' AND o.total_cents > 0 THEN 1 ELSE 0 END
        """,
    ),
    Check(
        5,
        _("paiements de commande qui ne sont pas de son total, de sa régie ou de sa famille"),
        """
        SELECT e.id FROM journal_entries e
        LEFT JOIN payments p ON p.id = e.payment_id
        LEFT JOIN orders o ON o.id = coalesce(e.order_id, p.order_id)
        LEFT JOIN postings s ON s.entry_id = e.id
        LEFT JOIN ledger_accounts a ON a.id = s.ledger_account_id
        WHERE e.kind IN ('wallet_payment', 'card_payment')
        GROUP BY e.id, e.regie_id, o.id, o.total_cents, o.regie_id, p.order_id
        HAVING o.id IS NULL OR e.regie_id <> o.regie_id OR p.order_id <> o.id
            OR sum(CASE WHEN a.kind = 'sales' THEN s.cents ELSE 0 END) <> o.total_cents
            OR sum(CASE WHEN a.kind = 'wallet' AND e.kind = 'wallet_payment' AND a.household_id = o.household_id
                          OR a.kind = 'card_clearing' AND e.kind = 'card_payment'
                        THEN s.cents ELSE 0 END) <> -o.total_cents
        """,
    ),
    Check(
        5,
        _("repas annulés qui n’ont pas été recrédités"),
        """
        SELECT r.id FROM reservations r
        WHERE r.state = 'cancelled' AND r.credit_cents > 0 AND NOT EXISTS (
            SELECT 1 FROM journal_entries e WHERE e.reservation_id = r.id AND e.kind = 'cancelled_meal')
        """,
    ),
    Check(
        5,
        _("repas recrédités deux fois"),
        """
        SELECT reservation_id FROM journal_entries WHERE kind = 'cancelled_meal'
        GROUP BY reservation_id HAVING count(*) > 1
        """,
    ),
    Check(
        5,
        _("crédits d’un repas qui n’est pas annulé, ou qui ne sont pas du montant promis, à la famille qui l’a payé"),
        """
        SELECT e.id FROM journal_entries e
        LEFT JOIN reservations r ON r.id = e.reservation_id AND r.state = 'cancelled'
        LEFT JOIN orders o ON o.id = r.order_id
        LEFT JOIN postings s ON s.entry_id = e.id
        LEFT JOIN ledger_accounts a ON a.id = s.ledger_account_id
        WHERE e.kind = 'cancelled_meal'
        GROUP BY e.id, e.regie_id, r.id, r.credit_cents, o.regie_id
        HAVING r.id IS NULL OR o.regie_id IS NULL OR e.regie_id <> o.regie_id
            OR sum(CASE WHEN a.kind = 'wallet' AND a.household_id = o.household_id
                        THEN s.cents ELSE 0 END) <> r.credit_cents
            OR sum(CASE WHEN a.kind = 'sales' THEN s.cents ELSE 0 END) <> -r.credit_cents
        """,
    ),
    Check(
        5,
        _("repas d’une autre famille que celle de la commande"),
        """
        SELECT r.id FROM reservations r JOIN orders o ON o.id = r.order_id WHERE r.household_id <> o.household_id
        """,
    ),
    Check(
        5,
        _("repas sans réservation dont les écritures ne vont pas avec leur état"),
        """
        SELECT m.id FROM unbooked_meals m
        LEFT JOIN (
            SELECT e.unbooked_meal_id,
                   sum(CASE WHEN e.kind = 'unbooked_meal' THEN 1 ELSE 0 END) AS charged,
                   sum(CASE WHEN e.kind = 'reversal' THEN 1 ELSE 0 END) AS undone,
                   count(*) AS entries
            FROM journal_entries e WHERE e.unbooked_meal_id IS NOT NULL GROUP BY e.unbooked_meal_id
        ) n ON n.unbooked_meal_id = m.id
        LEFT JOIN (
            SELECT e.unbooked_meal_id,
                   sum(CASE WHEN a.kind = 'sales' THEN s.cents ELSE 0 END) AS sold,
                   sum(CASE WHEN a.kind = 'wallet' AND a.household_id = m.household_id THEN s.cents ELSE 0 END) AS paid,
                   sum(CASE WHEN a.kind = 'receivable' AND a.household_id = m.household_id
                            THEN s.cents ELSE 0 END) AS owed
            FROM journal_entries e
            JOIN unbooked_meals m ON m.id = e.unbooked_meal_id AND m.regie_id = e.regie_id
            JOIN postings s ON s.entry_id = e.id
            JOIN ledger_accounts a ON a.id = s.ledger_account_id
            GROUP BY e.unbooked_meal_id
        ) p ON p.unbooked_meal_id = m.id
        WHERE coalesce(n.charged, 0) <> CASE WHEN m.cents > 0 THEN 1 ELSE 0 END
           OR 2 * coalesce(n.undone, 0) <> CASE WHEN m.state = 'struck' THEN coalesce(n.entries, 0) ELSE 0 END
           OR coalesce(p.sold, 0) <> CASE WHEN m.state = 'struck' THEN 0 ELSE m.cents END
           OR coalesce(p.paid, 0) <> CASE WHEN m.state = 'paid' THEN -m.cents ELSE 0 END
           OR coalesce(p.owed, 0) <> CASE WHEN m.state = 'due' THEN -m.cents ELSE 0 END
        """,
    ),
    Check(
        5,
        _("écritures de repas sans réservation sans leur repas, ou d’un autre genre"),
        """
        SELECT e.id FROM journal_entries e
        WHERE e.kind IN ('unbooked_meal', 'due_settled') AND e.unbooked_meal_id IS NULL
           OR e.unbooked_meal_id IS NOT NULL AND e.kind NOT IN ('unbooked_meal', 'due_settled', 'reversal')
        """,
    ),
    # 6. One live reservation per child and day; places are counted exactly.
    Check(
        6,
        _("repas réservés deux fois pour le même enfant"),
        """
        SELECT max(id) FROM reservations WHERE state IN ('held', 'confirmed')
        GROUP BY beneficiary_id, service_day_id HAVING count(*) > 1
        """,
    ),
    Check(
        6,
        _("repas notés deux fois pour le même enfant, ou à la fois réservés et notés sans réservation"),
        """
        SELECT max(id) FROM unbooked_meals WHERE state <> 'struck'
        GROUP BY beneficiary_id, service_day_id HAVING count(*) > 1
        UNION SELECT m.id FROM unbooked_meals m
        JOIN reservations r ON r.beneficiary_id = m.beneficiary_id AND r.service_day_id = m.service_day_id
        WHERE m.state <> 'struck' AND r.state IN ('held', 'confirmed')
        """,
    ),
    Check(
        6,
        _("jours dont le nombre de places prises n’est pas exact, ou dépasse la capacité"),
        """
        SELECT d.id FROM service_days d
        LEFT JOIN (
            SELECT service_day_id, count(*) AS live FROM (
                SELECT service_day_id FROM reservations WHERE state IN ('held', 'confirmed')
                UNION ALL SELECT service_day_id FROM waiting_entries WHERE state = 'offered'
            ) AS places GROUP BY service_day_id
        ) r ON r.service_day_id = d.id
        LEFT JOIN (
            SELECT service_day_id, count(*) AS shared FROM freed_meals WHERE state = 'held' GROUP BY service_day_id
        ) f ON f.service_day_id = d.id
        WHERE d.booked_count <> coalesce(r.live, 0) - coalesce(f.shared, 0) OR d.booked_count > d.capacity
        """,
    ),
    Check(
        6,
        _("écoles dont le nombre de places prises un jour n’est pas exact, ou dépasse leur limite"),
        """
        SELECT s.id FROM school_places s
        LEFT JOIN (
            SELECT service_day_id, school_id, count(*) AS live FROM (
                SELECT service_day_id, school_id FROM reservations WHERE state IN ('held', 'confirmed')
                UNION ALL SELECT service_day_id, school_id FROM waiting_entries WHERE state = 'offered'
            ) AS places GROUP BY service_day_id, school_id
        ) r ON r.service_day_id = s.service_day_id AND r.school_id = s.school_id
        LEFT JOIN (
            SELECT f.service_day_id, g.school_id, count(*) AS shared
            FROM freed_meals f JOIN reservations g ON g.id = f.reservation_id
            WHERE f.state = 'held' GROUP BY f.service_day_id, g.school_id
        ) f ON f.service_day_id = s.service_day_id AND f.school_id = s.school_id
        WHERE s.booked_count <> coalesce(r.live, 0) - coalesce(f.shared, 0) OR s.booked_count > s.capacity
        """,
    ),
    Check(
        6,
        _("enfants inscrits deux fois sur la liste d’attente d’un jour, ou dont la famille a déjà le repas"),
        """
        SELECT max(id) FROM waiting_entries WHERE state IN ('waiting', 'offered')
        GROUP BY beneficiary_id, service_day_id HAVING count(*) > 1
        UNION
        SELECT w.id FROM waiting_entries w
        JOIN reservations r ON r.beneficiary_id = w.beneficiary_id AND r.service_day_id = w.service_day_id
         AND r.household_id = w.household_id AND r.state IN ('held', 'confirmed')
        WHERE w.state IN ('waiting', 'offered')
        """,
    ),
    Check(
        6,
        _("places de la liste d’attente dont l’offre, la fin ou la commande ne vont pas ensemble"),
        """
        SELECT w.id FROM waiting_entries w
        LEFT JOIN orders o ON o.id = w.order_id
        LEFT JOIN reservations r ON r.order_id = w.order_id AND r.beneficiary_id = w.beneficiary_id
         AND r.service_day_id = w.service_day_id AND r.household_id = w.household_id
        WHERE (w.state = 'taken') <> (r.id IS NOT NULL AND o.state IN ('pending', 'paid'))
           OR (w.state = 'taken') <> (w.order_id IS NOT NULL)
           OR (w.state IN ('waiting', 'offered')) <> (w.ended_at IS NULL)
           OR (w.offered_at IS NULL) <> (w.offered_until IS NULL)
           OR w.state IN ('offered', 'lapsed', 'declined') AND w.offered_until IS NULL
           OR w.state = 'waiting' AND w.offered_until IS NOT NULL
           OR w.offered_until < w.offered_at
        """,
    ),
    Check(
        6,
        _("repas dont l’état ne va pas avec celui de la commande"),
        """
        SELECT r.id FROM reservations r JOIN orders o ON o.id = r.order_id
        WHERE NOT (o.state = 'pending' AND r.state = 'held'
                OR o.state = 'paid' AND r.state IN ('confirmed', 'cancelled')
                OR o.state IN ('expired', 'cancelled') AND r.state = 'released')
        """,
    ),
    Check(
        6,
        _("repas rendus dont l’état ne va pas avec celui des deux repas, ou d’un autre jour"),
        """
        SELECT f.id FROM freed_meals f
        LEFT JOIN reservations g ON g.id = f.reservation_id
        LEFT JOIN reservations t ON t.id = f.taker_id
        WHERE g.id IS NULL OR g.service_day_id <> f.service_day_id
           OR f.state IN ('offered', 'held') AND g.state <> 'confirmed'
           OR f.state IN ('held', 'taken') AND (t.id IS NULL OR t.service_day_id <> f.service_day_id)
           OR f.state = 'held' AND t.state <> 'held'
           OR f.state = 'taken' AND (t.state NOT IN ('confirmed', 'cancelled')
                                     OR g.state <> 'cancelled' OR g.credit_cents <> g.cents)
        """,
    ),
    Check(
        6,
        _("repas rendus deux fois, repris deux fois, ou repris par la famille qui les a rendus"),
        """
        SELECT max(id) FROM freed_meals WHERE state IN ('offered', 'held', 'taken')
        GROUP BY reservation_id HAVING count(*) > 1
        UNION SELECT max(id) FROM freed_meals WHERE state IN ('held', 'taken') GROUP BY taker_id HAVING count(*) > 1
        UNION SELECT f.id FROM freed_meals f
        JOIN reservations g ON g.id = f.reservation_id
        JOIN reservations t ON t.id = f.taker_id
        WHERE f.state IN ('held', 'taken')
          AND (g.household_id = t.household_id OR g.beneficiary_id = t.beneficiary_id)
        """,
    ),
    # 7. No reservation without an approved enrolment; nothing by a parent after the deadline.
    Check(
        7,
        _("repas réservés sans inscription validée à ce tarif ce jour-là"),
        """
        SELECT r.id FROM reservations r
        JOIN orders o ON o.id = r.order_id
        JOIN service_days d ON d.id = r.service_day_id
        WHERE r.state IN ('held', 'confirmed') AND NOT EXISTS (
            SELECT 1 FROM enrolments n
            WHERE n.household_id = r.household_id AND n.service_id = d.service_id
              AND n.beneficiary_id = r.beneficiary_id AND n.tariff_id = r.tariff_id
              AND n.valid_from <= d.day AND n.valid_until >= d.day
              AND (n.state = 'approved' OR n.state IN ('revoked', 'expired') AND n.decided_at >= {a minute before the order}))
        """,
    ),
    Check(
        7,
        _("repas annulés après l’heure limite sans que le journal dise pourquoi"),
        """
        SELECT r.id FROM reservations r
        WHERE r.state = 'cancelled' AND r.cancelled_at >= r.cancel_deadline_at AND r.call_off_id IS NULL AND NOT EXISTS (
            SELECT 1 FROM audit_lines l WHERE l.subject = 'reservation:' || r.id) AND NOT EXISTS (
            SELECT 1 FROM freed_meals f WHERE f.reservation_id = r.id AND f.state = 'taken')
        """,
    ),
    Check(
        7,
        _("annulations de la mairie qui n’ont pas annulé ce qu’elles disent"),
        """
        SELECT c.id FROM call_offs c
        LEFT JOIN (
            SELECT call_off_id, count(*) AS meals, sum(cents) AS cents,
                   sum(CASE WHEN state = 'cancelled' AND credit_cents = cents THEN 0 ELSE 1 END) AS wrong
            FROM reservations WHERE call_off_id IS NOT NULL GROUP BY call_off_id
        ) r ON r.call_off_id = c.id
        WHERE coalesce(r.wrong, 0) > 0 OR coalesce(r.meals, 0) <> c.meals OR coalesce(r.cents, 0) <> c.cents
           OR c.meals > 0 AND (c.state <> 'done' OR c.picnic)
        """,
    ),
    Check(
        7,
        _("repas sans réservation notés pour un enfant qui n’avait pas d’inscription validée ce jour-là"),
        """
        SELECT m.id FROM unbooked_meals m
        JOIN service_days d ON d.id = m.service_day_id
        WHERE m.state <> 'struck' AND NOT EXISTS (
            SELECT 1 FROM enrolments n
            WHERE n.household_id = m.household_id AND n.service_id = d.service_id
              AND n.beneficiary_id = m.beneficiary_id AND n.tariff_id = m.tariff_id
              AND n.valid_from <= d.day AND n.valid_until >= d.day
              AND (n.state = 'approved' OR n.state IN ('revoked', 'expired')))
        """,
    ),
    Check(
        7,
        _("repas sans réservation notés ou retirés sans que le journal le dise"),
        """
        SELECT m.id FROM unbooked_meals m
        WHERE NOT EXISTS (SELECT 1 FROM audit_lines l
                          WHERE l.subject = 'unbooked_meal:' || m.id AND l.action = 'unbooked_noted')
           OR m.state = 'struck' AND m.call_off_id IS NULL AND NOT EXISTS (SELECT 1 FROM audit_lines l
                          WHERE l.subject = 'unbooked_meal:' || m.id AND l.action = 'unbooked_struck')
        """,
    ),
    Check(
        7,
        _("repas sans réservation retirés par une annulation de la mairie qui n’a pas eu lieu, ou d’un autre jour"),
        """
        SELECT m.id FROM unbooked_meals m LEFT JOIN call_offs c ON c.id = m.call_off_id
        WHERE m.call_off_id IS NOT NULL
          AND (c.id IS NULL OR m.state <> 'struck' OR c.state <> 'done' OR c.picnic
               OR c.service_day_id <> m.service_day_id OR m.noted_at > c.asked_at)
        """,
    ),
    # 8. Prices come from the catalogue.
    Check(
        8,
        _("repas vendus à un prix, un tarif ou un service qui ne vont pas ensemble, ou par une autre régie"),
        """
        SELECT r.id FROM reservations r
        JOIN orders o ON o.id = r.order_id
        LEFT JOIN service_days d ON d.id = r.service_day_id
        LEFT JOIN services s ON s.id = d.service_id
        LEFT JOIN communes c ON c.id = s.commune_id
        LEFT JOIN tariffs t ON t.id = r.tariff_id
        LEFT JOIN tariff_prices p ON p.id = r.tariff_price_id
        WHERE c.id IS NULL OR t.id IS NULL OR p.id IS NULL
           OR p.tariff_id <> r.tariff_id OR t.service_id <> d.service_id OR c.regie_id <> o.regie_id
        """,
    ),
    Check(
        8,
        _("repas sans réservation à un prix, un tarif, un service ou une régie qui ne vont pas ensemble"),
        """
        SELECT m.id FROM unbooked_meals m
        LEFT JOIN service_days d ON d.id = m.service_day_id
        LEFT JOIN services s ON s.id = d.service_id
        LEFT JOIN communes c ON c.id = s.commune_id
        LEFT JOIN tariffs t ON t.id = m.tariff_id
        LEFT JOIN tariff_prices p ON p.id = m.tariff_price_id
        WHERE c.id IS NULL OR t.id IS NULL OR p.id IS NULL
           OR p.tariff_id <> m.tariff_id OR t.service_id <> d.service_id OR c.regie_id <> m.regie_id
        """,
    ),
    Check(
        8,
        _("prix d’un même tarif qui se chevauchent"),
        """
        SELECT b.id FROM tariff_prices a JOIN tariff_prices b ON b.tariff_id = a.tariff_id AND b.id <> a.id
        WHERE a.valid_from <= b.valid_from AND (a.valid_until IS NULL OR a.valid_until >= b.valid_from)
        """,
    ),
    # 6. A child has at most two homes, and a calendar that holds is between homes that the child has or had.
    Check(
        6,
        _("enfants de plus de deux foyers"),
        """
        SELECT beneficiary_id FROM household_beneficiaries WHERE archived_at IS NULL
        GROUP BY beneficiary_id HAVING count(*) > 2
        """,
    ),
    Check(
        6,
        _("calendriers de garde convenus avec un foyer qui n’a jamais été celui de l’enfant"),
        """
        SELECT c.id FROM custody_calendars c
        WHERE c.state = 'agreed' AND 2 <> (
            SELECT count(*) FROM household_beneficiaries h
            WHERE h.beneficiary_id = c.beneficiary_id AND h.household_id IN (c.even_home_id, c.odd_home_id)
        )
        """,
    ),
    # 9. The same click, any number of times, leaves one order and one basket.
    Check(
        9,
        _("paniers commandés deux fois"),
        """
        SELECT basket_id FROM orders WHERE state IN ('pending', 'paid') AND basket_id IS NOT NULL
        GROUP BY basket_id HAVING count(*) > 1
        """,
    ),
    Check(
        9,
        _("familles avec deux paniers en cours dans une régie"),
        """
        SELECT household_id FROM baskets WHERE state IN ('open', 'completing')
        GROUP BY household_id, regie_id HAVING count(*) > 1
        """,
    ),
    Check(
        9,
        _("rappels dont le lien a réservé pour une autre famille"),
        """
        SELECT r.id FROM reminders r JOIN orders o ON o.id = r.order_id
        WHERE o.household_id <> r.household_id OR o.account_id <> r.account_id
        """,
    ),
    Check(
        9,
        _("paniers en cours de paiement sans commande en attente, ou l’inverse"),
        """
        SELECT b.id FROM baskets b LEFT JOIN orders o ON o.basket_id = b.id AND o.state = 'pending'
        WHERE (b.state = 'completing') <> (o.id IS NOT NULL)
        """,
    ),
    # 10. Captured is what the provider owes: with 1, captured = sales + wallets + suspense − amounts due, per régie.
    Check(
        10,
        _("régies dont les paiements reçus par carte ne sont pas ceux des comptes"),
        """
        SELECT regie_id FROM (
            SELECT regie_id, cents FROM payments WHERE state = 'confirmed'
            UNION ALL
            SELECT s.regie_id, -s.cents FROM postings s
            JOIN journal_entries e ON e.id = s.entry_id AND e.kind = 'suspense'
            JOIN ledger_accounts a ON a.id = s.ledger_account_id AND a.kind = 'card_clearing'
            UNION ALL
            SELECT regie_id, balance_cents FROM ledger_accounts WHERE kind = 'card_clearing'
        ) AS captured
        GROUP BY regie_id HAVING sum(cents) <> 0
        """,
    ),
    # 12. One letter for each paid order. The keys of letters are unique, so that equal counts leave none over.
    Check(
        12,
        _("commandes payées sans e-mail de confirmation"),
        """
        SELECT o.id FROM orders o
        WHERE o.state = 'paid' AND NOT EXISTS (SELECT 1 FROM outbox l WHERE l.key = 'order_paid:' || o.id)
        """,
    ),
    Check(
        12,
        _("e-mails de confirmation en trop"),
        """
        SELECT spare FROM (
            SELECT (SELECT count(*) FROM outbox WHERE kind = 'order_paid')
                 - (SELECT count(*) FROM orders WHERE state = 'paid') AS spare
        ) AS letters
        WHERE spare > 0
        """,
    ),
)

TABLES = (
    ("orders", _("commandes")),
    ("reservations", _("repas")),
    ("unbooked_meals", _("repas sans réservation")),
    ("service_days", _("jours de service")),
    ("school_places", _("jours d’une école")),
    ("waiting_entries", _("inscriptions sur liste d’attente")),
    ("payments", _("paiements par carte")),
    ("ledger_accounts", _("comptes")),
    ("journal_entries", _("écritures")),
    ("postings", _("lignes d’écriture")),
    ("audit_lines", _("lignes du journal")),
)


def check(db: Session) -> list[Finding]:
    """Verify every invariant that the tables can express; what is violated, or nothing.

    On a database that is written to meanwhile, give a session of `shop.database.snapshot`.
    """
    return [checked.finding for checked in run(db) if checked.finding is not None]


def run(db: Session) -> Iterator[Checked]:
    """Verify one invariant after the other, and tell of each."""
    for each in CHECKS:
        started = time.perf_counter()
        query = each.query.replace("{a minute before the order}", A_MINUTE_BEFORE[db.get_bind().dialect.name])
        found = db.execute(text(query + f" LIMIT {MOST_EXAMPLES}")).scalars().all()
        yield _checked(each, [str(number) for number in found], started)

    started = time.perf_counter()
    sentence = _("garde-fous absents de la base (table : verbe)")
    yield _checked(Check(3, sentence, ""), missing_guards(db), started)

    started = time.perf_counter()
    broken = audit.find_breaks(db)
    sentence = _("journaux d’une régie dont la chaîne est rompue (régie : ligne)")
    yield _checked(Check(3, sentence, ""), [f"{line.regie_id}: {line.number}" for line in broken], started)


def _checked(done: Check, examples: list[str], started: float) -> Checked:
    finding = Finding(done.invariant, done.sentence, tuple(examples)) if examples else None
    return Checked(done, finding, time.perf_counter() - started)


def count_rows(db: Session) -> dict[str, int]:
    """How many rows of each kind the checks look at."""
    return {
        words: db.execute(text("SELECT count(*) FROM " + table)).scalar_one()  # noqa: S608 — our own names
        for table, words in TABLES
    }
