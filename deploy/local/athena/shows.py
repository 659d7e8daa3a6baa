"""SHOW and DESCRIBE: what the catalogue says, as Athena lays it out, line by line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.glue import Glue
from deploy.local.athena.glue_items import Table
from deploy.local.athena.hive_types import ColumnInfo
from deploy.local.athena.names import Names
from deploy.local.athena.results import padded
from deploy.local.athena.scan import partition_path
from deploy.local.athena.statements import (
    ColumnDef,
    Describe,
    ShowColumns,
    ShowCreateTable,
    ShowCreateView,
    ShowDatabases,
    ShowPartitions,
    ShowProperties,
    ShowTables,
    ShowViews,
    TableName,
    Utility,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The result of a statement on the catalogue: one text a row, whatever the columns say."""

    columns: tuple[ColumnInfo, ...] = ()
    lines: tuple[str, ...] = ()


class Shows:
    """Answers from the catalogue; changes nothing."""

    def __init__(self, glue: Glue, names: Names) -> None:
        self._glue = glue
        self._names = names

    def run(self, statement: Utility, database: str) -> Lines:
        """`database` is where names without one are. Raises `QueryFailedError`."""
        match statement:
            case ShowDatabases():
                return _one_column("database_name", _like(self._glue.databases(), statement.like))
            case ShowTables():
                names = [table.name for table in self._tables(statement.database or database)]
                return _one_column("tab_name", _like(names, statement.like))
            case ShowViews():
                views = [table.name for table in self._tables(statement.database or database) if table.view_query]
                return _one_column("views", _like(views, statement.like))
            case ShowPartitions():
                table = self._names.need(statement.name, database)
                paths = sorted(partition_path(table, partition.values) for partition in self._glue.partitions(table))
                return _one_column("partition", paths)
            case _:
                return _about(self._names.need(statement.name, database), statement)

    def _tables(self, database: str) -> list[Table]:
        return self._glue.tables(self._names.schema(TableName(database=database, table=""), database))


def _about(
    table: Table, statement: ShowColumns | ShowCreateTable | ShowCreateView | ShowProperties | Describe
) -> Lines:
    match statement:
        case ShowColumns():
            return _one_column("field", [column.name for column in (*table.columns, *table.partition_keys)])
        case ShowProperties():
            return _properties(table, statement.key)
        case ShowCreateView():
            return _one_column("create view", _create_view(table))
        case ShowCreateTable():
            return _one_column("createtab_stmt", _create_table(table))
        case Describe():
            return _described(table, detailed=statement.detailed)


def _described(table: Table, *, detailed: bool) -> Lines:
    columns = tuple(ColumnInfo(name=name) for name in ("col_name", "data_type", "comment"))
    every = (*table.columns, *table.partition_keys)
    lines = [padded((column.name, column.type, column.comment)) for column in every]
    if table.partition_keys:
        keys = [padded((column.name, column.type, column.comment)) for column in table.partition_keys]
        header = padded(("# col_name", "data_type", "comment"))
        lines += [padded(("", "", "")), padded(("# Partition Information", "", "")), header, *keys]
    if detailed:
        how = table.storage
        facts = {
            "Database:": table.database, "Location:": table.location,
            "Table Type:": "VIRTUAL_VIEW" if table.view_query else "EXTERNAL_TABLE", "SerDe Library:": how.serde,
            "InputFormat:": how.input_format, "OutputFormat:": how.output_format,
        }  # fmt: skip
        lines += [padded(("", "", "")), padded(("# Detailed Table Information", "", ""))]
        lines += [padded((name, value, "")) for name, value in facts.items()]
        lines += [padded(("", name, value)) for name, value in (*table.properties, *how.properties)]
    return Lines(columns=columns, lines=tuple(lines))


def _properties(table: Table, key: str | None) -> Lines:
    columns = (ColumnInfo(name="prpt_name"), ColumnInfo(name="prpt_value"))
    if key is None:
        return Lines(columns=columns, lines=tuple(f"{name}\t{value}" for name, value in sorted(table.properties)))
    value = dict(table.properties).get(key)
    missing = f"Table {table.database}.{table.name} does not have property: {key}"
    return Lines(columns=columns, lines=(missing if value is None else value,))


def _create_view(table: Table) -> list[str]:
    if table.view_query is None:
        raise QueryFailedError(f"FAILED: SemanticException: {table.name} is not a view")
    return [f"CREATE VIEW {table.database}.{table.name} AS", *table.view_query.splitlines()]


def _create_table(table: Table) -> list[str]:
    """A statement that `ddl.parse` reads back."""
    if table.view_query is not None:
        return _create_view(table)
    how = table.storage
    lines = [f"CREATE EXTERNAL TABLE `{table.database}.{table.name}`(", *_columns(table.columns)]
    if table.comment:
        lines.append(f"COMMENT {_text(table.comment)}")
    if table.partition_keys:
        lines += ["PARTITIONED BY ( ", *_columns(table.partition_keys)]
    lines += ["ROW FORMAT SERDE ", f"  {_text(how.serde)} "]
    if how.properties:
        lines += ["WITH SERDEPROPERTIES ( ", *_pairs(how.properties)]
    lines += [
        "STORED AS INPUTFORMAT ",
        f"  {_text(how.input_format)} ",
        "OUTPUTFORMAT ",
        f"  {_text(how.output_format)}",
    ]
    lines += ["LOCATION", f"  {_text(table.location.rstrip('/'))}"]
    properties = [(name, value) for name, value in table.properties if name != "EXTERNAL"]
    return [*lines, "TBLPROPERTIES (", *_pairs(properties)] if properties else lines


def _columns(columns: Sequence[ColumnDef]) -> list[str]:
    texts = [
        f"  `{one.name}` {one.type}" + (f" COMMENT {_text(one.comment)}" if one.comment else "") for one in columns
    ]
    return [*(f"{text}, " for text in texts[:-1]), f"{texts[-1]})"]


def _pairs(properties: Sequence[tuple[str, str]]) -> list[str]:
    texts = [f"  {_text(name)}={_text(value)}" for name, value in properties]
    return [*(f"{text}, " for text in texts[:-1]), f"{texts[-1]})"]


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _like(names: Sequence[str], pattern: str | None) -> list[str]:
    """Hive's patterns: `*` for anything, `|` between alternatives; `%` is taken for `*`."""
    if pattern is None:
        return list(names)
    wanted = re.sub("%", "*", pattern).split("|")
    return [name for name in names if any(fnmatchcase(name, one) for one in wanted)]


def _one_column(name: str, lines: Sequence[str]) -> Lines:
    return Lines(columns=(ColumnInfo(name=name),), lines=tuple(lines))
