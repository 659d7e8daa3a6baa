"""What a DDL statement says, as values. `ddl.parse` makes them, `catalog_statements.run` carries them out."""

from dataclasses import dataclass
from enum import StrEnum


class StatementType(StrEnum):
    """What GetQueryExecution calls the kind of a statement."""

    DDL = "DDL"
    DML = "DML"
    UTILITY = "UTILITY"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableName:
    """A table; without a database it is looked up in the one of the execution's context."""

    database: str | None
    table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDef:
    """A column; `type` is Hive's spelling in lower case without spaces: `map<string,string>`."""

    name: str
    type: str
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionSpec:
    """`PARTITION (k = 'v', …) [LOCATION '…']`, in the order written."""

    values: tuple[tuple[str, str], ...]
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateDatabase:
    """CREATE DATABASE | SCHEMA."""

    name: str
    if_not_exists: bool
    comment: str = ""
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DropDatabase:
    """DROP DATABASE | SCHEMA."""

    name: str
    if_exists: bool
    cascade: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTable:
    """CREATE EXTERNAL TABLE … STORED AS PARQUET LOCATION '…'."""

    name: TableName
    columns: tuple[ColumnDef, ...]
    partition_keys: tuple[ColumnDef, ...]
    location: str
    if_not_exists: bool
    comment: str
    properties: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTable:
    """DROP TABLE."""

    name: TableName
    if_exists: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPartitions:
    """ALTER TABLE … ADD [IF NOT EXISTS] PARTITION (…)."""

    name: TableName
    if_not_exists: bool
    partitions: tuple[PartitionSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DropPartitions:
    """ALTER TABLE … DROP [IF EXISTS] PARTITION (…)."""

    name: TableName
    if_exists: bool
    partitions: tuple[PartitionSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddColumns:
    """ALTER TABLE … ADD COLUMNS (…)."""

    name: TableName
    columns: tuple[ColumnDef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowDatabases:
    """SHOW DATABASES | SCHEMAS [LIKE 'pattern']."""

    like: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTables:
    """SHOW TABLES [IN database] ['pattern']."""

    database: str | None
    like: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowPartitions:
    """SHOW PARTITIONS."""

    name: TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowColumns:
    """SHOW COLUMNS IN | FROM."""

    name: TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe:
    """DESCRIBE [EXTENDED | FORMATTED]; both words only add nothing here."""

    name: TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairTable:
    """MSCK REPAIR TABLE."""

    name: TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateView:
    """CREATE [OR REPLACE] VIEW … AS query; `query` is the text as written."""

    name: TableName
    or_replace: bool
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropView:
    """DROP VIEW."""

    name: TableName
    if_exists: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """A query, as written."""

    query: str


Utility = ShowDatabases | ShowTables | ShowPartitions | ShowColumns | Describe
Ddl = (
    CreateDatabase | DropDatabase | CreateTable | DropTable | AddPartitions | DropPartitions | AddColumns
    | RepairTable | CreateView | DropView
)  # fmt: skip
Statement = Ddl | Utility | Select


def statement_type(statement: Statement) -> StatementType:
    """DDL, DML (a query) or UTILITY (SHOW and DESCRIBE)."""
    if isinstance(statement, Select):
        return StatementType.DML
    return StatementType.UTILITY if isinstance(statement, Utility) else StatementType.DDL
