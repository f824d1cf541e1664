"""Every page of the shop in every state that a person can meet: axe judges them, `make screenshots` pictures them.

`prepare(shop)` gives the demo town's families what the states need; then each state says who looks and how to get there.
The order does not matter: no state spoils another.
"""

import re
import secrets
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page
from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.orm import Session

from accounts.models import Account, AccountLink, HouseholdMember, RecoveryCode
from accounts.queries import digest
from cart.models import BasketLine, WaitingEntry
from catalog.models import Commune, Service, ServiceDay, Tariff, TariffPrice
from checkout.reminders.links import stop_url
from checkout.reminders.models import Reminder
from checkout.reminders.queries import mark_of
from checkout.unbooked import note_eaten, weigh
from checkout.waiting import make_offers
from demo.published import load_published
from enrolments.models import Enrolment
from enrolments.operations import Desk
from enrolments.outside_invoices import NewInvoice, mark_paid, note_invoice, withdraw
from homes.models import CustodySwap
from homes.queries import invitations_to
from orders.models import FreedMeal, Order, Reservation, UnbookedMeal
from payments.models import Payment
from shop.models import Outbox
from tests.browser.served import Hand, Served
from tests.browser.windows import Window, open_window

DUPONT = "julien.dupont@example.org"
FOUR_CHILDREN = "mc.desaintgermain@example.org"
ADULT = "bernard.chevalier@example.net"
COMPANY = "bureau@menuiserie-roux.example.net"
OUTSIDER = "amandine.ferrand@example.org"
SHORT = "thi-mai.nguyen@example.org"
RICH = "francoise.vidal@example.org"
PAYING = "awa.traore@example.org"
WAITING = "lucie.masson@example.org"
TO_COMPLETE = "helene.bonnet@example.org"
REVOKED = "david.perrin@example.net"
EXPIRED = "sylvie.garnier@example.org"
TROUBLED = "antoine.mercier@example.org"
BEGINNER = "camille.renard@example.org"
FATHER, MOTHER = "nicolas.roche@example.org", "claire.delorme@example.org"
UNCONFIRMED = "yann.legoff@example.net"
CLERK = "mairie@aiguilhe.example.org"
OTHER_CLERK = "mairie@coubon.example.org"
BUSY_CLERK = "mairie@brives-charensac.example.org"
NEW_CLERK = "mairie@rosieres.example.org"
COOK = "cuisine@aiguilhe.example.org"
CASHIER = "regie@agglo-lepuyenvelay.example.org"

AIGUILHE, BLAVOZY, COUBON = "/reserver/aiguilhe/cantine", "/reserver/blavozy/cantine", "/reserver/coubon/cantine"
CRAPONNE = "/reserver/craponne-sur-arzon/cantine"
CARD = {
    "succeeds": "4242 4242",
    "declined": "4000 0000 0000 0002",
    "challenge": "4000 0027",
    "late": "0077",
    "never": "0119",
}
LONG_NAME = "Éléonore-Élisabeth-Marie-Antoinette de la Roche-Jagu-Kerouartz-Penmarc’h"


class State(NamedTuple):
    """A page in a state."""

    name: str
    who: str | None
    """The address of who is signed in."""
    reach: Callable[[Window], None]


STATES: list[State] = []


def page(name: str, path: str, who: str | None = None) -> None:
    """A state that is there when its address is opened."""
    STATES.append(State(name, who, lambda window: window.go(path)))


def state(name: str, who: str | None = None) -> Callable[[Callable[[Window], None]], None]:
    """A state that takes a few steps."""

    def keep(reach: Callable[[Window], None]) -> None:
        STATES.append(State(name, who, reach))

    return keep


def submitted(name: str, path: str, button: str | re.Pattern[str], who: str | None = None, **typed: str) -> None:
    """The state of a form that was sent with these fields typed (by their names) and nothing else."""

    def reach(window: Window) -> None:
        window.go(path)
        for field, value in typed.items():
            window.page.locator(f"main [name='{field}']:not([type=hidden])").first.fill(value)
        window.page.locator("main").get_by_role("button", name=button).last.click()

    STATES.append(State(name, who, reach))


class Gallery:
    """Shows states in one window, to which each person brings their own cookies: another window takes Chromium half a second
    to open, and every one that is open goes on costing time."""

    def __init__(self, browser: Browser, shop: Served, width: int) -> None:
        self.window = open_window(browser, shop, width=width)
        self.who: str | None = None
        self.cookies: dict[str | None, Any] = {}

    def show(self, wanted: State) -> Page:
        """The page of a state."""
        if wanted.who != self.who:
            self._hand_over_to(wanted.who)
        wanted.reach(self.window)
        self.window.page.wait_for_load_state()
        return self.window.page

    def _hand_over_to(self, who: str | None) -> None:
        context = self.window.context
        self.cookies[self.who] = context.cookies()
        context.clear_cookies()
        if who in self.cookies:
            context.add_cookies(self.cookies[who])
        elif who in self.window.shop.people:
            self.window.become(who)
        self.who = who

    def close(self) -> list[str]:
        """Close the window; what should not have happened in it."""
        self.window.close()
        return self.window.trouble


# --- the scene ---


def prepare(shop: Served) -> None:
    """Open the second demo region, and give the families baskets, orders and payments in every state."""
    with shop.write() as db:
        load_published(db, shop.clock.now())
    _fill(shop.client(DUPONT), AIGUILHE, 4)
    _fill(shop.client(SHORT), "/reserver/brives-charensac/cantine", 3)
    _fill(shop.client(OUTSIDER), AIGUILHE, 2)
    _calendar_of_every_cell(shop)
    _basket_of_every_problem(shop)
    _waiting_list_of_every_state(shop)
    # Of another régie: two baskets on one page.
    _fill(shop.client(FOUR_CHILDREN), "/reserver/cunac/cantine", 2)
    rich = shop.client(RICH)
    _fill(rich, "/reserver/polignac/cantine", 2)
    _pay(rich, "carte")
    _orders(shop)
    _two_homes(shop)
    _freed(shop)
    _at_noon(shop)
    _invoices_of_elsewhere(shop)
    with shop.write() as db:
        db.execute(update(Account).where(Account.email == NEW_CLERK).values(totp_secret=None, totp_enrolled_at=None))


def _homes_of(hand: Hand, place: int = 0) -> str:
    """The page of the homes of a child of the family."""
    found = re.findall(r'href="(/mon-compte/filiations/\d+/foyers)"', hand.client.get("/mon-compte/filiations").text)
    return str(found[place])


def _two_homes(shop: Served) -> None:
    """A calendar that holds, another that is proposed, swaps asked by both, and invitations."""
    mother, father, dupont = shop.client(MOTHER), shop.client(FATHER), shop.client(DUPONT)
    page = _homes_of(mother)
    mother.post(f"{page}/calendrier", {"even_weeks": "ailleurs", "holidays": "ici", "starts_on": "2027-01-04"})
    mother.post(f"{page}/echange", {"swap_from": "2026-12-01", "swap_until": "2026-12-01", "swap_home": "ici"})
    with shop.read() as db:
        agreed = db.scalars(select(CustodySwap.id)).one()
    father.post(f"{page}/echange/{agreed}", {"answer": "agreed"})
    mother.post(f"{page}/echange", {"swap_from": "2026-12-14", "swap_until": "2026-12-18", "swap_home": "ici"})
    father.post(f"{page}/echange", {"swap_from": "2026-12-08", "swap_until": "2026-12-08", "swap_home": "ici"})
    dupont.post(f"{_homes_of(dupont, 1)}/inviter", {"email": ADULT})


def _free(hand: Hand, path: str) -> list[str]:
    """The boxes that can be ticked in a booking calendar, by day."""
    html = hand.client.get(f"{path}?periode=vacances").text
    codes = re.findall(r'name="repas" value="([^"]+)"', html)
    assert codes, f"nothing to book at {path}"
    return sorted(codes, key=lambda code: code.partition(".")[2])


def _fill(hand: Hand, path: str, meals: int) -> None:
    hand.post(path, {"repas": _free(hand, path)[-meals:], "ajouter": "1"})


def _pay(hand: Hand, means: str) -> str:
    """Pay the basket; where that leads."""
    html = hand.client.get("/panier").text
    hidden = dict(re.findall(r'name="(panier|total)" value="(\d+)"', html))
    return hand.post(f"/panier/payer/{means}", dict(hidden)).location


def _of_service(commune: str) -> Select[int]:
    return (
        select(Service.id)
        .join(Commune, Commune.id == Service.commune_id)
        .where(Commune.slug == commune, Service.slug == "cantine")
    )


def _calendar_of_every_cell(shop: Served) -> None:
    """Four children of long names, with meals booked, in the basket, full, late, and a day that is closed."""
    hand = shop.client(FOUR_CHILDREN)
    days = sorted({code.partition(".")[2] for code in _free(hand, BLAVOZY) if code.partition(".")[2] < "2026-12"})
    codes = [code for code in _free(hand, BLAVOZY) if code.endswith(days[-1])]
    alone = next(code for code in _free(hand, BLAVOZY) if code.endswith(days[1]))
    hand.post(BLAVOZY, {"repas": [*codes[:3], alone], "ajouter": "1"})
    blavozy = _of_service("blavozy").scalar_subquery()
    with shop.write() as db:
        strike = {"is_open": False, "closed_reason": "Grève annoncée du personnel communal de restauration scolaire"}
        quiet = ServiceDay.booked_count == 0
        of_day = ServiceDay.service_id == blavozy
        strike_day, full_day = date.fromisoformat(days[-2]), date.fromisoformat(days[0])
        db.execute(update(ServiceDay).where(of_day, ServiceDay.day == strike_day, quiet).values(strike))
        db.execute(
            update(ServiceDay).where(of_day, ServiceDay.day == full_day).values(capacity=ServiceDay.booked_count)
        )


def _waiting_list_of_every_state(shop: Served) -> None:
    """Children who wait, for whom a place is kept (one of them in the basket), and one whose family has declined it."""
    hand = shop.client(FOUR_CHILDREN)
    month = f"{BLAVOZY}?periode=mois:2027-03"
    codes = re.findall(r'name="repas" value="([^"]+)"', hand.client.get(month).text)
    days = sorted({code.partition(".")[2] for code in codes})[:4]
    children = sorted({code.partition(".")[0] for code in codes})
    of_service = ServiceDay.service_id == _of_service("blavozy").scalar_subquery()
    wanted = ServiceDay.day.in_(map(date.fromisoformat, days))
    with shop.write() as db:
        db.execute(update(ServiceDay).where(of_service, wanted).values(capacity=ServiceDay.booked_count))
    for day in days:
        for child in children[:2]:
            hand.post(month, {"attendre": f"{child}.{day}"}, status=200)
    with shop.write() as db:
        free = ServiceDay.day.in_(map(date.fromisoformat, days[1:]))
        db.execute(update(ServiceDay).where(of_service, free).values(capacity=ServiceDay.capacity + 1))
    with shop.app.app_context():
        make_offers(shop.clock.now())
    with shop.read() as db:
        query = select(WaitingEntry.id).where(WaitingEntry.state == "offered").order_by(WaitingEntry.id)
        entries = list(db.scalars(query))
    hand.post("/mes-reservations/attente/quitter", {"attente": str(entries[2])})
    hand.post(month, {"repas": f"{children[0]}.{days[2]}", "ajouter": "1"})


def _basket_of_every_problem(shop: Served) -> None:
    """A basket of which one meal is full by now, one too late, and one has another price."""
    hand = shop.client(TROUBLED)
    _fill(hand, "/reserver/rosieres/cantine", 8)
    now = shop.clock.now()
    with shop.write() as db:
        lines = db.execute(
            select(BasketLine.service_day_id, ServiceDay.day, BasketLine.tariff_id, BasketLine.tariff_price_id)
            .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
            .join(Service, Service.id == ServiceDay.service_id)
            .join(Commune, Commune.id == Service.commune_id)
            .where(Commune.slug == "rosieres")
            .order_by(ServiceDay.day)
        ).all()
        full, late, dear = sorted({(line[1], line[0]) for line in lines})[:3]
        db.execute(update(ServiceDay).where(ServiceDay.id == full[1]).values(capacity=ServiceDay.booked_count))
        past = now - timedelta(minutes=1)
        db.execute(update(ServiceDay).where(ServiceDay.id == late[1]).values(book_deadline_at=past))
        old = db.get_one(TariffPrice, lines[0].tariff_price_id)
        until = old.valid_until
        old.valid_until = dear[0] - timedelta(days=1)
        db.flush()
        db.add(TariffPrice(tariff_id=old.tariff_id, valid_from=dear[0], valid_until=until, cents=old.cents + 25))


def _freed(shop: Served) -> None:
    """A day on which families give meals back: one has, one may, one has and nobody took it."""
    now = shop.clock.now()
    with shop.write() as db:
        service_id = db.scalars(_of_service("aiguilhe")).one()
        service = db.get_one(Service, service_id)
        service.policies = {
            **service.policies,
            "freed": {"until": {"at": "09:00", "days_before": 0, "counted": "calendar"}},
        }
        meals = db.execute(
            select(Reservation, ServiceDay, Account.id)
            .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
            .join(Order, Order.id == Reservation.order_id)
            .join(Account, Account.id == Order.account_id)
            .where(Account.email == DUPONT, Reservation.state == "confirmed", ServiceDay.day > now.date())
            .order_by(ServiceDay.day.desc(), Reservation.id)
        ).all()
        db.flush()
        for state, (meal, day, account_id) in zip(("offered", None, "lapsed"), meals, strict=False):
            past = now - timedelta(hours=1)
            meal.cancel_deadline_at = day.cancel_deadline_at = day.book_deadline_at = past
            day.freed_deadline_at = past if state == "lapsed" else now + timedelta(hours=20)
            if state is not None:
                db.add(
                    FreedMeal(
                        reservation_id=meal.id,
                        service_day_id=day.id,
                        state=state,
                        offered_at=past,
                        offered_by_id=account_id,
                        ended_at=now if state == "lapsed" else None,
                    )
                )


def _give_back(window: Window, freed: bool) -> None:
    with window.shop.read() as db:
        ids = select(FreedMeal.reservation_id)
        number = db.scalars(
            select(Reservation.id)
            .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
            .join(Order, Order.id == Reservation.order_id)
            .join(Account, Account.id == Order.account_id)
            .where(
                Account.email == DUPONT,
                ServiceDay.freed_deadline_at.is_not(None),
                Reservation.state == "confirmed",
                Reservation.id.in_(ids.where(FreedMeal.state == "offered")) if freed else Reservation.id.not_in(ids),
                Reservation.cancel_deadline_at < window.shop.clock.now(),
            )
            .order_by(Reservation.id.desc())
        ).first()
    window.go(f"/mes-reservations/rendre?repas={number}")


@state("rendre-un-repas", DUPONT)
def _give_back_one(window: Window) -> None:
    _give_back(window, freed=False)


@state("rendre-un-repas-rendu", DUPONT)
def _keep_one(window: Window) -> None:
    _give_back(window, freed=True)


@state("reserver-repas-rendu", OUTSIDER)
def _book_freed(window: Window) -> None:
    with window.shop.read() as db:
        day = db.scalars(
            select(ServiceDay.day)
            .join(FreedMeal, FreedMeal.service_day_id == ServiceDay.id)
            .where(FreedMeal.state == "offered")
        ).first()
    window.go(f"{AIGUILHE}?periode=semaine:{day}")


def _orders(shop: Served) -> None:
    """Orders with everything cancelled, with some meals cancelled; payments given up, refused, put aside."""
    hand = shop.client(DUPONT)
    with shop.read() as db:
        open_until = Reservation.cancel_deadline_at > shop.clock.now()
        rows = db.execute(
            select(Reservation.id, Reservation.cents)
            .join(Order, Order.id == Reservation.order_id)
            .join(Account, Account.id == Order.account_id)
            .where(Account.email == DUPONT, Reservation.state == "confirmed", open_until)
            .limit(1)
        ).all()
    for reservation_id, cents in rows:
        hand.post("/mes-reservations/annuler", {"repas": [reservation_id], "credit": cents})
    paying = shop.client(PAYING)
    for _wanted in ("sent", "cancelled", "refused", "quarantined", "expired"):
        regie = re.findall(r'name="regie" value="(\d+)"', paying.client.get("/recharger").text)[0]
        paying.post("/recharger", {"regie": regie, "montant": "20"})
    with shop.write() as db:
        keys = list(db.scalars(_payments_of(PAYING)))
        for key, wanted in zip(keys, ("sent", "cancelled", "refused", "quarantined", "expired"), strict=True):
            if wanted != "sent":
                now = shop.clock.now()
                db.execute(update(Payment).where(Payment.key == key).values(state=wanted, settled_at=now))


def _at_noon(shop: Served) -> None:
    """A family that owes for meals without a booking, where that keeps new bookings waiting; its basket; a canteen at which
    every child needs a PAI."""
    _fill(shop.client(COMPANY), CRAPONNE, 1)
    now = shop.clock.now() - timedelta(days=2)
    with shop.write() as db:
        clerk_id = db.scalars(select(Account.id).where(Account.email == CLERK)).one()
        enrolment = db.execute(
            select(Enrolment.id, Enrolment.service_id)
            .join(HouseholdMember, HouseholdMember.household_id == Enrolment.household_id)
            .join(Account, Account.id == HouseholdMember.account_id)
            .where(
                Account.email == COMPANY,
                Enrolment.service_id == _of_service("craponne-sur-arzon").scalar_subquery(),
                Enrolment.state == "approved",
            )
            .order_by(Enrolment.id.desc())
        ).first()
        assert enrolment is not None
        days = db.scalars(
            select(ServiceDay.id)
            .where(
                ServiceDay.service_id == enrolment.service_id,
                ServiceDay.is_open,
                ServiceDay.day < now.date(),
                ~select(Reservation.id)
                .join(Enrolment, Enrolment.beneficiary_id == Reservation.beneficiary_id)
                .where(Reservation.service_day_id == ServiceDay.id, Enrolment.id == enrolment.id)
                .exists(),
            )
            .order_by(ServiceDay.day.desc())
            .limit(2)
        ).all()
        for day_id in reversed(days):
            cents = weigh(db, day_id, enrolment.id, now).price.cents
            note_eaten(db, day_id, enrolment.id, cents, clerk_id, now)
        _note_today(db, clerk_id, shop.clock.now())
        _make_wait(db, "craponne-sur-arzon", {"amount_due_hours": 24, "overdue_invoice_days": 0})
        _make_wait(db, "la-tessoualle", {"pai": True})
        db.execute(
            update(Tariff).where(Tariff.service_id == _of_service("la-tessoualle").scalar_subquery()).values(pai=True)
        )
        # The town hall of Aiguilhe may note PAI: no rule there lets a booking wait for one.
        db.execute(
            update(Tariff).where(Tariff.service_id == _of_service("aiguilhe").scalar_subquery()).values(pai=True)
        )


def _note_today(db: Session, clerk_id: int, now: datetime) -> None:
    """A child of the best known family eats in Aiguilhe today, without a booking."""
    day_id = db.scalars(
        select(ServiceDay.id).where(
            ServiceDay.service_id == _of_service("aiguilhe").scalar_subquery(), ServiceDay.day == now.date()
        )
    ).one()
    booked = select(Reservation.beneficiary_id).where(
        Reservation.service_day_id == day_id, Reservation.state.in_(("held", "confirmed"))
    )
    enrolment_id = db.scalars(
        select(Enrolment.id)
        .join(HouseholdMember, HouseholdMember.household_id == Enrolment.household_id)
        .join(Account, Account.id == HouseholdMember.account_id)
        .where(
            Account.email == DUPONT,
            Enrolment.service_id == _of_service("aiguilhe").scalar_subquery(),
            Enrolment.state == "approved",
            Enrolment.valid_from <= now.date(),
            Enrolment.valid_until >= now.date(),
            Enrolment.beneficiary_id.not_in(booked),
        )
    ).first()
    assert enrolment_id is not None, "a child of this family has nothing booked today"
    note_eaten(db, day_id, enrolment_id, weigh(db, day_id, enrolment_id, now).price.cents, clerk_id, now)


def _invoices_of_elsewhere(shop: Served) -> None:
    """Unpaid invoices of elsewhere: of the family that owes already, and of another that books where they keep it waiting;
    one is paid, one was noted wrongly."""
    now = shop.clock.now() - timedelta(days=2)
    with shop.write() as db:
        clerk_id = db.scalars(select(Account.id).where(Account.email == CLERK)).one()
        desk = Desk(clerk_id, frozenset(db.scalars(select(Commune.id))))
        households = {
            email: db.scalars(
                select(HouseholdMember.household_id)
                .join(Account, Account.id == HouseholdMember.account_id)
                .where(Account.email == email)
            ).one()
            for email in (COMPANY, DUPONT)
        }
        regies = dict(db.execute(select(Commune.slug, Commune.regie_id)).all())
        due = (now - timedelta(days=40)).date()

        def note(email: str, commune: str, reference: str, cents: int) -> int:
            new = NewInvoice(households[email], regies[commune], reference, cents, due)
            return note_invoice(db, new, desk, now)[0]

        note(COMPANY, "craponne-sur-arzon", "2026-T3-004512-RESTAURATION-SCOLAIRE", 12845)
        for number in range(4):
            note(DUPONT, "cuille", f"2026-0{number + 1}-0412", 4520 + number)
        note(DUPONT, "aiguilhe", "2026-0418", 4520)
        mark_paid(db, note(DUPONT, "aiguilhe", "2026-0377", 3800), desk, now)
        withdraw(db, note(DUPONT, "aiguilhe", "2026-0099", 990), "Facture d’une autre famille.", desk, now)
        _make_wait(db, "cuille", {"overdue_invoice_days": 30})


def _make_wait(db: Session, commune: str, blocking: dict[str, object]) -> None:
    service = db.get_one(Service, db.scalars(_of_service(commune)).one())
    service.policies = {**service.policies, "blocking": blocking}


def _payments_of(email: str) -> Select[str]:
    return (
        select(Payment.key)
        .join(Account, Account.id == Payment.account_id)
        .where(Account.email == email, Payment.provider_reference.like("sbx_%"))
        .order_by(Payment.id)
    )


def _payment_page(name: str, place: int) -> None:
    @state(f"paiement-{name}", PAYING)
    def _reach(window: Window) -> None:
        with window.shop.read() as db:
            key = list(db.scalars(_payments_of(PAYING)))[place]
        window.go(f"/paiement/{key}")


def _orders_of(email: str) -> Select[str]:
    return (
        select(Order.number)
        .join(Account, Account.id == Order.account_id)
        .where(Account.email == email)
        .order_by(Order.placed_at.desc(), Order.id.desc())
    )


def _link(shop: Served, purpose: str, email: str, new_email: str | None = None) -> str:
    """A fresh link as a letter carries it."""
    token, now = secrets.token_urlsafe(32), shop.clock.now()
    with shop.write() as db:
        account_id = db.scalars(select(Account.id).where(Account.email == email)).first()
        db.execute(
            insert(AccountLink).values(
                account_id=account_id,
                purpose=purpose,
                token_hash=digest(token),
                new_email=new_email,
                created_at=now,
                expires_at=now + timedelta(hours=1),
            )
        )
    return token


# --- for everybody ---

page("accueil", "/")
page("commune", "/communes/aiguilhe")
page("commune-craponne", "/communes/craponne-sur-arzon")
page("commune-accessibilite", "/communes/aiguilhe/accessibilite")
page("accessibilite", "/accessibilite")
page("mentions-legales", "/mentions-legales")
page("donnees-personnelles", "/donnees-personnelles")
page("conditions-generales", "/conditions-generales")
page("contact", "/contact")

page("connexion", "/connexion")
submitted("connexion-vide", "/connexion", "Connexion")
submitted("connexion-refusee", "/connexion", "Connexion", email="personne@example.org", password="pas le bon")


@state("connexion-trop-d-essais")
def _too_many(window: Window) -> None:
    for _try in range(7):
        window.go("/connexion")
        form = window.page.get_by_role("region", name="Déjà inscrit ?")
        window.text_box("Adresse e-mail", form).fill("assiegee@example.org")
        form.get_by_label("Mot de passe").fill("pas le bon")
        window.button("Connexion", form).click()
        if window.said("Trop d’essais").count():
            return
    raise AssertionError("the sign-in never said that it was too often")


page("mot-de-passe-oublie", "/mot-de-passe-oublie")
submitted("mot-de-passe-oublie-erreur", "/mot-de-passe-oublie", "Recevoir le lien", email="pas une adresse")
submitted("mot-de-passe-oublie-envoye", "/mot-de-passe-oublie", "Recevoir le lien", email="personne@example.org")


def _by_link(name: str, path: str, purpose: str, who: str, new_email: str | None = None) -> None:
    @state(name)
    def _reach(window: Window) -> None:
        window.go(f"/{path}/{_link(window.shop, purpose, who, new_email)}")


_by_link("lien-mot-de-passe", "nouveau-mot-de-passe", "reset", ADULT)
_by_link("lien-activer", "activer", "activate", ADULT)
_by_link("lien-confirmer", "confirmer", "confirm", UNCONFIRMED)
_by_link("lien-confirmer-adresse", "confirmer-adresse", "email_change", ADULT, "bernard@example.net")
_by_link("lien-annuler-adresse", "annuler-adresse", "email_cancel", ADULT, "ancienne@example.net")


@state("lien-mot-de-passe-erreur")
def _reset_wrong(window: Window) -> None:
    window.go(f"/nouveau-mot-de-passe/{_link(window.shop, 'reset', ADULT)}")
    window.page.get_by_label("Nouveau mot de passe").fill("azerty")
    window.button("Enregistrer").click()


@state("lien-activer-erreur")
def _activate_wrong(window: Window) -> None:
    window.go(f"/activer/{_link(window.shop, 'activate', ADULT)}")
    window.button("Activer mon compte").click()


page("lien-perime", "/nouveau-mot-de-passe/perime-depuis-longtemps")
page("creer-un-compte", "/creer-un-compte")
submitted("creer-un-compte-vide", "/creer-un-compte", "Enregistrer")
submitted(
    "creer-un-compte-erreurs",
    "/creer-un-compte",
    "Enregistrer",
    first_name="😀" * 60,
    last_name="Dupont",
    email="pas une adresse",
    password="azerty",
    phone="douze",
    postcode="4300",
)

page("erreur-404", "/cette-page-n-existe-pas")
page("erreur-405", "/deconnexion")


@state("erreur-400")
def _page_of_yesterday(window: Window) -> None:
    window.go("/mot-de-passe-oublie")
    window.evaluate("document.querySelector('main [name=csrf_token]').value = 'perime'")
    window.page.get_by_label("Adresse e-mail").fill("personne@example.org")
    window.button("Recevoir le lien").click()


@state("erreur-429", UNCONFIRMED)
def _too_many_letters(window: Window) -> None:
    window.go("/mon-compte")
    for _try in range(25):
        window.button("Renvoyer le lien").click()
        if window.heading("Trop d’essais").count():
            return
    raise AssertionError("letters could be asked for without end")


@state("deconnexion", EXPIRED)
def _signed_out(window: Window) -> None:
    window.become(EXPIRED)
    window.go("/mon-compte")
    window.button("Déconnexion").click()
    # The next state of the same person finds her signed in again, and the page as it is.
    window.become(EXPIRED)


page("demo-lettres", "/demo/lettres")
page("demo-lettres-vide", "/demo/lettres?pour=personne@example.org")
page("demo-connexions", "/demo/connexions")


def _newest_letter(window: Window) -> int:
    """The number of a letter, when the worker has sent one."""
    for _try in range(60):
        with window.shop.read() as db:
            letter_id = db.scalar(select(Outbox.id).where(Outbox.composed.is_not(None)).order_by(Outbox.id).limit(1))
        if letter_id is not None:
            return letter_id
        window.page.wait_for_timeout(250)
    raise AssertionError("no letter was sent")


@state("demo-lettre")
def _letter(window: Window) -> None:
    window.go(f"/demo/lettres/{_newest_letter(window)}")


@state("lettre-html", "le courrier")
def _letter_html(window: Window) -> None:
    # As a mail program shows it: at its own address no script runs, and none could judge it.
    html = window.context.request.get(f"{window.shop.url}/demo/lettres/{_newest_letter(window)}/html").text()
    window.page.goto("about:blank")
    window.page.set_content(html)


# --- reminders ---


def _week_link(shop: Served, email: str, answer: str | None = None) -> str:
    """The key of a fresh link about the next week in which the account's children have nothing."""
    key, now = secrets.token_urlsafe(32), shop.clock.now()
    with shop.write() as db:
        account_id, address, password_hash, household_id = db.execute(
            select(Account.id, Account.email, Account.password_hash, HouseholdMember.household_id)
            .join(HouseholdMember, HouseholdMember.account_id == Account.id)
            .where(Account.email == email)
        ).one()
        enrolled = (
            select(Enrolment.beneficiary_id, Enrolment.service_id, ServiceDay.day)
            .join(ServiceDay, ServiceDay.service_id == Enrolment.service_id)
            .where(
                Enrolment.household_id == household_id,
                Enrolment.state == "approved",
                Enrolment.service_id.in_(_of_service("blavozy")),
                ServiceDay.is_open,
                ServiceDay.day.between(NEXT_WEEK, NEXT_WEEK + timedelta(days=4)),
            )
            .order_by(ServiceDay.day, Enrolment.beneficiary_id)
        )
        meals = [[child, service, day.isoformat()] for child, service, day in db.execute(enrolled)]
        row = {
            "account_id": account_id,
            "household_id": household_id,
            "kind": "week",
            "about": NEXT_WEEK.isoformat(),
            "written_at": now,
            "token_hash": digest(key),
            "mark": mark_of(address, password_hash),
            "expires_at": now + timedelta(hours=40),
            "meals": meals,
            "answer": answer,
        }
        db.execute(delete(Reminder).where(Reminder.account_id == account_id, Reminder.kind == "week"))
        db.execute(insert(Reminder).values(**row))
    return key


NEXT_WEEK = date(2027, 1, 11)


def _week_page(name: str, answer: str | None = None) -> None:
    @state(name)
    def _reach(window: Window) -> None:
        window.go(f"/rappel/{_week_link(window.shop, FOUR_CHILDREN, answer)}")


_week_page("rappel-semaine")
_week_page("rappel-semaine-rien", "nothing")
_week_page("rappel-semaine-panier", "basket")


@state("rappel-semaine-a-changer")
def _week_changed(window: Window) -> None:
    window.go(f"/rappel/{_week_link(window.shop, FOUR_CHILDREN)}")
    window.evaluate("document.querySelector('main [name=total]').value = '1'")
    window.button("Comme d’habitude").click()


def _stop_path(window: Window) -> str:
    with window.shop.read() as db, window.shop.app.app_context():
        account_id = db.scalars(select(Account.id).where(Account.email == EXPIRED)).one()
        return urlsplit(stop_url(account_id, "week")).path


@state("rappel-arreter")
def _stop(window: Window) -> None:
    window.go(_stop_path(window))


@state("rappel-arrete")
def _stopped(window: Window) -> None:
    window.go(_stop_path(window))
    if window.page.get_by_role("button", name="Ne plus recevoir ce rappel").count():
        window.button("Ne plus recevoir ce rappel").click()


page("mes-rappels", "/mon-compte/rappels", FOUR_CHILDREN)


# --- the three steps ---

page("filiations-etape", "/creer-un-compte/filiations", BEGINNER)
page("filiations-etape-connus", "/creer-un-compte/filiations", UNCONFIRMED)
submitted("filiations-etape-vide", "/creer-un-compte/filiations", "Enregistrer et continuer", BEGINNER)


@state("filiations-etape-erreurs", BEGINNER)
def _family_wrong(window: Window) -> None:
    window.go("/creer-un-compte/filiations")
    window.button("Ajouter un bénéficiaire").click()
    for number in (1, 2):
        row = window.page.get_by_role("group", name=f"Bénéficiaire {number}")
        row.get_by_label("Date de naissance").fill("2031-01-01")
    window.button("Enregistrer et continuer").click()


@state("filiations-etape-double", BEGINNER)
def _family_twice(window: Window) -> None:
    window.go("/creer-un-compte/filiations")
    window.button("Ajouter un bénéficiaire").click()
    for number in (1, 2):
        row = window.page.get_by_role("group", name=f"Bénéficiaire {number}")
        row.get_by_label("Prénom").fill("Léo")
        row.get_by_label("Type de filiation").select_option("mother")
    window.button("Enregistrer et continuer").click()


page("services-etape-communes", "/creer-un-compte/services", UNCONFIRMED)
page("services-etape-sans-beneficiaire", "/creer-un-compte/services", BEGINNER)
page("services-etape-tarifs", "/creer-un-compte/services?commune=craponne-sur-arzon", UNCONFIRMED)
page("services-etape-demandes", "/creer-un-compte/services", WAITING)
submitted("services-etape-erreurs", "/creer-un-compte/services?commune=aiguilhe", "Envoyer ma demande", UNCONFIRMED)
page("compte-cree", "/creer-un-compte/termine", UNCONFIRMED)
page("compte-cree-confirme", "/creer-un-compte/termine", WAITING)

# --- the account ---

page("mon-compte", "/mon-compte", DUPONT)
page("mon-compte-a-confirmer", "/mon-compte", UNCONFIRMED)
page("mon-compte-mairie", "/mon-compte", CLERK)
page("coordonnees", "/mon-compte/coordonnees", DUPONT)
page("coordonnees-societe", "/mon-compte/coordonnees", COMPANY)
submitted("coordonnees-erreurs", "/mon-compte/coordonnees", "Enregistrer", DUPONT, last_name="", phone="douze")
page("mot-de-passe", "/mon-compte/mot-de-passe", DUPONT)
submitted("mot-de-passe-erreurs", "/mon-compte/mot-de-passe", "Enregistrer", DUPONT, password="azerty")
page("adresse-e-mail", "/mon-compte/adresse-e-mail", DUPONT)
submitted("adresse-e-mail-erreurs", "/mon-compte/adresse-e-mail", "Envoyer le lien", DUPONT, email="ici")
page("connexions", "/mon-compte/connexions", DUPONT)
page("fermer", "/mon-compte/fermer", BEGINNER)
submitted("fermer-erreurs", "/mon-compte/fermer", "Fermer mon compte", BEGINNER)
page("fermer-refuse", "/mon-compte/fermer", DUPONT)


page("filiations", "/mon-compte/filiations", FOUR_CHILDREN)
page("filiations-vide", "/mon-compte/filiations", BEGINNER)
page("filiation-ajouter", "/mon-compte/filiations/ajouter", DUPONT)
submitted("filiation-erreurs", "/mon-compte/filiations/ajouter", "Enregistrer", DUPONT, birth_date="2031-01-01")


@state("filiation-deja-connue", DUPONT)
def _child_known(window: Window) -> None:
    window.go("/mon-compte/filiations/ajouter")
    window.page.get_by_label("Prénom").fill("Louane")
    window.page.get_by_label("Type de filiation").select_option("father")
    window.button("Enregistrer").click()


@state("filiation-modifier", FOUR_CHILDREN)
def _change_child(window: Window) -> None:
    window.go("/mon-compte/filiations")
    window.page.get_by_role("link", name=re.compile("^Modifier")).first.click()


@state("filiation-supprimer", FOUR_CHILDREN)
def _remove_child(window: Window) -> None:
    window.go("/mon-compte/filiations")
    window.page.get_by_role("link", name=re.compile("^Supprimer")).first.click()


@state("foyers-inviter", FOUR_CHILDREN)
def _invite(window: Window) -> None:
    window.go("/mon-compte/filiations")
    window.page.get_by_role("link", name="Deux foyers pour").first.click()


@state("foyers-inviter-erreur", FOUR_CHILDREN)
def _invite_wrong(window: Window) -> None:
    window.go("/mon-compte/filiations")
    window.page.get_by_role("link", name="Deux foyers pour").first.click()
    window.button("Envoyer l’invitation").click()


@state("foyers-invitation-envoyee", DUPONT)
def _invited(window: Window) -> None:
    window.go("/mon-compte/filiations")
    window.page.get_by_role("link", name="Deux foyers pour Théo Dupont").click()


@state("foyers-calendrier", FATHER)
def _custody(window: Window) -> None:
    window.go("/mon-compte/filiations")
    window.page.get_by_role("link", name="Deux foyers pour").first.click()
    window.page.get_by_text("Demander un échange de jours").click()


@state("foyers-calendrier-propose", MOTHER)
def _custody_proposed(window: Window) -> None:
    window.go("/mon-compte/filiations")
    window.page.get_by_role("link", name="Deux foyers pour").first.click()


@state("invitation", ADULT)
def _invitation(window: Window) -> None:
    window.go("/mon-compte/filiations")
    window.page.get_by_role("link", name="Voir l’invitation pour Théo").click()


@state("invitation-anonyme")
def _invitation_unknown(window: Window) -> None:
    with window.shop.read() as db:
        ((_name, token),) = invitations_to(db, ADULT, window.shop.clock.now())
    window.go(f"/invitation/{token}")


page("reserver-deux-foyers", f"{AIGUILHE}?periode=mois:2026-12", FATHER)
page("reservations-deux-foyers", "/mes-reservations", FATHER)
page("services", "/mon-compte/services", DUPONT)
page("services-en-attente", "/mon-compte/services", WAITING)
page("services-retire", "/mon-compte/services", REVOKED)
page("services-termine", "/mon-compte/services", EXPIRED)
page("services-refuse", "/mon-compte/services", OUTSIDER)
page("services-vide", "/mon-compte/services", BEGINNER)


@state("services-a-completer", TO_COMPLETE)
def _to_complete(window: Window) -> None:
    window.go("/mon-compte/services")
    window.page.locator("summary").click()


@state("services-a-completer-erreur", TO_COMPLETE)
def _to_complete_wrong(window: Window) -> None:
    window.go("/mon-compte/services")
    window.page.locator("summary").click()
    window.button("Envoyer ma réponse").click()


page("service-ajouter", "/mon-compte/services/ajouter", DUPONT)
page("service-ajouter-tarifs", "/mon-compte/services/ajouter?commune=blavozy", FOUR_CHILDREN)
submitted("service-ajouter-erreurs", "/mon-compte/services/ajouter?commune=coubon", "Envoyer ma demande", DUPONT)

# --- booking ---

page("reserver", "/reserver", DUPONT)
page("reserver-vide", "/reserver", BEGINNER)
page("reserver-en-attente", "/reserver", WAITING)
page("calendrier", AIGUILHE, DUPONT)
page("calendrier-quatre-enfants", BLAVOZY, FOUR_CHILDREN)
page("calendrier-semaine", f"{BLAVOZY}?periode=semaine:2026-11-23", FOUR_CHILDREN)
page("calendrier-vacances", f"{AIGUILHE}?periode=vacances", DUPONT)
page("calendrier-adulte", COUBON, ADULT)
page("calendrier-sans-jour", f"{AIGUILHE}?periode=semaine:2026-12-21", DUPONT)
page("calendrier-sans-inscription", COUBON, DUPONT)


@state("calendrier-plusieurs-pages", FOUR_CHILDREN)
def _carried(window: Window) -> None:
    window.go(f"{BLAVOZY}?periode=mois:2026-12")
    window.page.locator("summary").first.click()
    window.button("Tout cocher").click()
    window.button("Période suivante").click()
    for summary in window.page.locator("main summary").all():
        summary.click()


@state("calendrier-coche", DUPONT)
def _ticked(window: Window) -> None:
    window.go(f"{AIGUILHE}?periode=mois:2026-12")
    for day in ("mardi 1er", "jeudi 3", "vendredi 4"):
        window.box(f"Louane Dupont, {day} décembre 2026").check()
    window.box("Théo Dupont, jeudi 3 décembre 2026").check()


@state("calendrier-de-retour", DUPONT)
def _back_from_sign_in(window: Window) -> None:
    window.go(f"{AIGUILHE}?periode=mois:2026-12")
    codes = window.page.locator("tbody input[name=repas]").evaluate_all("boxes => boxes.map(box => box.value)")[:5]
    late = f"{codes[0].partition('.')[0]}.2026-11-20"
    window.go(f"{AIGUILHE}?periode=mois:2026-12&coches={','.join(f'{code}.1' for code in [*codes, late])}")


@state("calendrier-refus", FOUR_CHILDREN)
def _late_meals(window: Window) -> None:
    window.go(BLAVOZY)
    window.evaluate("""() => document.querySelectorAll("tbody input[name=repas]").forEach((box, number) => {
        box.checked = number < 4;
        box.value = box.value.replace(/[.].*/, number % 2 ? ".2026-11-20" : ".2026-11-25");
    })""")
    window.button("Ajouter au panier").click()


@state("calendrier-paiement-en-cours", RICH)
def _basket_being_paid(window: Window) -> None:
    window.go("/reserver/polignac/cantine?periode=mois:2026-12")
    window.page.locator("tbody input[name=repas]").first.check()
    window.button("Ajouter au panier").click()


@state("calendrier-rien-de-coche", DUPONT)
def _nothing_ticked(window: Window) -> None:
    window.go(AIGUILHE)
    window.button("Ajouter au panier").click()


# --- basket and payment ---

page("panier", "/panier", DUPONT)
page("panier-vide", "/panier", BEGINNER)
page("panier-solde-insuffisant", "/panier", SHORT)
page("panier-a-corriger", "/panier", TROUBLED)
page("panier-chacun-ses-dates", "/panier", FOUR_CHILDREN)
page("panier-paiement-en-cours", "/panier", RICH)


@state("panier-deplie", DUPONT)
def _basket_open(window: Window) -> None:
    window.go("/panier")
    for summary in window.page.locator("main summary").all():
        summary.click()


@state("panier-total-change", OUTSIDER)
def _stale_total(window: Window) -> None:
    window.go("/panier")
    window.evaluate("document.querySelectorAll('[name=total]').forEach((total) => { total.value = '1'; })")
    window.page.get_by_role("button", name=re.compile("^Payer par Carte Bancaire")).click()


@state("panier-refus", TROUBLED)
def _refused_basket(window: Window) -> None:
    window.go("/panier")
    # Its page offers no payment; one that was opened before the trouble did, and its button still sends this.
    window.evaluate("""
        const form = document.querySelector("form[action$='/nouveaux-prix']");
        form.append(Object.assign(document.createElement("input"), {name: "total", value: "1"}));
        form.action = "/panier/payer/carte";
    """)
    window.button("Accepter les nouveaux prix").click()


page("recharger", "/recharger", DUPONT)
page("recharger-recharge-en-cours", "/recharger", PAYING)
page("credits-recharge-en-cours", "/mes-credits", PAYING)
page("recharger-sans-porte-monnaie", "/recharger", BEGINNER)


@state("recharger-erreur", DUPONT)
def _no_amount(window: Window) -> None:
    window.go("/recharger")
    window.page.locator("main [name=montant_libre]").first.fill("1e9")
    window.page.get_by_role("button", name=re.compile("^Payer par Carte Bancaire")).first.click()


@state("recharger-deux-montants", DUPONT)
def _two_amounts(window: Window) -> None:
    window.go("/recharger")
    # As a page without scripts sends it.
    window.page.get_by_role("radio", name="100,00 €").first.check()
    window.evaluate("document.querySelector('[name=montant_libre]').value = '30'")
    window.page.get_by_role("button", name=re.compile("^Payer par Carte Bancaire")).first.click()


for _place, _name in enumerate(("en-cours", "abandonne", "refuse", "a-examiner", "expire")):
    _payment_page(_name, _place)


@state("paiement-en-verification", ADULT)
def _no_answer(window: Window) -> None:
    _sandbox(window, "never")
    # As it stays: a page that looks again by itself may go away while it is looked at.
    window.link("Ne plus la recharger").click()


@state("paiement-pas-encore-abandonnable", ADULT)
def _not_given_up(window: Window) -> None:
    _sandbox(window)
    address = window.page.url
    window.page.get_by_role("link", name="Revenir à la boutique sans payer").click()
    # In another window it is paid meanwhile.
    other = window.page.context.new_page()
    other.goto(address)
    other.get_by_role("button", name=re.compile(CARD["never"])).click()
    other.close()
    window.button("Abandonner ce paiement").click()


def _sandbox(window: Window, card: str | None = None) -> None:
    window.go("/recharger")
    window.page.get_by_role("button", name=re.compile("^Payer par Carte Bancaire")).click()
    window.page.wait_for_url("**/paiement-securise/**")
    if card is not None:
        window.page.get_by_role("button", name=re.compile(CARD[card])).click()


@state("carte", ADULT)
def _card(window: Window) -> None:
    _sandbox(window)


@state("carte-erreurs", ADULT)
def _card_errors(window: Window) -> None:
    _sandbox(window)
    window.page.get_by_role("button", name=re.compile("^Payer 20")).click()


@state("carte-refusee", ADULT)
def _card_declined(window: Window) -> None:
    _sandbox(window, "declined")


@state("carte-confirmation", ADULT)
def _card_challenge(window: Window) -> None:
    _sandbox(window, "challenge")


@state("carte-confirmation-refusee", ADULT)
def _card_challenge_refused(window: Window) -> None:
    _sandbox(window, "challenge")
    window.button("Refuser").click()


@state("carte-en-verification", ADULT)
def _card_late(window: Window) -> None:
    _sandbox(window)
    address = window.path
    window.page.get_by_role("button", name=re.compile("4000 0000 0000 0119")).click()
    window.go(address)


@state("carte-deja-payee", ADULT)
def _card_paid(window: Window) -> None:
    _sandbox(window)
    address = window.path
    window.page.get_by_role("button", name=re.compile(CARD["succeeds"])).click()
    window.go(address)


@state("carte-expiree", ADULT)
def _card_expired(window: Window) -> None:
    _sandbox(window)
    address = window.path
    window.page.get_by_role("link", name="Revenir à la boutique sans payer").click()
    window.button("Abandonner ce paiement").click()
    window.go(address)


# --- what was bought ---


def _order_page(name: str, who: str, place: int) -> None:
    @state(name, who)
    def _reach(window: Window) -> None:
        with window.shop.read() as db:
            number = list(db.scalars(_orders_of(who)))[place]
        window.go(f"/commandes/{number}")


_order_page("commande", FOUR_CHILDREN, 0)
_order_page("commande-ancienne", FOUR_CHILDREN, -1)
_order_page("commande-paiement-en-cours", RICH, 0)
page("historique", "/commandes", DUPONT)
page("historique-page-2", "/commandes?page=2", FOUR_CHILDREN)
page("historique-vide", "/commandes", BEGINNER)
page("reservations", "/mes-reservations", DUPONT)
page("reservations-quatre-enfants", "/mes-reservations", FOUR_CHILDREN)


@state("reservations-jours-passes", FOUR_CHILDREN)
def _days_gone_by(window: Window) -> None:
    window.go("/mes-reservations")
    window.page.locator("main summary").click()


page("reservations-semaine", "/mes-reservations?semaine=2026-W48", FOUR_CHILDREN)
page("reservations-annee", "/mes-reservations?annee=2026", FOUR_CHILDREN)
page("reservations-annee-vide", "/mes-reservations?annee=2030", DUPONT)


@state("reservations-un-enfant", FOUR_CHILDREN)
def _one_child(window: Window) -> None:
    window.go("/mes-reservations?mois=2026-12")
    window.page.get_by_label("Enfant", exact=True).get_by_role("link").nth(1).click()


@state("repas-historique", DUPONT)
def _history_of_a_meal(window: Window) -> None:
    window.go(f"/mes-reservations/repas/{_meal_of_dupont(window)[1]}")


@state("repas-sans-reservation-historique", COMPANY)
def _history_without_a_booking(window: Window) -> None:
    window.go(f"/mes-reservations/sans-reservation/{_eaten_meal(window, COMPANY)}")


def _other_days(window: Window, *weekdays: str) -> None:
    window.go("/mes-reservations/modifier")
    for words in weekdays:
        window.page.get_by_label(words, exact=True).check()
    if not weekdays:
        window.page.get_by_label("Ne plus manger", exact=True).check()
    window.button("Voir ce que cela change").click()


page("modifier", "/mes-reservations/modifier", FOUR_CHILDREN)
page("modifier-refus", "/mes-reservations/modifier?du=x", DUPONT)
page("modifier-sans-service", "/mes-reservations/modifier", BEGINNER)


@state("modifier-apercu", FOUR_CHILDREN)
def _other_days_seen(window: Window) -> None:
    _other_days(window, "mardis", "vendredis")


@state("modifier-arret", DUPONT)
def _no_more_meals(window: Window) -> None:
    _other_days(window)


page("reservations-en-cours", "/mes-reservations?mois=2026-12", RICH)
page("reservations-plus-rien", "/mes-reservations", REVOKED)
page("attente", "/mes-reservations/attente", FOUR_CHILDREN)
page("attente-vide", "/mes-reservations/attente", BEGINNER)
page("attente-calendrier", f"{BLAVOZY}?periode=mois:2027-03", FOUR_CHILDREN)
page("attente-panier", "/panier", FOUR_CHILDREN)


@state("attente-inscrit", FOUR_CHILDREN)
def _on_the_list(window: Window) -> None:
    window.go(f"{BLAVOZY}?periode=mois:2027-03")
    window.page.locator("tbody input[name=repas]").first.check()
    window.page.locator("button[name=attendre]").first.click()


page("reservations-vide", "/mes-reservations?mois=2027-05", DUPONT)


def _reservations(window: Window, who: str, late: bool, count: int) -> None:
    with window.shop.read() as db:
        deadline = Reservation.cancel_deadline_at
        now = window.shop.clock.now()
        ids = db.scalars(
            select(Reservation.id)
            .join(Order, Order.id == Reservation.order_id)
            .join(Account, Account.id == Order.account_id)
            .where(Account.email == who, Reservation.state == "confirmed", deadline < now if late else deadline > now)
            .order_by(Reservation.id.desc())
            .limit(count)
        ).all()
    window.go(f"/mes-reservations/annuler?{'&'.join(f'repas={key}' for key in ids)}")


@state("annuler", DUPONT)
def _cancel_one(window: Window) -> None:
    _reservations(window, DUPONT, late=False, count=1)


@state("annuler-plusieurs", FOUR_CHILDREN)
def _cancel_some(window: Window) -> None:
    _reservations(window, FOUR_CHILDREN, late=False, count=4)


@state("annuler-trop-tard", DUPONT)
def _cancel_late(window: Window) -> None:
    _reservations(window, DUPONT, late=True, count=2)


page("credits", "/mes-credits", DUPONT)
page("credits-quatre-enfants", "/mes-credits", FOUR_CHILDREN)
page("credits-vide", "/mes-credits", WAITING)
page("credits-sans-porte-monnaie", "/mes-credits", BEGINNER)

# --- the town hall ---


def _before_second_factor(window: Window, email: str) -> None:
    window.context.clear_cookies()
    window.go("/connexion")
    form = window.page.get_by_role("region", name="Déjà inscrit ?")
    window.text_box("Adresse e-mail", form).fill(email)
    form.get_by_label("Mot de passe").fill(window.shop.people[email].password)
    window.button("Connexion", form).click()


@state("double-authentification", "mairie-a-la-porte")
def _check(window: Window) -> None:
    _before_second_factor(window, OTHER_CLERK)


@state("double-authentification-erreur", "mairie-a-la-porte")
def _check_wrong(window: Window) -> None:
    _before_second_factor(window, OTHER_CLERK)
    window.text_box("Code").fill("000000")
    window.button("Valider").click()


@state("double-authentification-installer", "mairie-a-la-porte")
def _enrol(window: Window) -> None:
    _before_second_factor(window, NEW_CLERK)


@state("double-authentification-installer-erreur", "mairie-a-la-porte")
def _enrol_wrong(window: Window) -> None:
    _before_second_factor(window, NEW_CLERK)
    window.text_box("Code").fill("000000")
    window.button("Valider").click()


@state("codes-de-secours", "mairie-a-la-porte")
def _recovery_codes(window: Window) -> None:
    _forget_second_factor(window.shop)
    _before_second_factor(window, NEW_CLERK)
    letters = window.page.locator("code.ref").inner_text().replace(" ", "")
    window.text_box("Code").fill(window.shop.code(letters))
    window.button("Valider").click()
    window.page.get_by_role("heading", name="Gardez vos codes de secours").wait_for()
    _forget_second_factor(window.shop)


page("mes-codes-de-secours-aucun", "/mon-compte/codes-de-secours", COOK)
submitted("mes-codes-de-secours-vide", "/mon-compte/codes-de-secours", "Créer dix nouveaux codes", COOK)


def _ask_new_codes(window: Window, code: str) -> None:
    window.go("/mon-compte/codes-de-secours")
    window.page.get_by_label("Votre mot de passe actuel").fill(window.shop.people[COOK].password)
    window.text_box("Code de votre téléphone").fill(code)
    window.button("Créer dix nouveaux codes").click()


@state("mes-codes-de-secours-erreur", COOK)
def _new_codes_wrong(window: Window) -> None:
    _ask_new_codes(window, "000000")


@state("mes-codes-de-secours-nouveaux", COOK)
def _new_codes(window: Window) -> None:
    _ask_new_codes(window, window.shop.code_of(COOK))
    window.heading("Gardez vos codes de secours").wait_for()
    _forget_recovery_codes(window.shop)


def _recovery_codes_used(name: str, used: int) -> None:
    @state(name, COOK)
    def _reach(window: Window) -> None:
        now = window.shop.clock.now()
        with window.shop.write() as db:
            account_id = db.scalars(select(Account.id).where(Account.email == COOK)).one()
            for number in range(10):
                code = RecoveryCode(account_id=account_id, code_hash=digest(f"{name} {number}"), created_at=now)
                code.used_at = now if number < used else None
                db.add(code)
        window.go("/mon-compte/codes-de-secours")
        _forget_recovery_codes(window.shop)


_recovery_codes_used("mes-codes-de-secours", used=3)
_recovery_codes_used("mes-codes-de-secours-tous-utilises", used=10)


def _forget_recovery_codes(shop: Served) -> None:
    with shop.write() as db:
        db.execute(delete(RecoveryCode))


def _forget_second_factor(shop: Served) -> None:
    with shop.write() as db:
        db.execute(update(Account).where(Account.email == NEW_CLERK).values(totp_secret=None, totp_enrolled_at=None))


page("mairie", "/mairie", CLERK)
page("mairie-regie", "/mairie", CASHIER)
page("mairie-demandes", "/mairie/demandes", CLERK)
page("mairie-demandes-cochees", "/mairie/demandes?tout=1", OTHER_CLERK)
page("mairie-demandes-vide", "/mairie/demandes", NEW_CLERK)
page("mairie-demandes-a-completer", "/mairie/demandes?etat=a-completer", BUSY_CLERK)
page("mairie-demandes-traitees", "/mairie/demandes?etat=traitees", CLERK)
submitted("mairie-demandes-erreur", "/mairie/demandes", "Valider les demandes cochées", CLERK)


@state("mairie-demandes-refus-sans-motif", OTHER_CLERK)
def _refuse_without_reason(window: Window) -> None:
    window.go("/mairie/demandes?tout=1")
    window.page.locator("summary").filter(has_text="Refuser les demandes cochées").click()
    window.button("Refuser").click()


@state("mairie-demande", CLERK)
def _one_request(window: Window) -> None:
    window.go("/mairie/demandes")
    window.page.get_by_role("link", name=re.compile("^Ouvrir")).first.click()


@state("mairie-demande-erreur", CLERK)
def _one_request_wrong(window: Window) -> None:
    window.go("/mairie/demandes")
    window.page.get_by_role("link", name=re.compile("^Ouvrir")).first.click()
    window.page.locator("summary").filter(has_text="Refuser la demande").click()
    window.button("Refuser").click()


@state("mairie-demande-validee", CLERK)
def _one_approved(window: Window) -> None:
    window.go("/mairie/demandes?etat=traitees")
    window.page.get_by_role("link", name=re.compile("^Ouvrir")).first.click()
    window.page.locator("summary").first.click()


page("mairie-jour", "/mairie/jour", CLERK)
page("mairie-jour-blavozy", "/mairie/jour?date=2026-11-20", "mairie@blavozy.example.org")
page("mairie-jour-sans-service", "/mairie/jour?date=2026-11-21", CLERK)
page("mairie-jour-erreur", "/mairie/jour?date=2026-02-31", CLERK)
page("mairie-jour-cuisine", "/mairie/jour", COOK)
page("mairie-jour-regie", "/mairie/jour", CASHIER)
page("mairie-familles", "/mairie/familles", CLERK)
page("mairie-familles-trouvee", "/mairie/familles?q=06.39.98.10.01", CLERK)
page("mairie-familles-vide", "/mairie/familles?q=zzzz", CLERK)


@state("mairie-famille", CLERK)
def _family_file(window: Window) -> None:
    window.go("/mairie/familles?q=Dupont")
    window.page.get_by_role("table").get_by_role("link").first.click()


# --- rules ---

page("commune-grille", "/communes/mametz")
page("commune-hors-delai", "/communes/vailhauques")
page("calendrier-hors-delai", "/reserver/vailhauques/cantine?periode=semaine:2026-11-19", FOUR_CHILDREN)
page("calendrier-quotient", "/reserver/champcevinel/cantine?periode=mois:2026-12", DUPONT)


@state("calendrier-fratrie", FOUR_CHILDREN)
def _by_who_eats(window: Window) -> None:
    window.go("/reserver/saussay/cantine?periode=semaine:2026-12-07")
    for box in window.page.get_by_role("checkbox", name=re.compile("lundi 7 décembre")).all()[:2]:
        box.check()


@state("mairie-quotient-erreur", CLERK)
def _quotient_wrong(window: Window) -> None:
    window.go("/mairie/familles?q=Dupont")
    window.page.get_by_role("table").get_by_role("link").first.click()
    window.page.locator("summary").filter(has_text="Noter un quotient").click()
    window.button("Noter le quotient").click()


# --- calling off ---


def _call_off(
    window: Window, words: str, service: str = "Cantine Aiguilhe", day: str = "2026-11-27", kind: str = "Grève"
) -> None:
    window.go("/mairie/annulations")
    window.page.get_by_label("Service").select_option(label=service)
    window.page.get_by_label("Jour").fill(day)
    window.page.get_by_label(kind).check()
    window.page.get_by_label("Message aux familles").fill(words)
    window.button("Voir ce que cela change").click()


page("mairie-annulations", "/mairie/annulations", CLERK)


@state("mairie-annulations-erreur", CLERK)
def _call_off_wrong(window: Window) -> None:
    _call_off(window, "")


@state("mairie-annulations-a-confirmer", CLERK)
def _call_off_seen(window: Window) -> None:
    _call_off(window, "Le restaurant scolaire est fermé, prévoyez un repas.")


@state("mairie-pique-niques-a-confirmer", CLERK)
def _picnics_seen(window: Window) -> None:
    _call_off(window, "Sortie à la ferme, retour à 16 h.", kind="la cuisine prépare des pique-niques")


@state("mairie-pique-niques", CLERK)
def _picnics(window: Window) -> None:
    _call_off(window, "Sortie à la ferme, retour à 16 h.", kind="la cuisine prépare des pique-niques")
    if window.page.get_by_role("button", name="Confirmer les pique-niques").count():
        window.button("Confirmer les pique-niques").click()
    window.go("/mairie/jour?date=2026-11-27")


@state("mairie-annulations-prevue", OTHER_CLERK)
def _call_off_planned(window: Window) -> None:
    _call_off(window, "Le restaurant scolaire est fermé, prévoyez un repas.", "Cantine Coubon", "2026-12-15")
    if window.page.get_by_role("button", name="Confirmer l’annulation").count():
        window.button("Confirmer l’annulation").click()


# --- the history of meals, as the town hall reads it ---


def _eaten_meal(window: Window, email: str) -> int:
    """A meal without a booking of the family."""
    with window.shop.read() as db:
        return db.scalars(
            select(UnbookedMeal.id)
            .join(HouseholdMember, HouseholdMember.household_id == UnbookedMeal.household_id)
            .join(Account, Account.id == HouseholdMember.account_id)
            .where(Account.email == email)
            .order_by(UnbookedMeal.id)
            .limit(1)
        ).one()


def _meal_of_dupont(window: Window) -> tuple[int, int]:
    """A cancelled meal and whose it is."""
    with window.shop.read() as db:
        row = db.execute(
            select(Reservation.household_id, Reservation.id)
            .join(Order, Order.id == Reservation.order_id)
            .join(Account, Account.id == Order.account_id)
            .where(Account.email == DUPONT)
            .order_by(Reservation.state != "cancelled", Reservation.id)
            .limit(1)
        ).one()
        return row[0], row[1]


@state("mairie-repas", CLERK)
def _meals_of_a_family(window: Window) -> None:
    window.go(f"/mairie/familles/{_meal_of_dupont(window)[0]}/repas?mois=2026-11")


@state("mairie-repas-vide", CLERK)
def _no_meals_of_a_family(window: Window) -> None:
    window.go(f"/mairie/familles/{_meal_of_dupont(window)[0]}/repas?mois=2027-07")


@state("mairie-repas-historique", CLERK)
def _history_for_the_clerk(window: Window) -> None:
    window.go(f"/mairie/repas/{_meal_of_dupont(window)[1]}")


@state("mairie-repas-sans-reservation", CLERK)
def _history_of_an_eaten_meal(window: Window) -> None:
    window.go(f"/mairie/repas/sans-reservation/{_eaten_meal(window, DUPONT)}")


# --- a sick child ---

page("enfant-malade", "/mes-reservations/malade", FOUR_CHILDREN)


@state("enfant-malade-repas", DUPONT)
def _sick(window: Window) -> None:
    window.go("/mes-reservations/malade")
    window.page.get_by_label("Au", exact=True).fill("2026-11-27")
    window.button("Voir les repas").click()


page("enfant-malade-refus", "/mes-reservations/malade?enfant=1&du=2020-01-01", DUPONT)


@state("calendrier-toute-l-annee", DUPONT)
def _whole_year(window: Window) -> None:
    window.go(AIGUILHE)
    window.page.locator("summary").filter(has_text="Cocher plusieurs jours").click()
    for words in ("lundis", "mardis", "jeudis", "vendredis"):
        window.box(words).check()
    window.page.get_by_label("impaires", exact=True).check()
    window.page.get_by_role("button", name=re.compile("toute l’année")).click()


@state("calendrier-aucun-jour-choisi", DUPONT)
def _no_weekday(window: Window) -> None:
    window.go(AIGUILHE)
    window.page.locator("summary").filter(has_text="Cocher plusieurs jours").click()
    window.button("Cocher ces jours").click()


# --- at noon ---


def _roll_call(window: Window) -> None:
    window.go("/mairie/jour?date=2026-11-19")
    window.page.get_by_role("link", name=re.compile("^Pointer les présents")).first.click()


@state("mairie-pointage", CLERK)
def _roll_call_today(window: Window) -> None:
    _roll_call(window)
    if window.page.get_by_text("Absent", exact=True).count() == 0:
        window.page.get_by_role("checkbox").first.check()
        window.button("Absents").click()
        window.page.get_by_role("checkbox").nth(1).check()
        window.button("Présents").click()


@state("mairie-pointage-erreur", CLERK)
def _nobody_ticked(window: Window) -> None:
    _roll_call(window)
    window.button("Absents").click()


@state("mairie-pointage-cuisine", COOK)
def _roll_call_of_the_cook(window: Window) -> None:
    _roll_call(window)


@state("mairie-pointage-sans-motif", CASHIER)
def _strike_without_reason(window: Window) -> None:
    with window.shop.read() as db:
        day_id = db.scalars(select(UnbookedMeal.service_day_id).order_by(UnbookedMeal.id)).first()
    window.go(f"/mairie/jour/{day_id}/pointage")
    window.page.locator("summary").filter(has_text="Noté par erreur").first.click()
    window.button("Retirer ce repas").click()


def _search(window: Window) -> None:
    _roll_call(window)
    window.page.get_by_role("link", name="Ajouter un enfant sans réservation").click()


@state("mairie-sans-reservation", CLERK)
def _search_unbooked(window: Window) -> None:
    _search(window)


@state("mairie-sans-reservation-vide", CLERK)
def _search_nobody(window: Window) -> None:
    _search(window)
    window.page.get_by_label("Nom ou prénom de l’enfant ou du parent").fill("zzzz")
    window.button("Chercher").click()


@state("mairie-sans-reservation-prix", CLERK)
def _price_unbooked(window: Window) -> None:
    _search(window)
    window.page.get_by_role("link", name=re.compile("^Choisir")).first.click()


@state("mairie-pai-erreur", CLERK)
def _plan_wrong(window: Window) -> None:
    window.go("/mairie/familles?q=Dupont")
    window.page.get_by_role("table").get_by_role("link").first.click()
    window.page.locator("summary").filter(has_text="Noter un PAI").click()
    window.page.get_by_label("Valable à partir du").fill("")
    window.button("Noter le PAI").click()


@state("mairie-annulations-sans-reservation", CLERK)
def _call_off_today(window: Window) -> None:
    _call_off(window, "Le restaurant scolaire est fermé, prévoyez un repas.", day="2026-11-19")


page("mairie-jour-sans-reservation", "/mairie/jour?date=2026-11-19", CLERK)
page("reservations-sans-reservation", "/mes-reservations?semaine=2026-W47", COMPANY)
page("reservations-annee-sans-reservation", "/mes-reservations?annee=2026", COMPANY)
page("calendrier-sans-reservation", f"{AIGUILHE}?periode=semaine:2026-11-16", DUPONT)


def _file_of_dupont(window: Window) -> None:
    window.go("/mairie/familles?q=Dupont")
    window.page.get_by_role("table").get_by_role("link").first.click()


@state("mairie-facture-erreur", CLERK)
def _invoice_wrong(window: Window) -> None:
    _file_of_dupont(window)
    window.page.locator("summary").filter(has_text="Noter une facture impayée").click()
    window.page.get_by_label("Montant").fill("12,345")
    window.button("Noter cette facture").click()


def _to_close(window: Window) -> None:
    _file_of_dupont(window)
    window.page.get_by_role("link", name=re.compile("^Payée ou retirée")).first.click()


@state("mairie-facture", CLERK)
def _invoice_to_close(window: Window) -> None:
    _to_close(window)


@state("mairie-facture-sans-motif", CLERK)
def _invoice_without_reason(window: Window) -> None:
    _to_close(window)
    window.button("Retirer cette facture").click()


page("calendrier-facture", "/reserver/cuille/cantine", DUPONT)
page("factures-ailleurs", "/mes-credits", DUPONT)
page("montants-dus", "/mes-credits", COMPANY)
page("montants-dus-compte", "/mon-compte", COMPANY)
page("montants-dus-recharger", "/recharger", COMPANY)
page("montants-dus-panier", "/panier", COMPANY)
page("montants-dus-calendrier", CRAPONNE, COMPANY)
page("calendrier-pai", "/reserver/la-tessoualle/cantine?periode=semaine:2026-12-07", FOUR_CHILDREN)
page("commune-pai", "/communes/la-tessoualle")
