"""Lines of text ↔ record batches."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.athena import json_rows
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.hive_types import from_arrow, to_arrow
from deploy.local.athena.row_lines import lines
from deploy.local.athena.storage import Format, Storage, text, written_as
from deploy.local.athena.text_rows import batches

JSON = written_as("JSON", "")
ESCAPED = text(properties=(("field.delim", ","), ("escape.delim", "\\")))
TYPES = ["bigint", "double", "boolean", "decimal(10,2)", "string", "date", "timestamp", "map<string,int>"]
SCHEMA = pa.schema([(f"c{number}", to_arrow(kind)) for number, kind in enumerate(TYPES)])

# What one line of text can hold; a value of \N alone would be NULL to Hive.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n")).filter(lambda value: value != r"\N")
VALUES = (
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.decimals(-(10**7), 10**7, places=2),
    TEXTS,
    st.dates(),
    st.datetimes(datetime(1970, 1, 1)).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),  # noqa: DTZ001
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers(-(2**31), 2**31 - 1)).map(lambda found: [*found.items()]),
)
ROWS = st.tuples(*(st.none() | values for values in VALUES))


def read(lines_: bytes, schema: pa.Schema, storage: Storage, *, skipped: int = 0) -> list[tuple[Any, ...]]:
    if storage.format is Format.JSON:
        found = json_rows.batches(json_rows.lines_of([lines_]), schema, storage, skipped=skipped)
    else:
        found = batches(lines_.decode().split("\n")[:-1], schema, storage, skipped=skipped)
    return [tuple(row.values()) for batch in found for row in batch.to_pylist()]


@pytest.mark.parametrize("storage", [JSON, ESCAPED], ids=["json", "delimited"])
@settings(max_examples=40)
@given(rows=st.lists(ROWS, min_size=1, max_size=3))
def test_what_is_written_is_read_back(storage: Storage, rows: list[tuple[Any, ...]]) -> None:
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    written = lines(pa.record_batch(columns, schema=SCHEMA), storage)
    assert read(written, SCHEMA, storage) == rows


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("int", "2147483648", None),
        ("int", "1_000", None),
        ("tinyint", "-128", -128),
        ("boolean", "TRUE", True),
        ("boolean", "1", None),
        ("double", "1e3", 1000.0),
        ("decimal(5,2)", "1.005", Decimal("1.01")),
        ("decimal(5,2)", "much", None),
        ("date", "2026-04-09", date(2026, 4, 9)),
        ("timestamp", "2026-04-09T15:00:00+02:00", datetime(2026, 4, 9, 13)),  # noqa: DTZ001
        ("timestamp", "yesterday", None),
        ("string", "\\N", None),
    ],
)
def test_hives_text_is_a_value_or_null(kind: str, cell: str, value: object) -> None:
    assert read(f"{cell}\n".encode(), pa.schema([("a", to_arrow(kind))]), text()) == [(value,)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("int", '"x"'), ("int", "1.5"), ("int", "true"), ("array<int>", "{}"), ("map<string,int>", "[]"), ("date", "1")],
)
def test_a_json_value_of_another_type_fails_with_its_field(kind: str, value: str) -> None:
    with pytest.raises(QueryFailedError, match=r"HIVE_BAD_DATA.*for field a"):
        read(f'{{"a": {value}}}\n'.encode(), pa.schema([("a", to_arrow(kind))]), JSON)


def test_endless_nesting_is_a_broken_line_and_no_crash() -> None:
    with pytest.raises(QueryFailedError, match="HIVE_CURSOR_ERROR"):
        read(b'{"a":' + b"[" * 100_000 + b"\n", pa.schema([("a", pa.string())]), JSON)


def test_header_lines_are_skipped() -> None:
    assert read(b"h1\nh2\n1\n", pa.schema([("a", pa.int64())]), text(), skipped=2) == [(1,)]


@pytest.mark.parametrize("kind", [*TYPES, "array<struct<a:int,b:map<string,decimal(3,1)>>>", "binary", "tinyint"])
def test_a_type_survives_the_way_to_arrow_and_back(kind: str) -> None:
    assert from_arrow(to_arrow(kind)) == kind
