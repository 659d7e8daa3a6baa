from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from cli.drained import Observation, Rows, Totals, wait_drained
from headrace.clock import ManualClock
from headrace.lake.layout import HourPartition
from headrace.leases.model import SHARD_END, Lease, LeaseKey, Ledger
from headrace.stream.ports import ShardId

NOON = HourPartition("2026", "04", "09", "12")
ONE = HourPartition("2026", "04", "09", "13")
FILE = "cursor:file-a"


def lease(shard: str, **fields: Any) -> Lease:
    return Lease(key=LeaseKey(f"000000000000:events:1:{shard}"), **fields)


def observation(
    *,
    exhausted: bool = True,
    shards: Iterable[str] = ("s-0",),
    leases: Sequence[Lease] = (),
    registered: Iterable[HourPartition] = (),
    **polled: int,
) -> Observation:
    return Observation(
        cursors={FILE: {"cursor": 1, "exhausted": exhausted, "totals": polled}},
        shards=frozenset(map(ShardId, shards)),
        leases=tuple(leases),
        registered=frozenset(registered),
    )


class Script:
    """An observer that sees what it is given, one observation after the other; the last one stays."""

    def __init__(self, *seen: Observation, landed: Iterable[HourPartition] = ()) -> None:
        self.left = list(seen)
        self._landed = frozenset(landed)

    async def observe(self) -> Observation:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    async def landed(self) -> frozenset[HourPartition]:
        return self._landed


def test_totals_are_summed_over_sources_and_shards() -> None:
    seen = Observation(
        cursors={
            "cursor:a": {"totals": {"polled": 10, "accepted": 8, "extra_columns": 1, "rejected": 2, "put": 8}},
            "cursor:b": {"totals": {"polled": 1, "accepted": 1, "extra_columns": 0, "rejected": 0, "put": 1}},
        },
        shards=frozenset(),
        leases=(
            lease("s-0", ledger=Ledger(received=6, committed=4, dead_lettered=1, duplicates=1, objects=2)),
            lease("s-1", ledger=Ledger(received=3, committed=3, objects=1)),
        ),
        registered=frozenset({NOON}),
    )
    assert seen.totals == Totals(
        polled=11, accepted=9, extra_columns=1, rejected=2, put=9,
        received=9, committed=7, dead_lettered=1, duplicates=1, objects=3, partitions=1,
    )  # fmt: skip


def test_a_row_that_was_removed_counts_as_it_was_seen_last() -> None:
    rows = Rows()
    rows.see([lease("s-0", ledger=Ledger(received=6, committed=6)), lease("s-1")])
    seen = rows.see([lease("s-1", ledger=Ledger(received=1, committed=1))])
    assert observation(leases=seen).totals.received == 7


def test_a_run_counts_only_what_it_added() -> None:
    before, after = Totals(polled=5, committed=3, partitions=1), Totals(polled=9, committed=7, partitions=1)
    assert after.since(before) == Totals(polled=4, committed=4)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([lease("s-0", caught_up_at=11.0), lease("s-1", caught_up_at=12.0)], True),
        ([lease("s-0", caught_up_at=11.0), lease("s-1", caught_up_at=9.0)], False),
        ([lease("s-0", caught_up_at=11.0), lease("s-1")], False),
        ([lease("s-0", caught_up_at=11.0)], False),
        ([lease("s-0", caught_up_at=11.0), lease("s-1", checkpoint=SHARD_END)], True),
        ([], False),
    ],
)
def test_every_shard_must_have_been_at_its_tip_later(rows: list[Lease], expected: bool) -> None:
    assert observation(shards=("s-0", "s-1"), leases=rows).caught_up(since=10.0) is expected


def test_a_source_that_has_no_cursor_yet_is_not_exhausted() -> None:
    assert observation().exhausted([FILE])
    assert not observation().exhausted([FILE, "cursor:file-b"])
    assert not observation(exhausted=False).exhausted([FILE])


async def test_it_waits_for_exhaustion_then_for_the_shards_then_for_the_partitions() -> None:
    clock = ManualClock()
    early, late = lease("s-0", caught_up_at=clock.now()), lease("s-0", caught_up_at=clock.now() + 60)
    script = Script(
        observation(exhausted=False, leases=[late], polled=1),
        observation(leases=[early], polled=2),
        observation(leases=[early], polled=3),
        observation(leases=[late], registered={NOON}, polled=4),
        observation(leases=[late], registered={NOON, ONE}, polled=5),
        landed={NOON, ONE},
    )
    progress: list[int] = []
    totals = await wait_drained(script, [FILE], clock, lambda now: progress.append(now.polled))
    assert progress == [1, 2, 3, 4, 5]
    assert totals == Totals(polled=5, partitions=2)
