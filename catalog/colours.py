"""A commune's accent colour, made legible: the shades of a page, light and dark, worked out from one colour."""

from dataclasses import dataclass

Rgb = tuple[int, int, int]

WHITE: Rgb = (255, 255, 255)
NIGHT: Rgb = (18, 23, 20)
"""The ground of the dark pages, --paper in the style sheet."""
ENOUGH = 5.5
"""The contrast that text in the accent keeps against its own soft shade: WCAG asks for 4.5."""
STEP = 0.04


@dataclass(frozen=True)
class Shades:
    """The custom properties of one theme, each "#rrggbb"."""

    accent: str
    accent_2: str
    accent_soft: str
    accent_line: str
    on_accent: str


def light_shades(colour: str) -> Shades:
    """The shades on white paper of "#rrggbb": the colour itself, or as much darker as it takes to be read."""
    base = _parse(colour)
    soft = _mix(base, WHITE, 0.12)
    accent = base
    while min(contrast(accent, soft), contrast(accent, WHITE)) < ENOUGH and accent != (0, 0, 0):
        accent = _mix((0, 0, 0), accent, STEP)
    return Shades(
        _hex(accent), _hex(_mix((0, 0, 0), accent, 0.25)), _hex(soft), _hex(_mix(base, WHITE, 0.4)), _hex(WHITE)
    )


def dark_shades(colour: str) -> Shades:
    """The shades on a dark ground of "#rrggbb": as much lighter as it takes to be read."""
    base = _parse(colour)
    soft = _mix(base, NIGHT, 0.28)
    accent = base
    while contrast(accent, soft) < ENOUGH and accent != WHITE:
        accent = _mix(WHITE, accent, STEP)
    return Shades(
        _hex(accent),
        _hex(_mix(WHITE, accent, 0.35)),
        _hex(soft),
        _hex(_mix(base, NIGHT, 0.6)),
        _hex(_mix(base, (0, 0, 0), 0.15)),
    )


def contrast(one: Rgb, other: Rgb) -> float:
    """The contrast of two colours as WCAG computes it: from 1 (none) to 21 (black on white)."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def style_sheet(colour: str) -> str:
    """The style sheet that gives the pages of a commune its colour, "#rrggbb", in both themes."""
    dark = _rule(dark_shades(colour))
    return f"{_rule(light_shades(colour))}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _rule(shades: Shades) -> str:
    return (
        f":root {{ --accent: {shades.accent}; --accent-2: {shades.accent_2}; --accent-soft: {shades.accent_soft};"
        f" --accent-line: {shades.accent_line}; --on-accent: {shades.on_accent}; }}"
    )


def _parse(colour: str) -> Rgb:
    return (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16))


def _hex(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """`share` of the first colour, the rest of the second; moves by at least 1 where they differ."""

    def blend(a: int, b: int) -> int:
        mixed = round(a * share + b * (1 - share))
        return mixed if mixed != b or a == b else b + (1 if a > b else -1)

    return (blend(one[0], other[0]), blend(one[1], other[1]), blend(one[2], other[2]))


def _luminance(colour: Rgb) -> float:
    def linear(channel: int) -> float:
        part = channel / 255
        return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(channel) for channel in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
