"""`make screenshots`: pictures of every page in every state, at the width of a telephone and of a desk.

They go to var/screenshots/, which git ignores; the few that the README shows go to docs/pictures/. Names of states given
as arguments picture those alone: `python -m bin.screenshots panier commande`.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.served import ROOT, served
from tests.browser.states import STATES, Gallery, prepare
from tests.browser.windows import launch

HERE = ROOT / "var" / "screenshots"
README = ROOT / "docs" / "pictures"
WIDTHS = {360: 740, 1280: 900}
FOR_README = {
    # Its name in docs/pictures: the state, the width, what stands on top of the picture.
    "accueil": ("accueil", 1280, "body"),
    "reserver-telephone": ("calendrier-coche", 360, "main h1"),
    "panier": ("panier", 1280, "body"),
    "espace-mairie": ("mairie-demandes", 1280, "body"),
}
FRAME_MILLISECONDS = 300  # in which the letter within a page is drawn
TO_THE_TOP = (
    "element => scrollTo(0, element === document.body ? 0 : element.getBoundingClientRect().top + scrollY - 16)"
)
WHOLE_HEIGHT = "document.documentElement.scrollHeight"


def main(names: list[str]) -> int:
    """Take the pictures of these states, or of all."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        print("Il faut Chromium : apt install chromium, ou CHROMIUM=/chemin/de/chromium.", file=sys.stderr)
        return 1
    wanted = [state for state in STATES if not names or state.name in names]
    HERE.mkdir(parents=True, exist_ok=True)
    README.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as shop,
        sync_playwright() as playwright,
    ):
        prepare(shop)
        browser = launch(playwright, path)
        gallery = Gallery(browser, shop, width=360)
        for number, state in enumerate(wanted, 1):
            print(f"{number:3}/{len(wanted)} {state.name}", flush=True)
            picture(gallery.show(state), state.name)
        trouble = gallery.close()
        browser.close()
    for sentence in trouble:
        print(sentence, file=sys.stderr)
    return 1 if trouble else 0


def picture(page: Page, name: str) -> None:
    """The whole page at every width, on the telephone in the dark too; for the README what fits on the screen."""
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        for shown, (state, at, top) in FOR_README.items():
            if (state, at) == (name, width):
                page.mouse.move(0, 0)  # nothing is under the pointer
                page.locator(top).first.evaluate(TO_THE_TOP)
                page.screenshot(path=README / f"{shown}.png")
        # A window as high as the page: what stays at the bottom of the window must not lie over the middle.
        page.set_viewport_size({"width": width, "height": max(height, page.evaluate(WHOLE_HEIGHT))})
        if len(page.frames) > 1:
            page.wait_for_timeout(FRAME_MILLISECONDS)
        page.screenshot(path=HERE / f"{name}-{width}.png")
        if width == min(WIDTHS):
            page.emulate_media(color_scheme="dark")
            page.screenshot(path=HERE / f"{name}-{width}-dark.png")
            page.emulate_media(color_scheme="light")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
