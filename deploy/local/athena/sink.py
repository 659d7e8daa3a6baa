"""Rows into files: what CTAS, INSERT and UNLOAD leave in S3.

The file system knows buckets only, so nothing written here can reach the machine's own files. A file becomes visible
when it is complete; when the query fails, what it has written is taken away again.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.results import text_of
from deploy.local.athena.row_lines import lines
from deploy.local.athena.scan import NULL_PARTITION
from deploy.local.athena.storage import Format, Storage

MAX_PARTITIONS = 100
"""Athena's limit for one CTAS or INSERT."""
_PARQUET_CODECS = {"GZIP": "gzip", "SNAPPY": "snappy", "ZSTD": "zstd", "NONE": "none", "UNCOMPRESSED": "none"}
_TEXT_CODECS = {"GZIP": "gzip", "NONE": "", "UNCOMPRESSED": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where rows go and how. `folder` says the s3:// URL of a partition's folder, with its slash."""

    schema: pa.Schema
    """The columns in the order written, partition keys last."""
    keys: int
    """How many of them are partition keys: in the folder's name, not in the file."""
    folder: Callable[[tuple[str, ...]], str]
    storage: Storage
    compression: str
    """Athena's name; empty for its default, GZIP."""
    name: str
    """What the files are called, before their number."""


@dataclass(slots=True, kw_only=True)
class Written:
    """What was left behind."""

    rows: int = 0
    files: list[str] = field(default_factory=list)
    """s3:// URLs."""
    partitions: list[tuple[str, ...]] = field(default_factory=list)


class _Writer(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...


class Sink:
    """Writes through a file system of buckets, for worker threads.

    `remove` deletes an object by its path there: the file system itself would leave markers of empty folders behind.
    """

    def __init__(self, files: fs.FileSystem, remove: Callable[[str], None]) -> None:
        self._files = files
        self._delete = remove

    def is_empty(self, folder: str) -> bool:
        """Whether nothing lies below an s3:// URL."""
        selector = fs.FileSelector(_path(folder).rstrip("/"), recursive=True, allow_not_found=True)
        return not any(info.is_file for info in self._files.get_file_info(selector))

    def write(self, target: Target, batches: Iterable[pa.RecordBatch]) -> Written:
        """One file for each partition that has rows. Raises `QueryFailedError`."""
        written = Written()
        writers: dict[tuple[str, ...], _Writer] = {}
        with self._undone_on_failure(written), ExitStack() as open_files:
            for batch in batches:
                written.rows += len(batch)
                for values, part in _parts(batch, target.keys):
                    if values not in writers:
                        if len(writers) == MAX_PARTITIONS:
                            raise QueryFailedError(
                                f"HIVE_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of {MAX_PARTITIONS} open writers for "
                                "partitions/buckets"
                            )
                        writers[values] = self._open(target, values, written, open_files)
                    writers[values].write(part)
        return written

    def write_manifest(self, url: str, written: Written) -> None:
        """The list of files that Athena leaves beside results. Raises `QueryFailedError`."""
        with self._undone_on_failure(Written()), self._files.open_output_stream(_path(url)) as stream:
            stream.write("".join(f"{one}\n" for one in written.files).encode())

    def _open(self, target: Target, values: tuple[str, ...], written: Written, open_files: ExitStack) -> _Writer:
        parquet = target.storage.format is Format.PARQUET
        codecs = _PARQUET_CODECS if parquet else _TEXT_CODECS
        codec = codecs.get(target.compression or "GZIP")
        if codec is None:
            raise QueryFailedError(f"NOT_SUPPORTED: compression {target.compression}; here: {', '.join(codecs)}")
        ending = ".gz" if codec == "gzip" and not parquet else ""
        url = f"{target.folder(values)}{target.name}_{len(written.files)}{ending}"
        stream = open_files.enter_context(self._files.open_output_stream(_path(url), compression=None))
        written.files.append(url)
        written.partitions.append(values)
        schema = pa.schema(list(target.schema)[: len(target.schema) - target.keys])
        if parquet:
            writer: _Writer = open_files.enter_context(pq.ParquetWriter(stream, schema, compression=codec))
            return writer
        if codec:
            stream = open_files.enter_context(pa.CompressedOutputStream(stream, codec))
        return _LineWriter(stream, target.storage)

    @contextmanager
    def _undone_on_failure(self, written: Written) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._remove(written)
            raise QueryFailedError(f"HIVE_WRITER_CLOSE_ERROR: {error}") from error
        except QueryFailedError:
            self._remove(written)
            raise

    def _remove(self, written: Written) -> None:
        for url in written.files:
            if self._files.get_file_info(_path(url)).is_file:
                self._delete(_path(url))


class _LineWriter:
    """Batches as lines of text."""

    def __init__(self, stream: Any, storage: Storage) -> None:
        self._stream = stream
        self._storage = storage

    def write(self, batch: pa.RecordBatch) -> None:
        self._stream.write(lines(batch, self._storage))


def _parts(batch: pa.RecordBatch, keys: int) -> Iterator[tuple[tuple[str, ...], pa.RecordBatch]]:
    """The rows of each partition, without its keys."""
    if not len(batch):
        return
    width = batch.num_columns - keys
    data = batch.select(range(width))
    if not keys:
        yield (), data
        return
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, values in enumerate(zip(*(column.to_pylist() for column in batch.columns[width:]), strict=True)):
        rows.setdefault(tuple(map(_partition_text, values)), []).append(row)
    for texts, numbers in rows.items():
        yield texts, data.take(pa.array(numbers))


def _partition_text(value: Any) -> str:
    return NULL_PARTITION if (text := text_of(value)) in {None, ""} else str(text)


def _path(url: str) -> str:
    return url.removeprefix("s3://")
