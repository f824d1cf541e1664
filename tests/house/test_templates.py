"""What templates and the style sheet keep to: no inline style or script, icons that exist, colours that can be read."""

import re
from pathlib import Path

import pytest

from catalog.colours import contrast
from shop.config import ROOT

TEMPLATES = ROOT / "templates"
STYLE = (ROOT / "static" / "css" / "app.css").read_text()
SPRITE = (ROOT / "static" / "icons.svg").read_text()

TEXT_ON_GROUND = [
    *(
        (ink, ground)
        for ink in ("ink", "ink-2", "accent", "accent-2", "bad")
        for ground in ("paper", "surface", "sunk")
    ),
    *((tone, f"{tone}-soft") for tone in ("ok", "wait", "bad", "note", "accent")),
    *(("ink", f"{tone}-soft") for tone in ("ok", "wait", "bad", "note", "accent")),
    ("ink-2", "accent-soft"),
    ("on-accent", "accent"),
    ("on-accent", "accent-2"),
    ("on-sun", "sun"),
]
EDGE_ON_GROUND = [(edge, ground) for edge in ("line-2", "focus", "accent") for ground in ("paper", "surface")]


def pages() -> list[Path]:
    """The templates that a browser shows as pages: letters have rules of their own."""
    return [
        path
        for path in sorted(TEMPLATES.rglob("*.html"))
        if not path.name.startswith("mail_")
        and path not in (TEMPLATES / "letter.html", TEMPLATES / "components" / "letter.html")
    ]


def tokens(theme: str) -> dict[str, str]:
    """The colours of the style sheet by name, for the light or the dark theme."""
    light, dark = re.findall(r":root \{(.*?)\n *\}", STYLE, re.DOTALL)[:2]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", light))
    if theme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", dark))
    return colours


def rgb(colour: str) -> tuple[int, int, int]:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    return (int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16))


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_a_page_carries_no_inline_style_or_script(path: Path) -> None:
    source = path.read_text()
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=\"|javascript:", source)
    assert not re.search(r"<script(?![^>]*\ssrc=)", source)
    assert not re.search(r"(?:\ssrc|<link[^>]*\shref|<use[^>]*\shref)=\"(?:https?:)?//", source)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_its_ground(theme: str) -> None:
    colours = tokens(theme)
    faint = [pair for pair in TEXT_ON_GROUND if contrast(rgb(colours[pair[0]]), rgb(colours[pair[1]])) < 4.5]
    assert faint == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_edges_of_fields_and_the_focus_can_be_seen(theme: str) -> None:
    colours = tokens(theme)
    faint = [pair for pair in EDGE_ON_GROUND if contrast(rgb(colours[pair[0]]), rgb(colours[pair[1]])) < 3]
    assert faint == []


def test_the_contrast_would_notice_grey_on_white() -> None:
    assert contrast(rgb("#999"), rgb("#fff")) < 3


def test_every_icon_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', SPRITE))
    named = set()
    for path in TEMPLATES.rglob("*.html"):
        source = path.read_text()
        named |= set(re.findall(r"\bicon\(\s*['\"]([\w-]+)['\"]", source))
        named |= set(re.findall(r"\b(?:icon_name|after)=['\"]([\w-]+)['\"]", source))
    assert named
    assert named - drawn == set()


def test_the_style_sheet_asks_for_nothing_elsewhere() -> None:
    addresses = re.findall(r"url\(\"?([^\")]+)", STYLE)
    assert addresses
    for address in addresses:
        assert (ROOT / "static" / "css" / address).resolve().is_file(), address
