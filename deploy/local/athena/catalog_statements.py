"""DDL, SHOW and DESCRIBE carried out on the catalogue. Each returns what Athena shows for it, line by line."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.glue import Glue, Partition, Table
from deploy.local.athena.hive_types import ColumnInfo, to_hive
from deploy.local.athena.results import padded
from deploy.local.athena.scan import Lake, partition_values, schema_of
from deploy.local.athena.statements import (
    AddColumns,
    AddPartitions,
    ColumnDef,
    CreateDatabase,
    CreateTable,
    CreateView,
    Ddl,
    Describe,
    DropDatabase,
    DropPartitions,
    DropTable,
    DropView,
    PartitionSpec,
    RepairTable,
    ShowColumns,
    ShowDatabases,
    ShowPartitions,
    ShowTables,
    TableName,
    Utility,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The result of a statement on the catalogue: one text a row, whatever the columns say."""

    columns: tuple[ColumnInfo, ...] = ()
    lines: tuple[str, ...] = ()


class CatalogStatements:
    """Runs statements for worker threads. `describe` tells the columns of a view's query."""

    def __init__(self, glue: Glue, lake: Lake, describe: Callable[[str, str], Sequence[ColumnInfo]]) -> None:
        self._glue = glue
        self._lake = lake
        self._describe = describe

    def run(self, statement: Ddl | Utility, database: str) -> Lines:
        """Carry out one statement; `database` is where names without one are. Raises `QueryFailedError`."""
        match statement:
            case CreateDatabase() | DropDatabase():
                return self._database(statement)
            case CreateTable() | CreateView() | DropTable() | DropView() | AddColumns():
                return self._definition(statement, database)
            case AddPartitions() | DropPartitions() | RepairTable():
                return self._partitioning(statement, database)
            case _:
                return self._show(statement, database)

    def _database(self, statement: CreateDatabase | DropDatabase) -> Lines:
        name = statement.name
        if isinstance(statement, CreateDatabase):
            if not self._glue.create_database(name, statement.comment, statement.location):
                _unless(statement.if_not_exists, f"AlreadyExistsException: Database {name} already exists")
        elif not self._glue.has_database(name):
            _unless(statement.if_exists, f"SemanticException [Error 10072]: Database does not exist: {name}")
        elif self._glue.tables(name) and not statement.cascade:
            raise QueryFailedError(
                f"InvalidOperationException: Database {name} is not empty. One or more tables exist."
            )
        else:
            self._glue.drop_database(name)
        return Lines()

    def _definition(
        self, statement: CreateTable | CreateView | DropTable | DropView | AddColumns, database: str
    ) -> Lines:
        match statement:
            case CreateTable():
                self._create_table(statement, database)
            case CreateView():
                self._create_view(statement, database)
            case DropTable() | DropView():
                self._drop(statement, database)
            case AddColumns():
                self._add_columns(statement, database)
        return Lines()

    def _create_table(self, statement: CreateTable, database: str) -> None:
        table = Table(
            database=self._schema(statement.name, database),
            name=statement.name.table,
            columns=statement.columns,
            partition_keys=statement.partition_keys,
            location=statement.location,
            comment=statement.comment,
            properties=statement.properties,
        )
        _check_columns((*table.columns, *table.partition_keys))
        schema_of(table)
        if not self._glue.create_table(table):
            _unless(statement.if_not_exists, f"AlreadyExistsException: Table {table.name} already exists")

    def _create_view(self, statement: CreateView, database: str) -> None:
        schema, name = self._schema(statement.name, database), statement.name.table
        columns = tuple(
            ColumnDef(name=info.name, type=to_hive(info)) for info in self._describe(statement.query, database)
        )
        _check_columns(columns)
        view = Table(database=schema, name=name, columns=columns, view_query=statement.query)
        if self._glue.create_table(view):
            return
        existing = self._glue.table(schema, name)
        if existing is None or existing.view_query is None or not statement.or_replace:
            raise QueryFailedError(f"ALREADY_EXISTS: line 1:1: View already exists: 'awsdatacatalog.{schema}.{name}'")
        self._glue.replace_table(view)

    def _drop(self, statement: DropTable | DropView, database: str) -> None:
        found = self._find(statement.name, database)
        if found is None:
            _unless(statement.if_exists, f"SemanticException [Error 10001]: Table not found {statement.name.table}")
        elif (found.view_query is None) is isinstance(statement, DropView):
            raise QueryFailedError(f"SemanticException: {found.name} is not what the statement drops")
        else:
            self._glue.drop_table(found)

    def _add_columns(self, statement: AddColumns, database: str) -> None:
        table = self._need(statement.name, database)
        grown = replace(table, columns=(*table.columns, *statement.columns))
        _check_columns((*grown.columns, *grown.partition_keys))
        schema_of(grown)
        self._glue.replace_table(grown)

    def _partitioning(self, statement: AddPartitions | DropPartitions | RepairTable, database: str) -> Lines:
        table = self._need(statement.name, database)
        if not table.partition_keys:
            raise QueryFailedError(f"SemanticException: table {table.name} is not partitioned")
        known = {partition.values for partition in self._glue.partitions(table)}
        match statement:
            case RepairTable():
                return self._repair(table, known)
            case AddPartitions():
                wanted = {one.values: one for one in (_partition(table, spec) for spec in statement.partitions)}
                if not statement.if_not_exists and not known.isdisjoint(wanted):
                    raise QueryFailedError("AlreadyExistsException: Partition already exists.")
                self._glue.add_partitions(table, [one for values, one in wanted.items() if values not in known])
            case DropPartitions():
                doomed = {values for spec in statement.partitions for values in _matching(table, spec, known)}
                if not doomed:
                    _unless(statement.if_exists, "SemanticException [Error 10006]: Partition not found")
                self._glue.drop_partitions(table, sorted(doomed))
        return Lines()

    def _repair(self, table: Table, known: set[tuple[str, ...]]) -> Lines:
        found = {values for folder in self._lake.folders(table.location) if (values := partition_values(table, folder))}
        missing = sorted(found - known)
        self._glue.add_partitions(
            table,
            [Partition(values=values, location=table.location + _path(table, values) + "/") for values in missing],
        )
        names = [f"{table.name}:{_path(table, values)}" for values in missing]
        lines = [f"Partitions not in metastore:\t{chr(9).join(names)}"] if names else []
        return Lines(lines=(*lines, *(f"Repair: Added partition to metastore {name}" for name in names)))

    def _show(self, statement: Utility, database: str) -> Lines:
        match statement:
            case ShowDatabases():
                return _one_column("database_name", _like(self._glue.databases(), statement.like))
            case ShowTables():
                schema = self._schema(TableName(database=statement.database, table=""), database)
                names = [table.name for table in self._glue.tables(schema)]
                return _one_column("tab_name", _like(names, statement.like))
            case ShowPartitions():
                table = self._need(statement.name, database)
                paths = sorted(_path(table, partition.values) for partition in self._glue.partitions(table))
                return _one_column("partition", paths)
            case ShowColumns():
                table = self._need(statement.name, database)
                return _one_column("field", [column.name for column in (*table.columns, *table.partition_keys)])
            case Describe():
                return self._describe_table(self._need(statement.name, database))

    @staticmethod
    def _describe_table(table: Table) -> Lines:
        columns = tuple(ColumnInfo(name=name) for name in ("col_name", "data_type", "comment"))
        every = (*table.columns, *table.partition_keys)
        lines = [padded((column.name, column.type, column.comment)) for column in every]
        if table.partition_keys:
            keys = [padded((column.name, column.type, column.comment)) for column in table.partition_keys]
            header = padded(("# col_name", "data_type", "comment"))
            lines += [padded(("", "", "")), padded(("# Partition Information", "", "")), header, *keys]
        return Lines(columns=columns, lines=tuple(lines))

    def _schema(self, name: TableName, database: str) -> str:
        schema = (name.database or database).lower()
        if not self._glue.has_database(schema):
            raise QueryFailedError(f"SemanticException [Error 10072]: Database does not exist: {schema}")
        return schema

    def _find(self, name: TableName, database: str) -> Table | None:
        return self._glue.table((name.database or database).lower(), name.table)

    def _need(self, name: TableName, database: str) -> Table:
        table = self._find(name, database)
        if table is None:
            full = f"{(name.database or database).lower()}.{name.table}"
            raise QueryFailedError(f"SemanticException [Error 10001]: Table not found {full}")
        return table


def _unless(tolerated: bool, problem: str) -> None:
    if not tolerated:
        raise QueryFailedError(f"FAILED: {problem}")


def _check_columns(columns: Sequence[ColumnDef]) -> None:
    names = [column.name for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise QueryFailedError(f"SemanticException [Error 10036]: Duplicate column name: {', '.join(twice)}")


def _path(table: Table, values: Sequence[str]) -> str:
    return "/".join(f"{key.name}={value}" for key, value in zip(table.partition_keys, values, strict=True))


def _partition(table: Table, spec: PartitionSpec) -> Partition:
    given = dict(spec.values)
    if given.keys() != {key.name for key in table.partition_keys}:
        raise QueryFailedError(
            f"SemanticException: partition spec {given} does not name each partition key of {table.name} once"
        )
    values = tuple(given[key.name] for key in table.partition_keys)
    location = spec.location or table.location + _path(table, values)
    return Partition(values=values, location=location.rstrip("/") + "/")


def _matching(table: Table, spec: PartitionSpec, known: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The registered partitions that a specification of some or all keys means."""
    names = [key.name for key in table.partition_keys]
    if not {key for key, _ in spec.values} <= set(names):
        raise QueryFailedError(f"SemanticException [Error 10098]: {dict(spec.values)} are no partition keys")
    return [values for values in known if all(values[names.index(key)] == value for key, value in spec.values)]


def _like(names: Sequence[str], pattern: str | None) -> list[str]:
    """Hive's patterns: `*` for anything, `|` between alternatives; `%` is taken for `*`."""
    if pattern is None:
        return list(names)
    wanted = re.sub("%", "*", pattern).split("|")
    return [name for name in names if any(fnmatchcase(name, one) for one in wanted)]


def _one_column(name: str, lines: Sequence[str]) -> Lines:
    return Lines(columns=(ColumnInfo(name=name),), lines=tuple(lines))
