"""People: accounts, households and their beneficiaries, sessions, staff."""
