"""Values as Athena prints them, and the two files it leaves: CSV for queries, plain lines for DDL.

In the CSV every value is quoted and NULL is nothing at all, so that NULL and '' stay apart. `RowIndex` remembers where
each row starts, so that a page of results is one ranged read of the file.
"""

import re
from array import array
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|)(,|\n)')
_EXPONENT_FROM = 1e7
_EXPONENT_BELOW = 1e-3


def text_of(value: Any) -> str | None:
    """A DuckDB value as Athena prints it; None for NULL."""
    match value:
        case None | str():
            text = value
        case bool():
            text = "true" if value else "false"
        case float():
            text = _float(value)
        case datetime():
            text = f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03}{' UTC' if value.tzinfo else ''}"
        case Decimal():
            text = f"{value:f}"
        case bytes():
            text = value.hex(" ")
        case dict():
            text = "{" + ", ".join(f"{_inner(key)}={_inner(item)}" for key, item in value.items()) + "}"
        case tuple():
            text = "{" + ", ".join(f"field{number}={_inner(item)}" for number, item in enumerate(value)) + "}"
        case list():
            text = "[" + ", ".join(map(_inner, value)) + "]"
        case _:
            text = str(value)
    return text


def _inner(value: Any) -> str:
    text = text_of(value)
    return "null" if text is None else text


def _float(value: float) -> str:
    """As Java prints a double: `1.0`, `1.0E7`, `1.0E-4`, `NaN`, `Infinity`."""
    if value != value:  # noqa: PLR0124 - NaN
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or _EXPONENT_BELOW <= abs(value) < _EXPONENT_FROM:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    figures = "".join(map(str, digits))
    power = int(exponent) + len(figures) - 1
    return f"{'-' if sign else ''}{figures[0]}.{figures[1:] or '0'}E{power}"


def csv_line(values: Iterable[str | None]) -> bytes:
    """One row, with its line end."""
    return (",".join('""' if v == "" else "" if v is None else _quoted(v) for v in values) + "\n").encode()


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def parse_csv(data: bytes, width: int) -> list[list[str | None]]:
    """The rows of what `csv_line` wrote. A row of one NULL is an empty line."""
    values: list[str | None] = [
        None if match[1] is None else match[1].replace('""', '"') for match in _FIELD.finditer(data.decode())
    ]
    return [values[start : start + width] for start in range(0, len(values), width)]


def parse_lines(data: bytes) -> list[list[str | None]]:
    """The rows of a DDL result: one value a line."""
    return [[line] for line in data.decode().splitlines()]


class RowIndex:
    """Where each row of a result file starts."""

    def __init__(self) -> None:
        self._starts = array("Q", [0])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def add(self, line: bytes) -> None:
        """The next row takes this many bytes."""
        self._starts.append(self._starts[-1] + len(line))

    def span(self, first: int, count: int) -> tuple[int, int]:
        """First byte and number of bytes of `count` rows from row `first`."""
        end = min(first + count, len(self))
        return self._starts[first], self._starts[end] - self._starts[first]


def padded(values: Sequence[str]) -> str:
    """A line of DESCRIBE: Hive pads each column to 20 characters and separates them with tabs."""
    return "\t".join(value.ljust(20) for value in values)
