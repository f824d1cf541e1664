"""Invoices that were issued elsewhere and that a family has not paid."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STANDS = sa.text("state <> 'withdrawn'")


def upgrade() -> None:
    op.create_table(
        "outside_invoices",
        sa.Column("id", KEY, nullable=False),
        sa.Column("regie_id", KEY, nullable=False),
        sa.Column("household_id", KEY, nullable=False),
        sa.Column("reference", sa.String(length=40), nullable=False),
        sa.Column("cents", sa.Integer(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noted_by_id", KEY, nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by_id", KEY, nullable=True),
        sa.Column("withdrawn_reason", sa.String(length=300), nullable=True),
        sa.CheckConstraint("state IN ('open', 'paid', 'withdrawn')", name=op.f("ck_outside_invoices_state")),
        sa.CheckConstraint("cents > 0", name=op.f("ck_outside_invoices_cents")),
        sa.CheckConstraint("reference <> ''", name=op.f("ck_outside_invoices_reference")),
        sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name=op.f("ck_outside_invoices_closed")),
        sa.CheckConstraint("(closed_at IS NULL) = (closed_by_id IS NULL)", name=op.f("ck_outside_invoices_closed_by")),
        sa.CheckConstraint(
            "(state = 'withdrawn') = (withdrawn_reason IS NOT NULL)", name=op.f("ck_outside_invoices_withdrawn_why")
        ),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_outside_invoices_regie_id")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_outside_invoices_household_id")),
        sa.ForeignKeyConstraint(["noted_by_id"], ["accounts.id"], name=op.f("fk_outside_invoices_noted_by_id")),
        sa.ForeignKeyConstraint(["closed_by_id"], ["accounts.id"], name=op.f("fk_outside_invoices_closed_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outside_invoices")),
    )
    op.create_index(op.f("ix_outside_invoices_household_id"), "outside_invoices", ["household_id"])
    op.create_index(
        "uq_outside_invoices_reference",
        "outside_invoices",
        ["regie_id", "reference"],
        unique=True,
        postgresql_where=STANDS,
        sqlite_where=STANDS,
    )


def downgrade() -> None:
    op.drop_table("outside_invoices")
