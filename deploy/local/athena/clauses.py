"""Clauses that several statements share: names, columns and their types, partitions, properties."""

from deploy.local.athena.errors import InvalidRequestError
from deploy.local.athena.statements import ColumnDef, PartitionSpec, TableName
from deploy.local.athena.tokens import Cursor

_PRIMITIVES = frozenset({
    "string", "varchar", "char", "tinyint", "smallint", "int", "integer", "bigint", "boolean", "float", "double",
    "decimal", "date", "timestamp", "binary",
})  # fmt: skip
_NESTED = frozenset({"array", "map", "struct"})


def table_name(cursor: Cursor) -> TableName:
    """`[[awsdatacatalog.]database.]table`; SHOW CREATE TABLE quotes `database.table` as one."""
    if cursor.next.kind == "quoted" and len(parts := cursor.next.text.split(".")) == 2:  # noqa: PLR2004
        cursor.take()
        return TableName(database=parts[0].lower(), table=parts[1].lower())
    first = cursor.identifier()
    if not cursor.accept("."):
        return TableName(database=None, table=first)
    second = cursor.identifier()
    if first == "awsdatacatalog" and cursor.accept("."):
        return TableName(database=second, table=cursor.identifier())
    return TableName(database=first, table=second)


def s3_location(cursor: Cursor) -> str:
    """The string of a LOCATION, with a slash at its end. Raises `InvalidRequestError` when it is not in S3."""
    return s3_folder(cursor.string(), "LOCATION")


def s3_folder(location: str, name: str) -> str:
    """A folder in a bucket, with a slash at its end. Raises `InvalidRequestError` for anything else."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not location.startswith("s3://") or not bucket or {".", ".."} & set(f"{bucket}/{key}".split("/")):
        raise InvalidRequestError(f"{name} must be an s3:// URL, not {location!r}")
    return location.rstrip("/") + "/"


def columns(cursor: Cursor) -> tuple[ColumnDef, ...]:
    """`(name type [COMMENT '…'], …)`."""
    cursor.expect("(")
    found = [_column(cursor)]
    while cursor.accept(","):
        found.append(_column(cursor))
    cursor.expect(")")
    return tuple(found)


def names(cursor: Cursor) -> tuple[str, ...]:
    """`(name, …)`."""
    cursor.expect("(")
    found = [cursor.identifier()]
    while cursor.accept(","):
        found.append(cursor.identifier())
    cursor.expect(")")
    return tuple(found)


def properties(cursor: Cursor) -> tuple[tuple[str, str], ...]:
    """`('key' = 'value', …)`."""
    cursor.expect("(")
    found = [_property(cursor)]
    while cursor.accept(","):
        found.append(_property(cursor))
    cursor.expect(")")
    return tuple(found)


def partition(cursor: Cursor) -> PartitionSpec:
    """`PARTITION (key = value, …) [LOCATION '…']`."""
    cursor.expect("partition")
    cursor.expect("(")
    values = [_partition_value(cursor)]
    while cursor.accept(","):
        values.append(_partition_value(cursor))
    cursor.expect(")")
    return PartitionSpec(values=tuple(values), location=s3_location(cursor) if cursor.accept("location") else None)


def pattern(cursor: Cursor) -> str | None:
    """`[LIKE] 'pattern'`, if it comes."""
    return cursor.string() if cursor.accept("like") or cursor.next.kind == "string" else None


def database(cursor: Cursor) -> str | None:
    """`IN | FROM database`, if it comes."""
    return cursor.identifier() if cursor.accept("in") or cursor.accept("from") else None


def _partition_value(cursor: Cursor) -> tuple[str, str]:
    key = cursor.identifier()
    cursor.expect("=")
    if cursor.next.kind == "word" and cursor.next.text.isdigit():
        return key, cursor.take().text
    return key, cursor.string()


def _property(cursor: Cursor) -> tuple[str, str]:
    key = cursor.string()
    cursor.expect("=")
    return key, cursor.string()


def _column(cursor: Cursor) -> ColumnDef:
    name = cursor.identifier()
    kind = _type(cursor)
    return ColumnDef(name=name, type=kind, comment=cursor.string() if cursor.accept("comment") else "")


def _type(cursor: Cursor) -> str:
    if cursor.next.word not in _PRIMITIVES | _NESTED:
        raise cursor.mismatch("a type")
    name = cursor.take().word
    if name not in _NESTED:
        return ("int" if name == "integer" else name) + _type_arguments(cursor)
    cursor.expect("<")
    match name:
        case "array":
            inner = _type(cursor)
        case "map":
            key = _type(cursor)
            cursor.expect(",")
            inner = f"{key},{_type(cursor)}"
        case _:
            fields = [_field(cursor)]
            while cursor.accept(","):
                fields.append(_field(cursor))
            inner = ",".join(fields)
    cursor.expect(">")
    return f"{name}<{inner}>"


def _type_arguments(cursor: Cursor) -> str:
    if not cursor.accept("("):
        return ""
    arguments = [cursor.take().text]
    while cursor.accept(","):
        arguments.append(cursor.take().text)
    cursor.expect(")")
    if not all(argument.isdigit() for argument in arguments):
        raise InvalidRequestError(f"mismatched type arguments ({','.join(arguments)})")
    return f"({','.join(arguments)})"


def _field(cursor: Cursor) -> str:
    name = cursor.identifier()
    cursor.expect(":")
    return f"{name}:{_type(cursor)}"
