"""Meals eaten without a booking, and what makes bookings wait.

On SQLite the kinds of entries are widened in the table's own text, which is SQLite's way to change a CHECK in place: the books
are never copied, and keep their triggers.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DUE, LIVE, ORIGINAL = sa.text("state = 'due'"), sa.text("state <> 'struck'"), sa.text("kind <> 'reversal'")
KINDS = (
    *("top_up", "wallet_payment", "card_payment", "cancelled_meal", "late_payment", "double_payment", "suspense"),
    *("refund", "adjustment", "reversal"),
)
NEW_KINDS = ("unbooked_meal", "due_settled")


def upgrade() -> None:
    op.create_table(
        "unbooked_meals",
        sa.Column("id", KEY, nullable=False),
        sa.Column("regie_id", KEY, nullable=False),
        sa.Column("household_id", KEY, nullable=False),
        sa.Column("beneficiary_id", KEY, nullable=False),
        sa.Column("service_day_id", KEY, nullable=False),
        sa.Column("tariff_id", KEY, nullable=False),
        sa.Column("tariff_price_id", KEY, nullable=False),
        sa.Column("cents", sa.Integer(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=6), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noted_by_id", KEY, nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("struck_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("struck_by_id", KEY, nullable=True),
        sa.Column("struck_reason", sa.String(length=300), nullable=True),
        sa.CheckConstraint("state IN ('due', 'paid', 'struck')", name=op.f("ck_unbooked_meals_state")),
        sa.CheckConstraint("cents >= 0", name=op.f("ck_unbooked_meals_cents")),
        sa.CheckConstraint(
            "state = 'struck' OR (state = 'paid') = (settled_at IS NOT NULL)", name=op.f("ck_unbooked_meals_settled")
        ),
        sa.CheckConstraint("(state = 'struck') = (struck_at IS NOT NULL)", name=op.f("ck_unbooked_meals_struck")),
        sa.CheckConstraint(
            "(struck_at IS NULL) = (struck_by_id IS NULL) AND (struck_at IS NULL) = (struck_reason IS NULL)",
            name=op.f("ck_unbooked_meals_struck_why"),
        ),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_unbooked_meals_regie_id")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_unbooked_meals_household_id")),
        sa.ForeignKeyConstraint(
            ["beneficiary_id"], ["beneficiaries.id"], name=op.f("fk_unbooked_meals_beneficiary_id")
        ),
        sa.ForeignKeyConstraint(["service_day_id"], ["service_days.id"], name=op.f("fk_unbooked_meals_service_day_id")),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariffs.id"], name=op.f("fk_unbooked_meals_tariff_id")),
        sa.ForeignKeyConstraint(
            ["tariff_price_id"], ["tariff_prices.id"], name=op.f("fk_unbooked_meals_tariff_price_id")
        ),
        sa.ForeignKeyConstraint(["noted_by_id"], ["accounts.id"], name=op.f("fk_unbooked_meals_noted_by_id")),
        sa.ForeignKeyConstraint(["struck_by_id"], ["accounts.id"], name=op.f("fk_unbooked_meals_struck_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unbooked_meals")),
    )
    op.create_index(
        "uq_unbooked_meals_live",
        "unbooked_meals",
        ["beneficiary_id", "service_day_id"],
        unique=True,
        postgresql_where=LIVE,
        sqlite_where=LIVE,
    )
    op.create_index("ix_unbooked_meals_service_day", "unbooked_meals", ["service_day_id"])
    op.create_index(
        "ix_unbooked_meals_due", "unbooked_meals", ["household_id", "regie_id"], postgresql_where=DUE, sqlite_where=DUE
    )
    op.create_table(
        "care_plans",
        sa.Column("id", KEY, nullable=False),
        sa.Column("beneficiary_id", KEY, nullable=False),
        sa.Column("commune_id", KEY, nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noted_by_id", KEY, nullable=False),
        sa.CheckConstraint("valid_until >= valid_from", name=op.f("ck_care_plans_validity")),
        sa.ForeignKeyConstraint(["beneficiary_id"], ["beneficiaries.id"], name=op.f("fk_care_plans_beneficiary_id")),
        sa.ForeignKeyConstraint(["commune_id"], ["communes.id"], name=op.f("fk_care_plans_commune_id")),
        sa.ForeignKeyConstraint(["noted_by_id"], ["accounts.id"], name=op.f("fk_care_plans_noted_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_care_plans")),
        sa.UniqueConstraint(
            "beneficiary_id",
            "commune_id",
            "valid_from",
            name=op.f("uq_care_plans_beneficiary_id_commune_id_valid_from"),
        ),
    )
    sqlite = op.get_context().dialect.name == "sqlite"
    op.execute(f"ALTER TABLE tariffs ADD COLUMN pai BOOLEAN NOT NULL DEFAULT {'0' if sqlite else 'false'}")
    if not sqlite:
        op.alter_column("tariffs", "pai", server_default=None)
    op.execute(
        f"ALTER TABLE journal_entries ADD COLUMN unbooked_meal_id {'INTEGER' if sqlite else 'BIGINT'}"
        " CONSTRAINT fk_journal_entries_unbooked_meal_id REFERENCES unbooked_meals (id)"
    )
    op.create_index(
        "uq_journal_entries_unbooked_meal",
        "journal_entries",
        ["unbooked_meal_id", "kind"],
        unique=True,
        postgresql_where=ORIGINAL,
        sqlite_where=ORIGINAL,
    )
    _allow_kinds(KINDS, (*KINDS, *NEW_KINDS))


def _allow_kinds(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    was, now = (f"kind IN ({', '.join(repr(kind) for kind in kinds)})" for kinds in (before, after))
    if op.get_context().dialect.name != "sqlite":
        op.drop_constraint(op.f("ck_journal_entries_kind"), "journal_entries", type_="check")
        op.create_check_constraint(op.f("ck_journal_entries_kind"), "journal_entries", now)
        return
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?)"
        " WHERE type = 'table' AND name = 'journal_entries' AND instr(sql, ?) > 0",
        (was, now, was),
    )
    # With another version every connection reads the schema again, this one too.
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    if changed.rowcount != 1:
        raise RuntimeError("the kinds of journal entries are not where they were")


def downgrade() -> None:
    _allow_kinds((*KINDS, *NEW_KINDS), KINDS)
    op.drop_index("uq_journal_entries_unbooked_meal", table_name="journal_entries")
    op.drop_column("journal_entries", "unbooked_meal_id")
    op.drop_column("tariffs", "pai")
    op.drop_table("care_plans")
    op.drop_table("unbooked_meals")
