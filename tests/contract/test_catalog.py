"""What every catalogue promises, in memory and through the local Athena endpoint."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from uuid import uuid4

import pytest

from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.catalog.memory import MemoryCatalog, MemoryTable
from headrace.catalog.ports import Catalog
from headrace.clock import SystemClock
from headrace.errors import ConfigError, RequestError
from headrace.events.schema import COLUMNS, PARTITION_KEYS, Column, Kind
from headrace.lake.layout import HourPartition

MIDNIGHT = HourPartition("2026", "04", "09", "00")
NOON = HourPartition("2026", "04", "09", "12")


@contextlib.asynccontextmanager
async def fresh_bucket() -> AsyncIterator[tuple[AwsSession, str]]:
    bucket = f"catalog-{uuid4().hex}"
    async with AwsSession("us-east-1") as aws:
        await (await aws.client("s3")).create_bucket(Bucket=bucket)
        yield aws, bucket


Make = Callable[[Sequence[Column]], Catalog]
"""A catalogue of the same table with these columns in its schema."""


@pytest.fixture(params=["memory", "athena"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    if request.param == "memory":
        yield partial(MemoryCatalog, MemoryTable())
        return
    request.getfixturevalue("athena_environment")
    database = f"contract_{uuid4().hex}"
    async with fresh_bucket() as (aws, bucket):
        athena = AthenaClient(
            await aws.client("athena"),
            clock=SystemClock(),
            workgroup="headrace",
            output=f"s3://{bucket}/athena_output/",
        )

        def with_columns(columns: Sequence[Column]) -> Catalog:
            return AthenaCatalog(athena, EventsTable(database=database, name="events", bucket=bucket, columns=columns))

        yield with_columns


@pytest.fixture
def catalog(make: Make) -> Catalog:
    return make(COLUMNS)


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


async def test_a_dropped_partition_is_gone_and_can_come_back(catalog: Catalog) -> None:
    await catalog.ensure_table()
    await catalog.add_partitions([MIDNIGHT, NOON])
    await catalog.drop_partitions([MIDNIGHT])
    assert await catalog.partitions() == {NOON}
    await catalog.drop_partitions([MIDNIGHT])
    await catalog.drop_partitions([])
    await catalog.add_partitions([MIDNIGHT])
    assert await catalog.partitions() == {MIDNIGHT, NOON}


async def test_more_than_one_statement_of_partitions_is_dropped(catalog: Catalog) -> None:
    hours = [HourPartition.of_hour(490_000 + n) for n in range(130)]
    await catalog.ensure_table()
    await catalog.add_partitions([*hours, MIDNIGHT])
    await catalog.drop_partitions(hours)
    assert await catalog.partitions() == {MIDNIGHT}


async def test_a_new_table_has_the_schemas_columns_and_then_its_keys(catalog: Catalog) -> None:
    await catalog.ensure_table()
    expected = [*((it.name, str(it.kind)) for it in COLUMNS), *((key, "string") for key in PARTITION_KEYS)]
    assert list((await catalog.columns()).items()) == expected


async def test_a_table_of_an_older_schema_gets_the_columns_it_lacks_and_keeps_its_partitions(make: Make) -> None:
    older = make([*COLUMNS[:5], *COLUMNS[7:]])
    await older.ensure_table()
    await older.add_partitions([MIDNIGHT])
    catalog = make(COLUMNS)
    await catalog.ensure_table()
    names = [it.name for it in (*COLUMNS[:5], *COLUMNS[7:], *COLUMNS[5:7])]
    assert list(await catalog.columns()) == [*names, *PARTITION_KEYS]
    assert await catalog.partitions() == {MIDNIGHT}
    await catalog.ensure_table()
    assert len(await catalog.columns()) == len(COLUMNS) + len(PARTITION_KEYS)


async def test_a_column_that_the_schema_does_not_know_stays(make: Make) -> None:
    await make([*COLUMNS, Column("colour", Kind.STRING, "of a newer version")]).ensure_table()
    catalog = make(COLUMNS)
    await catalog.ensure_table()
    assert (await catalog.columns())["colour"] == "string"


async def test_a_column_of_another_type_is_told_and_nothing_is_changed(make: Make) -> None:
    odd = [it._replace(kind=Kind.STRING) if it.name == "price" else it for it in COLUMNS if it.name != "rating"]
    await make(odd).ensure_table()
    catalog = make(COLUMNS)
    with pytest.raises(ConfigError, match=r"column price of .* is string, the schema says decimal\(18,4\)"):
        await catalog.ensure_table()
    there = await catalog.columns()
    assert there["price"] == "string"
    assert "rating" not in there


async def test_without_a_table_there_is_nothing_to_add_to_or_to_show(catalog: Catalog) -> None:
    with pytest.raises(RequestError):
        await catalog.add_partitions([MIDNIGHT])
    with pytest.raises(RequestError):
        await catalog.drop_partitions([MIDNIGHT])
    with pytest.raises(RequestError):
        await catalog.partitions()
    with pytest.raises(RequestError):
        await catalog.columns()


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
