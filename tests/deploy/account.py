"""The services and jobs of a stack as processes, each with its own access key, behind the gatekeeper."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from deploy.local.emulator import CREDENTIALS
from tests.conftest import free_port, wait_for_http
from tests.deploy.stack import Stack
from tests.harness.needs import REGION
from tests.harness.policed import PolicedProxy, key_of
from tests.harness.service import Service

MODULES = {
    "ApiConsumer": "api_consumer", "Transformer": "transformer", "Partitioner": "partitioner", "StatsApi": "stats_api",
}  # fmt: skip
ASKS_ATHENA = ("Partitioner", "MedallionJob", "PartitionsJob")
HURRIED = {
    "HEADRACE_BATCH_AGE": "1s",
    "HEADRACE_FAILOVER": "3s",
    "HEADRACE_SHUTDOWN": "10s",
    "HEADRACE_SPOOL_AFTER": "1s",
    "S3_BATCH_SECONDS": "1s",
    "HEADRACE_LOG_FORMAT": "json",
    "PYTHONUNBUFFERED": "1",
}
"""What is other than in a container: nothing of it is about AWS."""


class Account:
    """What runs in the account. `with Account(…) as account:` stops all of it at the end."""

    def __init__(self, stack: Stack, proxy: PolicedProxy, folder: Path) -> None:
        self.stack = stack
        self._proxy = proxy
        self._folder = folder
        self.secrets = stack.secrets()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._services: list[Service] = []

    def __enter__(self) -> Self:
        for caller in ASKS_ATHENA:
            port = free_port()
            url = self._proxy.athena[caller] = f"http://127.0.0.1:{port}"
            key = key_of(caller, for_athena=True)
            self.helper("deploy.local.athena", "--port", str(port), url=f"{url}/health", **key)
        return self

    def __exit__(self, *exc: object) -> None:
        for service in self._services:
            service.kill()
        for process in self._processes:
            process.kill()
            process.wait()

    def helper(self, module: str, *arguments: str, url: str, **env: str) -> None:
        """A process beside them that runs until the end; ready once the URL answers."""
        process = subprocess.Popen([sys.executable, "-m", module, *arguments], env={**self._aws(""), **env})
        self._processes.append(process)
        wait_for_http(url, process)

    def service(self, name: str, **settings: str) -> Service:
        """A service with the variables of its container, not started."""
        port = free_port()
        here = {
            "HEADRACE_HOST": "127.0.0.1",
            "HEADRACE_METRICS_PORT": str(port),
            "HEADRACE_STATS_PORT": str(port),
        }
        env = {**self._aws(name), **self.stack.environment(name), **self.secrets, **HURRIED, **here, **settings}
        module = f"services.{MODULES[name]}"
        service = Service(name, module, env, f"http://127.0.0.1:{port}", self._folder)
        self._services.append(service)
        return service

    def job(self, name: str, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run a job to its end: the command of its container, unless there is another one."""
        command = [sys.executable, "-m", "cli", *(arguments or self.stack.container(name)["command"])]
        env = {**self._aws(name), **self.secrets, **(self.stack.environment(name) if name else {}), **settings}
        return subprocess.run(
            command, env=env, cwd=self._folder, capture_output=True, text=True, timeout=120, check=False
        )

    def query(self, sql: str) -> list[dict[str, Any]]:
        """What somebody with rights of their own sees in Athena."""
        url = f"http://127.0.0.1:{(port := free_port())}"
        analyst = {**CREDENTIALS, "AWS_ENDPOINT_URL": self.stack.cloud}
        self.helper("deploy.local.athena", "--port", str(port), url=f"{url}/health", **analyst)
        settings = {**self.stack.environment("MedallionJob"), **analyst, "AWS_ENDPOINT_URL_ATHENA": url}
        done = self.job("", "query", sql, "--format", "json", **settings)
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def drain(self) -> None:
        """Ask all services to end, and wait."""
        for service in self._services:
            service.signal(signal.SIGTERM)
        for service in self._services:
            service.end(20)

    def _aws(self, caller: str) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEADRACE_"))}
        root = str(Path(__file__).parents[2])
        return {
            **inherited,
            **key_of(caller),
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self._proxy.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONPATH": f"{root}/libs:{root}",
        }
