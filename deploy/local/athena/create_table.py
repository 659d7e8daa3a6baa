"""CREATE EXTERNAL TABLE and the clauses that only it has."""

from deploy.local.athena import clauses, storage
from deploy.local.athena.statements import CreateTable
from deploy.local.athena.storage import Storage
from deploy.local.athena.tokens import Cursor

_LAZY_SIMPLE_WORDS = {
    ("fields", "terminated", "by"): "field.delim",
    ("escaped", "by"): "escape.delim",
    ("collection", "items", "terminated", "by"): "collection.delim",
    ("map", "keys", "terminated", "by"): "mapkey.delim",
    ("lines", "terminated", "by"): "line.delim",
    ("null", "defined", "as"): "serialization.null.format",
}


def create_table(cursor: Cursor) -> CreateTable:
    """What follows CREATE EXTERNAL TABLE. The clauses come in Hive's order."""
    if_not_exists = cursor.accept("if", "not", "exists")
    name = clauses.table_name(cursor)
    columns = clauses.columns(cursor)
    comment = cursor.string() if cursor.accept("comment") else ""
    partition_keys = clauses.columns(cursor) if cursor.accept("partitioned", "by") else ()
    how = _storage(cursor)
    if not cursor.accept("location"):
        raise cursor.mismatch("LOCATION")
    location = clauses.s3_location(cursor)
    properties = clauses.properties(cursor) if cursor.accept("tblproperties") else ()
    return CreateTable(
        name=name, columns=columns, partition_keys=partition_keys, location=location,
        if_not_exists=if_not_exists, comment=comment, properties=properties, storage=how,
    )  # fmt: skip


def _storage(cursor: Cursor) -> Storage:
    """`[ROW FORMAT …] [STORED AS …]`."""
    serde: str | None = None
    properties: tuple[tuple[str, str], ...] = ()
    if cursor.accept("row", "format", "serde"):
        serde = cursor.string()
        properties = clauses.properties(cursor) if cursor.accept("with", "serdeproperties") else ()
    elif cursor.accept("row", "format", "delimited"):
        properties = _delimited(cursor)
    if not cursor.accept("stored", "as"):
        return storage.declared(serde=serde, stored_as=None, properties=properties)
    if not cursor.accept("inputformat"):
        return storage.declared(serde=serde, stored_as=cursor.identifier(), properties=properties)
    input_format = cursor.string()
    cursor.expect("outputformat")
    return storage.of_classes(
        input_format=input_format, output_format=cursor.string(), serde=serde, properties=dict(properties)
    )


def _delimited(cursor: Cursor) -> tuple[tuple[str, str], ...]:
    found = {}
    while words := next((words for words in _LAZY_SIMPLE_WORDS if cursor.accept(*words)), None):
        found[_LAZY_SIMPLE_WORDS[words]] = cursor.string()
    return tuple(found.items())
