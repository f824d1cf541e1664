"""Pages about people. Signing up, signing in, links, the account, the second factor: one module each."""

from flask import Blueprint

blueprint = Blueprint("accounts", __name__)

from accounts.views import account, family, links, second_factor, sign_in, sign_up  # noqa: E402, F401 (their routes)
