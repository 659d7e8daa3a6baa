"""Athena: statements through its API, and the catalogue of partitions on top.

Works the same against AWS and the local endpoint; which one is the AWS SDK's business (`AWS_ENDPOINT_URL_ATHENA`).
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from headrace.aws.faults import aws_errors
from headrace.aws.retry import retry
from headrace.catalog import ddl
from headrace.catalog.growth import described_columns, missing_columns
from headrace.catalog.results import (
    Execution,
    QueryResult,
    Row,
    cells_of,
    columns_of,
    typed,
    without_labels,
)
from headrace.clock import Clock
from headrace.concurrency import for_each
from headrace.errors import HeadraceError, RequestError, ThrottledError, UnavailableError
from headrace.lake.layout import EVENTS, HourPartition, partition_of

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 1.0
WAIT_GROWTH = 1.6
"""Waits between two looks at a running statement: the local endpoint needs milliseconds, Athena a second or more."""

STOP_SECONDS = 5.0
"""How long a cancelled caller waits for Athena to take note."""

DDL_SECONDS = 60.0
"""Longest life of a DDL statement. Shorter than a drain, so that a stuck one cannot outlast it."""

DDL_CONCURRENCY = 4
"""Statements under way at once. Athena allows 20 for an account and a region, queued ones included."""

_THROTTLED = re.compile(r"ThrottlingException|TooManyRequests|Rate exceeded", re.IGNORECASE)
"""In the reason of a failed statement: Athena hands on what its catalogue said to it."""

_SYSTEM_FAULT = 1
"""`AthenaError.ErrorCategory` of a failure on Athena's side; 2 is the user's, 3 another one."""


class AthenaClient:
    """Runs statements over an aiobotocore Athena client, which stays the caller's to close.

    `output` is an s3:// URL. Without `database` every name in a statement must be qualified.
    """

    def __init__(self, client: Any, *, clock: Clock, workgroup: str, output: str, database: str | None = None) -> None:
        self._client = client
        self._clock = clock
        self._workgroup = workgroup
        self._where: dict[str, Any] = {"WorkGroup": workgroup, "ResultConfiguration": {"OutputLocation": output}}
        if database is not None:
            self._where["QueryExecutionContext"] = {"Database": database}

    async def execute(self, sql: str) -> Execution:
        """Run a statement to its end. A cancelled caller stops the statement, too.

        Raises `RequestError` with Athena's reason when it failed, `UnavailableError` when it may succeed if repeated.
        """
        token = uuid4().hex  # Athena answers a repeated start with the statement it knows by this token
        started = await self._call(
            lambda: self._client.start_query_execution(QueryString=sql, ClientRequestToken=token, **self._where)
        )
        query_id: str = started["QueryExecutionId"]
        try:
            return await self._finish(query_id)
        except asyncio.CancelledError:
            await self._stop(query_id)
            raise

    async def query(self, sql: str) -> QueryResult:
        """Run a statement and read all of its rows. Raises as `execute` does."""
        execution = await self.execute(sql)
        page = await self._page(execution.query_id)
        columns = columns_of(page)
        rows: list[Row] = typed(columns, without_labels(columns, cells_of(page)))
        while token := page.get("NextToken"):
            page = await self._page(execution.query_id, NextToken=token)
            rows += typed(columns, cells_of(page))
        return QueryResult(execution=execution, columns=columns, rows=rows)

    async def check(self) -> None:
        """Raise a `HeadraceError` when Athena or the workgroup does not answer."""
        with aws_errors():
            await self._client.get_work_group(WorkGroup=self._workgroup)

    async def _finish(self, query_id: str) -> Execution:
        wait = FIRST_WAIT_SECONDS
        while True:
            response = await self._call(lambda: self._client.get_query_execution(QueryExecutionId=query_id))
            execution = response["QueryExecution"]
            match execution["Status"]["State"]:
                case "SUCCEEDED":
                    return _execution(execution)
                case "FAILED" | "CANCELLED":
                    raise _failure(execution["Status"])
            await self._clock.sleep(wait)
            wait = min(wait * WAIT_GROWTH, LONGEST_WAIT_SECONDS)

    async def _stop(self, query_id: str) -> None:
        with contextlib.suppress(HeadraceError, TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._call(lambda: self._client.stop_query_execution(QueryExecutionId=query_id))

    async def _page(self, query_id: str, **more: str) -> Any:
        return await self._call(lambda: self._client.get_query_results(QueryExecutionId=query_id, **more))

    @staticmethod
    async def _call(call: Callable[[], Awaitable[T]]) -> T:
        async def once() -> T:
            with aws_errors():
                return await call()

        return await retry(once)


class AthenaCatalog:
    """`Catalog` by DDL alone: no permission on Glue's own API is needed.

    At most `concurrency` statements are under way at once, whoever calls. What takes longer than `within` seconds is
    stopped and raises `UnavailableError`.
    """

    def __init__(
        self,
        athena: AthenaClient,
        table: ddl.EventsTable,
        *,
        within: float = DDL_SECONDS,
        concurrency: int = DDL_CONCURRENCY,
    ) -> None:
        self._athena = athena
        self._table = table
        self._within = within
        self._concurrency = concurrency
        self._places = asyncio.Semaphore(concurrency)

    async def ensure_table(self) -> None:
        """Create database and table when they are missing, and add the columns that the table lacks.

        Raises `ConfigError` for columns of another type, as the port says.
        """
        await self._bounded(self._athena.execute, ddl.create_database_sql(self._table.database))
        await self._bounded(self._athena.execute, ddl.create_table_sql(self._table))
        name = f"{self._table.database}.{self._table.name}"
        if new := missing_columns(name, await self.columns(), self._table.columns):
            await self._bounded(self._athena.execute, ddl.add_columns_sql(self._table, new))

    async def columns(self) -> dict[str, str]:
        """Columns and partition keys as they are now."""
        result = await self._bounded(self._athena.query, ddl.describe_sql(self._table))
        return described_columns(["\t".join(str(cell or "") for cell in row) for row in result.rows])

    async def partitions(self) -> set[HourPartition]:
        """All partitions registered; those that are no hours are left out."""
        result = await self._bounded(self._athena.query, ddl.show_partitions_sql(self._table))
        found = (partition_of(f"{EVENTS}/{row[0]}/_") for row in result.rows if row)
        return {partition for partition in found if partition is not None}

    async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
        """Register partitions, some statements at once; those that are there already stay."""
        await self._each(ddl.add_partitions_sql(self._table, partitions))

    async def drop_partitions(self, partitions: Sequence[HourPartition]) -> None:
        """Forget partitions, some statements at once. The table is external: its objects stay."""
        await self._each(ddl.drop_partitions_sql(self._table, partitions))

    async def _each(self, statements: Iterable[str]) -> None:
        await for_each(statements, partial(self._bounded, self._athena.execute), limit=self._concurrency)

    async def _bounded(self, run: Callable[[str], Awaitable[T]], sql: str) -> T:
        try:
            async with self._places, asyncio.timeout(self._within):
                return await run(sql)
        except TimeoutError as error:
            raise UnavailableError(f"Athena did not finish within {self._within:g} s") from error


def _execution(execution: dict[str, Any]) -> Execution:
    statistics = execution.get("Statistics", {})
    millis = statistics.get("TotalExecutionTimeInMillis", statistics.get("EngineExecutionTimeInMillis", 0))
    return Execution(
        query_id=execution["QueryExecutionId"],
        scanned_bytes=statistics.get("DataScannedInBytes", 0),
        seconds=millis / 1000,
    )


def _failure(status: dict[str, Any]) -> HeadraceError:
    reason = status.get("StateChangeReason") or "no reason given"
    if status["State"] == "CANCELLED":
        return UnavailableError(f"the statement was cancelled: {reason}")
    details = status.get("AthenaError", {})
    if _THROTTLED.search(reason):
        return ThrottledError(reason)
    if details.get("Retryable") or details.get("ErrorCategory") == _SYSTEM_FAULT:
        return UnavailableError(reason)
    return RequestError(reason)
