"""Where providers tell us of events. An event is a hint: the provider is asked again before anything is believed.

Every answer of the 200s means "kept": told again, the event changes nothing. 400: the sender cannot be told. 503: ask again,
nothing was kept.
"""

import structlog
from flask import Blueprint, Response, abort, request

from checkout.settle import settle
from payments.gateways import the_gateways
from payments.gateways.base import EventRefused, Gateway, GatewayDown, GatewayRefused, Notice, Seen
from payments.operations import note_outcome, take_in
from payments.queries import Attempt, find_noticed, is_known
from shop.access import open_to_all
from shop.clock import request_now
from shop.database import reading, transaction
from shop.web import csrf

log = structlog.get_logger(__name__)

blueprint = Blueprint("webhooks", __name__)

RETRY_AFTER_SECONDS = 30


def _answer(words: str, status: int = 200) -> Response:
    answer = Response(words, status, mimetype="text/plain")
    if status == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer


@blueprint.post("/webhooks/<provider>")
@csrf.exempt  # type: ignore[untyped-decorator]
@open_to_all
def receive(provider: str) -> Response:
    """Take one event in, and settle the payment that it is about."""
    # The raw body first: the signature is over its very bytes.
    body = request.get_data(cache=True)
    gateway = the_gateways().get(provider)
    if gateway is None:
        abort(404)
    now = request_now()
    try:
        notice = gateway.read_event(body, dict(request.headers), now)
    except EventRefused as refused:
        log.warning("event refused", provider=provider, reason=refused.reason, address=request.remote_addr)
        return _answer("refused", 400)
    with reading() as db:
        if is_known(db, provider, notice.key):
            return _answer("known")
        attempt = find_noticed(db, provider, notice)
    outcome = why_not_settled(gateway, attempt, notice)
    seen: Seen | None = None
    if outcome is None and attempt is not None:
        try:
            seen = look(gateway, attempt, notice)
        except (GatewayDown, GatewayRefused):
            return _answer("ask again", 503)
        if seen is None:
            outcome = "unknown_reference"
    with transaction() as db:
        event_id = take_in(db, provider, notice, body, now)
        if event_id is None:
            return _answer("known")
        if seen is not None and attempt is not None:
            outcome = settle(db, attempt.key, seen, now)
        note_outcome(db, event_id, None if attempt is None else attempt.id, outcome or "ignored")
    log.info("event kept", provider=provider, kind=notice.kind, outcome=outcome)
    return _answer("kept")


def why_not_settled(gateway: Gateway, attempt: Attempt | None, notice: Notice) -> str | None:
    """The name of the reason why an event settles nothing, or nothing when its payment is to be looked at."""
    if notice.live != gateway.live:
        log.error("event of the other mode", provider=gateway.name, event_key=notice.key, live=notice.live)
        return "other_mode"
    if notice.account is not None:
        log.error("event of another account", provider=gateway.name, event_key=notice.key)
        return "other_account"
    if notice.about == "money_back":
        log.error("money went back, or may have to", provider=gateway.name, event_key=notice.key, kind=notice.kind)
        return "for_a_person"
    if notice.about == "other":
        return "ignored"
    if attempt is None:
        log.warning("event of no payment of ours", provider=gateway.name, event_key=notice.key, kind=notice.kind)
        return "unknown_reference"
    return None


def look(gateway: Gateway, attempt: Attempt, notice: Notice) -> Seen | None:
    """What the provider says now of the payment that an event is about; nothing when it knows of none."""
    reference = notice.reference or attempt.provider_reference
    return gateway.find(attempt.key, attempt.created_at) if reference is None else gateway.fetch(reference)
