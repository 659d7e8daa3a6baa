"""What every catalogue promises, in memory and through the local Athena endpoint."""

import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.catalog.memory import MemoryCatalog
from headrace.catalog.ports import Catalog
from headrace.clock import SystemClock
from headrace.errors import RequestError
from headrace.events.schema import COLUMNS, PARTITION_KEYS
from headrace.lake.layout import HourPartition

MIDNIGHT = HourPartition("2026", "04", "09", "00")
NOON = HourPartition("2026", "04", "09", "12")


@contextlib.asynccontextmanager
async def fresh_bucket() -> AsyncIterator[tuple[AwsSession, str]]:
    bucket = f"catalog-{uuid4().hex}"
    async with AwsSession("us-east-1") as aws:
        await (await aws.client("s3")).create_bucket(Bucket=bucket)
        yield aws, bucket


@pytest.fixture(params=["memory", "athena"])
async def catalog(request: pytest.FixtureRequest) -> AsyncIterator[Catalog]:
    if request.param == "memory":
        yield MemoryCatalog()
        return
    request.getfixturevalue("athena_environment")
    async with fresh_bucket() as (aws, bucket):
        yield AthenaCatalog(
            AthenaClient(
                await aws.client("athena"),
                clock=SystemClock(),
                workgroup="headrace",
                output=f"s3://{bucket}/athena_output/",
            ),
            EventsTable(database=f"contract_{uuid4().hex}", name="events", bucket=bucket),
        )


async def test_a_new_table_has_no_partitions(catalog: Catalog) -> None:
    await catalog.ensure_table()
    assert await catalog.partitions() == set()


async def test_what_was_added_is_there(catalog: Catalog) -> None:
    await catalog.ensure_table()
    await catalog.add_partitions([NOON, MIDNIGHT])
    assert await catalog.partitions() == {MIDNIGHT, NOON}


async def test_adding_again_changes_nothing(catalog: Catalog) -> None:
    await catalog.ensure_table()
    await catalog.add_partitions([MIDNIGHT])
    await catalog.add_partitions([MIDNIGHT, NOON, NOON])
    assert await catalog.partitions() == {MIDNIGHT, NOON}


async def test_adding_none_is_no_error(catalog: Catalog) -> None:
    await catalog.ensure_table()
    await catalog.add_partitions([])
    assert await catalog.partitions() == set()


async def test_ensuring_the_table_again_keeps_its_partitions(catalog: Catalog) -> None:
    await catalog.ensure_table()
    await catalog.add_partitions([MIDNIGHT])
    await catalog.ensure_table()
    assert await catalog.partitions() == {MIDNIGHT}


async def test_more_than_one_statement_of_partitions_is_added(catalog: Catalog) -> None:
    hours = [HourPartition.of_hour(490_000 + n) for n in range(130)]
    await catalog.ensure_table()
    await catalog.add_partitions(hours)
    assert await catalog.partitions() == set(hours)


async def test_without_a_table_there_is_nothing_to_add_to_or_to_show(catalog: Catalog) -> None:
    with pytest.raises(RequestError):
        await catalog.add_partitions([MIDNIGHT])
    with pytest.raises(RequestError):
        await catalog.partitions()


async def test_athena_describes_the_table_as_the_schema_does(athena_environment: str) -> None:
    database = f"contract_{uuid4().hex}"
    async with fresh_bucket() as (aws, bucket):
        athena = AthenaClient(
            await aws.client("athena"), clock=SystemClock(), workgroup="headrace", output=f"s3://{bucket}/out/"
        )
        await AthenaCatalog(athena, EventsTable(database=database, name="events", bucket=bucket)).ensure_table()
        created = (await (await aws.client("glue")).get_table(DatabaseName=database, Name="events"))["Table"]
        counted = await athena.query(f"SELECT count(*) AS n FROM {database}.events")
    columns = created["StorageDescriptor"]["Columns"]
    assert [(column["Name"], column["Type"]) for column in columns] == [(c.name, str(c.kind)) for c in COLUMNS]
    assert [column["Comment"] for column in columns] == [c.about for c in COLUMNS]
    assert [(key["Name"], key["Type"]) for key in created["PartitionKeys"]] == [(k, "string") for k in PARTITION_KEYS]
    assert created["StorageDescriptor"]["Location"].rstrip("/") == f"s3://{bucket}/events"
    assert counted.rows == [(0,)]
