"""A canteen at noon, for tests: children who are there without a booking, and what becomes of the money."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select, update

from catalog.models import Service
from checkout import dues
from checkout.place import Buyer
from checkout.unbooked import Weighed, note_eaten, strike_off, weigh
from orders.models import UnbookedMeal
from shop.models import AuditLine, Outbox
from tests.conftest import OpenSession
from tests.factory import Family, Town
from wallet.models import JournalEntry, LedgerAccount

MONDAY, TUESDAY, TODAY = date(2026, 11, 16), date(2026, 11, 17), date(2026, 11, 19)


class Noon:
    """Aiguilhe's canteen (3,80 €), its clerk, and a family of two children with an empty wallet."""

    def __init__(self, town: Town, write: OpenSession, read: OpenSession, balance_cents: int = 0) -> None:
        self.town, self.write, self.read = town, write, read
        self.canteen = town.aiguilhe.canteen
        self.family = town.family(children=2, balance_cents=balance_cents)
        self.clerk = town.clerk()

    def rules(self, **policies: Any) -> None:
        with self.write() as db:
            facts = {"credit": "full", **policies}
            db.execute(update(Service).where(Service.id == self.canteen.id).values(policies=facts))

    def weigh(self, day: date = TODAY, child: int = 0, family: Family | None = None) -> Weighed:
        enrolment_id = (family or self.family).enrolment_ids[child]
        with self.read() as db:
            return weigh(db, self.canteen.day_ids[day], enrolment_id, self.town.now)

    def note(
        self,
        day: date = TODAY,
        child: int = 0,
        cents: int = 380,
        family: Family | None = None,
        now: datetime | None = None,
    ) -> int:
        enrolment_id = (family or self.family).enrolment_ids[child]
        with self.write() as db:
            now = now or self.town.now
            return note_eaten(db, self.canteen.day_ids[day], enrolment_id, cents, self.clerk.account_id, now)[0]

    def strike(self, meal_id: int, now: datetime | None = None) -> bool:
        with self.write() as db:
            now, here = now or self.town.now, [self.town.aiguilhe.id]
            return strike_off(db, here, meal_id, "Noté par erreur.", self.clerk.account_id, now)[1]

    @property
    def buyer(self) -> Buyer:
        return Buyer(self.family.household_id, self.family.account_id, self.family.email)

    def settle(self, meals: list[int], cents: int) -> int:
        with self.write() as db:
            return dues.settle(db, self.buyer, meals, cents, self.town.now)

    def balances(self) -> tuple[int, int]:
        """What the family's wallet holds, and what it owes."""
        with self.read() as db:
            rows = db.execute(
                select(LedgerAccount.kind, LedgerAccount.balance_cents).where(
                    LedgerAccount.household_id == self.family.household_id
                )
            )
            found = {kind: int(cents) for kind, cents in rows}
        return found.get("wallet", 0), -found.get("receivable", 0)

    def states(self) -> list[str]:
        with self.read() as db:
            return list(db.scalars(select(UnbookedMeal.state).order_by(UnbookedMeal.id)))

    def everything(self) -> tuple[Any, ...]:
        """All that noting, settling and striking off may move."""
        with self.read() as db:
            counts = [db.scalar(select(func.count()).select_from(model)) for model in (JournalEntry, Outbox, AuditLine)]
        return (*self.balances(), tuple(self.states()), *counts)
