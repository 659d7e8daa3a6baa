"""What every catalogue of tables promises: in memory, and in Glue with views by the local Athena."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaClient
from headrace.catalog.glue import GlueTables
from headrace.catalog.memory_tables import MemoryTables
from headrace.catalog.tables import Format, Found, Table, TableCatalog, TableColumn, differs
from headrace.clock import SystemClock
from headrace.errors import ConfigError, ConflictError, NotFoundError

COLUMNS = (TableColumn("n", "bigint", "How many"), TableColumn("price", "decimal(18,4)", "Of one"))
DAY = TableColumn("event_date", "date", "The day")


@pytest.fixture(params=["memory", "glue"])
async def catalog(request: pytest.FixtureRequest) -> AsyncIterator[TableCatalog]:
    if request.param == "memory":
        yield MemoryTables()
        return
    request.getfixturevalue("athena_environment")
    async with AwsSession("us-east-1") as aws:
        bucket = f"tables-{uuid4().hex}"
        await (await aws.client("s3")).create_bucket(Bucket=bucket)
        yield await glue(aws, f"tables_{uuid4().hex}", bucket)


async def glue(aws: AwsSession, database: str, bucket: str) -> GlueTables:
    athena = AthenaClient(
        await aws.client("athena"), clock=SystemClock(), workgroup="headrace", output=f"s3://{bucket}/athena_output/"
    )
    return GlueTables(await aws.client("glue"), athena, database)


def table(run: int = 1, **changes: Any) -> Table:
    wanted = Table(name="gold", columns=COLUMNS, location=f"s3://bucket/gold/run={run}/", about="Sums")
    return replace(wanted, **changes)


def days(count: int, run: int = 1) -> dict[tuple[str, ...], str]:
    first = date(2026, 4, 9)
    names = [str(first + timedelta(days=n)) for n in range(count)]
    return {(day,): f"s3://bucket/silver/event_date={day}/run={run}/" for day in names}


async def needed(catalog: TableCatalog, name: str = "gold") -> Found:
    found = await catalog.find(name)
    assert found is not None
    return found


@pytest.fixture
async def silver(catalog: TableCatalog) -> Table:
    await catalog.put_database()
    silver = table(name="silver", keys=[DAY], location="s3://bucket/silver/")
    await catalog.put_table(silver, None)
    return silver


async def test_a_database_can_be_put_again(catalog: TableCatalog) -> None:
    await catalog.put_database()
    await catalog.put_database()
    assert await catalog.find("gold") is None


async def test_without_the_database_there_is_nothing_to_find_and_nowhere_to_put(catalog: TableCatalog) -> None:
    assert await catalog.find("gold") is None
    with pytest.raises(NotFoundError):
        await catalog.put_table(table(), None)


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("keys", [(), (DAY,), (DAY, TableColumn("hour", "string"))])
async def test_a_table_is_found_as_it_was_put(
    catalog: TableCatalog,
    format: Format,  # noqa: A002 - a parameter's name
    keys: tuple[TableColumn, ...],
) -> None:
    await catalog.put_database()
    wanted = table(format=format, keys=keys, parameters={"parquet.compression": "ZSTD"})
    await catalog.put_table(wanted, None)
    found = await needed(catalog)
    assert not differs(wanted, found)
    assert found.table is not None
    assert (list(found.table.columns), list(found.table.keys)) == (list(COLUMNS), list(keys))
    assert (found.table.about, found.table.location) == ("Sums", "s3://bucket/gold/run=1/")
    assert found.table.parameters["parquet.compression"] == "ZSTD"


@pytest.mark.parametrize(
    "changes",
    [
        {"location": "s3://bucket/gold/run=2/"},
        {"columns": (*COLUMNS, TableColumn("rating", "double"))},
        {"columns": COLUMNS[:1]},
        {"columns": (COLUMNS[0], COLUMNS[1]._replace(kind="decimal(38,4)"))},
        {"columns": COLUMNS[::-1]},
        {"format": Format.JSON},
        {"parameters": {"parquet.compression": "ZSTD"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_table_that_differs_becomes_as_it_is_wanted(catalog: TableCatalog, changes: dict[str, Any]) -> None:
    await catalog.put_database()
    await catalog.put_table(table(), None)
    wanted, found = table(**changes), await needed(catalog)
    assert differs(wanted, found)
    await catalog.put_table(wanted, found)
    found = await needed(catalog)
    assert not differs(wanted, found)
    assert not differs(replace(wanted, about="other words"), found)


async def test_a_change_keeps_partitions_and_parameters_of_others(catalog: TableCatalog, silver: Table) -> None:
    await catalog.put_table(replace(silver, parameters={"owner": "somebody"}), await needed(catalog, "silver"))
    await catalog.add_partitions(silver, days(2))
    wider = replace(silver, columns=(*COLUMNS, TableColumn("rating", "double")), parameters={"mine": "1"})
    await catalog.put_table(wider, await needed(catalog, "silver"))
    found = await needed(catalog, "silver")
    assert found.table is not None
    assert (found.table.parameters["owner"], found.table.parameters["mine"]) == ("somebody", "1")
    assert await catalog.partitions("silver") == days(2)


async def test_what_was_changed_or_made_since_it_was_looked_at_is_a_conflict(catalog: TableCatalog) -> None:
    await catalog.put_database()
    await catalog.put_table(table(), None)
    with pytest.raises(ConflictError):
        await catalog.put_table(table(2), None)
    seen = await needed(catalog)
    await catalog.put_table(table(2), seen)
    with pytest.raises(ConflictError):
        await catalog.put_table(table(3), seen)
    assert not differs(table(2), await needed(catalog))


async def test_other_partition_keys_take_another_table(catalog: TableCatalog, silver: Table) -> None:
    found = await needed(catalog, "silver")
    for keys in ((), (DAY._replace(kind="string"),), (DAY, TableColumn("hour", "string"))):
        with pytest.raises(ConfigError, match="silver is partitioned by event_date date, and not by"):
            differs(replace(silver, keys=keys), found)


async def test_partitions_are_added_once_and_stay_where_they_are(catalog: TableCatalog, silver: Table) -> None:
    assert await catalog.partitions("silver") == {}
    await catalog.add_partitions(silver, {})
    await catalog.add_partitions(silver, days(2))
    await catalog.add_partitions(silver, days(3, run=2))
    assert await catalog.partitions("silver") == days(3, run=2) | days(2)


async def test_partitions_are_moved_and_those_that_are_new_are_made(catalog: TableCatalog, silver: Table) -> None:
    await catalog.add_partitions(silver, days(2))
    await catalog.move_partitions(silver, {})
    for _ in range(2):
        await catalog.move_partitions(silver, days(3, run=2))
        assert await catalog.partitions("silver") == days(3, run=2)


async def test_any_number_of_partitions_is_added_moved_and_dropped(catalog: TableCatalog, silver: Table) -> None:
    await catalog.add_partitions(silver, days(210))
    await catalog.move_partitions(silver, days(230, run=2))
    assert await catalog.partitions("silver") == days(230, run=2)
    await catalog.drop_partitions("silver", days(228))
    assert await catalog.partitions("silver") == dict(sorted(days(230, run=2).items())[228:])


async def test_a_dropped_partition_is_gone_and_can_come_back(catalog: TableCatalog, silver: Table) -> None:
    await catalog.add_partitions(silver, days(2))
    for _ in range(2):
        await catalog.drop_partitions("silver", [("2026-04-09",), ("1999-01-01",)])
        assert list(await catalog.partitions("silver")) == [("2026-04-10",)]
    await catalog.add_partitions(silver, days(1, run=7))
    assert await catalog.partitions("silver") == days(2) | days(1, run=7)


async def test_values_with_odd_characters_are_kept(catalog: TableCatalog, silver: Table) -> None:
    odd = {("ä b=c/d%",): "s3://bucket/silver/event_date=%C3%A4 b/"}
    await catalog.move_partitions(silver, odd)
    assert await catalog.partitions("silver") == odd


async def test_a_view_is_put_and_replaced_and_is_no_table(catalog: TableCatalog) -> None:
    await catalog.put_database()
    await catalog.put_view("answers", "SELECT 1 AS one")
    await catalog.put_view("answers", "SELECT 2 AS two, 'x' AS word")
    found = await needed(catalog, "answers")
    with pytest.raises(ConfigError, match="answers is a view"):
        differs(table(name="answers"), found)
