"""What an executor makes of raw files: the input of `silver_raw.sql`, or why there is none."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.errors import ConfigError, NotFoundError
from headrace.stream.ports import MAX_RECORD_BYTES
from jobs.medallion.on_spark.place import Place
from jobs.medallion.on_spark.reading import FILES, LINES, RAW, take_lines

KEY = "raw/events/year=2026/month=04/day=09/hour=12/minute=30/a b%=ü.jsonl.gz"
HALF_PAST = 1_775_737_800_000_000


def lines_of(root: Path, body: bytes, key: str = KEY) -> list[dict[str, Any]]:
    (root / key).parent.mkdir(parents=True, exist_ok=True)
    (root / key).write_bytes(body)
    asked = pa.RecordBatch.from_pylist([{"file": 7, "key": key, "etag": ""}], FILES)
    batches = list(take_lines(Place(str(root)), [asked]))
    assert all(batch.schema == RAW for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def test_what_is_no_text_is_told_as_it_is_spelt(tmp_path: Path) -> None:
    line = b'{"user_id":"\\u0041","price":1.50,"quantity":"5","is_bot":null,"properties":{"a":1},"geo":{"city":"K"}}'
    (row,) = lines_of(tmp_path, gzip.compress(line))
    assert (row["user_id"], row["price"], row["quantity"], row["is_bot"]) == ("A", "1.50", '"5"', None)
    assert (row["properties"], row["geo"]) == ('{"a":1}', {"country": None, "region": None, "city": "K"})
    assert (row["misfit"], row["arrived"], row["payload"], row["file"]) == (False, HALF_PAST, line, 7)


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[]", b"{} {}", b'{"a":NaN}', b'{"a":"\xff"}', b'{"user_id":5}', b'{"geo":"DE"}', b"\xef\xbb\xbf{}",
        b'{"a":' + b"[" * 100_000, b'{"a":"' + b"x" * MAX_RECORD_BYTES + b'"}',
    ],
)  # fmt: skip
def test_a_line_that_is_no_object_or_has_no_texts_where_they_belong_is_a_misfit(tmp_path: Path, line: bytes) -> None:
    rows = lines_of(tmp_path, gzip.compress(b'{"user_id":"u"}\n' + line))
    assert [row["misfit"] for row in rows] == [False, True]
    assert rows[1]["payload"] == line
    assert rows[1]["user_id"] is None


def test_lines_are_numbered_in_the_file_and_among_those_that_are_not_blank(tmp_path: Path) -> None:
    body = gzip.compress(b"{}\n\n \t\r\n{}\r\n" + b"{}\n" * LINES)
    rows = lines_of(tmp_path, body)
    assert [(row["number"], row["row"]) for row in rows[:3]] == [(1, 0), (4, 1), (5, 2)]
    assert rows[-1]["row"] == LINES + 1


def test_a_file_that_breaks_off_ends_in_an_error(tmp_path: Path) -> None:
    rows = lines_of(tmp_path, gzip.compress(b"{}\n" * 3 * LINES)[:-9])
    assert rows[0]["error"] is None
    assert rows[-1]["error"].startswith("broken off")


def test_a_file_without_a_minute_has_no_time_of_arrival(tmp_path: Path) -> None:
    (row,) = lines_of(tmp_path, gzip.compress(b"{}"), "raw/events/a.jsonl.gz")
    assert row["arrived"] is None


def test_a_file_that_is_gone_is_no_bad_file_but_an_error(tmp_path: Path) -> None:
    asked = pa.RecordBatch.from_pylist([{"file": 0, "key": "raw/events/none.jsonl.gz", "etag": ""}], FILES)
    with pytest.raises(NotFoundError, match="none"):
        list(take_lines(Place(str(tmp_path)), [asked]))


def test_a_place_is_a_folder_or_s3(tmp_path: Path) -> None:
    assert Place("s3a://bucket/").uri == "s3a://bucket"
    with pytest.raises(ConfigError, match="gs://bucket"):
        Place("gs://bucket").files(tmp_path)
