"""What a monitor asks: health and metrics."""

from http import HTTPStatus

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics


class Liveness(BaseModel):
    """Whether this process works; dependencies do not matter."""

    alive: bool


class Readiness(BaseModel):
    """Whether what this process depends on answers."""

    ready: bool
    problems: dict[str, str] = Field(description="By dependency, what is wrong", examples=[{"stream": "no answer"}])


def health_routes(health: Health, metrics: Metrics) -> APIRouter:
    """`/livez`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["monitoring"])

    @router.get(
        "/livez",
        response_model=Liveness,
        summary="Whether this process works",
        responses={HTTPStatus.SERVICE_UNAVAILABLE: {"model": Liveness, "description": "It is stuck"}},
    )
    async def livez() -> Response:
        return _answer(Liveness(alive=health.alive), good=health.alive)

    @router.get(
        "/readyz",
        response_model=Readiness,
        summary="Whether what it depends on answers",
        responses={HTTPStatus.SERVICE_UNAVAILABLE: {"model": Readiness, "description": "Something does not answer"}},
    )
    async def readyz() -> Response:
        found = await health.problems()
        return _answer(Readiness(ready=not found, problems=dict(found)), good=not found)

    @router.get(
        "/metrics",
        response_class=Response,
        summary="Prometheus metrics",
        responses={HTTPStatus.OK: {"description": "Text exposition", "content": {"text/plain": {}}}},
    )
    async def metrics_text() -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _answer(told: BaseModel, *, good: bool) -> Response:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(told.model_dump_json(), status, media_type="application/json")
