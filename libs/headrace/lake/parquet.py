"""Tables as Parquet bytes, as Athena likes them: Snappy, statistics, one row group per object of a micro-batch."""

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.events.arrow import EVENT_SCHEMA

_MAGIC = b"PAR1"
_TRAILER = 8
"""A Parquet file ends in its footer, the footer's length in four bytes, and `PAR1`."""

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


def footer_bytes(end: bytes) -> int:
    """The last bytes of a Parquet file (eight will do) → how many of them are its footer. Raises `ValueError`."""
    if len(end) < _TRAILER or not end.endswith(_MAGIC):
        raise ValueError("no Parquet")
    return int.from_bytes(end[-_TRAILER : -len(_MAGIC)], "little") + _TRAILER


def row_count(end: bytes) -> int:
    """The last bytes of a Parquet file, its footer among them → how many rows it says it has. Raises `ValueError`."""
    try:
        return int(pq.read_metadata(pa.BufferReader(end)).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"no Parquet: {error}") from error
