"""From when on a child eats on other days, or not at all: what was usual before is no habit from then on."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "pattern_changes",
        sa.Column("id", KEY, nullable=False),
        sa.Column("household_id", KEY, nullable=False),
        sa.Column("beneficiary_id", KEY, nullable=False),
        sa.Column("service_id", KEY, nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_pattern_changes_household_id")),
        sa.ForeignKeyConstraint(
            ["beneficiary_id"], ["beneficiaries.id"], name=op.f("fk_pattern_changes_beneficiary_id")
        ),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_pattern_changes_service_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pattern_changes")),
    )
    columns = ["household_id", "beneficiary_id", "service_id", "first_day"]
    op.create_index("uq_pattern_changes_once", "pattern_changes", columns, unique=True)


def downgrade() -> None:
    op.drop_table("pattern_changes")
