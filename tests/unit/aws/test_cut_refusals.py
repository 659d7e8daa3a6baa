"""A refusal of which only a part arrives is no refusal, at whatever length: nobody may stop or go on because of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from headrace.aws.faults import aws_errors
from headrace.aws.session import AwsSession
from headrace.errors import (
    AccessError,
    ConflictError,
    HeadraceError,
    NotFoundError,
    RequestError,
    RetryableError,
)

Call = Callable[[Any], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A call, how the service refuses it, and what that means."""

    service: str
    call: Call
    status: int
    body: str
    means: type[HeadraceError]


def xml(code: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>non, refusé</Message></Error>'


def query_xml(code: str) -> str:
    return f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>é</Message></Error></ErrorResponse>"


def json(code: str) -> str:
    return f'{{"__type": "com.amazonaws#{code}", "message": "non, refusé"}}'


def s3(call: Call, status: int, code: str, means: type[HeadraceError]) -> Refusal:
    return Refusal(service="s3", call=call, status=status, body=xml(code), means=means)


def dynamodb(code: str, means: type[HeadraceError]) -> Refusal:
    return Refusal(service="dynamodb", call=lambda it: it.list_tables(), status=400, body=json(code), means=means)


def get(client: Any) -> Awaitable[object]:
    return client.get_object(Bucket="bucket", Key="key")  # type: ignore[no-any-return]


def put(client: Any) -> Awaitable[object]:
    return client.put_object(Bucket="bucket", Key="key", Body=b"body")  # type: ignore[no-any-return]


def list_objects(client: Any) -> Awaitable[object]:
    return client.list_objects_v2(Bucket="bucket")  # type: ignore[no-any-return]


REFUSALS = {
    "S3 GetObject, denied": s3(get, 403, "AccessDenied", AccessError),
    "S3 GetObject, not there": s3(get, 404, "NoSuchKey", NotFoundError),
    "S3 PutObject, malformed": s3(put, 400, "InvalidArgument", RequestError),
    "S3 PutObject, wrong signature": s3(put, 403, "SignatureDoesNotMatch", AccessError),
    "S3 ListObjectsV2, no bucket": s3(list_objects, 404, "NoSuchBucket", NotFoundError),
    "DynamoDB, condition": dynamodb("ConditionalCheckFailedException", ConflictError),
    "DynamoDB, malformed": dynamodb("ValidationException", RequestError),
    "DynamoDB, no table": dynamodb("ResourceNotFoundException", NotFoundError),
    "SQS, no queue": Refusal(
        service="sqs",
        call=lambda it: it.get_queue_url(QueueName="queue"),
        status=400,
        body=json("QueueDoesNotExist"),
        means=NotFoundError,
    ),
    "SNS, denied": Refusal(
        service="sns",
        call=lambda it: it.publish(TopicArn="arn:aws:sns:us-east-1:1:topic", Message="text"),
        status=403,
        body=query_xml("AuthorizationError"),
        means=AccessError,
    ),
    "Glue, no table": Refusal(
        service="glue",
        call=lambda it: it.get_partitions(DatabaseName="db", TableName="table"),
        status=400,
        body=json("EntityNotFoundException"),
        means=NotFoundError,
    ),
    "Athena, malformed": Refusal(
        service="athena",
        call=lambda it: it.get_query_execution(QueryExecutionId="id"),
        status=400,
        body=json("InvalidRequestException"),
        means=RequestError,
    ),
}

NOT_OURS = {
    "a page of a proxy": "<html><body>403 Forbidden</body></html>",
    "a page that is no XML": "<html><body>403 Forbidden<br></body></html>",
    "another JSON": '"Forbidden"',
    "an error without a code": "<Error><Message>why</Message></Error>",
    "nothing": "",
}


@pytest.fixture
async def answers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Any]]:
    """An AWS that gives the same `status` and `body` to every request."""
    said: dict[str, Any] = {}

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=said["status"], body=said["body"])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield said
    await runner.cleanup()


async def outcome(client: Any, refusal: Refusal) -> HeadraceError:
    with pytest.raises(HeadraceError) as raised, aws_errors():
        await refusal.call(client)
    return raised.value


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_counts_only_when_it_is_whole(answers: dict[str, Any], name: str) -> None:
    refusal = REFUSALS[name]
    body = refusal.body.encode()
    answers["status"] = refusal.status
    async with AwsSession("us-east-1") as aws:
        client = await aws.client(refusal.service)
        for length in range(len(body)):
            answers["body"] = body[:length]
            found = await outcome(client, refusal)
            assert isinstance(found, RetryableError), (length, found)
        answers["body"] = body
        assert type(await outcome(client, refusal)) is refusal.means


@pytest.mark.parametrize("page", NOT_OURS)
@pytest.mark.parametrize("name", REFUSALS)
async def test_what_somebody_between_us_and_aws_says_is_no_refusal(
    answers: dict[str, Any], name: str, page: str
) -> None:
    answers |= {"status": 403, "body": NOT_OURS[page].encode()}
    async with AwsSession("us-east-1") as aws:
        assert isinstance(await outcome(await aws.client(REFUSALS[name].service), REFUSALS[name]), RetryableError)


@pytest.mark.parametrize(("status", "means"), [(403, AccessError), (404, NotFoundError), (503, RetryableError)])
async def test_of_an_answer_to_head_the_status_is_all_there_is(
    answers: dict[str, Any], status: int, means: type[HeadraceError]
) -> None:
    answers |= {"status": status, "body": b""}
    async with AwsSession("us-east-1") as aws:
        client = await aws.client("s3")
        with pytest.raises(means), aws_errors():
            await client.head_object(Bucket="bucket", Key="key")
