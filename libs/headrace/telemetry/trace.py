"""Names for units of work: the trace ids of the W3C recommendation Trace Context."""

import re
import secrets

_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace_id>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?"
)


def new_trace_id() -> str:
    """32 random hexadecimal digits."""
    return secrets.token_hex(16)


def trace_id_of(traceparent: str) -> str | None:
    """The trace id of a `traceparent` header; None when it is not valid.

    `00-{trace id}-{parent id}-{flags}`. A later version than 00 may append more.
    """
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    if found is None or (found["version"] == "00" and found["more"]):
        return None
    return found["trace_id"]
