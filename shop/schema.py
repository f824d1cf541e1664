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
from sqlalchemy.orm import Session

from shop.config import ROOT
from shop.database import Base, Database

UPGRADE_LOCK = 7_204_611
"""The advisory lock of an upgrade on PostgreSQL: of several starting at once, one upgrades and the others wait."""

APPEND_ONLY = ("audit_lines", "beneficiary_changes", "journal_entries", "payment_events", "postings")
"""Tables that triggers protect from change: see the migration "Books are append-only"."""


def _config(connection: Connection | None = None) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _upgrading(database: Database) -> Iterator[Connection]:
    with database.engine.connect() as connection:
        if database.is_sqlite:
            with _keys_looked_at_afterwards(connection):
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


@contextmanager
def _keys_looked_at_afterwards(connection: Connection) -> Iterator[None]:
    """On SQLite a table changes by being written anew and renamed, as https://www.sqlite.org/lang_altertable.html has it:
    meanwhile what refers to it refers to nothing. The migrations look at all keys before they end."""
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys=OFF")  # which does nothing within a transaction
    try:
        yield
    finally:
        connection.rollback()
        driver.execute("PRAGMA foreign_keys=ON")


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


def missing_guards(db: Session) -> list[str]:
    """The triggers that should protect the books and are not there, or are switched off: "postings: delete", …

    PostgreSQL has one more than SQLite: at commit, an entry that does not sum to zero is refused ("postings: insert").
    """
    expected = {(table, verb) for table in APPEND_ONLY for verb in ("update", "delete")}
    found: set[tuple[str, str]] = set()
    if db.get_bind().dialect.name == "postgresql":
        expected.add(("postings", "insert"))
        # Of the bits of tgtype, 4 is INSERT, 8 is DELETE, 16 is UPDATE. "O" and "A" are the two ways to be in force.
        for table, bits in db.execute(
            text(
                "SELECT c.relname, t.tgtype FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
                " WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND pg_table_is_visible(c.oid)"
            )
        ):
            found.update((table, verb) for bit, verb in ((4, "insert"), (8, "delete"), (16, "update")) if bits & bit)
    else:
        for table, sql in db.execute(text("SELECT tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")):
            if "RAISE(ABORT" in sql:
                found.update((table, verb) for verb in ("update", "delete") if f"BEFORE {verb.upper()}" in sql)
    return [f"{table}: {verb}" for table, verb in sorted(expected - found)]
