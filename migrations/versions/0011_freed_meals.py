"""Meals that are given back after the limit, for another family to take."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ALIVE = sa.text("state IN ('offered', 'held')")
SOLD = sa.text("state IN ('held', 'taken')")
OFFERED = sa.text("state = 'offered'")


def upgrade() -> None:
    op.add_column("service_days", sa.Column("freed_deadline_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "freed_meals",
        sa.Column("id", KEY, nullable=False),
        sa.Column("reservation_id", KEY, nullable=False),
        sa.Column("service_day_id", KEY, nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offered_by_id", KEY, nullable=False),
        sa.Column("taker_id", KEY, nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('offered', 'held', 'taken', 'withdrawn', 'lapsed')", name=op.f("ck_freed_meals_state")
        ),
        sa.CheckConstraint("(state IN ('held', 'taken')) = (taker_id IS NOT NULL)", name=op.f("ck_freed_meals_taker")),
        sa.CheckConstraint("(state IN ('offered', 'held')) = (ended_at IS NULL)", name=op.f("ck_freed_meals_ended")),
        sa.ForeignKeyConstraint(["reservation_id"], ["reservations.id"], name=op.f("fk_freed_meals_reservation_id")),
        sa.ForeignKeyConstraint(["service_day_id"], ["service_days.id"], name=op.f("fk_freed_meals_service_day_id")),
        sa.ForeignKeyConstraint(["offered_by_id"], ["accounts.id"], name=op.f("fk_freed_meals_offered_by_id")),
        sa.ForeignKeyConstraint(["taker_id"], ["reservations.id"], name=op.f("fk_freed_meals_taker_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_freed_meals")),
    )
    op.create_index(op.f("ix_freed_meals_reservation_id"), "freed_meals", ["reservation_id"])
    for name, column, unique, where in (
        ("uq_freed_meals_alive", "reservation_id", True, ALIVE),
        ("uq_freed_meals_sold", "taker_id", True, SOLD),
        ("ix_freed_meals_offered", "service_day_id", False, OFFERED),
    ):
        op.create_index(name, "freed_meals", [column], unique=unique, postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    op.drop_table("freed_meals")
    op.drop_column("service_days", "freed_deadline_at")
