"""A bucket with dead letters, replays of them on memory adapters, and what they leave behind."""

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.clock import SystemClock
from headrace.counters.memory import MemoryCounters
from headrace.counters.ports import Entity, Window
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.deliver import Delivery
from headrace.delivery.plan import Transform
from headrace.delivery.recover import Recovery
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.repairs import Repairs, parse_repairs
from headrace.events.transform import Transformer
from headrace.lake.layout import Quarantine, quarantine_object
from headrace.lake.memory import MemoryStore
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import lineage
from headrace.quarantine import REPLAY, Envelope, envelope, from_jsonl_gz, to_jsonl_gz
from headrace.telemetry.metrics import Metrics
from jobs.replay.app import go_through
from jobs.replay.lots import REASONS, Selection, find_objects
from jobs.replay.mend import Mending
from jobs.replay.rehearse import Rehearsal
from jobs.replay.replayer import Replayer
from jobs.replay.report import Report

DAY = 1_775_692_800.0
"""2026-04-09, midnight UTC."""
HOUR = 3600.0
LINEAGE = lineage("headrace", REPLAY)

transform = Transformer(Policy(), Enricher(), anonymous_key=b"key")


def event(n: int, **other: object) -> dict[str, object]:
    """A good event of that day."""
    return {
        "event_id": f"e{n}", "session_id": "s", "event_type": "page_view", "timestamp": int(DAY) + n,
        "product_id": "P", "quantity": 1,
    } | other  # fmt: skip


def letter(
    payload: dict[str, object] | bytes,
    *,
    reason: str = "wrong_type",
    stage: str = "transformer",
    seen_at: float = DAY + HOUR,
    source: str | None = None,
) -> Envelope:
    """A dead letter."""
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return envelope(raw, reason=reason, detail="d", stage=stage, position="shard:1", seen_at=seen_at, source=source)


QUANTITY = parse_repairs(casts=["quantity=int"])
"""Mends the first three of `LETTERS`."""
LETTERS = (
    letter(event(1, quantity="1")),
    letter(event(2, quantity="2")),
    letter(event(3, quantity="x")),
    letter(event(4, session_id=""), reason="missing_field"),
    letter(event(5, quantity="5", timestamp=int(DAY) + 7200)),
)


def meant(*reasons: str, start: float = DAY, end: float = DAY + 24 * HOUR, turn: int = 1) -> Selection:
    """A selection, of that day and all reasons unless told otherwise."""
    return Selection(reasons=frozenset(reasons or REASONS), start=start, end=end, round=turn)


class KilledError(Exception):
    """The process is gone."""


@dataclass(slots=True, kw_only=True)
class Kill:
    """Ends a process before one of its calls to the outside: that is also behind the one before."""

    at: int = 0
    """Number of the call, from 1; 0: never."""
    method: str = ""
    """Counted alone, if named."""
    calls: int = 0

    def around(self, adapter: Any) -> Any:
        """The adapter as this process sees it."""
        return _Mortal(adapter, self)

    async def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.calls += not self.method or method.__name__ == self.method
        if 0 < self.at <= self.calls:
            raise KilledError
        return await method(*args, **kwargs)


class _Mortal:
    def __init__(self, adapter: Any, kill: Kill) -> None:
        self._adapter = adapter
        self._kill = kill

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._adapter, name)
        if not inspect.iscoroutinefunction(method):
            return method
        return lambda *args, **kwargs: self._kill.call(method, *args, **kwargs)


@dataclass(slots=True, kw_only=True)
class World:
    """All places that a replay reads and writes."""

    store: MemoryStore = field(default_factory=MemoryStore)
    counters: MemoryCounters = field(default_factory=MemoryCounters)
    leases: MemoryLeaseStore = field(default_factory=MemoryLeaseStore)

    async def quarantine(
        self,
        *letters: Envelope,
        prefix: Quarantine = Quarantine.FAILED_TRANSFORMATION,
        at: float = DAY,
        name: str = "o",
    ) -> str:
        """Put an object of dead letters; returns its key."""
        key = quarantine_object(prefix, at, name)
        await self.store.put(key, to_jsonl_gz(letters))
        return key

    def replayer(
        self,
        repairs: Repairs | None = None,
        *,
        kill: Kill | None = None,
        failover: float = 0.01,
        batch_rows: int = 2,
        owner: str = "me",
        transform: Transform = transform,
    ) -> Replayer:
        """One process. A killed one leaves its leases as they are."""
        kill = kill or Kill()
        store, counters, leases = map(kill.around, (self.store, self.counters, self.leases))
        delivery = Delivery(store, counters, leases, lineage=LINEAGE, metrics=Metrics(), clock=SystemClock())
        return Replayer(
            transform, Mending(repairs=repairs or Repairs()), delivery, Recovery(delivery, leases), leases,
            policy=BatchPolicy(rows=batch_rows), owner=owner, failover=failover, dedup_seconds=600.0,
            clock=SystemClock(),
        )  # fmt: skip

    async def replay(
        self, selection: Selection | None = None, repairs: Repairs | None = None, *, by: Replayer | None = None
    ) -> Report:
        """Run the job."""
        selection = selection or meant()
        report = Report(dry_run=False, round=selection.round)
        keys = await find_objects(self.store, selection, LINEAGE)
        await go_through(self.store, keys, selection, (by or self.replayer(repairs)).replay, report)
        return report

    async def rehearse(self, repairs: Repairs | None = None) -> tuple[Report, Rehearsal]:
        """Run the job with --dry-run."""
        rehearsal = Rehearsal(
            transform=transform, mending=Mending(repairs=repairs or Repairs()), leases=self.leases,
            dedup_seconds=600.0, clock=SystemClock(),
        )  # fmt: skip
        report = Report(dry_run=True, round=1)
        keys = await find_objects(self.store, meant(), LINEAGE)
        await go_through(self.store, keys, meant(), rehearsal.rehearse, report, at_once=1)
        return report, rehearsal

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the table, in order of their ids."""
        bodies = [body for key, body in self.store.objects.items() if key.startswith("events/")]
        rows = [row for body in bodies for row in pq.read_table(pa.BufferReader(body)).to_pylist()]
        return sorted(rows, key=lambda row: str(row["event_id"]))

    def ids(self) -> list[str]:
        """The rows' event ids."""
        return [row["event_id"] for row in self.rows()]

    def again(self) -> list[Envelope]:
        """The dead letters that replays made."""
        return [
            line
            for key, body in sorted(self.store.objects.items())
            if key.startswith(Quarantine.FAILED_TRANSFORMATION) and f"/{LINEAGE}-" in key
            for line in from_jsonl_gz(body)
        ]

    async def views(self) -> int:
        """All views counted of the product."""
        return (await self.counters.counts(Entity.PRODUCT, "P", Window.ALL, now=DAY)).views


def numbers(report: Report) -> Counter[str]:
    """A report's sums over all reasons."""
    names = ("objects", "lines", "rows", "dead_letters", "duplicates", "already")
    return Counter({name: report.total(name) for name in names})
