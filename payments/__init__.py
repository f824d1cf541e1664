"""Payments by a provider: attempts, what the provider said, and the gateways that talk to it."""
