"""Databases, tables, views and partitions in the Glue API: the endpoint keeps nothing of its own."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.config import Config
from botocore.session import Session

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.statements import ColumnDef
from headrace.aws.faults import aws_errors
from headrace.errors import NotFoundError

BATCH_CREATE = 100
"""Glue's limit for BatchCreatePartition."""

_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """`values` in the order of the table's partition keys; `location` ends in a slash."""

    values: tuple[str, ...]
    location: str


class Glue:
    """The catalogue, for worker threads. Raises the errors of `headrace.errors` when Glue does not answer."""

    def __init__(self, region: str) -> None:
        self._glue = Session().create_client(
            "glue",
            region_name=region,
            config=Config(max_pool_connections=32, retries={"mode": "standard", "total_max_attempts": 3}),
        )

    def databases(self) -> list[str]:
        """Names, sorted."""
        with aws_errors():
            pages = self._glue.get_paginator("get_databases").paginate()
            return sorted(database["Name"] for page in pages for database in page["DatabaseList"])

    def has_database(self, name: str) -> bool:
        """Whether the database is there."""
        try:
            with aws_errors():
                self._glue.get_database(Name=name)
        except NotFoundError:
            return False
        return True

    def create_database(self, name: str, comment: str, location: str | None) -> bool:
        """False when it was there already."""
        database = {"Name": name, "Description": comment} | ({"LocationUri": location} if location else {})
        with aws_errors():
            try:
                self._glue.create_database(DatabaseInput=database)
            except self._glue.exceptions.AlreadyExistsException:
                return False
        return True

    def drop_database(self, name: str) -> None:
        """With all its tables."""
        with aws_errors():
            self._glue.delete_database(Name=name)

    def tables(self, database: str) -> list[Table]:
        """Tables and views, by name."""
        with aws_errors():
            pages = self._glue.get_paginator("get_tables").paginate(DatabaseName=database)
            return sorted((_table(item) for page in pages for item in page["TableList"]), key=lambda table: table.name)

    def table(self, database: str, name: str) -> Table | None:
        """The table or view, or None."""
        try:
            with aws_errors():
                return _table(self._glue.get_table(DatabaseName=database, Name=name)["Table"])
        except NotFoundError:
            return None

    def create_table(self, table: Table) -> bool:
        """False when it was there already."""
        with aws_errors():
            try:
                self._glue.create_table(DatabaseName=table.database, TableInput=_table_input(table))
            except self._glue.exceptions.AlreadyExistsException:
                return False
        return True

    def replace_table(self, table: Table) -> None:
        """Give an existing table or view another definition; its partitions stay."""
        with aws_errors():
            self._glue.update_table(DatabaseName=table.database, TableInput=_table_input(table))

    def drop_table(self, table: Table) -> None:
        """With its partitions; the data stays where it is."""
        with aws_errors():
            self._glue.delete_table(DatabaseName=table.database, Name=table.name)

    def partitions(self, table: Table) -> list[Partition]:
        """All that are registered."""
        with aws_errors():
            pages = self._glue.get_paginator("get_partitions").paginate(
                DatabaseName=table.database, TableName=table.name, ExcludeColumnSchema=True
            )
            return [
                Partition(values=tuple(item["Values"]), location=_folder(item["StorageDescriptor"]["Location"]))
                for page in pages
                for item in page["Partitions"]
            ]

    def add_partitions(self, table: Table, partitions: Sequence[Partition]) -> int:
        """Register those that are not there yet; how many that were."""
        return sum(
            self._add_batch(table, partitions[start : start + BATCH_CREATE])
            for start in range(0, len(partitions), BATCH_CREATE)
        )

    def drop_partitions(self, table: Table, values: Iterable[tuple[str, ...]]) -> None:
        """Forget them; the data stays where it is. One by one: the emulator has no BatchDeletePartition."""
        for one in values:
            with aws_errors():
                self._glue.delete_partition(
                    DatabaseName=table.database, TableName=table.name, PartitionValues=list(one)
                )

    def _add_batch(self, table: Table, batch: Sequence[Partition]) -> int:
        inputs = [
            {"Values": list(partition.values), "StorageDescriptor": _storage(table, partition.location)}
            for partition in batch
        ]
        with aws_errors():
            reply = self._glue.batch_create_partition(
                DatabaseName=table.database, TableName=table.name, PartitionInputList=inputs
            )
        errors = [error["ErrorDetail"] for error in reply.get("Errors", [])]
        for error in errors:
            if error["ErrorCode"] != "AlreadyExistsException":
                raise QueryFailedError(f"{error['ErrorCode']}: {error.get('ErrorMessage', '')}")
        return len(batch) - len(errors)


def _folder(location: str) -> str:
    return location.rstrip("/") + "/"


def _columns(items: Iterable[dict[str, str]]) -> tuple[ColumnDef, ...]:
    return tuple(
        ColumnDef(name=item["Name"], type=item.get("Type", "string"), comment=item.get("Comment", "")) for item in items
    )


def _table(item: dict[str, Any]) -> Table:
    storage = item.get("StorageDescriptor", {})
    return Table(
        database=item["DatabaseName"],
        name=item["Name"],
        columns=_columns(storage.get("Columns", [])),
        partition_keys=_columns(item.get("PartitionKeys", [])),
        location=_folder(storage["Location"]) if storage.get("Location") else "",
        comment=item.get("Description", ""),
        properties=tuple(item.get("Parameters", {}).items()),
        view_query=_decode_view(item["ViewOriginalText"]) if item.get("TableType") == "VIRTUAL_VIEW" else None,
    )


def _glue_columns(columns: Iterable[ColumnDef]) -> list[dict[str, str]]:
    return [{"Name": column.name, "Type": column.type, "Comment": column.comment} for column in columns]


def _storage(table: Table, location: str) -> dict[str, Any]:
    return {"Columns": _glue_columns(table.columns), "Location": location, **_PARQUET}


def _table_input(table: Table) -> dict[str, Any]:
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
        "StorageDescriptor": _storage(table, table.location),
        "PartitionKeys": _glue_columns(table.partition_keys),
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", **dict(table.properties)},
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
