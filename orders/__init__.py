"""Orders and their lines, the reservations."""
