"""Commands about people."""

import click
from flask import current_app
from flask.cli import AppGroup

from accounts import operations, rules
from accounts.errors import FieldRefused
from accounts.models import STAFF_ROLES
from shop.clock import request_now
from shop.database import transaction

account_commands = AppGroup("accounts", help="People and staff.")


@account_commands.command("invite-staff")
@click.argument("email")
@click.option("--commune", "slug", required=True, help="The commune's slug, as in its address.")
@click.option("--role", type=click.Choice(STAFF_ROLES), default="manager", show_default=True)
@click.option("--first-name", default="", help="As the letter greets.")
@click.option("--last-name", default="")
def invite_staff(email: str, slug: str, role: str, first_name: str, last_name: str) -> None:
    """Give somebody a role at a town hall: a letter lets them choose their password."""
    try:
        email = rules.clean_email(email)
        names = rules.clean_first_name(first_name), rules.clean_name(last_name)
    except FieldRefused as refused:
        raise click.ClickException(refused.sentence) from refused
    with transaction() as db:
        place = current_app.extensions["shop.find_commune"](db, slug)
        if place is None:
            raise click.ClickException(f"No commune has the slug {slug!r}.")
        regie_id, commune_id = place
        new = operations.invite_staff(db, email, *names, role, regie_id, commune_id, request_now())
    click.echo(f"{email}: {'a letter with an activation link' if new else 'a letter'} is on its way.")
