"""The containers of docker-compose.yml, as a user of the machine sees them."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROJECT = "headrace-test"
SERVICES = {"api-consumer": 9101, "transformer": 9102, "partitioner": 9103, "stats-api": 8080}
CLOUD = {"emulator": 4566, "athena": 4567}
ANY_PORT = {
    f"HEADRACE_{name}_PORT": "0"
    for name in ("LOCAL_AWS", "LOCAL_ATHENA", "API_CONSUMER", "TRANSFORMER", "PARTITIONER", "STATS")
}
UP_SECONDS = 300
APPEAR_SECONDS = 120


class Stack:
    """All containers of one project, apart from those of anybody who uses the same file."""

    def compose(self, *args: str) -> str:
        """What `docker compose …` prints; fails with all of it when it fails."""
        return run(["docker", "compose", *args], {**ANY_PORT, "COMPOSE_PROJECT_NAME": PROJECT})

    def up(self) -> None:
        """Start what does not run, and wait until every health check is content."""
        self.compose("up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS))

    def address(self, service: str) -> str:
        """HOST:PORT on this machine; another one after each start."""
        return self.compose("port", service, str({**SERVICES, **CLOUD}[service])).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        """All that the engine knows of the service's container."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        found: list[dict[str, Any]] = json.loads(run(["docker", "inspect", container]))
        return found[0]

    def python(self, service: str, code: str) -> str:
        """What Python code prints inside the service's container."""
        return self.compose("exec", "--no-TTY", service, "python", "-c", code).strip()

    def get(self, service: str, path: str) -> Any:
        """The JSON that a GET is answered with."""
        with urllib.request.urlopen(f"http://{self.address(service)}{path}", timeout=10) as response:
            return json.load(response)

    def collect(self, event: Mapping[str, object]) -> None:
        """Send an event as a browser does."""
        request = urllib.request.Request(
            f"http://{self.address('stats-api')}/v1/collect",
            json.dumps(event).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 202

    def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows that `headrace query` prints on this machine."""
        cloud = {
            "AWS_ENDPOINT_URL": f"http://{self.address('emulator')}",
            "AWS_ENDPOINT_URL_ATHENA": f"http://{self.address('athena')}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": "us-east-1",
        }
        command = [sys.executable, "-m", "cli", "query", "--data", "/nonexistent", "--format", "json", sql]
        rows: list[dict[str, Any]] = json.loads(run(command, cloud))
        return rows


def run(command: list[str], more_environment: Mapping[str, str] | None = None) -> str:
    """What the command prints; fails with all of it when it fails."""
    environment = {**os.environ, **(more_environment or {})}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def eventually(ask: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = APPEAR_SECONDS) -> Any:
    """What `ask` returns once it is as wanted; fails with the last answer when the time is up."""
    deadline = time.monotonic() + seconds
    while not wanted(answer := ask()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still: {answer!r}"
        time.sleep(0.2)
    return answer
