"""Structured logs on stderr: JSON in containers, coloured on a terminal.

Events are static dotted names (`batch.committed`); what varies goes into fields. Fields are capped and stripped of
control characters, so that no payload can forge a line or flood the log.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import stamina
import stamina.instrumentation
import structlog

FIELD_LIMIT = 500
"""Characters kept of any one field."""

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
    structlog.contextvars.bind_contextvars(service=service)
    stamina.instrumentation.set_on_retry_hooks([_log_retry])
    stamina.instrumentation.set_on_retry_hooks([])  # who retries logs it, with what it means there
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[_ToStructlog()], force=True)


def get_logger() -> Logger:
    """A logger; the service's name is bound to every line by `configure`."""
    logger: Logger = structlog.get_logger()
    return logger


def _render_json() -> Any:
    return structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False, default=str)


def _cap_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            clean = _CONTROL.sub(" ", value)
            event[key] = clean if len(clean) <= FIELD_LIMIT else clean[:FIELD_LIMIT] + "…"
    return event


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
