"""The sandbox's payment page. It is registered only where the sandbox gateway is in use, so never in production."""

from typing import NamedTuple

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from payments.errors import CardRefused
from payments.forms import CardForm
from payments.gateways import sandbox as books
from shop.access import open_to_all
from shop.clock import request_now
from shop.database import reading, transaction
from shop.errors import NotFound
from shop.words import gettext as _

blueprint = Blueprint("payments", __name__)


class TestCard(NamedTuple):
    """A test card as the page offers it."""

    number: str
    label: str


def _test_cards() -> list[TestCard]:
    labels: dict[books.Card, str] = {
        "succeeds": _("Paiement accepté"),
        "declined": _("Paiement refusé par la banque"),
        "challenge": _("Confirmation demandée par la banque (3-D Secure)"),
        "late": _("Accepté, mais quelques secondes plus tard"),
        "never": _("Aucune réponse"),
    }
    return [
        TestCard(" ".join(number[start : start + 4] for start in range(0, len(number), 4)), labels[card])
        for number, card in books.CARDS.items()
    ]


def _page(reference: str) -> books.SandboxPage:
    with reading() as db:
        page = books.load_page(db, reference, request_now())
    if page is None:
        raise NotFound
    return page


def _show(page: books.SandboxPage, form: CardForm | None = None, refused: str = "") -> Response:
    html = render_template(
        "payments/sandbox.html",
        page=page,
        form=CardForm(formdata=None) if form is None else form,
        refused=refused,
        cards=_test_cards(),
    )
    status = 422 if refused or (form is not None and form.errors) else 200
    return Response(html, status, mimetype="text/html")


def _lead_on(page: books.SandboxPage, state: books.State) -> Response:
    """Where the browser goes after a click: back to the shop, or to the page as it is now."""
    if state in ("paid", "processing"):
        return redirect(page.success_url, 303)
    return redirect(url_for("payments.sandbox", reference=page.reference), 303)


@blueprint.get("/paiement-securise/<reference>")
@open_to_all
def sandbox(reference: str) -> Response:
    """The page where a card is typed, the bank's question is answered, or it is said that nothing is left to do."""
    return _show(_page(reference))


@blueprint.post("/paiement-securise/<reference>")
@open_to_all
def sandbox_pay(reference: str) -> Response:
    """Pay with the card that was typed, or with the test card whose button was pressed."""
    page = _page(reference)
    chosen = request.form.get("test_card")
    form = CardForm()
    if chosen is None and not form.validate_on_submit():
        return _show(page, form)
    number = "".join(chosen.split()) if chosen is not None else form.number.data or ""
    try:
        with transaction() as db:
            state = books.pay(db, reference, number, request_now())
    except CardRefused as refusal:
        # The number is not shown again: somebody may have typed a real one.
        return _show(page, refused=refusal.sentence)
    return _lead_on(page, state)


@blueprint.post("/paiement-securise/<reference>/confirmation")
@open_to_all
def sandbox_challenge(reference: str) -> Response:
    """The answer to the bank's question."""
    page = _page(reference)
    accepted = request.form.get("answer") == "yes"
    with transaction() as db:
        state = books.answer_challenge(db, reference, accepted, request_now())
    if state == "open" and not accepted:
        sentence = _("Le paiement n’a pas été confirmé. Rien n’a été débité : essayez une autre carte.")
        return _show(_page(reference), refused=sentence)
    return _lead_on(page, state)
