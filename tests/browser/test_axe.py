"""Every page and state, judged by axe-core: telephone and desk, light and dark (trust: T-130, T-138); and no line that
French does not know."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from tests.browser.served import served
from tests.browser.states import STATES, Gallery, State, prepare

PHONE, DESK = 320, 1280
# A desk whose user has made everything twice as large, and a little above each width at which the style sheet turns.
BETWEEN = (640, 710, 840, 970)
HEIGHT = 900
# Without `preload` axe fetches no style sheet anew; its one rule that reads them tells of locked screens.
COMMON = {"resultTypes": ["violations"], "preload": False}
ALL_RULES = {**COMMON, "rules": {"target-size": {"enabled": True}, "css-orientation-lock": {"enabled": False}}}
RULES_OF_COLOUR = {**COMMON, "runOnly": ["color-contrast", "link-in-text-block"]}
LIGHT: tuple[tuple[int, Literal["light", "dark"], dict[str, Any]], ...] = (
    (PHONE, "light", ALL_RULES),
    (DESK, "light", ALL_RULES),
)


@pytest.fixture(scope="module")
def gallery(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """A shop of its own, with families in every state."""
    with served(tmp_path_factory.mktemp("gallery")) as shop:
        prepare(shop)
        shown = Gallery(chromium, shop, PHONE)
        yield shown
        trouble = shown.close()
    assert not trouble, trouble


@pytest.mark.parametrize(("number", "wanted"), [pytest.param(*each, id=each[1].name) for each in enumerate(STATES)])
def test_state(gallery: Gallery, number: int, wanted: State) -> None:
    """Nothing for axe to say, nothing to move sideways; no line may begin with a colon or a question mark. In the dark the
    colours alone are another matter, and they are the same at every width: each width judges them in every other state."""
    page = gallery.show(wanted)
    found = [f"a line may break at {words!r}" for words in page.evaluate(BREAKABLE)]
    for width, scheme, rules in (*LIGHT, ((DESK, PHONE)[number % 2], "dark", RULES_OF_COLOUR)):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.emulate_media(color_scheme=scheme)
        found += [f"{width} px, {scheme}: {violation}" for violation in violations(page, rules)]
        found += [f"{width} px, {scheme}: {sentence}" for sentence in overflowing(page)]
    for width in BETWEEN:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        found += [f"{width} px: {sentence}" for sentence in overflowing(page)]
    page.set_viewport_size({"width": PHONE, "height": HEIGHT})
    page.emulate_media(color_scheme="light")
    assert not found, "\n".join(found)


def violations(page: Page, rules: dict[str, Any]) -> list[str]:
    """What axe finds: rule, place, what it says."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(RUN, rules)
    return found


RUN = """async (options) => (await axe.run(document, options)).violations.flatMap((violation) => violation.nodes.map((node) =>
    `${violation.id}: ${node.target} ${node.html.slice(0, 200)} (${node.failureSummary})`))"""


BREAKABLE = """() => {
    const named = [...document.querySelectorAll("[aria-label], [alt], [placeholder]")];
    const words = named.map((each) => each.ariaLabel || each.alt || each.placeholder || "");
    return [document.title, document.body.innerText, ...words].flatMap((text) =>
        text.match(/.{0,30}(?: [:;!?»]|« ).{0,20}/g) ?? []);
}"""


def overflowing(page: Page) -> list[str]:
    """Says when the page has to be moved sideways to be read."""
    wide, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    return [f"the page is {wide} px wide"] if wide > room else []
