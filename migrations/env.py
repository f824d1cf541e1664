"""Alembic's environment: the schema is that of the models; SQLite changes tables in batches."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

from shop.database import Base, UtcDateTime


def render(kind: str, thing: Any, _context: Any) -> str | Literal[False]:
    """A migration stands on its own: it names SQLAlchemy's types, not ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(thing, UtcDateTime) else False


def run(connection: Connection) -> None:
    """Run the migrations on an open connection, each in its own transaction on PostgreSQL."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        render_item=render,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
