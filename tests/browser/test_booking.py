"""Choosing meals: single days, weeks, every Monday and Thursday until the holidays, carried from page to page."""

import re

import pytest
from playwright.sync_api import Dialog, Locator, expect
from sqlalchemy import select, update

from accounts.models import Account, LoginSession
from tests.browser.conftest import OpenWindow
from tests.browser.served import Served
from tests.browser.windows import Window

DUPONT, FOUR_CHILDREN = "julien.dupont@example.org", "mc.desaintgermain@example.org"
COMPANY = "bureau@menuiserie-roux.example.net"
AIGUILHE, BLAVOZY = "/reserver/aiguilhe/cantine", "/reserver/blavozy/cantine"
CRAPONNE = "/reserver/craponne-sur-arzon/cantine"
BY_SCRIPT = pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])


def ticked(window: Window) -> list[str]:
    """The names of the boxes that are ticked, those carried from other pages included."""
    boxes = window.page.locator("form input[name=repas]:checked")
    return [
        names or words
        for names, words in zip(
            boxes.evaluate_all("boxes => boxes.map(box => box.getAttribute('aria-label'))"),
            boxes.evaluate_all("boxes => boxes.map(box => box.closest('label').textContent.trim())"),
            strict=True,
        )
    ]


def total(window: Window) -> str:
    return " ".join(window.page.locator("[data-total]").inner_text().split())


def week(window: Window, number: int) -> Locator:
    return window.page.get_by_role("button", name=re.compile(f"^Cocher la semaine {number}$"))


def test_the_total_moves_as_one_ticks(window: OpenWindow, shop: Served) -> None:
    parent = window()
    parent.sign_in(DUPONT)
    parent.link("Réserver", parent.page.get_by_role("banner")).click()
    parent.page.get_by_role("main").get_by_role("link", name=re.compile("^Cantine Aiguilhe")).click()
    expect(parent.heading("Réservation de repas Cantine Aiguilhe")).to_be_visible()
    parent.button("Période suivante").click()
    assert total(parent) == "0,00 € 0 repas"
    parent.box("Louane Dupont, mardi 1er décembre 2026").check()
    parent.box("Théo Dupont, mardi 1er décembre 2026").check()
    assert total(parent) == "7,60 € 2 repas"
    parent.box("Théo Dupont, mardi 1er décembre 2026").uncheck()
    assert total(parent) == "3,80 € 1 repas"
    week(parent, 50).click()
    assert total(parent) == "34,20 € 9 repas"
    week(parent, 50).click()
    assert total(parent) == "3,80 € 1 repas"
    parent.page.locator("summary").first.click()
    parent.button("Tout décocher").click()
    assert total(parent) == "0,00 € 0 repas"
    parent.button("Ajouter au panier").click()
    expect(parent.said("Cochez au moins un repas")).to_be_visible()


def test_a_week_takes_no_more_than_was_given_back(window: OpenWindow, shop: Served) -> None:
    parent = window()
    parent.become(DUPONT)
    parent.go(f"{AIGUILHE}?periode=semaine:2027-05-10")
    rows = parent.page.locator("tr[data-weekday]")
    rows.first.evaluate("row => { row.dataset.freed = '1' }")
    boxes = parent.page.locator("form input[name=repas]").count()
    assert boxes == 2 * rows.count()
    button = week(parent, 19)
    button.click()
    assert len(ticked(parent)) == boxes - 1
    assert rows.first.locator(":checked").count() == 1
    button.click()
    assert ticked(parent) == []


@BY_SCRIPT
def test_going_back_ticks_no_other_meal(window: OpenWindow, shop: Served, javascript: bool) -> None:
    """A browser fills boxes again by their place on the page, and what went into the basket has none there any more."""
    parent = window(javascript=javascript)
    parent.become(DUPONT)
    month = "2027-03" if javascript else "2027-04"
    parent.go(f"{AIGUILHE}?periode=mois:{month}")
    free = parent.page.locator("form input[name=repas]")
    first = free.nth(0).get_attribute("aria-label")
    free.nth(0).check()
    free.nth(3).check()
    parent.button("Ajouter au panier").click()
    expect(parent.said("2 repas ajoutés à votre panier.")).to_be_visible()
    parent.page.go_back()
    expect(parent.page.get_by_role("heading", level=1, name="Réservation de repas Cantine Aiguilhe")).to_be_visible()
    assert parent.box(first or "").count() == 0, "it is in the basket"
    assert ticked(parent) == []
    hand = shop.client(DUPONT)
    lines = re.findall(r'name="ligne" value="(\d+)"', hand.client.get("/panier").text)
    hand.post("/panier/retirer", {"ligne": lines})


def test_going_back_ticks_no_other_request(window: OpenWindow, shop: Served) -> None:
    clerk = window(desk=True)
    clerk.become("mairie@aiguilhe.example.org")
    clerk.go("/mairie/demandes")
    box = clerk.page.locator("input[name=ids]").first
    box.check()
    clerk.go("/mairie")
    clerk.page.go_back()
    expect(clerk.heading("Demandes d’accès")).to_be_visible()
    expect(box).not_to_be_checked()


def test_whoever_leaves_with_ticks_is_asked_first(window: OpenWindow, shop: Served) -> None:
    parent = window()
    parent.become(DUPONT)
    parent.go(f"{AIGUILHE}?periode=mois:2026-12")
    asked: list[str] = []
    answers = ["dismiss", "accept"]

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        getattr(dialog, answers.pop(0))()

    parent.page.on("dialog", answer)
    box = parent.box("Louane Dupont, jeudi 3 décembre 2026")
    basket = parent.page.locator(".nav a[href='/panier']")
    box.check()
    basket.click(no_wait_after=True)
    expect(box).to_be_checked()
    assert asked == ["beforeunload"]
    parent.button("Période suivante").click()
    expect(parent.page.get_by_role("heading", name="Janvier 2027")).to_be_visible()
    assert asked == ["beforeunload"], "the form takes them along"
    parent.page.locator("summary").first.click()
    parent.button("Tout décocher").click()
    basket.click()
    expect(parent.heading("Votre panier")).to_be_visible()
    assert asked == ["beforeunload"], "nothing is ticked any more"


@BY_SCRIPT
def test_ticks_are_carried_from_month_to_month(window: OpenWindow, shop: Served, javascript: bool) -> None:
    parent = window(javascript=javascript)
    parent.sign_in(DUPONT)
    parent.go(f"{AIGUILHE}?periode=mois:2026-12")
    parent.box("Louane Dupont, jeudi 3 décembre 2026").check()
    parent.button("Période suivante").click()
    expect(parent.page.get_by_role("heading", name="Janvier 2027")).to_be_visible()
    parent.box("Théo Dupont, jeudi 7 janvier 2027").check()
    parent.button("Période suivante").click()
    expect(parent.page.get_by_role("heading", name="Février 2027")).to_be_visible()
    assert ticked(parent) == ["Louane Dupont, jeudi 3 décembre 2026", "Théo Dupont, jeudi 7 janvier 2027"]
    assert total(parent) == "7,60 € 2 repas" if javascript else "2 repas" in total(parent)

    # One is taken out where it is listed; back on its page the other is ticked in its place.
    parent.page.get_by_text("Déjà cochés sur d’autres pages (2)").click()
    parent.page.get_by_role("checkbox", name=re.compile("^Louane Dupont, jeudi 3 décembre 2026$")).uncheck()
    parent.button("Période précédente").click()
    expect(parent.box("Théo Dupont, jeudi 7 janvier 2027")).to_be_checked()
    assert ticked(parent) == ["Théo Dupont, jeudi 7 janvier 2027"]

    # Days chosen by their name are ticked beside what was carried.
    parent.button("Période précédente").click()
    parent.page.locator("summary").first.click()
    parent.box("lundis").check()
    parent.box("Théo").uncheck()
    parent.button("Cocher ces jours").click()
    expect(parent.box("Louane Dupont, lundi 7 décembre 2026")).to_be_checked()
    assert ticked(parent) == [
        "Théo Dupont, jeudi 7 janvier 2027",
        "Louane Dupont, lundi 7 décembre 2026",
        "Louane Dupont, lundi 14 décembre 2026",
    ]


@BY_SCRIPT
def test_every_monday_and_thursday_until_the_holidays(window: OpenWindow, shop: Served, javascript: bool) -> None:
    email, name = ("nicolas.roche@example.org", "Emma Roche-Delorme") if javascript else (DUPONT, "Théo Dupont")
    parent = window(javascript=javascript)
    parent.become(email)
    parent.go(AIGUILHE)
    parent.page.locator("summary").first.click()
    for words in ("lundis", "jeudis"):
        parent.box(words).check()
    if email == DUPONT:
        parent.box("Louane").uncheck()
    parent.page.get_by_role("button", name=re.compile("^Cocher ces jours jusqu’aux vacances")).click()
    expect(parent.page.get_by_role("heading", name="Jusqu’au 18 décembre 2026")).to_be_visible()
    days = [day.removeprefix(f"{name}, ") for day in ticked(parent)]
    # Emma's even weeks are her other home's: they are not ticked.
    expected = [
        "lundi 30 novembre 2026",
        "jeudi 3 décembre 2026",
        *(["lundi 7 décembre 2026", "jeudi 10 décembre 2026"] if email == DUPONT else []),
        "lundi 14 décembre 2026",
        "jeudi 17 décembre 2026",
    ]
    assert days[-len(expected) :] == expected
    assert {day.split()[0] for day in days} == {"lundi", "jeudi"}
    parent.button("Ajouter au panier").click()
    expect(parent.heading("Votre panier")).to_be_visible()
    expect(parent.page.locator("[data-label='Quantité']")).to_have_text(str(len(days)))

    # What is in the basket shows in the calendar, and can be taken out again.
    parent.go(f"{AIGUILHE}?periode=semaine:2026-12-14")
    expect(parent.page.get_by_role("row", name=re.compile("^lun. 14 déc."))).to_contain_text("Panier")
    parent.go("/panier")
    parent.page.get_by_text("Retirer un repas").first.click()
    parent.button(f"Retirer {name}, lundi 14 décembre 2026").click()
    expect(parent.said("1 repas hors du panier : ")).to_be_visible()
    expect(parent.page.locator("[data-label='Quantité']")).to_have_text(str(len(days) - 1))


def test_the_week_view_and_four_children(window: OpenWindow, shop: Served) -> None:
    parent = window(desk=True)
    parent.become(FOUR_CHILDREN)
    parent.go(BLAVOZY)
    parent.button("Semaine").click()
    expect(parent.page.get_by_role("heading", name="Semaine 47")).to_be_visible()
    for number in (48, 49):
        parent.button("Période suivante").click()
        expect(parent.page.get_by_role("heading", name=f"Semaine {number}")).to_be_visible()
    table = parent.page.get_by_role("table", name="Jours et bénéficiaires")
    expect(table.get_by_role("columnheader")).to_have_count(6)
    parent.page.locator("summary").first.click()
    parent.button("Tout cocher").click()
    names = ticked(parent)
    assert len(names) == 16
    assert names[0] == "Anne-Charlotte-Joséphine de Saint-Germain-Laprade-Montbrison, lundi 30 novembre 2026"
    assert total(parent) == "51,20 € 16 repas"
    parent.button("Mois").click()
    assert total(parent) == "51,20 € 16 repas"
    parent.page.locator("summary").first.click()
    parent.button("Tout décocher").click()
    assert total(parent) == "0,00 € 0 repas"


def test_the_first_boxes_stand_on_the_first_screen_of_a_telephone(window: OpenWindow, shop: Served) -> None:
    parent = window()
    parent.become(FOUR_CHILDREN)
    parent.go(f"{BLAVOZY}?periode=mois:2026-12")
    box, bar = (
        parent.page.locator("tbody input[name=repas]").first.bounding_box(),
        parent.page.locator(".bar").bounding_box(),
    )
    assert box is not None
    assert bar is not None
    assert box["y"] + box["height"] < bar["y"]


def test_each_box_says_child_day_and_deadline(window: OpenWindow, shop: Served) -> None:
    parent = window()
    parent.become(DUPONT)
    parent.go(f"{AIGUILHE}?periode=mois:2026-12")
    box = parent.box("Louane Dupont, mardi 8 décembre 2026")
    expect(box).to_have_accessible_description(re.compile(r"Jusqu’au ven\. 4 déc\. à 10\sh\s?$"))
    expect(parent.page.get_by_role("columnheader", name=re.compile("^Louane"))).to_contain_text("3,80 €")
    parent.go(f"{AIGUILHE}?periode=mois:2026-11")
    expect(parent.page.get_by_role("row", name=re.compile("^jeu. 19 "))).to_contain_text("Hors délai")


def test_the_calendar_refuses_what_became_too_late(window: OpenWindow, shop: Served) -> None:
    """The page was opened in time; the meal is ticked when the day is closed: nothing is added, the rest stays ticked."""
    parent = window()
    parent.become("lucie.masson@example.org")
    parent.go(AIGUILHE)
    expect(parent.page.get_by_role("heading", name="Aucun bénéficiaire inscrit à ce service")).to_be_visible()
    parent.become(DUPONT)
    parent.go(AIGUILHE)
    box = parent.box("Louane Dupont, vendredi 27 novembre 2026")
    box.check()
    box.evaluate("box => { box.value = box.value.replace('2026-11-27', '2026-11-20'); }")
    parent.box("Théo Dupont, vendredi 27 novembre 2026").check()
    parent.button("Ajouter au panier").click()
    expect(parent.page.get_by_role("alert")).to_contain_text("rien n’a été ajouté au panier")
    expect(parent.page.get_by_role("alert")).to_contain_text("Louane Dupont, vendredi 20 novembre 2026")
    expect(parent.box("Théo Dupont, vendredi 27 novembre 2026")).to_be_checked()


@BY_SCRIPT
def test_ticks_outlive_the_session(window: OpenWindow, shop: Served, javascript: bool) -> None:
    """The session ends elsewhere, then the browser forgets its cookies: no box has to be ticked twice."""
    parent = window(javascript=javascript)
    parent.become(COMPANY)
    parent.go(f"{CRAPONNE}?periode=mois:2026-12")
    days = ("mardi 8", "mardi 15", "jeudi 7") if javascript else ("jeudi 10", "jeudi 17", "vendredi 8")
    wanted = [f"Karim Benali, {day} décembre 2026" for day in days[:2]] + [f"Loïc Roux, {days[2]} janvier 2027"]
    for name in wanted[:2]:
        parent.box(name).check()
    with shop.write() as db:
        theirs = select(Account.id).where(Account.email == COMPANY).scalar_subquery()
        db.execute(update(LoginSession).where(LoginSession.account_id == theirs).values(ended_at=shop.clock.now()))
    parent.button("Période suivante").click()
    expect(parent.heading("Authentification")).to_be_visible()
    parent.sign_in_here(COMPANY)
    expect(parent.page.get_by_role("heading", name="Janvier 2027")).to_be_visible()
    expect(parent.said("Vos 2 repas sont restés cochés. Ils ne sont pas encore dans votre panier.")).to_be_visible()
    assert ticked(parent) == wanted[:2]

    parent.box(wanted[2]).check()
    parent.context.clear_cookies()
    parent.button("Ajouter au panier").click()
    expect(parent.page.get_by_text("La page était ouverte depuis trop longtemps.")).to_be_visible()
    parent.link("Recharger la page").click()
    expect(parent.heading("Authentification")).to_be_visible()
    parent.sign_in_here(COMPANY)
    expect(parent.said("Vos 3 repas sont restés cochés.")).to_be_visible()
    assert ticked(parent) == wanted
    assert "3 repas" in total(parent)
