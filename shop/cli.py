"""Commands of the ground: the schema and the jobs."""

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from shop import jobs, schema
from shop.database import the_database
from shop.outbox import send_letters

database_commands = AppGroup("db", help="The database's schema.")
job_commands = AppGroup("jobs", help="Recurring jobs and letters.")


@database_commands.command("upgrade")
def upgrade() -> None:
    """Bring the schema to the newest migration."""
    schema.upgrade(the_database())


@database_commands.command("migration")
@click.argument("message")
def migration(message: str) -> None:
    """Write a migration from the difference between models and schema."""
    schema.write_migration(the_database(), message)


@database_commands.command("check")
def check() -> None:
    """Exit non-zero when models and schema differ."""
    differences = schema.drift(the_database())
    for difference in differences:
        click.echo(difference)
    if differences:
        raise SystemExit(1)


@job_commands.command("work")
@click.option("--once", is_flag=True, help="Run what is due once, and end.")
def work(once: bool) -> None:
    """Run recurring jobs and send letters until stopped."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    if once:
        jobs.run_due(app)
        send_letters()
    else:
        jobs.work(app)
