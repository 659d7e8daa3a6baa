"""What every store of documents promises, in memory and on DynamoDB."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stamina

from headrace.errors import ConflictError, RequestError, UnavailableError
from headrace.state.codec import MAX_BYTES
from headrace.state.dynamodb import DynamoStateStore, table_definition
from headrace.state.memory import MemoryStateStore
from headrace.state.ports import Document, StateStore
from tests.contract.dynamodb_engines import ENGINES, Loss, LossyClient, Table, fresh_table


@pytest.fixture(params=["memory", *ENGINES])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[StateStore]:
    if request.param == "memory":
        yield MemoryStateStore()
        return
    async with fresh_table(request, table_definition) as table:
        yield DynamoStateStore(table.client, table.name)


@pytest.fixture(params=ENGINES)
async def table(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    async with fresh_table(request, table_definition) as table:
        yield table


@pytest.fixture
def client(table: Table) -> LossyClient:
    return LossyClient(table.client)


@pytest.fixture
def lossy(client: LossyClient, table: Table) -> DynamoStateStore:
    return DynamoStateStore(client, table.name)


async def test_a_document_comes_back_as_it_was_written(store: StateStore) -> None:
    value = {"cursor": "a/b=c", "n": 2**53, "ratio": 0.1, "nested": {"list": [1, None, True, "ü"]}, "empty": {}}
    assert await store.put("poller/web", value, expected=0) == 1
    assert await store.get("poller/web") == Document(value=value, version=1)


async def test_a_document_that_was_never_written_is_none(store: StateStore) -> None:
    assert await store.get("nothing") is None


async def test_each_write_counts_the_version_up(store: StateStore) -> None:
    assert [await store.put("a", {"n": n}, expected=n) for n in range(3)] == [1, 2, 3]
    assert await store.get("a") == Document(value={"n": 2}, version=3)


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_a_write_at_another_version_is_refused_and_changes_nothing(store: StateStore, expected: int) -> None:
    await store.put("a", {"n": 1}, expected=0)
    await store.put("a", {"n": 2}, expected=1)
    with pytest.raises(ConflictError):
        await store.put("a", {"n": 9}, expected=expected)
    assert await store.get("a") == Document(value={"n": 2}, version=2)


async def test_a_first_write_must_not_expect_a_version(store: StateStore) -> None:
    with pytest.raises(ConflictError):
        await store.put("a", {}, expected=1)
    assert await store.get("a") is None


async def test_of_two_writers_with_the_same_value_only_one_wins(store: StateStore) -> None:
    await store.put("cursor", {"at": "B"}, expected=0)
    with pytest.raises(ConflictError):
        await store.put("cursor", {"at": "B"}, expected=0)


async def test_documents_are_listed_by_prefix(store: StateStore) -> None:
    for key in ("poller/b", "poller/a", "pollers", "job/a"):
        await store.put(key, {"key": key}, expected=0)
    listed = await store.list("poller/")
    assert list(listed) == ["poller/a", "poller/b"]
    assert listed["poller/b"] == Document(value={"key": "poller/b"}, version=1)
    assert len(await store.list("")) == 4


async def test_a_document_may_have_300_kb_and_not_a_byte_more(store: StateStore) -> None:
    largest = {"a": "x" * (MAX_BYTES - len('{"a":""}'))}
    await store.put("large", largest, expected=0)
    found = await store.get("large")
    assert found is not None
    assert found.value == largest
    with pytest.raises(RequestError, match="307201 bytes"):
        await store.put("larger", {"a": largest["a"] + "x"}, expected=0)


async def test_what_is_no_json_is_refused(store: StateStore) -> None:
    with pytest.raises(RequestError, match="document odd"):
        await store.put("odd", {"a": object()}, expected=0)


async def test_what_is_stored_does_not_change_with_what_was_handed_in(store: StateStore) -> None:
    value: dict[str, Any] = {"list": [1]}
    await store.put("a", value, expected=0)
    value["list"].append(2)
    found = await store.get("a")
    assert found is not None
    assert found.value == {"list": [1]}


async def test_documents_on_many_pages_are_all_listed(table: Table) -> None:
    store = DynamoStateStore(*table)
    body = "x" * 290_000  # DynamoDB ends a page at 1 MB
    for n in range(5):
        await store.put(f"large/{n}", {"body": body}, expected=0)
    assert list(await store.list("large/")) == [f"large/{n}" for n in range(5)]


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_write_whose_answer_was_lost_counts_as_made(
    lossy: DynamoStateStore, client: LossyClient, attempts: int
) -> None:
    client.lose("put_item", Loss.ANSWER)
    with stamina.set_testing(True, attempts=attempts):
        assert await lossy.put("a", {"n": 1}, expected=0) == 1
    assert await lossy.get("a") == Document(value={"n": 1}, version=1)
    assert not client.unused


async def test_a_write_that_never_arrived_is_unavailable_and_may_be_repeated(
    lossy: DynamoStateStore, client: LossyClient
) -> None:
    client.lose("put_item", Loss.REQUEST)
    with stamina.set_testing(True), pytest.raises(UnavailableError):
        await lossy.put("a", {"n": 1}, expected=0)
    assert await lossy.put("a", {"n": 1}, expected=0) == 1


async def test_a_write_that_never_arrived_is_a_conflict_once_another_came_first(
    lossy: DynamoStateStore, client: LossyClient, table: Table
) -> None:
    other = DynamoStateStore(*table)
    client.lose("put_item", Loss.REQUEST)
    client.between = lambda: other.put("a", {"n": 1}, expected=0)
    with stamina.set_testing(True), pytest.raises(ConflictError):
        await lossy.put("a", {"n": 1}, expected=0)
