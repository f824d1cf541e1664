"""Decisions about access to services, values in and out."""

from datetime import date

import pytest

from enrolments import rules
from enrolments.errors import AlreadyAsked, AudienceMismatch, MovedOn, OwnRequest, TwoTariffs, YearNotOpen
from enrolments.mails import _names
from enrolments.models import STATES

TODAY = date(2026, 11, 19)
LOUANE = rules.Person(1, "Louane Dupont", "mother", date(2018, 5, 10))
MYSELF = rules.Person(2, "Camille Dupont", "self", None)


@pytest.mark.parametrize(
    ("day", "year"),
    [
        (date(2026, 7, 31), 2025),
        (date(2026, 8, 1), 2026),
        (date(2026, 12, 31), 2026),
        (date(2027, 1, 1), 2026),
    ],
)
def test_a_school_year_begins_on_the_first_of_august(day: date, year: int) -> None:
    assert rules.school_year_of(day) == year


@pytest.mark.parametrize(
    ("day", "years"),
    [
        (date(2026, 11, 19), (2026,)),
        (date(2027, 4, 30), (2026,)),
        (date(2027, 5, 1), (2026, 2027)),
        (date(2027, 7, 31), (2026, 2027)),
        (date(2027, 8, 1), (2027,)),
    ],
)
def test_the_next_year_opens_in_may(day: date, years: tuple[int, ...]) -> None:
    assert rules.open_years(day) == years


def test_an_enrolment_counts_from_august_to_august() -> None:
    assert rules.validity(2026) == (date(2026, 8, 1), date(2027, 8, 31))


@pytest.mark.parametrize(
    ("birth", "day", "age"),
    [
        (date(2018, 5, 10), date(2026, 5, 9), 7),
        (date(2018, 5, 10), date(2026, 5, 10), 8),
        (date(2008, 2, 29), date(2026, 2, 28), 17),
        (date(2008, 2, 29), date(2026, 3, 1), 18),
    ],
)
def test_age(birth: date, day: date, age: int) -> None:
    assert rules.age_on(birth, day) == age


@pytest.mark.parametrize(
    ("audience", "relation", "birth", "expected"),
    [
        ("child", "mother", date(2018, 5, 10), True),
        ("child", "mother", None, True),
        ("child", "self", None, False),
        ("adult", "self", None, True),
        ("adult", "mother", date(2018, 5, 10), False),
        ("adult", "other", None, False),
        ("adult", "other", date(1980, 1, 1), True),
        ("adult", "other", date(2008, 11, 20), False),
        ("adult", "other", date(2008, 11, 19), True),
    ],
)
def test_for_whom_a_tariff_is(audience: str, relation: str, birth: date | None, expected: bool) -> None:
    assert rules.fits(audience, relation, birth, TODAY) is expected


def test_a_request_names_everybody_whom_the_tariff_does_not_fit() -> None:
    theo = rules.Person(3, "Théo Dupont", "mother", None)
    with pytest.raises(AudienceMismatch) as refused:
        rules.check_request("adult", 9, [LOUANE, theo, MYSELF], [], 2026, TODAY)
    assert refused.value.names == ["Louane Dupont", "Théo Dupont"]
    assert "Louane Dupont et Théo Dupont" in refused.value.sentence
    with pytest.raises(AudienceMismatch, match="réservé aux enfants"):
        rules.check_request("child", 9, [MYSELF], [], 2026, TODAY)


@pytest.mark.parametrize("year", [2025, 2027, 0, 99999])
def test_a_request_for_a_year_that_is_not_open(year: int) -> None:
    with pytest.raises(YearNotOpen):
        rules.check_request("child", 9, [LOUANE], [], year, TODAY)


@pytest.mark.parametrize(
    ("tariff_id", "year", "beneficiary_id", "state", "refused"),
    [
        (9, 2026, 1, "requested", True),
        (9, 2026, 1, "to_complete", True),
        (9, 2026, 1, "approved", True),
        (8, 2026, 1, "requested", True),  # another tariff of the service is waiting
        (8, 2026, 1, "approved", False),  # a change of tariff
        (9, 2025, 1, "approved", False),
        (9, 2026, 7, "approved", False),
    ],
)
def test_what_stands_in_the_way(tariff_id: int, year: int, beneficiary_id: int, state: str, refused: bool) -> None:
    standing = [rules.Standing(beneficiary_id, tariff_id, "Hors commune", year, state)]
    if refused:
        with pytest.raises(AlreadyAsked, match="Louane Dupont"):
            rules.check_request("child", 9, [LOUANE], standing, 2026, TODAY)
    else:
        rules.check_request("child", 9, [LOUANE], standing, 2026, TODAY)


@pytest.mark.parametrize(
    ("first_names", "words"),
    [
        (["Tom"], "Tom"),
        (["Tom", "Léo", "Inès"], "Tom, Léo et Inès"),
        (["Tom", "Léo", "Inès", "Zoé"], "Tom, Léo et 2 autres"),
        (["Tom", "Tom"], "Tom"),
        ([""], "Tom Petit"),
    ],
)
def test_whom_a_letter_is_about(first_names: list[str], words: str) -> None:
    things = [{"name": f"{name or 'Tom'} Petit", "first_name": name} for name in first_names]
    assert _names({"things": things}) == words


def case(state: str, household_id: int = 1, beneficiary_id: int = 1) -> rules.Case:
    return rules.Case(5, household_id, beneficiary_id, 3, 2026, state, "Louane Dupont")


@pytest.mark.parametrize("verb", rules.NEXT_STATES)
@pytest.mark.parametrize("state", STATES)
def test_what_may_be_done_in_which_state(verb: str, state: str) -> None:
    allowed = {
        "approve": {"requested", "to_complete"},
        "refuse": {"requested", "to_complete"},
        "ask_paper": {"requested", "to_complete"},
        "withdraw": {"requested", "to_complete"},
        "complete": {"to_complete"},
        "revoke": {"approved"},
    }
    if state in allowed[verb]:
        rules.check_decision(verb, [case(state)])
    else:
        with pytest.raises(MovedOn) as refused:
            rules.check_decision(verb, [case(state)])
        assert refused.value.moved == (("Louane Dupont", state),)


def test_nobody_decides_about_his_own_family() -> None:
    with pytest.raises(OwnRequest):
        rules.check_decision("approve", [case("requested", household_id=4), case("requested")], own_household_ids=[4])


def test_two_tariffs_of_one_service_for_one_child() -> None:
    with pytest.raises(TwoTariffs):
        rules.check_single_tariff([case("requested"), case("requested")])
    rules.check_single_tariff([case("requested"), case("requested", beneficiary_id=2)])
