"""The data catalogue through the Athena API: databases and tables as clients that browse want them."""

import re
from typing import Any

from deploy.local.athena.errors import InvalidRequestError, MetadataError
from deploy.local.athena.glue import Glue
from deploy.local.athena.glue_items import Table
from deploy.local.athena.statements import ColumnDef

NAME = "AwsDataCatalog"
MAX_LISTED = 50


class DataCatalog:
    """One method per operation, for worker threads. There is one catalogue, Glue's."""

    def __init__(self, glue: Glue) -> None:
        self._glue = glue

    def list_data_catalogs(self, _request: dict[str, Any]) -> dict[str, Any]:
        """ListDataCatalogs."""
        return {"DataCatalogsSummary": [{"CatalogName": NAME, "Type": "GLUE", "Status": "CREATE_COMPLETE"}]}

    def get_data_catalog(self, request: dict[str, Any]) -> dict[str, Any]:
        """GetDataCatalog."""
        _check_catalog(request.get("Name"))
        return {"DataCatalog": {"Name": NAME, "Description": "", "Type": "GLUE", "Parameters": {}}}

    def list_databases(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListDatabases."""
        _check_catalog(request.get("CatalogName"))
        return _page("DatabaseList", [{"Name": name} for name in self._glue.databases()], request)

    def get_database(self, request: dict[str, Any]) -> dict[str, Any]:
        """GetDatabase."""
        return {"Database": {"Name": self._database(request)}}

    def list_table_metadata(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListTableMetadata; `Expression` is a regular expression for the whole name."""
        tables = self._glue.tables(self._database(request))
        try:
            wanted = re.compile(request.get("Expression") or ".*")
        except re.error as error:
            raise InvalidRequestError(f"Expression is not valid: {error}") from None
        found = [_metadata(table) for table in tables if wanted.fullmatch(table.name)]
        return _page("TableMetadataList", found, request)

    def get_table_metadata(self, request: dict[str, Any]) -> dict[str, Any]:
        """GetTableMetadata."""
        database, name = self._database(request), str(request.get("TableName", "")).lower()
        table = self._glue.table(database, name)
        if table is None:
            raise MetadataError(f"EntityNotFoundException: Entity Not Found: Table {name} not found")
        return {"TableMetadata": _metadata(table)}

    def _database(self, request: dict[str, Any]) -> str:
        _check_catalog(request.get("CatalogName"))
        name = str(request.get("DatabaseName", "")).lower()
        if not self._glue.has_database(name):
            raise MetadataError(f"EntityNotFoundException: Entity Not Found: Database {name} not found")
        return name


def _check_catalog(name: Any) -> None:
    if str(name).lower() != NAME.lower():
        raise MetadataError(f"Catalog {name} was not found; the local Athena has {NAME}")


def _metadata(table: Table) -> dict[str, Any]:
    how = table.storage
    parameters = dict(table.properties)
    if table.view_query is None:
        parameters |= {
            "location": table.location.rstrip("/"), "inputformat": how.input_format, "outputformat": how.output_format,
            "serde.serialization.lib": how.serde,
            **{f"serde.param.{name}": value for name, value in how.properties},
        }  # fmt: skip
    return {
        "Name": table.name,
        "TableType": "EXTERNAL_TABLE" if table.view_query is None else "VIRTUAL_VIEW",
        "Columns": _columns(table.columns),
        "PartitionKeys": _columns(table.partition_keys),
        "Parameters": parameters,
    }


def _columns(columns: tuple[ColumnDef, ...]) -> list[dict[str, str]]:
    return [
        {"Name": column.name, "Type": column.type} | ({"Comment": column.comment} if column.comment else {})
        for column in columns
    ]


def _page(key: str, found: list[dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    token = request.get("NextToken") or "0"
    if not isinstance(token, str) or not token.isdecimal():
        raise InvalidRequestError("NextToken is not valid")
    first, count = int(token), request.get("MaxResults") or MAX_LISTED
    reply: dict[str, Any] = {key: found[first : first + count]}
    return reply | ({"NextToken": str(first + count)} if first + count < len(found) else {})
