"""What production code logs goes to the trace, or nowhere."""

import contextlib
import logging
from collections.abc import Callable, Iterator

import structlog


@contextlib.contextmanager
def logs_to(say: Callable[[str], None] | None) -> Iterator[None]:
    """While the block runs. None: nowhere."""

    def keep(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
        name = event.pop("event")
        if say is not None:
            say(f"   log {name} " + " ".join(f"{key}={value}" for key, value in event.items()))
        raise structlog.DropEvent

    before = structlog.get_config()
    level = logging.CRITICAL if say is None else logging.DEBUG
    structlog.configure(
        processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(level), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**before)
