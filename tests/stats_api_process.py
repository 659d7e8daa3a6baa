"""The stats API as a process of its own against the emulator, for tests."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from deploy.local.resources import ensure_resources
from headrace.aws.session import AwsSession
from headrace.settings import Settings, load
from tests.conftest import free_port, wait_for_http

ROOT = Path(__file__).parents[1]


async def fresh_resources(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """A stream, bucket, queue and tables of their own, told to this process and its children by the environment."""
    name = uuid.uuid4().hex[:12]
    named = {
        "KINESIS_STREAM_NAME": f"events-{name}",
        "S3_BUCKET": f"data-{name}",
        "HEADRACE_CONTROL_TABLE": f"control-{name}",
        "HEADRACE_COUNTERS_TABLE": f"counters-{name}",
        "HEADRACE_STATE_TABLE": f"state-{name}",
        "HEADRACE_PARTITION_QUEUE": f"partitions-{name}",
        "HEADRACE_STATS_PORT": str(free_port()),
    }
    for variable, value in {**named, **variables}.items():
        monkeypatch.setenv(variable, value)
    settings = load()
    async with AwsSession(settings.region) as aws:
        await ensure_resources(aws, settings, shards=1)
    return settings


@contextmanager
def running(settings: Settings, output: IO[bytes] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The service, ready; `output` gets what it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "services.stats_api"], cwd=ROOT, env=dict(os.environ), stdout=output, stderr=output
    )
    try:
        wait_for_http(f"http://127.0.0.1:{settings.stats_port}/readyz", process)
        yield process
    finally:
        process.kill()
        process.wait()
