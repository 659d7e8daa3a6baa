"""Digests of what went wrong, for people: at most one a minute per reason, never one per record, never in the way.

A service reports as it goes, which costs a dict entry; a task of its own publishes. A topic that is down stops nothing:
the counts wait for the next minute, and what a message says is in logs, metrics and objects as well.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from headrace.clock import Clock
from headrace.errors import HeadraceError
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

EVERY_SECONDS = 60.0
PUBLISH_SECONDS = 10.0
"""Longest wait for the topic."""
CLOSE_SECONDS = 3.0
MOST_REASONS = 100
"""Told apart; what comes on top is counted as `other`."""
MOST_CHARACTERS = 1024
"""Of a reason or an example, so that no message comes near SNS' limit of 256 KiB."""
OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What happened for one reason since the last message about it."""

    reason: str
    count: int
    example: str
    """The key of one object to look at."""
    since: float
    until: float
    """First and last report, in seconds since 1970 UTC."""

    def plus(self, later: "Digest") -> "Digest":
        """Both as one; the example stays the first."""
        return replace(self, count=self.count + later.count, until=max(self.until, later.until))

    def message(self, service: str) -> str:
        """As JSON."""
        return json.dumps({
            "service": service, "reason": self.reason, "count": self.count, "example": self.example,
            "since": _iso(self.since), "until": _iso(self.until),
        })  # fmt: skip


class Digests:
    """Adds up reports. Pure: times are given, `now` is seconds since 1970 UTC and `monotonic` decides."""

    def __init__(self, every: float = EVERY_SECONDS) -> None:
        self._every = every
        self._waiting: dict[str, Digest] = {}
        self._tried_at: dict[str, float] = {}

    def add(self, reason: str, count: int, example: str, *, now: float) -> None:
        """`count` more for a reason."""
        reason, example = reason[:MOST_CHARACTERS], example[:MOST_CHARACTERS]
        known = self._waiting.keys() | self._tried_at.keys()
        if reason not in known and len(known) >= MOST_REASONS:
            reason = OTHER
        new = Digest(reason=reason, count=count, example=example, since=now, until=now)
        earlier = self._waiting.get(reason)
        self._waiting[reason] = new if earlier is None else earlier.plus(new)

    def take_due(self, monotonic: float) -> list[Digest]:
        """What may be sent now; none of these reasons is due again before its time."""
        due = [digest for reason, digest in self._waiting.items() if self._due_at(reason) <= monotonic]
        for digest in due:
            del self._waiting[digest.reason]
            self._tried_at[digest.reason] = monotonic
        return due

    def put_back(self, digest: Digest) -> None:
        """A digest that was taken and could not be sent."""
        later = self._waiting.get(digest.reason)
        self._waiting[digest.reason] = digest if later is None else digest.plus(later)

    def next_due(self) -> float | None:
        """The monotonic moment at which the first digest may be sent; None when nothing waits."""
        return min(map(self._due_at, self._waiting), default=None)

    @property
    def waiting(self) -> int:
        """Reports not sent."""
        return sum(digest.count for digest in self._waiting.values())

    def _due_at(self, reason: str) -> float:
        tried_at = self._tried_at.get(reason)
        return 0.0 if tried_at is None else tried_at + self._every


class Publisher(Protocol):
    """A topic that people listen to."""

    async def publish(self, subject: str, message: str) -> None:
        """Send one message. Raises any `HeadraceError`; a message may have gone out nevertheless."""
        ...


class MemoryPublisher:
    """A topic in a list, for tests."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    async def publish(self, subject: str, message: str) -> None:
        """Append it."""
        self.messages.append((subject, message))


class Report(Protocol):
    """How code says that something went wrong. Returns at once and never fails."""

    def __call__(self, reason: str, count: int, example: str) -> None:
        """`count` records more for `reason`; `example` is the key of an object that has some of them."""
        ...


def unheard(reason: str, count: int, example: str) -> None:
    """The `Report` of a service without a topic: logs and metrics say it already."""


class Alerts:
    """Publishes digests of what is reported."""

    def __init__(self, publisher: Publisher, *, service: str, metrics: Metrics, clock: Clock) -> None:
        self._publisher = publisher
        self._service = service
        self._metrics = metrics
        self._clock = clock
        self._digests = Digests()
        self._reported = asyncio.Event()

    def report(self, reason: str, count: int, example: str) -> None:
        """See `Report`."""
        self._digests.add(reason, count, example, now=self._clock.now())
        self._reported.set()

    async def run(self) -> None:
        """Publish what is due until cancelled."""
        while True:
            self._reported.clear()
            due_at = self._digests.next_due()
            if due_at is None:
                await self._reported.wait()
            elif (wait := due_at - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            else:
                await self.publish_due()

    async def publish_due(self) -> None:
        """Try once to publish what may be published now; what fails waits for its next minute."""
        for digest in self._digests.take_due(self._clock.monotonic()):
            subject = f"Headrace {self._service}: {digest.reason}"
            try:
                async with asyncio.timeout(PUBLISH_SECONDS):
                    await self._publisher.publish(subject, digest.message(self._service))
            except (HeadraceError, TimeoutError) as error:
                self._digests.put_back(digest)
                self._metrics.alerts.labels("failed").inc()
                get_logger().warning("alert.failed", reason=digest.reason, error=f"{type(error).__name__}: {error}")
            else:
                self._metrics.alerts.labels("sent").inc()

    async def close(self) -> None:
        """Publish what is due, with little patience; what is not due stays unsent, and is said in the log."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.publish_due()
        if self._digests.waiting:
            get_logger().info("alert.unsent", records=self._digests.waiting)


@contextlib.asynccontextmanager
async def publishing(publisher: Publisher, *, service: str, metrics: Metrics, clock: Clock) -> AsyncIterator[Report]:
    """Publish in the background what is reported while the block runs."""
    alerts = Alerts(publisher, service=service, metrics=metrics, clock=clock)
    task = asyncio.create_task(alerts.run())
    try:
        yield alerts.report
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await alerts.close()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
