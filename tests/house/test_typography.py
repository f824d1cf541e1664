"""French typography: no line begins with : ; ! ? or », none ends with «, on any page and in any letter.

`shop/words.py` sees to the spaces of what goes through `_`. So sources are searched for words that go around it, and
pages and letters for ordinary spaces, whatever way their words came.
"""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from flask import Flask
from jinja2 import Environment, nodes

from accounts import queries
from demo import files
from enrolments.forms import tidy
from shop.config import ROOT
from shop.outbox import Message
from shop.words import NO_BREAK_SPACE, gettext, no_break
from tests.conftest import MakeApp, OpenSession, SignIn, Submit, as_typed
from tests.house.test_code import sources, templates
from tests.house.test_pages import World, routes, world  # noqa: F401 (a fixture)

BREAKABLE = re.compile(r"(?:^|.{0,40})[ \t\u2009]+[:;!?»].{0,20}|.{0,40}«[ \t\u2009].{0,20}", re.MULTILINE)
# In sources a mark may belong to something else: a slice, a parameter of a statement, a regular expression.
BREAKABLE_IN_SOURCE = re.compile(r"[ \t\n\u2009][:;!?»](?=[\s<.,;)]|$)|«[ \t\n\u2009]")
GETTEXT = {"_", "gettext", "ngettext"}
INLINE = {"a", "abbr", "b", "bdi", "br", "code", "em", "i", "q", "small", "span", "strong", "sup", "time", "u", "wbr"}
READ_OUT = ("alt", "aria-description", "aria-label", "data-hide-words", "placeholder", "title")


class Reader(HTMLParser):
    """What is read of a page: the words of each block on a line, and the attributes that are words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.attributes: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [value for name, value in attrs if name in READ_OUT and value]
        self.silent += tag in ("script", "style")
        self.words.append("" if tag in INLINE - {"br"} else "\n")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("script", "style")
        self.words.append("" if tag in INLINE else "\n")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words.append(re.sub(r"[ \t\r\n]+", " ", data))


def breaks_in_page(html: str) -> list[str]:
    """Where a line of the page may begin or end with the wrong mark, with some words around it."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    blocks = [re.sub(" +", " ", block).strip(" ") for block in "".join(reader.words).split("\n")]
    return BREAKABLE.findall("\n".join([*blocks, *reader.attributes]))


def breaks_in_letter(letter: Message) -> list[str]:
    return [*BREAKABLE.findall(letter.subject), *BREAKABLE.findall(letter.text), *breaks_in_page(letter.html)]


# --- the sources ---


def test_what_is_sent_is_called_an_email() -> None:
    """A letter is what the code calls it. Names are written with letters, a newsletter is one, an address stays."""
    called = re.compile(r"(?<!/)\blettres?\b(?! d’information)(?<!avec des lettres)", re.IGNORECASE)
    found = {
        str(path.relative_to(ROOT)): lines
        for path in (*sources(), *templates())
        if (lines := [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if called.search(line)])
    }
    assert found == {}


def words_of_code(source: str) -> Iterator[str]:
    """The texts in a module that do not pass `_`; docstrings, which nobody outside reads, are left out."""
    tree = ast.parse(source)
    passed: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in GETTEXT:
            passed |= {id(part) for argument in node.args for part in ast.walk(argument)}
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            yield node.value


def words_of_template(source: str) -> Iterator[str]:
    """The texts in a template that do not pass `_`."""
    tree = Environment(
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"], trim_blocks=True, lstrip_blocks=True, autoescape=True
    ).parse(source)
    passed = {
        id(part)
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name in GETTEXT
        for argument in call.args
        for part in (argument, *argument.find_all(nodes.Const))
    }
    for node in tree.find_all((nodes.TemplateData, nodes.Const)):
        words = node.data if isinstance(node, nodes.TemplateData) else node.value  # type: ignore[attr-defined]
        if isinstance(words, str) and id(node) not in passed:
            yield words


def astray(texts: Iterator[str]) -> list[str]:
    return [words for words in texts if BREAKABLE_IN_SOURCE.search(words)]


def test_no_sentence_goes_around_gettext() -> None:
    found = {path: astray(words_of_code(path.read_text())) for path in sources()}
    found |= {path: astray(words_of_template(path.read_text())) for path in templates()}
    assert {path.relative_to(ROOT).as_posix(): words for path, words in found.items() if words} == {}


def test_the_search_of_sources_sees_what_is_planted() -> None:
    assert astray(words_of_code('words = f"{who} : {what}"'))
    assert astray(words_of_code('words = "« Bonjour »"'))
    assert not astray(words_of_code('"""Who : what."""\nwords = _("%(who)s : %(what)s", who=one[1:2])'))
    assert astray(words_of_template("<b>{{ who }}</b> : {{ what }}"))
    assert astray(words_of_template("{{ who }}\n  ; {{ what }}"))
    assert astray(words_of_template("{{ button('Vraiment ?') }}"))
    assert not astray(words_of_template("<p style='color: red'>{{ button(_('Vraiment ?')) }}&nbsp;: oui</p>"))


# --- the words ---


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("Mot de passe oublié ?", "Mot de passe oublié_?"),
        ("À bientôt ! Et : « Bonjour » ; oui.", "À bientôt_! Et_: «_Bonjour_»_; oui."),
        ("« %(name)s » ?", "«_%(name)s_»_?"),
        ("à 10:30, https://example.org/a?b=c;d!", "à 10:30, https://example.org/a?b=c;d!"),
        ("à 10\u00a0h : fermé", "à 10\u00a0h_: fermé"),
        ("", ""),
    ],
)
def test_spaces_before_marks_do_not_break(typed: str, written: str) -> None:
    assert no_break(typed) == written.replace("_", NO_BREAK_SPACE)
    assert no_break(no_break(typed)) == no_break(typed)
    assert as_typed(no_break(typed)) == typed


def test_what_is_filled_in_stays_as_it_is() -> None:
    assert gettext("Objet : %(what)s", what="a : b") == f"Objet{NO_BREAK_SPACE}: a : b"


def test_what_people_type_for_others_is_put_right_and_its_own_spaces_are_kept() -> None:
    typed = "Il manque : un papier\u202f!\nÀ 10\u00a0h"
    assert tidy(tidy(typed)) == tidy(typed) == f"Il manque{NO_BREAK_SPACE}: un papier\u202f!\nÀ 10\u00a0h"


def test_the_demonstration_is_written_alike() -> None:
    people = files.the_people()
    requests = [request for family in people.families for eater in family.eaters for request in eater.requests]
    texts = [family.note for family in people.families] + [person.note for person in people.staff]
    texts += [text for request in requests for text in (request.message, request.reason) if text]
    texts += [commune.name for commune in files.the_town().communes]
    assert any(NO_BREAK_SPACE in text for text in texts)
    assert [text for text in texts if BREAKABLE.search(text)] == []


# --- pages and letters ---


@pytest.mark.parametrize("who", ["anonymous", "parent", "clerk"])
def test_no_line_of_a_page_begins_or_ends_with_the_wrong_mark(
    make_app: MakeApp,
    world: World,  # noqa: F811
    sign_in: SignIn,
    submit: Submit,
    who: str,
) -> None:
    app, found, pages = make_app(mode="demo"), {}, 0
    for rule, method in routes(app):
        client = app.test_client()
        if who != "anonymous":
            sign_in(client, world.parent if who == "parent" else world.clerk)
        url = world.url(app, rule)
        answer = client.get(url) if method == "GET" else submit(client, url, follow_redirects=True)
        if answer.mimetype == "text/html":
            pages += 1
            found[f"{method} {rule}"] = breaks_in_page(answer.get_data(as_text=True))
    assert {place: breaks for place, breaks in found.items() if breaks} == {}
    assert pages > 50


def test_no_line_of_a_letter_begins_or_ends_with_the_wrong_mark(
    app: Flask,
    world: World,  # noqa: F811
    read: OpenSession,
) -> None:
    with read() as db:
        reservations = world.town.reservation_ids(1)
        facts = {
            "first_name": queries.details_of(db, world.parent.account_id).first_name,
            "token": "x" * 43,
            "new_email": "nouvelle@example.org",
            "things": [{"name": "Louane Dupont", "service": "Cantine", "tariff": "Résident"}],
            "town": "Le Puy-en-Velay",
            "town_email": "mairie@lepuy.example.org",
            "town_phone": "+33471000000",
            "reason": tidy("Il manque : un justificatif."),
            "order_id": 1,
            "reservation_ids": reservations,
            "reservation_id": reservations[0],
            "call_off_id": world.samples["call_off_id"],
            "leave_id": 1,
            "entry_id": world.samples["entry_id"],
            "credited": reservations,
            "due": reservations,
            "paper": True,
            "credit_cents": 380,
            "payment_id": 1,
            "seen_cents": 1,
            "account_id": world.parent.account_id,
            "basket_id": world.samples["basket_id"],
            "until": "2026-11-20T09:00:00+00:00",
            "monday": "2026-11-23",
            "lines": [{"name": "Louane", "service": "Cantine", "days": ["2026-11-23", "2026-11-24"]}],
            "day": "2026-11-24",
            "covered": "2026-11-23",
            "balance_cents": 380,
            "child": "Louane",
            "lapses": "jeudi 3 décembre 2026",
            "beneficiary_id": world.samples["beneficiary_id"],
            "accepted": 1,
            "days": "jeudi 3 décembre 2026",
            "verdict": "agreed",
            "meal_id": world.samples["meal_id"],
            "paid": False,
            "in_basket": True,
            "invoice_id": world.samples["invoice_id"],
            "settled": [world.samples["meal_id"]],
            "unbooked_ids": [world.samples["meal_id"]],
            "due_cents": 380,
        }
        letters = {kind: compose(db, facts) for kind, compose in app.extensions["shop.letters"].items()}
    assert len(letters) > 20
    found = {kind: breaks_in_letter(letter) for kind, letter in letters.items()}
    assert {kind: breaks for kind, breaks in found.items() if breaks} == {}
    assert NO_BREAK_SPACE in letters["order_paid"].text


@pytest.mark.parametrize(
    "planted",
    [
        "<p>Attention : demain</p>",
        "<p><strong>Attention</strong> : demain</p>",
        "<p>Attention\n  <b>: demain</b></p>",
        "<p>Le tarif « Adulte\u00a0»</p>",
        "<p>Vraiment&#32;?</p>",
        '<a aria-label="Supprimer ?">x</a>',
        "<title>Vraiment ?</title>",
    ],
)
def test_the_search_of_pages_sees_what_is_planted(planted: str) -> None:
    assert breaks_in_page(planted)
    assert breaks_in_letter(Message("Bonjour", "Bonjour", planted))


def test_the_search_sees_what_is_planted_in_a_letter_and_leaves_the_rest() -> None:
    assert breaks_in_letter(Message("Bonjour !", "Bonjour", "<p>Bonjour</p>"))
    assert breaks_in_letter(Message("Bonjour", "Le total :\n3 euros", "<p>Bonjour</p>"))
    fine = '<style>a :first-child { x: y !important }</style><p>10:30\u00a0; oui&nbsp;!</p><a href="/a ?b">x</a>'
    assert not breaks_in_letter(Message("Bonjour", "http://x/?a=b : y".replace(" :", "\u00a0:"), fine))
