"""Reminders that were written, those that an account does not want, and weeks in which a family wants nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "reminders",
        sa.Column("id", KEY, nullable=False),
        sa.Column("account_id", KEY, nullable=False),
        sa.Column("household_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("about", sa.String(length=60), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=True),
        sa.Column("mark", sa.String(length=64), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("meals", sa.JSON(), nullable=True),
        sa.Column("answer", sa.String(length=8), nullable=True),
        sa.Column("order_id", KEY, nullable=True),
        sa.CheckConstraint("kind IN ('basket', 'week', 'balance')", name=op.f("ck_reminders_kind")),
        sa.CheckConstraint("answer IN ('booked', 'basket', 'nothing')", name=op.f("ck_reminders_answer")),
        sa.CheckConstraint("(answer = 'booked') = (order_id IS NOT NULL)", name=op.f("ck_reminders_booked")),
        sa.CheckConstraint("(kind = 'week') = (token_hash IS NOT NULL)", name=op.f("ck_reminders_link")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_reminders_account_id")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_reminders_household_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_reminders_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminders")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_reminders_token_hash")),
    )
    op.create_index("uq_reminders_once", "reminders", ["account_id", "kind", "about"], unique=True)
    op.create_table(
        "muted_reminders",
        sa.Column("id", KEY, nullable=False),
        sa.Column("account_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("muted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('basket', 'week', 'balance')", name=op.f("ck_muted_reminders_kind")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_muted_reminders_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_muted_reminders")),
        sa.UniqueConstraint("account_id", "kind", name=op.f("uq_muted_reminders_account_id_kind")),
    )
    op.create_table(
        "quiet_weeks",
        sa.Column("id", KEY, nullable=False),
        sa.Column("household_id", KEY, nullable=False),
        sa.Column("monday", sa.Date(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_quiet_weeks_household_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quiet_weeks")),
        sa.UniqueConstraint("household_id", "monday", name=op.f("uq_quiet_weeks_household_id_monday")),
    )


def downgrade() -> None:
    op.drop_table("quiet_weeks")
    op.drop_table("muted_reminders")
    op.drop_table("reminders")
