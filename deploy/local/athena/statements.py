"""What a DDL statement says, as values. `ddl.parse` makes them, `catalog_statements.run` carries them out."""

from dataclasses import dataclass
from enum import StrEnum

from deploy.local.athena.storage import Storage


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
    """CREATE EXTERNAL TABLE … LOCATION '…'."""

    name: TableName
    columns: tuple[ColumnDef, ...]
    partition_keys: tuple[ColumnDef, ...]
    location: str
    if_not_exists: bool
    comment: str
    properties: tuple[tuple[str, str], ...]
    storage: Storage


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
class ReplaceColumns:
    """ALTER TABLE … REPLACE COLUMNS (…)."""

    name: TableName
    columns: tuple[ColumnDef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLocation:
    """ALTER TABLE … [PARTITION (…)] SET LOCATION '…'."""

    name: TableName
    partition: PartitionSpec | None
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetProperties:
    """ALTER TABLE … SET TBLPROPERTIES (…)."""

    name: TableName
    properties: tuple[tuple[str, str], ...]


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
class ShowViews:
    """SHOW VIEWS [IN database] ['pattern']."""

    database: str | None
    like: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCreateTable:
    """SHOW CREATE TABLE."""

    name: TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCreateView:
    """SHOW CREATE VIEW."""

    name: TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowProperties:
    """SHOW TBLPROPERTIES name ['key']."""

    name: TableName
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe:
    """DESCRIBE [EXTENDED | FORMATTED]; both words add how the table is stored."""

    name: TableName
    detailed: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How a CTAS or an UNLOAD writes: formats and compressions in capitals, empty for the default."""

    format: str = "PARQUET"
    compression: str = ""
    field_delimiter: str = ""
    partitioned_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTableAs:
    """CREATE TABLE … [WITH (…)] AS query [WITH NO DATA]; without a location it goes below the results."""

    name: TableName
    if_not_exists: bool
    query: str
    with_data: bool
    location: str | None
    options: WriteOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """INSERT INTO … [(columns)] query; no columns means all, in the table's order."""

    name: TableName
    columns: tuple[str, ...]
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unload:
    """UNLOAD (query) TO 's3://…' WITH (…)."""

    query: str
    location: str
    options: WriteOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """PREPARE name FROM query."""

    name: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """EXECUTE name [USING parameters], the parameters as written."""

    name: str
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deallocate:
    """DEALLOCATE PREPARE name."""

    name: str


Utility = (
    ShowDatabases | ShowTables | ShowViews | ShowPartitions | ShowColumns | ShowCreateTable | ShowCreateView
    | ShowProperties | Describe
)  # fmt: skip
Ddl = (
    CreateDatabase | DropDatabase | CreateTable | DropTable | AddPartitions | DropPartitions | AddColumns
    | ReplaceColumns | SetLocation | SetProperties | RepairTable | CreateView | DropView
)  # fmt: skip
Write = CreateTableAs | Insert | Unload
Prepared = Prepare | Deallocate
Statement = Ddl | Utility | Select | Write | Prepared | Execute
Runnable = Ddl | Utility | Select | Write | Prepared
"""What an execution carries out: EXECUTE has been replaced by the statement it stands for."""


def statement_type(statement: Runnable) -> StatementType:
    """DML (queries and what they write), UTILITY (SHOW and DESCRIBE) or DDL, which CTAS counts as."""
    if isinstance(statement, Select | Insert | Unload):
        return StatementType.DML
    return StatementType.UTILITY if isinstance(statement, Utility) else StatementType.DDL
