"""Other days from a date on, or none any more: planned first, so that the family sees it all before the click.

Booked meals that the new days leave out are cancelled for what each gives back; those whose deadline has passed stay due.
Days of the new pattern that are still free go into the basket, at the prices of today. What the family saw travels with the
form as `Seen`: each meal that moves, with its sum. Its sums are only compared, never used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import Session

import cart.operations
from accounts.queries import list_beneficiaries
from cart.days import days_between
from cart.errors import BookingWaits
from cart.families import terms_of
from cart.models import Basket, BasketLine
from cart.operations import LIVE_STATES
from cart.periods import WEEKDAYS
from cart.places import Place, between, find_place, places_of
from cart.repricing import follow_who_eats
from cart.rules import (
    BOOKABLE,
    CellState,
    Child,
    Day,
    Line,
    Meal,
    Pattern,
    Taken,
    cell_state,
    choose,
    day_state,
    read_meal,
    right_on,
    skipped,
    why_not,
    without_right,
)
from cart.waits import why_waiting
from catalog.models import ServiceDay
from checkout.cancel import cancel_reservations
from checkout.errors import CannotCancel, ChangeMoved, NothingToChange
from checkout.place import Buyer
from checkout.reminders.operations import note_other_days
from checkout.rules import why_not_cancelled
from orders.models import Reservation
from shop.clock import paris_day
from shop.errors import NotFound, Refusal
from shop.french import day_long, listing
from shop.money import format_euros
from shop.statements import Rows, run
from shop.words import gettext as _
from shop.words import ngettext

LONGEST = timedelta(days=330)
"""How far a change reaches where the end of the school year is not known."""
LONGEST_SEEN = 100_000
"""Letters of what travels with the form: two thousand meals."""
MOST_DIFFERENCES = 12

Seen = Mapping[str, int]
"""What moves, as the form says it: "a" (cancelled), "p" (leaves the basket) or "n" (new) and the meal's code; its sum."""


class Wish(NamedTuple):
    """What a family asks for."""

    service_id: int
    children: frozenset[int]
    first: date
    pattern: Pattern | None
    """The days on which the children eat from then on; nothing when they stop."""


class Ended(NamedTuple):
    """A booked meal that the change cancels."""

    reservation_id: int
    meal: Meal
    credit_cents: int


class Due(NamedTuple):
    """A booked meal that stays, although it is not wanted any more."""

    meal: Meal
    why: str


class Added(NamedTuple):
    """A meal that goes into the basket."""

    meal: Meal
    line: Line


@dataclass(frozen=True)
class Change:
    """Everything that a change would do now."""

    place: Place
    last: date
    """The last day that it concerns: the end of the school year."""
    names: Mapping[int, str]
    """Of the children that it concerns."""
    ended: Sequence[Ended]
    due: Sequence[Due]
    removed: Mapping[Meal, int]
    """Meals that leave the basket, and their lines."""
    added: Sequence[Added]
    kept: int
    """Meals of the new days that are booked, or in the basket, already."""
    skipped: Sequence[str]
    """Why days of the pattern are left out, a sentence a reason."""
    states: Mapping[Meal, CellState]
    """Of the days of the pattern, as they stand now."""
    days: Mapping[date, Day]
    booked: frozenset[Meal]
    """What the household has booked of these children, from the first day on."""

    @property
    def credit_cents(self) -> int:
        return sum(meal.credit_cents for meal in self.ended)

    @property
    def new_cents(self) -> int:
        return sum(meal.line.quoted_cents for meal in self.added)

    @property
    def moves(self) -> dict[str, int]:
        """What the change moves, as `Seen`."""
        return (
            {f"a{ended.meal.code}": ended.credit_cents for ended in self.ended}
            | {f"p{meal.code}": 0 for meal in self.removed}
            | {f"n{added.meal.code}": added.line.quoted_cents for added in self.added}
        )


def write_seen(change: Change) -> str:
    """What the family is shown, for the form to bring back."""
    return " ".join(f"{key}={cents}" for key, cents in change.moves.items())


def read_seen(text: str) -> Seen:
    """What `write_seen` wrote. Raises `NotFound` for what it never writes."""
    if len(text) > LONGEST_SEEN:
        raise NotFound
    found: dict[str, int] = {}
    for part in text.split():
        key, _sign, cents = part.partition("=")
        if key[:1] not in ("a", "p", "n") or read_meal(key[1:]) is None:
            raise NotFound
        if not (cents.isascii() and cents.isdigit() and len(cents) < 10):
            raise NotFound
        found[key] = int(cents)
    return found


_OWN = (
    select(
        Reservation.id,
        Reservation.beneficiary_id,
        ServiceDay.day,
        Reservation.state,
        Reservation.credit_cents,
        Reservation.cancel_deadline_at,
    )
    .join(ServiceDay, ServiceDay.id == Reservation.service_day_id)
    .where(
        Reservation.household_id == bindparam("household_id"),
        Reservation.state.in_(["held", "confirmed"]),
        ServiceDay.service_id == bindparam("service_id"),
        ServiceDay.day.between(bindparam("first"), bindparam("last")),
    )
    .order_by(ServiceDay.day, Reservation.beneficiary_id)
)
_NEXT_BOOKED = (
    select(ServiceDay.service_id)
    .join(Reservation, Reservation.service_day_id == ServiceDay.id)
    .where(
        Reservation.household_id == bindparam("household_id"),
        Reservation.state == "confirmed",
        ServiceDay.day >= bindparam("today"),
    )
    .order_by(ServiceDay.day, ServiceDay.service_id)
    .limit(1)
)
_IN_BASKET = (
    select(BasketLine.id, BasketLine.beneficiary_id, ServiceDay.day)
    .select_from(BasketLine)
    .join(
        Basket,
        and_(
            Basket.id == BasketLine.basket_id,
            Basket.household_id == bindparam("household_id"),
            Basket.state.in_(LIVE_STATES),
        ),
    )
    .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
    .where(
        ServiceDay.service_id == bindparam("service_id"),
        ServiceDay.day.between(bindparam("first"), bindparam("last")),
    )
    .order_by(ServiceDay.day, BasketLine.beneficiary_id)
)


def plan_change(db: Session, household_id: int, wish: Wish, now: datetime) -> Change:
    """What the wish would do now, in a number of statements that does not grow with the meals.

    Raises `NotFound` for a service or a child that is not the family's, `Refusal` for a wish that makes no sense,
    `BookingWaits` when it books something new and an amount due keeps that waiting.
    """
    _check(wish, paris_day(now))
    place = _place_of(db, household_id, wish.service_id, now)
    _check_weekdays(wish, place)
    owned = {line.id: line for line in list_beneficiaries(db, household_id)}
    if not wish.children <= owned.keys():
        raise NotFound
    names = {key: line.name for key, line in owned.items() if key in wish.children}
    found = find_place(db, household_id, place.commune_slug, place.service_slug, wish.first)
    if found is None:
        raise NotFound
    _place, season, family = found
    last = season.year_end or wish.first + LONGEST
    children = between(family, wish.first, last)
    for key in wish.children - children.keys():
        children[key] = Child(key, owned[key].first_name, owned[key].last_name, ())
    shared = any(child.shared for child in family)
    days, taken = days_between(db, household_id, place.service_id, wish.first, last, now, shared)
    stretch = {"household_id": household_id, "service_id": place.service_id, "first": wish.first, "last": last}
    ended, due, booked = _booked(db, stretch, wish, names, now)
    removed = {
        meal: int(line_id)
        for line_id, child_id, day in run(db, _IN_BASKET, **stretch)
        if (meal := Meal(child_id, day)).beneficiary_id in wish.children and not _is_wanted(wish, meal)
    }
    gone = {meal.meal for meal in ended} | removed.keys()
    left: dict[Meal, Taken] = {meal: what for meal, what in taken.items() if meal not in gone}
    wanted = [Meal(child, day) for day in days for child in sorted(wish.children) if _is_wanted(wish, Meal(child, day))]
    states = {
        meal: cell_state(
            day_state(days[meal.day], now),
            without_right(right_on(children[meal.beneficiary_id], meal.day), meal.day),
            left.get(meal),
        )
        for meal in wanted
    }
    free = [meal for meal, state in states.items() if state == "free"]
    lines, _problems = choose(free, children, days, left, terms_of(db, household_id, place, children), now)
    waits = why_waiting(db, household_id, [place], now) if lines else None
    if waits is not None:
        raise BookingWaits(waits.sentence)
    by_id = {day.id: day.day for day in days.values()}
    return Change(
        place,
        last,
        names,
        ended,
        due,
        removed,
        [Added(Meal(line.beneficiary_id, by_id[line.service_day_id]), line) for line in lines],
        sum(state in ("booked", "basket") for state in states.values()),
        _left_out(states, days),
        states,
        days,
        booked,
    )


def usual_service(db: Rows, household_id: int, today: date) -> int | None:
    """The service at which the household has its next booked meal, if it has one."""
    service_id: int | None = run(db, _NEXT_BOOKED, household_id=household_id, today=today).scalar()
    return service_id


def _place_of(db: Rows, household_id: int, service_id: int, now: datetime) -> Place:
    for place in places_of(db, household_id, paris_day(now)):
        if place.service_id == service_id:
            return place
    raise NotFound


def _check(wish: Wish, today: date) -> None:
    if not wish.children:
        raise Refusal(_("Choisissez au moins un enfant."))
    if not today <= wish.first <= today + LONGEST:
        raise Refusal(_("Choisissez une date à partir d’aujourd’hui, dans les onze mois qui viennent."))
    if wish.pattern is not None and not wish.pattern.weekdays:
        raise Refusal(_("Cochez au moins un jour de la semaine, ou choisissez « Ne plus manger »."))


def _check_weekdays(wish: Wish, place: Place) -> None:
    asked = wish.pattern.weekdays if wish.pattern is not None else frozenset()
    shut = [words for number, words in WEEKDAYS if number in asked and str(number) not in place.weekdays]
    if shut:
        facts = {"service": place.service_name, "days": listing(shut)}
        raise Refusal(_("%(service)s : pas de service les %(days)s. Décochez ces jours.", **facts))


def _is_wanted(wish: Wish, meal: Meal) -> bool:
    return wish.pattern is not None and wish.pattern.means(meal)


def _booked(
    db: Rows, stretch: Mapping[str, object], wish: Wish, names: Mapping[int, str], now: datetime
) -> tuple[list[Ended], list[Due], frozenset[Meal]]:
    """Of the household's own meals: those that end, those that stay although they are not wanted, and all of them."""
    ended: list[Ended] = []
    due: list[Due] = []
    booked = set()
    for key, child_id, day, state, credit_cents, deadline_at in run(db, _OWN, **stretch):
        meal = Meal(child_id, day)
        if child_id not in wish.children:
            continue
        booked.add(meal)
        if _is_wanted(wish, meal):
            continue
        why = why_not_cancelled(state, names[child_id], day_long(day), deadline_at, now)
        if why is None:
            ended.append(Ended(key, meal, credit_cents))
        else:
            due.append(Due(meal, why))
    return ended, due, frozenset(booked)


def _left_out(states: Mapping[Meal, CellState], days: Mapping[date, Day]) -> list[str]:
    """Why days of the pattern are left out. What would cost the late price, or takes the place of a meal that was given back,
    is never put into the basket by itself."""
    left = [meal for meal, state in states.items() if state not in (*BOOKABLE, "booked", "basket")]
    sentences = skipped(left, days, states)
    late = sum(state == "surcharge" for state in states.values())
    if late:
        sentences.append(_("%(count)d repas : hors délai, encore possible au prix majoré par « Réserver »", count=late))
    freed = sum(state == "freed" for state in states.values())
    if freed:
        sentences.append(_("%(count)d repas : hors délai, un repas rendu est disponible par « Réserver »", count=freed))
    return sentences


class Done(NamedTuple):
    """What a change has done."""

    cancelled: int
    credit_cents: int
    removed: int
    added: int
    stopped: bool
    """Whether the children eat no more from then on."""


def change_from(db: Session, buyer: Buyer, wish: Wish, seen: Seen, now: datetime) -> Done | None:
    """Cancel, credit and fill the basket, all of it or nothing; what was done, or nothing when it was done already. From that
    day on nobody is reminded of the days that were usual before; stopping does so even where nothing is booked.

    Raises what `plan_change` does, `NothingToChange`, `PaymentUnderWay`, `TooManyMeals`, and `ChangeMoved` with a sentence
    for each difference when this is not what the family saw.
    """
    # The basket comes first, as everywhere: of two tabs, the second one plans on what the first one left.
    regie_id = _place_of(db, buyer.household_id, wish.service_id, now).regie_id
    basket = cart.operations.lock_live_basket(db, buyer.household_id, regie_id, now)
    plan = plan_change(db, buyer.household_id, wish, now)
    if plan.moves != seen:
        if _is_done(plan, seen):
            return None
        raise ChangeMoved(differences(plan, seen))
    if not seen and wish.pattern is not None:
        raise NothingToChange
    if plan.removed:
        cart.operations.remove_lines(db, buyer.household_id, list(plan.removed.values()), now)
    if plan.ended:
        # It locks the orders and days and looks at each meal again: one may have been cancelled elsewhere meanwhile.
        ids = [meal.reservation_id for meal in plan.ended]
        try:
            cancel_reservations(db, buyer, ids, plan.credit_cents, now)
        except CannotCancel as refusal:
            raise ChangeMoved(refusal.problems) from refusal
    if plan.added:
        left = basket._replace(lines=basket.lines - len(plan.removed))
        cart.operations.add_lines(db, left, [meal.line for meal in plan.added])
    if seen:
        follow_who_eats(db, buyer.household_id, now)
    note_other_days(db, buyer.household_id, wish.children, wish.service_id, wish.first, now)
    return Done(len(plan.ended), plan.credit_cents, len(plan.removed), len(plan.added), wish.pattern is None)


def _is_done(plan: Change, seen: Seen) -> bool:
    """Whether the change that was seen is how things are: the same click came before."""
    if plan.moves or not seen:
        return False
    for key in seen:
        meal = read_meal(key[1:])
        if meal is None or (key[0] == "a" and meal in plan.booked):
            return False
        if key[0] == "n" and plan.states.get(meal) not in ("booked", "basket"):
            return False
    return True


UNAVAILABLE: tuple[CellState, ...] = (
    *("full", "waiting", "late", "closed", "no_tariff", "spoken", "pai", "booked", "eaten", "surcharge", "freed"),
    *("there", "away", "away_booked"),
)
"""States of which `why_not` says why a meal that was to be added is not."""


def differences(plan: Change, seen: Seen) -> list[str]:
    """A sentence for each meal that would move otherwise than the family saw; of many, the first ones and how many more."""
    moves, sentences = plan.moves, []
    stay = {meal.meal: meal.why for meal in plan.due}
    for key in sorted(moves.keys() | seen.keys(), key=lambda key: (key[1:].partition(".")[2], key)):
        now_is, was = moves.get(key), seen.get(key)
        meal = read_meal(key[1:])
        if now_is == was or meal is None:
            continue
        who = plan.names.get(meal.beneficiary_id)
        if who is None:
            raise NotFound
        facts = {"who": who, "day": day_long(meal.day)}
        if now_is is not None and was is not None:
            amounts = {"now": format_euros(now_is), "was": format_euros(was)}
            sentences.append(_("%(who)s, %(day)s : %(now)s au lieu de %(was)s.", **facts, **amounts))
        elif now_is is not None:
            sentences.append(_APPEARS[key[0]] % (facts | {"cents": format_euros(now_is)}))
        elif key[0] == "n" and plan.states.get(meal) in UNAVAILABLE:
            sentences.append(why_not(plan.states[meal], who, plan.days[meal.day]))
        else:
            sentences.append(stay.get(meal) or _VANISHES[key[0]] % facts)
    more = len(sentences) - MOST_DIFFERENCES
    if more > 0:
        sentences[MOST_DIFFERENCES:] = [ngettext("Et un autre repas.", "Et %(count)s autres repas.", more)]
    return sentences


_APPEARS = {
    "a": _("%(who)s, %(day)s : ce repas serait aussi annulé, %(cents)s recrédités."),
    "p": _("%(who)s, %(day)s : ce repas quitterait aussi le panier."),
    "n": _("%(who)s, %(day)s : ce repas s’ajouterait au panier, à %(cents)s."),
}
_VANISHES = {
    "a": _("%(who)s, %(day)s : ce repas est déjà annulé."),
    "p": _("%(who)s, %(day)s : ce repas n’est plus dans le panier."),
    "n": _("%(who)s, %(day)s : ce repas est déjà dans le panier."),
}
