"""Tables of the orders room, which stands beside this one: they are known by name only."""

from sqlalchemy import column, table

from shop.database import UtcDateTime, Word

unbooked = table(
    "unbooked_meals",
    column("id"),
    column("beneficiary_id"),
    column("service_day_id"),
    column("household_id"),
    column("regie_id"),
    column("cents"),
    column("state", Word()),
    column("noted_at", UtcDateTime()),
)
reservations = table(
    "reservations",
    column("id"),
    column("household_id"),
    column("beneficiary_id"),
    column("service_day_id"),
    column("state", Word()),
)
given = reservations.alias("given")
freed = table("freed_meals", column("reservation_id"), column("service_day_id"), column("state", Word()))
is_live = reservations.c.state.in_(["held", "confirmed"])
