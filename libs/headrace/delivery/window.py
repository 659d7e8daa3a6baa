"""The de-duplication window: 64-bit hashes of the event ids of a shard's last minutes.

Time here is the arrival of the records in the stream, never a clock of ours: the same records after the same batches
are judged the same way, whenever and by whomever. What a worker remembers can be had again from the manifests.
"""

from array import array
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_intdigest

IDS_LIMIT = 2_000_000
"""Ids remembered per shard, 16 MB; past it the oldest batch is forgotten early."""
HASH_BYTES = 8


def hashes_of(ids: pa.ChunkedArray) -> pa.UInt64Array:
    """XXH3 of each id. Two different ids among n are taken for one with a chance of about n² / 2⁶⁵."""
    return _array(array("Q", map(xxh3_64_intdigest, ids.cast(pa.binary()).to_pylist())))


def to_bytes(hashes: pa.UInt64Array) -> bytes:
    """Eight bytes a hash, as they lie in memory (little-endian)."""
    _, values = hashes.buffers()
    packed: bytes = values.slice(hashes.offset * HASH_BYTES, len(hashes) * HASH_BYTES).to_pybytes()
    return packed


def from_bytes(packed: bytes) -> pa.UInt64Array:
    """The inverse of `to_bytes`."""
    return _array(array("Q", packed))


@dataclass(frozen=True, slots=True)
class _Batch:
    arrived: float
    hashes: pa.UInt64Array


class DedupWindow:
    """Remembers the ids of committed batches, and forgets what arrived more than `seconds` before the latest."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._batches: deque[_Batch] = deque()
        self._size = 0

    def holds(self, ids: int, arrived: float, latest: float) -> bool:
        """Whether a batch that arrived then is remembered when `ids` came later, the last of them at `latest`."""
        return self._seconds > 0 and ids < IDS_LIMIT and arrived > latest - self._seconds

    def repeats(self, ids: pa.ChunkedArray, arrived: float) -> Collection[int]:
        """Positions of ids that are in the window, or that stand earlier in `ids`.

        `arrived` is the arrival of the first record that is asked about (seconds since 1970 UTC).
        """
        if self._seconds <= 0:
            return ()
        asked = hashes_of(ids)
        known = pa.chunked_array(
            [batch.hashes for batch in self._batches if batch.arrived > arrived - self._seconds], pa.uint64()
        )
        # The table is made of the few that are asked about, and the many are looked up in it.
        met = known.filter(pc.is_in(known, value_set=asked))
        if not len(met) and pc.count_distinct(asked).as_py() == len(asked):
            return ()
        seen = set(met.to_pylist())
        found = set()
        for at, event_id in enumerate(asked.to_pylist()):
            if event_id in seen:
                found.add(at)
            seen.add(event_id)
        return found

    def remember(self, hashes: pa.UInt64Array, arrived: float) -> None:
        """Add the ids of a committed batch whose last record arrived then. Batches come in their order."""
        if self._seconds <= 0:
            return
        self._batches.append(_Batch(arrived, hashes))
        self._size += len(hashes)
        while self._batches and (self._batches[0].arrived <= arrived - self._seconds or self._size > IDS_LIMIT):
            self._size -= len(self._batches.popleft().hashes)


def _array(hashes: "array[int]") -> pa.UInt64Array:
    return pa.UInt64Array.from_buffers(pa.uint64(), len(hashes), [None, pa.py_buffer(hashes)])
