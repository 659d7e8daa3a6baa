"""`HEADRACE_STREAM` → the adapter that speaks to it."""

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from headrace.aws.session import AwsSession
from headrace.clock import Clock
from headrace.errors import ConfigError
from headrace.settings import Settings
from headrace.stream.kinesis.client import open_client
from headrace.stream.kinesis.producer import ATTEMPTS, KinesisProducer
from headrace.stream.kinesis.reader import KinesisReader
from headrace.stream.ports import Placer, StreamReader
from headrace.telemetry.metrics import Metrics


@contextlib.asynccontextmanager
async def open_reader(
    settings: Settings, aws: AwsSession, metrics: Metrics, clock: Clock
) -> AsyncIterator[StreamReader]:
    """The consuming side of the stream in the settings, while the block runs. Raises `ConfigError`."""
    _require_kinesis(settings)
    control = await aws.client("kinesis")
    async with open_client(aws, metrics) as client:
        yield KinesisReader(settings.stream_name, client=client, control=control, clock=clock)


@contextlib.asynccontextmanager
async def open_producer(
    settings: Settings, aws: AwsSession, metrics: Metrics, clock: Clock, *, attempts: int = ATTEMPTS
) -> AsyncIterator[Placer]:
    """The producing side of the stream in the settings, while the block runs. Raises `ConfigError`.

    `attempts`: calls in a row that may fail before a put does.
    """
    _require_kinesis(settings)
    async with open_client(aws, metrics) as client:
        yield KinesisProducer(settings.stream_name, client=client, metrics=metrics, clock=clock, attempts=attempts)


def _require_kinesis(settings: Settings) -> None:
    scheme = urlsplit(settings.stream_url).scheme
    if scheme != "kinesis":
        raise ConfigError([f"HEADRACE_STREAM: {scheme}:// streams are not there yet; use kinesis://NAME"])
