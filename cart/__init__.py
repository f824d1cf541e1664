"""The basket: meals that a family has chosen and not paid yet. It holds no place."""
