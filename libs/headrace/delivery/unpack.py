"""Records of the stream → what producers put into them: aggregates are taken apart, all else stays as it is.

Batches are cut at whole records of the stream, so that a checkpoint is a sequence number and nothing more. A checkpoint
of KCL's may lie within an aggregate: what is done of it is passed over.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.leases.model import Lease
from headrace.stream import kpl
from headrace.stream.ports import EVERY_KEY, Entry, HashRange, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """The longest front of some records within a number of user records, taken apart."""

    records: Sequence[Record]
    """User records; one of an aggregate has the sequence number `{sequence}.{sub-sequence}`."""
    ends: Sequence[int]
    """How many of `records` there are up to the end of each record of the stream."""
    foreign: int
    """User records left out since they belong to another shard."""

    @property
    def taken(self) -> int:
        """How many records of the stream this is."""
        return len(self.ends)

    def within(self, count: int) -> int:
        """How many whole records of the stream hold at most `count` user records; at least one."""
        return max(1, bisect_right(self.ends, count))


def unpack(records: Sequence[Record], lease: Lease, *, hash_range: HashRange = EVERY_KEY, limit: int) -> Unpacked:
    """Take apart a front of `records` (not empty) of `limit` user records, or its first record if that has more.

    `hash_range` is the shard's. Without aggregates this costs one look at each payload.
    """
    resumed = records[0].sequence_number == lease.checkpoint  # only when KCL stopped there: we read on behind it
    # An aggregate is no less than the magic number that it begins with: one comparison a record, made in C.
    if not resumed and max([record.data for record in records]) < kpl.MAGIC:
        front = records[:limit]
        return Unpacked(records=front, ends=range(1, len(front) + 1), foreign=0)
    found: list[Record] = []
    ends: list[int] = []
    foreign = 0
    for record in records:
        own, others = _take_apart(record, hash_range, lease.sub_sequence if resumed and not ends else -1)
        if ends and len(found) + len(own) > limit:
            break
        found += own
        foreign += others
        ends.append(len(found))
    return Unpacked(records=found, ends=ends, foreign=foreign)


def _take_apart(record: Record, hash_range: HashRange, done: int) -> tuple[Sequence[Record], int]:
    """User records behind sub-sequence number `done` that belong to this shard, and how many belong to others."""
    subs = kpl.decode(record.data)
    if subs is None:
        return ([] if done >= 0 else [record]), 0
    mine = _Membership(hash_range)
    number, arrived = record.sequence_number, record.approximate_arrival_timestamp
    own = [
        Record(sub.data, f"{number}.{at}", sub.partition_key, arrived)
        for at, sub in enumerate(subs)
        if at > done and mine(sub)
    ]
    return own, max(0, len(subs) - done - 1) - len(own)


class _Membership:
    """Whether entries belong to a shard; each distinct key is hashed once."""

    def __init__(self, hash_range: HashRange) -> None:
        self._first, self._last = hash_range
        self._known: dict[tuple[str, str | None], bool] = {}

    def __call__(self, entry: Entry) -> bool:
        keys = entry[1:]
        known = self._known.get(keys)
        if known is None:
            known = self._known[keys] = self._first <= kpl.hash_key(entry) <= self._last
        return known
