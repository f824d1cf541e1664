"""The public pages, in the browser of somebody who is not signed in, and of a parent."""

import re
from datetime import date, datetime, timedelta
from html import unescape

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, update
from werkzeug.test import TestResponse

from catalog.models import Commune, Holiday, Service, ServiceDay, Tariff, TariffPrice
from shop.clock import PARIS, StoppedClock
from tests.conftest import CountStatements, OpenSession, SignIn
from tests.factory import Town

MENU = "Velouté de potiron\nDahl de lentilles vertes du Puy (végétarien)\nClémentines"
PUBLIC = (
    "/",
    "/communes/aiguilhe",
    "/communes/aiguilhe/accessibilite",
    "/accessibilite",
    "/contact",
    "/mentions-legales",
    "/donnees-personnelles",
    "/conditions-generales",
)


def words(response: TestResponse) -> str:
    """What a reader sees of the page, on one line."""
    page = re.sub(r"<(script|style|title).*?</\1>", " ", response.text, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).replace("\u00a0", " ").split())


def write_menu(write: OpenSession, day: date, menu: str, service_id: int | None = None) -> None:
    """Write the menu of a day, at every service or at one."""
    with write() as db:
        query = update(ServiceDay).where(ServiceDay.day == day).values(menu=menu)
        db.execute(query if service_id is None else query.where(ServiceDay.service_id == service_id))


# --- home ---


def test_home_says_what_it_is_and_what_to_do(client: FlaskClient, town: Town) -> None:
    page = words(client.get("/"))
    assert "Réservez les repas de cantine" in page
    steps = ["Créez votre compte", "Attendez la validation", "Rechargez, si vous le souhaitez", "Réservez Par jour"]
    places = [page.index(step) for step in steps]
    assert places == sorted(places)
    assert "Créer votre compte" in page
    assert "Connexion" in page
    assert "Aiguilhe Cantine, dès 3,80 € Garderie, dès 2,10 €" in page
    assert "Coubon Cantine, dès 4,10 €" in page


def test_the_lowest_price_is_the_least_that_a_family_can_be_asked(
    client: FlaskClient, town: Town, write: OpenSession
) -> None:
    with write() as db:
        grid = [{"quotient_to": 699, "cents": 50}, {"quotient_from": 700, "cents": 310}]
        db.execute(
            update(TariffPrice).where(TariffPrice.id == town.aiguilhe.canteen.price_id).values(cents=310, grid=grid)
        )
        tariff_id = town.coubon.canteen.outside_tariff_id
        db.execute(update(Tariff).where(Tariff.id == tariff_id).values(pai=True))
        db.execute(update(TariffPrice).where(TariffPrice.tariff_id == tariff_id).values(cents=145))
    page = words(client.get("/"))
    assert "Aiguilhe Cantine, dès 0,50 €" in page
    assert "Coubon Cantine, dès 4,10 €" in page, "an own meal is no price to be drawn by"


def test_home_shows_the_next_menus(client: FlaskClient, town: Town, write: OpenSession) -> None:
    write_menu(write, date(2026, 11, 19), MENU)
    write_menu(write, date(2026, 11, 20), MENU, town.coubon.canteen.id)
    write_menu(write, date(2026, 11, 23), MENU)
    write_menu(write, date(2026, 11, 18), "Un repas d’hier")
    page = words(client.get("/"))
    assert (
        "Aujourd’hui Velouté de potiron Dahl de lentilles vertes du Puy végétarien Clémentines Dans 2 cantines" in page
    )
    assert "Demain Velouté de potiron Dahl de lentilles vertes du Puy végétarien Clémentines Coubon" in page
    assert "Lundi 23 novembre" in page
    assert "hier" not in page


def test_home_shows_five_days_and_the_most_served_menu_of_each(
    client: FlaskClient, town: Town, write: OpenSession
) -> None:
    town.another_regie()
    days = sorted(town.aiguilhe.canteen.day_ids)
    ahead = [day for day in days if day >= date(2026, 11, 19)][:6]
    for day in ahead:
        write_menu(write, day, MENU)
    write_menu(write, ahead[0], "Un menu à part", town.coubon.canteen.id)
    page = words(client.get("/"))
    assert page.count("Velouté de potiron") == 5
    assert "Un menu à part" not in page


def test_home_before_anything_is_open(client: FlaskClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    page = words(response)
    assert "Aucune commune pour l’instant" in page
    assert "Pas de menu à venir" in page


def test_a_signed_in_parent_is_led_to_the_booking(client: FlaskClient, town: Town, sign_in: SignIn) -> None:
    sign_in(client, town.family())
    text = client.get("/").text
    assert 'href="/reserver"' in text
    assert "/creer-un-compte" not in text


# --- a commune ---


def test_a_commune_shows_services_prices_rules_and_deadlines(client: FlaskClient, town: Town) -> None:
    page = words(client.get("/communes/aiguilhe"))
    assert "Restaurant scolaire" in page
    assert "Garderie du soir" in page
    assert "3,80 €" in page
    assert "Réservez 2 jours avant le repas, avant 10 h." in page
    assert "Avant le samedi 10 h pour lundi" in page
    assert "Non payé = non réservé." in page
    # It is Thursday 19 at 8 h: Monday's deadline is Saturday.
    assert "Lundi 23 novembre réservez jusqu’au sam. 21 nov. à 10 h" in page
    assert "École du 1er septembre 2026 au 2 juillet 2027." in page


def test_deadlines_go_with_their_instant(client: FlaskClient, town: Town, clock: StoppedClock) -> None:
    said = "Lundi 23 novembre réservez jusqu’au"
    clock.moment = datetime(2026, 11, 21, 9, 59, 59, tzinfo=PARIS)
    assert said in words(client.get("/communes/coubon"))
    clock.moment = datetime(2026, 11, 21, 10, tzinfo=PARIS)
    assert said not in words(client.get("/communes/coubon"))


def test_a_full_day_says_so(client: FlaskClient, town: Town) -> None:
    town.change_day(town.coubon.canteen, date(2026, 11, 23), capacity=0)
    assert "Lundi 23 novembre Complet" in words(client.get("/communes/coubon"))


def test_a_closed_day_says_why(client: FlaskClient, town: Town, write: OpenSession) -> None:
    write_menu(write, date(2026, 11, 20), MENU)
    town.change_day(town.aiguilhe.canteen, date(2026, 11, 23), is_open=False, closed_reason="Grève")
    town.close(town.aiguilhe, date(2026, 11, 23), "Grève nationale")
    page = words(client.get("/communes/aiguilhe"))
    assert "Lundi 23 novembre Fermé Grève" in page
    assert "Grève nationale lundi 23 novembre 2026" in page
    assert "Lundi 23 novembre réservez" not in page.partition("Garderie du soir Jours")[0]


def test_announced_prices_stand_beside_the_current_one(client: FlaskClient, town: Town, write: OpenSession) -> None:
    canteen = town.coubon.canteen
    with write() as db:
        db.execute(update(TariffPrice).where(TariffPrice.id == canteen.price_id).values(valid_until=date(2026, 12, 31)))
        db.execute(
            insert(TariffPrice).values(
                tariff_id=canteen.tariff_id, valid_from=date(2027, 1, 1), valid_until=None, cents=435
            )
        )
    page = words(client.get("/communes/coubon"))
    assert "4,10 € 4,35 € à partir du 1er janvier 2027" in page


def test_public_holidays_inside_holidays_are_not_told_twice(
    client: FlaskClient, town: Town, write: OpenSession
) -> None:
    with write() as db:
        db.execute(
            insert(Holiday),
            [
                {
                    "zone": "A",
                    "label": "Vacances de Noël",
                    "first_day": date(2026, 12, 19),
                    "last_day": date(2027, 1, 3),
                },
                {
                    "zone": "B",
                    "label": "Vacances d’ailleurs",
                    "first_day": date(2027, 2, 20),
                    "last_day": date(2027, 3, 7),
                },
                {"zone": None, "label": "Noël", "first_day": date(2026, 12, 25), "last_day": date(2026, 12, 25)},
                {
                    "zone": None,
                    "label": "Lundi de Pâques",
                    "first_day": date(2027, 3, 29),
                    "last_day": date(2027, 3, 29),
                },
                {"zone": None, "label": "Fête du Travail", "first_day": date(2027, 5, 1), "last_day": date(2027, 5, 1)},
            ],
        )
    page = words(client.get("/communes/aiguilhe"))
    assert "Vacances de Noël du 19 décembre 2026 au 3 janvier 2027 Lundi de Pâques lundi 29 mars 2027" in page
    assert "ailleurs" not in page
    assert "Noël vendredi" not in page
    assert "Fête du Travail" not in page


def test_a_commune_without_services(client: FlaskClient, town: Town, write: OpenSession) -> None:
    with write() as db:
        db.execute(
            insert(Commune).values(
                regie_id=town.regie_id, slug="neuve", name="Neuve", insee="43001", zone="B", accent="#ffffff"
            )
        )
    page = words(client.get("/communes/neuve"))
    assert "Aucun service pour l’instant" in page
    assert "Le calendrier de l’année n’est pas encore publié." in page
    assert "Neuve Ouverture prochaine" in words(client.get("/"))


def test_names_are_escaped_and_may_be_long(client: FlaskClient, town: Town, write: OpenSession) -> None:
    with write() as db:
        db.execute(update(Service).values(name="<b>Cantine</b> " + "x" * 60, description="<script>alert(1)</script>"))
    text = client.get("/communes/aiguilhe").text
    assert "<b>Cantine" not in text
    assert "<script>alert" not in text


def test_a_commune_that_does_not_exist(client: FlaskClient, town: Town) -> None:
    for path in ("/communes/nulle-part", "/communes/nulle-part/couleurs.css", "/communes/nulle-part/accessibilite"):
        assert client.get(path).status_code == 404


def test_a_parent_books_from_the_page(client: FlaskClient, town: Town, sign_in: SignIn) -> None:
    sign_in(client, town.family())
    text = client.get("/communes/aiguilhe").text
    assert 'href="/reserver/aiguilhe/restaurant-scolaire"' in text
    assert "/creer-un-compte" not in text


def test_another_commune_leaves_no_trace(client: FlaskClient, town: Town, write: OpenSession) -> None:
    with write() as db:
        canary = "zibeline"
        db.execute(
            update(Commune).where(Commune.slug == "coubon").values(name=canary, contact_email=f"{canary}@example.org")
        )
        db.execute(update(Service).where(Service.commune_id == town.coubon.id).values(name=canary, description=canary))
    town.close(town.coubon, date(2026, 11, 24), canary)
    assert canary not in client.get("/communes/aiguilhe").text


# --- statements ---


def test_statements_do_not_grow(
    client: FlaskClient, town: Town, sign_in: SignIn, write: OpenSession, statements: CountStatements
) -> None:
    with write() as db:
        for number in range(40):
            tariff_id = db.execute(
                insert(Tariff)
                .values(
                    service_id=town.aiguilhe.canteen.id, code=f"t{number}", label=f"Tarif {number}", audience="child"
                )
                .returning(Tariff.id)
            ).scalar_one()
            db.execute(insert(TariffPrice).values(tariff_id=tariff_id, valid_from=date(2026, 9, 1), cents=300 + number))
    for day in sorted(town.aiguilhe.canteen.day_ids):
        write_menu(write, day, MENU)
    with statements() as seen:
        assert client.get("/").status_code == 200
    assert seen.count <= 3, seen
    with statements() as seen:
        assert "Tarif 39" in client.get("/communes/aiguilhe").text
    assert seen.count <= 6, seen
    sign_in(client, town.family())
    with statements() as seen:
        client.get("/")
    assert seen.count <= 5, seen
    with statements() as seen:
        client.get("/communes/aiguilhe")
    assert seen.count <= 8, seen


# --- colours ---


def test_the_colour_of_a_commune(client: FlaskClient, town: Town, write: OpenSession) -> None:
    with write() as db:
        db.execute(update(Commune).where(Commune.slug == "aiguilhe").values(accent="#8c3b2e"))
    page = client.get("/communes/aiguilhe").text
    assert '/communes/aiguilhe/couleurs.css?v=8c3b2e"' in page
    assert " style=" not in page
    sheet = client.get("/communes/aiguilhe/couleurs.css?v=8c3b2e")
    assert sheet.mimetype == "text/css"
    assert sheet.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "--accent: #8c3b2e;" in sheet.text
    assert client.get("/communes/aiguilhe/couleurs.css").headers["Cache-Control"] == "public, max-age=300"
    assert "immutable" not in client.get("/communes/aiguilhe/couleurs.css?v=000000").headers["Cache-Control"]


# --- pages of the footer ---


@pytest.mark.parametrize("path", PUBLIC)
def test_public_pages_open_and_set_no_cookie(client: FlaskClient, town: Town, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert response.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert response.text.count("<h1>") == 1
    for unsafe in (" style=", " onclick=", "<script>"):
        assert unsafe not in response.text


def test_the_declaration_of_accessibility_has_the_official_sections(client: FlaskClient, town: Town) -> None:
    response = client.get("/accessibilite")
    headings = [unescape(found) for found in re.findall(r"<h[123][^>]*>(.*?)</h[123]>", response.text)]
    assert headings == [
        "Déclaration d’accessibilité",
        "État de conformité",
        "Résultats des tests",
        "Contenus non accessibles",
        "Non-conformités",
        "Dérogations pour charge disproportionnée",
        "Contenus non soumis à l’obligation d’accessibilité",
        "Établissement de cette déclaration d’accessibilité",
        "Technologies utilisées pour la réalisation du site",
        "Environnement de test",
        "Outils pour évaluer l’accessibilité",
        "Pages du site ayant fait l’objet de la vérification de conformité",
        "Retour d’information et contact",
        "Voies de recours",
    ]
    page = words(response)
    assert "non conforme" in page
    assert page.replace("non conforme", "").count("conforme avec") == 0
    assert "Régie de l’agglomération s’engage" in page


def test_each_commune_has_its_own_declaration(client: FlaskClient, town: Town) -> None:
    page = words(client.get("/communes/coubon/accessibilite"))
    assert "Coubon s’engage" in page
    assert "pour la commune de Coubon" in page
    assert "pour la commune d’Aiguilhe" in words(client.get("/communes/aiguilhe/accessibilite"))
    assert "Aiguilhe" not in page


def test_contact_and_legal_notice_name_every_regie(client: FlaskClient, town: Town) -> None:
    town.another_regie()
    for path in ("/contact", "/mentions-legales"):
        page = words(client.get(path))
        for name in ("Régie de l’agglomération", "Régie voisine", "Aiguilhe", "Coubon", "Voisine"):
            assert name in page, (path, name)


def test_contact_before_anything_is_open(client: FlaskClient) -> None:
    for path in ("/contact", "/mentions-legales", "/accessibilite"):
        assert client.get(path).status_code == 200


def test_home_in_the_summer(client: FlaskClient, town: Town, write: OpenSession, clock: StoppedClock) -> None:
    write_menu(write, date(2026, 11, 20), MENU)
    clock.moment = datetime(2026, 7, 15, 8, tzinfo=PARIS)
    assert "Pas de menu à venir" in words(client.get("/"))
    assert timedelta(days=28) < datetime(2026, 11, 20, tzinfo=PARIS) - clock.moment
