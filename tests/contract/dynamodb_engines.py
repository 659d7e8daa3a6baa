"""DynamoDB for contract suites: fresh tables on every engine, and a client whose network loses answers."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from botocore.exceptions import ReadTimeoutError

from headrace.aws.session import AwsSession
from tests.contract import engines

ENGINES = engines.DYNAMODB


class Table(NamedTuple):
    client: Any
    name: str


@contextlib.asynccontextmanager
async def fresh_table(request: pytest.FixtureRequest, definition: Callable[[str], Any]) -> AsyncIterator[Table]:
    """An empty table on the engine that the fixture's parameter names."""
    request.getfixturevalue(request.param)
    async with AwsSession("us-east-1") as aws:
        table = Table(await aws.client("dynamodb"), f"test-{uuid4().hex}")
        await table.client.create_table(**definition(table.name))
        yield table


class Loss(StrEnum):
    REQUEST = "request"
    """The call never arrives."""
    ANSWER = "answer"
    """The call takes effect, and nobody is told."""


class LossyClient:
    """Hands every call on to `client`, except those that `lose` names."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._losses: dict[str, list[Loss]] = {}
        self.between: Callable[[], Awaitable[object]] | None = None
        """What others do between the effect of a lost answer and the next call."""

    def lose(self, operation: str, *losses: Loss) -> None:
        """Lose the next calls of `operation`, one loss each."""
        self._losses[operation] = list(losses)

    @property
    def unused(self) -> list[Loss]:
        return [loss for losses in self._losses.values() for loss in losses]

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        async def call(**arguments: Any) -> Any:
            losses = self._losses.get(operation)
            if not losses:
                return await getattr(self._client, operation)(**arguments)
            if losses.pop(0) is Loss.ANSWER:
                await getattr(self._client, operation)(**arguments)
            if self.between is not None:
                await self.between()
            raise ReadTimeoutError(endpoint_url="http://127.0.0.1")

        return call
