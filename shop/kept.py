"""What a request, job or command keeps while it lasts."""

from typing import Any

from flask import g


def kept() -> dict[str, Any]:
    """Flask's `g` as the dictionary that it is. The proxy before it looks for it at every touch, and pages touch it often."""
    here: dict[str, Any] = vars(g._get_current_object())
    return here
