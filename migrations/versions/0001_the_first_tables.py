"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("title", sa.String(length=8), nullable=True),
        sa.Column("first_name", sa.String(length=80), nullable=False),
        sa.Column("last_name", sa.String(length=80), nullable=False),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("address", sa.String(length=200), nullable=True),
        sa.Column("postcode", sa.String(length=10), nullable=True),
        sa.Column("city", sa.String(length=80), nullable=True),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("organisation_name", sa.String(length=120), nullable=True),
        sa.Column("siret", sa.String(length=14), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("terms_accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("totp_secret", sa.Text(), nullable=True),
        sa.Column("totp_enrolled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("totp_last_step", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.CheckConstraint("state IN ('unconfirmed', 'active', 'closed')", name=op.f("ck_accounts_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.create_index("ix_accounts_email", ["email"], unique=False)
        batch_op.create_index(
            "uq_accounts_active_email",
            ["email"],
            unique=True,
            postgresql_where=sa.text("state = 'active'"),
            sqlite_where=sa.text("state = 'active'"),
        )

    op.create_table(
        "holidays",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("zone", sa.String(length=1), nullable=True),
        sa.Column("label", sa.String(length=80), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.CheckConstraint("last_day >= first_day", name=op.f("ck_holidays_days")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holidays")),
    )
    with op.batch_alter_table("holidays", schema=None) as batch_op:
        batch_op.create_index("uq_holidays_zone_first_day", ["zone", "first_day", "label"], unique=True)

    op.create_table(
        "households",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_households")),
    )
    op.create_table(
        "jobs",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_jobs")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("recipient", sa.String(length=254), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=True),
        sa.Column("composed", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", name=op.f("uq_outbox_key")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(
            "ix_outbox_due",
            ["due_at"],
            unique=False,
            postgresql_where=sa.text("sent_at IS NULL"),
            sqlite_where=sa.text("sent_at IS NULL"),
        )

    op.create_table(
        "regies",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("legal_name", sa.String(length=120), nullable=False),
        sa.Column("contact_email", sa.String(length=254), nullable=False),
        sa.Column("contact_phone", sa.String(length=20), nullable=True),
        sa.Column("address", sa.String(length=200), nullable=True),
        sa.Column("card_gateway", sa.String(length=20), nullable=False),
        sa.Column("minimum_top_up_cents", sa.Integer(), nullable=False),
        sa.Column("maximum_top_up_cents", sa.Integer(), nullable=False),
        sa.Column("minimum_online_cents", sa.Integer(), nullable=False),
        sa.CheckConstraint("minimum_online_cents > 0", name=op.f("ck_regies_online")),
        sa.CheckConstraint(
            "minimum_top_up_cents > 0 AND maximum_top_up_cents >= minimum_top_up_cents", name=op.f("ck_regies_top_up")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_regies")),
        sa.UniqueConstraint("slug", name=op.f("uq_regies_slug")),
    )
    op.create_table(
        "sandbox_payments",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reference", sa.String(length=60), nullable=False),
        sa.Column("payment_key", sa.String(length=32), nullable=False),
        sa.Column("cents", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("success_url", sa.Text(), nullable=False),
        sa.Column("cancel_url", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("captures_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("call_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'challenged', 'processing', 'paid', 'expired')", name=op.f("ck_sandbox_payments_state")
        ),
        sa.CheckConstraint("cents > 0", name=op.f("ck_sandbox_payments_cents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sandbox_payments")),
        sa.UniqueConstraint("payment_key", name=op.f("uq_sandbox_payments_payment_key")),
        sa.UniqueConstraint("reference", name=op.f("uq_sandbox_payments_reference")),
    )
    with op.batch_alter_table("sandbox_payments", schema=None) as batch_op:
        batch_op.create_index(
            "ix_sandbox_payments_call",
            ["call_at"],
            unique=False,
            postgresql_where=sa.text("call_at IS NOT NULL"),
            sqlite_where=sa.text("call_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_sandbox_payments_pending",
            ["expires_at"],
            unique=False,
            postgresql_where=sa.text("state IN ('open', 'challenged', 'processing')"),
            sqlite_where=sa.text("state IN ('open', 'challenged', 'processing')"),
        )

    op.create_table(
        "school_years",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("zone", sa.String(length=1), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.CheckConstraint("last_day > first_day", name=op.f("ck_school_years_days")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_school_years")),
        sa.UniqueConstraint("zone", "year", name=op.f("uq_school_years_zone_year")),
    )
    op.create_table(
        "tries",
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("count >= 0", name=op.f("ck_tries_count")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_tries")),
    )
    op.create_table(
        "account_links",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("new_email", sa.String(length=254), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "purpose IN ('confirm', 'reset', 'email_change', 'email_cancel', 'activate')",
            name=op.f("ck_account_links_purpose"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_account_links_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_links")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_account_links_token_hash")),
    )
    with op.batch_alter_table("account_links", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_account_links_account_id"), ["account_id"], unique=False)

    op.create_table(
        "audit_heads",
        sa.Column(
            "regie_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_audit_heads_regie_id")),
        sa.PrimaryKeyConstraint("regie_id", name=op.f("pk_audit_heads")),
    )
    op.create_table(
        "audit_lines",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("regie_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_audit_lines_account_id")),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_audit_lines_regie_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_lines")),
        sa.UniqueConstraint("regie_id", "number", name=op.f("uq_audit_lines_regie_id_number")),
    )
    op.create_table(
        "baskets",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("household_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("regie_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('open', 'completing', 'converted', 'expired')", name=op.f("ck_baskets_state")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_baskets_household_id")),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_baskets_regie_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_baskets")),
    )
    with op.batch_alter_table("baskets", schema=None) as batch_op:
        batch_op.create_index(
            "uq_baskets_live",
            ["household_id", "regie_id"],
            unique=True,
            postgresql_where=sa.text("state IN ('open', 'completing')"),
            sqlite_where=sa.text("state IN ('open', 'completing')"),
        )

    op.create_table(
        "communes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("regie_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("insee", sa.String(length=5), nullable=False),
        sa.Column("zone", sa.String(length=1), nullable=False),
        sa.Column("accent", sa.String(length=7), nullable=False),
        sa.Column("contact_email", sa.String(length=254), nullable=True),
        sa.Column("contact_phone", sa.String(length=20), nullable=True),
        sa.Column("address", sa.String(length=200), nullable=True),
        sa.CheckConstraint("zone IN ('A', 'B', 'C')", name=op.f("ck_communes_zone")),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_communes_regie_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_communes")),
        sa.UniqueConstraint("id", "regie_id", name=op.f("uq_communes_id_regie_id")),
        sa.UniqueConstraint("slug", name=op.f("uq_communes_slug")),
    )
    with op.batch_alter_table("communes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_communes_regie_id"), ["regie_id"], unique=False)

    op.create_table(
        "consents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('newsletter', 'partners')", name=op.f("ck_consents_kind")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_consents_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    with op.batch_alter_table("consents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consents_account_id"), ["account_id"], unique=False)
        batch_op.create_index(
            "uq_consents_given",
            ["account_id", "kind"],
            unique=True,
            postgresql_where=sa.text("revoked_at IS NULL"),
            sqlite_where=sa.text("revoked_at IS NULL"),
        )

    op.create_table(
        "household_members",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("household_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.CheckConstraint("role IN ('holder', 'co')", name=op.f("ck_household_members_role")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_household_members_account_id")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_household_members_household_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_household_members")),
        sa.UniqueConstraint("account_id", name=op.f("uq_household_members_account_id")),
    )
    with op.batch_alter_table("household_members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_household_members_household_id"), ["household_id"], unique=False)

    op.create_table(
        "ledger_accounts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("regie_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("household_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("balance_cents", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.CheckConstraint(
            "(kind IN ('wallet', 'receivable')) = (household_id IS NOT NULL)", name=op.f("ck_ledger_accounts_owner")
        ),
        sa.CheckConstraint("kind <> 'wallet' OR balance_cents >= 0", name=op.f("ck_ledger_accounts_wallet_balance")),
        sa.CheckConstraint(
            "kind IN ('wallet', 'receivable', 'card_clearing', 'sepa_clearing', 'cash', 'cheques', 'sales', 'suspense')",
            name=op.f("ck_ledger_accounts_kind"),
        ),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_ledger_accounts_household_id")),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_ledger_accounts_regie_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_accounts")),
        sa.UniqueConstraint("id", "regie_id", name=op.f("uq_ledger_accounts_id_regie_id")),
    )
    with op.batch_alter_table("ledger_accounts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_accounts_household_id"), ["household_id"], unique=False)
        batch_op.create_index(
            "uq_ledger_accounts_common",
            ["regie_id", "kind"],
            unique=True,
            postgresql_where=sa.text("household_id IS NULL"),
            sqlite_where=sa.text("household_id IS NULL"),
        )
        batch_op.create_index(
            "uq_ledger_accounts_owned",
            ["regie_id", "household_id", "kind"],
            unique=True,
            postgresql_where=sa.text("household_id IS NOT NULL"),
            sqlite_where=sa.text("household_id IS NOT NULL"),
        )

    op.create_table(
        "login_sessions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=120), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("second_factor_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_login_sessions_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_login_sessions_token_hash")),
    )
    with op.batch_alter_table("login_sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_login_sessions_account_id"), ["account_id"], unique=False)

    op.create_table(
        "recovery_codes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_recovery_codes_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_codes")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_recovery_codes_code_hash")),
    )
    with op.batch_alter_table("recovery_codes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_recovery_codes_account_id"), ["account_id"], unique=False)

    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.String(length=12), nullable=False),
        sa.Column("household_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("regie_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("basket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("total_cents", sa.Integer(), nullable=False),
        sa.Column("settlement", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name=op.f("ck_orders_paid")),
        sa.CheckConstraint("settlement IN ('wallet', 'card', 'invoice', 'counter')", name=op.f("ck_orders_settlement")),
        sa.CheckConstraint("state IN ('pending', 'paid', 'expired', 'cancelled')", name=op.f("ck_orders_state")),
        sa.CheckConstraint("total_cents >= 0", name=op.f("ck_orders_total")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_orders_account_id")),
        sa.ForeignKeyConstraint(["basket_id"], ["baskets.id"], name=op.f("fk_orders_basket_id")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_orders_household_id")),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_orders_regie_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("id", "regie_id", "household_id", name=op.f("uq_orders_id_regie_id_household_id")),
        sa.UniqueConstraint("number", name=op.f("uq_orders_number")),
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_orders_basket_id"), ["basket_id"], unique=False)
        batch_op.create_index(
            "ix_orders_held",
            ["held_until"],
            unique=False,
            postgresql_where=sa.text("state = 'pending'"),
            sqlite_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index("ix_orders_household", ["household_id", "placed_at"], unique=False)
        batch_op.create_index(
            "uq_orders_basket",
            ["basket_id"],
            unique=True,
            postgresql_where=sa.text("state IN ('pending', 'paid')"),
            sqlite_where=sa.text("state IN ('pending', 'paid')"),
        )

    op.create_table(
        "schools",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("commune_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("level", sa.String(length=20), nullable=False),
        sa.CheckConstraint("level IN ('nursery', 'elementary', 'primary', 'secondary')", name=op.f("ck_schools_level")),
        sa.ForeignKeyConstraint(["commune_id"], ["communes.id"], name=op.f("fk_schools_commune_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schools")),
        sa.UniqueConstraint("commune_id", "name", name=op.f("uq_schools_commune_id_name")),
    )
    with op.batch_alter_table("schools", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_schools_commune_id"), ["commune_id"], unique=False)

    op.create_table(
        "services",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("commune_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("weekdays", sa.String(length=7), nullable=False),
        sa.Column("settlement", sa.String(length=10), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("book_rule", sa.JSON(), nullable=False),
        sa.Column("cancel_rule", sa.JSON(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('canteen', 'childcare')", name=op.f("ck_services_kind")),
        sa.CheckConstraint("settlement IN ('prepaid', 'invoiced')", name=op.f("ck_services_settlement")),
        sa.CheckConstraint("capacity IS NULL OR capacity >= 0", name=op.f("ck_services_capacity")),
        sa.ForeignKeyConstraint(["commune_id"], ["communes.id"], name=op.f("fk_services_commune_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_services")),
        sa.UniqueConstraint("commune_id", "slug", name=op.f("uq_services_commune_id_slug")),
    )
    op.create_table(
        "staff_roles",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("scope", sa.String(length=10), nullable=False),
        sa.Column("regie_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("commune_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(scope = 'platform' AND regie_id IS NULL AND commune_id IS NULL) OR (scope = 'regie' AND regie_id IS NOT NULL AND commune_id IS NULL) OR (scope = 'commune' AND regie_id IS NOT NULL AND commune_id IS NOT NULL)",
            name=op.f("ck_staff_roles_scope"),
        ),
        sa.CheckConstraint("role IN ('manager', 'cashier', 'kitchen', 'auditor')", name=op.f("ck_staff_roles_role")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_staff_roles_account_id")),
        sa.ForeignKeyConstraint(["commune_id"], ["communes.id"], name=op.f("fk_staff_roles_commune_id")),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_staff_roles_regie_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_roles")),
    )
    with op.batch_alter_table("staff_roles", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_staff_roles_account_id"), ["account_id"], unique=False)

    op.create_table(
        "beneficiaries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_name", sa.String(length=80), nullable=False),
        sa.Column("last_name", sa.String(length=80), nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("school_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("class_name", sa.String(length=40), nullable=True),
        sa.Column("diet", sa.String(length=16), nullable=False),
        sa.Column("allergies", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "diet IN ('standard', 'no_pork', 'no_meat', 'vegetarian')", name=op.f("ck_beneficiaries_diet")
        ),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_beneficiaries_school_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_beneficiaries")),
    )
    op.create_table(
        "closures",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("commune_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("service_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.CheckConstraint("last_day >= first_day", name=op.f("ck_closures_days")),
        sa.ForeignKeyConstraint(["commune_id"], ["communes.id"], name=op.f("fk_closures_commune_id")),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_closures_service_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closures")),
    )
    with op.batch_alter_table("closures", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_closures_commune_id"), ["commune_id"], unique=False)

    op.create_table(
        "payments",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=8), nullable=False),
        sa.Column("regie_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("household_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("order_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("provider_reference", sa.String(length=120), nullable=True),
        sa.Column("pay_url", sa.Text(), nullable=True),
        sa.Column("cents", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("back_to_basket", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(purpose = 'order') = (order_id IS NOT NULL)", name=op.f("ck_payments_order")),
        sa.CheckConstraint("purpose IN ('order', 'top_up')", name=op.f("ck_payments_purpose")),
        sa.CheckConstraint(
            "state IN ('created', 'sent', 'confirmed', 'refused', 'cancelled', 'expired', 'quarantined')",
            name=op.f("ck_payments_state"),
        ),
        sa.CheckConstraint("cents > 0", name=op.f("ck_payments_cents")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_payments_account_id")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_payments_household_id")),
        sa.ForeignKeyConstraint(
            ["order_id", "regie_id", "household_id"],
            ["orders.id", "orders.regie_id", "orders.household_id"],
            name=op.f("fk_payments_order_id_regie_id_household_id"),
        ),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_payments_regie_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("key", name=op.f("uq_payments_key")),
        sa.UniqueConstraint("order_id", "attempt", name=op.f("uq_payments_order_id_attempt")),
        sa.UniqueConstraint("provider", "provider_reference", name=op.f("uq_payments_provider_provider_reference")),
    )
    with op.batch_alter_table("payments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payments_household_id"), ["household_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_payments_order_id"), ["order_id"], unique=False)
        batch_op.create_index(
            "ix_payments_unsettled",
            ["created_at"],
            unique=False,
            postgresql_where=sa.text("state IN ('created', 'sent')"),
            sqlite_where=sa.text("state IN ('created', 'sent')"),
        )
        batch_op.create_index(
            "uq_payments_unsettled",
            ["order_id"],
            unique=True,
            postgresql_where=sa.text("state IN ('created', 'sent')"),
            sqlite_where=sa.text("state IN ('created', 'sent')"),
        )

    op.create_table(
        "service_days",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("service_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("closed_reason", sa.String(length=120), nullable=True),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("booked_count", sa.Integer(), nullable=False),
        sa.Column("book_deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancel_deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("menu", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "booked_count >= 0 AND (capacity IS NULL OR booked_count <= capacity)", name=op.f("ck_service_days_places")
        ),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_service_days_service_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_days")),
        sa.UniqueConstraint("service_id", "day", name=op.f("uq_service_days_service_id_day")),
    )
    op.create_table(
        "tariffs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("service_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("label", sa.String(length=80), nullable=False),
        sa.Column("audience", sa.String(length=6), nullable=False),
        sa.Column("documents", sa.String(length=300), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.CheckConstraint("audience IN ('child', 'adult')", name=op.f("ck_tariffs_audience")),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_tariffs_service_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariffs")),
        sa.UniqueConstraint("id", "service_id", name=op.f("uq_tariffs_id_service_id")),
        sa.UniqueConstraint("service_id", "code", name=op.f("uq_tariffs_service_id_code")),
    )
    op.create_table(
        "enrolments",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("household_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("beneficiary_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("service_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tariff_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("school_year", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_by_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.CheckConstraint(
            "state IN ('requested', 'to_complete', 'approved', 'refused', 'revoked', 'expired', 'withdrawn')",
            name=op.f("ck_enrolments_state"),
        ),
        sa.CheckConstraint("valid_until >= valid_from", name=op.f("ck_enrolments_validity")),
        sa.ForeignKeyConstraint(["beneficiary_id"], ["beneficiaries.id"], name=op.f("fk_enrolments_beneficiary_id")),
        sa.ForeignKeyConstraint(["decided_by_id"], ["accounts.id"], name=op.f("fk_enrolments_decided_by_id")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_enrolments_household_id")),
        sa.ForeignKeyConstraint(["requested_by_id"], ["accounts.id"], name=op.f("fk_enrolments_requested_by_id")),
        sa.ForeignKeyConstraint(
            ["tariff_id", "service_id"],
            ["tariffs.id", "tariffs.service_id"],
            name=op.f("fk_enrolments_tariff_id_service_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolments")),
    )
    with op.batch_alter_table("enrolments", schema=None) as batch_op:
        batch_op.create_index("ix_enrolments_household", ["household_id", "service_id"], unique=False)
        batch_op.create_index(
            "ix_enrolments_queue",
            ["service_id", "requested_at"],
            unique=False,
            postgresql_where=sa.text("state IN ('requested', 'to_complete')"),
            sqlite_where=sa.text("state IN ('requested', 'to_complete')"),
        )
        batch_op.create_index(
            "uq_enrolments_approved",
            ["household_id", "beneficiary_id", "service_id", "school_year"],
            unique=True,
            postgresql_where=sa.text("state = 'approved'"),
            sqlite_where=sa.text("state = 'approved'"),
        )
        batch_op.create_index(
            "uq_enrolments_pending",
            ["household_id", "beneficiary_id", "tariff_id", "school_year"],
            unique=True,
            postgresql_where=sa.text("state IN ('requested', 'to_complete')"),
            sqlite_where=sa.text("state IN ('requested', 'to_complete')"),
        )

    op.create_table(
        "household_beneficiaries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("household_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("beneficiary_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("relation", sa.String(length=12), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "relation IN ('father', 'mother', 'guardian', 'grandparent', 'self', 'other')",
            name=op.f("ck_household_beneficiaries_relation"),
        ),
        sa.ForeignKeyConstraint(
            ["beneficiary_id"], ["beneficiaries.id"], name=op.f("fk_household_beneficiaries_beneficiary_id")
        ),
        sa.ForeignKeyConstraint(
            ["household_id"], ["households.id"], name=op.f("fk_household_beneficiaries_household_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_household_beneficiaries")),
        sa.UniqueConstraint(
            "household_id", "beneficiary_id", name=op.f("uq_household_beneficiaries_household_id_beneficiary_id")
        ),
    )
    with op.batch_alter_table("household_beneficiaries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_household_beneficiaries_beneficiary_id"), ["beneficiary_id"], unique=False)

    op.create_table(
        "payment_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("outcome", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_payment_events_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_events")),
        sa.UniqueConstraint("provider", "key", name=op.f("uq_payment_events_provider_key")),
    )
    with op.batch_alter_table("payment_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payment_events_payment_id"), ["payment_id"], unique=False)

    op.create_table(
        "tariff_prices",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tariff_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("cents", sa.Integer(), nullable=False),
        sa.CheckConstraint("cents >= 0", name=op.f("ck_tariff_prices_cents")),
        sa.CheckConstraint("valid_until IS NULL OR valid_until >= valid_from", name=op.f("ck_tariff_prices_validity")),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariffs.id"], name=op.f("fk_tariff_prices_tariff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariff_prices")),
        sa.UniqueConstraint("tariff_id", "valid_from", name=op.f("uq_tariff_prices_tariff_id_valid_from")),
    )
    op.create_table(
        "basket_lines",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("basket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("beneficiary_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("service_day_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tariff_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tariff_price_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("quoted_cents", sa.Integer(), nullable=False),
        sa.CheckConstraint("quoted_cents >= 0", name=op.f("ck_basket_lines_quoted")),
        sa.ForeignKeyConstraint(["basket_id"], ["baskets.id"], name=op.f("fk_basket_lines_basket_id")),
        sa.ForeignKeyConstraint(["beneficiary_id"], ["beneficiaries.id"], name=op.f("fk_basket_lines_beneficiary_id")),
        sa.ForeignKeyConstraint(["service_day_id"], ["service_days.id"], name=op.f("fk_basket_lines_service_day_id")),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariffs.id"], name=op.f("fk_basket_lines_tariff_id")),
        sa.ForeignKeyConstraint(
            ["tariff_price_id"], ["tariff_prices.id"], name=op.f("fk_basket_lines_tariff_price_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_basket_lines")),
        sa.UniqueConstraint(
            "basket_id",
            "beneficiary_id",
            "service_day_id",
            name=op.f("uq_basket_lines_basket_id_beneficiary_id_service_day_id"),
        ),
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("order_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("household_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("beneficiary_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("service_day_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tariff_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tariff_price_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("cents", sa.Integer(), nullable=False),
        sa.Column("cancel_deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attendance", sa.String(length=16), server_default=sa.text("'expected'"), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_by_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.CheckConstraint(
            "(state = 'cancelled') = (cancelled_at IS NOT NULL)", name=op.f("ck_reservations_cancelled")
        ),
        sa.CheckConstraint(
            "attendance IN ('expected', 'present', 'absent_excused', 'absent')", name=op.f("ck_reservations_attendance")
        ),
        sa.CheckConstraint(
            "state IN ('held', 'confirmed', 'released', 'cancelled')", name=op.f("ck_reservations_state")
        ),
        sa.CheckConstraint("cents >= 0", name=op.f("ck_reservations_cents")),
        sa.ForeignKeyConstraint(["beneficiary_id"], ["beneficiaries.id"], name=op.f("fk_reservations_beneficiary_id")),
        sa.ForeignKeyConstraint(["cancelled_by_id"], ["accounts.id"], name=op.f("fk_reservations_cancelled_by_id")),
        sa.ForeignKeyConstraint(["household_id"], ["households.id"], name=op.f("fk_reservations_household_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_reservations_order_id")),
        sa.ForeignKeyConstraint(["service_day_id"], ["service_days.id"], name=op.f("fk_reservations_service_day_id")),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariffs.id"], name=op.f("fk_reservations_tariff_id")),
        sa.ForeignKeyConstraint(
            ["tariff_price_id"], ["tariff_prices.id"], name=op.f("fk_reservations_tariff_price_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
    )
    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.create_index("ix_reservations_household", ["household_id", "service_day_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reservations_order_id"), ["order_id"], unique=False)
        batch_op.create_index("ix_reservations_service_day", ["service_day_id"], unique=False)
        batch_op.create_index(
            "uq_reservations_live",
            ["beneficiary_id", "service_day_id"],
            unique=True,
            postgresql_where=sa.text("state IN ('held', 'confirmed')"),
            sqlite_where=sa.text("state IN ('held', 'confirmed')"),
        )

    op.create_table(
        "journal_entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("regie_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("input_hash", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("order_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("reservation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("payment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("reverses_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.CheckConstraint(
            "kind IN ('top_up', 'wallet_payment', 'card_payment', 'cancelled_meal', 'late_payment', 'double_payment', 'suspense', 'refund', 'adjustment', 'reversal')",
            name=op.f("ck_journal_entries_kind"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_journal_entries_account_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_journal_entries_order_id")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_journal_entries_payment_id")),
        sa.ForeignKeyConstraint(["regie_id"], ["regies.id"], name=op.f("fk_journal_entries_regie_id")),
        sa.ForeignKeyConstraint(
            ["reservation_id"], ["reservations.id"], name=op.f("fk_journal_entries_reservation_id")
        ),
        sa.ForeignKeyConstraint(["reverses_id"], ["journal_entries.id"], name=op.f("fk_journal_entries_reverses_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_entries")),
        sa.UniqueConstraint("id", "regie_id", name=op.f("uq_journal_entries_id_regie_id")),
        sa.UniqueConstraint("key", name=op.f("uq_journal_entries_key")),
        sa.UniqueConstraint("reverses_id", name=op.f("uq_journal_entries_reverses_id")),
    )
    with op.batch_alter_table("journal_entries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_journal_entries_order_id"), ["order_id"], unique=False)
        batch_op.create_index("uq_journal_entries_payment", ["payment_id", "kind"], unique=True)
        batch_op.create_index("uq_journal_entries_reservation", ["reservation_id", "kind"], unique=True)

    op.create_table(
        "postings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("entry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ledger_account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("regie_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("cents", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("balance_cents", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.CheckConstraint("cents <> 0", name=op.f("ck_postings_cents")),
        sa.ForeignKeyConstraint(
            ["entry_id", "regie_id"],
            ["journal_entries.id", "journal_entries.regie_id"],
            name=op.f("fk_postings_entry_id_regie_id"),
        ),
        sa.ForeignKeyConstraint(
            ["ledger_account_id", "regie_id"],
            ["ledger_accounts.id", "ledger_accounts.regie_id"],
            name=op.f("fk_postings_ledger_account_id_regie_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postings")),
    )
    with op.batch_alter_table("postings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_postings_entry_id"), ["entry_id"], unique=False)
        batch_op.create_index("ix_postings_ledger_account", ["ledger_account_id", "id"], unique=False)


def downgrade() -> None:

    with op.batch_alter_table("postings", schema=None) as batch_op:
        batch_op.drop_index("ix_postings_ledger_account")
        batch_op.drop_index(batch_op.f("ix_postings_entry_id"))

    op.drop_table("postings")
    with op.batch_alter_table("journal_entries", schema=None) as batch_op:
        batch_op.drop_index("uq_journal_entries_reservation")
        batch_op.drop_index("uq_journal_entries_payment")
        batch_op.drop_index(batch_op.f("ix_journal_entries_order_id"))

    op.drop_table("journal_entries")
    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_reservations_live",
            postgresql_where=sa.text("state IN ('held', 'confirmed')"),
            sqlite_where=sa.text("state IN ('held', 'confirmed')"),
        )
        batch_op.drop_index("ix_reservations_service_day")
        batch_op.drop_index(batch_op.f("ix_reservations_order_id"))
        batch_op.drop_index("ix_reservations_household")

    op.drop_table("reservations")
    op.drop_table("basket_lines")
    op.drop_table("tariff_prices")
    with op.batch_alter_table("payment_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_payment_events_payment_id"))

    op.drop_table("payment_events")
    with op.batch_alter_table("household_beneficiaries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_household_beneficiaries_beneficiary_id"))

    op.drop_table("household_beneficiaries")
    with op.batch_alter_table("enrolments", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_enrolments_pending",
            postgresql_where=sa.text("state IN ('requested', 'to_complete')"),
            sqlite_where=sa.text("state IN ('requested', 'to_complete')"),
        )
        batch_op.drop_index(
            "uq_enrolments_approved",
            postgresql_where=sa.text("state = 'approved'"),
            sqlite_where=sa.text("state = 'approved'"),
        )
        batch_op.drop_index(
            "ix_enrolments_queue",
            postgresql_where=sa.text("state IN ('requested', 'to_complete')"),
            sqlite_where=sa.text("state IN ('requested', 'to_complete')"),
        )
        batch_op.drop_index("ix_enrolments_household")

    op.drop_table("enrolments")
    op.drop_table("tariffs")
    op.drop_table("service_days")
    with op.batch_alter_table("payments", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_payments_unsettled",
            postgresql_where=sa.text("state IN ('created', 'sent')"),
            sqlite_where=sa.text("state IN ('created', 'sent')"),
        )
        batch_op.drop_index(
            "ix_payments_unsettled",
            postgresql_where=sa.text("state IN ('created', 'sent')"),
            sqlite_where=sa.text("state IN ('created', 'sent')"),
        )
        batch_op.drop_index(batch_op.f("ix_payments_order_id"))
        batch_op.drop_index(batch_op.f("ix_payments_household_id"))

    op.drop_table("payments")
    with op.batch_alter_table("closures", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_closures_commune_id"))

    op.drop_table("closures")
    op.drop_table("beneficiaries")
    with op.batch_alter_table("staff_roles", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_staff_roles_account_id"))

    op.drop_table("staff_roles")
    op.drop_table("services")
    with op.batch_alter_table("schools", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_schools_commune_id"))

    op.drop_table("schools")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_orders_basket",
            postgresql_where=sa.text("state IN ('pending', 'paid')"),
            sqlite_where=sa.text("state IN ('pending', 'paid')"),
        )
        batch_op.drop_index("ix_orders_household")
        batch_op.drop_index(
            "ix_orders_held", postgresql_where=sa.text("state = 'pending'"), sqlite_where=sa.text("state = 'pending'")
        )
        batch_op.drop_index(batch_op.f("ix_orders_basket_id"))

    op.drop_table("orders")
    with op.batch_alter_table("recovery_codes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_recovery_codes_account_id"))

    op.drop_table("recovery_codes")
    with op.batch_alter_table("login_sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_login_sessions_account_id"))

    op.drop_table("login_sessions")
    with op.batch_alter_table("ledger_accounts", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_ledger_accounts_owned",
            postgresql_where=sa.text("household_id IS NOT NULL"),
            sqlite_where=sa.text("household_id IS NOT NULL"),
        )
        batch_op.drop_index(
            "uq_ledger_accounts_common",
            postgresql_where=sa.text("household_id IS NULL"),
            sqlite_where=sa.text("household_id IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_ledger_accounts_household_id"))

    op.drop_table("ledger_accounts")
    with op.batch_alter_table("household_members", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_household_members_household_id"))

    op.drop_table("household_members")
    with op.batch_alter_table("consents", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_consents_given",
            postgresql_where=sa.text("revoked_at IS NULL"),
            sqlite_where=sa.text("revoked_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_consents_account_id"))

    op.drop_table("consents")
    with op.batch_alter_table("communes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_communes_regie_id"))

    op.drop_table("communes")
    with op.batch_alter_table("baskets", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_baskets_live",
            postgresql_where=sa.text("state IN ('open', 'completing')"),
            sqlite_where=sa.text("state IN ('open', 'completing')"),
        )

    op.drop_table("baskets")
    op.drop_table("audit_lines")
    op.drop_table("audit_heads")
    with op.batch_alter_table("account_links", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_account_links_account_id"))

    op.drop_table("account_links")
    op.drop_table("tries")
    op.drop_table("school_years")
    with op.batch_alter_table("sandbox_payments", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_sandbox_payments_pending",
            postgresql_where=sa.text("state IN ('open', 'challenged', 'processing')"),
            sqlite_where=sa.text("state IN ('open', 'challenged', 'processing')"),
        )
        batch_op.drop_index(
            "ix_sandbox_payments_call",
            postgresql_where=sa.text("call_at IS NOT NULL"),
            sqlite_where=sa.text("call_at IS NOT NULL"),
        )

    op.drop_table("sandbox_payments")
    op.drop_table("regies")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_outbox_due", postgresql_where=sa.text("sent_at IS NULL"), sqlite_where=sa.text("sent_at IS NULL")
        )

    op.drop_table("outbox")
    op.drop_table("jobs")
    op.drop_table("households")
    with op.batch_alter_table("holidays", schema=None) as batch_op:
        batch_op.drop_index("uq_holidays_zone_first_day")

    op.drop_table("holidays")
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_accounts_active_email",
            postgresql_where=sa.text("state = 'active'"),
            sqlite_where=sa.text("state = 'active'"),
        )
        batch_op.drop_index("ix_accounts_email")

    op.drop_table("accounts")
