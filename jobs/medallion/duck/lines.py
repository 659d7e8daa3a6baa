"""The lines of a file, in Python."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from jobs.medallion.duck.inflate import gzipped

MAX_LINE_BYTES = 16 << 20
"""Of a longer line just so much is held: it is no event, and its beginning says so as well as the whole."""


class Line(NamedTuple):
    """One line that is not blank."""

    number: int
    """Of the line in its file, from 1; blank lines count."""
    row: int
    """Among those that are not blank, from 0: its row in DuckDB's answer."""
    data: bytes
    """Without blanks around it."""


def read_lines(path: Path, *, plain: bool = False) -> Iterator[Line]:
    """The lines of a file that is gzipped, unless it is `plain`. Raises `UnreadableFileError` where it breaks off."""
    index = number = 0
    with path.open("rb") if plain else gzipped(path) as file:
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(MAX_LINE_BYTES)
            if data := line.strip():
                yield Line(number, index, data)
                index += 1


class OutOfStepError(Exception):
    """DuckDB counts other lines than we do: its rows cannot be told by their number."""


class LinesInStep:
    """The lines of a plain file beside DuckDB's rows of it, in one go from its first to its last."""

    def __init__(self, path: Path) -> None:
        self._lines = read_lines(path, plain=True)

    def take(self, first: int, stop: int, wanted: pa.Array, *, is_last: bool) -> list[Line]:
        """The wanted ones of the rows from `first` up to `stop`; `wanted` counts from `first`.

        Raises `OutOfStepError` when there are fewer lines than rows, or more behind the last.
        """
        places = {first + at for at in wanted.to_pylist()}
        taken = []
        last = stop - 1
        for line in self._lines:
            if line.row in places:
                taken.append(line)
            if line.row == last:
                break
        else:
            raise OutOfStepError
        if is_last and next(self._lines, None) is not None:
            raise OutOfStepError
        return taken
