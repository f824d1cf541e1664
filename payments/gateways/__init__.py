"""The gateways in use, by name; `app.py` hands them down."""

from flask import current_app

from payments.errors import GatewayMissing
from payments.gateways.base import Gateway


def the_gateways() -> dict[str, Gateway]:
    """Every gateway of the current application, by name."""
    gateways: dict[str, Gateway] = current_app.extensions["payments.gateways"]
    return gateways


def gateway_named(name: str) -> Gateway:
    """The gateway of this name. Raises `GatewayMissing`."""
    gateway = the_gateways().get(name)
    if gateway is None:
        raise GatewayMissing(name)
    return gateway
