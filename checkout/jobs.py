"""Recurring work of the checkout."""

import structlog

from checkout import books
from shop.database import snapshot

log = structlog.get_logger(__name__)


def verify_books() -> int:
    """Verify every invariant on the whole database and tell the operator of each that does not hold; how many."""
    with snapshot() as db:
        findings = books.check(db)
    for finding in findings:
        log.error("books do not hold", invariant=finding.invariant, what=finding.sentence, examples=finding.examples)
    return len(findings)
