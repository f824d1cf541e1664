"""Order numbers: short enough to be read out on the telephone, random so that they tell nothing."""

import secrets

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_number() -> str:
    """Eight letters and digits that cannot be confused ("7KQ2-M4XD"), out of 6.5 × 10¹¹."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"
