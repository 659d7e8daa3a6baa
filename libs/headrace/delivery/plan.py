"""What a batch becomes: objects, counts, a checkpoint. Decided here without a single call; `deliver` executes it.

Everything in a plan follows from the records, their shard and the batch number, so that the same batch planned again
makes the same keys and, but for the time at which a dead letter was seen, the same bytes.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from headrace.counters.deltas import deltas_of
from headrace.counters.ports import Deltas
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.unpack import unpack
from headrace.delivery.window import DedupWindow, hashes_of
from headrace.events.parse import Reason, Rejection
from headrace.events.transform import MICROS_PER_HOUR, Origin, Transformed
from headrace.lake import parquet
from headrace.lake.layout import Quarantine, event_object, quarantine_object
from headrace.leases.model import Lease, Ledger
from headrace.quarantine import Envelope, envelope, to_jsonl_gz
from headrace.stream.ports import EVERY_KEY, HashRange, Record

STAGE = "transformer"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedObject:
    """An object to be written."""

    key: str
    body: bytes = field(repr=False)
    rows: int
    """Rows of Parquet, or lines of a dead-letter object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """All effects of one batch."""

    batch_no: int
    records: int
    """How many records of the stream, from the batch's front, this plan covers."""
    objects: Sequence[PlannedObject]
    deltas: Deltas
    checkpoint: str
    ledger: Ledger
    reasons: Mapping[str, int]
    """Dead letters by reason."""
    dead_letter_key: str
    """The object that holds them; empty without any."""
    event_ids: pa.UInt64Array
    """Hashes of the rows' ids, to be remembered once the batch is committed."""
    planned_at: float
    first_arrival: float
    last_arrival: float
    """Of the records; like `planned_at` in seconds since 1970 UTC."""


class Transform(Protocol):
    """What turns payloads into columns: a `Transformer` or something around one."""

    def __call__(
        self,
        payloads: Sequence[bytes],
        origin: Origin,
        *,
        repeats: Callable[[pa.ChunkedArray], Collection[int]] | None = None,
    ) -> Transformed:
        """See `headrace.events.transform.Transformer.__call__`."""
        ...


Letter = Callable[[Record, Lease, str, str, float], Envelope]
"""A record, its shard, the reason, the detail and the moment of the plan → the dead letter."""


def letter_of_stream(record: Record, lease: Lease, reason: str, detail: str, now: float) -> Envelope:
    """The dead letter of a record that came from the stream."""
    return envelope(
        record.data,
        reason=reason,
        detail=detail,
        stage=STAGE,
        position=f"{lease.shard_id}:{record.sequence_number}",
        seen_at=now,
    )


class Planner:
    """Plans the batches of one shard."""

    def __init__(
        self, transformer: Transform, policy: BatchPolicy, *, lineage: str, letter: Letter = letter_of_stream
    ) -> None:
        self._transformer = transformer
        self._policy = policy
        self._lineage = lineage
        self._letter = letter

    def plan(
        self,
        records: Sequence[Record],
        lease: Lease,
        *,
        now: float,
        window: DedupWindow,
        hash_range: HashRange = EVERY_KEY,
    ) -> BatchPlan:
        """Plan the longest front of `records` (not empty) that touches few enough partitions and has few enough rows.

        Cut at whole records of the stream: an aggregate that alone is over a limit goes as it is. `now` is seconds
        since 1970 UTC, the same for the whole batch; `hash_range` is the shard's. CPU only: run it off the event loop.
        """
        first_arrival = min([record.approximate_arrival_timestamp for record in records])

        def repeats(ids: pa.ChunkedArray) -> Collection[int]:
            return window.repeats(ids, first_arrival)

        unpacked = unpack(records, lease, hash_range=hash_range, limit=self._policy.rows)
        transformed = self._transform(unpacked.records, lease, repeats)
        if len(transformed.partitions) > self._policy.partitions:
            front = unpacked.within(_rows_within(transformed.rows, self._policy.partitions))
            unpacked = unpack(records[:front], lease, hash_range=hash_range, limit=self._policy.rows)
            transformed = self._transform(unpacked.records, lease, repeats)
        received, last = unpacked.records, records[unpacked.taken - 1]
        dead_letters = self._dead_letters(received, transformed.rejected, lease, now)
        objects = [*self._event_objects(transformed, lease), *dead_letters]
        ledger = Ledger(
            received=len(received),
            committed=transformed.rows.num_rows,
            dead_lettered=len(transformed.rejected),
            duplicates=transformed.repeats,
            objects=len(transformed.partitions),
            foreign=unpacked.foreign,
        )
        return BatchPlan(
            batch_no=lease.batch_no,
            records=unpacked.taken,
            objects=[*objects, *self._extra_columns(received, transformed.extra, lease, now)],
            deltas=deltas_of(transformed.rows),
            checkpoint=last.sequence_number,
            ledger=ledger,
            reasons=Counter(str(rejection.reason) for rejection in transformed.rejected),
            dead_letter_key=dead_letters[0].key if dead_letters else "",
            event_ids=hashes_of(transformed.rows["event_id"]),
            planned_at=now,
            first_arrival=first_arrival,
            last_arrival=last.approximate_arrival_timestamp,
        )

    def _transform(
        self,
        records: Sequence[Record],
        lease: Lease,
        repeats: Callable[[pa.ChunkedArray], Collection[int]],
    ) -> Transformed:
        origin = Origin(
            arrived=[record.approximate_arrival_timestamp for record in records].__getitem__,
            default_id=lambda at: f"{self._lineage}-{lease.shard_id}-{records[at].sequence_number}",
        )
        return self._transformer([record.data for record in records], origin, repeats=repeats)

    def _event_objects(self, transformed: Transformed, lease: Lease) -> list[PlannedObject]:
        return [
            PlannedObject(
                key=event_object(partition, self._lineage, lease.shard_id, lease.batch_no, n),
                body=parquet.encode(rows),
                rows=rows.num_rows,
            )
            for n, (partition, rows) in enumerate(transformed.partitions)
        ]

    def _dead_letters(
        self, records: Sequence[Record], rejected: Sequence[Rejection], lease: Lease, now: float
    ) -> list[PlannedObject]:
        found = [(rejection.index, str(rejection.reason), rejection.detail) for rejection in rejected]
        return self._quarantined(Quarantine.FAILED_TRANSFORMATION, records, found, lease, now)

    def _extra_columns(
        self, records: Sequence[Record], extra: Sequence[int], lease: Lease, now: float
    ) -> list[PlannedObject]:
        found = [(index, Reason.EXTRA_COLUMNS, "keys that the schema does not name") for index in extra]
        return self._quarantined(Quarantine.EXTRA_COLUMNS, records, found, lease, now)

    def _quarantined(
        self,
        prefix: Quarantine,
        records: Sequence[Record],
        found: Sequence[tuple[int, str, str]],
        lease: Lease,
        now: float,
    ) -> list[PlannedObject]:
        if not found:
            return []
        letters = [self._letter(records[index], lease, reason, detail, now) for index, reason, detail in found]
        # By the day of the first record's arrival, not of `now`: the same batch has the same key tomorrow.
        day = records[0].approximate_arrival_timestamp
        name = f"{self._lineage}-{lease.shard_id}-{lease.batch_no:010}"
        return [PlannedObject(key=quarantine_object(prefix, day, name), body=to_jsonl_gz(letters), rows=len(letters))]


def _rows_within(rows: pa.Table, partitions: int) -> int:
    """How many rows come before the one that opens one partition too many.

    That many payloads make at most that many rows, so a front of this length fits.
    """
    hours = pc.divide(rows["event_time"].cast(pa.int64()), MICROS_PER_HOUR)
    seen: set[int] = set()
    for at, hour in enumerate(hours.to_pylist()):
        seen.add(hour)
        if len(seen) > partitions:
            return at
    return len(hours)
