"""The web traffic API as a source: `GET API_URL?cursor=C&limit=N`, in all the shapes such an API answers.

A position is `{"cursor": C, "taken": n, "digest": d, "turn": t}`: page C, of which the first n events (with that
digest) were taken already. An API that names no next page is asked for the same one again: what was taken is skipped
while it is still there, byte for byte, and a page that differs counts as new.
"""

import hashlib
import random
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from headrace.clock import Clock
from headrace.errors import RetryableError, ThrottledError, UnavailableError
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics
from services.api_consumer.answer import Answer, read_answer, retry_after
from services.api_consumer.ports import Page, Pages

TIMEOUT = aiohttp.ClientTimeout(total=30.0, connect=5.0)
MAX_PAGE_BYTES = 64 << 20
FIRST_BACKOFF_SECONDS = 0.5
MAX_WAIT_SECONDS = 60.0
"""Of a back-off and of a Retry-After."""


class Position(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the next request goes and what of its answer is known."""

    cursor: str | None = None
    taken: int = 0
    digest: str = ""
    turn: int = 0
    """How often the page of this cursor was replaced by another."""


class Upstream:
    """One URL. Never ends by itself: what cannot be had now is asked for again."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        limit: int,
        poll_interval: float,
        metrics: Metrics,
        clock: Clock,
        max_page_bytes: int = MAX_PAGE_BYTES,
    ) -> None:
        self._http = http
        self._url = url
        self._limit = limit
        self._poll_interval = poll_interval
        self._metrics = metrics
        self._clock = clock
        self._max_page_bytes = max_page_bytes
        parts = urlsplit(url)
        self.name = parts.netloc.rpartition("@")[2]
        self.source_id = source_id(url)

    async def pages(self, position: Any) -> Pages:
        """See `Source.pages`. Faults and empty answers come as pages without payloads, after the wait they ask for."""
        at = msgspec.convert(position or {}, Position)
        exhausted = False
        faults = 0
        while True:
            try:
                answer = await self._get(at.cursor)
            except RetryableError as error:
                faults += 1
                await self._clock.sleep(_wait_after(error, faults))
                yield Page(payloads=(), place="", after=msgspec.to_builtins(at), exhausted=exhausted)
                continue
            faults = 0
            page, at = take_answer(answer, at)
            exhausted = page.exhausted
            yield page
            if not page.payloads or at.taken:  # nothing new or no way on: the same request again, but not at once
                await self._clock.sleep(self._poll_interval)

    async def _get(self, cursor: str | None) -> Answer:
        query = {"limit": str(self._limit)} | ({} if cursor is None else {"cursor": cursor})
        try:
            async with self._http.get(self._url, params=query, timeout=TIMEOUT) as response:
                self._metrics.upstream_requests.labels(str(response.status)).inc()
                if response.status == HTTPStatus.NO_CONTENT:
                    return Answer(payloads=())
                _require_ok(response, self._clock.now())
                body = await self._body(response)
                return read_answer(body, response.content_type, response.headers.get("X-Next-Cursor"))
        except (aiohttp.ClientError, TimeoutError, UnavailableError) as error:
            self._metrics.upstream_requests.labels("fault").inc()
            get_logger().warning("upstream.fault", url=self.name, error=f"{type(error).__name__}: {error}")
            raise UnavailableError(str(error)) from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_chunked(1 << 16):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._max_page_bytes:
                self._limit = max(1, self._limit // 2)
                raise UnavailableError(f"a page of over {self._max_page_bytes} bytes; asking for {self._limit} events")
        return b"".join(chunks)


class _BusyError(ThrottledError):
    """429 or 503, with what Retry-After says."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(f"busy; Retry-After {seconds}")
        self.seconds = seconds


def source_id(url: str) -> str:
    """`api-` and 16 hex digits: secrets in a URL do not end up in the name of a document."""
    return f"api-{hashlib.sha256(url.encode()).hexdigest()[:16]}"


def take_answer(answer: Answer, at: Position) -> tuple[Page, Position]:
    """What is new in the answer to the request at a position, and where to go on."""
    payloads, skipped, turn = answer.payloads, 0, at.turn
    if at.taken and len(payloads) >= at.taken and _digest(payloads[: at.taken]) == at.digest:
        skipped = at.taken
    elif at.taken and payloads:
        turn += 1
    if answer.next_cursor is not None and answer.next_cursor != at.cursor:
        after = Position(cursor=answer.next_cursor)
    elif payloads:
        after = Position(cursor=at.cursor, taken=len(payloads), digest=_digest(payloads), turn=turn)
    else:
        after = at
    # What comes without a cursor may be something else the next time: its content is part of the name.
    place = f"start:{turn}:{_digest(payloads)}" if at.cursor is None else f"{at.cursor}:{turn}"
    page = Page(
        payloads=payloads[skipped:],
        place=place,
        first_index=skipped,
        after=msgspec.to_builtins(after),
        exhausted=answer.last,
    )
    return page, after


def _require_ok(response: aiohttp.ClientResponse, now: float) -> None:
    if response.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        raise _BusyError(retry_after(response.headers.get("Retry-After"), now))
    if response.status != HTTPStatus.OK:
        raise UnavailableError(f"HTTP {response.status}")


def _digest(payloads: Any) -> str:
    digest = hashlib.sha256()
    for payload in payloads:
        digest.update(bytes(payload) + b"\n")
    return digest.hexdigest()[:32]


def _wait_after(error: RetryableError, faults: int) -> float:
    if isinstance(error, _BusyError) and error.seconds is not None:
        return min(error.seconds, MAX_WAIT_SECONDS)
    ceiling = min(FIRST_BACKOFF_SECONDS * 2 ** min(faults - 1, 10), MAX_WAIT_SECONDS)
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter
