"""A commune may choose any colour; what is written in it stays legible."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.colours import NIGHT, WHITE, contrast, dark_shades, light_shades, style_sheet

AA = 4.5


def parse(colour: str) -> tuple[int, int, int]:
    return (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16))


@given(st.integers(0, 0xFFFFFF))
def test_every_colour_is_legible_in_both_themes(number: int) -> None:
    colour = f"#{number:06x}"
    light, dark = light_shades(colour), dark_shades(colour)
    for ground in (WHITE, parse(light.accent_soft)):
        assert contrast(parse(light.accent), ground) >= AA
        assert contrast(parse(light.accent_2), ground) >= AA
    for ground in (NIGHT, parse(dark.accent_soft)):
        assert contrast(parse(dark.accent), ground) >= AA
        assert contrast(parse(dark.accent_2), ground) >= AA
    for shades in (light, dark):
        assert contrast(parse(shades.accent), parse(shades.on_accent)) >= AA
        assert contrast(parse(shades.accent_2), parse(shades.on_accent)) >= AA


@pytest.mark.parametrize("colour", ["#8c3b2e", "#1f5a8a", "#4d5f2b"])
def test_a_colour_that_can_be_read_is_kept(colour: str) -> None:
    assert light_shades(colour).accent == colour


def test_contrast_is_that_of_wcag() -> None:
    assert contrast((0, 0, 0), WHITE) == pytest.approx(21)
    assert contrast(WHITE, WHITE) == 1
    assert contrast((118, 118, 118), WHITE) == pytest.approx(4.54, abs=0.01)


def test_the_style_sheet_holds_both_themes() -> None:
    sheet = style_sheet("#8c3b2e")
    assert sheet.count("--accent:") == 2
    assert "prefers-color-scheme: dark" in sheet
    assert set(re.findall(r"--[a-z0-9-]+", sheet)) == {
        "--accent",
        "--accent-2",
        "--accent-soft",
        "--accent-line",
        "--on-accent",
    }
