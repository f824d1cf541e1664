"""Places of a school on a day, and the waiting list."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
WAITS = sa.text("state IN ('waiting', 'offered')")
STATES = "'waiting', 'offered', 'taken', 'lapsed', 'declined', 'left', 'over'"


def upgrade() -> None:
    op.create_table(
        "school_limits",
        sa.Column("id", KEY, nullable=False),
        sa.Column("service_id", KEY, nullable=False),
        sa.Column("school_id", KEY, nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.CheckConstraint("capacity > 0", name=op.f("ck_school_limits_capacity")),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_school_limits_service_id")),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_school_limits_school_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_school_limits")),
        sa.UniqueConstraint("service_id", "school_id", name=op.f("uq_school_limits_service_id_school_id")),
    )
    op.create_table(
        "school_places",
        sa.Column("id", KEY, nullable=False),
        sa.Column("service_day_id", KEY, nullable=False),
        sa.Column("school_id", KEY, nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("booked_count", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "booked_count >= 0 AND (capacity IS NULL OR booked_count <= capacity)", name=op.f("ck_school_places_places")
        ),
        sa.ForeignKeyConstraint(["service_day_id"], ["service_days.id"], name=op.f("fk_school_places_service_day_id")),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_school_places_school_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_school_places")),
        sa.UniqueConstraint("service_day_id", "school_id", name=op.f("uq_school_places_service_day_id_school_id")),
    )
    op.execute(
        "ALTER TABLE reservations ADD COLUMN school_id"
        f" {'INTEGER' if op.get_context().dialect.name == 'sqlite' else 'BIGINT'}"
        " CONSTRAINT fk_reservations_school_id REFERENCES schools (id)"
    )
    op.execute(
        "UPDATE reservations SET school_id ="
        " (SELECT b.school_id FROM beneficiaries b WHERE b.id = reservations.beneficiary_id)"
    )
    op.create_table(
        "waiting_entries",
        sa.Column("id", KEY, nullable=False),
        sa.Column("household_id", KEY, nullable=False),
        sa.Column("beneficiary_id", KEY, nullable=False),
        sa.Column("service_day_id", KEY, nullable=False),
        sa.Column("account_id", KEY, nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("offered_at", MOMENT, nullable=True),
        sa.Column("offered_until", MOMENT, nullable=True),
        sa.Column("school_id", KEY, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("order_id", KEY, nullable=True),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_waiting_entries_state")),
        sa.CheckConstraint(
            "(state IN ('waiting', 'offered')) = (ended_at IS NULL)", name=op.f("ck_waiting_entries_ended")
        ),
        sa.CheckConstraint("state <> 'offered' OR offered_until IS NOT NULL", name=op.f("ck_waiting_entries_offered")),
        sa.CheckConstraint("(state = 'taken') = (order_id IS NOT NULL)", name=op.f("ck_waiting_entries_taken")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_waiting_entries_household_id")),
        sa.ForeignKeyConstraint(
            ["beneficiary_id"], ["beneficiaries.id"], name=op.f("fk_waiting_entries_beneficiary_id")
        ),
        sa.ForeignKeyConstraint(
            ["service_day_id"], ["service_days.id"], name=op.f("fk_waiting_entries_service_day_id")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_waiting_entries_account_id")),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_waiting_entries_school_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_waiting_entries_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting_entries")),
    )
    op.create_index(op.f("ix_waiting_entries_household_id"), "waiting_entries", ["household_id"])
    op.create_index(op.f("ix_waiting_entries_order_id"), "waiting_entries", ["order_id"])
    op.create_index(
        "uq_waiting_entries_child",
        "waiting_entries",
        ["beneficiary_id", "service_day_id"],
        unique=True,
        postgresql_where=WAITS,
        sqlite_where=WAITS,
    )
    op.create_index(
        "ix_waiting_entries_day", "waiting_entries", ["service_day_id"], postgresql_where=WAITS, sqlite_where=WAITS
    )


def downgrade() -> None:
    op.drop_table("waiting_entries")
    with op.batch_alter_table("reservations") as batch:
        batch.drop_column("school_id")
    op.drop_table("school_places")
    op.drop_table("school_limits")
