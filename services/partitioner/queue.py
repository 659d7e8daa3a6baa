"""The queue that bucket notifications arrive in."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from headrace.aws.faults import aws_errors
from headrace.aws.retry import retry
from headrace.concurrency import for_each
from headrace.errors import UnavailableError

T = TypeVar("T")

WAIT_SECONDS = 5
"""Of a long poll. Short, because a local cloud that is told to stop waits for the polls still open."""

CALL_SECONDS = 15.0
"""Longest life of one call, long poll included: a queue that hangs must not look like work that stalls."""

CALL_MESSAGES = 10
"""Most messages of one SQS call."""

CALLS_AT_ONCE = 5

BATCH_MESSAGES = 500
"""Most messages handled together: a burst becomes a few statements instead of one per ten objects."""

VISIBILITY_SECONDS = 180
"""How long a received message is hidden. Longer than handling a batch takes; a crash costs so much delay at most."""

LONGEST_POSTPONEMENT_SECONDS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message received and not yet deleted: it comes again when its visibility ends."""

    body: str
    receipt: str
    receives: int = 1
    """How often it was received by now, this time included. SQS counts approximately."""


class NotificationQueue(Protocol):
    """At least once, in no order. What is received too often moves to the dead-letter queue by itself."""

    async def receive(self) -> Sequence[Message]:
        """Wait some seconds for messages. Cancelling is safe: what was under way comes again."""
        ...

    async def delete(self, messages: Sequence[Message]) -> None:
        """Forget messages. Raises `RetryableError` when some are left."""
        ...

    async def postpone(self, messages: Sequence[Message], seconds: Callable[[Message], int]) -> None:
        """Have messages come again after so many seconds, instead of when their visibility ends."""
        ...


def postponement(receives: int, roll: float) -> int:
    """Whole seconds until a message that failed comes again: 2, 4, 8 … at most; at least half. `roll` is 0 to 1."""
    longest = min(2.0 ** min(receives, 16), LONGEST_POSTPONEMENT_SECONDS)
    return math.ceil(longest * (0.5 + roll / 2))


class SqsQueue:
    """`NotificationQueue` by name, over an aiobotocore SQS client, which stays the caller's to close.

    The name is looked up at the first call, so that every call may raise `NotFoundError`.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name
        self._found: str | None = None

    async def receive(self) -> list[Message]:
        """Long-poll for the first messages, then take what else is waiting, up to `BATCH_MESSAGES`."""
        messages = last = await self._receive(WAIT_SECONDS)
        while len(last) == CALL_MESSAGES and len(messages) < BATCH_MESSAGES:
            last = await self._receive(0)
            messages = messages + last
        return messages

    async def delete(self, messages: Sequence[Message]) -> None:
        """Delete in batches, repeating what fails on SQS's side. A receipt that is no longer good is let go."""
        entries = [{"ReceiptHandle": message.receipt} for message in messages]
        await self._each(self._client.delete_message_batch, entries)

    async def postpone(self, messages: Sequence[Message], seconds: Callable[[Message], int]) -> None:
        """Change visibility in batches, like `delete`."""
        entries = [{"ReceiptHandle": it.receipt, "VisibilityTimeout": seconds(it)} for it in messages]
        await self._each(self._client.change_message_visibility_batch, entries)

    async def check(self) -> None:
        """Raise a `HeadraceError` when the queue does not answer."""
        url = await self._url()
        with aws_errors():
            await self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])

    async def _url(self) -> str:
        if self._found is None:
            self._found = (await _call(lambda: self._client.get_queue_url(QueueName=self._name)))["QueueUrl"]
        return self._found

    async def _receive(self, wait: int) -> list[Message]:
        url = await self._url()
        answer = await _call(
            lambda: self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=CALL_MESSAGES,
                WaitTimeSeconds=wait,
                VisibilityTimeout=VISIBILITY_SECONDS,
                AttributeNames=["ApproximateReceiveCount"],
            )
        )
        return [
            Message(
                body=item["Body"],
                receipt=item["ReceiptHandle"],
                receives=int(item.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
            )
            for item in answer.get("Messages", ())
        ]

    async def _each(self, operation: Callable[..., Awaitable[Any]], entries: Sequence[dict[str, Any]]) -> None:
        """Call a batch operation on all entries. Raises `RetryableError` when some fail on SQS's side for long."""
        url = await self._url()

        async def some(start: int) -> None:
            left = list(entries[start : start + CALL_MESSAGES])

            async def attempt() -> None:
                nonlocal left
                numbered = [{"Id": str(n), **entry} for n, entry in enumerate(left)]
                with aws_errors():
                    async with asyncio.timeout(CALL_SECONDS):
                        answer = await operation(QueueUrl=url, Entries=numbered)
                left = [left[int(failed["Id"])] for failed in answer.get("Failed", ()) if not failed["SenderFault"]]
                if left:
                    raise UnavailableError(f"{len(left)} messages could not be changed in the queue")

            await retry(attempt)

        await for_each(range(0, len(entries), CALL_MESSAGES), some, limit=CALLS_AT_ONCE)


async def _call(call: Callable[[], Awaitable[T]]) -> T:
    async def once() -> T:
        with aws_errors():
            async with asyncio.timeout(CALL_SECONDS):
                return await call()

    return await retry(once)
