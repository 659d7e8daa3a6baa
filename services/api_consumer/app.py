"""Wiring of the poller."""

import contextlib
from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp

from headrace.aws.session import AwsSession
from headrace.errors import ConfigError
from headrace.events.mapping import Mapping, load_mapping
from headrace.events.parse import Policy
from headrace.lake.s3 import S3Store
from headrace.runtime import Context
from headrace.settings import Settings
from headrace.state.dynamodb import DynamoStateStore
from headrace.stream.connect import open_producer, open_reader
from services.api_consumer import cursor, files, upstream
from services.api_consumer.intake import Intake
from services.api_consumer.poller import Poller, QuarantinePolicy
from services.api_consumer.ports import Source

IDLE_BEAT_SECONDS = 30.0


async def main(context: Context) -> None:
    """Poll until a drain is asked for; once all files are read, wait for it."""
    settings, metrics, clock, health = context.settings, context.metrics, context.clock, context.health
    mapping = load_mapping(settings.mapping) if settings.mapping else None
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        aws = await stack.enter_async_context(AwsSession(settings.region))
        sources = open_sources(context, mapping, http)
        store = S3Store(await aws.client("s3"), settings.bucket)
        state = DynamoStateStore(await aws.client("dynamodb"), settings.state_table)
        reader = await stack.enter_async_context(open_reader(settings, aws, metrics, clock))
        health.add_check("stream", reader.info)
        health.add_check("bucket", lambda: store.head("readyz"))
        health.add_check("state", lambda: state.get("readyz"))
        poller = Poller(
            intake=Intake(Policy.of(settings), mapping, settings.anonymous_key.get_secret_value().encode()),
            producer=await stack.enter_async_context(open_producer(settings, aws, metrics, clock)),
            store=store,
            state=state,
            quarantine=QuarantinePolicy(size=settings.s3_batch_size, seconds=settings.s3_batch_seconds),
            metrics=metrics,
            health=health,
            shutdown=context.shutdown,
            clock=clock,
        )
        health.started()
        await poller.run(sources)
        while not await context.shutdown.wait(IDLE_BEAT_SECONDS):
            health.beat()


def open_sources(context: Context, mapping: Mapping | None, http: aiohttp.ClientSession) -> Sequence[Source]:
    """The files or the API of the settings. Raises `ConfigError`."""
    settings = context.settings
    if settings.source_files:
        return files.open_sources(settings.source_files, limit=settings.page_limit, mapping=mapping)
    if urlsplit(settings.api_url).scheme not in {"http", "https"} or not urlsplit(settings.api_url).netloc:
        raise ConfigError(["API_URL: must be an http:// or https:// URL, or give HEADRACE_SOURCE_FILES"])
    return [
        upstream.Upstream(
            http,
            settings.api_url,
            limit=settings.page_limit,
            poll_interval=settings.poll_interval,
            metrics=context.metrics,
            clock=context.clock,
        )
    ]


def cursor_keys(settings: Settings) -> list[str]:
    """The state documents of the settings' sources. Raises `ConfigError` when a file is missing."""
    ids = [files.source_id(path) for path in settings.source_files] or [upstream.source_id(settings.api_url)]
    return [cursor.PREFIX + source_id for source_id in ids]
