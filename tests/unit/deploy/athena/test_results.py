"""Values as Athena prints them, and its result files."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.athena.results import RowIndex, csv_line, parse_csv, parse_lines, text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (True, "true"),
        (10, "10"),
        (1.0, "1.0"),
        (1234567.5, "1234567.5"),
        (1e7, "1.0E7"),
        (-0.00012, "-1.2E-4"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Decimal("0E-8"), "0.00000000"),
        (date(2026, 4, 9), "2026-04-09"),
        (datetime(2026, 4, 9, 1, 2, 3, 999_999), "2026-04-09 01:02:03.999"),  # noqa: DTZ001
        (datetime(2026, 4, 9, tzinfo=UTC), "2026-04-09 00:00:00.000 UTC"),
        ({"a": 1, "b": None}, "{a=1, b=null}"),
        ([True, [1.0]], "[true, [1.0]]"),
        ((1, "x"), "{field0=1, field1=x}"),
        (b"ab", "61 62"),
    ],
)
def test_a_value_is_printed_as_athena_does(value: Any, text: str | None) -> None:
    assert text_of(value) == text


ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=width, max_size=width),
        min_size=1,
    )
)


@given(ROWS)
def test_any_rows_come_back_from_the_csv_with_null_and_empty_apart(rows: list[list[str | None]]) -> None:
    assert parse_csv(b"".join(map(csv_line, rows)), len(rows[0])) == rows


@given(ROWS, st.integers(0, 5), st.integers(1, 5))
def test_a_page_is_a_range_of_bytes(rows: list[list[str | None]], first: int, count: int) -> None:
    index, data = RowIndex(), b""
    for row in rows:
        line = csv_line(row)
        index.add(line)
        data += line
    first = min(first, len(rows) - 1)
    start, size = index.span(first, count)
    assert parse_csv(data[start : start + size], len(rows[0])) == rows[first : first + count]


def test_lines_of_ddl_are_rows_of_one_value() -> None:
    assert parse_lines(b"year=2026\nyear=2027\n") == [["year=2026"], ["year=2027"]]
