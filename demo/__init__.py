"""The demo town: its data files, and the commands that load it and make it grow. Stands on the roof, beside `app`."""
