"""Where a reader is in the traffic, and what comes next."""

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from jobs.simulate.faults import FaultProfile, RecordFaults
from jobs.simulate.shoppers import BLOCK_MS, Block, Item, Shoppers

_RECENT_BLOCKS = 8
_OPEN_RUNS = 4


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The next event to hand out: `index` within `block`. As text: `355144320-17`."""

    block: int
    index: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `ValueError` for anything `str()` does not produce."""
        match = re.fullmatch(r"([0-9]{1,12})-([0-9]{1,9})", text)
        if not match:
            raise ValueError("a cursor looks like 355144320-17")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def at(cls, ms: int) -> Self:
        """The start of the block that `ms` (since 1970 UTC) is in."""
        return cls(ms // BLOCK_MS)

    def __str__(self) -> str:
        return f"{self.block}-{self.index}"


class Timeline:
    """The traffic of one (seed, rate, faults). What it remembers only saves time: every answer could be made anew."""

    def __init__(self, *, seed: int, rate: float, faults: FaultProfile) -> None:
        self.rate = rate
        self._shoppers = Shoppers(seed=seed, rate=rate)
        self._faults = RecordFaults(faults, seed)
        self._recent: OrderedDict[int, Block] = OrderedDict()
        self._runs: OrderedDict[int, Iterator[Block]] = OrderedDict()  # by the block that each yields next

    def block(self, number: int) -> Block:
        """What happens in block `number`. Cheap after its predecessor, else it costs `VISIT_BLOCKS` blocks more."""
        if number not in self._recent:
            run = self._runs.pop(number, None) or self._shoppers.blocks(number)
            self._recent[number] = self._faults.apply(number, next(run))
            self._runs[number + 1] = run
            _drop_oldest(self._recent, _RECENT_BLOCKS)
            _drop_oldest(self._runs, _OPEN_RUNS)
        return self._recent[number]

    def items(self, start_ms: int) -> Iterator[Item]:
        """Everything from `start_ms` (since 1970 UTC) on, without end."""
        first = start_ms // BLOCK_MS
        for number, block in enumerate(self._shoppers.blocks(first), start=first):
            yield from (item for item in self._faults.apply(number, block) if item.at_ms >= start_ms)

    def page(self, position: Position, limit: int, now_ms: int) -> tuple[Sequence[Item], Position]:
        """At most `limit` items from `position` that are out by `now_ms`, and the position after them.

        Following the positions hands out each item exactly once, whatever the limits.
        """
        items: list[Item] = []
        number, index = position.block, position.index
        while number * BLOCK_MS <= now_ms and len(items) < limit:
            block = self.block(number)
            taken = [item for item in block[index : index + limit - len(items)] if item.at_ms <= now_ms]
            items += taken
            index += len(taken)
            if index < len(block) or (number + 1) * BLOCK_MS > now_ms:
                break
            number, index = number + 1, 0
        return items, Position(number, index)


def _drop_oldest(kept: OrderedDict[int, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
