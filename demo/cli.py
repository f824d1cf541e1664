"""Commands of the demonstration. None of them runs in production."""

import json
from dataclasses import asdict

import click
from flask import current_app
from flask.cli import AppGroup

from demo.grow import grow
from demo.load import describe_accounts, is_empty, list_accounts, load
from demo.published import load_published
from shop import schema
from shop.clock import request_now
from shop.config import Config
from shop.database import the_database, transaction
from shop.errors import Refusal
from shop.words import gettext as _

demo_commands = AppGroup("demo", help="The demo town: load it, show its sign-ins, make it grow.")


def _refuse_production() -> None:
    config: Config = current_app.extensions["shop.config"]
    if config.production:
        raise click.ClickException(_("La démonstration ne se charge jamais en production."))


@demo_commands.command("load")
@click.option("--if-empty", is_flag=True, help="Do nothing when the database holds a town already.")
def load_town(if_empty: bool) -> None:
    """Load the demo town into a database that holds no town yet."""
    _refuse_production()
    if is_empty():
        load(request_now())
    elif not if_empty:
        raise click.ClickException(_("La base contient déjà une ville : la démonstration ne s’y ajoute pas."))


@demo_commands.command("published")
def load_thirteen() -> None:
    """Open thirteen communes with the rules that they publish beside the demo town, its families enrolled."""
    _refuse_production()
    if is_empty():
        raise click.ClickException(_("Chargez d’abord la ville de démonstration : flask demo load."))
    with transaction() as db:
        count = load_published(db, request_now())
    click.echo(
        _(
            "%(count)d communes ouvertes : la famille Dupont y est inscrite, l’agent de Polignac les gère.",
            count=count,
        )
    )


@demo_commands.command("accounts")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def accounts(as_json: bool) -> None:
    """List who can sign in: role, e-mail, password, commune, second-factor secret."""
    _refuse_production()
    if as_json:
        click.echo(json.dumps([asdict(account) for account in list_accounts()], ensure_ascii=False, indent=2))
    else:
        for line in describe_accounts():
            click.echo(line)


@demo_commands.command("prepare")
def prepare() -> None:
    """Bring the schema up to date, load the demo town into an empty database, and print the sign-ins."""
    _refuse_production()
    schema.upgrade(the_database())
    if is_empty():
        click.echo(_("Chargement de la ville de démonstration…"))
        load(request_now())
    click.echo(_("Comptes de la démonstration (adresse, mot de passe, rôle, [secret de la double authentification]) :"))
    for line in describe_accounts():
        click.echo(line)


@demo_commands.command("grow")
@click.option("--families", type=click.IntRange(1, 200_000), required=True, help="How many families to add.")
@click.option("--reservations", type=click.IntRange(0, 50_000_000), required=True, help="How many meals to add.")
def grow_town(families: int, reservations: int) -> None:
    """Add made-up families and their meals, the same ones every time, for measuring."""
    _refuse_production()
    try:
        report = grow(families, reservations, request_now())
    except Refusal as refused:
        raise click.ClickException(refused.sentence) from refused
    click.echo(report)
