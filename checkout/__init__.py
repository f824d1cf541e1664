"""Flows that move money and places: placing an order, settling a payment, cancelling a meal."""
