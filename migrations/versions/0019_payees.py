"""Whose name the sandbox's payment page shows."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sandbox_payments ADD COLUMN payee VARCHAR(120) NOT NULL DEFAULT ''")
    op.execute(
        "UPDATE sandbox_payments SET payee = coalesce((SELECT r.legal_name FROM payments p"
        " JOIN regies r ON r.id = p.regie_id WHERE p.key = sandbox_payments.payment_key), '')"
    )
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("sandbox_payments", "payee", server_default=None)


def downgrade() -> None:
    op.drop_column("sandbox_payments", "payee")
