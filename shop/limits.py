"""Limits per address on pages that robots love: signing up, asking for letters (trust: T-073).

Counted by the `limits` library at `LIMITER_URL` (memory of each process, or Redis for all of them). Flask-Limiter
itself is not used: its hooks run on every request, and were measured at as much time as a bare Flask page takes.
"""

from collections.abc import Callable
from functools import wraps
from ipaddress import IPv6Address, ip_address
from typing import Any

import structlog
from flask import Flask, current_app, request
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from shop.clock import request_now
from shop.config import Config
from shop.errors import TooMany
from shop.words import gettext as _

log = structlog.get_logger(__name__)

SPARE_SECONDS = 30
"""How long this process counts for itself after the shared counter failed, before it is asked again."""


class Limits:
    """Counts requests by purpose and address."""

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5} if "redis" in url else {}
        self._shared = FixedWindowRateLimiter(storage_from_string(url, **options))
        self._spare = FixedWindowRateLimiter(MemoryStorage())
        self._spare_until = 0.0

    def take(self, limit: RateLimitItem, purpose: str, subject: str, stamp: float) -> bool:
        """Whether one more is within the limit. When the shared counter is away the process counts for itself: a
        limit never falls away altogether."""
        if stamp >= self._spare_until:
            try:
                return self._shared.hit(limit, purpose, subject)
            except Exception as failure:
                # Whatever the client of the counter raises: a page must not fall with it.
                log.warning("the shared counter of limits is away", error=type(failure).__name__)
                self._spare_until = stamp + SPARE_SECONDS
        return self._spare.hit(limit, purpose, subject)

    def reset(self) -> None:
        """Forget every count of this process, and of the shared counter."""
        self._shared.storage.reset()
        self._spare.storage.reset()


def init_limits(app: Flask) -> None:
    """Give the application its counter."""
    config: Config = app.extensions["shop.config"]
    app.extensions["shop.limits"] = Limits(config.limiter_url)


def network_of(address: str | None) -> str:
    """The subject that an address counts as: itself, or the /64 of an IPv6 address, which one household holds whole."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        return parsed.ipv4_mapped.compressed if parsed.ipv4_mapped else str(IPv6Address(int(parsed) >> 64 << 64))
    return parsed.compressed


def limited(limit: str, purpose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator of a view: so many changes per address ("20 per 10 minutes"). Reading is not counted.

    Stands below `@open_to_all`. Above the limit: 429, with the length of the window as Retry-After.
    """
    item = parse(limit)

    def wrap(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def counted(*args: Any, **values: Any) -> Any:
            if request.method == "POST":
                limits: Limits = current_app.extensions["shop.limits"]
                subject = network_of(request.remote_addr)
                if not limits.take(item, purpose, subject, request_now().timestamp()):
                    seconds = item.get_expiry()
                    sentence = _("Trop de demandes de suite. Réessayez dans %(minutes)s min.", minutes=seconds // 60)
                    raise TooMany(sentence, retry_after=seconds)
            return view(*args, **values)

        return counted

    return wrap
