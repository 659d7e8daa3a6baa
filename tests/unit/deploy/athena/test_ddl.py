"""Hive DDL → statements."""

from dataclasses import replace

import pytest

from deploy.local.athena.ddl import parse
from deploy.local.athena.errors import InvalidRequestError
from deploy.local.athena.statements import (
    AddColumns,
    AddPartitions,
    ColumnDef,
    CreateDatabase,
    CreateTable,
    CreateTableAs,
    CreateView,
    Deallocate,
    Describe,
    DropDatabase,
    DropPartitions,
    DropTable,
    DropView,
    Execute,
    Insert,
    PartitionSpec,
    Prepare,
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
    StatementType,
    TableName,
    Unload,
    WriteOptions,
    statement_type,
)
from deploy.local.athena.storage import PARQUET, Format

T = TableName(database=None, table="t")
D_T = TableName(database="d", table="t")

STATEMENTS: dict[str, Statement] = {
    "CREATE DATABASE IF NOT EXISTS d COMMENT 'it''s' LOCATION 's3://b/d/'": CreateDatabase(
        name="d", if_not_exists=True, comment="it's", location="s3://b/d/"
    ),
    "create schema `d`;": CreateDatabase(name="d", if_not_exists=False),
    "DROP DATABASE IF EXISTS d CASCADE": DropDatabase(name="d", if_exists=True, cascade=True),
    "DROP TABLE IF EXISTS d.t": DropTable(name=D_T, if_exists=True),
    "DROP VIEW t": DropView(name=T, if_exists=False),
    "ALTER TABLE `d`.`t` ADD IF NOT EXISTS PARTITION (year='2026', hour='00') LOCATION 's3://b/x' "
    "PARTITION (year='2027', hour='01')": AddPartitions(
        name=D_T,
        if_not_exists=True,
        partitions=(
            PartitionSpec(values=(("year", "2026"), ("hour", "00")), location="s3://b/x/"),
            PartitionSpec(values=(("year", "2027"), ("hour", "01"))),
        ),
    ),
    "ALTER TABLE t DROP IF EXISTS PARTITION (n=1), PARTITION (n='2')": DropPartitions(
        name=T,
        if_exists=True,
        partitions=(PartitionSpec(values=(("n", "1"),)), PartitionSpec(values=(("n", "2"),))),
    ),
    "ALTER TABLE t ADD COLUMNS (a struct<x: int, y: array<string>> COMMENT 'new', b DECIMAL(18, 4))": AddColumns(
        name=T,
        columns=(
            ColumnDef(name="a", type="struct<x:int,y:array<string>>", comment="new"),
            ColumnDef(name="b", type="decimal(18,4)"),
        ),
    ),
    "SHOW DATABASES LIKE 'h*'": ShowDatabases(like="h*"),
    "SHOW TABLES IN d 't*'": ShowTables(database="d", like="t*"),
    "SHOW PARTITIONS d.t": ShowPartitions(name=D_T),
    "SHOW COLUMNS FROM t IN d": ShowColumns(name=D_T),
    "DESCRIBE FORMATTED d.t": Describe(name=D_T, detailed=True),
    "SHOW VIEWS IN d LIKE 'v*'": ShowViews(database="d", like="v*"),
    "SHOW CREATE TABLE `d.t`": ShowCreateTable(name=D_T),
    "SHOW CREATE VIEW t": ShowCreateView(name=T),
    "SHOW TBLPROPERTIES t ('k')": ShowProperties(name=T, key="k"),
    "ALTER TABLE t REPLACE COLUMNS (a int)": ReplaceColumns(name=T, columns=(ColumnDef(name="a", type="int"),)),
    "ALTER TABLE t SET LOCATION 's3://b/x'": SetLocation(name=T, partition=None, location="s3://b/x/"),
    "ALTER TABLE t PARTITION (y='1') SET LOCATION 's3://b/x'": SetLocation(
        name=T, partition=PartitionSpec(values=(("y", "1"),)), location="s3://b/x/"
    ),
    "ALTER TABLE t SET TBLPROPERTIES ('k'='v')": SetProperties(name=T, properties=(("k", "v"),)),
    "CREATE TABLE IF NOT EXISTS d.t WITH (format = 'json', write_compression = 'NONE', "
    "external_location = 's3://b/x', partitioned_by = ARRAY['Y', 'm']) AS SELECT 1 AS a WITH NO DATA": CreateTableAs(
        name=D_T,
        if_not_exists=True,
        query="SELECT 1 AS a ",
        with_data=False,
        location="s3://b/x/",
        options=WriteOptions(format="JSON", compression="NONE", partitioned_by=("y", "m")),
    ),
    "INSERT INTO t (a, b) SELECT 1, 2": Insert(name=T, columns=("a", "b"), query="SELECT 1, 2"),
    "INSERT INTO d.t (SELECT 1)": Insert(name=D_T, columns=(), query="(SELECT 1)"),
    "INSERT INTO t VALUES (1)": Insert(name=T, columns=(), query="VALUES (1)"),
    "UNLOAD (SELECT ')\\' AS a) TO 's3://b/x/' WITH (format = 'TEXTFILE', field_delimiter = '|')": Unload(
        query="SELECT ')\\' AS a",
        location="s3://b/x/",
        options=WriteOptions(format="TEXTFILE", field_delimiter="|"),
    ),
    "PREPARE p FROM SELECT ?": Prepare(name="p", query="SELECT ?"),
    "EXECUTE p USING 'a, b', ARRAY[1, 2], DATE '2026-04-09'": Execute(
        name="p", parameters=("'a, b'", "ARRAY[1, 2]", "DATE '2026-04-09'")
    ),
    "EXECUTE p": Execute(name="p", parameters=()),
    "DEALLOCATE PREPARE p": Deallocate(name="p"),
    "desc t": Describe(name=T),
    "MSCK REPAIR TABLE AwsDataCatalog.d.t": RepairTable(name=D_T),
    "CREATE OR REPLACE VIEW d.t AS SELECT ';' AS a -- end\nFROM x": CreateView(
        name=D_T, or_replace=True, query="SELECT ';' AS a -- end\nFROM x"
    ),
    "-- why\nSELECT 1;": Select(query="-- why\nSELECT 1"),
    "WITH a AS (SELECT 1) SELECT * FROM a": Select(query="WITH a AS (SELECT 1) SELECT * FROM a"),
}


@pytest.mark.parametrize(("sql", "statement"), STATEMENTS.items(), ids=lambda value: str(value)[:40])
def test_a_statement_is_read(sql: str, statement: Statement) -> None:
    assert parse(sql) == statement


def test_a_table_is_read_with_all_its_clauses() -> None:
    assert parse("""
        CREATE EXTERNAL TABLE IF NOT EXISTS d.t (
          a string COMMENT 'first', m map<string, string>, /* wide */ p decimal(18,4)
        ) COMMENT 'about' PARTITIONED BY (`year` string, month string)
        ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
        WITH SERDEPROPERTIES ('serialization.format'='1')
        STORED AS PARQUET LOCATION 's3://b/t' TBLPROPERTIES ("k" = 'v', 'x' = 'y')
    """) == CreateTable(
        name=D_T,
        columns=(
            ColumnDef(name="a", type="string", comment="first"),
            ColumnDef(name="m", type="map<string,string>"),
            ColumnDef(name="p", type="decimal(18,4)"),
        ),
        partition_keys=(ColumnDef(name="year", type="string"), ColumnDef(name="month", type="string")),
        location="s3://b/t/",
        if_not_exists=True,
        comment="about",
        properties=(("k", "v"), ("x", "y")),
        storage=replace(PARQUET, properties=(("serialization.format", "1"),)),
    )


TABLE = "CREATE EXTERNAL TABLE t (a int) "
HIVE_TEXT = "org.apache.hadoop.mapred.TextInputFormat' OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyText"


@pytest.mark.parametrize(
    ("clauses", "kind", "properties"),
    [
        ("", Format.DELIMITED, {}),
        (
            ("ROW FORMAT DELIMITED FIELDS TERMINATED BY '|' ESCAPED BY '\\\\' COLLECTION ITEMS TERMINATED BY ';' "
            "MAP KEYS TERMINATED BY ':' LINES TERMINATED BY '\n' NULL DEFINED AS '-' STORED AS TEXTFILE"),
            Format.DELIMITED,
            {
                "field.delim": "|", "escape.delim": "\\", "collection.delim": ";", "mapkey.delim": ":",
                "line.delim": "\n", "serialization.null.format": "-",
            },
        ),
        (
            ("ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde' "
            "WITH SERDEPROPERTIES ('separatorChar' = ';')"),
            Format.CSV,
            {"separatorChar": ";"},
        ),
        ("ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'", Format.JSON, {}),
        ("ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe' STORED AS TEXTFILE", Format.JSON, {}),
        (f"STORED AS INPUTFORMAT '{HIVE_TEXT}OutputFormat'", Format.DELIMITED, {}),
        ("STORED AS PARQUET", Format.PARQUET, {}),
    ],
)  # fmt: skip
def test_a_table_says_how_its_files_are_read(clauses: str, kind: Format, properties: dict[str, str]) -> None:
    statement = parse(f"{TABLE}{clauses} LOCATION 's3://b/'")
    assert isinstance(statement, CreateTable)
    assert statement.storage.format is kind
    assert dict(statement.storage.properties) == properties


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("", "must not be empty"),
        ("DROP TABLE", "line 1:10: mismatched input '<EOF>'. Expecting: an identifier"),
        ("DROP TABLE t extra", "mismatched input 'extra'"),
        ("CREATE EXTERNAL TABLE t (\n  a nonsense)", "line 2:4: mismatched input 'nonsense'. Expecting: a type"),
        ("CREATE EXTERNAL TABLE t (a int) STORED AS ORC LOCATION 's3://b/'", "PARQUET or TEXTFILE, not ORC"),
        ("CREATE EXTERNAL TABLE t (a int) STORED AS PARQUET", "Expecting: LOCATION"),
        ("CREATE EXTERNAL TABLE t (a int) STORED AS PARQUET LOCATION '/etc'", "s3:// URL"),
        ("ALTER TABLE t ADD PARTITION (a='1'", "Expecting: )"),
        ("ALTER TABLE t ADD PARTITION (a='1)", "mismatched input"),
        ("ALTER TABLE t RENAME TO u", "ADD COLUMNS, REPLACE COLUMNS"),
        ("CREATE VIEW v AS DROP TABLE t", "Expecting: SELECT"),
        ("MERGE INTO t USING u ON 1 = 1", "not supported"),
        ("EXPLAIN SELECT 1", "not supported"),
        ("CREATE TABLE t LIKE u", "neither is it by Athena"),
        ("CREATE TABLE t (a int)", "Iceberg"),
        ("CREATE TABLE t WITH (bucketed_by = ARRAY['a']) AS SELECT 1 AS a", "does not write with bucketed_by"),
        ("CREATE TABLE t WITH (external_location = '/etc/') AS SELECT 1 AS a", "s3:// URL"),
        ("UNLOAD (SELECT 1) TO 'file:///tmp/x' WITH (format = 'JSON')", "s3:// URL"),
        ("UNLOAD (SELECT 1) TO 's3://b/../x' WITH (format = 'JSON')", "s3:// URL"),
        ("UNLOAD (SELECT 1 TO 's3://b/x' WITH (format = 'JSON')", "Expecting: )"),
        ("UNLOAD (SELECT 1) TO 's3://b/x' WITH (compression = 'GZIP')", "needs a format"),
        ("ALTER TABLE t SET LOCATION '/etc'", "s3:// URL"),
        ("ALTER TABLE t ADD PARTITION (a='1') LOCATION '/etc'", "s3:// URL"),
        ("CREATE EXTERNAL TABLE t (a int) ROW FORMAT SERDE 'x.y.Z' LOCATION 's3://b/'", "has no SerDe x.y.Z"),
        ("PREPARE p FROM DROP TABLE t", "Expecting: SELECT, INSERT"),
        ("DROP TABLE `../x`", "an identifier"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(sql: str, problem: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse(sql)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1", StatementType.DML),
        ("INSERT INTO t SELECT 1", StatementType.DML),
        ("UNLOAD (SELECT 1) TO 's3://b/x' WITH (format = 'JSON')", StatementType.DML),
        ("CREATE TABLE t AS SELECT 1 AS a", StatementType.DDL),
        ("SHOW DATABASES", StatementType.UTILITY),
        ("DROP TABLE t", StatementType.DDL),
    ],
)
def test_each_statement_has_athenas_kind(sql: str, kind: StatementType) -> None:
    statement = parse(sql)
    assert not isinstance(statement, Execute)
    assert statement_type(statement) is kind
