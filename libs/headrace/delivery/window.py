"""The de-duplication window: event ids of the last minutes, per shard."""

from collections import deque
from collections.abc import Sequence

IDS_LIMIT = 2_000_000
"""Ids remembered per shard, some 200 MB; past it the oldest batch is forgotten early."""


class DedupWindow:
    """Remembers the ids of committed batches for a while. Lost with the process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._batches: deque[tuple[float, frozenset[str]]] = deque()
        self._size = 0

    def repeats(self, ids: Sequence[str]) -> set[int]:
        """Positions of ids that are in the window, or that stand earlier in `ids`."""
        distinct = set(ids)
        if len(distinct) == len(ids) and all(distinct.isdisjoint(seen) for _, seen in self._batches):
            return set()
        met = set().union(*(seen & distinct for _, seen in self._batches))
        found = set()
        for at, event_id in enumerate(ids):
            if event_id in met:
                found.add(at)
            met.add(event_id)
        return found

    def remember(self, ids: Sequence[str], now: float) -> None:
        """Add the ids of a committed batch; `now` is monotonic seconds. Forgets what is older than the window."""
        if self._seconds <= 0:
            return
        seen = frozenset(ids)
        self._batches.append((now, seen))
        self._size += len(seen)
        while self._batches and (self._batches[0][0] <= now - self._seconds or self._size > IDS_LIMIT):
            self._size -= len(self._batches.popleft()[1])
