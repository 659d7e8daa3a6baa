"""Log lines: one JSON object each, whatever is in their fields."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from headrace.telemetry import log


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_names_its_service_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("transformer", style="json")
    log.get_logger().info("batch.committed", rows=3)
    [line] = lines(capsys)
    assert {name: line[name] for name in ("event", "service", "level", "rows")} == {
        "event": "batch.committed", "service": "transformer", "level": "info", "rows": 3,
    }  # fmt: skip
    assert str(line["ts"]).endswith("Z")


def test_a_field_can_neither_forge_a_line_nor_flood_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("stub", style="json")
    log.get_logger().info("x", payload='a\n{"event":"forged"}\x1b[31m\u2028b', long="y" * 10_000)
    [line] = lines(capsys)
    assert line["payload"] == 'a {"event":"forged"} [31m b'
    assert line["long"] == "y" * log.FIELD_LIMIT + "…"


def test_libraries_that_use_logging_come_out_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("stub", style="json")
    logging.getLogger("some.library").warning("watch %s", "out")
    logging.getLogger("some.library").info("not this")
    [line] = lines(capsys)
    assert (line["event"], line["logger"], line["message"]) == ("library.message", "some.library", "watch out")


def test_less_than_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("stub", level="ERROR", style="json")
    log.get_logger().warning("quiet")
    assert lines(capsys) == []
