"""Indexes for what pages look for: the meals without a booking of a household, the enrolments of a service."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

DUE = sa.text("state = 'due'")


def upgrade() -> None:
    op.create_index("ix_enrolments_service", "enrolments", ["service_id", "state"])
    op.create_index("ix_unbooked_meals_household", "unbooked_meals", ["household_id", "regie_id"])
    op.drop_index("ix_unbooked_meals_due", "unbooked_meals")


def downgrade() -> None:
    op.create_index(
        "ix_unbooked_meals_due", "unbooked_meals", ["household_id", "regie_id"], postgresql_where=DUE, sqlite_where=DUE
    )
    op.drop_index("ix_unbooked_meals_household", "unbooked_meals")
    op.drop_index("ix_enrolments_service", "enrolments")
