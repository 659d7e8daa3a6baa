"""Statements around a query: CTAS, INSERT, UNLOAD, PREPARE and EXECUTE."""

import re

from deploy.local.athena import clauses, dialect
from deploy.local.athena.errors import InvalidRequestError
from deploy.local.athena.statements import CreateTableAs, Deallocate, Execute, Insert, Prepare, Unload, WriteOptions
from deploy.local.athena.tokens import Cursor

QUERY_WORDS = frozenset({"select", "with", "values", "("})
_PREPARABLE = QUERY_WORDS | {"insert", "create", "unload"}
_WITH_DATA = re.compile(r"\bWITH\s+(NO\s+)?DATA\s*$", re.IGNORECASE)
_COMPRESSIONS = ("write_compression", "compression", "parquet_compression")
_OPTIONS = frozenset({"format", "field_delimiter", "partitioned_by", "external_location", *_COMPRESSIONS})

Value = str | tuple[str, ...]


def create_table_as(cursor: Cursor) -> CreateTableAs:
    """What follows CREATE TABLE."""
    if_not_exists = cursor.accept("if", "not", "exists")
    name = clauses.table_name(cursor)
    if cursor.comes("like"):
        raise InvalidRequestError("CREATE TABLE … LIKE is not supported; neither is it by Athena")
    if cursor.comes("("):
        raise InvalidRequestError("CREATE TABLE with columns makes Iceberg tables only; write CREATE EXTERNAL TABLE")
    if cursor.accept("comment"):
        cursor.string()
    options = _options(cursor) if cursor.accept("with") else {}
    cursor.expect("as")
    query = query_text(cursor)
    ending = _WITH_DATA.search(query)
    location = options.pop("external_location", None)
    return CreateTableAs(
        name=name,
        if_not_exists=if_not_exists,
        query=query[: ending.start()] if ending else query,
        with_data=ending is None or not ending[1],
        location=None
        if location is None
        else clauses.s3_folder(_one("external_location", location), "external_location"),
        options=_write_options(options),
    )


def insert(cursor: Cursor) -> Insert:
    """What follows INSERT INTO."""
    name = clauses.table_name(cursor)
    in_parentheses = any(cursor.comes("(", word) for word in QUERY_WORDS)
    columns = clauses.names(cursor) if cursor.comes("(") and not in_parentheses else ()
    return Insert(name=name, columns=columns, query=query_text(cursor))


def unload(cursor: Cursor) -> Unload:
    """What follows UNLOAD. The query is found by its parentheses, as Athena's SQL counts them."""
    if not cursor.comes("("):
        raise cursor.mismatch("(")
    start = cursor.next.start
    end = dialect.closing_parenthesis(cursor.text, start)
    query = cursor.text[start + 1 : end].strip()
    cursor.skip_to(end + 1)
    cursor.expect("to")
    location = clauses.s3_folder(cursor.string(), "The target of UNLOAD")
    cursor.expect("with")
    options = _options(cursor)
    if "format" not in options:
        raise InvalidRequestError("UNLOAD needs a format")
    return Unload(query=query, location=location, options=_write_options(options))


def prepare(cursor: Cursor) -> Prepare:
    """What follows PREPARE."""
    name = cursor.identifier()
    cursor.expect("from")
    if cursor.next.word not in _PREPARABLE:
        raise cursor.mismatch("SELECT, INSERT, CREATE TABLE AS or UNLOAD")
    return Prepare(name=name, query=cursor.take_rest())


def execute(cursor: Cursor) -> Execute:
    """What follows EXECUTE."""
    name = cursor.identifier()
    parameters = dialect.expressions(cursor.take_rest()) if cursor.accept("using") else ()
    return Execute(name=name, parameters=parameters)


def deallocate(cursor: Cursor) -> Deallocate:
    """What follows DEALLOCATE."""
    cursor.accept("prepare")
    return Deallocate(name=cursor.identifier())


def query_text(cursor: Cursor) -> str:
    """The rest, which must start like a query."""
    if cursor.next.word not in QUERY_WORDS:
        raise cursor.mismatch("SELECT")
    return cursor.take_rest()


def _options(cursor: Cursor) -> dict[str, Value]:
    """`(name = 'text' | ARRAY['text', …] | word, …)`."""
    cursor.expect("(")
    found: dict[str, Value] = {}
    while True:
        name = cursor.identifier()
        cursor.expect("=")
        found[name] = _value(cursor)
        if not cursor.accept(","):
            break
    cursor.expect(")")
    if unknown := found.keys() - _OPTIONS:
        raise InvalidRequestError(f"The local Athena does not write with {', '.join(sorted(unknown))}")
    return found


def _value(cursor: Cursor) -> Value:
    if cursor.next.kind == "string":
        return cursor.string()
    if not cursor.accept("array"):
        return cursor.take().text
    cursor.expect("[")
    found = [cursor.string()]
    while cursor.accept(","):
        found.append(cursor.string())
    cursor.expect("]")
    return tuple(found)


def _write_options(options: dict[str, Value]) -> WriteOptions:
    keys = options.get("partitioned_by", ())
    compression = next((options[name] for name in _COMPRESSIONS if name in options), "")
    return WriteOptions(
        format=_one("format", options.get("format", "PARQUET")).upper(),
        compression=_one("compression", compression).upper(),
        field_delimiter=_one("field_delimiter", options.get("field_delimiter", "")),
        partitioned_by=tuple(key.lower() for key in ((keys,) if isinstance(keys, str) else keys)),
    )


def _one(name: str, value: Value) -> str:
    if not isinstance(value, str):
        raise InvalidRequestError(f"{name} must be one text, not {list(value)}")
    return value
