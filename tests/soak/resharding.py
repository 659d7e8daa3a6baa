"""Shards are split and merged while they are written and read: when and how comes from a seed."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FEWEST, MOST = 6, 16
"""Open shards."""
ACTIVE_SECONDS = 30.0


class Change(StrEnum):
    """What is done to the stream."""

    SPLIT = "SplitShard"
    MERGE = "MergeShards"
    COUNT = "UpdateShardCount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshard:
    """The stream is changed once."""

    at: float
    """When, at the earliest, on the scale of the run."""
    change: Change
    which: float
    """0 to 1: of those that it could be."""
    where: float
    """0 to 1: within the middle half of a shard that is split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    shard_id: str
    first: int
    last: int


def plan_reshards(seed: int, *, count: int, span: float) -> Sequence[Reshard]:
    """`count` changes over `span`; each kind comes once before all come again."""
    chance = random.Random(seed)
    decks = itertools.count()
    kinds = itertools.chain.from_iterable(chance.sample(list(Change), len(Change)) for _ in decks)
    return [
        Reshard(
            at=span * (number + chance.random()) / count,
            change=change,
            which=chance.random(),
            where=chance.random(),
        )
        for number, change in zip(range(count), kinds, strict=False)
    ]


class Resharder:
    """Changes one stream. `kinesis` is botocore's client."""

    def __init__(self, kinesis: Any, stream: str) -> None:
        self._kinesis = kinesis
        self._stream = stream
        self.done: Counter[Change] = Counter()

    def run(self, planned: Sequence[Reshard], wait: Callable[[float], bool]) -> None:
        """All of them in turn; `wait` returns when a moment has come, True when it is over."""
        for each in planned:
            if wait(each.at):
                return
            self._apply(each)
            self._until_active()

    def _apply(self, reshard: Reshard) -> None:
        """The change that was planned; with too few or too many shards for it, the opposite one."""
        shards = self.open_shards()
        change = reshard.change
        if change is Change.SPLIT and len(shards) >= MOST:
            change = Change.MERGE
        elif change is Change.MERGE and len(shards) <= FEWEST:
            change = Change.SPLIT
        if change is Change.SPLIT:
            shard = _pick(shards, reshard.which)
            quarter = (shard.last - shard.first) // 4
            at = shard.first + quarter + int(2 * quarter * reshard.where)
            self._kinesis.split_shard(StreamName=self._stream, ShardToSplit=shard.shard_id, NewStartingHashKey=str(at))
        elif change is Change.MERGE:
            left, right = _pick(list(itertools.pairwise(shards)), reshard.which)
            self._kinesis.merge_shards(
                StreamName=self._stream, ShardToMerge=left.shard_id, AdjacentShardToMerge=right.shard_id
            )
        else:
            few, many = max(FEWEST, -(-len(shards) // 2)), min(MOST, 2 * len(shards))  # as far as Kinesis goes at once
            target = _pick([count for count in range(few, many + 1) if count != len(shards)], reshard.which)
            self._kinesis.update_shard_count(
                StreamName=self._stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING"
            )
        self.done[change] += 1

    def open_shards(self) -> Sequence[_Open]:
        """Those that take records, by hash range."""
        pages = self._kinesis.get_paginator("list_shards").paginate(StreamName=self._stream)
        found = [
            _Open(
                shard_id=each["ShardId"],
                first=int(each["HashKeyRange"]["StartingHashKey"]),
                last=int(each["HashKeyRange"]["EndingHashKey"]),
            )
            for page in pages
            for each in page["Shards"]
            if "EndingSequenceNumber" not in each["SequenceNumberRange"]
        ]
        return sorted(found, key=lambda shard: shard.first)

    def _until_active(self) -> None:
        deadline = time.monotonic() + ACTIVE_SECONDS
        while (status := self._status()) != "ACTIVE":
            assert time.monotonic() < deadline, f"the stream is {status}"
            time.sleep(0.1)

    def _status(self) -> str:
        summary = self._kinesis.describe_stream_summary(StreamName=self._stream)
        return str(summary["StreamDescriptionSummary"]["StreamStatus"])


def _pick(things: Sequence[Any], which: float) -> Any:
    return things[int(which * len(things))]
