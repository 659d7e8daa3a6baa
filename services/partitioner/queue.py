"""The queue that bucket notifications arrive in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from headrace.aws.faults import aws_errors
from headrace.aws.retry import retry
from headrace.errors import UnavailableError

T = TypeVar("T")

WAIT_SECONDS = 5
"""Of a long poll. Short, because a local cloud that is told to stop waits for the polls still open."""

CALL_MESSAGES = 10
"""Most messages of one SQS call."""

BATCH_MESSAGES = 500
"""Most messages handled together: a burst becomes a few statements instead of one per ten objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message received and not yet deleted: it comes again when its visibility ends."""

    body: str
    receipt: str


class NotificationQueue(Protocol):
    """At least once, in no order."""

    async def receive(self) -> Sequence[Message]:
        """Wait some seconds for messages. Cancelling is safe: what was under way comes again."""
        ...

    async def delete(self, messages: Sequence[Message]) -> None:
        """Forget messages. Raises `RetryableError` when some are left."""
        ...


class SqsQueue:
    """`NotificationQueue` over an aiobotocore SQS client, which stays the caller's to close."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    @classmethod
    async def named(cls, client: Any, name: str) -> Self:
        """Look the queue up. Raises `NotFoundError` when there is none of that name."""
        found = await _call(lambda: client.get_queue_url(QueueName=name))
        return cls(client, found["QueueUrl"])

    async def receive(self) -> list[Message]:
        """Long-poll for the first messages, then take what else is waiting, up to `BATCH_MESSAGES`."""
        messages = last = await self._receive(WAIT_SECONDS)
        while len(last) == CALL_MESSAGES and len(messages) < BATCH_MESSAGES:
            last = await self._receive(0)
            messages = messages + last
        return messages

    async def delete(self, messages: Sequence[Message]) -> None:
        """Delete in batches, repeating what fails on SQS's side. A receipt that is no longer good is let go."""
        for start in range(0, len(messages), CALL_MESSAGES):
            await self._delete([message.receipt for message in messages[start : start + CALL_MESSAGES]])

    async def check(self) -> None:
        """Raise a `HeadraceError` when the queue does not answer."""
        with aws_errors():
            await self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])

    async def _receive(self, wait: int) -> list[Message]:
        answer = await _call(
            lambda: self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=CALL_MESSAGES, WaitTimeSeconds=wait
            )
        )
        return [Message(body=item["Body"], receipt=item["ReceiptHandle"]) for item in answer.get("Messages", ())]

    async def _delete(self, receipts: list[str]) -> None:
        left = receipts

        async def attempt() -> None:
            nonlocal left
            entries = [{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(left)]
            with aws_errors():
                answer = await self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
            left = [left[int(failed["Id"])] for failed in answer.get("Failed", ()) if not failed["SenderFault"]]
            if left:
                raise UnavailableError(f"{len(left)} messages could not be deleted")

        await retry(attempt)


async def _call(call: Callable[[], Awaitable[T]]) -> T:
    async def once() -> T:
        with aws_errors():
            return await call()

    return await retry(once)
