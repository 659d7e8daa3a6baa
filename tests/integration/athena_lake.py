"""A database and a bucket to ask the Athena endpoint about, through botocore."""

import io
import time
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.session import Session

COLUMNS = "event_type string, n bigint, price decimal(18,4), event_time timestamp, properties map<string,string>"

SESSION = Session()
SESSION.set_credentials("local", "local")


def client(service: str, url: str) -> Any:
    return SESSION.create_client(service, region_name="us-east-1", endpoint_url=url)


class Lake:
    """A database and a bucket of its own for each test."""

    def __init__(self, endpoint: str, ministack_url: str) -> None:
        self.athena = client("athena", endpoint)
        self.s3 = client("s3", ministack_url)
        self.database = f"db_{uuid.uuid4().hex[:12]}"
        self.bucket = self.database.replace("_", "-")
        self.s3.create_bucket(Bucket=self.bucket)
        self.rows(f"CREATE DATABASE IF NOT EXISTS {self.database}")

    def start(self, sql: str, *parameters: str) -> str:
        given = {"ExecutionParameters": list(parameters)} if parameters else {}
        reply = self.athena.start_query_execution(
            **given,
            QueryString=sql,
            QueryExecutionContext={"Database": self.database},
            ResultConfiguration={"OutputLocation": f"s3://{self.bucket}/athena_output/"},
        )
        return str(reply["QueryExecutionId"])

    def finish(self, execution_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while True:
            execution = self.athena.get_query_execution(QueryExecutionId=execution_id)["QueryExecution"]
            if execution["Status"]["State"] not in {"QUEUED", "RUNNING"}:
                return dict(execution)
            assert time.monotonic() < deadline, execution
            time.sleep(0.01)

    def run(self, sql: str, *parameters: str) -> dict[str, Any]:
        return self.finish(self.start(sql, *parameters))

    def rows(self, sql: str, *parameters: str) -> list[list[str | None]]:
        """All rows without the header of a query."""
        execution = self.run(sql, *parameters)
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
        reply = self.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
        found = [[item.get("VarCharValue") for item in row["Data"]] for row in reply["ResultSet"]["Rows"]]
        return found[1:] if execution["StatementType"] == "DML" else found

    def reason(self, sql: str) -> str:
        status = self.run(sql)["Status"]
        assert status["State"] == "FAILED", status
        return str(status["StateChangeReason"])

    def write(self, key: str, table: pa.Table) -> int:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="snappy")
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=buffer.getvalue())
        return len(buffer.getvalue())

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in listed.get("Contents", [])]

    def create_events(self) -> None:
        self.rows(
            f"CREATE EXTERNAL TABLE IF NOT EXISTS {self.database}.events ({COLUMNS}) "
            "PARTITIONED BY (`year` string, `hour` string) STORED AS PARQUET "
            f"LOCATION 's3://{self.bucket}/events/' TBLPROPERTIES ('parquet.compression'='SNAPPY')"
        )

    def write_hour(self, hour: str, name: str = "a", rows: int = 2) -> int:
        times = [datetime(2026, 4, 9, int(hour), 0, n % 60, 123456) for n in range(rows)]  # noqa: DTZ001
        table = pa.table(
            {
                "event_type": ["page_view" if n % 2 == 0 else "purchase" for n in range(rows)],
                "n": pa.array(range(rows), pa.int64()),
                "price": pa.array([Decimal(n) / 4 for n in range(rows)], pa.decimal128(18, 4)),
                "event_time": pa.array(times, pa.timestamp("us")),
                "properties": pa.array([[("k", str(n))] for n in range(rows)], pa.map_(pa.string(), pa.string())),
            }
        )
        return self.write(f"events/year=2026/hour={hour}/{name}.parquet", table)

    def add_hours(self, *hours: str) -> None:
        partitions = " ".join(f"PARTITION (year='2026', hour='{hour}')" for hour in hours)
        self.rows(f"ALTER TABLE {self.database}.events ADD IF NOT EXISTS {partitions}")
