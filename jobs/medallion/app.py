"""Wiring of the medallion."""

import contextlib
import functools
import importlib
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaClient
from headrace.catalog.glue import GlueTables
from headrace.clock import SystemClock
from headrace.errors import ConfigError
from headrace.lake.s3 import S3Store
from headrace.lake.s3_remover import S3Remover
from headrace.settings import Settings
from headrace.state.dynamodb import DynamoStateStore
from jobs.command import progress
from jobs.medallion.clean import Cleaner
from jobs.medallion.lock import Lock, OnWait
from jobs.medallion.plan import Request
from jobs.medallion.ports import Engine
from jobs.medallion.publish import Publisher
from jobs.medallion.register import Lakehouse
from jobs.medallion.run import Medallion, Outcome
from jobs.medallion.steps import Step


class EngineName(StrEnum):
    """What makes silver and gold."""

    DUCKDB = "duckdb"
    SPARK = "spark"


async def run(
    settings: Settings,
    request: Request,
    steps: tuple[Step, ...],
    *,
    engine: EngineName = EngineName.DUCKDB,
    wait: bool = False,
    on_wait: OnWait = lambda _: None,
) -> Outcome:
    """Take these steps. Raises what `Medallion.run` raises."""
    clock, attempt = SystemClock(), uuid.uuid4().hex[:8]
    async with AwsSession(settings.region) as aws:
        s3 = await aws.client("s3")
        store = S3Store(s3, settings.bucket)
        state = DynamoStateStore(await aws.client("dynamodb"), settings.state_table)

        async def catalog() -> GlueTables:
            athena = AthenaClient(
                await aws.client("athena"), clock=clock, workgroup=settings.workgroup, output=settings.athena_output_url
            )
            return GlueTables(await aws.client("glue"), athena, settings.database)

        publisher = Publisher(
            store=store,
            state=state,
            catalog=catalog,
            house=Lakehouse(bucket=settings.bucket, database=settings.database, events=settings.table),
        )
        with engine_of(settings, engine) as make:
            medallion = Medallion(
                store=store,
                state=state,
                publisher=publisher,
                cleaner=Cleaner(
                    store=store,
                    remover=S3Remover(s3, settings.bucket),
                    publisher=publisher,
                    clock=clock,
                    grace=settings.medallion_grace,
                ),
                lock=Lock(
                    state, clock, holder=f"{socket.gethostname()}:{os.getpid()}", seconds=settings.medallion_lock
                ),
                engine=make,
                engine_name=engine,
                attempt=attempt,
                clock=clock,
                progress=progress,
            )
            return await medallion.run(request, steps, wait=wait, on_wait=on_wait)


@contextlib.contextmanager
def engine_of(settings: Settings, name: EngineName) -> Iterator[Callable[[], Engine]]:
    """What makes the engine at its first call, and hands out the same one from then on.

    A run that finds nothing to do spares itself the engine's imports.
    """
    with contextlib.ExitStack() as stack:

        @functools.cache
        def make() -> Engine:
            parent = Path(settings.medallion_scratch or tempfile.gettempdir())
            _sweep(parent)
            folder = tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{os.getpid()}-", dir=parent)
            scratch = Path(stack.enter_context(folder))
            try:
                opening = importlib.import_module(_OPENING[name])
            except ModuleNotFoundError as error:
                raise ConfigError([f"--engine {name} needs {error.name}, which is not installed"]) from error
            engine: Engine = opening.open_engine(settings, scratch)
            return engine

        yield make


def _sweep(parent: Path) -> None:
    """Remove the scratch folders of processes that were killed: they may hold gigabytes."""
    for folder in parent.glob(f"{_SCRATCH}*-*"):
        pid = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        if pid.isdecimal() and not _lives(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)  # another user's, or another sweep is at it


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


_SCRATCH = "headrace-medallion-"
_OPENING = {EngineName.DUCKDB: "jobs.medallion.duck.opening", EngineName.SPARK: "jobs.medallion.on_spark.opening"}
"""Modules that have a function `open_engine`."""
