"""Decisions about access to services: values in, a value or a refusal out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from enrolments.errors import (
    AlreadyAsked,
    AudienceMismatch,
    MovedOn,
    OwnRequest,
    TwoTariffs,
    YearNotOpen,
)

FIRST_MONTH = 8
"""A school year begins on 1 August."""
NEXT_YEAR_FROM_MONTH = 5
"""From 1 May on, access may be asked for the school year that follows."""
ADULT_AGE = 18

PENDING = ("requested", "to_complete")
NEXT_STATES = {
    "approve": PENDING,
    "refuse": PENDING,
    "ask_paper": PENDING,
    "withdraw": PENDING,
    "complete": ("to_complete",),
    "revoke": ("approved",),
}
"""What may be done to an enrolment, and in which states."""


def school_year_of(day: date) -> int:
    """The school year a day belongs to, named by the civil year in which it begins."""
    return day.year if day.month >= FIRST_MONTH else day.year - 1


def validity(school_year: int) -> tuple[date, date]:
    """First and last day on which an enrolment of that school year counts: 1 August to 31 August of the next year.

    August belongs to two years, so that a summer service is not cut off before the town hall has renewed anything.
    """
    return date(school_year, FIRST_MONTH, 1), date(school_year + 1, 8, 31)


def open_years(today: date) -> tuple[int, ...]:
    """The school years for which access may be asked today: the current one and, from May on, the next."""
    current = school_year_of(today)
    return (current, current + 1) if NEXT_YEAR_FROM_MONTH <= today.month < FIRST_MONTH else (current,)


def year_label(school_year: int) -> str:
    """ "2026–2027"."""
    return f"{school_year}–{school_year + 1}"


def age_on(birth_date: date, day: date) -> int:
    """Whole years lived on `day`."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))


def fits(audience: str, relation: str, birth_date: date | None, day: date) -> bool:
    """Whether a tariff for `audience` ("child" or "adult") is for a beneficiary.

    "Moi-même" is an adult. Anybody else is taken for a child unless the birth date says 18 or more; such a person may
    be either, since a pupil of that age still eats as one.
    """
    if audience == "child":
        return relation != "self"
    return relation == "self" or (birth_date is not None and age_on(birth_date, day) >= ADULT_AGE)


@dataclass(frozen=True)
class Person:
    """A beneficiary as a request needs it."""

    beneficiary_id: int
    name: str
    relation: str
    birth_date: date | None


@dataclass(frozen=True)
class Standing:
    """An enrolment of the household for the same service that is pending or approved."""

    beneficiary_id: int
    tariff_id: int
    tariff_label: str
    school_year: int
    state: str


def check_request(
    audience: str,
    tariff_id: int,
    persons: Sequence[Person],
    standing: Sequence[Standing],
    school_year: int,
    today: date,
) -> None:
    """Raises the refusal of a request that makes no sense, naming everybody it is about.

    Another tariff of a service may be asked for while one is approved (the new one will replace it), but not while one
    is waiting: the clerk would have to guess which of the two is meant.
    """
    if school_year not in open_years(today):
        raise YearNotOpen(school_year)
    misfits = [person.name for person in persons if not fits(audience, person.relation, person.birth_date, today)]
    if misfits:
        raise AudienceMismatch(misfits, audience)
    names = {person.beneficiary_id: person.name for person in persons}
    for row in standing:
        if row.beneficiary_id not in names or row.school_year != school_year:
            continue
        if row.state in PENDING or row.tariff_id == tariff_id:
            raise AlreadyAsked(names[row.beneficiary_id], row.tariff_label, row.state)


@dataclass(frozen=True)
class Case:
    """An enrolment as a decision finds it, under its lock."""

    enrolment_id: int
    household_id: int
    beneficiary_id: int
    service_id: int
    school_year: int
    state: str
    name: str

    @property
    def place(self) -> tuple[int, int, int, int]:
        """What admits one approved tariff only."""
        return self.household_id, self.beneficiary_id, self.service_id, self.school_year


def check_decision(verb: str, cases: Sequence[Case], own_household_ids: Collection[int] = ()) -> None:
    """Raises the refusal of a decision: one's own family, or a state that has moved on meanwhile. All or nothing."""
    if any(case.household_id in own_household_ids for case in cases):
        raise OwnRequest
    moved = [(case.name, case.state) for case in cases if case.state not in NEXT_STATES[verb]]
    if moved:
        raise MovedOn(moved)


def check_single_tariff(cases: Sequence[Case]) -> None:
    """Raises the refusal when two of the requests to approve are for the same child, service and year."""
    seen: set[tuple[int, int, int, int]] = set()
    for case in cases:
        if case.place in seen:
            raise TwoTariffs(case.name)
        seen.add(case.place)
