"""`TableCatalog` in AWS Glue, whose API moves many partitions in one call; views by Athena, whose format they have."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from headrace.aws.faults import aws_errors, classify
from headrace.aws.retry import retry
from headrace.catalog.athena import DDL_SECONDS, AthenaClient
from headrace.catalog.ddl import identifier
from headrace.catalog.glue_items import found_partition, found_table, partition_input, table_input
from headrace.catalog.tables import Found, Table, Values
from headrace.concurrency import for_each
from headrace.errors import ConflictError, NotFoundError, UnavailableError

T = TypeVar("T")

BATCH = 100
"""Partitions of one BatchCreatePartition or BatchUpdatePartition: Glue's limit for both."""
PAGE = 1000
"""Partitions of one GetPartitions: Glue's limit."""
CONCURRENCY = 4
"""Calls under way at once."""

_THERE = "AlreadyExistsException"
_MISSING = "EntityNotFoundException"

Call = Callable[..., Awaitable[Mapping[str, Any]]]


class GlueTables:
    """A database in Glue, over an aiobotocore client, which stays the caller's to close.

    IAM: glue:GetDatabase, CreateDatabase, GetTable, CreateTable, UpdateTable, GetPartitions, BatchCreatePartition,
    BatchUpdatePartition and DeletePartition, and what Athena needs for a CREATE VIEW.
    """

    def __init__(self, client: Any, athena: AthenaClient, database: str) -> None:
        self._client = client
        self._athena = athena
        self._database = database

    async def put_database(self) -> None:
        """See the port. Who may not create databases needs one that is there, and nothing else."""
        try:
            await _call(self._client.get_database, Name=self._database)
        except NotFoundError:
            with contextlib.suppress(ConflictError):  # somebody else did
                await _call(self._client.create_database, DatabaseInput={"Name": self._database})

    async def find(self, name: str) -> Found | None:
        """See the port."""
        try:
            answer = await self._on(self._client.get_table, Name=name)
        except NotFoundError:
            return None
        return found_table(answer["Table"])

    async def put_table(self, table: Table, found: Found | None) -> None:
        """See the port. Glue keeps no older version of it: a table that moves each hour would use up their number."""
        if found is None:
            await self._on(self._client.create_table, TableInput=table_input(table, {}))
            return
        kept = {} if found.table is None else found.table.parameters
        await self._on(
            self._client.update_table, TableInput=table_input(table, kept), VersionId=found.version, SkipArchive=True
        )

    async def partitions(self, table: str) -> dict[Values, str]:
        """See the port."""
        there: dict[Values, str] = {}
        more: dict[str, str] = {}
        while True:
            page = await self._on(
                self._client.get_partitions, TableName=table, ExcludeColumnSchema=True, MaxResults=PAGE, **more
            )
            there.update(map(found_partition, page["Partitions"]))
            if not page.get("NextToken"):
                return there
            more = {"NextToken": page["NextToken"]}

    async def add_partitions(self, table: Table, locations: Mapping[Values, str]) -> None:
        """See the port."""
        await self._each_batch(partial(self._create, table), locations)

    async def move_partitions(self, table: Table, locations: Mapping[Values, str]) -> None:
        """See the port. What is there takes one call for 100, what is not there two."""
        await self._each_batch(partial(self._move, table), locations)

    async def drop_partitions(self, table: str, values: Iterable[Values]) -> None:
        """See the port. One by one: there are few, and the local cloud knows no BatchDeletePartition."""

        async def drop(one: Values) -> None:
            try:
                await self._on(self._client.delete_partition, TableName=table, PartitionValues=list(one))
            except NotFoundError:
                return

        await for_each(values, drop, limit=CONCURRENCY)

    async def put_view(self, name: str, query: str) -> None:
        """See the port."""
        where = ".".join(identifier(part).replace("`", '"') for part in (self._database, name))

        async def once() -> None:
            try:
                async with asyncio.timeout(DDL_SECONDS):
                    await self._athena.execute(f"CREATE OR REPLACE VIEW {where} AS\n{query}")
            except TimeoutError as error:
                raise UnavailableError(f"Athena did not make {where} within {DDL_SECONDS:g} s") from error

        await retry(once)

    async def _move(self, table: Table, locations: Mapping[Values, str]) -> None:
        entries = [
            {"PartitionValueList": list(values), "PartitionInput": partition_input(table, values, location)}
            for values, location in locations.items()
        ]
        update = partial(self._client.batch_update_partition, TableName=table.name, Entries=entries)
        missing = await self._batch(update, "PartitionValueList", _MISSING)
        if not missing:
            return
        taken = await self._create(table, {values: locations[values] for values in missing})
        if taken:  # since then: by somebody else, or by a call of ours whose answer was lost
            await self._move(table, {values: locations[values] for values in taken})

    async def _create(self, table: Table, locations: Mapping[Values, str]) -> set[Values]:
        """Register what is not there → those that are."""
        inputs = [partition_input(table, values, location) for values, location in locations.items()]
        create = partial(self._client.batch_create_partition, TableName=table.name, PartitionInputList=inputs)
        return await self._batch(create, "PartitionValues", _THERE)

    async def _batch(self, operation: Call, key: str, tolerated: str) -> set[Values]:
        """A call that may fail for some partitions → those that failed by the code `tolerated`."""

        async def once() -> set[Values]:
            with aws_errors():
                answer = await operation(DatabaseName=self._database)
            return _refused(answer.get("Errors", ()), key, tolerated)

        return await retry(once)

    async def _on(self, operation: Call, **arguments: Any) -> Mapping[str, Any]:
        return await _call(operation, DatabaseName=self._database, **arguments)

    @staticmethod
    async def _each_batch(
        work: Callable[[Mapping[Values, str]], Awaitable[object]], locations: Mapping[Values, str]
    ) -> None:
        items = sorted(locations.items())
        batches = (dict(items[start : start + BATCH]) for start in range(0, len(items), BATCH))
        await for_each(batches, work, limit=CONCURRENCY)


def _refused(errors: Collection[Mapping[str, Any]], key: str, tolerated: str) -> set[Values]:
    """Partitions that were refused by one code. Raises for the first that was refused by another one."""
    refused: set[Values] = set()
    for error in errors:
        values, detail = tuple(error[key]), error["ErrorDetail"]
        if detail["ErrorCode"] != tolerated:
            message = f"partition {'/'.join(values)}: {detail.get('ErrorMessage', '')}"
            raise classify(detail["ErrorCode"], HTTPStatus.BAD_REQUEST, message)
        refused.add(values)
    return refused


async def _call(operation: Call, **arguments: Any) -> Mapping[str, Any]:
    async def once() -> Mapping[str, Any]:
        with aws_errors():
            return await operation(**arguments)

    return await retry(once)
