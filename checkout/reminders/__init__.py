"""Reminders: a basket that is about to lapse, a week in which nothing is booked, a wallet that will not last."""
