"""How long each request took, by route template, method and status."""

from http import HTTPMethod
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.telemetry.metrics import Metrics

UNMATCHED = "unmatched"
_METHODS = frozenset(HTTPMethod)


class Metering:
    """ASGI: measures every request, whoever answers it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._seconds = metrics.http_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = perf_counter()
        try:
            await self._app(scope, receive, watch)
        finally:
            # Senders choose path and method: neither may make up new series.
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._seconds.labels(route_of(scope), method, status).observe(perf_counter() - started)


def route_of(scope: Scope) -> str:
    """The template of the route that answered."""
    route = scope.get("route")
    return UNMATCHED if route is None else str(route.path_format)
