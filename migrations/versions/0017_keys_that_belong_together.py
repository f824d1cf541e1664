"""A meal belongs to its order's household, and its price to its tariff: one key for each pair, where there were four.

The database now refuses what only the checks of the books found, and looks half as much up for each meal that is sold.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

PRICE = (("tariff_price_id", "tariff_id"), "tariff_prices", ("id", "tariff_id"))
OWNER = (("order_id", "household_id"), "orders", ("id", "household_id"))
PAIRS = {"basket_lines": (PRICE,), "reservations": (OWNER, PRICE), "unbooked_meals": (PRICE,)}
"""Table → the keys of two columns that take the place of a key for each."""

ALONE = {
    "order_id": "orders",
    "household_id": "households",
    "tariff_id": "tariffs",
    "tariff_price_id": "tariff_prices",
}

CALLED_OFF = sa.text("call_off_id IS NOT NULL")


def upgrade() -> None:
    for table in ("orders", "tariff_prices"):
        columns = ["id", "household_id" if table == "orders" else "tariff_id"]
        with op.batch_alter_table(table) as batch:
            batch.create_unique_constraint(op.f(f"uq_{table}_{'_'.join(columns)}"), columns)
    for table, pairs in PAIRS.items():
        with op.batch_alter_table(table) as batch:
            for columns, referred, keys in pairs:
                for column in columns:
                    batch.drop_constraint(op.f(f"fk_{table}_{column}"), type_="foreignkey")
                name = op.f(f"fk_{table}_{'_'.join(columns)}")
                batch.create_foreign_key(name, referred, list(columns), list(keys))
    # Nearly every meal is never called off.
    op.drop_index("ix_reservations_call_off_id", "reservations")
    op.create_index(
        "ix_reservations_call_off_id",
        "reservations",
        ["call_off_id"],
        postgresql_where=CALLED_OFF,
        sqlite_where=CALLED_OFF,
    )


def downgrade() -> None:
    op.drop_index("ix_reservations_call_off_id", "reservations")
    op.create_index("ix_reservations_call_off_id", "reservations", ["call_off_id"])
    for table, pairs in PAIRS.items():
        with op.batch_alter_table(table) as batch:
            for columns, _referred, _keys in pairs:
                batch.drop_constraint(op.f(f"fk_{table}_{'_'.join(columns)}"), type_="foreignkey")
                for column in columns:
                    batch.create_foreign_key(op.f(f"fk_{table}_{column}"), ALONE[column], [column], ["id"])
    for table, columns in (("orders", "id_household_id"), ("tariff_prices", "id_tariff_id")):
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"uq_{table}_{columns}"), type_="unique")
