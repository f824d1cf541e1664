"""The bare Flask page: the least that Flask and gunicorn can do for so many bytes."""

import json
import os

from flask import Flask


def create_app() -> Flask:
    """An application whose pages are constant strings, of the sizes in `BARE_PAGES` (JSON: name → bytes)."""
    app = Flask(__name__, static_folder=None)
    for name, size in json.loads(os.environ["BARE_PAGES"]).items():
        body = "<!DOCTYPE html>".ljust(size, "x")
        app.add_url_rule(f"/{name}", name, lambda body=body: body)
    return app
