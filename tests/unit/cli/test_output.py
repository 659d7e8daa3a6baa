import io
import json
from decimal import Decimal

import pytest

from cli.output import Format, distinct, write_rows
from headrace.catalog.results import ResultColumn, Row

COLUMNS = [
    ResultColumn(name="event_type", type="varchar"),
    ResultColumn(name="n", type="bigint"),
    ResultColumn(name="revenue", type="decimal"),
    ResultColumn(name="bot", type="boolean"),
]
ROWS: list[Row] = [("page_view", 1200, Decimal("12345678901234.5600"), False), (None, 7, None, True)]


def written(style: Format, columns: list[ResultColumn] = COLUMNS, rows: list[Row] = ROWS) -> str:
    out = io.StringIO()
    write_rows(columns, rows, style, out)
    return out.getvalue()


def test_json_is_one_array_of_objects_with_numbers_as_numbers() -> None:
    text = written(Format.JSON)
    assert json.loads(text, parse_float=Decimal) == [
        {"event_type": "page_view", "n": 1200, "revenue": Decimal("12345678901234.56"), "bot": False},
        {"event_type": None, "n": 7, "revenue": None, "bot": True},
    ]
    assert "12345678901234.5600" in text


def test_json_knows_no_nan() -> None:
    column = [ResultColumn(name="x", type="double")]
    assert json.loads(written(Format.JSON, column, [(float("nan"),)])) == [{"x": None}]


def test_columns_of_one_name_are_told_apart_in_json() -> None:
    columns = [ResultColumn(name="n", type="bigint")] * 3
    assert json.loads(written(Format.JSON, columns, [(1, 2, 3)])) == [{"n": 1, "n_2": 2, "n_3": 3}]
    assert distinct(["n", "n_2", "n"]) == ["n", "n_2", "n_3"]


def test_csv_has_a_header_quotes_what_needs_it_and_leaves_null_empty() -> None:
    columns = [ResultColumn(name="a", type="varchar"), ResultColumn(name="b", type="boolean")]
    assert written(Format.CSV, columns, [('say "hi", you', True), (None, None)]) == 'a,b\n"say ""hi"", you",true\n,\n'


def test_a_table_has_numbers_on_the_right_and_shows_null() -> None:
    header, _, first, second = [line for line in written(Format.TABLE).splitlines() if line.strip()]
    assert first.index("1200") + 4 == second.index("7") + 1 == header.index(" n ") + 2
    assert "null" in second


def test_a_table_that_goes_into_a_pipe_is_not_cut() -> None:
    wide = "x" * 5_000
    assert wide in written(Format.TABLE, [ResultColumn(name="url", type="varchar")], [(wide,)])


def test_no_escape_sequence_of_a_visitor_reaches_the_terminal() -> None:
    text = written(Format.TABLE, [ResultColumn(name="url", type="varchar")], [("\x1b]0;owned\x07 [bold]é[/bold]",)])
    assert "\\x1b]0;owned\\x07 [bold]é[/bold]" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(("style", "text"), [(Format.TABLE, ""), (Format.CSV, ""), (Format.JSON, "[]\n")])
def test_a_statement_without_rows_prints_nothing_but_an_empty_array(style: Format, text: str) -> None:
    assert written(style, [], []) == text
