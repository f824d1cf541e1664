"""What the code may not hold: ways around escaping, SQL put together from text, floats near money, notes to oneself."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from shop.config import ROOT

ROOMS = (
    "accounts",
    "backoffice",
    "cart",
    "catalog",
    "checkout",
    "demo",
    "enrolments",
    "homes",
    "orders",
    "payments",
    "shop",
    "wallet",
)


def sources() -> Iterator[Path]:
    yield ROOT / "app.py"
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def templates() -> Iterator[Path]:
    yield from (path for path in sorted((ROOT / "templates").rglob("*")) if path.is_file())


FORBIDDEN_IN_CODE = {
    # Trust: T-064.
    "SQL put together from text": r"\b(text|exec_driver_sql)\(\s*f[\"']",
    "markup that escapes nothing": r"\bMarkup\(",
    "an expression out of text": r"\b(eval|exec)\(",
    "an object out of bytes": r"\bimport pickle\b|\bimport marshal\b|yaml\.load\(",
    "a shell": r"shell=True|os\.system\(",
    "a note to oneself": r"\b(TODO|FIXME|XXX|HACK)\b",
    "the machine's clock": r"datetime\.(now|today|utcnow)\(|date\.today\(|time\.time\(",
    "a commit or rollback of one's own": r"\.(commit|rollback)\(\)",
}
ALLOWED = {
    # Names of our own tables, in the loader of a demonstration.
    ("SQL put together from text", "demo/bulk.py"),
    ("SQL put together from text", "demo/grow.py"),
    # Constants of templates, worked out when these are compiled; what is filled in is escaped (see below).
    ("markup that escapes nothing", "shop/templating.py"),
    ("the machine's clock", "shop/clock.py"),
    ("a commit or rollback of one's own", "shop/database.py"),
    ("a commit or rollback of one's own", "shop/schema.py"),
    # The library checks a signature's age against the machine's clock; a demonstration's clock is handed to it.
    ("the machine's clock", "payments/gateways/stripe_checkout.py"),
}
FORBIDDEN_IN_TEMPLATES = {
    "a value that is not escaped": r"\|\s*safe\b|\bautoescape\s+false",
    "a note to oneself": r"\b(TODO|FIXME|XXX)\b",
    "a script or style inside the page": r"<script(?![^>]*\bsrc=)[^>]*>|\son[a-z]+=|javascript:",
}


def found(pattern: str, words: str) -> list[str]:
    return [line.strip() for line in words.splitlines() if re.search(pattern, line)]


@pytest.mark.parametrize("what", FORBIDDEN_IN_CODE)
def test_the_code_holds_no(what: str) -> None:
    hits = {}
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        lines = found(FORBIDDEN_IN_CODE[what], path.read_text())
        if lines and (what, name) not in ALLOWED:
            hits[name] = lines
    assert not hits


@pytest.mark.parametrize("what", FORBIDDEN_IN_TEMPLATES)
def test_no_template_holds(what: str) -> None:
    hits = {}
    for path in templates():
        lines = found(FORBIDDEN_IN_TEMPLATES[what], path.read_text())
        if lines:
            hits[path.relative_to(ROOT).as_posix()] = lines
    assert not hits


@pytest.mark.parametrize(
    ("where", "what", "planted"),
    [
        ("code", "SQL put together from text", 'db.execute(text(f"SELECT * FROM {name}"))'),
        ("code", "markup that escapes nothing", "return Markup(name)"),
        ("code", "an expression out of text", "eval(words)"),
        ("code", "an object out of bytes", "import pickle"),
        ("code", "a shell", "subprocess.run(words, shell=True)"),
        ("code", "a note to oneself", "# TODO: later"),
        ("code", "the machine's clock", "now = datetime.now(UTC)"),
        ("code", "a commit or rollback of one's own", "db.commit()"),
        ("templates", "a value that is not escaped", "{{ name|safe }}"),
        ("templates", "a value that is not escaped", "{{ name | safe }}"),
        ("templates", "a note to oneself", "{# TODO #}"),
        ("templates", "a script or style inside the page", "<script>alert(1)</script>"),
        ("templates", "a script or style inside the page", '<button onclick="x()">'),
    ],
)
def test_the_search_sees_what_is_planted(where: str, what: str, planted: str) -> None:
    patterns = FORBIDDEN_IN_CODE if where == "code" else FORBIDDEN_IN_TEMPLATES
    assert found(patterns[what], planted)


def test_what_is_filled_into_words_is_escaped(app: Flask) -> None:
    page = app.jinja_env.from_string(
        "{{ _('Bonjour %(name)s', name=name) }} {% trans name=name %}Salut {{ name }}{% endtrans %}"
    )
    with app.test_request_context("/"):
        assert page.render(name="<b>") == "Bonjour &lt;b&gt; Salut &lt;b&gt;"


def test_no_float_stands_near_money() -> None:
    """No float literal and no call of `float` in a room that knows money, and none in the ground's money."""
    hits = []
    for path in sources():
        room = path.relative_to(ROOT).as_posix()
        if not room.startswith(("wallet/", "orders/", "cart/", "checkout/", "payments/", "catalog/", "shop/money.py")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
            if literal or call:
                hits.append(f"{room}:{node.lineno}")  # type: ignore[attr-defined]
    # Seconds of waiting and colours are no money.
    assert [
        hit for hit in hits if not hit.startswith(("payments/gateways/", "catalog/colours.py", "checkout/cli.py"))
    ] == []


def test_no_room_bears_the_name_of_a_standard_module() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert set(ROOMS) <= rooms | {"demo"}
    assert not (rooms | {path.stem for path in ROOT.glob("*.py")}) & sys.stdlib_module_names


def test_every_rule_is_pure() -> None:
    """`rules.py` imports no database, no web and no clock's reading: values in, values out."""
    for path in ROOT.glob("*/rules.py"):
        tree = ast.parse(path.read_text())
        names = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not names & {"request_now", "transaction", "reading", "request", "current_app", "random", "secrets"}, (
            path
        )


def test_nobody_imports_the_roof() -> None:
    for path in sources():
        assert path.name == "app.py" or not found(r"^(from app import|import app\b)", path.read_text()), path
