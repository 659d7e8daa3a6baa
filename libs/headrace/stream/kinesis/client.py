"""The data plane: one signed HTTP call. botocore signs, aiohttp carries, `wire` reads and writes the bodies."""

import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import aiohttp
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from headrace.aws.faults import aws_errors
from headrace.aws.session import AwsSession
from headrace.errors import AccessError, UnavailableError
from headrace.stream.kinesis import wire
from headrace.telemetry.metrics import Metrics

CONNECT_SECONDS = 5.0
CALL_SECONDS = 30.0
"""For a whole call: 10 MiB of records over a slow network, and no more."""
SILENT_SECONDS = 10.0
"""Without a byte of the answer, from the end of the request on: it is not coming."""
CONNECTIONS = 64


class Operation(StrEnum):
    """What is called here; everything rarer goes through aiobotocore."""

    GET_RECORDS = "GetRecords"
    GET_SHARD_ITERATOR = "GetShardIterator"
    PUT_RECORDS = "PutRecords"


class KinesisClient:
    """Makes single calls, never repeats one. Safe for concurrent calls."""

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        endpoint: str,
        region: str,
        credentials: Callable[[], Awaitable[Any]],
        metrics: Metrics,
    ) -> None:
        self._http = http
        self._endpoint = endpoint
        self._region = region
        self._credentials = credentials
        self._metrics = metrics

    async def call(self, operation: Operation, body: bytes) -> bytes:
        """Request body → answer body. Raises the error of `headrace.errors` that fits the fault or the network."""
        try:
            with aws_errors():
                headers = await self._signed(operation, body)
                async with self._http.post(self._endpoint, data=io.BytesIO(body), headers=headers) as response:
                    status, answer = response.status, await response.read()
        except UnavailableError:
            self._count(operation, "no_answer")
            raise
        if status == HTTPStatus.OK:
            self._count(operation, "ok")
            return answer
        code, error = wire.decode_fault(status, answer)
        self._count(operation, code)
        raise error

    def count_repeat(self, operation: Operation) -> None:
        """The caller is about to repeat a call that was in vain, in whole or in part."""
        self._metrics.aws_retries.labels("kinesis", operation).inc()

    async def _signed(self, operation: Operation, body: bytes) -> dict[str, str]:
        credentials = await self._credentials()
        if credentials is None:
            raise AccessError("no AWS credentials found")
        request = AWSRequest(
            "POST",
            self._endpoint,
            headers={
                "Accept-Encoding": "identity",
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": f"Kinesis_20131202.{operation}",
            },
            data=body,
        )
        frozen = await credentials.get_frozen_credentials()  # refreshed when they are about to expire
        SigV4Auth(frozen, "kinesis", self._region).add_auth(request)
        return dict(request.headers.items())

    def _count(self, operation: Operation, code: str) -> None:
        self._metrics.aws_requests.labels("kinesis", operation, code).inc()


@contextlib.asynccontextmanager
async def open_client(aws: AwsSession, metrics: Metrics) -> AsyncIterator[KinesisClient]:
    """A client for the session's region, endpoint (`AWS_ENDPOINT_URL` included) and credentials."""
    meta = (await aws.client("kinesis")).meta
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=CALL_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS),
    ) as http:
        yield KinesisClient(
            http=http,
            endpoint=meta.endpoint_url,
            region=meta.region_name,
            credentials=aws.credentials,
            metrics=metrics,
        )
