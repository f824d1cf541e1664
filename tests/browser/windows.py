"""Windows of the browser: what they look like, what is recorded, and what a person does in them."""

import os
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright, Request, Response

from tests.browser.served import Served

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}
TELL_OF_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy: ${event.violatedDirective} refused ${event.blockedURI} in ${event.sourceFile}`));
"""


def launch(playwright: Playwright, path: str) -> Browser:
    """Start the Chromium at this path."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    return playwright.chromium.launch(executable_path=path, args=flags)


@dataclass
class Window:
    """A browser window on the shop: one context, one page at a time, everything watched."""

    shop: Served
    context: BrowserContext
    page: Page = field(init=False)
    trouble: list[str] = field(default_factory=list)
    """What should not have happened: requests to other hosts, script errors, refusals of the policy, failed files."""

    def __post_init__(self) -> None:
        self.context.on("request", self._on_request)
        self.context.on("response", self._on_response)
        self.context.on("console", self._on_console)
        self.context.on("weberror", lambda error: self.trouble.append(f"script: {error.error}"))
        self.page = self.context.new_page()

    def close(self) -> None:
        """Close the window."""
        self.context.close()

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob", "about") and f"{address.scheme}://{address.netloc}" != self.shop.url:
            self.trouble.append(f"request to another host: {request.url}")

    def _on_response(self, response: Response) -> None:
        # A refused form answers 422 with its page; a style sheet that is missing is a fault.
        if response.status >= 500 or (response.status >= 400 and response.request.resource_type != "document"):
            self.trouble.append(f"{response.status}: {response.url}")

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium writes a line for every page of status 400 and above; `_on_response` judges those.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.trouble.append(f"console: {message.text}")

    # --- what a person does ---

    def go(self, path: str) -> None:
        """Open an address of the shop."""
        self.page.goto(self.shop.url + path)

    @property
    def path(self) -> str:
        """The address that is shown, without its host."""
        parts = urlsplit(self.page.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def button(self, name: str, within: Locator | None = None) -> Locator:
        """A button by its exact name."""
        return (within or self.page).get_by_role("button", name=name, exact=True)

    def link(self, name: str, within: Locator | None = None) -> Locator:
        """A link by its exact name."""
        return (within or self.page).get_by_role("link", name=name, exact=True)

    def text_box(self, name: str, within: Locator | None = None) -> Locator:
        """A text field by its exact name."""
        return (within or self.page).get_by_role("textbox", name=name, exact=True)

    def box(self, name: str, within: Locator | None = None) -> Locator:
        """A box to tick by its exact name."""
        return (within or self.page).get_by_role("checkbox", name=name, exact=True)

    def heading(self, name: str | re.Pattern[str]) -> Locator:
        """The page's title."""
        return self.page.get_by_role("heading", level=1, name=name)

    def said(self, words: str | re.Pattern[str]) -> Locator:
        """A message on the page."""
        return self.page.locator(".alert").filter(has_text=words)

    def sign_in(self, email: str, password: str | None = None) -> None:
        """Sign in by the form; a clerk shows the code of her telephone too."""
        self.go("/connexion")
        self.sign_in_here(email, password)

    def sign_in_here(self, email: str, password: str | None = None) -> None:
        """Sign in by the form that is shown already: the page that was asked for comes after."""
        person = self.shop.people.get(email)
        form = self.page.get_by_role("region", name="Déjà inscrit ?")
        self.text_box("Adresse e-mail", form).fill(email)
        form.get_by_label("Mot de passe").fill(password or (person.password if person else ""))
        self.button("Connexion", form).click()
        if person and person.totp_secret:
            self.text_box("Code").fill(self.shop.code_of(email))
            self.button("Valider").click()

    def become(self, email: str) -> None:
        """Be signed in, without the form."""
        self.context.add_cookies([{"name": "session", "value": self.shop.cookie_of(email), "url": self.shop.url}])

    def open_letter(self, to: str, subject: str | re.Pattern[str], seconds: float = 20) -> None:
        """Read the newest letter of this subject to this address, waiting until the worker has sent it."""
        letter = self.page.get_by_role("link", name=subject)
        deadline = seconds
        self.go(f"/demo/lettres?pour={to}")
        while not letter.count() and deadline > 0:
            self.page.wait_for_timeout(250)
            deadline -= 0.25
            self.page.reload()
        letter.first.click()

    def follow_letter(self, path: str) -> None:
        """Follow the link of the letter that begins with this path."""
        self.page.get_by_role("region", name="En texte").locator(f"a[href*='{path}']").first.click()

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """The value of a script in the page."""
        return self.page.evaluate(script, argument)


def open_window(
    browser: Browser, shop: Served, desk: bool = False, javascript: bool = True, width: int | None = None
) -> Window:
    """A window as wide as a telephone, or as a desk's screen. Nothing moves by itself in it."""
    size = dict(DESK if desk else PHONE)
    if width is not None:
        size["width"] = width
    context = browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        locale="fr-FR",
        timezone_id="Europe/Paris",
        java_script_enabled=javascript,
        reduced_motion="reduce",
        has_touch=not desk,
        accept_downloads=False,
    )
    context.set_default_timeout(20_000)
    if javascript:
        context.add_init_script(TELL_OF_VIOLATIONS)
    return Window(shop, context)
