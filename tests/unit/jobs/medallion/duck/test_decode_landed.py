"""What the transformer landed, read back for silver."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.duck.landed import landed_portions
from jobs.medallion.duck.portion import UnreadableFileError
from jobs.medallion.model import Source
from tests.unit.jobs.medallion.duck.decoding import as_streamed, line, portions, rows_of

MOMENT = datetime(2026, 4, 9, 8, tzinfo=UTC)
LEAST: dict[str, Any] = {
    "event_id": ["e"],
    "event_type": ["click"],
    "event_time": pa.array([MOMENT], pa.timestamp("us")),
}


def landed(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(LEAST | columns), path)
    return path


def test_a_file_of_the_transformer_comes_back_as_it_is(tmp_path: Path) -> None:
    rows, _ = as_streamed([line(properties={"a": "b"}, price=1.5, ip="203.0.113.7"), line(event_id="f", rating=2)])
    pq.write_table(rows, tmp_path / "a")
    found = portions(tmp_path / "a", key="events/a.parquet", source=Source.EVENTS)
    assert rows_of(found).equals(rows)
    assert all(not portion.rejected for portion in found)


def test_columns_that_a_file_lacks_are_null_and_strangers_are_left_out(tmp_path: Path) -> None:
    rows = rows_of(list(landed_portions(landed(tmp_path / "a", stranger=[1]), 10)))
    assert rows.schema.equals(EVENT_SCHEMA)
    assert [name for name in rows.schema.names if not rows[name].null_count] == ["event_id", "event_type", "event_time"]


def test_a_file_comes_in_portions(tmp_path: Path) -> None:
    rows, _ = as_streamed([line(event_id=str(number)) for number in range(5)])
    pq.write_table(rows, tmp_path / "a")
    assert [len(portion.rows) for portion in landed_portions(tmp_path / "a", 2)] == [2, 2, 1]


@pytest.mark.parametrize(
    "columns",
    [
        {"quantity": pa.array([5], pa.int32())},
        {"price": pa.array(["1.5"]).cast(pa.decimal128(5, 1))},
        {"category": pa.array(["a"]).dictionary_encode()},
        {"category": pa.array(["a"], pa.large_string())},
        {"ingest_time": pa.array([MOMENT], pa.timestamp("ms"))},
        {"ingest_time": pa.array([MOMENT], pa.timestamp("us", "UTC"))},
    ],
    ids=lambda columns: str(*columns),
)
def test_narrower_and_wider_types_of_a_kind_are_taken(tmp_path: Path, columns: dict[str, Any]) -> None:
    (portion,) = landed_portions(landed(tmp_path / "a", **columns), 10)
    (name,) = columns
    assert portion.rows.schema.equals(EVENT_SCHEMA)
    assert portion.rows[name].null_count == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"quantity": ["5"]}, "quantity is string, not int64"),
        ({"price": [1.5]}, "price is double, not decimal"),
        ({"user_id": [5]}, "user_id is int64, not string"),
        ({"is_bot": [1]}, "is_bot is int64, not bool"),
        ({"event_time": ["2026-04-09"]}, "event_time is string"),
        ({"schema_version": pa.array([2**40])}, "schema_version is int64"),
        ({"properties": pa.array([{"a": "b"}])}, "properties is struct"),
        ({"event_time": pa.array([None], pa.timestamp("us"))}, "event_time is missing in 1 rows"),
        ({"event_id": pa.array([None], pa.string())}, "event_id is missing in 1 rows"),
    ],
)
def test_columns_of_another_type_make_a_file_unreadable(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(UnreadableFileError, match=message):
        list(landed_portions(landed(tmp_path / "a", **columns), 10))


def test_a_renamed_or_vanished_column_that_every_event_has_makes_a_file_unreadable(tmp_path: Path) -> None:
    pq.write_table(pa.table({"event_id": ["e"], "when": [1]}), tmp_path / "a")
    with pytest.raises(UnreadableFileError, match="no column event_type, event_time"):
        list(landed_portions(tmp_path / "a", 10))


@pytest.mark.parametrize("body", [b"", b"PAR1", b"PAR1" * 10, b"{}\n"])
def test_what_is_no_parquet_cannot_be_read(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a").write_bytes(body)
    with pytest.raises(UnreadableFileError, match="no Parquet"):
        list(landed_portions(tmp_path / "a", 10))


def test_a_parquet_file_that_is_cut_off_cannot_be_read(tmp_path: Path) -> None:
    body = landed(tmp_path / "a").read_bytes()
    (tmp_path / "b").write_bytes(body[: len(body) // 2] + body[-8:])
    with pytest.raises(UnreadableFileError, match="no Parquet"):
        list(landed_portions(tmp_path / "b", 10))
