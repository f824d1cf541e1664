"""Rows by the hundred thousand: COPY on PostgreSQL, one prepared statement on SQLite."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

COLUMNS: dict[str, tuple[str, ...]] = {
    # In the order in which they must be written, so that every row finds the rows it refers to.
    "accounts": (
        *("id", "email", "password_hash", "title", "first_name", "last_name", "phone", "address", "postcode", "city"),
        *("search_text", "state", "terms_accepted_at", "created_at", "confirmed_at"),
    ),
    "households": ("id", "created_at"),
    "household_members": ("id", "household_id", "account_id", "role"),
    "beneficiaries": (
        *("id", "first_name", "last_name", "search_text", "birth_date", "school_id", "class_name", "diet"),
        "created_at",
    ),
    "household_beneficiaries": ("id", "household_id", "beneficiary_id", "relation", "position"),
    "enrolments": (
        *("id", "household_id", "beneficiary_id", "service_id", "tariff_id", "school_year", "valid_from"),
        *("valid_until", "state", "requested_at", "requested_by_id", "decided_at", "decided_by_id"),
    ),
    "orders": (
        *("id", "number", "household_id", "regie_id", "account_id", "total_cents", "settlement", "state"),
        *("placed_at", "paid_at"),
    ),
    "reservations": (
        *("id", "order_id", "household_id", "beneficiary_id", "service_day_id", "tariff_id", "tariff_price_id"),
        *("cents", "credit_cents", "cancel_deadline_at", "state", "attendance", "cancelled_at", "cancelled_by_id"),
    ),
    "payments": (
        *("id", "key", "purpose", "regie_id", "household_id", "account_id", "order_id", "attempt", "provider"),
        *("provider_reference", "cents", "currency", "live", "state", "back_to_basket", "created_at", "expires_at"),
        "settled_at",
    ),
    "ledger_accounts": ("id", "regie_id", "kind", "household_id", "balance_cents"),
    "journal_entries": (
        *("id", "regie_id", "kind", "key", "input_hash", "at", "account_id", "order_id", "reservation_id"),
        "payment_id",
    ),
    "postings": ("id", "entry_id", "ledger_account_id", "regie_id", "cents", "balance_cents"),
    "outbox": ("id", "key", "kind", "recipient", "facts", "created_at", "due_at", "tries", "sent_at"),
}


class BulkWriter:
    """Collects rows and writes them all at once, in the caller's transaction.

    Ids are given here, because rows refer to each other before they are written; until the transaction ends nobody else
    may add rows to these tables (on SQLite nobody can).
    """

    def __init__(self, db: Session) -> None:
        self.connection: Connection = db.connection()
        self.postgresql = self.connection.dialect.name == "postgresql"
        self.rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self._stamps: dict[datetime, str] = {}
        if self.postgresql:
            self.connection.execute(text(f"LOCK TABLE {', '.join(COLUMNS)} IN SHARE ROW EXCLUSIVE MODE"))
        self._last = {
            table: self.connection.scalar(text(f"SELECT coalesce(max(id), 0) FROM {table}")) or 0  # noqa: S608
            for table in COLUMNS
        }

    def stamp(self, moment: datetime) -> str:
        """A moment as the columns of this database hold it."""
        words = self._stamps.get(moment)
        if words is None:
            words = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") + ("+00" if self.postgresql else "")
            self._stamps[moment] = words
        return words

    def reserve(self, table: str) -> int:
        """The id of a row that will be put later."""
        self._last[table] += 1
        return self._last[table]

    def put(self, table: str, key: int, *values: Any) -> None:
        """Add a row under a reserved id; `values` are its other columns, in the order of `COLUMNS`."""
        self.rows[table].append((key, *values))

    def add(self, table: str, *values: Any) -> int:
        """Add a row and give its id."""
        key = self.reserve(table)
        self.put(table, key, *values)
        return key

    def write(self) -> None:
        """Write every row that was added."""
        for table, columns in COLUMNS.items():
            rows = self.rows.pop(table, None)
            if rows:
                self._copy(table, columns, rows) if self.postgresql else self._insert(table, columns, rows)

    def _insert(self, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        places = ", ".join("?" * len(columns))
        # Names of our own, from COLUMNS.
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608
        self.connection.exec_driver_sql(statement, rows)

    def _copy(self, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        cursor = self.connection.connection.cursor()
        with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.close()
        # The next row that the shop adds goes on after ours.
        self.connection.execute(
            text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :last)"),
            {"table": table, "last": self._last[table]},
        )

    def count_places(self, counts: Mapping[int, int]) -> None:
        """Add to the booked count of service days, by their ids."""
        if counts:
            self.connection.execute(
                text("UPDATE service_days SET booked_count = booked_count + :count WHERE id = :id"),
                [{"id": key, "count": count} for key, count in sorted(counts.items()) if count],
            )

    def set_balances(self, balances: Mapping[int, int]) -> None:
        """Set the balances of ledger accounts, by their ids."""
        if balances:
            self.connection.execute(
                text("UPDATE ledger_accounts SET balance_cents = :cents WHERE id = :id"),
                [{"id": key, "cents": cents} for key, cents in sorted(balances.items())],
            )


def day_text(day: date | None) -> str | None:
    """A day as both databases hold it."""
    return day.isoformat() if day else None
