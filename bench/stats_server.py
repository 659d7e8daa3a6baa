"""A server for `bench.stats_api`: `python -m bench.stats_server headrace|bare`.

Prints its port, serves until SIGTERM, and prints how often the counters were read.
"""

import asyncio
import signal
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvloop import run as run_loop

from headrace.clock import SystemClock
from headrace.counters.memory import MemoryCounters
from headrace.counters.ports import Counts, Entity, Window
from headrace.leases.memory import MemoryLeaseStore
from headrace.runtime import Context, Shutdown
from headrace.settings import load
from headrace.stream.memory import MemoryStream
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from services.stats_api.app import Parts, create_app
from services.stats_api.server import listen, serve

BODY = (
    b'{"product_id":"P00001","window":"24h","views":0,"add_to_carts":0,"purchases":0,"quantity":0,"revenue":{},'
    b'"complete_through":null}'
)
"""What Headrace answers, so that both send as much."""


class _CountedReads(MemoryCounters):
    reads = 0

    async def counts(self, entity: Entity, entity_id: str, window: Window, *, now: float) -> Counts:
        self.reads += 1
        return await super().counts(entity, entity_id, window, now=now)


async def headrace() -> None:
    """The stats API as it is, over counters in memory."""
    clock, metrics, counters = SystemClock(), Metrics(), _CountedReads()
    stream = MemoryStream(clock)
    context = Context(settings=load(), metrics=metrics, health=Health(), shutdown=Shutdown(5), clock=clock)
    parts = Parts(
        counters=counters,
        leases=MemoryLeaseStore(),
        stream=stream,
        producer=stream,
        settings=context.settings,
        metrics=metrics,
        health=context.health,
        clock=clock,
    )
    listener = listen("127.0.0.1", 0)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, context.shutdown.request)
    print(listener.getsockname()[1], flush=True)
    await serve(create_app(parts), listener, context)
    print(counters.reads, flush=True)


async def bare() -> None:
    """One route of Starlette, without anything around it."""

    async def answer(_request: Request) -> Response:
        return Response(BODY, media_type="application/json")

    app = Starlette(routes=[Route("/v1/products/{product_id}/stats", answer)])
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(app, http="httptools", ws="none", lifespan="off", access_log=False, log_config=None)
    )
    print(listener.getsockname()[1], flush=True)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    run_loop({"headrace": headrace, "bare": bare}[sys.argv[1]]())
