"""Reads of what keeps new bookings waiting; only where a rule asks."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import bindparam, select

from cart.others import unbooked
from cart.places import Place
from cart.rules import Due, Wait, overdue_cents, unpaid_invoices, wait_of
from catalog.rules.policies import Blocking
from enrolments.outside_invoices import OpenInvoice, open_invoices
from shop.clock import paris_day
from shop.statements import Rows, run

_DUES = select(unbooked.c.regie_id, unbooked.c.cents, unbooked.c.noted_at).where(
    unbooked.c.household_id == bindparam("household_id"), unbooked.c.state == "due"
)


def dues_of(db: Rows, household_id: int) -> dict[int, list[Due]]:
    """What the household owes, by régie. Read it only where a rule asks."""
    found: dict[int, list[Due]] = defaultdict(list)
    for regie_id, cents, since in run(db, _DUES, household_id=household_id):
        found[regie_id].append(Due(cents, since))
    return found


def dues_asked(db: Rows, household_id: int, rules: Iterable[Blocking]) -> dict[int, list[Due]]:
    """What the household owes, by régie, where one of the rules asks."""
    return dues_of(db, household_id) if any(rule.amount_due_hours is not None for rule in rules) else {}


def invoices_asked(db: Rows, household_id: int, rules: Iterable[Blocking]) -> dict[int, list[OpenInvoice]]:
    """The household's open invoices, by régie, where one of the rules asks."""
    found: dict[int, list[OpenInvoice]] = defaultdict(list)
    if any(rule.overdue_invoice_days is not None for rule in rules):
        for invoice in open_invoices(db, household_id):
            found[invoice.regie_id].append(invoice)
    return found


def why_waiting(db: Rows, household_id: int, places: Collection[Place], now: datetime) -> Wait | None:
    """Why the family cannot book anything new at one of these services, when an amount due or an invoice keeps it waiting.
    One statement for each of the two, and only where a service has such a rule."""
    rules = [(place.regie_id, place.policies.blocking) for place in places]
    asked = [rule for _regie, rule in rules]
    dues, invoices = dues_asked(db, household_id, asked), invoices_asked(db, household_id, asked)
    if not dues and not invoices:
        return None
    today = paris_day(now)
    for regie_id, rule in rules:
        overdue = overdue_cents(rule, dues.get(regie_id, ()), now)
        unpaid = unpaid_invoices(rule, invoices.get(regie_id, ()), today)
        if (wait := wait_of(rule, overdue, unpaid)) is not None:
            return wait
    return None
