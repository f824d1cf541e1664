"""Writing reminders: families are read in batches, and a unique row for each reminder makes it be written once."""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from accounts.queries import digest
from checkout.reminders import queries, rules
from checkout.reminders.models import Reminder
from checkout.reminders.queries import Reader
from checkout.reminders.rules import Day, Family, Gap
from shop.clock import paris_day, request_now
from shop.database import insert_new, reading, transaction
from shop.outbox import Letter, post_all

BATCH = 100
"""How many families or baskets are looked at in one go. With several hundred, SQLite would read the meals of everybody on
those days rather than those of these families."""


class Note(NamedTuple):
    """A reminder to be written to a reader, unless it was: what it is about, what its e-mail says, what its row holds."""

    reader: Reader
    about: str
    facts: dict[str, Any]
    held: dict[str, Any]


def _write(kind: str, notes: Sequence[Note], now: datetime) -> int:
    """Write those that were not written, in one transaction; how many. At the same time elsewhere: one of both does."""
    blank: dict[str, Any] = dict.fromkeys(("token_hash", "mark", "expires_at", "meals"))
    by_key = {
        (note.reader.account_id, note.about): note for note in sorted(notes, key=lambda note: note.reader.account_id)
    }
    rows = [
        {
            **blank,
            "account_id": account_id,
            "household_id": note.reader.household_id,
            "kind": kind,
            "about": about,
            "written_at": now,
            **note.held,
        }
        for (account_id, about), note in by_key.items()
    ]
    if not rows:
        return 0
    with transaction() as db:
        new = insert_new(db, Reminder, rows, (Reminder.id, Reminder.account_id, Reminder.about))
        letters = []
        for number, account_id, about in new:
            reader, _about, facts, _held = by_key[account_id, about]
            said = {"account_id": account_id, "first_name": reader.first_name, **facts}
            letters.append(Letter(f"{kind}_reminder", reader.email, f"reminder:{number}", said))
        post_all(db, letters, now)
    return len(letters)


def remind_of_baskets() -> int:
    """Remind of baskets of which a meal can soon no longer be paid in time; how many e-mails were written."""
    now = request_now()
    written, last = 0, 0
    while True:
        with reading() as db:
            due = queries.due_baskets(db, last, now, now + rules.BASKET_LEAD, BATCH)
            near = [basket for basket in due if rules.is_time(now, basket.first_deadline_at, rules.BASKET_LEAD)]
            readers = queries.readers(db, {basket.household_id for basket in near}, "basket") if near else []
        if not due:
            return written
        baskets: dict[int, list[queries.DueBasket]] = defaultdict(list)
        for basket in near:
            baskets[basket.household_id].append(basket)
        notes = [
            Note(
                reader,
                f"{basket.id}:{basket.changed_at.isoformat()}",
                {"basket_id": basket.id, "until": basket.first_deadline_at.isoformat()},
                {},
            )
            for reader in readers
            for basket in baskets[reader.household_id]
        ]
        written += _write("basket", notes, now)
        last = due[-1].id


def _batches(service_ids: Collection[int], now: datetime) -> Iterator[dict[int, Family]]:
    """The families that may book at these services, a hundred at once: three statements each."""
    today, last = paris_day(now), 0
    while True:
        with reading() as db:
            household_ids = queries.households_after(db, last, service_ids, today, BATCH)
            if not household_ids:
                return
            enrolments = queries.enrolments_of(db, household_ids)
            families = queries.families_of(db, household_ids, enrolments, today)
        yield families
        last = household_ids[-1]


def _days(now: datetime) -> dict[int, list[Day]]:
    with reading() as db:
        return queries.days_around(db, None, paris_day(now))


def _services_with_deadline(days: dict[int, list[Day]], now: datetime, lead: timedelta) -> set[int]:
    """The services at which a deadline is near enough to write of now."""
    return {
        service_id
        for service_id, theirs in days.items()
        if any(day.is_open and day.prepaid and rules.is_time(now, day.book_deadline_at, lead) for day in theirs)
    }


def remind_of_weeks() -> int:
    """Write to families that have nothing in a week in which they usually have something; how many e-mails."""
    now, written = request_now(), 0
    days = _days(now)
    service_ids = _services_with_deadline(days, now, rules.WEEK_LEAD)
    for families in _batches(service_ids, now) if service_ids else ():
        weeks: dict[int, list[list[Gap]]] = {}
        for household_id, family in families.items():
            due = _due_weeks(family, days, now)
            if due:
                weeks[household_id] = due
        if not weeks:
            continue
        with reading() as db:
            readers = queries.readers(db, weeks, "week")
        notes = [_week_note(reader, week) for reader in readers for week in weeks[reader.household_id]]
        written += _write("week", notes, now)
    return written


def _due_weeks(family: Family, days: dict[int, list[Day]], now: datetime) -> list[list[Gap]]:
    by_week: dict[object, list[Gap]] = defaultdict(list)
    for gap in rules.gaps(family, days, now):
        by_week[gap.monday].append(gap)
    return [week for week in by_week.values() if rules.is_time(now, rules.deadline_of(week), rules.WEEK_LEAD)]


def _week_note(reader: Reader, week: Sequence[Gap]) -> Note:
    token, until = secrets.token_urlsafe(32), rules.deadline_of(week)
    lines = [
        {
            "name": gap.habit.first_name,
            "service": gap.days[0].service_name,
            "days": [day.day.isoformat() for day in gap.days],
        }
        for gap in week
    ]
    meals = [[gap.habit.child_id, gap.habit.service_id, day.day.isoformat()] for gap in week for day in gap.days]
    monday = week[0].monday.isoformat()
    return Note(
        reader,
        monday,
        {"monday": monday, "lines": lines, "until": until.isoformat(), "token": token},
        {"token_hash": digest(token), "mark": reader.mark, "expires_at": until, "meals": meals},
    )


def remind_of_balances() -> int:
    """Write to families whose wallet will not pay a usual day of which the deadline is near; how many e-mails."""
    now, written = request_now(), 0
    days = _days(now)
    service_ids = _services_with_deadline(days, now, rules.BALANCE_LEAD)
    for families in _batches(service_ids, now) if service_ids else ():
        with reading() as db:
            wallets = queries.wallets_of(db, families)
            short = {
                household_id: [
                    cover
                    for cover in rules.covers(family, days, wallets[household_id], now)
                    if rules.is_time(now, cover.short.book_deadline_at, rules.BALANCE_LEAD)
                ]
                for household_id, family in families.items()
                if household_id in wallets
            }
            short = {household_id: covers for household_id, covers in short.items() if covers}
            money = queries.last_money_into(db, short) if short else {}
            readers = queries.readers(db, short, "balance") if short else []
        notes = [
            Note(
                reader,
                f"{cover.regie_id}:{money.get((reader.household_id, cover.regie_id), 0)}",
                {
                    "balance_cents": wallets[reader.household_id].get(cover.regie_id, 0),
                    "day": cover.short.day.isoformat(),
                    "until": cover.short.book_deadline_at.isoformat(),
                    "covered": cover.until.isoformat() if cover.until else None,
                },
                {},
            )
            for reader in readers
            for cover in short[reader.household_id]
        ]
        written += _write("balance", notes, now)
    return written
