"""Every page and state, judged by axe-core: telephone and desk, light and dark (trust: T-130, T-138)."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from tests.browser.served import served
from tests.browser.states import STATES, Gallery, State, prepare

PHONE, DESK = 320, 1280
HEIGHT = 900
ALL_RULES = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
RULES_OF_COLOUR = {
    "resultTypes": ["violations"],
    "runOnly": ["color-contrast", "link-in-text-block"],
}


@pytest.fixture(scope="module")
def gallery(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """A shop of its own, with families in every state."""
    with served(tmp_path_factory.mktemp("gallery")) as shop:
        prepare(shop)
        shown = Gallery(chromium, shop, PHONE)
        yield shown
        trouble = shown.close()
    assert not trouble, trouble


@pytest.mark.parametrize("wanted", [pytest.param(each, id=each.name) for each in STATES])
def test_state(gallery: Gallery, wanted: State) -> None:
    page = gallery.show(wanted)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.evaluate(AXE_SCRIPT)
    found = []
    for width in (PHONE, DESK):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        found += [f"{width} px, light: {violation}" for violation in violations(page, ALL_RULES)]
        found += [f"{width} px: {sentence}" for sentence in overflowing(page)]
        page.emulate_media(color_scheme="dark")
        found += [f"{width} px, dark: {violation}" for violation in violations(page, RULES_OF_COLOUR)]
        page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": PHONE, "height": HEIGHT})
    assert not found, "\n".join(found)


def violations(page: Page, rules: dict[str, Any]) -> list[str]:
    """What axe finds: rule, place, what it says."""
    result = page.evaluate("(options) => axe.run(document, options)", rules)
    return [
        f"{violation['id']}: {node['target']} {node['html'][:200]} ({node['failureSummary']})"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]


def overflowing(page: Page) -> list[str]:
    """Says when the page has to be moved sideways to be read."""
    wide, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    return [f"the page is {wide} px wide"] if wide > room else []
