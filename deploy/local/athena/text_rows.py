"""Lines of delimited and CSV files → record batches of a table's columns. Pure; `text_scan` opens the files."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from deploy.local.athena.cells import HIVE_SEPARATORS, Decoder, csv_decoder, text_decoder
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.storage import Format, Storage

ROWS = 10_000
"""A batch has at most so many."""

Row = Sequence[Any]


def batches(lines: Iterable[str], schema: pa.Schema, storage: Storage, *, skipped: int) -> Iterator[pa.RecordBatch]:
    """The rows after the first `skipped` lines. Raises `QueryFailedError` for a line that the SerDe cannot read."""
    read = _READERS[storage.format](schema, storage)
    rows = (read(line.rstrip("\r\n")) for line in islice(lines, skipped, None))
    while some := list(islice(rows, ROWS)):
        columns = zip(*some, strict=True)
        yield pa.record_batch(
            [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
        )


def inner_separators(storage: Storage) -> tuple[str, str]:
    """Between items, and between a key and its value; old Hive misspelt the first property, and Glue keeps that."""
    items = storage.option("collection.delim", storage.option("colelction.delim", HIVE_SEPARATORS[1]))
    return items, storage.option("mapkey.delim", HIVE_SEPARATORS[2])


def _delimited(schema: pa.Schema, storage: Storage) -> Callable[[str], Row]:
    """LazySimpleSerDe: what cannot be read as its column's type is NULL, and so is what is missing."""
    column = storage.option("field.delim", storage.option("serialization.format", HIVE_SEPARATORS[0]))
    if column == "1":  # what Hive writes when nobody chose
        column = HIVE_SEPARATORS[0]
    inner = inner_separators(storage)
    null, escape = storage.option("serialization.null.format", r"\N"), storage.option("escape.delim", "")
    decoders = [text_decoder(field.type, inner) for field in schema]
    missing = [null] * len(decoders)

    def read(line: str) -> Row:
        cells = _split_escaped(line, column, escape) if escape else line.split(column)
        return [
            None if cell == null else _lenient(decode, _unescaped(cell, escape))
            for decode, cell in zip(decoders, [*cells, *missing[len(cells) :]], strict=False)
        ]

    return read


def _csv(schema: pa.Schema, storage: Storage) -> Callable[[str], Row]:
    """OpenCSVSerde: everything is text first; what is no value of its column's type fails the query."""
    separator, quote = storage.option("separatorChar", ","), storage.option("quoteChar", '"')
    escape = storage.option("escapeChar", "\\")
    decoders = [(field.name, csv_decoder(field.type)) for field in schema]

    def read(line: str) -> Row:
        try:
            reader = csv.reader([line], delimiter=separator, quotechar=quote, escapechar=escape)
            cells: list[str | None] = [*next(reader, [""])]
        except csv.Error as error:
            raise QueryFailedError(f"HIVE_BAD_DATA: {error}") from None
        cells += [None] * (len(decoders) - len(cells))
        return [_strict(name, decode, cell) for (name, decode), cell in zip(decoders, cells, strict=False)]

    return read


def _lenient(decode: Decoder, cell: str) -> Any:
    try:
        return decode(cell)
    except ValueError:
        return None


def _strict(name: str, decode: Decoder, cell: Any) -> Any:
    if cell is None:
        return None
    try:
        return decode(cell)
    except ValueError:
        raise QueryFailedError(
            f"HIVE_BAD_DATA: Error parsing field value {str(cell)[:80]!r} for field {name}"
        ) from None


def _split_escaped(line: str, separator: str, escape: str) -> list[str]:
    """Cells as written, escapes and all: what means NULL may begin with the escape."""
    cells, escaped = [""], False
    for character in line:
        if character == separator and not escaped:
            cells.append("")
        else:
            cells[-1] += character
        escaped = character == escape and not escaped
    return cells


def _unescaped(cell: str, escape: str) -> str:
    return re.sub(f"{re.escape(escape)}(.)", r"\1", cell, flags=re.DOTALL) if escape else cell


_READERS: dict[Format, Callable[[pa.Schema, Storage], Callable[[str], Row]]] = {
    Format.DELIMITED: _delimited,
    Format.CSV: _csv,
}
