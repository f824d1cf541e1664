"""What never stands in a log (trust: T-065). Values of rows are kept out by the engine's `hide_parameters` and here."""

import re
from collections.abc import MutableMapping
from typing import Any

# PostgreSQL repeats the refused row there, or the key that was there already.
_ROW = re.compile(r"^(DETAIL|CONTEXT):.*(?:\n(?![ \t]*(?:\[|File |Traceback|The above|During )).*)*", re.MULTILINE)


def without_rows(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: takes the values of rows out of the traceback of a database's error."""
    trace = event.get("exception")
    if isinstance(trace, str):
        event["exception"] = _ROW.sub(r"\1: (not logged)", trace)
    return event
