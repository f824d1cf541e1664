"""Call-offs: what a town hall calls off on a day, planned, carried out or taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PLANNED = sa.text("state = 'planned'")


def upgrade() -> None:
    op.create_table(
        "call_offs",
        sa.Column("id", KEY, nullable=False),
        sa.Column("service_day_id", KEY, nullable=False),
        sa.Column("school_id", KEY, nullable=True),
        sa.Column("class_name", sa.String(length=40), nullable=True),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("words", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by_id", KEY, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closure_id", KEY, nullable=True),
        sa.Column("meals", sa.Integer(), nullable=False),
        sa.Column("cents", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('strike', 'closure', 'outing')", name=op.f("ck_call_offs_kind")),
        sa.CheckConstraint("state IN ('planned', 'done', 'undone')", name=op.f("ck_call_offs_state")),
        sa.CheckConstraint("class_name IS NULL OR school_id IS NOT NULL", name=op.f("ck_call_offs_scope")),
        sa.CheckConstraint("(state = 'planned') = (ended_at IS NULL)", name=op.f("ck_call_offs_ended")),
        sa.ForeignKeyConstraint(["service_day_id"], ["service_days.id"], name=op.f("fk_call_offs_service_day_id")),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_call_offs_school_id")),
        sa.ForeignKeyConstraint(["asked_by_id"], ["accounts.id"], name=op.f("fk_call_offs_asked_by_id")),
        sa.ForeignKeyConstraint(["closure_id"], ["closures.id"], name=op.f("fk_call_offs_closure_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_offs")),
    )
    op.create_index(op.f("ix_call_offs_service_day_id"), "call_offs", ["service_day_id"])
    op.create_index("ix_call_offs_planned", "call_offs", ["due_at"], postgresql_where=PLANNED, sqlite_where=PLANNED)
    op.execute(
        "ALTER TABLE reservations ADD COLUMN call_off_id"
        f" {'INTEGER' if op.get_context().dialect.name == 'sqlite' else 'BIGINT'}"
        " CONSTRAINT fk_reservations_call_off_id REFERENCES call_offs (id)"
    )
    op.create_index(op.f("ix_reservations_call_off_id"), "reservations", ["call_off_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_reservations_call_off_id"), table_name="reservations")
    with op.batch_alter_table("reservations") as batch:
        batch.drop_column("call_off_id")
    op.drop_table("call_offs")
