"""Tables and partitions ↔ the Glue API's JSON, as Athena's own DDL leaves it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from headrace.catalog.tables import Format, Found, Table, TableColumn, Values

_TEXT_INPUT = "org.apache.hadoop.mapred.TextInputFormat"
_TEXT_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
_PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_JSON_SERDE = "org.openx.data.jsonserde.JsonSerDe"

_STORAGE: Mapping[Format, Mapping[str, Any]] = {
    Format.PARQUET: {
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "SerdeInfo": {"SerializationLibrary": _PARQUET_SERDE, "Parameters": {"serialization.format": "1"}},
    },
    Format.JSON: {
        "InputFormat": _TEXT_INPUT,
        "OutputFormat": _TEXT_OUTPUT,
        "SerdeInfo": {
            "SerializationLibrary": _JSON_SERDE,
            "Parameters": {"serialization.format": "1", "ignore.malformed.json": "true"},
        },
    },
}
"""The classes that Athena, Spark and Glue's own readers take, and what those are told."""

_FORMATS = {_PARQUET_SERDE: Format.PARQUET, _JSON_SERDE: Format.JSON}
_EXTERNAL = {"EXTERNAL": "TRUE"}


def table_input(table: Table, kept: Mapping[str, str]) -> dict[str, Any]:
    """Glue's `TableInput`; `kept` are parameters that the table has already."""
    return {
        "Name": table.name,
        "Description": table.about,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {**kept, **_EXTERNAL, "classification": str(table.format), **table.parameters},
        "PartitionKeys": _columns(table.keys),
        "StorageDescriptor": _storage(table, table.location),
    }


def partition_input(table: Table, values: Values, location: str) -> dict[str, Any]:
    """Glue's `PartitionInput`: stored as its table is. Comments stay behind: most of a partition would be comments."""
    bare = [column._replace(about="") for column in table.columns]
    return {"Values": list(values), "StorageDescriptor": _storage(replace(table, columns=bare), location)}


def found_table(item: Mapping[str, Any]) -> Found:
    """Glue's `Table`."""
    return Found(table=_table(item), version=str(item.get("VersionId", "")))


def found_partition(item: Mapping[str, Any]) -> tuple[Values, str]:
    """Glue's `Partition` → its values and its location."""
    return tuple(item["Values"]), slashed(item["StorageDescriptor"]["Location"])


def slashed(location: str) -> str:
    """With exactly one slash at its end."""
    return location.rstrip("/") + "/"


def _table(item: Mapping[str, Any]) -> Table | None:
    storage = item.get("StorageDescriptor", {})
    kind = _FORMATS.get(storage.get("SerdeInfo", {}).get("SerializationLibrary", ""))
    if kind is None or item.get("TableType") == "VIRTUAL_VIEW":
        return None
    return Table(
        name=item["Name"],
        columns=_read(storage.get("Columns", ())),
        keys=_read(item.get("PartitionKeys", ())),
        location=slashed(storage.get("Location", "")),
        format=kind,
        about=item.get("Description", ""),
        parameters=item.get("Parameters", {}),
    )


def _storage(table: Table, location: str) -> dict[str, Any]:
    return {"Columns": _columns(table.columns), "Location": location, **_STORAGE[table.format]}


def _columns(columns: Iterable[TableColumn]) -> list[dict[str, str]]:
    return [
        {"Name": column.name, "Type": column.kind} | ({"Comment": column.about} if column.about else {})
        for column in columns
    ]


def _read(items: Sequence[Mapping[str, str]]) -> tuple[TableColumn, ...]:
    return tuple(TableColumn(item["Name"], item.get("Type", "string"), item.get("Comment", "")) for item in items)
