"""A bucket, tables and a database of their own on the local cloud, and `headrace job medallion` on them."""

import asyncio
import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from deploy.local.resources import ensure_resources
from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaClient
from headrace.clock import SystemClock
from headrace.quarantine import Envelope, from_jsonl_gz
from headrace.settings import load
from tests.integration.athena_lake import client

RAW = "raw/events/year=2026/month=04/day=12/hour=08/minute=00"
"""Later than all events, so that none is ahead of its arrival."""
GOLD = (
    "product_funnel",
    "hourly_revenue",
    "product_popularity",
    "category_daily_performance",
    "daily_user_activity",
)
Rows = list[tuple[Any, ...]]


def event(number: int, day: str = "2026-04-09", **more: Any) -> dict[str, Any]:
    """One event, a purchase every third time."""
    kind = ("page_view", "add_to_cart", "purchase")[number % 3]
    return {
        "event_id": f"e{number}", "session_id": f"s{number % 4}", "user_id": f"u{number % 3}", "event_type": kind,
        "timestamp": f"{day}T08:{number % 60:02}:00Z", "product_id": f"p{number % 2}", "category": "toys",
        "price": 2.5, "quantity": number % 5,
    } | more  # fmt: skip


def lines(events: Iterable[Any]) -> bytes:
    """JSON lines, gzipped."""
    return gzip.compress(b"".join(msgspec.json.encode(each) + b"\n" for each in events), mtime=0)


class Shop:
    """Where one test's events go, and what becomes of them."""

    def __init__(self, ministack_url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        name = uuid4().hex[:12]
        for variable in (
            "KINESIS_STREAM_NAME", "S3_BUCKET", "HEADRACE_PARTITION_QUEUE",
            "HEADRACE_CONTROL_TABLE", "HEADRACE_COUNTERS_TABLE", "HEADRACE_STATE_TABLE",
        ):  # fmt: skip
            monkeypatch.setenv(variable, f"{variable.lower().replace('_', '-')}-{name}")
        monkeypatch.setenv("ATHENA_DATABASE", f"shop_{name}")
        self.settings = load()
        self._s3 = client("s3", ministack_url)
        self._glue = client("glue", ministack_url)
        self._no_data = str(folder / "none")
        asyncio.run(self._create())

    def put(self, key: str, body: bytes) -> str:
        """Write an object; returns its key."""
        self._s3.put_object(Bucket=self.settings.bucket, Key=key, Body=body)
        return key

    def raw(self, name: str, *events: Mapping[str, Any]) -> str:
        """Write a file of bronze: `name` is below the folder of one minute, unless it is a whole key."""
        key = name if name.startswith("raw/") else f"{RAW}/{name}"
        return self.put(key, lines(events))

    def delete(self, key: str) -> None:
        self._s3.delete_object(Bucket=self.settings.bucket, Key=key)

    def keys(self, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.settings.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def job(self, *args: str) -> Result:
        """`headrace job medallion …`."""
        return CliRunner().invoke(app, ["job", "medallion", *args, "--data", self._no_data])

    def run(self, *args: str) -> str:
        """The same, when it has to end well; what it said."""
        result = self.job(*args)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    def ask(self, sql: str) -> Rows:
        """Rows of a statement through the Athena endpoint."""
        return asyncio.run(self._ask([sql]))[0]

    def gold(self) -> dict[str, Rows]:
        """All tables of gold, rows in order."""
        found = asyncio.run(self._ask([f"SELECT * FROM {table}" for table in GOLD]))
        return {table: sorted(rows, key=repr) for table, rows in zip(GOLD, found, strict=True)}

    def days(self) -> dict[str, str]:
        """Where each day of silver is."""
        pages = self._glue.get_paginator("get_partitions").paginate(
            DatabaseName=self.settings.database, TableName="silver_events"
        )
        found = [partition for page in pages for partition in page["Partitions"]]
        return {partition["Values"][0]: partition["StorageDescriptor"]["Location"] for partition in found}

    def silver(self) -> dict[str, list[dict[str, Any]]]:
        """All rows by day, in order of id, as they are in the files."""
        place = f"s3://{self.settings.bucket}/"
        return {
            day: sorted(
                [row for key in self.keys(location.removeprefix(place)) for row in self._rows(key)],
                key=lambda row: (str(row["event_id"]), repr(row)),
            )
            for day, location in self.days().items()
        }

    def ids(self) -> list[str]:
        """Of all rows of silver."""
        return sorted(row["event_id"] for rows in self.silver().values() for row in rows)

    def dead_letters(self) -> list[Envelope]:
        keys = self.keys("failed_transformation_records/")
        found = [letter for key in keys for letter in from_jsonl_gz(self._get(key))]
        return sorted(found, key=lambda letter: letter.position)

    def manifests(self) -> list[str]:
        """Keys, one for each decided run."""
        return [key for key in self.keys("_runs/medallion/") if key.endswith(".json") and key.count("/") == 2]

    def _rows(self, key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(self._get(key))).to_pylist()
        return rows

    def _get(self, key: str) -> bytes:
        return bytes(self._s3.get_object(Bucket=self.settings.bucket, Key=key)["Body"].read())

    async def _create(self) -> None:
        async with AwsSession(self.settings.region) as aws:
            await ensure_resources(aws, self.settings, shards=1)

    async def _ask(self, statements: Sequence[str]) -> list[Rows]:
        async with AwsSession(self.settings.region) as aws:
            athena = AthenaClient(
                await aws.client("athena"),
                clock=SystemClock(), workgroup=self.settings.workgroup, output=self.settings.athena_output_url,
                database=self.settings.database,
            )  # fmt: skip
            return [[tuple(row) for row in (await athena.query(sql)).rows] for sql in statements]
