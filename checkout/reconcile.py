"""Asking providers about payments whose outcome nobody told us: a webhook may never come, a browser never come back."""

from datetime import datetime

import structlog

from checkout.settle import Outcome, give_up, settle
from payments.gateways import the_gateways
from payments.gateways.base import Gateway, GatewayDown, GatewayRefused, Seen
from payments.operations import note_asked
from payments.queries import Attempt, due_for_asking
from payments.rules import LOST_AFTER, MISMATCHES
from shop.clock import request_now
from shop.database import reading, retried, transaction

log = structlog.get_logger(__name__)

BATCH = 40


def reconcile() -> int:
    """Ask about every payment that is due, one after the other, and settle what is known then. Returns how many settled.

    A provider that does not answer is left alone until the next run. Whatever goes wrong with one payment, the others
    have their turn.
    """
    now = request_now()
    with reading() as db:
        due = due_for_asking(db, now, BATCH)
    silent: set[str] = set()
    settled = 0
    for attempt in due:
        if attempt.provider in silent:
            continue
        try:
            settled += ask(attempt, now) not in (None, "waiting")
        except GatewayDown:
            silent.add(attempt.provider)
        except Exception:
            log.exception("payment not reconciled", payment_id=attempt.id)
            with transaction() as db:
                note_asked(db, attempt.id, None, now)
    return settled


def ask(attempt: Attempt, now: datetime) -> Outcome | None:
    """Ask the provider of one payment and settle; nothing while there is nothing to say.

    Places are given back only after the provider has said that the payment can no longer be made.
    """
    gateway = the_gateways().get(attempt.provider)
    if gateway is None:
        log.error("gateway missing", provider=attempt.provider, payment_id=attempt.id)
        seen = None
    else:
        seen = _look(gateway, attempt, now)

    def settle_it() -> Outcome | None:
        with transaction() as db:
            outcome: Outcome | None = None
            if seen is not None:
                outcome = settle(db, attempt.key, seen, now)
                if outcome in MISMATCHES and attempt.expires_at <= now:
                    # What the provider holds under this name is not our payment, and ours has run out.
                    give_up(db, attempt.key, "expired", now)
            # While nothing has come of it, a payment that was found keeps no name: it is looked for again, and closed when
            # the answer of its first call counts as lost.
            named = seen is not None and outcome not in (None, "waiting", *MISMATCHES)
            # Last, because orders are locked before payments.
            note_asked(db, attempt.id, seen.reference if seen is not None and named else None, now)
            return outcome

    return retried(settle_it)


def _look(gateway: Gateway, attempt: Attempt, now: datetime) -> Seen | None:
    """What the provider says; a payment that nobody can reach any more is closed there first."""
    if attempt.provider_reference is None:
        lost = now - attempt.created_at >= LOST_AFTER
        found = gateway.find(attempt.key, attempt.created_at)
        if found is None:
            return _over(attempt) if lost else None
        # The answer of the first call never came, so nobody was sent to this page and nobody ever will be.
        return _closed(gateway, found.reference) if lost and found.state == "open" else found
    try:
        seen = gateway.fetch(attempt.provider_reference)
    except GatewayRefused as refusal:
        log.error("gateway refused", provider=gateway.name, payment_id=attempt.id, reason=refusal.reason)
        return None
    if attempt.expires_at > now:
        return seen
    if seen.state == "open":
        return _closed(gateway, attempt.provider_reference)
    if seen.state == "unknown":
        log.error("payment unknown to its provider", provider=gateway.name, payment_id=attempt.id)
        return _over(attempt)
    return seen


def _closed(gateway: Gateway, reference: str) -> Seen:
    gateway.expire(reference)
    return gateway.fetch(reference)


def _over(attempt: Attempt) -> Seen:
    """What stands for an answer when the provider has no such payment: it can never be paid."""
    return Seen(attempt.provider_reference or "", attempt.key, "expired", None, None, attempt.live)
