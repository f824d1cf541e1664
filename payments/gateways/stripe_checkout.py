"""Stripe Checkout: a page at Stripe where the person pays by card; we keep the session's id and ask for its state."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import stripe
import structlog
from stripe.checkout import Session
from stripe.params.checkout import SessionListParamsCreated

from payments.errors import EventRefused, GatewayDown, GatewayRefused
from payments.gateways.base import Asked, Notice, Seen, SeenState, Started, leave_the_house
from shop.clock import request_now
from shop.config import Config

log = structlog.get_logger(__name__)

T = TypeVar("T")

TIMEOUT_SECONDS = (5, 20)
"""To connect, and to wait for a piece of the answer."""
NETWORK_RETRIES = 2
TOLERANCE_SECONDS = 300
SEARCHED_FOR = timedelta(minutes=10)
"""How long after our own row a session that was started for it may have been created at Stripe."""
SKEW = timedelta(minutes=2)
"""How far apart Stripe's clock and ours may be."""
SEARCHED_AT_MOST = 2000
DESCRIPTION_LENGTH = 250

SETTLING = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
        "payment_intent.succeeded",
    }
)
"""Events after which a session is asked for. `payment_intent.payment_failed` is none: another card may be tried."""
MONEY_BACK = ("refund.", "charge.refunded", "charge.dispute.")


class StripeGateway:
    """The gateway to Stripe Checkout. Made with the secret key; whether it is live is read off the key."""

    name = "stripe"
    form_hosts: tuple[str, ...] = ("https://checkout.stripe.com",)
    minimum_cents = 50
    maximum_cents = 99_999_999
    hold = timedelta(minutes=35)
    """A session lives for at least 30 minutes by Stripe's clock, counted from when it gets there."""

    def __init__(self, config: Config) -> None:
        key = config.stripe_secret_key or ""
        self.live = key.startswith(("sk_live_", "rk_live_"))
        self._secrets = config.stripe_webhook_secrets
        self._client = stripe.StripeClient(
            key,
            base_addresses={"api": config.stripe_api_base} if config.stripe_api_base else {},
            # The client tries once unless it is told so here.
            max_network_retries=NETWORK_RETRIES,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        )

    def start(self, asked: Asked) -> Started:
        """Open a Checkout Session. Within a day the same key gives the same session."""
        mark = {"payment": asked.key}
        separator = "&" if "?" in asked.success_url else "?"
        session = self._ask(
            lambda: self._client.v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "ui_mode": "hosted_page",
                    "client_reference_id": asked.key,
                    "metadata": mark,
                    "payment_intent_data": {"metadata": mark, "description": asked.description[:DESCRIPTION_LENGTH]},
                    "locale": "fr",
                    "expires_at": int(asked.expires_at.timestamp()),
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": asked.currency,
                                "unit_amount": asked.cents,
                                "product_data": {
                                    "name": asked.description[:DESCRIPTION_LENGTH],
                                    "description": asked.payee,
                                },
                            },
                        }
                    ],
                    # Stripe puts the session's id between the braces.
                    "success_url": f"{asked.success_url}{separator}session={{CHECKOUT_SESSION_ID}}",
                    "cancel_url": asked.cancel_url,
                    **({"customer_email": asked.email} if asked.email else {}),
                },
                {"idempotency_key": f"payment-{asked.key}"},
            )
        )
        if not session.url:
            # A replayed answer of a session that is over by now.
            raise GatewayRefused(self.name, "the session has no page")
        return Started(session.id, session.url)

    def fetch(self, reference: str) -> Seen:
        """What Stripe says of a session now; `unknown` when it has none of this id."""
        try:
            session = self._ask(
                lambda: self._client.v1.checkout.sessions.retrieve(reference, {"expand": ["payment_intent"]})
            )
        except GatewayRefused as refusal:
            if refusal.reason == "resource_missing":
                return Seen(reference, None, "unknown", None, None, self.live)
            raise
        return _seen(session)

    def find(self, key: str, since: datetime | None = None) -> Seen | None:
        """The session that was started for our key at `since`, or within the last hour.

        By listing: it is up to date at once, where Stripe's search lags by a minute or more, and unlike asking again with
        the same idempotency key it opens nothing when the first call never arrived.
        """
        start = (since or request_now() - timedelta(hours=1)) - SKEW
        end = (since + SEARCHED_FOR if since else request_now()) + SKEW
        window: SessionListParamsCreated = {"gte": int(start.timestamp()), "lte": int(end.timestamp())}

        def look() -> Session | None:
            sessions = self._client.v1.checkout.sessions.list({"created": window, "limit": 100})
            for number, session in enumerate(sessions.auto_paging_iter()):
                if session.client_reference_id == key:
                    return session
                if number >= SEARCHED_AT_MOST:
                    raise GatewayDown(self.name, "too many sessions to look through")
            return None

        found = self._ask(look)
        return self.fetch(found.id) if found else None

    def expire(self, reference: str) -> None:
        """Close an open session; Stripe refuses for one that is not open, and it stays as it is."""
        try:
            self._ask(lambda: self._client.v1.checkout.sessions.expire(reference))
        except GatewayRefused as refusal:
            log.info("stripe session not expired", reference=reference, reason=refusal.reason)

    def read_event(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Notice:
        """The event of a request, by the library's own check of signature and age, with each of our secrets in turn."""
        header = headers.get("Stripe-Signature")
        for secret in self._secrets:
            try:
                return _notice(self._client.construct_event(body, header, secret, TOLERANCE_SECONDS).to_dict())
            except stripe.SignatureVerificationError as error:
                # A signature that fits and is too old is not looked at with the other secrets.
                if "tolerance" in str(error):
                    raise EventRefused("stale") from error
            except (ValueError, AttributeError, KeyError, TypeError) as error:
                raise EventRefused("unreadable") from error
        raise EventRefused("forged" if header else "unsigned")

    def _ask(self, question: Callable[[], T]) -> T:
        """Ask Stripe, its errors told apart: no answer (ask again later) or a no (asking again cannot help)."""
        leave_the_house()
        try:
            return question()
        except (stripe.APIConnectionError, stripe.APIError, stripe.RateLimitError) as error:
            raise self._down(error) from error
        except stripe.StripeError as error:
            if (error.http_status or 0) >= 500 or error.http_status == 409:
                raise self._down(error) from error
            reason = error.code or type(error).__name__
            if reason != "resource_missing":
                log.error("stripe refused", reason=reason, status=error.http_status, request=error.request_id)
            raise GatewayRefused(self.name, reason) from error

    def _down(self, error: stripe.StripeError) -> GatewayDown:
        log.warning("stripe down", error=type(error).__name__, status=error.http_status, request=error.request_id)
        return GatewayDown(self.name, type(error).__name__)


def _seen(session: Session) -> Seen:
    """A session, its payment intent expanded, as every gateway says it."""
    intent = session.payment_intent
    state: SeenState
    cents = session.amount_total
    if session.status == "expired":
        state = "expired"
    elif session.status != "complete":
        state = "open"
    elif session.payment_status != "unpaid":
        state = "paid"
        if isinstance(intent, stripe.PaymentIntent):
            cents = intent.amount_received
    else:
        # A delayed method: on its way, or failed and not to be tried again in this session.
        failed = isinstance(intent, stripe.PaymentIntent) and intent.status in ("requires_payment_method", "canceled")
        state = "expired" if failed else "processing"
    return Seen(session.id, session.client_reference_id, state, cents, session.currency, session.livemode)


def _notice(event: dict[str, Any]) -> Notice:
    """What an event is about. Sessions carry our key by themselves; intents and charges in their metadata."""
    thing, kind = event["data"]["object"], event["type"]
    key = thing.get("client_reference_id") or (thing.get("metadata") or {}).get("payment")
    return Notice(
        key=event["id"],
        kind=kind,
        reference=thing["id"] if thing["object"] == "checkout.session" else None,
        payment_key=key,
        live=event["livemode"],
        about="payment" if kind in SETTLING else "money_back" if kind.startswith(MONEY_BACK) else "other",
        account=event.get("account"),
    )
