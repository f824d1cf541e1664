"""What a service does beside its prices: late bookings, meals without a booking, credits, sickness, meals that are given
back, what makes new bookings wait; and how it says so."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from catalog.rules.days import WEEKDAY_NAMES
from catalog.rules.deadlines import Calendar, DeadlineRule, deadline, sentences
from catalog.rules.prices import Credit, Surcharge
from shop.clock import paris_instant
from shop.french import listing, plural
from shop.money import format_euros
from shop.words import gettext as _


@dataclass(frozen=True)
class Late:
    """Booking after the deadline ("hors délai"): until when, and at what price."""

    until: DeadlineRule
    surcharge: Surcharge


@dataclass(frozen=True)
class Unbooked:
    """A child who eats without a booking: what it costs, after so many times in the school year at the ordinary price."""

    surcharge: Surcharge
    free: int = 0


@dataclass(frozen=True)
class Sickness:
    """A sick child's meals: the first `carence_days` serving days stay due, the following are credited."""

    announce: DeadlineRule
    """Until when the family must say so, for the first meal that is to be credited."""
    carence_days: int = 0
    paper: bool = False
    """Whether a medical certificate is asked for."""


OFFER_HOURS = 24
"""How long a place that has come free is kept for who waits, where the service does not say."""


@dataclass(frozen=True)
class Blocking:
    """What makes new bookings wait; meals that are booked already never do."""

    amount_due_hours: int | None = None
    """After how many hours an amount due to the régie does; nothing when it never does."""
    pai: bool = False
    """Whether a tariff that asks for a PAI is booked only for days that a valid one covers."""
    overdue_invoice_days: int | None = None
    """For how many days after its due date an unpaid invoice of elsewhere does not yet; nothing when it never does."""

    def as_json(self) -> dict[str, Any]:
        """The rule as a row keeps it, and as a catalogue file writes it."""
        facts: dict[str, Any] = {} if self.amount_due_hours is None else {"amount_due_hours": self.amount_due_hours}
        if self.overdue_invoice_days is not None:
            facts["overdue_invoice_days"] = self.overdue_invoice_days
        return facts | ({"pai": True} if self.pai else {})


@dataclass(frozen=True)
class Policies:
    """How a service treats what is not booked and cancelled in time."""

    late: Late | None = None
    unbooked: Unbooked | None = None
    credit: Credit = "full"
    sickness: Sickness | None = None
    cost_price: int | None = None
    """What a meal costs the commune, in cents: no surcharge goes above it."""
    freed: DeadlineRule | None = None
    """Until when a meal that can no longer be cancelled may be given back to another family; nothing where it may not."""
    offer_hours: int = OFFER_HOURS
    """For how many hours a place is offered to a family of the waiting list; never longer than until the deadline."""
    blocking: Blocking = field(default_factory=Blocking)

    def as_json(self) -> dict[str, Any]:
        """The policies as a service's row keeps them."""
        facts: dict[str, Any] = {"credit": self.credit}
        if self.late:
            facts["late"] = {"until": self.late.until.as_json(), **self.late.surcharge.as_json()}
        if self.unbooked:
            facts["unbooked"] = {**self.unbooked.surcharge.as_json(), "free": self.unbooked.free}
        if self.sickness:
            facts["sickness"] = {**asdict(self.sickness), "announce": self.sickness.announce.as_json()}
        if self.cost_price is not None:
            facts["cost_price"] = self.cost_price
        if self.freed:
            facts["freed"] = {"until": self.freed.as_json()}
        if self.offer_hours != OFFER_HOURS:
            facts["offer_hours"] = self.offer_hours
        if blocking := self.blocking.as_json():
            facts["blocking"] = blocking
        return facts

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> "Policies":
        """The policies of a service's row."""
        late, unbooked, sickness = (dict(facts[name]) if name in facts else None for name in _TABLES)
        return cls(
            Late(DeadlineRule.from_json(late.pop("until")), Surcharge(**late)) if late else None,
            Unbooked(free=unbooked.pop("free", 0), surcharge=Surcharge(**unbooked)) if unbooked else None,
            facts.get("credit", "full"),
            Sickness(DeadlineRule.from_json(sickness.pop("announce")), **sickness) if sickness else None,
            facts.get("cost_price"),
            DeadlineRule.from_json(facts["freed"]["until"]) if "freed" in facts else None,
            facts.get("offer_hours", OFFER_HOURS),
            Blocking(**facts.get("blocking", {})),
        )

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Policies":
        """The policies among the fields of a service, as a catalogue file is read."""
        late, unbooked, sickness = (dict(found[name]) if found.get(name) else None for name in _TABLES)
        return cls(
            Late(late.pop("until"), Surcharge(**late)) if late else None,
            Unbooked(free=unbooked.pop("free"), surcharge=Surcharge(**unbooked)) if unbooked else None,
            found["credit"],
            Sickness(**sickness) if sickness else None,
            found.get("cost_price"),
            found["freed"]["until"] if found.get("freed") else None,
            found["waiting"]["offer_hours"] if "waiting" in found else OFFER_HOURS,
            Blocking(**found.get("blocking", {})),
        )


_TABLES = ("late", "unbooked", "sickness")


@dataclass(frozen=True)
class Rules:
    """All rules of a service."""

    booking: DeadlineRule
    cancel: DeadlineRule
    policies: Policies = field(default_factory=Policies)


def read_rules(book_rule: Any, cancel_rule: Any, policies: dict[str, Any]) -> Rules:
    """The rules of a service's row."""
    return Rules(DeadlineRule.from_json(book_rule), DeadlineRule.from_json(cancel_rule), Policies.from_json(policies))


@dataclass(frozen=True)
class Deadlines:
    """The instants (UTC) of a serving day, each the first that is too late."""

    book: datetime
    cancel: datetime
    late: datetime | None
    """Until when a late booking is accepted; nothing when none is."""
    freed: datetime | None = None
    """Until when a meal may be given back and taken by another family; nothing when none may."""


def deadlines(rules: Rules, meal: date, calendar: Calendar) -> Deadlines:
    """The deadlines of the meal of a day. A late booking never closes before the ordinary one, and a meal can never be given
    back before it can no longer be cancelled."""
    book, cancel = deadline(rules.booking, meal, calendar), deadline(rules.cancel, meal, calendar)
    late, freed = rules.policies.late, rules.policies.freed
    return Deadlines(
        book,
        cancel,
        max(book, deadline(late.until, meal, calendar)) if late else None,
        max(cancel, deadline(freed, meal, calendar)) if freed else None,
    )


END_OF_SERVICE = {"canteen": time(14), "childcare": time(19, 30)}
"""When the last child has eaten, or gone home: no deadline may lie after it."""


def contradictions(rules: Rules, weekdays: Collection[int], kind: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """What cannot be meant, each as the place in the service's table and a sentence."""
    policies = rules.policies
    named: dict[tuple[str, ...], DeadlineRule] = {("booking",): rules.booking, ("cancel",): rules.cancel}
    if policies.late:
        named["late", "until"] = policies.late.until
    if policies.sickness:
        named["sickness", "announce"] = policies.sickness.announce
    if policies.freed:
        named["freed", "until"] = policies.freed
    whole = True
    for place, rule in named.items():
        covered = {day for part in rule.parts for day in part.weekdays or weekdays}
        missing = [WEEKDAY_NAMES[day - 1] for day in sorted(set(weekdays) - covered)]
        if missing:
            whole = False
            yield place, _("aucune limite pour les repas du %(days)s", days=listing(missing))
    if not whole:
        return
    # Weeks without holidays, some of them across the end of a month.
    monday = date(2001, 4, 2)
    stretch = [monday + timedelta(days=n) for n in range(-140, 70)]
    calendar = Calendar([day for day in stretch if day.isoweekday() in weekdays])
    refused: set[tuple[str, ...]] = set()
    for meal in (day for day in calendar.serving if day >= monday):
        name, end = WEEKDAY_NAMES[meal.weekday()], paris_instant(meal, END_OF_SERVICE[kind])
        for place, rule in named.items():
            if place not in refused and deadline(rule, meal, calendar) > end:
                refused.add(place)
                yield place, _("pour le %(day)s, cette limite tombe après le service", day=name)
        late = named.get(("late", "until"))
        if late and ("late", "until") not in refused:
            ordinary = deadline(rules.booking, meal, calendar)
            if deadline(late, meal, calendar) <= ordinary:
                refused.add(("late", "until"))
                yield ("late", "until"), _("pour le %(day)s, le hors délai ferme avant d’ouvrir", day=name)
        if policies.freed and ("freed", "until") not in refused:
            until = deadline(policies.freed, meal, calendar)
            if until <= deadline(rules.cancel, meal, calendar):
                refused.add(("freed", "until"))
                yield (
                    ("freed", "until"),
                    _("pour le %(day)s, ce repas peut encore être annulé à ce moment-là", day=name),
                )
            elif until <= deadline(rules.booking, meal, calendar):
                refused.add(("freed", "until"))
                yield (
                    ("freed", "until"),
                    _("pour le %(day)s, ce repas peut encore être réservé à ce moment-là", day=name),
                )


def is_credited_when_sick(sickness: Sickness | None, place: int, limit: datetime | None, now: datetime) -> bool:
    """Whether a sick child's meal is credited: announced before its limit, and after the days of carence.

    `place` counts the serving days of the illness before that of the meal.
    """
    return sickness is not None and place >= sickness.carence_days and limit is not None and now < limit


def late_sentences(policies: Policies) -> list[str]:
    """What parents read about booking after the deadline."""
    late = policies.late
    if late is None:
        return [_("Après la date limite, aucune réservation n’est acceptée.")]
    found = [_("Hors délai, le repas reste possible : %(words)s.", words=late.surcharge.words())]
    if policies.cost_price is not None:
        found.append(_("Jamais plus que le prix de revient, %(amount)s.", amount=format_euros(policies.cost_price)))
    return [*found, *sentences(late.until, _("Réservez hors délai"))]


def unbooked_sentences(policies: Policies) -> list[str]:
    """What parents read about a child who eats without a booking."""
    unbooked = policies.unbooked
    if unbooked is None:
        return [_("Un enfant présent sans réservation mange, au prix ordinaire.")]
    found = [_("Un enfant présent sans réservation mange : %(words)s.", words=unbooked.surcharge.words())]
    if unbooked.free == 1:
        found.append(_("La première fois de l’année scolaire est au prix ordinaire."))
    elif unbooked.free:
        found.append(_("Les %(count)d premières fois de l’année scolaire sont au prix ordinaire.", count=unbooked.free))
    return found


def credit_sentences(policies: Policies) -> list[str]:
    """What parents read about a meal that is cancelled in time, or never eaten."""
    if policies.credit == "full":
        found = [_("Un repas annulé à temps est crédité du prix payé.")]
    elif policies.credit == "none":
        found = [_("Un repas annulé n’est pas crédité.")]
    else:
        found = [_("Un repas annulé à temps est crédité de %(amount)s.", amount=format_euros(policies.credit))]
    if policies.credit != "none":
        found.append(_("Le crédit revient aussitôt dans votre porte-monnaie."))
    found.append(_("Passé le délai, il reste dû."))
    found.append(_("Si l’école ou la mairie en est la cause (grève, sortie, fermeture), il est toujours crédité."))
    return found


def sickness_sentences(policies: Policies) -> list[str]:
    """What parents read about a sick child."""
    sickness = policies.sickness
    if sickness is None:
        return [_("Les repas d’un enfant malade restent dus, sauf annulation à temps.")]
    if sickness.carence_days:
        days = plural(sickness.carence_days, _("jour"))
        found = [_("Enfant malade : %(days)s de carence, puis les repas sont crédités.", days=days)]
    else:
        found = [_("Enfant malade : les repas sont crédités.")]
    found += sentences(sickness.announce, _("Prévenez"))
    if sickness.paper:
        found.append(_("Un certificat médical est demandé."))
    return found


def freed_sentences(policies: Policies) -> list[str]:
    """What parents read about giving a meal back after the limit for cancelling; nothing where it may not be."""
    if policies.freed is None:
        return []
    return [
        _("Un repas qui ne peut plus être annulé peut être rendu : il reste dû, sauf si une autre famille le reprend."),
        _("La première famille qui le demande hors délai le paie au prix ordinaire."),
        _("Celle qui l’a rendu est alors créditée de tout ce qu’elle a payé."),
        *sentences(policies.freed, _("Rendez ou reprenez un repas")),
    ]


def waiting_sentences(policies: Policies) -> list[str]:
    """What parents read about a day that is full."""
    hours = plural(policies.offer_hours, _("heure"))
    return [
        _("Avant la date limite, inscrivez votre enfant sur la liste d’attente."),
        _("Une place qui se libère vous est proposée par e-mail, dans l’ordre d’arrivée."),
        _("Elle est gardée %(hours)s, et jamais après la date limite. Elle coûte le prix ordinaire.", hours=hours),
    ]


def blocking_sentences(policies: Policies) -> list[str]:
    """What parents read about what makes a booking wait; nothing where nothing does."""
    blocking, found = policies.blocking, []
    if blocking.amount_due_hours == 0:
        found.append(_("Un montant dû se règle avant toute nouvelle réservation."))
    elif blocking.amount_due_hours is not None:
        hours = plural(blocking.amount_due_hours, _("heure"))
        found.append(
            _("Un montant dû depuis plus de %(hours)s se règle avant toute nouvelle réservation.", hours=hours)
        )
    if blocking.overdue_invoice_days == 0:
        found.append(_("Une facture dont l’échéance est passée se règle avant toute nouvelle réservation."))
    elif blocking.overdue_invoice_days is not None:
        days = plural(blocking.overdue_invoice_days, _("jour"))
        found.append(
            _("Une facture échue depuis plus de %(days)s se règle avant toute nouvelle réservation.", days=days)
        )
    if blocking.pai:
        found.append(_("Un tarif avec PAI se réserve pour les jours que couvre un PAI remis à la mairie."))
    if found:
        found.append(_("Les repas déjà réservés restent réservés."))
    return found


def policy_sentences(policies: Policies) -> list[str]:
    """Everything that is no deadline, as parents read it."""
    return [
        *credit_sentences(policies),
        *late_sentences(policies),
        *unbooked_sentences(policies),
        *sickness_sentences(policies),
        *freed_sentences(policies),
        *([] if policies.offer_hours == OFFER_HOURS else waiting_sentences(policies)),
        *blocking_sentences(policies),
    ]


def all_sentences(rules: Rules, limited: bool) -> Sequence[tuple[str, list[str]]]:
    """Every rule as parents read it, by heading: what the service's page shows and a règlement may take over. `limited` says
    whether the service may be full."""
    policies = rules.policies
    full = ((_("Jour complet"), waiting_sentences(policies)),) if limited else ()
    booking = [*sentences(rules.booking, _("Réservez")), _("Non payé = non réservé."), *blocking_sentences(policies)]
    return (
        (_("Réserver"), booking),
        (_("Annuler"), [*sentences(rules.cancel, _("Annulez")), *credit_sentences(policies)]),
        (_("Hors délai"), late_sentences(policies)),
        (_("Sans réservation"), unbooked_sentences(policies)),
        (_("Enfant malade"), sickness_sentences(policies)),
        *([(_("Repas rendu"), freed_sentences(policies))] if policies.freed else []),
        *full,
    )
