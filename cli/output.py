"""Rows on stdout, by the contract: table, csv or json."""

import csv
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TextIO

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headrace.catalog.results import ResultColumn, Row, Value
from headrace.terminal import printable

_NUMBERS = frozenset({"tinyint", "smallint", "int", "integer", "bigint", "float", "real", "double", "decimal"})
_ENDLESS = 100_000
"""Columns of a terminal that is none, so that nothing is wrapped on its way into a file or a pipe."""


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def write_rows(columns: Sequence[ResultColumn], rows: Sequence[Row], style: Format, out: TextIO) -> None:
    """Print a result. Nothing for a statement without columns, except `[]` as JSON."""
    match style:
        case Format.JSON:
            out.write(_json(columns, rows))
        case Format.CSV if columns:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(column.name for column in columns)
            writer.writerows([_text(value) for value in row] for row in rows)
        case Format.TABLE if columns:
            Console(file=out, width=None if out.isatty() else _ENDLESS).print(_table(columns, rows))


def distinct(names: Iterable[str]) -> list[str]:
    """Names with repeats told apart: `n`, `n_2`, so that no column of an object hides another."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, n = name, 1
        while candidate in taken:
            n += 1
            candidate = f"{name}_{n}"
        taken.add(candidate)
        result.append(candidate)
    return result


def _json(columns: Sequence[ResultColumn], rows: Sequence[Row]) -> str:
    keys = distinct(column.name for column in columns)
    encoder = msgspec.json.Encoder(decimal_format="number")  # and NaN becomes null
    lines = (encoder.encode(dict(zip(keys, row, strict=False))).decode() for row in rows)
    return "[" + ",\n ".join(lines) + "]\n"


def _table(columns: Sequence[ResultColumn], rows: Sequence[Row]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(
            Text(printable(column.name)), justify="right" if column.type in _NUMBERS else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text("null", style="dim") if value is None else Text(printable(_text(value))) for value in row))
    return table


def _text(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
