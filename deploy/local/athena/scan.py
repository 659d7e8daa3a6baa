"""Files in S3 as one dataset per table, made of the registered partitions only.

DuckDB is handed an empty dataset that only knows its columns; when it starts to scan, with the columns and the filter
it has pushed down, the partitions that can match are listed and become fragments. So pruned partitions are not read,
and a partition that is not registered is invisible, as on AWS. Objects are taken as immutable: a fragment (with its
footer) is kept by path, size and time of change.
"""

import posixpath
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import and_
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.glue_items import Partition, Table
from deploy.local.athena.hive_types import to_arrow
from deploy.local.athena.statements import ColumnDef

KEPT_FRAGMENTS = 20_000
KEPT_BYTES = 256 << 20
SMALL_BYTES = 256 << 10
"""Objects up to this size are read in one request and kept in memory: a stream lands many small ones."""
LISTED_APART = 64
"""Up to so many partitions are listed one by one."""
WORKERS = 16
NUMBER = "#"
_UNSAFE = re.compile(r"""[\x01-\x1f\x7f"#%'*/:=?\\{\[\]^]""")
"""What Hive writes as %XX in the name of a partition's folder."""
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_PARQUET = ds.ParquetFileFormat(
    read_options=ds.ParquetReadOptions(coerce_int96_timestamp_unit="us"),
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=True),
)


class Lake:
    """Files of tables. Safe for several threads."""

    def __init__(self, files: fs.FileSystem) -> None:
        self.files = files
        self._fragments: OrderedDict[tuple[Any, ...], ds.ParquetFileFragment] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="lake")

    def close(self) -> None:
        """End the threads."""
        self._workers.shutdown(cancel_futures=True)

    def folders(self, location: str) -> list[str]:
        """All folders with files below an s3:// URL, relative to it, without a slash at the end."""
        base = _path(location)
        found = {info.path.rpartition("/")[0] for info in self._list(base)}
        return sorted(folder.removeprefix(base).strip("/") for folder in found)

    def fragments(self, table: Table, partitions: Sequence[Partition]) -> list[ds.ParquetFileFragment]:
        """The files of these partitions, footers read."""
        files = [(one, info) for one, infos in self.listed(table, partitions) for info in infos]
        try:
            return list(self._workers.map(lambda file: self._fragment(table, *file), files))
        except pa.ArrowInvalid as error:
            raise QueryFailedError(f"HIVE_BAD_DATA: {str(error).splitlines()[0]}") from error

    def listed(
        self, table: Table, partitions: Sequence[Partition]
    ) -> Iterable[tuple[Partition, Sequence[fs.FileInfo]]]:
        """The files of each; in one listing of what they have in common when that is less work than one for each."""
        base = _path(table.location) + "/"
        if len(partitions) <= LISTED_APART or not all(_path(one.location).startswith(base) for one in partitions):
            return self._workers.map(lambda one: (one, self._list(_path(one.location))), partitions)
        by_folder: dict[str, list[fs.FileInfo]] = {_path(one.location): [] for one in partitions}
        base = posixpath.commonpath(by_folder)
        for info in self._list(base):
            folder = info.path.rpartition("/")[0]
            while folder and folder not in by_folder:
                folder = folder.rpartition("/")[0]
            if folder:
                by_folder[folder].append(info)
        return ((one, by_folder[_path(one.location)]) for one in partitions)

    def _list(self, path: str) -> list[fs.FileInfo]:
        """Files as Hive sees them: without names that start with a dot or an underscore, and without empty ones."""
        selector = fs.FileSelector(path.rstrip("/"), recursive=True, allow_not_found=True)
        return [
            info
            for info in self.files.get_file_info(selector)
            if info.is_file and info.size and not info.base_name.startswith((".", "_"))
        ]

    def _fragment(self, table: Table, partition: Partition, info: fs.FileInfo) -> ds.ParquetFileFragment:
        key = (info.path, info.size, info.mtime_ns, table.partition_keys, partition.values)
        with self._lock:
            if key in self._fragments:
                self._fragments.move_to_end(key)
                return self._fragments[key]
        expression = _expression(table, partition)
        if info.size <= SMALL_BYTES:
            with self.files.open_input_stream(info.path) as stream:
                fragment = _PARQUET.make_fragment(stream.read_buffer(), partition_expression=expression)
        else:
            fragment = _PARQUET.make_fragment(info.path, self.files, expression, file_size=info.size)
        fragment.ensure_complete_metadata()
        with self._lock:
            self._held += 0 if key in self._fragments else _held(key)
            self._fragments[key] = fragment
            while len(self._fragments) > KEPT_FRAGMENTS or self._held > KEPT_BYTES:
                oldest, _ = self._fragments.popitem(last=False)
                self._held -= _held(oldest)
        return fragment


class TableScan(ds.FileSystemDataset):  # type: ignore[misc] # pyarrow has no types
    """What DuckDB sees of a table of Parquet. `bytes_scanned` counts what its scans had to read."""

    def __init__(self, lake: Lake, table: Table, partitions: Callable[[], Sequence[Partition]]) -> None:
        super().__init__([], schema_of(table), _PARQUET, lake.files)
        self.lake = lake
        self.table = table
        self._partitions = partitions
        self.bytes_scanned = 0

    def scanner(self, *, columns: Sequence[str] | None = None, filter: Any = None, **options: Any) -> ds.Scanner:  # noqa: A002 - pyarrow's name
        """Called by DuckDB for each scan, with what it needs and what it can do without."""
        fragments = self.lake.fragments(self.table, self.matching(filter))
        self.bytes_scanned += sum(_bytes(fragment, self._touched(columns, filter)) for fragment in fragments)
        dataset = ds.FileSystemDataset(fragments, self.schema, _PARQUET, self.lake.files)
        return dataset.scanner(columns=columns, filter=filter, **options)

    def matching(self, condition: Any) -> list[Partition]:
        """The partitions whose values may satisfy the filter."""
        partitions = self._partitions()
        if condition is None or not self.table.partition_keys:
            return list(partitions)
        by_number = [
            _PARQUET.make_fragment(str(number), self.lake.files, _expression(self.table, partition))
            for number, partition in enumerate(partitions)
        ]
        pruned = ds.FileSystemDataset(by_number, self.schema, _PARQUET, self.lake.files).get_fragments(condition)
        return [partitions[int(fragment.path)] for fragment in pruned]

    def _touched(self, columns: Sequence[str] | None, condition: Any) -> frozenset[str]:
        if columns is None:
            return frozenset(self.schema.names)
        return frozenset(columns) | set(re.findall(r"\w+", "" if condition is None else str(condition)))


def schema_of(table: Table) -> pa.Schema:
    """The table's columns and then its partition keys, from the catalogue and not from the files."""
    return pa.schema([(column.name, to_arrow(column.type)) for column in (*table.columns, *table.partition_keys)])


def partition_values(table: Table, folder: str) -> tuple[str, ...] | None:
    """`year=2026/month=04` → its values, or None when the folder does not spell the table's keys in order."""
    pairs = [part.partition("=") for part in folder.split("/")]
    keys = [column.name for column in table.partition_keys]
    if [key.lower() for key, _, _ in pairs] != keys or not all(value for _, _, value in pairs):
        return None
    return tuple(unquote(value) for _, _, value in pairs)


def partition_table(table: Table, partitions: Sequence[Partition]) -> pa.Table:
    """The keys' values, typed, and in `NUMBER` which partition it is."""
    values = {
        key.name: pa.array([_value(one.values[n]) for one in partitions], pa.string()).cast(to_arrow(key.type))
        for n, key in enumerate(table.partition_keys)
    }
    return pa.table({**values, NUMBER: pa.array(range(len(partitions)), pa.int64())})


def partition_path(table: Table, values: Sequence[str]) -> str:
    """The folder that Hive gives a partition: `year=2026/month=04`."""
    pairs = zip(table.partition_keys, values, strict=True)
    return "/".join(f"{key.name}={_UNSAFE.sub(lambda found: f'%{ord(found[0]):02X}', value)}" for key, value in pairs)


def _path(location: str) -> str:
    return location.removeprefix("s3://").rstrip("/")


def _expression(table: Table, partition: Partition) -> Any:
    if not table.partition_keys:
        return None
    pairs = zip(table.partition_keys, partition.values, strict=True)
    return reduce(and_, (_is(key, value) for key, value in pairs))


def key_value(key: ColumnDef, text: str) -> pa.Scalar:
    """A partition's value as its key's type; Hive's name for NULL is NULL."""
    return pa.scalar(_value(text), pa.string()).cast(to_arrow(key.type))


def _value(text: str) -> str | None:
    return None if text == NULL_PARTITION else text


def _is(key: ColumnDef, text: str) -> Any:
    value = key_value(key, text)
    return ds.field(key.name) == value if value.is_valid else ds.field(key.name).is_null()


def _held(key: tuple[Any, ...]) -> int:
    size = int(key[1])
    return size if size <= SMALL_BYTES else 0


def _bytes(fragment: ds.ParquetFileFragment, touched: frozenset[str]) -> int:
    """Compressed bytes of the touched columns' chunks.

    An approximation of Athena's DataScannedInBytes: whole columns of every file in the partitions that are left, even
    where Parquet's statistics or a LIMIT let the reader skip some; footers are not counted. A column counts as touched
    when it is selected or its name appears in the filter.
    """
    metadata = fragment.metadata
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    chunks = (group.column(number) for group in groups for number in range(group.num_columns))
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema.partition(".")[0] in touched)
