"""How the rows of the booking calendar come together."""

from datetime import date

from flask import Flask

from cart.grid import ISO_DAY, LONG_DAY, SHUT, Box, DayRow, DayWords, write_days
from cart.periods import weekdays

LIMIT = "Jusqu’au lun. 30 nov. à 09:00"


def words(day: date, menu: str | None = None) -> DayWords:
    return DayWords(
        day.isoformat(), day.isoweekday(), "mar. 1er", f"mardi {day.day} décembre 2026", None, menu, LIMIT, False, 0
    )


def free(name: str) -> Box:
    return Box("free", f"1.{ISO_DAY}", f"{name}, {LONG_DAY}", f"p1 l{ISO_DAY}", 380)


def test_each_day_is_written_into_the_boxes_it_looks_like(app: Flask) -> None:
    parts = app.jinja_env.get_template("cart/parts.html").module
    looks = [parts.day_boxes(boxes) for boxes in ((), (free("Louane <Dupont>"),), (SHUT["late"],))]  # type: ignore[attr-defined]
    first, second = date(2026, 12, 1), date(2026, 12, 8)
    rows = [DayRow(words(first, "Purée & <jambon>"), 1), DayRow(words(second), 1), DayRow(words(second), 2)]
    page = write_days(rows, parts.day_head, looks)  # type: ignore[attr-defined]
    assert page.count("<tr ") == page.count("</tr>") == 3
    assert page.count('value="1.2026-12-01"') == page.count('value="1.2026-12-08"') == 1
    assert 'aria-label="Louane &lt;Dupont&gt;, mardi 8 décembre 2026"' in page
    assert 'aria-describedby="p1 l2026-12-01"' in page
    assert "Purée &amp; &lt;jambon&gt;" in page
    assert ISO_DAY not in page
    assert LONG_DAY not in page


def test_the_weekdays_of_a_service_are_named() -> None:
    assert [name for _number, name in weekdays("1245")] == ["lundis", "mardis", "jeudis", "vendredis"]
