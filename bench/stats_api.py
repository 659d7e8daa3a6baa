"""Cached reads of the stats API beside a bare Starlette route: requests per second, and how long the slowest wait.

Each server is a process of its own under uvicorn, httptools and uvloop; this process is the load.
"""

import asyncio
import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from statistics import quantiles
from typing import cast

from uvloop import run as run_loop

from services.stats_api.cache import FRESH_SECONDS

CONNECTIONS = 32
SECONDS = 4.0
REPEATS = 3
PRODUCTS = 8
"""So many answers are hot."""

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one server took."""

    rate: float
    """Requests per second."""
    p99: float
    """Milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The best of the runs of each server, and what single flight left of the reads."""

    headrace: Load
    bare: Load
    reads: int
    """Of the counters, over all runs of Headrace."""
    fewest_reads: int
    """One for each answer and each time it expires under load."""


def measure() -> Measured:
    """Load both servers in turn."""
    loads: dict[str, list[Load]] = {"headrace": [], "bare": []}
    with _server("headrace") as ours, _server("bare") as bare:
        servers = {"headrace": int(_line(ours)), "bare": int(_line(bare))}
        for _ in range(REPEATS):
            for name, port in servers.items():
                loads[name].append(run_loop(_load(port)))
        ours.terminate()
        reads = int(_line(ours))
    return Measured(
        headrace=_best(loads["headrace"]),
        bare=_best(loads["bare"]),
        reads=reads,
        fewest_reads=REPEATS * PRODUCTS * ceil(SECONDS / FRESH_SECONDS),
    )


def _best(loads: Sequence[Load]) -> Load:
    return Load(rate=max(load.rate for load in loads), p99=min(load.p99 for load in loads))


@contextlib.contextmanager
def _server(name: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.stats_server", name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
    with process:
        try:
            yield process
        finally:
            process.terminate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


async def _load(port: int) -> Load:
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    visitors = [_Visitor(number, end) for number in range(CONNECTIONS)]
    for visitor in visitors:
        await loop.create_connection(partial(_same, visitor), "127.0.0.1", port)
    async with asyncio.timeout(SECONDS + 30):
        await asyncio.gather(*(visitor.done for visitor in visitors))
    waits = [wait for visitor in visitors for wait in visitor.waits]
    return Load(rate=len(waits) / SECONDS, p99=quantiles(waits, n=100)[98] * 1000)


def _same(visitor: "_Visitor") -> "_Visitor":
    return visitor


@dataclass(slots=True)
class _Visitor(asyncio.Protocol):
    """One connection: the next request goes out when the answer to the last is in."""

    number: int
    end: float
    waits: list[float] = field(default_factory=list)
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _transport: asyncio.WriteTransport | None = None
    _request: bytes = b""
    _answer: bytes = b""
    _asked: float = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's do not inherit from it
        product = f"P{self.number % PRODUCTS:05}"
        self._request = f"GET /v1/products/{product}/stats HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head = self._answer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._answer, 0, head)
        assert self._answer.startswith(b"HTTP/1.1 200 ")
        assert length is not None
        if len(self._answer) < head + 4 + int(length[1]):
            return
        now = time.monotonic()
        self.waits.append(now - self._asked)
        self._answer = b""
        if now < self.end:
            self._ask()
        else:
            self.done.set_result(None)
            assert self._transport is not None
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server hung up"))

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked = time.monotonic()
        self._transport.write(self._request)
