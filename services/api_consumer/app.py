"""Wiring of the poller."""

import contextlib
from collections.abc import Sequence

import aiohttp

from headrace.aws.session import AwsSession
from headrace.aws.sns import alerts_to
from headrace.errors import ConfigError
from headrace.events.mapping import Mapping, load_mapping
from headrace.events.parse import Policy
from headrace.lake.layout import Quarantine
from headrace.lake.s3 import S3Store
from headrace.runtime import Context
from headrace.settings import Settings
from headrace.state.dynamodb import DynamoStateStore
from headrace.state.sources import PREFIX
from headrace.stream.aggregate import AggregatingProducer
from headrace.stream.connect import open_producer, open_reader
from headrace.stream.shard_map import ShardMap
from services.api_consumer import files, guard, upstream
from services.api_consumer.fetch import Fetcher
from services.api_consumer.insist import Insist
from services.api_consumer.intake import STAGE, Intake
from services.api_consumer.outlet import Outlet
from services.api_consumer.pending import HoldPolicy
from services.api_consumer.poller import Poller
from services.api_consumer.ports import Source

IDLE_BEAT_SECONDS = 30.0
PUT_ATTEMPTS = 5
"""Calls of a put, about a second: whether to go on or to spool is then for the poller to decide."""


async def main(context: Context) -> None:
    """Poll until a drain is asked for; once all files are read, wait for it."""
    settings, metrics, clock, health = context.settings, context.metrics, context.clock, context.health
    mapping = load_mapping(settings.mapping) if settings.mapping else None
    async with contextlib.AsyncExitStack() as stack:
        allowed = (lambda _: True) if settings.allow_private_upstream else guard.is_public
        http = await stack.enter_async_context(guard.open_http(allowed))
        aws = await stack.enter_async_context(AwsSession(settings.region, metrics=metrics))
        sources = open_sources(context, mapping, http)
        store = S3Store(await aws.client("s3"), settings.bucket)
        state = DynamoStateStore(await aws.client("dynamodb"), settings.state_table)
        reader = await stack.enter_async_context(open_reader(settings, aws, metrics, clock))
        placer = await stack.enter_async_context(open_producer(settings, aws, metrics, clock, attempts=PUT_ATTEMPTS))
        producer = AggregatingProducer(placer, ShardMap(reader.shards, clock)) if settings.aggregate else placer
        topic = settings.failed_records_sns_arn
        report = await stack.enter_async_context(alerts_to(topic, aws, service=STAGE, metrics=metrics, clock=clock))
        health.add_check("stream", reader.info)
        health.add_check("bucket", lambda: store.head(f"{Quarantine.KINESIS_FAILURES}/"))
        health.add_check("state", lambda: state.get("readyz"))
        for source in sources:
            if isinstance(source, upstream.Upstream):
                health.add_check("upstream", source.check)
        insist = Insist(clock, health)
        health.add_check("work", insist.check)
        poller = Poller(
            intake=Intake(
                Policy.of(settings),
                mapping,
                settings.anonymous_key.get_secret_value().encode(),
                keep_originals=settings.raw_archive,
            ),
            outlet=Outlet(
                producer=producer, store=store, insist=insist, spool_after=settings.spool_after,
                report=report, metrics=metrics, health=health, clock=clock,
            ),
            store=store,
            state=state,
            hold=HoldPolicy(size=settings.s3_batch_size, seconds=settings.s3_batch_seconds),
            insist=insist,
            report=report,
            metrics=metrics,
            health=health,
            shutdown=context.shutdown,
            clock=clock,
        )  # fmt: skip
        await poller.run(sources)
        while not await context.shutdown.wait(IDLE_BEAT_SECONDS):
            health.beat()


def open_sources(context: Context, mapping: Mapping | None, http: aiohttp.ClientSession) -> Sequence[Source]:
    """The files or the API of the settings. Raises `ConfigError`."""
    settings = context.settings
    if settings.source_files:
        return files.open_sources(settings.source_files, limit=settings.page_limit, mapping=mapping)
    problem = guard.url_problem(
        settings.api_url,
        allow_private=settings.allow_private_upstream,
        allow_http=settings.allow_http_upstream,
    )
    if problem is not None:
        raise ConfigError([f"API_URL: {problem}" + ("" if settings.api_url else ", or give HEADRACE_SOURCE_FILES")])
    return [
        upstream.Upstream(
            Fetcher(http, settings.api_url, max_bytes=settings.page_bytes, seconds=settings.upstream_timeout),
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
    return [PREFIX + source_id for source_id in ids]
