"""`headrace query` as a user types it, against the local Athena endpoint."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest

from deploy.local.emulator import CREDENTIALS
from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.catalog.results import Row
from headrace.clock import SystemClock
from headrace.events.arrow import EVENT_SCHEMA
from headrace.lake.layout import HourPartition, event_object
from headrace.lake.parquet import encode
from headrace.lake.s3 import S3Store
from headrace.settings import Settings, load
from headrace.sql import loader

HOUR = HourPartition("2026", "04", "09", "00")
ROWS = [
    {"event_type": "page_view", "session_id": "s1", "user_id": "u1", "product_id": "p1", "category": "shoes"},
    {"event_type": "page_view", "session_id": "s2", "user_id": "u1", "product_id": "p1", "category": "shoes"},
    {"event_type": "page_view", "session_id": "s2", "user_id": "u1", "product_id": "p'2", "category": "hats"},
    {"event_type": "purchase", "session_id": "s2", "user_id": "u1", "product_id": "p1", "quantity": 3},
]


@pytest.fixture(scope="module")
def places(ministack_url: str, athena_url: str) -> dict[str, str]:
    """A bucket and a table of their own with one registered hour; what the environment must say to use them."""
    name = f"query-{uuid4().hex[:12]}"
    environment = {
        **CREDENTIALS,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": ministack_url,
        "AWS_ENDPOINT_URL_ATHENA": athena_url,
        "S3_BUCKET": name,
        "ATHENA_DATABASE": name.replace("-", "_"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        asyncio.run(fill(load()))
    return environment


@pytest.fixture
def shop(athena_environment: str, places: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for variable, value in places.items():
        monkeypatch.setenv(variable, value)
    return load()


async def fill(settings: Settings) -> None:
    async with AwsSession("us-east-1") as aws:
        s3 = await aws.client("s3")
        await s3.create_bucket(Bucket=settings.bucket)
        body = encode(pa.Table.from_pylist(ROWS, schema=EVENT_SCHEMA))
        await S3Store(s3, settings.bucket).put(event_object(HOUR, "4f1c", "shardId-000000000000", 1, 0), body)
        catalog = AthenaCatalog(
            await athena_of(aws, settings),
            EventsTable(database=settings.database, name=settings.table, bucket=settings.bucket),
        )
        await catalog.ensure_table()
        await catalog.add_partitions([HOUR])


def headrace_query(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    program = "from cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "query", "--data", str(folder / "none"), *args],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_statement_prints_typed_rows_on_stdout_and_what_it_cost_on_stderr(shop: Settings, tmp_path: Path) -> None:
    ran = headrace_query(
        tmp_path, "SELECT event_type, count(*) AS n FROM events GROUP BY 1 ORDER BY 2 DESC", "--format", "json"
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [{"event_type": "page_view", "n": 3}, {"event_type": "purchase", "n": 1}]
    assert ran.stderr.startswith("2 rows · ")
    assert " scanned · " in ran.stderr


def test_a_named_query_takes_its_parameters(shop: Settings, tmp_path: Path) -> None:
    args = ["--name", "top_products", "--from", "2026-04-09", "--to", "2026-04-09", "--param", "limit=1"]
    ran = headrace_query(tmp_path, *args, "--format", "csv")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["product_id,views,add_to_carts,purchases,quantity", "p1,2,0,1,3"]


def test_a_failed_statement_ends_with_1_and_its_reason_on_stderr(shop: Settings, tmp_path: Path) -> None:
    ran = headrace_query(tmp_path, "SELECT colour FROM events")
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert "colour" in ran.stderr


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("events_by_type", [("page_view", 3, 2, 1), ("purchase", 1, 1, 1)]),
        ("events_by_hour", [("2026-04-09", "00", 4, 2, 1)]),
        ("top_products", [("p1", 2, 0, 1, 3), ("p'2", 1, 0, 0, 0)]),
    ],
)
def test_a_named_query_counts_the_days_it_is_given(shop: Settings, name: str, rows: list[Row]) -> None:
    assert asyncio.run(ask(shop, loader.load(name).render({}))) == rows
    assert asyncio.run(ask(shop, loader.load(name).render({"from": "2026-04-09", "to": "2026-04-09"}))) == rows
    assert asyncio.run(ask(shop, loader.load(name).render({"to": "2026-04-08"}))) == []


def test_a_value_with_quotes_and_backslashes_stays_a_value(shop: Settings) -> None:
    text = "'; DROP TABLE events; --\\' \\"
    assert asyncio.run(ask(shop, f"SELECT {loader.literal(loader.ParameterType.STRING, text)} AS x")) == [(text,)]


async def ask(settings: Settings, statement: str) -> list[Row]:
    async with AwsSession("us-east-1") as aws:
        return list((await (await athena_of(aws, settings)).query(statement)).rows)


async def athena_of(aws: AwsSession, settings: Settings) -> AthenaClient:
    return AthenaClient(
        await aws.client("athena"),
        clock=SystemClock(),
        workgroup=settings.workgroup,
        output=settings.athena_output_url,
        database=settings.database,
    )
