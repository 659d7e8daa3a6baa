"""Hive DDL as Athena users write it → frozen statements. Pure; what is no DDL goes on as a `Select` untouched."""

from collections.abc import Callable

from deploy.local.athena import clauses, write_syntax
from deploy.local.athena.create_table import create_table
from deploy.local.athena.errors import InvalidRequestError
from deploy.local.athena.statements import (
    AddColumns,
    AddPartitions,
    CreateDatabase,
    CreateView,
    Describe,
    DropDatabase,
    DropPartitions,
    DropTable,
    DropView,
    RepairTable,
    ReplaceColumns,
    Select,
    SetLocation,
    SetProperties,
    ShowColumns,
    ShowCreateTable,
    ShowCreateView,
    ShowDatabases,
    ShowPartitions,
    ShowProperties,
    ShowTables,
    ShowViews,
    Statement,
    TableName,
)
from deploy.local.athena.tokens import Cursor


def parse(sql: str) -> Statement:
    """The statement in `sql`. Raises `InvalidRequestError` on a syntax error or a kind that is not supported."""
    text = sql.strip().rstrip(";").rstrip()
    if not text:
        raise InvalidRequestError("QueryString must not be empty")
    cursor = Cursor(text)
    if cursor.next.word in write_syntax.QUERY_WORDS:
        return Select(query=text)
    read = next((read for words, read in _STATEMENTS.items() if cursor.accept(*words)), None)
    if read is None:
        raise InvalidRequestError(
            f"Queries of this type are not supported by the local Athena: {' '.join(text.split())[:60]}"
        )
    statement = read(cursor)
    if not cursor.at_end:
        raise cursor.mismatch("<EOF>")
    return statement


def _create_database(cursor: Cursor) -> CreateDatabase:
    if_not_exists = cursor.accept("if", "not", "exists")
    name = cursor.identifier()
    comment = cursor.string() if cursor.accept("comment") else ""
    location = clauses.s3_location(cursor) if cursor.accept("location") else None
    if cursor.accept("with", "dbproperties"):
        clauses.properties(cursor)
    return CreateDatabase(name=name, if_not_exists=if_not_exists, comment=comment, location=location)


def _drop_database(cursor: Cursor) -> DropDatabase:
    if_exists = cursor.accept("if", "exists")
    name = cursor.identifier()
    cascade = cursor.accept("cascade")
    if not cascade:
        cursor.accept("restrict")
    return DropDatabase(name=name, if_exists=if_exists, cascade=cascade)


def _create_view(cursor: Cursor, *, or_replace: bool) -> CreateView:
    name = clauses.table_name(cursor)
    cursor.expect("as")
    return CreateView(name=name, or_replace=or_replace, query=write_syntax.query_text(cursor))


def _drop_table(cursor: Cursor) -> DropTable:
    if_exists = cursor.accept("if", "exists")
    return DropTable(name=clauses.table_name(cursor), if_exists=if_exists)


def _drop_view(cursor: Cursor) -> DropView:
    if_exists = cursor.accept("if", "exists")
    return DropView(name=clauses.table_name(cursor), if_exists=if_exists)


def _alter_table(cursor: Cursor) -> Statement:
    name = clauses.table_name(cursor)
    if cursor.accept("add", "columns"):
        return AddColumns(name=name, columns=clauses.columns(cursor))
    if cursor.accept("replace", "columns"):
        return ReplaceColumns(name=name, columns=clauses.columns(cursor))
    if cursor.accept("add"):
        if_not_exists = cursor.accept("if", "not", "exists")
        partitions = [clauses.partition(cursor)]
        while not cursor.at_end:
            partitions.append(clauses.partition(cursor))
        return AddPartitions(name=name, if_not_exists=if_not_exists, partitions=tuple(partitions))
    if cursor.accept("drop"):
        if_exists = cursor.accept("if", "exists")
        partitions = [clauses.partition(cursor)]
        while cursor.accept(","):
            partitions.append(clauses.partition(cursor))
        return DropPartitions(name=name, if_exists=if_exists, partitions=tuple(partitions))
    if cursor.accept("set", "tblproperties"):
        return SetProperties(name=name, properties=clauses.properties(cursor))
    partition = clauses.partition(cursor) if cursor.comes("partition") else None
    if cursor.accept("set", "location"):
        return SetLocation(name=name, partition=partition, location=clauses.s3_location(cursor))
    raise cursor.mismatch("ADD COLUMNS, REPLACE COLUMNS, ADD PARTITION, DROP PARTITION or SET")


def _show_tables(cursor: Cursor) -> ShowTables:
    return ShowTables(database=clauses.database(cursor), like=clauses.pattern(cursor))


def _show_views(cursor: Cursor) -> ShowViews:
    return ShowViews(database=clauses.database(cursor), like=clauses.pattern(cursor))


def _show_columns(cursor: Cursor) -> ShowColumns:
    if not cursor.accept("in"):
        cursor.expect("from")
    name = clauses.table_name(cursor)
    if name.database is None:
        name = TableName(database=clauses.database(cursor), table=name.table)
    return ShowColumns(name=name)


def _show_properties(cursor: Cursor) -> ShowProperties:
    name = clauses.table_name(cursor)
    if not cursor.accept("("):
        return ShowProperties(name=name, key=None)
    key = cursor.string()
    cursor.expect(")")
    return ShowProperties(name=name, key=key)


def _describe(cursor: Cursor) -> Describe:
    detailed = cursor.accept("formatted") or cursor.accept("extended")
    return Describe(name=clauses.table_name(cursor), detailed=detailed)


_STATEMENTS: dict[tuple[str, ...], Callable[[Cursor], Statement]] = {
    ("create", "database"): _create_database,
    ("create", "schema"): _create_database,
    ("create", "external", "table"): create_table,
    ("create", "table"): write_syntax.create_table_as,
    ("create", "view"): lambda cursor: _create_view(cursor, or_replace=False),
    ("create", "or", "replace", "view"): lambda cursor: _create_view(cursor, or_replace=True),
    ("drop", "database"): _drop_database,
    ("drop", "schema"): _drop_database,
    ("drop", "table"): _drop_table,
    ("drop", "view"): _drop_view,
    ("alter", "table"): _alter_table,
    ("msck", "repair", "table"): lambda cursor: RepairTable(name=clauses.table_name(cursor)),
    ("show", "databases"): lambda cursor: ShowDatabases(like=clauses.pattern(cursor)),
    ("show", "schemas"): lambda cursor: ShowDatabases(like=clauses.pattern(cursor)),
    ("show", "tables"): _show_tables,
    ("show", "views"): _show_views,
    ("show", "partitions"): lambda cursor: ShowPartitions(name=clauses.table_name(cursor)),
    ("show", "columns"): _show_columns,
    ("show", "create", "table"): lambda cursor: ShowCreateTable(name=clauses.table_name(cursor)),
    ("show", "create", "view"): lambda cursor: ShowCreateView(name=clauses.table_name(cursor)),
    ("show", "tblproperties"): _show_properties,
    ("describe",): _describe,
    ("desc",): _describe,
    ("insert", "into"): write_syntax.insert,
    ("unload",): write_syntax.unload,
    ("prepare",): write_syntax.prepare,
    ("execute",): write_syntax.execute,
    ("deallocate",): write_syntax.deallocate,
}
