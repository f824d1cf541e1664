"""Commands of the catalogue: open a town from its file, bring in the school calendar."""

from pathlib import Path

import click
from flask.cli import AppGroup
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.models import Service
from catalog.operations import (
    ImportReport,
    describe_refresh,
    import_calendar,
    import_town,
    refresh_services,
)
from catalog.town import read_school_calendar, read_town
from shop.clock import paris_day, request_now
from shop.database import transaction
from shop.errors import Refusal
from shop.words import gettext as _

catalog_commands = AppGroup("catalog", help="The catalogue: communes, services, tariffs, school calendar.")

TomlFile = click.Path(exists=True, dir_okay=False, path_type=Path)


@catalog_commands.command("import")
@click.argument("file", type=TomlFile)
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def import_file(file: Path, dry_run: bool) -> None:
    """Make the catalogue what FILE says; the same file twice changes nothing."""
    now = request_now()
    try:
        town = read_town(_text(file), str(file))
        with transaction() as db:
            report = import_town(db, town, now, dry_run)
            refreshed = None if dry_run else _refresh_all(db)
    except Refusal as refused:
        raise click.ClickException(refused.sentence) from refused
    _tell(report, refreshed)


@catalog_commands.command("calendar")
@click.argument("file", type=TomlFile)
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def calendar(file: Path, dry_run: bool) -> None:
    """Make school years and holidays what FILE says, and recompute the days whose deadline is still ahead."""
    try:
        found = read_school_calendar(_text(file), str(file))
        with transaction() as db:
            report = import_calendar(db, found, dry_run)
            refreshed = None if dry_run else _refresh_all(db)
    except Refusal as refused:
        raise click.ClickException(refused.sentence) from refused
    _tell(report, refreshed)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as broken:
        raise click.ClickException(_("%(file)s n’est pas un texte en UTF-8.", file=file)) from broken


def _refresh_all(db: Session) -> str:
    now = request_now()
    return describe_refresh(refresh_services(db, list(db.scalars(select(Service.id))), paris_day(now), now))


def _tell(report: ImportReport, refreshed: str | None) -> None:
    for line in report.lines:
        click.echo(line)
    if not report.changed:
        click.echo(_("Le fichier et la base disent déjà la même chose."))
    click.echo(_("Essai : rien n’a été écrit.") if refreshed is None else refreshed)
