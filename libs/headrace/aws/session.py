"""One AWS session per process. Endpoints, credentials and profiles come from the AWS SDK's own environment."""

import contextlib
from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, CredentialRetrievalError
from botocore.loaders import create_loader
from botocore.utils import parse_timestamp

from headrace.aws.retry import is_repeat
from headrace.errors import UnavailableError
from headrace.telemetry.metrics import Metrics

CONNECT_SECONDS = 5
READ_SECONDS = {"dynamodb": 5, "sqs": 25}
"""Longest silence in an answer, by service: a call that hangs must not outlast the outage by much. A DynamoDB call is
small and answered within milliseconds; SQS answers a long poll after 20 s at the latest."""
OTHER_READ_SECONDS = 10
"""For the other services. It counts from the end of the request, so a large body may take its time."""

UNCHECKED = frozenset({"dynamodb"})
"""Services whose requests botocore does not compare with its model before it sends them: a third of the CPU of a
transaction of 100 items. Our items come typed from `headrace.aws.dynamodb`, and DynamoDB refuses what is malformed by a
code of its own. Elsewhere a missing parameter can make another request of the same address, so the check stays."""


_models = create_loader()
"""Shared by all sessions of the process: reading and preparing the models of a service takes 50 ms."""


class GarbledAnswerError(BotoCoreError):  # type: ignore[misc]  # botocore ships no types
    """A success whose JSON is cut off or broken. botocore itself would hand it on as an answer without fields."""

    fmt = "the answer to {operation} makes no sense"


class AwsSession:
    """Opens clients that live as long as the session.

    `async with AwsSession(region) as aws: s3 = await aws.client("s3")`

    Clients do not retry by themselves: `headrace.aws.retry` is the only policy. Given `metrics`, each call is counted,
    and each repeat.
    """

    def __init__(self, region: str, *, metrics: Metrics | None = None, max_connections: int = 64) -> None:
        self._metrics = metrics
        self._session = AioSession()
        self._session.register_component("data_loader", _models)
        self._session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
        self._region = region
        self._config = AioConfig(
            connect_timeout=CONNECT_SECONDS,
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
        """The client of `service`, made on first use and closed with the session.

        Raises `UnavailableError` when whoever hands out the credentials does not answer.
        """
        if service not in self._clients:
            own = AioConfig(
                read_timeout=READ_SECONDS.get(service, OTHER_READ_SECONDS),
                parameter_validation=service not in UNCHECKED,
            )
            config = self._config.merge(own)
            made = self._session.create_client(service, region_name=self._region, config=config)
            try:
                client = self._clients[service] = await self._stack.enter_async_context(made)
            except CredentialRetrievalError as error:
                raise UnavailableError(str(error)) from error
            client.meta.events.register("before-parse", _refuse_garbled)
            if self._metrics is not None:
                _count_calls(client.meta.events, service, self._metrics)
        return self._clients[service]

    async def credentials(self) -> Any:
        """Botocore's refreshable credentials, for what is signed by hand; None when there are none."""
        return await self._session.get_credentials()


def parse_time(value: Any) -> datetime:
    """A time in an answer, as botocore reads it, but without its guesses for `2026-04-09T10:00:00.000Z`.

    They take 45 µs: more than half of the time for a listing would go into times that nobody looks at.
    """
    if isinstance(value, str) and value.endswith("Z"):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(value)
    guessed: datetime = parse_timestamp(value)
    return guessed


def _count_calls(events: Any, service: str, metrics: Metrics) -> None:
    """One of `aws_requests_total` for each call: `ok`, the error's code, or `no_answer`; and its repeats."""

    def answered(http_response: Any, parsed: dict[str, Any], model: Any, **_more: object) -> None:
        fault = parsed.get("Error", {}).get("Code") or str(http_response.status_code)
        good = http_response.status_code < HTTPStatus.MULTIPLE_CHOICES
        metrics.aws_requests.labels(service, model.name, "ok" if good else fault).inc()

    def not_answered(event_name: str, **_more: object) -> None:
        metrics.aws_requests.labels(service, event_name.rpartition(".")[2], "no_answer").inc()

    def sending(request: Any, operation_name: str, **_more: object) -> None:
        # Our policy's repeat, or one of botocore's own (S3: the bucket is in another region).
        if is_repeat() or request.context["retries"]["attempt"] > 1:
            metrics.aws_retries.labels(service, operation_name).inc()

    events.register("request-created", sending)
    events.register("after-call", answered)
    events.register("after-call-error", not_answered)


def _refuse_garbled(operation_model: Any, response_dict: dict[str, Any], **_more: object) -> None:
    """Before botocore reads an answer: what makes no sense is no answer.

    It would read an empty body as a success without fields, a list that is empty say, and a refusal that is cut off
    within a character not at all.
    """
    body, good = response_dict["body"], response_dict["status_code"] == HTTPStatus.OK
    if not isinstance(body, bytes):  # a stream, for whoever reads it
        return
    if good and not body and _has_a_body(operation_model.output_shape):
        raise GarbledAnswerError(operation=operation_model.name)
    if not body or "json" not in operation_model.metadata["protocol"]:
        return
    try:
        _object.decode(body.decode())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if good:
            raise GarbledAnswerError(operation=operation_model.name) from error
        response_dict["body"] = b""  # a refusal without a reason


_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _has_a_body(output: Any) -> bool:
    """Whether an operation's answer is more than its headers, by botocore's model."""
    return output is not None and any("location" not in member.serialization for member in output.members.values())
