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

import msgspec

from headrace.clock import Clock
from headrace.errors import RetryableError, ThrottledError, UnavailableError
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics
from services.api_consumer.answer import Answer, read_answer, retry_after
from services.api_consumer.fetch import Fault, Fetcher, FetchError
from services.api_consumer.ports import Page, Pages

FIRST_BACKOFF_SECONDS = 0.5
MAX_WAIT_SECONDS = 60.0
"""Of a back-off and of a Retry-After."""
REFUSED_WAIT_SECONDS = 30.0
"""After an answer that asking again will hardly change."""

_PASSING = frozenset({
    HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS,
})  # fmt: skip
"""4xx that say nothing about the request itself."""


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
        self, fetcher: Fetcher, url: str, *, limit: int, poll_interval: float, metrics: Metrics, clock: Clock
    ) -> None:
        self._fetcher = fetcher
        self._url = url
        self._most = limit
        self._limit = limit
        self._poll_interval = poll_interval
        self._metrics = metrics
        self._clock = clock
        self._refused: UnavailableError | None = None
        parts = urlsplit(url)
        self.name = parts.netloc.rpartition("@")[2]
        self.source_id = source_id(url)

    async def check(self) -> None:
        """Raise why the API turned us away, while it does: a key that is wrong, an address that is not allowed."""
        if self._refused is not None:
            raise self._refused

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
        """One page. Every request counts once, under its status or under the fault that it ended with."""
        result = str(Fault.BROKEN)
        refused: UnavailableError | None = None
        try:
            reply = await self._fetcher.get(
                {"limit": str(self._limit)} | ({} if cursor is None else {"cursor": cursor})
            )
            if reply.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
                result = str(reply.status)
                raise _error_of(reply.status, retry_after(reply.headers.get("Retry-After"), self._clock.now()))
            answer = read_answer(reply.body, reply.content_type, reply.headers.get("X-Next-Cursor"))
            result = str(reply.status)
        except UnavailableError as error:
            if isinstance(error, FetchError):
                result = error.fault
                self._limit = max(1, self._limit // 2) if error.fault is Fault.TOO_LARGE else self._limit
            refused = error if _is_refusal(error) else None
            get_logger().warning("upstream.fault", url=self.name, error=f"{type(error).__name__}: {error}")
            raise
        finally:
            self._refused = refused
            self._metrics.upstream_requests.labels(result).inc()
        self._limit = min(self._most, self._limit + max(1, self._most // 100))  # back up slowly after a large page
        return answer


class BusyError(ThrottledError):
    """429 or 503, with what Retry-After says."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(f"busy; Retry-After {seconds}")
        self.seconds = seconds


class RefusedError(UnavailableError):
    """A 4xx: the same request will hardly fare better soon."""


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


def _error_of(status: int, wait: float | None) -> RetryableError:
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return BusyError(wait)
    if HTTPStatus(400) <= status < HTTPStatus(500) and status not in _PASSING:
        return RefusedError(f"HTTP {status}")
    return UnavailableError(f"HTTP {status}")


def _digest(payloads: Any) -> str:
    digest = hashlib.sha256()
    for payload in payloads:
        digest.update(bytes(payload) + b"\n")
    return digest.hexdigest()[:32]


def _wait_after(error: RetryableError, faults: int) -> float:
    """Seconds, with jitter. A server that is busy says itself for how long, but may not be hammered at its word."""
    if isinstance(error, BusyError) and error.seconds is not None:
        return max(min(error.seconds, MAX_WAIT_SECONDS), _jittered(FIRST_BACKOFF_SECONDS))
    if _is_refusal(error):
        return _jittered(REFUSED_WAIT_SECONDS)
    return _jittered(min(FIRST_BACKOFF_SECONDS * 2 ** min(faults - 1, 10), MAX_WAIT_SECONDS))


def _is_refusal(error: RetryableError) -> bool:
    """Whether asking again soon would bring the same: somebody has to change something first."""
    if isinstance(error, FetchError):
        return error.fault in {Fault.PRIVATE_ADDRESS, Fault.REDIRECT}
    return isinstance(error, RefusedError)


def _jittered(ceiling: float) -> float:
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter
