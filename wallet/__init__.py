"""The ledger in double entry, and the prepaid wallets of families in it."""
