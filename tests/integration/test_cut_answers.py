"""Every AWS call of the product, with its answer cut: it is made good, or an error that passes; never something else.

The calls happen, on the local cloud. Of one operation's answers only a part arrives: nothing, half, all but the last
byte, or half of what the head speaks of. That goes for refusals, too: half a refusal must not stop anything.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import stamina

from headrace.aws.session import AwsSession
from headrace.errors import AccessError, HaltedError, HeadraceError, RequestError, RetryableError
from headrace.stream.kinesis import reader as reading
from headrace.stream.kinesis.client import open_client
from headrace.telemetry.metrics import Metrics
from services.partitioner import queue
from tests.harness.actions import Action
from tests.harness.proxy import Call, FaultProxy, Rule
from tests.integration.aws_calls import CASES, Step, World
from tests.stats_api_process import fresh_resources

CUTS = [(0.0, False), (0.5, False), (0.999_999, False), (0.5, True)]
"""Which part arrives, and whether the head speaks of the whole."""


async def outcome(step: Step) -> object:
    """What it makes, or the kind of error it raises."""
    try:
        return await step()
    except HeadraceError as error:
        return type(error)


def is_harmless(cut: object, whole: object) -> bool:
    """Whether the end of a step with a cut answer is as good as that with a whole one, or an error that passes."""
    if isinstance(cut, type) and issubclass(cut, RetryableError):
        return True
    final = isinstance(cut, type) and issubclass(cut, RequestError | AccessError | HaltedError)
    return cut == whole and not final


@pytest.fixture
def proxy(ministack_url: str, athena_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(ministack_url, others={"athena": athena_url}) as proxy:
        yield proxy


@pytest.fixture
async def world(aws_environment: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    settings = await fresh_resources(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setattr(reading, "ATTEMPTS", 1)
    monkeypatch.setattr(queue, "WAIT_SECONDS", 0)
    with stamina.set_testing(True, attempts=1):
        async with AwsSession(settings.region) as aws, open_client(aws, Metrics()) as kinesis:
            yield World(proxy=proxy, settings=settings, aws=aws, kinesis=kinesis)


async def test_a_cut_answer_is_made_good_or_passes(world: World) -> None:
    harm = []
    cut: set[Call] = set()
    for case in CASES:
        step = await case(world)
        before = world.proxy.calls.copy()
        whole = await outcome(step)
        for call in world.proxy.calls - before:
            for keep, torn in CUTS:
                step = await case(world)
                rule = Rule(
                    action=Action.CORRUPT, service=call.service, operations=frozenset({call.operation}),
                    keep=keep, torn=torn,
                )  # fmt: skip
                with world.proxy.rules(rule):
                    async with asyncio.timeout(10):
                        found = await outcome(step)
                if not is_harmless(found, whole):
                    harm.append((case.__name__, call.operation, keep, torn, found, whole))
            cut.add(call)
    assert not harm
    assert {call.service for call in cut} == {"s3", "dynamodb", "kinesis", "sqs", "sns", "athena", "glue"}
