"""Names as they are searched: small letters without accents, in columns of their own; telephone numbers kept one way.

What stands in the tables is filled in here. The folding is written out, because a migration stands on its own.
"""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = {"accounts": "phone", "beneficiaries": "NULL"}
A_BATCH = 5000
LETTERS = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "ı": "i"})


def upgrade() -> None:
    connection = op.get_bind()
    for table, phone in TABLES.items():
        op.execute(f"ALTER TABLE {table} ADD COLUMN search_text TEXT NOT NULL DEFAULT ''")
        if connection.dialect.name == "postgresql":
            op.alter_column(table, "search_text", server_default=None)
        after = 0
        while rows := connection.execute(
            sa.text(
                f"SELECT id, last_name, first_name, {phone} AS phone FROM {table} WHERE id > :after ORDER BY id LIMIT :batch"
            ),
            {"after": after, "batch": A_BATCH},
        ).all():
            after = rows[-1].id
            phones = {row.id: _kept(row.phone) for row in rows}
            connection.execute(
                sa.text(f"UPDATE {table} SET search_text = :text WHERE id = :id"),
                [
                    {"id": row.id, "text": _searched(row.last_name, row.first_name, phones[row.id] or "")}
                    for row in rows
                ],
            )
            changed = [{"id": row.id, "phone": phones[row.id]} for row in rows if phones[row.id] != row.phone]
            if changed:
                connection.execute(sa.text(f"UPDATE {table} SET phone = :phone WHERE id = :id"), changed)


def _kept(phone: str | None) -> str | None:
    """A French number as "+33471000000"; whatever else as it is."""
    digits = re.sub(r"[\s.\-()/]", "", phone or "")
    return f"+33{digits[1:]}" if re.fullmatch(r"0[1-9][0-9]{8}", digits) else phone


def _searched(last_name: str, first_name: str, phone: str) -> str:
    national = "0" + phone[3:] if phone.startswith("+33") else phone
    return " ".join(part for part in (_folded(last_name), _folded(first_name), national) if part)


def _folded(words: str) -> str:
    plain = unicodedata.normalize("NFKD", re.sub("['’‘ʼ`´]", "", words)).casefold().translate(LETTERS)
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return " ".join(re.sub("[-‐‑–—]", " ", letters).split())


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "search_text")
