"""The calendar that is committed, compared with two libraries that know the published ones."""

from datetime import date, timedelta
from pathlib import Path

import holidays
import pytest
from vacances_scolaires_france import SchoolHolidayDates

from catalog.town import SchoolCalendar, read_school_calendar

FILE = Path(__file__).parents[2] / "demo" / "calendar.toml"
FIRST, LAST = date(2025, 9, 1), date(2028, 7, 3)
# The Ministry gave the Friday after Ascension 2026, which the library does not know.
MISSING_THERE = {date(2026, 5, 14) + timedelta(days=n) for n in range(3)}


@pytest.fixture(scope="module")
def calendar() -> SchoolCalendar:
    return read_school_calendar(FILE.read_text(), FILE.name)


@pytest.mark.parametrize("zone", ["A", "B", "C"])
def test_days_without_school_are_the_published_ones(calendar: SchoolCalendar, zone: str) -> None:
    published = SchoolHolidayDates()
    there, here = set(), set()
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        if published.is_holiday_for_zone(day, zone):
            there.add(day)
        at_school = any(year.from_day <= day <= year.until_day for year in calendar.years)
        on_holiday = any(
            holiday.zone == zone and holiday.from_day <= day <= holiday.until_day
            for year in calendar.years
            for holiday in year.holidays
        )
        if on_holiday or not at_school:
            here.add(day)
    assert here - there == MISSING_THERE
    assert there <= here


def test_public_holidays_are_all_there(calendar: SchoolCalendar) -> None:
    published = {day for day in holidays.country_holidays("FR", years=range(2025, 2029)) if FIRST <= day <= LAST}
    assert {day for day in calendar.public_holidays if FIRST <= day <= LAST} == published
