"""What must fail: before the browser's tests are believed, each of their eyes is seen to see."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.served import Served
from tests.browser.test_axe import ALL_RULES, RULES_OF_COLOUR, overflowing, violations
from tests.browser.test_keyboard import Keyboard
from tests.browser.windows import Window, open_window

BAD_PAGE = """<!DOCTYPE html><html><head><title></title></head><body>
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="><input><p style="color: #999">Gris sur blanc</p>
<button style="width: 10px; height: 10px; padding: 0; border: 0"></button><button style="width: 10px; height: 10px;
padding: 0; border: 0"></button><div style="width: 2000px">large</div></body></html>"""


@pytest.fixture
def unwatched(chromium: Browser, shop: Served) -> Iterator[Window]:
    """A window whose trouble is not held against the test."""
    window = open_window(chromium, shop)
    yield window
    window.close()


def test_axe_finds_what_is_there_to_find(unwatched: Window) -> None:
    page = unwatched.page
    page.set_content(BAD_PAGE)
    found = {violation.partition(":")[0] for violation in violations(page, ALL_RULES)}
    assert found >= {
        "document-title",
        "html-has-lang",
        "image-alt",
        "label",
        "button-name",
        "color-contrast",
        "target-size",
    }
    assert {violation.partition(":")[0] for violation in violations(page, RULES_OF_COLOUR)} == {"color-contrast"}
    assert overflowing(page)


def test_axe_finds_what_is_too_pale_in_the_dark_alone(unwatched: Window) -> None:
    page = unwatched.page
    page.emulate_media(color_scheme="light")
    page.set_content(
        '<!DOCTYPE html><html lang="fr"><head><title>Nuit</title><style>p { color: #333; background: #fff }'
        "@media (prefers-color-scheme: dark) { p { background: #222 } }</style></head><body><p>Nuit</p></body></html>"
    )
    assert not violations(page, RULES_OF_COLOUR)
    page.emulate_media(color_scheme="dark")
    assert violations(page, RULES_OF_COLOUR)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("new Image().src = 'http://127.0.0.1:9/pixel.gif'", "request to another host"),
        ("document.head.append(Object.assign(document.createElement('script'), {textContent: '1'}))", "script-src"),
        ("document.body.setAttribute('style', 'color: red')", "style-src"),
        ("setTimeout(() => { throw new Error('planted') })", "planted"),
        ("new Image().src = '/static/img/rien.svg'", "404"),
        ("console.error('planted')", "planted"),
    ],
)
def test_what_a_page_must_not_do_is_noticed(unwatched: Window, script: str, expected: str) -> None:
    unwatched.go("/contact")
    assert unwatched.trouble == []
    unwatched.evaluate(f"() => {{ {script} }}")
    for _moment in range(50):
        if unwatched.trouble:
            break
        unwatched.page.wait_for_timeout(100)
    assert any(expected in sentence for sentence in unwatched.trouble), unwatched.trouble


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("* { outline: none !important; }", "no focus ring"),
        ("body::after { content: ''; position: fixed; inset: 0; background: #fffa; }", "covered"),
    ],
)
def test_a_focus_that_does_not_show_is_noticed(unwatched: Window, rule: str, expected: str) -> None:
    unwatched.go("/contact")
    keyboard = Keyboard(unwatched)
    keyboard.press("Tab")
    keyboard.check()
    unwatched.evaluate(
        "rule => { const sheet = new CSSStyleSheet(); sheet.replaceSync(rule); document.adoptedStyleSheets = [sheet]; }",
        rule,
    )
    keyboard.press("Tab")
    with pytest.raises(AssertionError, match=expected):
        keyboard.check()
