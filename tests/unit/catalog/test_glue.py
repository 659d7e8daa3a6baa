"""What Glue may answer and no emulator does: pages, refusals of single partitions, answers that are lost."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from headrace.catalog.athena import AthenaClient
from headrace.catalog.glue import BATCH, GlueTables
from headrace.catalog.tables import Table, TableColumn, Values
from headrace.clock import SystemClock
from headrace.errors import AccessError, ConflictError, NotFoundError, RequestError

SILVER = Table(
    name="silver",
    columns=[TableColumn("n", "bigint")],
    keys=[TableColumn("event_date", "date")],
    location="s3://bucket/silver/",
)
Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class ScriptedGlue:
    """Answers each call by the next of its answers, and remembers what it was asked."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        async def call(**arguments: Any) -> Mapping[str, Any]:
            self.asked.append((name, arguments))
            return self.answers[name].pop(0)(arguments)

        return call

    @property
    def calls(self) -> list[str]:
        return [name for name, _ in self.asked]


def tables(glue: ScriptedGlue) -> GlueTables:
    athena = AthenaClient(None, clock=SystemClock(), workgroup="headrace", output="s3://bucket/out/")
    return GlueTables(glue, athena, "shop")


def days(*numbers: int) -> dict[Values, str]:
    return {(f"2026-04-{day:02}",): f"s3://bucket/silver/{day}/" for day in numbers}


def fine(_arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return {}


def refused(key: str, code: str, *numbers: int) -> Answer:
    """The answer to a batch of which some days were refused."""
    errors = [
        {key: list(values), "ErrorDetail": {"ErrorCode": code, "ErrorMessage": "because"}} for values in days(*numbers)
    ]
    return lambda _arguments: {"Errors": errors}


def failed(code: str) -> Answer:
    def answer(_arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "BatchGlue")

    return answer


def page(token: str | None, *numbers: int) -> Answer:
    items = [
        {"Values": list(values), "StorageDescriptor": {"Location": location.rstrip("/")}}
        for values, location in days(*numbers).items()
    ]
    return lambda _arguments: {"Partitions": items, **({"NextToken": token} if token else {})}


async def test_partitions_are_read_to_the_last_page() -> None:
    glue = ScriptedGlue(get_partitions=[page("a", 1, 2), page("b"), page(None, 3)])
    assert await tables(glue).partitions("silver") == days(1, 2, 3)
    assert [arguments.get("NextToken") for _, arguments in glue.asked] == [None, "a", "b"]


async def test_partitions_of_no_table_are_not_found() -> None:
    glue = ScriptedGlue(get_partitions=[failed("EntityNotFoundException")])
    with pytest.raises(NotFoundError):
        await tables(glue).partitions("silver")


async def test_as_many_partitions_as_glue_takes_go_into_a_call() -> None:
    many = {(f"{n:04}",): "s3://bucket/x/" for n in range(2 * BATCH + 1)}
    glue = ScriptedGlue(batch_create_partition=[fine] * 3, batch_update_partition=[fine] * 3)
    await tables(glue).add_partitions(SILVER, many)
    await tables(glue).move_partitions(SILVER, many)
    assert [len(arguments.get("Entries") or arguments["PartitionInputList"]) for _, arguments in glue.asked] == [
        BATCH, BATCH, 1, BATCH, BATCH, 1,
    ]  # fmt: skip


async def test_only_what_is_not_there_is_created_after_a_move() -> None:
    glue = ScriptedGlue(
        batch_update_partition=[refused("PartitionValueList", "EntityNotFoundException", 2)],
        batch_create_partition=[fine],
    )
    await tables(glue).move_partitions(SILVER, days(1, 2))
    assert glue.calls == ["batch_update_partition", "batch_create_partition"]
    assert [one["Values"] for one in glue.asked[1][1]["PartitionInputList"]] == [["2026-04-02"]]


async def test_what_appeared_while_it_was_created_is_moved_after_all() -> None:
    glue = ScriptedGlue(
        batch_update_partition=[refused("PartitionValueList", "EntityNotFoundException", 1, 2), fine],
        batch_create_partition=[refused("PartitionValues", "AlreadyExistsException", 1)],
    )
    await tables(glue).move_partitions(SILVER, days(1, 2))
    assert glue.calls == ["batch_update_partition", "batch_create_partition", "batch_update_partition"]
    assert [one["PartitionValueList"] for one in glue.asked[2][1]["Entries"]] == [["2026-04-01"]]


async def test_one_partition_that_is_refused_is_an_error_that_names_it() -> None:
    refusal = refused("PartitionValues", "InvalidInputException", 2)
    glue = ScriptedGlue(batch_create_partition=[refusal])
    with pytest.raises(RequestError, match="InvalidInputException: partition 2026-04-02: because"):
        await tables(glue).add_partitions(SILVER, days(1, 2))
    denied = refused("PartitionValueList", "AccessDeniedException", 1)
    with pytest.raises(AccessError):
        await tables(ScriptedGlue(batch_update_partition=[denied])).move_partitions(SILVER, days(1))


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalServiceException", "OperationTimeoutException"])
async def test_what_may_pass_is_tried_again_with_the_whole_batch(code: str) -> None:
    glue = ScriptedGlue(batch_update_partition=[refused("PartitionValueList", code, 2), failed(code), fine])
    await tables(glue).move_partitions(SILVER, days(1, 2))
    assert [len(arguments["Entries"]) for _, arguments in glue.asked] == [2, 2, 2]


async def test_partitions_that_are_gone_already_are_dropped() -> None:
    glue = ScriptedGlue(delete_partition=[failed("EntityNotFoundException"), fine])
    await tables(glue).drop_partitions("silver", list(days(1, 2)))
    assert glue.calls == ["delete_partition"] * 2


@pytest.mark.parametrize("code", ["ConcurrentModificationException", "AlreadyExistsException"])
async def test_a_table_that_somebody_else_changed_or_made_is_a_conflict(code: str) -> None:
    with pytest.raises(ConflictError):
        await tables(ScriptedGlue(create_table=[failed(code)])).put_table(SILVER, None)


async def test_a_database_that_is_there_takes_no_permission_to_create_one() -> None:
    glue = ScriptedGlue(get_database=[fine])
    await tables(glue).put_database()
    assert glue.calls == ["get_database"]
    missing, taken = failed("EntityNotFoundException"), failed("AlreadyExistsException")
    glue = ScriptedGlue(get_database=[missing, missing], create_database=[fine, taken])
    for _ in range(2):
        await tables(glue).put_database()
    assert glue.calls == ["get_database", "create_database"] * 2


async def test_no_name_gets_into_a_view_that_would_need_quoting() -> None:
    with pytest.raises(ValueError, match="is no name"):
        await tables(ScriptedGlue()).put_view('x" AS SELECT 1; --', "SELECT 1")
