"""What the proxy can do to a call, and how services say no."""

from enum import StrEnum

from aiohttp import web


class Action(StrEnum):
    """What becomes of a call."""

    PASS = "watched"
    """Nothing but what it should; for a rule with a `then`."""
    DELAY = "slow"
    """Passed on after a wait."""
    HANG = "silent"
    """Neither passed on nor ever answered."""
    MUTE = "answers never sent"
    """It happens, and is never answered."""
    DROP_BEFORE = "down"
    """The connection is closed; nothing happened."""
    DROP_AFTER = "answers lost"
    """It happens, then the connection is closed."""
    THROTTLE = "throttling"
    """Refused in the service's own words."""
    ERROR = "500 and 503"
    CORRUPT = "garbled answers"
    """It happens; of the answer only the first part arrives, by default the half, in good order."""
    DENY = "access denied"


REFUSED = frozenset({Action.THROTTLE, Action.ERROR, Action.DENY})
"""Answered, in the service's own words."""
UNDONE = frozenset({Action.HANG, Action.DROP_BEFORE})
"""What was asked for does not happen."""
SILENT = frozenset({Action.HANG, Action.MUTE})
AT_ONCE = frozenset({Action.PASS, Action.DROP_AFTER, Action.MUTE, Action.CORRUPT})
"""What was asked for happens as it comes."""


_THROTTLED = {
    "kinesis": (400, "ProvisionedThroughputExceededException"),
    "dynamodb": (400, "ProvisionedThroughputExceededException"),
    "athena": (400, "TooManyRequestsException"),
    "sqs": (403, "RequestThrottled"),
    "s3": (503, "SlowDown"),
}


def refusal(action: Action, service: str, *, broken: int) -> web.Response:
    """How a service says no; `broken` is the status of an `ERROR`."""
    match action:
        case Action.THROTTLE:
            status, code = _THROTTLED[service]
        case Action.DENY:
            status, code = (403, "AccessDenied") if service == "s3" else (400, "AccessDeniedException")
        case _:
            status, code = broken, "InternalError" if service == "s3" else "InternalFailure"
    if service == "s3":
        text = f"<Error><Code>{code}</Code><Message>injected</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")
    body = {"__type": code, "message": "injected"}
    return web.json_response(body, status=status, content_type="application/x-amz-json-1.1")
