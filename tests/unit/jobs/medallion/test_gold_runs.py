"""The table that tells which run made which table."""

import io
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.medallion import gold_runs
from jobs.medallion.tables import GOLD_RUNS
from tests.unit.jobs.medallion.protocol_world import World
from tests.unit.jobs.medallion.test_crash_enumeration import two_runs


def row(run: int, table: str = "t") -> dict[str, Any]:
    known = {"rows": 1, "bytes": 2, "decided_at": None, "source_files": 3, "source_rows": 4, "engine": "e"}
    return {"table_name": table, "run": run, "full": False, **known}


def read(body: bytes) -> list[dict[str, Any]]:
    table = pq.read_table(io.BytesIO(body))
    assert table.schema.equals(GOLD_RUNS.arrow)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def test_new_rows_come_first_and_old_ones_stay() -> None:
    first, _ = gold_runs.add(None, [row(1, "a"), row(1, "b")])
    second, count = gold_runs.add(first, [row(2, "a")])
    assert [(each["table_name"], each["run"]) for each in read(second)] == [("a", 2), ("a", 1), ("b", 1)]
    assert count == 3


def test_what_is_too_old_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gold_runs, "KEPT_ROWS", 3)
    body: bytes | None = None
    for run in range(1, 6):
        body, count = gold_runs.add(body, [row(run, "a"), row(run, "b")])
    assert body is not None
    assert [each["run"] for each in read(body)] == [5, 5, 4]
    assert count == 3


async def test_a_run_has_a_row_for_each_table_that_it_published() -> None:
    world: World = await two_runs()
    assert world.gold_runs() == [
        ("silver_events", 2, 4, 4 * 43 + 1),
        ("daily_user_activity", 2, 2, 25),
        ("product_funnel", 2, 2, 3),
        ("silver_events", 1, 3, 3 * 43 + 1),
        ("daily_user_activity", 1, 2, 25),
        ("product_funnel", 1, 1, 1),
    ]
