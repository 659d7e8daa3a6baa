"""uvicorn as a guest of our runtime: signals, logs and the end are ours."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from http import HTTPStatus

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headrace.errors import ConfigError
from headrace.runtime import Context
from services.stats_api.problems import MEDIA_TYPE, problem

BEAT_SECONDS = 5
MAX_HEAD_BYTES = 64 << 10
"""Of a request's line and headers; uvicorn itself has no bound here."""


class _BoundedHead(HttpToolsProtocol):
    """Hangs up on a head that does not end. The read in which a head begins is not counted: it is bounded itself."""

    _in_head = False
    _begun = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._begun = False
        super().data_received(data)
        if self._in_head and not self._begun:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong as everywhere else, to what is no HTTP too, and hang up."""
        body = bytes(problem(HTTPStatus.BAD_REQUEST, msg).body)
        head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head.encode() + body)
        self.transport.close()

    def on_message_begin(self) -> None:
        self._in_head = self._begun = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()


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
            http=_BoundedHead,
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
