"""Where engines part: what goes through means in DuckDB what it means in Athena, and the rest is refused."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from jobs.medallion.dialect import UnportableSqlError, load, to_duckdb, to_spark
from jobs.medallion.tables import GOLD

NOON = datetime(2026, 4, 9, 12, 30, 0, 123456, tzinfo=UTC).replace(tzinfo=None)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    rows = pa.table({
        "n": pa.array([7, -7, None], pa.int64()),
        "big": pa.array([2**63 - 1, 2**63 - 1, None], pa.int64()),
        "money": pa.array([Decimal("99999999999999.9999"), Decimal("-0.0001"), None], pa.decimal128(18, 4)),
        "word": pa.array(["a", "b\n", None]),
        "at": pa.array([NOON, NOON, None], pa.timestamp("us")),
        "geo": pa.array([{"country": "DE"}, None, None]),
    })  # fmt: skip
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("t", rows)
        yield connection


def values(database: duckdb.DuckDBPyConnection, expression: str, clauses: str = "") -> list[Any]:
    return [row[0] for row in database.sql(to_duckdb(f"SELECT {expression} AS x FROM t {clauses}")).fetchall()]


@pytest.mark.parametrize(
    ("expression", "means"),
    [
        ("CAST(n AS DOUBLE) / NULLIF(CAST(2 AS DOUBLE), 0)", [3.5, -3.5, None]),
        ("CAST(n AS DOUBLE) / NULLIF(CAST(n - 7 AS DOUBLE), 0)", [None, 0.5, None]),
        ("n % 3", [1, -1, None]),
        ("concat(word, '-', 'x')", ["a-x", "b\n-x", None]),
        ("word || '-'", ["a-", "b\n-", None]),
        ("TRY_CAST(word AS BIGINT)", [None, None, None]),
        ("TRY_CAST(money * n AS DECIMAL(18, 4))", [None, Decimal("0.0007"), None]),
        ("CAST(money AS DECIMAL(38, 2))", [Decimal("100000000000000.00"), Decimal("0.00"), None]),
        ("CAST(money AS VARCHAR)", ["99999999999999.9999", "-0.0001", None]),
        ("CAST(hour(at) AS INTEGER)", [12, 12, None]),
        ("CAST(at AS DATE)", [date(2026, 4, 9), date(2026, 4, 9), None]),
        ("at = TIMESTAMP '2026-04-09 12:30:00.123456'", [True, True, None]),
        ("CAST('2026-04-09 12:30:00.123456' AS TIMESTAMP(6)) = at", [True, True, None]),
        ("CAST(at AS DATE) < DATE '2026-04-10'", [True, True, None]),
        (r"regexp_like(word, '^[a-z]\z')", [True, False, None]),
        (r"regexp_like(word, '^(?:a|b[\n])\z')", [True, True, None]),
        ("word LIKE 'b%'", [False, True, None]),
        ("word IS DISTINCT FROM 'a'", [False, True, True]),
        ("word IS NOT DISTINCT FROM NULL", [False, False, True]),
        ("word IN ('a', 'c')", [True, False, None]),
        ("geo.country", ["DE", None, None]),
        ("'it''s \\n \\d'", ["it's \\n \\d"] * 3),
        ("CASE WHEN n > 0 THEN 'plus' ELSE 'else' END", ["plus", "else", "else"]),
        ("coalesce(nullif(n, 7), 0)", [0, -7, 0]),
    ],
)  # fmt: skip
def test_an_expression_means_in_duckdb_what_it_means_in_athena(
    database: duckdb.DuckDBPyConnection, expression: str, means: list[Any]
) -> None:
    assert values(database, expression) == means


@pytest.mark.parametrize(
    ("expression", "means", "kind"),
    [
        ("count_if(n > 0)", 1, "BIGINT"),
        ("count_if(n > 100)", 0, "BIGINT"),
        ("count(*)", 3, "BIGINT"),
        ("count(n)", 2, "BIGINT"),
        ("count(DISTINCT money) FILTER (WHERE n > 0)", 1, "BIGINT"),
        ("CAST(sum(n) AS BIGINT)", 0, "BIGINT"),
        ("CAST(sum(n) FILTER (WHERE n > 0) AS BIGINT)", 7, "BIGINT"),
        ("TRY_CAST(sum(CAST(big AS DECIMAL(38, 0))) AS BIGINT)", None, "BIGINT"),
        ("CAST(sum(money) AS DECIMAL(38, 4))", Decimal("99999999999999.9998"), "DECIMAL(38,4)"),
    ],
)
def test_an_aggregate_has_the_value_and_type_that_it_has_in_athena(
    database: duckdb.DuckDBPyConnection, expression: str, means: Any, kind: str
) -> None:
    found = database.sql(to_duckdb(f"SELECT {expression} AS x FROM t"))
    assert [str(each) for each in found.types] == [kind]
    assert found.fetchall() == [(means,)]


@pytest.mark.parametrize(
    ("order", "means"),
    [
        ("ORDER BY n", [-7, 7, None]),
        ("ORDER BY n DESC", [7, -7, None]),
        ("ORDER BY n NULLS FIRST", [None, -7, 7]),
        ("ORDER BY n DESC NULLS FIRST", [None, 7, -7]),
    ],
)
def test_nulls_sort_last_unless_the_query_says_otherwise(
    database: duckdb.DuckDBPyConnection, order: str, means: list[int | None]
) -> None:
    assert values(database, "n", order) == means
    numbered = f"SELECT n FROM (SELECT n, row_number() OVER ({order}) AS place FROM t) AS numbered ORDER BY place"
    assert [row[0] for row in database.sql(to_duckdb(numbered)).fetchall()] == means


@pytest.mark.parametrize(
    ("athena", "spark"),
    [
        ("n FROM t ORDER BY n", "n FROM t ORDER BY n NULLS LAST"),
        ("row_number() OVER (ORDER BY n DESC, word)", "ROW_NUMBER() OVER (ORDER BY n DESC, word NULLS LAST)"),
        ("count_if(n > 0)", "COUNT(CASE WHEN n > 0 THEN 1 END)"),
        ("concat(word, 'x')", "(word || ('x'))"),
        ("CAST(word AS TIMESTAMP(6))", "CAST(word AS TIMESTAMP_NTZ)"),
        ("TIMESTAMP '2026-04-09 12:30:00'", "CAST('2026-04-09 12:30:00' AS TIMESTAMP_NTZ)"),
        ("CAST(n AS VARCHAR)", "CAST(n AS STRING)"),
        ("TRY_CAST(word AS DECIMAL(18, 4))", "TRY_CAST(word AS DECIMAL(18, 4))"),
        (r"regexp_like(word, '^[a-z]\.\z')", r"word RLIKE '^[a-z]\\.\\z'"),
        (r"'it''s \n'", r"'it\'s \\n'"),
        ('"timestamp"', "`timestamp`"),
        ("CAST(n AS DOUBLE) / NULLIF(CAST(n AS DOUBLE), 0)", "CAST(n AS DOUBLE) / NULLIF(CAST(n AS DOUBLE), 0)"),
    ],
)
def test_spark_is_told_what_it_would_do_differently(athena: str, spark: str) -> None:
    text = " ".join(to_spark(f"SELECT {athena}").split())
    assert text.replace("( ", "(").replace(" )", ")") == f"SELECT {spark}"


REFUSED = [
    "n / 2", "CAST(n AS DOUBLE) / CAST(n AS DOUBLE)", "CAST(n AS DOUBLE) / NULLIF(n, 0)", "sum(n)", "avg(n)",
    "hour(at)", "CAST(word AS TIMESTAMP)", "CAST(word AS TIMESTAMP(3))", "CAST(word AS TIMESTAMP(6) WITH TIME ZONE)",
    "CAST(n AS DECIMAL)", "CAST(n AS REAL)", "CAST(word AS VARCHAR(3))", "CAST(word AS CHAR(3))", "current_timestamp",
    "greatest(n, 1)", "least(n, 1)", "trim(word)", "substr(word, 1, 2)", "round(n, 2)", "date_trunc('hour', at)",
    "date_diff('day', at, at)", "at + INTERVAL '1' DAY", "from_unixtime(n)", "date_parse(word, '%Y')", "to_hex(word)",
    "approx_distinct(n)", "arbitrary(n)", "min_by(n, at)", "array_agg(n)", "count(DISTINCT (n, word))", "try(n)",
    "regexp_like(word, 'a$')", "regexp_like(word, 'a.b')", r"regexp_like(word, '\d')", r"regexp_like(word, '[\w]')",
    "regexp_like(word, '(?i)a')", "regexp_like(word, '[[:alpha:]]')", "regexp_like(word, word)", r"word LIKE 'a\_b'",
    "word LIKE word", "word LIKE 'a!_' ESCAPE '!'", "geo['country']", "element_at(geo, 'country')", "no_such(n)",
    "CAST(sum(n) OVER (ORDER BY n ROWS 1 PRECEDING) AS BIGINT)", "CAST(ROW(1) AS ROW(a BIGINT))", "ARRAY[1]",
    "n IN (SELECT n FROM t LIMIT 1)",
]  # fmt: skip


@pytest.mark.parametrize("expression", REFUSED)
def test_what_engines_understand_differently_is_refused_for_both(expression: str) -> None:
    for translate in (to_duckdb, to_spark):
        with pytest.raises(UnportableSqlError):
            translate(f"SELECT {expression} FROM t")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT n FROM t LIMIT 1", "SELECT n FROM t OFFSET 1", "SELECT n FROM t TABLESAMPLE BERNOULLI (10)",
        "SELECT n FROM t GROUP BY ROLLUP(n)", "SELECT n FROM t GROUP BY GROUPING SETS (n)",
        "SELECT n FROM t NATURAL JOIN s", "SELECT x FROM t CROSS JOIN UNNEST(word) AS u(x)", "SELECT n FROM a.t",
        "SELECT n FROM t EXCEPT SELECT n FROM s", "SELECT n FROM t FOR VERSION AS OF 1",
        "SELECT 1; SELECT 2", "SELECT (", "", "DROP TABLE t", "INSERT INTO t SELECT 1", "VALUES 1",
    ],
)  # fmt: skip
def test_a_statement_with_other_clauses_is_refused(sql: str) -> None:
    with pytest.raises(UnportableSqlError):
        to_duckdb(sql)


@pytest.mark.parametrize("name", [table.name for table in GOLD] + ["distinct"])
def test_the_files_of_the_job_go_through_to_both_engines(name: str) -> None:
    for translate, dialect in ((to_duckdb, "duckdb"), (to_spark, "spark")):
        assert isinstance(sqlglot.parse_one(translate(load(name)), read=dialect), exp.Query)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(FileNotFoundError, match="no_such_table"):
        load("no_such_table")
