"""The gateways in use, by name; `app.py` hands them down."""

from collections.abc import Mapping

from flask import current_app

from payments.gateways.base import Gateway


def the_gateways() -> Mapping[str, Gateway]:
    """Every gateway of the current application, by name."""
    gateways: Mapping[str, Gateway] = current_app.extensions["payments.gateways"]
    return gateways
