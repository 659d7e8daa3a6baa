"""Files as sources: `.jsonl`, `.json` and `.csv`, each also `.gz`, read page by page in constant memory.

A position is the number of payloads taken, and behind the last one `{"end": number}`: what was read to its end is not
opened again. A file that was changed (path, size or time of change) is another source.
"""

import asyncio
import csv
import gzip
import hashlib
import io
import itertools
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from headrace.errors import ConfigError, StopError
from headrace.events.coerce import coerce, encode
from headrace.events.mapping import Mapping
from services.api_consumer.ports import Page, Pages
from services.api_consumer.splitter import MAX_VALUE_BYTES, split_values

CHUNK_BYTES = 1 << 18
PAGE_BYTES = 16 << 20
"""A page ends behind the payload that reaches it, however few they are."""
MAX_CELL = 1 << 20
"""Characters: a quote that is never closed must not swallow the file."""
MAX_ROW = MAX_VALUE_BYTES
"""Characters, over all lines of the row."""
BOM = b"\xef\xbb\xbf"


class FileSource:
    """One file. Ends behind its last payload, with an error when the file itself is damaged."""

    def __init__(self, path: Path, *, limit: int, mapping: Mapping | None) -> None:
        self.name = path.name
        self.source_id = source_id(path)
        self._path = path
        self._limit = limit
        self._mapping = mapping

    async def pages(self, position: Any) -> Pages:
        """See `Source.pages`. Raises `StopError` behind the last payload of a file that is cut off or unreadable."""
        if isinstance(position, dict):
            yield Page(payloads=(), place=str(position["end"]), after=position, exhausted=True)
            return
        done = position or 0
        reader = PayloadReader(self._path, self._mapping)
        payloads = itertools.islice(reader, done, None)
        while page := await asyncio.to_thread(lambda: _next_page(payloads, self._limit)):
            place, done = str(done), done + len(page)
            yield Page(payloads=page, place=place, after=done)
        if reader.damage is not None:
            raise StopError(f"{self._path}: damaged; what could be read was taken: {reader.damage}")
        yield Page(payloads=(), place=str(done), after={"end": done}, exhausted=True)


def source_id(path: Path | str) -> str:
    """`file-`, the name and 16 hex digits. Raises `ConfigError` when there is no such file."""
    try:
        found = Path(path).resolve(strict=True)
        status = found.stat()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    digest = hashlib.sha256(f"{found}\x1f{status.st_size}\x1f{status.st_mtime_ns}".encode()).hexdigest()
    return f"file-{found.name}-{digest[:16]}"


def open_sources(paths: Sequence[str], *, limit: int, mapping: Mapping | None) -> list[FileSource]:
    """A source per file, in order. Raises `ConfigError` with all files that are missing or of an unknown kind."""
    sources: list[FileSource] = []
    problems: list[str] = []
    for path in map(Path, paths):
        try:
            _kind(path)
            sources.append(FileSource(path, limit=limit, mapping=mapping))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return sources


def _next_page(payloads: Iterator[bytes], limit: int) -> list[bytes]:
    page: list[bytes] = []
    size = 0
    for payload in itertools.islice(payloads, limit):
        page.append(payload)
        size += len(payload)
        if size >= PAGE_BYTES:
            break
    return page


class PayloadReader:
    """The payloads of a file: lines, JSON values, or rows as JSON objects. Blank lines are none.

    A damaged file ends where it cannot be read any further; `damage` says why.
    """

    def __init__(self, path: Path, mapping: Mapping | None) -> None:
        self.damage: Exception | None = None
        self._path = path
        self._mapping = mapping

    def __iter__(self) -> Iterator[bytes]:
        kind = _kind(self._path)
        zipped = self._path.suffix == ".gz"
        with gzip.open(self._path) if zipped else self._path.open("rb") as raw:
            source = _Tolerant(raw)
            file = io.BufferedReader(source, CHUNK_BYTES)
            if file.peek(len(BOM)).startswith(BOM):
                file.read(len(BOM))
            match kind:
                case ".csv":
                    yield from _rows(file, source, self._mapping)
                case ".json" if not _starts_with_a_line(file):
                    yield from split_values(iter(lambda: file.read1(CHUNK_BYTES), b""))
                case _:
                    yield from _lines(file)
            self.damage = source.damage


class _Tolerant(io.RawIOBase):
    """Ends where the file under it breaks, and remembers why: what came before is not lost in a buffer."""

    def __init__(self, file: Any) -> None:
        self.damage: Exception | None = None
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read1(len(buffer))
        except (EOFError, OSError, zlib.error) as error:
            self.damage = error
            return 0
        buffer[: len(data)] = data
        return len(data)


def _kind(path: Path) -> str:
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if kind not in {".jsonl", ".json", ".csv"}:
        raise ConfigError([f"{path}: must end in .jsonl, .json or .csv, or one of them and .gz"])
    return kind


def _lines(file: "io.BufferedReader[_Tolerant]") -> Iterator[bytes]:
    while line := file.readline(MAX_VALUE_BYTES):
        rest = line
        while rest and not rest.endswith(b"\n"):  # too long, so no event: its size is all that is told of it
            rest = file.readline(MAX_VALUE_BYTES)
        if line := line.strip():
            yield line


def _starts_with_a_line(file: "io.BufferedReader[_Tolerant]") -> bool:
    """Whether a `.json` file is one object per line after all."""
    line, newline, _ = file.peek(CHUNK_BYTES).partition(b"\n")
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return bool(newline) and line.startswith(b"{")


class _CsvLines:
    """Lines for `csv.reader`, and those that the row being read is made of. A row without end is an error."""

    def __init__(self, file: "io.BufferedReader[_Tolerant]") -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        self._row: list[str] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_ROW)
        if not line:
            raise StopIteration
        self._size += len(line)
        if self._size >= MAX_ROW:
            while line and not line.endswith(("\r", "\n")):
                line = self._text.readline(MAX_ROW)
            raise csv.Error("a row without end")
        self._row.append(line)
        return line

    def taken(self) -> str:
        """The text since the last call; of a row without end, something as long as its beginning."""
        text = "".join(self._row) if self._size < MAX_ROW else " " * MAX_ROW
        self._row, self._size = [], 0
        return text


def _rows(file: "io.BufferedReader[_Tolerant]", source: "_Tolerant", mapping: Mapping | None) -> Iterator[bytes]:
    """Rows as objects. One of another width than the header, or cut off, comes out as a list: that is no event."""
    csv.field_size_limit(MAX_CELL)
    lines = _CsvLines(file)
    rows = csv.reader(lines, delimiter=mapping.delimiter if mapping else ",")
    nothing = {"", mapping.null if mapping else ""}
    header: list[str] | None = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield lines.taken().encode("utf-8", "surrogateescape")
            continue
        cut_off = not lines.taken().endswith(("\r", "\n")) and source.damage is not None
        if header is None:
            header = row
        elif row and (len(row) != len(header) or cut_off):
            yield _json(row)
        elif row:
            cells = {name: cell for name, cell in zip(header, row, strict=True) if cell not in nothing}
            yield _json(cells if mapping else coerce(cells))


def _json(value: Any) -> bytes:
    try:
        return encode(value)
    except UnicodeEncodeError:  # bytes that are no UTF-8 go on as they were, to be rejected as such
        return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogateescape")
