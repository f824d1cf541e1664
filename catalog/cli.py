"""Commands of the catalogue: open a town from its file, bring in the school calendar."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.export import read_catalogue, write_town
from catalog.models import Commune, Regie, Service
from catalog.operations import (
    ImportReport,
    describe_moved,
    describe_refresh,
    import_calendar,
    import_town,
    refresh_services,
)
from catalog.queries import explained, school_calendar
from catalog.rules.policies import all_sentences
from catalog.town import Case, read_school_calendar, read_town
from catalog.trying import Outcome, local, try_cases
from shop.clock import paris_day, request_now
from shop.database import reading, transaction
from shop.errors import NotFound, Refusal
from shop.french import day_long, moment_short
from shop.money import format_euros
from shop.words import gettext as _
from shop.words import ngettext

catalog_commands = AppGroup("catalog", help="The catalogue: communes, services, tariffs, school calendar.")

TomlFile = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Undone(Exception):
    """Ends a transaction that was only tried."""


@catalog_commands.command("import")
@click.argument("file", type=TomlFile)
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def import_file(file: Path, dry_run: bool) -> None:
    """Make the catalogue what FILE says; the same file twice changes nothing."""
    slug = ""

    def bring(db: Session) -> ImportReport:
        nonlocal slug
        town = read_town(_text(file), str(file))
        slug = town.regie.slug
        return import_town(db, town, request_now())

    def own(db: Session) -> list[int]:
        query = select(Service.id).join(Commune, Commune.id == Service.commune_id)
        return list(db.scalars(query.join(Regie, Regie.id == Commune.regie_id).where(Regie.slug == slug)))

    _bring_in(bring, own, dry_run)


@catalog_commands.command("calendar")
@click.argument("file", type=TomlFile)
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def calendar(file: Path, dry_run: bool) -> None:
    """Make school years and holidays what FILE says, and recompute the days whose deadline is still ahead."""
    _bring_in(
        lambda db: import_calendar(db, read_school_calendar(_text(file), str(file))),
        lambda db: list(db.scalars(select(Service.id))),
        dry_run,
    )


def _bring_in(
    bring: Callable[[Session], ImportReport], concerned: Callable[[Session], list[int]], dry_run: bool
) -> None:
    """Import and plan the days of the services concerned, in one transaction; a dry run does the same and takes it back, so
    that both say the same."""
    now, lines = request_now(), []
    try:
        with suppress(_Undone), transaction() as db:
            report = bring(db)
            reports = refresh_services(db, concerned(db), paris_day(now), now)
            lines = [*report.lines, *describe_moved(db, reports)]
            if not report.changed:
                lines.append(_("Le fichier et la base disent déjà la même chose."))
            lines.append(describe_refresh(reports))
            if dry_run:
                raise _Undone
    except Refusal as refused:
        raise click.ClickException(refused.sentence) from refused
    for line in lines:
        click.echo(line)
    if dry_run:
        click.echo(_("Essai : rien n’a été écrit."))


@catalog_commands.command("export")
@click.argument("regie")
def export(regie: str) -> None:
    """Write the catalogue of the cash office REGIE (its slug) as a file that `import` reads back."""
    try:
        with reading() as db:
            text = write_town(read_catalogue(db, regie))
    except NotFound as missing:
        raise click.ClickException(_("Régie inconnue : %(regie)s.", regie=regie)) from missing
    click.echo(text, nl=False)


rules_commands = AppGroup("rules", help="The rules of services: try them on examples, say what they mean.")


@rules_commands.command("try")
@click.argument("file", type=TomlFile)
@click.option("--calendar", "calendar_file", type=TomlFile, help="A school calendar, instead of the database's own.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def try_rules(file: Path, calendar_file: Path | None, as_json: bool) -> None:
    """Evaluate the rules of the catalogue FILE on its own examples ([[cases]]); fails when one gives something else."""
    try:
        town = read_town(_text(file), str(file))
        if calendar_file:
            school = read_school_calendar(_text(calendar_file), str(calendar_file))
        else:
            with reading() as db:
                school = school_calendar(db)
        found = list(try_cases(town, school))
    except Refusal as refused:
        raise click.ClickException(refused.sentence) from refused
    if as_json:
        click.echo(json.dumps([_as_json(case, outcome) for case, outcome in found], ensure_ascii=False, indent=2))
    else:
        for line in _table_of(found):
            click.echo(line)
    differing = sum(bool(outcome.differs) for _case, outcome in found)
    if differing:
        raise click.ClickException(ngettext("%(count)d exemple diffère.", "%(count)d exemples diffèrent.", differing))


VERDICTS = {"in time": _("à temps"), "late": _("hors délai"), "too late": _("trop tard"), "closed": _("fermé")}
ACTIONS = {"book": _("réserver"), "cancel": _("annuler"), "eat": _("sans réservation"), "free": _("rendre")}


def _as_json(case: Case, outcome: Outcome) -> dict[str, Any]:
    return {
        "situation": case.situation,
        "action": case.action,
        "meal": case.meal.isoformat(),
        "service": outcome.service,
        "tariff": outcome.tariff,
        "deadline": local(outcome.deadline) or None,
        "verdict": outcome.verdict,
        "price_cents": outcome.cents,
        "reasons": list(outcome.reasons),
        "differs": list(outcome.differs),
    }


def _situation(case: Case) -> str:
    """The example in words, or what it says of the family."""
    facts = (
        (_("quotient %(value)s"), case.quotient),
        (_("%(value)sᵉ enfant"), case.rank),
        (_("%(value)s à table"), case.eating),
        (_("%(value)sᵉ fois"), case.times if case.times > 1 else None),
    )
    return case.situation or ", ".join(words % {"value": value} for words, value in facts if value is not None)


def _table_of(found: Sequence[tuple[Case, Outcome]]) -> Iterator[str]:
    if not found:
        yield _("Ce fichier ne contient aucun exemple ([[cases]]).")
        return
    heads = (
        *(_("service"), _("repas du"), _("action"), _("situation")),
        *(_("date limite"), _("verdict"), _("prix"), _("pourquoi")),
    )
    rows = [
        (
            outcome.service,
            case.meal.isoformat(),
            ACTIONS[case.action],
            _situation(case),
            local(outcome.deadline),
            VERDICTS[outcome.verdict],
            "" if outcome.cents is None else format_euros(outcome.cents),
            " ".join((*outcome.reasons, *(f"!! {words}" for words in outcome.differs))),
        )
        for case, outcome in found
    ]
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads) - 1)]
    for row in (heads, *rows):
        yield "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1])).rstrip()


@rules_commands.command("explain")
@click.argument("service", metavar="COMMUNE/SERVICE")
@click.option("--days", type=click.IntRange(1, 400), default=60, show_default=True, help="How many days ahead.")
def explain(service: str, days: int) -> None:
    """Say the rules of a service in sentences, as parents read them, and list its coming deadlines."""
    commune_slug, _slash, slug = service.partition("/")
    now = request_now()
    try:
        with reading() as db:
            found = explained(db, commune_slug, slug, paris_day(now), days)
    except NotFound as missing:
        raise click.ClickException(_("Service inconnu : %(service)s.", service=service)) from missing
    click.echo(found.name)
    for title, sentences in all_sentences(found.rules, found.limited):
        click.echo(f"\n{title}")
        for sentence in sentences:
            click.echo(f"  {sentence}")
    click.echo()
    for day in found.days:
        facts = {
            "day": day_long(day.day),
            "book": moment_short(day.book_deadline_at),
            "cancel": moment_short(day.cancel_deadline_at),
        }
        if not day.is_open:
            click.echo(_("%(day)s : %(why)s", day=facts["day"], why=day.closed_reason or _("fermé")))
            continue
        limits = [_("réserver %(book)s", **facts)]
        if day.late_deadline_at is not None:
            limits.append(_("hors délai %(at)s", at=moment_short(day.late_deadline_at)))
        limits.append(_("annuler %(cancel)s", **facts))
        if day.freed_deadline_at is not None:
            limits.append(_("rendre %(at)s", at=moment_short(day.freed_deadline_at)))
        click.echo(_("%(day)s : %(limits)s", day=facts["day"], limits=", ".join(limits)))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as broken:
        raise click.ClickException(_("%(file)s n’est pas un texte en UTF-8.", file=file)) from broken
