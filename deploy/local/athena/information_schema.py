"""`information_schema`: what the catalogue holds, as tables that queries can read."""

from collections.abc import Callable, Iterator

import pyarrow as pa

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.glue import Glue
from deploy.local.athena.hive_types import trino_type

_CATALOG = "awsdatacatalog"
_Row = tuple[str | int | None, ...]


def table(glue: Glue, name: str) -> pa.Table:
    """One of its tables, read from the catalogue now. Raises `QueryFailedError` for a name it has not."""
    if name not in _TABLES:
        raise QueryFailedError(
            f"TABLE_NOT_FOUND: line 1:1: Table '{_CATALOG}.information_schema.{name}' does not exist"
        )
    schema, rows = _TABLES[name]
    found = list(rows(glue))
    columns = zip(*found, strict=True) if found else ([] for _ in schema)
    return pa.table(
        [pa.array(list(column), field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _schemata(glue: Glue) -> Iterator[_Row]:
    for database in glue.databases():
        yield _CATALOG, database


def _tables(glue: Glue) -> Iterator[_Row]:
    for database in glue.databases():
        for one in glue.tables(database):
            yield _CATALOG, database, one.name, "BASE TABLE" if one.view_query is None else "VIEW"


def _views(glue: Glue) -> Iterator[_Row]:
    for database in glue.databases():
        for one in glue.tables(database):
            if one.view_query is not None:
                yield _CATALOG, database, one.name, one.view_query


def _columns(glue: Glue) -> Iterator[_Row]:
    for database in glue.databases():
        for one in glue.tables(database):
            for number, column in enumerate((*one.columns, *one.partition_keys), start=1):
                extra = "partition key" if column in one.partition_keys else None
                yield (
                    _CATALOG, database, one.name, column.name, number, None, "YES", trino_type(column.type),
                    column.comment or None, extra,
                )  # fmt: skip


def _schema(*names: str, **others: pa.DataType) -> pa.Schema:
    return pa.schema([(name, others.get(name, pa.string())) for name in names])


_NAMED = ("table_catalog", "table_schema", "table_name")
_TABLES: dict[str, tuple[pa.Schema, Callable[[Glue], Iterator[_Row]]]] = {
    "schemata": (_schema("catalog_name", "schema_name"), _schemata),
    "tables": (_schema(*_NAMED, "table_type"), _tables),
    "views": (_schema(*_NAMED, "view_definition"), _views),
    "columns": (
        _schema(
            *_NAMED,
            "column_name",
            "ordinal_position",
            "column_default",
            "is_nullable",
            "data_type",
            "comment",
            "extra_info",
            ordinal_position=pa.int64(),
        ),
        _columns,
    ),
}
