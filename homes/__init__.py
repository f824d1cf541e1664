"""A child in two homes: inviting the other parent, the custody calendar, swaps of days."""
