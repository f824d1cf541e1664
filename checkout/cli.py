"""Commands of the checkout: prove the books."""

import time

import click
from flask.cli import AppGroup

from checkout import books
from shop.database import snapshot
from shop.words import gettext as _
from shop.words import ngettext

books_commands = AppGroup("books", help="The books: orders, places and money.")


@books_commands.command("check")
def check() -> None:
    """Verify every invariant on the whole database; exits 1 when one does not hold."""
    started, wrong = time.perf_counter(), 0
    with snapshot() as db:
        for words, count in books.count_rows(db).items():
            click.echo(f"{count:>12,}  {words}".replace(",", "\u202f"))
        click.echo()
        for checked in books.run(db):
            mark = "ok" if checked.finding is None else "!!"
            words = f"{mark} {checked.check.invariant:>2}  {checked.seconds:6.2f} s  "
            if checked.finding is None:
                click.echo(words + _("aucun cas : %(what)s", what=checked.check.sentence))
            else:
                wrong += 1
                found = {"what": checked.finding.sentence, "examples": ", ".join(checked.finding.examples)}
                click.echo(words + _("%(what)s : %(examples)s", **found))
    seconds = f"{time.perf_counter() - started:.1f}".replace(".", ",")
    click.echo()
    if wrong:
        words = ngettext("Un invariant ne tient pas.", "%(count)s invariants ne tiennent pas.", wrong)
        click.echo(f"{words} ({seconds} s)")
        raise SystemExit(1)
    click.echo(_("Les comptes sont justes (%(seconds)s s).", seconds=seconds))
