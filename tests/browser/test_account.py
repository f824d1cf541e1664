"""The account itself: a forgotten password, another address, other devices, the way out."""

import re

from playwright.sync_api import expect
from sqlalchemy import select

from accounts.models import Account
from tests.browser.conftest import OpenWindow
from tests.browser.served import Served

EMAIL = "antoine.mercier@example.org"
NEW_PASSWORD = "une-cuillere-a-soupe-de-miel"


def test_a_forgotten_password_is_chosen_anew_by_a_letter(window: OpenWindow, shop: Served) -> None:
    elsewhere = window(desk=True)
    elsewhere.sign_in(EMAIL)
    parent = window()
    parent.go("/connexion")
    parent.link("Mot de passe oublié ?").click()
    parent.text_box("Adresse e-mail").fill(EMAIL)
    parent.button("Recevoir le lien").click()
    expect(parent.heading("Regardez votre messagerie")).to_be_visible()
    parent.open_letter(EMAIL, "Choisissez un nouveau mot de passe")
    parent.follow_letter("/nouveau-mot-de-passe/")
    used = parent.path
    parent.page.get_by_label("Nouveau mot de passe").fill("azertyuiop12")
    parent.button("Enregistrer").click()
    expect(parent.page.get_by_role("alert")).to_contain_text("Nouveau mot de passe")
    parent.page.get_by_label("Nouveau mot de passe").fill(NEW_PASSWORD)
    parent.button("Enregistrer").click()

    # Nobody is signed in by a letter, and the other devices are signed out.
    expect(parent.said("Votre mot de passe est changé. Connectez-vous.")).to_be_visible()
    elsewhere.go("/mon-compte")
    expect(elsewhere.heading("Authentification")).to_be_visible()
    parent.go(used)
    expect(parent.heading("Ce lien ne sert plus")).to_be_visible()
    parent.sign_in(EMAIL)
    expect(parent.page.get_by_role("alert")).to_contain_text("Adresse e-mail ou mot de passe incorrect.")
    parent.sign_in(EMAIL, NEW_PASSWORD)
    expect(parent.heading("Mon compte")).to_be_visible()
    parent.open_letter(EMAIL, "Votre mot de passe a été changé")


def test_another_address_counts_once_it_is_confirmed(window: OpenWindow, shop: Served) -> None:
    old, new = "sylvie.garnier@example.org", "sylvie.g@example.net"
    parent = window()
    parent.sign_in(old)
    parent.go("/mon-compte/adresse-e-mail")
    parent.text_box("Nouvelle adresse e-mail").fill(new)
    parent.page.get_by_label("Votre mot de passe actuel").fill(shop.people[old].password)
    parent.button("Envoyer le lien").click()
    expect(parent.said(f"Un e-mail est parti à {new}.")).to_be_visible()
    with shop.read() as db:
        assert db.scalar(select(Account.id).where(Account.email == new)) is None
    parent.open_letter(old, "Changement d’adresse e-mail demandé")
    expect(parent.page.get_by_role("region", name="En texte")).to_contain_text(new)
    parent.open_letter(new, "Confirmez votre nouvelle adresse e-mail")
    parent.follow_letter("/confirmer-adresse/")
    parent.button("Confirmer ma nouvelle adresse").click()
    expect(parent.said(f"Votre compte porte désormais l’adresse {new}.")).to_be_visible()
    parent.button("Déconnexion").click()
    parent.sign_in(new, shop.people[old].password)
    expect(parent.heading("Mon compte")).to_be_visible()


def test_devices_are_listed_and_signed_out(window: OpenWindow, shop: Served) -> None:
    email = "awa.traore@example.org"
    here, there = window(), window(desk=True)
    there.sign_in(email)
    here.sign_in(email)
    here.go("/mon-compte")
    here.page.get_by_role("link", name=re.compile("^Mes connexions")).click()
    expect(here.page.get_by_role("row")).to_have_count(3)
    expect(here.page.get_by_role("row").filter(has_text="Cet appareil")).to_have_count(1)
    other = here.page.get_by_role("row").filter(has_not_text="Cet appareil").nth(1)
    other.get_by_role("button", name=re.compile("^Déconnecter")).click()
    expect(here.said("L’appareil est déconnecté.")).to_be_visible()
    expect(here.page.get_by_role("row")).to_have_count(2)
    there.go("/mon-compte/coordonnees")
    expect(there.heading("Authentification")).to_be_visible()
    assert there.path == "/connexion?next=/mon-compte/coordonnees"
    there.sign_in(email)
    here.go("/mon-compte/connexions")
    here.button("Déconnecter tous les autres appareils").click()
    there.page.reload()
    expect(there.heading("Authentification")).to_be_visible()


def test_an_account_closes_when_nothing_is_left_in_it(window: OpenWindow, shop: Served) -> None:
    email = "camille.renard@example.org"
    parent = window()
    parent.sign_in(email)
    parent.go("/mon-compte/fermer")
    parent.page.get_by_label("Votre mot de passe actuel").fill(shop.people[email].password)
    parent.page.get_by_role("checkbox").check()
    parent.button("Fermer mon compte").click()
    expect(parent.said("Votre compte est fermé.")).to_be_visible()
    parent.sign_in(email)
    expect(parent.page.get_by_role("alert")).to_contain_text("Adresse e-mail ou mot de passe incorrect.")


def test_a_clerk_installs_her_second_factor(window: OpenWindow, shop: Served) -> None:
    email = "mairie@rosieres.example.org"
    with shop.write() as db:
        account = db.scalars(select(Account).where(Account.email == email)).one()
        account.totp_secret = account.totp_enrolled_at = None
    clerk = window(desk=True)
    clerk.go("/mairie/jour")
    form = clerk.page.get_by_role("region", name="Déjà inscrit ?")
    clerk.text_box("Adresse e-mail", form).fill(email)
    form.get_by_label("Mot de passe").fill(shop.people[email].password)
    clerk.button("Connexion", form).click()
    expect(clerk.heading("Installez la double authentification")).to_be_visible()
    clerk.go("/mon-compte")
    expect(clerk.heading("Installez la double authentification")).to_be_visible()
    secret = clerk.page.locator("code.ref").inner_text().replace(" ", "")
    clerk.text_box("Code").fill("000000")
    clerk.button("Valider").click()
    expect(clerk.page.get_by_role("alert")).to_contain_text("Ce code n’est pas le bon")
    clerk.text_box("Code").fill(shop.code(secret))
    clerk.button("Valider").click()
    expect(clerk.heading("Gardez vos codes de secours")).to_be_visible()
    recovery = clerk.page.locator("li code").first.inner_text()
    clerk.page.get_by_role("link", name="C’est noté, continuer").click()

    # The next time a recovery code opens, once.
    for opens in (True, False):
        clerk.button("Déconnexion").click()
        clerk.go("/connexion")
        clerk.text_box("Adresse e-mail", form).fill(email)
        form.get_by_label("Mot de passe").fill(shop.people[email].password)
        clerk.button("Connexion", form).click()
        clerk.text_box("Code").fill(recovery)
        clerk.button("Valider").click()
        if opens:
            expect(clerk.heading("Aujourd’hui")).to_be_visible()
        else:
            expect(clerk.page.get_by_role("alert")).to_contain_text("Ce code n’est pas le bon")
