"""A small Stripe of our own on loopback, with the shapes of the official objects, for what no other peer can play: Checkout.

It remembers sessions, replays answers by idempotency key, refuses what Stripe refuses, and fails on demand:

    stripe = FakeStripe(now)                      a context manager; `stripe.url` is its base address
    stripe.pay(session_id)                        the person pays by card
    stripe.pay_later(session_id) / succeed / fail a delayed method
    stripe.lapse(session_id)                      the session runs out
    stripe.faults.append("lost")                  what happens to the next request
    stripe.event(kind, object) → bytes            a webhook's body; `signature(body)` its headers
"""

import hashlib
import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

import stripe

OLD_SECRET, NEW_SECRET = "whsec_old_secret", "whsec_new_secret"

Fault = Literal["lost", "500", "429", "409", "partial", "down"]
Thing = dict[str, Any]

KNOWN = {
    "mode",
    "ui_mode",
    "client_reference_id",
    "metadata",
    "payment_intent_data",
    "locale",
    "expires_at",
    "line_items",
    "success_url",
    "cancel_url",
    "customer_email",
}


class Refused(Exception):
    """An error as the API says it."""

    def __init__(self, status: int, message: str, code: str | None = None, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "message": message}}


def unflatten(text: str) -> Thing:
    """`a[b][0]=c` as nested dictionaries and lists."""
    tree: Thing = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, *rest = name.replace("]", "").split("[")
        node = tree
        for step, following in itertools.pairwise([head, *rest]):
            node = node.setdefault(step, {})
            assert isinstance(node, dict), (name, following)
        last = [head, *rest][-1]
        if last == "":
            node.setdefault("", []).append(value)
        else:
            node[last] = value
    return {key: _lists(value) for key, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if list(value) == [""]:
        return value[""]
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(each) for key, each in value.items()}


@dataclass
class FakeStripe:
    """The server and what it remembers."""

    now: Callable[[], datetime]
    live: bool = False
    sessions: dict[str, Thing] = field(default_factory=dict)
    intents: dict[str, Thing] = field(default_factory=dict)
    answers: dict[str, tuple[str, int, Thing]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str, Thing]] = field(default_factory=list)
    on_request: Callable[[str], None] = lambda path: None

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._metadata: dict[str, Thing] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: else each answer waits for an acknowledgement

            def do_GET(self) -> None:
                fake.serve(self, "")

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                fake.serve(self, self.rfile.read(length).decode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # --- the API ---

    def serve(self, handler: BaseHTTPRequestHandler, body: str) -> None:
        """Answer one request, unless a fault was ordered."""
        parts = urlsplit(handler.path)
        self.on_request(parts.path)
        with self._lock:
            fault = self.faults.pop(0) if self.faults else None
            self.requests.append((handler.command, parts.path, unflatten(body or parts.query)))
            if fault in ("500", "429", "409", "down"):
                status = {"500": 500, "429": 429, "409": 409, "down": 503}[fault]
                kind = "idempotency_error" if fault == "409" else "api_error"
                return self._send(handler, status, {"error": {"type": kind, "message": "not now"}})
            status, answer = self._answer(handler, parts.path, parts.query, body)
        if fault == "lost":
            # Done, but nobody hears of it.
            handler.close_connection = True
            return None
        return self._send(handler, status, answer, cut=fault == "partial")

    def _send(self, handler: BaseHTTPRequestHandler, status: int, answer: Thing, cut: bool = False) -> None:
        text = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Request-Id", f"req_{next(self._numbers)}")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text[: len(text) // 2] if cut else text)
        handler.close_connection = handler.close_connection or cut

    def _answer(self, handler: BaseHTTPRequestHandler, path: str, query: str, body: str) -> tuple[int, Thing]:
        key = handler.headers.get("Idempotency-Key") if handler.command == "POST" else None
        told = hashlib.sha256(f"{path}\n{body}".encode()).hexdigest()
        if key and key in self.answers:
            known, status, answer = self.answers[key]
            if known != told:
                error = Refused(400, "Keys can only be used with the same parameters.", kind="idempotency_error")
                return error.status, error.body
            return status, answer
        try:
            prefix = "sk_live_" if self.live else "sk_test_"
            if not handler.headers.get("Authorization", "").startswith(f"Bearer {prefix}"):
                raise Refused(401, "Invalid API Key provided")
            answer = self._route(handler.command, path, unflatten(body or query))
        except Refused as refused:
            return refused.status, refused.body
        if key:
            self.answers[key] = (told, 200, json.loads(json.dumps(answer)))
        return 200, answer

    def _route(self, verb: str, path: str, params: Thing) -> Thing:
        match verb, path.removeprefix("/v1/checkout/sessions").strip("/").split("/"):
            case "POST", [""]:
                return self._create(params)
            case "GET", [""]:
                return self._list(params)
            case "GET", [number]:
                return self._expanded(self._session(number), params)
            case "POST", [number, "expire"]:
                session = self._session(number)
                if session["status"] != "open":
                    raise Refused(400, 'Only Checkout Sessions with a status in ["open"] can be expired.')
                session["status"], session["url"] = "expired", None
                return session
            case _:
                raise Refused(404, f"Unrecognized request URL ({verb}: {path})")

    def _session(self, number: str) -> Thing:
        session = self.sessions.get(number)
        if session is None:
            raise Refused(404, f"No such checkout.session: {number}", "resource_missing")
        return session

    def _expanded(self, session: Thing, params: Thing) -> Thing:
        if "payment_intent" in params.get("expand", []) and session["payment_intent"]:
            return session | {"payment_intent": self.intents[session["payment_intent"]]}
        return session

    def _create(self, params: Thing) -> Thing:
        now = int(self.now().timestamp())
        for name in params:
            if name not in KNOWN:
                raise Refused(400, f"Received unknown parameter: {name}", "parameter_unknown")
        if params.get("mode") != "payment" or params.get("ui_mode") != "hosted_page" or not params.get("success_url"):
            raise Refused(400, "Missing or invalid mode, ui_mode or success_url.")
        expires_at = int(params.get("expires_at") or now + 86400)
        if not now + 1800 <= expires_at <= now + 86400:
            raise Refused(400, "The `expires_at` timestamp must be between 30 minutes and 24 hours from now.")
        items = params.get("line_items") or []
        if not 1 <= len(items) <= 100:
            raise Refused(400, "Between 1 and 100 line items are allowed.")
        total = sum(int(item["quantity"]) * int(item["price_data"]["unit_amount"]) for item in items)
        if total < 50:
            raise Refused(400, "The total amount must be at least €0.50 eur.", "amount_too_small")
        session_id = f"cs_{'live' if self.live else 'test'}_a{next(self._numbers):08d}"
        session = {
            "id": session_id,
            "object": "checkout.session",
            "adaptive_pricing": {"enabled": True},
            "after_expiration": None,
            "amount_subtotal": total,
            "amount_total": total,
            "automatic_tax": {"enabled": False, "liability": None, "status": None},
            "cancel_url": params.get("cancel_url"),
            "client_reference_id": params.get("client_reference_id"),
            "created": now,
            "currency": items[0]["price_data"]["currency"],
            "customer": None,
            "customer_details": {"email": params.get("customer_email"), "name": None, "tax_exempt": "none"},
            "customer_email": params.get("customer_email"),
            "expires_at": expires_at,
            "livemode": self.live,
            "locale": params.get("locale"),
            "metadata": params.get("metadata") or {},
            "mode": "payment",
            "payment_intent": None,
            "payment_method_types": ["card"],
            "payment_status": "unpaid",
            "status": "open",
            "success_url": params["success_url"],
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            "ui_mode": "hosted_page",
            "url": f"https://checkout.stripe.com/c/pay/{session_id}",
        }
        self.sessions[session_id] = session
        self._metadata[session_id] = (params.get("payment_intent_data") or {}).get("metadata") or {}
        return session

    def _list(self, params: Thing) -> Thing:
        created = params.get("created") or {}
        found = [
            session
            for session in reversed(self.sessions.values())
            if int(created.get("gte", 0)) <= session["created"] <= int(created.get("lte", 1 << 40))
        ]
        ids = [session["id"] for session in found]
        first = ids.index(params["starting_after"]) + 1 if "starting_after" in params else 0
        limit = int(params.get("limit", 10))
        return {
            "object": "list",
            "url": "/v1/checkout/sessions",
            "has_more": len(found) > first + limit,
            "data": found[first : first + limit],
        }

    # --- what people and banks do ---

    def only(self) -> str:
        """The id of the one session there is."""
        (session_id,) = self.sessions
        return session_id

    def _complete(self, session_id: str, intent_status: str, received: int) -> Thing:
        session = self.sessions[session_id]
        intent_id = session["payment_intent"] or f"pi_{next(self._numbers):08d}"
        self.intents[intent_id] = {
            "id": intent_id,
            "object": "payment_intent",
            "amount": session["amount_total"],
            "amount_capturable": 0,
            "amount_received": received,
            "capture_method": "automatic_async",
            "created": session["created"],
            "currency": session["currency"],
            "latest_charge": f"ch_{next(self._numbers):08d}",
            "livemode": self.live,
            "metadata": self._metadata[session_id],
            "status": intent_status,
        }
        session |= {
            "payment_intent": intent_id,
            "status": "complete",
            "payment_status": "paid" if received else "unpaid",
            "url": None,
        }
        return session

    def pay(self, session_id: str, cents: int | None = None) -> Thing:
        """Pay by card: the whole amount, unless it is said otherwise."""
        return self._complete(session_id, "succeeded", cents or self.sessions[session_id]["amount_total"])

    def pay_later(self, session_id: str) -> Thing:
        """Pay by a delayed method: the session is complete, the money on its way."""
        return self._complete(session_id, "processing", 0)

    def succeed(self, session_id: str) -> Thing:
        """The delayed money has come."""
        return self.pay(session_id)

    def fail(self, session_id: str) -> Thing:
        """The delayed money will not come."""
        return self._complete(session_id, "requires_payment_method", 0)

    def lapse(self, session_id: str) -> Thing:
        """The session has run out."""
        session = self.sessions[session_id]
        session |= {"status": "expired", "url": None}
        return session

    def event(self, kind: str, thing: Thing, **changes: Any) -> bytes:
        """The body of a webhook about a thing as it is now."""
        event = {
            "id": f"evt_{next(self._numbers):08d}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": int(self.now().timestamp()),
            "data": {"object": thing},
            "livemode": self.live,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        return json.dumps(event | changes, indent=2).encode()


def settings(fake: FakeStripe) -> dict[str, Any]:
    """The settings of a shop whose Stripe is the fake."""
    return {
        "stripe_secret_key": "sk_test_for_tests_only",
        "stripe_webhook_secrets": (NEW_SECRET, OLD_SECRET),
        "stripe_api_base": fake.url,
    }


def signature(body: bytes, secret: str = NEW_SECRET, second: int | None = None) -> dict[str, str]:
    """The header that the library itself makes for a body, at a second of the machine's clock (now)."""
    header: str = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, second)
    return {"Stripe-Signature": header, "Content-Type": "application/json"}
