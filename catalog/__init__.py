"""What is served when, for whom, at what price."""
