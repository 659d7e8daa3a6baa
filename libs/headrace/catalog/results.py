"""What a query came to: Athena's text cells → typed rows. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Value = str | int | float | bool | Decimal | None
"""Numbers and booleans as such; everything else stays the text Athena prints."""

Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultColumn:
    """A column of a result and its Athena type, without precision: `decimal`, not `decimal(18,4)`."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A statement that succeeded."""

    query_id: str
    scanned_bytes: int
    seconds: float
    """From submission to the end, queueing included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """A statement that succeeded and its rows, all in memory."""

    execution: Execution
    columns: tuple[ResultColumn, ...]
    rows: Sequence[Row]


def columns_of(page: Mapping[str, Any]) -> tuple[ResultColumn, ...]:
    """The columns that a page of GetQueryResults describes."""
    described = page["ResultSet"].get("ResultSetMetadata", {}).get("ColumnInfo", ())
    return tuple(ResultColumn(name=column["Name"], type=column["Type"].lower()) for column in described)


def cells_of(page: Mapping[str, Any]) -> list[tuple[str | None, ...]]:
    """The cells of a page of GetQueryResults as text; None is SQL's NULL."""
    return [
        tuple(cell.get("VarCharValue") for cell in row.get("Data", ())) for row in page["ResultSet"].get("Rows", ())
    ]


def without_labels(
    columns: Sequence[ResultColumn], cells: list[tuple[str | None, ...]]
) -> list[tuple[str | None, ...]]:
    """The first page without its row of column names, which Athena puts before the rows of a SELECT only."""
    labels = tuple(column.name for column in columns)
    return cells[1:] if cells and labels and cells[0] == labels else cells


def typed(columns: Sequence[ResultColumn], cells: Sequence[tuple[str | None, ...]]) -> list[Row]:
    """Rows of values. Cells beyond the described columns stay text."""
    readers = [_READERS.get(column.type, str) for column in columns]
    return [tuple(_read(readers, n, cell) for n, cell in enumerate(row)) for row in cells]


def _read(readers: Sequence[Callable[[str], Value]], n: int, cell: str | None) -> Value:
    if cell is None:
        return None
    return readers[n](cell) if n < len(readers) else cell


def _boolean(cell: str) -> bool:
    return cell.lower() == "true"


_READERS: Mapping[str, Callable[[str], Value]] = {
    "tinyint": int,
    "smallint": int,
    "int": int,
    "integer": int,
    "bigint": int,
    "float": float,
    "real": float,
    "double": float,
    "decimal": Decimal,
    "boolean": _boolean,
}
