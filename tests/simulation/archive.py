"""All that the stream was ever given. The stream forgets what retention takes; whoever judges must not."""

from collections import defaultdict
from dataclasses import dataclass

from headrace.leases.model import SHARD_END, TRIM_HORIZON
from headrace.stream import kpl
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Record, Shard, ShardId


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """The user records of one shard: what its readers must make something of."""

    own: list[tuple[str, bytes]]
    """Sequence number, with its place in it for one of an aggregate, and payload; each that belongs to the shard."""
    foreign: int
    """How many belong to others: their producer has put those again."""


class Archive:
    """Ask `update` after each put, before time passes."""

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream
        self._shards: dict[ShardId, Shard] = {}
        self._records: defaultdict[ShardId, list[Record]] = defaultdict(list)
        self._lost: set[str] = set()
        """Sequence numbers of what was taken by retention before anybody decided on it."""

    def update(self) -> None:
        """Note down what is new."""
        for shard_id, log in self._stream._shards._logs.items():
            self._shards[shard_id] = log.shard
            known = self._records[shard_id]
            after = int(known[-1].sequence_number) + 1 if known else 0
            known += log.records[log.index(after) :]

    @property
    def shards(self) -> list[ShardId]:
        """All there ever were, in the order in which they came."""
        return list(self._shards)

    def parents(self, shard_id: ShardId) -> tuple[ShardId, ...]:
        """The shards that a reshard made this one of."""
        return self._shards[shard_id].parents

    def behind(self, shard_id: ShardId, checkpoint: str) -> int:
        """How many records of a shard come after a checkpoint, without those that nobody can read any more."""
        return len(self._after(shard_id, checkpoint))

    def lose(self, shard_id: ShardId, checkpoint: str) -> None:
        """Retention takes what comes after a checkpoint."""
        self._lost |= {record.sequence_number for record in self._after(shard_id, checkpoint)}

    @property
    def lost(self) -> set[bytes]:
        """Payloads of the user records that nobody can read any more."""
        records = [record for all_of_it in self._records.values() for record in all_of_it]
        gone = [record for record in records if record.sequence_number in self._lost]
        return {data for record in gone for data in _payloads(record)}

    def received(self, shard_id: ShardId) -> Received:
        """What the readers of a shard have seen of it, if they have done as they should."""
        first, last = self._shards[shard_id].hash_range
        own: list[tuple[str, bytes]] = []
        foreign = 0
        for record in self._kept(shard_id):
            entries = kpl.decode(record.data)
            if entries is None:
                own.append((record.sequence_number, record.data))
                continue
            for place, entry in enumerate(entries):
                if first <= kpl.hash_key(entry) <= last:
                    own.append((f"{record.sequence_number}.{place}", entry.data))
                else:
                    foreign += 1
        return Received(own=own, foreign=foreign)

    def _after(self, shard_id: ShardId, checkpoint: str) -> list[Record]:
        if checkpoint == SHARD_END:
            return []
        passed = -1 if checkpoint == TRIM_HORIZON else int(checkpoint)
        return [record for record in self._kept(shard_id) if int(record.sequence_number) > passed]

    def _kept(self, shard_id: ShardId) -> list[Record]:
        return [record for record in self._records[shard_id] if record.sequence_number not in self._lost]


def _payloads(record: Record) -> list[bytes]:
    entries = kpl.decode(record.data)
    return [record.data] if entries is None else [entry.data for entry in entries]
