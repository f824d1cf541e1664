"""Outings for which the kitchen prepares picnics."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Written out: Alembic would make the whole table anew on SQLite to add a column with a constraint.
    op.execute(
        "ALTER TABLE call_offs ADD COLUMN picnic BOOLEAN NOT NULL DEFAULT false"
        " CONSTRAINT ck_call_offs_picnic CHECK (NOT picnic OR kind = 'outing')"
    )


def downgrade() -> None:
    op.drop_column("call_offs", "picnic")
