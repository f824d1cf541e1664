"""A catalogue goes out as a file and comes back the same."""

from dataclasses import replace

import pytest
from flask import Flask

from catalog.export import read_catalogue, write_town
from catalog.operations import import_town
from catalog.rules.policies import Blocking
from catalog.town import PlacesEntry, Town, read_town
from demo.files import the_town
from demo.published import published_towns
from shop.clock import StoppedClock
from tests.catalog.made import read
from tests.conftest import OpenSession, as_typed

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


@pytest.fixture
def limited() -> Town:
    """The demo town with places for two schools, and offers of six hours."""
    town = replace(TOWNS["demo"], cases=())
    commune = town.communes[0]
    canteen = commune.services[0]
    canteen = replace(
        canteen,
        places=tuple(PlacesEntry(school.name, 40) for school in commune.schools[:2]),
        policies=replace(canteen.policies, offer_hours=6),
    )
    commune = replace(commune, services=(canteen, *commune.services[1:]))
    return replace(town, communes=(commune, *town.communes[1:]))


def test_places_of_schools_and_offers_go_out_and_come_back(
    limited: Town, write: OpenSession, clock: StoppedClock
) -> None:
    assert read_town(write_town(limited), "export.toml") == limited
    with write() as db:
        import_town(db, limited, clock.now())
    with write() as db:
        again = read_town(write_town(read_catalogue(db, limited.regie.slug)), "export.toml")
        assert again == limited
        assert not import_town(db, again, clock.now()).changed


def test_what_makes_bookings_wait_goes_out_and_comes_back(write: OpenSession, clock: StoppedClock) -> None:
    town = replace(TOWNS["demo"], cases=())
    commune = town.communes[0]
    first = commune.services[0]
    waiting = replace(
        first,
        policies=replace(first.policies, blocking=Blocking(48, True, 30)),
        tariffs=(replace(first.tariffs[0], pai=True), *first.tariffs[1:]),
    )
    changed = replace(town, communes=(replace(commune, services=(waiting, *commune.services[1:])), *town.communes[1:]))
    assert read_town(write_town(changed), "export.toml") == changed
    with write() as db:
        import_town(db, town, clock.now())
    with write() as db:
        lines = import_town(db, changed, clock.now()).lines
        told = as_typed("\n".join(lines))
        assert "PAI demandé : non → oui" in told
        assert "Un montant dû depuis plus de 48" in told
        assert "Une facture échue depuis plus de 30" in told
    with write() as db:
        assert not import_town(db, changed, clock.now()).changed
        assert read_catalogue(db, town.regie.slug) == changed


def test_an_unknown_regie_is_a_sentence(app: Flask) -> None:
    answer = app.test_cli_runner().invoke(args=["catalog", "export", "nulle-part"])
    assert (answer.exit_code, "Régie inconnue" in answer.output) == (1, True)
