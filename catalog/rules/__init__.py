"""A commune's rules: days, deadlines, prices. Values in, values out; the catalogue file configures them."""
