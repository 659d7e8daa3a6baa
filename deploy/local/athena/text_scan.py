"""Tables of text files as datasets: read in pieces, so that a file of any size takes little memory."""

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from deploy.local.athena import json_rows, text_rows
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.glue_items import Partition, Table
from deploy.local.athena.scan import TableScan, key_value
from deploy.local.athena.storage import Format

BLOCK_BYTES = 4 << 20


class TextScan(TableScan):
    """What DuckDB sees of a table of text. Each scan reads the files of the partitions that are left once, whole."""

    def scanner(self, *, columns: Sequence[str] | None = None, filter: Any = None, **options: Any) -> ds.Scanner:  # noqa: A002 - pyarrow's name
        """See `TableScan.scanner`. Compressed files count as they lie in the bucket, as on AWS."""
        files = [(one, info) for one, infos in self.lake.listed(self.table, self.matching(filter)) for info in infos]
        self.bytes_scanned += sum(info.size for _, info in files)
        touched = self._touched(columns, filter)
        schema = pa.schema([field for field in self.schema if field.name in touched])
        batches = (batch for partition, info in files for batch in self._batches(partition, info, schema))
        return ds.Scanner.from_batches(batches, schema=schema, columns=columns, filter=filter, **options)

    def _batches(self, partition: Partition, info: fs.FileInfo, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The columns of `schema`, partition keys among them."""
        table = self.table
        values = zip(table.partition_keys, partition.values, strict=True)
        keys = {key.name: key_value(key, value) for key, value in values}
        try:
            with self.lake.files.open_input_stream(info.path) as stream:  # decompressed by the name's ending
                for batch in _rows(stream, table, self.schema, schema):
                    columns = [
                        pa.repeat(keys[name], len(batch)) if name in keys else batch.column(name)
                        for name in schema.names
                    ]
                    yield pa.record_batch(columns, schema=schema) if columns else batch
        except OSError as error:
            raise QueryFailedError(f"HIVE_BAD_DATA: {info.path}: {error}") from error


def _rows(stream: pa.NativeFile, table: Table, known: pa.Schema, wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
    """At least the wanted columns that are in the files. JSON has them by name; of other text all are read."""
    skipped, names = _header_lines(table), [column.name for column in table.columns]
    if table.storage.format is Format.JSON:
        columns = pa.schema([known.field(name) for name in names if name in wanted.names])
        lines = json_rows.lines_of(iter(partial(stream.read, BLOCK_BYTES), b""))
        return json_rows.batches(lines, columns, table.storage, skipped=skipped)
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="\n")
    columns = pa.schema([known.field(name) for name in names])
    return text_rows.batches(text, columns, table.storage, skipped=skipped)


def _header_lines(table: Table) -> int:
    text = dict(table.properties).get("skip.header.line.count", "0")
    if not text.isdecimal():
        raise QueryFailedError(f"HIVE_INVALID_METADATA: Invalid value for skip.header.line.count property: {text}")
    return int(text)
