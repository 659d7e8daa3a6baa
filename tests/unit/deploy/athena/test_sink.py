"""Rows into files, on a folder instead of buckets."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.sink import MAX_PARTITIONS, Sink, Target
from deploy.local.athena.storage import PARQUET, Storage, written_as

SCHEMA = pa.schema([("a", pa.int64()), ("k", pa.int64())])


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    return Sink(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), lambda path: (tmp_path / path).unlink())


def target(storage: Storage = PARQUET, compression: str = "") -> Target:
    return Target(schema=SCHEMA, keys=1, folder=lambda _: "s3://", storage=storage, compression=compression, name="f")


def batch(*keys: int | None) -> pa.RecordBatch:
    return pa.record_batch([pa.array(range(len(keys)), pa.int64()), pa.array(keys, pa.int64())], schema=SCHEMA)


def test_each_partition_has_one_file_however_many_batches_it_comes_in(sink: Sink, tmp_path: Path) -> None:
    written = sink.write(target(written_as("JSON", ""), "NONE"), [batch(1, 2, 1), batch(2, None)])
    assert written.rows == 5
    assert written.partitions == [("1",), ("2",), ("__HIVE_DEFAULT_PARTITION__",)]
    assert written.files == ["s3://f_0", "s3://f_1", "s3://f_2"]
    assert (tmp_path / "f_0").read_text() == '{"a":0}\n{"a":2}\n'
    assert (tmp_path / "f_1").read_text() == '{"a":1}\n{"a":0}\n'


def test_no_rows_leave_no_file(sink: Sink, tmp_path: Path) -> None:
    assert sink.write(target(), [batch()]).files == []
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_before_a_failure_is_taken_away(sink: Sink, tmp_path: Path) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield batch(1, 2)
        assert len(list(tmp_path.iterdir())) == 2
        raise QueryFailedError("DIVISION_BY_ZERO")

    with pytest.raises(QueryFailedError, match="DIVISION_BY_ZERO"):
        sink.write(target(), failing())
    assert list(tmp_path.iterdir()) == []


def test_more_partitions_than_athena_opens_fail(sink: Sink, tmp_path: Path) -> None:
    assert len(sink.write(target(), [batch(*range(MAX_PARTITIONS))]).files) == MAX_PARTITIONS
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(QueryFailedError, match="TOO_MANY_OPEN_PARTITIONS"):
        sink.write(target(), [batch(*range(MAX_PARTITIONS + 1))])
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_compression_fails_before_anything_is_written(sink: Sink, tmp_path: Path) -> None:
    with pytest.raises(QueryFailedError, match="compression BROTLI"):
        sink.write(target(compression="BROTLI"), [batch(1)])
    assert list(tmp_path.iterdir()) == []
