"""One AWS session per process. Endpoints, credentials and profiles come from the AWS SDK's own environment."""

import contextlib
from typing import Any, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

CONNECT_SECONDS = 5
READ_SECONDS = 65
"""Longer than the longest long poll (SQS: 20 s) and than a slow multipart part."""


class AwsSession:
    """Opens clients that live as long as the session.

    `async with AwsSession(region) as aws: s3 = await aws.client("s3")`

    Clients do not retry by themselves: `headrace.aws.retry` is the only policy.
    """

    def __init__(self, region: str, *, max_connections: int = 64) -> None:
        self._session = AioSession()
        self._region = region
        self._config = AioConfig(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            max_pool_connections=max_connections,
            retries={"total_max_attempts": 1, "mode": "standard"},
            request_checksum_calculation="when_required",
        )
        self._stack = contextlib.AsyncExitStack()
        self._clients: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def client(self, service: str) -> Any:
        """The client of `service`, made on first use and closed with the session."""
        if service not in self._clients:
            made = self._session.create_client(service, region_name=self._region, config=self._config)
            self._clients[service] = await self._stack.enter_async_context(made)
        return self._clients[service]

    async def credentials(self) -> Any:
        """Botocore's refreshable credentials, for what is signed by hand; None when there are none."""
        return await self._session.get_credentials()
