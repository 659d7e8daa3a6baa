import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import stamina
from botocore.exceptions import ClientError

from headrace.catalog.athena import LONGEST_WAIT_SECONDS, AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.clock import ManualClock, SystemClock
from headrace.errors import RequestError, ThrottledError, UnavailableError
from headrace.lake.layout import HourPartition

SUCCEEDED = {"State": "SUCCEEDED"}
RUNNING = {"State": "RUNNING"}


class FakeAthena:
    """Answers as told: one status per look (the last one stays), one page of results per call."""

    def __init__(self, *statuses: dict[str, Any], pages: list[dict[str, Any]] | None = None) -> None:
        self.statuses = list(statuses) or [SUCCEEDED]
        self.pages = pages or [{"ResultSet": {}}]
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.looks = 0
        self.looked = asyncio.Event()
        self.failures: list[Exception] = []

    async def start_query_execution(self, **request: Any) -> dict[str, Any]:
        self.started.append(request)
        if self.failures:
            raise self.failures.pop(0)
        return {"QueryExecutionId": "q1"}

    async def get_query_execution(self, **request: Any) -> dict[str, Any]:
        assert request == {"QueryExecutionId": "q1"}
        self.looks += 1
        self.looked.set()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        statistics = {"DataScannedInBytes": 1234, "TotalExecutionTimeInMillis": 1500}
        return {"QueryExecution": {"QueryExecutionId": "q1", "Status": status, "Statistics": statistics}}

    async def get_query_results(self, **request: Any) -> dict[str, Any]:
        return self.pages[int(request.get("NextToken", 0))]

    async def stop_query_execution(self, **request: Any) -> dict[str, Any]:
        self.stopped.append(request["QueryExecutionId"])
        return {}


@pytest.fixture(autouse=True)
def no_back_off() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def client(fake: FakeAthena, clock: ManualClock | SystemClock | None = None) -> AthenaClient:
    return AthenaClient(
        fake, clock=clock or ManualClock(), workgroup="headrace", output="s3://b/athena_output/", database="headrace"
    )


def rows(*cells: tuple[str | None, ...]) -> list[dict[str, Any]]:
    return [{"Data": [{} if cell is None else {"VarCharValue": cell} for cell in row]} for row in cells]


async def test_a_statement_runs_in_its_workgroup_and_database_and_leaves_its_output_where_told() -> None:
    fake = FakeAthena()
    execution = await client(fake).execute("SELECT 1")
    [request] = fake.started
    assert request["QueryString"] == "SELECT 1"
    assert request["WorkGroup"] == "headrace"
    assert request["ResultConfiguration"] == {"OutputLocation": "s3://b/athena_output/"}
    assert request["QueryExecutionContext"] == {"Database": "headrace"}
    assert (execution.query_id, execution.scanned_bytes, execution.seconds) == ("q1", 1234, 1.5)


async def test_waiting_starts_short_and_grows_to_a_second() -> None:
    clock = ManualClock()
    fake = FakeAthena(*[RUNNING] * 20, SUCCEEDED)
    await client(fake, clock).execute("SELECT 1")
    assert fake.looks == 21
    assert 10 < clock.monotonic() < 20 * LONGEST_WAIT_SECONDS


async def test_a_failure_tells_athenas_reason() -> None:
    fake = FakeAthena(RUNNING, {"State": "FAILED", "StateChangeReason": "COLUMN_NOT_FOUND: line 1:8: 'x'"})
    with pytest.raises(RequestError, match="COLUMN_NOT_FOUND: line 1:8"):
        await client(fake).query("SELECT x")


@pytest.mark.parametrize("details", [{"Retryable": True}, {"ErrorCategory": 1}])
async def test_a_failure_on_athenas_side_may_be_retried(details: dict[str, Any]) -> None:
    fake = FakeAthena({"State": "FAILED", "StateChangeReason": "INTERNAL", "AthenaError": details})
    with pytest.raises(UnavailableError, match="INTERNAL"):
        await client(fake).execute("SELECT 1")


@pytest.mark.parametrize(
    "reason",
    [
        "FAILED: Execution Error, return code 1 from DDLTask. Rate exceeded (Service: AWSGlue; Status Code: 400)",
        "com.amazonaws.services.glue.model.AWSGlueException: (Error Code: ThrottlingException)",
    ],
)
async def test_a_catalogue_that_throttled_athena_may_be_asked_again(reason: str) -> None:
    with pytest.raises(ThrottledError, match=r"hrottling|Rate exceeded"):
        await client(FakeAthena({"State": "FAILED", "StateChangeReason": reason})).execute("SELECT 1")


async def test_a_throttled_start_is_repeated() -> None:
    fake = FakeAthena()
    refusal = {"Error": {"Code": "TooManyRequestsException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    fake.failures = [ClientError(refusal, "StartQueryExecution")] * 2  # type: ignore[arg-type]
    await client(fake).execute("SELECT 1")
    assert len(fake.started) == 3


async def test_a_statement_someone_else_cancelled_is_an_error() -> None:
    with pytest.raises(UnavailableError, match="was cancelled"):
        await client(FakeAthena({"State": "CANCELLED"})).execute("SELECT 1")


async def test_a_lost_answer_to_a_start_is_repeated_with_the_same_token() -> None:
    fake = FakeAthena()
    fake.failures = [OSError("connection reset")]
    await client(fake).execute("SELECT 1")
    first, second = fake.started
    assert first == second
    assert len(first["ClientRequestToken"]) == 32


async def test_a_refused_statement_is_not_repeated() -> None:
    fake = FakeAthena()
    refusal = {"Error": {"Code": "InvalidRequestException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    fake.failures = [ClientError(refusal, "StartQueryExecution")]  # type: ignore[arg-type]
    with pytest.raises(RequestError):
        await client(fake).execute("SELECT 1")
    assert len(fake.started) == 1


async def test_a_cancelled_caller_stops_the_statement() -> None:
    fake = FakeAthena(RUNNING)
    task = asyncio.create_task(client(fake, SystemClock()).execute("SELECT 1"))
    await fake.looked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fake.stopped == ["q1"]


async def test_all_pages_come_as_typed_rows_and_only_the_first_loses_its_labels() -> None:
    metadata = {"ColumnInfo": [{"Name": "t", "Type": "varchar"}, {"Name": "n", "Type": "bigint"}]}
    fake = FakeAthena(
        pages=[
            {"NextToken": "1", "ResultSet": {"ResultSetMetadata": metadata, "Rows": rows(("t", "n"), ("a", "1"))}},
            {"ResultSet": {"ResultSetMetadata": metadata, "Rows": rows(("t", "2"), (None, None))}},
        ]
    )
    result = await client(fake).query("SELECT t, n FROM x")
    assert result.rows == [("a", 1), ("t", 2), (None, None)]
    assert [column.name for column in result.columns] == ["t", "n"]
    assert result.execution.scanned_bytes == 1234


async def test_partitions_that_are_no_hours_are_left_out() -> None:
    names = [("year=2026/month=04/day=09/hour=00",), ("year=__HIVE_DEFAULT_PARTITION__/month=1/day=1/hour=1",), ()]
    catalog = AthenaCatalog(
        client(FakeAthena(pages=[{"ResultSet": {"Rows": rows(*names)}}])),
        EventsTable(database="headrace", name="events", bucket="b"),
    )
    assert await catalog.partitions() == {HourPartition("2026", "04", "09", "00")}


async def test_a_ddl_statement_that_never_ends_is_stopped() -> None:
    fake = FakeAthena(RUNNING)
    table = EventsTable(database="headrace", name="events", bucket="b")
    with pytest.raises(UnavailableError, match=r"did not finish within 0\.05 s"):
        await AthenaCatalog(client(fake), table, within=0.05).add_partitions([HourPartition("2026", "04", "09", "00")])
    assert fake.stopped == ["q1"]


class CrowdedAthena(FakeAthena):
    """Counts statements under way; each is done at the second look."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: dict[str, int] = {}
        self.most = 0

    async def start_query_execution(self, **request: Any) -> dict[str, Any]:
        self.started.append(request)
        self.under_way[query := f"q{len(self.started)}"] = 0
        self.most = max(self.most, len(self.under_way))
        return {"QueryExecutionId": query}

    async def get_query_execution(self, **request: Any) -> dict[str, Any]:
        query = request["QueryExecutionId"]
        self.under_way[query] += 1
        status = RUNNING
        if self.under_way[query] == 2:
            del self.under_way[query]
            status = SUCCEEDED
        return {"QueryExecution": {"QueryExecutionId": query, "Status": status}}


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_statements_run_side_by_side_within_one_bound_whoever_asks(concurrency: int) -> None:
    fake = CrowdedAthena()
    table = EventsTable(database="headrace", name="events", bucket="b")
    catalog = AthenaCatalog(client(fake), table, concurrency=concurrency)
    hours = [HourPartition.of_hour(490_000 + n) for n in range(1_000)]
    await asyncio.gather(catalog.add_partitions(hours), catalog.drop_partitions(hours))
    assert len(fake.started) == 20
    assert fake.most == concurrency
    assert fake.under_way == {}


async def test_a_cancelled_caller_stops_the_statements_under_way_and_starts_no_other() -> None:
    fake = FakeAthena(RUNNING)
    table = EventsTable(database="headrace", name="events", bucket="b")
    catalog = AthenaCatalog(client(fake, SystemClock()), table, concurrency=2)
    hours = [HourPartition.of_hour(490_000 + n) for n in range(1_000)]
    task = asyncio.create_task(catalog.add_partitions(hours))
    await fake.looked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(fake.started) <= 2
    assert len(fake.stopped) == len(fake.started)
