"""Which cloud a command talks to: the one that `headrace up` runs, one for its own duration, or AWS itself."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import aiohttp
from rich.console import Console

from cli import ports
from cli.folder import Cloud, DataFolder
from cli.logview import LogView
from cli.program import Program, Stage
from cli.supervisor import Supervisor
from deploy.local.emulator import CREDENTIALS, Emulator
from headrace.errors import ConflictError, NotFoundError
from headrace.settings import load

DEFAULT_DATA = Path(".headrace")

ANSWER_SECONDS = 2.0
ATHENA_READY_SECONDS = 30.0
ATHENA_STOP_SECONDS = 5.0
OTHER_COMMAND_SECONDS = 60.0
OTHER_COMMAND_POLL_SECONDS = 0.1

_CHOSEN_AWS = (
    "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
"""Variables that say which AWS is meant."""


@contextlib.asynccontextmanager
async def cloud_for(data: Path) -> AsyncIterator[None]:
    """Point this process's AWS SDK at the right cloud while the block runs.

    A cloud that runs on `data` comes first; then the AWS that the environment names, unless `data` holds a saved cloud;
    then that one, started for the duration. Raises `NotFoundError` when there is none of them.
    """
    folder = DataFolder(data)
    async with contextlib.AsyncExitStack() as stack:
        cloud = await find_running(folder) or (await _own_cloud(folder, stack) if folder.used else None)
        if cloud is not None:
            # Visitors whom nobody names get the name that the folder's services give them.
            key = {"HEADRACE_ANONYMOUS_KEY": folder.anonymous_key()}
            stack.enter_context(environment(key | local_environment(os.environ, cloud)))
        elif not any(map(os.environ.get, _CHOSEN_AWS)):
            raise NotFoundError(
                f"nothing to ask: no local cloud runs or ran in {data}, and the environment names no AWS account. "
                "Run `headrace up` first, or pass its --data"
            )
        yield


async def find_running(folder: DataFolder) -> Cloud | None:
    """The cloud announced in the folder, if it answers."""
    if (cloud := folder.running()) is None:
        return None
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{cloud.aws}/_ministack/ready") as response,
        ):
            return cloud if response.ok else None
    return None


def local_environment(env: Mapping[str, str], cloud: Cloud) -> dict[str, str]:
    """`env` with its own AWS settings taken out and the local cloud's put in: nothing may reach a real account."""
    return {
        **{name: value for name, value in env.items() if not name.startswith("AWS_")},
        **CREDENTIALS,
        "AWS_REGION": cloud.region,
        "AWS_ENDPOINT_URL": cloud.aws,
        "AWS_ENDPOINT_URL_ATHENA": cloud.athena,
        "AWS_EC2_METADATA_DISABLED": "true",
        # What the SDKs add unasked costs the emulator a tenth of a second per MB.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }


@contextlib.contextmanager
def environment(env: Mapping[str, str]) -> Iterator[None]:
    """Have exactly this environment while the block runs."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def athena_program(port: int, env: Mapping[str, str]) -> Program:
    """The Athena endpoint on `port`, with the local cloud's environment."""
    return Program(
        name=ports.ATHENA,
        module="deploy.local.athena",
        args=("--port", str(port)),
        env=env,
        ready_url=f"http://127.0.0.1:{port}/health",
        stage=Stage.QUERY,
    )


async def _own_cloud(folder: DataFolder, stack: contextlib.AsyncExitStack) -> Cloud:
    """Start the saved cloud, or use the one that another command starts meanwhile."""
    deadline = time.monotonic() + OTHER_COMMAND_SECONDS
    while True:
        try:
            lock = stack.enter_context(folder.hold())
        except ConflictError:
            if cloud := await find_running(folder):
                return cloud
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(OTHER_COMMAND_POLL_SECONDS)
        else:
            return await stack.enter_async_context(_started(folder, lock))


@contextlib.asynccontextmanager
async def _started(folder: DataFolder, lock: int) -> AsyncIterator[Cloud]:
    anywhere = {place.variable: "0" for place in ports.PLACES.values()}
    chosen = ports.choose([ports.AWS, ports.ATHENA], anywhere)
    emulator = Emulator(chosen[ports.AWS], folder.path, lock)
    supervisor = Supervisor(LogView(Console(stderr=True)))
    cloud = Cloud(
        pid=os.getpid(), aws=emulator.url, athena=f"http://127.0.0.1:{chosen[ports.ATHENA]}", region=load().region
    )
    try:
        await emulator.start()
        env = {**local_environment(os.environ, cloud), "HEADRACE_LOG_FORMAT": "json", "HEADRACE_LOG_LEVEL": "WARNING"}
        supervisor.start([athena_program(chosen[ports.ATHENA], env)])
        await supervisor.wait_ready([ports.ATHENA], ATHENA_READY_SECONDS)
        yield cloud
    finally:
        await supervisor.stop(ATHENA_STOP_SECONDS)
        await emulator.stop()
