"""What families say of a child who is ill."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "sick_leaves",
        sa.Column("id", KEY, nullable=False),
        sa.Column("household_id", KEY, nullable=False),
        sa.Column("beneficiary_id", KEY, nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_by_id", KEY, nullable=False),
        sa.Column("paper", sa.Boolean(), nullable=False),
        sa.Column("paper_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paper_seen_by_id", KEY, nullable=True),
        sa.CheckConstraint("last_day >= first_day", name=op.f("ck_sick_leaves_days")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_sick_leaves_household_id")),
        sa.ForeignKeyConstraint(["beneficiary_id"], ["beneficiaries.id"], name=op.f("fk_sick_leaves_beneficiary_id")),
        sa.ForeignKeyConstraint(["told_by_id"], ["accounts.id"], name=op.f("fk_sick_leaves_told_by_id")),
        sa.ForeignKeyConstraint(["paper_seen_by_id"], ["accounts.id"], name=op.f("fk_sick_leaves_paper_seen_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sick_leaves")),
    )
    op.create_index(op.f("ix_sick_leaves_household_id"), "sick_leaves", ["household_id"])


def downgrade() -> None:
    op.drop_table("sick_leaves")
