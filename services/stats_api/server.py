"""uvicorn as a guest of our runtime: signals, logs and the end are ours."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from headrace.errors import ConfigError
from headrace.runtime import Context

BEAT_SECONDS = 5


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the runtime, which asks for a drain."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 asks for a free one. Raises `ConfigError` when the address cannot be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError([f"HEADRACE_STATS_PORT: cannot listen on {host}:{port}: {error.strerror}"]) from error


async def serve(app: ASGIApp, listener: socket.socket, context: Context) -> None:
    """Answer until asked to stop; then refuse new connections and finish the requests at hand."""

    async def beat() -> None:
        context.health.beat()

    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            callback_notify=beat,
            timeout_notify=BEAT_SECONDS,
            timeout_graceful_shutdown=int(context.settings.shutdown_seconds),
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(context.shutdown.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        stopping.cancel()
        await serving
