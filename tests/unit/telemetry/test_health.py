"""Liveness, readiness and metrics over HTTP."""

import asyncio

import aiohttp

from headrace.clock import ManualClock
from headrace.errors import AccessError, UnavailableError
from headrace.telemetry.health import Health, serve_health
from headrace.telemetry.metrics import Metrics


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def down() -> None:
    raise UnavailableError("down")


async def test_a_service_is_ready_once_it_started_and_its_dependencies_answer() -> None:
    health = Health()
    async with serve_health(health, Metrics(), "127.0.0.1", 0) as port:
        assert await get(port, "/readyz") == (503, '{"ready": false, "problems": {"start": "not finished"}}')
        health.add_check("table", down)
        assert (await health.problems()) == {"start": "not finished", "table": "UnavailableError"}
        health.start_failed(AccessError("denied"))
        assert (await health.problems()) == {"start": "AccessError"}
        health.started()
        assert (await get(port, "/readyz"))[0] == 200
        health.add_check("store", lambda: asyncio.sleep(0))
        health.add_check("stream", down)
        assert await get(port, "/readyz") == (503, '{"ready": false, "problems": {"stream": "UnavailableError"}}')


async def test_liveness_asks_for_progress_and_never_for_a_dependency() -> None:
    clock = ManualClock()
    health = Health(stalled_after=60, clock=clock)
    health.started()
    health.add_check("stream", down)
    async with serve_health(health, Metrics(), "127.0.0.1", 0) as port:
        clock.advance(59)
        assert (await get(port, "/livez"))[0] == 200
        clock.advance(1)
        assert (await get(port, "/livez"))[0] == 503
        health.beat()
        assert (await get(port, "/livez"))[0] == 200


async def test_metrics_are_in_prometheus_text() -> None:
    metrics = Metrics()
    metrics.records_dead_lettered.labels("malformed_json").inc(3)
    async with serve_health(Health(), metrics, "127.0.0.1", 0) as port:
        status, text = await get(port, "/metrics")
    assert status == 200
    assert 'headrace_records_dead_lettered_total{reason="malformed_json"} 3.0' in text.splitlines()
    assert "_created" not in text
