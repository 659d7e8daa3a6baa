"""Metrics for CloudWatch: a line of the log each minute, in its embedded metric format (docs/adr/0010).

The container's log driver carries the line, CloudWatch Logs takes the numbers out of it: no agent beside the process,
no right to write metrics, and a job that ends is heard like a service that stays.
"""

import asyncio
import contextlib
import math
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from headrace.clock import Clock, SystemClock
from headrace.telemetry.metrics import Metrics
from headrace.telemetry.published import PUBLISHED, How, Published

EVERY_SECONDS = 60.0
"""CloudWatch keeps standard metrics by the minute."""

DIMENSION = "service"
EVENT = "telemetry.published"

Labels = frozenset[tuple[str, str]]
Samples = Mapping[str, Mapping[Labels, float]]
"""By a sample's name and its labels."""
Write = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a registry showed at one moment."""

    moment: float
    """Seconds since 1970 UTC, as gauges that are moments are."""
    samples: Samples
    moved: Mapping[tuple[str, Labels], float]
    """Since which moment each series has had its value, as far as anybody looked."""


NOTHING = Seen(moment=0.0, samples={}, moved={})
"""What was seen before the first look."""


def look(registry: CollectorRegistry, moment: float, before: Seen = NOTHING) -> Seen:
    """All that the registry shows now, and since when."""
    found: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    moved: dict[tuple[str, Labels], float] = {}
    for family in registry.collect():
        for sample in family.samples:
            labels = frozenset(sample.labels.items())
            found[sample.name][labels] = sample.value
            same = before.samples.get(sample.name, {}).get(labels) == sample.value
            moved[sample.name, labels] = before.moved[sample.name, labels] if same else moment
    return Seen(moment=moment, samples=found, moved=moved)


def summarize(wanted: Iterable[Published], now: Seen, before: Seen = NOTHING) -> dict[str, float]:
    """What each is by its name in CloudWatch; without those of which there is nothing to say."""
    numbers = {each.called: _number(each, now, before) for each in wanted}
    return {name: number for name, number in numbers.items() if number is not None and math.isfinite(number)}


def _number(wanted: Published, now: Seen, before: Seen) -> float | None:
    series = _matching(wanted, now.samples)
    match wanted.how:
        case How.MOST:
            return max(series.values(), default=None)
        case How.AGE:
            return max(0.0, now.moment - min(series.values())) if series else None
        case How.STILL:
            return max((now.moment - now.moved[wanted.source, labels] for labels in series), default=None)
        case How.RISE:
            return sum(_rises(wanted, now, before).values())
        case How.PERCENT:
            assert wanted.of is not None, "a percentage is of something"
            whole = sum(_rises(wanted.of, now, before).values())
            return 100 * sum(_rises(wanted, now, before).values()) / whole if whole else None
        case How.QUANTILE:
            below: defaultdict[float, float] = defaultdict(float)
            for labels, rise in _rises(wanted, now, before).items():
                below[float(dict(labels)["le"])] += rise
            return _quantile(sorted(below.items()), wanted.share)


def _matching(wanted: Published, found: Samples) -> Mapping[Labels, float]:
    series = found.get(wanted.source, {})
    if not wanted.where:
        return series
    where = wanted.where.items()
    return {
        labels: value
        for labels, value in series.items()
        if all(dict(labels).get(name, "").startswith(start) for name, start in where)
    }


def _rises(wanted: Published, now: Seen, before: Seen) -> dict[Labels, float]:
    """By how much each series has risen; one that fell was dropped with its shard, and began anew."""
    past = before.samples.get(wanted.source, {})
    return {
        labels: value - last if (last := past.get(labels, 0.0)) <= value else value
        for labels, value in _matching(wanted, now.samples).items()
    }


def _quantile(below: list[tuple[float, float]], share: float) -> float | None:
    """The quantile of a histogram, as Prometheus estimates it: evenly spread within a bucket.

    `below` has for each bound how many were at or below it, in order. The last bound is infinite, and what is only
    below that one counts as the bound before.
    """
    if not below or not (total := below[-1][1]):
        return None
    bound, count = 0.0, 0.0
    for upper, reached in below:
        if reached >= share * total and reached > count:
            return bound if math.isinf(upper) else bound + (upper - bound) * (share * total - count) / (reached - count)
        bound, count = upper, reached
    return bound


def line(service: str, numbers: Mapping[str, float], *, namespace: str, moment: float) -> str:
    """A line of the log that CloudWatch Logs makes metrics of: fields first that every line of ours begins with."""
    units = {each.called: each.unit for each in PUBLISHED[service]}
    document: dict[str, Any] = {
        "ts": datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z"),
        "level": "info",
        "event": EVENT,
        DIMENSION: service,
        "_aws": {
            "Timestamp": int(moment * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": namespace,
                    "Dimensions": [[DIMENSION]],
                    "Metrics": [{"Name": name, "Unit": units[name]} for name in numbers],
                }
            ],
        },
        **numbers,
    }
    return msgspec.json.encode(document).decode()


class Publisher:
    """Writes the lines of one process."""

    def __init__(
        self, service: str, metrics: Metrics, *, namespace: str, clock: Clock | None = None, write: Write | None = None
    ) -> None:
        self._service = service
        self._registry = metrics.registry
        self._namespace = namespace
        self._clock = clock or SystemClock()
        self._write = write or partial(print, file=sys.stderr, flush=True)
        self._before = NOTHING

    def publish(self) -> None:
        """Write a line about the time since the one before, if there is a namespace and the table knows the service."""
        if not self._namespace or self._service not in PUBLISHED:
            return
        now = look(self._registry, self._clock.now(), self._before)
        numbers = summarize(PUBLISHED[self._service], now, self._before)
        self._before = now
        self._write(line(self._service, numbers, namespace=self._namespace, moment=now.moment))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A line each minute while the block runs, and one at its end for what came after the last."""
        task = asyncio.create_task(self._each_minute())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self.publish()

    async def _each_minute(self) -> None:
        while True:
            await self._clock.sleep(EVERY_SECONDS)
            self.publish()
