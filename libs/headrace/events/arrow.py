"""The table's schema in Arrow, from the field list."""

import pyarrow as pa

from headrace.events.schema import COLUMNS, Kind

ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.STRING: pa.string(),
    Kind.BIGINT: pa.int64(),
    Kind.INT: pa.int32(),
    Kind.DOUBLE: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DECIMAL: pa.decimal128(18, 4),
    Kind.TIMESTAMP: pa.timestamp("us"),
    Kind.MAP: pa.map_(pa.string(), pa.string()),
}

EVENT_SCHEMA = pa.schema([pa.field(column.name, ARROW_TYPES[column.kind]) for column in COLUMNS])
"""Columns of a landed file, in order. Partition keys are in its path only."""


def use_system_memory() -> None:
    """Take Arrow's memory from the system's allocator, in this process. For services that make batch after batch.

    Arrow's own gives pages back and asks for them again with each batch: a tenth of the time and of the memory.
    """
    pa.set_memory_pool(pa.system_memory_pool())
