"""Plain letters: a greeting, sentences, a list, a table of facts, one button."""

from dataclasses import dataclass, field

from flask import current_app, render_template

from shop.config import Config
from shop.outbox import Message
from shop.words import gettext as _


@dataclass(frozen=True)
class Sheet:
    """What a plain letter says, in the order in which it is read."""

    subject: str
    first_name: str | None
    before: list[str] = field(default_factory=list)
    things: list[str] = field(default_factory=list)
    """A list of short lines, such as meals."""
    facts: list[tuple[str, str]] = field(default_factory=list)
    button: tuple[str, str] | None = None
    """Address and words of the one thing to do next."""
    after: list[str] = field(default_factory=list)
    unsubscribe_url: str | None = None
    """Where e-mails of its kind are turned off."""


def write(sheet: Sheet) -> Message:
    """The letter, in text and HTML."""
    config: Config = current_app.extensions["shop.config"]
    greeting = _("Bonjour %(name)s,", name=sheet.first_name) if sheet.first_name else _("Bonjour,")
    values = {"subject": sheet.subject, "site_name": config.site_name, "greeting": greeting, "sheet": sheet}
    return Message(
        subject=sheet.subject,
        text=render_template("sheet.txt", **values),
        html=render_template("sheet.html", **values),
        unsubscribe_url=sheet.unsubscribe_url,
    )
