"""The public pages: home, each commune, and those that name the cash offices."""

from datetime import date, timedelta
from typing import NamedTuple

from flask import Blueprint, Response, render_template, request

from catalog import queries
from catalog.colours import style_sheet
from shop.access import open_to_all
from shop.clock import paris_day, request_now
from shop.database import reading

blueprint = Blueprint("catalog", __name__)

A_YEAR_SECONDS = 365 * 86400
A_WHILE_SECONDS = 300
DECLARED_ON = date(2026, 11, 21)
"""When the declaration of accessibility was last written."""


class Week(NamedTuple):
    """A week of menus, by its Monday."""

    number: int
    days: tuple[queries.MenuDay, ...]


def weeks_of(days: tuple[queries.MenuDay, ...]) -> list[Week]:
    """The days by ISO week, in order."""
    weeks: dict[tuple[int, int], list[queries.MenuDay]] = {}
    for day in days:
        weeks.setdefault(day.day.isocalendar()[:2], []).append(day)
    return [Week(number, tuple(found)) for (_year, number), found in weeks.items()]


@blueprint.get("/")
@open_to_all
def home() -> str:
    """What this is, how it works, where, and what there is to eat."""
    today = paris_day(request_now())
    with reading() as db:
        page = queries.home(db, today)
    return render_template("catalog/home.html", page=page, today=today, tomorrow=today + timedelta(days=1))


@blueprint.get("/communes/<slug>")
@open_to_all
def commune(slug: str) -> str:
    """A commune: its services, prices, rules, deadlines, menus, holidays, and whom to ask."""
    now = request_now()
    today = paris_day(now)
    with reading() as db:
        page = queries.commune(db, slug, now, today)
    menus = [(service.name, weeks_of(service.menus)) for service in page.services if service.has_menus]
    return render_template("catalog/commune.html", commune=page, menus=menus, today=today)


@blueprint.get("/communes/<slug>/couleurs.css")
@open_to_all
def colours(slug: str) -> Response:
    """The commune's accent as a style sheet, because a page may carry no style of its own."""
    with reading() as db:
        accent = queries.accent(db, slug)
    response = Response(style_sheet(accent), mimetype="text/css")
    # The address of the page names the colour, so what it names never changes; any other may tomorrow.
    if request.args.get("v") == accent[1:]:
        response.headers["Cache-Control"] = f"public, max-age={A_YEAR_SECONDS}, immutable"
    else:
        response.headers["Cache-Control"] = f"public, max-age={A_WHILE_SECONDS}"
    return response


@blueprint.get("/contact")
@open_to_all
def contact() -> str:
    """Each commune and each cash office, and how to reach it."""
    with reading() as db:
        regies = queries.regies(db)
    return render_template("catalog/contact.html", regies=regies)


@blueprint.get("/mentions-legales")
@open_to_all
def legal_notice() -> str:
    """Who publishes the site."""
    with reading() as db:
        regies = queries.regies(db)
    return render_template("catalog/legal_notice.html", regies=regies)


@blueprint.get("/accessibilite")
@open_to_all
def accessibility() -> str:
    """The declaration of accessibility of the whole site, in the name of its cash offices."""
    with reading() as db:
        regies = queries.regies(db)
    bodies = [regie.contact for regie in regies]
    return render_template("catalog/accessibility.html", bodies=bodies, commune=None, established=DECLARED_ON)


@blueprint.get("/communes/<slug>/accessibilite")
@open_to_all
def commune_accessibility(slug: str) -> str:
    """The declaration of accessibility of one commune."""
    with reading() as db:
        found = queries.commune_contact(db, slug)
    return render_template("catalog/accessibility.html", bodies=[found], commune=found, established=DECLARED_ON)
