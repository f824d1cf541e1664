"""The core journey with a keyboard alone: sign in, tick, pay, cancel; one always sees where one is (trust: T-131)."""

import re

from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenWindow
from tests.browser.served import Served
from tests.browser.windows import Window

PARENT = "awa.traore@example.org"
MOST_STEPS = 120

# What stands out around the focused element, or around the label that is drawn in its place; and whether it is in sight.
SEEN = """() => {
    const focused = document.activeElement;
    const box = focused.getClientRects()[0];  // the first line of a link that is broken over two
    const drawn = [focused, focused.closest("label")].filter(Boolean);
    const ring = drawn.some((element) => {
        const style = getComputedStyle(element);
        return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    });
    const x = Math.min(Math.max(box.x + box.width / 2, 0), innerWidth - 1);
    const y = Math.min(Math.max(box.y + Math.min(box.height / 2, 20), 0), innerHeight - 1);
    const top = document.elementFromPoint(x, y);
    return {
        what: [focused.tagName, focused.getAttribute("aria-label") || focused.innerText || focused.name].join(" "),
        ring,
        uncovered: focused.contains(top) || Boolean(top?.closest("label")?.contains(focused)),
        inside: box.bottom > 0 && box.top < innerHeight,
    };
}"""


class Keyboard:
    """Somebody who has no mouse."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def press(self, key: str) -> None:
        """Press a key."""
        self.window.page.keyboard.press(key)

    def to(self, target: Locator, key: str = "Tab") -> None:
        """Go on with Tab until this is focused; every stop on the way must be seen, and none may be a trap."""
        for _step in range(MOST_STEPS):
            self.press(key)
            self.check()
            if target.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"{target} was not reached with {key}")

    def check(self) -> None:
        """The focus shows, is on the screen, and nothing covers it."""
        seen = self.window.evaluate(SEEN)
        assert seen["what"] != "BODY", "the focus was lost"
        assert seen["ring"], f"no focus ring on {seen['what']}"
        assert seen["inside"], f"focused out of sight: {seen['what']}"
        assert seen["uncovered"], f"covered by something: {seen['what']}"

    def activate(self, target: Locator, key: str = "Enter") -> None:
        """Go there and press Enter (or Space)."""
        self.to(target)
        self.press(key)

    def write(self, target: Locator, words: str) -> None:
        """Go to a field and type."""
        self.to(target)
        self.window.page.keyboard.type(words)


def test_sign_in_book_pay_and_cancel_without_a_mouse(window: OpenWindow, shop: Served) -> None:
    parent = window(desk=True)
    keyboard = Keyboard(parent)
    parent.go("/connexion")

    # The first stop leads past the header.
    keyboard.activate(parent.link("Aller au contenu"))
    expect(parent.page.locator("#contenu")).to_be_focused()
    form = parent.page.get_by_role("region", name="Déjà inscrit ?")
    keyboard.write(parent.text_box("Adresse e-mail", form), PARENT)
    keyboard.write(form.get_by_label("Mot de passe"), "pas le bon du tout")
    keyboard.press("Enter")

    # Refused: the summary has the focus, the address is kept.
    expect(parent.page.get_by_role("alert")).to_be_focused()
    expect(parent.text_box("Adresse e-mail", form)).to_have_value(PARENT)
    keyboard.write(form.get_by_label("Mot de passe"), shop.people[PARENT].password)
    keyboard.press("Enter")
    expect(parent.heading("Mon compte")).to_be_visible()

    # Two meals ticked with the space bar.
    keyboard.activate(parent.link("Réserver", parent.page.get_by_role("banner")))
    expect(parent.heading("Réservation de repas Cantine Coubon")).to_be_visible()
    keyboard.activate(parent.button("Période suivante"))
    expect(parent.page.get_by_role("heading", name="Décembre 2026")).to_be_visible()
    for name in ("Fatou Traoré, lundi 14 décembre 2026", "Ibrahim Traoré, lundi 14 décembre 2026"):
        keyboard.activate(parent.box(name), "Space")
        expect(parent.box(name)).to_be_checked()
    keyboard.activate(parent.button("Ajouter au panier"))
    expect(parent.heading("Votre panier")).to_be_visible()

    # Why this price?, then pay.
    keyboard.activate(parent.page.locator("summary", has_text="Pourquoi ce prix ?"))
    expect(parent.page.get_by_text("Tarif « Enfant commune »")).to_be_visible()
    keyboard.activate(parent.page.get_by_role("button", name=re.compile("^Payer avec mon porte-monnaie")))
    expect(parent.heading("C’est réservé")).to_be_visible()

    # One of them cancelled.
    keyboard.activate(parent.box("Ibrahim Traoré, lundi 14 décembre 2026"), "Space")
    keyboard.activate(parent.button("Annuler les repas cochés"))
    expect(parent.heading("Annuler ce repas ?")).to_be_visible()
    keyboard.activate(parent.button("Annuler et recréditer 3,75 €"))
    expect(parent.said("annulation faite, 3,75 € dans votre porte-monnaie")).to_be_visible()
    keyboard.activate(parent.button("Déconnexion"))
    expect(parent.said("Vous êtes déconnecté.")).to_be_visible()
    assert shop.findings() == []


def test_every_stop_is_seen_on_a_telephone_too(window: OpenWindow, shop: Served) -> None:
    """From end to end of pages with a bar that stays at the bottom: nothing that is focused lies under it."""
    parent = window()
    parent.become(PARENT)
    keyboard = Keyboard(parent)
    for path in ("/reserver/coubon/cantine?periode=mois:2026-12", "/mes-reservations", "/mon-compte/coordonnees"):
        parent.go(path)
        keyboard.to(parent.link("Contact"))
    clerk = window()
    clerk.become("mairie@coubon.example.org")
    keyboard = Keyboard(clerk)
    clerk.go("/mairie/demandes")
    keyboard.to(clerk.link("Contact"))


def test_enter_in_a_field_presses_the_button_that_is_meant(window: OpenWindow, shop: Served) -> None:
    """The sign-up's rows hold several buttons: Enter must not add or remove one."""
    parent = window()
    parent.become("yann.legoff@example.net")
    parent.go("/creer-un-compte/filiations")
    parent.button("Ajouter un bénéficiaire").click()
    row = parent.page.get_by_role("group", name="Bénéficiaire 1")
    parent.text_box("Prénom", row).fill("Ewen")
    parent.page.keyboard.press("Enter")
    expect(parent.page.get_by_role("alert")).to_contain_text("Dites qui vous êtes pour cette personne.")
    expect(parent.page.get_by_role("group", name=re.compile("^Bénéficiaire "))).to_have_count(1)
    expect(parent.text_box("Prénom", row)).to_have_value("Ewen")


def test_what_javascript_shows_closes_with_the_keyboard(window: OpenWindow, shop: Served) -> None:
    """The password is shown and hidden by its button, and is never sent as text."""
    parent = window()
    parent.go("/connexion")
    keyboard = Keyboard(parent)
    form = parent.page.get_by_role("region", name="Déjà inscrit ?")
    password = form.get_by_label("Mot de passe")
    keyboard.write(password, "une phrase")
    keyboard.activate(form.get_by_role("button", name="Afficher le mot de passe"), "Space")
    expect(password).to_have_attribute("type", "text")
    keyboard.press("Space")
    expect(password).to_have_attribute("type", "password")
