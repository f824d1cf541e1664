"""Two clerks, a clerk and a family, ten clicks: the first decides, the others are told; on both databases, with controls."""

from collections.abc import Callable, Collection

import pytest
from flask import Flask

from enrolments import operations
from enrolments.operations import Desk
from shop.clock import request_now
from shop.database import transaction
from tests.conftest import Cleaner, OpenSession
from tests.enrolments.support import letters_waiting, rows, states
from tests.factory import Family, Person, Town
from tests.races.together import kinds_of_refusal, slow, succeeded, together, without_fences, without_locks

pytestmark = pytest.mark.race

Doing = Callable[[], None]


def asked(town: Town, outside: bool = False, family: Family | None = None) -> tuple[Family, int]:
    """A family with one child and a pending request at Aiguilhe's canteen."""
    family = family or town.family(children=1, approved=False)
    number = town.enrol(family, family.beneficiary_ids[0], town.aiguilhe.canteen, "requested", outside=outside)
    return family, number


def approve(town: Town, clerk: Person, numbers: Collection[int]) -> Doing:
    def approving() -> None:
        with transaction() as db:
            operations.approve(db, numbers, Desk(clerk.account_id, frozenset({town.aiguilhe.id})), request_now())

    return approving


def refuse(town: Town, clerk: Person, numbers: Collection[int]) -> Doing:
    def refusing() -> None:
        with transaction() as db:
            desk = Desk(clerk.account_id, frozenset({town.aiguilhe.id}))
            operations.refuse(db, numbers, desk, "Complet", request_now())

    return refusing


def withdraw(family: Family, number: int) -> Doing:
    def withdrawing() -> None:
        with transaction() as db:
            operations.withdraw(db, family.household_id, number, request_now())

    return withdrawing


def request(town: Town, family: Family) -> Callable[[], list[int]]:
    def requesting() -> list[int]:
        with transaction() as db:
            return operations.request(
                db,
                family.household_id,
                family.account_id,
                town.aiguilhe.canteen.tariff_id,
                family.beneficiary_ids,
                None,
                request_now(),
            )

    return requesting


def test_one_decision_and_one_letter(app: Flask, town: Town, read: OpenSession) -> None:
    clerks = [town.clerk(), town.clerk()]
    for _ in range(5):
        family, number = asked(town)
        with slow(app, "UPDATE enrolments"):
            results = together(
                app,
                [
                    approve(town, clerks[0], [number]),
                    refuse(town, clerks[1], [number]),
                    withdraw(family, number),
                    approve(town, clerks[1], [number]),
                ],
            )
        assert len(succeeded(results)) == 1
        assert kinds_of_refusal(results) == {"MovedOn"}
        letters = [kind for kind, to in letters_waiting(read) if to == family.email]
        expected = {"approved": ["access_approved"], "refused": ["access_refused"], "withdrawn": []}
        assert letters == expected[states(read)[number]]


def test_control_without_locks_both_decide(app: Flask, town: Town) -> None:
    family, number = asked(town)
    with without_locks(app), slow(app, "UPDATE enrolments"):
        results = together(app, [refuse(town, town.clerk(), [number]), withdraw(family, number)])
    assert len(succeeded(results)) == 2


def test_two_tariffs_of_one_child_leave_one(app: Flask, town: Town, read: OpenSession) -> None:
    clerks = [town.clerk(), town.clerk()]
    family, first = asked(town)
    _family, second = asked(town, outside=True, family=family)
    with slow(app, "UPDATE enrolments"):
        results = together(app, [approve(town, clerks[0], [first]), approve(town, clerks[1], [second])])
    # Whoever comes second replaces what the first approved: no error, and never two.
    assert len(succeeded(results)) == 2, results
    assert sorted(states(read).values()) == ["approved", "revoked"]


def test_control_without_locks_the_index_alone_stands_in_the_way(app: Flask, town: Town) -> None:
    clerks = [town.clerk(), town.clerk()]
    family, first = asked(town)
    _family, second = asked(town, outside=True, family=family)
    with without_locks(app), slow(app, "UPDATE enrolments"):
        results = together(app, [approve(town, clerks[0], [first]), approve(town, clerks[1], [second])])
    assert kinds_of_refusal(results) == {"IntegrityError"}


def test_ten_clicks_ask_once(app: Flask, town: Town, read: OpenSession) -> None:
    family = town.family(children=2, approved=False)
    with slow(app, "INSERT INTO enrolments"):
        results = together(app, [request(town, family) for _ in range(10)])
    assert len(succeeded(results)) == 1
    assert kinds_of_refusal(results) == {"AlreadyAsked"}
    assert len(rows(read)) == 2
    assert [kind for kind, _to in letters_waiting(read)] == ["access_requested"]


def test_control_without_the_index_ten_clicks_ask_more_than_once(
    app: Flask, town: Town, read: OpenSession, cleaner: Cleaner
) -> None:
    with without_fences(app, cleaner.clean, "enrolments.uq_enrolments_pending"):
        family = town.family(children=2, approved=False)
        with without_locks(app), slow(app, "INSERT INTO enrolments"):
            together(app, [request(town, family) for _ in range(10)])
        assert len(rows(read)) > 2


def test_forty_at_once_and_one_gone(app: Flask, town: Town, read: OpenSession) -> None:
    """A clerk approves forty while a family withdraws one of them: all or none of the forty."""
    pairs = [asked(town) for _ in range(40)]
    numbers = [number for _family, number in pairs]
    family, number = pairs[20]
    with slow(app, "UPDATE enrolments"):
        results = together(app, [approve(town, town.clerk(), numbers), withdraw(family, number)])
    assert len(succeeded(results)) == 1
    found = set(states(read).values())
    assert found == ({"approved"} if results[0] is None else {"requested", "withdrawn"})
