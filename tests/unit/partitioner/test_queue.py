from collections.abc import Iterator
from typing import Any

import pytest
import stamina
from botocore.exceptions import ClientError

from headrace.errors import UnavailableError
from services.partitioner.queue import BATCH_MESSAGES, CALL_MESSAGES, VISIBILITY_SECONDS, Message, SqsQueue

MESSAGES = [Message(body=str(n), receipt=f"r{n}") for n in range(25)]


class FakeSqs:
    """Has so many messages waiting; batch calls fail for receipts named, as often as told, on the side that is told."""

    def __init__(self, waiting: int = 0) -> None:
        self.waiting = waiting
        self.failing: dict[str, int] = {}
        self.sender_fault = False
        self.calls: list[tuple[str, list[dict[str, Any]]]] = []
        self.lookups = 0
        self.received: list[dict[str, Any]] = []

    async def get_queue_url(self, **request: Any) -> dict[str, str]:
        self.lookups += 1
        return {"QueueUrl": f"http://sqs/{request['QueueName']}"}

    async def receive_message(self, **request: Any) -> dict[str, Any]:
        self.received.append(request)
        count = min(self.waiting, request["MaxNumberOfMessages"])
        self.waiting -= count
        attributes = {"ApproximateReceiveCount": "3"}
        found = [{"Body": "{}", "ReceiptHandle": "r", "Attributes": attributes} for _ in range(count)]
        return {"Messages": found} if found else {}

    async def delete_message_batch(self, **request: Any) -> dict[str, Any]:
        return self._batch("delete", request["Entries"])

    async def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        return self._batch("postpone", request["Entries"])

    def _batch(self, operation: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.calls.append((operation, entries))
        failed = [entry for entry in entries if self.failing.get(entry["ReceiptHandle"], 0) > 0]
        for entry in failed:
            self.failing[entry["ReceiptHandle"]] -= 1
        return {"Failed": [{"Id": entry["Id"], "SenderFault": self.sender_fault} for entry in failed]}


@pytest.fixture(autouse=True)
def no_back_off() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


async def test_a_burst_is_taken_up_to_a_bound_and_only_the_first_call_waits() -> None:
    sqs = FakeSqs(waiting=BATCH_MESSAGES + 7)
    received = await SqsQueue(sqs, "q").receive()
    assert len(received) == BATCH_MESSAGES
    assert {message.receives for message in received} == {3}
    assert [request["WaitTimeSeconds"] > 0 for request in sqs.received] == [True] + [False] * 49
    assert {request["VisibilityTimeout"] for request in sqs.received} == {VISIBILITY_SECONDS}
    assert sqs.lookups == 1


async def test_messages_are_deleted_in_batches_and_what_failed_is_repeated_alone() -> None:
    sqs = FakeSqs()
    sqs.failing = {"r3": 1, "r4": 2}
    await SqsQueue(sqs, "q").delete(MESSAGES)
    sizes = sorted(len(entries) for _, entries in sqs.calls)
    assert sizes == [1, 2, 5, CALL_MESSAGES, CALL_MESSAGES]
    assert all(len({entry["Id"] for entry in entries}) == len(entries) for _, entries in sqs.calls)


async def test_what_sqs_cannot_delete_for_long_is_told() -> None:
    sqs = FakeSqs()
    sqs.failing = {"r3": 100}
    with pytest.raises(UnavailableError, match="1 messages could not be changed"):
        await SqsQueue(sqs, "q").delete(MESSAGES[:5])


async def test_a_receipt_that_is_no_longer_good_is_let_go() -> None:
    sqs = FakeSqs()
    sqs.failing, sqs.sender_fault = {"r3": 100}, True
    await SqsQueue(sqs, "q").delete(MESSAGES[:5])
    assert len(sqs.calls) == 1


async def test_each_message_is_put_off_by_its_own_time() -> None:
    sqs = FakeSqs()
    await SqsQueue(sqs, "q").postpone(MESSAGES[:3], lambda message: 10 * int(message.body))
    [(operation, entries)] = sqs.calls
    assert operation == "postpone"
    assert [(entry["ReceiptHandle"], entry["VisibilityTimeout"]) for entry in entries] == [
        ("r0", 0), ("r1", 10), ("r2", 20),
    ]  # fmt: skip


async def test_nothing_to_delete_is_no_call() -> None:
    sqs = FakeSqs()
    await SqsQueue(sqs, "q").delete([])
    assert sqs.calls == []


async def test_a_queue_that_was_not_found_is_looked_up_again() -> None:
    class Late(FakeSqs):
        async def get_queue_url(self, **request: Any) -> dict[str, str]:
            found = await super().get_queue_url(**request)
            if self.lookups == 1:
                raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "GetQueueUrl")  # type: ignore[arg-type]
            return found

    sqs = Late(waiting=1)
    assert len(await SqsQueue(sqs, "q").receive()) == 1
    assert sqs.lookups == 2
