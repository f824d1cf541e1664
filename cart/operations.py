"""Verbs of the basket. Its row is locked first: two tabs change it one after the other."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, insert, literal_column, select, update
from sqlalchemy.orm import Session

from cart.errors import PaymentUnderWay, TooManyMeals
from cart.models import Basket, BasketLine
from cart.quotes import Quote
from cart.rules import MOST_MEALS, Line
from shop.database import Key, insert_or_touch
from shop.statements import as_rows, numbers, run

LIVE_STATES = ("open", "completing")

_IS_LIVE = Basket.state.in_(LIVE_STATES)
_LINES_HELD = (
    # Named as text: what stands in RETURNING is not correlated by itself.
    select(func.count()).where(BasketLine.basket_id == literal_column("baskets.id")).scalar_subquery().label("lines")
)
_NEW_LINES = insert(BasketLine).from_select(
    ["basket_id", *Line._fields], select(bindparam("basket_id", type_=Key), *numbers(*Line._fields, words=["basis"]).c)
)
_STATE_SET = (
    update(Basket)
    .where(Basket.id == bindparam("moved_id"))
    .values(state=bindparam("to_state"), changed_at=bindparam("now"))
)


class LiveBasket(NamedTuple):
    """A basket that the caller has locked, and how many meals were in it."""

    id: int
    lines: int


def lock_live_basket(db: Session, household_id: int, regie_id: int, now: datetime) -> LiveBasket:
    """Lock the household's basket at the régie, a new one when there is none; it counts as changed now.

    Raises `PaymentUnderWay` while it is being paid by card.
    """
    row = {"household_id": household_id, "regie_id": regie_id, "state": "open", "created_at": now, "changed_at": now}
    basket_id, state, lines = insert_or_touch(
        db, Basket, row, ("household_id", "regie_id"), _IS_LIVE, "changed_at", (Basket.id, Basket.state, _LINES_HELD)
    )
    if state == "completing":
        raise PaymentUnderWay
    return LiveBasket(basket_id, lines)


def add_lines(db: Session, basket: LiveBasket, lines: Sequence[Line]) -> None:
    """Put meals into the basket. Raises `TooManyMeals`: a bound for the pages' sake, which a second tab at the same moment
    may pass by what it adds."""
    if basket.lines + len(lines) > MOST_MEALS:
        raise TooManyMeals(MOST_MEALS)
    run(db, _NEW_LINES, basket_id=basket.id, rows=as_rows(lines))


def remove_lines(db: Session, household_id: int, line_ids: Sequence[int], now: datetime) -> list[tuple[int, int]]:
    """Take meals out of the household's open basket; child and service day of each that was in it."""
    baskets = db.execute(
        select(Basket.id, Basket.state)
        .where(
            Basket.id.in_(select(BasketLine.basket_id).where(BasketLine.id.in_(line_ids))),
            Basket.household_id == household_id,
            Basket.state.in_(LIVE_STATES),
        )
        .order_by(Basket.id)
        .with_for_update(key_share=True)
    ).all()
    if any(basket.state == "completing" for basket in baskets):
        raise PaymentUnderWay
    basket_ids = [basket.id for basket in baskets]
    removed = db.execute(
        delete(BasketLine)
        .where(BasketLine.id.in_(line_ids), BasketLine.basket_id.in_(basket_ids))
        .returning(BasketLine.beneficiary_id, BasketLine.service_day_id)
    )
    return [(child, day) for child, day in removed]


def lock_open(db: Session, household_id: int, basket_id: int) -> bool:
    """Lock the household's basket of that id; whether it is there and open."""
    state = db.scalar(
        select(Basket.state)
        .where(Basket.id == basket_id, Basket.household_id == household_id)
        .with_for_update(key_share=True)
    )
    return state == "open"


def touch(db: Session, basket_id: int, now: datetime) -> None:
    """Note that the basket has changed."""
    db.execute(
        update(Basket).where(Basket.id == basket_id).values(changed_at=now).execution_options(synchronize_session=False)
    )


def set_state(db: Session, basket_id: int, state: str, now: datetime) -> None:
    """Move a basket that the caller has locked."""
    run(db, _STATE_SET, moved_id=basket_id, to_state=state, now=now)


def requote(db: Session, basket_id: int, prices: Mapping[int, tuple[int, Quote]], now: datetime) -> None:
    """Give lines of a basket that the caller has locked the prices that hold now: line id → price id and quote."""
    db.execute(
        update(BasketLine),
        [
            {
                "id": line_id,
                "tariff_price_id": price_id,
                "quoted_cents": price.cents,
                "credit_cents": price.credit_cents,
                "basis": price.basis,
            }
            for line_id, (price_id, price) in prices.items()
        ],
    )
    touch(db, basket_id, now)
