"""HTTP: the AWS JSON 1.1 protocol in front of the operations, and `/health`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from deploy.local.athena.errors import InvalidRequestError, MetadataError
from headrace.errors import HeadraceError

_TARGET = "AmazonAthena."
_BODY_BYTES = 4 << 20


Operation = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""From a decoded request to the reply's JSON. Raises `InvalidRequestError` for a bad request."""


class Operations(Protocol):
    """What answers the calls, by the name of the operation."""

    operations: dict[str, Operation]


def application(api: "asyncio.Future[Operations]") -> web.Application:
    """Routes: `POST /` by `X-Amz-Target`, `GET /health`. Calls wait until there is an `api`."""

    async def call(request: web.Request) -> web.Response:
        name = request.headers.get("X-Amz-Target", "").removeprefix(_TARGET)
        operation = (await asyncio.shield(api)).operations.get(name)
        if operation is None:
            return _error(400, "UnknownOperationException", f"{name or 'no operation'} is not supported")
        try:
            body = json.loads(await request.read() or b"{}")
        except ValueError:
            return _error(400, "SerializationException", "the body is no JSON")
        if not isinstance(body, dict):
            return _error(400, "SerializationException", "the body is no JSON object")
        try:
            return _reply(200, await operation(body))
        except HeadraceError as error:
            return _refusal(error)

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app = web.Application(client_max_size=_BODY_BYTES)
    app.add_routes([web.post("/", call), web.get("/health", health)])
    return app


def _reply(status: int, body: dict[str, Any]) -> web.Response:
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/x-amz-json-1.1")


def _refusal(error: HeadraceError) -> web.Response:
    match error:
        case InvalidRequestError():
            return _error(400, "InvalidRequestException", str(error), AthenaErrorCode="INVALID_INPUT")
        case MetadataError():
            return _error(400, "MetadataException", str(error))
        case _:
            return _error(500, "InternalServerException", str(error))


def _error(status: int, kind: str, message: str, **more: str) -> web.Response:
    return _reply(status, {"__type": kind, "Message": message, **more})
