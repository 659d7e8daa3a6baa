"""Leases that went from one live worker to another, as their logs tell it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

GIVEN_UP = frozenset({"lease.released", "lease.handed_over"})


def hand_overs(logs: Sequence[Iterable[Mapping[str, Any]]]) -> Sequence[float]:
    """Seconds from a release to the take by the worker that had claimed the lease; one for each hand-over.

    `logs` has the lines of each worker. A lease of one epoch has one owner, so it is claimed from and released by that.
    """
    released: dict[tuple[str, int], datetime] = {}
    claimed: set[tuple[int, str, int]] = set()
    taken: dict[tuple[str, int], tuple[int, datetime]] = {}
    for worker, lines in enumerate(logs):
        for line in lines:
            event = line.get("event")
            if event not in {"lease.claimed", *GIVEN_UP, "lease.taken"}:
                continue
            lease, at = (line["shard"], line["epoch"]), datetime.fromisoformat(line["ts"])
            if event == "lease.claimed":
                claimed.add((worker, *lease))
            elif event in GIVEN_UP:
                released[lease] = at
            else:
                taken[lease] = (worker, at)
    return [
        (at - released[shard, epoch - 1]).total_seconds()
        for (shard, epoch), (worker, at) in taken.items()
        if (shard, epoch - 1) in released and (worker, shard, epoch - 1) in claimed
    ]
