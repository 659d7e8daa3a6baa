"""Tables as Parquet bytes, as Athena likes them: Snappy, statistics, one row group per object of a micro-batch."""

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.events.arrow import EVENT_SCHEMA

_PLAIN_COLUMNS = frozenset({"event_id"})
"""Distinct in every row: a dictionary would only be built to be given up."""

_DICTIONARY_COLUMNS = [name for name in EVENT_SCHEMA.names if name not in _PLAIN_COLUMNS]


def encode(table: pa.Table) -> bytes:
    """A table with `EVENT_SCHEMA` → the bytes of one Parquet file. Equal tables make equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="snappy",
        use_dictionary=_DICTIONARY_COLUMNS,
        write_statistics=True,
        store_schema=False,
    )
    body: bytes = sink.getvalue().to_pybytes()
    return body
