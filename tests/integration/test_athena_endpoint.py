"""The Athena endpoint as a process, asked by botocore, on Parquet in the emulator's S3 and tables in its Glue."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from deploy.local.emulator import CREDENTIALS
from tests.conftest import free_port, wait_for_http
from tests.integration.athena_lake import Lake, client

ENVIRONMENT = {**CREDENTIALS, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


def start(ministack_url: str, port: int) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.local.athena", "--port", str(port)],
        env={**environment, **ENVIRONMENT, "AWS_ENDPOINT_URL": ministack_url},
        stdout=subprocess.PIPE,
    )
    wait_for_http(f"http://127.0.0.1:{port}/health", process)
    return process


def stop(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    return process.returncode, output


@pytest.fixture(scope="module")
def endpoint(ministack_url: str) -> Iterator[str]:
    port = free_port()
    process = start(ministack_url, port)
    yield f"http://127.0.0.1:{port}"
    assert stop(process) == (0, b"")


@pytest.fixture
def lake(endpoint: str, ministack_url: str) -> Lake:
    return Lake(endpoint, ministack_url)


def test_only_registered_partitions_are_visible(lake: Lake) -> None:
    lake.create_events()
    for hour in ("00", "01"):
        lake.write_hour(hour)
    assert lake.rows("SELECT count(*) FROM events") == [["0"]]
    lake.add_hours("00")
    assert lake.rows("SELECT count(*) FROM events") == [["2"]]
    lake.add_hours("00", "01", "02")  # one is there already, one has no folder
    assert lake.rows("SELECT hour, count(*) FROM events GROUP BY 1 ORDER BY 1") == [["00", "2"], ["01", "2"]]
    assert lake.rows("SHOW PARTITIONS events") == [[f"year=2026/hour=0{hour}"] for hour in range(3)]
    lake.rows("ALTER TABLE events DROP IF EXISTS PARTITION (year='2026', hour='01')")
    assert lake.rows("SELECT count(*) FROM events") == [["2"]]


def test_pruning_reads_fewer_bytes_and_columns_cost_what_they_hold(lake: Lake) -> None:
    lake.create_events()
    written = sum(lake.write_hour(f"{hour:02}", rows=500) for hour in range(4))
    lake.add_hours("00", "01", "02", "03")

    def scanned(sql: str) -> int:
        return int(lake.run(sql)["Statistics"]["DataScannedInBytes"])

    everything = scanned("SELECT * FROM events")
    one_hour = scanned("SELECT * FROM events WHERE year = '2026' AND hour >= '03'")
    assert 0 < everything <= written
    assert one_hour * 4 == pytest.approx(everything, rel=0.01)
    assert 0 < scanned("SELECT sum(n) FROM events") < everything / 2
    assert scanned("SELECT * FROM events WHERE hour = '23'") == 0


def test_values_come_back_as_athena_prints_them(lake: Lake) -> None:
    lake.create_events()
    lake.write_hour("05")
    lake.add_hours("05")
    execution = lake.run(
        "SELECT *, n / 2 AS half, CAST(NULL AS varchar) AS nothing, '' AS blank FROM events ORDER BY n"
    )
    results = lake.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])["ResultSet"]
    columns = [(info["Name"], info["Type"]) for info in results["ResultSetMetadata"]["ColumnInfo"]]
    assert columns == [
        ("event_type", "varchar"), ("n", "bigint"), ("price", "decimal"), ("event_time", "timestamp"),
        ("properties", "map"), ("year", "varchar"), ("hour", "varchar"), ("half", "bigint"), ("nothing", "varchar"),
        ("blank", "varchar"),
    ]  # fmt: skip
    assert [item.get("VarCharValue") for item in results["Rows"][0]["Data"]] == [name for name, _ in columns]
    assert [item.get("VarCharValue") for item in results["Rows"][2]["Data"]] == [
        "purchase", "1", "0.2500", "2026-04-09 05:00:01.123", "{k=1}", "2026", "05", "0", None, "",
    ]  # fmt: skip
    assert results["ResultSetMetadata"]["ColumnInfo"][2]["Precision"] == 18
    assert results["ResultSetMetadata"]["ColumnInfo"][2]["Scale"] == 4

    location = execution["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://{lake.bucket}/athena_output/{execution['QueryExecutionId']}.csv"
    body = lake.s3.get_object(Bucket=lake.bucket, Key=location.split("/", 3)[3])["Body"].read().decode()
    assert body.splitlines()[2] == '"purchase","1","0.2500","2026-04-09 05:00:01.123","{k=1}","2026","05","0",,""'


def test_added_columns_are_null_in_older_files(lake: Lake) -> None:
    lake.create_events()
    lake.write_hour("00")
    lake.add_hours("00")
    lake.rows("ALTER TABLE events ADD COLUMNS (country string COMMENT 'new', ratings array<double>)")
    assert lake.rows("SELECT country, ratings, n FROM events WHERE n = 0") == [[None, None, "0"]]
    assert lake.rows("SHOW COLUMNS IN events")[-4:] == [["country"], ["ratings"], ["year"], ["hour"]]
    described = [line for (line,) in lake.rows("DESCRIBE events") if line]
    assert [part.strip() for part in described[5].split("\t")] == ["country", "string", "new"]


def test_repair_registers_what_lies_in_the_bucket(lake: Lake) -> None:
    lake.create_events()
    for hour in ("07", "08"):
        lake.write_hour(hour)
    lake.write("events/year=2026/stray.parquet", pa.table({"n": [1]}))
    lines = [line for (line,) in lake.rows("MSCK REPAIR TABLE events")]
    assert lines[1:] == [f"Repair: Added partition to metastore events:year=2026/hour=0{hour}" for hour in (7, 8)]
    assert lake.rows("SELECT count(*) FROM events") == [["4"]]
    assert lake.rows("MSCK REPAIR TABLE events") == []


def test_views_are_queries_by_name(lake: Lake) -> None:
    lake.create_events()
    lake.write_hour("00", rows=4)
    lake.add_hours("00")
    lake.rows("CREATE VIEW purchases AS SELECT event_type, n AS number FROM events WHERE event_type = 'purchase'")
    assert lake.rows(f"SELECT max(p.number) FROM {lake.database}.purchases p") == [["3"]]
    assert "already exists" in lake.reason("CREATE VIEW purchases AS SELECT 1 AS x")
    lake.rows("CREATE OR REPLACE VIEW purchases AS SELECT count(*) AS many FROM events")
    assert lake.rows("SELECT many, many + 1 FROM purchases") == [["4", "5"]]
    assert lake.rows("SHOW TABLES") == [["events"], ["purchases"]]
    lake.rows("DROP VIEW purchases")
    assert lake.rows("SHOW TABLES LIKE 'p*'") == []


def test_results_come_in_pages_whose_first_row_is_the_header(lake: Lake) -> None:
    execution = lake.run("SELECT n FROM UNNEST(sequence(1, 2500)) AS t(n) ORDER BY n")
    paginator = lake.athena.get_paginator("get_query_results")
    pages = list(paginator.paginate(QueryExecutionId=execution["QueryExecutionId"]))
    values = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert [len(page["ResultSet"]["Rows"]) for page in pages] == [1000, 1000, 501]
    assert values == ["n", *map(str, range(1, 2501))]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT * FROM nowhere", "TABLE_NOT_FOUND"),
        ("SELECT * FROM no_such_database.t", "SCHEMA_NOT_FOUND"),
        ("SELECT colour FROM events", "COLUMN_NOT_FOUND: line 1:1: Column 'colour' cannot be resolved"),
        ("SELECT no_such_function(n) FROM events", "FUNCTION_NOT_FOUND"),
        ("SELECT 1 / 0", "DIVISION_BY_ZERO"),
        ("SELECT CAST('x' AS integer)", "INVALID_CAST_ARGUMENT"),
        ("ALTER TABLE events ADD PARTITION (year='2026')", "does not name each partition key"),
        ("ALTER TABLE nowhere ADD PARTITION (year='2026')", "Table not found"),
        ("DROP TABLE nowhere", "Table not found"),
        ("CREATE DATABASE default_twice", ""),
    ],
)
def test_a_query_that_cannot_work_fails_with_its_reason(lake: Lake, sql: str, reason: str) -> None:
    lake.create_events()
    if not reason:
        lake.run(sql)
        reason = "already exists"
    assert reason in lake.reason(sql)


def test_dropping_is_forgiving_only_when_asked(lake: Lake) -> None:
    lake.create_events()
    lake.rows("DROP TABLE IF EXISTS nowhere")
    assert "not empty" in lake.reason(f"DROP DATABASE {lake.database}")
    lake.rows("DROP TABLE events")
    lake.rows(f"DROP DATABASE {lake.database}")
    lake.rows(f"DROP DATABASE IF EXISTS {lake.database}")
    assert [lake.database] not in lake.rows("SHOW DATABASES")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda lake: lake.start("SELEC 1"), "not supported"),
        (lambda lake: lake.start("SELECT 1 FROM"), "line 1"),
        (lambda lake: lake.start("CREATE EXTERNAL TABLE t (a nonsense) LOCATION 's3://b/'"), "mismatched input"),
        (lambda lake: lake.athena.start_query_execution(QueryString="SELECT 1"), "No output location"),
        (lambda lake: lake.athena.get_query_execution(QueryExecutionId="unknown"), "was not found"),
        (lambda lake: lake.athena.get_work_group(WorkGroup="unknown"), "unknown"),
    ],
)
def test_a_bad_request_is_refused(lake: Lake, call: Callable[[Lake], object], message: str) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        call(lake)
    assert caught.value.response["Error"]["Code"] == "InvalidRequestException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_workgroup_says_where_results_go(lake: Lake) -> None:
    name = lake.bucket
    output = {"ResultConfiguration": {"OutputLocation": f"s3://{lake.bucket}/group"}}
    lake.athena.create_work_group(Name=name, Configuration=output)
    assert lake.athena.get_work_group(WorkGroup=name)["WorkGroup"]["Name"] == name
    assert name in [group["Name"] for group in lake.athena.list_work_groups()["WorkGroups"]]
    started = lake.athena.start_query_execution(QueryString="SELECT 1", WorkGroup=name)["QueryExecutionId"]
    execution = lake.finish(started)
    assert execution["ResultConfiguration"]["OutputLocation"] == f"s3://{lake.bucket}/group/{started}.csv"
    assert lake.athena.list_query_executions(WorkGroup=name)["QueryExecutionIds"] == [started]
    batch = lake.athena.batch_get_query_execution(QueryExecutionIds=[started, "unknown"])
    assert [one["QueryExecutionId"] for one in batch["QueryExecutions"]] == [started]
    assert [one["QueryExecutionId"] for one in batch["UnprocessedQueryExecutionIds"]] == ["unknown"]


def test_a_running_query_can_be_stopped(lake: Lake) -> None:
    slow = (
        "SELECT count(*) FROM UNNEST(sequence(1, 100000)) a(x), UNNEST(sequence(1, 1000000)) b(y) WHERE x * y % 7 = 3"
    )
    started = lake.start(slow)
    lake.athena.stop_query_execution(QueryExecutionId=started)
    execution = lake.finish(started)
    assert execution["Status"]["State"] == "CANCELLED"
    with pytest.raises(ClientError, match="CANCELLED"):
        lake.athena.get_query_results(QueryExecutionId=started)
    assert lake.rows("SELECT 1") == [["1"]]


def test_the_catalogue_outlives_the_process(lake: Lake, ministack_url: str) -> None:
    lake.create_events()
    lake.write_hour("00")
    lake.add_hours("00")
    port = free_port()
    process = start(ministack_url, port)
    try:
        lake.athena = client("athena", f"http://127.0.0.1:{port}")
        assert lake.rows("SELECT count(*) FROM events") == [["2"]]
    finally:
        assert stop(process) == (0, b"")


def test_a_file_that_is_no_parquet_or_has_other_types_fails_the_query_and_not_the_process(lake: Lake) -> None:
    lake.create_events()
    lake.add_hours("00", "01")
    lake.s3.put_object(Bucket=lake.bucket, Key="events/year=2026/hour=00/x.parquet", Body=b"no parquet at all")
    lake.write("events/year=2026/hour=01/y.parquet", pa.table({"n": ["text"]}))
    assert lake.reason("SELECT count(*) FROM events WHERE hour = '00'").startswith("HIVE_BAD_DATA")
    assert "text" in lake.reason("SELECT sum(n) FROM events WHERE hour = '01'")
    assert lake.rows("SELECT 1") == [["1"]]
