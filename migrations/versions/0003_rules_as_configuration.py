"""Rules as configuration: policies of services, grids of prices, late deadlines, credits as sold, family quotients.

What was sold before is credited in full, as it was promised. Columns are added in place: rebuilding a table on SQLite would
lose its checks.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CREDITED = {"basket_lines": "quoted_cents", "reservations": "cents"}


def upgrade() -> None:
    op.execute("""ALTER TABLE services ADD COLUMN policies JSON NOT NULL DEFAULT '{"credit": "full"}'""")
    op.add_column("tariff_prices", sa.Column("grid", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("tariff_prices", sa.Column("decided_on", sa.Date(), nullable=True))
    op.add_column("service_days", sa.Column("late_deadline_at", sa.DateTime(timezone=True), nullable=True))
    for table, paid in CREDITED.items():
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN credit_cents INTEGER NOT NULL DEFAULT 0"
            f" CONSTRAINT ck_{table}_credit CHECK (credit_cents >= 0)"
        )
        op.execute(f"UPDATE {table} SET credit_cents = {paid}")
        op.add_column(table, sa.Column("basis", sa.Text(), nullable=True))
    if op.get_context().dialect.name == "postgresql":
        for table in CREDITED:
            op.alter_column(table, "credit_cents", server_default=None)
        op.alter_column("services", "policies", server_default=None)
    op.create_table(
        "quotients",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("household_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("commune_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noted_by_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.CheckConstraint("value >= 0", name=op.f("ck_quotients_value")),
        sa.CheckConstraint("valid_until >= valid_from", name=op.f("ck_quotients_validity")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_quotients_household_id")),
        sa.ForeignKeyConstraint(["commune_id"], ["communes.id"], name=op.f("fk_quotients_commune_id")),
        sa.ForeignKeyConstraint(["noted_by_id"], ["accounts.id"], name=op.f("fk_quotients_noted_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quotients")),
        sa.UniqueConstraint(
            "household_id",
            "commune_id",
            "valid_from",
            name=op.f("uq_quotients_household_id_commune_id_valid_from"),
        ),
    )


def downgrade() -> None:
    op.drop_table("quotients")
    for table in CREDITED:
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"ck_{table}_credit"), type_="check")
            batch.drop_column("basis")
            batch.drop_column("credit_cents")
    op.drop_column("service_days", "late_deadline_at")
    op.drop_column("tariff_prices", "decided_on")
    op.drop_column("tariff_prices", "grid")
    op.drop_column("services", "policies")
