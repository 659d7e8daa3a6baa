"""Every AWS call that is repeated is counted, whoever repeats it; a real server fails first."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from headrace.aws import retry
from headrace.aws.dynamodb import request
from headrace.aws.session import AwsSession
from headrace.errors import AccessError, UnavailableError
from headrace.lake.s3 import S3Store
from headrace.telemetry.metrics import Metrics


@dataclass
class Cloud:
    """Answers with these statuses in turn, then with 200."""

    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    calls: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        status = self.statuses.pop(0) if self.statuses else 200
        json = status == 200 and "X-Amz-Target" in request.headers
        return web.Response(status=status, text="{}" if json else "", headers=self.headers)


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    served = Cloud()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setattr(retry, "INITIAL_SECONDS", 0.001)
    yield served
    await runner.cleanup()


def repeats(metrics: Metrics, service: str, operation: str) -> float:
    labels = {"service": service, "op": operation}
    return metrics.registry.get_sample_value("headrace_aws_retries_total", labels) or 0.0


async def test_a_call_that_succeeds_at_once_is_no_repeat(cloud: Cloud) -> None:
    metrics = Metrics()
    async with AwsSession("us-east-1", metrics=metrics) as aws:
        await S3Store(await aws.client("s3"), "data").put("a", b"x")
    assert (cloud.calls, repeats(metrics, "s3", "PutObject")) == (1, 0)


async def test_each_repeat_counts_once_under_its_operation(cloud: Cloud) -> None:
    metrics = Metrics()
    async with AwsSession("us-east-1", metrics=metrics) as aws:
        cloud.statuses = [503, 500]
        await S3Store(await aws.client("s3"), "data").put("a", b"x")
        assert (cloud.calls, repeats(metrics, "s3", "PutObject")) == (3, 2)
        cloud.statuses = [500]
        dynamodb = await aws.client("dynamodb")
        await asyncio.gather(*(request(dynamodb.describe_table, TableName=name) for name in ("one", "two")))
        assert repeats(metrics, "dynamodb", "DescribeTable") == 1  # the call beside it is no repeat


async def test_attempts_in_vain_count_but_for_the_first(cloud: Cloud) -> None:
    metrics = Metrics()
    cloud.statuses = [500] * retry.ATTEMPTS
    async with AwsSession("us-east-1", metrics=metrics) as aws:
        dynamodb = await aws.client("dynamodb")
        with pytest.raises(UnavailableError):
            await request(dynamodb.describe_table, TableName="t")
        assert cloud.calls == retry.ATTEMPTS
        assert repeats(metrics, "dynamodb", "DescribeTable") == retry.ATTEMPTS - 1


async def test_a_refusal_is_not_repeated_and_does_not_count(cloud: Cloud) -> None:
    metrics = Metrics()
    cloud.statuses = [403]
    async with AwsSession("us-east-1", metrics=metrics) as aws:
        with pytest.raises(AccessError):
            await S3Store(await aws.client("s3"), "data").head("a")
    assert (cloud.calls, repeats(metrics, "s3", "HeadObject")) == (1, 0)


async def test_botocores_own_repeat_counts_too(cloud: Cloud) -> None:
    """A bucket in another region than asked: S3 says where, and botocore asks there by itself."""
    metrics = Metrics()
    cloud.statuses, cloud.headers = [301], {"x-amz-bucket-region": "eu-west-3"}
    async with AwsSession("us-east-1", metrics=metrics) as aws:
        await S3Store(await aws.client("s3"), "data").put("a", b"x")
    assert (cloud.calls, repeats(metrics, "s3", "PutObject")) == (2, 1)
