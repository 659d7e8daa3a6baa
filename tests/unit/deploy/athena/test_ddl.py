"""Hive DDL → statements."""

import pytest

from deploy.local.athena.ddl import parse
from deploy.local.athena.errors import InvalidRequestError
from deploy.local.athena.statements import (
    AddColumns,
    AddPartitions,
    ColumnDef,
    CreateDatabase,
    CreateTable,
    CreateView,
    Describe,
    DropDatabase,
    DropPartitions,
    DropTable,
    DropView,
    PartitionSpec,
    RepairTable,
    Select,
    ShowColumns,
    ShowDatabases,
    ShowPartitions,
    ShowTables,
    Statement,
    StatementType,
    TableName,
    statement_type,
)

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
            PartitionSpec(values=(("year", "2026"), ("hour", "00")), location="s3://b/x"),
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
    "DESCRIBE FORMATTED d.t": Describe(name=D_T),
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
    )


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("", "must not be empty"),
        ("DROP TABLE", "line 1:10: mismatched input '<EOF>'. Expecting: an identifier"),
        ("DROP TABLE t extra", "mismatched input 'extra'"),
        ("CREATE EXTERNAL TABLE t (\n  a nonsense)", "line 2:4: mismatched input 'nonsense'. Expecting: a type"),
        ("CREATE EXTERNAL TABLE t (a int) STORED AS ORC LOCATION 's3://b/'", "PARQUET only"),
        ("CREATE EXTERNAL TABLE t (a int) STORED AS PARQUET", "Expecting: LOCATION"),
        ("CREATE EXTERNAL TABLE t (a int) STORED AS PARQUET LOCATION '/etc'", "s3:// URL"),
        ("ALTER TABLE t ADD PARTITION (a='1'", "Expecting: )"),
        ("ALTER TABLE t ADD PARTITION (a='1)", "mismatched input"),
        ("ALTER TABLE t RENAME TO u", "ADD COLUMNS, ADD PARTITION or DROP PARTITION"),
        ("CREATE VIEW v AS DROP TABLE t", "Expecting: SELECT"),
        ("INSERT INTO t VALUES (1)", "not supported"),
        ("DROP TABLE `../x`", "an identifier"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(sql: str, problem: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse(sql)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [("SELECT 1", StatementType.DML), ("SHOW DATABASES", StatementType.UTILITY), ("DROP TABLE t", StatementType.DDL)],
)
def test_each_statement_has_athenas_kind(sql: str, kind: StatementType) -> None:
    assert statement_type(parse(sql)) is kind
