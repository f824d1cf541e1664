"""Recurring work of the checkout."""

import structlog

from checkout import books, call_off, freed, waiting
from shop.clock import request_now
from shop.database import snapshot

log = structlog.get_logger(__name__)


def carry_out_call_offs() -> int:
    """Cancel, credit and tell what the town halls have called off and not taken back in time."""
    return call_off.carry_out_due(request_now())


def lapse_freed_meals() -> int:
    """End the offers of meals that nobody took in time; how many."""
    return freed.lapse_due(request_now())


def offer_places() -> int:
    """Offer places that have come free to those who wait, and pass on those that nobody took."""
    return waiting.make_offers(request_now())


def verify_books() -> int:
    """Verify every invariant on the whole database and tell the operator of each that does not hold; how many."""
    with snapshot() as db:
        findings = books.check(db)
    for finding in findings:
        log.error("books do not hold", invariant=finding.invariant, what=finding.sentence, examples=finding.examples)
    return len(findings)
