"""Pages on which meals are chosen."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from accounts.queries import owns_beneficiaries
from cart import grid, operations, waiting
from cart.days import days_between
from cart.errors import (
    AlreadyWaiting,
    BookingWaits,
    CannotWait,
    MealsRefused,
    NothingChosen,
    PaymentUnderWay,
    TooManyMeals,
)
from cart.families import terms_of
from cart.periods import Period, read_period, usual_periods, weekdays
from cart.places import Place, Request, between, find_place, places_of, requests_of
from cart.quotes import Terms, asks_who_eats
from cart.repricing import follow_who_eats
from cart.rules import (
    MOST_MEALS,
    CellState,
    Child,
    Day,
    Meal,
    Pattern,
    Taken,
    Wait,
    as_last_week,
    can_be_had,
    cell_state,
    choose,
    day_state,
    had,
    lacking_words,
    leave_to_the_first,
    monday_of,
    price_of,
    read_meal,
    right_on,
    skipped,
    until_the_holidays,
    who_eats,
    without_right,
)
from cart.ticks import near, read_ticks, write_ticks
from cart.waits import why_waiting
from shop.access import found_again_at, open_to, the_household_id, the_visitor
from shop.clock import paris_day, request_now
from shop.database import rows, transaction
from shop.errors import NotFound
from shop.french import day_long, day_plain, listing
from shop.statements import Rows
from shop.web import whole_number
from shop.words import gettext as _
from shop.words import ngettext, of_service

blueprint = Blueprint("cart", __name__)
LONGEST_CODE = 20
"""Letters of a period's code."""


@blueprint.get("/reserver", endpoint="choose")
@open_to("parents")
def choose_service() -> str | Response:
    """The services that the family may book; the only one is opened at once."""
    with rows() as db:
        places = places_of(db, the_household_id(), paris_day(request_now()))
        requests = [] if places else requests_of(db, the_household_id())
    if len(places) == 1:
        return redirect(url_for("cart.book", commune=places[0].commune_slug, service=places[0].service_slug))
    return render_template("cart/choose.html", places=places, waits=_what_waits(requests))


def _what_waits(requests: Sequence[Request]) -> list[str]:
    """A sentence for those whose request was sent on one day, and for those of whom a paper is asked."""
    names: dict[tuple[str, date], list[str]] = {}
    for request_ in requests:
        day = paris_day(request_.requested_at)
        names.setdefault((request_.state, day), []).append(request_.first_name)
    sentences = []
    for (state, day), found in names.items():
        who = list(dict.fromkeys(found))
        facts = {"who": listing(who), "day": day_plain(day).rsplit(" ", 1)[0]}
        if state == "to_complete":
            sentences.append(
                ngettext(
                    "La mairie attend un complément à votre demande pour %(who)s (envoyée le %(day)s).",
                    "La mairie attend un complément à vos demandes pour %(who)s (envoyées le %(day)s).",
                    len(who),
                    **facts,
                )
            )
        else:
            sentences.append(
                ngettext(
                    "Votre demande pour %(who)s attend la validation de la mairie (envoyée le %(day)s).",
                    "Vos demandes pour %(who)s attendent la validation de la mairie (envoyées le %(day)s).",
                    len(who),
                    **facts,
                )
            )
    return sentences


@dataclass
class Choice:
    """What the booking page knows: the service, the stretch of days, the children, what is taken, what is ticked."""

    place: Place
    period: Period
    today: date
    now: datetime
    holidays_end: date
    year_end: date
    children: Mapping[int, Child]
    days: Mapping[date, Day]
    taken: Mapping[Meal, Taken]
    ticked: set[Meal]
    terms: Terms
    waits: Wait | None
    """Why nothing new can be booked until an amount due is settled or an invoice paid."""
    papers: list[str]
    """Of children whose PAI does not cover all days shown."""
    ended: list[str]
    """Of children whose enrolment has ended."""

    def state_of(self, meal: Meal) -> CellState:
        """The state of the box of a meal of the family on a service day."""
        child, day = self.children[meal.beneficiary_id], self.days[meal.day]
        lacking = without_right(right_on(child, meal.day), meal.day)
        return cell_state(day_state(day, self.now), lacking, self.taken.get(meal))

    def is_free(self, meal: Meal) -> bool:
        """Whether the box of this meal can be ticked."""
        day, child = self.days.get(meal.day), self.children.get(meal.beneficiary_id)
        if day is None or child is None:
            return False
        return can_be_had(child, day, self.taken, self.now)

    def cents(self, meal: Meal, eating: Mapping[date, Collection[int]]) -> int:
        """What a meal whose box can be ticked costs; `eating` names who of the family eats when."""
        right = right_on(self.children[meal.beneficiary_id], meal.day)
        if right is None:
            return 0
        late = day_state(self.days[meal.day], self.now) == "surcharge"
        return price_of(right, self.terms, meal, eating, late).cents


def _load(
    db: Rows, household_id: int, commune: str, service: str, code: str | None, ticked: set[Meal], now: datetime
) -> Choice:
    today = paris_day(now)
    found = find_place(db, household_id, commune, service, today)
    if found is None:
        raise NotFound
    place, season, family = found
    holidays_end = until_the_holidays(today, season.holidays_start, season.year_end)
    year_end = season.year_end or holidays_end
    asked = read_period(code, today, holidays_end, year_end)
    periods = [asked] if asked else usual_periods(today)
    ticked_days = [meal.day for meal in ticked]
    first, last = min([max(periods[0].first, today), *ticked_days]), max([periods[-1].last, *ticked_days])
    shared = any(child.shared for child in family)
    days, taken = days_between(db, household_id, place.service_id, first, last, now, shared)
    period = _first_to_book(periods, days, family, taken, now)
    children = between(family, min([max(period.first, today), *ticked_days]), max([period.last, *ticked_days]))
    terms = terms_of(db, household_id, place, children)
    waits = why_waiting(db, household_id, [place], now)
    lacking = lacking_words(family, max(period.first, today), period.last, today)
    return Choice(
        place, period, today, now, holidays_end, year_end, children, days, taken, ticked, terms, waits, *lacking
    )


def _first_to_book(
    periods: Sequence[Period],
    days: Mapping[date, Day],
    family: Sequence[Child],
    taken: Mapping[Meal, Taken],
    now: datetime,
) -> Period:
    """The first period in which somebody can still be booked; the last where there is none before it."""
    for period in periods[:-1]:
        ahead = [day for day in days.values() if period.first <= day.day <= period.last]
        if any(can_be_had(child, day, taken, now) for day in ahead for child in family):
            return period
    return periods[-1]


def _page(
    choice: Choice,
    problems: Sequence[str] = (),
    kept: int = 0,
    lost: Sequence[str] = (),
    to_basket: bool = False,
    left_out: Sequence[str] = (),
    joined: str | None = None,
) -> str:
    form = request.form if request.method == "POST" else MultiDict[str, str]()
    heads = grid.columns(choice.children, choice.terms.family.pupils)
    calendar = grid.calendar(
        choice.period,
        choice.days,
        choice.children,
        heads,
        choice.taken,
        choice.ticked,
        choice.terms,
        choice.now,
        choice.today,
    )
    free = sorted((meal for meal in choice.ticked if choice.is_free(meal)), key=lambda meal: (meal.day, meal[0]))
    eating = who_eats({*free, *had(choice.taken)})
    costs = {meal: choice.cents(meal, eating) for meal in free}
    shown = {row.words.iso for week in calendar.weeks for row in week.rows} if free else set()
    carried = [
        (meal.code, f"{choice.children[meal[0]].name}, {day_long(meal.day)}", costs[meal])
        for meal in free
        if meal.day.isoformat() not in shown
    ]
    first = max(choice.period.first, choice.today).isoformat()
    return render_template(
        "cart/book.html",
        place=choice.place,
        period=choice.period,
        weeks=calendar.weeks,
        looks=calendar.looks,
        write_days=grid.write_days,
        columns=heads,
        weekdays=weekdays(choice.place.weekdays),
        holidays_end=choice.holidays_end,
        year_end=choice.year_end,
        left_out=[of_service(words, choice.place.kind) for words in left_out],
        chosen_children=form.getlist("enfants"),
        chosen_weekdays=form.getlist("jours"),
        chosen_weeks=form.get("semaines", ""),
        bulk=bool(form.get("cocher")),
        carried=carried,
        meals=len(free),
        cents=sum(costs.values()),
        this_month=f"mois:{first[:7]}",
        this_week=f"semaine:{first}",
        joined=joined,
        kept_places=[
            f"{choice.children[meal.beneficiary_id].name}, {day_long(meal.day)}"
            for meal, what in sorted(choice.taken.items(), key=lambda pair: pair[0].day)
            if what == "offered" and meal.beneficiary_id in choice.children
        ],
        problems=[of_service(words, choice.place.kind) for words in problems],
        to_basket=to_basket,
        kept=kept,
        lost=[of_service(words, choice.place.kind) for words in lost],
        two_homes=any(child.shared for child in choice.children.values()),
        waits=choice.waits,
        papers=choice.papers,
        ended=choice.ended,
        by_who_eats=any(asks_who_eats(right.grid) for child in choice.children.values() for right in child.rights),
        late="late" in calendar.stages,
        freed="freed" in calendar.stages,
        freed_then_late=choice.terms.policies.late is not None,
    )


@blueprint.get("/reserver/<commune>/<service>")
@open_to("parents")
def book(commune: str, service: str) -> str:
    """The calendar of a service: one box a child and day; those ticked that were before one had to sign in again."""
    now = request_now()
    ticked = read_ticks(request.args.get("coches", ""), paris_day(now))
    with rows() as db:
        choice = _load(db, the_household_id(), commune, service, request.args.get("periode"), ticked, now)
    kept, lost = _what_came_back(choice)
    return _page(choice, kept=kept, lost=lost)


def _what_came_back(choice: Choice) -> tuple[int, list[str]]:
    """Of the ticks that came with the address: how many are there still, and a sentence for each that cannot be had any
    more. A child of another family, which was signed in before, is not spoken of."""
    if not choice.ticked:
        return 0, []
    own = {
        meal
        for meal in choice.ticked
        if meal.beneficiary_id in choice.children and choice.taken.get(meal) not in ("booked", "eaten", "basket", "off")
    }
    lines, lost = choose(own, choice.children, choice.days, choice.taken, choice.terms, choice.now)
    return len(lines), lost


def _ticked_in_form() -> set[Meal]:
    """The meals that the form names. Raises `NotFound` for what no page of ours ever offers, `TooManyMeals`."""
    codes = request.form.getlist("repas")
    if len(codes) > MOST_MEALS:
        raise TooManyMeals(MOST_MEALS)
    meals = [meal for meal in map(read_meal, codes) if meal is not None]
    if len(meals) < len(codes):
        raise NotFound
    return near(meals, paris_day(request_now()))


def _period_asked_for() -> str | None:
    """The code of the period that a button of the form turns to, or else of the one that it was sent from."""
    if request.form.get("cocher") in ("vacances", "annee"):
        return request.form["cocher"]
    code = request.form.get("aller") or request.args.get("periode")
    return code if code and len(code) <= LONGEST_CODE else None


def _with_its_ticks(commune: str, service: str) -> str:
    """The address of the calendar with what is ticked in the form."""
    codes = request.form.getlist("repas")
    meals = [meal for meal in map(read_meal, codes) if meal is not None] if len(codes) <= MOST_MEALS else []
    ticks = write_ticks(meals, paris_day(request_now()))
    return url_for("cart.book", commune=commune, service=service, periode=_period_asked_for(), coches=ticks or None)


@blueprint.post("/reserver/<commune>/<service>")
@open_to("parents")
@found_again_at(_with_its_ticks)
def choose_meals(commune: str, service: str) -> str | Response | tuple[str, int]:
    """Tick many boxes at once, turn to another month, or put the ticked meals into the basket."""
    ticked, code, bulk = _ticked_in_form(), _period_asked_for(), request.form.get("cocher")
    if "attendre" in request.form:
        return _wait(commune, service, ticked, code)
    if bulk or "aller" in request.form:
        with rows() as db:
            choice = _load(db, the_household_id(), commune, service, code, ticked, request_now())
            before = _last_week(db, choice) if bulk == "comme" else set()
        if problem := _means_nothing(bulk or "", before):
            return _page(choice, [problem]), 422
        return _page(choice, left_out=_tick(choice, bulk or "", before))
    try:
        return _add(commune, service, ticked)
    except (MealsRefused, NothingChosen, TooManyMeals, PaymentUnderWay, BookingWaits) as refusal:
        with rows() as db:
            choice = _load(db, the_household_id(), commune, service, code, ticked, request_now())
        sentences = [refusal.sentence, *(refusal.problems if isinstance(refusal, MealsRefused) else [])]
        if isinstance(refusal, BookingWaits):
            # The page says itself what it waits for.
            sentences = [_("Rien n’a été ajouté à votre panier.")]
        return _page(choice, sentences, to_basket=isinstance(refusal, PaymentUnderWay)), refusal.status


def _wait(commune: str, service: str, ticked: set[Meal], code: str | None) -> str | tuple[str, int]:
    """Put a child on the waiting list of a day; what is ticked stays ticked."""
    household_id, now, meal = the_household_id(), request_now(), read_meal(request.form["attendre"])
    if meal is None:
        raise NotFound
    problems, joined, status = [], None, 200
    try:
        with transaction() as db:
            found = find_place(db, household_id, commune, service, paris_day(now))
            if found is None:
                raise NotFound
            place, _season, family = found
            children = {child.id: child for child in family}
            if meal.beneficiary_id not in children:
                raise NotFound
            if (waits := why_waiting(db, household_id, [place], now)) is not None:
                raise BookingWaits(waits.sentence)
            waiting.join(db, household_id, the_visitor().account_id, place.service_id, children, meal, now)
            joined = _(
                "%(who)s est sur la liste d’attente du %(day)s.",
                who=children[meal.beneficiary_id].name,
                day=day_long(meal.day),
            )
    except BookingWaits as refusal:
        # The page says itself what it waits for.
        status = refusal.status
    except (AlreadyWaiting, CannotWait) as refusal:
        problems, status = [refusal.sentence], refusal.status
    with rows() as db:
        choice = _load(db, household_id, commune, service, code, ticked, now)
    return _page(choice, problems, joined=joined), status


def _last_week(db: Rows, choice: Choice) -> set[Meal]:
    """What the family had in the last week before today in which it had anything, of the last four."""
    monday = monday_of(choice.today)
    first, last = monday - timedelta(days=28), monday - timedelta(days=1)
    _days, taken = days_between(db, the_household_id(), choice.place.service_id, first, last, choice.now)
    meals = had(taken)
    newest = max((monday_of(meal.day) for meal in meals), default=None)
    return {meal for meal in meals if monday_of(meal.day) == newest}


def _means_nothing(bulk: str, before: set[Meal]) -> str | None:
    """Why a button that ticks by weekdays, or as in the last week, speaks of no day at all."""
    if bulk in ("jours", "vacances", "annee") and not request.form.getlist("jours"):
        return _("Cochez d’abord les jours de la semaine que vous voulez, sous « Tous les ».")
    if bulk == "comme" and not before:
        return _("Rien n’était réservé ces quatre dernières semaines : cochez les jours vous-même.")
    return None


def _tick(choice: Choice, bulk: str, before: set[Meal]) -> list[str]:
    """Tick or untick what a button without JavaScript asks for: "tout", "rien", "jours", "vacances", "annee", "comme" (as in
    the last week, `before`), "semaine:<Monday>". A sentence for each reason for which days of a pattern were left out."""
    what, _colon, monday = bulk.partition(":")
    if what == "rien":
        choice.ticked.clear()
        return []
    meant = {
        Meal(child_id, day)
        for day in choice.days
        if choice.today <= day and choice.period.first <= day <= choice.period.last
        for child_id in choice.children
    }
    if what == "semaine":
        meant = {meal for meal in meant if monday_of(meal.day).isoformat() == monday}
    elif what in ("tout", "jours", "vacances", "annee", "comme"):
        asked = _pattern(by_days=what in ("jours", "vacances", "annee"))
        meant = {meal for meal in meant if asked.means(meal)}
        if what == "comme":
            meant = as_last_week(meant, before)
    else:
        return []
    free = {meal for meal in meant if choice.is_free(meal)}
    free = leave_to_the_first(free, choice.ticked, choice.days, choice.now)
    # A week's button works as it does with JavaScript: all ticked already means untick.
    if what == "semaine" and free <= choice.ticked:
        choice.ticked -= free
        return []
    choice.ticked |= free
    left = meant - free
    return skipped(sorted(left), choice.days, {meal: choice.state_of(meal) for meal in left})


def _pattern(by_days: bool) -> Pattern:
    """The pattern that the form means."""
    numbers = {
        name: frozenset(filter(None, map(whole_number, request.form.getlist(name)))) for name in ("enfants", "jours")
    }
    weeks = request.form.get("semaines", "")
    return Pattern(
        numbers["enfants"],
        # No weekday chosen means none, not all.
        (numbers["jours"] or frozenset({0})) if by_days else frozenset(),
        cast("Any", weeks) if by_days and weeks in ("paires", "impaires") else "",
    )


def _add(commune: str, service: str, ticked: set[Meal]) -> Response:
    if not ticked:
        raise NothingChosen
    household_id, now = the_household_id(), request_now()
    first, last = min(meal.day for meal in ticked), max(meal.day for meal in ticked)
    with transaction() as db:
        found = find_place(db, household_id, commune, service, paris_day(now))
        if found is None:
            raise NotFound
        place, _season, family = found
        waits = why_waiting(db, household_id, [place], now)
        if waits is not None:
            raise BookingWaits(waits.sentence)
        basket = operations.lock_live_basket(db, household_id, place.regie_id, now)
        children = between(family, first, last)
        strangers = {meal.beneficiary_id for meal in ticked} - children.keys()
        if strangers:
            # Somebody else's child does not exist for this family; its own may have lost its enrolment meanwhile.
            if not owns_beneficiaries(db, household_id, strangers):
                raise NotFound
            raise MealsRefused(
                [
                    _(
                        "L’inscription d’un bénéficiaire à ce service n’est pas ou plus validée : demandez-la dans "
                        "« Mes services »."
                    )
                ]
            )
        shared = any(child.shared for child in family)
        days, taken = days_between(db, household_id, place.service_id, first, last, now, shared)
        terms = terms_of(db, household_id, place, children)
        lines, problems = choose(ticked, children, days, taken, terms, now)
        if problems:
            raise MealsRefused(problems)
        if lines:
            operations.add_lines(db, basket, lines)
            if any(asks_who_eats(right.grid) for child in children.values() for right in child.rights):
                follow_who_eats(db, household_id, now)
    added = (
        ngettext("%(count)s repas ajouté à votre panier.", "%(count)s repas ajoutés à votre panier.", len(lines))
        if lines
        else ngettext(
            "Ce repas était déjà dans votre panier.", "Ces repas étaient déjà dans votre panier.", len(ticked)
        )
    )
    flash(of_service(added, place.kind), "ok")
    return redirect(url_for("checkout.basket"), 303)
