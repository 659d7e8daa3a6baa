"""JSON lines as columns: what is asked for is read, and nothing else is looked at."""

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.hive_types import to_arrow
from deploy.local.athena.json_rows import ROWS, batches, lines_of
from deploy.local.athena.storage import text

SERDE = "org.openx.data.jsonserde.JsonSerDe"
STRICT, LENIENT = text(SERDE), text(SERDE, (("ignore.malformed.json", "true"),))
BROKEN = [
    b'{"a": "x"',
    b"[1]",
    b"7",
    b'{"a": "x"} {"a": "y"}',
    b'\xef\xbb\xbf{"a": "x"}',
    b'{"a": "x"}\x00',
    b'{"a": 01}',
]


def column(lines: bytes, kind: str = "string", storage: Any = STRICT) -> list[Any]:
    """What a column `a` of this type has in a file."""
    schema = pa.schema([("a", to_arrow(kind))])
    return [value for batch in batches(lines_of([lines]), schema, storage) for value in batch.column(0).to_pylist()]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_whole_however_a_file_is_cut_into_blocks(size: int) -> None:
    data = b'{"a": "one"}\n\n{"a": "two"}\r\n{"a": "\xc3\xa9"}'
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    assert b"\n".join(lines_of(blocks)) == data
    schema = pa.schema([("a", pa.string())])
    found = [value for batch in batches(lines_of(blocks), schema, STRICT) for value in batch.column(0).to_pylist()]
    assert found == ["one", "two", "é"]


def test_a_file_longer_than_a_batch_keeps_its_order() -> None:
    data = b"".join(b'{"a": "%d"}\n' % n for n in range(2 * ROWS + 1))
    assert column(data) == [str(n) for n in range(2 * ROWS + 1)]


def test_a_text_column_takes_any_value_as_json_text() -> None:
    data = b'{"a": 61.990}\n{"a": 007}\n{"a": {"k": [1, 2.50, null]}}\n{"a": true}\n{"a": null}\n{}\n{"a": "x"}\n'
    assert column(data, storage=LENIENT) == ["61.990", None, '{"k":[1,2.50,null]}', "true", None, None, "x"]


def test_a_text_column_of_numbers_alone_keeps_their_digits() -> None:
    assert column(b'{"a": 1775728800000}\n{"a": null}\n{"a": -0.50}\n') == ["1775728800000", None, "-0.50"]


def test_types_are_those_of_the_table() -> None:
    assert column(b'{"a": 1.005}\n{"a": "2"}\n{"a": null}\n', "decimal(5,2)") == [Decimal("1.01"), Decimal(2), None]
    nested = column(b'{"a": {"City": "Ulm"}}\n{"a": {}}\n{}\n', "struct<city:string>")
    assert nested == [{"city": "Ulm"}, {"city": None}, None]


def test_a_column_that_is_not_asked_for_may_hold_anything() -> None:
    assert column(b'{"b": 1, "a": "x"}\n{"b": "one", "a": "y"}\n') == ["x", "y"]


@pytest.mark.parametrize("keys", [('"A"', '"a"'), ('"A"', '"A"')])
def test_keys_count_in_any_case(keys: tuple[str, str]) -> None:
    first, second = keys
    assert column(f'{{{first}: "x"}}\n{{{second}: "y"}}\n{{"b": 1}}\n'.encode()) == ["x", "y", None]


def test_of_a_key_that_is_there_twice_the_last_one_counts() -> None:
    assert column(b'{"a": "x", "a": "y"}\n') == ["y"]
    assert column(b'{"a": "x", "A": "y"}\n{"A": "x", "a": "y"}\n') == ["y", "y"]


def test_properties_of_the_serde_rename_keys() -> None:
    renamed = text(SERDE, (("mapping.a", "Price"), ("dots.in.keys", "true")))
    assert column(b'{"PRICE": "1"}\n', storage=renamed) == ["1"]
    schema = pa.schema([("a_b", pa.string())])
    [batch] = batches([b'{"A.B": "1"}'], schema, renamed)
    assert batch.to_pylist() == [{"a_b": "1"}]


@pytest.mark.parametrize("line", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_line_is_a_row_of_nulls_or_fails_the_query(line: bytes) -> None:
    data = b'{"a": "before"}\n' + line + b'\n{"a": "after"}\n'
    assert column(data, storage=LENIENT) == ["before", None, "after"]
    with pytest.raises(QueryFailedError, match="HIVE_CURSOR_ERROR: Row is not a valid JSON Object"):
        column(data)


def test_what_only_python_takes_for_json_is_taken() -> None:
    assert column(b'{"a": "\\ud800", "b": NaN}\n{"a": "x\xff"}\n') == ["?", "x\ufffd"]
    assert math.isnan(column(b'{"a": NaN}\n', "double")[0])


def test_rows_can_be_counted_without_a_column() -> None:
    found = batches([b'{"a": 1}', b"", b'{"a": 2}'], pa.schema([]), STRICT)
    assert sum(batch.num_rows for batch in found) == 2
