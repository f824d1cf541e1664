"""A basket is paid: with what is missing topped up, by a card that is refused at first, once whatever is clicked."""

import re
from datetime import timedelta

from playwright.sync_api import Page, expect
from sqlalchemy import func, select

from accounts.models import Account
from orders.models import Order
from tests.browser.conftest import OpenWindow
from tests.browser.served import Served
from tests.browser.windows import Window

TO_THE_BANK = re.compile("^Payer par Carte Bancaire")
FROM_THE_WALLET = re.compile("^Payer avec mon porte-monnaie")
SUCCEEDS, DECLINED, CHALLENGE = "4242 4242 4242 4242", "4000 0000 0000 0002", "4000 0027 6000 3184"
LATE, NEVER = "4000 0000 0000 0077", "4000 0000 0000 0119"


def fill_the_basket(window: Window, path: str, child: str, *days: str) -> None:
    """Tick days for a child and put them into the basket."""
    window.go(path)
    for day in days:
        window.box(f"{child}, {day}").check()
    window.button("Ajouter au panier").click()
    expect(window.heading("Votre panier")).to_be_visible()


def use_card(window: Window, number: str) -> None:
    """Press the test card of this number on the payment page."""
    window.page.wait_for_url("**/paiement-securise/**")
    window.page.get_by_role("button", name=re.compile(f"^{number}")).click()


def orders_of(shop: Served, email: str) -> list[tuple[str, int]]:
    """State and amount of the orders made in this test, oldest first."""
    with shop.read() as db:
        rows = db.execute(
            select(Order.state, Order.total_cents)
            .join(Account, Account.id == Order.account_id)
            .where(Account.email == email, Order.basket_id.is_not(None))
            .order_by(Order.id)
        )
        return [(state, cents) for state, cents in rows]


def test_what_is_missing_is_topped_up_and_the_basket_comes_back(window: OpenWindow, shop: Served) -> None:
    email = "thi-mai.nguyen@example.org"
    parent = window()
    parent.sign_in(email)
    path = "/reserver/brives-charensac/cantine?periode=mois:2026-12"
    fill_the_basket(parent, path, "Linh Nguyen", "lundi 7 décembre 2026", "mardi 8 décembre 2026")
    expect(parent.said("Il manque 9,20 € dans votre porte-monnaie")).to_be_visible()
    expect(parent.page.get_by_role("button", name=FROM_THE_WALLET)).to_have_count(0)
    parent.button("Recharger 9,20 € et revenir ici").click()
    expect(parent.heading("Payer 9,20 € par carte")).to_be_visible()
    use_card(parent, SUCCEEDS)
    expect(parent.heading("Votre panier")).to_be_visible()
    parent.page.get_by_role("button", name=FROM_THE_WALLET).click()
    expect(parent.heading("C’est réservé")).to_be_visible()
    assert orders_of(shop, email) == [("paid", 920)]
    expect(parent.page.get_by_role("link", name=re.compile("^Recharger mon crédit"))).to_contain_text("0,00 €")
    assert shop.findings() == []


def test_the_last_amount_chosen_is_the_one_that_is_paid(window: OpenWindow, shop: Served) -> None:
    parent = window()
    parent.become("francoise.vidal@example.org")
    parent.go("/recharger")
    typed = parent.text_box("Autre montant, en euros")
    hundred, another = (parent.page.get_by_role("radio", name=name) for name in ("100,00 €", "Autre montant"))
    typed.fill("30")
    expect(another).to_be_checked()
    expect(parent.page.get_by_role("button", name="Payer par Carte Bancaire : 30,00 €")).to_be_visible()
    hundred.check()
    expect(typed).to_have_value("")
    parent.page.get_by_role("button", name="Payer par Carte Bancaire : 100,00 €").click()
    expect(parent.heading("Payer 100,00 € par carte")).to_be_visible()
    parent.go("/recharger")
    hundred.check()
    another.check()
    expect(typed).to_be_focused()
    typed.press_sequentially("12,5")
    parent.page.get_by_role("button", name="Payer par Carte Bancaire : 12,50 €").click()
    expect(parent.heading("Payer 12,50 € par carte")).to_be_visible()


def test_a_card_is_declined_then_confirmed_at_the_bank(window: OpenWindow, shop: Served) -> None:
    email = "bernard.chevalier@example.net"
    parent = window(desk=True)
    parent.sign_in(email)
    path = "/reserver/coubon/cantine?periode=mois:2026-12"
    fill_the_basket(parent, path, "Bernard Chevalier", "mardi 8 décembre 2026", "jeudi 10 décembre 2026")
    parent.page.get_by_role("button", name=TO_THE_BANK).click()

    # Typed wrongly, declined, refused at the bank: each time a sentence, and nothing is lost.
    parent.page.get_by_role("button", name=re.compile("^Payer 14,00 €$")).click()
    expect(parent.page.get_by_role("alert")).to_contain_text("Écrivez le numéro de la carte.")
    use_card(parent, DECLINED)
    expect(parent.page.get_by_role("alert")).to_contain_text("Votre banque a refusé ce paiement.")
    use_card(parent, CHALLENGE)
    expect(parent.heading("Votre banque demande une confirmation")).to_be_visible()
    parent.button("Refuser").click()
    expect(parent.page.get_by_role("alert")).to_contain_text("Le paiement n’a pas été confirmé.")

    # The same by hand, and confirmed.
    parent.text_box("Numéro de carte").fill(CHALLENGE)
    parent.text_box("Date d’expiration (MM/AA)").fill("12/29")
    parent.text_box("Cryptogramme").fill("123")
    parent.page.get_by_role("button", name=re.compile("^Payer 14,00 €$")).click()
    parent.button("Confirmer le paiement").click()
    expect(parent.heading("C’est réservé")).to_be_visible()
    expect(parent.page.get_by_role("definition").filter(has_text="Carte bancaire")).to_be_visible()
    assert orders_of(shop, email) == [("paid", 1400)]
    assert shop.findings() == []


def test_a_payment_given_up_leaves_the_basket_and_one_that_comes_late_pays_it(window: OpenWindow, shop: Served) -> None:
    email = "bureau@menuiserie-roux.example.net"
    parent = window()
    parent.sign_in(email)
    path = "/reserver/craponne-sur-arzon/cantine?periode=mois:2026-12"
    fill_the_basket(parent, path, "Karim Benali", "lundi 14 décembre 2026")
    parent.page.get_by_role("button", name=TO_THE_BANK).click()
    parent.page.get_by_role("link", name="Revenir à la boutique sans payer").click()

    # While it may still be paid, the basket is held and says so.
    expect(parent.said("Vous n’avez pas encore payé")).to_be_visible()
    parent.go("/panier")
    expect(parent.said("Un paiement par carte est en cours pour ce panier")).to_be_visible()
    expect(parent.page.get_by_role("button", name=TO_THE_BANK)).to_have_count(0)
    parent.button("Abandonner ce paiement").click()
    expect(parent.said("Ce paiement n’a pas eu lieu")).to_be_visible()
    expect(parent.page.get_by_role("row", name=re.compile("Total produits TTC"))).to_contain_text("7,20 €")

    # Again, with a bank that takes its time.
    parent.page.get_by_role("button", name=TO_THE_BANK).click()
    use_card(parent, LATE)
    expect(parent.said("Paiement en cours de vérification")).to_be_visible()
    parent.button("Vérifier maintenant").click()
    expect(parent.said("ce paiement ne peut être ni repris ni abandonné")).to_be_visible()
    expect(parent.page.get_by_role("button", name="Abandonner ce paiement")).to_have_count(0)
    shop.clock.advance(timedelta(seconds=10))
    # The page looks again by itself.
    expect(parent.heading("C’est réservé")).to_be_visible()
    assert [state for state, _cents in orders_of(shop, email)] == ["cancelled", "paid"]
    assert shop.findings() == []


def test_paying_twice_buys_once(window: OpenWindow, shop: Served) -> None:
    """Back and again, the same form sent anew, a double click, two tabs: one order."""
    email = "francoise.vidal@example.org"
    parent = window(desk=True)
    parent.sign_in(email)
    path = "/reserver/polignac/cantine?periode=mois:2026-12"
    fill_the_basket(parent, path, "Éloïse Vidal", "mardi 8 décembre 2026")

    other = parent.context.new_page()
    other.goto(f"{shop.url}/panier")
    parent.page.get_by_role("button", name=FROM_THE_WALLET).click()
    expect(parent.heading("C’est réservé")).to_be_visible()
    bought = parent.path

    # The other tab still shows the basket as it was.
    other.get_by_role("button", name=FROM_THE_WALLET).click()
    expect(other.get_by_role("heading", level=1, name="C’est réservé")).to_be_visible()
    assert other.url == parent.page.url
    other.close()

    # Back: the browser shows the basket again, from its memory or from the shop.
    parent.page.go_back()
    _press_if_there(parent.page)
    parent.go(bought)
    parent.page.reload()
    assert orders_of(shop, email) == [("paid", 365)]

    # Two clicks in a row, faster than an answer.
    fill_the_basket(parent, path, "Éloïse Vidal", "jeudi 10 décembre 2026")
    parent.page.get_by_role("button", name=FROM_THE_WALLET).dblclick()
    expect(parent.heading("C’est réservé")).to_be_visible()
    assert orders_of(shop, email) == [("paid", 365), ("paid", 365)]
    assert shop.findings() == []


def test_without_scripts_two_clicks_buy_once_too(window: OpenWindow, shop: Served) -> None:
    email = "amandine.ferrand@example.org"
    parent = window(javascript=False)
    parent.sign_in(email)
    path = "/reserver/aiguilhe/cantine?periode=mois:2026-12"
    fill_the_basket(parent, path, "Gabin Ferrand", "mardi 8 décembre 2026")
    parent.page.get_by_role("button", name=FROM_THE_WALLET).dblclick()
    expect(parent.heading("C’est réservé")).to_be_visible()
    parent.page.reload()
    assert orders_of(shop, email) == [("paid", 380)]
    assert shop.findings() == []


def _press_if_there(page: Page) -> None:
    button = page.get_by_role("button", name=FROM_THE_WALLET)
    if button.count():
        button.click()
        page.wait_for_load_state()


def test_the_last_word_on_a_basket_that_changed_is_the_shop_s(window: OpenWindow, shop: Served) -> None:
    """The basket shown is not the basket that is there: nothing is paid, the page says what changed."""
    email = "claire.delorme@example.org"
    parent = window()
    parent.sign_in(email)
    path = "/reserver/aiguilhe/cantine?periode=mois:2026-12"
    fill_the_basket(parent, path, "Emma Roche-Delorme", "lundi 7 décembre 2026")
    other = parent.context.new_page()
    other.goto(shop.url + path)
    other.get_by_role("checkbox", name="Emma Roche-Delorme, mardi 8 décembre 2026", exact=True).check()
    other.get_by_role("button", name="Ajouter au panier", exact=True).click()
    expect(other.get_by_role("heading", level=1, name="Votre panier")).to_be_visible()
    parent.page.get_by_role("button", name=TO_THE_BANK).click()
    expect(parent.said("Le total a changé : il était de 3,80 €, il est de 7,60 €.")).to_be_visible()
    with shop.read() as db:
        count = db.scalar(
            select(func.count())
            .select_from(Order)
            .join(Account, Account.id == Order.account_id)
            .where(Account.email == email, Order.basket_id.is_not(None))
        )
    assert count == 0
