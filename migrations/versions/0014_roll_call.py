"""Who noted a child at the roll-call and when, and which call-off has taken a meal without a booking back."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sqlite = op.get_context().dialect.name == "sqlite"
    moment, key = ("DATETIME", "INTEGER") if sqlite else ("TIMESTAMP WITH TIME ZONE", "BIGINT")
    # Written out: Alembic would make the whole tables anew on SQLite to add columns with constraints.
    op.execute(f"ALTER TABLE reservations ADD COLUMN attendance_at {moment}")
    op.execute(
        f"ALTER TABLE reservations ADD COLUMN attendance_by_id {key}"
        " CONSTRAINT fk_reservations_attendance_by_id REFERENCES accounts (id)"
        " CONSTRAINT ck_reservations_noted CHECK ((attendance_at IS NULL) = (attendance_by_id IS NULL))"
    )
    op.execute(
        f"ALTER TABLE unbooked_meals ADD COLUMN call_off_id {key}"
        " CONSTRAINT fk_unbooked_meals_call_off_id REFERENCES call_offs (id)"
        " CONSTRAINT ck_unbooked_meals_called_off CHECK (call_off_id IS NULL OR state = 'struck')"
    )
    op.create_index(op.f("ix_unbooked_meals_call_off_id"), "unbooked_meals", ["call_off_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_unbooked_meals_call_off_id"), table_name="unbooked_meals")
    with op.batch_alter_table("unbooked_meals") as batch:
        batch.drop_constraint(op.f("ck_unbooked_meals_called_off"), type_="check")
        batch.drop_column("call_off_id")
    with op.batch_alter_table("reservations") as batch:
        batch.drop_constraint(op.f("ck_reservations_noted"), type_="check")
        batch.drop_column("attendance_by_id")
        batch.drop_column("attendance_at")
