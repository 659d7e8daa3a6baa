"""DDL carried out on the catalogue; SHOW and DESCRIBE go on to `shows`."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.glue import Glue
from deploy.local.athena.glue_items import Partition, Table
from deploy.local.athena.hive_types import ColumnInfo, to_hive
from deploy.local.athena.names import Names
from deploy.local.athena.scan import Lake, partition_path, partition_values, schema_of
from deploy.local.athena.shows import Lines, Shows
from deploy.local.athena.statements import (
    AddColumns,
    AddPartitions,
    ColumnDef,
    CreateDatabase,
    CreateTable,
    CreateView,
    Ddl,
    DropDatabase,
    DropPartitions,
    DropTable,
    DropView,
    PartitionSpec,
    RepairTable,
    ReplaceColumns,
    SetLocation,
    SetProperties,
    Utility,
)


class CatalogStatements:
    """Runs statements for worker threads. `describe` tells the columns of a view's query."""

    def __init__(self, glue: Glue, lake: Lake, describe: Callable[[str, str], Sequence[ColumnInfo]]) -> None:
        self._glue = glue
        self._lake = lake
        self._describe = describe
        self._names = Names(glue)

    def run(self, statement: Ddl | Utility, database: str) -> Lines:
        """Carry out one statement; `database` is where names without one are. Raises `QueryFailedError`."""
        match statement:
            case CreateDatabase() | DropDatabase():
                return self._database(statement)
            case CreateTable() | CreateView() | DropTable() | DropView():
                return self._definition(statement, database)
            case AddColumns() | ReplaceColumns() | SetLocation() | SetProperties():
                return self._change(statement, database)
            case AddPartitions() | DropPartitions() | RepairTable():
                return self._partitioning(statement, database)
            case _:
                return Shows(self._glue, self._names).run(statement, database)

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

    def _definition(self, statement: CreateTable | CreateView | DropTable | DropView, database: str) -> Lines:
        match statement:
            case CreateTable():
                self._create_table(statement, database)
            case CreateView():
                self._create_view(statement, database)
            case DropTable() | DropView():
                self._drop(statement, database)
        return Lines()

    def _create_table(self, statement: CreateTable, database: str) -> None:
        table = Table(
            database=self._names.schema(statement.name, database),
            name=statement.name.table,
            columns=statement.columns,
            partition_keys=statement.partition_keys,
            location=statement.location,
            comment=statement.comment,
            properties=statement.properties,
            storage=statement.storage,
        )
        _check_columns((*table.columns, *table.partition_keys))
        schema_of(table)
        if not self._glue.create_table(table):
            _unless(statement.if_not_exists, f"AlreadyExistsException: Table {table.name} already exists")

    def _create_view(self, statement: CreateView, database: str) -> None:
        schema, name = self._names.schema(statement.name, database), statement.name.table
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
        found = self._names.find(statement.name, database)
        if found is None:
            _unless(statement.if_exists, f"SemanticException [Error 10001]: Table not found {statement.name.table}")
        elif (found.view_query is None) is isinstance(statement, DropView):
            raise QueryFailedError(f"SemanticException: {found.name} is not what the statement drops")
        else:
            self._glue.drop_table(found)

    def _change(self, statement: AddColumns | ReplaceColumns | SetLocation | SetProperties, database: str) -> Lines:
        table = self._names.need(statement.name, database)
        match statement:
            case AddColumns():
                changed = replace(table, columns=(*table.columns, *statement.columns))
            case ReplaceColumns():
                changed = replace(table, columns=statement.columns)
            case SetLocation() if statement.partition is not None:
                return self._move_partition(table, replace(statement.partition, location=statement.location))
            case SetLocation():
                changed = replace(table, location=statement.location)
            case SetProperties():
                changed = replace(
                    table, properties=tuple({**dict(table.properties), **dict(statement.properties)}.items())
                )
        _check_columns((*changed.columns, *changed.partition_keys))
        schema_of(changed)
        self._glue.replace_table(changed)
        return Lines()

    def _move_partition(self, table: Table, spec: PartitionSpec) -> Lines:
        moved = _partition(table, spec)
        if moved.values not in {partition.values for partition in self._glue.partitions(table)}:
            raise QueryFailedError("FAILED: SemanticException [Error 10006]: Partition not found")
        self._glue.move_partition(table, moved)
        return Lines()

    def _partitioning(self, statement: AddPartitions | DropPartitions | RepairTable, database: str) -> Lines:
        table = self._names.need(statement.name, database)
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
        depth = len(table.partition_keys)  # what lies deeper is in the partition all the same
        folders = {"/".join(folder.split("/")[:depth]) for folder in self._lake.folders(table.location)}
        found = {values for folder in folders if (values := partition_values(table, folder))}
        missing = sorted(found - known)
        self._glue.add_partitions(
            table,
            [
                Partition(values=values, location=table.location + partition_path(table, values) + "/")
                for values in missing
            ],
        )
        names = [f"{table.name}:{partition_path(table, values)}" for values in missing]
        lines = [f"Partitions not in metastore:\t{chr(9).join(names)}"] if names else []
        return Lines(lines=(*lines, *(f"Repair: Added partition to metastore {name}" for name in names)))


def _unless(tolerated: bool, problem: str) -> None:
    if not tolerated:
        raise QueryFailedError(f"FAILED: {problem}")


def _check_columns(columns: Sequence[ColumnDef]) -> None:
    names = [column.name for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise QueryFailedError(f"SemanticException [Error 10036]: Duplicate column name: {', '.join(twice)}")


def _partition(table: Table, spec: PartitionSpec) -> Partition:
    given = dict(spec.values)
    if given.keys() != {key.name for key in table.partition_keys}:
        raise QueryFailedError(
            f"SemanticException: partition spec {given} does not name each partition key of {table.name} once"
        )
    values = tuple(given[key.name] for key in table.partition_keys)
    location = spec.location or table.location + partition_path(table, values)
    return Partition(values=values, location=location.rstrip("/") + "/")


def _matching(table: Table, spec: PartitionSpec, known: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The registered partitions that a specification of some or all keys means."""
    names = [key.name for key in table.partition_keys]
    if not {key for key, _ in spec.values} <= set(names):
        raise QueryFailedError(f"SemanticException [Error 10098]: {dict(spec.values)} are no partition keys")
    return [values for values in known if all(values[names.index(key)] == value for key, value in spec.values)]
