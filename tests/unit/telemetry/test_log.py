"""Log lines: one JSON object each, whatever is in their fields."""

import asyncio
import logging

import pytest

from headrace.telemetry import log
from tests.log_lines import log_lines as lines

pytestmark = pytest.mark.usefixtures("restored_logs")


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


async def test_a_unit_of_work_shows_in_every_line_below_it_and_in_none_outside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure("transformer", style="json")

    async def helper() -> None:
        log.get_logger().warning("call.repeated")
        logging.getLogger("some.library").warning("slow")

    with log.unit_of_work(shard="s-0", epoch=2, batch_no=7) as first:
        await asyncio.gather(helper(), asyncio.to_thread(log.get_logger().info, "batch.planned"))
    with log.unit_of_work("0af7651916cd43dd8448eb211c80319c", batch_no=8):
        log.get_logger().info("batch.committed", rows=3)
    log.get_logger().info("lease.released")
    *inside, second, outside = lines(capsys)
    assert [(line["trace_id"], line["batch_no"]) for line in inside] == [(first, 7)] * 3
    assert list(second) == ["ts", "level", "event", "service", "batch_no", "trace_id", "rows"]
    assert second["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert not outside.keys() & {"trace_id", "batch_no", "shard", "epoch"}


async def test_units_side_by_side_keep_to_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("transformer", style="json")
    both = asyncio.Barrier(2)

    async def work(shard: str) -> str:
        with log.unit_of_work(shard=shard) as trace_id:
            await both.wait()
            log.get_logger().info("batch.committed")
        return trace_id

    traces = await asyncio.gather(work("s-0"), work("s-1"))
    assert sorted((line["shard"], line["trace_id"]) for line in lines(capsys)) == list(
        zip(("s-0", "s-1"), traces, strict=True)
    )
