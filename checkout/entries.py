"""Entries that more than one verb of the checkout makes."""

from wallet.operations import AccountRef, Entry


def credit_entry(
    reservation_id: int, order_id: int, regie_id: int, household_id: int, cents: int, account_id: int
) -> Entry:
    """The entry that gives the money of a cancelled meal back to the household's wallet."""
    return Entry(
        kind="cancelled_meal",
        key=f"cancelled_meal:reservation:{reservation_id}",
        regie_id=regie_id,
        postings=((AccountRef("sales"), -cents), (AccountRef("wallet", household_id), cents)),
        order_id=order_id,
        reservation_id=reservation_id,
        account_id=account_id,
    )
