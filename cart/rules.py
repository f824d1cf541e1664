"""Decisions about what may be booked: values in, values out."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple, Protocol

from cart.quotes import Quote, Terms, as_freed, quote, says
from catalog.rules.policies import Blocking
from catalog.rules.prices import Grid
from enrolments.outside_invoices import OpenInvoice
from homes.rules import Custody
from shop.french import day_long, day_plain, listing, moment, plural
from shop.money import format_euros
from shop.words import gettext as _
from shop.words import ngettext

CellState = Literal[
    "free",
    "surcharge",
    "freed",
    "booked",
    "eaten",
    "there",
    "away",
    "away_booked",
    "basket",
    "waiting",
    "full",
    "late",
    "spoken",
    "closed",
    "no_tariff",
    "pai",
]
MOST_MEALS = 2000


class Day(NamedTuple):
    """A service day as the booking page needs it."""

    id: int
    day: date
    is_open: bool
    closed_reason: str | None
    capacity: int | None
    booked_count: int
    book_deadline_at: datetime
    late_deadline_at: datetime | None
    menu: str | None
    freed_deadline_at: datetime | None = None
    freed: int = 0
    """How many meals other families have given back, beside those that the family's own basket takes."""
    spoken_for: tuple[int, ...] = ()
    """The family's children for whom its basket takes one of them."""


Spans = Sequence[tuple[date, date]]
"""First and last days, both included."""


class Right(NamedTuple):
    """What a child may buy and at what price, between two days: an approved enrolment and a dated price of its tariff."""

    tariff_id: int
    tariff_label: str
    price_id: int
    cents: int
    first: date
    last: date
    grid: Grid | None = None
    plans: Spans | None = None
    """The days that a PAI of the child covers; nothing where none is asked for."""

    def lacks_plan(self, day: date) -> bool:
        """Whether a PAI is asked for and does not cover the day."""
        return self.plans is not None and not covered(self.plans, day)


def covered(spans: Spans, day: date) -> bool:
    """Whether the day is within one of them."""
    return any(first <= day <= last for first, last in spans)


@dataclass(frozen=True)
class Child:
    """A beneficiary of the household who has at least one approved enrolment at the service."""

    id: int
    first_name: str
    last_name: str
    rights: tuple[Right, ...]
    shared: bool = False
    """Whether the child has another home too."""

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def ended(self) -> date | None:
        """The last day of its last right here, if it had any."""
        return max([right.last for right in self.rights], default=None)

    def between(self, first: date, last: date) -> "Child | None":
        """The child with what it may buy between two days (both included); nothing when that is nothing."""
        rights = tuple(right for right in self.rights if right.first <= last and right.last >= first)
        if len(rights) == len(self.rights):
            return self if rights else None
        return replace(self, rights=rights) if rights else None


class AmbiguousPrice(Exception):
    """Two prices hold for one meal: an error of the catalogue, never a price of our choosing."""


class Meal(NamedTuple):
    """One box of the calendar: a child and a day."""

    beneficiary_id: int
    day: date

    @property
    def code(self) -> str:
        """How a form names it: "12.2026-11-05"."""
        return f"{self.beneficiary_id}.{self.day.isoformat()}"


def read_meal(code: str) -> Meal | None:
    """The meal that a form names, or nothing when the text is not one."""
    child, _dot, day = code.partition(".")
    if not (code.isascii() and child.isdigit() and len(child) < 19):
        return None
    try:
        meal = Meal(int(child), date.fromisoformat(day))
    except ValueError:
        return None
    # One way to write it: "012", "20261105" or a week date name nothing.
    return meal if meal.code == code else None


def right_on(child: Child, day: date) -> Right | None:
    """The tariff and price of the child on that day. Raises `AmbiguousPrice` rather than choose."""
    found = [right for right in child.rights if right.first <= day <= right.last]
    if len(found) > 1:
        raise AmbiguousPrice(f"beneficiary {child.id} on {day}")
    return found[0] if found else None


Taken = Literal[
    "booked", "eaten", "off", "basket", "freed", "offered", "waiting", "full", "there", "away", "away_booked"
]
"""What the family has of a meal already (`eaten`: the child had it without a booking; in the basket, it may take the place of
one that was given back; `offered`: a place is kept for the child, `waiting`: it is on the waiting list); that the town hall
has called it off for the child, or that there is no place left for the child's school; that the child's other home has
booked it, decides on that day, or both."""
HAD: tuple[Taken, ...] = ("booked", "eaten", "basket", "freed", "there", "away_booked")
"""What makes a child of the family one who eats that day, whoever pays."""


DayState = Literal["free", "surcharge", "freed", "full", "late", "spoken", "closed"]
"""`spoken`: too late, but for what other families have given back, and that is in the family's basket for another child."""
BOOKABLE: tuple[CellState, ...] = ("free", "surcharge", "freed")
"""A meal that can be had: in time, at the late price, or because another family has given it back."""
Stage = Literal["in_time", "freed", "late", "over"]
"""How a day can be booked: at the ordinary price, in the place of a meal that was given back (at the ordinary price too), at
the late price, or not any more."""


class Dated(Protocol):
    """A day with its deadlines for booking and the meals of others that were given back."""

    @property
    def book_deadline_at(self) -> datetime: ...
    @property
    def late_deadline_at(self) -> datetime | None: ...
    @property
    def freed_deadline_at(self) -> datetime | None: ...
    @property
    def freed(self) -> int: ...


def stage_of(day: Dated, now: datetime, freed: int | None = None) -> Stage:
    """How the day can be booked now, for one meal more; `freed` is how many that were given back are left, if not all."""
    if now < day.book_deadline_at:
        return "in_time"
    left = day.freed if freed is None else freed
    if left > 0 and day.freed_deadline_at is not None and now < day.freed_deadline_at:
        return "freed"
    return "late" if day.late_deadline_at is not None and now < day.late_deadline_at else "over"


class Wanted(Dated, Protocol):
    """A line of the basket."""

    @property
    def line_id(self) -> int: ...
    @property
    def service_day_id(self) -> int: ...
    @property
    def basis(self) -> str | None: ...


def stages_of(lines: Sequence[Wanted], now: datetime) -> dict[int, Stage]:
    """How each line of a basket can be booked now. Where fewer meals were given back than the basket wants, the lines that
    were quoted as such come first."""
    if not any(line.freed for line in lines):
        return {line.line_id: stage_of(line, now, 0) for line in lines}
    found: dict[int, Stage] = {}
    taken: dict[int, int] = defaultdict(int)
    for line in sorted(lines, key=lambda line: not says(line.basis, "freed")):
        if line.line_id in found:
            continue
        found[line.line_id] = stage = stage_of(line, now, line.freed - taken[line.service_day_id])
        taken[line.service_day_id] += stage == "freed"
    return found


def day_state(day: Day, now: datetime, stage: Stage | None = None) -> DayState:
    """The state of a day for a child who has nothing on it yet; `stage` is how it can be booked now, where that is known."""
    if not day.is_open:
        return "closed"
    stage = stage or stage_of(day, now)
    if stage == "over":
        return "spoken" if day.spoken_for and stage_of(day, now, len(day.spoken_for)) == "freed" else "late"
    if stage == "freed":
        # Its place is taken already, by the meal that was given back.
        return "freed"
    if day.capacity is not None and day.booked_count >= day.capacity:
        return "full"
    return "surcharge" if stage == "late" else "free"


def without_right(right: Right | None, day: date) -> Literal["no_tariff", "pai"] | None:
    """Why the child's right does not do for that day; nothing when it does."""
    if right is None:
        return "no_tariff"
    return "pai" if right.lacks_plan(day) else None


def cell_state(day: DayState, lacking: Literal["no_tariff", "pai"] | None, taken: Taken | None) -> CellState:
    """The state of one box, given its day's. What the family has comes first, then why it cannot be had."""
    if taken in ("booked", "eaten", "there", "away_booked"):
        return taken
    if taken == "off" or day == "closed":
        return "closed"
    if taken == "away":
        return taken
    if taken == "freed":
        return "basket"
    if day in ("late", "spoken"):
        return day
    if taken == "basket":
        return taken
    if lacking:
        return lacking
    if taken == "offered":
        # The place is kept, and never longer than until the ordinary deadline.
        return "free" if day == "full" else day
    if day == "freed":
        # Its place is taken already, among those of its school too.
        return day
    return taken if taken in ("waiting", "full") else day


def may_wait(state: CellState, has_right: bool, book_deadline_at: datetime, now: datetime) -> bool:
    """Whether a meal in this state may be asked for on the waiting list: full, and still to be booked in time."""
    return state == "full" and has_right and now < book_deadline_at


def can_be_had(child: Child, day: Day, taken: Mapping[Meal, Taken], now: datetime) -> bool:
    """Whether the child can be booked on that day and is not yet."""
    lacking = without_right(right_on(child, day.day), day.day)
    return cell_state(day_state(day, now), lacking, taken.get(Meal(child.id, day.day))) in BOOKABLE


def why_not(
    state: CellState,
    child_name: str,
    day: Day,
    ended: date | None = None,
    children: Mapping[int, Child] | None = None,
) -> str:
    """The sentence for a meal that cannot be added, with what to do about it where something can be done. `ended` is the last
    day of the child's right, where it is known; `children` name the others of the family."""
    facts = {"who": child_name, "day": day_long(day.day), "why": day.closed_reason or _("annulé par la mairie")}
    match state:
        case "booked":
            return _("%(who)s, %(day)s : ce repas est déjà réservé.", **facts)
        case "eaten":
            return _("%(who)s, %(day)s : ce repas a été mangé sans réservation.", **facts)
        case "there":
            return _("%(who)s, %(day)s : l’autre parent a déjà réservé ce repas.", **facts)
        case "away" | "away_booked":
            return _(
                "%(who)s, %(day)s : c’est l’autre parent qui réserve ce jour-là. Demandez un échange de jours sous "
                "« Mes filiations ».",
                **facts,
            )
        case "closed":
            return _("%(who)s, %(day)s : pas de service ce jour-là (%(why)s).", **facts)
        case "late":
            return _(
                "%(who)s, %(day)s : il fallait réserver avant le %(until)s.",
                **facts,
                until=moment(day.late_deadline_at or day.book_deadline_at),
            )
        case "spoken":
            others = [children[key].first_name for key in day.spoken_for if children and key in children]
            return ngettext(
                "%(who)s, %(day)s : le dernier repas rendu ce jour-là est dans votre panier, pour %(others)s.",
                "%(who)s, %(day)s : les %(count)s derniers repas rendus ce jour-là sont dans votre panier, pour %(others)s.",
                len(day.spoken_for),
                **facts,
                others=listing(others) if len(others) == len(day.spoken_for) else _("vos autres enfants"),
            )
        case "full":
            return _("%(who)s, %(day)s : il n’y a plus de place.", **facts)
        case "waiting":
            return _("%(who)s, %(day)s : une place sera proposée dès qu’elle se libère (liste d’attente).", **facts)
        case "no_tariff" if ended is not None and ended < day.day:
            return _(
                "%(who)s, %(day)s : l’inscription a pris fin le %(end)s. Demandez-la à nouveau dans « Mes services ».",
                **facts,
                end=day_plain(ended),
            )
        case "no_tariff":
            return _(
                "%(who)s, %(day)s : aucune inscription validée pour ce jour. Demandez-la dans « Mes services ».",
                **facts,
            )
        case "pai":
            return _(
                "%(who)s, %(day)s : ce tarif demande un PAI, et la mairie n’en a pas pour ce jour : remettez-le à la mairie.",
                **facts,
            )
        case _:
            return _("%(who)s, %(day)s : ce repas ne peut pas être ajouté.", **facts)


def why_not_waiting(state: CellState, child_name: str, day: Day) -> str:
    """The sentence for a meal that cannot be waited for."""
    facts = {"who": child_name, "day": day_long(day.day)}
    if state in BOOKABLE:
        return _("%(who)s, %(day)s : une place est libre, cochez ce jour.", **facts)
    if state == "basket":
        return _("%(who)s, %(day)s : ce repas est dans votre panier. Retirez-le d’abord.", **facts)
    if state == "full":
        return _(
            "%(who)s, %(day)s : la date limite est passée, la liste d’attente est fermée.",
            **facts,
        )
    return why_not(state, child_name, day)


class Line(NamedTuple):
    """A meal accepted into the basket, priced."""

    beneficiary_id: int
    service_day_id: int
    tariff_id: int
    tariff_price_id: int
    quoted_cents: int
    credit_cents: int
    basis: str | None


def choose(
    meals: Iterable[Meal],
    children: Mapping[int, Child],
    days: Mapping[date, Day],
    taken: Mapping[Meal, Taken],
    terms: Terms,
    now: datetime,
) -> tuple[list[Line], list[str]]:
    """The lines for what was ticked, and a sentence for each meal that cannot be had. A meal already there is skipped."""
    eating = who_eats((meals := set(meals)) | had(taken))
    days, given = dict(days), defaultdict[date, list[str]](list)
    placed = defaultdict[date, list[str]](list)
    lines: list[Line] = []
    problems: list[str] = []
    for meal in sorted(meals, key=lambda meal: (meal.day, meal.beneficiary_id)):
        child = children[meal.beneficiary_id]
        day = days.get(meal.day)
        if day is None:
            problems.append(
                _("%(who)s, %(day)s : ce n’est pas un jour de service.", who=child.name, day=day_long(meal.day))
            )
            continue
        right = right_on(child, meal.day)
        state = cell_state(day_state(day, now), without_right(right, meal.day), taken.get(meal))
        if state == "basket":
            continue
        if state in ("free", "surcharge") and day.capacity is not None and taken.get(meal) != "offered":
            if day.booked_count + len(placed[meal.day]) >= day.capacity:
                problems.append(_too_few_places(child.name, meal.day, placed[meal.day]))
                continue
            placed[meal.day].append(child.first_name)
        if state not in BOOKABLE or right is None:
            problems.append(
                _too_few_given(child.name, meal.day, given[meal.day])
                if state in ("late", "spoken") and meal.day in given
                else why_not(state, child.name, day, child.ended, children)
            )
            continue
        price = price_of(right, terms, meal, eating, state == "surcharge")
        if state == "freed":
            price = as_freed(price)
            days[meal.day] = day._replace(freed=day.freed - 1)
            given[meal.day].append(child.first_name)
        lines.append(Line(child.id, day.id, right.tariff_id, right.price_id, *price))
    return lines, problems


def _too_few_given(who: str, day: date, others: list[str]) -> str:
    """Of several children who want what other families have given back, one finds no more of it; the others come first."""
    return ngettext(
        "%(who)s, %(day)s : il ne reste qu’un repas rendu ce jour-là, pour %(others)s. Décochez l’un des deux.",
        "%(who)s, %(day)s : il ne reste que %(count)s repas rendus ce jour-là, pour %(others)s. Décochez l’un d’eux.",
        len(others),
        who=who,
        day=day_long(day),
        others=listing(others),
    )


def _too_few_places(who: str, day: date, others: list[str]) -> str:
    """Of several children one finds no place any more; the others come first."""
    return ngettext(
        "%(who)s, %(day)s : il ne reste qu’une place ce jour-là, pour %(others)s. Choisissez qui mange.",
        "%(who)s, %(day)s : il ne reste que %(count)s places ce jour-là, pour %(others)s. Choisissez qui mange.",
        len(others),
        who=who,
        day=day_long(day),
        others=listing(others),
    )


def leave_to_the_first(
    meals: Iterable[Meal], wanted: Collection[Meal], days: Mapping[date, Day], now: datetime
) -> set[Meal]:
    """Those of these meals that can be had together with those that are `wanted` already: what other families have given back
    goes to as many children as there are such meals, the first ones first."""
    found: set[Meal] = set()
    left = {day.day: day.freed - sum(meal.day == day.day for meal in wanted) for day in days.values() if day.freed}
    for meal in sorted(meals, key=lambda meal: (meal.day, meal.beneficiary_id)):
        if meal.day in left and meal not in wanted and stage_of(days[meal.day], now) == "freed":
            if left[meal.day] <= 0:
                continue
            left[meal.day] -= 1
        found.add(meal)
    return found


def with_homes(
    taken: Mapping[Meal, Taken], days: Iterable[date], custodies: Mapping[int, Custody], household_id: int
) -> dict[Meal, Taken]:
    """What is taken, and the days of children on which their other home decides. What the family has booked itself stays, and
    what the child has eaten without a booking."""
    marked = dict(taken)
    for day in days:
        for child_id, custody in custodies.items():
            meal = Meal(child_id, day)
            if taken.get(meal) not in ("booked", "eaten") and custody.home_on(day) not in (None, household_id):
                marked[meal] = "away_booked" if taken.get(meal) == "there" else "away"
    return marked


def had(taken: Mapping[Meal, Taken]) -> set[Meal]:
    """The meals that the family's children have, booked or in its basket."""
    return {meal for meal, what in taken.items() if what in HAD}


def who_eats(meals: Iterable[Meal]) -> dict[date, set[int]]:
    """The beneficiaries who eat on each day."""
    found: dict[date, set[int]] = defaultdict(set)
    for child_id, day in meals:
        found[day].add(child_id)
    return found


def price_of(right: Right, terms: Terms, meal: Meal, eating: Mapping[date, Collection[int]], late: bool) -> Quote:
    """The price of a meal at the child's right on that day; `eating` names who of the family eats when."""
    count = 1 if right.grid is None else terms.family.eating(eating.get(meal.day, ()))
    return quote(right.cents, right.grid, terms, meal.beneficiary_id, meal.day, count, late)


class Due(NamedTuple):
    """An amount that a household owes a régie."""

    cents: int
    since: datetime


def overdue_cents(blocking: Blocking, dues: Iterable[Due], now: datetime) -> int:
    """What a household owes for longer than a service's rule lets it; 0 where nothing makes new bookings wait."""
    if blocking.amount_due_hours is None:
        return 0
    limit = now - timedelta(hours=blocking.amount_due_hours)
    return sum(due.cents for due in dues if due.since <= limit)


def overdue_words(blocking: Blocking, cents: int) -> str:
    """Why new bookings wait for an amount due, and what ends it."""
    amount = format_euros(cents)
    if not blocking.amount_due_hours:
        return _(
            "%(amount)s restent dus. Réglez-les, puis réservez : vos repas déjà réservés le restent.", amount=amount
        )
    return _(
        "%(amount)s restent dus depuis plus de %(hours)s. Réglez-les, puis réservez : vos repas déjà réservés le restent.",
        amount=amount,
        hours=plural(blocking.amount_due_hours, _("heure")),
    )


def unpaid_invoices(blocking: Blocking, invoices: Iterable[OpenInvoice], today: date) -> tuple[OpenInvoice, ...]:
    """Those of a household's invoices at a régie that are past their due date for longer than a service's rule lets them."""
    days = blocking.overdue_invoice_days
    return () if days is None else tuple(one for one in invoices if (today - one.due_on).days > days)


INVOICES_NAMED = 3
"""How many invoices a sentence names; « Mes crédits » has them all."""


def unpaid_words(invoices: Sequence[OpenInvoice]) -> str:
    """Why new bookings wait for invoices of a régie, and what ends it."""
    if len(invoices) == 1:
        return _(
            "La facture %(reference)s, %(amount)s, à payer au plus tard le %(due)s, n’est pas payée. Payez-la comme elle "
            "l’indique, puis prévenez la régie (%(contact)s) : vos repas déjà réservés le restent.",
            reference=invoices[0].reference,
            amount=format_euros(invoices[0].cents),
            due=day_plain(invoices[0].due_on),
            contact=invoices[0].contact,
        )
    named = [
        _(
            "%(reference)s (%(amount)s, échéance le %(due)s)",
            reference=one.reference,
            amount=format_euros(one.cents),
            due=day_plain(one.due_on),
        )
        for one in invoices[:INVOICES_NAMED]
    ]
    if more := len(invoices) - len(named):
        named.append(ngettext("%(count)s autre", "%(count)s autres", more))
    return _(
        "%(count)s factures ne sont pas payées : %(which)s. Payez-les comme elles l’indiquent, puis prévenez la régie "
        "(%(contact)s) : vos repas déjà réservés le restent.",
        count=len(invoices),
        which=listing(named),
        contact=invoices[0].contact,
    )


class Wait(NamedTuple):
    """What keeps new bookings waiting, and what ends it; a sentence for each, empty where it is not that."""

    dues: str
    invoices: str

    @property
    def sentence(self) -> str:
        """All of it."""
        return " ".join(words for words in self if words)


def wait_of(blocking: Blocking, overdue: int, unpaid: Sequence[OpenInvoice]) -> Wait | None:
    """What keeps new bookings at a service waiting: cents that are overdue, unpaid invoices, both; nothing for neither."""
    if not overdue and not unpaid:
        return None
    return Wait(overdue_words(blocking, overdue) if overdue else "", unpaid_words(unpaid) if unpaid else "")


def lacking_words(children: Iterable[Child], first: date, last: date, today: date) -> tuple[list[str], list[str]]:
    """What a page says before anybody ticks, of children whose PAI does not cover all days from a day to a day, and of those
    whose enrolment has ended and was not renewed."""
    papers, ended = [], []
    for child in children:
        asked = [
            right for right in child.rights if right.plans is not None and right.first <= last and right.last >= first
        ]
        ended_on = child.ended
        if any(not _covers(right, max(first, right.first), min(last, right.last)) for right in asked):
            papers.append(
                _paper_words(child.first_name, [span for right in asked for span in right.plans or ()], today)
            )
        if ended_on is not None and today - LATELY <= ended_on < today:
            ended.append(
                _(
                    "%(who)s : l’inscription a pris fin le %(end)s. Demandez-la à nouveau.",
                    who=child.first_name,
                    end=day_plain(ended_on),
                )
            )
    return papers, ended


LATELY = timedelta(days=120)
"""How long an enrolment that has ended is spoken of."""


def _covers(right: Right, first: date, last: date) -> bool:
    return all(not right.lacks_plan(first + timedelta(days=n)) for n in range((last - first).days + 1))


def _paper_words(who: str, spans: Spans, today: date) -> str:
    if not spans:
        return _("%(who)s : le tarif demande un PAI, et la mairie n’en a pas encore.", who=who)
    first, last = min(((first, last) for first, last in spans if last >= today), default=max(spans))
    facts = {"who": who, "first": day_plain(first), "end": day_plain(last)}
    if last < today:
        return _("%(who)s : le PAI était valable jusqu’au %(end)s.", **facts)
    if first > today:
        words = _("%(who)s : le PAI sera valable du %(first)s au %(end)s. Seuls les jours qu’il couvre se réservent.")
    else:
        words = _("%(who)s : le PAI est valable jusqu’au %(end)s. Seuls les jours qu’il couvre se réservent.")
    return words % facts


def monday_of(day: date) -> date:
    """The Monday of the day's week."""
    return day - timedelta(days=day.weekday())


def month_after(first: date) -> date:
    """The first day of the following month."""
    return (first.replace(day=1) + timedelta(days=32)).replace(day=1)


def month_before(first: date) -> date:
    """The first day of the month before."""
    return (first.replace(day=1) - timedelta(days=1)).replace(day=1)


class Pattern(NamedTuple):
    """Which of the days shown a parent means at once: of these children, weekdays and weeks; nothing named means all."""

    children: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    """ISO weekdays."""
    weeks: Literal["", "paires", "impaires"] = ""
    """Every other week, by its ISO number."""

    def means(self, meal: Meal) -> bool:
        """Whether the meal is one of them."""
        week = meal.day.isocalendar().week
        return (
            (not self.children or meal.beneficiary_id in self.children)
            and (not self.weekdays or meal.day.isoweekday() in self.weekdays)
            and (not self.weeks or (week % 2 == 0) == (self.weeks == "paires"))
        )


def as_last_week(meals: Iterable[Meal], had_before: Iterable[Meal]) -> set[Meal]:
    """Those of these meals whose child ate on the same weekday among `had_before`."""
    usual = {(meal.beneficiary_id, meal.day.isoweekday()) for meal in had_before}
    return {meal for meal in meals if (meal.beneficiary_id, meal.day.isoweekday()) in usual}


def skipped(meals: Iterable[Meal], days: Mapping[date, Day], states: Mapping[Meal, CellState]) -> list[str]:
    """Why meals of a pattern were left out, a sentence a reason: how many, and the reason of closed days."""
    found: dict[str, int] = defaultdict(int)
    for meal in meals:
        state = states[meal]
        if state == "closed":
            found[days[meal.day].closed_reason or _("annulé par la mairie")] += 1
        elif state in _SKIPPED:
            found[_SKIPPED[state]] += 1
    return [_("%(count)d repas : %(why)s", count=count, why=why) for why, count in found.items()]


_SKIPPED: Mapping[CellState, str] = {
    "booked": _("déjà réservé"),
    "eaten": _("mangé sans réservation"),
    "there": _("réservé par l’autre parent"),
    "away": _("chez l’autre parent"),
    "away_booked": _("chez l’autre parent"),
    "basket": _("déjà dans le panier"),
    "full": _("complet"),
    "waiting": _("sur la liste d’attente"),
    "late": _("hors délai"),
    "spoken": _("le repas rendu est dans le panier pour un autre enfant"),
    "freed": _("pas assez de repas rendus"),
    "no_tariff": _("non inscrit ce jour-là"),
    "pai": _("PAI attendu par la mairie"),
}


def until_the_holidays(today: date, holidays_start: date | None, year_end: date | None) -> date:
    """The last day before the next school holidays, or of the school year; in two months where neither is known."""
    ends = [holidays_start - timedelta(days=1)] if holidays_start else []
    if year_end:
        ends.append(year_end)
    return min(ends, default=today + timedelta(days=60))
