"""What a minute of one shard leaves behind: bytes in the stream and the bucket, items in DynamoDB. Nothing is timed.

`headrace cost` takes these rows (`cost_…`) for what an event costs besides CPU.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

from bench.events import START, make_events
from bench.results import Row
from headrace.counters import top
from headrace.counters.layout import DAY_HOURS, Addition, ItemKey, plan
from headrace.counters.ports import Deltas
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.manifest import Manifest, encode, intent_of, manifest_key, manifest_of
from headrace.delivery.plan import BatchPlan, Planner
from headrace.delivery.stage import stage
from headrace.delivery.window import DedupWindow
from headrace.events.enrich import Enricher
from headrace.events.ingest import id_prefix, to_entries
from headrace.events.parse import EventParser, Policy
from headrace.events.transform import Transformer
from headrace.lake.memory import MemoryStore
from headrace.leases.model import Lease, LeaseKey, Ledger
from headrace.leases.rows import to_row
from headrace.state.codec import encode as encode_document
from headrace.state.sources import KEPT_HOURS, Totals, hours_to_document
from headrace.stream.batcher import entry_bytes
from headrace.stream.ports import Record, SequenceNumber

MINUTE_MS = 60_000
EVENTS = 40_000
"""Of a shard in a minute: 667 a second, two thirds of what Kinesis takes."""
LINEAGE = "0123456789ab"
SEQUENCE = SequenceNumber("4" * 56)
"""As long as Kinesis has them."""
KEY = LeaseKey("111122223333:headrace-events:1775721600:shardId-000000000000")
COUNTED = 1_000_000_000
"""A ledger of a year."""


def measure(events: int = EVENTS) -> list[Row]:
    """A batch as the transformer plans it after a minute, which begins in the middle of one."""
    payloads = make_events(events, start=START + MINUTE_MS // 2, length=MINUTE_MS)
    now = (START + 2 * MINUTE_MS) / 1000
    batch, lease = _plan(payloads, now), Lease(key=KEY, owner="ip-10-0-3-17.ec2.internal:0123456789abcdef")
    manifest = asyncio.run(_manifest(batch, lease))
    objects = sum(len(planned.body) for planned in batch.objects)
    additions = plan(f"{LINEAGE}-{lease.shard_id}", batch.deltas, now)
    of_days = [_full_day(key, added) for key, added in additions.items() if key.sk.startswith("day#")]
    figures: list[tuple[str, str, float]] = [
        ("cost_record_bytes", "bytes per event on the stream, key included", _stream_bytes(payloads, now) / events),
        ("cost_object_bytes", "bytes of Parquet per event", objects / events),
        ("cost_manifest_bytes", "bytes of manifest per event", len(encode(manifest)) / events),
        ("cost_counted", "counted events per event", _counted(batch.deltas) / events),
        ("cost_counter_items", f"counter items of {events:,} events", float(len(additions))),
        ("cost_counter_item_bytes", "bytes, mean", _mean(_item_bytes(key, it) for key, it in additions.items())),
        ("cost_counter_day_bytes", "bytes of a day's item at its end, the largest", float(max(of_days))),
        ("cost_top_list_bytes", "bytes of a top list", float(_top_list(batch.deltas, now))),
        ("cost_lease_bytes", "bytes of a shard's row", float(_lease_row(manifest, lease))),
        ("cost_cursor_bytes", "bytes of a source's document", float(_cursor_document())),
    ]
    return [Row(name=name, unit=unit, headrace=ours) for name, unit, ours in figures]


def _plan(payloads: Sequence[bytes], now: float) -> BatchPlan:
    records = [
        Record(data=payload, sequence_number=SEQUENCE, partition_key="k", approximate_arrival_timestamp=now)
        for payload in payloads
    ]
    planner = Planner(Transformer(Policy(), Enricher(), anonymous_key=b"bench"), BatchPolicy(), lineage=LINEAGE)
    return planner.plan(records, Lease(key=KEY), now=now, window=DedupWindow(600.0))


async def _manifest(batch: BatchPlan, lease: Lease) -> Manifest:
    return manifest_of(batch, await stage(MemoryStore(), batch.objects), lease, lineage=LINEAGE)


def _stream_bytes(payloads: Sequence[bytes], now: float) -> int:
    parsed = EventParser(Policy()).parse(payloads, now=now)
    entries = to_entries(
        parsed.events, parsed.indexes,
        source="api.shop.example", prefix=id_prefix("bench", "cursor"), now=now, anonymous_key=b"bench",
    )  # fmt: skip
    return sum(map(entry_bytes, entries))


def _counted(deltas: Deltas) -> int:
    """Every event of the bench has a product, and a page of its own."""
    counts = [counts for (entity, _, _), counts in deltas.items() if entity == "product"]
    return sum(each.views + each.add_to_carts + each.purchases for each in counts)


def _full_day(key: ItemKey, addition: Addition) -> int:
    """Bytes of a day's item in which every hour looks like this one."""
    numbers = addition.numbers
    total = {name: value for name, value in numbers.items() if not name[1:3].isdecimal()}
    hours = {f"{name[0]}{hour:02}{name[1:]}": value for hour in range(DAY_HOURS) for name, value in total.items()}
    return _item_bytes(key, Addition({**total, **hours}, addition.expires))


def _item_bytes(key: ItemKey, addition: Addition) -> int:
    return dynamodb_bytes({**key._asdict(), "last": 1_000_000, "ttl": addition.expires, **addition.numbers})


def _top_list(deltas: Deltas, now: float) -> int:
    lists = top.by_bucket(deltas, now).values()
    return max(len(top.encode(top.add(top.NOTHING, products))) for products in lists)


def _lease_row(manifest: Manifest, lease: Lease) -> int:
    """With all that a row in use has: an owner, an intent, a ledger."""
    full = replace(
        lease,
        checkpoint=manifest.end,
        intent=intent_of(manifest, encode(manifest)),
        manifest=manifest_key(manifest),
        ledger=Ledger(received=COUNTED, committed=COUNTED, objects=COUNTED // EVENTS),
        complete_through=manifest.last_arrival,
        caught_up_at=manifest.last_arrival,
    )
    return dynamodb_bytes(to_row(full))


def _cursor_document() -> int:
    """Of a source that is polled day and night."""
    hour = Totals(polled=EVENTS, accepted=EVENTS, put=EVENTS)
    document = {
        "cursor": {"cursor": str(COUNTED)},
        "exhausted": False,
        "totals": asdict(Totals(polled=COUNTED, accepted=COUNTED, put=COUNTED)),
        "hours": hours_to_document(dict.fromkeys(range(493_262, 493_262 + KEPT_HOURS), hour)),
    }
    return len(encode_document("cursor:bench", document))


def dynamodb_bytes(value: Any) -> int:
    """What DynamoDB counts for a value, or for an item as a mapping: names, and about half a byte a digit."""
    match value:
        case None | bool():
            return 1
        case int() | float() | Decimal():
            return (len(str(value)) + 1) // 2 + 1
        case str() | bytes():
            return len(value)
        case Mapping():
            return sum(len(name) + dynamodb_bytes(each) for name, each in value.items())
        case _:
            return sum(map(dynamodb_bytes, value))


def _mean(sizes: Iterable[int]) -> float:
    found = list(sizes)
    return sum(found) / len(found)
