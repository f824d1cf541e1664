"""The nightly job of two homes."""

from homes.operations import forget_lapsed
from shop.clock import request_now
from shop.database import transaction


def sweep() -> int:
    """Forget the addresses of invitations that nobody has answered in time; how many."""
    with transaction() as db:
        return forget_lapsed(db, request_now())
