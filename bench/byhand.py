"""The paying request by hand: Flask and SQLAlchemy, the same tables, the same writes, one transaction, and no checks.

What a developer in a hurry would write: no sign-in, no CSRF, no locks, no look at deadlines, places, prices or balances.
It is what the shop's own paying request is measured beside.
"""

import os
import secrets
from collections import Counter
from datetime import UTC, datetime

from flask import Flask, redirect, request
from sqlalchemy import Engine, bindparam, insert, select, update
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from accounts.models import Account, HouseholdMember
from cart.models import Basket, BasketLine
from catalog.models import ServiceDay
from orders.models import Order, Reservation
from shop.database import make_engine
from shop.models import Outbox
from wallet.models import JournalEntry, LedgerAccount, Posting


def create_app(engine: Engine | None = None) -> Flask:
    """An application with one view, on the database of `DATABASE_URL`; the engine has the shop's own settings."""
    app = Flask(__name__, static_folder=None)
    used = engine or make_engine(os.environ["DATABASE_URL"])

    @app.post("/payer")
    def pay() -> Response:
        with Session(used) as db:
            number = pay_basket(db, int(request.form["panier"]), datetime.now(UTC))
            db.commit()
        return redirect(f"/commandes/{number}", 303)

    return app


def pay_basket(db: Session, basket_id: int, now: datetime) -> str:
    """Turn the basket into a paid order; the order's number."""
    basket = db.execute(
        select(Basket.household_id, Basket.regie_id, Account.id.label("account_id"), Account.email)
        .join(HouseholdMember, HouseholdMember.household_id == Basket.household_id)
        .join(Account, Account.id == HouseholdMember.account_id)
        .where(Basket.id == basket_id)
    ).one()
    lines = db.execute(
        select(
            BasketLine.beneficiary_id,
            BasketLine.service_day_id,
            BasketLine.tariff_id,
            BasketLine.tariff_price_id,
            BasketLine.quoted_cents,
            ServiceDay.cancel_deadline_at,
        )
        .join(ServiceDay, ServiceDay.id == BasketLine.service_day_id)
        .where(BasketLine.basket_id == basket_id)
    ).all()
    total = sum(line.quoted_cents for line in lines)
    number = secrets.token_hex(6)
    order_id = db.scalar(
        insert(Order)
        .values(
            number=number,
            household_id=basket.household_id,
            regie_id=basket.regie_id,
            basket_id=basket_id,
            account_id=basket.account_id,
            total_cents=total,
            settlement="wallet",
            state="paid",
            placed_at=now,
            paid_at=now,
        )
        .returning(Order.id)
    )
    db.execute(
        insert(Reservation),
        [
            {
                "order_id": order_id,
                "household_id": basket.household_id,
                "beneficiary_id": line.beneficiary_id,
                "service_day_id": line.service_day_id,
                "tariff_id": line.tariff_id,
                "tariff_price_id": line.tariff_price_id,
                "cents": line.quoted_cents,
                "credit_cents": line.quoted_cents,
                "cancel_deadline_at": line.cancel_deadline_at,
                "state": "confirmed",
            }
            for line in lines
        ],
    )
    db.connection().execute(
        update(ServiceDay)
        .where(ServiceDay.id == bindparam("day_id"))
        .values(booked_count=ServiceDay.booked_count + bindparam("meals")),
        [{"day_id": day, "meals": meals} for day, meals in Counter(line.service_day_id for line in lines).items()],
    )
    entry_id = db.scalar(
        insert(JournalEntry)
        .values(
            regie_id=basket.regie_id,
            kind="wallet_payment",
            key=f"wallet_payment:order:{order_id}",
            input_hash="",
            at=now,
            account_id=basket.account_id,
            order_id=order_id,
        )
        .returning(JournalEntry.id)
    )
    for owner, cents in (
        (LedgerAccount.household_id == basket.household_id, -total),
        (LedgerAccount.kind == "sales", total),
    ):
        account = db.execute(
            update(LedgerAccount)
            .where(owner, LedgerAccount.regie_id == basket.regie_id)
            .values(balance_cents=LedgerAccount.balance_cents + cents)
            .returning(LedgerAccount.id, LedgerAccount.balance_cents)
        ).one()
        db.execute(
            insert(Posting).values(
                entry_id=entry_id,
                ledger_account_id=account.id,
                regie_id=basket.regie_id,
                cents=cents,
                balance_cents=account.balance_cents,
            )
        )
    db.execute(update(Basket).where(Basket.id == basket_id).values(state="converted", changed_at=now))
    db.execute(
        insert(Outbox).values(
            key=f"order_paid:{order_id}",
            kind="order_paid",
            recipient=basket.email,
            facts=f'{{"order_id": {order_id}}}',
            created_at=now,
            due_at=now,
            tries=0,
        )
    )
    return number
