"""Column types: Hive's text (as Glue keeps it) → Arrow, and DuckDB's → Athena's names in results."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from deploy.local.athena.errors import QueryFailedError

_SIMPLE = {
    "string": pa.string(), "varchar": pa.string(), "char": pa.string(), "binary": pa.binary(),
    "tinyint": pa.int8(), "smallint": pa.int16(), "int": pa.int32(), "integer": pa.int32(), "bigint": pa.int64(),
    "float": pa.float32(), "double": pa.float64(), "boolean": pa.bool_(), "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}  # fmt: skip
_ATHENA = {
    "VARCHAR": "varchar", "BIGINT": "bigint", "HUGEINT": "bigint", "UBIGINT": "bigint", "INTEGER": "integer",
    "UINTEGER": "bigint", "SMALLINT": "smallint", "TINYINT": "tinyint", "DOUBLE": "double", "FLOAT": "float",
    "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMP": "timestamp", "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp", "TIMESTAMP_NS": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "TIME": "time", "BLOB": "varbinary", "JSON": "json", '"NULL"': "unknown", "NULL": "unknown",
}  # fmt: skip
_HIVE = {
    "varchar": "string",
    "varbinary": "binary",
    "integer": "int",
    "timestamp with time zone": "timestamp",
    "json": "string",
}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnInfo:
    """A column of a result: `type` as Athena names it; precision and scale are 0 unless they mean something."""

    name: str
    type: str = "varchar"
    precision: int = 2147483647
    scale: int = 0


def to_arrow(text: str) -> pa.DataType:
    """`map<string,decimal(18,4)>` → Arrow. Raises `QueryFailedError` for a type that Parquet tables cannot have."""
    name, _, arguments = text.replace(" ", "").lower().partition("<")
    if arguments:
        parts = _split(arguments.removesuffix(">"))
        if name == "array":
            return pa.list_(to_arrow(parts[0]))
        if name == "map":
            return pa.map_(to_arrow(parts[0]), to_arrow(parts[1]))
        if name == "struct":
            fields = (part.partition(":") for part in parts)
            return pa.struct([pa.field(field, to_arrow(kind)) for field, _, kind in fields])
    base, _, numbers = name.partition("(")
    if base == "decimal":
        precision, scale = [*map(int, numbers.rstrip(")").split(",")), 0][:2] if numbers else (10, 0)
        return pa.decimal128(precision, scale)
    if base not in _SIMPLE:
        raise QueryFailedError(f"HIVE_UNSUPPORTED_FORMAT: type {text} is not supported")
    return _SIMPLE[base]


def column_info(name: str, duckdb_type: str) -> ColumnInfo:
    """The column of a result whose DuckDB type is spelt like this."""
    if match := _DECIMAL.fullmatch(duckdb_type):
        return ColumnInfo(name=name, type="decimal", precision=int(match[1]), scale=int(match[2]))
    if duckdb_type.endswith("]"):
        return ColumnInfo(name=name, type="array", precision=0)
    kind = _ATHENA.get(duckdb_type)
    if kind is None:
        kind = {"MAP": "map", "STRUCT": "row", "TUPLE": "row"}.get(duckdb_type.partition("(")[0])
    if kind is None:
        raise QueryFailedError(
            f"NOT_SUPPORTED: column {name!r} has type {duckdb_type.lower()}, which has no result form"
        )
    precision = {"varchar": 2147483647, "bigint": 19, "integer": 10, "smallint": 5, "tinyint": 3, "double": 17}
    return ColumnInfo(name=name, type=kind, precision=precision.get(kind, 3 if kind.startswith("timestamp") else 0))


def to_hive(column: ColumnInfo) -> str:
    """The type Glue shows for a view's column."""
    if column.type == "decimal":
        return f"decimal({column.precision},{column.scale})"
    return _HIVE.get(column.type, column.type)


def table_type(column: ColumnInfo, arrow: pa.DataType) -> str:
    """The Hive type of a column that a query would give a table; Athena's own name where Hive has none."""
    if column.type in {"unknown", "timestamp with time zone"}:
        return column.type
    return from_arrow(arrow) if column.type in {"array", "map", "row"} else to_hive(column)


def from_arrow(kind: pa.DataType) -> str:
    """Arrow → `map<string,decimal(18,4)>`. Raises `QueryFailedError` for a type that tables cannot have."""
    if pa.types.is_map(kind):
        return f"map<{from_arrow(kind.key_type)},{from_arrow(kind.item_type)}>"
    if pa.types.is_list(kind):
        return f"array<{from_arrow(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{field.name}:{from_arrow(field.type)}' for field in kind)}>"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    found = next((name for name, simple in _SIMPLE.items() if simple == kind), None)
    if found is None:
        raise QueryFailedError(f"NOT_SUPPORTED: Unsupported Hive type: {kind}")
    return found


def trino_type(text: str) -> str:
    """`map<string,int>` → `map(varchar, integer)`, as information_schema names types."""
    name, _, arguments = text.partition("<")
    if not arguments:
        return {"string": "varchar", "int": "integer", "float": "real", "binary": "varbinary"}.get(name, name)
    parts = _split(arguments.removesuffix(">"))
    if name == "struct":
        pairs = (part.partition(":") for part in parts)
        return f"row({', '.join(f'{field} {trino_type(kind)}' for field, _, kind in pairs)})"
    return f"{name}({', '.join(map(trino_type, parts))})"


def _split(text: str) -> Sequence[str]:
    """Split at the commas that are not inside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
