"""Athena's SQL on DuckDB: expected answers as Athena documents them, printed as Athena prints them."""

from collections.abc import Iterator

import duckdb
import pytest

from deploy.local.athena import dialect
from deploy.local.athena.engine import locked_database
from deploy.local.athena.errors import InvalidRequestError, QueryFailedError
from deploy.local.athena.functions import RENAMED, SAME
from deploy.local.athena.results import text_of
from deploy.local.athena.rewrite import to_duckdb


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with locked_database() as connection:
        yield connection


def rows(database: duckdb.DuckDBPyConnection, sql: str) -> list[list[str | None]]:
    with database.cursor() as cursor:
        return [[text_of(value) for value in row] for row in cursor.execute(to_duckdb(dialect.parse(sql))).fetchall()]


URL = "'https://user@shop.example:8443/a%20b/c?q=red+shoes&utm=x%26y&flag#top'"
TS = "TIMESTAMP '2026-04-09 13:14:15.678'"

EXPRESSIONS = {
    # arithmetic
    "7 / 2": "3",
    "-7 / 2": "-3",
    "7 / 2.0": "3.5",
    "1 / 3.0": "0.3",
    "7e0 / 2": "3.5",
    "1e0 / 0": "Infinity",
    "7 % 3": "1",
    "CAST(7.5 AS decimal(18,4)) / 2": "3.7500",
    "DECIMAL '9.50'": "9.50",
    "DECIMAL '-.5' + 1": "0.5",
    "CAST(9.4e0 AS decimal)": "9",
    "round(2.5e0)": "3.0",
    "round(1.2345, 2)": "1.2300",
    "CAST(2.5e0 AS bigint)": "3",
    "CAST(3.5e0 AS integer)": "4",
    "CAST('12' AS integer)": "12",
    "try_cast('x' AS integer)": None,
    "try(1 / 0)": None,
    "greatest(1, 3, 2)": "3",
    "greatest(1, NULL)": None,
    "least(2, 1)": "1",
    "if(1 > 2, 'a', 'b')": "b",
    "coalesce(NULL, 'x')": "x",
    "nullif(1, 1)": None,
    # text
    "concat('a', 'b', 'c')": "abc",
    "concat('a', NULL)": None,
    "'a' || 'b'": "ab",
    "substr('hello', 2, 3)": "ell",
    "substring('hello', 4)": "lo",
    "substr('hello', 0)": "",
    "substr('hello', -3)": "llo",
    "strpos('hello', 'l')": "3",
    "strpos('hello', 'z')": "0",
    "position('l' IN 'hello')": "3",
    "split_part('a-b-c', '-', 2)": "b",
    "split_part('a-b', '-', 5)": None,
    "split('a/b', '/')": "[a, b]",
    "split('a/b', '/')[1]": "a",
    "length('äö')": "2",
    "regexp_like('abc123', '[0-9]+')": "true",
    "regexp_extract('abc123', '[0-9]+')": "123",
    "regexp_extract('abc123', '([a-z]+)([0-9]+)', 2)": "123",
    "regexp_extract('abc', '[0-9]')": None,
    "regexp_replace('a1b2', '[0-9]')": "ab",
    "regexp_replace('a1b2', '([a-z])([0-9])', '$2$1')": "1a2b",
    "CAST('hello' AS varchar(3))": "hel",
    # types as text
    "CAST(true AS varchar)": "true",
    "CAST(1.50 AS varchar)": "1.50",
    f"CAST({TS} AS varchar)": "2026-04-09 13:14:15.678",
    "CAST(TIMESTAMP '2026-04-09 00:00:00' AS varchar)": "2026-04-09 00:00:00.000",
    "TIMESTAMP '2026-04-09 00:00:00'": "2026-04-09 00:00:00.000",
    "TIMESTAMP '2026-04-09 00:00:00 UTC'": "2026-04-09 00:00:00.000 UTC",
    "DATE '2026-04-09'": "2026-04-09",
    "1e7": "1.0E7",
    "1.5e-5": "1.5E-5",
    "1e0": "1.0",
    # time
    f"date_trunc('day', {TS})": "2026-04-09 00:00:00.000",
    f"date_trunc('week', {TS})": "2026-04-06 00:00:00.000",
    "date_trunc('month', DATE '2026-04-09')": "2026-04-01",
    "date_add('day', 1, DATE '2026-02-28')": "2026-03-01",
    f"date_add('hour', -14, {TS})": "2026-04-08 23:14:15.678",
    "date_add('month', 1, TIMESTAMP '2026-01-31 00:00:00')": "2026-02-28 00:00:00.000",
    "DATE '2026-02-28' + INTERVAL '1' DAY": "2026-03-01",
    f"{TS} - INTERVAL '15' SECOND": "2026-04-09 13:14:00.678",
    "date_diff('day', TIMESTAMP '2026-04-08 13:00:00', TIMESTAMP '2026-04-09 12:00:00')": "0",
    "date_diff('day', DATE '2026-04-01', DATE '2026-04-09')": "8",
    "date_diff('month', DATE '2026-01-31', DATE '2026-02-27')": "0",
    "from_unixtime(1775739600)": "2026-04-09 13:00:00.000 UTC",
    "to_unixtime(from_unixtime(1775739600))": "1.7757396E9",
    f"date_format({TS}, '%Y-%m-%d %H:%i:%s')": "2026-04-09 13:14:15",
    f"date_format({TS}, '%W %e %M, %h:%i %p')": "Thursday 9 April, 01:14 PM",
    "date_parse('09/04/2026 13:14', '%d/%m/%Y %H:%i')": "2026-04-09 13:14:00.000",
    "from_iso8601_timestamp('2026-04-09T13:00:00+02:00')": "2026-04-09 11:00:00.000 UTC",
    f"year({TS}) * 100 + month({TS})": "202604",
    f"EXTRACT(HOUR FROM {TS})": "13",
    f"day_of_week({TS})": "4",
    f"EXTRACT(DOW FROM {TS})": "4",
    f"date({TS})": "2026-04-09",
    f"CAST({TS} AT TIME ZONE 'Europe/Berlin' AS varchar)": "2026-04-09 15:14:15.678",
    f"hour(at_timezone({TS}, 'America/New_York'))": "9",
    "date_trunc('day', TIMESTAMP '2026-04-09 23:30:00' AT TIME ZONE 'Europe/Berlin')": "2026-04-10 00:00:00.000",
    "current_timestamp > TIMESTAMP '2020-01-01 00:00:00'": "true",
    "date_diff('day', current_date, date(now()))": "0",
    # URLs and JSON
    f"url_extract_host({URL})": "shop.example",
    f"url_extract_port({URL})": "8443",
    f"url_extract_path({URL})": "/a b/c",
    f"url_extract_query({URL})": "q=red+shoes&utm=x%26y&flag",
    f"url_extract_protocol({URL})": "https",
    f"url_extract_fragment({URL})": "top",
    f"url_extract_parameter({URL}, 'q')": "red shoes",
    f"url_extract_parameter({URL}, 'utm')": "x&y",
    f"url_extract_parameter({URL}, 'flag')": "",
    f"url_extract_parameter({URL}, 'none')": None,
    "url_extract_path('/only/path?x=1')": "/only/path",
    "url_extract_host('/only/path')": None,
    "url_decode('a%20b+c')": "a b c",
    """json_extract_scalar('{"a": {"b": [1, "x"]}}', '$.a.b[1]')""": "x",
    """json_extract_scalar('{"a": {"b": 1}}', '$.a')""": None,
    """json_extract_scalar('{"a": 1}', '$.a')""": "1",
    "json_extract_scalar('no json', '$.a')": None,
    """json_extract('{"a": [1,2]}', '$.a')""": "[1,2]",
    """json_array_length('[1, 2, 3]')""": "3",
    """CAST(json_parse('{"a": 1}') AS map(varchar, integer))['a']""": "1",
    # collections
    "ARRAY[1, 2, NULL]": "[1, 2, null]",
    "ARRAY[1, 2][2]": "2",
    "element_at(ARRAY[1, 2], 5)": None,
    "element_at(ARRAY[1, 2], -1)": "2",
    "map(ARRAY['a', 'b'], ARRAY[1, 2])": "{a=1, b=2}",
    "element_at(map(ARRAY['a'], ARRAY[1]), 'b')": None,
    "map(ARRAY['a'], ARRAY[1])['a']": "1",
    "cardinality(ARRAY[1, 2])": "2",
    "cardinality(map(ARRAY['a'], ARRAY[1]))": "1",
    "map_keys(map(ARRAY['a'], ARRAY[1]))": "[a]",
    "row(1, 'a')": "{field0=1, field1=a}",
    "CAST(row(1, 'a') AS row(x integer, y varchar))": "{x=1, y=a}",
    "contains(ARRAY[1, 2], 2)": "true",
    "array_join(ARRAY['a', NULL, 'b'], ',')": "a,b",
    "array_sort(ARRAY[3, 1, 2])": "[1, 2, 3]",
    "array_distinct(ARRAY[1, 1])": "[1]",
    "transform(ARRAY[1, 2], x -> x * 10)": "[10, 20]",
    "filter(ARRAY[1, 2, 3], x -> x > 1)": "[2, 3]",
    "reduce(ARRAY[1, 2, 3], 0, (s, x) -> s + x, s -> s)": "6",
    "sequence(1, 3)": "[1, 2, 3]",
    "sequence(DATE '2026-04-30', DATE '2026-05-01', INTERVAL '1' DAY)": "[2026-04-30, 2026-05-01]",
    "slice(ARRAY[1, 2, 3], 2, 2)": "[2, 3]",
    "to_hex(md5(to_utf8('a')))": "0CC175B9C0F1B6A831C399E269772661",
}


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS.items(), ids=lambda value: str(value)[:60])
def test_an_expression_has_the_value_that_athena_gives(
    database: duckdb.DuckDBPyConnection, expression: str, expected: str | None
) -> None:
    assert rows(database, f"SELECT {expression}") == [[expected]]


DATA = """WITH t(k, i, d, p, s) AS (VALUES
  ('a', 1, 1e0, CAST(1.5 AS decimal(18,4)), 'x'), ('a', 2, 2e0, CAST(2 AS decimal(18,4)), NULL),
  ('b', 4, 5e0, CAST(0.1 AS decimal(18,4)), 'y'))"""

QUERIES = {
    "SELECT sum(i), avg(i), sum(p), avg(p), sum(d) FROM t": [["7", "2.3333333333333335", "3.6000", "1.2000", "8.0"]],
    "SELECT sum(i) / count(*), sum(p) / count(*), sum(d) / 3 FROM t": [["2", "1.2000", "2.6666666666666665"]],
    "SELECT k, count(*) * 100.0 / sum(count(*)) OVER () FROM t GROUP BY k ORDER BY k": [["a", "66.7"], ["b", "33.3"]],
    "SELECT avg(p) FILTER (WHERE k = 'a'), sum(DISTINCT i) FROM t": [["1.7500", "7"]],
    "SELECT i, sum(i) OVER (PARTITION BY k ORDER BY i), lag(i) OVER (ORDER BY i) FROM t ORDER BY i": [
        ["1", "1", None], ["2", "3", "1"], ["4", "4", "2"],
    ],
    "SELECT s FROM t ORDER BY s": [["x"], ["y"], [None]],
    "SELECT s FROM t ORDER BY s DESC": [["y"], ["x"], [None]],
    "SELECT max_by(s, i), min_by(s, i), max_by(s, d) FILTER (WHERE k = 'a') FROM t": [["y", "x", None]],
    "SELECT count_if(i > 1), approx_distinct(k), arbitrary(k) FILTER (WHERE k = 'b') FROM t": [["2", "2", "b"]],
    "SELECT approx_percentile(i, 0.5), approx_percentile(d, ARRAY[0.0, 1.0]) FROM t": [["2", "[1.0, 5.0]"]],
    "SELECT array_agg(s ORDER BY i), listagg(k, '+') WITHIN GROUP (ORDER BY i) FROM t": [["[x, null, y]", "a+a+b"]],
    "SELECT map_agg(i, k) FROM t WHERE k = 'b'": [["{4=b}"]],
    "SELECT k, row_number() OVER (ORDER BY i DESC) FROM t ORDER BY 2 LIMIT 1": [["b", "1"]],
    "SELECT n FROM (SELECT ARRAY[1, 2] a) CROSS JOIN UNNEST(a) AS u(n) ORDER BY n": [["1"], ["2"]],
    "SELECT n, o FROM UNNEST(ARRAY['x', 'y']) WITH ORDINALITY AS u(n, o) ORDER BY o": [["x", "1"], ["y", "2"]],
    "SELECT a, b FROM UNNEST(ARRAY[1, 2], ARRAY['x']) AS u(a, b) ORDER BY a": [["1", "x"], ["2", None]],
    "SELECT key, value FROM (SELECT map(ARRAY['a', 'b'], ARRAY[1, 2]) m) CROSS JOIN UNNEST(m) AS u(key, value) "
    "ORDER BY key": [["a", "1"], ["b", "2"]],
    "SELECT count(*) FROM t WHERE s IS DISTINCT FROM 'x' AND k LIKE 'a%'": [["1"]],
    "SELECT k, grouping(k), sum(i) FROM t GROUP BY ROLLUP (k) ORDER BY 3": [
        ["a", "0", "3"], ["b", "0", "4"], [None, "1", "7"],
    ],
    "SELECT k FROM t UNION SELECT 'c' ORDER BY 1 DESC LIMIT 2": [["c"], ["b"]],
    "SELECT _col0 FROM (SELECT count(*) FROM t)": [["3"]],
    "SELECT k FROM t GROUP BY k HAVING sum(i) > 3": [["b"]],
    "SELECT (SELECT max(i) FROM t), EXISTS (SELECT 1 FROM t WHERE i > 9)": [["4", "false"]],
}  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), QUERIES.items(), ids=lambda value: str(value)[:60])
def test_a_query_has_the_rows_that_athena_gives(
    database: duckdb.DuckDBPyConnection, query: str, expected: list[list[str | None]]
) -> None:
    assert rows(database, f"{DATA} {query}") == expected


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT read_text('/etc/passwd')", "FUNCTION_NOT_FOUND"),
        ("SELECT getenv('HOME')", "FUNCTION_NOT_FOUND"),
        ("SELECT strftime(now(), '%Y')", "FUNCTION_NOT_FOUND"),
        ("SELECT athena_divide(1, 2)", "FUNCTION_NOT_FOUND"),
        ("SELECT date_format(now(), '%D')", "not supported in date format"),
        ("SELECT date_add('fortnight', 1, now())", "not a valid unit"),
        ("SELECT 1 WHERE now() AT TIME ZONE 'Europe/Berlin' > now()", "NOT_SUPPORTED"),
        ("SELECT reduce(ARRAY[1], 0, (s, x) -> s + x, s -> s * 2)", "NOT_SUPPORTED"),
    ],
)
def test_what_cannot_be_answered_rightly_fails_with_a_reason(query: str, reason: str) -> None:
    with pytest.raises(QueryFailedError, match=reason):
        to_duckdb(dialect.parse(query))


@pytest.mark.parametrize("query", ["SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM duckdb_settings()"])
def test_a_table_function_is_no_table(query: str) -> None:
    with pytest.raises(QueryFailedError, match="FUNCTION_NOT_FOUND"):
        dialect.real_tables(dialect.parse(query))


@pytest.mark.parametrize("query", ["SELEC 1", "SELECT 1 1", "SELECT FROM", "SELECT 1; SELECT 2", "DELETE FROM t"])
def test_what_is_no_single_query_is_refused(query: str) -> None:
    with pytest.raises(InvalidRequestError):
        dialect.parse(query)


def test_the_database_cannot_reach_files_even_when_asked_directly() -> None:
    with locked_database() as connection:
        for attempt in (
            "SELECT * FROM read_text('/etc/passwd')",
            "SELECT * FROM '/etc/passwd'",
            "COPY (SELECT 1) TO '/x'",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(attempt)
        with pytest.raises(duckdb.Error):
            connection.execute("SET enable_external_access = true")


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("SELECT * FROM a JOIN d.b ON a.x = b.x", ["a", "b"]),
        ("WITH a AS (SELECT * FROM a) SELECT * FROM a", ["a"]),
        ("WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b, c", ["c"]),
        ("SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) CROSS JOIN a", ["a"]),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM z)", ["z"]),
        ("WITH a AS (SELECT 1) SELECT * FROM d.a", ["a"]),
    ],
)
def test_names_of_with_queries_are_told_from_tables(query: str, tables: list[str]) -> None:
    assert sorted(table.name for table in dialect.real_tables(dialect.parse(query))) == tables


def test_every_function_that_is_passed_on_exists_in_duckdb(database: duckdb.DuckDBPyConnection) -> None:
    known = {name for (name,) in database.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()}
    syntax = {"coalesce", "nullif", "try", "grouping"}
    windows = {
        "cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile", "percent_rank",
        "rank", "row_number",
    }  # fmt: skip
    assert SAME | set(RENAMED.values()) <= known | syntax | windows
