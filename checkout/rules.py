"""Decisions of the checkout: values in, a value or a refusal out."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate
from operator import sub
from typing import Literal, NamedTuple

from cart.errors import BookingWaits
from cart.meals import BasketMeal
from cart.quotes import says
from cart.rules import Stage, Wait, stages_of, wait_of
from checkout.errors import BasketRefused, CannotBeUnbooked, EmptyBasket, TotalChanged, TwoAmounts
from shop.french import day_long, moment
from shop.money import AmountTooLarge, format_euros, parse_euros
from shop.words import gettext as _
from shop.words import ngettext

BEYOND_BOUNDS = sys.maxsize
"""Cents that stand for what is too much to be read: above what any régie takes, whose bounds are then told."""
ANOTHER_AMOUNT = "autre"
"""What is ticked for the amount that is typed."""


@dataclass(frozen=True)
class Draft:
    """A basket that may be ordered: its meals and their total."""

    basket_id: int
    regie_id: int
    meals: tuple[BasketMeal, ...]
    total_cents: int
    freed: tuple[BasketMeal, ...] = ()
    """Those that take the place of a meal that another family has given back."""


Remedy = Literal["remove", "accept", "services", "another_day", "town_hall"]
"""What mends a problem: taking the meal out, accepting its price, asking for access, choosing another day, going to the town
hall with a paper."""


class Problem(NamedTuple):
    """Why a meal cannot be ordered as it stands, and what mends it."""

    sentence: str
    remedy: Remedy = "remove"


def find_problems(meals: Sequence[BasketMeal], now: datetime) -> dict[int, Problem]:
    """Line id → why the meal cannot be ordered as it stands; every problem at once."""
    problems: dict[int, Problem] = {}
    # Two prices or two approved enrolments for one line would come as two rows.
    times = Counter([meal.line_id for meal in meals])
    stages = stages_of(meals, now)
    # A meal in the place of one that was given back takes no place of its own; one that is kept for the child is counted.
    lines = [meal for meal in {meal.line_id: meal for meal in meals}.values() if stages[meal.line_id] != "freed"]
    kept = {meal.line_id for meal in lines if meal.kept_until is not None and is_kept(meal, now)}
    wanted = Counter([meal.service_day_id for meal in lines if meal.line_id not in kept])
    of_school = Counter(
        [(meal.service_day_id, meal.school_id) for meal in lines if not _is_kept_at_school(meal, meal.line_id in kept)]
    )
    for meal in meals:
        numbers = wanted[meal.service_day_id], of_school[meal.service_day_id, meal.school_id]
        line_id = meal.line_id
        problem = _problem(meal, now, stages[line_id], times[line_id] > 1, line_id in kept, *numbers)
        if problem is not None:
            problems[meal.line_id] = problem
    return problems


def is_kept(meal: BasketMeal, now: datetime) -> bool:
    """Whether a place of the waiting list is kept for the meal."""
    return meal.kept_until is not None and now < meal.kept_until


def _is_kept_at_school(meal: BasketMeal, kept: bool) -> bool:
    """Whether it is kept among the places of the school to which the child goes now."""
    return kept and meal.kept_school_id == meal.school_id


def _problem(
    meal: BasketMeal, now: datetime, stage: Stage, ambiguous: bool, kept: bool, wanted: int, of_school: int
) -> Problem | None:
    if meal.booked_there:
        return Problem(_("L’autre parent a déjà réservé ce repas : retirez-le du panier."))
    if meal.reservation_id is not None:
        return Problem(_("Ce repas est déjà réservé : retirez-le du panier."))
    if meal.away:
        return Problem(
            _(
                "Ce jour-là, c’est désormais l’autre parent qui réserve : retirez ce repas du panier, ou convenez d’un "
                "échange de jours sous « Mes filiations »."
            )
        )
    if meal.eaten_id is not None:
        return Problem(_("Ce repas a été mangé sans réservation, la mairie l’a noté : retirez-le du panier."))
    if meal.call_off is not None:
        return Problem(_("La mairie a annulé ce repas : %(why)s", why=meal.call_off))
    if not meal.is_open:
        why = meal.closed_reason or _("fermé")
        return Problem(_("Il n’y a plus de service ce jour-là (%(why)s).", why=why), "another_day")
    was_freed = says(meal.basis, "freed")
    if stage == "over":
        if was_freed and meal.freed_deadline_at is not None and now < meal.freed_deadline_at:
            return Problem(
                _("Ce repas rendu n’est plus disponible, repris par une autre famille ou gardé : retirez-le du panier.")
            )
        limit = (was_freed and meal.freed_deadline_at) or meal.late_deadline_at or meal.book_deadline_at
        return Problem(_("Trop tard : il fallait réserver avant le %(until)s.", until=moment(limit)), "another_day")
    if meal.enrolment_id is None:
        sentence = _("L’inscription au tarif « %(label)s » n’est plus valable pour ce jour.", label=meal.tariff_label)
        return Problem(sentence, "services")
    if meal.lacks_plan:
        sentence = _(
            "Le tarif « %(label)s » demande un PAI, et la mairie n’en a pas pour ce jour.", label=meal.tariff_label
        )
        return Problem(sentence, "town_hall")
    if ambiguous or meal.price_id is None or meal.price is None:
        return Problem(
            _("Le prix de ce repas n’est pas connu : la mairie doit le corriger. Retirez ce repas du panier.")
        )
    if meal.price_id != meal.tariff_price_id or meal.price.cents != meal.quoted_cents:
        facts = {"now": format_euros(meal.price.cents), "then": format_euros(meal.quoted_cents)}
        if stage == "freed":
            words = _("Une autre famille a rendu un repas : le vôtre coûte %(now)s au lieu de %(then)s.")
        elif stage == "late" and was_freed:
            words = _("Ce repas rendu n’est plus disponible : hors délai, il coûte %(now)s au lieu de %(then)s.")
        elif stage == "late":
            words = _("La date limite est passée : hors délai, ce repas coûte %(now)s au lieu de %(then)s.")
        elif facts["now"] == facts["then"]:
            words = _("Un nouveau tarif est en vigueur, au même prix : %(now)s.")
        else:
            words = _("Le prix a changé : %(now)s au lieu de %(then)s.")
        return Problem(words % facts, "accept")
    if stage == "freed":
        return None
    if not kept and not still_free(meal.capacity, meal.booked_count, wanted):
        if meal.kept_until is not None:
            words = _("La place n’est plus gardée pour vous, et il n’y en a plus d’autre ce jour-là.")
            return Problem(words, "another_day")
        return _too_few(meal.capacity, meal.booked_count, now < meal.book_deadline_at)
    if not _is_kept_at_school(meal, kept) and not still_free(meal.school_capacity, meal.school_booked_count, of_school):
        return _too_few(meal.school_capacity, meal.school_booked_count, now < meal.book_deadline_at)
    return None


def _too_few(capacity: int | None, booked_count: int | None, may_wait: bool) -> Problem:
    left = max((capacity or 0) - (booked_count or 0), 0)
    if left == 0 and may_wait:
        words = _(
            "Il n’y a plus de place ce jour-là : retirez ce repas du panier, puis attendez une place depuis le calendrier."
        )
        return Problem(words, "another_day")
    if left == 0:
        return Problem(_("Il n’y a plus de place ce jour-là."), "another_day")
    words = ngettext("Il ne reste qu’une place ce jour-là.", "Il ne reste que %(count)s places ce jour-là.", left)
    return Problem(words, "another_day")


def why_waiting(meals: Sequence[BasketMeal]) -> Wait | None:
    """Why no meal of the basket may be ordered until an amount due is settled or an invoice paid, by the rules that let it
    wait for most; nothing where none does."""
    if not any(meal.overdue_cents or meal.unpaid for meal in meals):
        return None
    owing, invoiced = max(meals, key=lambda meal: meal.overdue_cents), max(meals, key=lambda meal: len(meal.unpaid))
    return wait_of(owing.policies.blocking, owing.overdue_cents, invoiced.unpaid)


def check_basket(meals: Sequence[BasketMeal], seen_cents: int | None, now: datetime) -> Draft:
    """The basket as an order, if every meal may be ordered at the price that was shown.

    Raises `EmptyBasket`, `BookingWaits` for an amount due or an invoice, `BasketRefused` with every problem, or
    `TotalChanged` when `seen_cents`, the total that the person saw, is not the total.
    """
    if not meals:
        raise EmptyBasket
    waiting = why_waiting(meals)
    if waiting is not None:
        raise BookingWaits(waiting.sentence)
    problems = find_problems(meals, now)
    if problems:
        raise BasketRefused({line_id: problem.sentence for line_id, problem in problems.items()})
    total = sum(meal.quoted_cents for meal in meals)
    if seen_cents is not None and seen_cents != total:
        raise TotalChanged(seen_cents, total)
    stages = stages_of(meals, now)
    freed = tuple(meal for meal in meals if stages[meal.line_id] == "freed")
    return Draft(meals[0].basket_id, meals[0].regie_id, tuple(meals), total, freed)


def carried(amounts: Sequence[int], balance_cents: int) -> int:
    """How many of these amounts, from the first on, a balance pays: each whole, and none after one that it does not."""
    for number, left in enumerate(accumulate(amounts, sub, initial=balance_cents)):
        if left < 0:
            return number - 1
    return len(amounts)


def check_eaten(who: str, day: date, today: date, shut: str | None, booked: str | None) -> None:
    """Whether a child may be noted as having eaten without a booking; `booked` is the state of its live reservation, if any.

    Raises `CannotBeUnbooked`.
    """
    facts = {"who": who, "day": day_long(day), "why": shut}
    if day > today:
        raise CannotBeUnbooked(_("Le %(day)s n’est pas encore là : rien ne peut être pointé.", **facts))
    if shut is not None:
        raise CannotBeUnbooked(_("Il n’y avait pas de service le %(day)s (%(why)s).", **facts))
    if booked == "confirmed":
        raise CannotBeUnbooked(_("%(who)s a une réservation pour le %(day)s : pointez sa présence.", **facts))
    if booked is not None:
        raise CannotBeUnbooked(
            _(
                "Un paiement par carte est en cours pour le repas de %(who)s le %(day)s : attendez qu’il finisse.",
                **facts,
            )
        )


def still_free(capacity: int | None, booked_count: int | None, wanted: int) -> bool:
    """Whether `wanted` more places fit on a day, or in a school's share of it."""
    return capacity is None or (booked_count or 0) + wanted <= capacity


class Waits(NamedTuple):
    """An entry of a day's waiting list, and what decides about it."""

    id: int
    household_id: int
    state: str
    """ "waiting" or "offered"."""
    offered_until: datetime | None
    kept_school_id: int | None
    """The school among whose places the offer counts."""
    school_id: int | None
    """The child's."""
    entitled: bool
    """Whether the child has an approved enrolment for that day."""
    booked: bool
    """Whether it has a meal on that day already."""
    called_off: str | None
    """The state of what the town hall has called off for it: "planned" may be taken back."""
    elsewhere: bool
    """Whether the child's other home decides on that day."""


class Places(NamedTuple):
    """A day as the waiting list sees it."""

    is_open: bool
    capacity: int | None
    booked_count: int
    book_deadline_at: datetime


NextState = Literal["offered", "lapsed", "over"]


def next_states(
    day: Places,
    schools: Mapping[int, tuple[int | None, int]],
    waits: Sequence[Waits],
    now: datetime,
) -> dict[int, NextState]:
    """Entry id → the state to which it moves now. What ends comes first, so that its place goes on to the next; then places
    are offered in order of arrival. `schools`: capacity and places taken of each school that has its own.

    Who waits for a place of a full school lets the others by. While a call-off may still be taken back nothing is offered to
    those whom it concerns, and nobody loses the rank.
    """
    moved: dict[int, NextState] = {}
    booked = day.booked_count
    left = {key: None if capacity is None else capacity - taken for key, (capacity, taken) in schools.items()}
    over = now >= day.book_deadline_at
    for wait in waits:
        off = wait.called_off == "done" or (not day.is_open and wait.called_off is None)
        if wait.booked or wait.elsewhere or not wait.entitled or off or (over and wait.state == "waiting"):
            moved[wait.id] = "over"
        elif over or (wait.offered_until is not None and now >= wait.offered_until):
            moved[wait.id] = "lapsed"
        if wait.id in moved and wait.state == "offered":
            booked -= 1
            _more(left, wait.kept_school_id, +1)
    for wait in waits:
        if wait.id in moved or wait.state == "offered" or wait.called_off or not day.is_open:
            continue
        of_school = left.get(wait.school_id) if wait.school_id is not None else None
        if still_free(day.capacity, booked, 1) and (of_school is None or of_school > 0):
            moved[wait.id] = "offered"
            booked += 1
            _more(left, wait.school_id, -1)
    return moved


def _more(left: dict[int, int | None], school_id: int | None, number: int) -> None:
    places = left.get(school_id) if school_id is not None else None
    if school_id is not None and places is not None:
        left[school_id] = places + number


def why_not_cancelled(state: str, who: str, day_words: str, deadline_at: datetime, now: datetime) -> str | None:
    """Why a reservation cannot be cancelled; nothing when it can."""
    if state == "cancelled":
        return _("%(who)s, %(day)s : ce repas est déjà annulé.", who=who, day=day_words)
    if state != "confirmed":
        return _("%(who)s, %(day)s : ce repas n’est pas réservé.", who=who, day=day_words)
    if now >= deadline_at:
        return _(
            "%(who)s, %(day)s : il fallait annuler avant le %(until)s.",
            who=who,
            day=day_words,
            until=moment(deadline_at),
        )
    return None


def why_not_given_back(
    state: str,
    cancel_deadline_at: datetime,
    freed_deadline_at: datetime | None,
    now: datetime,
    freed: str | None = None,
) -> str | None:
    """Why a reservation cannot be given back to another family; nothing when it can. `freed` is what became of it when it was
    given back last."""
    if freed == "taken":
        return _("Une autre famille a repris ce repas : vous en avez été crédité, et votre enfant n’est plus attendu.")
    if state != "confirmed":
        return _("Ce repas n’est pas réservé : il n’y a rien à rendre.")
    if freed_deadline_at is None:
        return _("Ce service ne reprend pas les repas qui ne peuvent plus être annulés.")
    if now < cancel_deadline_at:
        return _("Ce repas peut encore être annulé, avant le %(until)s.", until=moment(cancel_deadline_at))
    if now >= freed_deadline_at:
        return _("Trop tard : ce repas pouvait être rendu avant le %(until)s.", until=moment(freed_deadline_at))
    return None


def amount_of_top_up(ticked: str, typed: str) -> int:
    """The one amount, in cents, that a form of a top-up means. What is typed counts when its own choice is ticked, or none.

    Raises `AmountRefused`, or `TwoAmounts` when the amount that is ticked is not the one that is typed: neither is chosen.
    """
    try:
        if ticked in ("", ANOTHER_AMOUNT):
            return parse_euros(typed)
        cents = parse_euros(ticked)
        if typed and (typed_cents := parse_euros(typed)) != cents:
            raise TwoAmounts(cents, typed_cents)
    except AmountTooLarge:
        return BEYOND_BOUNDS
    return cents
