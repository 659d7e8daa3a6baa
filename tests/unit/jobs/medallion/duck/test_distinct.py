"""Which rows repeat an event, and which of the copies stays."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.duck.distinct import hashes, repeated, shared, without_copies
from jobs.medallion.duck.files import Files
from jobs.medallion.duck.settle import Settler
from jobs.medallion.duck.writer import SilverWriter, Target, Written
from tests.unit.jobs.medallion.duck.silver_world import NOON, Row, canonical, distinct, event, random_events, table

DAY = "2026-04-09"
OTHERS: dict[pa.DataType, tuple[Any, Any]] = {
    pa.string(): ("a", "b"),
    pa.int64(): (1, 2),
    pa.int32(): (1, 2),
    pa.float64(): (0.5, 1.5),
    pa.bool_(): (False, True),
    pa.decimal128(18, 4): (Decimal("1.5000"), Decimal("10.0000")),
    pa.timestamp("us"): (NOON, NOON + timedelta(microseconds=1)),
    pa.map_(pa.string(), pa.string()): ([("a", "1")], [("a", "1"), ("b", "0")]),
}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def kept(connection: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> list[Row]:
    given = table(rows)
    left, row_hashes = without_copies(connection, given, hashes(connection, given.select(["event_id"])))
    assert row_hashes.to_pylist() == hashes(connection, left.select(["event_id"])).to_pylist()
    found: list[Row] = left.to_pylist()
    return found


@pytest.mark.parametrize("name", [name for name in EVENT_SCHEMA.names if name != "event_id"])
def test_every_column_decides_between_copies_and_null_loses(name: str, connection: duckdb.DuckDBPyConnection) -> None:
    less, more = OTHERS[EVENT_SCHEMA.field(name).type]
    nothing = [] if name == "event_time" else [event(1, **{name: None})]
    copies = [event(1, **{name: more}), *nothing, event(1, **{name: less})]
    for order in (copies, copies[::-1]):
        assert kept(connection, order) == [event(1, **{name: less})]
        assert len(kept(connection, [event(2), *order])) == 2


def test_properties_in_another_order_are_the_same(connection: duckdb.DuckDBPyConnection) -> None:
    one, other = event(1, properties=[("b", "2"), ("a", "1")]), event(1, properties=[("a", "1"), ("b", "2")])
    assert len(kept(connection, [one, other])) == 1
    before = event(1, properties=[("a", "0"), ("c", "9")])
    assert kept(connection, [one, other, before]) == [before]


def test_rows_without_an_id_are_nobodys_copies(connection: duckdb.DuckDBPyConnection) -> None:
    nameless = event(0, event_id=None)
    assert len(kept(connection, [nameless, nameless, event(1), event(1)])) == 3


def test_repeated_hashes_are_found_over_many_columns(connection: duckdb.DuckDBPyConnection) -> None:
    columns = [
        pa.chunked_array([[1, 2, None], [3]], pa.uint64()),
        pa.chunked_array([[2**64 - 1, 3, None, 1, 3]], pa.uint64()),
    ]
    assert sorted(repeated(connection, columns).to_pylist()) == [1, 3]
    assert repeated(connection, []).to_pylist() == []


def test_repeated_hashes_are_found_where_one_batch_ends_and_the_next_begins(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.medallion.duck.distinct._AT_ONCE", 2048)  # DuckDB makes no smaller ones
    pairs = pa.chunked_array([[0, *range(1, 5_000)], range(5_000)[:0:-1]], pa.uint64())
    assert repeated(connection, [pairs]).to_pylist() == list(range(1, 5_000))


def test_hashes_of_new_rows_are_found_in_files(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    names = [["a", None, "b"], ["c", "d"], ["d", "x", None]]
    first, second, new = (table([event(0, event_id=name) for name in some]) for some in names)
    paths = [tmp_path / "it's 1.parquet", tmp_path / "2.parquet"]
    for path, rows in zip(paths, (first, second), strict=True):
        pq.write_table(rows, path)
    new_hashes = [hashes(connection, new.select(["event_id"]))]
    assert shared(connection, paths, new_hashes).to_pylist() == new_hashes[0].to_pylist()[:1]
    assert shared(connection, paths[:1], new_hashes).to_pylist() == []
    assert shared(connection, [], new_hashes).to_pylist() == []


@pytest.mark.parametrize("seed", range(3))
def test_ids_that_share_a_hash_cost_no_row(seed: int, tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    draw = random.Random(seed)
    rows = [row for row in random_events(draw, 300) if row["event_time"].day == 9]
    files = Files(fs.LocalFileSystem(), str(tmp_path), tmp_path / "scratch")
    written: dict[str, Written] = {}

    def place(day: str) -> tuple[str, Path]:
        key = f"{day}/{len(written)}"
        return key, files.place(key)

    target = Target(place=place, done=lambda one: written.update({one.file.key: one}), file_bytes=6_000)
    for start in range(0, len(rows), 40):
        writer = SilverWriter(connection, target, chunk_rows=20, late_rows=5)
        writer.add(DAY, table(rows[start : start + 40]))
        writer.close()
    zeros = [replace(one, hashes=(pa.chunked_array([[0] * one.file.rows], pa.uint64()),)) for one in written.values()]
    settler = Settler(connection=connection, files=files, target=target)
    gone, dropped = settler.drop_copies(DAY, [], zeros)
    left = [
        row for key in written if key not in gone for row in files.parquet(key).read().cast(EVENT_SCHEMA).to_pylist()
    ]
    assert canonical(left) == canonical(distinct(rows))
    assert dropped == sum(one.file.rows for one in zeros) - len(left)
