"""Books are append-only, and an entry sums to zero.

Entries, postings and audit lines are never updated or deleted; an event keeps what the provider sent and takes its outcome
once. Both databases refuse it by trigger. PostgreSQL also refuses, at commit, an entry that does not sum to zero; SQLite has
no deferred trigger, so there the ledger's own check and `flask books check` stand guard.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("journal_entries", "postings", "audit_lines")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _upgrade_postgresql()
    else:
        _upgrade_sqlite()


def _upgrade_postgresql() -> None:
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
    """)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        "CREATE TRIGGER append_only_delete BEFORE DELETE ON payment_events FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute("""
        CREATE TRIGGER append_only_update BEFORE UPDATE ON payment_events FOR EACH ROW
        WHEN (OLD.outcome IS NOT NULL OR (OLD.provider, OLD.key, OLD.kind, OLD.body, OLD.received_at)
              IS DISTINCT FROM (NEW.provider, NEW.key, NEW.kind, NEW.body, NEW.received_at))
        EXECUTE FUNCTION refuse_change()
    """)
    op.execute("""
        CREATE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF (SELECT sum(cents) FROM postings WHERE entry_id = NEW.entry_id) <> 0 THEN
            RAISE EXCEPTION 'entry % does not sum to zero', NEW.entry_id;
          END IF;
          RETURN NULL;
        END $$
    """)
    op.execute(
        "CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON postings DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced()"
    )


def _upgrade_sqlite() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    op.execute(
        "CREATE TRIGGER payment_events_no_delete BEFORE DELETE ON payment_events "
        "BEGIN SELECT RAISE(ABORT, 'payment_events is append-only'); END"
    )
    op.execute("""
        CREATE TRIGGER payment_events_no_update BEFORE UPDATE ON payment_events
        WHEN OLD.outcome IS NOT NULL OR OLD.provider IS NOT NEW.provider OR OLD.key IS NOT NEW.key
          OR OLD.kind IS NOT NEW.kind OR OLD.body IS NOT NEW.body OR OLD.received_at IS NOT NEW.received_at
        BEGIN SELECT RAISE(ABORT, 'payment_events is append-only'); END
    """)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            op.execute(f"DROP TRIGGER append_only ON {table}")
        op.execute("DROP TRIGGER append_only_delete ON payment_events")
        op.execute("DROP TRIGGER append_only_update ON payment_events")
        op.execute("DROP TRIGGER balanced ON postings")
        op.execute("DROP FUNCTION refuse_unbalanced()")
        op.execute("DROP FUNCTION refuse_change()")
        return
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER {table}_no_update")
        op.execute(f"DROP TRIGGER {table}_no_delete")
    op.execute("DROP TRIGGER payment_events_no_delete")
    op.execute("DROP TRIGGER payment_events_no_update")
