"""Bringing in a town and its calendar, and keeping the serving days up to date."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from catalog.errors import ImportRefused
from catalog.export import read_catalogue, write_town
from catalog.models import (
    Closure,
    Commune,
    Regie,
    School,
    SchoolLimit,
    SchoolPlace,
    SchoolYear,
    Service,
    ServiceDay,
    Tariff,
    TariffPrice,
)
from catalog.operations import (
    FIELDS,
    describe_moved,
    import_calendar,
    import_town,
    refresh_days,
    refresh_services,
    write_menus,
)
from catalog.rules.deadlines import DeadlineRule
from catalog.rules.policies import Policies
from catalog.town import ClosureEntry, PlacesEntry, PriceEntry, SchoolCalendar, Town, read_school_calendar, read_town
from checkout.waiting import turn
from shop.database import Base
from tests.conftest import BooksHold, as_typed
from tests.factory import Town as FactoryTown

DEMO = Path(__file__).parents[2] / "demo"
NOW = datetime(2026, 11, 19, 7, tzinfo=UTC)
MONDAY = date(2026, 11, 23)

Open = Callable[[], AbstractContextManager[Session]]


@pytest.fixture(scope="module")
def town_file() -> Town:
    return read_town((DEMO / "town.toml").read_text(), "town.toml")


@pytest.fixture(scope="module")
def calendar() -> SchoolCalendar:
    return read_school_calendar((DEMO / "calendar.toml").read_text(), "calendar.toml")


@pytest.fixture
def opened(write: Open, town_file: Town, calendar: SchoolCalendar) -> Open:
    """The demo town's catalogue in the database, its days planned from the autumn on."""
    with write() as db:
        import_town(db, town_file, NOW)
        import_calendar(db, calendar)
        refresh_services(db, list(db.scalars(select(Service.id))), date(2026, 9, 1), NOW)
    return write


def aiguilhe(town: Town, **changes: object) -> Town:
    """The town with something else in Aiguilhe's canteen."""
    commune = town.communes[0]
    service = replace(commune.services[0], **changes)  # type: ignore[arg-type]
    return replace(town, communes=(replace(commune, services=(service, *commune.services[1:])), *town.communes[1:]))


def priced(town: Town, *prices: PriceEntry) -> Town:
    """The town with other prices for the first tariff of Aiguilhe's canteen."""
    tariffs = town.communes[0].services[0].tariffs
    return aiguilhe(town, tariffs=(replace(tariffs[0], prices=prices), *tariffs[1:]))


def as_typed_all(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of a report as they are written here."""
    return tuple(as_typed(line) for line in lines)


def canteen_id(db: Session) -> int:
    """Aiguilhe's canteen."""
    query = select(Service.id).join(Commune, Commune.id == Service.commune_id)
    return db.scalars(query.where(Commune.slug == "aiguilhe", Service.slug == "cantine")).one()


def day_of(db: Session, day: date) -> ServiceDay:
    """A day of Aiguilhe's canteen."""
    query = select(ServiceDay).where(ServiceDay.service_id == canteen_id(db), ServiceDay.day == day)
    return db.scalars(query).one()


def test_the_same_file_twice_changes_nothing(opened: Open, town_file: Town, calendar: SchoolCalendar) -> None:
    with opened() as db:
        assert not import_town(db, town_file, NOW).changed
        assert not import_calendar(db, calendar).changed
        services = list(db.scalars(select(Service.id)))
        reports = refresh_services(db, services, date(2026, 9, 1), NOW).values()
        assert {(report.added, report.changed) for report in reports} == {(0, 0)}


def test_a_change_is_told_and_made(opened: Open, town_file: Town) -> None:
    changed = aiguilhe(town_file, capacity=80, booking=DeadlineRule.of("12:00", weekday_before=4))
    before = "Réservez 2 jours de service avant le repas, avant 10\u00a0h."
    after = "Réservez avant le jeudi 12\u00a0h pour les repas des sept jours qui suivent."
    lines = (
        "~ Aiguilhe / Cantine Aiguilhe : places : rien → 80",
        f"~ Aiguilhe / Cantine Aiguilhe : limite pour réserver : « {before} » → « {after} »",
    )
    with opened() as db:
        assert as_typed_all(import_town(db, changed, NOW).lines) == lines
    with opened() as db:
        service = db.get_one(Service, canteen_id(db))
        assert service.capacity == 80
        assert DeadlineRule.from_json(service.book_rule) == DeadlineRule.of("12:00", weekday_before=4)


@pytest.mark.parametrize("model", [Regie, Commune, School, Service, Tariff, TariffPrice])
def test_a_report_names_every_column_in_french(model: type[Base]) -> None:
    """All but what a row is known by, which no import changes."""
    known_by = {"id", "slug", "code", "valid_from", *(key.parent.name for key in model.__table__.foreign_keys)}
    assert {column.name for column in model.__table__.columns} - known_by <= set(FIELDS)


def test_a_changed_rule_tells_the_days_and_the_open_baskets_before_it_is_written(
    app: Flask, tmp_path: Path, write: Open, town: FactoryTown
) -> None:
    canteen = town.aiguilhe.canteen
    days = canteen.open_days(town.now)
    town.basket(town.family(), canteen, days[:2])
    town.basket(town.family(), canteen, days[4:6])
    file = tmp_path / "ville.toml"
    contact = {"contact_email": "mairie@example.org", "contact_phone": "01 99 00 43 00", "address": "Mairie"}
    with write() as db:
        for model in (Regie, Commune):
            db.execute(update(model).values(contact))
        text = write_town(read_catalogue(db, "agglo"))
    file.write_text(text.replace('at = "10:00"', 'at = "09:00"', 1))
    tried = app.test_cli_runner().invoke(args=["catalog", "import", str(file), "--dry-run"])
    assert tried.exit_code == 0, tried.output
    said = as_typed(tried.output)
    assert "2\u00a0paniers changent." in said
    assert "réserver sam. 21 nov. à 10\u00a0h → sam. 21 nov. à 9\u00a0h" in said
    with write() as db:
        assert read_catalogue(db, "agglo") == read_town(text, "before")


def test_what_the_file_no_longer_holds_is_kept_and_told(opened: Open, town_file: Town) -> None:
    smaller = aiguilhe(
        replace(town_file, communes=town_file.communes[:-1]), tariffs=town_file.communes[0].services[0].tariffs[:1]
    )
    with opened() as db:
        report = import_town(db, smaller, NOW)
        assert as_typed_all(report.lines) == (
            "= Aiguilhe / Cantine Aiguilhe / Hors commune n’est plus dans le fichier : conservé",
            "= Rosières n’est plus dans le fichier : conservé",
        )
        assert not report.changed
        assert db.scalar(select(func.count()).select_from(Tariff).where(Tariff.label == "Hors commune")) == 2


def test_a_price_that_has_begun_never_changes(opened: Open, town_file: Town) -> None:
    with pytest.raises(ImportRefused) as refused, opened() as db:
        import_town(db, priced(town_file, PriceEntry(date(2025, 9, 1), None, 400)), NOW)
    assert "3,80" in refused.value.sentences[0]
    with opened() as db:
        assert not import_town(db, town_file, NOW).changed


def test_a_new_price_follows_the_one_that_ends(opened: Open, town_file: Town) -> None:
    until = date(2026, 12, 31)
    dated = priced(town_file, PriceEntry(date(2025, 9, 1), until, 380), PriceEntry(date(2027, 1, 1), None, 400))
    with opened() as db:
        assert len(import_town(db, dated, NOW).lines) == 2
        prices = db.execute(
            select(TariffPrice.cents, TariffPrice.valid_until)
            .join(Tariff, Tariff.id == TariffPrice.tariff_id)
            .where(Tariff.service_id == canteen_id(db), Tariff.code == "resident-commune")
            .order_by(TariffPrice.valid_from)
        ).all()
        assert [tuple(price) for price in prices] == [(380, until), (400, None)]


def test_a_price_may_not_overlap_one_that_the_file_forgot(opened: Open, town_file: Town) -> None:
    with pytest.raises(ImportRefused), opened() as db:
        import_town(db, priced(town_file, PriceEntry(date(2027, 1, 1), None, 400)), NOW)


def test_days_follow_the_school_calendar(opened: Open) -> None:
    with opened() as db:
        rows = db.execute(
            select(ServiceDay.day, ServiceDay.is_open, ServiceDay.closed_reason)
            .where(ServiceDay.service_id == canteen_id(db))
            .order_by(ServiceDay.day)
        ).all()
    days = {row.day: row for row in rows}
    assert {day.isoweekday() for day in days} == {1, 2, 4, 5}
    assert min(days) == date(2026, 9, 1)
    assert max(days) == date(2028, 7, 3)
    assert date(2027, 7, 5) not in days
    assert days[date(2026, 12, 18)].is_open
    assert days[date(2026, 12, 21)].closed_reason == "Vacances de Noël"
    assert days[date(2027, 3, 29)].closed_reason == "Lundi de Pâques"
    assert days[date(2027, 5, 7)].closed_reason == "Pont de l’Ascension"


def test_the_deadline_is_an_instant_in_paris(opened: Open) -> None:
    with opened() as db:
        # Two serving days before Tuesday 5 January, over the Christmas holidays, at 10 h in winter.
        assert day_of(db, date(2027, 1, 5)).book_deadline_at == datetime(2026, 12, 18, 9, tzinfo=UTC)
        # Over the change to summer time: Easter Monday is no serving day, Friday 26 March is in winter time still.
        assert day_of(db, date(2027, 3, 30)).cancel_deadline_at == datetime(2027, 3, 26, 9, tzinfo=UTC)
        assert day_of(db, date(2027, 4, 1)).cancel_deadline_at == datetime(2027, 3, 30, 8, tzinfo=UTC)


def test_only_days_whose_deadline_is_ahead_are_recomputed(opened: Open, town_file: Town) -> None:
    with opened() as db:
        service_id = canteen_id(db)
        # At 8 h on Thursday 19 November, Monday's deadline (10 h today) is ahead and Friday's has passed.
        friday, monday = (day_of(db, day).book_deadline_at for day in (date(2026, 11, 20), MONDAY))
        assert friday < NOW < monday
        import_town(db, aiguilhe(town_file, booking=DeadlineRule.of("09:00", days_before=1, counted="serving")), NOW)
        report = refresh_days(db, service_id, date(2026, 11, 1), date(2026, 11, 30), NOW)
        assert (report.added, report.changed) == (0, 5)
    with opened() as db:
        assert day_of(db, date(2026, 11, 20)).book_deadline_at == friday
        assert day_of(db, MONDAY).book_deadline_at == datetime(2026, 11, 20, 8, tzinfo=UTC)


def test_a_deadline_that_has_passed_is_never_moved(opened: Open, town_file: Town) -> None:
    with opened() as db:
        db.execute(
            update(ServiceDay)
            .where(ServiceDay.day == MONDAY)
            .values(cancel_deadline_at=datetime(2026, 11, 18, 9, tzinfo=UTC))
        )
        import_town(db, aiguilhe(town_file, capacity=50), NOW)
        refresh_days(db, canteen_id(db), MONDAY, MONDAY, NOW)
    with opened() as db:
        day = day_of(db, MONDAY)
        assert (day.capacity, day.cancel_deadline_at) == (50, datetime(2026, 11, 18, 9, tzinfo=UTC))


def test_the_limit_for_giving_back_follows_the_rule_until_meals_may_have_been_given_back(
    opened: Open, town_file: Town
) -> None:
    freed = Policies(freed=DeadlineRule.of("09:00", days_before=0, counted="calendar"))
    with opened() as db:
        import_town(db, aiguilhe(town_file, policies=freed), NOW)
        report = refresh_days(db, canteen_id(db), MONDAY, MONDAY, NOW)
        assert [day.after["freed_deadline_at"] for day in report.moved] == [datetime(2026, 11, 23, 8, tzinfo=UTC)]
        assert "rendre jamais → lun. 23 nov. à 9" in describe_moved(db, {canteen_id(db): report})[1]
    passed = datetime(2026, 11, 18, 9, tzinfo=UTC)
    with opened() as db:
        db.execute(update(ServiceDay).where(ServiceDay.day == MONDAY).values(cancel_deadline_at=passed))
        import_town(db, aiguilhe(town_file, policies=Policies()), NOW)
        refresh_days(db, canteen_id(db), MONDAY, date(2026, 11, 24), NOW)
    with opened() as db:
        assert day_of(db, MONDAY).freed_deadline_at == datetime(2026, 11, 23, 8, tzinfo=UTC)
        assert day_of(db, date(2026, 11, 24)).freed_deadline_at is None


def test_fewer_places_than_are_taken_leave_none(opened: Open, town_file: Town) -> None:
    with opened() as db:
        db.execute(update(ServiceDay).where(ServiceDay.day == MONDAY).values(booked_count=12))
        import_town(db, aiguilhe(town_file, capacity=10), NOW)
        refresh_days(db, canteen_id(db), MONDAY, date(2026, 11, 24), NOW)
    with opened() as db:
        assert day_of(db, MONDAY).capacity == 12
        assert day_of(db, date(2026, 11, 24)).capacity == 10


def places_on(db: Session, day: date) -> list[tuple[int | None, int]]:
    rows = db.execute(
        select(SchoolPlace.capacity, SchoolPlace.booked_count)
        .join(ServiceDay, ServiceDay.id == SchoolPlace.service_day_id)
        .where(ServiceDay.day == day, ServiceDay.service_id == canteen_id(db))
    )
    return [(capacity, booked) for capacity, booked in rows]


def limited(town_file: Town, *capacities: int) -> Town:
    """The canteen of Aiguilhe with places for its first schools."""
    names = [school.name for school in town_file.communes[0].schools]
    return aiguilhe(town_file, places=tuple(map(PlacesEntry, names, capacities)))


def test_places_of_a_school_come_change_and_end(opened: Open, town_file: Town) -> None:
    school = town_file.communes[0].schools[0].name
    with opened() as db:
        (line,) = import_town(db, limited(town_file, 40), NOW).lines
        assert as_typed(line) == f"+ Aiguilhe / Cantine Aiguilhe / places de {school}"
        assert not import_town(db, limited(town_file, 40), NOW).changed
        refresh_days(db, canteen_id(db), MONDAY, date(2026, 11, 24), NOW)
        assert places_on(db, MONDAY) == [(40, 0)]
        (line,) = import_town(db, limited(town_file, 30), NOW).lines
        assert "places : 40 → 30" in as_typed(line)
        db.execute(update(SchoolPlace).values(booked_count=35))
        refresh_days(db, canteen_id(db), MONDAY, MONDAY, NOW)
        assert places_on(db, MONDAY) == [(35, 35)]
        (line,) = import_town(db, town_file, NOW).lines
        assert as_typed(line) == f"- Aiguilhe / Cantine Aiguilhe / places de {school}"
        refresh_days(db, canteen_id(db), MONDAY, MONDAY, NOW)
        assert places_on(db, MONDAY) == [(None, 35)]
        assert not import_town(db, town_file, NOW).changed


def test_a_day_whose_deadline_has_passed_gets_no_new_limit(opened: Open, town_file: Town) -> None:
    with opened() as db:
        refresh_days(db, canteen_id(db), MONDAY, MONDAY, NOW)
        db.execute(update(ServiceDay).values(book_deadline_at=NOW))
        import_town(db, limited(town_file, 40), NOW)
        refresh_days(db, canteen_id(db), MONDAY, MONDAY, NOW)
        assert places_on(db, MONDAY) == []


def test_a_limit_that_comes_when_meals_are_booked_counts_them(
    town: FactoryTown, write: Open, books_hold: BooksHold
) -> None:
    canteen = town.aiguilhe.canteen
    family = town.family(children=2, balance_cents=5000)
    day = canteen.open_days(town.now)[3]
    town.paid_order(family, canteen, [day])
    town.change_day(canteen, day, capacity=3)
    waits = town.family(children=1)
    town.wait(waits, canteen, day)
    with write() as db:
        turn(db, canteen.day_ids[day], town.now)
        db.execute(insert(SchoolLimit).values(service_id=canteen.id, school_id=town.aiguilhe.school_id, capacity=1))
        refresh_days(db, canteen.id, day, day, town.now)
        found = db.execute(select(SchoolPlace.capacity, SchoolPlace.booked_count)).one()
        assert tuple(found) == (3, 3)
    books_hold()


def test_closures_close_and_open_again(opened: Open, town_file: Town) -> None:
    works = ClosureEntry(date(2026, 11, 30), date(2026, 12, 1), "Travaux")
    closed = replace(town_file.communes[0], closures=(works,))
    town = replace(town_file, communes=(closed, *town_file.communes[1:]))
    with opened() as db:
        assert as_typed_all(import_town(db, town, NOW).lines) == (
            "+ Aiguilhe : fermé du 30 novembre 2026 au 1er décembre 2026 (Travaux)",
        )
        assert not import_town(db, town, NOW).changed
        services = list(
            db.scalars(
                select(Service.id).where(
                    Service.commune_id == db.scalar(select(Closure.commune_id).where(Closure.reason == "Travaux"))
                )
            )
        )
        reports = refresh_services(db, services, MONDAY, NOW)
        # Two days closed, and the two whose deadline counts serving days back over them.
        assert reports[canteen_id(db)].changed == 4
        assert day_of(db, date(2026, 12, 1)).closed_reason == "Travaux"
    with opened() as db:
        db.execute(delete(Closure).where(Closure.reason == "Travaux"))
        refresh_services(db, services, MONDAY, NOW)
        assert day_of(db, date(2026, 12, 1)).is_open


def test_a_weekday_that_is_no_longer_served_is_closed(opened: Open, town_file: Town) -> None:
    with opened() as db:
        import_town(db, aiguilhe(town_file, weekdays=(1, 2, 4)), NOW)
        refresh_days(db, canteen_id(db), MONDAY, date(2026, 12, 4), NOW)
        friday = day_of(db, date(2026, 12, 4))
        assert (friday.is_open, friday.closed_reason) == (False, "Pas de service ce jour-là")
        again = refresh_days(db, canteen_id(db), MONDAY, date(2026, 12, 4), NOW)
        assert (again.added, again.changed) == (0, 0)


def test_a_calendar_that_changes_replaces_its_holidays(opened: Open, calendar: SchoolCalendar) -> None:
    year = calendar.years[1]
    longer = tuple(
        replace(holiday, until_day=date(2027, 1, 4)) if "Noël" in holiday.label and holiday.zone == "A" else holiday
        for holiday in year.holidays
    )
    changed = replace(
        calendar,
        years=(calendar.years[0], replace(year, holidays=longer, until_day=date(2027, 7, 6)), calendar.years[2]),
    )
    with opened() as db:
        lines = import_calendar(db, changed).lines
        assert len(lines) == 3 + 2
        assert "- Vacances de Noël, zone A, du 19 décembre 2026 au 3 janvier 2027" in lines
        assert db.scalar(select(SchoolYear.last_day).where(SchoolYear.zone == "B", SchoolYear.year == 2026)) == date(
            2027, 7, 6
        )
        refresh_services(db, [canteen_id(db)], MONDAY, NOW)
        assert day_of(db, date(2027, 1, 4)).closed_reason == "Vacances de Noël"


def test_menus_are_written_on_open_days(opened: Open) -> None:
    with opened() as db:
        write_menus(db, [canteen_id(db)], {MONDAY: "Soupe\nPâtes", date(2026, 12, 21): "Bûche"})
    with opened() as db:
        assert day_of(db, MONDAY).menu == "Soupe\nPâtes"
        assert day_of(db, date(2026, 12, 21)).menu is None


@pytest.mark.parametrize("command", ["import", "calendar"])
def test_commands_bring_in_a_file(app: Flask, command: str) -> None:
    runner = app.test_cli_runner()
    file = DEMO / ("town.toml" if command == "import" else "calendar.toml")
    tried = runner.invoke(args=["catalog", command, str(file), "--dry-run"])
    assert tried.exit_code == 0, tried.output
    assert as_typed(tried.output).endswith("Essai : rien n’a été écrit.\n")
    done = runner.invoke(args=["catalog", command, str(file)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == tried.output.splitlines()[:-1]
    again = runner.invoke(args=["catalog", command, str(file)])
    assert again.output.startswith("Le fichier et la base disent déjà la même chose.\n")


def test_a_file_with_faults_is_refused_whole(app: Flask, tmp_path: Path, read: Open) -> None:
    file = tmp_path / "ville.toml"
    text = (DEMO / "town.toml").read_text()
    file.write_text(text.replace('zone = "A"', 'zone = "Z"', 1).replace('euros = "3,50"', 'euros = "3,555"'))
    result = app.test_cli_runner().invoke(args=["catalog", "import", str(file)])
    assert result.exit_code == 1
    said = as_typed(result.output)
    assert "2 erreurs :" in said
    assert f"{file}:{text[: text.index('zone =')].count(chr(10)) + 1} : communes[1].zone" in said
    with read() as db:
        assert db.scalar(select(func.count()).select_from(Regie)) == 0


def test_a_file_that_is_no_text_is_refused(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "ville.toml"
    file.write_bytes(b"\xff\xfe\x00")
    result = app.test_cli_runner().invoke(args=["catalog", "import", str(file)])
    assert result.exit_code == 1
    assert "UTF-8" in result.output


def test_a_commune_of_another_regie_is_not_taken_over(opened: Open, town_file: Town) -> None:
    with pytest.raises(ImportRefused) as refused, opened() as db:
        import_town(db, replace(town_file, regie=replace(town_file.regie, slug="voisine")), NOW)
    assert len(refused.value.sentences) == len(town_file.communes)
    assert "« aiguilhe » dépend déjà d’une autre régie" in as_typed(refused.value.sentences[0])
    with opened() as db:
        assert list(db.scalars(select(Regie.slug))) == [town_file.regie.slug]
