"""The schema of the database: bring it to the newest migration, compare it with the models."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from shop.config import ROOT
from shop.database import Base, Database

UPGRADE_LOCK = 7_204_611
"""The advisory lock of an upgrade on PostgreSQL: of several starting at once, one upgrades and the others wait."""


def _config(connection: Connection | None = None) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _upgrading(database: Database) -> Iterator[Connection]:
    with database.engine.connect() as connection:
        if database.is_sqlite:
            yield connection
            return
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": UPGRADE_LOCK})
        connection.commit()
        try:
            yield connection
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": UPGRADE_LOCK})
            connection.commit()


def current_revision(database: Database) -> str | None:
    """The migration the database stands at; nothing for an empty one."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str | None:
    """The newest migration there is."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def upgrade(database: Database) -> None:
    """Bring the schema to the newest migration; does nothing when it is there."""
    if current_revision(database) == newest_revision():
        return
    with _upgrading(database) as connection:
        command.upgrade(_config(connection), "head")
        connection.commit()


def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to a migration ("base" for nothing at all)."""
    with _upgrading(database) as connection:
        command.downgrade(_config(connection), revision)
        connection.commit()


def drift(database: Database) -> list[Any]:
    """What the models have and the schema lacks, or the other way round; empty when they agree."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences: list[Any] = compare_metadata(context, Base.metadata)
    return differences


def write_migration(database: Database, message: str) -> None:
    """Write a migration file with the difference between schema and models, to be read and completed by hand."""
    with _upgrading(database) as connection:
        command.revision(_config(connection), message, autogenerate=True)
