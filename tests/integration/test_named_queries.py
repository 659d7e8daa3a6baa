"""What the named queries of streamed events read: the bytes that the endpoint says it scanned, by span of days."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pyarrow as pa
import pytest

from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.clock import SystemClock
from headrace.events.arrow import EVENT_SCHEMA
from headrace.lake.layout import HourPartition, event_object
from headrace.lake.parquet import encode
from headrace.lake.s3 import S3Store
from headrace.sql import loader

DAYS = [("2025", "04", "09"), ("2026", "03", "31"), ("2026", "04", "09"), ("2026", "04", "10")]
ROW = {"event_type": "page_view", "session_id": "s1", "user_id": "u1", "product_id": "p1", "category": "shoes"}


@pytest.fixture
async def clicks(athena_environment: str) -> AsyncIterator[AthenaClient]:
    """A table of another name than the default, with equal objects on four days."""
    name = f"named-{uuid4().hex[:12]}"
    table = EventsTable(database=name.replace("-", "_"), name="clicks", bucket=name)
    async with AwsSession("us-east-1") as aws:
        s3 = await aws.client("s3")
        await s3.create_bucket(Bucket=name)
        hours = [HourPartition(*day, "00") for day in DAYS]
        for hour in hours:
            body = encode(pa.Table.from_pylist([ROW], schema=EVENT_SCHEMA))
            await S3Store(s3, name).put(event_object(hour, "4f1c", "shardId-000000000000", 1, 0), body)
        athena = AthenaClient(
            await aws.client("athena"),
            clock=SystemClock(),
            workgroup="headrace",
            output=f"s3://{name}/athena_output/",
            database=table.database,
        )
        catalog = AthenaCatalog(athena, table)
        await catalog.ensure_table()
        await catalog.add_partitions(hours)
        yield athena


@pytest.mark.parametrize("name", [name for name in loader.names() if ":days" in loader.load(name).text])
async def test_a_span_of_days_scans_the_partitions_of_its_days_and_no_others(clicks: AthenaClient, name: str) -> None:
    async def scanned(first: str, last: str) -> int:
        statement = loader.load(name).render({"from": first, "to": last}, table="clicks")
        return (await clicks.query(statement)).execution.scanned_bytes

    one = await scanned("2026-04-09", "2026-04-09")
    assert one > 0
    assert await scanned("1970-01-01", "9999-12-31") == 4 * one
    assert await scanned("2026-04-09", "2026-04-10") == 2 * one
    assert await scanned("2026-01-01", "2026-12-31") == 3 * one
    assert await scanned("2025-01-01", "2025-12-31") == one
    assert await scanned("2026-04-11", "2026-05-31") == 0
    assert await scanned("2026-03-31", "2026-04-09") == 2 * one
