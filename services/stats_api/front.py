"""What a request meets before keys, cache and routes."""

from http import HTTPMethod, HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.stats_api.problems import problem

MAX_ADDRESS_BYTES = 8192
"""Of path and query, as sent."""

IS_HEAD = "headrace.head"
"""In the scope of a GET that was a HEAD: its answer is not shown, so it must have no effect."""


class HeadAsGet:
    """ASGI: answers HEAD as GET would, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["method"] != HTTPMethod.HEAD:
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        asked = {**scope, "method": "GET", IS_HEAD: True}
        await self._app(asked, receive, without_body)
        scope["route"] = asked.get("route")


class ShortAddress:
    """ASGI: refuses paths and queries longer than any of ours, before they become keys of a cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if len(scope["raw_path"]) + len(scope["query_string"]) <= MAX_ADDRESS_BYTES:
            await self._app(scope, receive, send)
            return
        refused = problem(HTTPStatus.REQUEST_URI_TOO_LONG, f"at most {MAX_ADDRESS_BYTES} bytes of path and query")
        await refused(scope, receive, send)


class Cors(CORSMiddleware):
    """Cross-origin access for the origins named; a refused preflight is a problem like any other."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["Content-Type", "X-API-Key", "Authorization", "If-None-Match"],
            expose_headers=["ETag", "Retry-After"],
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """What the browser may do."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        return problem(answer.status_code, bytes(answer.body).decode(), headers=kept)
