"""A lake to measure the medallion job in: a cloud of its own, raw events in its bucket, and the job as a process."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import aiohttp
import duckdb

from bench import questions
from cli.cloud import environment, local_environment
from cli.folder import Cloud
from deploy.local.emulator import Emulator
from deploy.local.resources import ensure_resources, ensure_workgroup
from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaClient
from headrace.clock import SystemClock
from headrace.concurrency import for_each
from headrace.lake.layout import RAW_EVENTS
from headrace.lake.s3 import S3Store
from headrace.settings import load

END = "2026-04-09T12:00"
"""Where the first load ends; the hour more follows it."""
READY_SECONDS = 60.0
UPLOADS_AT_ONCE = 4
_COLUMNS = (
    "event_id", "session_id", "user_id", "event_type", "timestamp", "page_url", "referrer_url", "product_id",
    "category", "currency", "device_type", "user_agent", "source", "quantity", "price", "revenue", "rating", "ip",
)  # fmt: skip
_NESTED = (
    "geo: 'STRUCT(country VARCHAR, region VARCHAR, city VARCHAR)'", "properties: 'MAP(VARCHAR, VARCHAR)'",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One process of ours that ended well."""

    seconds: float
    cpu: float
    """Seconds of all its threads."""
    peak: int
    """The most bytes that it held, as the kernel counts them."""
    said: str
    """On stdout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A statement through the Athena endpoint."""

    engine: float
    """Seconds within the endpoint: EngineExecutionTimeInMillis."""
    wall: float
    """Seconds until the answer was here."""
    scanned: int
    """Bytes: DataScannedInBytes."""


def headrace(*args: str) -> Ran:
    """A command in a process of its own. Ends this one with its log when it fails."""
    started = time.monotonic()
    command = [sys.executable, "-m", "cli", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(args)} ended with {process.returncode}")
    return Ran(
        seconds=time.monotonic() - started,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * 1024,
        said=said,
    )


def generate(folder: Path, events: int, minutes: int, end: str) -> Mapping[str, Any]:
    """Raw events of so many minutes before `end` below `folder`; what the generator says of them."""
    command = ["job", "simulate", "bulk", "--events", str(events), "--minutes", str(minutes), "--end", end]
    told: Mapping[str, Any] = json.loads(headrace(*command, "--to", str(folder)).said)
    return told


def count_by_duckdb(folder: Path, *, values: bool) -> float:
    """Seconds that DuckDB takes to count what is in the files, in a process of its own.

    `values`: of each column, which is named and a text, so that all is read, and nothing guessed or converted. Else the
    lines, as a user would ask for them; then no value is looked at.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(partial(_count, str(folder / RAW_EVENTS / "**" / "*.gz"), values=values)).result()


def _count(files: str, *, values: bool) -> float:
    columns = ", ".join([*(f"{name}: 'VARCHAR'" for name in _COLUMNS), *_NESTED])
    lines, cells = (
        f"read_json('{files}')",
        f"read_json('{files}', format = 'newline_delimited', columns = {{{columns}}})",
    )
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        started = time.monotonic()
        connection.execute(f"SELECT count(COLUMNS(*)) FROM {cells}" if values else f"SELECT count(*) FROM {lines}")  # noqa: S608 - our own paths
        connection.fetchall()
        return time.monotonic() - started


@contextlib.asynccontextmanager
async def local_lake() -> AsyncIterator["Lake"]:
    """Emulator and Athena endpoint on free ports, with what the stack makes; this process's SDK points at them."""
    aws_port, athena_port = _free_ports(2)
    emulator = Emulator(aws_port)
    cloud = Cloud(pid=os.getpid(), aws=emulator.url, athena=f"http://127.0.0.1:{athena_port}", region="us-east-1")
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    with environment({**local_environment(ours, cloud), "HEADRACE_LOG_LEVEL": "WARNING"}):
        async with _running(emulator, cloud, athena_port):
            settings = load()
            async with AwsSession(settings.region) as aws:
                await ensure_resources(aws, settings)
                await ensure_workgroup(aws, settings)
                yield Lake(await aws.client("s3"), await aws.client("athena"))


@contextlib.asynccontextmanager
async def _running(emulator: Emulator, cloud: Cloud, athena_port: int) -> AsyncIterator[None]:
    await emulator.start()
    endpoint = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.local.athena", "--port", str(athena_port)
    )
    try:
        await _ready(f"{cloud.athena}/health")
        yield
    finally:
        endpoint.kill()  # its state is in the emulator
        await endpoint.wait()
        emulator.kill()  # nothing to save
        await emulator.wait()


class Lake:
    """Bucket and endpoint of a running local cloud."""

    def __init__(self, s3: Any, athena: Any) -> None:
        settings = load()
        self._client = athena
        self._store = S3Store(s3, settings.bucket)
        self._athena = AthenaClient(
            athena,
            clock=SystemClock(), workgroup=settings.workgroup, output=settings.athena_output_url,
            database=settings.database,
        )  # fmt: skip

    async def upload(self, folder: Path) -> None:
        """Put all raw events below `folder` into the bucket, under the same keys."""

        async def put(file: Path) -> None:
            body = await asyncio.to_thread(file.read_bytes)
            await self._store.put(file.relative_to(folder).as_posix(), body)

        await for_each((folder / RAW_EVENTS).rglob("*.gz"), put, limit=UPLOADS_AT_ONCE)

    async def bytes_below(self, prefix: str) -> int:
        """Of all objects."""
        return sum([found.size async for found in self._store.list(prefix)])

    async def ask(self, sql: str) -> Asked:
        """One statement to its end."""
        started = time.monotonic()
        result = await self._athena.query(sql)
        wall = time.monotonic() - started
        reply = await self._client.get_query_execution(QueryExecutionId=result.execution.query_id)
        told = reply["QueryExecution"]["Statistics"]
        return Asked(engine=told["EngineExecutionTimeInMillis"] / 1000, wall=wall, scanned=told["DataScannedInBytes"])

    async def ask_gold(self, times: int) -> Mapping[str, Sequence[Asked]]:
        """Each question so often, by its table."""
        return {table: [await self.ask(sql) for _ in range(times)] for table, sql in questions.GOLD.items()}

    async def ask_bronze(self, part: str) -> Mapping[str, Asked]:
        """Each question once of the part of bronze, by its table."""
        return {table: await self.ask(questions.on_bronze(table, part)) for table in questions.GOLD}


async def _ready(url: str) -> None:
    async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(url) as response:
                    if response.ok:
                        return
            await asyncio.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
