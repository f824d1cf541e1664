"""« Liste d’attente »: where a family stands, the places that are kept for it, and the way out."""

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from checkout import waiting
from checkout.order_views import blueprint
from shop.access import open_to, the_household_id
from shop.clock import paris_day, request_now
from shop.database import reading, transaction
from shop.errors import NotFound
from shop.web import whole_number
from shop.words import gettext as _


@blueprint.get("/mes-reservations/attente", endpoint="waiting")
@open_to("parents")
def waiting_list() -> str:
    """The days on which the family waits for a place; what is kept for it comes first."""
    now = request_now()
    with reading() as db:
        entries = waiting.entries_ahead(db, the_household_id(), paris_day(now))
        elsewhere = waiting.closed_by_custody(db, the_household_id(), entries)
    kept = [entry for entry in entries if entry.is_kept(now)]
    return render_template(
        "checkout/waiting.html",
        kept=kept,
        waits=[entry for entry in entries if entry.state == "waiting"],
        ended=[entry for entry in entries if entry.state != "waiting" and entry not in kept],
        elsewhere=elsewhere,
    )


@blueprint.post("/mes-reservations/attente/quitter")
@open_to("parents")
def leave_waiting_list() -> Response:
    """Leave the list, or let a place that is kept go on to the next family."""
    number = whole_number(request.form.get("attente"))
    if number is None:
        raise NotFound
    with transaction() as db:
        before = waiting.leave(db, the_household_id(), number, request_now())
    if before == "offered":
        flash(_("C’est noté : la place est proposée à la famille suivante."), "ok")
    elif before == "waiting":
        flash(_("C’est noté : vous n’attendez plus de place ce jour-là."), "ok")
    else:
        flash(_("C’était déjà terminé : rien n’a changé."), "note")
    return redirect(url_for("orders.waiting"), 303)
