"""Tables and partitions ↔ the Glue API's JSON. Pure."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deploy.local.athena.statements import ColumnDef
from deploy.local.athena.storage import PARQUET, Format, Storage

_CLASSIFICATIONS = {
    Format.PARQUET: {"classification": "parquet"},
    Format.JSON: {"classification": "json"},
    Format.CSV: {"classification": "csv"},
    Format.DELIMITED: {},
}
_VIEW = "/* Presto View: ", " */"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table or, when `view_query` is set, a view. `location` ends in a slash."""

    database: str
    name: str
    columns: tuple[ColumnDef, ...]
    partition_keys: tuple[ColumnDef, ...] = ()
    location: str = ""
    comment: str = ""
    properties: tuple[tuple[str, str], ...] = ()
    view_query: str | None = None
    storage: Storage = PARQUET


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """`values` in the order of the table's partition keys; `location` ends in a slash."""

    values: tuple[str, ...]
    location: str


def folder(location: str) -> str:
    """With exactly one slash at its end."""
    return location.rstrip("/") + "/"


def _columns(items: Iterable[dict[str, str]]) -> tuple[ColumnDef, ...]:
    return tuple(
        ColumnDef(name=item["Name"], type=item.get("Type", "string"), comment=item.get("Comment", "")) for item in items
    )


def read_table(item: dict[str, Any]) -> Table:
    """Glue's `Table` → ours."""
    storage = item.get("StorageDescriptor", {})
    return Table(
        database=item["DatabaseName"],
        name=item["Name"],
        columns=_columns(storage.get("Columns", [])),
        partition_keys=_columns(item.get("PartitionKeys", [])),
        location=folder(storage["Location"]) if storage.get("Location") else "",
        comment=item.get("Description", ""),
        properties=tuple(item.get("Parameters", {}).items()),
        view_query=_decode_view(item["ViewOriginalText"]) if item.get("TableType") == "VIRTUAL_VIEW" else None,
        storage=_read_storage(storage),
    )


def _read_storage(item: dict[str, Any]) -> Storage:
    """Without a SerDe it is a table of Parquet, or a view."""
    serde = item.get("SerdeInfo", {})
    if not serde.get("SerializationLibrary"):
        return PARQUET
    return Storage(
        serde=serde["SerializationLibrary"],
        input_format=item.get("InputFormat", ""),
        output_format=item.get("OutputFormat", ""),
        properties=tuple(serde.get("Parameters", {}).items()),
    )


def _glue_columns(columns: Iterable[ColumnDef]) -> list[dict[str, str]]:
    return [{"Name": column.name, "Type": column.type, "Comment": column.comment} for column in columns]


def storage_descriptor(table: Table, location: str) -> dict[str, Any]:
    """Glue's `StorageDescriptor` of the table, or of a partition elsewhere."""
    how = table.storage
    return {
        "Columns": _glue_columns(table.columns),
        "Location": location,
        "InputFormat": how.input_format,
        "OutputFormat": how.output_format,
        "SerdeInfo": {"SerializationLibrary": how.serde, "Parameters": dict(how.properties)},
    }


def table_input(table: Table) -> dict[str, Any]:
    """Glue's `TableInput`."""
    if table.view_query is not None:
        return {
            "Name": table.name,
            "TableType": "VIRTUAL_VIEW",
            "StorageDescriptor": {"Columns": _glue_columns(table.columns), "Location": ""},
            "ViewOriginalText": _encode_view(table),
            "ViewExpandedText": "/* Presto View */",
            "Parameters": {"presto_view": "true", "comment": "Presto View"},
        }
    return {
        "Name": table.name,
        "Description": table.comment,
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": storage_descriptor(table, table.location),
        "PartitionKeys": _glue_columns(table.partition_keys),
        "Parameters": {"EXTERNAL": "TRUE", **_CLASSIFICATIONS[table.storage.format], **dict(table.properties)},
    }


def _encode_view(table: Table) -> str:
    """As Athena stores a view: base64 of JSON between comment marks."""
    definition = {
        "originalSql": table.view_query,
        "catalog": "awsdatacatalog",
        "schema": table.database,
        "columns": [{"name": column.name, "type": column.type} for column in table.columns],
    }
    return base64.b64encode(json.dumps(definition).encode()).decode().join(_VIEW)


def _decode_view(text: str) -> str:
    start, end = _VIEW
    definition = json.loads(base64.b64decode(text.removeprefix(start).removesuffix(end)))
    return str(definition["originalSql"])
