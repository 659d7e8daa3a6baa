"""Fixtures shared by all tests. One fixture per real engine; every port is a free one."""

import atexit
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import botocore.session
import pytest
import structlog
from hypothesis import settings as hypothesis_settings

from deploy.local.emulator import CREDENTIALS, environment

hypothesis_settings.register_profile("default", deadline=None)
hypothesis_settings.load_profile("default")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_http(url: str, process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Return once `url` answers 200; fail when the process ends or the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=2) as response:
                if response.status == 200:
                    return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"{url} did not answer within {seconds} s"
        time.sleep(0.05)


def point_aws_at(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the AWS SDK of this process at `url`, and nowhere else."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "HEADRACE_"))]:
        monkeypatch.delenv(name)
    for name, value in {**CREDENTIALS, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return url


@pytest.fixture(scope="session")
def ministack_url() -> Iterator[str]:
    """The AWS emulator, one process for the whole session, without persistence. Use fresh names for what you create."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "ministack"], env={**os.environ, **environment(port)}, stdout=subprocess.DEVNULL
    )
    try:
        wait_for_http(f"http://127.0.0.1:{port}/_ministack/ready", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # nothing to save
        process.wait()


@pytest.fixture
def aws_environment(ministack_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the AWS SDK of this process at the emulator, and nowhere else."""
    return point_aws_at(ministack_url, monkeypatch)


@pytest.fixture(scope="session")
def athena_url(ministack_url: str) -> Iterator[str]:
    """The local Athena endpoint over the emulator, with the workgroup `headrace`; one process for the whole session."""
    port = free_port()
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEADRACE_"))},
        **CREDENTIALS,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": ministack_url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    process = subprocess.Popen([sys.executable, "-m", "deploy.local.athena", "--port", str(port)], env=environ)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for_http(f"{url}/health", process)
        session = botocore.session.Session()
        session.set_credentials(*CREDENTIALS.values())
        session.create_client("athena", "us-east-1", endpoint_url=url).create_work_group(Name="headrace")
        yield url
    finally:
        process.kill()  # its state is in the emulator
        process.wait()


@pytest.fixture
def athena_environment(aws_environment: str, athena_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """As `aws_environment`, with Athena answered by the local endpoint."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", athena_url)
    return athena_url


@pytest.fixture
def restored_logs() -> Iterator[None]:
    """Undo what `log.configure` does to this process."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def pytest_unconfigure() -> None:
    """Keep the summary the last thing said.

    After Hypothesis has run, DuckDB's binding finds its own module still referenced when the interpreter ends, and
    prints a page about it. Nothing of ours is said after this point.
    """
    if "duckdb" in sys.modules:
        atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))
