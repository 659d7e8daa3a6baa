"""Tables of text files as datasets: read line by line, so that a file of any size takes little memory."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from deploy.local.athena import text_rows
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.glue_items import Partition, Table
from deploy.local.athena.hive_types import to_arrow
from deploy.local.athena.scan import TableScan, key_value


class TextScan(TableScan):
    """What DuckDB sees of a table of text. Each scan reads the files of the partitions that are left once, whole."""

    def scanner(self, *, columns: Sequence[str] | None = None, filter: Any = None, **options: Any) -> ds.Scanner:  # noqa: A002 - pyarrow's name
        """See `TableScan.scanner`. Compressed files count as they lie in the bucket, as on AWS."""
        files = [(one, info) for one, infos in self.lake.listed(self.table, self.matching(filter)) for info in infos]
        self.bytes_scanned += sum(info.size for _, info in files)
        batches = (batch for partition, info in files for batch in self._batches(partition, info))
        return ds.Scanner.from_batches(batches, schema=self.schema, columns=columns, filter=filter, **options)

    def _batches(self, partition: Partition, info: fs.FileInfo) -> Iterator[pa.RecordBatch]:
        table = self.table
        keys = [key_value(key, value) for key, value in zip(table.partition_keys, partition.values, strict=True)]
        columns = pa.schema([(column.name, to_arrow(column.type)) for column in table.columns])
        try:
            with self.lake.files.open_input_stream(info.path) as stream:  # decompressed by the name's ending
                lines = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="\n")
                for batch in text_rows.batches(lines, columns, table.storage, skipped=_header_lines(table)):
                    constants = [pa.repeat(key, len(batch)) for key in keys]
                    yield pa.record_batch([*batch.columns, *constants], schema=self.schema)
        except OSError as error:
            raise QueryFailedError(f"HIVE_BAD_DATA: {info.path}: {error}") from error


def _header_lines(table: Table) -> int:
    text = dict(table.properties).get("skip.header.line.count", "0")
    if not text.isdecimal():
        raise QueryFailedError(f"HIVE_INVALID_METADATA: Invalid value for skip.header.line.count property: {text}")
    return int(text)
