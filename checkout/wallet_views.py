"""Mes crédits."""

from flask import Blueprint, render_template, request

from checkout import queries, statement, top_up
from shop.access import open_to, the_household_id
from shop.database import reading
from shop.errors import NotFound
from shop.web import whole_number

blueprint = Blueprint("wallet", __name__)


@blueprint.get("/mes-credits", endpoint="statement")
@open_to("parents")
def show_statement() -> str:
    """A bank statement with running balance; one wallet a régie."""
    household_id = the_household_id()
    before = whole_number(request.args.get("avant"))
    with reading() as db:
        purses = top_up.purses(db, household_id)
        wanted = request.args.get("regie", str(purses[0].regie_id) if purses else "")
        purse = next((purse for purse in purses if str(purse.regie_id) == wanted), None)
        if purses and purse is None:
            raise NotFound
        lines = queries.movements(db, purse.regie_id, household_id, before) if purse else []
        meals = queries.meals_of_movements(db, lines) if lines else []
    return render_template(
        "checkout/statement.html", purses=purses, purse=purse, page=statement.write(lines, meals), newest=before is None
    )
