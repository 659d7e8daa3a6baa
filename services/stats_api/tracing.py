"""Which request a line of the log belongs to."""

from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.telemetry.log import bind_task
from headrace.telemetry.trace import new_trace_id, trace_id_of


class Tracing:
    """ASGI: logs under the trace id that the sender gives in `traceparent`, else under a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        given = [value for name, value in scope["headers"] if name == b"traceparent"]
        trace_id = trace_id_of(given[0].decode("latin-1")) if len(given) == 1 else None
        # The server gives each request a task of its own, and logs there when we fail: so this is not undone.
        bind_task(trace_id=trace_id or new_trace_id())
        await self._app(scope, receive, send)
