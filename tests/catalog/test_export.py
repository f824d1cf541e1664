"""A catalogue goes out as a file and comes back the same."""

from dataclasses import replace

import pytest
from flask import Flask

from catalog.export import read_catalogue, write_town
from catalog.operations import import_town
from catalog.town import Town, read_town
from demo.files import the_town
from demo.published import published_towns
from shop.clock import StoppedClock
from tests.catalog.made import read
from tests.conftest import OpenSession

FREED = 'freed = { until = { days_before = 0, counted = "calendar", at = "09:00" } }'
TOWNS = {
    "demo": the_town(),
    **{file.stem: town for file, town in published_towns()},
    "meals given back": read(policies=FREED),
}


@pytest.fixture(params=TOWNS, ids=str)
def one(request: pytest.FixtureRequest) -> Town:
    return replace(TOWNS[request.param], cases=())


def test_what_is_written_is_read_back(one: Town) -> None:
    assert read_town(write_town(one), "export.toml") == one


def test_import_export_import_changes_nothing(one: Town, write: OpenSession, clock: StoppedClock) -> None:
    with write() as db:
        import_town(db, one, clock.now())
    with write() as db:
        again = read_town(write_town(read_catalogue(db, one.regie.slug)), "export.toml")
        assert not import_town(db, again, clock.now()).changed
        assert again == one


def test_an_unknown_regie_is_a_sentence(app: Flask) -> None:
    answer = app.test_cli_runner().invoke(args=["catalog", "export", "nulle-part"])
    assert (answer.exit_code, "Régie inconnue" in answer.output) == (1, True)
