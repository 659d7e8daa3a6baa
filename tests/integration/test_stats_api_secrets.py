"""No secret of the stats API is ever shown, whatever goes wrong: canaries in a real process."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.stats_api_process import ROOT, fresh_resources, running

API_KEY, DIGEST = "canary-api-key", "ca" * 32
WRITE_KEY, ANONYMOUS_KEY, AWS_SECRET = "canary-write-key", "canary-anonymous-key", "canary-aws-secret"
WRONG_KEY, PAYLOAD = "canary-wrong-key", "canary-payload"
CANARIES = (API_KEY, DIGEST, WRITE_KEY, ANONYMOUS_KEY, AWS_SECRET, WRONG_KEY)
"""The payload is no secret to who sent it, but has no place in a log."""

EVENT = {"event_type": "page_view", "session_id": "s1", "timestamp": 1_775_721_600, "page_url": f"/{PAYLOAD}"}
SECRETS = {
    "HEADRACE_API_KEYS": f"{API_KEY},sha256:{DIGEST}",
    "HEADRACE_WRITE_KEYS": WRITE_KEY,
    "HEADRACE_ANONYMOUS_KEY": ANONYMOUS_KEY,
    "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
}


class Relay:
    """A way to the emulator that can be closed."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._pipes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._pipes |= {
            asyncio.create_task(self._pipe(reader, there[1])),
            asyncio.create_task(self._pipe(there[0], writer)),
        }

    @staticmethod
    async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
        finally:
            writer.close()


class Told:
    """All that visitors were told: headers and bodies."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.text = ""

    async def ask(self, method: str, path: str, **options: Any) -> int:
        async with self._http.request(method, path, **options) as response:
            self.text += f"{response.headers}\n{await response.text(errors='replace')}\n"
            return response.status


async def test_no_secret_appears_in_logs_answers_metrics_or_documentation(
    aws_environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    relay = Relay(aws_environment)
    async with relay as endpoint:
        settings = await fresh_resources(
            monkeypatch, **SECRETS, AWS_ENDPOINT_URL=endpoint, HEADRACE_LOG_LEVEL="DEBUG",
            HEADRACE_CORS_ORIGINS="https://shop.example",
        )  # fmt: skip
        log = tmp_path / "log"
        with log.open("wb") as output:
            # In a thread: it waits for the service, which waits for the relay in this loop.
            service = running(settings, output)
            process = await asyncio.to_thread(service.__enter__)
            try:
                async with aiohttp.ClientSession(f"http://127.0.0.1:{settings.stats_port}") as http:
                    told = Told(http)
                    await _provoke(told)
                    await asyncio.to_thread(_send_no_http, settings.stats_port)
                    await relay.close()
                    reading = "/v1/products/p/stats"
                    assert await told.ask("GET", reading, headers={"X-API-Key": API_KEY}) == 503
                    for path in ("/metrics", "/docs", "/openapi.json"):
                        assert await told.ask("GET", path) == 200
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 10) == 0
            finally:
                service.__exit__(None, None, None)
    logged = log.read_text()
    assert "request.unavailable" in logged
    assert "Invalid HTTP request" in logged
    assert [canary for canary in (*CANARIES, PAYLOAD) if canary in logged] == []
    assert [canary for canary in CANARIES if canary in told.text] == []


async def _provoke(told: Told) -> None:
    """Good requests and all kinds of bad ones, each with secrets in it."""
    reading, collecting = "/v1/products/top?metric=views", f"/v1/collect?key={WRITE_KEY}"
    good, wrong = {"X-API-Key": API_KEY}, {"X-API-Key": WRONG_KEY}
    body = json.dumps(EVENT)
    pixel = f"/v1/collect.gif?key={WRITE_KEY}&session_id=s&event_type="
    requests: list[tuple[int, str, str, dict[str, Any]]] = [
        (200, "GET", reading, {"headers": good}),
        (200, "HEAD", reading, {"headers": good}),
        (401, "GET", reading, {"headers": wrong}),
        (401, "GET", reading, {"headers": {"Authorization": f"Bearer {WRONG_KEY}"}}),
        (422, "GET", f"{reading}&window=x&key={WRITE_KEY}", {"headers": good}),
        (404, "GET", f"/v1/nothing?key={WRITE_KEY}", {"headers": good}),
        (405, "DELETE", collecting, {"headers": good}),
        (414, "GET", f"{reading}&key={WRITE_KEY}{'x' * 9000}", {"headers": good}),
        (202, "POST", collecting, {"json": EVENT}),
        (202, "POST", collecting, {"json": [{**EVENT, "event_type": PAYLOAD.upper()}]}),
        (400, "POST", collecting, {"data": body[:-1], "headers": {"Content-Type": "text/plain"}}),
        (403, "POST", f"/v1/collect?key={WRONG_KEY}", {"json": EVENT}),
        (413, "POST", collecting, {"json": [EVENT] * 501}),
        (415, "POST", collecting, {"data": {"event": body}}),
        (200, "GET", f"{pixel}page_view", {}),
        (400, "GET", f"{pixel}{PAYLOAD.upper()}", {}),
        (400, "OPTIONS", reading, {"headers": {"Origin": "https://b.example", "Access-Control-Request-Method": "GET"}}),
    ]
    for status, method, path, options in requests:
        assert await told.ask(method, path, **options) == status, (method, path)


def _send_no_http(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"GET /v1/products/top?key={WRITE_KEY} NONSENSE\r\nX-API-Key: {API_KEY}\r\n\r\n".encode())
        assert b"400" in connection.recv(4096)


def test_a_wrong_configuration_is_told_without_its_secrets(aws_environment: str, tmp_path: Path) -> None:
    wrong = {**SECRETS, "HEADRACE_API_KEYS": f"sha256:{API_KEY}"}
    ended = subprocess.run(
        [sys.executable, "-m", "services.stats_api"],
        cwd=ROOT, env={**os.environ, **wrong}, capture_output=True, check=False, timeout=30, text=True,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "HEADRACE_API_KEYS" in ended.stderr
    assert [canary for canary in CANARIES if canary in ended.stdout + ended.stderr] == []
