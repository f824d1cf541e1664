"""The ground: money, clock, configuration, database, errors, access, letters, jobs, web."""
