"""The collecting half of the API: events from browsers and servers."""

import asyncio
import math
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from headrace.clock import Clock
from headrace.events.coerce import coerce, encode
from services.stats_api import bodies
from services.stats_api.collector import Collector, Visitor
from services.stats_api.deadlines import within
from services.stats_api.front import IS_HEAD
from services.stats_api.keys import KeyRing
from services.stats_api.problems import RETRY_AFTER_SECONDS, documented
from services.stats_api.throttle import Client, Throttle, network_of

PUT_SECONDS = 10.0
CONCURRENT_BODIES = 64
"""So that at most 64 MiB of bodies are in memory."""

PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""A transparent GIF of one by one."""

_WriteKey = Annotated[str | None, Query(description="Public write key, when the installation asks for one")]

_EVENT_TYPE = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$", "examples": ["page_view"]}
"""The rule of `headrace.events.parse`; `make test-api` finds out when they differ."""
_PIXEL_PARAMETERS = [
    {"name": "event_type", "in": "query", "required": True, "schema": _EVENT_TYPE},
    {"name": "session_id", "in": "query", "required": True, "schema": {"type": "string", "minLength": 1}},
]


class Rejected(BaseModel):
    """An event that was not taken."""

    index: int = Field(description="Its position in the array, from 0")
    reason: str = Field(examples=["missing_field"])


class Collected(BaseModel):
    """What became of the events. The accepted ones are durable."""

    accepted: int
    rejected: list[Rejected]


def collecting_routes(
    collector: Collector, write_keys: KeyRing, throttle: Throttle, clock: Clock, *, proxies: int
) -> APIRouter:
    """`/v1/collect` and `/v1/collect.gif`. `proxies`: how many of our own stand in front."""
    router = APIRouter(
        prefix="/v1",
        tags=["collecting"],
        responses=documented(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.REQUEST_URI_TOO_LONG,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    )
    room = asyncio.Semaphore(CONCURRENT_BODIES)

    def admit(sender: Visitor, key: str | None) -> Client:
        if not write_keys.accepts(key):
            raise HTTPException(HTTPStatus.FORBIDDEN, "a valid write key is needed in ?key=")
        client = Client(network_of(sender.address), None if write_keys.is_open else key)
        if wait := throttle.admit(client):
            raise HTTPException(
                HTTPStatus.TOO_MANY_REQUESTS,
                "more events than one client may send; see HEADRACE_COLLECT_RATE",
                headers={"Retry-After": str(math.ceil(wait))},
            )
        return client

    @router.post(
        "/collect",
        status_code=HTTPStatus.ACCEPTED,
        response_model=Collected,
        summary="Send events",
        openapi_extra={"requestBody": bodies.DESCRIPTION},
        responses=documented(
            HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        ),
    )
    async def collect(request: Request, key: _WriteKey = None) -> Response:
        """One event or an array of at most 500, at most 1 MiB. Answers once the events are durable.

        After a 503 send them again; give each an `event_id` for repeats to be recognised.
        """
        sender = visitor(request, proxies)
        client = admit(sender, key)  # before its body takes any room
        if room.locked():
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "busy", headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
            )
        async with room:
            payloads = bodies.split(await bodies.read(request))
            throttle.charge(client, len(payloads[1:]))
            async with within(PUT_SECONDS):
                outcome = await collector.collect(payloads, sender)
        told = Collected(
            accepted=outcome.accepted,
            rejected=[Rejected(index=rejection.index, reason=rejection.reason) for rejection in outcome.rejected],
        )
        return Response(told.model_dump_json(), HTTPStatus.ACCEPTED, media_type="application/json")

    @router.get(
        "/collect.gif",
        response_class=Response,
        summary="Send one event by an image's address",
        openapi_extra={"parameters": _PIXEL_PARAMETERS},
        responses={HTTPStatus.OK: {"description": "A pixel; the event is durable", "content": {"image/gif": {}}}},
    )
    async def collect_pixel(request: Request, key: _WriteKey = None) -> Response:
        """Every other query parameter is a field of the event; `timestamp` is now unless given.

        HEAD checks the key and collects nothing.
        """
        sender = visitor(request, proxies)
        admit(sender, key)
        if IS_HEAD in request.scope:
            return _pixel()
        fields = {name: text for name, text in request.query_params.items() if name != "key"}
        event = coerce({"timestamp": int(clock.now() * 1000), **fields})
        async with within(PUT_SECONDS):
            outcome = await collector.collect([encode(event)], sender)
        if outcome.rejected:
            [rejection] = outcome.rejected
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"{rejection.reason}: {rejection.detail}")
        return _pixel()

    return router


def _pixel() -> Response:
    return Response(PIXEL, media_type="image/gif", headers={"Cache-Control": "no-store"})


def visitor(request: Request, proxies: int) -> Visitor:
    """Who sent a request: behind n proxies of ours, the n-th address from the end of X-Forwarded-For."""
    address = request.client.host if request.client else None
    if proxies:
        hops = [hop.strip() for line in request.headers.getlist("x-forwarded-for") for hop in line.split(",")]
        address = hops[-proxies] if len(hops) >= proxies else address
    return Visitor(address=address, user_agent=request.headers.get("user-agent"))
