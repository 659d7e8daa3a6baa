"""The ways in, each on memory adapters: payloads → what landed. What reaches a stream goes on to the transformer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.delivery.batch import BatchPolicy
from headrace.delivery.plan import BatchPlan, Planner
from headrace.delivery.window import DedupWindow
from headrace.events.enrich import Enricher
from headrace.events.mapping import Mapping
from headrace.events.parse import Policy
from headrace.events.transform import Transformer
from headrace.lake.layout import Quarantine
from headrace.leases.model import Lease, LeaseKey
from headrace.quarantine import Envelope, from_jsonl_gz
from headrace.stream.ports import Record, SequenceNumber
from services.api_consumer.answer import read_answer
from services.api_consumer.files import FileSource
from services.api_consumer.intake import Intake
from services.api_consumer.ports import Page
from tests.unit.bad_input.table import NOW
from tests.unit.services.stats_api_world import World

_transformer = Transformer(Policy(), Enricher(), anonymous_key=b"key")
_planner = Planner(_transformer, BatchPolicy(rows=100_000, bytes=64 << 20, partitions=100, age=60.0), lineage="lineage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """What became of payloads: rows, extra-columns events and dead letters, each in their order."""

    rows: Sequence[dict[str, Any]]
    extra: Sequence[Envelope]
    dead: Sequence[Envelope]
    """At /v1/collect, where nothing is kept, without payloads."""
    keys: Sequence[str]
    """Of the objects."""

    def plus(self, extra: Sequence[Envelope], dead: Sequence[Envelope]) -> "Landed":
        """Together with what the first hand kept back."""
        return Landed(rows=self.rows, extra=[*extra, *self.extra], dead=[*dead, *self.dead], keys=self.keys)


def through_stream(payloads: Sequence[bytes]) -> Landed:
    """Records of a stream → the objects that the transformer writes, read again."""
    if not payloads:
        return Landed(rows=(), extra=(), dead=(), keys=())
    plan = _plan(payloads)
    return Landed(
        rows=[row for each in plan.objects if each.key.startswith("events/") for row in _rows(each.body)],
        extra=_letters(plan, Quarantine.EXTRA_COLUMNS),
        dead=_letters(plan, Quarantine.FAILED_TRANSFORMATION),
        keys=[each.key for each in plan.objects],
    )


def through_lines(payloads: Sequence[bytes]) -> Landed:
    """Lines of an API's page."""
    return _polled(read_answer(b"\n".join(payloads), "application/x-ndjson", None).payloads)


def through_page(payloads: Sequence[bytes]) -> Landed:
    """Elements of an array in an API's page. Raises `UnavailableError` when the page is refused."""
    body = b'{"events":[' + b",".join(payloads) + b'],"next_cursor":"2"}'
    return _polled(read_answer(body, "application/json", None).payloads)


async def through_file(path: Path, body: bytes, mapping: Mapping | None = None) -> Landed:
    """A file with this body. Raises `StopError` when it is damaged."""
    path.write_bytes(body)  # noqa: ASYNC240 - a small file
    payloads = [
        bytes(payload)
        async for page in FileSource(path, limit=1000, mapping=mapping).pages(None)
        for payload in page.payloads
    ]
    return _polled(payloads, mapping)


async def through_collect(world: World, body: bytes) -> tuple[int, Landed]:
    """A body posted to /v1/collect: the status, and what landed."""
    earlier = len(await world.records())
    status, answer = await world.collect(body)
    landed = through_stream((await world.records())[earlier:])
    dead = [_told(rejection["reason"], rejection["index"]) for rejection in answer.get("rejected", [])]
    return status, landed.plus((), dead)


def _told(reason: str, index: int) -> Envelope:
    return Envelope(reason=reason, detail="", stage="stats_api", position=str(index), seen_at=NOW, payload="")


def _polled(payloads: Sequence[Any], mapping: Mapping | None = None) -> Landed:
    page = Page(payloads=payloads, place="p", after=1)
    taken = Intake(Policy(), mapping, b"key").take(page, source_id="src", source_name="src", now=NOW)
    landed = through_stream([entry.data for entry in taken.entries])
    assert not landed.dead, "the poller let through what the transformer refuses"
    return landed.plus(taken.extra, taken.rejected)


def _plan(payloads: Sequence[bytes]) -> BatchPlan:
    records = [
        Record(
            sequence_number=SequenceNumber(str(n)),
            approximate_arrival_timestamp=NOW - 1,
            partition_key="k",
            data=payload,
        )
        for n, payload in enumerate(payloads)
    ]
    lease = Lease(key=LeaseKey("account:stream:1:shard"))
    return _planner.plan(records, lease, now=NOW, window=DedupWindow(0))


def _letters(plan: BatchPlan, prefix: Quarantine) -> list[Envelope]:
    return [letter for each in plan.objects if each.key.startswith(f"{prefix}/") for letter in from_jsonl_gz(each.body)]


def _rows(body: bytes) -> list[dict[str, Any]]:
    rows = pq.read_table(pa.BufferReader(body)).to_pylist()
    return [
        {name: value if isinstance(value, int | float) else _text(value) for name, value in row.items()} for row in rows
    ]


def _text(value: Any) -> Any:
    return value if value is None else json.dumps(value) if isinstance(value, list) else str(value)
