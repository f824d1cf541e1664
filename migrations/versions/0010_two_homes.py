"""A child in two homes: invitations, custody calendars, swaps, and who changed what is said of the child."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STATE = "state IN ('asked', 'agreed', 'declined', 'withdrawn')"


def upgrade() -> None:
    op.create_table(
        "home_invitations",
        sa.Column("id", KEY, nullable=False),
        sa.Column("beneficiary_id", KEY, nullable=False),
        sa.Column("household_id", KEY, nullable=False),
        sa.Column("account_id", KEY, nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('sent', 'accepted', 'declined', 'revoked')", name=op.f("ck_home_invitations_state")
        ),
        sa.CheckConstraint("(state = 'sent') = (ended_at IS NULL)", name=op.f("ck_home_invitations_ended")),
        sa.CheckConstraint("(state = 'sent') = (email IS NOT NULL)", name=op.f("ck_home_invitations_forgotten")),
        *_keys("home_invitations", beneficiary_id="beneficiaries", household_id="households", account_id="accounts"),
        sa.UniqueConstraint("token_hash", name=op.f("uq_home_invitations_token_hash")),
    )
    op.create_index(op.f("ix_home_invitations_household_id"), "home_invitations", ["household_id"])
    op.create_index(op.f("ix_home_invitations_email"), "home_invitations", ["email"])
    _one_alive("uq_home_invitations_sent", "home_invitations", "state = 'sent'")
    op.create_table(
        "custody_calendars",
        sa.Column("id", KEY, nullable=False),
        sa.Column("beneficiary_id", KEY, nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("even_home_id", KEY, nullable=False),
        sa.Column("odd_home_id", KEY, nullable=False),
        sa.Column("holidays_home_id", KEY, nullable=False),
        *_asked_and_decided(),
        sa.CheckConstraint(STATE, name=op.f("ck_custody_calendars_state")),
        sa.CheckConstraint("even_home_id <> odd_home_id", name=op.f("ck_custody_calendars_two")),
        sa.CheckConstraint(
            "holidays_home_id IN (even_home_id, odd_home_id)", name=op.f("ck_custody_calendars_holidays")
        ),
        sa.CheckConstraint("asked_home_id IN (even_home_id, odd_home_id)", name=op.f("ck_custody_calendars_asked")),
        sa.CheckConstraint("(state = 'asked') = (decided_at IS NULL)", name=op.f("ck_custody_calendars_decided")),
        *_keys(
            "custody_calendars",
            beneficiary_id="beneficiaries",
            even_home_id="households",
            odd_home_id="households",
            holidays_home_id="households",
            asked_home_id="households",
            asked_by_id="accounts",
            decided_by_id="accounts",
        ),
    )
    op.create_index("ix_custody_calendars_beneficiary_id", "custody_calendars", ["beneficiary_id"])
    _one_alive("uq_custody_calendars_asked", "custody_calendars", "state = 'asked'")
    op.create_table(
        "custody_swaps",
        sa.Column("id", KEY, nullable=False),
        sa.Column("beneficiary_id", KEY, nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("home_id", KEY, nullable=False),
        *_asked_and_decided(),
        sa.CheckConstraint(STATE, name=op.f("ck_custody_swaps_state")),
        sa.CheckConstraint("last_day >= first_day", name=op.f("ck_custody_swaps_days")),
        sa.CheckConstraint("(state = 'asked') = (decided_at IS NULL)", name=op.f("ck_custody_swaps_decided")),
        *_keys(
            "custody_swaps",
            beneficiary_id="beneficiaries",
            home_id="households",
            asked_home_id="households",
            asked_by_id="accounts",
            decided_by_id="accounts",
        ),
    )
    op.create_index(op.f("ix_custody_swaps_beneficiary_id"), "custody_swaps", ["beneficiary_id"])
    op.create_table(
        "beneficiary_changes",
        sa.Column("id", KEY, nullable=False),
        sa.Column("beneficiary_id", KEY, nullable=False),
        sa.Column("household_id", KEY, nullable=False),
        sa.Column("account_id", KEY, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("what", sa.String(length=200), nullable=False),
        *_keys("beneficiary_changes", beneficiary_id="beneficiaries", household_id="households", account_id="accounts"),
    )
    op.create_index(op.f("ix_beneficiary_changes_beneficiary_id"), "beneficiary_changes", ["beneficiary_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON beneficiary_changes "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    else:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER beneficiary_changes_no_{verb.lower()} BEFORE {verb} ON beneficiary_changes "
                "BEGIN SELECT RAISE(ABORT, 'beneficiary_changes is append-only'); END"
            )


def _asked_and_decided() -> list[sa.Column]:
    return [
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_home_id", KEY, nullable=False),
        sa.Column("asked_by_id", KEY, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by_id", KEY, nullable=True),
    ]


def _keys(table: str, **tables: str) -> list[sa.Constraint]:
    return [
        *(
            sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"))
            for column, other in tables.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    ]


def _one_alive(name: str, table: str, where: str) -> None:
    op.create_index(
        name,
        table,
        ["beneficiary_id"],
        unique=True,
        postgresql_where=sa.text(where),
        sqlite_where=sa.text(where),
    )


def downgrade() -> None:
    for table in ("beneficiary_changes", "custody_swaps", "custody_calendars", "home_invitations"):
        op.drop_table(table)
