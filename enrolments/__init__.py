""" "Mes services": who may buy which tariff, for which school year, and who approved it."""
