"""The browser: Debian's Chromium, watched in all it does, on a shop of its own (see served.py)."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.served import Served, served
from tests.browser.windows import Window, launch, open_window

OpenWindow = Callable[..., Window]

expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a browser. The tests of a file share a shop, so they stay in one process; the many states that
    axe judges are dealt out to two."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for number, item in enumerate(here):
        item.add_marker(pytest.mark.browser)
        half = number % 2 if item.path.stem == "test_axe" else 0
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{half}"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, for all tests."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.fail("There is no Chromium here: apt install chromium, or name one with CHROMIUM=/path/to/chromium.")
    with sync_playwright() as playwright:
        browser = launch(playwright, path)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The shop in which the journeys are made. It is one for all of them: each uses a family of its own."""
    with served(tmp_path_factory.mktemp("shop")) as open_shop:
        yield open_shop


@pytest.fixture
def window(chromium: Browser, shop: Served) -> Iterator[OpenWindow]:
    """`window()` — a fresh browser window on a telephone (`desk=True`: on a computer), `javascript=False` without
    scripts. At the end every window must have kept to the shop, without an error or a refused script."""
    windows: list[Window] = []

    def opened(desk: bool = False, javascript: bool = True) -> Window:
        windows.append(open_window(chromium, shop, desk=desk, javascript=javascript))
        return windows[-1]

    yield opened
    trouble = [sentence for each in windows for sentence in each.trouble]
    for each in windows:
        each.close()
    assert not trouble, trouble
