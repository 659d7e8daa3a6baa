"""Wiring of the stats API."""

import asyncio
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp

from headrace.aws.dynamodb import request
from headrace.aws.session import AwsSession
from headrace.clock import Clock
from headrace.counters.dynamodb import DynamoCounterReader
from headrace.counters.ports import CounterReader
from headrace.events.parse import Policy
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.ports import LeaseStore
from headrace.runtime import Context
from headrace.settings import Settings
from headrace.stream.connect import open_producer, open_reader
from headrace.stream.ports import Producer, StreamReader
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from services.stats_api import docs, problems
from services.stats_api.cache import ResponseCache
from services.stats_api.collecting import collecting_routes
from services.stats_api.collector import Collector
from services.stats_api.freshness import Freshness
from services.stats_api.front import Cors, HeadAsGet, ShortAddress
from services.stats_api.keys import Guard, KeyRing
from services.stats_api.metering import Metering
from services.stats_api.monitoring import health_routes
from services.stats_api.reading import PREFIXES, reading_routes
from services.stats_api.server import listen, serve
from services.stats_api.spool import SpoolingProducer
from services.stats_api.throttle import Allowance, Throttle
from services.stats_api.tracing import Tracing

PUT_ATTEMPTS = 5
"""Calls of a put, about a second: then the events go to the spool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The ports that the API stands on."""

    counters: CounterReader
    leases: LeaseStore
    stream: StreamReader
    producer: Producer
    settings: Settings
    metrics: Metrics
    health: Health
    clock: Clock


async def main(context: Context) -> None:
    """Serve until asked to stop."""
    settings = context.settings
    async with (
        AwsSession(settings.region, metrics=context.metrics) as aws,
        open_reader(settings, aws, context.metrics, context.clock) as stream,
        open_producer(settings, aws, context.metrics, context.clock, attempts=PUT_ATTEMPTS) as producer,
    ):
        dynamodb = await aws.client("dynamodb")
        for table in (settings.counters_table, settings.control_table):
            context.health.add_check(table, partial(request, dynamodb.describe_table, TableName=table))
        context.health.add_check("stream", stream.info)
        store = S3Store(await aws.client("s3"), settings.bucket)
        spool = SpoolingProducer(producer, store, metrics=context.metrics, clock=context.clock)
        app = create_app(
            Parts(
                counters=DynamoCounterReader(dynamodb, settings.counters_table),
                leases=DynamoLeaseStore(dynamodb, settings.control_table),
                stream=stream,
                producer=spool,
                settings=settings,
                metrics=context.metrics,
                health=context.health,
                clock=context.clock,
            )
        )
        listener = listen(settings.host, settings.stats_port)
        context.health.started()
        async with asyncio.TaskGroup() as tasks:
            putting_back = tasks.create_task(spool.run())
            await serve(app, listener, context)
            putting_back.cancel()


def create_app(parts: Parts) -> ASGIApp:
    """The API over these ports: tracing → metering → CORS → HEAD → length → keys → cache → routes."""
    settings = parts.settings
    api_keys = KeyRing((key.get_secret_value() for key in settings.api_keys), setting="HEADRACE_API_KEYS")
    api = _routes(parts)
    cached = ResponseCache(api, parts.clock, PREFIXES, vary=None if api_keys.is_open else "X-API-Key, Authorization")
    app: ASGIApp = HeadAsGet(ShortAddress(Guard(cached, api_keys, PREFIXES)))
    if settings.cors_origins:
        app = Cors(app, settings.cors_origins)
    return Tracing(Metering(app, parts.metrics))


def _routes(parts: Parts) -> FastAPI:
    settings = parts.settings
    api = FastAPI(
        title="Headrace stats API",
        version="1",
        description="Live counts of products and pages, and a door for events.",
        docs_url=None,
        redoc_url=None,
    )
    problems.install(api)
    freshness = Freshness(parts.leases, parts.stream, parts.clock)
    collector = Collector(
        parts.producer,
        Policy.of(settings),
        anonymous_key=settings.anonymous_key.get_secret_value().encode(),
        metrics=parts.metrics,
        clock=parts.clock,
    )
    api.include_router(reading_routes(parts.counters, freshness, parts.clock))
    write_keys = KeyRing(settings.write_keys, setting="HEADRACE_WRITE_KEYS")
    throttle = Throttle(Allowance(rate=settings.collect_rate, burst=settings.collect_burst), parts.clock)
    api.include_router(
        collecting_routes(collector, write_keys, throttle, parts.clock, proxies=settings.trusted_proxies)
    )
    api.include_router(health_routes(parts.health, parts.metrics))
    docs.install(api)
    return api
