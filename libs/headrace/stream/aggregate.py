"""Many entries in one record of the stream: what belongs on one shard travels together, as the KPL has it.

All aggregates of a shard have one explicit hash key, the first of the shard's range. So when the stream was resharded
meanwhile they still meet on one shard: what belongs there stays, in order, and the rest is put again, event by event,
in order too. Readers drop what an aggregate holds of other shards' hash ranges (`delivery.unpack`): each event is read
on one shard, once.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from headrace.errors import NotFoundError
from headrace.stream import batcher, kpl
from headrace.stream.ports import MAX_RECORD_BYTES, Entry, Placer, Shard, ShardId
from headrace.stream.shard_map import ShardMap
from headrace.telemetry.log import get_logger

MAX_AGGREGATE_BYTES = 50 << 10
"""As the KPL has it: two of the 25 KiB units that Kinesis charges for, and little to send again when one fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Entries of one shard, in order, and the record that carries them."""

    record: Entry
    entries: Sequence[Entry]
    shard: Shard
    """Where they belong, as far as is known."""

    @property
    def plain(self) -> bool:
        """Whether the record is an entry as it came: that goes where it belongs whatever we know."""
        return self.record is self.entries[0]


class _Load:
    """Entries of a shard that wait for more of them."""

    __slots__ = ("bytes", "entries", "keys", "shard")

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.entries: list[Entry] = []
        self.keys: set[str] = set()
        self.bytes = kpl.EMPTY_BYTES

    def add(self, entry: Entry, max_bytes: int) -> bool:
        """Take an entry; False when it does not fit. The first always does."""
        more = kpl.encoded_bytes(entry, known_key=entry.partition_key in self.keys)
        if not self.entries:  # the record's partition key counts too
            more += len(entry.partition_key.encode())
        elif self.bytes + more > max_bytes:
            return False
        self.entries.append(entry)
        self.keys.add(entry.partition_key)
        self.bytes += more
        return True

    def close(self) -> Bundle:
        """The record that carries them."""
        record = first = self.entries[0]
        if self.bytes <= MAX_RECORD_BYTES:
            record = Entry(kpl.encode(self.entries), first.partition_key, str(self.shard.hash_range[0]))
        return Bundle(record=record, entries=self.entries, shard=self.shard)


def bundle(
    entries: Iterable[Entry], shard_of: Callable[[Entry], Shard], *, max_bytes: int = MAX_AGGREGATE_BYTES
) -> list[Bundle]:
    """Entries → records of up to `max_bytes` with the entries of one shard each, in their order on each shard.

    An entry that is larger than that is alone in its aggregate, and plain when a record has no room for that.
    """
    done: list[Bundle] = []
    loads: dict[ShardId, _Load] = {}
    for entry in entries:
        shard = shard_of(entry)
        load = loads.setdefault(shard.shard_id, _Load(shard))
        if not load.add(entry, max_bytes):
            done.append(load.close())
            load = loads[shard.shard_id] = _Load(shard)
            load.add(entry, max_bytes)
    return done + [load.close() for load in loads.values()]


class AggregatingProducer:
    """`Producer` that puts aggregates. Keeps the order of a partition key as the producer beneath it does."""

    def __init__(self, placer: Placer, shards: ShardMap, *, max_bytes: int = MAX_AGGREGATE_BYTES) -> None:
        self._placer = placer
        self._shards = shards
        self._max_bytes = max_bytes

    async def put(self, entries: Sequence[Entry]) -> None:
        """See `Producer.put`. Raises what listing the stream's shards raises, too."""
        for entry in entries:
            batcher.entry_bytes(entry)  # before anything is sent
        bundles = bundle(entries, await self._shards.locate(), max_bytes=self._max_bytes)
        start = 0
        for batch in batcher.cut([each.record for each in bundles]):
            sent = bundles[start : start + len(batch)]
            start += len(batch)
            places = await self._placer.place(batch)
            strays = [
                entry
                for each, shard_id in zip(sent, places, strict=True)
                if not each.plain and shard_id != each.shard.shard_id
                for entry in await self._strays(each, shard_id)
            ]
            if strays:  # before the next batch, which may have more of the same keys
                get_logger().info("stream.put_apart", events=len(strays))
                await self._placer.put(strays)

    async def _strays(self, sent: Bundle, shard_id: ShardId) -> Sequence[Entry]:
        """The entries of a bundle on an unexpected shard that its readers drop; all, when nobody knows that shard."""
        try:
            first, last = await self._shards.hash_range(shard_id)
        except NotFoundError:
            return sent.entries
        return [entry for entry in sent.entries if not first <= kpl.hash_key(entry) <= last]
