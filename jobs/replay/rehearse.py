"""A replay that changes nothing: what would become of each line, and the first lines before and after."""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from headrace.clock import Clock
from headrace.delivery.plan import Transform
from headrace.delivery.window import DedupWindow
from headrace.events.transform import Origin, Transformed
from headrace.leases.model import TRIM_HORIZON
from headrace.leases.ports import LeaseStore
from headrace.stream.ports import Record
from jobs.replay.lots import Lot
from jobs.replay.mend import MendedTransform, Mending
from jobs.replay.replayer import Outcome

SHOWN = 5
"""Lines that are kept to be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line as it is and as it would be."""

    place: str
    """Object and line number."""
    reason: str
    fate: str
    """`row`, `duplicate`, or the reason for which it would fail again."""
    before: bytes
    after: bytes


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """Goes through lots without writing anything anywhere."""

    transform: Transform
    mending: Mending
    leases: LeaseStore
    dedup_seconds: float
    clock: Clock
    changes: list[Change] = field(default_factory=list)
    """Of the first lines, in order."""

    async def rehearse(self, lot: Lot) -> Outcome:
        """What a replay would make of the lot now."""
        row = await self.leases.get(lot.lease_key)
        records = () if row and row.ended else lot.after(row.checkpoint if row else TRIM_HORIZON)
        if not records:
            return Outcome(lines=len(lot.records), already=len(lot.records))
        repeated: list[int] = []
        transformed = await asyncio.to_thread(self._transformed, lot, records, repeated)
        self._keep(lot, records, transformed, repeated)
        return Outcome(
            lines=len(lot.records),
            rows=transformed.rows.num_rows,
            dead_letters=len(transformed.rejected),
            duplicates=transformed.repeats,
            already=len(lot.records) - len(records),
            reasons=Counter(str(each.reason) for each in transformed.rejected),
        )

    def _transformed(self, lot: Lot, records: Sequence[Record], repeated: list[int]) -> Transformed:
        window = DedupWindow(self.dedup_seconds)
        first = min(record.approximate_arrival_timestamp for record in records)

        def repeats(ids: pa.ChunkedArray) -> Collection[int]:
            repeated.extend(found := window.repeats(ids, first))
            return found

        return MendedTransform(self.transform, lot, self.mending, now=self.clock.now())(
            [record.data for record in records],
            Origin(
                arrived=lambda at: records[at].approximate_arrival_timestamp,
                default_id=lambda at: f"{lot.shard_id}-{records[at].sequence_number}",
            ),
            repeats=repeats,
        )

    def _keep(self, lot: Lot, records: Sequence[Record], transformed: Transformed, repeated: list[int]) -> None:
        fates = {each.index: str(each.reason) for each in transformed.rejected}
        good = [at for at in range(len(records)) if at not in fates]
        fates |= {good[position]: "duplicate" for position in repeated}
        for at, record in enumerate(records[: SHOWN - len(self.changes)]):
            prepared = self.mending.prepare(lot, record.data, record.approximate_arrival_timestamp)
            self.changes.append(
                Change(
                    place=f"{lot.key}:{record.sequence_number}",
                    reason=lot.reason,
                    fate=fates.get(at, "row"),
                    before=record.data,
                    after=prepared if isinstance(prepared, bytes) else self.mending.repairs(record.data),
                )
            )
