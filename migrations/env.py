"""Alembic's environment: the schema is that of the models; SQLite changes tables in batches."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, text

from shop.database import Base, UtcDateTime


def render(kind: str, thing: Any, _context: Any) -> str | Literal[False]:
    """A migration stands on its own: it names SQLAlchemy's types, not ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(thing, UtcDateTime) else False


def refuse_dangling_keys(connection: Connection) -> None:
    """At the end of a migration on SQLite, which has not looked at foreign keys meanwhile: see `shop.schema`."""
    if connection.dialect.name == "sqlite" and (found := connection.execute(text("PRAGMA foreign_key_check")).all()):
        raise RuntimeError(f"rows that refer to nothing (table, row, table referred to): {found[:5]}")


def run(connection: Connection) -> None:
    """Run the migrations on an open connection, each in its own transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        render_item=render,
        transaction_per_migration=True,
        transactional_ddl=True,  # on SQLite too, where the BEGIN is ours
        on_version_apply=lambda **_step: refuse_dangling_keys(connection),
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
