"""Single calls to the data plane."""

import aiohttp
import pytest
from aiobotocore.credentials import AioCredentials

from headrace.errors import AccessError, NotFoundError, UnavailableError
from headrace.stream.kinesis.client import KinesisClient, Operation
from headrace.telemetry.metrics import Metrics
from tests.unit.stream.kinesis.fake_kinesis import FakeKinesis, connect


def count(metrics: Metrics, code: str) -> float | None:
    labels = {"service": "kinesis", "op": "GetRecords", "code": code}
    return metrics.registry.get_sample_value("headrace_aws_requests_total", labels)


async def test_a_call_is_signed_for_the_region_with_its_session_token(fake: FakeKinesis, client: KinesisClient) -> None:
    fake.answer("GetRecords", b"anything")
    assert await client.call(Operation.GET_RECORDS, b'{"a": 1}') == b"anything"
    [call] = fake.calls
    assert call.body == {"a": 1}
    assert call.headers["X-Amz-Target"] == "Kinesis_20131202.GetRecords"
    assert call.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert call.headers["X-Amz-Security-Token"] == "a-session-token"
    scheme, _, rest = call.headers["Authorization"].partition(" ")
    fields = dict(field.strip().split("=", 1) for field in rest.split(","))
    assert scheme == "AWS4-HMAC-SHA256"
    assert fields["Credential"].startswith("an-access-key/")
    assert fields["Credential"].endswith("/eu-west-3/kinesis/aws4_request")
    assert {"host", "x-amz-date", "x-amz-security-token", "x-amz-target"} <= set(fields["SignedHeaders"].split(";"))


async def test_every_call_is_signed_with_the_credentials_of_its_moment(fake: FakeKinesis, metrics: Metrics) -> None:
    keys = iter(["first", "second"])

    async def credentials() -> AioCredentials:
        return AioCredentials(next(keys), "a-secret")

    async with aiohttp.ClientSession() as http:
        client = KinesisClient(
            http=http, endpoint=fake.url, region="eu-west-3", credentials=credentials, metrics=metrics
        )
        for _ in range(2):
            fake.answer("GetRecords", b"")
            await client.call(Operation.GET_RECORDS, b"{}")
    assert [call.headers["Authorization"].split("=")[1].split("/")[0] for call in fake.calls] == ["first", "second"]


async def test_without_credentials_no_call_is_made(fake: FakeKinesis, metrics: Metrics) -> None:
    async def credentials() -> None:
        return None

    async with aiohttp.ClientSession() as http:
        client = KinesisClient(
            http=http, endpoint=fake.url, region="eu-west-3", credentials=credentials, metrics=metrics
        )
        with pytest.raises(AccessError, match="no AWS credentials"):
            await client.call(Operation.GET_RECORDS, b"{}")
    assert fake.calls == []


async def test_a_fault_is_raised_as_ours_and_counted_by_its_code(
    fake: FakeKinesis, client: KinesisClient, metrics: Metrics
) -> None:
    fake.fail("GetRecords", "ResourceNotFoundException", message="Stream clicks not found")
    with pytest.raises(NotFoundError, match="Stream clicks not found"):
        await client.call(Operation.GET_RECORDS, b"{}")
    assert count(metrics, "ResourceNotFoundException") == 1
    assert count(metrics, "ok") is None


async def test_a_server_that_does_not_answer_in_time_is_unavailable(fake: FakeKinesis, metrics: Metrics) -> None:
    fake.hang("GetRecords")
    async with connect(fake, metrics, seconds=0.1) as client:
        with pytest.raises(UnavailableError):
            await client.call(Operation.GET_RECORDS, b"{}")
    assert count(metrics, "no_answer") == 1


async def test_a_closed_port_is_unavailable(metrics: Metrics) -> None:
    nobody = FakeKinesis()
    nobody.url = "http://127.0.0.1:9"
    async with connect(nobody, metrics) as client:
        with pytest.raises(UnavailableError):
            await client.call(Operation.GET_RECORDS, b"{}")
