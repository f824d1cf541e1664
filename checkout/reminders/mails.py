"""The reminders: one function an e-mail."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from checkout.basket import days_in_words
from checkout.reminders import queries
from checkout.reminders.links import stop_url
from checkout.reminders.rules import days_of_week
from shop.french import day_long, day_plain, moment
from shop.money import format_euros
from shop.outbox import Composer, Message
from shop.stationery import Sheet, write
from shop.web import link_to
from shop.words import gettext as _
from shop.words import ngettext


def _until(facts: Mapping[str, Any]) -> str:
    return moment(datetime.fromisoformat(facts["until"]))


def basket_reminder(db: Session, facts: dict[str, Any]) -> Message:
    """A basket waits of which a meal can soon no longer be paid in time."""
    lines = queries.lines_of_basket(db, facts["basket_id"])
    days: dict[tuple[str, str], list[date]] = {}
    for line in lines:
        days.setdefault((f"{line.first_name} {line.last_name}", line.service_name), []).append(line.day)
    sheet = Sheet(
        subject=_("Votre panier : à payer avant le %(until)s", until=_until(facts)),
        first_name=facts["first_name"],
        before=[
            ngettext(
                "%(count)s repas attend dans votre panier. Non payé = non réservé.",
                "%(count)s repas attendent dans votre panier. Non payé = non réservé.",
                len(lines),
            )
        ],
        things=[
            _("%(who)s, %(service)s : %(days)s", who=who, service=service, days=days_in_words(theirs))
            for (who, service), theirs in days.items()
        ],
        facts=[
            (_("Total"), format_euros(sum(line.cents for line in lines))),
            (_("Première date limite"), _until(facts)),
        ],
        button=(link_to("checkout.basket"), _("Voir et payer mon panier")),
        after=[_("Déjà payé, ou plus besoin de ces repas ? Ne tenez pas compte de cet e-mail.")],
        unsubscribe_url=stop_url(facts["account_id"], "basket"),
    )
    return write(sheet)


def week_reminder(_db: Session, facts: dict[str, Any]) -> Message:
    """Nothing is booked in a week in which a child usually eats."""
    monday = date.fromisoformat(facts["monday"])
    sheet = Sheet(
        subject=_("Rien n’est réservé pour la semaine du %(day)s", day=day_plain(monday)),
        first_name=facts["first_name"],
        before=[
            _(
                "D’habitude, vous réservez ces jours-là. Pour la semaine du %(day)s, rien n’est réservé :",
                day=day_plain(monday),
            )
        ],
        things=[
            _(
                "%(who)s, %(service)s : %(days)s",
                who=line["name"],
                service=line["service"],
                days=days_of_week([date.fromisoformat(day) for day in line["days"]]),
            )
            for line in facts["lines"]
        ],
        facts=[(_("Première date limite"), _until(facts))],
        button=(link_to("reminders.week", week_key=facts["token"]), _("Comme d’habitude, ou rien cette semaine")),
        after=[
            _("Ce lien ouvre une page où vous choisissez : rien n’est réservé sans votre clic."),
            _("Il vaut pour votre famille et cette semaine, jusqu’à la première date limite : ne le transmettez pas."),
        ],
        unsubscribe_url=stop_url(facts["account_id"], "week"),
    )
    return write(sheet)


def balance_reminder(_db: Session, facts: dict[str, Any]) -> Message:
    """The wallet will not pay a usual day of which the deadline is near."""
    day = day_long(date.fromisoformat(facts["day"]))
    covered = facts["covered"]
    sheet = Sheet(
        subject=_("Votre porte-monnaie ne couvre pas le %(day)s", day=day),
        first_name=facts["first_name"],
        before=[
            _(
                "Votre porte-monnaie couvre vos repas habituels jusqu’au %(day)s.",
                day=day_long(date.fromisoformat(covered)),
            )
            if covered
            else _("Votre porte-monnaie ne couvre pas votre prochain jour de repas habituel."),
        ],
        facts=[
            (_("Solde"), format_euros(facts["balance_cents"])),
            (_("Premier jour non couvert"), day),
            (_("À réserver avant le"), _until(facts)),
        ],
        button=(link_to("checkout.choose_top_up"), _("Recharger mon crédit")),
        after=[_("Vous pouvez aussi payer par carte bancaire au moment de réserver.")],
        unsubscribe_url=stop_url(facts["account_id"], "balance"),
    )
    return write(sheet)


LETTERS: dict[str, Composer] = {
    "basket_reminder": basket_reminder,
    "week_reminder": week_reminder,
    "balance_reminder": balance_reminder,
}
