"""The composition root: everything is put together here, and nobody imports it.

`create_app(config)` reads top to bottom: the ground, the rooms' pages, what is handed down to lower floors, commands.
"""

import logging
import os
from datetime import timedelta

import structlog
from flask import Blueprint, Flask
from whitenoise import WhiteNoise

import accounts.jobs
import accounts.mails
import accounts.models
import accounts.queries
import accounts.views
import backoffice.call_off_views
import backoffice.invoice_views
import backoffice.meal_views
import backoffice.roll_call_views
import backoffice.views
import cart.models
import cart.views
import catalog.models
import catalog.queries
import catalog.views
import checkout.agenda
import checkout.change_views
import checkout.closing
import checkout.dashboard
import checkout.freed_views
import checkout.jobs
import checkout.mails
import checkout.meal_views
import checkout.order_views
import checkout.queries
import checkout.reconcile
import checkout.reminders.jobs
import checkout.reminders.mails
import checkout.reminders.models
import checkout.reminders.views
import checkout.sick_views
import checkout.views
import checkout.waiting
import checkout.waiting_views
import checkout.wallet_views
import checkout.webhooks
import enrolments.mails
import enrolments.models
import enrolments.operations
import enrolments.queries
import enrolments.views
import homes.jobs
import homes.mails
import homes.models
import homes.operations
import homes.queries
import homes.views
import orders.models
import payments.models
import payments.views
import shop.models
import wallet.models
from accounts.cli import account_commands
from catalog.cli import catalog_commands, rules_commands
from checkout.cli import books_commands
from demo.cli import demo_commands
from demo.load import list_accounts
from payments.gateways.base import Gateway
from payments.gateways.sandbox import SandboxGateway, call_back
from shop import cli as shop_cli
from shop import demo_letters, pages
from shop.access import init_access
from shop.clock import Clock, SystemClock, TravellingClock
from shop.config import ROOT, Config
from shop.crypto import Sealer
from shop.database import Database
from shop.jobs import Recurring
from shop.limits import init_limits
from shop.outbox import Pigeonhole, SmtpPostman, send_letters
from shop.redaction import without_rows
from shop.web import Shop, init_web, with_headers

STATIC = ROOT / "static"


def create_app(config: Config | None = None, clock: Clock | None = None) -> Flask:
    """The shop, ready to serve. Without arguments it is built from the environment and the machine's clock."""
    config = config or Config.from_environ(os.environ)
    app = Shop(__name__, static_folder=None, template_folder=str(ROOT / "templates"))
    _lay_the_ground(app, config, clock)
    _open_the_gateways(app, config)
    _open_the_rooms(app)
    _hand_down(app, config)
    init_web(app)
    init_access(app, accounts.queries.visitor_finder(*checkout.queries.header_columns()))
    _serve_files(app)
    app.wsgi_app = with_headers(app)  # type: ignore[method-assign, assignment]
    return app


def _lay_the_ground(app: Flask, config: Config, clock: Clock | None) -> None:
    start = config.clock_start
    app.extensions["shop.config"] = config
    app.extensions["shop.clock"] = clock or (TravellingClock.starting_at(start) if start else SystemClock())
    app.extensions["shop.database"] = Database(config.database_url)
    app.extensions["shop.sealer"] = Sealer(config.data_keys)
    app.extensions["shop.postman"] = SmtpPostman(config.smtp_url) if config.smtp_url else Pigeonhole()
    init_limits(app)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            without_rows,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )


def _open_the_gateways(app: Flask, config: Config) -> None:
    """The providers that card payments may go through: the sandbox unless in production, Stripe when it has a key."""
    gateways: dict[str, Gateway] = {}
    if not config.production:
        gateways["sandbox"] = SandboxGateway(config)
        app.register_blueprint(payments.views.blueprint)
    if config.stripe_secret_key:
        # Imported here: the library takes a third of a second, and most shops that run for a try do not need it.
        from payments.gateways.stripe_checkout import StripeGateway

        gateways["stripe"] = StripeGateway(config)
    app.extensions["payments.gateways"] = gateways
    app.extensions["shop.form_hosts"] = sorted({host for gateway in gateways.values() for host in gateway.form_hosts})


def _open_the_rooms(app: Flask) -> None:
    blueprints: tuple[Blueprint, ...] = (
        pages.blueprint,
        accounts.views.blueprint,
        catalog.views.blueprint,
        enrolments.views.blueprint,
        homes.views.blueprint,
        cart.views.blueprint,
        checkout.views.blueprint,
        checkout.order_views.blueprint,
        checkout.wallet_views.blueprint,
        checkout.reminders.views.blueprint,
        backoffice.views.blueprint,
        checkout.webhooks.blueprint,
    )
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    if app.extensions["shop.config"].demo:
        app.register_blueprint(demo_letters.blueprint)
    for group in (
        account_commands,
        books_commands,
        catalog_commands,
        rules_commands,
        demo_commands,
        shop_cli.database_commands,
        shop_cli.job_commands,
    ):
        app.cli.add_command(group)


def _hand_down(app: Flask, config: Config) -> None:
    app.extensions["shop.letters"] = {
        **accounts.mails.COMPOSERS,
        **enrolments.mails.LETTERS,
        **homes.mails.LETTERS,
        **checkout.mails.LETTERS,
        **checkout.reminders.mails.LETTERS,
    }
    app.extensions["shop.jobs"] = [
        Recurring("letters", timedelta(seconds=2), send_letters),
        Recurring("reconcile", timedelta(seconds=30), checkout.reconcile.reconcile),
        Recurring("call_offs", timedelta(seconds=20), checkout.jobs.carry_out_call_offs),
        Recurring("waiting_list", timedelta(seconds=5), checkout.jobs.offer_places),
        Recurring("basket_reminders", timedelta(minutes=10), checkout.reminders.jobs.remind_of_baskets),
        Recurring("week_reminders", timedelta(hours=1), checkout.reminders.jobs.remind_of_weeks),
        # Several times a day, because what falls into the night waits for the next one.
        Recurring("balance_reminders", timedelta(hours=4), checkout.reminders.jobs.remind_of_balances),
        Recurring("freed_meals", timedelta(minutes=5), checkout.jobs.lapse_freed_meals),
        Recurring("accounts", timedelta(days=1), accounts.jobs.sweep),
        Recurring("invitations", timedelta(days=1), homes.jobs.sweep),
        Recurring("books", timedelta(days=1), checkout.jobs.verify_books),
    ]
    if "sandbox" in app.extensions["payments.gateways"]:
        app.extensions["shop.jobs"].append(Recurring("sandbox_callbacks", timedelta(seconds=2), call_back))
    app.extensions["shop.demo_accounts"] = list_accounts
    app.extensions["shop.look_ahead"] = checkout.dashboard.look_ahead
    app.extensions["shop.booked_ahead"] = checkout.dashboard.booked_ahead
    app.extensions["shop.schools"] = catalog.queries.every_school
    app.extensions["shop.find_commune"] = catalog.queries.find_commune
    app.extensions["shop.has_requests"] = enrolments.queries.has_asked
    app.extensions["shop.on_confirmed"] = enrolments.operations.announce
    app.extensions["shop.closing_obstacles"] = [*checkout.closing.OBSTACLES]
    app.extensions["shop.closing_steps"] = [
        enrolments.operations.end_with_household,
        homes.operations.end_with_household,
        checkout.agenda.end_with_household,
        checkout.waiting.end_with_household,
    ]
    app.extensions["shop.forgetting"] = [
        enrolments.operations.forget_household,
        homes.operations.forget_household,
    ]
    app.extensions["shop.invitations"] = homes.queries.invitations_to


def _serve_files(app: Flask) -> None:
    """Style sheets, scripts and icons, served under a name that changes with their content and may be kept for good."""
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app, root=str(STATIC), prefix="static/", max_age=365 * 86400, allow_all_origins=False
    )
