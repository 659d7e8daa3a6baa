"""The collecting half of the API: events from browsers and servers."""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from headrace.clock import Clock
from headrace.events.coerce import coerce, encode
from services.stats_api.collector import Collector, Visitor
from services.stats_api.deadlines import within
from services.stats_api.keys import KeyRing
from services.stats_api.problems import RETRY_AFTER_SECONDS, documented

MAX_EVENTS = 500
MAX_BYTES = 1 << 20
BODY_SECONDS = 10.0
PUT_SECONDS = 10.0
CONCURRENT_BODIES = 64
"""So that at most 64 MiB of bodies are in memory."""

MEDIA_TYPES = frozenset({"application/json", "text/plain"})
PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""A transparent GIF of one by one."""

_payloads = msgspec.json.Decoder(list[msgspec.Raw])
_payload = msgspec.json.Decoder(msgspec.Raw)
_WriteKey = Annotated[str | None, Query(description="Public write key, when the installation asks for one")]


class Rejected(BaseModel):
    """An event that was not taken."""

    index: int = Field(description="Its position in the array, from 0")
    reason: str = Field(examples=["missing_field"])


class Collected(BaseModel):
    """What became of the events. The accepted ones are durable."""

    accepted: int
    rejected: list[Rejected]


def collecting_routes(collector: Collector, write_keys: KeyRing, clock: Clock, *, proxies: int) -> APIRouter:
    """`/v1/collect` and `/v1/collect.gif`. `proxies`: how many of our own stand in front."""
    router = APIRouter(
        prefix="/v1",
        tags=["collecting"],
        responses=documented(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    )
    bodies = asyncio.Semaphore(CONCURRENT_BODIES)

    def admit(key: str | None) -> None:
        if not write_keys.accepts(key):
            raise HTTPException(HTTPStatus.FORBIDDEN, "a valid write key is needed in ?key=")

    @router.post(
        "/collect",
        status_code=HTTPStatus.ACCEPTED,
        response_model=Collected,
        summary="Send events",
        openapi_extra={"requestBody": _REQUEST_BODY},
        responses=documented(
            HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        ),
    )
    async def collect(request: Request, key: _WriteKey = None) -> Response:
        """One event or an array of at most 500, at most 1 MiB. Answers once the events are durable.

        After a 503 send them again; give each an `event_id` for repeats to be recognised.
        """
        admit(key)
        if bodies.locked():
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "busy", headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
            )
        async with bodies:
            payloads = split(await _body(request))
            async with within(PUT_SECONDS):
                outcome = await collector.collect(payloads, visitor(request, proxies))
        told = Collected(
            accepted=outcome.accepted,
            rejected=[Rejected(index=rejection.index, reason=rejection.reason) for rejection in outcome.rejected],
        )
        return Response(told.model_dump_json(), HTTPStatus.ACCEPTED, media_type="application/json")

    @router.get(
        "/collect.gif",
        response_class=Response,
        summary="Send one event by an image's address",
        responses={HTTPStatus.OK: {"description": "A pixel; the event is durable", "content": {"image/gif": {}}}},
    )
    async def collect_pixel(request: Request, key: _WriteKey = None) -> Response:
        """Every other query parameter is a field of the event; `timestamp` is now unless given."""
        admit(key)
        fields = {name: text for name, text in request.query_params.items() if name != "key"}
        event = coerce({"timestamp": int(clock.now() * 1000), **fields})
        async with within(PUT_SECONDS):
            outcome = await collector.collect([encode(event)], visitor(request, proxies))
        if outcome.rejected:
            [rejection] = outcome.rejected
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"{rejection.reason}: {rejection.detail}")
        return Response(PIXEL, media_type="image/gif", headers={"Cache-Control": "no-store"})

    return router


def split(body: bytes) -> list[bytes]:
    """The events of a body, each still as JSON. Raises `HTTPException`: 400 for no JSON, 413 for too many."""
    try:
        if body.lstrip(b" \t\r\n").startswith(b"["):
            payloads = [bytes(raw) for raw in _payloads.decode(body)]
        else:
            payloads = [bytes(_payload.decode(body))]
    except (msgspec.DecodeError, RecursionError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}") from error
    if len(payloads) > MAX_EVENTS:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{len(payloads)} events; at most {MAX_EVENTS}")
    return payloads


def visitor(request: Request, proxies: int) -> Visitor:
    """Who sent a request: behind n proxies of ours, the n-th address from the end of X-Forwarded-For."""
    address = request.client.host if request.client else None
    if proxies:
        hops = [hop.strip() for line in request.headers.getlist("x-forwarded-for") for hop in line.split(",")]
        address = hops[-proxies] if len(hops) >= proxies else address
    return Visitor(address=address, user_agent=request.headers.get("user-agent"))


async def _body(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"one of {', '.join(sorted(MEDIA_TYPES))}")
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
_REQUEST_BODY = {
    "required": True,
    "content": {
        media_type: {"schema": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT, "maxItems": MAX_EVENTS}]}}
        for media_type in sorted(MEDIA_TYPES)
    },
}
