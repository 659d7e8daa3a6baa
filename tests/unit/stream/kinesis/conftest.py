"""Fixtures around the scripted Kinesis endpoint."""

from collections.abc import AsyncIterator

import pytest

from headrace.clock import ManualClock
from headrace.stream.kinesis.client import KinesisClient
from headrace.telemetry.metrics import Metrics
from tests.unit.stream.kinesis.fake_kinesis import FakeKinesis, connect, serve


@pytest.fixture
async def fake() -> AsyncIterator[FakeKinesis]:
    kinesis = FakeKinesis()
    async with serve(kinesis):
        yield kinesis


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def client(fake: FakeKinesis, metrics: Metrics) -> AsyncIterator[KinesisClient]:
    async with connect(fake, metrics) as made:
        yield made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
