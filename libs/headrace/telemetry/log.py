"""Structured logs on stderr: JSON in containers, coloured on a terminal.

Events are static dotted names (`batch.committed`); what varies goes into fields. Fields are capped and stripped of
control characters, so that no payload can forge a line or flood the log. What belongs to one unit of work is bound
once, by `unit_of_work`, and shows in every line below it, a library's included.
"""

import contextlib
import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any, Literal

import stamina
import stamina.instrumentation
import structlog
from structlog.contextvars import bind_contextvars, reset_contextvars

from headrace.telemetry.trace import new_trace_id

FIELD_LIMIT = 500
"""Characters kept of any one field."""

LEADING = ("ts", "level", "event", "service", "shard", "epoch", "batch_no", "trace_id")
"""The fields that a JSON line begins with, as far as it has them."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

Logger = structlog.typing.FilteringBoundLogger


def configure(service: str, *, level: str = "INFO", style: Literal["auto", "json", "console"] = "auto") -> None:
    """Set up logging for this process. Standard-library records of libraries come out in the same form."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        _cap_fields,
        _in_order,
    ]
    render: Any = structlog.dev.ConsoleRenderer(colors=True, timestamp_key="ts") if console else _render_json()
    threshold = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    bind_contextvars(service=service)
    stamina.instrumentation.set_on_retry_hooks([_log_retry])
    stamina.instrumentation.set_on_retry_hooks([])  # who retries logs it, with what it means there
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[_ToStructlog()], force=True)


def get_logger() -> Logger:
    """A logger; the service's name is bound to every line by `configure`."""
    logger: Logger = structlog.get_logger()
    return logger


@contextlib.contextmanager
def unit_of_work(trace_id: str | None = None, **fields: object) -> Iterator[str]:
    """One trace id, and `fields`, in every line that is logged inside the block or in tasks started there.

    Yields the id: the one given, for work that goes on elsewhere, or a new one. To be left in the task that entered it.
    """
    trace_id = trace_id or new_trace_id()
    tokens = bind_contextvars(trace_id=trace_id, **fields)
    try:
        yield trace_id
    finally:
        reset_contextvars(**tokens)


def bind_task(**fields: object) -> None:
    """`fields` in every line of the rest of this task: for tasks that are made for one thing, a shard or a request."""
    bind_contextvars(**fields)


def _render_json() -> Any:
    return structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False, default=str)


def _cap_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            clean = _CONTROL.sub(" ", value)
            event[key] = clean if len(clean) <= FIELD_LIMIT else clean[:FIELD_LIMIT] + "…"
    return event


def _in_order(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: event[name] for name in LEADING if name in event} | dict(event)


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    get_logger().warning(
        "call.repeated", attempt=details.retry_num, wait_seconds=details.wait_for, error=str(details.caused_by)
    )


class _ToStructlog(logging.Handler):
    """Hands records of libraries that use `logging` to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        get_logger().log(
            record.levelno, "library.message", logger=record.name, message=record.getMessage(), exc_info=record.exc_info
        )
