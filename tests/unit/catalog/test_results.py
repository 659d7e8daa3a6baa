from decimal import Decimal
from math import isnan
from typing import Any

import pytest

from headrace.catalog.results import ResultColumn, Value, cells_of, columns_of, typed, without_labels


def page(types: dict[str, str], *rows: tuple[str | None, ...]) -> dict[str, Any]:
    return {
        "ResultSet": {
            "ResultSetMetadata": {"ColumnInfo": [{"Name": name, "Type": kind} for name, kind in types.items()]},
            "Rows": [{"Data": [{} if cell is None else {"VarCharValue": cell} for cell in row]} for row in rows],
        }
    }


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("bigint", "9223372036854775807", 2**63 - 1),
        ("integer", "-5", -5),
        ("tinyint", "1", 1),
        ("double", "1.5E-3", 0.0015),
        ("double", "Infinity", float("inf")),
        ("float", "2.0", 2.0),
        ("decimal", "12345678901234.5600", Decimal("12345678901234.5600")),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("timestamp", "2026-04-09 00:00:00.000", "2026-04-09 00:00:00.000"),
        ("date", "2026-04-09", "2026-04-09"),
        ("varchar", "007", "007"),
        ("varchar", "", ""),
        ("map", "{a=1}", "{a=1}"),
        ("bigint", None, None),
        ("varchar", None, None),
    ],
)
def test_a_cell_becomes_a_value_of_its_columns_type(kind: str, cell: str | None, value: Value) -> None:
    [[read]] = typed([ResultColumn(name="x", type=kind)], [(cell,)])
    assert read == value
    assert type(read) is type(value)


def test_nan_is_a_number() -> None:
    [[value]] = typed([ResultColumn(name="x", type="double")], [("NaN",)])
    assert isinstance(value, float)
    assert isnan(value)


def test_columns_and_cells_of_a_page_are_read() -> None:
    answer = page({"type": "varchar", "n": "BIGINT"}, ("type", "n"), ("purchase", "3"), (None, "1"))
    assert columns_of(answer) == (ResultColumn(name="type", type="varchar"), ResultColumn(name="n", type="bigint"))
    assert cells_of(answer) == [("type", "n"), ("purchase", "3"), (None, "1")]


def test_the_row_of_labels_is_taken_off_once() -> None:
    answer = page({"a": "varchar"}, ("a",), ("a",), ("b",))
    assert without_labels(columns_of(answer), cells_of(answer)) == [("a",), ("b",)]


def test_a_statement_without_labels_loses_no_row() -> None:
    answer = page({"partition": "string"}, ("year=2026",))
    assert without_labels(columns_of(answer), cells_of(answer)) == [("year=2026",)]


def test_a_page_of_a_statement_without_rows_is_empty() -> None:
    assert columns_of({"ResultSet": {}}) == ()
    assert cells_of({"ResultSet": {}}) == []
    assert without_labels((), []) == []
