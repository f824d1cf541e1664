"""The town hall: requests to decide, the day, families."""
