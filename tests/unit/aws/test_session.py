"""What the one AWS session makes of answers that are none."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from botocore.utils import parse_timestamp

from headrace.aws.faults import aws_errors
from headrace.aws.session import AwsSession, parse_time
from headrace.errors import ConflictError, UnavailableError

BODIES = {"cut off": b'{"TableNames": ["a"', "no JSON": b"<html>", "not UTF-8": b'{"TableNames": ["\xff"]}'}


REFUSAL = b'{"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "no"}'


@pytest.fixture
async def answer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Any]]:
    """A DynamoDB that always answers with `body`, and 200 or `status`."""
    said: dict[str, Any] = {}

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(
            body=said["body"], status=said.get("status", 200), content_type="application/x-amz-json-1.0"
        )

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield said
    await runner.cleanup()


@pytest.mark.parametrize("body", BODIES)
async def test_a_garbled_answer_counts_as_none(answer: dict[str, Any], body: str) -> None:
    answer["body"] = BODIES[body]
    async with AwsSession("us-east-1") as aws:
        with pytest.raises(UnavailableError, match="ListTables"), aws_errors():
            await (await aws.client("dynamodb")).list_tables()


@pytest.mark.parametrize("length", [0, 12, len(REFUSAL) - 1])
async def test_a_refusal_that_is_cut_off_counts_as_no_answer(answer: dict[str, Any], length: int) -> None:
    answer |= {"status": 400, "body": REFUSAL[:length]}
    async with AwsSession("us-east-1") as aws:
        with pytest.raises(UnavailableError, match="400"), aws_errors():
            await (await aws.client("dynamodb")).list_tables()


async def test_a_whole_refusal_is_what_it_says(answer: dict[str, Any]) -> None:
    answer |= {"status": 400, "body": REFUSAL}
    async with AwsSession("us-east-1") as aws:
        with pytest.raises(ConflictError, match="ConditionalCheckFailed"), aws_errors():
            await (await aws.client("dynamodb")).list_tables()


async def test_a_whole_answer_is_read(answer: dict[str, Any]) -> None:
    answer["body"] = b'{"TableNames": ["a"]}'
    async with AwsSession("us-east-1") as aws:
        assert (await (await aws.client("dynamodb")).list_tables())["TableNames"] == ["a"]


async def test_credentials_that_cannot_be_had_now_are_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/role")
    monkeypatch.setattr("aiobotocore.utils.AioContainerMetadataFetcher.SLEEP_TIME", 0)
    async with AwsSession("us-east-1") as aws:
        with pytest.raises(UnavailableError, match="container-role"):
            await aws.client("s3")


@pytest.mark.parametrize(
    "text",
    [
        "2026-04-09T10:00:00.000Z",
        "2026-04-09T10:00:00Z",
        "2026-04-09T10:00:00.123456+02:00",
        "Thu, 09 Apr 2026 10:00:00 GMT",
        "20260409T100000Z",
        1775728800,
        1775728800.123,
        "1775728800",
    ],
)
def test_times_are_those_that_botocore_reads(text: str | float) -> None:
    assert parse_time(text) == parse_timestamp(text)
    assert parse_time(text).tzinfo is not None


def test_what_is_no_time_is_refused_as_by_botocore() -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        parse_time("nonsenseZ")
