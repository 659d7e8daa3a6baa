"""CTAS, INSERT INTO and UNLOAD: files in the bucket, partitions in the catalogue, and nothing anywhere else."""

import gzip
import json

import pytest
from botocore.exceptions import ClientError

from tests.integration.athena_lake import Lake


def with_events(lake: Lake) -> Lake:
    lake.create_events()
    lake.write_hour("00", rows=4)
    lake.write_hour("01", rows=2)
    lake.add_hours("00", "01")
    return lake


@pytest.fixture
def lake(athena_url: str, ministack_url: str) -> Lake:
    return with_events(Lake(athena_url, ministack_url))


@pytest.fixture(scope="module")
def unchanged(athena_url: str, ministack_url: str) -> Lake:
    """One for all the statements that are refused."""
    return with_events(Lake(athena_url, ministack_url))


def test_a_table_made_of_a_query_has_its_rows_types_and_partitions(lake: Lake) -> None:
    execution = lake.run(
        f"CREATE TABLE sales WITH (format = 'PARQUET', external_location = 's3://{lake.bucket}/gold/sales/', "
        "write_compression = 'SNAPPY', partitioned_by = ARRAY['hour']) AS "
        "SELECT n, price, event_time, properties, ARRAY[n] AS list, hour FROM events"
    )
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
    assert execution["StatementType"] == "DDL"
    assert execution["Statistics"]["DataScannedInBytes"] > 0
    assert lake.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])["UpdateCount"] == 6
    assert lake.rows("SHOW PARTITIONS sales") == [["hour=00"], ["hour=01"]]
    assert lake.rows("SELECT hour, count(*), sum(price) FROM sales GROUP BY 1 ORDER BY 1") == [
        ["00", "4", "1.5000"], ["01", "2", "0.2500"],
    ]  # fmt: skip
    assert lake.rows("SELECT event_time, properties, list FROM sales WHERE hour = '01' AND n = 1") == [
        ["2026-04-09 01:00:01.123", "{k=1}", "[1]"]
    ]
    described = [[part.strip() for part in str(line).split("\t")][:2] for (line,) in lake.rows("DESCRIBE sales")]
    assert described[:5] == [
        ["n", "bigint"], ["price", "decimal(18,4)"], ["event_time", "timestamp"],
        ["properties", "map<string,string>"], ["list", "array<bigint>"],
    ]  # fmt: skip
    assert all(key.startswith(("gold/sales/hour=00/", "gold/sales/hour=01/")) for key in lake.keys("gold/"))
    manifest = execution["Statistics"]["DataManifestLocation"].removeprefix(f"s3://{lake.bucket}/")
    listed = lake.s3.get_object(Bucket=lake.bucket, Key=manifest)["Body"].read().decode().split()
    assert listed == [f"s3://{lake.bucket}/{key}" for key in sorted(lake.keys("gold/"))]


@pytest.mark.parametrize("form", ["PARQUET", "JSON", "TEXTFILE"])
def test_what_was_written_in_a_format_reads_back_the_same(lake: Lake, form: str) -> None:
    query = "SELECT n, price, event_type, event_time, properties, CAST(NULL AS varchar) AS nothing FROM events"
    lake.rows(f"CREATE TABLE copy WITH (format = '{form}') AS {query}")
    assert lake.rows("SELECT * FROM copy ORDER BY n, event_time") == lake.rows(f"{query} ORDER BY n, event_time")
    assert lake.keys("athena_output/tables/")


def test_a_table_made_without_data_is_empty_and_one_that_is_there_stays(lake: Lake) -> None:
    lake.rows("CREATE TABLE empty AS SELECT n FROM events WITH NO DATA")
    assert lake.rows("SELECT count(*) FROM empty") == [["0"]]
    assert "TABLE_ALREADY_EXISTS" in lake.reason("CREATE TABLE empty AS SELECT 1 AS n")
    lake.rows("CREATE TABLE IF NOT EXISTS empty AS SELECT 1 AS n")
    assert lake.rows("SELECT count(*) FROM empty") == [["0"]]


def test_rows_inserted_land_in_partitions_that_the_table_then_knows(lake: Lake) -> None:
    lake.rows(f"ALTER TABLE events PARTITION (year='2026', hour='01') SET LOCATION 's3://{lake.bucket}/moved/'")
    execution = lake.run(
        "INSERT INTO events (n, event_type, year, hour) SELECT n + 100, 'copied', year, "
        "CASE WHEN n % 2 = 0 THEN '01' ELSE '0:7' END FROM events"
    )
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
    assert execution["StatementType"] == "DML"
    results = lake.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    assert (results["UpdateCount"], results["ResultSet"]["Rows"]) == (4, [])
    assert lake.rows("SELECT hour, n, event_type, price FROM events WHERE n > 99 ORDER BY n") == [
        ["01", "100", "copied", None], ["0:7", "101", "copied", None],
        ["01", "102", "copied", None], ["0:7", "103", "copied", None],
    ]  # fmt: skip
    assert len(lake.keys("moved/")) == 1  # a registered partition keeps its place
    assert len(lake.keys("events/year=2026/hour=0%3A7/")) == 1


def test_values_can_be_inserted_and_types_must_fit(lake: Lake) -> None:
    lake.rows(f"CREATE EXTERNAL TABLE t (a bigint, b double) STORED AS PARQUET LOCATION 's3://{lake.bucket}/t/'")
    lake.rows("INSERT INTO t VALUES (1, 2), (3, NULL)")
    lake.rows("INSERT INTO t (b) VALUES (?)", "1.5")
    assert lake.rows("SELECT * FROM t ORDER BY a") == [["1", "2.0"], ["3", None], [None, "1.5"]]
    assert "TYPE_MISMATCH" in lake.reason("INSERT INTO t VALUES ('x', 2)")
    assert "MISMATCHED" in lake.reason("INSERT INTO t VALUES (1)")
    assert "COLUMN_NOT_FOUND" in lake.reason("INSERT INTO t (c) VALUES (1)")
    assert "TABLE_NOT_FOUND" in lake.reason("INSERT INTO nowhere VALUES (1)")


def test_a_query_that_fails_half_way_leaves_no_file(lake: Lake) -> None:
    lake.rows(f"CREATE EXTERNAL TABLE t (a bigint) STORED AS PARQUET LOCATION 's3://{lake.bucket}/t/'")
    failing = "SELECT 1 / (50000 - x) FROM UNNEST(sequence(1, 100000)) AS u(x)"
    assert "DIVISION_BY_ZERO" in lake.reason(f"INSERT INTO t {failing}")
    assert "DIVISION_BY_ZERO" in lake.reason(f"CREATE TABLE made AS {failing.replace(' FROM', ' AS y FROM')}")
    assert lake.keys("t/") == lake.keys("athena_output/tables/") == []
    assert "TABLE_NOT_FOUND" in lake.reason("SELECT * FROM made")


def test_a_table_that_is_being_made_can_be_stopped(lake: Lake) -> None:
    started = lake.start(
        "CREATE TABLE slow AS SELECT count(*) AS n FROM UNNEST(sequence(1, 100000)) a(x), "
        "UNNEST(sequence(1, 1000000)) b(y) WHERE x * y % 7 = 3"
    )
    lake.athena.stop_query_execution(QueryExecutionId=started)
    assert lake.finish(started)["Status"]["State"] == "CANCELLED"
    assert lake.keys("athena_output/tables/") == []
    assert lake.rows("SHOW TABLES") == [["events"]]


def test_unload_writes_files_and_no_table(lake: Lake) -> None:
    target = f"s3://{lake.bucket}/unloaded/"
    lake.rows(
        f"UNLOAD (SELECT n, properties, hour FROM events WHERE event_type = 'purchase') TO '{target}' "
        "WITH (format = 'JSON', partitioned_by = ARRAY['hour'])"
    )
    bodies = {
        key.split("/")[1]: gzip.decompress(lake.s3.get_object(Bucket=lake.bucket, Key=key)["Body"].read())
        for key in lake.keys("unloaded/")
    }
    assert {folder: [json.loads(line) for line in body.splitlines()] for folder, body in bodies.items()} == {
        "hour=00": [{"n": 1, "properties": {"k": "1"}}, {"n": 3, "properties": {"k": "3"}}],
        "hour=01": [{"n": 1, "properties": {"k": "1"}}],
    }
    assert "HIVE_PATH_ALREADY_EXISTS" in lake.reason(f"UNLOAD (SELECT 1 AS a) TO '{target}' WITH (format = 'PARQUET')")
    assert lake.rows("SHOW TABLES") == [["events"]]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("CREATE TABLE t AS SELECT 1", "MISSING_COLUMN_NAME"),
        ("CREATE TABLE t AS SELECT NULL AS a", "COLUMN_TYPE_UNKNOWN"),
        ("CREATE TABLE t AS SELECT now() AS a", "NOT_SUPPORTED"),
        ("CREATE TABLE t AS SELECT 1 AS a, 2 AS a", "DUPLICATE_COLUMN_NAME"),
        ("CREATE TABLE t WITH (format = 'ORC') AS SELECT 1 AS a", "NOT_SUPPORTED: format ORC"),
        ("CREATE TABLE t WITH (write_compression = 'LZO') AS SELECT 1 AS a", "NOT_SUPPORTED: compression LZO"),
        ("CREATE TABLE t WITH (partitioned_by = ARRAY['a']) AS SELECT 1 AS a, 2 AS b", "HIVE_COLUMN_ORDER_MISMATCH"),
    ],
)
def test_what_cannot_be_written_fails_with_its_reason(unchanged: Lake, sql: str, reason: str) -> None:
    assert reason in unchanged.reason(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t WITH (external_location = '/tmp/out/') AS SELECT 1 AS a",
        "CREATE TABLE t WITH (external_location = 'file:///tmp/out/') AS SELECT 1 AS a",
        "CREATE TABLE t WITH (external_location = 's3://b/../../tmp/') AS SELECT 1 AS a",
        "UNLOAD (SELECT 1 AS a) TO '/tmp/out/' WITH (format = 'JSON')",
        "UNLOAD (SELECT 1 AS a) TO 'gs://b/x/' WITH (format = 'JSON')",
        "CREATE EXTERNAL TABLE t (a int) LOCATION '/etc/'",
        "ALTER TABLE events SET LOCATION 'file:///etc/'",
        "ALTER TABLE events ADD PARTITION (year='1', hour='1') LOCATION '/etc/'",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "ATTACH '/tmp/out.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ],
)
def test_no_statement_names_a_place_outside_s3(unchanged: Lake, sql: str) -> None:
    with pytest.raises(ClientError, match=r"s3:// URL|not supported"):
        unchanged.start(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM '/etc/passwd'",
        'SELECT * FROM "/etc/passwd"',
        "SELECT read_text('/etc/passwd')",
        "SELECT getenv('HOME')",
        "CREATE TABLE t AS SELECT * FROM read_text('/etc/passwd')",
        "INSERT INTO events SELECT * FROM read_csv('/etc/passwd')",
        "UNLOAD (SELECT * FROM read_text('/etc/passwd')) TO 's3://b/x/' WITH (format = 'JSON')",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM information_schema.character_sets",
        "SELECT * FROM pg_catalog.pg_tables",
        "SELECT * FROM scan_0",
    ],
)
def test_no_query_reads_the_machine_it_runs_on(unchanged: Lake, sql: str) -> None:
    try:
        reason = unchanged.reason(sql)
    except ClientError as error:
        reason = str(error)
    assert "root:" not in reason
    assert any(word in reason for word in ("not supported", "not registered", "NOT_FOUND", "mismatched", "line 1"))


def test_a_location_that_climbs_out_of_its_bucket_names_an_object_only(lake: Lake) -> None:
    lake.rows("CREATE TABLE climbing WITH (partitioned_by = ARRAY['k']) AS SELECT 1 AS a, '../../../tmp/x' AS k")
    keys = lake.keys("athena_output/tables/")
    assert len(keys) == 1
    assert "/k=..%2F..%2F..%2Ftmp%2Fx/" in keys[0]
    assert lake.rows("SELECT k FROM climbing") == [["../../../tmp/x"]]
