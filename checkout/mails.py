"""The letters about orders, cancelled meals and money."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from cart.quotes import reasons
from catalog.models import CallOff
from checkout import queries, waiting
from checkout.basket import days_in_words
from checkout.dues import EatenMeal, eaten_by_id
from checkout.queries import OrderMeal
from shop.french import day_long, moment, plural
from shop.money import format_euros
from shop.outbox import Composer, Message
from shop.stationery import Sheet, write
from shop.web import link_to
from shop.words import gettext as _
from shop.words import ngettext


def _in_words(meals: list[OrderMeal]) -> list[str]:
    """One line per child and service: "Louane Dupont, Cantine Aiguilhe : 21 et 22 mars 2027"."""
    days: dict[tuple[str, str], list[OrderMeal]] = {}
    for meal in meals:
        days.setdefault((f"{meal.first_name} {meal.last_name}", meal.service_name), []).append(meal)
    return [
        _(
            "%(who)s, %(service)s : %(days)s",
            who=who,
            service=service,
            days=days_in_words([meal.day for meal in theirs]),
        )
        for (who, service), theirs in days.items()
    ]


def order_paid(db: Session, facts: dict[str, Any]) -> Message:
    """The one confirmation of an order."""
    order = queries.get_order(db, facts["order_id"])
    meals = queries.meals_of_order(db, order.id)
    sheet = Sheet(
        subject=ngettext(
            "%(count)s repas réservé : commande %(number)s",
            "%(count)s repas réservés : commande %(number)s",
            len(meals),
            number=order.number,
        ),
        first_name=order.first_name,
        before=[_("C’est réservé et payé.")],
        things=_in_words(meals),
        facts=[
            (_("Commande"), order.number),
            (_("Total"), format_euros(order.total_cents)),
            (_("Payée avec"), _("le porte-monnaie") if order.settlement == "wallet" else _("la carte bancaire")),
        ],
        button=(link_to("orders.order", number=order.number), _("Voir la commande")),
        after=_how_to_cancel(meals, order.paid_at or order.placed_at),
    )
    return write(sheet)


def _how_to_cancel(meals: list[OrderMeal], at: datetime) -> list[str]:
    """Until when meals can be cancelled, and what that gives back: as sold."""
    ahead = [meal for meal in meals if meal.cancel_deadline_at > at]
    if not ahead:
        return [_("La date limite d’annulation est passée : ces repas ne s’annulent plus.")]
    until = moment(min(meal.cancel_deadline_at for meal in ahead))
    if all(meal.credit_cents == meal.cents for meal in ahead):
        credit = _("son prix revient dans votre porte-monnaie")
    elif any(meal.credit_cents for meal in ahead):
        credit = _("le crédit prévu par le règlement revient dans votre porte-monnaie")
    else:
        credit = _("sans remboursement, d’après le règlement")
    if len(ahead) < len(meals):
        words = _(
            "Les repas dont la date limite n’est pas passée peuvent être annulés (la première : %(until)s) : %(credit)s."
        )
    elif len(meals) == 1:
        words = _("Ce repas peut être annulé avant le %(until)s : %(credit)s.")
    else:
        words = _("Chaque repas peut être annulé avant sa date limite (la première : %(until)s) : %(credit)s.")
    return [words % {"until": until, "credit": credit}]


def meals_cancelled(db: Session, facts: dict[str, Any]) -> Message:
    """Meals were cancelled and credited."""
    meals = queries.meals_by_id(db, facts["reservation_ids"])
    credit = format_euros(facts["credit_cents"])
    sheet = Sheet(
        subject=_("%(meals)s : annulation et crédit de %(credit)s", meals=plural(len(meals), "repas"), credit=credit),
        first_name=None,
        before=[_("Votre annulation est enregistrée.")],
        things=[_meal_words(meal) for meal in meals],
        facts=[(_("Recrédité sur votre porte-monnaie"), credit)],
        button=(link_to("wallet.statement"), _("Voir mes crédits")),
    )
    return write(sheet)


def place_offered(db: Session, facts: dict[str, Any]) -> Message:
    """A place of the waiting list is kept for the family."""
    entry = waiting.get_entry(db, facts["entry_id"])
    until = moment(entry.offered_until or entry.book_deadline_at)
    sheet = Sheet(
        subject=_("Une place pour %(who)s, %(day)s", who=entry.first_name, day=day_long(entry.day)),
        first_name=None,
        before=[
            _("Une place s’est libérée : elle est gardée pour vous jusqu’au %(until)s.", until=until),
            _("Ajoutez-la au panier et payez-la avant : après, elle passe à la famille suivante."),
        ],
        things=[f"{entry.name}, {day_long(entry.day)}"],
        facts=[(_("Service"), entry.service_name), (_("Gardée jusqu’au"), until)],
        button=(link_to("orders.waiting"), _("Prendre cette place")),
        after=[_("Vous n’en avez plus besoin ? Renoncez-y sur la même page : une autre famille l’attend.")],
    )
    return write(sheet)


def child_sick(db: Session, facts: dict[str, Any]) -> Message:
    """A family has said that a child is ill."""
    ended, due = (queries.meals_by_id(db, facts[name]) if facts[name] else [] for name in ("credited", "due"))
    told = [(meal, _("%(meal)s : annulé")) for meal in ended] + [(meal, _("%(meal)s : reste dû")) for meal in due]
    after = [
        _(
            "La mairie demande un certificat médical. Vous pouvez l’envoyer plus tard à la %(town_hall)s.",
            town_hall=town_hall,
        )
        # Letters that wait since before they said where it goes name none.
        for town_hall in facts.get("town_halls", [_("mairie")] if facts["paper"] else [])
    ]
    sheet = Sheet(
        subject=_("Enfant malade : c’est noté"),
        first_name=None,
        before=[_("La cantine est prévenue. Bon rétablissement.")],
        things=[words % {"meal": _meal_words(meal)} for meal, words in sorted(told, key=lambda one: one[0].day)],
        facts=[(_("Recrédité sur votre porte-monnaie"), format_euros(facts["credit_cents"]))],
        button=(link_to("orders.reservations"), _("Voir mes réservations")),
        after=after,
    )
    return write(sheet)


def _meal_words(meal: OrderMeal | EatenMeal) -> str:
    return f"{meal.first_name} {meal.last_name}, {day_long(meal.day)}"


def freed_taken(db: Session, facts: dict[str, Any]) -> Message:
    """Another family has taken the meal that was given back."""
    (meal,) = queries.meals_by_id(db, [facts["reservation_id"]])
    credit = format_euros(facts["credit_cents"])
    sheet = Sheet(
        subject=_("Repas repris : %(credit)s crédités", credit=credit),
        first_name=None,
        before=[_("Une autre famille a repris le repas que vous aviez rendu : il est annulé, vous ne le devez plus.")],
        things=[_meal_words(meal)],
        facts=[(_("Recrédité sur votre porte-monnaie"), credit)],
        button=(link_to("wallet.statement"), _("Voir mes crédits")),
    )
    return write(sheet)


def unbooked_meal(db: Session, facts: dict[str, Any]) -> Message:
    """A child ate without a booking: what, when, the price and why, how to settle it."""
    (meal,) = eaten_by_id(db, [facts["meal_id"]])
    who = f"{meal.first_name} {meal.last_name}"
    if facts["paid"]:
        after = [_("Votre porte-monnaie l’a payé : vous n’avez rien à faire.")]
        button = (link_to("wallet.statement", regie=meal.regie_id), _("Voir mes crédits"))
    else:
        after = [
            _(
                "Votre porte-monnaie ne suffisait pas pour ce repas : c’est un montant dû. Rechargez-le, les "
                "montants dus sont réglés aussitôt ; ou réglez-le dans « Mes crédits » dès que le solde suffit."
            )
        ]
        button = (link_to("checkout.choose_top_up"), _("Recharger mon crédit"))
    sheet = Sheet(
        subject=_("%(who)s a mangé sans réservation le %(day)s", who=who, day=day_long(meal.day)),
        first_name=None,
        before=[_("Ce repas n’était pas réservé. Votre enfant a mangé normalement.")],
        things=reasons(meal.basis, meal.cents, meal.tariff_label, meal.price_from, meal.decided_on),
        facts=[
            (_("Enfant"), who),
            (_("Repas"), _("%(service)s, %(day)s", service=meal.service_name, day=day_long(meal.day))),
            (_("Prix"), format_euros(meal.cents)),
        ],
        button=button,
        after=[*after, _("Une erreur ? Dites-le à la mairie : elle peut retirer ce repas.")],
    )
    return write(sheet)


def unbooked_struck(db: Session, facts: dict[str, Any]) -> Message:
    """A meal without a booking was noted wrongly: it is taken back, with all that it moved."""
    (meal,) = eaten_by_id(db, [facts["meal_id"]])
    who = f"{meal.first_name} {meal.last_name}"
    credit = facts["credit_cents"]
    back = (
        (_("Recrédité sur votre porte-monnaie"), format_euros(credit))
        if credit
        else (_("Montant qui n’est plus dû"), format_euros(meal.cents))
    )
    sheet = Sheet(
        subject=_("Repas retiré : %(who)s, %(day)s", who=who, day=day_long(meal.day)),
        first_name=None,
        before=[_("La mairie a retiré ce repas sans réservation, qui avait été noté par erreur.")],
        facts=[
            (_("Repas"), _("%(service)s, %(day)s", service=meal.service_name, day=day_long(meal.day))),
            (_("Motif"), meal.struck_reason or ""),
            back,
        ],
        button=(link_to("wallet.statement", regie=meal.regie_id), _("Voir mes crédits")),
    )
    return write(sheet)


KINDS = {"strike": _("grève"), "closure": _("fermeture"), "outing": _("sortie")}


def meals_called_off(db: Session, facts: dict[str, Any]) -> Message:
    """The town hall has called meals off, and struck off what was noted without a booking."""
    # Letters that wait since before meals without a booking were struck off with the others name none.
    booked, noted = facts["reservation_ids"], facts.get("unbooked_ids", [])
    meals = queries.meals_by_id(db, booked) if booked else []
    eaten = eaten_by_id(db, noted) if noted else []
    call_off = db.get_one(CallOff, facts["call_off_id"])
    first: OrderMeal | EatenMeal = (meals or eaten)[0]
    credit, due = facts["credit_cents"], facts.get("due_cents", 0)
    money = [(_("Recrédité sur votre porte-monnaie"), format_euros(credit))] if credit or not due else []
    if due:
        money.append((_("Montant qui n’est plus dû"), format_euros(due)))
    sheet = Sheet(
        subject=_(
            "%(service)s, %(day)s : repas annulé par la mairie", service=first.service_name, day=day_long(first.day)
        ),
        first_name=None,
        before=[
            ngettext(
                "La mairie a annulé ce repas (%(kind)s) :",
                "La mairie a annulé ces repas (%(kind)s) :",
                len(meals) + len(eaten),
                kind=KINDS[call_off.kind],
            )
        ],
        things=[
            *(_meal_words(meal) for meal in meals),
            *(_("%(meal)s : noté sans réservation, retiré", meal=_meal_words(meal)) for meal in eaten),
        ],
        facts=[*money, (_("Message de la mairie"), call_off.words)],
        button=(link_to("wallet.statement"), _("Voir mes crédits")),
    )
    return write(sheet)


def picnics(db: Session, facts: dict[str, Any]) -> Message:
    """On an outing the kitchen prepares picnics."""
    meals = queries.meals_by_id(db, facts["reservation_ids"])
    call_off = db.get_one(CallOff, facts["call_off_id"])
    sheet = Sheet(
        subject=_("Sortie scolaire du %(day)s : la cantine prépare le pique-nique", day=day_long(meals[0].day)),
        first_name=None,
        before=[_("Ce jour-là, le repas réservé est un pique-nique préparé par la cuisine. Vous n’avez rien à faire.")],
        things=[_meal_words(meal) for meal in meals],
        facts=[(_("Message de la mairie"), call_off.words)],
        button=(link_to("orders.reservations"), _("Voir mes réservations")),
    )
    return write(sheet)


def topped_up(db: Session, facts: dict[str, Any]) -> Message:
    """The wallet was filled."""
    payment = queries.get_payment(db, facts["payment_id"])
    settled = eaten_by_id(db, facts["settled"]) if facts.get("settled") else []
    sheet = Sheet(
        subject=_("Votre porte-monnaie est rechargé de %(amount)s", amount=format_euros(payment.cents)),
        first_name=payment.first_name,
        before=[
            _("Votre paiement par carte est arrivé : il est dans votre porte-monnaie."),
            *([_("Il a réglé d’abord ces montants dus :")] if settled else []),
        ],
        things=[
            _(
                "%(who)s, %(day)s : %(amount)s",
                who=f"{meal.first_name} {meal.last_name}",
                day=day_long(meal.day),
                amount=format_euros(meal.cents),
            )
            for meal in settled
        ],
        facts=[(_("Montant"), format_euros(payment.cents)), (_("Demandé le"), moment(payment.created_at))],
        button=(link_to("checkout.basket"), _("Revenir au panier"))
        if payment.back_to_basket
        else (link_to("wallet.statement"), _("Voir mes crédits")),
    )
    return write(sheet)


def payment_failed(db: Session, facts: dict[str, Any]) -> Message:
    """A payment was refused or not made in time: nothing was charged."""
    payment = queries.get_payment(db, facts["payment_id"])
    amount = format_euros(payment.cents)
    before = [
        _("Votre paiement par carte de %(amount)s n’a pas été fait à temps, ou a été refusé.", amount=amount),
        _("Rien n’a été débité."),
    ]
    if facts["in_basket"]:
        before.append(_("Vos repas sont toujours dans votre panier, mais ils ne sont pas réservés."))
    to_basket = facts["in_basket"] or payment.back_to_basket
    sheet = Sheet(
        subject=_("Votre paiement de %(amount)s n’a pas eu lieu", amount=amount),
        first_name=payment.first_name,
        before=before,
        facts=[
            *([(_("Commande"), payment.order_number)] if payment.order_number else []),
            (_("Objet"), _("Repas de votre panier") if payment.purpose == "order" else _("Recharge du porte-monnaie")),
            (_("Demandé le"), moment(payment.created_at)),
        ],
        button=(link_to("checkout.basket"), _("Revenir au panier"))
        if to_basket
        else (link_to("wallet.statement"), _("Voir mes crédits")),
        after=[_("Si votre banque débite la somme malgré tout, elle n’est pas perdue : un autre e-mail vous le dira.")],
    )
    return write(sheet)


def late_payment(db: Session, facts: dict[str, Any]) -> Message:
    """Money came after the places were given back: it is in the wallet."""
    payment = queries.get_payment(db, facts["payment_id"])
    sheet = Sheet(
        subject=_("Votre paiement est arrivé trop tard : il est dans votre porte-monnaie"),
        first_name=payment.first_name,
        before=[
            _(
                "Votre paiement de %(amount)s est arrivé après la fin de l’attente, et un repas de la commande n’était "
                "plus réservable. Rien n’est perdu : la somme est dans votre porte-monnaie.",
                amount=format_euros(payment.cents),
            ),
            _("Attention : les repas de cette commande ne sont pas réservés."),
        ],
        facts=[(_("Commande"), payment.order_number or ""), (_("Crédité"), format_euros(payment.cents))],
        button=(link_to("cart.choose"), _("Réserver")),
    )
    return write(sheet)


def double_payment(db: Session, facts: dict[str, Any]) -> Message:
    """An order was paid twice: the second payment is in the wallet."""
    payment = queries.get_payment(db, facts["payment_id"])
    sheet = Sheet(
        subject=_("Payée deux fois : %(amount)s dans votre porte-monnaie", amount=format_euros(payment.cents)),
        first_name=payment.first_name,
        before=[
            _("Cette commande était déjà payée. Le second paiement est entièrement dans votre porte-monnaie."),
        ],
        facts=[(_("Commande"), payment.order_number or ""), (_("Crédité"), format_euros(payment.cents))],
        button=(link_to("wallet.statement"), _("Voir mes crédits")),
    )
    return write(sheet)


def payment_quarantined(db: Session, facts: dict[str, Any]) -> Message:
    """To the régie: a provider reports another amount than was asked for."""
    payment = queries.get_payment(db, facts["payment_id"])
    sheet = Sheet(
        subject=_("Paiement à vérifier : le montant reçu n’est pas celui attendu"),
        first_name=None,
        before=[
            _("Un paiement a été mis de côté. Rien n’a été réservé ni crédité ; la somme est en compte d’attente.")
        ],
        facts=[
            (_("Paiement"), payment.key),
            (_("Attendu"), format_euros(payment.cents)),
            (_("Reçu"), format_euros(facts["seen_cents"])),
            (_("Prestataire"), f"{payment.provider} {payment.provider_reference or ''}"),
        ],
    )
    return write(sheet)


LETTERS: dict[str, Composer] = {
    "order_paid": order_paid,
    "meals_cancelled": meals_cancelled,
    "meals_called_off": meals_called_off,
    "picnics": picnics,
    "freed_taken": freed_taken,
    "place_offered": place_offered,
    "child_sick": child_sick,
    "unbooked_meal": unbooked_meal,
    "unbooked_struck": unbooked_struck,
    "topped_up": topped_up,
    "payment_failed": payment_failed,
    "late_payment": late_payment,
    "double_payment": double_payment,
    "payment_quarantined": payment_quarantined,
}
