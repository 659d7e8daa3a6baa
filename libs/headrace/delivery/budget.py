"""How much the shards of one process may hold in memory together, and who goes first when that is little.

A large batch costs less per event than a small one. So when more can be fetched than delivered, shards do not fill up
side by side: the one that has gathered most goes on fetching, and is delivered as soon as all that is gathered makes
a third of the limit. The rest is for what is being delivered meanwhile. While deliveries keep up, all may fetch.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

FIRST_PAGES = 64
"""So many first pages are expected to fill the limit: what they will have, nobody knows."""
PARTS = 3
"""So many batches fill the limit: one that gathers and two on their way. With two parts deliveries run out of work
while the next batch gathers; then all shards fetch, and batches become small."""
PLANS_AT_ONCE = 1
"""Most of a plan is Python, and two of them would take turns: more CPU and memory for a few per cent of time."""


class Share:
    """What one shard holds. Changed by its budget only."""

    __slots__ = ("behind", "delivering", "emptied", "expected", "page", "size")

    def __init__(self) -> None:
        self.size = 0
        """Bytes of records."""
        self.page = 0
        """Bytes of the last page, or what the first is expected to have."""
        self.expected = 0
        """Bytes on their way."""
        self.behind = True
        """Whether there was more behind the last page; also before the first."""
        self.delivering = False
        self.emptied = 0
        """The lower, the longer ago it held nothing for the last time."""


class BufferBudget:
    """Bytes of records held by the shard workers of one process. Belongs to one event loop.

    Nothing is refused and nothing dropped: who finds no room does not fetch. A page on its way counts as much as the
    one before it, so that the limit may be passed by what pages grow (to 10 MiB each at most, on Kinesis).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._shares: set[Share] = set()
        self._taken = 0
        """Held or on its way."""
        self._gathered = 0
        """Held and not being delivered."""
        self._waiting: dict[Share, tuple[bool, asyncio.Future[None]]] = {}
        """Who waits, and whether with a page on its way."""
        self._turns = count()
        self.planning = asyncio.Semaphore(PLANS_AT_ONCE)
        """Held while a batch becomes columns and files: that takes a multiple of its bytes."""

    @property
    def held(self) -> int:
        """Bytes held now."""
        return sum(share.size for share in self._shares)

    @property
    def _part(self) -> int:
        return self._limit // PARTS

    def join(self, share: Share) -> None:
        """One more shard is going to fetch."""
        share.page = self._limit // FIRST_PAGES
        share.emptied = next(self._turns)
        self._shares.add(share)

    def leave(self, share: Share) -> None:
        """The shard holds nothing any more, and fetches nothing."""
        if share in self._shares:
            with self._change(share):
                share.size = share.expected = 0
            self._shares.discard(share)

    def may_fetch(self, share: Share) -> bool:
        """Whether a page of this shard may be fetched now."""
        # Most of the time there is plenty, or nothing: neither asks how many shards there are.
        if self._taken < self._part or self._taken >= self._limit:
            return self._taken < self._limit
        return self._may_fetch(share, self._hungriest())

    def must_deliver(self, share: Share) -> bool:
        """Whether this shard is to deliver what it has gathered now, however young."""
        return share.size > 0 and self._gathered >= self._part and share is self._largest()

    def fetch(self, share: Share) -> None:
        """A page is asked for."""
        with self._change(share, wake=False):  # it makes room for nobody
            share.expected = share.page if share.behind else 0

    def gather(self, share: Share, size: int, *, behind: bool) -> None:
        """A page of `size` bytes is there; `behind`: it did not reach the tip."""
        with self._change(share):
            share.page, share.expected = size, 0
            share.size += size
            share.behind = behind

    @contextmanager
    def delivery(self, share: Share) -> Iterator[None]:
        """While what a shard holds is delivered."""
        with self._change(share):
            share.delivering = True
        try:
            yield
        finally:
            with self._change(share):
                share.delivering = False

    def give_back(self, share: Share, size: int) -> None:
        """Of what the shard holds, `size` bytes are delivered."""
        with self._change(share):
            share.size -= size
            if not share.size:
                share.emptied = next(self._turns)

    @contextmanager
    def turn(self, share: Share, *, fetching: bool) -> Iterator[asyncio.Future[None]]:
        """Done when the shard must deliver or, unless it is `fetching` already, may fetch."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting[share] = fetching, turn
        self._wake()
        try:
            yield turn
        finally:
            del self._waiting[share]
            turn.cancel()

    @contextmanager
    def _change(self, share: Share, *, wake: bool = True) -> Iterator[None]:
        """Keep the sums while a share changes."""
        self._count(share, -1)
        yield
        self._count(share, 1)
        if wake:
            self._wake()

    def _count(self, share: Share, sign: int) -> None:
        if share in self._shares:
            self._taken += sign * (share.size + share.expected)
            self._gathered += 0 if share.delivering else sign * share.size

    def _wake(self) -> None:
        if not self._waiting:
            return
        if self._gathered >= self._part and (largest := self._largest()) in self._waiting and largest.size:
            _set(self._waiting[largest][1])
        free = self._limit - self._taken
        hungriest = self._hungriest() if self._taken >= self._part else None
        for share, (fetching, turn) in self._waiting.items():
            if free <= 0:  # who cannot fetch after all is not woken: with hundreds of shards that is most of them
                return
            if not fetching and self._may_fetch(share, hungriest):
                _set(turn)
                free -= share.page if share.behind else 0

    def _may_fetch(self, share: Share, hungriest: Share | None) -> bool:
        """Below the limit: so may who is at the tip, the hungriest, and all while the others leave two parts free."""
        if hungriest is None or share is hungriest or not share.behind:
            return True
        return self._taken - hungriest.size - hungriest.expected < self._part

    def _hungriest(self) -> Share | None:
        """Of those that would fetch page after page, the one that has most."""
        behind = (share for share in self._shares if share.behind and not share.delivering)
        return max(behind, key=_rank, default=None)

    def _largest(self) -> Share | None:
        """Of those not being delivered."""
        return max((share for share in self._shares if not share.delivering), key=_rank, default=None)


def _set(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _rank(share: Share) -> tuple[int, int]:
    """Of equal ones the first is who had nothing for longest."""
    return share.size, -share.emptied
