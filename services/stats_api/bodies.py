"""Bodies of `/v1/collect` → payloads, within bounds of size, number and time."""

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from headrace.events.outline import elements

MAX_EVENTS = 500
MAX_BYTES = 1 << 20
BODY_SECONDS = 10.0

MEDIA_TYPES = ("application/json", "text/plain")

_payloads = msgspec.json.Decoder(list[msgspec.Raw])
_payload = msgspec.json.Decoder(msgspec.Raw)


async def read(request: Request) -> bytes:
    """The whole body. Raises `HTTPException`: 400, 408, 413 or 415."""
    media_type = request.headers.get("content-type", MEDIA_TYPES[0]).partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"one of {', '.join(MEDIA_TYPES)}")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "bodies are taken uncompressed", headers={"Accept-Encoding": "identity"}
        )
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BYTES} bytes")
    except TimeoutError:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, f"no whole body within {BODY_SECONDS:g} s") from None
    except ClientDisconnect:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body ended early") from None
    return bytes(body)


def split(body: bytes) -> list[bytes]:
    """The events of a body, each still as JSON. Raises `HTTPException`: 400 for no JSON, 413 for too many."""
    try:
        if body.lstrip(b" \t\r\n").startswith(b"["):
            payloads = [bytes(raw) for raw in _payloads.decode(body)]
        else:
            payloads = [bytes(_payload.decode(body))]
    except (msgspec.DecodeError, RecursionError) as error:
        found = elements(body.strip(b" \t\r\n"))  # one bad event harms no other
        if found is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}") from error
        payloads = found
    if len(payloads) > MAX_EVENTS:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{len(payloads)} events; at most {MAX_EVENTS}")
    return payloads


_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["event_type", "session_id", "timestamp"],
    "properties": {
        "event_type": {"type": "string", "examples": ["page_view"]},
        "session_id": {"type": "string"},
        "timestamp": {
            "type": ["number", "string"],
            "description": "Epoch seconds or milliseconds, or ISO 8601",
            "examples": [1775721600000],
        },
    },
    "additionalProperties": True,
    "description": "The other columns of the table `events` are optional",
}
DESCRIPTION = {
    "required": True,
    "content": {
        media_type: {"schema": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT, "maxItems": MAX_EVENTS}]}}
        for media_type in MEDIA_TYPES
    },
}
"""The request body in OpenAPI."""
