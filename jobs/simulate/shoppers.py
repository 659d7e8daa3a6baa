"""Traffic as a pure function of (seed, rate, time).

Wall time is cut into blocks. The visits that *start* in a block come from a generator seeded by (seed, block), and a
visit never outlasts `VISIT_BLOCKS` blocks; so any process can make any block at any time without stored state, and
makes the same bytes.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

import msgspec

from jobs.simulate.catalogue import by_popularity, products
from jobs.simulate.visitors import Visitor, make_visitor
from jobs.simulate.visits import EVENTS_PER_VISIT, MAX_VISIT_MS, visit

BLOCK_MS = 5_000
VISIT_BLOCKS = -(-MAX_VISIT_MS // BLOCK_MS)
"""A visit begun in block b has no event after block b + `VISIT_BLOCKS`."""

POPULATION = 20_000
"""Visitors there are; the lower their number, the more often they come."""


class Item(NamedTuple):
    """One event as it is handed out."""

    at_ms: int
    """When it is handed out, in ms since 1970 UTC: its own time, unless a fault says otherwise."""
    key: str
    """Partition key: the session, so that a repeat of an event meets the same shard."""
    data: bytes
    """JSON text without line breaks, unless a fault broke it."""
    is_json: bool = True


Block = Sequence[Item]
"""What happens in one block, in time order."""


class Shoppers:
    """All visits to the shop: `rate` events a second in the long run, arriving as a Poisson process."""

    def __init__(self, *, seed: int, rate: float) -> None:
        self.seed = seed
        self.rate = rate
        self._popular = by_popularity(products())
        self._visitors: dict[int, Visitor] = {}
        self._encode = msgspec.json.Encoder(decimal_format="number").encode

    def blocks(self, first: int) -> Iterator[Block]:
        """Block `first` and all after it, without end.

        The first one costs `VISIT_BLOCKS` more than the others: the visits that are under way when it begins.
        """
        coming: defaultdict[int, list[Item]] = defaultdict(list)
        for started in range(first - VISIT_BLOCKS, first):
            self._start_visits(started, first, coming)
        block = first
        while True:
            self._start_visits(block, first, coming)
            yield sorted(coming.pop(block, ()), key=lambda item: item.at_ms)
            block += 1

    def _start_visits(self, block: int, first: int, coming: defaultdict[int, list[Item]]) -> None:
        """Add what the visits begun in `block` do from block `first` on."""
        rng = Random(f"{self.seed}/{block}")
        mean_gap_ms = 1000 * EVENTS_PER_VISIT / self.rate
        start, end = block * BLOCK_MS, (block + 1) * BLOCK_MS
        at = start + rng.expovariate(1.0) * mean_gap_ms
        while at < end:
            visitor = self._visitor(int(rng.random() ** 2 * POPULATION))
            for event in visit(visitor, int(at), rng, self._popular):
                at_ms = int(event.event_time)
                if at_ms >= first * BLOCK_MS:
                    coming[at_ms // BLOCK_MS].append(Item(at_ms, str(event.session_id), self._encode(event)))
            at += rng.expovariate(1.0) * mean_gap_ms

    def _visitor(self, number: int) -> Visitor:
        if number not in self._visitors:
            self._visitors[number] = make_visitor(number, Random(f"{self.seed}/visitor/{number}"))
        return self._visitors[number]
