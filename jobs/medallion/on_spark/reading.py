"""Files of bronze → lines, taken apart as far as `silver_raw.sql` wants them, and rows of what was landed."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from msgspec.structs import astuple

from headrace.events.ingest import id_prefix
from headrace.stream.ports import MAX_RECORD_BYTES
from jobs.medallion.duck.decode import arrival_of
from jobs.medallion.duck.doubtful import FileOrigin
from jobs.medallion.duck.lines import Line, read_lines
from jobs.medallion.duck.portion import UnreadableFileError
from jobs.medallion.duck.raw import PIECES, PLACE, TEXTS
from jobs.medallion.model import Source
from jobs.medallion.on_spark.place import Place

FILES = pa.schema([("file", pa.int32()), ("key", pa.string()), ("etag", pa.string())])
"""What a task is given: the number of a file in the plan, and which version of it."""

LINES = 20_000
"""Taken apart at a time: some 30 MB."""

_Geo = msgspec.defstruct("_Geo", [(name, str | None, None) for name in PLACE])
_Event = msgspec.defstruct(
    "_Event",
    [
        *((name, str | None, None) for name in TEXTS),
        *((name, msgspec.Raw, None) for name in PIECES),
        ("geo", _Geo | None, None),
    ],
)
_NO_EVENT: Any = _Event()
_NO_GEO: Any = _Geo()
_decode = msgspec.json.Decoder(_Event).decode

_GEO = pa.struct([(name, pa.string()) for name in PLACE])
CARRIED = ("file", "number", "row", "payload", "error")
"""Columns of a line that are not for SQL: where it is, its bytes, or why its file cannot be read to its end."""
RAW = pa.schema([
    ("file", pa.int32()), ("number", pa.int64()), ("row", pa.int64()), ("payload", pa.binary()),
    ("error", pa.string()),
    *((name, pa.string()) for name in (*TEXTS, *PIECES)), ("geo", _GEO), ("misfit", pa.bool_()),
    ("arrived", pa.int64()),
])  # fmt: skip
"""What `silver_raw.sql` reads, and `CARRIED`. Of a file with an error no row counts, whatever rows it has besides."""


def take_lines(place: Place, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches of `FILES` → batches of `RAW`. Raises `HeadraceError` when a file cannot be reached."""
    for file, key, path in fetched(place, batches):
        origin = origin_of(key)
        arrived = None if origin.arrived is None else int(origin.arrived * 1e6)
        lines = read_lines(path)
        try:
            while some := list(islice(lines, LINES)):
                yield _columns(file, arrived, some)
        except UnreadableFileError as error:
            yield pa.RecordBatch.from_pylist([{"file": file, "error": str(error)}], RAW)


def fetched(place: Place, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, str, Path]]:
    """Number, key and copy of each file of batches of `FILES`; the copy goes when the next one comes."""
    with tempfile.TemporaryDirectory() as folder:
        files = place.files(Path(folder))
        for batch in batches:
            for asked in batch.to_pylist():
                path = files.fetch(asked["key"], Path(folder) / "bronze", etag=asked["etag"])
                yield asked["file"], asked["key"], path


def origin_of(key: str) -> FileOrigin:
    """What the key of a raw file tells of its lines."""
    return FileOrigin(key=key, prefix=id_prefix(Source.RAW, key), arrived=arrival_of(key))


def _columns(file: int, arrived: int | None, lines: Sequence[Line]) -> pa.RecordBatch:
    decoded = [_decoded(line.data) for line in lines]
    events = [_NO_EVENT if event is None else event for event in decoded]
    geos = [event.geo or _NO_GEO for event in events]
    values = dict(zip(_Event.__struct_fields__, zip(*map(astuple, events), strict=True), strict=True))
    columns: dict[str, Any] = {
        "file": pa.repeat(pa.scalar(file, pa.int32()), len(lines)),
        "number": pa.array([line.number for line in lines], pa.int64()),
        "row": pa.array([line.row for line in lines], pa.int64()),
        "payload": pa.array([line.data for line in lines], pa.binary()),
        "error": pa.nulls(len(lines), pa.string()),
        **{name: pa.array(values[name], pa.string()) for name in TEXTS},
        **{name: pa.array([_spelt(value) for value in values[name]], pa.string()) for name in PIECES},
        "geo": pa.StructArray.from_arrays(
            [pa.array(list(map(attrgetter(name), geos)), pa.string()) for name in PLACE], fields=list(_GEO)
        ),
        "misfit": pa.array([event is None for event in decoded], pa.bool_()),
        "arrived": pa.repeat(pa.scalar(arrived, pa.int64()), len(lines)),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in RAW.names], schema=RAW)


def _decoded(line: bytes) -> Any:
    """The values of a line, or None when it is no JSON object, or has something else where texts belong."""
    try:
        line.decode()  # what the decoder skips it does not check
        return _decode(line) if len(line) <= MAX_RECORD_BYTES else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _spelt(value: msgspec.Raw | None) -> str | None:
    text = None if value is None else bytes(value).decode()
    return None if text == "null" else text
