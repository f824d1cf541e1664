"""From a new account to a cancelled meal, as a parent and a clerk do it: with JavaScript on a telephone, and without."""

import re

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from orders.models import Order
from tests.browser.conftest import OpenWindow
from tests.browser.served import Served
from tests.browser.windows import Window

CLERK = "mairie@aiguilhe.example.org"
PASSWORD = "une-fourchette-et-un-couteau"
TUESDAY, THURSDAY = "mardi 24 novembre 2026", "jeudi 26 novembre 2026"


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
def test_from_a_new_account_to_a_cancelled_meal(window: OpenWindow, shop: Served, javascript: bool) -> None:
    name = "Moulin" if javascript else "Fontaine"
    email = f"agathe.{name.lower()}@example.org"
    parent = window(javascript=javascript)
    sign_up(parent, email, name)
    confirm(parent, email)
    approve(window(desk=True, javascript=javascript), name)
    parent.open_letter(email, re.compile("Vous pouvez réserver|valid", re.IGNORECASE))
    top_up(parent)
    fill_the_basket(parent, name)
    pay_from_the_wallet(parent)
    look_back(parent, name)
    cancel_one(parent, name)
    assert shop.findings() == []


def sign_up(parent: Window, email: str, name: str) -> None:
    parent.go("/")
    parent.link("Connexion", parent.page.get_by_role("banner")).click()
    new = parent.page.get_by_role("region", name="Vous n’avez pas encore de compte usager")
    parent.text_box("Adresse e-mail", new).fill(email)
    parent.button("Créer votre compte").click()

    # Infos personnelles. A forgotten box: what was typed stays.
    expect(parent.text_box("Adresse e-mail")).to_have_value(email)
    parent.text_box("Prénom").fill("Agathe")
    parent.text_box("Nom").fill(name)
    parent.page.get_by_label("Mot de passe").fill(PASSWORD)
    parent.page.get_by_label("Date de naissance").fill("1988-03-07")
    parent.button("Enregistrer").click()
    expect(parent.page.get_by_role("alert")).to_contain_text("acceptez les conditions générales")
    expect(parent.text_box("Nom")).to_have_value(name)
    parent.page.get_by_label("Mot de passe").fill(PASSWORD)
    parent.page.get_by_role("checkbox", name=re.compile("J’accepte les conditions")).check()
    parent.button("Enregistrer").click()

    # Mes filiations: two children.
    expect(parent.heading("Mes filiations")).to_be_visible()
    for first_name, birth in (("Lison", "2018-05-10"), ("Marius", "2013-07-12")):
        if first_name != "Lison":
            parent.button("Ajouter un bénéficiaire").click()
            expect(parent.link(f"Modifier Lison {name}")).to_be_visible()
        row = parent.page.get_by_role("group", name="Bénéficiaire 1")
        expect(parent.text_box("Nom", row)).to_have_value(name)
        parent.text_box("Prénom", row).fill(first_name)
        row.get_by_label("Type de filiation").select_option("Mère")
        row.get_by_label("Date de naissance").fill(birth)
    parent.button("Enregistrer et continuer").click()

    # Mes services: the commune, then the tariff that fits.
    expect(parent.heading("Mes services")).to_be_visible()
    parent.page.get_by_role("link", name=re.compile("^Aiguilhe")).click()
    parent.page.get_by_role("radio", name=re.compile("^Résident commune")).check()
    parent.box(f"Lison {name}").check()
    parent.box(f"Marius {name}").check()
    parent.button("Envoyer ma demande").click()
    expect(parent.page.get_by_text("En attente")).to_have_count(2)
    parent.link("Terminer").click()
    expect(parent.heading("Votre compte est créé")).to_be_visible()


def confirm(parent: Window, email: str) -> None:
    parent.open_letter(email, re.compile("[Cc]onfirmez votre adresse"))
    parent.follow_letter("/confirmer/")
    parent.button("Confirmer mon adresse").click()
    expect(parent.said("Votre adresse e-mail est confirmée.")).to_be_visible()


def approve(clerk: Window, name: str) -> None:
    clerk.sign_in(CLERK)
    expect(clerk.heading("Aujourd’hui")).to_be_visible()
    clerk.link("Demandes", clerk.page.get_by_role("navigation", name="Espace mairie")).click()
    expect(clerk.heading("Demandes d’accès")).to_be_visible()
    waits = clerk.page.get_by_role("region", name=re.compile(name))
    clerk.page.get_by_role("checkbox", name=re.compile(f"^Lison {name}, Cantine Aiguilhe")).check()
    clerk.page.get_by_role("checkbox", name=re.compile(f"^Marius {name}, Cantine Aiguilhe")).check()
    clerk.button("Valider les demandes cochées").click()
    expect(clerk.said("2 demandes validées")).to_be_visible()
    expect(waits).to_have_count(0)


def top_up(parent: Window) -> None:
    parent.page.get_by_role("link", name=re.compile("^Recharger mon crédit")).click()
    parent.page.get_by_role("radio", name="20,00 €").check()
    parent.page.get_by_role("button", name=re.compile("^Payer par Carte Bancaire")).click()
    expect(parent.heading("Payer 20,00 € par carte")).to_be_visible()
    parent.page.get_by_role("button", name=re.compile("^4242 4242 4242 4242")).click()
    expect(parent.heading("Mes crédits")).to_be_visible()
    expect(parent.page.locator(".balance-sum")).to_have_text("20,00 €")


def fill_the_basket(parent: Window, name: str) -> None:
    parent.link("Réserver", parent.page.get_by_role("banner")).click()
    expect(parent.heading("Réservation de repas Cantine Aiguilhe")).to_be_visible()
    for day in (TUESDAY, THURSDAY):
        for child in ("Lison", "Marius"):
            parent.box(f"{child} {name}, {day}").check()
    parent.button("Ajouter au panier").click()
    expect(parent.heading("Votre panier")).to_be_visible()
    basket = parent.page.get_by_role("table", name="Repas du panier")
    expect(basket).to_contain_text(f"Bénéficiaires : Lison {name}, Marius {name}")
    expect(basket).to_contain_text("Dates : 24 et 26 novembre")
    expect(basket.locator("[data-label='Prix unitaire']")).to_have_text("3,80 €")
    expect(basket.locator("[data-label='Quantité']")).to_have_text("4")
    expect(basket.get_by_role("row", name=re.compile("Total produits TTC"))).to_contain_text("15,20 €")


def pay_from_the_wallet(parent: Window) -> None:
    parent.page.get_by_role("button", name=re.compile("^Payer avec mon porte-monnaie")).click()
    expect(parent.heading("C’est réservé")).to_be_visible()
    expect(parent.said("4 repas sont réservés et payés")).to_be_visible()


def look_back(parent: Window, name: str) -> None:
    number = parent.path.removeprefix("/commandes/")
    with parent.shop.read() as db:
        assert db.execute(select(Order.total_cents, Order.state).where(Order.number == number)).one() == (1520, "paid")
    parent.link("Mes commandes").click()
    expect(parent.page.get_by_role("row", name=re.compile(number))).to_contain_text("15,20 €")
    parent.page.get_by_role("navigation", name="Navigation principale").get_by_role(
        "link", name="Mes réservations"
    ).click()
    expect(parent.page.get_by_role("table").get_by_role("link", name=re.compile("Annuler$"))).to_have_count(4)
    expect(parent.page.get_by_role("link", name=re.compile(f"^Lison.*{name}, {TUESDAY}"))).to_be_visible()


def cancel_one(parent: Window, name: str) -> None:
    parent.page.get_by_role("link", name=re.compile(f"^Marius.*{name}, {THURSDAY}")).click()
    expect(parent.heading("Annuler ce repas ?")).to_be_visible()
    expect(parent.page.get_by_role("definition").filter(has_text="3,80 €")).to_be_visible()
    parent.button("Annuler et recréditer 3,80 €").click()
    expect(parent.said("annulation faite, 3,80 € dans votre porte-monnaie")).to_be_visible()
    parent.go("/mes-credits")
    newest = parent.page.get_by_role("row").filter(has_text="Repas annulé")
    expect(newest).to_contain_text(f"Marius {name}, Cantine Aiguilhe, {THURSDAY}")
    expect(newest).to_contain_text("+3,80 €")
    expect(newest.locator("[data-label='Solde']")).to_have_text("8,60 €")
    expect(parent.page.locator(".balance-sum")).to_have_text("8,60 €")


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
def test_what_is_ahead_comes_first_and_the_past_unfolds(window: OpenWindow, shop: Served, javascript: bool) -> None:
    parent = window(javascript=javascript)
    parent.become("mc.desaintgermain@example.org")
    parent.go("/mes-reservations")
    days = parent.page.locator(".month-day:visible")
    ahead = parent.page.get_by_role("table", name="Réservations : novembre 2026")
    expect(ahead).to_be_visible()
    expect(parent.page.get_by_role("table")).to_have_count(1)
    expect(days.first).to_have_text(re.compile(r"^19 jeudi\s+aujourd’hui$"))
    expect(days.first).to_be_in_viewport()
    parent.page.get_by_text("Jours passés, jusqu’au mer. 18 nov.").click()
    expect(parent.page.get_by_role("table")).to_have_count(2)
    expect(days.first).to_have_text("2 lundi")
    assert days.all_inner_texts().count("17\nmardi") == 1
    parent.link("Octobre 2026").click()
    expect(parent.page.get_by_role("table", name="Réservations : octobre 2026")).to_be_visible()
